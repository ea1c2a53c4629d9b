"""`study` and `tune`: brings a study up to date and prints what it says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from corpora.errors import UnknownNameError
from emoforge import console
from emoforge.listings import about
from flows.artifacts.studied import Studied
from flows.engine.worker import load_object
from flows.params import Params
from flows.paths import Layout


def list_studies(params: Params, *, as_json: bool) -> None:
    """Studies of params.yaml, and what arms may do."""
    from flows.stages.study.methods import family_of, method_names

    if as_json:
        studies = {name: study.model_dump(mode="json") for name, study in params.studies.items()}
        console.print_json({"studies": studies, "methods": {name: family_of(name) for name in method_names()}})
        return
    rows = [
        [name, s.task, ", ".join(s.corpora), s.features.name, s.folds, s.seeds, ", ".join(s.classifiers)]
        for name, s in params.studies.items()
    ]
    if rows:
        console.table("Studies", ["study", "task", "corpora", "features", "folds", "seeds", "classifiers"], rows)
    else:
        console.out.print("params.yaml has no studies; docs/studies.md shows one.")
    console.table("Methods of arms", ["method", "works on", "what it does"], [list(row) for row in _methods()])


def _methods() -> Iterator[tuple[str, str, str]]:
    """(method, what it works on, what it does) of every method."""
    from flows.stages.study.methods import PLAIN, family_of, method_names
    from generators.classical.method import PAYLOAD_METHODS, VECTOR_METHODS
    from generators.generator import generator_class

    for name in method_names():
        family = family_of(name)
        if family == "plain":
            yield name, "train set", PLAIN[name]
        elif family == "generator":
            yield name, "features or payloads", about(generator_class(name))
        elif family == "vector":
            yield name, "features", about(load_object(VECTOR_METHODS[name]))
        else:
            modality = next(m for m, own in PAYLOAD_METHODS.items() if name in own)
            yield name, modality, about(load_object(PAYLOAD_METHODS[modality][name]))


def show_study(name: str, repo: Path, *, quick: bool, vault: bool, as_json: bool) -> None:
    """Brings a study up to date (or answers it quickly, or tests its vault) and prints verdict, table and places."""
    from flows.conduct.studies import bring_study_up_to_date, quick_study, vault_study

    begun = time.monotonic()
    with console.StageLines() as lines:

        def on_line(line: str) -> None:
            lines.line(f"study@{name}", line)

        if vault:
            studied, fresh = vault_study(name, repo, on_line)
            console.say("a new look at the vault; it is logged" if fresh else "this was asked before: the same answers")
        elif quick:
            studied = quick_study(name, repo, on_line)
        else:
            done = bring_study_up_to_date(name, repo, on_line)
            if not done:
                console.say(f"nothing to do: study {name} up to date")
            studied = Studied.open(Layout(repo).study(name) / "result")
    console.say(f"{time.monotonic() - begun:.0f} s")
    print_study(studied, as_json=as_json)


def print_study(studied: Studied, *, as_json: bool) -> None:
    """The sentence first, then the tables as study.md has them, then where the page is."""
    if as_json:
        console.print_json({"about": studied.about().to_json(), "summary": studied.summary()})
        return
    about = studied.about()
    if about.mode == "quick":
        console.out.print("A first answer: one seed, fewer folds and arms. Not to be quoted.", markup=False)
    console.out.print(studied.verdict(), markup=False)
    console.out.print(f"Tables: {studied.tables}\nPage: {studied.page}", markup=False)


def show_tuned(study: str, arm: str, repo: Path, *, classifier: str | None, trials: int | None, as_json: bool) -> None:
    """Searches an arm's parameters on inner folds and prints every trial, the best first."""
    from flows.stages.study.search import tune_arm

    params = _study(study, repo)
    name = classifier or next(iter(params.classifiers))
    if name not in params.classifiers:
        raise UnknownNameError.of("classifier of the study", name, params.classifiers)
    tuned = tune_arm(study, arm, Layout(repo), classifier=name, trials=trials)
    if as_json:
        console.print_json(tuned.as_dict())
        return
    rows = [[_shown(t.params), "-" if t.value is None else f"{100 * t.value:.1f}", t.reason] for t in tuned.ranked()]
    console.table(f"{study}, {arm}, {name}: UAR on inner folds, % (best first)", ["values", "UAR", ""], rows)
    console.out.print(f"Chosen: {_shown(tuned.best)}", markup=False)


def _study(name: str, repo: Path) -> Any:
    from flows.params import load_params

    return load_params(repo / "params.yaml").study(name)


def _shown(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
    )
