"""What every representation that edits promises: no change is the source byte for byte, a change goes where it should.

Over the registry, on fake payloads of each modality. A new one that has `edit` needs a case here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from corpora.codecs import decode_image, decode_wav, encode_png, encode_wav
from corpora.errors import PayloadError
from corpora.readers.fakes.face import draw_face, encode_jpg
from corpora.readers.fakes.signal import make_signal
from corpora.readers.fakes.voice import RATE_HZ, make_voice, speak
from corpora.schema import Payload, Signal
from corpora.signals import decode_signals, encode_signals
from features.representation import REPRESENTATIONS, EditingRepresentation, make_representation, representation_class

EMOTIONS = ("neutral", "anger", "happiness", "sadness")
SECONDS = 12
SIGNALS: dict[str, tuple[float, int, str]] = {
    "BVP": (64.0, 1, "nW"),
    "EDA": (4.0, 1, "µS"),
    "EEG": (128.0, 3, "µV"),
    "TEMP": (4.0, 1, "°C"),
}
TOLD = [{"name": n, "unit": u, "rate_hz": r, "columns": None if c == 1 else c} for n, (r, c, u) in SIGNALS.items()]


def face(seed: int) -> Payload:
    rng = np.random.default_rng(seed)
    picture = draw_face(EMOTIONS[seed % 4], person=np.random.default_rng([9, seed]), rng=rng)
    if seed % 2:
        return Payload(encode_jpg(picture), "jpg", (Signal("image", "grey level", None, picture.shape),))
    return Payload(encode_png(picture), "png", (Signal("image", "grey level", None, picture.shape),))


def trial(seed: int) -> Payload:
    arrays = {
        name: make_signal(
            name,
            seconds=SECONDS,
            rate_hz=rate,
            channels=channels,
            emotion=EMOTIONS[seed % 4],
            subject_rng=np.random.default_rng([7, seed]),
            rng=np.random.default_rng(seed),
        )
        for name, (rate, channels, _) in SIGNALS.items()
    }
    arrays["other"] = np.arange(SECONDS, dtype=np.int16)  # what the representation does not know of
    facts = [Signal(n, SIGNALS[n][2], SIGNALS[n][0], arrays[n].shape) for n in SIGNALS]
    return Payload(encode_signals(arrays), "npz", (*facts, Signal("other", "", 1.0, (SECONDS,))), float(SECONDS))


def utterance(seed: int) -> Payload:
    rng = np.random.default_rng(seed)
    wave = speak(make_voice(male=bool(seed % 2), rng=rng), EMOTIONS[seed % 4], 1.0, statement=0, rng=rng)
    audio = Signal("audio", "full scale", float(RATE_HZ), (len(wave), 1))
    return Payload(encode_wav(wave, RATE_HZ), "wav", (audio,), len(wave) / RATE_HZ)


@dataclass(frozen=True)
class Case:
    """payload: seed -> a fake of the modality; params of the representation; step: share of the way to another fake."""

    payload: Callable[[int], Payload]
    params: dict[str, Any] = field(default_factory=dict)
    step: float = 0.2


CASES: dict[str, Case] = {
    "pixels": Case(face),
    "oriented_energy": Case(face),
    "rows": Case(trial, {"rate_hz": 16.0, "seconds": float(SECONDS), "signals": TOLD}),
    "band_power": Case(trial, {"signals": TOLD, "seconds": float(SECONDS)}),
    "world": Case(utterance),
    "differential": Case(
        utterance, {"move_duration": False}, step=0.5
    ),  # of less, fine cepstra of a second of speech are mostly noise
}
EDITING = [name for name in REPRESENTATIONS if hasattr(representation_class(name), "edit")]
SEEDS = range(4)


@pytest.fixture(scope="module", params=EDITING)
def case(request: pytest.FixtureRequest) -> tuple[EditingRepresentation, Case]:
    assert request.param in CASES, f"{request.param} edits: give it a case"
    made = make_representation(request.param, CASES[request.param].params)
    assert isinstance(made, EditingRepresentation) and made.way_back
    return made, CASES[request.param]


Editing = tuple[EditingRepresentation, Case]


def test_every_modality_with_a_way_back_has_one_that_edits() -> None:
    assert {representation_class(name).modality for name in EDITING} >= {"face", "physio"}


def test_no_change_is_the_source_byte_for_byte(case: Editing) -> None:
    representation, made = case
    for seed in SEEDS:
        source = made.payload(seed)
        before = representation.encode(source)
        after = representation.edit(source, before, before.copy())
        assert after.data == source.data and after == source


def test_what_is_no_change_once_rounded_moves_next_to_nothing(case: Editing) -> None:
    """The whole way forced, by a change far below what is heard or seen: no filter or codec has a shift of its own."""
    representation, made = case
    source = made.payload(0)
    before = representation.encode(source)
    after = before.astype(np.float64)
    after[np.unravel_index(0, after.shape)] += 1e-9
    edited = representation.edit(source, before, after)
    if source.codec == "npz":
        new, old = decode_signals(edited.data), decode_signals(source.data)
        for name in old:
            np.testing.assert_allclose(new[name], old[name], rtol=1e-6, atol=1e-6)
    elif source.codec == "wav":
        np.testing.assert_array_equal(decode_wav(edited.data)[0], decode_wav(source.data)[0])
    else:
        np.testing.assert_array_equal(decode_image(edited.data), decode_image(source.data))


def test_a_change_goes_where_it_is_to_go(case: Editing) -> None:
    """Towards the array of another fake: the encoding of the edited payload moved that way, and as far or less."""
    representation, made = case
    for seed in SEEDS:
        source = made.payload(seed)
        before = representation.encode(source)
        wanted = made.step * (representation.encode(made.payload(seed + 1)).astype(np.float64) - before)
        if (mask := representation.spec.mask_row) is not None:  # an edit keeps the source's length
            wanted[mask], wanted[:, before[mask] < 0] = 0.0, 0.0
        edited = representation.edit(source, before, (before + wanted).astype(np.float32))
        reached = representation.encode(edited).astype(np.float64) - before
        cosine = float((reached * wanted).sum() / np.sqrt((reached**2).sum() * (wanted**2).sum()))
        assert cosine > 0.5, f"{representation.spec.name}, source {seed}: cosine {cosine:.2f}"
        assert (edited.signals, edited.duration_s) == (source.signals, source.duration_s)
        assert edited == representation.edit(source, before, (before + wanted).astype(np.float32)), "deterministic"


def test_what_is_no_array_of_its_own_is_refused(case: Editing) -> None:
    representation, made = case
    source = made.payload(0)
    before = representation.encode(source)
    broken = before.copy()
    broken[np.unravel_index(0, broken.shape)] = np.nan
    for bad, reason in ((before[:-1], "wrong-shape"), (broken, "non-finite")):
        for pair in ((before, bad), (bad, before)):
            with pytest.raises(PayloadError) as caught:
                representation.edit(source, *pair)
            assert caught.value.reason == reason
    with pytest.raises(PayloadError):
        representation.edit(Payload(b"", source.codec), before, before + np.float32(0.1))
