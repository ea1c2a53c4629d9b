"""Sides of an audit as validators see them: payloads decoded, brought to one rate, as a Batch."""

from __future__ import annotations

import numpy as np

from corpora.codecs import decode_wav
from corpora.errors import PayloadError, UserError
from corpora.formats.channels import mixed_down
from corpora.labels import folded
from corpora.signals import is_vector
from corpora.splits.sides import Side
from features.speech.prepare import resampled
from flows.stages.augment.batches import Form, Stored, batch_of
from validators.batch import Batch

RATE_HZ = 16_000  # files of a folder may have any rate; features are compared at this one


def side_batch(side: Side) -> Batch:
    """Row i is row i of the side. Emotions: labels, letters' case and blanks aside; "" where there is none.

    Raises `UserError` for signals of files that state no rate.
    """
    columns = {name: side.index[name].to_pylist() for name in ("sample_id", "emotion", "sha256", "signals")}
    emotions = [folded(name) if name else "" for name in columns["emotion"]]
    subjects, groups = side.index["subject_id"].to_pylist(), side.index["group_id"].to_pylist()
    if side.modality == "speech":
        signals, errors = _voices(side)
        return Batch(
            modality="speech",
            ids=tuple(columns["sample_id"]),
            emotions=tuple(emotions),
            signals=signals,
            sha256=tuple(columns["sha256"]),
            rate_hz=float(RATE_HZ),
            subjects=tuple(subjects),
            groups=tuple(groups),
            source_ids=((),) * len(side),
            errors=tuple(errors),
        )
    stored = Stored(
        ids=columns["sample_id"],
        emotions=emotions,
        payloads=[side.payload(i) for i in range(len(side))],
        sha256=columns["sha256"],
        facts=columns["signals"],
        subjects=subjects,
        groups=groups,
    )
    return batch_of(stored, _form(side, columns["signals"]))


def _form(side: Side, signals: list[list[dict[str, object]]]) -> Form:
    if side.modality != "physio":
        return Form(side.modality)
    if all(is_vector(of) for of in signals):
        return Form("physio", layout="vector")
    if not all(of and all(one.get("rate_hz") for one in of) for of in signals):
        raise UserError(f"{side.shown}: npz files state no rate of their signals, so no plain features are computed")
    return Form("physio")


def _voices(side: Side) -> tuple[list[np.ndarray], list[str | None]]:
    signals: list[np.ndarray] = []
    errors: list[str | None] = []
    for i in range(len(side)):
        try:
            channels, rate = decode_wav(side.payload(i))
            signals.append(resampled(mixed_down(channels, np.float32)[0], rate, RATE_HZ).astype(np.float32))
            errors.append(None)
        except PayloadError as error:
            signals.append(np.zeros(0, np.float32))
            errors.append(error.reason)
    return signals, errors
