"""The examples of docs/clusters: they parse, and what they call exists."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.main import get_command

from emoforge.cli import app

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "clusters"
PROSE = {"installed", "init"}  # words after the name in comments
SCRIPTS = sorted(FOLDER.glob("*.sh"))
# of a RayJob (ray.io/v1), as far as the example goes: key -> keys below it that are known
RAY_JOB = {
    "": {"apiVersion", "kind", "metadata", "spec"},
    "spec": {
        "entrypoint",
        "submissionMode",
        "shutdownAfterJobFinishes",
        "ttlSecondsAfterFinished",
        "backoffLimit",
        "rayClusterSpec",
    },
    "rayClusterSpec": {"rayVersion", "headGroupSpec", "workerGroupSpecs"},
    "headGroupSpec": {"rayStartParams", "template"},
    "workerGroupSpecs": {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"},
}


def read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load((FOLDER / name).read_text(encoding="utf-8"))
    return loaded


RAY = {"start": "scripts/scripts.py", "job submit": "dashboard/modules/job/cli.py"}  # where its options stand


def test_options_of_ray_exist() -> None:
    spec = importlib.util.find_spec("ray")  # not imported: that takes seconds
    assert spec is not None and spec.origin is not None
    used: dict[str, set[str]] = {words: set() for words in RAY}
    for path in FOLDER.iterdir():
        joined = code(path).replace("\\\n", " ")
        for words, options in re.findall(r"\bray (start|job submit)((?: +(?!-- )[^\s#&]+)*)", joined):
            used[words] |= set(re.findall(r"--[a-z-]+", options))
    for words, options in used.items():
        known = (Path(spec.origin).parent / RAY[words]).read_text(encoding="utf-8")
        assert options and all(f'"{option}"' in known for option in options), (words, options)


def code(path: Path) -> str:
    """Without comments but those that show how it is called."""
    return path.read_text(encoding="utf-8")


def test_every_command_of_emoforge_exists() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    called = {word for path in FOLDER.iterdir() for word in re.findall(r"\bemoforge ([a-z]+)\b", code(path))}
    assert {"run", "schedule"} <= called and called - PROSE <= commands.keys()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_scripts_parse(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert "set -euo pipefail" in code(script)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(script)], check=True)


def test_submitting_quotes_what_it_hands_on(tmp_path: Path) -> None:
    ray = tmp_path / "ray"
    ray.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    ray.chmod(0o755)
    script = str(FOLDER / "submit.sh")
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert subprocess.run(["bash", script, "http://h:8265"], env=env, capture_output=True).returncode == 2
    words = ["bash", script, "http://h:8265", "/a folder", "one", "two; rm -rf x"]
    lines = subprocess.run(words, env=env, check=True, capture_output=True, text=True).stdout.splitlines()
    assert lines[:4] == ["job", "submit", "--address", "http://h:8265"] and lines[-3:-1] == ["bash", "-c"]
    assert lines[-1].startswith("cd /a\\ folder && exec emoforge run one two\\;")


def test_compose_names_what_it_defines() -> None:
    compose = read("compose.yaml")
    services = compose["services"]
    for name, service in services.items():
        assert {"image", "command"} & service.keys(), name
        assert set(service.get("depends_on", {})) <= services.keys()
        mounts = [mount.partition(":")[0] for mount in service.get("volumes", [])]
        assert {mount for mount in mounts if not mount.startswith(".")} <= compose["volumes"].keys()
        hosts = re.findall(r"//(?:[\w:${}?. -]*@)?(\w+):\d+", str(service.get("environment", {})))
        assert set(hosts) <= services.keys(), name
    assert services["worker"].get("volumes") is None, "workers share no disk with the head"


def test_the_ray_job_has_the_keys_of_its_kind() -> None:
    job = read("rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    parts = {"": [job], "spec": [job["spec"]], "rayClusterSpec": [cluster]}
    parts |= {"headGroupSpec": [cluster["headGroupSpec"]], "workerGroupSpecs": cluster["workerGroupSpecs"]}
    for name, known in RAY_JOB.items():
        assert all(set(part) <= known for part in parts[name]), name
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        pod = group["template"]["spec"]
        claimed = {volume["name"] for volume in pod.get("volumes", [])}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= claimed
