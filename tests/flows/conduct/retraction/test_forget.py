"""What is taken out stays out: the record, what it covers, what stands on it, and who says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from corpora.errors import CorpusError, IntegrityError, UnknownNameError, UserError
from corpora.schema import SAMPLES
from corpora.store.release import open_release
from corpora.store.removed import NOTICE, RetractedWarning
from corpora.store.shards import read_table
from corpora.store.verify import check_release
from flows.conduct.retraction.covered import Thing
from flows.conduct.retraction.forget import forget
from flows.paths import Layout
from flows.releases.places import find_release
from flows.releases.tombstones import removals
from flows.stages.ingest.retracted import (
    Filter,
    keys_of,
    require_not_retracted,
    retraction_key,
    retractions,
    rows_covered,
)
from tests.flows.conduct.retraction.project_of_faces import of_c, project
from tests.flows.releases.published import Published

PERSON = Thing("subject", "c:s0")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Published:
    made = project(tmp_path_factory.mktemp("faces"))
    forget(PERSON, repo=made.folder, dry_run=True)  # fetches the versions' tables, once for all tests
    return made


@pytest.fixture
def repo(built: Published, tmp_path: Path) -> Path:
    shutil.copytree(built.folder.parent, tmp_path / "all", symlinks=True)
    folder = tmp_path / "all" / "project"
    config = folder / ".dvc" / "config"
    config.write_text(config.read_text().replace(str(built.remote), str(tmp_path / "all" / "remote")))
    return folder


def test_a_person_goes_with_equal_and_near_copies_in_every_corpus(repo: Path) -> None:
    done = forget(PERSON, repo=repo, reason="asked to", today="2026-11-30")
    assert done.covered.own == ("c/0", "c/4")
    assert done.covered.near == {"c": ("c/5",), "d": ("d/1", "d/2")}
    assert len(done.covered.payloads) == 4  # c/4 and d/2 share one
    assert (done.runs, done.without) == (("tiny", "both", "other"), ())
    (one,) = retractions(Layout(repo))
    assert one == done.retraction and one.sentence == "a subject of c was retracted on 2026-11-30 (asked to)"
    text = done.written.read_text(encoding="utf-8") if done.written else ""
    assert "s0" not in text and "c/0" not in text and "d/1" not in text  # no id in the tracked file


def test_a_dry_run_writes_nothing(repo: Path) -> None:
    assert forget(PERSON, repo=repo, dry_run=True).written is None
    assert not Layout(repo).retractions.exists()


def test_versions_that_hold_it_say_so_and_others_do_not(repo: Path, recwarn: pytest.WarningsRecorder) -> None:
    (touched,) = forget(PERSON, repo=repo, reason="asked to", today="2026-11-30").retraction.versions
    assert (touched.tag, touched.real, touched.direct, touched.fitted, touched.judged) == ("tiny@v1.0.0", 3, 1, 3, True)
    (removal,) = removals("tiny@v1.0.0", repo)
    assert "3 real samples, 1 samples made from them" in removal.sentence and removals("tiny@v1.1.0", repo) == []
    old = find_release("tiny@v1.0.0", repo).release
    with pytest.warns(RetractedWarning, match="asked to"):
        open_release(old)
    checked = check_release(old)
    assert checked.intact and checked.removed == (removal.sentence,) and checked.extra == ()
    recwarn.clear()
    open_release(find_release("tiny@v1.1.0", repo).release)
    assert not recwarn.list
    # the notice follows what is known now
    next(Layout(repo).retractions.glob("*.json")).unlink()
    assert not (find_release("tiny@v1.0.0", repo).release / NOTICE).exists()


def test_again_it_is_the_same_and_adds_what_has_come(repo: Path) -> None:
    first = forget(PERSON, repo=repo, reason="asked to", today="2026-11-30")
    assert forget(PERSON, repo=repo, today="2026-12-24").retraction == first.retraction
    shutil.rmtree(repo / "data/corpora")  # ingested anew without it
    again = forget(PERSON, repo=repo)
    assert again.known and again.retraction == first.retraction
    with pytest.raises(UserError, match="corpus 'c' was not ingested here"):
        forget(Thing("subject", "c:s1"), repo=repo)


def test_a_version_that_nobody_has_is_named(repo: Path) -> None:
    for lost in (repo / ".dvc" / "cache", repo / ".emoforge", repo.parent / "remote"):
        shutil.rmtree(lost)
    one = forget(PERSON, repo=repo).retraction
    assert one.unread == ("tiny@v1.0.0", "tiny@v1.1.0") and one.versions == ()
    assert "could not be looked up" in removals("tiny@v1.0.0", repo)[0].sentence


def test_a_sample_goes_alone(repo: Path) -> None:
    done = forget(Thing("sample", "c/3"), repo=repo)
    assert (done.covered.own, done.covered.near) == (("c/3",), {}) and done.runs == ("tiny", "both")
    assert done.retraction.versions[0].real == 1


def test_a_corpus_goes_whole(repo: Path) -> None:
    done = forget(Thing("corpus", "c"), repo=repo, reason="licence ended")
    assert done.without == ("tiny", "both") and done.runs == () and done.covered.near == {}
    assert [t.real for t in done.retraction.versions] == [8, 5]
    layout = Layout(repo)
    with pytest.raises(CorpusError, match=r"corpus c was retracted on .* \(licence ended\)"):
        require_not_retracted("c", keys_of("c", retractions(layout)), layout)
    require_not_retracted("d", keys_of("d", retractions(layout)), layout)


@pytest.mark.parametrize(
    ("thing", "error", "says"),
    [
        (Thing("subject", "c:s9"), UnknownNameError, "unknown subject 'c:s9'. Did you mean"),
        (Thing("sample", "e/1"), UnknownNameError, "unknown corpus 'e'"),
        (Thing("sample", "syn/1/2"), UserError, "is synthetic"),
        (Thing("subject", "s0"), UserError, "begins with its corpus"),
    ],
)
def test_what_is_not_there_is_named(repo: Path, thing: Thing, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        forget(thing, repo=repo)
    assert not Layout(repo).retractions.exists()


def test_only_corpora_that_it_concerns_read_anew(repo: Path) -> None:
    done = forget(Thing("sample", "c/3"), repo=repo)
    assert keys_of("d", retractions(Layout(repo))) == []
    assert set(keys_of("c", [done.retraction])) == {done.retraction.key, *done.covered.payloads}


def test_the_filter_knows_ids_people_and_bytes(repo: Path) -> None:
    layout = Layout(repo)
    forget(PERSON, repo=repo)
    out = Filter(keys_of("c", retractions(layout)))
    assert {s.sample_id for s in of_c() if out.covers(s)} == {"c/0", "c/4", "c/5"}
    assert not any(Filter([]).covers(s) for s in of_c())
    rows = read_table(layout.corpus("c") / "index.parquet", SAMPLES).to_pylist()
    assert rows_covered(rows, retractions(layout)[0]) == ({"c/0", "c/4", "c/5"}, {"c:s0"})


def test_a_file_that_is_none_is_refused(repo: Path) -> None:
    path = forget(PERSON, repo=repo).written
    assert path is not None
    told = json.loads(path.read_text()) | {"key": retraction_key("subject", "c:s1")}
    path.write_text(json.dumps(told))
    with pytest.raises(IntegrityError, match="no retraction"):
        retractions(Layout(repo))
