"""Labels as people hand them in -> labels that can be compared.

What nobody means (a byte-order mark, blanks and quotes around, NFD letters) is taken off; what may be meant (another
case, a class that is not in the list) is an error that names the value, its row and the nearest class.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from corpora.errors import UserError
from corpora.labels import clean_label, folded
from corpora.records.unknown import is_unknown
from validators.maths.labels import refuse_unknown
from validators.measures.checked import sequence


def labels_of(value: Any, what: str) -> list[str]:
    """Texts, or whole numbers, [n] or [n, 1] -> clean labels. `what`: "the truth" or "the answers".

    Raises `UserError` naming the row: no label there, a number that is not whole, another type or shape.
    """
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "USiubfO" or value.ndim not in (1, 2) or (value.ndim == 2 and value.shape[1] != 1):
            raise UserError(f"{what} is {value.dtype} {value.shape}; labels are texts or whole numbers [n]")
        value = value.ravel().tolist()
    return [_label(one, what, row) for row, one in enumerate(sequence(value, what, "labels"), start=1)]


def _label(value: Any, what: str, row: int) -> str:
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            raise UserError(f"{what}, row {row} is bytes that are no UTF-8") from None
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))  # a class number that an array of floats holds
    if not isinstance(value, str):
        raise UserError(f"{what}, row {row} is {value!r:.40}; a label is a text or a whole number")
    label = clean_label(value)
    if is_unknown(label, words=False):
        raise UserError(f"{what}, row {row} holds no label ({value!r:.40}); leave such rows out of both")
    return label


def classes_of(value: Any) -> list[str]:
    """ "anger, fear" or a sequence of texts -> clean names, [] where none is given. Raises `UserError`: a name twice,
    or names that differ in case alone."""
    parts = value.split(",") if isinstance(value, str) else [str(part) for part in value]
    names = [clean_label(part) for part in parts]
    if names == [""]:
        return []
    if "" in names:
        raise UserError(f"classes {', '.join(names)}: number {names.index('') + 1} has no name")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"classes name {', '.join(twice)} twice; each column is one class")
    _refuse_twins(names)
    return names


def comparable(
    truth: Any, answers: Any, classes: Any = "", *, ignore_case: bool = False
) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Truth and answers as clean labels, and the classes: those given, or all that occur, sorted.

    `ignore_case`: labels that differ in case alone are one, spelt as in the classes, or as the first one stands. Raises
    `UserError`: labels that differ in case, hyphen or underscore alone; with classes given, one that is none of them.
    """
    sides = [labels_of(truth, "the truth"), labels_of(answers, "the answers")]
    given = classes_of(classes)
    if ignore_case:
        spelt = spellings([*given, *sides[0], *sides[1]])
        sides = [[spelt[label] for label in side] for side in sides]
    for side, what in zip(sides, ("the truth", "the answers"), strict=True):
        if given:
            refuse_unknown(side, given, what)
    names = given or sorted({*sides[0], *sides[1]})
    if not given:
        _refuse_twins(names)
    return sides[0], sides[1], tuple(names)


def spellings(labels: Iterable[str]) -> dict[str, str]:
    """Label -> the first one that differs from it in case alone (or itself)."""
    first: dict[str, str] = {}
    return {label: first.setdefault(label.casefold(), label) for label in labels}


def _refuse_twins(names: Iterable[str]) -> None:
    """Raises `UserError` where two labels differ in case or separators alone: one may be a slip, and we cannot know."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(folded(name), name)
        if other != name:
            raise UserError(
                f"labels {other!r} and {name!r} differ in case, hyphen or underscore alone. Did you mean one class? "
                "Spell them alike (ignore_case=true takes letters of either case as one); two classes need two names"
            )
