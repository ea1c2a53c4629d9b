"""Physiology: spectra, values, channels and levels that stay, and the ones that change."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.errors import PayloadError
from corpora.schema import Payload
from corpora.signals import decode_signals
from generators.classical.method import payload_method
from tests.generators.classical.payloads import feature_row, physio


def applied(name: str, payload: Payload, seed: int = 0, **params: object) -> dict[str, np.ndarray]:
    result = payload_method("physio", name, params).apply(payload, np.random.default_rng(seed))
    return {key: array.astype(np.float64) for key, array in decode_signals(result.data).items()}


REAL = {key: array.astype(np.float64) for key, array in decode_signals(physio().data).items()}
TRIAL = ("ACC", "BVP", "EDA")


def power(array: np.ndarray) -> np.ndarray:
    spectrum: np.ndarray = np.abs(np.fft.rfft(array, axis=0))
    return spectrum


@pytest.mark.parametrize("strength", [0.3, 1.0])
@pytest.mark.parametrize("payload", [physio(), physio(BVP=np.random.default_rng(1).standard_normal(641))])
def test_surrogates_keep_the_power_spectrum_and_cross_spectra(strength: float, payload: Payload) -> None:
    real = decode_signals(payload.data)
    result = applied("surrogate", payload, strength=strength)
    for name in TRIAL:
        before, after = real[name].astype(np.float64), result[name]
        assert power(after) == pytest.approx(power(before), abs=1e-5 * float(power(before).max()))
        assert after.mean(axis=0) == pytest.approx(before.mean(axis=0), rel=1e-5, abs=1e-6)
    cross = [np.fft.rfft(a[:, 0]) * np.fft.rfft(a[:, 1]).conj() for a in (REAL["ACC"], result["ACC"])]
    assert cross[1] == pytest.approx(cross[0], abs=1e-5 * float(np.abs(cross[0]).max()))
    kept = np.corrcoef(real["BVP"], result["BVP"])[0, 1]
    assert abs(kept) < 0.8 if strength == 1 else kept > 0.7


def test_amplitude_adjusted_surrogates_keep_the_values() -> None:
    """A series that is far from Gaussian: all values stay, and the spectrum nearly."""
    spikes = np.exp(np.convolve(np.random.default_rng(0).standard_normal(1000), np.ones(9) / 3, "valid"))[:640]
    payload = physio(BVP=spikes)
    result = applied("surrogate", payload, kind="aaft")
    real = decode_signals(payload.data)
    for name in TRIAL:
        assert np.array_equal(np.sort(result[name], axis=0), np.sort(real[name].astype(np.float64), axis=0))
    assert not np.array_equal(result["BVP"], real["BVP"])

    def neighbours(series: np.ndarray) -> float:
        return float(np.corrcoef(series[1:], series[:-1])[0, 1])

    assert neighbours(result["BVP"]) == pytest.approx(neighbours(real["BVP"]), abs=0.15)
    plain = applied("surrogate", payload)["BVP"]
    assert plain.min() < 0 < spikes.min()  # which the plain one does not keep


def test_one_band_is_attenuated_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(640)
    noise += np.linspace(noise[-1] - noise[0], 0, 640)  # both ends alike: no line to take off
    payload = physio(BVP=noise, EDA=None, ACC=None)
    before = decode_signals(payload.data)["BVP"].astype(np.float64)
    lowest = []
    for seed in range(40):
        after = applied("band_mask", payload, seed, octaves=1, attenuation_db=20)["BVP"]
        ratio = power(after)[1:] / power(before)[1:]
        band = np.flatnonzero(ratio < 0.5) + 1
        assert np.array_equal(band, np.arange(band[0], band[-1] + 1)) and (band[-1] + 1) / band[0] <= 2.5
        assert ratio[band - 1] == pytest.approx(0.1, abs=0.03)
        assert np.delete(ratio, band - 1) == pytest.approx(1, abs=0.03)
        assert after.mean() == pytest.approx(before.mean(), abs=1e-6)
        lowest.append(band[0])
    assert min(lowest) < 5 and max(lowest) > 80


def test_a_drift_is_no_band() -> None:
    """A straight line has one value a step and no wave: masking leaves it as it is, to 1 % of its rise."""
    line = np.linspace(0, 10, 640)
    payload = physio(BVP=line + 1e-3 * np.random.default_rng(0).standard_normal(640), EDA=None, ACC=None)
    for seed in range(5):
        assert np.abs(applied("band_mask", payload, seed)["BVP"] - line).max() < 0.1


@pytest.mark.parametrize(("share", "n"), [(0.01, 1), (0.4, 2), (0.6, 3), (1.0, 4)])
def test_masked_channels_stay_at_their_mean(share: float, n: int) -> None:
    seen = set()
    for seed in range(30):
        result = applied("channel_mask", physio(), seed, share=share)
        flat = []
        for name in TRIAL:
            before, after = REAL[name].reshape(len(REAL[name]), -1), result[name].reshape(len(REAL[name]), -1)
            for i in range(before.shape[1]):
                if np.ptp(after[:, i]) == 0:
                    flat.append((name, i))
                    assert after[0, i] == pytest.approx(before[:, i].mean(), rel=1e-6, abs=1e-6)
                else:
                    assert np.array_equal(after[:, i], before[:, i])
        assert len(flat) == n
        seen.update(flat)
    assert len(seen) == 5


def test_jitter_is_in_units_of_each_channel() -> None:
    result = applied("sensor_noise", physio(), sd=0.5)
    for name in TRIAL:
        noise = (result[name] - REAL[name]).std(axis=0)
        assert noise == pytest.approx(0.5 * REAL[name].std(axis=0), rel=0.4 if name == "EDA" else 0.12)


def test_scale_moves_the_course_about_its_level() -> None:
    result = applied("scale", physio(), factor=(1.2, 1.2))
    for name in TRIAL:
        assert result[name].mean(axis=0) == pytest.approx(REAL[name].mean(axis=0), rel=1e-5, abs=1e-6)
        assert result[name].std(axis=0) == pytest.approx(1.2 * REAL[name].std(axis=0), rel=1e-4)
    spread = [applied("scale", physio(), seed)["BVP"].std() / REAL["BVP"].std() for seed in range(100)]
    assert 0.79 < min(spread) < 0.85 and 1.18 < max(spread) < 1.26


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (feature_row(), "feature-row"),
        (Payload(feature_row().data, "npz"), "feature-row"),
        (Payload(physio().data, "npz"), "no-rate"),
        (physio(BVP=np.full(50, 0.1), EDA=None, ACC=None), "flat"),
        (physio(BVP=np.ones(1), EDA=None, ACC=None), "too-short"),
    ],
)
def test_what_is_no_course_is_refused_with_the_reason(payload: Payload, reason: str) -> None:
    for name in ("channel_mask", "band_mask", "surrogate", "sensor_noise", "scale"):
        with pytest.raises(PayloadError) as caught:
            applied(name, payload)
        assert caught.value.reason == reason
