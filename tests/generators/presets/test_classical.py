"""Classical systems: what each is named for is there, and gone where its setting is taken out."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpora.codecs import decode_image, decode_wav
from corpora.schema import Payload
from corpora.signals import decode_signals
from features.representation import Spec, make_representation
from generators.classical.augmentation import Augmentation
from generators.classical.resampling import Resampling
from generators.generator import Condition, Device, Draw, TrainData
from generators.preset import load_preset
from tests.generators.classical.payloads import RATE_HZ, TRAIN_TEXTS, USUAL, face, speech, text
from tests.generators.presets.mechanisms import shows

CPU = Device()
CLASSES = ("calm", "stress")
SPEC = Spec("toy", (2,), layout="vector")
FOLDERS = ("speech", "faces", "text", "physio")


def rows() -> tuple[TrainData, np.ndarray]:
    """60 rows in one plane, every third of the class stress, with the classes half apart; and which those are."""
    rng = np.random.default_rng(0)
    own = np.arange(60) % 3 == 0
    x = (rng.normal(0, 1, (60, 2)) + 1.5 * own[:, None]).astype(np.float32)
    ids = tuple(f"toy/{i}" for i in range(60))
    emotions = tuple(CLASSES[int(k)] for k in own)
    return TrainData(SPEC, CLASSES, x, emotions, ids, ids, (None,) * 60, np.zeros(60, bool)), np.flatnonzero(own)


def resampling(name: str, **changed: Any) -> tuple[Resampling, TrainData, np.ndarray]:
    preset = load_preset(name)
    assert preset.generator == "resampling"
    data, own = rows()
    model = Resampling(SPEC, CLASSES, **{**preset.params, **changed})
    list(model.fit(data, steps=1, seed=0, device=CPU))
    return model, data, own


def drawn(model: Resampling, data: TrainData, row: int, n: int, emotion: Any = "stress") -> np.ndarray:
    draws = [Draw(Condition(emotion), seed, {"from": data.ids[row]}) for seed in range(n)]
    return model.sample(draws, data.arrays[[row] * n], device=CPU).astype(float)


def ends(model: Resampling, data: TrainData, own: np.ndarray) -> float:
    """Mean rank of the rows of the class towards which the first one is moved, by distance."""
    row = int(own[0])
    steps = drawn(model, data, row, 150) - data.arrays[row]
    steps = steps[np.linalg.norm(steps, axis=1) > 0.01]  # shorter, float32 does not tell their direction
    others = own[1:]
    order = others[np.argsort(((data.arrays[others] - data.arrays[row]) ** 2 / data.arrays.var(axis=0)).sum(axis=1))]
    towards = data.arrays[order].astype(float) - data.arrays[row]
    length = np.maximum(np.linalg.norm(steps, axis=1), 1e-12)[:, None]
    cosine = steps @ towards.T / np.linalg.norm(towards, axis=1) / length
    share = np.linalg.norm(steps, axis=1)[:, None] / np.linalg.norm(towards, axis=1)
    on = (cosine > 1 - 1e-4) & (share <= 1.001)
    assert on.any(axis=1).all(), "every row lies on a segment to a row of the class"
    return float(on.argmax(axis=1).max())


@shows(*(f"{folder}/chawla-2002" for folder in FOLDERS))
def test_smote_moves_towards_near_rows_of_the_class() -> None:
    for folder in FOLDERS:
        near = ends(*resampling(f"{folder}/chawla-2002"))
        assert near == 4.0, "the five nearest, and no other"
        assert ends(*resampling(f"{folder}/chawla-2002", of_method={"k": 1000})) > 10


@shows(*(f"{folder}/han-2005" for folder in FOLDERS))
def test_borderline_starts_from_rows_in_danger_alone() -> None:
    for folder in FOLDERS:
        model, data, own = resampling(f"{folder}/han-2005")
        scaled = data.arrays / data.arrays.std(axis=0)
        distance = ((scaled[own][:, None] - scaled[None]) ** 2).sum(axis=2)
        near = np.argsort(distance, axis=1, kind="stable")[:, 1:11]
        others = (~np.isin(near, own)).sum(axis=1)
        danger = {data.ids[i] for i in own[(others >= 5) & (others < 10)]}
        assert 0 < len(danger) < len(own)
        assert {data.ids[i] for i in own if model.turns.get(data.ids[i], 1)} == danger
        assert resampling(f"{folder}/han-2005", method="smote", of_method={})[0].turns == {}


@shows(*(f"{folder}/he-2008" for folder in FOLDERS))
def test_adasyn_starts_more_often_where_other_classes_are_near() -> None:
    for folder in FOLDERS:
        model, data, own = resampling(f"{folder}/he-2008")
        centre = data.arrays[np.array(data.emotions) == "calm"].mean(axis=0)
        far = np.linalg.norm(data.arrays[own] - centre, axis=1)
        turns = np.array([model.turns.get(data.ids[i], 1) for i in own])
        assert np.corrcoef(far, turns)[0, 1] < -0.5 and turns.max() > turns.min()
        assert resampling(f"{folder}/he-2008", method="smote", of_method={})[0].turns == {}


@shows(*(f"{folder}/zhang-2018" for folder in FOLDERS))
def test_mixup_mixes_rows_as_it_mixes_labels() -> None:
    for folder in FOLDERS:
        model, data, own = resampling(f"{folder}/zhang-2018")
        row = int(own[0])
        within = drawn(model, data, row, 200) - data.arrays[row]
        assert (np.abs(within).max(axis=1) > 1e-4).mean() > 0.5, "moved towards others of the class"
        assert ends(model, data, own) > 10, "towards any of them"
        flat, *_ = resampling(f"{folder}/zhang-2018", of_method={"alpha": 0.0})
        assert np.allclose(drawn(flat, data, row, 20), data.arrays[row]), "alpha 0 mixes nothing"
        shares = {"stress": 0.3, "calm": 0.7}
        mixed = drawn(flat, data, row, 20, shares)
        other = (mixed - 0.3 * data.arrays[row]) / 0.7
        calm = data.arrays[np.array(data.emotions) == "calm"]
        nearest = np.abs(other[:, None] - calm[None]).max(axis=2).min(axis=1)
        assert nearest.max() < 1e-4, "0.3 of the row and 0.7 of a row of the other class"


def edited(name: str, payload: Payload, n: int = 1, lines: tuple[str, ...] = (), **changed: Any) -> list[Payload]:
    """What the preset makes of a payload; `changed`: in place of parameters of its first method."""
    preset = load_preset(name)
    assert preset.generator == "augmentation" and preset.representation is not None
    steps = [{**step, "params": {**step.get("params", {}), **changed}} for step in preset.params["methods"][:1]]
    steps += preset.params["methods"][1:]
    spec = make_representation(preset.representation, {}).spec
    by_id = {f"toy/{i}": text(line) for i, line in enumerate(lines)} or {"toy/0": payload}
    ids, many = tuple(by_id), len(by_id)
    data = TrainData(
        spec,
        ("calm",),
        np.zeros((many, 1), np.float32),
        ("calm",) * many,
        ids,
        ids,
        (None,) * many,
        np.zeros(many, bool),
        payloads=lambda wanted: ((i, by_id[i]) for i in wanted),
    )
    model = Augmentation(spec, data.classes, methods=steps)
    list(model.fit(data, steps=0, seed=0, device=CPU))
    made = model.edit_payloads([Draw(Condition("calm"), s, {"from": "toy/0"}) for s in range(n)], [payload] * n)
    assert all(isinstance(p, Payload) for p in made)
    return [p for p in made if isinstance(p, Payload)]


def spectrum_db(payload: Payload) -> np.ndarray:
    """[bins, frames] of white noise, less its mean."""
    signal = decode_wav(payload.data)[0][:, 0].astype(float)
    frames = np.lib.stride_tricks.sliding_window_view(signal, 512)[::512] * np.hanning(512)
    return 20 * np.log10(np.abs(np.fft.rfft(frames, axis=1)).T + 1e-9)


@shows("speech/park-2019")
def test_spec_augment_masks_bands_and_stretches() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.05, RATE_HZ) * (1 + 0.9 * np.sin(np.arange(RATE_HZ) / 400))
    source = speech(noise)
    levels = spectrum_db(source)

    def loudest_change(**changed: Any) -> tuple[float, float]:
        """Largest mean change of a bin over time, and of a frame over bins, over several draws."""
        moved = [np.abs(spectrum_db(p) - levels) for p in edited("speech/park-2019", source, 6, **changed)]
        return max(float(m.mean(axis=1).max()) for m in moved), max(float(m.mean(axis=0).max()) for m in moved)

    both, time_alone = loudest_change(), loudest_change(frequency_masks=0)
    frequency_alone = loudest_change(time_masks=0)
    assert both[0] > 2 * time_alone[0], "a band is masked over all of time"
    assert both[1] > 1.3 * frequency_alone[1], "a stretch is masked over all bands"


@shows("speech/ko-2017")
def test_speech_rings_on_in_a_pause() -> None:
    dry = np.concatenate([np.random.default_rng(0).normal(0, 0.1, RATE_HZ // 2), np.zeros(RATE_HZ // 2)])
    (wet,), (less,) = (edited("speech/ko-2017", speech(dry), **p) for p in ({}, {"direct_db": [40, 40]}))
    rest = [float(np.abs(decode_wav(p.data)[0][RATE_HZ // 2 + 400 :]).mean()) for p in (wet, less)]
    assert rest[0] > 3 * rest[1] > 0


@shows("faces/zhong-2020")
def test_one_box_of_noise_is_put_in() -> None:
    before = np.full((48, 48), 100, np.uint8)
    for payload in edited("faces/zhong-2020", face(before), 10):
        changed = decode_image(payload.data) != before
        high, wide = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        box = changed[high[0] : high[-1] + 1, wide[0] : wide[-1] + 1]
        assert box.mean() > 0.9 and 0.01 < changed.mean() < 0.41
        assert decode_image(payload.data)[changed].std() > 40
    rng = np.random.default_rng(0)
    rough = face(rng.integers(0, 256, (48, 48), dtype=np.uint8))
    mean = edited("faces/zhong-2020", rough, fill="mean", area=[0.3, 0.3])[0]
    changed = decode_image(mean.data) != decode_image(rough.data)
    assert decode_image(mean.data)[changed].std() == 0, "without noise, one level"


@shows("faces/szegedy-2015")
def test_crops_are_of_many_sizes_and_shapes() -> None:
    ramp = np.add.outer(np.linspace(0, 20, 48), np.linspace(20, 230, 48)).astype(np.uint8)
    spans = [float(np.ptp(decode_image(p.data).mean(axis=0))) for p in edited("faces/szegedy-2015", face(ramp), 40)]
    assert min(spans) < 110 and max(spans) > 180, "from a part to nearly all of the picture"
    whole = edited("faces/szegedy-2015", face(ramp), 20, area=[0.9, 0.95], aspect=[1.0, 1.0])
    assert min(float(np.ptp(decode_image(p.data).mean(axis=0))) for p in whole) > 190


@shows("text/wei-2019")
def test_one_of_four_operations() -> None:
    line = TRAIN_TEXTS[0]
    words = line.split()

    def kinds(**changed: Any) -> set[str]:
        seen = set()
        for payload in edited("text/wei-2019", text(line), 60, TRAIN_TEXTS, **changed):
            now = payload.data.decode().split()
            longer = len(now) - len(words)
            same = "swap" if sorted(now) == sorted(words) else "replace"
            seen.add("insert" if longer > 0 else "delete" if longer < 0 else same)
        return seen

    assert kinds() == {"insert", "delete", "swap", "replace"}
    assert kinds(operations=["swap"]) == {"swap"}


def signals(payload: Payload) -> dict[str, np.ndarray]:
    return {name: np.asarray(x, float) for name, x in decode_signals(payload.data).items() if "baseline" not in name}


@shows("physio/prichard-1994")
def test_power_and_cross_spectra_stay_and_phases_do_not() -> None:
    source = USUAL["physio"]
    (made,) = edited("physio/prichard-1994", source)
    old, new = signals(source), signals(made)
    a, b = (np.fft.rfft(x["ACC"], axis=0) for x in (old, new))
    for i, j in ((0, 0), (0, 1), (1, 2)):
        before, after = a[1:-1, i] * a[1:-1, j].conj(), b[1:-1, i] * b[1:-1, j].conj()
        np.testing.assert_allclose(after, before, atol=1e-3 * np.abs(before).max())
    assert np.corrcoef(old["BVP"], new["BVP"])[0, 1] < 0.5
    mild = signals(edited("physio/prichard-1994", source, strength=0.05)[0])
    assert np.corrcoef(old["BVP"], mild["BVP"])[0, 1] > 0.9


@shows("physio/theiler-1992")
def test_values_stay_and_their_order_does_not() -> None:
    source = USUAL["physio"]
    old, new = (signals(p) for p in (source, edited("physio/theiler-1992", source)[0]))
    np.testing.assert_array_equal(np.sort(old["BVP"]), np.sort(new["BVP"]))
    assert not np.array_equal(old["BVP"], new["BVP"])
    plain = signals(edited("physio/theiler-1992", source, kind="ft")[0])
    assert not np.array_equal(np.sort(old["BVP"]), np.sort(plain["BVP"]))


@shows("physio/um-2017")
def test_noise_on_every_channel_and_one_factor_for_a_signal() -> None:
    source = USUAL["physio"]
    old = signals(source)["ACC"]
    spread = np.array([signals(p)["ACC"].std(axis=0) / old.std(axis=0) for p in edited("physio/um-2017", source, 12)])
    assert spread[:, 0].std() > 0.05 and np.allclose(spread[:, 0], spread[:, 1], rtol=0.05)
    (quiet,) = edited("physio/um-2017", source, sd=0.0)
    (noisy,) = edited("physio/um-2017", source)
    rough = [float(np.diff(signals(p)["ACC"], 2, axis=0).std() / signals(p)["ACC"].std()) for p in (quiet, noisy)]
    assert rough[1] > 1.02 * rough[0]
