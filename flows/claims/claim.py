"""Published claims of what data or augmentation is worth, as YAML: what the paper states, what it leaves open, and how
we re-run it. One file a claim in `published/`; its name is the claim's.

The paper's own network is never trained again: a plain classifier of ours takes its place, and what is measured is the
difference that the protocol alone makes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from corpora.errors import ParamsError, UnknownNameError
from corpora.formats.yamlfile import read_yaml
from corpora.params import StrictParams, parse

FOLDER = Path(__file__).parent / "published"


class Source(StrictParams):
    """Where the claim stands."""

    citation: str
    read: Literal["abstract", "paper"] = Field(description="how much of it the entry rests on")


class Stated(StrictParams):
    """What the source says about its protocol, in words; what it leaves open stands in `open`."""

    split: str
    unit: str
    metric: str
    augmentation: str


class Number(StrictParams):
    """The claimed number. of: gain (with added data minus without) or score."""

    value: float
    unit: Literal["points", "percent"]
    metric: Literal["accuracy", "uar"]
    of: Literal["gain", "score"]
    words: str


class Protocol(StrictParams):
    """One way to measure it. split: random (by file), official (test is the published test, or dev and test) or subject
    (folds of subjects). augmentation: rows are added before the split or after it, to train alone. copies: kept, or
    dropped from train where they are exact or near copies of test."""

    name: str
    split: Literal["random", "official", "subject"]
    augmentation: Literal["before", "after"]
    copies: Literal["keep", "drop"]


class Rerun(StrictParams):
    """How we re-run it. quantity: what is compared: real (score without added rows), added (with them) or gain. added:
    what is added, in words. jitter: noise on added rows, in standard deviations of each feature. protocols: from the
    loosest reading to the audited one, which is last."""

    reader: str
    options: dict[str, str] = Field(default_factory=dict)
    quantity: Literal["real", "added", "gain"]
    added: str
    jitter: float = Field(gt=0, le=1)
    protocols: tuple[Protocol, ...] = Field(min_length=2)

    @field_validator("protocols")
    @classmethod
    def _audited(cls, protocols: tuple[Protocol, ...]) -> tuple[Protocol, ...]:
        last = protocols[-1]
        if last.split == "random" or last.augmentation == "before" or last.copies == "keep":
            raise ValueError(f"the last protocol is the audited one; {last.name!r} leaks by what it says of itself")
        if len({protocol.name for protocol in protocols}) < len(protocols):
            raise ValueError("two protocols have one name")
        return protocols


class Claim(StrictParams):
    """One published claim."""

    title: str
    source: Source
    claim: Number
    stated: Stated
    open: tuple[str, ...] = Field(min_length=1)
    rerun: Rerun


def claim_names() -> list[str]:
    """Names of the claims that are shipped, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_claim(name: str) -> Claim:
    """Raises `UnknownNameError`, `ParamsError` for a file that is none."""
    if name not in claim_names():
        raise UnknownNameError.of("claim", name, claim_names())
    return parse(Claim, read_yaml(FOLDER / f"{name}.yaml", ParamsError), f"claim {name}")
