"""Our numbers against those of other tools (tests/golden/measures.json, written by make_measures.py beside it)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.physio import heart
from tests.golden.inputs import INPUTS, fingerprint
from validators.maths import labels, mauve, signals
from validators.maths.images import psnr, ssim
from validators.maths.text import words as text
from validators.measures.registry import measure

PATH = Path(__file__).parents[2] / "golden" / "measures.json"
VALUES: list[dict[str, Any]] = json.loads(PATH.read_text(encoding="utf-8"))["values"]


def by_name(name: str) -> Callable[..., float]:
    """A metric of the registry, on two sets."""
    return lambda a, b: measure(name, a, b, floor=False).value


def named(name: str) -> Callable[..., float]:
    return lambda a, b: measure(name, a, b).value


def strings(truth: np.ndarray) -> list[str]:
    return [str(t) for t in truth]


def answered(field: str) -> Callable[..., float]:
    return lambda truth, p: float(getattr(labels.class_scores(strings(truth), strings(p.argmax(axis=1))), field))


def as_pymcd(align: bool) -> Callable[..., float]:
    """Through the door that people use."""
    return lambda a, b: measure("mcd", [(a, 22050)], [(b, 22050)], convention="pymcd", align=align).value


def entropy_in_bits(x: np.ndarray) -> float:
    return float(signals.differential_entropy(x, 128.0, {"alpha": (8.0, 14.0)})[0, 0, 0] / math.log(2))


OURS: dict[str, Callable[..., float]] = {
    **{
        name: by_name(name)
        for name in ("frechet", "kid", "precision", "recall", "density", "coverage", "sliced-wasserstein")
    },
    **{name: named(name) for name in ("vendi", "bleu", "chrf", "self-bleu")},
    "mauve-frontier": mauve.frontier_area,
    "mauve-integral": mauve.frontier_integral,
    "psnr": psnr,
    "ssim-skimage": lambda a, b: ssim(a, b, convention="skimage"),
    "mcd-pymcd-plain": as_pymcd(align=False),
    "mcd-pymcd-dtw": as_pymcd(align=True),
    "uar": answered("uar"),
    "macro-f1": answered("macro_f1"),
    "auc": lambda truth, p: labels.macro_auc(strings(truth), p, list("0123")),
    "ece": lambda truth, p: labels.expected_calibration_error(strings(truth), p, list("0123")),
    "ccc": lambda x, y: labels.ccc(x, y, ddof=1),
    "mean-nn": lambda beats: 60000.0 / heart.of_beats(beats / 250).bpm,
    "sdnn": lambda beats: heart.of_beats(beats / 250).sdnn_ms,
    "rmssd": lambda beats: heart.of_beats(beats / 250).rmssd_ms,
    "autocorrelation": lambda x: float(signals.autocorrelation(x, 128.0, 7 / 128)[0, 0, 6]),
    "differential-entropy": entropy_in_bits,
}


@pytest.mark.parametrize("golden", VALUES, ids=lambda g: f"{g['measure']}-{g['inputs']}-{g['tool']}")
def test_our_number_is_theirs(golden: dict[str, Any]) -> None:
    assert fingerprint(golden["inputs"]) == golden["fingerprint"], "other inputs than those that were measured"
    ours = OURS[golden["measure"]](*INPUTS[golden["inputs"]]())
    allowed = 1e-5 if golden["inputs"] == "features-deficient" else 1e-6
    assert ours == pytest.approx(golden["value"], rel=allowed)


def test_every_value_says_where_it_is_from() -> None:
    assert {golden["measure"] for golden in VALUES} == set(OURS)
    assert all(golden["tool"] and golden["version"] and golden["call"] for golden in VALUES)
    assert len({golden["tool"] for golden in VALUES}) >= 12


def test_self_bleu_is_of_one_set() -> None:
    first, second = INPUTS["texts"]()
    assert measure("self-bleu", first, second).value == text.self_bleu(second)
