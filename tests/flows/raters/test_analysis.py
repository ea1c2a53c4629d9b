"""Answers of simulated raters come out as what they were simulated to be; broken ones are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.errors import IntegrityError, UserError
from corpora.store.atomic import write_json
from flows.raters.analysis import Findings, Measured, analyse
from flows.raters.collected import collect
from flows.raters.kit import Asked, make_kit
from flows.raters.records import ANSWERS_FORMAT, Key, KeyItem, KeyTrial
from flows.raters.wording import Wording
from tests.flows.raters.kit_release import release_in

Say = Callable[[KeyTrial, KeyItem, np.random.Generator], str]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    release = release_in(tmp_path_factory.mktemp("kit") / "release")
    key = make_kit(release, Asked(per_class=8, raters=12, seed=1), Wording()).key
    scored = tuple(  # a gate whose scores mean something
        item.model_copy(update={"gates": {"copies": i / len(key.items)}}) if item.kind == "synthetic" else item
        for i, item in enumerate(key.items)
    )
    return key.model_copy(update={"items": scored})


def rater(key: Key, number: int, say: Say, seed: int = 0) -> dict[str, Any]:
    """What the page would give a rater who answers by `say` and reads the checks."""
    rng, items = np.random.default_rng([seed, number]), {item.code: item for item in key.items}
    answers = [{"trial": t.code, "answer": t.expected or say(t, items[t.item], rng), "ms": 900} for t in key.trials]
    return {
        "format": ANSWERS_FORMAT,
        "kit": key.kit,
        "rater": number,
        "consent": True,
        "finished": True,
        "answers": answers,
    }


def files(folder: Path, raters: list[dict[str, Any]]) -> list[Path]:
    paths = []
    for i, one in enumerate(raters):
        write_json(folder / f"{i}.json", one)
        paths.append(folder / f"{i}.json")
    return paths


def found(findings: Findings, task: str, name: str, of: str | None = None) -> Measured:
    (one,) = [m for m in findings.measured if (m.task, m.name) == (task, name) and of in (None, m.of)]
    return one


def hearing(d: float) -> Say:
    """A rater of that d' whose opinions follow the kind and the gate."""

    def say(trial: KeyTrial, item: KeyItem, rng: np.random.Generator) -> str:
        made = item.kind == "synthetic"
        if trial.task == "real":
            return "synthetic" if rng.normal() + d * made > d / 2 else "real"
        if trial.task == "emotion":
            return item.emotion if rng.random() < 0.8 else {"anger": "fear", "fear": "anger"}[item.emotion]
        if trial.task == "pairs":
            codes = sorted([trial.item, str(trial.other)])
            return codes[int(rng.random() < 0.5)]
        level = 4.0 - 1.0 * made + 3 * (item.gates.get("copies", 0.5) - 0.5) + rng.normal(0, 0.5)
        return str(int(np.clip(round(level), 1, 5)))

    return say


def test_simulated_raters(key: Key, tmp_path: Path) -> None:
    said = analyse(collect(key, files(tmp_path, [rater(key, n, hearing(1.0)) for n in range(1, 13)])))
    d = found(said, "real", "d'").estimate
    assert d.value == pytest.approx(1.0, abs=0.25) and d.low < 1.0 < d.high
    assert found(said, "quality", "MOS", "synthetic minus real").estimate.value < -0.5
    assert found(said, "emotion", "share as labelled", "real").estimate.value == pytest.approx(0.8, abs=0.1)
    preferred = found(said, "pairs", "share preferred").estimate
    assert preferred.low < 0.5 < preferred.high
    copies = next(r for r in said.relations if (r.gate, r.said) == ("copies", "MOS"))
    assert copies.estimate.value > 0.6 and copies.estimate.low > 0
    levels = {a.task: a.alpha for a in said.agreement}
    assert levels["quality"] > 0.4 > levels["real"] > 0 > levels["pairs"] - 0.1
    counts = {c.kind: np.array(c.counts) for c in said.confusions}
    assert counts["real"].sum() == counts["synthetic"].sum() == 12 * 16
    json.dumps(said.to_json(), allow_nan=False)


def test_chance_and_perfect_raters(key: Key, tmp_path: Path) -> None:
    guess = analyse(collect(key, files(tmp_path, [rater(key, n, hearing(0.0)) for n in range(1, 9)])))
    none = found(guess, "real", "d'").estimate
    assert none.low < 0 < none.high

    def knows(trial: KeyTrial, item: KeyItem, rng: np.random.Generator) -> str:
        return {"real": item.kind, "emotion": item.emotion, "pairs": trial.item}.get(trial.task, "5")

    best = analyse(collect(key, files(tmp_path, [rater(key, n, knows) for n in range(1, 4)])))
    assert found(best, "real", "share correct").estimate.value == 1.0
    assert found(best, "real", "d'").estimate.value > 3.5
    assert next(a for a in best.agreement if a.task == "real").alpha == 1.0
    mos = found(best, "quality", "MOS", "real").estimate
    assert (mos.value, mos.low, mos.high) == (5.0, 5.0, 5.0)


def test_who_misses_the_checks_does_not_count(key: Key, tmp_path: Path) -> None:
    good, bad = rater(key, 1, hearing(1.0)), rater(key, 2, hearing(1.0))
    checks = {t.code: t for t in key.trials if t.expected is not None}
    wrong = {"real": ["real", "synthetic"], "emotion": ["anger", "fear"], "quality": "12345", "similarity": "12345"}
    for answer in bad["answers"]:
        if (t := checks.get(answer["trial"])) is not None:
            options = [t.item, str(t.other)] if t.task == "pairs" else wrong[t.task]
            answer["answer"] = next(o for o in options if o != t.expected)
    paths = files(tmp_path, [good, bad])
    collected = collect(key, paths)
    assert [r.number for r in collected.counted] == [1] and "missed 5 of 5" in collected.raters[1].left_out
    assert len(collect(key, paths, keep_inattentive=True).counted) == 2


def test_half_of_the_answers_is_enough(key: Key, tmp_path: Path) -> None:
    half = rater(key, 1, hearing(1.0))
    half["answers"], half["finished"] = half["answers"][:20], False
    said = analyse(collect(key, files(tmp_path, [half, rater(key, 2, hearing(1.0))])))
    assert found(said, "real", "d'").estimate.n < 2 * 32
    nothing = {**half, "answers": []}
    assert analyse(collect(key, files(tmp_path, [nothing]))).measured == []


def broken(one: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(one)), **changes}


def test_what_is_no_answer_is_refused(key: Key, tmp_path: Path) -> None:
    one = rater(key, 1, hearing(1.0))
    first, second = one["answers"][:2]
    wrong: list[tuple[str, type[Exception], list[dict[str, Any]]]] = [
        ("both by rater 1", UserError, [one, one]),
        ("answers kit deadbeef", UserError, [broken(one, kit="deadbeef")]),
        ("did not consent", UserError, [broken(one, consent=False)]),
        ("answered twice", UserError, [broken(one, answers=[first, first])]),
        ("no trial 'nobody'", UserError, [broken(one, answers=[{**first, "trial": "nobody"}])]),
        ("is no answer of trial", UserError, [broken(one, answers=[{**second, "answer": "maybe"}])]),
        ("ms", IntegrityError, [broken(one, answers=[{**first, "ms": -1}])]),
        ("format", IntegrityError, [broken(one, format="another")]),
        ("rater", IntegrityError, [{k: v for k, v in one.items() if k != "rater"}]),
    ]
    for message, kind, raters in wrong:
        with pytest.raises(kind, match=message):
            collect(key, files(tmp_path, raters))
    with pytest.raises(UserError, match="name the files"):
        collect(key, [])
    with pytest.raises(UserError, match="is no file"):
        collect(key, [tmp_path / "nobody.json"])
    (tmp_path / "cut.json").write_text('{"format": "emo')
    with pytest.raises(IntegrityError, match=r"cut\.json"):
        collect(key, [tmp_path / "cut.json"])
