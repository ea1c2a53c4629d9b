"""Which frames of a posed sequence are read: from a neutral face (first frame) to the peak of the expression (last)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from corpora.errors import UnknownNameError

# option -> (how many frames from the end carry the label, whether the first one is read as neutral)
FRAMES = {"apex": (1, False), "apex_neutral": (1, True), "last3": (3, False), "last3_neutral": (3, True)}
NEUTRAL = "neutral"  # role of a first frame


def known_frames(title: str, frames: str) -> tuple[int, bool]:
    """FRAMES[frames]. Raises `UnknownNameError`."""
    if frames not in FRAMES:
        raise UnknownNameError.of(f"frames of {title}", frames, FRAMES)
    return FRAMES[frames]


def chosen_frames(
    files: Iterable[tuple[Path, str]], place: Callable[[str], tuple[str, int] | None], frames: str
) -> tuple[list[tuple[Path, str]], dict[str, str]]:
    """(path, name) pairs -> those that are read, in the order given, and {name: role}.

    `place(name)` -> (sequence, number of the frame), or None for a file of no sequence: it is kept, with no role, so
    that the reader can say what is wrong with it. Roles: "apex" (the last frame), "late" (those before it that are read
    too), "neutral" (the first frame, unless it is one of those).
    """
    files = list(files)
    sequences: dict[str, list[tuple[int, str]]] = {}
    strays = set()
    for _, name in files:
        where = place(name)
        if where is None:
            strays.add(name)
        else:
            sequences.setdefault(where[0], []).append((where[1], name))
    n_last, with_neutral = FRAMES[frames]
    roles: dict[str, str] = {}
    for members in sequences.values():
        names = [name for _, name in sorted(members)]
        if with_neutral:
            roles[names[0]] = NEUTRAL
        roles |= dict.fromkeys(names[-n_last:], "late") | {names[-1]: "apex"}
    return [(path, name) for path, name in files if name in roles or name in strays], roles
