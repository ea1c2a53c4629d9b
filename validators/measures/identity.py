"""Measures of who is heard or seen, as `validators.measures.registry` offers them: likeness of pairs, and of faces to
faces.

Pairs need an embedding from a path: a folder written by `IdentityEmbedding.save` (validators/embeddings/people.py:
what tells the subjects of a real corpus apart) or a pre-trained encoder (validators/embeddings/encoders.py). Cosines
of different embeddings are never compared: the convention holds the embedding's name and hash.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import UserError
from validators.batch import Batch
from validators.embeddings.people import IdentityEmbedding, recognisable, unit
from validators.maths.privacy import nearest
from validators.maths.sets import checked_pair, finite
from validators.measures.measured import Measured
from validators.measures.pairs import Recording, mean_of_pairs


def speaker_similarity(real: Sequence[Recording], synthetic: Sequence[Recording], *, embedding: str = "") -> Measured:
    """Mean cosine of the two speakers of each pair. `embedding`: its folder."""
    rates = {rate for _, rate in (*real, *synthetic)}
    if len(rates) > 1:
        raise UserError(f"the recordings have rates {sorted(rates)} Hz; resample them to one")
    rate = float(rates.pop()) if rates else None
    return _similarity([s for s, _ in real], [s for s, _ in synthetic], "speech", rate, embedding)


def identity_similarity(
    real: Sequence[np.ndarray], synthetic: Sequence[np.ndarray], *, embedding: str = ""
) -> Measured:
    """Mean cosine of the two faces of each pair. `embedding`: its folder."""
    return _similarity(real, synthetic, "face", None, embedding)


def _similarity(
    real: Sequence[np.ndarray], synthetic: Sequence[np.ndarray], modality: str, rate_hz: float | None, path: str
) -> Measured:
    if len(real) != len(synthetic) or len(real) == 0:
        raise UserError(f"{len(real)} real and {len(synthetic)} synthetic items; pairs need as many of both")
    points = []
    name = ""
    for side in (real, synthetic):
        ids = tuple(str(i) for i in range(len(side)))
        batch = Batch(modality, ids, ids, [np.asarray(s) for s in side], ids, rate_hz)
        found, name = _embedded(path, batch)
        points.append(unit(found))
    values = (points[0] * points[1]).sum(axis=1)
    pairs = [(float(v), None if math.isfinite(v) else "nobody to recognise") for v in values]
    return mean_of_pairs(pairs, "1", f"cosine, {name}")


def _embedded(path: str, batch: Batch) -> tuple[np.ndarray, str]:
    """-> [B, d] float64 (NaN rows: silence, one gray, not usable) and the embedding's name. Raises `UserError`."""
    if not path:
        raise UserError(
            "name the embedding: embedding=PATH, a folder written by IdentityEmbedding.save or a pre-trained encoder"
        )
    if (Path(path) / "gate.json").is_file():
        own = IdentityEmbedding.load(Path(path))
        return own.embed(batch), own.name
    from validators.embeddings.encoders import READS, encoded, kept_encoder

    encoder = kept_encoder(path, reads=READS[batch.modality])
    found = np.array(encoded(encoder, batch))
    found[~recognisable(batch)] = np.nan
    return found, encoder.name


def face_likeness(real: np.ndarray, synthetic: np.ndarray, *, k: int = 3, seed: int = 0) -> Measured:
    """How far synthetic faces are from real ones, in units of how far real faces are from one another: about 1 is a
    face like others, 2 is twice as far as a typical real one. real [n, d], synthetic [m, d]: features of faces.

    The score of the gate `support` (Sun et al. 2022) on two random halves of real: distance to the k-th nearest face of
    one half, over the median of that distance of the other half's faces; then the halves change places. Chosen because
    it needs no labels and no threshold, and a set of real faces scores 1 by construction. One-sided: a blurred mean
    face lies among real ones. Details: the share of synthetic faces that are farther than 95 % of real ones are.
    """
    x, y = checked_pair(real, synthetic)
    convention = f"distance to the {k}-th nearest of half of real / median of the other half's, mean"
    if k < 1:
        raise UserError(f"k is {k}; at least 1 neighbour is needed")
    if not finite(x, y) or len(x) < 2 * (k + 1) or len(y) < 1:
        bad = "rows hold NaN or infinities" if not finite(x, y) else f"too few: {len(x)} real, {len(y)} synthetic"
        why = f"{bad}; at least {2 * (k + 1)} real and 1 synthetic are needed"
        return Measured(math.nan, "x typical real distance", convention, len(x), len(y), reason=why)
    mixed = np.random.default_rng(seed).permutation(len(x))
    halves = (mixed[::2], mixed[1::2])
    ratios, own, far = np.zeros(len(y)), [], np.zeros(len(y))
    for inside, outside in (halves, halves[::-1]):
        theirs = nearest(x[outside], x[inside], k)[:, -1]
        typical = float(np.median(theirs))
        if typical <= 0.0:
            why = "half of the real faces have equals among the others; drop repeats first"
            return Measured(math.nan, "x typical real distance", convention, len(x), len(y), reason=why)
        found = nearest(y, x[inside], k)[:, -1]
        ratios += found / typical / 2
        far += (found > np.quantile(theirs, 0.95)) / 2
        own.append(theirs / typical)
    told: dict[str, Any] = {"farther than 95 % of real": float(far.mean())}
    measured = mean_of_pairs([(float(v), None) for v in ratios], "x typical real distance", convention)
    kept = {key: measured.details[key] for key in ("sd", "median")}
    return replace(
        measured, n_real=len(x), n_synthetic=len(y), floor=float(np.concatenate(own).mean()), details=kept | told
    )
