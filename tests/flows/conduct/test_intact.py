"""A byte that flipped where DVC does not look: never built upon, never published, and named."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from corpora.errors import IntegrityError
from flows.conduct.dvcrun import needed, repro
from flows.conduct.intact import Known, damaged_inputs, drop
from flows.conduct.publish import publish
from tests.toy import ALL, Toy

RUN = "data/runs/toy"
OUTS = ("model/a.txt", "plan/fit.json", "report.html", "release/index.parquet")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    made = Toy(tmp_path_factory.mktemp("built") / "toy")
    made.repro()
    made.calls()
    return made


@pytest.fixture
def toy(built: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    made = Toy(tmp_path / "toy", built)
    for name in ("PYTHONPATH", "HOME", "PATH", "GIT_CONFIG_NOSYSTEM"):
        monkeypatch.setenv(name, made.env[name])
    made.sh("dvc", "status", "-q")  # DVC knows every file of this copy
    return made


def flip(path: Path, at: int = 0) -> None:
    """One bit, as a disk does it: time, size and rights stay."""
    told = path.stat()
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(raw))
    path.chmod(told.st_mode)
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))


def objects(toy: Toy, content: bytes | None = None) -> list[Path]:
    """Objects of DVC's cache; those alone that hold `content`."""
    files = sorted(p for p in (toy.folder / ".dvc/cache/files").rglob("*") if p.is_file())
    return [p for p in files if content is None or p.read_bytes() == content]


def published(toy: Toy) -> bool:
    remote = toy.folder / ".emoforge" / "remote"
    return toy.git("tag") != "" or (remote.exists() and any(remote.rglob("*")))


@pytest.mark.slow
def test_dvc_itself_sees_nothing(toy: Toy) -> None:
    """What all of this is for. Should DVC look one day, the better."""
    flip(toy.folder / RUN / "model" / "a.txt")
    flip(objects(toy)[0])
    assert needed(ALL, repo=toy.folder) == []


@pytest.mark.parametrize("out", ["release/a.txt", *(pytest.param(o, marks=pytest.mark.slow) for o in OUTS)])
def test_a_damaged_file_is_not_published(toy: Toy, out: str) -> None:
    flip(toy.folder / RUN / out)
    with pytest.raises(IntegrityError, match=f"{RUN}/{out.split('/')[0]}.*rm -r .*emoforge run toy"):
        publish("toy", repo=toy.folder)
    assert not published(toy)


def test_every_damaged_object_of_the_cache_is_made_again_before_it_is_pushed(toy: Toy) -> None:
    whole = {path: path.read_bytes() for path in objects(toy)}
    listings = [path for path in whole if path.name.endswith(".dir")]
    assert len(whole) > 12 and len(listings) > 6
    for path in whole:
        flip(path, at=len(whole[path]) // 2)
    outcome = publish("toy", repo=toy.folder)
    assert outcome.tag == "toy@v1.0.0"
    used = {toy.folder / name for name in outcome.mended}
    assert used and used <= set(whole) and set(listings) <= used
    for path in used:
        assert path.read_bytes() == whole[path] and path.stat().st_mode & 0o777 == 0o444
    remote = toy.folder / ".emoforge/remote/files/md5"
    for path in used:
        assert (remote / path.parent.name / path.name).read_bytes() == whole[path]


@pytest.mark.slow
def test_a_missing_object_is_made_again_too(toy: Toy) -> None:
    text = (toy.folder / RUN / "model/a.txt").read_bytes()
    [kept] = objects(toy, text)
    kept.unlink()
    assert needed(ALL, repo=toy.folder) == ["fit@toy"]  # that much DVC sees
    outcome = publish("toy", repo=toy.folder)
    assert outcome.mended == [str(kept.relative_to(toy.folder))] and toy.calls() == []


@pytest.mark.slow
def test_both_damaged_is_refused_and_made_again_by_the_run(toy: Toy) -> None:
    file = toy.folder / RUN / "model" / "a.txt"
    text = file.read_bytes()
    [kept] = objects(toy, text)
    flip(kept)
    flip(file)
    with pytest.raises(IntegrityError, match=r"data/runs/toy/model \(of fit@toy\) is damaged: a\.txt\."):
        publish("toy", repo=toy.folder)
    assert not published(toy)
    toy.sh("rm", "-r", f"{RUN}/model")
    lines: list[str] = []
    repro("fit@toy", repo=toy.folder, on_line=lines.append)
    assert toy.calls() == ["fit@toy"] and file.read_bytes() == text and kept.read_bytes() == text
    assert any(str(kept) in line and "damaged" in line for line in lines)
    assert publish("toy", repo=toy.folder).tag


@pytest.mark.parametrize("what", ["file", pytest.param("listing", marks=pytest.mark.slow)])
def test_what_is_checked_out_is_read_first(toy: Toy, what: str) -> None:
    """The out is gone, and what the cache has of it is damaged: the stage runs, its bytes are right."""
    file = toy.folder / RUN / "model" / "a.txt"
    text = file.read_bytes()
    [kept] = objects(toy, text)
    if what == "file":
        flip(kept)
    else:
        [kept] = [
            path
            for path in objects(toy)
            if path.name.endswith(".dir") and kept.parent.name + kept.name in path.read_text()
        ]
        flip(kept, at=kept.read_bytes().index(b"a.txt"))
    toy.sh("rm", "-r", f"{RUN}/model")
    repro("fit@toy", repo=toy.folder, on_line=lambda line: None)
    assert toy.calls() == ["fit@toy"]
    assert file.read_bytes() == text and sorted(p.name for p in file.parent.iterdir()) == ["a.txt"]
    assert needed(ALL, repo=toy.folder) == []
    assert publish("toy", repo=toy.folder).mended == []


@pytest.mark.slow
def test_an_intact_cache_is_checked_out_and_no_stage_runs(toy: Toy) -> None:
    toy.sh("rm", "-r", f"{RUN}/model")
    repro("fit@toy", repo=toy.folder, on_line=lambda line: None)
    assert toy.calls() == [] and needed(ALL, repo=toy.folder) == []


def test_what_a_stage_is_to_build_on_is_read_first(toy: Toy) -> None:
    flip(toy.folder / RUN / "prepared" / "a.txt")
    flip(toy.folder / "data/corpora/toy/manifest.json")
    [found] = damaged_inputs("fit@toy", ALL[:5], repo=toy.folder, known=Known())
    assert (found.stage, found.out, found.files) == ("prepare@toy", f"{RUN}/prepared", ("a.txt",))
    [corpus] = damaged_inputs("prepare@toy", ALL[:4], repo=toy.folder, known=Known())
    assert corpus.out == "data/corpora/toy"
    assert damaged_inputs("fit@toy", ALL[:5], repo=toy.folder, known=Known(stages={"prepare@toy"})) == []
    known = Known()
    assert damaged_inputs("augment@toy", ALL[:6], repo=toy.folder, known=known) == []
    assert {path for path, _ in known.outs} == {str(toy.folder / RUN / "plan"), str(toy.folder / RUN / "model")}
    drop(found, repo=toy.folder)
    assert needed(["prepare@toy"], repo=toy.folder) == ["prepare@toy"]


@pytest.mark.slow
def test_any_damage_is_found_by_publish(built: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any bit of any file that would leave, in the folder or in the cache, one at a time and several at once."""
    for name in ("PYTHONPATH", "HOME", "PATH", "GIT_CONFIG_NOSYSTEM"):
        monkeypatch.setenv(name, {**built.env, "HOME": str(tmp_path)}[name])
    rng = random.Random(1)
    for i in range(12):
        toy = Toy(tmp_path / f"toy{i}", built)
        toy.sh("dvc", "status", "-q")
        files = [p for p in (toy.folder / "data").rglob("*") if p.is_file() and p.stat().st_size]
        chosen = rng.sample(files, rng.choice([1, 3])) if i % 2 else []
        for path in [*chosen, *rng.sample(objects(toy), rng.choice([1, 4]))]:
            flip(path, at=rng.randrange(path.stat().st_size))
        if chosen:
            with pytest.raises(IntegrityError):
                publish("toy", repo=toy.folder)
            assert not published(toy)
        else:
            assert publish("toy", repo=toy.folder).tag
            for path in (toy.folder / ".emoforge/remote/files").rglob("*"):
                if path.is_file():
                    assert (
                        path.read_bytes()
                        == (built.folder / ".dvc/cache/files/md5" / path.parent.name / path.name).read_bytes()
                    )


@pytest.mark.slow
def test_a_run_makes_again_what_is_damaged(toy: Toy) -> None:
    """The command itself: the cache and the folder damaged, several at once, then a stage that builds on them."""
    whole = {p: p.read_bytes() for p in (toy.folder / RUN).rglob("*") if p.is_file()}
    for out in ("prepared", "model", "augmented"):
        file = toy.folder / RUN / out / "a.txt"
        flip(objects(toy, file.read_bytes())[0])
        flip(file)
    toy.behave("release@toy", "")
    toy.sh("rm", "-r", f"{RUN}/model")  # something to do
    done = toy.emoforge("run")
    assert done.returncode == 0, done.stderr
    assert "prepared (of prepare@toy) is damaged" in done.stderr
    toy.sh("rm", "-r", f"{RUN}/evaluation")
    done = toy.emoforge("run")
    assert done.returncode == 0 and "augmented (of augment@toy) is damaged" in done.stderr, done.stderr
    assert {p: p.read_bytes() for p in (toy.folder / RUN).rglob("*") if p.is_file()} == whole
    assert toy.emoforge("publish", "toy").returncode == 0
