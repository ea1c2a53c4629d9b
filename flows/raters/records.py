"""What a study of raters leaves in files: the key that stays with its maker, and the answers that come back."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from corpora.errors import UserError
from flows.artifacts.base import Record, read_as

Task = Literal["real", "emotion", "quality", "similarity", "pairs"]
TASKS: dict[Task, str] = {
    "real": "real or synthetic",
    "emotion": "which emotion (forced choice)",
    "quality": "how natural, 1 to 5 (MOS)",
    "similarity": "how like the same person, 1 to 5 (SMOS)",
    "pairs": "which of two is more natural",
}
RATED = range(1, 6)
KEY_FORMAT, ANSWERS_FORMAT = "emoforge-rater-key 1", "emoforge-rater-answers 1"


class KeyItem(Record):
    """One stimulus. gates: gate -> score of a synthetic one."""

    code: str
    sample_id: str
    kind: Literal["real", "synthetic"]
    emotion: str
    subject: str | None
    gates: dict[str, float]


class KeyTrial(Record):
    """One question. item: what is judged; other: the reference of `similarity`, the second of `pairs`. expected: of an
    attention check. counts: False of practice and checks."""

    code: str
    task: Task
    item: str
    other: str | None
    expected: str | None
    counts: bool


class Key(Record):
    """KEY.json: what every code means. kit: names the page that it belongs to. seed: None: drawn."""

    format: Literal["emoforge-rater-key 1"]
    kit: str
    release: str
    release_hash: str
    modality: str
    classes: tuple[str, ...]
    raters: int
    secret: str
    items: tuple[KeyItem, ...]
    trials: tuple[KeyTrial, ...]


class Answer(Record):
    """One answer. answer: an option of the task; of pairs the code of the item that was preferred. ms: how long it
    took."""

    trial: str
    answer: str
    ms: int = Field(ge=0)


class Answers(Record):
    """What the page gives a rater to send back."""

    format: Literal["emoforge-rater-answers 1"]
    kit: str
    rater: int = Field(ge=1)
    consent: bool
    finished: bool
    answers: tuple[Answer, ...]


def read_key(path: Path) -> Key:
    """Raises `UserError` where there is none, `IntegrityError` where it is not one."""
    key: Key = read_as(_there(path, "the key that `emoforge study-kit RELEASE` wrote beside the page"), Key)
    return key


def read_answers(path: Path) -> Answers:
    """Raises `UserError` where there is none, `IntegrityError` where it is not what the page gave."""
    answers: Answers = read_as(_there(path, "answers that a rater sent back"), Answers)
    return answers


def _there(path: Path, what: str) -> Path:
    if not path.is_file():
        raise UserError(f"{path} is no file; it should be {what}")
    return path
