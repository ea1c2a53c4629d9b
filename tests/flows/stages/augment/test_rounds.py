"""Rounds, targets of subjects, choosing among accepted candidates, costs, the forecast: in pieces, and as a stage."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import BaseModel

from corpora.errors import IntegrityError, ParamsError
from corpora.fingerprint import hash_bytes
from emoforge.projects.conductor import _print_forecast
from flows.artifacts.augmented import GateCost
from flows.artifacts.prepared import Prepared
from flows.asking import Ask
from flows.engine.store import WorkStore
from flows.params import Machine, Numerics, Rounds, Target, load_params
from flows.paths import Layout
from flows.stages.augment.candidates import Candidate, DrawSource
from flows.stages.augment.forecast import forecast_run, people_of, too_few
from flows.stages.augment.originals import Originals, keep_originals, originals_key
from flows.stages.augment.rounds import fill, subject_counts
from flows.stages.augment.tallies import Timings, cell_tally, class_tally, seconds_per_draw, spent, timings
from flows.stages.release import decide, notes
from flows.stages.report.report import write_report
from flows.stages.run import run_stage
from generators.draws.balance import Budget
from generators.draws.sources import SourceTable
from generators.draws.targets import Cell
from generators.generator import Condition, Device, Draw, Progress, TrainData
from tests.flows.conftest import TINY
from tests.flows.typed import balance, policy, summary, tally


class Dealer:
    """Stands where `Drawer` does: draw k of a cell passes the one gate if `passes` says so."""

    def __init__(self, sequence: DrawSource, passes: Any) -> None:
        self.sequence, self.passes, self.asked = sequence, passes, []

    def __call__(self, lists: list[list[Draw]], number: int) -> list[Candidate]:
        self.asked.append([len(draws) for draws in lists])
        return [
            Candidate(d, d.key(), "", number, f"{number}/{k}", i, {"luck": float(self.passes(d))}, {"luck": None})
            for k, draws in enumerate(lists)
            for i, d in enumerate(draws)
        ]


def candidate(i: int, key: str, **fate: Any) -> Candidate:
    return Candidate(Draw(Condition("a"), i), str(i), "", 1, key, i, **fate)


class Luck:
    better = "higher"
    lacks_reference: frozenset[str] = frozenset()
    drops_repeats = False


def played(wanted: list[Cell], passes: Any, budget: Budget, sequence: DrawSource | None = None) -> Any:
    gate: Any = {"luck": type("Fitted", (), {"gate": Luck})}
    limits = {"luck": {c.emotion: 1.0 for c in wanted}}
    dealer = Dealer(sequence or DrawSource(1, None), passes)
    return *fill(wanted, gate, limits, dealer, budget, 4), dealer


def test_each_cell_ends_for_its_own_reason() -> None:
    full, easy, hopeless = Cell("a", None, 9, 9), Cell("b", None, 4, 9), Cell("c", None, 1, 9)
    seen, stops, rounds, _ = played([full, easy, hopeless], lambda d: d.condition.emotion == "b", Budget())
    assert stops == {full: "complete", easy: "filled", hopeless: "acceptance"}
    assert [len(seen[c]) for c in (full, easy, hopeless)] == [0, 8, 56], "12, then 44 of which none passes"
    assert {r.emotion for r in rounds} == {"b", "c"} and all(c.cell is easy for c in seen[easy])
    _, stops, _, _ = played([hopeless], lambda d: False, Budget(max_rounds=1, give_up_after=99))
    assert stops == {hopeless: "rounds"}
    seen, stops, _, _ = played([hopeless], lambda d: False, Budget(max_draws=2, give_up_after=99))
    assert stops == {hopeless: "draws"} and len(seen[hopeless]) == 16


def test_a_cell_with_nothing_to_convert_is_told_and_the_others_go_on() -> None:
    of_subject = {
        "s:1": SourceTable(("s/1",), ("b",), ("s:1",)),
        "s:2": SourceTable(("s/2", "s/3"), ("a", "b"), ("s:2", "s:2")),
    }
    sequence = DrawSource(
        1, {None: SourceTable(("s/1", "s/2", "s/3"), ("b", "a", "b"), ("s:1", "s:2", "s:2"))}, of_subject
    )
    alone, other = Cell("b", None, 1, 4, "s:1"), Cell("b", None, 1, 4, "s:2")
    gone = Cell("a", None, 0, 1, "s:3")  # of whom no sample could be encoded
    seen, stops, _, dealer = played([alone, other, gone], lambda d: True, Budget(), sequence)
    assert stops == {alone: "no-source", other: "filled", gone: "no-source"} and dealer.asked == [[4]]
    assert {c.draw.source_ids for c in seen[other]} == {("s/2",)}
    row = class_tally("b", 2, seen, stops, ["luck"])
    assert row.stopped == "no-source" and not row.filled and row.target == 8


def test_a_budget_has_what_params_say() -> None:
    rounds = Rounds.model_validate({"max_rounds": 2, "max_draws": 3, "choose": {"gather": 1.5}, "min_acceptance": 0.1})
    assert rounds.budget(Target()) == Budget(max_rounds=2, max_draws=3.0, min_acceptance=0.1, gather=1.5)
    assert Rounds().budget(Target()) == Budget(), "one set of defaults"
    assert Rounds().budget(Target(spread=3)) == Budget(), "of samples that are counted nothing is spread"
    assert Rounds().budget(Target(by="weight", spread=3)) == Budget(spread=3.0)


def test_a_release_says_why_a_class_was_not_filled() -> None:
    row = tally("fear", False, accepted=1, stopped="acceptance")
    assert notes([], balance(row), summary()) == [
        "class 'fear' was not filled: 4 of 9 train samples (acceptance fell below the limit)"
    ]
    rules = policy("flag", "flag", "block")
    assert "fell below" in decide(rules, [], balance(row))[0][0]


def test_what_a_gate_costs() -> None:
    cell = Cell("a", None, 0, 2)
    fates = [(), (), ("x",), ("x",), ("x", "y"), ("y",), (), ("x",)]
    made = [candidate(i, "k", refused_by=f, failed=f[0] if f else None) for i, f in enumerate(fates)]
    made[6].surplus = True
    row = cell_tally(cell, made, {cell: "filled"}, ["x", "y", "z"])
    assert (row.accepted, row.surplus, row.filled, row.rejected) == (2, 1, True, {"x": 4, "y": 1})
    assert row.acceptance == 3 / 8 and row.draws_per_accepted == 8 / 3
    # without x three more pass: 8 / 6 draws for each instead of 8 / 3
    assert row.gates["x"].draws_per_accepted == pytest.approx(8 / 3 - 8 / 6)
    assert (row.gates["x"].refused, row.gates["x"].alone) == (4, 3)
    assert row.gates["y"].refused == 2 and row.gates["z"] == GateCost(refused=0, alone=0, draws_per_accepted=0)
    nothing = cell_tally(cell, made[2:6], {}, ["x"])
    assert nothing.draws_per_accepted is None and nothing.gates["x"].draws_per_accepted is None
    assert cell_tally(cell, [], {}, ["x"]).gates == {} and cell_tally(cell, [], {}, []).acceptance is None


def test_seconds_are_kept_beside_and_a_class_that_cost_nothing_now_keeps_what_it_had(tmp_path: Path) -> None:
    path = tmp_path / "timings" / "draws.json"
    assert timings(path) == Timings() and seconds_per_draw(Timings(), ["a"]) == {}
    cell, other = Cell("a", None, 0, 2), Cell("b", None, 0, 2)
    made = {c: [candidate(i, c.emotion) for i in range(4)] for c in (cell, other)}
    made[cell][0].failed = "x"
    told = spent(path, made, {"a": {"sample": 1.0, "x": 0.5}}, actors=2)
    assert told.to_json()["classes"] == {
        "a": {"draws": 4, "accepted": 3, "seconds": {"sample": 1.0, "x": 0.5}, "per_accepted_s": 0.5}
    }
    again = spent(path, made, {"a": {"x": 9.0}, "b": {"sample": 2.0}}, actors=2)
    assert again.classes["a"] == told.classes["a"], "scored anew, not drawn"
    assert seconds_per_draw(timings(path), ["a", "c"]) == {"a": 0.375, "c": pytest.approx((0.375 + 0.5) / 2)}
    path.write_text("{")
    assert timings(path) == Timings()


# -- the whole way, on the speech of six people

SMALL = copy.deepcopy(TINY["speech"])
SMALL["demo"]["tiny"]["per_class"] = {"anger": 18, "neutral": 12, "sadness": 9}
SMALL["runs"]["tiny"] |= {
    "generator": {"name": "transfer"},
    "gates": {
        "agreement": {"limit": {"absolute": 0.0}},
        "mcd": {"enabled": False},
        "variance": {"enabled": False},
        "copies": {"limit": {"absolute": 0.0}},
        "validity": {"limit": {"absolute": -1000.0}},
        "support": {"limit": {"absolute": 1000.0}},
    },
}


EARLY: list[Any] = []  # forecasts before anything was there, and before anything was prepared


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose generator is fitted, to be copied; nothing drawn yet."""
    folder = tmp_path_factory.mktemp("fitted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOFORGE_ACTORS", "0")
        (folder / "params.yaml").write_text(yaml.safe_dump(SMALL))
        EARLY.append(told_by(folder))
        for verb in ("fake", "ingest"):
            run_stage(verb, "tiny", repo=folder)
        EARLY.append(told_by(folder))
        for verb in ("plan", "prepare", "fit"):
            run_stage(verb, "tiny", repo=folder)
        yield folder


def augmented(base: Path, folder: Path, **run: Any) -> Path:
    """`folder` (made from `base` if it is not there) with these parameters of the run, planned and augmented."""
    if not folder.exists():
        shutil.copytree(base, folder, symlinks=True)
    params = copy.deepcopy(SMALL)
    params["runs"]["tiny"] |= run
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    for verb in ("plan", "augment"):
        run_stage(verb, "tiny", repo=folder)
    return folder / "data/runs/tiny/augmented"


def balance_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "balance.json").read_text())


def told_by(folder: Path) -> Any:
    params = load_params(folder / "params.yaml")
    return forecast_run("tiny", params.run("tiny"), Numerics(draw_list=4), Machine(actors=2), Layout(folder))


def test_every_subject_gets_the_classes_that_it_lacks(fitted: Path, tmp_path: Path) -> None:
    out = augmented(fitted, tmp_path / "p", target={"policy": "majority", "cells": "subject"})
    prepared = tmp_path / "p/data/runs/tiny/prepared"
    train = {r["sample_id"] for r in pq.read_table(prepared / "splits.parquet").to_pylist() if r["split"] == "train"}
    real = subject_counts(pq.read_table(prepared / "index.parquet"), train)["tiny"]
    made = pq.read_table(out / "index.parquet").to_pylist()
    subjects = {r["sample_id"]: r["subject_id"] for r in pq.read_table(prepared / "index.parquet").to_pylist()}
    assert made and all(subjects[r["source_ids"][0]] == r["subject_id"] for r in made)
    told = {(c["subject"], c["emotion"]): c for c in balance_of(out)["cells"]}
    assert len(told) == 3 * len(real)
    for subject, counts in real.items():
        for emotion in ("anger", "neutral", "sadness"):
            n = sum(r["subject_id"] == subject and r["emotion"] == emotion for r in made)
            row = told[subject, emotion]
            assert counts.get(emotion, 0) + n == row["target"] == max(counts.values()), (subject, emotion)
            assert n == row["accepted"] and row["filled"] and row["corpus"] is None
    write_report(out.parent, tmp_path / "p/data/corpora", tmp_path / "page.html", generated=None)
    page = (tmp_path / "page.html").read_text()
    assert "Each subject on its own" in page and "target reached" in page and "agreement rejects" in page


def test_weights_are_of_a_cell_and_come_to_what_it_lacks(fitted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    shutil.copytree(fitted, folder, symlinks=True)
    out = augmented(fitted, folder, target={"cells": "subject", "by": "weight", "spread": 3})
    subjects = {
        r["sample_id"]: r["subject_id"] for r in pq.read_table(out.parent / "prepared/index.parquet").to_pylist()
    }
    made = pq.read_table(out / "index.parquet").to_pylist()
    cells = balance_of(out)["cells"]
    for cell in cells:
        own = [r for r in made if (r["subject_id"], r["emotion"]) == (cell["subject"], cell["emotion"])]
        assert sum(r["weight"] for r in own) == pytest.approx(cell["effective"])
        assert {subjects[r["source_ids"][0]] for r in own} <= {cell["subject"]}
        assert cell["effective"] == min(cell["target"] - cell["real_train"], cell["accepted"])
    assert any(c["accepted"] > c["effective"] for c in cells) and len({r["weight"] for r in made}) > 1
    told = {c.emotion: c for c in told_by(folder).classes}
    for row in balance_of(out)["classes"]:
        assert (told[row["emotion"]].draws, told[row["emotion"]].stopped) == (row["candidates"], row["stopped"])


def test_choosing_draws_nothing_and_is_on_record(fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "p"
    out = augmented(fitted, folder, rounds={"choose": {"gather": 2.0}})
    first = pq.read_table(out / "accepted.parquet").to_pylist()
    scores = (out / "scores.parquet").read_bytes()
    lacking = {r["emotion"]: r["target"] - r["real_train"] for r in balance_of(out)["classes"]}
    for emotion, n in lacking.items():
        own = [r for r in first if r["emotion"] == emotion]
        assert [r["place"] for r in own] == [i if i < n else None for i in range(len(own))]
        assert len(own) >= 2 * n and [r["released"] for r in own] == [i < n for i in range(len(own))]

    from flows.stages.augment.sampler import Sampler

    def never(*_: Any) -> None:
        raise AssertionError("drawn or scored again")

    monkeypatch.setattr(Sampler, "_sample", never)
    monkeypatch.setattr(Sampler, "_score", never)
    released = {"first": {r["sample_id"] for r in first if r["released"]}}
    ways = {
        "random": {"by": "random"},
        "coverage": {"by": "diverse", "dims": 8},
        "k-centre": {"by": "diverse", "spread": "k-centre", "dims": 8},
    }
    for name, way in ways.items():
        out = augmented(fitted, folder, rounds={"choose": {"gather": 2.0, **way}})
        rows = pq.read_table(out / "accepted.parquet").to_pylist()
        assert [r["sample_id"] for r in rows] == [r["sample_id"] for r in first], "the same candidates are accepted"
        assert (out / "scores.parquet").read_bytes() == scores, "scores keep all of them"
        released[name] = {r["sample_id"] for r in rows if r["released"]}
        assert released[name] == set(pq.read_table(out / "index.parquet")["sample_id"].to_pylist())
        for row in balance_of(out)["classes"]:
            assert row["filled"] and row["accepted"] == lacking[row["emotion"]]
        assert balance_of(out)["chosen"]["by"] == way["by"]
    assert len({frozenset(ids) for ids in released.values()}) == 4
    assert "functionals" in balance_of(out)["chosen"]["embedding"]


def test_an_interrupted_run_chooses_what_a_whole_one_does(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = {"rounds": {"choose": {"by": "diverse", "gather": 1.5, "dims": 8}}, "target": {"cells": "subject"}}
    whole = augmented(fitted, tmp_path / "whole", **way)

    from flows.stages.augment.candidates import Drawer

    real_call = Drawer.__call__

    def interrupted(self: Any, lists: list[list[Draw]], number: int) -> Any:
        real_call(self, lists[::3], number)
        raise KeyboardInterrupt

    monkeypatch.setattr(Drawer, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        augmented(fitted, tmp_path / "broken", **way)
    monkeypatch.setattr(Drawer, "__call__", real_call)
    out = augmented(fitted, tmp_path / "broken", **way)
    for name in ("index.parquet", "accepted.parquet", "scores.parquet", "balance.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_class_that_nothing_passes_is_given_up_and_the_forecast_learns_of_it(fitted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    shutil.copytree(fitted, folder, symlinks=True)
    before = told_by(folder)
    assert before.counts_from == "prepared data" and before.classes[0].seconds is None
    fresh = {c.emotion: c for c in before.classes}
    assert {c.known_from for c in before.classes} == {"prior (75%)"}
    alone = {"agreement": {"limit": {"absolute": 2.0}}, "support": {"limit": {"absolute": 1e6}}}
    hard = copy.deepcopy(SMALL["runs"]["tiny"]["gates"]) | alone
    out = augmented(fitted, folder, gates=hard, rounds={"give_up_after": 1})
    for row in balance_of(out)["classes"]:
        lacks = row["target"] > row["real_train"]
        assert row["stopped"] == ("acceptance" if lacks else "complete") and row["filled"] == (not lacks)
        assert fresh[row["emotion"]].missing == row["target"] - row["real_train"]
        if lacks:
            assert row["acceptance"] == 0.0 and row["draws_per_accepted"] is None
            assert row["gates"]["agreement"] == {
                "refused": row["candidates"],
                "alone": row["candidates"],
                "draws_per_accepted": None,
            }
    told = json.loads(Layout(folder).timing_file("draws", "tiny").read_text())["classes"]
    assert all(row["seconds"]["sample"] > 0 and row["per_accepted_s"] is None for row in told.values())
    after = {c.emotion: c for c in told_by(folder).classes if c.missing}
    for emotion, c in after.items():
        assert c.known_from == "last run" and c.acceptance < fresh[emotion].acceptance
        assert c.seconds is not None and c.seconds > 0 and c.draws >= fresh[emotion].draws


def test_a_forecast_before_anything_is_there(fitted: Path) -> None:
    nothing, ingested = EARLY
    late = told_by(fitted)
    assert "ingested" in nothing.reason and nothing.classes == ()
    assert ingested.counts_from.startswith("ingested") and late.counts_from == "prepared data"
    assert ingested.classes == late.classes and late.classes, "nothing was refused here"


def test_a_forecast_says_where_there_is_too_little_to_learn_from(
    fitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for told in (EARLY[1], told_by(fitted)):
        assert {c.emotion: (c.real, c.people) for c in told.classes} == {
            "anger": (6, 2),
            "neutral": (4, 2),
            "sadness": (3, 2),
        }
        for c in told.classes:
            assert c.warning == f"{c.real} real samples of 2 people: too few to learn the class from"
            assert c.as_dict()["warning"] == c.warning and c.as_dict()["people"] == 2
    _print_forecast(told)
    shown = " ".join(capsys.readouterr().out.split())
    assert "tiny: sadness has 3 real samples of 2 people: too few to learn the class from" in shown
    assert "target reached" not in shown and "75%" not in shown and "too few to tell" in shown


def test_a_forecast_counts_mixtures(fitted: Path) -> None:
    params = load_params(fitted / "params.yaml")
    plain, mixture = params.run("tiny"), {"of": {"sadness": 1, "anger": 1}, "number": 9}
    asked = plain.model_copy(update={"ask": Ask.model_validate({"mixtures": [mixture]})})
    of_run = [
        forecast_run("tiny", run, Numerics(draw_list=4), Machine(actors=2), Layout(fitted)) for run in (plain, asked)
    ]
    assert of_run[0] is not None and of_run[1] is not None
    *classes, mixed = of_run[1].classes
    assert tuple(classes) == of_run[0].classes, "classes are as they were"
    assert (mixed.emotion, mixed.real, mixed.target, mixed.missing) == ("0.5 anger + 0.5 sadness", 0, 9, 9)
    assert (mixed.draws, mixed.stopped, mixed.people, mixed.warning) == (12, "filled", None, "")


@pytest.mark.parametrize(
    ("real", "people", "says"),
    [
        (5, 2, "5 real samples of 2 people: too few to learn the class from"),
        (19, 12, "19 real samples of 12 people: too few to learn the class from"),
        (400, 2, "400 real samples of 2 people: too few to learn the class from"),
        (1, 1, "1 real sample of 1 person: too few to learn the class from"),
        (0, 0, "0 real samples: too few to learn the class from"),
        (5, None, "5 real samples: too few to learn the class from"),
        (20, 3, ""),
        (20, None, ""),
        (4000, 900, ""),
    ],
)
def test_too_few(real: int, people: int | None, says: str) -> None:
    assert too_few(real, people) == says


def test_people_are_counted_once_and_nobody_is_not_one() -> None:
    counts = {"a": {"a:1": {"fear": 2, "joy": 0}, "a:2": {"joy": 1}}, "b": {"b:1": {"fear": 1}, None: {"joy": 3}}}
    assert people_of(counts, "fear") == 2 and people_of(counts, "joy") is None and people_of(counts, "calm") == 0


def test_cells_of_subjects_are_refused_where_they_would_be_a_fake(fitted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    with pytest.raises(ParamsError, match=r"'cvae' makes samples of nobody"):
        augmented(
            fitted,
            folder,
            target={"cells": "subject"},
            generator={"name": "cvae", "steps": 2, "params": {"width": 8, "latent": 4}},
        )


class Speaker:
    """A sample of the subject and a little noise: the smallest generator that honours "subject"."""

    class Params(BaseModel):
        pass

    name, takes, trains, honours = "speaker", (), False, frozenset({"subject"})
    layouts = frozenset({"rows"})
    asked: ClassVar[set[str | None]] = set()

    def __init__(self, spec: Any, classes: Any) -> None:
        self.spec, self.classes, self.means = spec, tuple(classes), {}

    @classmethod
    def can_honour(cls, params: Any) -> frozenset[str]:
        return cls.honours

    def fit(self, data: TrainData, **_: Any) -> Iterator[Progress]:
        for subject in set(data.subjects):
            own = [i for i, s in enumerate(data.subjects) if s == subject]
            self.means[str(subject)] = np.asarray(data.arrays[own[0]], np.float32)
        yield Progress(1, 1, {"loss": 0.0}, 0.0)

    def sample(self, draws: Any, sources: Any = None, *, device: Device) -> np.ndarray:
        Speaker.asked |= {d.condition.subject for d in draws}
        rows = []
        for draw in draws:
            row = self.means[draw.condition.subject].copy()
            row[:, :4] += np.random.default_rng(draw.seed).normal(0, 0.05, row[:, :4].shape)
            rows.append(row)
        return np.stack(rows)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        names = sorted(self.means)
        np.save(folder / "means.npy", np.stack([self.means[s] for s in names]))
        (folder / "config.json").write_text(json.dumps({"subjects": names, "classes": self.classes}))

    @classmethod
    def load(cls, folder: Path, *, device: Device) -> Speaker:
        config = json.loads((folder / "config.json").read_text())
        made = cls(None, config["classes"])
        made.means = dict(zip(config["subjects"], np.load(folder / "means.npy"), strict=True))
        return made


def test_a_generator_that_honours_subjects_is_asked_for_them(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from generators import generator

    monkeypatch.setitem(generator.GENERATORS, "speaker", "tests.flows.stages.augment.test_rounds:Speaker")
    folder = tmp_path / "p"
    shutil.copytree(fitted, folder, symlinks=True)
    params = copy.deepcopy(SMALL)
    params["runs"]["tiny"] |= {"generator": {"name": "speaker"}, "target": {"cells": "subject"}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    for verb in ("plan", "fit", "augment"):
        run_stage(verb, "tiny", repo=folder)
    out = folder / "data/runs/tiny/augmented"
    made = pq.read_table(out / "index.parquet").to_pylist()
    people = {c["subject"] for c in balance_of(out)["cells"]}
    assert made and None not in people and Speaker.asked <= people
    assert all(r["subject_id"] in people and r["corpus"] == "syn" for r in made)
    assert all(r["group_id"] == r["subject_id"] for r in made), "RAVDESS is split by subject"


def test_payloads_are_kept_byte_for_byte_where_they_are_edited(fitted: Path, tmp_path: Path) -> None:
    prepared = Prepared.open(fitted / "data/runs/tiny/prepared")
    store, cache = WorkStore(str(tmp_path / "store")), tmp_path / "cache"
    plain, whole = (keep_originals(prepared, store, cache, edited=edited) for edited in (False, True))
    assert plain == originals_key(prepared, edited=False) != whole
    ids, index = prepared.encoded_ids(), {r["sample_id"]: r for r in prepared.index().to_pylist()}
    bare, originals = (Originals(store.fetch_folder(key, tmp_path / "node")) for key in (plain, whole))
    np.testing.assert_array_equal(originals.arrays(ids[:3]), prepared.arrays()[:3])
    for sample_id, row in ((i, index[i]) for i in ids):
        payload = originals.payload(sample_id)
        assert hash_bytes(payload.data) == row["sha256"]
        assert (payload.codec, payload.duration_s) == (row["codec"], row["duration_s"])
    for one, name in ((bare, ids[0]), (originals, "tiny/nobody")):
        with pytest.raises(IntegrityError, match=f"no payload of '{name}'"):
            one.payload(name)
    with pytest.raises(IntegrityError, match="no sample 'tiny/nobody'"):
        bare.arrays(["tiny/nobody"])
