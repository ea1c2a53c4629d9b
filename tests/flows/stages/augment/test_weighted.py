"""Samples that are weighted instead of counted: every source serves once, in pieces and from raw corpus to reader."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from corpora.errors import ParamsError
from corpora.store.release import open_release
from emoforge.summary import print_balance
from flows.artifacts.augmented import Augmented
from flows.params import Params
from flows.stages.augment.candidates import Candidate, DrawSource
from flows.stages.augment.tallies import cell_tally, class_tally
from flows.stages.release import decide, notes
from flows.stages.report.report import write_report
from flows.stages.run import run_stage
from generators.draws.balance import Budget
from generators.draws.sources import SourceTable
from generators.draws.targets import Cell
from generators.generator import Condition, Draw
from tests.flows.conftest import TINY
from tests.flows.stages.augment.test_rounds import played
from tests.flows.typed import balance, policy, summary, tally


def table(n: int) -> SourceTable:
    """n samples of b, none of another class."""
    return SourceTable(tuple(f"s/{i}" for i in range(n)), ("b",) * n, (None,) * n)


def test_what_the_generator_refuses_is_not_drawn_and_gives_no_source() -> None:
    rows = SourceTable(("s/1", "s/2", "s/3"), ("a", "b", "c"), (None,) * 3).without({"a": "2 samples"})
    assert rows.ids == ("s/2", "s/3")
    sequence = DrawSource(1, {None: rows}, refuses={"a": "2 samples"})
    few, other = Cell("a", None, 2, 4), Cell("b", None, 3, 4)
    seen, stops, _, dealer = played([few, other], lambda d: True, Budget(), sequence)
    assert stops == {few: "refused", other: "filled"} and not seen[few] and dealer.asked == [[4]]
    assert {c.draw.source_ids for c in seen[other]} == {("s/3",)}
    row = class_tally("a", 2, seen, stops, ["luck"])
    assert row.stopped == "refused" and not row.filled


def test_each_source_of_a_cell_serves_once_in_the_cell_s_order() -> None:
    cell, sequence = Cell("a", None, 1, 6), DrawSource(1, {None: table(30)})
    seen, stops, rounds, dealer = played([cell], lambda d: True, Budget(spread=4, give_up_after=2), sequence)
    own = [c.draw for c in seen[cell]]
    assert stops == {cell: "spread"} and len(own) == 20 and len({d.source_ids for d in own}) == 20
    assert own == sequence.draws(cell, 0, 20), "draw k is the draw that it is by count"
    assert [r.candidates for r in rounds] == [8, 12] and dealer.asked == [[4, 4], [4, 4, 4]]
    more, stops, _, _ = played([cell], lambda d: True, Budget(spread=100), sequence)
    assert stops == {cell: "served"} and len(more[cell]) == 30, "of whole lists the two that would serve twice are left"
    assert [c.draw for c in more[cell]][:20] == own and {c.draw.source_ids for c in more[cell]} == {
        (i,) for i in table(30).ids
    }


def test_a_cell_of_which_nothing_passes_is_given_up_after_the_first_lists() -> None:
    cell, full = Cell("a", None, 1, 9), Cell("b", None, 9, 9)
    sequence = DrawSource(1, {None: table(90)})
    seen, stops, _, _ = played([cell, full], lambda d: False, Budget(spread=8, give_up_after=2), sequence)
    assert stops == {cell: "acceptance", full: "complete"} and len(seen[cell]) == 8
    none, stops, _, _ = played([Cell("b", None, 1, 2)], lambda d: True, Budget(spread=8), sequence)
    assert list(stops.values()) == ["no-source"] and not any(none.values())


def test_a_tally_says_rows_and_what_they_count_for() -> None:
    def rows(n: int, passed: int) -> list[Candidate]:
        made = [Candidate(Draw(Condition("a"), i), str(i), "", 1, "k", i) for i in range(n)]
        for candidate in made[passed:]:
            candidate.failed = "x"
        return made

    one, two = Cell("a", "m", 4, 10), Cell("a", "n", 2, 10)
    seen = {one: rows(30, 20), two: rows(30, 5)}
    of_class = class_tally("a", 6, seen, {one: "spread", two: "served"}, ["x"])
    assert (of_class.accepted, of_class.effective, of_class.filled, of_class.stopped) == (25, 6 + 5, False, "spread")
    filled = cell_tally(one, seen[one], {one: "spread"}, ["x"])
    assert (filled.effective, filled.filled, filled.counted) == (6, True, "6 (20 weighted)")
    short = tally("fear", False, accepted=4, effective=4, stopped="served")
    assert "7 of 9 train samples (every source served)" in notes([], balance(short), summary())[0]
    assert "has 7 of 9" in decide(policy("flag", "flag", "block"), [], balance(short))[0][0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rounds": {"choose": {"gather": 1.5}}}, "nothing to choose"),
        ({"rounds": {"choose": {"by": "diverse"}}}, "nothing to choose"),
        ({"target": {"by": "weight", "spread": 0.5}}, "spread"),
        ({"target": {"by": "weigth"}}, "count"),
    ],
)
def test_params_that_do_not_fit_are_refused(change: dict[str, Any], says: str) -> None:
    params: dict[str, Any] = yaml.safe_load(yaml.safe_dump(TINY["faces"]))
    params["runs"]["tiny"] |= {"target": {"by": "weight"}, "generator": {"name": "transfer"}} | change
    with pytest.raises(ValueError, match=says):
        Params.model_validate(params)


# -- the whole way, on faces


def params_of(**target: Any) -> dict[str, Any]:
    params: dict[str, Any] = yaml.safe_load(yaml.safe_dump(TINY["faces"]))
    run = params["runs"]["tiny"]
    run |= {"generator": {"name": "transfer"}, "representation": {"name": "pixels", "size": 16}, "target": target}
    return params


@pytest.fixture(scope="module")
def weighted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("weighted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOFORGE_ACTORS", "0")
        (folder / "params.yaml").write_text(yaml.safe_dump(params_of(by="weight", spread=6)))
        for verb in ("fake", "ingest", "plan", "prepare", "fit", "augment", "evaluate", "release"):
            run_stage(verb, "tiny", repo=folder)
        yield folder


def test_weights_of_a_class_come_to_what_it_lacks(weighted: Path) -> None:
    out = Augmented.open(weighted / "data/runs/tiny/augmented")
    made, accepted = out.index().to_pylist(), out.accepted().to_pylist()
    told = {t.emotion: t for t in out.balance().classes}
    assert sum(t.target > t.real_train for t in told.values()) == 2
    for emotion, row in told.items():
        own = [r for r in made if r["emotion"] == emotion]
        lacking = row.target - row.real_train
        assert len(own) == row.accepted and row.surplus == 0 and row.effective == min(lacking, row.accepted)
        assert sum(r["weight"] for r in own) == pytest.approx(row.effective)
        assert len({r["weight"] for r in own}) <= 1 and len({r["source_ids"][0] for r in own}) == len(own)
        sources = sum(t.real_train for t in told.values()) - row.real_train
        assert row.candidates == (min(sources, 6 * lacking) if lacking else 0)
        assert row.stopped == ("complete" if not lacking else "served" if sources <= 6 * lacking else "spread")
        assert row.accepted > lacking or not lacking, "rows beyond the missing number, or this tests nothing"
    assert {r["sample_id"]: r["weight"] for r in accepted} == {r["sample_id"]: r["weight"] for r in made}
    assert out.balance().chosen.by == "all"


def test_a_trainer_reads_them_from_the_json_the_table_or_draws(weighted: Path) -> None:
    folder = weighted / "data/runs/tiny/release"
    release = open_release(folder)
    release.verify()
    target = max(t.target for t in Augmented.open(folder.parent / "augmented").balance().classes)
    balance = release.balance()
    assert {name: pytest.approx(one.weight) for name, one in balance.items()} == dict.fromkeys(balance, target)
    drawn = open_release(folder, weights="draw").balance()
    assert {name: one.real + one.synthetic for name, one in drawn.items()} == dict.fromkeys(balance, target)
    in_json: Counter[str] = Counter()
    for tar in sorted((folder / "shards").glob("train-*.tar")):
        with tarfile.open(tar) as file:
            for member in file:
                if member.name.endswith(".json"):
                    about = json.load(io.TextIOWrapper(file.extractfile(member)))  # type: ignore[arg-type]
                    in_json[about["emotion"]] += about.get("weight", 1.0)
    assert {name: pytest.approx(n) for name, n in in_json.items()} == dict.fromkeys(balance, target)
    manifest = release.manifest
    assert manifest["format"] == "emoforge-release/3.3"
    for name, count in manifest["counts"]["train"].items():
        assert count["synthetic"] == balance[name].synthetic
        assert count["effective"] == target - count["real"]
    assert any("count for" in note for note in manifest["notes"])
    assert "| which count for |" in (folder / "README.md").read_text()


def test_the_trial_trains_with_the_weights_and_the_report_shows_both_numbers(
    weighted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = weighted / "data/runs/tiny"
    told = Augmented.open(run / "augmented").balance().classes
    uplift = json.loads((run / "evaluation/uplift.json").read_text())
    assert uplift["synthetic_weight"] == pytest.approx(sum(t.effective for t in told), abs=0.01)
    assert uplift["n_synthetic"] == sum(t.accepted for t in told)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["effective"] == sum(t.effective for t in told) < metrics["accepted"]
    write_report(run, weighted / "data/corpora", tmp_path / "page.html", generated=None)
    page = (tmp_path / "page.html").read_text()
    assert "which count for" in page and "all of them, weighted" in page and "weighted)" in page
    print_balance("tiny", Augmented.open(run / "augmented").balance())
    assert "weighted)" in capsys.readouterr().out


def test_a_higher_spread_goes_on_with_what_is_drawn_and_a_count_draws_nothing_new(
    weighted: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Draws and their order are those that a run by count has: one is the beginning of the other."""
    from flows.stages.augment.sampler import Sampler

    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    run = weighted / "data/runs/tiny/augmented"
    whole = {name: (run / name).read_bytes() for name in ("index.parquet", "balance.json", "scores.parquet")}
    wide = [r["sample_id"] for r in pq.read_table(run / "scores.parquet").to_pylist() if r["gate"] == "validity"]
    drawn: list[int] = []
    real = Sampler._sample

    def counted(self: Any, key: str, draws: list[Draw], generator: str) -> None:
        drawn.append(len(draws))
        real(self, key, draws, generator)

    monkeypatch.setattr(Sampler, "_sample", counted)

    def again(**target: Any) -> list[str]:
        (weighted / "params.yaml").write_text(yaml.safe_dump(params_of(**target)))
        for verb in ("plan", "augment"):
            run_stage(verb, "tiny", repo=weighted)
        return [r["sample_id"] for r in pq.read_table(run / "scores.parquet").to_pylist() if r["gate"] == "validity"]

    try:
        assert set(again(by="weight", spread=2)) < set(wide) and not drawn
        assert set(pq.read_table(run / "index.parquet")["weight"].to_pylist()) != {None}
        assert set(again()) < set(wide) and not drawn
        assert set(pq.read_table(run / "index.parquet")["weight"].to_pylist()) == {None}, "by count none is written"
    finally:
        again(by="weight", spread=6)
    assert {name: (run / name).read_bytes() for name in whole} == whole and not drawn
    assert np.isfinite([r["weight"] for r in pq.read_table(run / "index.parquet").to_pylist()]).all()


def test_a_generator_without_sources_is_refused_when_the_run_is_planned(weighted: Path, tmp_path: Path) -> None:
    params = params_of(by="weight")
    params["runs"]["tiny"]["generator"] = {"name": "cvae", "steps": 2, "params": {"width": 8, "latent": 4}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/corpora").symlink_to(weighted / "data/corpora")
    with pytest.raises(ParamsError, match="'cvae' takes no source"):
        run_stage("plan", "tiny", repo=tmp_path)
