"""Edited payloads that are released: what a generator of them promises, over every modality and method."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.codecs import decode_image, decode_text, decode_wav
from corpora.errors import IntegrityError, ParamsError, PayloadError, UserError
from corpora.schema import Payload
from corpora.signals import decode_signals
from features.payloads import KINDS
from features.representation import Spec
from generators.classical.augmentation import Augmentation
from generators.classical.method import PAYLOAD_METHODS
from generators.generator import Condition, Device, Draw, Generator, PayloadEditor, TrainData, source_class
from tests.generators.classical.payloads import HOSTILE, TRAIN, TRAIN_TEXTS, USUAL, text
from training.checkpoint import content_hash

CPU = Device()
CLASSES = ("calm", "stress")
SPECS: dict[str, Spec] = {kind.modality: kind.spec for kind in KINDS}
METHODS = [(modality, name) for modality, own in PAYLOAD_METHODS.items() for name in own]


def data_of(modality: str, payloads: Sequence[Payload], emotions: Sequence[str]) -> TrainData:
    ids = tuple(f"toy/{i}" for i in range(len(payloads)))
    by_id = dict(zip(ids, payloads, strict=True))

    def read(wanted: Sequence[str]) -> Iterator[tuple[str, Payload]]:
        return ((i, by_id[i]) for i in reversed(wanted))  # in any order

    n = len(ids)
    arrays, nobody, held = np.zeros((n, 1), np.float32), (None,) * n, np.zeros(n, bool)
    return TrainData(SPECS[modality], CLASSES, arrays, tuple(emotions), ids, ids, nobody, held, payloads=read)


def usual(modality: str) -> TrainData:
    payloads = [*TRAIN[modality], USUAL[modality], *TRAIN[modality], USUAL[modality]]
    half = len(payloads) // 2
    return data_of(modality, payloads, ["calm"] * half + ["stress"] * half)


def fitted(data: TrainData, *methods: dict[str, Any], **more: Any) -> Augmentation:
    model = Augmentation(data.spec, data.classes, methods=list(methods), **more)
    list(model.fit(data, steps=0, seed=1, device=CPU))
    return model


def draws_of(data: TrainData, n: int, seed: int = 100) -> tuple[list[Draw], list[Payload]]:
    """n draws of the last class, from its last sample."""
    assert data.payloads is not None
    ((_, payload),) = data.payloads(data.ids[-1:])
    return [Draw(Condition(CLASSES[1]), seed + i, {"from": data.ids[-1]}) for i in range(n)], [payload] * n


@pytest.mark.parametrize(("modality", "name"), METHODS)
def test_an_edit_depends_on_its_draw_and_source_alone(modality: str, name: str, tmp_path: Path) -> None:
    data = usual(modality)
    model = fitted(data, {"method": name})
    assert isinstance(model, Generator) and isinstance(model, PayloadEditor)
    assert source_class(model, {}) == "same"
    draws, sources = draws_of(data, 3)
    edited = model.edit_payloads(draws, sources)
    assert model.edit_payloads(draws[::-1], sources)[::-1] == edited
    assert model.edit_payloads(draws[1:2], sources[:1]) == edited[1:2]
    for payload in edited:
        assert isinstance(payload, Payload), payload
        assert payload.codec == sources[0].codec and payload.data != sources[0].data
    if model._fitted["calm"][0].varies:
        assert len({p.data for p in edited if isinstance(p, Payload)}) > 1
    model.save(tmp_path / "a")
    loaded = Augmentation.load(tmp_path / "a", device=CPU)
    assert loaded.edit_payloads(draws, sources) == edited
    loaded.save(tmp_path / "b")
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b")


@pytest.mark.parametrize("modality", list(PAYLOAD_METHODS))
def test_a_payload_that_cannot_be_edited_is_told_and_stops_no_other(modality: str) -> None:
    first = "eda" if modality == "text" else next(n for n in PAYLOAD_METHODS[modality] if n != "flip")
    params = {"operations": ["swap", "delete"]} if modality == "text" else {}
    model = fitted(usual(modality), {"method": first, "params": params})
    sources = [HOSTILE[modality]["empty"], USUAL[modality]]
    draws, _ = draws_of(usual(modality), 2)
    bad, good = model.edit_payloads(draws, sources)
    assert isinstance(bad, PayloadError) and bad.reason and isinstance(good, Payload)


def test_chains_and_chances() -> None:
    data = usual("face")
    flip, bright = {"method": "flip"}, {"method": "brightness", "params": {"factor": [0.5, 0.5]}}
    draws, sources = draws_of(data, 400)
    pixels = decode_image(sources[0].data)
    half = np.clip(np.rint(pixels * 0.5), 0, 255).astype(np.uint8)
    kinds = {pixels[:, ::-1].tobytes(): "flip", half.tobytes(): "bright", half[:, ::-1].tobytes(): "both"}

    def counted(model: Augmentation) -> dict[str, int]:
        edited = [p for p in model.edit_payloads(draws, sources) if isinstance(p, Payload)]
        seen = [kinds[decode_image(p.data).tobytes()] for p in edited]
        return {kind: seen.count(kind) for kind in ("flip", "bright", "both")}

    assert counted(fitted(data, flip, bright)) == {"flip": 0, "bright": 0, "both": 400}
    # of 400: 0.25 * 0.75 flips alone and as many bright; where chance lets in none (0.5625), one of the two
    some = counted(fitted(data, flip | {"probability": 0.25}, bright | {"probability": 0.25}))
    assert sum(some.values()) == 400 and 10 <= some["both"] <= 45 and 150 <= some["flip"] <= 225
    one = counted(fitted(data, flip | {"probability": 0.75}, bright | {"probability": 0.25}, apply="one"))
    assert one["both"] == 0 and 260 <= one["flip"] <= 340


def test_words_of_a_class_come_from_texts_of_that_class() -> None:
    calm, stress = ["so calm today because rain"] * 3, ["so tense today because rain"] * 3
    calm += ["so quiet today because rain"] * 3
    stress += ["so scared today because rain"] * 3
    data = data_of("text", [text(line) for line in (*calm, *stress)], ["calm"] * 6 + ["stress"] * 6)
    model = fitted(data, {"method": "substitute", "params": {"share": 0.2}})
    draws = [Draw(Condition("stress"), seed, {"from": "toy/6"}) for seed in range(20)]
    lines = {decode_text(p.data) for p in model.edit_payloads(draws, [text(stress[0])] * 20) if isinstance(p, Payload)}
    assert lines == {"so scared today because rain"}
    bare = dataclasses.replace(data, payloads=None)
    with pytest.raises(UserError, match="its methods learn from payloads"):
        fitted(bare, {"method": "eda"})


def test_held_out_texts_are_not_counted() -> None:
    lines = [*TRAIN_TEXTS, *TRAIN_TEXTS]
    data = data_of("text", [text(line) for line in lines], ["calm"] * 6 + ["stress"] * 6)
    held = np.array([i % 6 == 5 for i in range(12)])
    changed = data_of(
        "text", [text("quite another line" if h else t) for t, h in zip(lines, held, strict=True)], data.emotions
    )
    a, b = (fitted(dataclasses.replace(d, held_out=held), {"method": "eda"}) for d in (data, changed))
    draws = [Draw(Condition("stress"), seed, {"from": "toy/6"}) for seed in range(10)]
    sources = [text(TRAIN_TEXTS[0])] * 10
    assert a.edit_payloads(draws, sources) == b.edit_payloads(draws, sources)


def test_what_cannot_be_is_refused() -> None:
    data = usual("speech")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"methods": []}, "methods"),
        ({"methods": [{"method": "noize"}]}, "Did you mean 'noise'"),
        ({"methods": [{"method": "noise", "params": {"snr": 3}}]}, "snr_db"),
        ({"methods": [{"method": "noise", "probability": 0}]}, "probability"),
        ({"methods": [{"method": "flip"}]}, "changes face, and audio are speech. Methods of speech: noise, pitch"),
    ]
    for params, says in wrong:
        with pytest.raises(ParamsError, match=says):
            Augmentation(SPECS["speech"], CLASSES, **params)
    with pytest.raises(ParamsError, match="models layouts payload; representation v has layout vector"):
        Augmentation(Spec("v", (3,), layout="vector"), CLASSES, methods=[{"method": "noise"}])
    model = fitted(data, {"method": "gain"})
    draws, sources = draws_of(data, 1)
    with pytest.raises(UserError, match="call edit_payloads"):
        model.sample(draws, np.zeros((1, 1)), device=CPU)
    for draw, says in [
        (dataclasses.replace(draws[0], condition=Condition({"calm": 0.5, "stress": 0.5})), "mixtures"),
        (dataclasses.replace(draws[0], condition=Condition("calm")), "is of 'stress', and what is asked for is calm"),
        (dataclasses.replace(draws[0], condition=Condition("strss")), "stress"),
        (dataclasses.replace(draws[0], condition=Condition("stress", {"intensity": 0.5})), "intensity"),
        (dataclasses.replace(draws[0], sources={"from": "toy/99"}), "not a train sample"),
        (dataclasses.replace(draws[0], sources={}), "every draw names one source"),
    ]:
        with pytest.raises(UserError, match=says):
            model.edit_payloads([draw], sources)
    (nothing,) = fitted(data, {"method": "gain", "params": {"gain_db": [0, 0]}}).edit_payloads(draws, sources)
    assert isinstance(nothing, PayloadError) and nothing.reason == "unchanged"


def test_another_model_is_not_loaded(tmp_path: Path) -> None:
    fitted(usual("face"), {"method": "flip"}).save(tmp_path / "a")
    (tmp_path / "a" / "config.json").write_text('{"generator": "cvae"}')
    with pytest.raises(IntegrityError, match="'cvae'"):
        Augmentation.load(tmp_path / "a", device=CPU)


def test_signals_and_sounds_stay_what_they_are() -> None:
    for modality, read in (("speech", decode_wav), ("physio", decode_signals)):
        data = usual(modality)
        name = next(iter(PAYLOAD_METHODS[modality]))
        draws, sources = draws_of(data, 1)
        (edited,) = fitted(data, {"method": name}).edit_payloads(draws, sources)
        assert isinstance(edited, Payload) and type(read(edited.data)) is type(read(sources[0].data))
        assert [s.name for s in edited.signals] == [s.name for s in sources[0].signals]
