"""The stages of an edit: the identity to rounding, and what moves moves by what was asked, against known voices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import freqz

from corpora.errors import PayloadError
from features.speech.differential.analysis import analyse
from features.speech.differential.conversion import cepstral_moves, converted
from features.speech.differential.envelope import decoder, filtered
from features.speech.differential.levels import at_level_of, within_full_scale
from features.speech.differential.psola import Placement, placed
from features.speech.differential.statistics import Columns, Statistics, statistics
from features.speech.vocoder import pyworld
from features.speech.world import track_f0

from .voices import RATE, hiss, vowel, word

COLUMNS = Columns(jitter=True, shimmer=True, unvoiced=True)
NOTHING = Statistics.of_vector(np.zeros(len(COLUMNS.names)), COLUMNS)
SEMITONE = np.log(2) / 12


def f0_of(signal: np.ndarray) -> float:
    f0, _ = track_f0(signal, RATE, hop_s=0.005)
    return float(np.median(f0[f0 > 0]))


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
def test_forced_through_both_stages_is_the_source(rate: int) -> None:
    for signal in (vowel(rate=rate), hiss(rate=rate), vowel(133.0, 0.5, rate, glide=0.3, jitter=0.02)):
        analysis = analyse(signal, rate)
        assert np.abs(converted(analysis, NOTHING, forced=True) - signal).max() < 1e-12
        assert converted(analysis, NOTHING) is analysis.signal


def test_forced_identity_of_something_long() -> None:
    signal = np.tile(word(), 45)[: 20 * RATE]
    assert np.abs(converted(analyse(signal, RATE), NOTHING, forced=True) - signal).max() < 1e-12


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_decoder_is_the_vocoders(rate: int) -> None:
    code = np.random.default_rng(0).standard_normal((3, 40))
    n_fft = 2 * (len(decoder(rate)) - 1)
    logs = np.log(pyworld.decode_spectral_envelope(np.vstack([code, np.zeros((1, 40))]), rate, n_fft))
    assert np.allclose(code @ decoder(rate).T, logs[:3] - logs[3], atol=1e-12)


def test_filter_has_the_gain_that_was_asked() -> None:
    change = np.zeros(40)
    change[:3] = 0.5, -0.6, 0.4
    x = np.zeros(RATE)
    x[RATE // 2] = 1.0
    y = filtered(x, np.tile(change, (201, 1)), RATE)
    _, response = freqz(y, worN=decoder(RATE).shape[0], include_nyquist=True)
    wanted = np.exp(0.5 * decoder(RATE) @ change)
    # windows around the impulse cut the far ends of its response
    assert np.abs(np.log(np.abs(response) / wanted)).max() < 0.1


def test_filter_stays_within_22_db() -> None:
    change = np.zeros((201, 40))
    change[:, 0] = 40.0
    assert np.abs(filtered(vowel(seconds=1.0), change, RATE)).max() < 0.4 * np.exp(2.5) + 1e-9


@pytest.mark.parametrize("semitones", [-4.0, -2.0, 2.0, 4.0])
@pytest.mark.parametrize("f0_hz", [110.0, 220.0])
def test_pitch_moves_by_what_was_asked(f0_hz: float, semitones: float) -> None:
    signal = vowel(f0_hz)
    moved = converted(analyse(signal, RATE), replace(NOTHING, log_f0_mean=semitones * SEMITONE))
    assert len(moved) == len(signal)
    cents = 1200 * np.log2(f0_of(moved) / f0_hz)
    assert abs(cents - 100 * semitones) < 10
    assert abs(20 * np.log10(moved.std() / signal.std())) < 0.5


def test_range_of_pitch_grows_by_what_was_asked() -> None:
    analysis = analyse(vowel(150.0, 1.5, glide=0.4), RATE)
    moved = converted(analysis, replace(NOTHING, log_f0_log_sd=0.4))
    before, after = statistics(analysis), statistics(analyse(moved, RATE))
    assert after.log_f0_log_sd - before.log_f0_log_sd == pytest.approx(0.4, abs=0.05)
    assert after.log_f0_mean == pytest.approx(before.log_f0_mean, abs=0.01)


def test_formants_stay_where_pitch_moves() -> None:
    signal = vowel(120.0)
    before = statistics(analyse(signal, RATE)).means
    after = statistics(analyse(converted(analyse(signal, RATE), replace(NOTHING, log_f0_mean=0.2)), RATE)).means
    assert np.abs(after - before)[1:8].max() < 0.15  # the between-speaker spread of c1 is 0.3


def test_formants_move_towards_another_vowels() -> None:
    """The difference of the envelopes of two vowels, applied: the first formant goes where the second vowel has it."""
    signal = vowel(120.0)
    analysis = analyse(signal, RATE)
    shift = np.zeros(40)
    # the envelope at 500 Hz up and at 700 Hz down, as a code: least squares on the decoder
    hz = np.linspace(0, RATE / 2, decoder(RATE).shape[0])
    wanted = 2.0 * np.exp(-(((hz - 480) / 80) ** 2)) - 3.0 * np.exp(-(((hz - 720) / 80) ** 2))
    shift = np.linalg.lstsq(decoder(RATE), wanted, rcond=None)[0]
    moved = converted(analysis, replace(NOTHING, means=shift))

    def first_formant(x: np.ndarray) -> float:
        f0, times = track_f0(x, RATE, hop_s=0.005)
        envelope = pyworld.cheaptrick(np.ascontiguousarray(x), f0, times, RATE)[20:-20].mean(axis=0)
        bins = np.linspace(0, RATE / 2, len(envelope))
        low = (bins > 300) & (bins < 1000)
        return float(bins[low][np.argmax(envelope[low])])

    assert abs(first_formant(signal) - 700) < 60
    assert first_formant(moved) < 570


@pytest.mark.parametrize(("column", "by"), [("c0", 1.0), ("c0", -1.0), ("c1", 0.3), ("c1", -0.3), ("c3", 0.2)])
def test_means_of_the_envelope_arrive(column: str, by: float) -> None:
    # level on a vowel: where there are pauses, which frames count as active moves with the level
    analysis = analyse(vowel() if column == "c0" else word(), RATE)
    index = int(column[1:])
    means = np.zeros(40)
    means[index] = by
    after = statistics(analyse(converted(analysis, replace(NOTHING, means=means)), RATE)).means
    moved = after[index] - statistics(analysis).means[index]
    assert 0.7 < moved / by < 1.35


def test_duration_moves_and_pitch_stays() -> None:
    for by in (0.14, -0.14):
        signal = word()
        moved = converted(analyse(signal, RATE), replace(NOTHING, log_duration=by))
        assert len(moved) == round(len(signal) * np.exp(by))
        assert abs(1200 * np.log2(f0_of(moved) / f0_of(signal))) < 25
        assert abs(20 * np.log10(moved.std() / signal.std())) < 0.7


def test_jitter_and_shimmer_scale_the_sources_own() -> None:
    signal = vowel(140, 1.5, jitter=0.01, shimmer=0.05)
    before = statistics(analyse(signal, RATE))
    for column in ("jitter", "shimmer"):
        changes = [replace(NOTHING, **{column: by}) for by in (-0.6, 0.6)]
        edits = [converted(analyse(signal, RATE), change) for change in changes]
        less, more = (getattr(statistics(analyse(edit, RATE)), column) for edit in edits)
        assert less < getattr(before, column) - 0.1 and more > getattr(before, column) + 0.05, column


def test_unvoiced_part_moves_apart_from_the_voiced_one() -> None:
    analysis = analyse(word(), RATE)
    apart = np.zeros(6)
    apart[1] = -0.6
    change = replace(NOTHING, unvoiced=apart)
    moves = cepstral_moves(analysis, change)
    assert abs(moves[analysis.active, 1].mean()) < 0.05  # the mean of all stays
    before, after = statistics(analysis), statistics(analyse(converted(analysis, change), RATE))
    assert after.unvoiced[1] - before.unvoiced[1] == pytest.approx(-0.6, abs=0.25)
    assert abs(after.means[1] - before.means[1]) < 0.1


def test_what_a_source_does_not_have_does_not_move() -> None:
    analysis = analyse(hiss(), RATE)
    quiet = replace(analysis, f0_hz=np.zeros_like(analysis.f0_hz))
    change = replace(NOTHING, log_f0_mean=0.3, log_f0_log_sd=0.2, unvoiced=np.full(6, 0.5))
    assert converted(quiet, change) is quiet.signal
    assert statistics(quiet).log_f0_mean == pytest.approx(np.log(150))


def test_grains_in_place_are_the_signal_and_steps_are_kept_to_the_fraction() -> None:
    x = np.random.default_rng(0).standard_normal(4000)
    at = np.concatenate([[0.0], np.sort(np.random.default_rng(1).uniform(1, 3998, 60)), [3999.0]])
    still = Placement(np.diff(at), np.ones(len(at)))
    voiced = np.ones(len(at) - 1, dtype=bool)
    assert np.abs(placed(x, at, voiced, still, RATE) - x).max() < 1e-14
    # a smooth signal put 0.3 of a sample later is read between its samples
    t = np.arange(4000)
    smooth = np.sin(0.3 * t)
    later = np.diff(at).copy()
    later[0] += 0.3
    out = placed(smooth, at, voiced, Placement(later, np.ones(len(at))), RATE)
    assert np.abs(out - np.sin(0.3 * (t - 0.3)))[200:-200].max() < 2e-3


def test_level_follows_the_source() -> None:
    signal = vowel()
    assert np.array_equal(at_level_of(signal, signal, RATE), signal)
    assert np.allclose(at_level_of(0.6 * signal, signal, RATE), signal, atol=1e-6)
    assert np.allclose(at_level_of(0.1 * signal, signal, RATE), 0.2 * signal, atol=1e-6)  # a factor of 2 at most


def test_peaks_are_turned_down_where_they_stand() -> None:
    signal = 0.5 * np.sin(0.05 * np.arange(RATE))
    signal[8000:8100] *= 3.0
    limited = within_full_scale(signal, RATE)
    assert np.abs(limited).max() <= 1.0
    far = np.r_[0:7600, 8500:RATE]
    assert np.array_equal(limited[far], signal[far])
    assert within_full_scale(signal / 2, RATE).max() == (signal / 2).max()
    with pytest.raises(PayloadError, match="beyond-full-scale"):
        within_full_scale(signal * 4, RATE)
