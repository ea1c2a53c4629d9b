"""What is purged is nowhere any more, what others need stays, and a purge that was cut short comes to the same."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.errors import ResourceError, UnknownNameError
from corpora.schema import SAMPLES, Sample
from corpora.store.shards import read_table, write_shards, write_table
from flows.conduct.retraction import purge as module
from flows.conduct.retraction.certificate import CLEAN
from flows.conduct.retraction.covered import Thing
from flows.conduct.retraction.everywhere import HISTORY, WORKSPACE
from flows.conduct.retraction.forget import forget
from flows.conduct.retraction.purge import audit, purge
from flows.conduct.retraction.states import _states_in
from flows.engine.store import WorkStore
from flows.paths import Layout
from flows.publishing.pages import page_file
from flows.releases.places import find_release
from flows.stages.ingest.retracted import Retraction, rows_covered
from tests.flows.conduct.retraction.project_of_faces import edges, faces, ingested, of_c, picture
from tests.flows.conduct.retraction.project_of_faces import project as bare_project
from tests.flows.releases.published import Published
from tests.small_release import made, write_release

STEPS = ("_workspace", "_run_cache", "_cache", "_scratch", "_remotes", "_audited", "write_certificate")


def harmonised(sample: Sample) -> Sample:
    """As prepare writes it: other bytes under the same id."""
    from dataclasses import replace

    return replace(sample, payload=sample.payload + b"harmonised")


def build(project: Published, samples: list[Sample], others: list[Sample], number: str) -> dict[str, Path]:
    """What the stages leave of the corpora c (`samples`) and d (`others`), its lock, and a tag."""
    data = project.folder / "data"
    for folder in (data / "corpora", data / "runs"):
        shutil.rmtree(folder, ignore_errors=True)
    ids = [int(s.sample_id.partition("/")[2]) for s in samples]
    drawn = [made(n, generator=f"gen{number}") for n in ids[:4]]
    prepared = data / "runs/tiny/prepared"
    prepared.mkdir(parents=True)
    write_table(prepared / "index.parquet", write_shards(map(harmonised, samples), prepared, 4, "shards/train-real"))
    model, release = data / "runs/tiny/model", data / "runs/tiny/release"
    model.mkdir()
    (model / "weights").write_bytes(np.random.default_rng(len(ids)).bytes(200))
    (data / "runs/tiny/same.csv").write_text("every fit writes this\n")
    known = [(f"generator:gen{number}", s.sample_id, "fitted on") for s in samples]
    known += [("gate:copies", "hog:1f", "judge"), (f"generator:gen{number}", "dd /models/m", "loads")]
    write_release(release, [*map(harmonised, samples), *drawn], lineage=[*edges([], [])[1:], *known])
    folders = {
        "ingest@c": ingested(data / "corpora/c", samples),
        "ingest@d": ingested(data / "corpora/d", others),
        "prepare@tiny": prepared,
        "fit@tiny": model,
        "release@tiny": release,
    }
    names = {stage: project._kept(folder) for stage, folder in folders.items()}
    same = project._object((data / "runs/tiny/same.csv").read_bytes())
    reads = {"fit@tiny": "prepare@tiny", "release@tiny": "fit@tiny"}
    lock: dict[str, Any] = {}
    for stage, folder in folders.items():
        path = folder.relative_to(project.folder).as_posix()
        lock[stage] = {"cmd": stage, "outs": [{"path": path, "md5": names[stage], "hash": "md5"}]}
        if stage in reads:
            before = folders[reads[stage]].relative_to(project.folder).as_posix()
            lock[stage]["deps"] = [{"path": before, "md5": names[reads[stage]], "hash": "md5"}]
    lock["fit@tiny"]["outs"].append({"path": "data/runs/tiny/same.csv", "md5": same, "hash": "md5"})
    (project.folder / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": lock}))
    for stage, entry in lock.items():
        text = json.dumps(entry)
        key = hashlib.sha256(text.encode()).hexdigest()
        for root in (project.folder / ".dvc/cache", project.remote):
            path = root / "runs" / key[:2] / key / hashlib.sha256(stage.encode()).hexdigest()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    project.git("add", "-A")
    project.git("commit", "-q", "-m", number)
    project.git("tag", "-a", f"tiny@{number}", "-m", number)
    return folders


def made_project(place: Path) -> tuple[Published, Retraction]:
    """tiny@v2.0.0 with everybody, tiny@v2.1.0 without c:s0 and the near copies, which are retracted."""
    project = bare_project(place)
    for tag in project.git("tag").split():
        project.git("tag", "-d", tag)
    project.git("checkout", "-q", "--orphan", "fresh")
    project.git("branch", "-q", "-D", "main")
    project.forget()
    shutil.rmtree(project.remote)
    whole, others = of_c(), faces("d", {1: picture(0, 9), 2: picture(4), 3: picture(30)})
    build(project, whole, others, "v2.0.0")
    one = forget(Thing("subject", "c:s0"), repo=project.folder, reason="asked to", today="2026-11-30").retraction
    rows = [{"sample_id": s.sample_id, "subject_id": s.subject_id, "corpus": s.corpus} for s in [*whole, *others]]
    gone = rows_covered(rows, one)[0]
    left = [[s for s in of if s.sample_id not in gone] for of in (whole, others)]
    build(project, *left, "v2.1.0")
    forget(Thing("subject", "c:s0"), repo=project.folder)
    store = WorkStore(Layout(project.folder).store)
    store.put("prepared/ab/cd", whole[0].payload)
    (project.folder / ".emoforge/fits/1f").mkdir(parents=True)
    (project.folder / ".emoforge/fits/1f/checkpoint").write_bytes(b"weights")
    (project.folder / "data/corpora/.c.host-1-abcdef.tmp").mkdir()
    (project.folder / "data/corpora/.c.host-1-abcdef.tmp/shard").write_bytes(whole[0].payload)
    return project, one


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Published, Retraction]:
    return made_project(tmp_path_factory.mktemp("purge"))


@pytest.fixture
def copy(built: tuple[Published, Retraction], tmp_path: Path) -> Callable[[str], Path]:
    def of(name: str) -> Path:
        shutil.copytree(built[0].folder.parent, tmp_path / name, symlinks=True)
        folder = tmp_path / name / "project"
        config = folder / ".dvc" / "config"
        config.write_text(config.read_text().replace(str(built[0].remote), str(tmp_path / name / "remote")))
        return folder

    return of


def everything(*tops: Path) -> Iterator[tuple[Path, bytes]]:
    for top in tops:
        for path in sorted(p for p in top.rglob("*") if p.is_file()):
            yield path, path.read_bytes()


def test_nothing_of_it_is_left_and_what_others_need_stays(
    built: tuple[Published, Retraction], copy: Callable[[str], Path]
) -> None:
    repo, (_, one) = copy("a"), built
    payloads = [s.payload for s in of_c() if s.sample_id in ("c/0", "c/4", "c/5")]
    places = (repo / ".dvc", repo / ".emoforge", repo / "data", repo.parent / "remote")
    assert any(p in data for _, data in everything(*places) for p in payloads)
    before = {path.relative_to(repo.parent) for path, _ in everything(*places)}
    page = page_file("tiny@v2.0.0", repo)
    page.parent.mkdir()
    page.write_bytes(b"<img src=data:,>" + payloads[0])
    certificate = purge(one, repo=repo)
    assert certificate.complete, certificate.places
    left = [path for path, data in everything(*places) if any(p in data for p in payloads)]
    assert left == []
    # the state that is there now is whole, in cache and remote
    lock = json.loads((repo / "dvc.lock").read_text())["stages"]
    for root in (repo / ".dvc/cache", repo.parent / "remote"):
        for entry in lock.values():
            for out in entry["outs"]:
                path = root / "files/md5" / out["md5"][:2] / out["md5"][2:]
                assert path.is_file(), out
                for member in json.loads(path.read_bytes()) if out["md5"].endswith(".dir") else ():
                    assert (root / "files/md5" / member["md5"][:2] / member["md5"][2:]).is_file(), member
                assert (repo / out["path"]).exists()
    assert before - {path.relative_to(repo.parent) for path, _ in everything(*places)}, "something went"
    # the old version cannot be had any more, and the certificate says what it was
    assert [t.tag for t in certificate.versions] == ["tiny@v2.0.0"]
    with pytest.raises(ResourceError, match=r"It was purged: a subject of c was retracted on 2026-11-30 \(asked to\)"):
        find_release("tiny@v2.0.0", repo, whole=False)
    find_release("tiny@v2.1.0", repo)
    assert certificate.generators == ("genv2.0.0",) and certificate.judges == ("copies: hog:1f",)
    assert len(certificate.payloads) == 2 * 4 - 1 and len(certificate.conversions) == 1  # d/2 has the bytes of c/4
    assert any("dd /models/m" in line for line in certificate.not_reached)
    text = (Layout(repo).certificates / f"{one.id}.txt").read_text()
    assert f"emoforge forget --audit {one.id}" in text and "c:s0" not in text


@pytest.mark.parametrize("number", ["v2.0.0", "v2.1.0"])
def test_a_part_goes_with_the_release_that_it_was_taken_from(
    built: tuple[Published, Retraction], copy: Callable[[str], Path], number: str
) -> None:
    """Its vectors name nobody in an index: release.dvc says what they stand on."""
    repo, (_, one) = copy("a"), built
    project = object.__new__(Published)
    project.folder, project.remote = repo, repo.parent / "remote"
    whole = json.loads(project.git("show", f"tiny@{number}:dvc.lock"))["stages"]["release@tiny"]["outs"][0]["md5"]
    part = repo / "data/parts/tiny-features/release"
    part.mkdir(parents=True)
    (part / "features.parquet").write_bytes(b"vectors of people")
    text = f"meta:\n  taken_from: {whole}\nouts:\n- md5: {project._kept(part)}\n  hash: md5\n  path: release\n"
    part.with_name("release.dvc").write_text(text)
    project.git("add", "-f", "data/parts/tiny-features/release.dvc")
    project.git("commit", "-q", "-m", "a part")
    certificate = purge(one, repo=repo)
    assert certificate.complete, certificate.places
    places = (repo / ".dvc", repo / ".emoforge", repo / "data", repo.parent / "remote")
    left = [path for path, data in everything(*places) if b"vectors of people" in data]
    assert len(left) == (0 if number == "v2.0.0" else 3), "in the folder, the cache and the remote, of who is still in"


@pytest.mark.parametrize("steps", [("_cache",), pytest.param(STEPS, marks=pytest.mark.slow)], ids=["cache", "any"])
def test_cut_short_after_any_step_it_comes_to_the_same(
    built: tuple[Published, Retraction],
    copy: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    steps: tuple[str, ...],
) -> None:
    one, wanted = built[1], None
    for step in (None, *steps):
        repo = copy(step or "whole")
        if step is not None:
            with monkeypatch.context() as patched:
                plain = getattr(module, step)

                def cut(*args: Any, plain: Any = plain) -> Any:
                    plain(*args)
                    raise KeyboardInterrupt

                cut.__name__ = step
                patched.setattr(module, step, cut)
                with pytest.raises(KeyboardInterrupt):
                    purge(one, repo=repo)
        certificate = purge(one, repo=repo)
        assert purge(one, repo=repo) == certificate
        shutil.rmtree(repo / ".emoforge")  # safe to delete: the certificate knows what went
        assert purge(one, repo=repo) == certificate
        wanted = wanted or certificate
        assert certificate == wanted, step


@pytest.mark.slow
def test_a_remote_that_is_down_is_named_and_reached_later(
    built: tuple[Published, Retraction], copy: Callable[[str], Path]
) -> None:
    repo, one = copy("a"), built[1]
    remote = repo.parent / "remote"
    shutil.move(remote, repo.parent / "aside")
    certificate = purge(one, repo=repo)
    assert not certificate.complete and "is not there" in certificate.places["remote here"]
    assert {state for place, state in certificate.places.items() if place != "remote here"} == {CLEAN}
    shutil.move(repo.parent / "aside", remote)
    found = audit(one, repo=repo)
    assert found.places["remote here"].startswith("left: ") and "payload" in found.places["remote here"]
    assert purge(one, repo=repo).complete and audit(one, repo=repo).complete


@pytest.mark.slow
def test_the_audit_sees_what_comes_back(built: tuple[Published, Retraction], copy: Callable[[str], Path]) -> None:
    repo, one = copy("a"), built[1]
    with pytest.raises(UnknownNameError, match="was purged yet"):
        audit(one, repo=repo)
    assert purge(one, repo=repo).complete
    shutil.copytree(ingested(repo.parent / "again", of_c()), repo / "data/corpora/again")
    told = audit(one, repo=repo).places[WORKSPACE]
    parts = ("c-0000", "(payload)", "index.parquet (id)", "index.parquet (hash)", "more")
    assert told.startswith("left: data/corpora/again/") and all(part in told for part in parts), told
    shutil.rmtree(repo / "data/corpora/again")
    write_shards(of_c()[:1], repo / ".emoforge/studies", 1, "c")
    told = audit(one, repo=repo).places[WORKSPACE]
    assert told == "left: .emoforge/studies/c-00000.tar (payload)", "found by its bytes, in a tar that nobody lists"


def test_clones_of_rebuilds_go_and_what_is_not_ours_is_named(
    built: tuple[Published, Retraction], copy: Callable[[str], Path]
) -> None:
    repo, one = copy("a"), built[1]
    again = repo / ".emoforge/rebuilt/tiny@v2.0.0-0123456789ab"
    write_shards(of_c()[:1], again / "data/corpora/c", 1, "c")
    (again / ".dvc/cache/files/md5/ab").mkdir(parents=True)
    (again / ".dvc/cache/files/md5/ab/cd").write_bytes(of_c()[0].payload)
    taken = repo / ".emoforge/kept/files/md5/ab/cd"  # of a remote that is in no configuration any more
    taken.parent.mkdir(parents=True)
    taken.write_bytes(of_c()[0].payload)
    write_shards(of_c()[:1], repo / "tiny-v2.0.0/shards", 1, "c")
    (repo / "page.html").write_text('<p>"quoted</p><script>{"who": "c:s0", "much": "' + "x" * 999 + '"}</script>')
    (repo / "other.html").write_text('<p>c:s01</p><script>{"who": "c:s1"}</script>')
    (repo / "cell.html").write_text("<table><td>c:s0</td></table>")
    (repo / ".venv/lib").mkdir(parents=True)
    (repo / ".venv/pyvenv.cfg").touch()
    (repo / ".venv/lib/same").write_bytes(of_c()[0].payload)
    git = Published.__new__(Published)
    git.folder = repo
    (repo / "notes").mkdir()
    (repo / "notes/hers.png").write_bytes(of_c()[0].payload)
    git.git("add", "-A", "notes")
    git.git("commit", "-q", "-m", "by mistake")
    shutil.rmtree(repo / "notes")
    certificate = purge(one, repo=repo)
    assert not again.exists(), "a rebuild read the raw corpus again, with a cache of its own"
    assert certificate.places[WORKSPACE] == (
        "left: .emoforge/kept/files/md5/ab/cd (payload), tiny-v2.0.0/shards/c-00000.tar (payload), "
        "cell.html (id), page.html (id), tiny-v2.0.0/shards/c-00000.tar (id)"
    )
    assert certificate.places[HISTORY] == "left: notes/hers.png (payload)" and not certificate.complete


@pytest.mark.slow
def test_before_the_run_was_built_anew_its_outs_go(
    built: tuple[Published, Retraction], copy: Callable[[str], Path]
) -> None:
    repo, one = copy("a"), built[1]
    git_folder = Published.__new__(Published)
    git_folder.folder = repo
    own = (repo / ".dvc/config").read_text()
    git_folder.git("reset", "-q", "--hard", "tiny@v2.0.0")
    (repo / ".dvc/config").write_text(own)  # the remote of this copy
    shutil.rmtree(repo / "data/corpora")
    shutil.copytree(ingested(repo.parent / "old", of_c()), repo / "data/corpora/c")
    assert purge(one, repo=repo).complete
    assert not (repo / "data/corpora/c").exists()


def test_the_audit_does_not_take_what_was_built_since_for_what_went(
    built: tuple[Published, Retraction], copy: Callable[[str], Path]
) -> None:
    """Of a purge before the runs were built anew: a draw from somebody else's sample comes to bytes that went."""
    repo, one = copy("a"), built[1]
    assert purge(one, repo=repo).complete
    index = read_table(repo / "data/runs/tiny/release/index.parquet", SAMPLES).to_pylist()
    again = next(row["sha256"] for row in index if row["generator_id"] is not None)
    path = Layout(repo).certificates / f"{one.id}.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "generated": sorted({*said["generated"], again})}))
    assert audit(one, repo=repo).complete, audit(one, repo=repo).places


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, str]]:
    """A client of a bucket ("bucket") that keeps versions, on a real S3 server, and the server's address."""
    import botocore.session
    from moto.server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "anybody")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        client = botocore.session.get_session().create_client("s3", endpoint_url=url)
        client.create_bucket(Bucket="bucket")
        client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        yield client, url
    finally:
        server.stop()


@pytest.mark.slow
def test_a_bucket_that_keeps_versions_keeps_none_of_it(
    built: tuple[Published, Retraction], copy: Callable[[str], Path], versions: tuple[Any, str]
) -> None:
    repo, one, (client, url) = copy("a"), built[1], versions
    remote = repo.parent / "remote"
    for path, data in everything(remote):
        for _ in range(2):  # pushed twice: two versions of one name
            key = f"here/{path.relative_to(remote).as_posix()}"
            client.put_object(Bucket="bucket", Key=key, Body=data)
    config = repo / ".dvc" / "config"
    text = f"['remote \"far\"']\n    url = s3://bucket/here\n    endpointurl = {url}\n"
    config.write_text(config.read_text() + text)
    certificate = purge(one, repo=repo)
    assert certificate.complete, certificate.places
    assert certificate.places["remote far"] == CLEAN
    left = client.list_object_versions(Bucket="bucket")
    names = {v["Key"].removeprefix("here/") for v in [*left["Versions"], *left.get("DeleteMarkers", [])]}
    assert names == {path.relative_to(remote).as_posix() for path, _ in everything(remote)}


@pytest.mark.slow
def test_a_remote_that_keeps_files_under_their_own_names_keeps_no_version_of_it(
    built: tuple[Published, Retraction], copy: Callable[[str], Path], versions: tuple[Any, str]
) -> None:
    """version_aware, as `dvc push` fills it: each build's files, the later ones over the earlier."""
    repo, one, (client, url) = copy("a"), built[1], versions
    repository = Published.__new__(Published)
    repository.folder = repo
    for commit in repository.git("rev-list", "--reverse", "HEAD").split():
        for out in outs_in(repository.git("show", f"{commit}:dvc.lock")):
            listing = repo.parent / "remote/files/md5" / out["md5"][:2] / out["md5"][2:]
            members = json.loads(listing.read_bytes()) if out["md5"].endswith(".dir") else []
            for member in members:
                data = (listing.parents[1] / member["md5"][:2] / member["md5"][2:]).read_bytes()
                client.put_object(Bucket="bucket", Key=f"far/{out['path']}/{member['relpath']}", Body=data)
    client.delete_object(Bucket="bucket", Key="far/data/corpora/c/index.parquet")  # hidden, and there all the same
    config = repo / ".dvc" / "config"
    text = f"['remote \"far\"']\n    url = s3://bucket/far\n    endpointurl = {url}\n    version_aware = true\n"
    config.write_text(config.read_text() + text)
    sources = [s.payload for s in of_c() if s.sample_id in ("c/0", "c/4", "c/5")]
    before = bodies(client)
    assert any(p in data for data in before for p in sources)
    certificate = purge(one, repo=repo)
    assert certificate.places["remote far"] == CLEAN, certificate.places
    left = bodies(client)
    assert left < before and not any(p in data for data in left for p in sources)
    lock = json.loads((repo / "dvc.lock").read_text())["stages"]
    kept = {hashlib.md5(data).hexdigest() for data in left}
    wanted = {
        member["md5"]
        for entry in lock.values()
        for out in entry["outs"]
        if out["md5"].endswith(".dir")
        for member in json.loads((repo / ".dvc/cache/files/md5" / out["md5"][:2] / out["md5"][2:]).read_bytes())
    }
    assert wanted <= kept, "what is there now is whole"
    removed = next(data for data in before - left if sources[0] in data)
    client.put_object(Bucket="bucket", Key="far/data/corpora/c/again", Body=removed)
    assert "data/corpora/c/again?versionId=" in audit(one, repo=repo).places["remote far"]
    assert purge(one, repo=repo).complete


def outs_in(lock: str) -> list[dict[str, str]]:
    return [out for stage in json.loads(lock)["stages"].values() for out in stage["outs"]]


def bodies(client: Any) -> set[bytes]:
    """What the versions of all names hold."""
    listed = client.list_object_versions(Bucket="bucket").get("Versions", [])
    keys = [{"Bucket": "bucket", "Key": one["Key"], "VersionId": one["VersionId"]} for one in listed]
    return {client.get_object(**key)["Body"].read() for key in keys}


def test_versions_that_cannot_be_removed_from_here_are_named_with_what_to_do(
    built: tuple[Published, Retraction], copy: Callable[[str], Path]
) -> None:
    repo = copy("a")
    far = repo.parent / "far"
    far.mkdir()
    config = repo / ".dvc" / "config"
    text = f"['remote \"far\"']\n    url = {far}\n    version_aware = true\n"
    config.write_text(config.read_text() + text)
    certificate = purge(built[1], repo=repo)
    assert not certificate.complete
    said = certificate.places["remote far"]
    assert said.startswith("not reached: ") and f"below {far}: delete every version" in said, said


def test_a_lock_that_lists_the_files_of_a_folder_names_the_folder() -> None:
    """As DVC writes it after a push to a version_aware remote; the hash is DVC's own of that folder."""
    of_file = {
        "relpath": "a",
        "md5": "b026324c6904b2a9cb4b88d6d61c81d1",
        "size": 2,
        "cloud": {"r": {"version_id": "1"}},
    }
    lock = {"stages": {"s": {"cmd": "s", "outs": [{"path": "o", "hash": "md5", "files": [of_file]}]}}}
    (state,) = _states_in(json.dumps(lock))
    assert state.outs == {"o": "978ca45691cd12e610fb0788867f8252.dir"}
