"""Real, accepted and rejected samples in one space of hand-made features: a map of it, and who is near whom.

The features are the ones that gates know as plain (`validators.embeddings.features.PLAIN`), standardised by real train
samples. The map is their two leading principal components, fitted on real samples: closed form, the same every time.
Distances are taken in the whole space, never on the map.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import IntegrityError
from flows.artifacts.prepared import Prepared
from flows.stages.augment.batches import Form, batch_from_table
from flows.stages.report.data import RunFolder
from flows.stages.report.samples import Kind, order_of
from validators.batch import Batch, rows_of, usable
from validators.embeddings.features import PLAIN, plain_features
from validators.embeddings.projection import Projection
from validators.maths.sets import column_scale

MOST = 400  # real samples, and as many synthetic ones: what a page can show and a minute can compute
NEAR = 3  # neighbours of a sample that its certificate names
_CLIP = 10.0  # standard deviations, as `Projection` clips


@dataclass(frozen=True, slots=True)
class Near:
    """A real train sample near another. distance: over the typical distance of a real sample to its nearest real one
    of another person. source: the sample started from it."""

    sample_id: str
    emotion: str | None
    distance: float
    source: bool


@dataclass(frozen=True, slots=True)
class Point:
    """One sample on the map; x, y in [0, 1], y upwards."""

    sample_id: str
    kind: Kind
    emotion: str | None
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Space:
    """features: their name; shares: of the variance that each axis holds; near: sample -> its nearest real ones, of
    the samples that were asked for; n_real of of_real train samples, n_synthetic of of_synthetic are in it."""

    features: str
    points: Sequence[Point]
    shares: tuple[float, float]
    near: Mapping[str, Sequence[Near]]
    n_real: int
    of_real: int
    n_synthetic: int
    of_synthetic: int


def space_of(data: RunFolder, shown: Collection[str]) -> Space | None:
    """The samples of ids `shown`, their sources, and others up to `MOST` of a kind, by the order that ids decide.

    None where fewer than three real samples can be decoded: nothing is near anything then.
    """
    form = Form.of(data.summary.modality, data.summary.rate_hz, data.summary.representation)
    reference = Prepared(data.folder / "prepared").reference("train")
    real = _some(reference, {*shown, *_sources(data, shown)})
    batches: list[tuple[Kind, Batch]] = [("real", _usable(data.folder / "prepared", real, form))]
    synthetic = None if data.synthetic is None else _some(data.synthetic, shown)
    if synthetic is not None:
        batches.append(("synthetic", _usable(data.folder / "augmented", synthetic, form)))
    if data.rejected is not None:
        refused = data.rejected.filter(_in(data.rejected, shown))
        batches.append(("rejected", _usable(data.folder / "augmented", refused, form)))
    batches = [(kind, batch) for kind, batch in batches if len(batch)]
    if not batches or batches[0][0] != "real" or len(batches[0][1]) < 3:
        return None
    features = [plain_features(batch) for _, batch in batches]
    if len({matrix.shape[1] for matrix in features}) > 1:
        raise IntegrityError(f"{data.folder}: real and synthetic samples have other numbers of features")
    shares, xy = _mapped(features)
    points = [
        Point(sample, kind, emotion, x, y)
        for (kind, batch), places in zip(batches, xy, strict=True)
        for sample, emotion, (x, y) in zip(batch.ids, batch.emotions, places.tolist(), strict=True)
    ]
    return Space(
        features=PLAIN[batches[0][1].kind],
        points=points,
        shares=shares,
        near=_nearest([batch for _, batch in batches], features, shown),
        n_real=len(batches[0][1]),
        of_real=reference.num_rows,
        n_synthetic=sum(len(batch) for kind, batch in batches if kind == "synthetic"),
        of_synthetic=0 if data.synthetic is None else data.synthetic.num_rows,
    )


def _sources(data: RunFolder, shown: Collection[str]) -> set[str]:
    tables = [table for table in (data.synthetic, data.rejected) if table is not None]
    rows = [row for table in tables for row in table.select(["sample_id", "source_ids"]).to_pylist()]
    return {source for row in rows if row["sample_id"] in shown for source in row["source_ids"] or ()}


def _in(table: pa.Table, ids: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(table["sample_id"], value_set=pa.array(sorted(ids), pa.string()))


def _some(table: pa.Table, wanted: Collection[str]) -> pa.Table:
    """Rows of `wanted`, then others up to `MOST`, in the order of the table."""
    ids = table["sample_id"].to_pylist()
    by_turn = sorted(range(len(ids)), key=lambda i: (ids[i] not in wanted, order_of(ids[i])))
    n = max(MOST, sum(sample in wanted for sample in ids))
    return table.take(pa.array(sorted(by_turn[:n]), pa.int64()))


def _usable(folder: Path, table: pa.Table, form: Form) -> Batch:
    batch = batch_from_table(folder, table, form)
    return rows_of(batch, np.flatnonzero(usable(batch)))


def _standard(features: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Standardised by the first of them, which is real; clipped, so that one wild feature does not own a distance."""
    mean = features[0].mean(axis=0)
    scale = column_scale(features[0].std(axis=0), mean)
    return [np.clip((x - mean) / scale, -_CLIP, _CLIP) for x in features]


def _mapped(features: Sequence[np.ndarray]) -> tuple[tuple[float, float], list[np.ndarray]]:
    """-> shares of the variance of real samples, and [n, 2] places in [0, 1] of each set. The sign of an axis is free;
    it is chosen so that its largest loading is positive."""
    projection = Projection.fit(features[0], 2)
    signs = [1.0 if row[np.abs(row).argmax()] >= 0 else -1.0 for row in projection.components]
    placed = [projection.apply(x) * signs for x in features]
    placed = [np.column_stack([p, np.zeros((len(p), 2 - p.shape[1]))]) for p in placed]
    variance = float(_standard(features[:1])[0].var(axis=0).sum()) or 1.0
    shares = placed[0].var(axis=0) / variance
    every = np.concatenate(placed)
    low, span = every.min(axis=0), np.ptp(every, axis=0)
    span[span == 0] = 1.0
    return (float(shares[0]), float(shares[1])), [np.round((p - low) / span, 4) for p in placed]


def _nearest(
    batches: Sequence[Batch], features: Sequence[np.ndarray], shown: Collection[str]
) -> dict[str, tuple[Near, ...]]:
    real, points = batches[0], _standard(features)
    groups = np.asarray(real.groups)
    among = _distances(points[0], points[0])
    strangers = among.copy()
    strangers[groups[:, None] == groups[None, :] if len(np.unique(groups)) > 1 else np.eye(len(real), dtype=bool)] = (
        np.inf
    )
    typical = float(np.median(strangers.min(axis=1))) or 1.0
    near: dict[str, tuple[Near, ...]] = {}
    for which, (batch, own) in enumerate(zip(batches, points, strict=True)):
        rows = [i for i, sample in enumerate(batch.ids) if sample in shown]
        distances = among[rows] if which == 0 else _distances(own[rows], points[0])
        for i, row in zip(rows, distances, strict=True):
            sources = set(batch.source_ids[i]) if batch.source_ids else set()
            others = [j for j in np.argsort(row, kind="stable").tolist() if real.ids[j] != batch.ids[i]]
            near[batch.ids[i]] = tuple(
                Near(real.ids[j], real.emotions[j], round(float(row[j]) / typical, 4), real.ids[j] in sources)
                for j in others[:NEAR]
            )
    return near


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[n, D], [m, D] -> [n, m] Euclidean distances."""
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(x, y))
