"""The speech representation: what goes in comes out, to the stated loss, and nothing invalid passes."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from corpora.codecs import decode_wav, encode_wav
from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload
from features.representation import Representation, make_representation
from features.speech.world import WorldRepresentation, analyse, interpolated_log_f0, valid_columns

RATE = 16000


def vowel(f0_hz: float = 140.0, seconds: float = 0.8, rate: int = RATE) -> np.ndarray:
    """A steady /a/: harmonics under three formants."""
    t = np.arange(int(seconds * rate)) / rate
    x = np.zeros_like(t)
    for k in range(1, int(rate / 2 / f0_hz)):
        f = k * f0_hz
        gain = sum(a / (1 + ((f - c) / b) ** 2) for c, b, a in ((700, 90, 1.0), (1200, 110, 0.6), (2600, 170, 0.2)))
        x += (gain + 0.002) * np.cos(2 * np.pi * f * t + k)
    return (0.5 * x / np.abs(x).max()).astype(np.float32)


@pytest.fixture(scope="module")
def world() -> WorldRepresentation:
    return WorldRepresentation()


def slug(error: pytest.ExceptionInfo[PayloadError]) -> str:
    return error.value.reason


def test_spec_has_the_promised_shape(world: WorldRepresentation) -> None:
    assert isinstance(world, Representation)
    assert world.spec.shape == (32, 320) and world.spec.mask_row == 31 and world.spec.rate_hz == 100.0
    assert len(world.spec.rows) == 32 and world.spec.rows[28:] == ("log_f0", "voicing", "aperiodicity_0_db", "mask")
    odd = make_representation("world", {"max_s": 1.51, "coefficients": 24})
    assert odd.spec.shape == (28, 160)
    assert WorldRepresentation(rate_hz=8000).spec.shape[0] == 31  # WORLD codes no aperiodicity band at 8 kHz


def test_encode_fills_valid_columns_and_zeroes_the_rest(world: WorldRepresentation) -> None:
    array = world.encode(Payload(encode_wav(vowel(seconds=0.8), RATE), "wav"))
    assert array.shape == world.spec.shape and array.dtype == np.float32 and np.isfinite(array).all()
    assert (array[-1, :80] == 1).all() and (array[-1, 80:] == -1).all()
    assert not array[:-1, 80:].any()
    assert set(np.unique(array[29, :80])) <= {0.0, 1.0} and array[29, :80].mean() > 0.8


@pytest.mark.parametrize("seconds", [0.3, 0.8, 1.2345, 3.2])
def test_length_survives_to_within_a_column(world: WorldRepresentation, seconds: float) -> None:
    signal = vowel(seconds=seconds)
    back, rate = decode_wav(world.decode(world.encode(Payload(encode_wav(signal, RATE), "wav"))).data)
    assert rate == RATE and 0 <= len(back) - len(signal) < 160


@pytest.mark.parametrize("f0_hz", [100.0, 180.0, 250.0, 400.0])
def test_f0_survives_the_round_trip(world: WorldRepresentation, f0_hz: float) -> None:
    back, _ = decode_wav(world.decode(world.encode_signal(vowel(f0_hz))).data)
    frames = analyse(back[:, 0], RATE, hop_s=0.01, f0_method="dio")
    voiced = frames.f0_hz[10:-10][frames.f0_hz[10:-10] > 0]
    assert len(voiced) > 40
    assert abs(1200 * np.log2(np.median(voiced) / f0_hz)) < 10  # cents


def test_loudness_survives_the_round_trip(world: WorldRepresentation) -> None:
    levels = []
    for gain in (0.1, 1.0):
        back = world.decode_signal(world.encode_signal(gain * vowel()))
        levels.append(20 * np.log10(np.std(back) / np.std(gain * vowel())))
    assert max(map(abs, levels)) < 2.0 and abs(levels[0] - levels[1]) < 0.2  # dB


def test_decode_gives_the_same_bytes_whatever_ran_before(world: WorldRepresentation) -> None:
    array = world.encode_signal(vowel())
    first = world.decode(array)
    world.decode(world.encode_signal(vowel(220.0, 0.5)))
    assert world.decode(array) == first
    assert WorldRepresentation().decode(array.copy()) == first
    assert (world.encode_signal(vowel()) == array).all()


def test_decoded_wav_is_plain_pcm16(world: WorldRepresentation) -> None:
    info = soundfile.info(io.BytesIO(world.decode(world.encode_signal(vowel())).data))
    assert (info.format, info.subtype, info.channels, info.samplerate) == ("WAV", "PCM_16", 1, RATE)


def test_ends_are_faded(world: WorldRepresentation) -> None:
    noise = world.decode_signal(world.encode_signal(0.2 * np.random.default_rng(0).standard_normal(RATE)))
    assert noise.std() > 0.1
    for edge in (noise[:8], noise[-8:]):  # the first half millisecond of 5
        assert np.abs(edge).max() < 0.02


def test_noise_is_unvoiced_and_decodes(world: WorldRepresentation) -> None:
    noise = 0.05 * np.random.default_rng(3).standard_normal(RATE)
    array = world.encode_signal(noise)
    assert array[29, :100].mean() < 0.3
    assert np.isfinite(array).all()
    assert 0.5 < np.std(world.decode_signal(array)) / 0.05 < 2.0


def test_interpolated_log_f0() -> None:
    track = interpolated_log_f0(np.array([0.0, 100.0, 0.0, 400.0, 0.0]))
    assert np.allclose(np.exp(track), [100, 100, 200, 400, 400])
    assert np.allclose(np.exp(interpolated_log_f0(np.zeros(3))), 150.0)


@pytest.mark.parametrize(
    ("mask", "length"),
    [
        ([1, 1, 1, -1, -1], 3),
        ([1, -1, 1, 1, 1, -1, -1, -1], 5),  # one wrong column inside
        ([1, 1, 1, -1, -1, -1, 1, -1], 3),  # one wrong column behind
        ([0.2, 0.1, 0.3, -0.1, -0.4], 3),
        ([-1, -1, -1], 0),
        ([1, 1, 1], 3),
    ],
)
def test_valid_columns(mask: list[float], length: int) -> None:
    assert valid_columns(np.array(mask, dtype=np.float32)) == length


def test_a_noisy_mask_keeps_the_length(world: WorldRepresentation) -> None:
    array = world.encode_signal(vowel(seconds=0.8))
    array[-1] += 0.7 * np.random.default_rng(0).standard_normal(320).astype(np.float32)
    assert abs(len(world.decode_signal(array)) - 80 * 160) <= 3 * 160


def test_values_beyond_physics_are_clipped(world: WorldRepresentation) -> None:
    wild = 50.0 * np.random.default_rng(1).standard_normal(world.spec.shape).astype(np.float32)
    wild[-1] = 1.0
    signal = world.decode_signal(wild)
    assert np.isfinite(signal).all() and np.abs(signal).max() <= 1.0


def test_what_cannot_be_encoded(world: WorldRepresentation) -> None:
    with pytest.raises(PayloadError) as error:
        world.encode_signal(vowel(seconds=3.3))
    assert slug(error) == "too-long"
    with pytest.raises(PayloadError) as error:
        world.encode(Payload(encode_wav(np.zeros(RATE, dtype=np.float32), RATE), "wav"))
    assert slug(error) == "silent"
    with pytest.raises(PayloadError) as error:
        world.encode(Payload(encode_wav(vowel(rate=22050), 22050), "wav"))
    assert slug(error) == "wrong-rate"
    with pytest.raises(PayloadError) as error:
        world.encode_signal(np.zeros(0, dtype=np.float32))
    assert slug(error) == "empty"
    with pytest.raises(PayloadError) as error:
        world.encode_signal(np.full(RATE, np.nan))
    assert slug(error) == "non-finite"
    with pytest.raises(PayloadError) as error:
        world.encode(Payload(b"no wav at all", "wav"))
    assert slug(error) == "not-a-wav"


def test_what_cannot_be_decoded(world: WorldRepresentation) -> None:
    good = world.encode_signal(vowel())
    for change, expected in ((np.nan, "non-finite"), (np.inf, "non-finite")):
        bad = good.copy()
        bad[3, 7] = change
        with pytest.raises(PayloadError) as error:
            world.decode(bad)
        assert slug(error) == expected
    empty = good.copy()
    empty[-1] = -1.0
    with pytest.raises(PayloadError) as error:
        world.decode(empty)
    assert slug(error) == "empty"
    quiet = good.copy()
    quiet[:28] = -100.0
    quiet[1:28] = 0.0
    with pytest.raises(PayloadError) as error:
        world.decode(quiet)
    assert slug(error) == "silent"
    with pytest.raises(PayloadError) as error:
        world.decode(good[0])
    assert slug(error) == "wrong-shape"


@pytest.mark.parametrize(
    "params",
    [{"rate_hz": 4000}, {"hop_s": 0.0101234}, {"coefficients": 2}, {"max_s": 0.0}, {"f0_method": "yin"}],
)
def test_bad_parameters_are_named(params: dict[str, object]) -> None:
    with pytest.raises(ParamsError, match=next(iter(params))):
        WorldRepresentation(**params)  # type: ignore[arg-type]


def test_real_speech_keeps_within_the_clips(shared_data: object) -> None:
    """Physics must not bite on real speech: less than 0.5 % of its coefficients may be clipped."""
    from pathlib import Path

    from features.speech.prepare import PrepareSpeech, SpeechSteps
    from features.speech.world import C0_RANGE, CEPSTRUM_RANGE
    from features.steps import Source

    files = sorted(Path(str(shared_data)).glob("ravdess/Actor_0[1-8]/*.wav"))[::48]
    assert files
    world = WorldRepresentation(max_s=6.0)
    prepare = PrepareSpeech(SpeechSteps.model_validate({"trim": {"below_db": 30}}))
    clipped = total = 0
    for file in files:
        (piece,) = prepare(Source(file.read_bytes(), "wav"))
        array = world.encode(Payload(piece.payload, "wav"))
        valid = array[:28, array[-1] > 0].T
        clipped += int((valid[:, 0] <= C0_RANGE[0]).sum() + (np.abs(valid[:, 1:]) >= CEPSTRUM_RANGE[1]).sum())
        total += valid.size
        assert len(world.decode(array).data) > 0
    assert clipped / total < 0.005
