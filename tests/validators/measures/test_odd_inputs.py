"""Every measure of the registry with odd inputs: a number, none with a reason, or a typed error. Never a traceback, a
warning of numpy, or NaN that is told as a number."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from corpora.errors import UnknownNameError, UserError
from emoforge.measuring import _plain, _rows
from tests.validators.measures.test_measure import RATE_HZ, example, inputs, options, tone
from validators.measures.options import LIMITS
from validators.measures.registry import METRICS, choices, measure, options_of

NAN, INF = math.nan, math.inf


def features() -> dict[str, tuple[Any, Any]]:
    x, y = (array[:24] for array in example("features"))
    spoilt, huge = y.copy(), y.copy()
    spoilt[3, 1], huge[:] = NAN, y * 1e200
    far = y.copy()
    far[2] = INF
    return {
        "empty": (x[:0], y[:0]),
        "empty real": (x[:0], y),
        "empty synthetic": (x, y[:0]),
        "no columns": (np.zeros((5, 0)), np.zeros((5, 0))),
        "empty 1-d": (np.zeros(0), np.zeros(0)),
        "one row": (x[:1], y[:1]),
        "two rows": (x[:2], y[:2]),
        "one synthetic row": (x, y[:1]),
        "all equal": (np.ones((24, 4)), np.ones((24, 4))),
        "all zero": (np.zeros((24, 4)), np.zeros((24, 4))),
        "equal synthetic rows": (x, np.ones((24, 4))),
        "equal real rows": (np.ones((24, 4)), y),
        "repeats": (np.repeat(x[:3], 8, axis=0), np.repeat(x[:3], 8, axis=0)),
        "nan": (x, spoilt),
        "all nan": (x, np.full_like(y, NAN)),
        "infinity": (far, y),
        "other columns": (x, y[:, :2]),
        "bools": (x > 0, y > 0),
        "ints": ((x * 9).astype(np.int8), (y * 9).astype(np.int64)),
        "float16": (x.astype(np.float16), y.astype(np.float16)),
        "big endian": (x.astype(">f4"), y.astype(">f8")),
        "complex": (x + 1j, y),
        "objects": (x.astype(object), y),
        "objects with none": (np.array([[None, 1.0]] * 9, dtype=object), np.ones((9, 2))),
        "texts": (np.array([["a", "b"]] * 9), y),
        "times": (x.astype("timedelta64[s]"), y),
        "1-d": (x[:, 0], y[:, 0]),
        "3-d": (x[None], y[None]),
        "0-d": (np.float64(1.0), np.float64(2.0)),
        "lists": (x.tolist(), y.tolist()),
        "ragged": ([[1.0, 2.0], [3.0]], y),
        "none": (None, y),
        "text": ("abc", "abc"),
        "huge": (x, huge),
        "tiny": (x * 1e-300, y * 1e-300),
    }


def labels() -> dict[str, tuple[Any, Any]]:
    truth = ["anger", "fear"] * 6
    scores = np.tile([[0.7, 0.3]], (12, 1))
    bad = scores.copy()
    bad[1] = NAN
    answers: dict[str, tuple[Any, Any]] = {
        "empty": ([], []),
        "one row": (truth[:1], truth[:1]),
        "one class": (["fear"] * 6, ["fear"] * 6),
        "lengths": (truth, truth[:3]),
        "ints": (np.arange(12) % 2, np.arange(12) % 2),
        "ints against texts": (np.arange(12) % 2, ["0", "1"] * 6),
        "floats": (np.arange(12.0) % 2, np.arange(12) % 2),
        "halves": (np.full(12, 0.5), np.arange(12) % 2),
        "bools": (np.arange(12) % 2 == 0, np.arange(12) % 2 == 0),
        "nan": (np.array([0.0, NAN]), np.array([0.0, 1.0])),
        "nan as text": (["fear", "nan"], ["fear", "anger"]),
        "none": ([None, "fear"], ["fear", "fear"]),
        "blank": (["fear", " "], ["fear", "fear"]),
        "bytes": (np.array(truth, dtype="S"), truth),
        "no utf8": ([b"\xff"], ["fear"]),
        "objects": (np.array(truth, dtype=object), truth),
        "mixed": (["fear", 1, 2.0], ["fear", "1", "2"]),
        "2-d": (np.array([truth, truth]), truth),
        "column": (np.array(truth)[:, None], truth),
        "one text": ("fear", "fear"),
        "nothing": (None, None),
        "complex": (np.ones(3) * 1j, np.ones(3)),
        "case": (["Fear", "fear"], ["fear", "fear"]),
        "unknown": (["joy", "fear"], ["fear", "fear"]),
    }
    scored: dict[str, tuple[Any, Any]] = {
        "scores": (truth, scores),
        "scores 1-d": (truth, scores[:, 0]),
        "scores 3-d": (truth, scores[None]),
        "scores nan": (truth, bad),
        "scores empty": ([], scores[:0]),
        "scores complex": (truth, scores * 1j),
        "scores objects": (truth, scores.astype(object)),
        "scores bool": (truth, scores > 0.5),
        "scores int": (truth, (scores > 0.5).astype(int)),
        "scores float16": (truth, scores.astype(np.float16)),
        "scores below 0": (truth, scores - [[1, -1]]),
        "scores of one class": (["fear"] * 12, scores),
        "scores of one row": (["fear"], scores[:1]),
        "scores with an unknown truth": (["joy"] * 12, scores),
    }
    return answers | scored


def dimension() -> dict[str, tuple[Any, Any]]:
    x = np.arange(8.0)
    return {
        "empty": (x[:0], x[:0]),
        "one": (x[:1], x[:1]),
        "equal": (np.ones(8), np.ones(8)),
        "constant": (np.ones(8), x),
        "nan": (x * NAN, x),
        "lengths": (x, x[:3]),
        "ints": (np.arange(8), np.arange(8)),
        "bools": (x > 2, x > 3),
        "float16": (x.astype(np.float16), x),
        "complex": (x * 1j, x),
        "objects": (x.astype(object), x),
        "column": (x[:, None], x),
        "matrix": (np.ones((4, 2)), np.ones((4, 2))),
        "3-d": (x[None, None], x),
        "0-d": (1.0, 2.0),
        "none": (None, x),
        "text": ("abc", x),
        "huge": (x * 1e300, x * -1e300),
        "infinity": (x / 0.5, x + INF),
    }


def audio() -> dict[str, tuple[Any, Any]]:
    a, b = tone(120, 0)[:2400], tone(130, 1)[:2400]

    def one(x: Any, rate: Any = RATE_HZ) -> list[Any]:
        return [(x, rate)]

    return {
        "none": ([], []),
        "lengths": (one(a), []),
        "empty": (one(a[:0]), one(a[:0])),
        "one sample": (one(a[:1]), one(b)),
        "silence": (one(a * 0), one(a * 0)),
        "constant": (one(a * 0 + 0.5), one(b)),
        "nan": (one(a * NAN), one(b)),
        "infinity": (one(a + INF), one(b)),
        "rates": (one(a), one(b, 8000)),
        "rate 0": (one(a, 0), one(b, 0)),
        "rate nan": (one(a, NAN), one(b, NAN)),
        "rate as text": (one(a, "16k"), one(b)),
        "half a Hz": (one(a, 99.5), one(b)),
        "odd rate": (one(a, 12345), one(b, 12345)),
        "1 Hz": (one(a, 1), one(b, 1)),
        "ints": (one((a * 99).astype(np.int16)), one(b)),
        "float16": (one(a.astype(np.float16)), one(b)),
        "float64": (one(a.astype(float)), one(b)),
        "complex": (one(a * 1j), one(b)),
        "objects": (one(a.astype(object)), one(b)),
        "2-d": (one(np.stack([a, a])), one(b)),
        "no rate": ([a], [b]),
        "text": ("ab", "ab"),
        "nothing": (None, None),
        "equal": (one(a), one(a)),
        "huge": (one(a * 1e30), one(b)),
    }


def images() -> dict[str, tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 255, (24, 24), dtype=np.uint8) for _ in range(2))
    colour = np.stack([a, b, a], axis=2)
    return {
        "none": ([], []),
        "lengths": ([a], [a, b]),
        "equal": ([a], [a]),
        "one colour": ([a * 0], [b * 0]),
        "sizes": ([a], [b[:20]]),
        "small": ([a[:5, :5]], [b[:5, :5]]),
        "one pixel": ([a[:1, :1]], [b[:1, :1]]),
        "no pixel": ([a[:0]], [b[:0]]),
        "colour and grey": ([colour], [a]),
        "colour": ([colour], [colour[::-1]]),
        "alpha": ([np.dstack([colour, a])] * 2, [np.dstack([colour, a])] * 2),
        "one channel": ([a[..., None]], [b]),
        "floats": ([a / 255], [b / 255]),
        "16 bits": ([a.astype(np.uint16)], [b.astype(np.uint16)]),
        "bools": ([a > 9], [b > 9]),
        "1-d": ([a[0]], [b[0]]),
        "4-d": ([colour[None]], [colour[None]]),
        "stack": (np.stack([a, b]), np.stack([b, a])),
        "objects": ([a.astype(object)], [b]),
        "complex": ([a * 1j], [b]),
        "text": ("ab", "ab"),
        "nothing": (None, [b]),
    }


def text() -> dict[str, tuple[Any, Any]]:
    lines = [
        "the dog ran home",
        "a cat slept all day",
        "the rain fell",
        "and the dog slept",
        "all home",
        "a day of rain",
    ]
    return {
        "none": ([], []),
        "no synthetic": (lines, []),
        "no real": ([], lines),
        "one": (lines[:1], lines[:1]),
        "empty lines": ([""] * 6, [""] * 6),
        "blank": ([" "] * 6, lines),
        "blank synthetic": (lines, ["\t"] * 6),
        "equal": (["yes"] * 6, ["yes"] * 6),
        "signs": (["!?"] * 6, ["..."] * 6),
        "lengths": (lines, lines[:2]),
        "letters": (["a"] * 6, ["b"] * 6),
        "no blanks": (["日本語の文"] * 6, ["日本語の別の文"] * 6),
        "emoji": (["🙂"] * 6, ["🙃 🙂"] * 6),
        "digits": (["1 2"] * 6, ["3"] * 6),
        "odd signs": (["\0", "\ufeff", "\u2028", "\x0c", "\ud800", "x"], lines),
        "bytes": ([b"a"], [b"a"]),
        "one text": ("abc", "abc"),
        "numbers": ([1, 2], [1, 2]),
        "nothing": (None, None),
        "none in it": ([None], ["a"]),
        "array": (np.array(lines), np.array(lines)),
    }


def signals() -> dict[str, tuple[Any, Any]]:
    x, y = (array[:2, :800] for array in example("signals"))
    spoilt, flat = y.copy(), y.copy()
    spoilt[1, 30:90, 0], flat[1, :, 1] = NAN, 1.0
    return {
        "empty": (x[:0], y[:0]),
        "no values": (x[:, :0], y[:, :0]),
        "no channel": (x[..., :0], y[..., :0]),
        "one value": (x[:, :1], y[:, :1]),
        "three values": (x[:, :3], y[:, :3]),
        "one trial": (x[:1], y[:1]),
        "equal": (x, x),
        "constant": (x * 0 + 1, y * 0 + 1),
        "constant synthetic": (x, y * 0),
        "a flat channel": (x, flat),
        "nan": (x, spoilt),
        "all nan": (x, y * NAN),
        "infinity": (x + INF, y),
        "channels": (x, y[..., :1]),
        "lengths": (x, y[:, :-200]),
        "one channel": (x[..., :1], y[..., :1]),
        "1-d": (x[0, :, 0], y[0, :, 0]),
        "2-d": (x[..., 0], y[..., 0]),
        "4-d": (x[None], y[None]),
        "0-d": (1.0, 1.0),
        "ints": ((x * 99).astype(np.int16), (y * 99).astype(int)),
        "bools": (x > 0.1, y > 0.1),
        "float16": (x.astype(np.float16), y.astype(np.float16)),
        "complex": (x * 1j, y),
        "objects": (x.astype(object), y),
        "text": ("ab", "ab"),
        "nothing": (None, y),
        "huge": (x * 1e200, y),
        "tiny": (x * 1e-200, y * 1e-200),
    }


ODD = {
    "features": features(),
    "labels": labels(),
    "dimension": dimension(),
    "audio": audio(),
    "images": images(),
    "text": text(),
    "signals": signals(),
}


def judged(name: str, real: Any, synthetic: Any, given: dict[str, Any]) -> str:
    """What came of it: value, none or error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            found = measure(name, real, synthetic, **given)
        except UserError as error:
            assert str(error)
            return "error"
    told = json.loads(json.dumps(_plain({f: getattr(found, f) for f in found.__slots__}), allow_nan=False))
    shown = [f"{key} {value}" for key, value in _rows(found)]
    numbers = [line.lower().split() for line in shown if not line.startswith("why none")]
    assert not any(word in line for line in numbers for word in ("nan", "inf", "-inf")), shown
    if math.isfinite(found.value):
        assert not found.reason
        assert not (
            found.low > found.value + 1e-9 * abs(found.value) or found.high < found.value - 1e-9 * abs(found.value)
        )
        return "value"
    assert math.isnan(found.value) and found.reason and told["value"] is None
    assert "none" in shown[0] and found.reason in shown[1]
    return "none"


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are not what is tested here, and take nearly all of the time."""
    for place in ("measures.labels.RESAMPLES", "measures.sets.RESAMPLES", "maths.text.words.BOOTSTRAP"):
        monkeypatch.setattr(f"validators.{place}", 12)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_odd_inputs_give_a_number_none_with_a_reason_or_a_typed_error(name: str) -> None:
    given = options(name) | ({"floor": False} if "floor" in options_of(name) else {})
    problems = []
    for case, (real, synthetic) in ODD[METRICS[name].kind].items():
        try:
            judged(name, real, synthetic, given)
        except Exception as error:  # noqa: BLE001  (all cases are told at once)
            problems.append(f"{case}: {type(error).__name__}: {error}"[:300])
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_option_takes_texts_in_any_case_and_refuses_the_rest(name: str) -> None:
    real, synthetic = inputs(name)
    given, allowed = options(name), choices(name)
    for key, values in allowed.items():
        with pytest.raises(UnknownNameError, match=f"Did you mean '{values[0]}'"):
            measure(name, real, synthetic, **given | {key: values[0] + "x"})
    for key, default in options_of(name).items():
        if isinstance(default, bool):
            with pytest.raises(UserError, match=f"option {key} is 'maybe'; true or false"):
                measure(name, real, synthetic, **given | {key: "maybe"})
        elif isinstance(default, int | float):
            assert key in LIMITS, f"{key}: say between which values"
            for bad in ("many", "nan", "inf", None, True, [1], "1,5", *(["1.5"] if isinstance(default, int) else [])):
                with pytest.raises(UserError, match=f"option {key} is .*; a number is needed"):
                    measure(name, real, synthetic, **given | {key: bad})
            for beyond in (LIMITS[key][0] - 1, LIMITS[key][1] * 2 + 1):
                with pytest.raises(UserError, match=f"option {key} is .*; a number from"):
                    measure(name, real, synthetic, **given | {key: beyond})
    for key in options_of(name):
        with pytest.raises(UnknownNameError, match=f"Did you mean '{key}'"):
            measure(name, real, synthetic, **{key + "s_"[len(key) % 2]: 1})


@pytest.mark.parametrize(
    ("name", "key", "text", "same"),
    [
        ("f0-rmse", "unit", "hz", "Hz"),
        ("f0-rmse", "unit", " HZ ", "Hz"),
        ("f0-rmse", "align", "Linear", "linear"),
        ("ssim", "convention", "SKIMAGE", "skimage"),
        ("vendi", "similarity", "RBF", "rbf"),
        ("perplexity", "level", "Byte", "byte"),
        ("coverage", "floor", "No", False),
        ("coverage", "floor", "True", True),
        ("coverage", "k", "3.0", 3),
        ("coverage", "K", "3", 3),
        ("band-power", "bands", "Alpha, BETA", ["alpha", "beta"]),
        ("band-power", "rate-hz", "128", 128.0),
        ("heart-rate", "kind", "ecg", "ECG"),
        ("out-of-range", "kind", "eda", "EDA"),
        ("auc", "classes", '"anger" , fear', ["anger", "fear"]),
    ],
)
def test_options_are_what_they_mean(name: str, key: str, text: str, same: Any) -> None:
    real, synthetic = inputs(name)
    given = {k: v for k, v in options(name).items() if k != key.replace("-", "_")}
    key_meant = key.lower().replace("-", "_")
    first, second = (measure(name, real, synthetic, **given | {k: v}) for k, v in ((key, text), (key_meant, same)))
    assert repr(replace(first, convention="")) == repr(replace(second, convention=""))


@pytest.mark.parametrize("which", ["coverage", "density", "precision", "recall"])
def test_repeats_are_no_ground_for_shares_of_balls(which: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    for repeats in (np.repeat(x[:4], 9, axis=0), np.ones((30, 2)), np.repeat(x[:4], 6, axis=0)):
        found = measure(which, repeats, repeats)  # of equal rows the radius is 0 but for rounding
        assert math.isnan(found.value) and "repeats more than 5 times" in found.reason
        assert found.details["left_out"][which] == len(repeats)
    # rows that do not repeat are measured as if the others were not there
    some = np.concatenate([x, np.repeat(x[:1] + 50, 7, axis=0)])
    value = measure(which, some, some).value
    assert value == pytest.approx(measure(which, x, x).value)
    # a point that is not at the centre of such a ball is outside of it: that is a number
    assert math.isfinite(measure(which, np.repeat(x[:4], 9, axis=0), x + 9).value)
    assert not measure(which, x, x + 0.1).details["left_out"]


def test_a_copy_of_a_row_that_repeats_is_not_called_authentic() -> None:
    rng = np.random.default_rng(0)
    train = np.concatenate([rng.normal(size=(20, 3)), np.ones((2, 3))])
    for name in ("auth-pct", "nndr"):
        found = measure(name, train, np.ones((5, 3)))
        assert math.isnan(found.value) and "equals two train rows" in found.reason
        mixed = measure(
            name, train, np.concatenate([train[:3], np.ones((5, 3))])
        )  # three copies of rows that stand alone
        assert mixed.value == pytest.approx(0, abs=1e-6)
        assert mixed.details["left out: equal to two train rows or more"] == 5


def test_what_repeats_is_told_by_its_bits_and_not_by_rounded_distances() -> None:
    train = np.repeat(1000 * np.random.default_rng(0).normal(size=(12, 64)), 7, axis=0)
    near = train + 1e-7  # squares of these steps vanish in sums of squares of a thousand
    assert measure("coverage", train, near).value == 0 and measure("recall", near, train).value == 0
    assert measure("auth-pct", train, near).value == 1
