"""What `check` says is worked out once, and anew as soon as anything that it stands on is another."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flows.conduct import judged as module
from flows.conduct.judged import Judged, judged
from flows.params import Machine, load_params
from flows.paths import Layout
from flows.stages.augment.forecast import ClassForecast, RunForecast
from flows.stages.fit.order import OrderAccuracy
from flows.stages.plan.feasible import Outlook, Problem

ANSWER = Judged(
    encoders=("minilm",),
    outlooks={"toy": Outlook((Problem("fit", "too few <people>", True),), "another view")},
    forecasts=(
        RunForecast(
            "toy",
            "prepared",
            "",
            (ClassForecast("fear", 3, 9, 6, 0.5, "prior", 12, 1, 6, "filled", None, None, "few"),),
        ),
        RunForecast("other", "", "nothing is ingested"),
    ),
    advice={"toy": ("one", "two")},
    orders=(OrderAccuracy("toy", "neutral", 0.91, 40, {"fear": 0.5}), OrderAccuracy("other", "neutral", why_not="no")),
)
PARAMS = {"corpora": {"toy": {"reader": "ravdess"}}, "runs": {"toy": {"corpora": ["toy"], "seed": 1}}}


class Asked:
    """Counts how often it is worked out."""

    def __init__(self, answer: Judged) -> None:
        self.answer, self.times = answer, 0

    def __call__(self, *about: object) -> Judged:
        self.times += 1
        return self.answer


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    for place in ("data/runs/toy/plan/fit.json", "data/corpora/toy/manifest.json", ".emoforge/timings/draws-toy.json"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text("{}")
    return tmp_path


def ask(project: Path, machine: Machine | None = None) -> Judged:
    return judged(load_params(project / "params.yaml"), machine or Machine(), Layout(project), ["toy"])


def test_what_nothing_changed_of_is_remembered_as_it_was(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(ANSWER)
    monkeypatch.setattr(module, "_judged", asked)
    assert [ask(project) for _ in range(3)] == [ANSWER] * 3
    assert asked.times == 1


def edit(place: str, text: str) -> Callable[[Path], None]:
    return lambda project: (project / place).write_text(text) and None


CHANGES: dict[str, Callable[[Path], None]] = {
    "params": edit("params.yaml", yaml.safe_dump({**PARAMS, "runs": {"toy": {"corpora": ["toy"], "seed": 2}}})),
    "a file of the run": edit("data/runs/toy/plan/fit.json", "{ }"),
    "a file of the corpus": edit("data/corpora/toy/manifest.json", "{ }"),
    "a new file": edit("data/runs/toy/metrics.json", "{}"),
    "timings": edit(".emoforge/timings/draws-toy.json", "{ }"),
    "the time alone": lambda project: os.utime(project / "data/runs/toy/plan/fit.json", ns=(1, 1)),
    "a file less": lambda project: (project / "data/runs/toy/plan/fit.json").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_worked_out_anew_after(change: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(ANSWER)
    monkeypatch.setattr(module, "_judged", asked)
    ask(project)
    CHANGES[change](project)
    ask(project)
    assert asked.times == 2
    ask(project)
    assert asked.times == 2


def test_another_machine_or_other_code_is_another_answer(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(ANSWER)
    monkeypatch.setattr(module, "_judged", asked)
    ask(project)
    ask(project, Machine(actors=7))
    assert asked.times == 2
    monkeypatch.setattr(module, "PACKAGES", (*module.PACKAGES, "docs"))
    ask(project)
    assert asked.times == 3


def test_what_lies_behind_a_path_is_looked_at_every_time(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(ANSWER)
    monkeypatch.setattr(module, "_judged", asked)
    run = {"corpora": ["toy"], "representation": {"name": "pixels"}, "generator": {"name": "transfer"}}
    run["gates"] = {"kid": {"params": {"features": "path:weights"}}}
    (project / "params.yaml").write_text(yaml.safe_dump({**PARAMS, "runs": {"toy": run}}))
    ask(project)
    ask(project)
    assert asked.times == 2 and not (project / ".emoforge" / "judged").exists()


@pytest.mark.parametrize("damage", [b"", b"{", b'{"encoders": 3}'])
def test_what_was_cut_short_is_worked_out_anew(damage: bytes, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(ANSWER)
    monkeypatch.setattr(module, "_judged", asked)
    ask(project)
    (kept,) = (project / ".emoforge" / "judged").iterdir()
    kept.write_bytes(damage)
    assert ask(project) == ANSWER and asked.times == 2
    assert ask(project) == ANSWER and asked.times == 2


def test_what_does_not_come_back_as_it_was_is_not_kept(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Judged(orders=(OrderAccuracy("toy", "neutral", float("nan"), 1),))
    monkeypatch.setattr(module, "_judged", Asked(odd))
    ask(project)
    assert not (project / ".emoforge" / "judged").exists()


def test_few_answers_are_kept(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_judged", Asked(ANSWER))
    monkeypatch.setattr(module, "KEPT", 2)
    for actors in range(4):
        ask(project, Machine(actors=actors))
    assert len(list((project / ".emoforge" / "judged").iterdir())) == 2
