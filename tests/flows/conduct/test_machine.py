"""What a machine lacks is said before a run starts, with what to do about it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from corpora.errors import ResourceError
from flows.conduct.machine import require_accelerator, require_cluster, require_disk, survey
from flows.params import Machine, Numerics, Params, load_params
from flows.paths import Layout
from flows.stages.ingest.retracted import Retraction, retraction_key, write_retraction
from tests.toy import PARAMS


def test_disk_is_enough_or_the_message_says_how_much(tmp_path: Path) -> None:
    assert require_disk(tmp_path, Machine.model_validate({"min_free_gib": 0})) > 0
    with pytest.raises(ResourceError, match="GiB are wanted"):
        require_disk(tmp_path, Machine.model_validate({"min_free_gib": 1e9}))


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's rights, which ignore modes, in a child")
def test_a_folder_that_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o555)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o777)
    said = tmp_path / "said"
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            require_disk(tmp_path, Machine.model_validate({"min_free_gib": 0}))
        except ResourceError as error:
            said.write_text(str(error))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert "data is not writable" in said.read_text()


def test_a_gpu_that_is_asked_for_and_absent() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ResourceError, match=r"numerics\.device"):
        require_accelerator(Params(numerics=Numerics.model_validate({"device": "cuda"})))


def test_a_ray_cluster_that_does_not_answer() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(ResourceError, match=address):
        require_cluster(Machine.model_validate({"ray_address": address}))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = f"ray://127.0.0.1:{listening.getsockname()[1]}"
        assert address in require_cluster(Machine.model_validate({"ray_address": address}))


def test_the_survey_names_a_corpus_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS.replace("demo:\n  toy:", "demo:\n  other:"))
    params = load_params(tmp_path / "params.yaml")
    machine = Machine.model_validate({"min_free_gib": 0})
    found = {f.what: f for f in survey(params, machine, tmp_path, ["toy"])}
    assert found["corpus toy"].state == "missing" and "emoforge link toy PATH" in found["corpus toy"].detail
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/raw/toy").symlink_to(tmp_path / "gone")
    assert "is gone" in {f.what: f for f in survey(params, machine, tmp_path, ["toy"])}["corpus toy"].detail
    (tmp_path / "gone").mkdir()
    assert {f.what: f for f in survey(params, machine, tmp_path, ["toy"])}["corpus toy"].state == "ok"
    one = Retraction(corpus="toy", of="corpus", key=retraction_key("corpus", "toy"), date="2026-12-01")
    write_retraction(Layout(tmp_path), one)
    finding = {f.what: f for f in survey(params, machine, tmp_path, ["toy"])}["corpus toy"]
    assert finding.state == "missing" and "corpus toy was retracted on 2026-12-01" in finding.detail


def test_a_store_that_cannot_be_is_said_by_the_survey(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS)
    params = load_params(tmp_path / "params.yaml")
    (tmp_path / "file").write_text("x")

    def state(store: str | None) -> str:
        machine = Machine.model_validate({"min_free_gib": 0, "store": store})
        return {f.what: f for f in survey(params, machine, tmp_path, ["toy"])}["work store"].state

    assert state(None) == state(str(tmp_path / "new" / "store")) == state("memory://x") == "ok"
    assert not (tmp_path / "new").exists() and not (tmp_path / ".emoforge").exists()
    assert state(str(tmp_path / "file" / "store")) == state(str(tmp_path / "file")) == state("nosuch://x") == "missing"
