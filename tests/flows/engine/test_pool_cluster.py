"""The pool on a cluster that RAY_ADDRESS names: nodes without a common folder, one of them killed on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import corpora.quiet
from corpora.errors import ResourceError
from flows.engine.store import MissingItemError, WorkStore
from tests.flows.engine.loopback_storage import object_store


def test_a_store_behind_a_url(tmp_path: Path) -> None:
    with object_store() as (url, objects):
        store = WorkStore(url)
        assert not store.has("a/b") and store.size() == 0
        store.put("a/b", b"payload")
        assert store.has("a/b") and store.get("a/b") == b"payload"
        (path,) = objects
        assert path == "/bucket/a/b.item"
        objects[path] = (objects[path][0][:-1], 0.0)
        assert not store.has("a/b")
        with pytest.raises(MissingItemError):
            store.get("a/b")
        assert not objects
        store.put("old", b"x")
        objects["/bucket/old.item"] = (objects["/bucket/old.item"][0], 0.0)
        store.put("new", b"x")
        store.prune(60)
        assert list(objects) == ["/bucket/new.item"]
    with pytest.raises(ResourceError, match=r"cannot write .* in the work store loop://127.0.0.1"):
        store.put("a", b"")  # the storage is down
    with pytest.raises(ResourceError, match="cannot read"):
        store.has("a")


@pytest.mark.slow
def test_a_node_is_killed_and_nodes_share_no_folder(tmp_path: Path) -> None:
    script = Path(__file__).with_name("pool_on_two_nodes.py")
    done = subprocess.run(
        [sys.executable, "-m", f"tests.flows.engine.{script.stem}", str(tmp_path / "report.json"), str(tmp_path)],
        cwd=corpora.quiet.REPO,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report["seen"]) == 24  # every item once
    assert len(report["lost"]) == 1  # one node was killed while both worked
    assert len(set(report["seen"])) == 2
    assert report["lost"][0] in report["seen"]
    for key, values in report["results"].items():
        np.testing.assert_array_equal(values, np.arange(1000.0) * 3 + int(key.split("/")[1]))
    assert len(report["results"]) == 24 and report["objects"] == 25
    own = sorted(p.name for p in (tmp_path / "nodes").iterdir())
    assert own == sorted(set(report["seen"]))  # each node made its own copy of the model
    assert all((tmp_path / "nodes" / name / "models" / "m" / "weight.txt").exists() for name in own)
