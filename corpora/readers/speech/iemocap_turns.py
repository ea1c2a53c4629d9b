"""Evaluation files of IEMOCAP: a turn's header, its raters' lines, a blank line. A line belongs to the header above it
or to nobody: what follows a header that cannot be read, or a blank line, never goes to the turn before.

    [6.2901 - 8.2357]\\tSes01F_impro01_F000\\tneu\\t[2.5000, 2.5000, 2.5000]
    C-E2:\\tNeutral;\\t()
    A-E3:\\tval 3; act 2; dom  2;\\t()
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from corpora.errors import PayloadError
from corpora.formats.tables import number_of
from corpora.records.joins import Entries

DIMENSIONS = {"val": "valence", "act": "arousal", "dom": "dominance"}
SCALE = (1.0, 5.0)
_NAME = re.compile(r"Ses\d\d[FM]_(?:impro|script)\w+?_[FM]\w{2}\d[a-z]?(?!\w)")
_HEAD = re.compile(r"\[\s*(\S+)\s*-\s*(\S+)\s*\]\s+(\w+)\s+(\w+)\s+\[([^\[\],]*),([^\[\],]*),([^\[\],]*)\]")
_RATER = re.compile(r"([CA])-(\w+)\s*:(.*)", re.DOTALL)
_NUMBER = re.compile(r"(val|act|dom)([^;]*);")
_SPOKEN = re.compile(r"(\w+) \[[\d.]+-[\d.]+\]:\s*(.*)")
_EXPECTED = "[6.2901 - 8.2357] Ses01F_impro01_F000 neu [2.5000, 2.5000, 2.5000]"


@dataclass
class Rated:
    """One turn of an evaluation file. `words`, `numbers`: rater -> what he or she gave; `unread`: raters of whom a line
    cannot be read, or who stand twice under the turn with something else."""

    start_s: float
    end_s: float
    label: str
    means: tuple[float, float, float]
    turn: int = 0
    words: dict[str, list[str]] = field(default_factory=dict)
    numbers: dict[str, dict[str, float]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)


def lines_of(content: bytes) -> list[str]:
    """A text file of the release -> lines, without its byte-order mark. Latin-1 has a letter for every byte."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16", "replace")
    else:
        text = content.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    return re.split(r"\r\n|\r|\n", text)  # splitlines would part a line at the dots \x85 of a comment


def evaluations(content: bytes, name: str, rated: Entries[str, Rated | PayloadError]) -> list[tuple[PayloadError, str]]:
    """One evaluation file: adds each turn to `rated`, or the error of a header that names its turn and says no more.

    -> (bad-header, "file.txt#12") of the other lines that should have begun a turn: those that name none, and raters'
    lines under no header. `turn` of a record counts both speakers' turns, by start.
    """
    turns: list[tuple[str, Rated, str]] = []
    lost: list[tuple[PayloadError, str]] = []
    now: Rated | None = None
    nobodys = False  # a broken header is a reject already; the lines below it are not counted again
    for number, line in enumerate(map(str.strip, lines_of(content)), 1):
        where = f"{name}#{number}"
        if not line:
            now, nobodys = None, False
        elif line.startswith("%"):
            continue
        elif (match := _RATER.fullmatch(line)) is not None:
            if now is not None:
                _add_rater(now, *match.groups())
            elif not nobodys:
                nobodys = True
                lost.append((PayloadError("bad-header", f"raters under no header; expected {_EXPECTED}"), where))
        else:
            now, nobodys = None, True
            try:
                turn, now = _header(line)
            except PayloadError as error:
                named = _NAME.search(line)
                if named is None:
                    lost.append((error, where))
                else:
                    rated.add(named[0], error, where)
            else:
                turns.append((turn, now, where))
    for place, (_, evaluation, _) in enumerate(sorted(turns, key=lambda turn: turn[1].start_s)):
        evaluation.turn = place
    for turn, evaluation, where in turns:
        rated.add(turn, evaluation, where)
    return lost


def spoken_words(content: bytes, name: str, spoken: Entries[str, str]) -> None:
    """Lines of a transcription: {turn's name: words}; other lines (of overlaps, say) are passed over."""
    for number, line in enumerate(lines_of(content), 1):
        if (match := _SPOKEN.match(line)) is not None:
            spoken.add(match[1], match[2], f"{name}#{number}")


def _header(line: str) -> tuple[str, Rated]:
    match = _HEAD.match(line)
    if match is None:
        raise PayloadError("bad-header", f"{line[:80]!r}; expected {_EXPECTED}")
    start, end, name, label, *means = match.groups()
    try:
        start_s, end_s = number_of(start, "start"), number_of(end, "end")
        valence, arousal, dominance = (number_of(mean.strip(), "a mean") for mean in means)
    except PayloadError as error:
        raise PayloadError("bad-header", f"{error.detail}; expected {_EXPECTED}") from error
    return name, Rated(start_s, end_s, label, (valence, arousal, dominance))


def _add_rater(turn: Rated, kind: str, rater: str, rest: str) -> None:
    """One rater's line. Of a rater who stands twice with different things nothing is kept: one of the two is another
    turn's."""
    if kind == "C":
        *words, _comment = rest.split(";")
        given = [word.strip() for word in words if word.strip()]
        if not given or turn.words.setdefault(rater, given) != given:
            turn.words[rater] = []
            turn.unread.append(rater)
        return
    numbers: dict[str, float] = {}
    for which, text in _NUMBER.findall(rest):
        if not text.strip():
            continue  # the release leaves some out
        try:
            value = number_of(text.strip().replace(",", "."), which)
        except PayloadError:
            value = float("nan")
        if SCALE[0] <= value <= SCALE[1]:
            numbers[DIMENSIONS[which]] = value
        else:
            turn.unread.append(rater)
    if turn.numbers.setdefault(rater, numbers) != numbers:
        turn.numbers[rater] = {}
        turn.unread.append(rater)
