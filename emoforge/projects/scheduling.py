"""`emoforge schedule serve|start|status`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from corpora.errors import UserError
from emoforge import console
from flows.params import load_params

ACTIONS = ("serve", "start", "status")


def schedule(words: Sequence[str], repo: Path, *, cron: str | None, publish: bool, every: bool, as_json: bool) -> None:
    """words: an action and, for serve, runs; runs alone are served. Raises `UserError`, `UnknownNameError` (run), and
    what the action raises."""
    action, runs = (words[0], list(words[1:])) if words and words[0] in ACTIONS else ("serve", list(words))
    if action != "serve" and (runs or cron or not publish or every):
        raise UserError(f"emoforge schedule {action} takes no runs and no --cron, --no-publish, --all")
    if as_json and action != "status":
        raise UserError(f"emoforge schedule {action} goes on until it is stopped; --json is for status")
    if action == "start":
        from flows.nightly.schedule import start

        start(repo)
    elif action == "status":
        _show(repo, as_json=as_json)
    else:
        from flows.nightly.schedule import serve

        params = load_params(repo / "params.yaml")
        for run in runs:
            params.run(run)
        if not params.runs:
            raise UserError("params.yaml has no runs. Add one: emoforge link NAME PATH")
        serve(runs or list(params.runs), cron=cron, publish=publish, repo=repo, every=every)


def _show(repo: Path, *, as_json: bool) -> None:
    from flows.nightly.status import status

    url, deployed = status(repo)
    if as_json:
        console.print_json({"server": url, "deployments": [one.as_dict() for one in deployed]})
        return
    if not deployed:
        console.out.print(f"{url} has no deployment of emoforge: emoforge schedule start")
        return
    rows = [
        [one.name, one.schedule, one.next or "-", one.last or "never", _state(one.state, one.stale), one.message]
        for one in deployed
    ]
    console.table(f"Deployments on {url}", ["name", "cron", "next", "last", "went", "said"], rows)


def _state(state: str, stale: bool) -> str:
    return f"{state}, but its process is gone" if stale else state or "-"
