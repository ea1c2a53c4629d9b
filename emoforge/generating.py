"""`emoforge generators`: presets of the literature, and which generators suit a run."""

from __future__ import annotations

from pathlib import Path

from corpora.errors import UnknownNameError
from emoforge import console
from flows.params import load_machine, load_params
from flows.paths import Layout

SHOWN = 12  # lines of advice that people read


def list_presets(modality: str | None, *, as_json: bool) -> None:
    """Every preset, or those of one modality's folder. Raises `UnknownNameError`."""
    from generators.preset import MODALITIES, load_preset, preset_names

    if modality is not None and modality not in MODALITIES:
        raise UnknownNameError.of("modality of presets", modality, MODALITIES)
    presets = {name: load_preset(name) for name in preset_names(modality)}
    if as_json:
        console.print_json([{"name": name, **p.model_dump(mode="json")} for name, p in presets.items()])
        return
    rows = [[n, p.system, p.family, p.generator, p.representation, p.mechanism] for n, p in presets.items()]
    console.table(
        "Systems of the literature (whole: `emoforge generators NAME`; in a run: `generator: {preset: NAME}`)",
        ["preset", "system", "family", "generator", "models", "must show"],
        rows,
    )


def show_preset(name: str, *, as_json: bool) -> None:
    """One preset: its source, what is equal and what differs, and what a run says to use it. Raises
    `UnknownNameError`, `ParamsError`."""
    from generators.preset import load_preset

    preset = load_preset(name)
    if as_json:
        console.print_json({"name": name, **preset.model_dump(mode="json")})
        return
    rows = [
        ["system", preset.system],
        ["source", preset.source],
        ["must show", preset.mechanism],
        *[["equal", line] for line in preset.equal],
        *[["differs", f"{d.what}: {d.why}"] for d in preset.differs],
        ["generator", preset.generator],
        ["params", ", ".join(f"{k}: {v}" for k, v in preset.params.items()) or "its defaults"],
        ["smallest class", f"{preset.smallest_class} train samples"],
    ]
    console.table(name, ["", "what"], rows)
    console.out.print(f"runs:\n  NAME:\n    generator: {{preset: {name}}}", markup=False)
    if preset.representation is not None:
        console.out.print(f"    representation: {{name: {preset.representation}}}", markup=False)
    if preset.target:
        target = ", ".join(f"{k}: {v}" for k, v in preset.target.items())
        console.out.print(f"    target: {{{target}}}", markup=False)


def show_advice(run: str, repo: Path, *, as_json: bool) -> None:
    """What suits a run, best first. Raises `UserError` where its classes are not counted yet."""
    from flows.conduct.advisor import advise

    advice = advise(run, load_params(repo / "params.yaml"), load_machine(repo / "machine.yaml"), Layout(repo))
    if as_json:
        console.print_json(advice.as_dict())
        return
    need = advice.need
    console.out.print(
        f"{run}: {need.modality} as {advice.representation} ({need.layout}); the rarest class is {advice.rarest} with "
        f"{need.smallest} samples, {need.missing} are missing in all. Now: {advice.now or 'no generator'}.",
        markup=False,
    )
    rows = [
        [
            "" if rank.fits else "too few",
            rank.what,
            "" if rank.f1 is None else f"{rank.f1:+.1f}",
            "" if rank.seconds is None else f"{rank.seconds:.0f} s",
            "; ".join(rank.reasons),
        ]
        for rank in advice.ranks[:SHOWN]
    ]
    console.table(
        "By the lower end of what was measured at classes of a like size (docs/generators.md)",
        ["", "generator or preset", "F1 of the rare class", "one core", "why"],
        rows,
        right=["F1 of the rare class", "one core"],
    )
    if len(advice.ranks) > SHOWN:
        console.out.print(f"{len(advice.ranks) - SHOWN} more: --json")
