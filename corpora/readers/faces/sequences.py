"""Which frames of a posed sequence are read: from a neutral face (first frame) to the peak of the expression (last)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from corpora.errors import PayloadError, UnknownNameError

# option -> (how many frames from the end carry the label, whether the first one is read as neutral)
FRAMES = {"apex": (1, False), "apex_neutral": (1, True), "last3": (3, False), "last3_neutral": (3, True)}
NEUTRAL = "neutral"  # role of a first frame
LOST = "lost"  # role of what would be taken for a first frame, had the frames before it not gone


def known_frames(title: str, frames: str) -> tuple[int, bool]:
    """FRAMES[frames]. Raises `UnknownNameError`."""
    if frames not in FRAMES:
        raise UnknownNameError.of(f"frames of {title}", frames, FRAMES)
    return FRAMES[frames]


def refuse_lost(role: str, name: str) -> None:
    """Raises `PayloadError` missing-frame for the role "lost"."""
    if role == LOST:
        raise PayloadError("missing-frame", f"{name} is the first frame that is there; a sequence begins with 0 or 1")


def chosen_frames(
    files: Iterable[tuple[Path, str]], place: Callable[[str], tuple[str, int] | None], frames: str
) -> tuple[list[tuple[Path, str]], dict[str, str]]:
    """(path, name) pairs -> those that are read, in the order given, and {name: role}.

    `place(name)` -> (sequence, number of the frame), or None for a file of no sequence: it is kept, with no role, so
    that the reader can say what is wrong with it. Roles: "apex" (the last frame), "late" (those with the numbers just
    before it, where more are read), "neutral" (the first frame, number 0 or 1, unless it is one of those), "lost" (the
    first that is there of a sequence that begins later: nobody knows how neutral it is).
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
        members.sort()
        (first, beginning), (last, end) = members[0], members[-1]
        if with_neutral:
            roles[beginning] = NEUTRAL if first <= 1 else LOST
        roles |= {name: "late" for number, name in members if number > last - n_last} | {end: "apex"}
    return [(path, name) for path, name in files if name in roles or name in strays], roles
