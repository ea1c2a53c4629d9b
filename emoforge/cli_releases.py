"""Commands for releases that are there. Thin, as emoforge/cli.py, which takes them in.

Nothing heavy is imported until a command needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoforge.project import find_project, project_here

commands = typer.Typer()
PANEL = "Releases that are there"

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for machines.")]
Named = typer.Argument(help="A release folder, a run of the project, or a version NAME@vX.Y.Z (NAME@latest)")


@commands.command(rich_help_panel=PANEL)
def publish(
    run: Annotated[str, typer.Argument(help="A run of params.yaml")],
    bump: Annotated[str, typer.Option(help="Which number goes up: auto | major | minor | patch")] = "auto",
    as_json: Json = False,
) -> None:
    """Push a release to the DVC remote, commit its lock, tag it RUN@vX.Y.Z.

    Reads everything that would leave first: if any of it is damaged, nothing leaves (exit 1).
    Refuses (exit 1) what gates or audit do not let out. What a licence forbids to pass on stays here, unless
    machine.yaml names a private_remote. Nothing changed since the last tag: does nothing.
    Which number goes up is computed from the last version: major for schema, label map or split, minor for samples,
    patch for metadata. A lower one than that is refused.

    Example:  emoforge publish demo_speech
    """
    from emoforge import console
    from flows.conduct.publish import publish as do
    from flows.params import load_params

    repo = find_project()
    load_params(repo / "params.yaml").run(run)
    outcome = do(run, repo=repo, bump=bump)
    if as_json:
        console.print_json(outcome.as_dict())
        return
    console.out.print(outcome.sentence)
    for path in outcome.mended:
        console.out.print(f"  was damaged; restored from the intact file: {path}")
    for path, why in outcome.withheld.items():
        console.out.print(f"  not pushed: {path} ({why})")


@commands.command(rich_help_panel=PANEL)
def inspect(
    release: Annotated[Path, typer.Argument(help="A release folder, e.g. data/runs/demo_speech/release")],
    as_json: Json = False,
) -> None:
    """Show what is in a release and check every file against its hash. Exit 1 if one differs.

    Example:  emoforge inspect data/runs/demo_speech/release
    """
    from emoforge.summary import inspect_release

    inspect_release(release, as_json=as_json)


@commands.command(rich_help_panel=PANEL)
def verify(release: Annotated[str, Named], as_json: Json = False) -> None:
    """Check every byte of a release against its hashes; name what differs, down to the samples. Exit 1 if any does.

    A folder needs no project. Extra files are named; a tar among the shards that the manifest does not list is damage.

    Example:  emoforge verify data/runs/demo_speech/release
    Example:  emoforge verify demo_speech@v1.0.0
    """
    from emoforge.verifying import verify as do

    if not do(release, project_here(), as_json=as_json):
        raise typer.Exit(1)


@commands.command(rich_help_panel=PANEL)
def log(
    name: Annotated[str, typer.Argument(help="A run that has been published")],
    as_json: Json = False,
) -> None:
    """List the versions of a release: when, commit, hash, samples, verdicts, and what kind of step each was.

    Example:  emoforge log demo_speech
    """
    from emoforge.releases import show_log

    show_log(name, find_project(), as_json=as_json)


@commands.command(rich_help_panel=PANEL)
def diff(
    before: Annotated[str, Named],
    after: Annotated[str, Named],
    html: Annotated[Path | None, typer.Option(help="Write a page that stands alone")] = None,
    as_json: Json = False,
) -> None:
    """Show what moved between two releases, and why: samples, balance, verdicts, uplift.

    Each is traced through the plans to the parameter, corpus, weights or code that can have moved it. Versions are
    fetched without their payloads.

    Example:  emoforge diff demo_speech@v1.0.0 demo_speech@v1.1.0
    Example:  emoforge diff demo_speech@latest demo_speech --html diff.html
    """
    from emoforge.comparing import diff as do

    do(before, after, project_here(), html=html, as_json=as_json)


@commands.command(rich_help_panel=PANEL)
def trace(
    sample: Annotated[str | None, typer.Argument(help="A sample's id, of index.parquet")] = None,
    subject: Annotated[str | None, typer.Option(help="A subject's id (CORPUS:SUBJECT) in place of a sample")] = None,
    release: Annotated[
        list[str] | None, typer.Option(help="Look here alone: a folder, a run or a version; may be repeated")
    ] = None,
    versions: Annotated[bool, typer.Option("--versions", help="Look at every published version, too")] = False,
    openlineage: Annotated[bool, typer.Option("--openlineage", help="Print OpenLineage events as JSON")] = False,
    as_json: Json = False,
) -> None:
    """Trace a sample back to generator, weights, draw, sources, people and gates; and a person or sample forward.

    Forward: which synthetic samples stand on them, in which releases: made from them, or by a generator fitted on them.

    Example:  emoforge trace syn/1f2e.../9a0b... --release demo_speech
    Example:  emoforge trace --subject demo_speech:03 --versions
    """
    from emoforge.tracing import trace as do

    form = "openlineage" if openlineage else "json" if as_json else "text"
    do(sample, subject, release or [], project_here(), versions=versions, form=form)


@commands.command(rich_help_panel=PANEL)
def checkout(
    version: Annotated[str, typer.Argument(help="NAME@vX.Y.Z, or NAME@latest")],
    folder: Annotated[Path | None, typer.Argument(help="Where to; none: NAME-vX.Y.Z in the current folder")] = None,
    as_json: Json = False,
) -> None:
    """Write a published version of a release into a folder, every byte checked. Leaves a folder that is there alone.

    Example:  emoforge checkout demo_speech@v1.0.0 old/
    """
    from emoforge.releases import checkout as do

    do(version, folder, find_project(), as_json=as_json)


@commands.command(rich_help_panel=PANEL)
def redraw(
    sample: Annotated[str, typer.Argument(help="A synthetic sample's id, of index.parquet")],
    release: Annotated[str, typer.Option(help="The run or version that holds it")],
    out: Annotated[Path | None, typer.Option(help="Write the payload into this file")] = None,
    as_json: Json = False,
) -> None:
    """Draw one synthetic sample again from its birth certificate. Exit 1 if its bytes are not those of the release.

    The project must hold the generator that drew it (dvc pull); another one is refused, with what differs.

    Example:  emoforge redraw syn/1f2e.../9a0b... --release demo_speech
    """
    from emoforge.redrawing import redraw as do

    if not do(sample, release, find_project(), out=out, as_json=as_json):
        raise typer.Exit(1)


@commands.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where; need not exist")] = Path(),
    git: Annotated[bool, typer.Option(help="Begin a git repository where there is none; publishing needs one")] = True,
    as_json: Json = False,
) -> None:
    """Make a folder a project of its own, run by the emoforge that is installed.

    Writes params.yaml, dvc.yaml, prefect.yaml, machine.example.yaml and data/cards, and begins DVC. Overwrites nothing:
    files in the way are named, and nothing is written then (exit 2). Again: adds what is missing.

    Example:  emoforge init my_releases
    """
    from emoforge.beginning import begin

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
    from emoforge.scheduling import schedule as do

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
    from emoforge.collecting import collect

    if not collect(find_project(), keep_days=keep_days, dry=dry_run, as_json=as_json):
        raise typer.Exit(1)
