"""Did the generator hand out a training sample? Exact copies by hash, near copies by distance in a perceptual space.

The yardstick is real data: the distance from a real sample to its nearest real sample of another group. A candidate
whose nearest train sample is much closer than that is a copy, whatever its gain, brightness or contrast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from corpora.errors import UserError
from validators.batch import Batch, rows_of, usable
from validators.embeddings.images import MEL_BANDS, MEL_COLUMNS, faces_at, mel_of
from validators.embeddings.kept import vectors_of
from validators.gate import AnyParams, Foreseen, GateParams, Limit, SampleGate
from validators.maths.closest import Crowd, Ranking, pairs_within, rankings
from validators.maths.sets import blocks, column_scale, unit_rows
from validators.maths.text.copies import TextCopies, near_texts, word_hashes
from validators.maths.text.words import text_of
from validators.roster import Roster
from validators.state import arrays_hash, load_state, save_state

_TIMES = 256  # parts of a trial of signals
_SIDE = 16  # pixels: finer detail is what a copy changes first
_RANGE_DB = 40.0  # below the loudest bin is silence: less would take noise floors for content
_NOTHING = 1e-12  # length of a row that is rounding alone
_BLOCK = 512  # rows placed at once
_DIGITS = 9  # scores are rounded: their last bits are rounding


class CopiesParams(GateParams):
    """Parameters of the gate `copies`."""

    own_times: float = Field(
        5.0,
        ge=1,
        description="a conversion may be this many times closer to its source than to any other train sample",
    )


class Copies(SampleGate):
    """score = distance to the nearest train sample / typical distance of a real sample to the nearest of other groups.

    0: a copy; about 1: as far from train as real samples of other people are. An exact copy of any known payload
    scores 0. A conversion's own sources are judged more mildly (`own_times`), so that a conversion which changed
    nothing is still a copy; of signals by level and spread too, which are what a conversion moves (`Levels`). Faces are
    compared with their mirror images too.

    Space: low-pass pixels (16 x 16), time-normalised log-mel below its loudest bin, or time-normalised channels of
    signals, each with mean 0 and length 1; minus the mean of train, on the unit sphere: gain, brightness, contrast and
    offset drop out. Vectors are compared as train standardises them. Texts have no such space; they are compared by
    pairs of words (validators/maths/text/copies.py), and what several people say word for word is nobody's copy.
    Copies among synthetic samples: `near_pairs`.
    """

    name = "copies"
    unit = "x typical real distance"
    question = "is a sample a copy of a training sample?"
    better = "higher"
    modalities = ("speech", "face", "text", "physio")
    layouts = ("signal", "vector")
    default_limit = Limit(absolute=0.5)
    Params = CopiesParams
    fits_at_once = True
    drops_repeats = True

    def __init__(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self._arrays, self._facts = dict(arrays), dict(facts)
        self._scale, self._own_times = float(facts["scale"]), float(facts["own_times"])
        self._text = TextCopies(arrays) if facts["kind"] == "text" else None
        self._on_sphere = facts["kind"] != "vector"
        self._levels = Levels.of(arrays) if facts["kind"] == "physio" else None
        self._row_of: dict[str, int] = {name: i for i, name in enumerate(facts["ids"])}
        self._known = frozenset(facts["known_sha256"])
        self.judge = f"nearest-train/{arrays_hash(arrays)}"

    @classmethod
    def fit(
        cls,
        train: Batch,
        *,
        classes: Sequence[str],
        known_sha256: frozenset[str] = frozenset(),
        params: AnyParams,
        seed: int,
    ) -> Copies:
        """Raises `UserError` where train has fewer than 2 usable samples: there is no typical distance then."""
        options = CopiesParams.of(params, cls.name)
        batch = rows_of(train, usable(train))
        if len(batch) < 2:
            raise UserError(f"copies: needs at least 2 usable train samples for a typical distance, has {len(batch)}.")
        groups = np.asarray(batch.groups or batch.ids)
        if len(np.unique(groups)) < 2:
            groups = np.asarray(batch.ids)  # one group: typical is then the distance within it
        measured, nearest, arrays = np.arange(len(batch)), np.empty(len(batch)), {}
        if batch.kind == "text":
            arrays = TextCopies.learn(_texts(batch), groups.tolist())
            measured, nearest = TextCopies(arrays).real(batch.emotions, seed)
        else:
            raw = _raw(batch)
            arrays = {"mean": raw.mean(axis=0)}
            if batch.kind == "vector":
                arrays["spread"] = column_scale(raw.std(axis=0), arrays["mean"])
            points = _points(raw, arrays)
            mirrored = _placed(_raw(batch, mirror=True), arrays) if batch.kind == "face" else None
            nearest = _nearest_of_others(Crowd(points, on_sphere=batch.kind != "vector"), groups, mirrored)
            arrays |= {"points": points}
            if batch.kind == "physio":
                arrays |= Levels.learn(batch, groups)
        scale = float(np.median(nearest[np.isfinite(nearest)])) if np.isfinite(nearest).any() else 0.0
        if not scale > 0:
            raise UserError(
                "copies: at least half of the train samples equal one of another group; drop repeats first."
            )
        facts = {
            "scale": scale,
            "ids": list(batch.ids),
            "known_sha256": sorted(known_sha256 | set(train.sha256)),
            "own_times": options.own_times,
            "emotions": [batch.emotions[i] for i in measured],
            "classes": list(classes),
            "kind": batch.kind,
        }
        return cls(arrays | {"reference": np.round(nearest / scale, _DIGITS)}, facts)

    @classmethod
    def foresee(
        cls,
        train: Roster,
        dev: Roster | None,
        *,
        classes: Sequence[str],
        params: AnyParams,
        limit: Limit,
        seed: int,
    ) -> Foreseen:
        """Fewer than 2 samples have no typical distance."""
        return Foreseen(
            "" if len(train) >= 2 else f"train has {len(train)} samples; 2 are needed for a typical distance"
        )

    @cached_property
    def _train(self) -> Crowd:
        return Crowd(self._arrays["points"], on_sphere=self._on_sphere)

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64 >= 0; NaN: not decodable, not finite, or a text without words."""
        scores = np.full(len(batch), np.nan)
        ok = np.flatnonzero(usable(batch))
        if ok.size and self._text is not None:
            for i in map(int, ok):
                distances = self._text.distances(word_hashes(text_of(np.asarray(batch.signals[i])) or ""))
                if distances is not None:
                    own = self._own(batch.source_ids[i] if batch.source_ids else ())
                    alike = self._text.twins(own, self._scale / self._own_times) if own else None
                    scores[i] = self._nearest_text(distances / self._scale, own, alike)
        elif ok.size:
            part = rows_of(batch, ok)
            points, mirrored = self._vectors(part)
            levels = None if self._levels is None or not any(part.source_ids) else self._levels.place(part)
            for i, ranking in rankings(points, self._train, mirrored):
                own = self._own(part.source_ids[i] if part.source_ids else ())
                scores[ok[i]] = self._nearest(ranking, own, None if levels is None else levels[i])
        scores[self._copied(batch) & ~np.isnan(scores)] = 0.0
        return np.round(scores, _DIGITS)

    def reasons(self, batch: Batch) -> list[str | None]:
        """ "exact-copy" where the payload is known; None elsewhere (the score tells the rest)."""
        return ["exact-copy" if copied else None for copied in self._copied(batch)]

    def _copied(self, batch: Batch) -> np.ndarray:
        """-> [B] bool: the payload is known, and not a text that several people of train say."""
        copied = np.asarray([digest in self._known for digest in batch.sha256], dtype=bool)
        if self._text is not None:
            for i in map(int, np.flatnonzero(copied)):
                text = text_of(np.asarray(batch.signals[i]))
                copied[i] = text is None or not self._text.is_common(text)
        return copied

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> ratios of real train samples to the nearest real sample of another group."""
        of_row = np.asarray(self._facts["emotions"], dtype=str)
        return {name: self._arrays["reference"][of_row == name].astype(np.float64) for name in self._facts["classes"]}

    def near_pairs(self, batch: Batch, limit: float) -> list[tuple[int, int]]:
        """Pairs i < j of rows of `batch` closer to each other than `limit` typical real distances (0 for equal
        payloads).

        A score cannot see a candidate's siblings: the caller asks this over what it accepted, and keeps the first of
        each.
        """
        ok = np.flatnonzero(usable(batch))
        if ok.size < 2:
            return []
        if self._text is not None:
            near = near_texts(_texts(rows_of(batch, ok)), limit * self._scale)
            return [(int(ok[i]), int(ok[j])) for i, j in near]
        points, mirrored = self._vectors(rows_of(batch, ok))
        siblings = Crowd(points.astype(np.float32), on_sphere=self._on_sphere)
        near = pairs_within(siblings, points, mirrored, limit * self._scale)
        return sorted((int(ok[i]), int(ok[j])) for i, j in near)

    def _vectors(self, batch: Batch) -> tuple[np.ndarray, np.ndarray | None]:
        """[B, D] points of usable rows, and of faces' mirror images. Raises `UserError` for other columns than
        train's."""
        raw, columns = _raw(batch), self._arrays["mean"].size
        if raw.shape[1] != columns:
            what, many = ("channels", _TIMES) if batch.kind == "physio" else ("columns", 1)
            raise UserError(f"copies: {raw.shape[1] // many} {what}, train has {columns // many}")
        mirrored = _placed(_raw(batch, mirror=True), self._arrays) if batch.kind == "face" else None
        return _placed(raw, self._arrays), mirrored

    def _own(self, sources: Sequence[str]) -> list[int]:
        """Rows of train that a candidate was made from."""
        return [self._row_of[name] for name in sources if name in self._row_of]

    def _nearest(self, ranking: Ranking, own: Sequence[int], level: np.ndarray | None) -> float:
        """Distance to the nearest train sample, in typical real distances. The sample's own sources (`own`), and the
        same recordings as they, count `own_times` as far; of signals (`level`: as `Levels` places them) by the larger
        of both distances. Nobody is farther than so counted, so that only who is near is looked at."""
        nearest = np.inf
        if own:
            nearest = self._counted(np.asarray(own), ranking.distances(own), own, level)
            ranking.leave_out(own)
        while (near := ranking.take(nearest * self._scale)) is not None:
            nearest = min(nearest, self._counted(*near, own, level))
        return nearest

    def _counted(self, rows: np.ndarray, distances: np.ndarray, own: Sequence[int], level: np.ndarray | None) -> float:
        """The least of the distances [k] to these rows of train [k], in typical real distances, as they count."""
        ratios = distances / self._scale
        if own:
            twins = self._twins(rows, own)
            if self._levels is not None and level is not None:
                ratios[twins] = np.maximum(ratios[twins], self._levels.ratios(level, rows[twins]))
            ratios[twins] *= self._own_times
        return float(ratios.min())

    def _twins(self, rows: np.ndarray, own: Sequence[int]) -> np.ndarray:
        """[k] bool: rows of train [k] that are among `own`, or so close to one of them that they are the same
        recording, which a corpus may hold twice."""
        points, twins = self._train.rows, np.isin(rows, own)
        for source in points[own].astype(np.float64):
            twins |= self._train.distances(source, rows) < self._scale / self._own_times
        return twins

    def _nearest_text(self, ratios: np.ndarray, own: Sequence[int], twins: np.ndarray | None) -> float:
        """ratios [n_train] of one text. Its own sources, and texts that equal them (`twins` [n_train]), count
        `own_times` as far."""
        if twins is not None:
            ratios, twins = ratios.copy(), twins.copy()
            twins[own] = True  # texts that a corpus holds twice
            ratios[twins] *= self._own_times
        return float(ratios.min())

    def save(self, folder: Path) -> None:
        """Writes gate.safetensors and gate.json."""
        save_state(folder, self._arrays, self._facts)

    @classmethod
    def load(cls, folder: Path) -> Copies:
        """What `save` wrote. Raises `IntegrityError` where the two files do not belong together."""
        return cls(*load_state(folder))


def _raw(batch: Batch, *, mirror: bool = False) -> np.ndarray:
    """[B, D] float64, each row with mean 0 and length 1: what is compared, before the mean of train is taken off.
    Vectors: as they are."""
    if batch.kind == "vector":
        return vectors_of(batch)
    if batch.kind == "face":
        x = faces_at(batch.signals, 48).astype(np.float64)
        x = x[:, :, ::-1] if mirror else x
        x = x.reshape(len(x), _SIDE, 48 // _SIDE, _SIDE, 48 // _SIDE).mean(axis=(2, 4))
    elif batch.kind == "physio":
        trials = [np.asarray(s, np.float64).reshape(len(s), -1) for s in batch.signals]
        if len(widths := sorted({trial.shape[1] for trial in trials})) > 1:
            raise UserError(f"copies: trials of {', '.join(map(str, widths))} channels do not stand in one batch")
        x = np.stack([_drawn_alike(trial) for trial in trials])
        return _on_sphere(x.reshape(len(x), -1))
    else:
        mel = mel_of(batch).reshape(len(batch), MEL_BANDS, MEL_COLUMNS)
        x = np.maximum(mel - mel.max(axis=(1, 2), keepdims=True), -_RANGE_DB)
        x = x.reshape(len(x), MEL_BANDS // 2, 2, MEL_COLUMNS // 2, 2).mean(axis=(2, 4))
    flat = x.reshape(len(x), -1)
    return _on_sphere(flat - flat.mean(axis=1, keepdims=True))


@dataclass(frozen=True)
class Levels:
    """Trials of train with the level and the spread that gain and offset give their channels: what a conversion of
    signals moves, and what the sphere does not see.

    points: [n, _TIMES * C], channels standardised over train and clipped at 10, so that a distance is a root mean
    square. scale: typical distance of a real sample to the nearest of another group.
    """

    points: np.ndarray
    centre: np.ndarray  # [C]
    spread: np.ndarray  # [C]
    scale: float

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Levels:
        """From the state of a gate."""
        points, centre, spread, scale = (arrays[f"levels.{name}"] for name in ("points", "centre", "spread", "scale"))
        return cls(points, centre, spread, float(scale[0]))

    @classmethod
    def learn(cls, batch: Batch, groups: np.ndarray) -> dict[str, np.ndarray]:
        """Usable trials of train and the group [n] of each -> what `of` reads."""
        trials = _levels(batch)
        centre = trials.mean(axis=(0, 1))
        spread = column_scale(trials.std(axis=(0, 1)), centre)
        points = cls(trials, centre, spread, 1.0).place(batch).astype(np.float32)
        nearest = _nearest_of_others(Crowd(points, on_sphere=False), groups, None)
        scale = np.median(nearest[np.isfinite(nearest)], keepdims=True)
        learned = {"points": points, "centre": centre, "spread": spread, "scale": scale}
        return {f"levels.{name}": array for name, array in learned.items()}

    def place(self, batch: Batch) -> np.ndarray:
        """Usable trials -> [B, _TIMES * C] float64."""
        standing = np.clip((_levels(batch) - self.centre) / self.spread, -10.0, 10.0).reshape(len(batch), -1)
        placed: np.ndarray = standing / np.sqrt(standing.shape[1])
        return placed

    def ratios(self, level: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """A placed trial and rows of train -> its distance to each, in typical real distances."""
        away: np.ndarray = np.linalg.norm(self.points[rows] - level, axis=1) / self.scale
        return away


def _levels(batch: Batch) -> np.ndarray:
    """[B, _TIMES, C] float64: means over equal parts of each trial, in units of the signals."""
    trials = [np.asarray(s, np.float64).reshape(len(s), -1) for s in batch.signals]
    return np.stack([_sums(x) * (_TIMES / len(x)) + x.mean(axis=0) for x in trials])


def _sums(x: np.ndarray) -> np.ndarray:
    """[T, C] -> [_TIMES, C]: sums over equal parts of the trial, its mean taken off first."""
    whole = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x - x.mean(axis=0), axis=0)])
    at = np.linspace(0, len(x), _TIMES + 1)
    return np.stack([np.diff(np.interp(at, np.arange(len(whole)), column)) for column in whole.T], axis=1)


def _drawn_alike(x: np.ndarray) -> np.ndarray:
    """[T, C] -> [_TIMES, C]: means over equal parts of the trial, each channel with mean 0 and length 1, or 0."""
    means = _sums(x)
    level = 1e-9 * (np.abs(x).max(axis=0) + np.finfo(np.float64).tiny) * len(x) / _TIMES
    moves = np.abs(means).max(axis=0) > level  # else rounding of a constant channel would be its shape
    centred = np.where(moves, means - means.mean(axis=0), 0.0)
    return _on_sphere(centred.T).T


def _texts(batch: Batch) -> list[str]:
    return [text_of(np.asarray(signal)) or "" for signal in batch.signals]


def _placed(raw: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """[B, D] -> [B, D] points whose distances are compared: standardised by train and clipped at 10 where it has a
    spread (vectors), else on the unit sphere around the mean of train."""
    centred: np.ndarray = raw - arrays["mean"]
    if "spread" not in arrays:
        return _on_sphere(centred)
    centred /= arrays["spread"]
    np.clip(centred, -10.0, 10.0, out=centred)
    return centred


def _on_sphere(x: np.ndarray) -> np.ndarray:
    """[n, d] -> rows of length 1; rows of (nearly) nothing become 0, at distance 1 from everything."""
    return unit_rows(x, least=_NOTHING)


def _points(raw: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """[n, D] -> [n, D] float32: `_placed`, a few rows at a time, for n is all of train."""
    points = np.empty(raw.shape, np.float32)
    for rows in blocks(len(raw), _BLOCK):
        points[rows] = _placed(raw[rows], arrays)
    return points


def _nearest_of_others(crowd: Crowd, groups: np.ndarray, mirrored: np.ndarray | None) -> np.ndarray:
    """[n] float64 distance of each row to the nearest of another group; inf where there is none."""
    order = np.argsort(groups, kind="stable")
    _, of_row, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    members = np.split(order, np.cumsum(sizes)[:-1])
    nearest = np.full(len(crowd), np.inf)
    for i, ranking in rankings(crowd.rows, crowd, mirrored):
        ranking.leave_out(members[of_row[i]])
        if (near := ranking.take()) is not None:
            nearest[i] = near[1].min()
    return nearest
