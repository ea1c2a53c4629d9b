"""The drills can see what they look for: with stages that stand in for the real ones, right and wrong."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.drills import clock, cluster, disk, kills, losses, project, servers, twice
from benchmarks.drills.__main__ import main, parser
from benchmarks.drills.project import OUTS, PUBLISH, STAGES

# stands where `python -m emoforge` stands. WHOLE: outs appear by rename; else they are written where they stand, and
# what is there already is taken for done
STAND_IN = """
import os, sys, time
from pathlib import Path
OUTS, WHOLE = {outs!r}, {whole!r}
verb = sys.argv[1:]
if verb == ["init"]:
    Path("data").mkdir()
    os.system("git init -q")
elif verb[0] == "stage":
    for out in OUTS.get(verb[1], ()):
        place = Path(out)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            continue
        target = place.with_name("." + place.name + ".tmp") if WHOLE else place
        with target.open("w") as file:
            for part in range(4):
                file.write(str(part))
                file.flush()
                until = time.process_time() + 0.05
                while time.process_time() < until:
                    pass
        target.replace(place)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """whole -> stages that are so; publish and DVC do nothing."""

    def use(*, whole: bool) -> None:
        script = tmp_path / "stand_in.py"
        script.write_text(STAND_IN.format(outs=OUTS, whole=whole))
        monkeypatch.setattr(project, "EMOFORGE", [sys.executable, "-S", str(script)])
        monkeypatch.setattr(project, "DVC", [sys.executable, "-S", "-c", "pass"])

    return use


@pytest.mark.parametrize("whole", [True, False])
def test_a_stage_that_leaves_half_of_its_outs_is_seen(stand_in: object, tmp_path: Path, whole: bool) -> None:
    stand_in(whole=whole)  # type: ignore[operator]
    every = kills.drill(4, 2, tmp_path / "work", ["plan", "release"], lambda one: None)
    assert [one.stage for one in every] == ["plan", "release"] * 2, "each stage has its turn"
    assert any(one.landed for one in every)
    assert all(one.same for one in every) is whole
    assert [one.left for one in every] == [0] * 4
    assert kills.table(every).endswith(f"{sum(one.landed for one in every)} of 4 kills landed")


def test_the_state_before_is_put_back(stand_in: object, tmp_path: Path) -> None:
    stand_in(whole=True)  # type: ignore[operator]
    one = project.Project(tmp_path / "place")
    one.begin()
    (one.folder / ".emoforge").mkdir()
    (one.folder / ".emoforge" / "item").write_text("finished")
    one.keep(tmp_path / "state")
    before = one.names()
    one.finish("plan")
    (one.folder / "data" / "more").write_text("")
    assert one.names() != before
    one.put_back(tmp_path / "state", store=True)
    assert one.names() == before and (one.folder / ".emoforge" / "item").is_file()
    one.put_back(tmp_path / "state", store=False)
    assert not (one.folder / ".emoforge").exists()


def test_what_is_asked_for() -> None:
    asked = parser().parse_args(["kills", "--stages", "publish,fit"])
    assert asked.stages == ["fit", "publish"] and asked.kills == 100
    with pytest.raises(SystemExit):
        parser().parse_args(["kills", "--stages", "fti"])
    assert set(OUTS) == set(STAGES) - {PUBLISH}


def test_the_same_command_is_given_again_and_not_for_ever(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text("what it said last")
    lab, answers = SimpleNamespace(work=tmp_path), iter([False, True])
    assert losses._again(lambda: next(answers), lab) == 2  # type: ignore[arg-type]
    with pytest.raises(project.DrillError, match=rf"(?s)failed {losses.TRIES} times.*what it said last"):
        losses._again(lambda: False, lab)  # type: ignore[arg-type]
    asked = parser().parse_args(["losses", "--kinds", "worker,actor"])
    assert (asked.kinds, asked.kills) == (["actor", "worker"], 20)


def test_a_drill_that_cannot_be_done_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(servers, "postgresql_programs", lambda: None)
    monkeypatch.setattr(servers, "may_hide", lambda: True)
    assert main(["cluster", "--databases", "postgresql"]) == 2
    assert "PostgreSQL is not installed" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kills_of_every_stage(tmp_path: Path) -> None:
    every = kills.drill(len(STAGES), 1, tmp_path)
    assert [one.stage for one in every] == list(STAGES)
    assert all(one.same and one.left == 0 for one in every), kills.table(every)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_clock_is_set_back_and_forward(tmp_path: Path) -> None:
    if why := clock.why_not():
        pytest.skip(why)
    every = clock.drill(1, tmp_path)
    assert all(one.same for one in every), every


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_disk_that_is_full_or_closed_at_every_stage(tmp_path: Path) -> None:
    if why := disk.why_not():
        pytest.skip(why)
    every = disk.drill(tmp_path)
    stages = [stage for stage in STAGES if stage != PUBLISH]
    at_data = [one for one in every if one.kind != disk.STORE]
    assert [(one.stage, one.kind) for one in at_data] == [(stage, kind) for stage in stages for kind in disk.KINDS]
    assert [one.stage for one in every if one.kind == disk.STORE] == ["augment"]
    assert all(one.same for one in every), every
    small = ("reader", "plan")  # may find room for what little they write
    assert all(one.code for one in every if one.kind == "read-only" or one.stage not in small), every


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_stage_twice_at_once(tmp_path: Path) -> None:
    every = twice.drill(tmp_path)
    assert all(one.same for one in every), every


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_actor_node_server_and_worker_are_lost_once_each() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as work:  # paths of Ray's sockets have to be short
        every = losses.drill(len(losses.KINDS), 1, Path(work).resolve())
    assert [one.kind for one in every] == list(losses.KINDS)
    assert all(one.same for one in every), every


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("database", cluster.DATABASES)
def test_workers_that_share_no_disk_make_the_laptops_release(database: str) -> None:
    """And once more where one of them is killed."""
    pytest.importorskip("moto")
    if why := servers.why_not(database):
        pytest.skip(why)
    with tempfile.TemporaryDirectory(dir="/tmp") as work:  # paths of Ray's sockets have to be short
        every = cluster.drill(Path(work).resolve(), [database])
    assert all(one.same for one in every), every
    assert all(one.flow_runs == 1 and all(one.actors) for one in every)
    assert [one.lost for one in every] == [False, True]
