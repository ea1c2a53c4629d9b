"""`emoforge init`: what was written, and what comes next."""

from __future__ import annotations

from pathlib import Path

from emoforge import console
from flows.projects.init import init


def begin(folder: Path, *, git: bool, as_json: bool) -> None:
    """Makes `folder` a project and says so. Raises what `init` raises."""
    begun = init(folder, git=git)
    if as_json:
        console.print_json(begun.as_dict())
        return
    for name in begun.written:
        console.out.print(f"  {name}", markup=False)
    if begun.kept:
        console.out.print(f"there already, left alone: {', '.join(begun.kept)}", markup=False)
    for name in begun.outdated:
        console.out.print(
            f"{name} is not as this emoforge writes it (edited, or of another version). To take the new one: move it "
            "away, emoforge init again, and put your own stages back.",
            markup=False,
        )
    if begun.git:
        console.out.print(f"{begun.git}: versions are git tags, and nothing is committed yet", markup=False)
    if not begun.written:
        console.out.print(f"nothing to do: {begun.folder} is a project")
        return
    steps = [f"cd {folder}"] if folder != Path() else []
    steps += ["git add -A && git commit -m 'A project of emoforge'"] if git else []
    steps += ["emoforge demo", "emoforge link NAME PATH   (a corpus of yours)"]
    console.out.print("Next:", *(f"  {step}" for step in steps), sep="\n", markup=False)
