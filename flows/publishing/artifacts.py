"""The `artifacts:` entry of a run in dvc.yaml: what `dvc artifacts get`, `gto` and DVC Studio know a release by.

They look for it in the dvc.yaml at the root, beside the tags RUN@vX.Y.Z (a dvc.yaml further down would want tags
FOLDER=RUN@vX.Y.Z). It is no stage: no stage runs again for it. It is put in as text, so that comments and layout of the
file stay as they are.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpora.errors import UserError
from flows.paths import Layout
from flows.publisher import PublishParams

_CHILD = re.compile(r"\n(?:[ \t]*(?:#.*)?\n)*(?P<indent> +)[^\s#]")  # the first entry that is there
NOBODY = PublishParams()  # says neither who nor where
_KEY = re.compile(r"^artifacts:[ \t]*(?:#.*)?$", re.MULTILINE)


def entry(run: str, modality: str, publish: PublishParams = NOBODY) -> dict[str, object]:
    """What is said of a run, or of a part of one, and of who publishes it."""
    meta = {
        **({"creator": [one.name for one in publish.creator]} if publish.creator else {}),
        **({"url": publish.url} if publish.url else {}),
    }
    return {
        "path": (Layout(Path()).product(run) / "release").as_posix(),
        "type": "dataset",
        "desc": f"Release of {run}: shards, index, verdicts; open with corpora.store.open_release or webdataset",
        "labels": [modality],
        **({"meta": meta} if meta else {}),
    }


def with_artifact(text: str, run: str, modality: str, publish: PublishParams = NOBODY) -> str:
    """The text of dvc.yaml with an entry of `run`; of one that is there and leads to the release its `meta` alone is
    written anew, where the publisher says who and where.

    Raises `UserError`: not YAML, an entry of that name of something else, or `artifacts` written on one line.
    """
    before = _parsed(text)
    wanted = entry(run, modality, publish)
    there = before.get("artifacts") or {}
    if not isinstance(there, dict):
        raise UserError("dvc.yaml: `artifacts` is no mapping of names; DVC itself refuses it")
    if run in there:
        if there[run].get("path") == wanted["path"]:
            return _with_meta(text, run, before, wanted.get("meta"))
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


def _with_meta(text: str, run: str, before: Mapping[str, Any], meta: object) -> str:
    """The entry of `run` with its line `meta`, which stands below `path`; as it is where nothing is said."""
    there = before["artifacts"][run]
    if meta is None or there.get("meta") == meta:
        return text
    expected = {**before, "artifacts": {**before["artifacts"], run: {**there, "meta": meta}}}
    line = f"meta: {json.dumps(meta, ensure_ascii=False)}"
    start = re.compile(rf"^(?P<step> +){re.escape(run)}:[ \t]*(?:#.*)?$", re.MULTILINE)
    for match in start.finditer(text):
        rest = text[match.end() :]
        end = re.search(rf"^ {{0,{len(match['step'])}}}[^\s#]", rest, re.MULTILINE)
        block = rest[: end.start()] if end else rest
        found = re.search(r"^(?P<indent> +)meta:.*$", block, re.MULTILINE)
        path = re.search(r"^(?P<indent> +)path:.*$", block, re.MULTILINE)
        if found:
            block = block[: found.start()] + found["indent"] + line + block[found.end() :]
        elif path:
            block = block[: path.end()] + "\n" + path["indent"] + line + block[path.end() :]
        after = text[: match.end()] + block + (rest[end.start() :] if end else "")
        with contextlib.suppress(UserError):
            if _parsed(after) == expected:
                return after
    raise UserError(f"dvc.yaml: `meta` of artifacts.{run} cannot be written; write it there yourself:\n{line}")


def _parsed(text: str) -> Mapping[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        value = YAML(typ="safe").load(text)
    except YAMLError as error:
        raise UserError(f"dvc.yaml cannot be read: {error}") from None
    return value if isinstance(value, dict) else {}
