"""data/runs/RUN/CHANGELOG.md: what each version of a release was, newest first, tracked by git. Of a part of a release:
data/parts/RUN-synthetic/CHANGELOG.md.

One section a version, headed `## RUN@vX.Y.Z`. Sections that are there are kept letter by letter, whoever wrote into
them; the new one is put above them. The new one's text comes of the facts that the tag holds, and of nothing else, so
that writing it twice gives the file that writing it once gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from flows.paths import PRODUCT, Layout
from flows.releases.git import asked
from flows.releases.versions import Facts, MovedSamples, numbers

NAME = "CHANGELOG.md"
_HEADING = re.compile(rf"^## (?P<tag>{PRODUCT}@v\d+\.\d+\.\d+)(?:[ \t].*)?$", re.MULTILINE)
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|!])")
TURNED = 20  # verdicts of a section; emoforge diff has all of them
_WORDS = {"came": "came", "went": "went"}


def changelog_of(run: str, repo: Path) -> Path:
    """Where it lies."""
    return Layout(repo).product(run) / NAME


def text_of(run: str, repo: Path) -> str:
    """The file; as git has it where a run's folder was removed and built again; "" where there never was one."""
    path = changelog_of(run, repo)
    if path.is_file():
        return path.read_text("utf-8")
    return asked(repo, "show", f"HEAD:./{path.relative_to(repo).as_posix()}") or ""


def sections(text: str) -> tuple[str, dict[str, str]]:
    """-> what stands before the first version, and tag -> its section with the heading, in the order of the file."""
    headings = list(_HEADING.finditer(text))
    if not headings:
        return text, {}
    ends = [*(match.start() for match in headings[1:]), len(text)]
    by_tag = {match["tag"]: text[match.start() : end] for match, end in zip(headings, ends, strict=True)}
    return text[: headings[0].start()], by_tag


def with_version(text: str, run: str, tag: str, section: str, tags: Iterable[str]) -> str:
    """`text` with `section` of the version `tag` above the others. tags: the versions that git knows.

    A section of a version above all of `tags` is what a publish left that never came to its commit, and goes.
    """
    before, by_tag = sections(text)
    newest = max((numbers(_number(known)) for known in tags), default=(0, 0, 0))
    kept = [part for known, part in by_tag.items() if known != tag and numbers(_number(known)) <= newest]
    head = before.rstrip("\n") if before.strip() else f"# Versions of {run}"
    return "\n\n".join([head, *(part.strip("\n") for part in [section, *kept])]) + "\n"


def section_of(tag: str, date: str, facts: Facts) -> str:
    """The section of a version. date: "2026-11-30"."""
    lines = [f"## {tag} ({date})", ""]
    if facts.because:
        lines += [_plain(f"{facts.bump}: {'; '.join(facts.because)}"), ""]
    lines += [f"- {_plain(line)}" for line in _lines(facts)]
    return "\n".join(lines) + "\n"


def _lines(facts: Facts) -> Iterator[str]:
    yield f"release hash {facts.release_hash}"
    yield f"{facts.real} real and {facts.synthetic} synthetic samples"
    if facts.verdicts:
        yield "verdicts: " + ", ".join(f"{n} {verdict}" for verdict, n in facts.verdicts.items())
    for moved in facts.moved:
        yield _moved(moved)
    if facts.turned:
        more = len(facts.turned) - TURNED
        yield "turned: " + "; ".join(facts.turned[:TURNED]) + (f"; and {more} more" if more > 0 else "")
    yield from facts.why


def _moved(moved: MovedSamples) -> str:
    total = sum(moved.by_class.values())
    what = _WORDS.get(moved.what, f"have another {moved.what}")
    return f"{total} {moved.kind} {what} ({_listed(moved.by_class)})"


def _listed(by_class: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in by_class.items())


def _plain(text: str) -> str:
    """Names of samples and classes are anybody's: on one line, and no markup."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _number(tag: str) -> str:
    return tag.partition("@")[2]
