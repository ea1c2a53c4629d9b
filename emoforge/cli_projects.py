"""Commands for a project as a whole: its beginning, its clock, what it leaves behind. Thin, as emoforge/cli.py, which
takes them in.

Nothing heavy is imported until a command needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoforge.project import find_project

commands = typer.Typer()

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for machines.")]


@commands.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where; need not exist")] = Path(),
    git: Annotated[bool, typer.Option(help="Begin a git repository where there is none; publishing needs one")] = True,
    as_json: Json = False,
) -> None:
    """Make a folder a project of its own, run by the emoforge that is installed.

    Writes params.yaml, dvc.yaml, prefect.yaml, machine.example.yaml, data/cards and data/retractions, and begins DVC.
    Overwrites nothing: files in the way are named, and nothing is written then (exit 2). Again: adds what is missing.

    Example:  emoforge init my_releases
    """
    from emoforge.projects.beginning import begin

    begin(folder, git=git, as_json=as_json)


@commands.command()
def schedule(
    what: Annotated[
        list[str] | None, typer.Argument(help="serve (the default), start or status; after serve, runs: none: all")
    ] = None,
    cron: Annotated[
        str | None, typer.Option(help="serve: when nightly-rebuild runs; none: as prefect.yaml says")
    ] = None,
    no_publish: Annotated[bool, typer.Option("--no-publish", help="serve: rebuild only")] = False,
    every: Annotated[bool, typer.Option("--all", help="serve: the other deployments of prefect.yaml, too")] = False,
    as_json: Json = False,
) -> None:
    """Rebuild and publish by the clock, watch corpora, refresh studies, verify releases: what prefect.yaml says.

    serve: until stopped, on the Prefect server of PREFECT_API_URL, or one on loopback that lives as long as this.
    start: on a server that stays: makes the pool, deploys prefect.yaml, and is its worker.
    status: what runs when, and how it last went. Changes nothing.

    Example:  emoforge schedule serve --cron "30 2 * * *" demo_speech
    Example:  emoforge schedule status
    """
    from emoforge.projects.scheduling import schedule as do

    do(what or [], find_project(), cron=cron, publish=not no_publish, every=every, as_json=as_json)


@commands.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many bytes would go; remove nothing")] = False,
    keep_days: Annotated[float, typer.Option(help="What was used in the last days stays")] = 30.0,
    as_json: Json = False,
) -> None:
    """Remove what a year of runs leaves behind: old work, staging, fetched versions, DVC's cache, Prefect's database.

    What a git tag, a branch, an experiment or the workspace needs is never removed: of DVC's cache goes what none of
    them names, whatever its age. Refused while a run is being built. Exit 1 where a part could not be looked at.

    Example:  emoforge gc --dry-run
    """
    from emoforge.projects.collecting import collect

    if not collect(find_project(), keep_days=keep_days, dry=dry_run, as_json=as_json):
        raise typer.Exit(1)
