"""The first line of the report: whether the release may be published, and what is missing."""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from corpora.store.atomic import write_json
from flows.artifacts.augmented import Augmented, CellTally, RoundTally
from flows.artifacts.evaluated import VerdictRow
from flows.stages.report.data import RunFolder, read_run
from flows.stages.report.headline import headline, said_by
from flows.stages.report.report import write_report
from tests.flows.stages.report.report_run import CLASSES, make_run
from validators.maths.chance import UNJUDGED


@pytest.fixture(scope="module")
def face_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def data(face_run: Path) -> RunFolder:
    return read_run(face_run, face_run.parent.parent / "corpora")


def row(gate: str, group: str, verdict: str, reason: str = "") -> VerdictRow:
    n = math.nan
    return VerdictRow(gate, group, n, n, n, n, n, 9, 9, "", "", verdict, reason)  # type: ignore[arg-type]


def with_all(data: RunFolder, *, publishable: bool = True, restrictions: tuple[str, ...] = ()) -> RunFolder:
    """Every class filled, every gate passed."""
    assert data.balance is not None and data.manifest is not None
    filled = tuple(t.model_copy(update={"filled": True}) for t in data.balance.classes)
    changes = {"publishable": publishable, "reasons": (), "restrictions": restrictions}
    return dataclasses.replace(
        data,
        balance=data.balance.model_copy(update={"classes": filled}),
        verdicts=(row("kid", "all", "pass"),),
        manifest=data.manifest.model_copy(update=changes),
    )


def test_what_gates_say_is_put_together() -> None:
    verdicts = [
        row("agreement", "disgust", "undecided", f"{UNJUDGED}: judges find 3 of 20"),
        row("frechet", "all", "undecided", "the interval holds the limit"),
        row("kid", "all", "pass"),
        row("kid", "fear", "fail", "beyond"),
        row("vendi", "all", "undecided", "9 real samples"),
        row("c2st", "all", "fail"),
        row("c2st", "fear", "fail"),
        row("c2st", "anger", "fail"),
    ]
    assert said_by(verdicts) == [
        "kid fails for fear",
        "c2st fails for all classes together, fear and anger",
        "frechet and vendi are undecided",
        "agreement cannot judge disgust",
    ]
    assert said_by([row("kid", "all", "pass")]) == []


def test_nothing_is_missing(data: RunFolder) -> None:
    line = headline(with_all(data))
    assert (line.text, line.state) == ("Every gate passed; may be published", "yes")


def test_what_is_missing_is_named(data: RunFolder) -> None:
    whole = with_all(data)
    failed = (row("kid", "fear", "fail"), row("agreement", "disgust", "undecided", UNJUDGED))
    said = headline(dataclasses.replace(with_all(data, publishable=False), verdicts=failed))
    assert said.text == "Not to be published: kid fails for fear; agreement cannot judge disgust" and said.state == "no"
    said = headline(dataclasses.replace(whole, verdicts=(row("kid", "fear", "undecided"),)))
    assert said.text == "May be published, but kid is undecided for fear" and said.state == "waits"
    held = "licence CC-BY-NC-SA-4.0 of ravdess does not allow passing on"
    said = headline(with_all(data, restrictions=(held,)))
    assert said.text == f"May be published privately alone: {held}" and said.state == "waits"
    assert whole.manifest is not None
    reason = whole.manifest.model_copy(update={"publishable": False, "reasons": ("the audit said no",)})
    assert headline(dataclasses.replace(whole, manifest=reason)).text == "Not to be published: the audit said no"


def test_a_class_and_a_mixture_that_are_not_filled(data: RunFolder) -> None:
    whole = with_all(data)
    assert whole.balance is not None
    first, *others = whole.balance.classes
    short = first.model_copy(
        update={"filled": False, "real_train": 4, "accepted": 2, "effective": 2, "target": 9, "stopped": "withheld"}
    )
    mixed = dict(short) | {"emotion": "", "real_train": 0, "stopped": "acceptance"}
    mixture = CellTally(**mixed, corpus=None, subject=None, mixture=MIXTURE)
    balance = whole.balance.model_copy(update={"classes": (short, *others), "cells": (mixture,)})
    assert headline(dataclasses.replace(whole, balance=balance)).text == (
        "May be published, but anger is not filled (6 of 9; its candidates are not what was asked for, and are "
        "withheld); 0.5 fear + 0.5 sadness is not filled (2 of 9; acceptance fell below the limit)"
    )


@pytest.mark.parametrize(
    ("gone", "text"),
    [
        (("manifest",), "Not released yet: stage release has not ended"),
        (("manifest", "verdicts"), "Not released yet: stage evaluate has not ended"),
        (("manifest", "verdicts", "balance"), "Not released yet: stage augment has not ended"),
    ],
)
def test_a_run_under_way(data: RunFolder, gone: tuple[str, ...], text: str) -> None:
    without: dict[str, Any] = dict.fromkeys(gone)
    line = headline(dataclasses.replace(with_all(data), **without))
    assert (line.text, line.state) == (text, "waits")


def test_a_blocked_release_and_a_run_of_real_samples(data: RunFolder) -> None:
    blocked = dataclasses.replace(with_all(data), manifest=None, verdicts=(row("kid", "all", "fail"),))
    assert headline(blocked).text == "Not released: kid fails" and headline(blocked).state == "no"
    real = with_all(data).summary.model_copy(update={"representation": None})
    alone = dataclasses.replace(with_all(data), summary=real, verdicts=())
    assert headline(alone).text.startswith("Real samples alone")


MIXTURE = {"fear": 0.5, "sadness": 0.5}


def test_it_stands_first_on_the_page_and_mixtures_and_feature_rows_are_shown(face_run: Path, tmp_path: Path) -> None:
    shutil.copytree(face_run.parent.parent, tmp_path / "data")
    run = tmp_path / "data" / "runs" / face_run.name
    augmented = Augmented(run / "augmented")
    balance = augmented.balance()
    whole = dict(balance.classes[1]) | {"emotion": "", "real_train": 0, "target": 7, "candidates": 11}
    cell = CellTally(**whole, corpus=None, subject=None, mixture=MIXTURE)
    rounds = (*balance.rounds, RoundTally(round=1, emotion=cell.named, candidates=11, accepted=5))
    augmented.write_balance(balance.model_copy(update={"cells": (cell,), "rounds": rounds}))
    manifest = read_run(run, tmp_path / "data" / "corpora").manifest
    assert manifest is not None
    features = {"file": "features.parquet", "representation": "hog", "columns": 144, "real": 60, "synthetic": 13}
    write_json(run / "release" / "manifest.json", {**manifest.to_json(), "features": features})
    write_report(run, tmp_path / "data" / "corpora", tmp_path / "report.html", generated=None)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    first = re.search(
        r"</h1>\s*<p class=\"headline verdict no\">([^<]*)</p>\s*<ul class=\"reasons\">\s*(.*?)</ul>", page, re.S
    )
    assert first is not None and first.group(1) == "Not to be published."
    assert re.findall("<li>(.*?)</li>", first.group(2)) == [
        "frechet: undecided for fear.",
        "frechet is undecided for fear.",
    ]
    assert "<code>frechet</code> asks: how far is the set from real people" in page, "in plain words"
    name = re.escape("0.5 fear + 0.5 sadness")
    assert re.search(rf'<td>{name}</td><td class="n">0</td><td class="n">7</td><td class="n">11</td>', page)
    assert re.search(rf'<td>{name}</td><td class="n">11</td><td class="n">5</td>', page), "its round"
    assert "is a mixture" in page and "Each corpus" not in page
    assert "144 columns (hog) of 60 real and 13 synthetic" in page
    assert all(f"<h3>{c}</h3>" in page for c in CLASSES)
