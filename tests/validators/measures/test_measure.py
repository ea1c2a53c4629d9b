"""Every metric of the registry through the one door: on inputs of its kind, from files, and with wrong input."""

from __future__ import annotations

import json
import math
import runpy
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from corpora.codecs import encode_png, encode_wav
from corpora.errors import UnknownNameError, UserError
from emoforge.cli import app
from tests.validators.measures.test_lpips import weight_files
from validators.embeddings.people import fit_identity
from validators.gate import Batch
from validators.measures.inputs import load_pair, pictures_of
from validators.measures.registry import METRICS, Measured, function_of, measure, options_of

RATE_HZ = 16000
SIGNAL_HZ = 128.0
NOTES = runpy.run_path(str(Path(__file__).resolve().parents[3] / "docs" / "make_measures.py"))["SAYS"]
WORDS = Path(__file__).parent / "words.txt"  # of a list for toxicity


def tone(f0: float, seed: int) -> np.ndarray:
    t = np.arange(RATE_HZ // 2) / RATE_HZ
    signal = sum(np.sin(2 * np.pi * f0 * k * t) / k for k in range(1, 12))
    return (0.1 * signal + 0.002 * np.random.default_rng(seed).normal(size=t.size)).astype(np.float32)


def example(kind: str) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    if kind == "features":
        return rng.normal(size=(60, 4)), rng.normal(size=(50, 4)) + 0.5
    if kind == "labels":
        return rng.choice(["anger", "fear"], 40).tolist(), rng.choice(["anger", "fear"], 40).tolist()
    if kind == "dimension":
        return rng.normal(size=30), rng.normal(size=30)
    if kind == "audio":
        return [(tone(120, 0), RATE_HZ)] * 2, [(tone(125, 1), RATE_HZ), (tone(140, 2), RATE_HZ)]
    if kind == "images":
        pictures = rng.integers(0, 255, (2, 24, 24), dtype=np.uint8)
        return list(pictures), [np.clip(p.astype(int) + 9, 0, 255).astype(np.uint8) for p in pictures]
    if kind == "text":
        words = ["the", "dog", "ran", "home", "and", "a", "cat", "slept", "all", "day", "while", "rain", "fell"]
        lines = [" ".join(rng.permutation(words)[: rng.integers(5, 12)]) for _ in range(40)]
        return lines[:20], [*lines[20:39], lines[3]]
    if kind == "signals":
        return beats(70, 0), beats(85, 1)
    raise AssertionError(f"no example of {kind}")


def beats(bpm: float, seed: int) -> np.ndarray:
    """[6, T, 2]: pulses of an ECG's width about once a beat, in noise that both channels share in part."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(12 * SIGNAL_HZ)) / SIGNAL_HZ
    trials = []
    for _ in range(6):
        times = np.cumsum(60 / bpm * rng.normal(1, 0.03, 30))
        pulse = np.exp(-(((t[:, None] - times) / 0.02) ** 2)).sum(axis=1)
        shared = rng.normal(size=t.size)
        trials.append(np.stack([pulse + 0.02 * (rng.normal(size=t.size) + shared), 0.3 * pulse + 0.1 * shared], axis=1))
    return np.array(trials)


@pytest.fixture(params=sorted(METRICS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@cache
def people(modality: str) -> str:
    """Folder of an identity embedding of three people with two samples each."""
    rng = np.random.default_rng(5)
    speech = modality == "speech"
    signals = [
        tone(90 + 40 * (i // 2), i) if speech else rng.integers(0, 99 + 50 * (i // 2), (24, 24), dtype=np.uint8)
        for i in range(6)
    ]
    ids, who = tuple("abcdef"), tuple("xxyyzz")
    made = fit_identity(Batch(modality, ids, ids, signals, ids, float(RATE_HZ) if speech else None, who))
    folder = Path(tempfile.mkdtemp())
    made.save(folder)
    return str(folder)


def options(name: str) -> dict[str, Any]:
    if name in ("dcr", "mia-auc"):
        return {"holdout": np.random.default_rng(1).normal(size=(40, 4))}
    if name == "lpips":
        return dict(zip(("weights", "linear"), weight_files("vgg"), strict=True))
    if name in ("speaker-similarity", "identity-similarity"):
        return {"embedding": people("speech" if name.startswith("speaker") else "face")}
    if name == "toxicity":
        return {"words": str(WORDS)}
    if METRICS[name].kind == "signals":
        return {"rate_hz": SIGNAL_HZ} | ({"kind": "EDA"} if name == "out-of-range" else {})
    return {"classes": "anger,fear"} if name in ("auc", "ece") else {}


def inputs(name: str) -> tuple[Any, Any]:
    real, synthetic = example(METRICS[name].kind)
    if name in ("auc", "ece"):
        synthetic = np.random.default_rng(2).dirichlet(np.ones(2), len(real))
    if name == "cosine":
        real = real[: len(synthetic)]
    return real, synthetic


def test_every_metric_gives_a_number_with_all_that_belongs_to_it(name: str) -> None:
    found = measure(name, *inputs(name), **options(name))
    assert isinstance(found, Measured) and found.metric == name
    assert math.isfinite(found.value) and not found.reason
    assert found.unit and found.convention and found.n_real and found.n_synthetic
    assert not found.low > found.value and not found.high < found.value
    assert METRICS[name].about and function_of(name)
    assert found.unit == NOTES[name].unit, "docs/make_measures.py says another unit"


def test_the_same_twice(name: str) -> None:
    first, second = (measure(name, *inputs(name), **options(name)) for _ in range(2))
    assert repr(first) == repr(second)


def test_real_against_itself_is_best(name: str) -> None:
    alone = ("self-bleu", "distinct-n", "toxicity", "ngram-containment", "out-of-range")  # of the synthetic set
    if name in ("auc", "ece", "psnr", "dcr", "mia-auc", "auth-pct", "nndr", "vendi", "c2st", "density", *alone):
        pytest.skip("not a comparison of a thing with itself, or unbounded there")
    real, synthetic = inputs(name)
    given = options(name)
    same, other = measure(name, real, real, **given).value, measure(name, real, synthetic, **given).value
    assert same <= other + 1e-9 if METRICS[name].better == "lower" else same >= other - 1e-9


def test_unknown_names_list_the_known(name: str) -> None:
    with pytest.raises(UnknownNameError, match="option of"):
        measure(name, None, None, colour="red")
    with pytest.raises(UnknownNameError, match="Did you mean 'frechet'"):
        measure("frechett", None, None)


def test_nan_is_no_number_and_says_why() -> None:
    real, synthetic = example("features")
    synthetic[3, 1] = np.nan
    for name in ("frechet", "kid", "coverage", "sliced-wasserstein", "auth-pct"):
        found = measure(name, real, synthetic)
        assert math.isnan(found.value) and "1 of 50 synthetic rows hold NaN" in found.reason
    found = measure("frechet", real[:1], real)
    assert math.isnan(found.value) and "too few" in found.reason


def run(*arguments: object) -> Any:
    done = CliRunner().invoke(app, ["measure", *map(str, arguments)])
    return done


def test_files_on_the_command_line(tmp_path: Path) -> None:
    real, synthetic = example("features")
    np.save(tmp_path / "r.npy", real)
    np.save(tmp_path / "s.npy", synthetic)
    np.save(tmp_path / "h.npy", real[:30] + 1)
    told = json.loads(run("kid", tmp_path / "r.npy", tmp_path / "s.npy", "--json").stdout)
    assert told["value"] == pytest.approx(measure("kid", real, synthetic).value)
    assert told["unit"] and told["convention"] and told["n_real"] == 60
    shown = run("mia-auc", tmp_path / "r.npy", tmp_path / "s.npy", "-o", f"holdout={tmp_path / 'h.npy'}", "-o", "k=2")
    assert "95 % interval" in shown.stdout
    (tmp_path / "t.txt").write_text("anger\nfear\nanger\n", encoding="utf-8")
    told = json.loads(run("uar", tmp_path / "t.txt", tmp_path / "t.txt", "--json").stdout)
    assert told["value"] == 1
    assert "frechet" in run().stdout and json.loads(run("--json").stdout)[0]["name"] == "frechet"


def test_folders_pair_by_name(tmp_path: Path) -> None:
    for side, f0 in (("a", 120), ("b", 130)):
        (tmp_path / side / "deep").mkdir(parents=True)
        (tmp_path / side / "deep" / "one.wav").write_bytes(encode_wav(tone(f0, 0), RATE_HZ))
        (tmp_path / side / "two.wav").write_bytes(encode_wav(tone(f0, 1), RATE_HZ))
        (tmp_path / side / "p.png").write_bytes(encode_png(np.full((16, 16), f0, np.uint8)))
    told = json.loads(run("f0-rmse", tmp_path / "a", tmp_path / "b", "-o", "unit=Hz", "--json").stdout)
    assert told["value"] == pytest.approx(10, abs=1) and told["details"]["pairs"] == 2
    told = json.loads(run("psnr", tmp_path / "a" / "p.png", tmp_path / "b" / "p.png", "--json").stdout)
    assert told["value"] == pytest.approx(10 * math.log10(255**2 / 100))
    (tmp_path / "b" / "two.wav").rename(tmp_path / "b" / "three.wav")
    with pytest.raises(UserError, match="no partner of the same name: three, two"):
        load_pair("audio", tmp_path / "a", tmp_path / "b")


def test_shapes_of_pictures() -> None:
    for shape, n, one in (
        ((8, 9), 1, (8, 9)),
        ((3, 8, 9), 1, (8, 9, 3)),
        ((1, 8, 9), 1, (8, 9)),
        ((5, 3, 8, 9), 5, (8, 9, 3)),
    ):
        found = pictures_of(np.zeros(shape, np.uint8), Path("x.npy"))
        assert len(found) == n and found[0].shape == one
    for bad in (np.zeros((5, 4, 8, 9), np.uint8), np.zeros((8, 9))):
        with pytest.raises(UserError, match="pictures"):
            pictures_of(bad, Path("x.npy"))


@pytest.mark.parametrize(
    ("metric", "files", "match"),
    [
        ("kid", ("gone.npy", "gone.npy"), "does not exist"),
        ("kid", ("t.txt", "t.txt"), "read from .npy"),
        ("kid", ("bad.npy", "bad.npy"), "no .npy array"),
        ("kid", ("o.npy", "o.npy"), "no .npy array"),
        ("ccc", ("t.txt", "t.txt"), "is no number"),
        ("dcr", ("n.npy", "n.npy"), "holdout"),
        ("mcd", ("t.txt", "t.txt"), "cannot be read"),
        ("auc", ("t.txt", "n.npy"), "name the columns"),
    ],
)
def test_bad_input_is_an_error_that_names_it(tmp_path: Path, metric: str, files: tuple[str, str], match: str) -> None:
    (tmp_path / "t.txt").write_text("anger\nfear\n", encoding="utf-8")
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY\x01\x00garbage")
    np.save(tmp_path / "o.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "n.npy", np.ones((4, 2)))
    with pytest.raises(UserError, match=match):
        measure(metric, *load_pair(METRICS[metric].kind, tmp_path / files[0], tmp_path / files[1]))


@pytest.mark.parametrize(("option", "match"), [("k", "name=value"), ("k=many", "a number"), ("floor=maybe", "true or")])
def test_bad_options_are_errors(tmp_path: Path, option: str, match: str) -> None:
    np.save(tmp_path / "n.npy", np.ones((9, 2)))
    done = run("coverage", tmp_path / "n.npy", tmp_path / "n.npy", "-o", option)
    assert isinstance(done.exception, UserError) and match in str(done.exception)
    assert options_of("coverage")["k"] == 5
