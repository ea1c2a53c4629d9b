"""What two runs were planned with, and every parameter, corpus, weight and piece of code that differs between them.

Plans are read as plain JSON, so that those of an older emoforge can be compared too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from corpora.errors import EmoforgeError
from corpora.formats.jsonfile import read_json

STAGES = ("prepare", "fit", "augment", "evaluate", "release")
# keys of "params" that follow from others: hashes of code that stands under "code", and the whole run once more
_DERIVED = {
    "prepare": ("worker_code", "described"),
    "augment": ("gate_code", "generator.code"),
    "evaluate": ("class_gate",),
    "release": ("run", "numerics", "prepared", "corpora"),
}
# where only params.json of a release is known: a key of a run -> stages that look at it
_READ_BY: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("corpora", "prepare", "representation"), ("prepare",)),
    **dict.fromkeys(("scheme", "view", "on_leak"), ("prepare", "release")),
    "shards": ("prepare", "augment"),
    "seed": ("prepare", "fit", "augment", "evaluate"),
    "generator": ("fit", "augment"),
    **dict.fromkeys(("target", "rounds", "ask"), ("augment",)),
    "gates": ("augment", "evaluate"),
    "evaluation": ("evaluate",),
    "policy": ("release",),
    "numerics": ("fit", "augment", "evaluate"),
}

Kind = Literal["parameter", "corpus", "weights", "code", "library"]
KINDS: tuple[Kind, ...] = ("parameter", "corpus", "weights", "code", "library")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs. what: as people know it (a key of params.yaml, a corpus, a module, a library); before,
    after: its value or hash, None where it was not there; stages: those that use it; commits: that touched the code."""

    kind: Kind
    what: str
    before: JsonValue
    after: JsonValue
    stages: tuple[str, ...]
    commits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """What a release was made with. stages: stage -> its plan as JSON, {} where there are none beside the release, or
    only others'; settings: params.json of the release; libraries, commit: of provenance.json; why_not: why no plans."""

    stages: Mapping[str, Mapping[str, JsonValue]]
    settings: Mapping[str, JsonValue]
    libraries: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    why_not: str = ""


def planned(release: Path, run: Path | None) -> Planned:
    """`run`: the folder with plan/ and provenance.json, None where the release stands alone."""
    settings = _read(release / "params.json") or {}
    stages = {}
    if run is not None:
        stages = {s: plan for s in STAGES if (plan := _read(run / "plan" / f"{s}.json")) is not None}
    why_not = "" if stages else "no plans lie beside it"
    if stages and _get(stages.get("release", {}), "params", "run") != settings.get("run"):
        stages, why_not = {}, "the plans beside it are of another state: they were written anew since"
    about = _provenance(release, run)
    libraries = about.get("libraries")
    commit = about.get("git_commit")
    return Planned(
        stages,
        settings,
        {str(k): str(v) for k, v in libraries.items()} if isinstance(libraries, dict) else {},
        commit if isinstance(commit, str) and not about.get("git_dirty") else None,
        why_not,
    )


def _provenance(release: Path, run: Path | None) -> Mapping[str, JsonValue]:
    """provenance.json, if it is of this release."""
    about = _read(run / "provenance.json") if run is not None else None
    manifest = _read(release / "manifest.json") or {}
    return about if about is not None and about.get("release_hash") == manifest.get("release_hash") else {}


def changes(before: Planned, after: Planned, name: str) -> list[Change]:
    """All that differs, parameters first. name: of the run, as people read it. Without plans of both: the parameters
    that the releases themselves hold."""
    merged: dict[tuple[Kind, str], Change] = {}
    found = _of_plans(before, after, name) if before.stages and after.stages else _of_settings(before, after, name)
    for change in found:
        key = (change.kind, change.what)
        stages = merged[key].stages if key in merged else ()
        merged[key] = Change(
            change.kind, change.what, change.before, change.after, tuple(dict.fromkeys([*stages, *change.stages]))
        )
    libraries = before.libraries.keys() | after.libraries.keys() if before.libraries and after.libraries else ()
    for library in sorted(libraries):
        old, new = before.libraries.get(library), after.libraries.get(library)
        if old != new:
            merged["library", library] = Change("library", library, old, new, STAGES)
    return sorted(merged.values(), key=lambda change: (KINDS.index(change.kind), change.what))


def _of_plans(before: Planned, after: Planned, name: str) -> Iterator[Change]:
    for stage in STAGES:
        old, new = before.stages.get(stage, {}), after.stages.get(stage, {})
        for kind, part in (("corpus", "corpora"), ("code", "code")):
            for what, (a, b) in _differences(_get(old, part), _get(new, part)).items():
                yield Change(kind, what, a, b, (stage,))  # type: ignore[arg-type]
        for what, (a, b) in _differences(_get(old, "numerics"), _get(new, "numerics")).items():
            yield Change("parameter", f"numerics.{what}", a, b, (stage,))
        modality = str(new.get("modality", ""))
        for what, (a, b) in _differences(_get(old, "params"), _get(new, "params")).items():
            if any(what == key or what.startswith(f"{key}.") for key in _DERIVED.get(stage, ())):
                continue
            kind = "weights" if what.startswith("loads.") or ".weights." in what else "parameter"
            yield Change(kind, _in_params(what, name, modality), a, b, (stage,))  # type: ignore[arg-type]


def _in_params(key: str, name: str, modality: str) -> str:
    """A key of a plan as params.yaml has it."""
    for start, own in (("steps.", f"prepare.{modality}."), ("sample_gates.", "gates.")):
        key = own + key.removeprefix(start) if key.startswith(start) else key
    return f"runs.{name}.{key}"


def _of_settings(before: Planned, after: Planned, name: str) -> Iterator[Change]:
    for part, shown in (("run", f"runs.{name}."), ("numerics", "numerics.")):
        for what, (a, b) in _differences(before.settings.get(part), after.settings.get(part)).items():
            top = what.partition(".")[0] if part == "run" else part
            yield Change("parameter", shown + what, a, b, _READ_BY.get(top, STAGES))


def _differences(old: JsonValue, new: JsonValue) -> dict[str, tuple[JsonValue, JsonValue]]:
    """ "a.b" -> both values, of what differs in two mappings; lists are values."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    keys = sorted(before.keys() | after.keys())
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def _leaves(value: JsonValue, key: str = "") -> Iterator[tuple[str, JsonValue]]:
    if isinstance(value, dict) and value:
        for name, below in value.items():
            # names of modules and paths hold dots of their own, and stand last
            yield from _leaves(below, f"{key}.{name}" if key else name)
    elif value != {}:
        yield key, value


def _get(value: object, *keys: str) -> JsonValue:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value  # type: ignore[return-value]


def _read(path: Path) -> Mapping[str, JsonValue] | None:
    try:
        return read_json(path) if path.is_file() else None
    except EmoforgeError:
        return None
