"""prefect.yaml: Prefect can read it, a worker can import its flows without what is heavy, their parameters fit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.cli.deploy._models import ConcurrencyLimitSpec, PrefectYamlModel, RawScheduleConfig
from ruamel.yaml import YAML

from corpora.errors import UserError
from emoforge.projects.scheduling import schedule as command
from flows.nightly.schedule import _cron, _deployments, _require_cron, _served, serving, serving_file

REPO = Path(__file__).resolve().parents[3]
LOADED = """
import json, sys
from prefect.flows import load_flow_from_entrypoint
from prefect.cli.deploy._models import PrefectYamlModel
from ruamel.yaml import YAML
model = PrefectYamlModel.model_validate(YAML(typ="safe").load(open(sys.argv[1])))
named = {}
for one in model.deployments:
    flow = load_flow_from_entrypoint(one.entrypoint, use_placeholder_flow=False)
    flow.validate_parameters(one.parameters)
    named[one.name] = [flow.name, sorted(flow.parameters.properties)]
heavy = sorted({"torch", "ray", "great_expectations", "pandas", "dvc"} & sys.modules.keys())
print(json.dumps({"flows": named, "heavy": heavy}))
"""


def test_prefect_reads_it() -> None:
    model = PrefectYamlModel.model_validate(YAML(typ="safe").load((REPO / "prefect.yaml").read_text(encoding="utf-8")))
    names = [one.name for one in model.deployments]
    assert names == ["nightly-rebuild", "watch-corpus", "study-refresh", "verify-releases"]
    for one in model.deployments:
        assert isinstance(one.concurrency_limit, ConcurrencyLimitSpec)
        assert (one.concurrency_limit.limit, one.concurrency_limit.collision_strategy) == (1, "CANCEL_NEW")
        served = _served(one, "0 3 * * *", {})  # what `serve` has stands in prefect.yaml alone
        assert served.concurrency_limit == 1 and served.concurrency_options.collision_strategy == "CANCEL_NEW"
        assert served.concurrency_options.grace_period_seconds == one.concurrency_limit.grace_period_seconds == 120
        assert one.tags == ["emoforge"] and one.work_pool is not None and one.work_pool.name == "emoforge"
        assert one.schedules and isinstance(one.schedules[0], RawScheduleConfig)
        _require_cron(_cron(one))


def test_a_worker_imports_the_flows_without_what_is_heavy() -> None:
    command = [sys.executable, "-c", LOADED, str(REPO / "prefect.yaml")]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["heavy"] == []
    assert told["flows"]["nightly-rebuild"] == ["rebuild", ["publish", "repo", "runs"]]
    assert {name: flow for name, (flow, _) in told["flows"].items() if name != "nightly-rebuild"} == {
        name: name for name in ("watch-corpus", "study-refresh", "verify-releases")
    }


def test_a_prefect_yaml_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    with pytest.raises(UserError, match=r"no .*prefect\.yaml: `emoforge init` writes one"):
        _deployments(path)
    path.write_text("deployments: 3\n")
    with pytest.raises(UserError, match="cannot be read"):
        _deployments(path)
    path.write_text("deployments: [{name: mine, schedules: [{interval: 60}]}]\n")
    with pytest.raises(UserError, match="no deployment 'nightly-rebuild'"):
        _deployments(path)
    path.write_text("deployments: [{name: nightly-rebuild, schedules: [{interval: 60}]}]\n")
    with pytest.raises(UserError, match="nightly-rebuild has no schedule with a cron"):
        _cron(_deployments(path)[0])
    with pytest.raises(UserError, match="five fields are wanted"):
        _require_cron("at night")


def test_what_the_command_refuses(tmp_path: Path) -> None:
    def run(*words: str, cron: str | None = None, as_json: bool = False) -> None:
        command(list(words), tmp_path, cron=cron, publish=True, every=False, as_json=as_json)

    with pytest.raises(UserError, match="status takes no runs"):
        run("status", "toy")
    with pytest.raises(UserError, match="start takes no runs and no --cron"):
        run("start", cron="0 3 * * *")
    with pytest.raises(UserError, match="--json is for status"):
        run("serve", as_json=True)


def test_a_server_that_serves_here_is_known_while_its_process_lives(tmp_path: Path) -> None:
    import os

    assert serving(tmp_path) is None
    path = serving_file(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"url": "http://127.0.0.1:1/api", "pid": os.getpid()}))
    assert serving(tmp_path) == "http://127.0.0.1:1/api"
    path.write_text(json.dumps({"url": "http://127.0.0.1:1/api", "pid": 2**22 + 1}))
    assert serving(tmp_path) is None
