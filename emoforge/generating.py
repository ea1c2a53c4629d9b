"""`emoforge generators`: presets of the literature, and which generators suit a run."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

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


def show_generator(name: str, *, as_json: bool) -> None:
    """A generator and its parameters, or the preset of that name. Raises `UnknownNameError`, `ParamsError`."""
    from emoforge.listings import about
    from generators.generator import generator_class, generator_names
    from generators.preset import load_preset, preset_names

    if name not in generator_names():
        if name not in preset_names():
            raise UnknownNameError.of("generator or preset", name, [*generator_names(), *preset_names()])
        show_preset(name, as_json=as_json)
        return
    kind = generator_class(name)
    if as_json:
        facts = {key: sorted(getattr(kind, key)) for key in ("layouts", "takes")}
        console.print_json({"name": name, "about": about(kind), **facts, "params": kind.Params.model_json_schema()})
        return
    console.out.print(about(kind), markup=False)
    rows = [[key, _default(field), field.description] for key, field in kind.Params.model_fields.items()]
    console.table(f"{name} models layouts {', '.join(sorted(kind.layouts))}; parameters", ["key", "default", ""], rows)
    of_literature = [preset for preset in preset_names() if load_preset(preset).generator == name]
    if of_literature:
        console.out.print(f"Presets that set them: {', '.join(of_literature)}", markup=False)


def _default(field: FieldInfo) -> str:
    """As params.yaml would say it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return value.model_dump_json() if isinstance(value, BaseModel) else json.dumps(value)


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
