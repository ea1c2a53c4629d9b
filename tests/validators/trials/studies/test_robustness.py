"""Each change does what it says, to the strength that it says, and the same for all who ask."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.codecs import decode_image, decode_text, decode_wav, encode_png, encode_text, encode_wav
from corpora.errors import ParamsError, UnknownNameError, UserError
from corpora.schema import Payload
from corpora.signals import decode_signals, encode_signals
from validators.trials.studies.robustness import (
    PERTURBATIONS,
    face_occlusion,
    face_rotation,
    face_scale,
    perturbation,
    perturbed,
    signals_noise,
    signals_off,
    speech_gain,
    speech_noise,
    text_typos,
    text_word_drop,
)

RATE = 16000
VOICE = (0.2 * np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE)).astype(np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def picture(channels: int = 0) -> np.ndarray:
    """A smooth face of sorts: brighter to the right and below."""
    y, x = np.mgrid[:48, :40]
    plane = (40 + 2 * x + 2 * y).astype(np.uint8)
    return plane if not channels else np.stack([plane, plane // 2, 255 - plane], axis=-1)


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_noise_has_the_ratio_that_was_asked(snr_db: float) -> None:
    noise = speech_noise(VOICE, RATE, snr_db, rng()) - VOICE
    assert 10 * np.log10(np.mean(VOICE**2) / np.mean(noise**2)) == pytest.approx(snr_db, abs=0.2)
    assert np.abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.05  # white
    assert not speech_noise(np.zeros(100, np.float32), RATE, snr_db, rng()).any()


def test_gain_is_in_decibels_and_cut_at_full_scale() -> None:
    assert np.allclose(speech_gain(VOICE, RATE, -20.0, rng()), VOICE / 10)
    assert np.abs(speech_gain(VOICE, RATE, 40.0, rng())).max() == 1.0


@pytest.mark.parametrize("channels", [0, 3])
@pytest.mark.parametrize("share", [0.1, 0.4, 1.0])
def test_a_box_covers_its_share(channels: int, share: float) -> None:
    image = np.full((48, 40, channels) if channels else (48, 40), 200, np.uint8)
    image[::2] = 0
    places = set()
    for seed in range(20):
        out = face_occlusion(image, share, rng(seed))
        covered = (out == 100).reshape(48, 40, -1).all(axis=-1)
        assert covered.mean() == pytest.approx(share, abs=0.03)
        assert (out.reshape(48, 40, -1)[~covered] == image.reshape(48, 40, -1)[~covered]).all()
        rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
        assert covered.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)  # one box
        places.add((rows[0], columns[0]))
    assert len(places) > 10 or share == 1.0


def test_a_quarter_turn_is_numpys() -> None:
    square = rng().integers(0, 256, (21, 21)).astype(np.uint8)
    sides = set()
    for seed in range(8):
        out = face_rotation(square, 90.0, rng(seed))
        sides.add("left" if np.array_equal(out, np.rot90(square)) else "right")
        assert np.array_equal(out, np.rot90(square)) or np.array_equal(out, np.rot90(square, -1))
    assert sides == {"left", "right"}


@pytest.mark.parametrize("channels", [0, 3])
def test_turning_and_scaling_keep_shape_centre_and_identity(channels: int) -> None:
    image = picture(channels)
    assert np.array_equal(face_rotation(image, 0.0, rng()), image)
    assert np.array_equal(face_scale(image, 1.0, rng()), image)
    for change, level in ((face_rotation, 15.0), (face_scale, 1.3)):
        out = change(image, level, rng())
        assert out.shape == image.shape and out.dtype == np.uint8
        assert np.abs(out[23:25, 19:21].astype(int) - image[23:25, 19:21]).max() <= 3
        assert not np.array_equal(out, image)


def test_scaling_makes_things_larger_or_smaller() -> None:
    image = np.zeros((41, 41), np.uint8)
    image[15:26, 15:26] = 255
    areas = {round(float((face_scale(image, 1.5, rng(seed)) > 127).sum() / 121), 1) for seed in range(8)}
    assert areas == {round(1.5**2, 1), 0.4} or areas == {2.1, 0.4} or areas == {2.4, 0.4}


def test_the_share_of_typos() -> None:
    text = "the quick brown fox jumps over the lazy dog " * 200
    letters = sum(c.isalpha() for c in text)
    out = text_typos(text, 0.1, rng())
    assert sum(c.isalpha() for c in out) == pytest.approx(letters, rel=0.02)  # as many twice as left out
    assert len(out.split()) >= 0.95 * len(text.split())
    wrong = sum(a != b for a, b in zip(text.split(), out.split(), strict=False)) / len(text.split())
    assert wrong > 0.2  # of words of four letters about a third
    assert text_typos(text, 0.0, rng()) == text
    assert Counter(c for c in out if not c.isalpha()) == Counter(c for c in text if not c.isalpha())


@given(st.text(max_size=40), st.floats(0, 1), st.integers(0, 1000))
def test_any_text_can_be_typed_wrong(text: str, share: float, seed: int) -> None:
    for change in (text_typos, text_word_drop):
        out = change(text, share, rng(seed))
        assert bool(out.strip()) == bool(text.strip())


def test_typos_of_each_kind_happen() -> None:
    text = "abcdefgh"
    exchanged = {text[:i] + text[i + 1] + text[i] + text[i + 2 :] for i in range(7)}
    dropped = {text[:i] + text[i + 1 :] for i in range(8)}
    doubled = {text[: i + 1] + text[i:] for i in range(8)}
    outs = {text_typos(text, 0.1, rng(seed)) for seed in range(2000)}
    assert exchanged | dropped | doubled | {text} <= outs
    assert text_typos("a", 1.0, rng()) == "aa"  # a letter stays


def test_words_are_dropped_whole_and_in_order() -> None:
    words = [f"w{i}" for i in range(2000)]
    out = text_word_drop(" ".join(words), 0.2, rng()).split()
    assert len(out) == pytest.approx(1600, abs=60) and [w for w in words if w in set(out)] == out
    assert len(text_word_drop("a b c", 1.0, rng()).split()) == 1


def test_signals_get_noise_by_their_own_variance() -> None:
    t = np.arange(4000) / 100
    signals = {"eeg": np.stack([np.sin(t), 50 + 9 * np.sin(t)], axis=1), "eda": 2 + 0 * t, "bvp": np.cos(t)}
    out = signals_noise(signals, 10.0, rng())
    assert set(out) == set(signals) and (out["eda"] == 2).all()
    for values, noised in ((signals["eeg"], out["eeg"]), (signals["bvp"], out["bvp"])):
        ratio = 10 * np.log10(values.var(axis=0) / (noised - values).var(axis=0))
        assert np.allclose(ratio, 10.0, atol=0.5)


def test_channels_go_off() -> None:
    signals = {"eeg": rng().normal(size=(200, 7)), "eda": rng().normal(size=200)}
    seen = set()
    for seed in range(30):
        out = signals_off(signals, 0.25, rng(seed))
        flat = [c for c in range(7) if np.ptp(out["eeg"][:, c]) == 0] + [7] * bool(np.ptp(out["eda"]) == 0)
        assert len(flat) == 2
        seen.update(flat)
        on = [c for c in range(7) if c not in flat]
        assert np.array_equal(out["eeg"][:, on], signals["eeg"][:, on].astype(np.float32))
    assert seen == set(range(8))
    assert np.ptp(signals_off(signals, 1.0, rng())["eeg"], axis=0).astype(bool).sum() <= 1  # never all of them
    with pytest.raises(UserError, match="only one"):
        signals_off({"eda": signals["eda"]}, 0.5, rng())


PAYLOADS = {
    "speech": Payload(encode_wav(VOICE, RATE), "wav"),
    "face": Payload(encode_png(picture(3)), "png"),
    "text": Payload(encode_text("I really did not expect this to happen again today"), "txt"),
    "physio": Payload(encode_signals({"eda": rng().normal(size=90), "acc": rng().normal(size=(90, 3))}), "npz"),
}


def decoded(payload: Payload) -> object:
    if payload.codec == "txt":
        return decode_text(payload.data)
    if payload.codec == "npz":
        return decode_signals(payload.data)
    return decode_wav(payload.data)[0] if payload.codec == "wav" else decode_image(payload.data)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_payloads_are_changed_alike_for_all_who_ask(name: str) -> None:
    change = PERTURBATIONS[name]
    payload = PAYLOADS[change.modality]
    assert perturbation(name, change.modality) is change
    assert all(change.low <= level <= change.high for level in change.levels)
    hardest = change.levels[-1]
    out = perturbed(payload, change, hardest, seed=1, sample_id="c/0001")
    assert out == perturbed(payload, change, hardest, seed=1, sample_id="c/0001")
    assert out.data != payload.data and out.codec == payload.codec
    assert type(decoded(out)) is type(decoded(payload))
    others = {perturbed(payload, change, hardest, seed=1, sample_id=f"c/{i}").data for i in range(12)}
    assert len(others) > 1 or name == "gain"
    assert (
        any(perturbed(payload, change, hardest, seed=s, sample_id="c/0001").data != out.data for s in range(2, 9))
        or name == "gain"
    )
    with pytest.raises(ParamsError, match=f"perturbation {name}: level is 1000.0; allowed are"):
        perturbed(payload, change, 1000.0, seed=1, sample_id="c/0001")


def test_a_stronger_noise_is_more_of_the_same() -> None:
    mild, hard = (
        decode_wav(perturbed(PAYLOADS["speech"], PERTURBATIONS["noise"], db, seed=0, sample_id="a").data)[0][:, 0]
        - VOICE
        for db in (30.0, 10.0)
    )
    assert np.corrcoef(mild, hard)[0, 1] > 0.999 and np.std(hard) == pytest.approx(10 * np.std(mild), rel=0.01)


def test_changes_of_another_modality_are_none() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown perturbation of face 'occlusio'.*Did you mean 'occlusion'"):
        perturbation("occlusio", "face")
    with pytest.raises(UnknownNameError, match="unknown perturbation of text 'noise'"):
        perturbation("noise", "text")
