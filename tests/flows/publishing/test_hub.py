"""Sending a version to a Hub: against a stand-in of its API, by the real client."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from corpora.errors import GateError, IntegrityError, ResourceError, UserError
from flows.publishing.hub import push_hub, repository_of
from flows.releases.fetched import fetched
from flows.releases.versions import version_of
from tests.flows.publishing.hub_server import Hub
from tests.flows.releases.published import Published
from tests.small_release import made, real, write_release

ADDRESS = "hf://datasets/lab/tiny"


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """tiny@v1.0.0, v1.1.0 with another sample, v2.0.0 of a corpus that may not be passed on."""
    project = Published(tmp_path_factory.mktemp("hub") / "project")
    samples = [*map(real, range(4)), made(0)]
    kept = {"restrictions": ["licence X of c does not allow passing on"]}
    for number, of, facts in (("v1.0.0", samples, {}), ("v1.1.0", [*samples, made(1)], {}), ("v2.0.0", samples, kept)):
        run = project.folder.parent / number
        write_release(run / "release", of, **facts)
        project.version(run, number)
    return project


def test_a_version_arrives_whole_and_once(versions: Published, hub: Hub) -> None:
    done = push_hub("tiny@v1.0.0", ADDRESS, repo=versions.folder)
    assert done.sent and not done.private and "every one compared" in done.sentence
    release = fetched(version_of("tiny@v1.0.0", versions.folder), versions.folder, whole=True) / "release"
    names = [path.relative_to(release).as_posix() for path in release.rglob("*") if path.is_file()]
    assert done.files == len(names)
    for name in names:
        assert hub.file("lab/tiny", "v1.0.0", name) == (release / name).read_bytes()
    again = push_hub("tiny@v1.0.0", ADDRESS, repo=versions.folder)
    assert not again.sent and again.commit == done.commit and "is at" in again.sentence
    assert push_hub("tiny@latest".replace("latest", "v1.1.0"), ADDRESS, repo=versions.folder).sent
    known = hub.repositories["lab/tiny"]
    assert sorted(known.tags) == ["v1.0.0", "v1.1.0"] and len(known.messages) == 2
    sent = [asked for asked in hub.asked if asked.startswith("PUT /upload/")]
    assert len(sent) == len(set(sent)), "an object that is there is not sent again"


@pytest.mark.parametrize("at", ["/upload/", "/commit/", "/tag/"])
def test_cut_short_the_same_command_goes_on(versions: Published, hub: Hub, at: str) -> None:
    hub.broken[at] = 403
    with pytest.raises(ResourceError, match=r"lab/tiny at http://127.*(may not write|did not take).*goes on"):
        push_hub("tiny@v1.0.0", ADDRESS, repo=versions.folder)
    assert not hub.repositories["lab/tiny"].tags
    hub.broken.clear()
    assert push_hub("tiny@v1.0.0", ADDRESS, repo=versions.folder).sent
    assert len(hub.repositories["lab/tiny"].messages) == 1


def test_a_hub_without_xet_takes_files_over_lfs(versions: Published, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hf_xet")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    hub.broken["/xet-write-token/"] = 404
    assert push_hub("tiny@v1.0.0", ADDRESS, repo=versions.folder).sent
    assert any(asked.startswith("PUT /upload/") for asked in hub.asked)
    assert constants.HF_HUB_DISABLE_XET is False


def test_xet_that_fails_is_said_with_the_way_round(
    versions: Published, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hf_xet")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    hub.broken["/xet-write-token/"] = 403
    with pytest.raises(ResourceError, match=r"lab/tiny at http://127.*over Xet.*goes on.*HF_HUB_DISABLE_XET=1"):
        push_hub("tiny@v1.0.0", ADDRESS, repo=versions.folder)
    assert not hub.repositories["lab/tiny"].tags
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    assert push_hub("tiny@v1.0.0", ADDRESS, repo=versions.folder).sent, "the way round is one"


def test_what_may_not_be_passed_on(versions: Published, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GateError, match=r"licence X of c.*private_hub"):
        push_hub("tiny@v2.0.0", ADDRESS, repo=versions.folder, private=True)
    assert not hub.asked, "the Hub never hears of it"
    machine = versions.folder / "machine.yaml"
    machine.write_text(f"private_hub: {ADDRESS}\n")
    try:
        done = push_hub("tiny@v2.0.0", ADDRESS, repo=versions.folder)
        assert done.private and hub.repositories["lab/tiny"].private
        hub.repositories["lab/tiny"].private = False
        hub.repositories["lab/tiny"].tags.clear()
        with pytest.raises(GateError, match="is public"):
            push_hub("tiny@v2.0.0", ADDRESS, repo=versions.folder)
        assert not hub.repositories["lab/tiny"].tags
    finally:
        machine.unlink()


def test_a_tag_of_something_else_is_damage(versions: Published, hub: Hub) -> None:
    push_hub("tiny@v1.0.0", ADDRESS, repo=versions.folder)
    known = hub.repositories["lab/tiny"]
    known.commits[known.main]["README.md"]["shown"]["oid"] = "0" * 40
    with pytest.raises(IntegrityError, match=r"README\.md differ"):
        push_hub("tiny@v1.0.0", ADDRESS, repo=versions.folder)


def test_no_token_no_hub_no_address(versions: Published, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as other:
        other.setenv("HF_TOKEN", "hf_wrong")
        with pytest.raises(ResourceError, match="does not accept the token: `hf auth login`"):
            push_hub("tiny@v1.0.0", ADDRESS, repo=versions.folder)
    with monkeypatch.context() as down:
        down.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(ResourceError, match="does not answer"):
            push_hub("tiny@v1.0.0", ADDRESS, repo=versions.folder)
    for wrong in ("hf://models/a/b", "hf://datasets/a", "s3://a/b", "hf://datasets/a/../b"):
        with pytest.raises(UserError, match="no dataset of a Hub"):
            repository_of(wrong)


def test_the_stand_in_keeps_what_it_is_given(hub: Hub) -> None:
    """It would not do to test against one that answers yes to everything."""
    import httpx

    sent = httpx.put(f"{hub.url}/upload/{'0' * 64}", content=b"x")
    assert sent.status_code == 400 and json.loads(sent.text)["error"] == "another hash"
    assert httpx.get(f"{hub.url}/api/datasets/a/b").status_code == 401


def test_push_hub_needs_no_network_to_refuse(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        push_hub("tiny@v1.0.0", "tiny", repo=tmp_path)
