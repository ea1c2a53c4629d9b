"""The `artifacts:` entry of a run in dvc.yaml: what `dvc artifacts get`, `gto` and DVC Studio know a release by.

They look for it in the dvc.yaml at the root, beside the tags RUN@vX.Y.Z (a dvc.yaml further down would want tags
FOLDER=RUN@vX.Y.Z). It is no stage: no stage runs again for it. It is put in as text, so that comments and layout of the
file stay as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from corpora.errors import UserError

_CHILD = re.compile(r"\n(?:[ \t]*(?:#.*)?\n)*(?P<indent> +)[^\s#]")  # the first entry that is there
_KEY = re.compile(r"^artifacts:[ \t]*(?:#.*)?$", re.MULTILINE)


def entry(run: str, modality: str) -> dict[str, object]:
    """What is said of a run."""
    return {
        "path": f"data/runs/{run}/release",
        "type": "dataset",
        "desc": f"Release of {run}: shards, index, verdicts; open with corpora.store.open_release or webdataset",
        "labels": [modality],
    }


def with_artifact(text: str, run: str, modality: str) -> str:
    """The text of dvc.yaml with an entry of `run`; one that is there and leads to the release is left alone.

    Raises `UserError`: not YAML, an entry of that name of something else, or `artifacts` written on one line.
    """
    before = _parsed(text)
    wanted = entry(run, modality)
    there = before.get("artifacts") or {}
    if not isinstance(there, dict):
        raise UserError("dvc.yaml: `artifacts` is no mapping of names; DVC itself refuses it")
    if run in there:
        if there[run].get("path") == wanted["path"]:
            return text
        raise UserError(
            f"dvc.yaml: artifacts.{run} leads to {there[run].get('path')!r}; `dvc artifacts get` of {run} must give "
            f"{wanted['path']!r}. Rename that entry"
        )
    key = _KEY.search(text)
    step = (_CHILD.match(text, key.end()) or {"indent": "  "})["indent"] if key else "  "
    lines = [f"{step}{run}:", *(f"{step}  {name}: {json.dumps(value)}" for name, value in wanted.items())]
    block = "\n".join(lines) + "\n"
    if key:
        after = text[: key.end()].rstrip("\n") + "\n" + block + text[key.end() :].lstrip("\n")
    elif "artifacts" in before:
        raise UserError(f"dvc.yaml: write `artifacts:` on a line of its own, so that {run} can be put below it")
    else:
        after = text.rstrip("\n") + "\n\nartifacts:\n" + block
    expected = {**before, "artifacts": {**there, run: wanted}}
    try:
        whole = _parsed(after) == expected
    except UserError:
        whole = False
    if not whole:
        raise UserError(f"dvc.yaml: no entry of {run} can be put below `artifacts:`; write it there yourself:\n{block}")
    return after


def _parsed(text: str) -> Mapping[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        value = YAML(typ="safe").load(text)
    except YAMLError as error:
        raise UserError(f"dvc.yaml cannot be read: {error}") from None
    return value if isinstance(value, dict) else {}
