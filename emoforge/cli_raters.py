"""The commands of `emoforge study-kit`. Thin, as emoforge/cli.py, which takes them in.

Nothing heavy is imported until a command needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from emoforge.cli_releases import Json, Named
from emoforge.project import project_here


class _KitGroup(typer.core.TyperGroup):
    """`study-kit RELEASE` makes a kit; `study-kit analyse` reads answers."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["make", *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


kits = typer.Typer(cls=_KitGroup, no_args_is_help=True)


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
    from emoforge.releases.studykit import make
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
    from emoforge.releases.studykit import analysed

    analysed(key, answers, keep_inattentive=keep_inattentive, as_json=as_json)
