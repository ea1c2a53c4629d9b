"""Which samples of a release are read: a split, real or synthetic ones, those with certain scores, a share of each.

Everything is done on columns: a million rows take no longer than their tables do to read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypedDict, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import UnknownNameError, UserError
from corpora.reading.conditions import conditions, scores_of
from corpora.store.shards import in_order
from corpora.store.weights import systematic

if TYPE_CHECKING:
    from corpora.store.release import Release

Kind = Literal["both", "real", "synthetic"]
NEEDED = ("sample_id", "shard", "offset", "n_bytes", "codec", "emotion", "weight", "generator_id")


class Which(TypedDict, total=False):
    """Further wishes, as keywords. view: a split view, where the release holds several. where: gate -> condition on
    its score (corpora/reading/conditions.py); real samples have no scores and stay. synthetic_share: of the samples
    that are read, in [0, 1]: as many as there are with this share, each once. classes: those that are read."""

    view: str
    where: Mapping[str, str]
    synthetic_share: float
    classes: list[str]


def selected(
    release: Release,
    split: str | None,
    kind: Kind,
    which: Which,
    seed: int = 0,
    columns: Sequence[str] = (),
) -> pa.Table:
    """`NEEDED` and `columns` of SAMPLES, rows in the order of shards and places in them. `seed`: which samples go for
    `synthetic_share`.

    Raises `UnknownNameError` (split, view, kind, gate, class, a keyword that is none), `UserError` (a condition or
    share that is none; a share of both kinds where there is only one; nothing is left; a release of features alone),
    `IntegrityError` where the scores are not those of the manifest.
    """
    if unknown := sorted(set(which) - set(Which.__annotations__)):
        raise UnknownNameError.of("keyword", unknown[0], Which.__annotations__)
    if kind not in get_args(Kind):
        raise UnknownNameError.of("kind of samples", str(kind), get_args(Kind))
    share = which.get("synthetic_share")
    if share is not None:
        _check_share(share, kind)
    release.require_payloads()
    release = release.narrow([*NEEDED, *columns])
    rows = release.rows(split, synthetic={"both": None, "real": False, "synthetic": True}[kind], view=which.get("view"))
    if (classes := which.get("classes")) is not None:
        rows = _of_classes(rows, classes)
    if where := which.get("where"):
        rows = _scored(rows, release.scores(), where)
    if share is not None:
        rows = shared(rows, share, seed)
    if not rows.num_rows:
        asked = ", ".join(f"{name}={value!r}" for name, value in {"split": split, "kind": kind, **which}.items())
        raise UserError(f"{release.path} holds no sample with {asked}.")
    return in_order(rows)


def _check_share(share: object, kind: Kind) -> None:
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 <= share <= 1.0:
        raise UserError(f"synthetic_share is {share!r}; a number in [0, 1] is wanted: 0.25 for a quarter.")
    if kind != "both":
        raise UserError(f"synthetic_share={share:g} asks for both kinds, kind={kind!r} for one. Leave one of them out.")


def _of_classes(rows: pa.Table, classes: list[str]) -> pa.Table:
    known = pc.unique(rows["emotion"]).drop_null().to_pylist()
    if isinstance(classes, str):
        raise UserError(f"classes is the text {classes!r}; a list of names is wanted: classes=[{classes!r}]")
    for name in classes:
        if name not in known:
            raise UnknownNameError.of("class of these samples", str(name), known)
    return rows.filter(pc.is_in(rows["emotion"], value_set=pa.array(classes, pa.string())))


def _scored(rows: pa.Table, scores: pa.Table, where: Mapping[str, str]) -> pa.Table:
    held = np.ones(rows.num_rows, dtype=bool)
    for condition in conditions(where, scores):
        held &= condition.holds(scores_of(rows["sample_id"], scores, condition.gate))
    return rows.filter(pc.or_(pc.is_null(rows["generator_id"]), pa.array(held)))


def shared(rows: pa.Table, share: float, seed: int) -> pa.Table:
    """As many rows as there are with this share of synthetic ones (as near as whole numbers come), none twice.

    What goes is drawn at random, of each class in proportion. Raises `UserError` where a kind that the share needs has
    no row.
    """
    synthetic = pc.is_valid(rows["generator_id"]).to_numpy()
    n_synthetic = int(synthetic.sum())
    n_real = len(synthetic) - n_synthetic
    for there, needed, kind in ((n_real, 1.0 - share, "real"), (n_synthetic, share, "synthetic")):
        if needed > 0 and not there:
            raise UserError(f"synthetic_share={share:g} needs {kind} samples, and there are none among those chosen.")
    sizes = [count / part for count, part in ((n_real, 1.0 - share), (n_synthetic, share)) if part > 0]
    total = min(sizes)
    codes = rows["emotion"].combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
    kept: np.ndarray = np.zeros(len(synthetic), dtype=bool)
    for of_kind, there, part in ((~synthetic, n_real, 1.0 - share), (synthetic, n_synthetic, share)):
        kept |= _some(of_kind, codes, min(there, round(total * part)), seed)
    return rows.filter(pa.array(kept))


def _some(of_kind: np.ndarray, codes: np.ndarray, n: int, seed: int) -> np.ndarray:
    """[N] bool: exactly `n` of the rows in `of_kind`, of each class (`codes`) in proportion."""
    rows = np.flatnonzero(of_kind)
    kept: np.ndarray = np.zeros(len(of_kind), dtype=bool)
    if n >= len(rows):
        kept[rows] = True
        return kept
    rng = np.random.default_rng([seed, len(rows)])
    rows = rng.permutation(rows)
    rows = rows[np.argsort(codes[rows], kind="stable")]
    chosen = systematic(np.full(len(rows), n / len(rows)), int(rng.integers(0, 2**64, dtype=np.uint64)))
    kept[rows[chosen]] = True
    return kept
