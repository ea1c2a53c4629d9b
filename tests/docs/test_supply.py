"""What the environment is made of, and what is known of it: the documents say what is installed, and no more."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import uuid
from importlib.metadata import Distribution, PathDistribution, distributions
from pathlib import Path

import pytest

from tests.docs.pages import load

sbom = load("supply/sbom.py")
advisories = load("supply/advisories.py")


def package(folder: Path, name: str, *lines: str, record: str = "a.py,sha256=x,1\n", direct: str = "") -> Distribution:
    """An installed distribution `name` 1.0+cpu."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    text = "\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0+cpu", *lines])
    (info / "METADATA").write_text(text + "\n")
    if record:
        (info / "RECORD").write_text(record)
    if direct:
        (info / "direct_url.json").write_text(direct)
    return PathDistribution(info)


def test_a_document_of_known_packages(tmp_path: Path) -> None:
    archive = "ab" * 32
    found = [
        package(
            tmp_path, "Root.App", "License-Expression: Apache-2.0", "Provides-Extra: x", 'Requires-Dist: b; extra=="x"'
        ),
        package(tmp_path, "b", "License: MIT", "Requires-Dist: c[more]>=1", "Requires-Dist: absent"),
        package(
            tmp_path, "c", "License: Apache 2.0", 'Requires-Dist: d; extra=="more"', 'Requires-Dist: b; extra=="less"'
        ),
        package(tmp_path, "d", "Classifier: License :: OSI Approved :: ISC License (ISCL)", record=""),
        package(tmp_path / "later", "d", "License: GPL-3.0-only"),  # hidden by the first of its name
        package(
            tmp_path, "e", "License: UNKNOWN", direct=json.dumps({"archive_info": {"hashes": {"sha256": archive}}})
        ),
    ]
    whole = sbom.document(found, "root-app")
    assert whole == sbom.document(reversed([f for f in found if f is not found[4]]), "root-app")
    assert (whole["bomFormat"], whole["specVersion"], whole["version"]) == ("CycloneDX", "1.6", 1)
    assert uuid.UUID(whole["serialNumber"].removeprefix("urn:uuid:")).version == 5
    assert whole["metadata"]["component"]["bom-ref"] == "pkg:pypi/root-app@1.0%2Bcpu"
    by = {part["name"]: part for part in whole["components"]}
    assert list(by) == ["b", "c", "d", "e"]
    declared = {"acknowledgement": "declared"}
    assert by["b"]["licenses"] == [{"expression": "MIT", **declared}]
    assert by["c"]["licenses"] == [{"license": {"name": "Apache 2.0", **declared}}]  # no identifier: kept as it is
    assert by["d"]["licenses"] == [{"license": {"name": "ISC License (ISCL)", **declared}}]
    assert "licenses" not in by["e"] and by["e"]["hashes"] == [{"alg": "SHA-256", "content": archive}]
    digest = hashlib.sha256(b"a.py,sha256=x,1\n").hexdigest()
    assert by["b"]["components"][0]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert "components" not in by["d"]
    end = -len("@1.0%2Bcpu")
    needs = {line["ref"][9:end]: [ref[9:end] for ref in line["dependsOn"]] for line in whole["dependencies"]}
    assert needs == {"root-app": ["b"], "b": ["c"], "c": ["d"], "d": [], "e": []}


def test_the_document_of_this_environment_has_what_cyclonedx_requires() -> None:
    """Required fields, unique references, references that lead somewhere (the schema: bom-1.6.schema.json)."""
    whole = sbom.document(distributions())
    parts = [whole["metadata"]["component"], *whole["components"]]
    names = {part["name"].lower().replace("_", "-") for part in parts}
    assert {"emoforge", "torch", "numpy", "ray", "dvc"} <= names
    files = [inner for part in parts for inner in part.get("components", [])]
    references = [part["bom-ref"] for part in [*parts, *files]]
    assert len(references) == len(set(references))
    for part in parts:
        assert part["type"] in ("application", "library") and part["name"] and part["version"]
        assert re.fullmatch(r"pkg:pypi/[a-z0-9-]+@[\w.~%-]+", part["purl"])
        kinds = [set(line) & {"expression", "license"} for line in part.get("licenses", [])]
        assert all(len(kind) == 1 for kind in kinds) and ({"expression"} not in kinds or len(kinds) == 1)
    for part in [*parts, *files]:
        assert all(re.fullmatch(r"[0-9a-f]{64}", line["content"]) for line in part.get("hashes", []))
    assert len(files) > len(parts) / 2
    known = set(references)
    assert all({line["ref"], *line["dependsOn"]} <= known for line in whole["dependencies"])


def tool(folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command pip-audit that runs the shell `code`, alone on the PATH."""
    path = folder / "pip-audit"
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


CLEAN = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}, {"id": "PYSEC-2"}]}
SKIPPED = {"name": "emoforge", "skip_reason": "not on the index"}


@pytest.mark.parametrize(
    ("packages", "code", "says"),
    [
        ([CLEAN, SKIPPED], 0, "1 packages looked up, 0 advisories"),
        ([CLEAN, BAD], 1, "b 2: PYSEC-1 (mended in 3)\nb 2: PYSEC-2 (mended in no version yet)"),
        ([SKIPPED], 2, "NOT AUDITED"),
        ([], 2, "NOT AUDITED"),
    ],
)
def test_what_pip_audit_answers(
    packages: list[dict], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "answer").write_text(json.dumps({"dependencies": packages, "fixes": []}))
    tool(tmp_path, f"cat {tmp_path}/answer; exit {min(code, 1)}", monkeypatch)
    ended, said = advisories.ask()
    assert ended == code and says in said


def test_an_audit_that_could_not_ask_is_no_clean_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert advisories.ask() == (2, advisories.ask()[1]) and "pipx install" in advisories.ask()[1]
    tool(tmp_path, "echo 'connection refused' >&2; exit 1", monkeypatch)
    code, said = advisories.ask()
    assert code == 2 and "connection refused" in said and "NOT AUDITED" in said
    tool(tmp_path, "echo '[]'; exit 0", monkeypatch)
    assert advisories.ask()[0] == 2
