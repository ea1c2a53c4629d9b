"""Averages of voices are told from voices: the gate `variance` sees what a distance to the nearest does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d
from scipy.signal import resample_poly

from corpora.codecs import decode_wav
from corpora.errors import ParamsError, UserError
from corpora.readers import make_corpus
from corpora.schema import Sample
from features.speech.vocoder import pyworld
from features.speech.world import analyse
from validators.batch import rows_of
from validators.gate import Batch, admit, class_limits, default_limit, gate_class
from validators.gates.variance import GlobalVariance, log_variance
from validators.maths.speech.melcepstrum import mel_cepstrum

MakeBatch = Callable[..., Batch]
CLASSES = ("anger", "happiness", "sadness")


def averaged(signal: np.ndarray, rate_hz: int, ms: float) -> np.ndarray:
    """The utterance with its log envelope as the mean over `ms` milliseconds around each frame; pitch as it was."""
    frames = analyse(signal, rate_hz, hop_s=0.005, f0_method="dio")
    log = uniform_filter1d(np.log(frames.envelope), max(1, round(ms / 5)), axis=0, mode="nearest")
    made = pyworld.synthesize(frames.f0_hz, np.exp(log), frames.aperiodicity, rate_hz, 5.0)
    return (made * (np.abs(signal).max() / np.abs(made).max())).astype(np.float32)


def changed(batch: Batch, ms: float) -> Batch:
    signals = [averaged(s, int(batch.rate_hz or 0), ms) for s in batch.signals]
    return dataclasses.replace(batch, signals=signals, ids=tuple(f"syn/{i}" for i in range(len(batch))), cache={})


def share(gate: GlobalVariance, batch: Batch) -> float:
    """Of the rows that the default limit lets in."""
    limits, _ = class_limits(gate, default_limit(gate), CLASSES)
    passed = [admit(v[None], limits[e], gate.better)[0] for v, e in zip(gate.score(batch), batch.emotions, strict=True)]
    return float(np.mean(passed))


@pytest.fixture(scope="module")
def voices(make: MakeBatch) -> tuple[Batch, Batch]:
    train, strangers = (make("speech", groups=range(a, a + 6), per_cell=n, seed=a) for a, n in ((0, 2), (30, 1)))
    return changed(train, 0.0), changed(strangers, 0.0)  # through the vocoder, as in a run


@pytest.fixture(scope="module")
def gate(voices: tuple[Batch, Batch]) -> GlobalVariance:
    return GlobalVariance.fit(voices[0], classes=CLASSES, params={}, seed=0)


def test_real_people_pass_and_averages_of_them_do_not(gate: GlobalVariance, voices: tuple[Batch, Batch]) -> None:
    assert share(gate, voices[1]) > 0.9
    smooth = changed(voices[1], 400.0)
    assert share(gate, smooth) < 0.1
    assert (gate.score(smooth) < gate.score(voices[1])).all()


def test_what_is_averaged_is_no_farther_from_real_voices(gate: GlobalVariance, voices: tuple[Batch, Batch]) -> None:
    """Why `mcd` alone does not see it."""
    few = rows_of(voices[1], np.arange(0, len(voices[1]), 2))
    mcd = gate_class("mcd").fit(voices[0], classes=CLASSES, known_sha256=frozenset(), params={}, seed=0)
    limits, _ = class_limits(mcd, default_limit(mcd), CLASSES)
    values = mcd.score(changed(few, 400.0))
    assert np.mean([v <= limits[e] for v, e in zip(values, few.emotions, strict=True)]) > 0.7


def test_the_score_is_the_mean_ratio_of_variances(gate: GlobalVariance, voices: tuple[Batch, Batch]) -> None:
    train, made = voices[0], rows_of(voices[1], np.array([0]))
    angry = [mel_cepstrum(s, 16000) for s, e in zip(train.signals, train.emotions, strict=True) if e == "anger"]
    typical = np.median([np.log(c.astype(np.float64).var(axis=0)) for c in angry], axis=0)
    own = np.log(mel_cepstrum(made.signals[0], 16000).astype(np.float64).var(axis=0))
    assert made.emotions[0] == "anger"
    assert gate.score(made)[0] == pytest.approx(np.exp((own - typical).mean()), rel=1e-6)


def test_a_frame_that_is_held_scores_0() -> None:
    assert np.isneginf(log_variance(np.ones((9, 24), np.float32))).all()


def test_a_class_of_one_person_is_undecided_and_turns_nobody_away(voices: tuple[Batch, Batch]) -> None:
    train = voices[0]
    labels, groups = np.asarray(train.emotions), np.asarray(train.groups)
    lonely = GlobalVariance.fit(
        rows_of(train, (labels != "anger") | (groups == groups[0])), classes=CLASSES, params={}, seed=0
    )
    limits, silent = class_limits(lonely, default_limit(lonely), CLASSES)
    assert silent == {"anger": "anger has 1 speaker in train; 2 are needed"}
    assert np.isneginf(limits["anger"]) and np.isnan(lonely.reference()["anger"]).all()


def test_bad_params_and_batches_are_named(voices: tuple[Batch, Batch]) -> None:
    with pytest.raises(ParamsError, match="unknown parameter 'k'"):
        GlobalVariance.fit(voices[0], classes=CLASSES, params={"k": 3}, seed=0)
    with pytest.raises(UserError, match="face"):
        GlobalVariance.fit(dataclasses.replace(voices[0], modality="face"), classes=CLASSES, params={}, seed=0)
    with pytest.raises(UserError, match="no train utterance"):
        GlobalVariance.fit(voices[0], classes=("fear",), params={}, seed=0)


@pytest.mark.slow
def test_real_speakers_of_ravdess_pass_and_averages_do_not(shared_data: Path) -> None:
    """Limits from four actors, the others are strangers. How much averaging is seen: benchmarks/bench_variance.py."""
    rows: list[tuple[str, str, np.ndarray]] = []
    for sample in make_corpus("ravdess").read(shared_data / "ravdess", "r"):
        if isinstance(sample, Sample) and sample.emotion == "anger" and sample.subject_id is not None:
            signal, rate = decode_wav(sample.payload)
            rows.append((sample.subject_id, sample.emotion, resample_poly(signal.mean(axis=1), 16000, int(rate))))
    people = sorted({subject for subject, _, _ in rows})[:6]
    batches = []
    for part in (people[:4], people[4:]):
        own = [r for r in rows if r[0] in part]
        ids = tuple(f"{part[0]}/{i}" for i in range(len(own)))
        who = tuple(r[0] for r in own)
        batches.append(Batch("speech", ids, tuple(r[1] for r in own), [r[2] for r in own], ids, 16000.0, who, who))
    train, strangers = batches
    train, strangers = changed(train, 0.0), changed(strangers, 0.0)
    fitted = GlobalVariance.fit(train, classes=("anger",), params={}, seed=0)
    limits, _ = class_limits(fitted, default_limit(fitted), ("anger",))

    def passed(batch: Batch) -> float:
        scores = zip(fitted.score(batch), batch.emotions, strict=True)
        return float(np.mean([v >= limits[e] for v, e in scores]))

    assert passed(strangers) > 0.9
    assert passed(changed(strangers, 1000.0)) < 0.05
