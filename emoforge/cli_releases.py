"""Commands for releases that are there. Thin, as emoforge/cli.py, which takes them in.

Nothing heavy is imported until a command needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

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


class _KitGroup(typer.core.TyperGroup):
    """`study-kit RELEASE` makes a kit; `study-kit analyse` reads answers."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["make", *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


kits = typer.Typer(cls=_KitGroup, no_args_is_help=True)
commands.add_typer(kits, name="study-kit", rich_help_panel=PANEL)


@kits.callback()
def study_kit() -> None:
    """Ask people blindly: a page for raters (study-kit RELEASE), and what their answers say (study-kit analyse).

    Example:  emoforge study-kit demo_speech raters.html
    Example:  emoforge study-kit analyse raters-KEY.json answers-*.json
    """


@kits.command("make")
def study_kit_make(
    release: Annotated[str, Named],
    page: Annotated[Path | None, typer.Argument(help="The page; none: study-NAME.html")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key; none: PAGE-KEY.json beside it")] = None,
    tasks: Annotated[str, typer.Option(help="Of real,emotion,quality,similarity,pairs; none: all")] = "",
    per_class: Annotated[int, typer.Option(min=1, help="Samples of each class, real and as many synthetic")] = 4,
    raters: Annotated[int, typer.Option(min=1, max=500, help="For how many raters orders are balanced")] = 24,
    text: Annotated[Path | None, typer.Option(help="Consent, a line of ---, instructions; none: our own")] = None,
    max_mb: Annotated[float, typer.Option(help="Refuse a larger page")] = 25.0,
    seed: Annotated[int | None, typer.Option(help="Choose again as before; none: by chance")] = None,
    as_json: Json = False,
) -> None:
    """Write one offline page that asks raters blindly, and the key that stays with you.

    Real or synthetic, emotion (forced choice), MOS, similarity to the person (SMOS), preference of two. Orders are
    balanced over raters (Williams' square). Nothing in the page tells what is synthetic; answers come back as JSON.

    Example:  emoforge study-kit demo_speech raters.html --per-class 6 --tasks real,quality
    """
    from emoforge.studykit import make
    from flows.raters.kit import Asked, chosen_tasks

    asked = Asked(chosen_tasks(tasks), per_class, raters, max_mb, seed)
    make(release, page, key, text, asked, project_here(), as_json=as_json)


@kits.command("analyse")
def study_kit_analyse(
    key: Annotated[Path, typer.Argument(help="The key that was written beside the page")],
    answers: Annotated[list[Path], typer.Argument(help="Files that raters sent back")],
    keep_inattentive: Annotated[bool, typer.Option(help="Count raters who missed attention checks too")] = False,
    as_json: Json = False,
) -> None:
    """Say what raters say: d', MOS and SMOS, preference, emotions, agreement, and whether gates agree with them.

    Intervals are of a bootstrap over raters and items. Files of another kit, twice the same rater, or answers that the
    page cannot give are refused.

    Example:  emoforge study-kit analyse raters-KEY.json answers-*.json
    """
    from emoforge.studykit import analysed

    analysed(key, answers, keep_inattentive=keep_inattentive, as_json=as_json)
