"""The entry of a run in dvc.yaml: put in without touching the rest, and read by DVC as it is meant."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from corpora.errors import UserError
from flows.publishing.artifacts import with_artifact

STAGES = "# ours\nstages:\n  fit:\n    foreach: ${runs}   # all\n    do: {cmd: x}\n"


@pytest.mark.parametrize(
    "text",
    [
        STAGES,
        STAGES.rstrip("\n"),
        STAGES + "\nartifacts:\n  other:\n    path: x\n",
        "artifacts:   # of people\n  other: {path: x}\n\n" + STAGES,
        STAGES + "artifacts:\n",
        STAGES + "artifacts:\n\n  # deep\n      other: {path: x}\n",
    ],
)
def test_an_entry_comes_and_everything_else_stays(text: str) -> None:
    after = with_artifact(text, "tiny", "face")
    before, now = (YAML(typ="safe").load(one) for one in (text, after))
    assert now.pop("artifacts") == {
        **(before.pop("artifacts", None) or {}),
        "tiny": {
            "path": "data/runs/tiny/release",
            "type": "dataset",
            "desc": "Release of tiny: shards, index, verdicts; open with corpora.store.open_release or webdataset",
            "labels": ["face"],
        },
    }
    assert now == before and "# ours" in after and "${runs}   # all" in after
    assert with_artifact(after, "tiny", "face") == after
    assert "a2" in with_artifact(after, "a2", "text")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (STAGES + "artifacts: {other: {path: x}}\n", "on a line of its own"),
        (STAGES + "artifacts:\n  tiny: {path: models/x}\n", "leads to 'models/x'"),
        ("a: [\n", "cannot be read"),
        (STAGES + "artifacts:\n- {path: x}\n", "no mapping of names"),
    ],
)
def test_what_cannot_hold_one_is_refused(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        with_artifact(text, "tiny", "face")
