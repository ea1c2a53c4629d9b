"""Which samples raters get, in which trials: as many real as synthetic of each class, drawn by a secret.

Codes are keyed hashes: whoever has the page and even the release cannot tell what a code stands for without the key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpora.errors import UserError
from corpora.schema import SCORES
from corpora.store.release import SCORE_TABLE, Release
from corpora.store.shards import read_table
from flows.raters.records import KeyItem, KeyTrial, Task

Row = Mapping[str, Any]  # of the index
FEWEST_SIMILAR = 4  # trials of `similarity` below which the task is left out


@dataclass(frozen=True, slots=True)
class Secret:
    """Turns names into codes and chance."""

    text: str

    def code(self, *what: str) -> str:
        """12 hex digits."""
        return self._hash(what)[:12]

    def order(self, *what: str) -> str:
        """What things are sorted by where only chance may decide."""
        return self._hash(("order", *what))

    def _hash(self, what: Iterable[str]) -> str:
        return hmac.new(self.text.encode(), "\0".join(what).encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Chosen:
    """rows: sample -> its row of the index. left_out: task -> why."""

    items: tuple[KeyItem, ...]
    trials: tuple[KeyTrial, ...]
    rows: Mapping[str, Row]
    left_out: Mapping[Task, str]


def choose(release: Release, secret: Secret, tasks: Sequence[Task], per_class: int) -> Chosen:
    """Raises `UserError` where no class has both real and synthetic samples."""
    real, made = (_by_class(release, synthetic=synthetic, secret=secret) for synthetic in (False, True))
    classes = [c for c in release.manifest["classes"] if c in real and c in made]
    if not classes:
        raise UserError(
            f"{release.path}: no class has both real and synthetic samples in train; raters would have nothing to "
            "compare. A run without a generator has none."
        )
    chosen = {c: made[c][: min(per_class, len(made[c]), len(real[c]))] for c in classes}
    own = {source for rows in chosen.values() for row in rows for source in row["source_ids"] or ()}
    picked: list[tuple[Row, Row]] = []  # (synthetic, real), as pairs are heard
    for emotion, synthetic in chosen.items():
        people = {row["subject_id"] for row in synthetic}
        # others than the sources, of the same people where they are: who it is must not tell what it is
        turns = sorted(real[emotion], key=lambda row: (row["sample_id"] in own, row["subject_id"] not in people))
        picked += _paired(synthetic, turns[: len(synthetic)])
    rows = [row for pair in picked for row in pair]
    used = {row["sample_id"] for row in rows}
    practice = _practice(real, made, used | own, secret)
    used |= {row["sample_id"] for row in practice}
    similar = _references(rows, [row for of_class in real.values() for row in of_class], used, own, secret)
    left_out = _left_out(tasks, len(similar), classes)
    asked = [task for task in tasks if task not in left_out]
    scores = _scores(release)
    wanted = [*rows, *practice, *(row for _, row in similar if "similarity" in asked)]
    items = {row["sample_id"]: _item(row, secret, scores) for row in wanted}
    trials = list(_trials(asked, rows, picked, similar, practice, items, secret))
    return Chosen(
        tuple(sorted(items.values(), key=lambda item: item.code)),
        tuple(sorted(trials, key=lambda trial: trial.code)),
        {row["sample_id"]: row for row in wanted},
        left_out,
    )


def _by_class(release: Release, *, synthetic: bool, secret: Secret) -> dict[str, list[Row]]:
    by_class: dict[str, list[Row]] = {}
    for row in release.rows("train", synthetic=synthetic).to_pylist():
        if row["emotion"] is not None:
            by_class.setdefault(row["emotion"], []).append(row)
    return {c: sorted(rows, key=lambda row: secret.order(row["sample_id"])) for c, rows in by_class.items()}


def _paired(made: Sequence[Row], real: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Each synthetic sample with a real one, of the same person where there is one left."""
    left, pairs = list(real), []
    for row in made:
        same = next((other for other in left if other["subject_id"] == row["subject_id"] is not None), left[0])
        left.remove(same)
        pairs.append((row, same))
    return pairs


def _practice(
    real: Mapping[str, list[Row]], made: Mapping[str, list[Row]], used: set[str], secret: Secret
) -> list[Row]:
    """One unused sample of each kind, or one that is used where there is none."""
    chosen = []
    for by_class in (real, made):
        rows = [row for of_class in by_class.values() for row in of_class]
        chosen.append(min(rows, key=lambda row: (row["sample_id"] in used, secret.order("practice", row["sample_id"]))))
    return chosen


def _references(
    rows: Sequence[Row], real: Sequence[Row], used: set[str], own: set[str], secret: Secret
) -> list[tuple[Row, Row]]:
    """(sample, real recording of the same person that nothing else uses, and that it was not made of; one of which
    nothing was made where there is one)."""
    similar = []
    for row in rows:
        sources = set(row["source_ids"] or ())
        others = [
            other
            for other in real
            if row["subject_id"] is not None
            and other["subject_id"] == row["subject_id"]
            and other["sample_id"] not in used | sources
        ]
        if others:
            turns = [(o["sample_id"] in own, secret.order(row["sample_id"], o["sample_id"]), o) for o in others]
            similar.append((row, min(turns, key=lambda turn: turn[:2])[2]))
    return similar


def _left_out(tasks: Sequence[Task], n_similar: int, classes: Sequence[str]) -> dict[Task, str]:
    left_out: dict[Task, str] = {}
    if "similarity" in tasks and n_similar < FEWEST_SIMILAR:
        left_out["similarity"] = f"{n_similar} samples have another recording of the same person to be compared with"
    if "emotion" in tasks and len(classes) < 2:
        left_out["emotion"] = f"{classes[0]} is the only class with synthetic samples, so the answer would be known"
    return left_out


def _scores(release: Release) -> dict[str, dict[str, float]]:
    path = release.path / SCORE_TABLE
    scores: dict[str, dict[str, float]] = {}
    for row in read_table(path, SCORES).to_pylist() if path.is_file() else ():
        if row["value"] is not None and row["value"] == row["value"]:
            scores.setdefault(row["sample_id"], {})[row["gate"]] = row["value"]
    return scores


def _item(row: Row, secret: Secret, scores: Mapping[str, Mapping[str, float]]) -> KeyItem:
    sample = row["sample_id"]
    return KeyItem(
        code=secret.code("item", sample),
        sample_id=sample,
        kind="real" if row["generator_id"] is None else "synthetic",
        emotion=row["emotion"],
        subject=row["subject_id"],
        gates=dict(scores.get(sample, {})),
    )


def _trials(
    tasks: Sequence[Task],
    rows: Sequence[Row],
    pairs: Sequence[tuple[Row, Row]],
    similar: Sequence[tuple[Row, Row]],
    practice: Sequence[Row],
    items: Mapping[str, KeyItem],
    secret: Secret,
) -> Iterable[KeyTrial]:
    def trial(task: Task, row: Row, other: Row | None, **facts: Any) -> KeyTrial:
        ids = [row["sample_id"], *([other["sample_id"]] if other else [])]
        codes = [items[i].code for i in ids]
        if task == "pairs":  # which stands first has nothing to do with what it is
            codes = sorted(codes, key=lambda code: secret.order("side", code))
        what = secret.code("trial", task, *ids, str(facts))
        whole = {"expected": None, "counts": True} | facts
        return KeyTrial(code=what, task=task, item=codes[0], other=codes[1] if other else None, **whole)

    for task in tasks:
        asked = {"pairs": pairs, "similarity": similar}.get(task, [(row, None) for row in rows])
        for row, other in asked:
            yield trial(task, row, other)
        first: tuple[Row, Row | None] = practice[0], None
        if task in ("pairs", "similarity"):
            yield trial(task, practice[1], practice[0], counts=False)
            first = practice[1], practice[0]
        else:
            for row in practice:
                yield trial(task, row, None, counts=False)
        yield trial(task, *first, counts=False, expected=_expected(task, first, items, secret))


def _expected(task: Task, shown: tuple[Row, Row | None], items: Mapping[str, KeyItem], secret: Secret) -> str:
    """What an attention check asks to be answered."""
    if task == "pairs":
        codes = sorted((items[row["sample_id"]].code for row in shown if row is not None), key=secret.order)
        return codes[0]
    options = {"real": ["real", "synthetic"], "quality": ["1", "2", "4", "5"], "similarity": ["1", "2", "4", "5"]}
    emotions = sorted({item.emotion for item in items.values()})
    return min(options.get(task, emotions), key=lambda option: secret.order("check", task, option))
