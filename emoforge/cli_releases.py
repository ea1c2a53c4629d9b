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
    only: Annotated[
        str | None, typer.Option(help="A part alone, without the real samples: synthetic | features")
    ] = None,
    as_json: Json = False,
) -> None:
    """Push a release to the DVC remote, commit its lock and changelog, tag it RUN@vX.Y.Z: all of it or nothing.

    Cut short anywhere, the same command goes on.
    Reads everything that would leave first: if any of it is damaged, nothing leaves (exit 1).
    Refuses (exit 1) what gates or audit do not let out. What a licence forbids to pass on stays here, unless
    machine.yaml names a private_remote. Nothing changed since the last tag: does nothing.
    Which number goes up is computed from the last version: major for schema, label map or split, minor for samples,
    patch for metadata. A lower one than that is refused.
    --only takes a part of it, as a release of its own, tagged RUN-synthetic@vX.Y.Z or RUN-features@vX.Y.Z: where the
    terms of every corpus let it stand alone, or params.yaml states the owner's permission (publish: permits).

    Example:  emoforge publish demo_speech
    Example:  emoforge publish demo_speech --only synthetic
    """
    from emoforge import console
    from flows.conduct.publish import publish as do
    from flows.conduct.publish_part import publish_part
    from flows.params import load_params

    repo = find_project()
    load_params(repo / "params.yaml").run(run)
    outcome = do(run, repo=repo, bump=bump) if only is None else publish_part(run, only, repo=repo, bump=bump)
    if as_json:
        console.print_json(outcome.as_dict())
        return
    if outcome.resumed not in (None, outcome.tag):
        console.out.print(f"{outcome.resumed}, which was cut short after its commit, has its tag now")
    console.out.print(outcome.sentence)
    if outcome.page:
        console.out.print(f"  report, with what changed: {outcome.page}")
    for path in outcome.mended:
        console.out.print(f"  was damaged; restored from the intact file: {path}")
    for path, why in outcome.withheld.items():
        console.out.print(f"  not pushed: {path} ({why})")


@commands.command(rich_help_panel=PANEL)
def inspect(
    release: Annotated[str, Named],
    as_json: Json = False,
) -> None:
    """Show what is in a release and check every file against its hash. Exit 1 if one differs.

    Example:  emoforge inspect data/runs/demo_speech/release
    Example:  emoforge inspect demo_speech
    """
    from emoforge.releases.verifying import release_folder
    from emoforge.summary import inspect_release

    inspect_release(release_folder(release, project_here()), as_json=as_json)


@commands.command(rich_help_panel=PANEL)
def verify(release: Annotated[str, Named], as_json: Json = False) -> None:
    """Check every byte of a release against its hashes; name what differs, down to the samples. Exit 1 if any does.

    A folder needs no project. Extra files are named; a tar among the shards that the manifest does not list is damage.

    Example:  emoforge verify data/runs/demo_speech/release
    Example:  emoforge verify demo_speech@v1.0.0
    """
    from emoforge.releases.verifying import verify as do

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
    from emoforge.releases.log import show_log

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
    from emoforge.releases.comparing import diff as do

    do(before, after, project_here(), html=html, as_json=as_json)


@commands.command(rich_help_panel=PANEL)
def report(
    run: Annotated[str, typer.Argument(help="A run of the project that has been built, or a version NAME@vX.Y.Z")],
    against: Annotated[
        str | None, typer.Option(help="A release folder, a run or a version; none: the last version before")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The page; none: NAME-report.html in the current folder")] = None,
    as_json: Json = False,
) -> None:
    """Write the report of a run with what changed since a published version: samples, verdicts, uplift, each with why.

    One HTML file without network. It is the run's report.html, which may not depend on git's tags, and the section
    "What changed". `emoforge publish` writes it for each version.

    Example:  emoforge report demo_speech
    Example:  emoforge report demo_speech@v1.1.0 --against demo_speech@v1.0.0 --out changed.html
    """
    from emoforge.releases.reporting import report as do

    do(run, find_project(), against=against, out=out, as_json=as_json)


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
    from emoforge.releases.tracing import trace as do

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
    from emoforge.releases.log import checkout as do

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
    from emoforge.releases.redrawing import redraw as do

    if not do(sample, release, find_project(), out=out, as_json=as_json):
        raise typer.Exit(1)


@commands.command(rich_help_panel=PANEL)
def pack(
    release: Annotated[str, Named],
    folder: Annotated[Path | None, typer.Argument(help="Where to; none: NAME-pack in the current folder")] = None,
    as_json: Json = False,
) -> None:
    """Write a reviewer pack: methods, tables, data statement and checklist in LaTeX, references in BibTeX.

    Every number is this release's. What its tables and cards cannot tell is marked to be answered by the author.
    A folder that is there is left alone.

    Example:  emoforge pack demo_speech paper/
    """
    from emoforge.releases.packing import pack as do

    do(release, folder, project_here(), as_json=as_json)


@commands.command(rich_help_panel=PANEL)
def export(
    release: Annotated[str, Named],
    folder: Annotated[Path, typer.Argument(help="Where to; must not be there yet")],
    form: Annotated[str, typer.Option("--format", help="audformat")] = "audformat",
    as_json: Json = False,
) -> None:
    """Write a release as a database of another format: audformat, for speech. Every payload is checked by its hash.

    Tables for each split, real and synthetic apart, files as wav; audformat.Database.load reads it.

    Example:  emoforge export demo_speech demo_speech-audformat
    """
    from emoforge.releases.exporting import export as do

    do(release, folder, form, project_here(), as_json=as_json)


@commands.command(rich_help_panel=PANEL)
def rebuild(
    version: Annotated[str, typer.Argument(help="NAME@vX.Y.Z, or NAME@latest")],
    plans: Annotated[bool, typer.Option("--plans", help="Compare its plans alone; build nothing")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the folder in which it was built")] = False,
    as_json: Json = False,
) -> None:
    """Build a published version again from its commit. Exit 1 if its hash is another; says the first stage and why.

    It runs the version's own stages in a clone below .emoforge, with an empty cache, from the raw corpora: linked ones,
    or, where the raw files are not here, as they had been read. Interrupted, it goes on from there.

    Example:  emoforge rebuild demo_speech@v1.0.0
    Example:  emoforge rebuild demo_speech@latest --plans
    """
    from emoforge.releases.rebuilding import rebuild as do

    if not do(version, find_project(), plans=plans, keep=keep, as_json=as_json):
        raise typer.Exit(1)


@commands.command(rich_help_panel=PANEL)
def push_hub(
    version: Annotated[str, typer.Argument(help="NAME@vX.Y.Z, or NAME@latest")],
    address: Annotated[str, typer.Argument(help="hf://datasets/OWNER/NAME")],
    private: Annotated[bool, typer.Option("--private", help="Of a repository that is made anew")] = False,
    as_json: Json = False,
) -> None:
    """Send a published version to a Hugging Face Hub, as the revision vX.Y.Z of a dataset repository.

    Files first, each compared with what the Hub then holds, the tag last; interrupted, the same command goes on.
    HF_TOKEN (or `hf auth login`) says who sends. What a licence forbids to pass on is refused (exit 1), except into the
    private repository that machine.yaml names as private_hub.

    Example:  emoforge push-hub demo_speech@v1.0.0 hf://datasets/OWNER/demo-speech
    """
    from emoforge.releases.hub import push_hub as do

    do(version, address, find_project(), private=private, as_json=as_json)


@commands.command(rich_help_panel=PANEL)
def forget(
    subject: Annotated[str | None, typer.Option(help="A subject's id, CORPUS:SUBJECT")] = None,
    sample: Annotated[str | None, typer.Option(help="A real sample's id, CORPUS/...")] = None,
    corpus: Annotated[str | None, typer.Option(help="A corpus, whole")] = None,
    reason: Annotated[str, typer.Option(help="Why, in a few words; it is kept, so name nobody")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it covers; write nothing")] = False,
    run: Annotated[bool, typer.Option("--run", help="Build the runs anew at once")] = False,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove the bytes from caches, work store, models and remotes; certify it")
    ] = False,
    audit: Annotated[
        str | None, typer.Option(help="Search again for what the purge of a retraction (its id) took out")
    ] = None,
    as_json: Json = False,
) -> None:
    """Take a person, a sample or a corpus out for ever, with its conversions, near copies and what was fitted on it.

    Writes data/retractions/ID.json (ids hashed), which holds in every clone although the raw files still lie there.
    Published versions that hold it keep their tags and say so. Again: looks again, adds what has come since.
    --purge may follow a build or precede it, and may be repeated; exit 1 where a place was not reached or holds more.

    Example:  emoforge forget --subject demo_speech:03 --reason "consent withdrawn" --run --purge
    Example:  emoforge forget --sample demo_faces/17 --dry-run
    Example:  emoforge forget --audit 1f2e3d4c5b6a7988
    """
    from emoforge.releases.forgetting import Wishes, audit_it, forget_it, thing_of

    if audit is not None:
        clean = audit_it(audit, find_project(), as_json=as_json)
    else:
        wishes = Wishes(dry_run=dry_run, run=run, purge=purge, as_json=as_json)
        clean = forget_it(thing_of(subject, sample, corpus), find_project(), reason, wishes)
    if not clean:
        raise typer.Exit(1)
