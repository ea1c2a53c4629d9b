"""Speech: what is measured on the result is what was asked for."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import pyworld

from corpora.codecs import decode_wav
from corpora.errors import PayloadError
from corpora.schema import Payload
from generators.classical.method import payload_method
from generators.classical.spectrogram import SpecAugmentParams, masked_cells
from generators.classical.speech import global_states
from tests.generators.classical.payloads import RATE_HZ, speech, voice


def applied(name: str, payload: Payload, seed: int = 0, **params: object) -> np.ndarray:
    result = payload_method("speech", name, params).apply(payload, np.random.default_rng(seed))
    return decode_wav(result.data)[0][:, 0].astype(np.float64)


def samples(payload: Payload) -> np.ndarray:
    return decode_wav(payload.data)[0][:, 0].astype(np.float64)


def f0_hz(signal: np.ndarray) -> np.ndarray:
    coarse, times = pyworld.dio(signal, RATE_HZ)
    refined: np.ndarray = pyworld.stonemask(signal, coarse, times, RATE_HZ)
    return refined


def shift_in_semitones(before: np.ndarray, after: np.ndarray) -> float:
    a, b = f0_hz(before), f0_hz(after)
    both = (a > 0) & (b > 0)
    return float(12 * np.median(np.log2(b[both] / a[both])))


@pytest.fixture(scope="module")
def utterances(shared_data: Path) -> list[Payload]:
    paths = sorted((shared_data / "ravdess").glob("Actor_0[1-4]/03-01-0[1-5]-0[12]-01-01-*.wav"))[:6]
    assert paths
    return [Payload(path.read_bytes(), "wav") for path in paths]


@pytest.mark.parametrize("semitones", [-4.0, -1.0, 2.0, 5.0])
def test_pitch_moves_f0_by_the_semitones(semitones: float) -> None:
    payload = speech()
    shifted = applied("pitch", payload, semitones=(semitones, semitones))
    assert len(shifted) == len(samples(payload))
    assert shift_in_semitones(samples(payload), shifted) == pytest.approx(semitones, abs=0.1)


def test_pitch_of_real_voices(utterances: list[Payload]) -> None:
    for payload in utterances:
        before = samples(payload)
        for semitones in (-3.0, 2.0):
            after = applied("pitch", payload, semitones=(semitones, semitones))
            assert shift_in_semitones(before, after) == pytest.approx(semitones, abs=0.15)
            assert 20 * np.log10(after.std() / before.std()) == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("rate", [0.5, 0.8, 1.1, 2.0])
def test_stretch_divides_the_duration_and_leaves_f0(rate: float) -> None:
    payload = speech(voice(1.5))
    method = payload_method("speech", "stretch", {"rate": (rate, rate)})
    results = [method.apply(payload, np.random.default_rng(seed)) for seed in range(4)]
    assert len({result.data for result in results}) == 1  # no random numbers but ours
    stretched = samples(results[0])
    assert len(stretched) == pytest.approx(24000 / rate, abs=1)
    assert results[0].duration_s == len(stretched) / RATE_HZ and results[0].signals[0].shape == (len(stretched), 1)
    a, b = f0_hz(samples(payload)), f0_hz(stretched)
    assert np.median(b[b > 0]) == pytest.approx(np.median(a[a > 0]), rel=0.01)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0, 30.0])
def test_noise_reaches_the_ratio(snr_db: float) -> None:
    payload = speech()
    clean = samples(payload)
    noise = applied("noise", payload, snr_db=(snr_db, snr_db)) - clean
    assert 20 * np.log10(np.sqrt((clean**2).mean()) / noise.std()) == pytest.approx(snr_db, abs=0.5)
    spectrum = np.abs(np.fft.rfft(noise)) ** 2  # white: each quarter of the band has as much
    quarters = [part.mean() for part in np.array_split(spectrum, 4)]
    assert max(quarters) / min(quarters) < 1.2


def test_noise_is_drawn_from_the_range() -> None:
    payload = speech()
    clean = samples(payload)
    ratios = [
        20 * np.log10(clean.std() / (applied("noise", payload, seed, snr_db=(5, 25)) - clean).std())
        for seed in range(60)
    ]
    assert 4.5 < min(ratios) < 8 and 22 < max(ratios) < 25.5


def test_gain_is_a_factor_and_stops_at_full_scale() -> None:
    payload = speech()
    quieter = applied("gain", payload, gain_db=(-6, -6))
    assert quieter == pytest.approx(samples(payload) * 10 ** (-6 / 20), abs=1 / 65536)
    loud = applied("gain", payload, gain_db=(40, 40))
    assert np.abs(loud).max() == pytest.approx(1, abs=1e-4)
    assert np.corrcoef(loud, samples(payload))[0, 1] > 0.99999  # not clipped
    with pytest.raises(PayloadError, match="full-scale"):
        applied("gain", speech(np.sign(voice() + 1e-9)), gain_db=(3, 3))


def test_two_channels_are_to_be_prepared_first(shared_data: Path) -> None:
    stereo = next(
        payload
        for path in sorted((shared_data / "ravdess" / "Actor_01").glob("*.wav"))
        if decode_wav((payload := Payload(path.read_bytes(), "wav")).data)[0].shape[1] == 2
    )
    with pytest.raises(PayloadError, match="not-mono"):
        applied("gain", stereo)


def level_db(signal: np.ndarray, low_hz: float, high_hz: float) -> float:
    spectrum = np.abs(np.fft.rfft(signal)) ** 2
    hz = np.fft.rfftfreq(len(signal), 1 / RATE_HZ)
    return float(10 * np.log10(spectrum[(hz >= low_hz) & (hz < high_hz)].mean()))


def test_masks_have_the_shares_that_were_asked_for() -> None:
    hz = np.fft.rfftfreq(512, 1 / RATE_HZ)
    shares = {"frequency": [], "time": []}  # type: dict[str, list[float]]
    for seed in range(300):
        one = np.random.default_rng(seed)
        bands = masked_cells(hz, 200, SpecAugmentParams(frequency_masks=1, frequency_share=0.3, time_masks=0), one)
        assert (bands == bands[:, :1]).all() and bands.any()
        mel = np.log10(1 + hz / 700)
        shares["frequency"].append(np.ptp(mel[bands[:, 0]]) / mel[-1])
        assert np.count_nonzero(np.diff(bands[:, 0].astype(int))) <= 2  # one band
        frames = masked_cells(hz, 200, SpecAugmentParams(frequency_masks=0, time_masks=1, time_share=0.25), one)
        assert (frames == frames[:1]).all() and frames.any()
        shares["time"].append(frames[0].mean())
    assert max(shares["frequency"]) == pytest.approx(0.3, abs=0.02) and max(shares["time"]) == 0.25
    assert np.mean(shares["frequency"]) == pytest.approx(0.15, abs=0.02)  # widths from 0 to the widest, evenly
    assert np.mean(shares["time"]) == pytest.approx(0.125, abs=0.01)


def test_masked_cells_take_the_mean_level_and_others_stay() -> None:
    rng = np.random.default_rng(0)
    signal = 0.1 * np.convolve(rng.standard_normal(32000), np.ones(8) / 8, "same")  # low frequencies are louder
    params = {"frequency_masks": 0, "time_masks": 1, "time_share": 0.5}
    hop, seed = 128, next(s for s in range(99) if _longest(s, 250) > 60)
    masked = applied("spec_augment", speech(signal), seed, **params)
    inside = masked_cells(np.arange(257.0), 253, SpecAugmentParams(**params), np.random.default_rng(seed))[0]
    frames = np.flatnonzero(inside)
    start, stop = (frames[0] + 3) * hop, (frames[-1] - 4) * hop
    assert np.abs(masked - samples(speech(signal)))[: (frames[0] - 4) * hop].max(initial=0) < 1e-4
    tilt_before = level_db(signal, 100, 800) - level_db(signal, 3200, 3900)
    tilt_inside = level_db(masked[start:stop], 100, 800) - level_db(masked[start:stop], 3200, 3900)
    assert tilt_before > 6 and abs(tilt_inside) < 2  # every cell has one level


def _longest(seed: int, frames: int) -> int:
    params = SpecAugmentParams(frequency_masks=0, time_masks=1, time_share=0.5)
    return int(masked_cells(np.arange(257.0), frames, params, np.random.default_rng(seed))[0].sum())


def test_global_states_come_back_after_an_error() -> None:
    ours, numpys = random.getstate(), np.random.get_state()[1].copy()  # type: ignore[index]
    with pytest.raises(ZeroDivisionError), global_states(np.random.default_rng(0)):
        first = random.random(), np.random.random()
        raise ZeroDivisionError
    assert random.getstate() == ours and (np.random.get_state()[1] == numpys).all()  # type: ignore[index]
    with global_states(np.random.default_rng(0)):
        assert (random.random(), np.random.random()) == first
