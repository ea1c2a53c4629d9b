"""The command `emoforge`. Thin: every command looks at its arguments, calls one function of `flows`, and prints.

Nothing heavy is imported until a command needs it, so that help is there at once.
"""

from __future__ import annotations

import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

import emoforge
from corpora.errors import EmoforgeError, InterruptedRunError, UnknownNameError, UserError
from corpora.store.removed import RetractedWarning
from emoforge.cli_projects import commands as commands_of_projects
from emoforge.cli_raters import kits
from emoforge.cli_releases import PANEL
from emoforge.cli_releases import commands as commands_of_releases
from emoforge.project import find_project

app = typer.Typer(
    name="emoforge",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Versioned, class-balanced, quality-gated releases of emotion corpora.

[bold]The usual way[/]

  emoforge link ravdess ~/corpora/RAVDESS     make a folder of yours a corpus, with a run of its name
  emoforge check ravdess                      what would happen, and what is missing
  emoforge run ravdess                        build its release; what is up to date is left alone
  emoforge inspect data/runs/ravdess/release  what is in it
  emoforge publish ravdess                    push it and tag it ravdess@v1.0.0
  emoforge diff ravdess@latest ravdess        what has moved since, and why

[bold]No corpus at hand?[/]  emoforge demo

Exit codes: 0 done, 1 a gate said no (or a defect), 2 bad input, 3 interrupted. Parameters: params.yaml.
""",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for machines.")]


def _params(repo: Path) -> Any:
    from flows.params import load_params

    return load_params(repo / "params.yaml")


def _runs(params: Any, names: list[str] | None) -> list[str]:
    for name in names or []:
        if name not in params.runs:
            raise UnknownNameError.of("run", name, params.runs)
    if not params.runs:
        raise UserError("params.yaml has no runs. Add one: emoforge link NAME PATH")
    return list(dict.fromkeys(names or params.runs))


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"emoforge {emoforge.__version__}")
        raise typer.Exit


@app.command()
def link(
    name: Annotated[str, typer.Argument(help="What to call the corpus: small letters, digits, _")],
    path: Annotated[Path, typer.Argument(help="The folder or archive that holds it, as published")],
    reader: Annotated[
        str | None, typer.Option(help="Whose layout it has; default: chosen by the folder's name, else by its files")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a folder of yours a corpus of the project.

    Writes a link data/raw/NAME (nothing is copied) and adds the corpus and a run of the same name to params.yaml.
    An archive (.zip, .tar, .tar.gz, .tar.bz2) is unpacked below .emoforge/extracted, and that folder is linked.

    Example:  emoforge link ravdess ~/corpora/RAVDESS
    Example:  emoforge link lab_faces /data/faces --reader fer2013
    """
    from emoforge import console
    from flows.conduct.link import labels_missing
    from flows.conduct.link import link as make_link

    linked = make_link(name, path, repo=find_project(), reader=reader)
    if as_json:
        facts = {"name": linked.name, "reader": linked.reader, "target": str(linked.target), "run": linked.run}
        unknown = [one.as_dict() for one in linked.unknown]
        console.print_json(
            facts | {"unpacked": str(linked.archive) if linked.archive else None, "unknown_labels": unknown}
        )
        return
    if linked.archive:
        console.out.print(f"Unpacked {linked.archive} as {linked.target}")
    console.out.print(f"data/raw/{name} -> {linked.target} (reader {linked.reader}, licence {linked.license})")
    if linked.unknown:
        console.out.print(labels_missing(linked), markup=False)
    if linked.run and linked.because:
        console.out.print(f"The run fills classes that lack samples: {linked.because} (docs/evidence.md).")
    if linked.run:
        console.out.print(
            f"Added run {linked.run} to params.yaml. Next: emoforge check {linked.run}; emoforge run {linked.run}"
        )


@app.command()
def run(
    runs: Annotated[list[str] | None, typer.Argument(help="Runs of params.yaml; none: all")] = None,
) -> None:
    """Bring runs up to date: every stage that needs it, in order, through Prefect and DVC.

    Stages whose parameters, code and data have not changed are left alone. Interrupted? The same command goes on.

    Example:  emoforge run
    Example:  emoforge run demo_speech demo_faces
    """
    from emoforge.summary import print_end

    repo = find_project()
    for name in _bring_up_to_date(repo, runs):
        print_end(name, repo)


def _bring_up_to_date(repo: Path, runs: list[str] | None) -> list[str]:
    from emoforge.projects.conductor import bring_up_to_date

    names = _runs(_params(repo), runs)
    bring_up_to_date(names, repo)
    return names


@app.command()
def stage(
    verb: Annotated[
        str,
        typer.Argument(
            help="fake, reader, ingest, plan, prepare, fit, augment, evaluate, release, report, design, study"
        ),
    ],
    name: Annotated[str, typer.Argument(help="A corpus (fake, reader, ingest), a study (design, study) or a run")],
) -> None:
    """Do the work of one stage. This is what dvc.yaml calls; you want `emoforge run` or `dvc repro`.

    Example:  emoforge stage ingest demo_speech
    """
    from emoforge.projects.stage import execute

    execute(verb, name, find_project())


@app.command()
def demo() -> None:
    """Build the demo releases from fake corpora, then print what is in them.

    The speech run uses a conditional VAE, the faces a diffusion model; both go the whole way from raw files to report.
    """
    from emoforge.summary import print_run

    repo = find_project()
    params = _params(repo)
    names = [n for n, r in params.runs.items() if set(r.corpora) <= set(params.demo)]
    if not names:
        raise UserError("params.yaml has no run whose corpora are all under `demo`; restore them from git")
    _bring_up_to_date(repo, names)
    for name in names:
        print_run(name, repo)


@app.command()
def check(
    runs: Annotated[list[str] | None, typer.Argument(help="Runs of params.yaml; none: all")] = None,
    as_json: Json = False,
) -> None:
    """Show what `emoforge run` would do and what is missing. Changes nothing. Exit 2 if something is missing.

    Example:  emoforge check ravdess
    """
    from emoforge.projects.conductor import check_runs

    repo = find_project()
    if not check_runs(_runs(_params(repo), runs), repo, as_json=as_json):
        raise typer.Exit(2)


@app.command()
def study(
    name: Annotated[
        str | None, typer.Argument(help="A study of params.yaml; none: list them and the methods of arms")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A first answer in minutes, marked as such")] = False,
    vault: Annotated[
        bool, typer.Option("--vault", help="Test the people that the study kept aside; is logged")
    ] = False,
    as_json: Json = False,
) -> None:
    """Settle what makes a recogniser better on people it has never met: arms x views x seeds x classifiers.

    Interrupted, or an arm added? The same command does what is missing. --quick takes one seed, fewer folds, and leaves
    out what is trained or rendered.

    Example:  emoforge study ravdess --quick
    Example:  emoforge study ravdess
    """
    from emoforge.studies import list_studies, show_study

    repo = find_project()
    if name is None:
        list_studies(_params(repo), as_json=as_json)
        return
    show_study(name, repo, quick=quick, vault=vault, as_json=as_json)


@app.command()
def tune(
    study: Annotated[str, typer.Argument(help="A study of params.yaml")],
    arm: Annotated[str, typer.Argument(help="An arm of it that has `tune`")],
    classifier: Annotated[str | None, typer.Option(help="One of the study's; none: the first")] = None,
    trials: Annotated[int | None, typer.Option(help="Of the search; none: as the arm says")] = None,
    as_json: Json = False,
) -> None:
    """Choose an arm's parameters on inner folds of everybody who is not in the vault. Interrupted, it goes on.

    What is chosen here has seen all people of the study: for a result, let the study choose in each fold (`tune` of the
    arm does). Use it to set a run's parameters.

    Example:  emoforge tune ravdess "logit adjustment" --trials 20
    """
    from emoforge.studies import show_tuned

    show_tuned(study, arm, find_project(), classifier=classifier, trials=trials, as_json=as_json)


@app.command()
def corpora(
    what: Annotated[str | None, typer.Argument(help="'show' and a name: everything about one reader")] = None,
    name: Annotated[str | None, typer.Argument(help="A reader")] = None,
    modality: Annotated[str | None, typer.Option(help="List only speech, face, text or physio")] = None,
    as_json: Json = False,
) -> None:
    """List the corpora that can be read, or show the card of one: facts with their sources, labels, schemes.

    Example:  emoforge corpora --modality text
    Example:  emoforge corpora show ravdess
    """
    from emoforge.listings import list_corpora, show_corpus

    if what is None:
        list_corpora(as_json=as_json, modality=modality)
    elif what == "show" and name is not None:
        show_corpus(name, as_json=as_json)
    else:
        raise UserError("use `emoforge corpora` or `emoforge corpora show NAME`")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def measure(
    context: typer.Context,
    metric: Annotated[str | None, typer.Argument(help="A metric; none: list them")] = None,
    real: Annotated[Path | None, typer.Argument(help="Real data, train data or the truth")] = None,
    synthetic: Annotated[Path | None, typer.Argument(help="Synthetic data or the answers")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", help="name=value; or, at the end, --name value")
    ] = None,
    embedding: Annotated[
        str | None,
        typer.Option(help="An encoder's folder: metrics of features then read pictures, wav files or lines of text"),
    ] = None,
    device: Annotated[str, typer.Option(help="Of the encoder")] = "cpu",
    as_json: Json = False,
) -> None:
    """Compute one measure over two inputs: .npy features, wav or picture folders, lines of text, labels.

    Example:  emoforge measure
    Example:  emoforge measure kid real.npy synthetic.npy
    Example:  emoforge measure frechet real/ synthetic/ --embedding /models/dinov2-base
    Example:  emoforge measure mcd recorded/ converted/ --align false --json
    """
    from emoforge.measuring import flags, list_metrics, show_measure

    if metric is None:
        list_metrics(as_json=as_json)
    elif real is None or synthetic is None:
        raise UserError("name two inputs: emoforge measure METRIC REAL SYNTHETIC")
    else:
        given = [*(option or []), *flags(context.args, metric)]
        show_measure(metric, real, synthetic, given, embedding=embedding, device=device, as_json=as_json)


@app.command()
def generators(
    name: Annotated[
        str | None, typer.Argument(help="A generator or preset to show whole, e.g. cvae or speech/latif-2020")
    ] = None,
    presets: Annotated[bool, typer.Option("--presets", help="List the systems of the literature")] = False,
    modality: Annotated[str | None, typer.Option(help="Presets of speech, faces, text or physio alone")] = None,
    run: Annotated[str | None, typer.Option("--for", help="Rank all that can model this run, by evidence")] = None,
    as_json: Json = False,
) -> None:
    """List the generators that a run may name; the systems of the literature; or what suits a run.

    Example:  emoforge generators cvae
    Example:  emoforge generators --presets --modality physio
    Example:  emoforge generators --for ravdess
    """
    from emoforge.generating import list_presets, show_advice, show_generator
    from emoforge.listings import list_generators

    if run is not None:
        repo = find_project()
        show_advice(_runs(_params(repo), [run])[0], repo, as_json=as_json)
    elif name is not None:
        show_generator(name, as_json=as_json)
    elif presets or modality is not None:
        list_presets(modality, as_json=as_json)
    else:
        list_generators(as_json=as_json)


@app.command()
def gates(as_json: Json = False) -> None:
    """List the gates, what each looks at, and its limit by default."""
    from emoforge.listings import list_gates

    list_gates(as_json=as_json)


@app.command()
def audit(
    inputs: Annotated[list[str], typer.Argument(help="Folders, releases or splits of one (FOLDER:train), two or more")],
    html: Annotated[Path | None, typer.Option(help="Write a page with the pairs side by side")] = None,
    worth: Annotated[bool, typer.Option(help="Train a plain classifier with and without what leaks")] = True,
    seed: Annotated[int, typer.Option(help="Of the classifier's trials")] = 0,
    as_json: Json = False,
) -> None:
    """Find what folders or releases share: copies, near copies, people; and what that is worth. Needs no project.

    A folder holds wav, png/jpg, txt or npz files; subfolders are labels. A .txt file holds a text a line.
    Exit 0: nothing is shared, 1: a leak, 2: bad input.

    Example:  emoforge audit train/ test/
    Example:  emoforge audit data/runs/demo_faces/release:train other_faces/ --html pairs.html
    """
    from emoforge.auditing import audit as do

    if do(inputs, html=html, seed=seed, worth=worth, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def claims(
    name: Annotated[str | None, typer.Argument(help="A claim; none: list them")] = None,
    data: Annotated[Path | None, typer.Option(help="The corpus of the claim, as it is published")] = None,
    seed: Annotated[int, typer.Option(help="Of splits, added rows and resamples")] = 0,
    as_json: Json = False,
) -> None:
    """Re-run a published claim twice: as its protocol may be read, and audited. Needs no project.

    The paper's own network is not trained again: a plain classifier of ours shows what the protocol alone makes.

    Example:  emoforge claims
    Example:  emoforge claims fer2013_diffusion --data ~/corpora/fer2013
    """
    from emoforge.claiming import list_claims, run_claim

    if name is None:
        list_claims(as_json=as_json)
    elif data is None:
        raise UserError(f"name the corpus: emoforge claims {name} --data FOLDER")
    else:
        run_claim(name, data, seed=seed, as_json=as_json)


@app.command()
def labels(
    run: Annotated[str, typer.Argument(help="A run of params.yaml that has been prepared")],
    csv: Annotated[Path | None, typer.Option(help="Write the whole list as CSV")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with the media beside the labels")] = None,
    judge: Annotated[str, typer.Option(help="linear, forest, network (minutes), joined by +")] = "linear+forest",
    seed: Annotated[int, typer.Option(help="Of the judges and their folds")] = 0,
    as_json: Json = False,
) -> None:
    """List the labels that judges doubt who learned from other people. Nothing is dropped.

    Example:  emoforge labels demo_speech --csv doubts.csv --html doubts.html
    """
    from emoforge.doubting import show_doubts

    repo = find_project()
    _runs(_params(repo), [run])
    show_doubts(run, repo, judge=judge, csv=csv, html=html, seed=seed, as_json=as_json)


app.add_typer(commands_of_projects)
app.add_typer(commands_of_releases)
app.add_typer(kits, name="study-kit", rich_help_panel=PANEL)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command. An `EmoforgeError` becomes one message and its exit code; a defect keeps its traceback."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell inherits it ignored
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    warnings.filterwarnings("ignore", category=RetractedWarning)  # commands say it in their own words
    try:
        app(args=arguments, prog_name="emoforge")
    except EmoforgeError as error:
        from emoforge.console import complain

        complain(str(error))
        sys.exit(error.exit_code)
    except SystemExit as ending:
        if ending.code == 130:  # typer's code for an interrupt
            sys.exit(InterruptedRunError.exit_code)
        raise
    sys.exit(0)


if __name__ == "__main__":
    main()
