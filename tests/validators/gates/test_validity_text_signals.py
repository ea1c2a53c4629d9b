"""The validity gate on texts (bytes of UTF-8) and on signals [T, C]: every reason, and real ones that pass."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from validators.batch import rows_of
from validators.gate import Batch, SampleGate, default_limit
from validators.gates.validity import Validity

RATE = 64.0
CLASSES = ("anger", "joy")
PARTS = (
    ["i really", "we never", "she always", "they sometimes", "you hardly", "my brother and i"],
    ["wanted to see", "thought about", "talked about", "were angry with", "felt happy for", "walked away from"],
    ["the new neighbours", "that old film", "her father", "the children outside", "this terrible weather", "the party"],
    ["last night", "this morning", "when it was over", "all the time", "before we left", "yesterday"],
)


def batch_of(modality: str, signals: list[np.ndarray], groups: int = 8) -> Batch:
    n = len(signals)
    return Batch(
        modality,
        tuple(f"c/{i}" for i in range(n)),
        tuple(CLASSES[i % 2] for i in range(n)),
        signals,
        tuple(hashlib.sha256(s.tobytes()).hexdigest() for s in signals),
        RATE if modality == "physio" else None,
        groups=tuple(f"g{i % groups}" for i in range(n)),
        errors=(None,) * n,
    )


def text(line: str) -> np.ndarray:
    return np.frombuffer(line.encode("utf-8"), np.uint8)


def real_lines(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(part) for part in PARTS) + str(rng.choice([".", "!", "..."])) for _ in range(n)]


def real_trial(rng: np.random.Generator) -> np.ndarray:
    """[T, 2]: skin conductance in µS, with the steps of its sensor, and temperature in °C."""
    t = np.arange(int(rng.uniform(9, 11) * RATE)) / RATE
    eda = rng.uniform(1, 8) + 0.5 * np.sin(t * rng.uniform(0.2, 1)) + 0.05 * rng.normal(size=t.size)
    temp = rng.uniform(31, 35) + 0.1 * np.sin(t / 5) + 0.01 * rng.normal(size=t.size)
    return np.stack([np.round(eda, 2), temp], axis=1).astype(np.float32)


def trials(n: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [real_trial(rng) for _ in range(n)]


def fitted(batch: Batch, **params: object) -> Validity:
    return Validity.fit(batch, classes=CLASSES, params=params, seed=0)


def found_reasons(gate: Validity, batch: Batch) -> list[str | None]:
    return gate.reasons(batch)


TEXTS = {
    "empty": text(""),
    "not-utf8": np.array([0xC3, 0x28, 0x20, 0x61], np.uint8),
    "no-words": text("?!... 😂😂 --- !!!! ???? .... !!!!"),
    "too-short": text("i never"),
    "too-long": text(" ".join(real_lines(5, 9))),
    "repeated-characters": text("i really wanted to see the new neeeeeeeeeeighbours all day"),
    "repeated-words": text("we never we never we never we never we never we never"),
    "other-language": text("ich habe gestern abend über den schönen film gesprochen."),
}


@pytest.fixture(scope="module")
def of_text() -> Validity:
    return fitted(batch_of("text", [text(line) for line in real_lines(200, 0)]))


@pytest.fixture(scope="module")
def of_signals() -> Validity:
    return fitted(batch_of("physio", trials(40, 0)), channels=["wrist_EDA", "TEMP"])


def test_every_reason_of_text(of_text: Validity) -> None:
    good = [text(line) for line in real_lines(20, 1)]
    batch = batch_of("text", [*TEXTS.values(), *good])
    assert found_reasons(of_text, batch) == [*TEXTS, *[None] * 20]


def test_letters_in_any_case_and_signs_are_the_same_language(of_text: Validity) -> None:
    line = real_lines(1, 2)[0]
    assert found_reasons(of_text, batch_of("text", [text(line.upper()), text(f"«{line}» 1234")])) == [None, None]


def changed(change: str) -> np.ndarray:
    x = real_trial(np.random.default_rng(5)).astype(np.float64)
    half = len(x) // 2
    if change == "flat":
        x[half : half + len(x) // 3, 1] = x[half, 1]
    elif change == "clipped":
        x[:, 1] = np.clip(x[:, 1], x[:, 1].min(), np.quantile(x[:, 1], 0.8))
    elif change == "out-of-range":
        x[half, 0] = 60.0
    elif change == "not-finite":
        x[3, 1] = np.nan
    elif change == "too-short":
        x = x[: int(3 * RATE)]
    elif change == "too-long":
        x = np.concatenate([x, x[::-1]])
    elif change == "not-a-signal":
        x = x[:, :1]
    return x.astype(np.float32)


SIGNALS = ("flat", "clipped", "out-of-range", "not-finite", "too-short", "too-long", "not-a-signal")


def test_every_reason_of_signals(of_signals: Validity) -> None:
    batch = batch_of("physio", [*map(changed, SIGNALS), *trials(20, 1)])
    assert found_reasons(of_signals, batch) == [*SIGNALS, *[None] * 20]


def test_a_known_kind_keeps_its_range_even_where_real_ones_do_not() -> None:
    """Real trials reach widely, so only the table can tell: skin is not at 50 degrees."""
    wide = [trial + np.array([0, 8.0 * (i % 3 - 1)], np.float32) for i, trial in enumerate(trials(40, 0))]
    hot = [trials(1, 3)[0] + np.array([0, 17.0], np.float32)]
    assert found_reasons(fitted(batch_of("physio", wide)), batch_of("physio", hot)) == [None]
    named = fitted(batch_of("physio", wide), channels=["EDA", "TEMP"])
    assert found_reasons(named, batch_of("physio", hot)) == ["out-of-range"]


@pytest.mark.parametrize("modality", ["text", "physio"])
def test_the_contract_of_sample_gates(modality: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """As test_contract has it for speech and faces."""
    gate = request.getfixturevalue("of_text" if modality == "text" else "of_signals")
    more = [text(line) for line in real_lines(30, 4)] if modality == "text" else trials(30, 4)
    batch = batch_of(modality, more)
    assert isinstance(gate, SampleGate) and default_limit(gate).absolute == 1.0
    whole = gate.score(batch)
    assert whole.dtype == np.float64 and (whole == 1.0).mean() > 0.9
    assert [gate.score(rows_of(batch, np.array([i])))[0] for i in range(30)] == whole.tolist()
    for n in (0, 1, 2):
        assert gate.score(rows_of(batch, np.arange(n))).shape == (n,)
    broken = replace(batch, signals=[more[0][:0], *more[1:]], errors=("truncated", *batch.errors[1:]), cache={})
    assert np.isnan(gate.score(broken)[0]) and found_reasons(gate, broken)[0] == "truncated"
    gate.save(tmp_path)
    loaded = Validity.load(tmp_path)
    assert loaded.judge == gate.judge
    assert found_reasons(loaded, batch) == found_reasons(gate, batch)
    assert all((np.array(loaded.reference()[name]) == values).all() for name, values in gate.reference().items())
    assert np.concatenate(list(gate.reference().values())).mean() > 0.9


def test_fit_is_deterministic() -> None:
    batch = batch_of("text", [text(line) for line in real_lines(60, 0)])
    assert fitted(batch).judge == fitted(batch).judge != fitted(batch, run=9.0).judge


def test_texts_without_letters_and_single_ones_can_be_learned_from() -> None:
    numbers = fitted(batch_of("text", [text(f"{i} {i * i}") for i in range(10, 40)]))
    assert found_reasons(numbers, batch_of("text", [text("17 289")])) == [None]
    one = fitted(batch_of("text", [text(real_lines(1, 0)[0])]))
    assert found_reasons(one, batch_of("text", [text(real_lines(1, 0)[0])])) == [None]


def test_lines_of_a_real_corpus_mostly_pass(shared_data: Path) -> None:
    with (shared_data / "meld" / "train_sent_emo.csv").open(encoding="utf-8") as file:
        lines = [row["Utterance"] for row in csv.DictReader(file)][:1500]
    gate = fitted(batch_of("text", [text(line) for line in lines[:1000]], groups=40))
    values = gate.score(batch_of("text", [text(line) for line in lines[1000:]]))
    assert np.mean(values == 1.0) > 0.95
    german = [
        "Das will sie am Mittwoch abgeben.",
        "Heute abend könnte ich es ihm sagen.",
        "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    ]
    assert found_reasons(gate, batch_of("text", [text(line) for line in german])) == ["other-language"] * 3


def pulses(n: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    t = np.arange(int(60 * RATE)) / RATE
    waves = [np.sin(2 * np.pi * 1.2 * t + rng.uniform(0, 6)) + 0.05 * rng.normal(size=t.size) for _ in range(n)]
    return [wave[:, None].astype(np.float32) for wave in waves]


def test_a_pulse_never_stands_still() -> None:
    """Ten seconds of a minute are less than the share that signals may rest, and half a second is more than a pulse."""
    off, briefly = pulses(2, 7)
    off[1280:1920] = off[1280]
    briefly[1280:1320] = briefly[1280]
    judged = batch_of("physio", [off, briefly, *pulses(10, 8)])
    assert found_reasons(fitted(batch_of("physio", pulses(40, 0))), judged) == ["flat", None, *[None] * 10]
    named = fitted(batch_of("physio", pulses(8, 0)), channels=["wrist_BVP"])
    assert found_reasons(named, judged) == ["flat", "flat", *[None] * 10]
    few = fitted(batch_of("physio", pulses(8, 0)))  # too few to learn from that it never rests
    assert found_reasons(few, judged)[0] is None
