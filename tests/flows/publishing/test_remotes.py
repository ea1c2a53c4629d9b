"""Remotes: what they say when they fail, and publishing to a real S3 server and to folders that are full or closed."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from corpora.errors import ResourceError, UserError
from corpora.store.verify import check_release
from flows.conduct.publish import publish
from flows.publishing.remotes import Remote, explained, push, remote_of
from flows.releases.fetched import fetched
from flows.releases.versions import version_of
from tests.flows.conduct.test_full_disk import own_mounts
from tests.flows.conduct.test_publish import real_corpus
from tests.flows.publishing.s3_server import bucket, free_port, serving
from tests.flows.releases.published import Published
from tests.toy import Toy

BUCKET = Remote("lab", "s3://emo/tiny")


@pytest.mark.parametrize(
    ("said", "happened", "advice"),
    [
        ("ERROR: unexpected error - Unable to locate credentials", "no credentials", "profile NAME"),
        (
            "ERROR: unexpected error - Forbidden: An error occurred (InvalidAccessKeyId) when calling it",
            "does not accept the credentials",
            "dvc remote modify --local lab",
        ),
        (
            "ERROR: unexpected error - The specified bucket does not exist",
            "bucket is not there",
            "modify lab url s3://",
        ),
        (
            'ERROR: unexpected error - Could not connect to the endpoint URL: "http://127.0.0.1:9/emo"',
            "does not answer",
            "dvc remote list",
        ),
        ("ERROR: failed to transfer 'ab' - Server disconnected", "went away in the middle", "already is kept"),
        ("ERROR: failed - [Errno 28] No space left on device: 'x'", "it is full", "make room"),
        ("ERROR: unexpected error - [Errno 30] Read-only file system: '/mnt'", "may not be written to", "its owner"),
        ("ERROR: Forbidden: An error occurred (403)", "no right to write there", "ask its owner"),
        (
            "ERROR: unexpected error - URL 's3://' is supported but requires 'dvc-s3'",
            "not installed",
            "emoforge",
        ),
    ],
)
def test_what_a_remote_says_is_explained(said: str, happened: str, advice: str) -> None:
    told = explained(BUCKET, f"Everything\n{said}\n")
    assert told.startswith("pushing to DVC remote 'lab' (s3://emo/tiny) failed: ") and "Nothing was tagged" in told
    assert happened in told and advice.lower() in told.lower() and " ".join(said.split())[:60] in told


def test_what_nobody_knows_is_passed_on() -> None:
    told = explained(BUCKET, "ERROR: the moon is full of cheese\n")
    assert told.endswith("failed: ERROR: the moon is full of cheese. Nothing was tagged; the same command goes on.")


def test_which_remote(tmp_path: Path) -> None:
    project = Published(tmp_path / "project")
    assert remote_of(None, project.folder).name == "here"
    with pytest.raises(UserError, match=r"private_remote names .*'vault'.*Known: here.*remote add vault"):
        remote_of("vault", project.folder)
    (project.folder / ".dvc/config").write_text("[core]\n    analytics = false\n")
    with pytest.raises(UserError, match="no default remote"):
        remote_of(None, project.folder)
    push([], Remote("x", "y"), project.folder)  # nothing to send asks nobody


@pytest.mark.parametrize("key", ["version_aware", "worktree"])
def test_a_remote_whose_files_have_their_own_names_is_refused(tmp_path: Path, key: str) -> None:
    project = Published(tmp_path / "project")
    with (project.folder / ".dvc" / "config").open("a") as file:
        file.write(f"    {key} = true\n")
    with pytest.raises(UserError, match=r"takes the hashes of folders out of dvc\.lock.*--unset here version_aware"):
        remote_of(None, project.folder)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    made = Toy(tmp_path_factory.mktemp("built") / "toy")
    made.repro()
    return made


@pytest.fixture
def toy(built: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    made = Toy(tmp_path / "toy", built)
    for name in ("PYTHONPATH", "HOME", "PATH", "GIT_CONFIG_NOSYSTEM"):
        monkeypatch.setenv(name, made.env[name])
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return made


def to_bucket(toy: Toy, port: int, key: str | None = "test", name: str = "emo") -> None:
    """The toy's default remote is a bucket of the server."""
    toy.sh("dvc", "remote", "add", "-q", "-d", "-f", "lab", f"s3://{name}/toy")
    toy.sh("dvc", "remote", "modify", "-q", "lab", "endpointurl", f"http://127.0.0.1:{port}")
    if key:
        for part in ("access_key_id", "secret_access_key"):
            toy.sh("dvc", "remote", "modify", "-q", "--local", "lab", part, key)
    toy.git("commit", "-qam", "remote")


def untouched(toy: Toy) -> None:
    assert toy.git("tag") == "" and toy.git("log", "-1", "--format=%s") == "remote"
    assert not (toy.folder / "data/runs/toy/CHANGELOG.md").exists()
    assert toy.git("diff", "--stat", "--", "dvc.yaml") == ""
    assert toy.sh("dvc", "status", "-q", check=False).returncode == 0


@pytest.mark.slow
def test_a_bucket_and_a_second_clone(toy: Toy, tmp_path: Path) -> None:
    port = free_port()
    with serving(port):
        bucket(port)
        to_bucket(toy, port)
        assert publish("toy", repo=toy.folder).tag == "toy@v1.0.0"
        toy.git("clone", "-q", str(toy.folder), str(tmp_path / "clone"))
        clone = Toy.__new__(Toy)
        clone.folder, clone.env = tmp_path / "clone", toy.env
        shutil.copy(toy.folder / ".dvc/config.local", clone.folder / ".dvc/config.local")
        version = version_of("toy@v1.0.0", clone.folder)
        release = fetched(version, clone.folder, whole=True) / "release"
        checked = check_release(release)
        assert checked.intact and version.facts is not None and checked.release_hash == version.facts.release_hash
        # what users of DVC type, by the artifact's name and by path
        clone.sh("dvc", "artifacts", "get", "-q", ".", "toy", "--rev", "v1.0.0", "-o", "by_name")
        clone.sh("dvc", "get", "-q", ".", "data/runs/toy/release", "--rev", "toy@v1.0.0", "-o", "by_path")
        for name in ("by_name", "by_path"):
            assert check_release(clone.folder / name).release_hash == checked.release_hash
        assert "v1.0.0" in clone.sh("gto", "show", "toy").stdout


@pytest.mark.slow
def test_restricted_outs_are_not_in_the_bucket(toy: Toy, tmp_path: Path) -> None:
    port = free_port()
    with serving(port):
        held = bucket(port)
        to_bucket(toy, port)
        real_corpus(toy, tmp_path)
        toy.repro()
        outcome = publish("toy", repo=toy.folder)
        there = {re.sub(r".*/files/md5/(..)/", r"\1", one.key) for one in held.objects.all()}
        assert "data/runs/toy/release" in outcome.withheld
        lock = (toy.folder / "dvc.lock").read_text()
        cache = toy.folder / ".dvc/cache/files/md5"

        def objects(out: str) -> set[str]:
            oid = lock.split(f"- path: {out}\n")[-1].split("md5: ")[1].split()[0]
            listing = json.loads((cache / oid[:2] / oid[2:]).read_text()) if oid.endswith(".dir") else []
            return {oid, *(entry["md5"] for entry in listing)}

        open_ones = set().union(*map(objects, outcome.pushed))
        restricted = set().union(*map(objects, outcome.withheld))
        assert restricted - open_ones and there == open_ones, "what stands in both has the bytes of an open file"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["credentials", "none", "bucket", "down"])
def test_a_bucket_that_says_no(toy: Toy, what: str) -> None:
    port = free_port()
    says = {
        "credentials": r"remote 'lab' \(s3://emo/toy\) failed: it does not accept the credentials",
        "none": "there are no credentials",
        "bucket": r"remote 'lab' \(s3://elsewhere/toy\) failed: its bucket is not there",
        "down": "it does not answer",
    }
    with serving(port, check_keys=what == "credentials") as server:
        bucket(port)
        to_bucket(toy, port, None if what == "none" else "test", "elsewhere" if what == "bucket" else "emo")
        if what == "down":
            server.kill()
            server.wait()
        with pytest.raises(ResourceError, match=says[what]):
            publish("toy", repo=toy.folder)
        untouched(toy)


@pytest.mark.slow
def test_a_server_that_dies_in_the_middle(toy: Toy) -> None:
    port = free_port()
    with serving(port, uploads=4) as server:
        bucket(port)
        to_bucket(toy, port)
        with pytest.raises(ResourceError, match="does not answer, or went away in the middle"):
            publish("toy", repo=toy.folder)
        assert server.wait(10) == -9
        untouched(toy)
    with serving(port):
        held = bucket(port)
        assert publish("toy", repo=toy.folder).tag == "toy@v1.0.0"
        assert len(list(held.objects.all())) > 4


PUBLISH = """
from pathlib import Path
from corpora.errors import EmoforgeError
from flows.conduct.publish import publish
try:
    print(publish("toy", repo=Path().resolve()).sentence)
except EmoforgeError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("options", "says"), [("size=8k", "it is full"), ("ro", "it may not be written to")])
def test_a_folder_that_is_full_or_closed(toy: Toy, options: str, says: str) -> None:
    """A real file system of its own under the remote."""
    if not own_mounts():
        pytest.skip("this user may not mount a small disk")
    toy.git("commit", "-q", "--allow-empty", "-m", "remote")
    (toy.folder / ".emoforge/remote").mkdir(parents=True)
    script = f'mount -t tmpfs -o {options} tmpfs .emoforge/remote; exec {sys.executable} -c "$0"'
    done = toy.sh("unshare", "-m", "sh", "-c", script, PUBLISH)
    assert done.stdout.startswith("ResourceError pushing to DVC remote 'local'") and says in done.stdout, done.stdout
    untouched(toy)
    assert publish("toy", repo=toy.folder).tag == "toy@v1.0.0"
