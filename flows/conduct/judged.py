"""What `emoforge check` says of runs from parameters and files alone, remembered while none of them changes.

Working it out loads the networks that the runs name (torch alone takes two seconds); the answer is a page of text. It
is kept in .emoforge/judged under a hash of all that it is made of: parameters, the files of the runs and of their
corpora, timings, code, installed packages. Files go in by name, size and time of change (ns). A run whose parameters
name a path is not remembered: what lies there is not looked at.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue, TypeAdapter, ValidationError

from corpora.errors import ResourceError
from corpora.fingerprint import hash_json
from corpora.store.atomic import write_json
from flows.params import Machine, Params
from flows.paths import PACKAGES, Layout

if TYPE_CHECKING:
    from flows.stages.augment.forecast import RunForecast
    from flows.stages.fit.order import OrderAccuracy
    from flows.stages.plan.feasible import Outlook

VERSION = 2  # of what is remembered
KEPT = 16  # answers


@dataclass(frozen=True)
class Judged:
    """encoders: of installed packages that the runs load; outlooks: run -> what can end it; advice: run -> lines about
    its classes; orders: what rankers of intensity are worth. Runs of which nothing can be said have no entry."""

    encoders: tuple[str, ...] = ()
    outlooks: dict[str, Outlook] = field(default_factory=dict)
    forecasts: tuple[RunForecast, ...] = ()
    advice: dict[str, tuple[str, ...]] = field(default_factory=dict)
    orders: tuple[OrderAccuracy, ...] = ()


def judged(params: Params, machine: Machine, layout: Layout, runs: Sequence[str]) -> Judged:
    """Every run of `params` is checked, `runs` are looked at. Raises what `require_valid` raises, and `IntegrityError`
    for damaged files."""
    key = _key(params, machine, layout, runs)
    place = layout.scratch / "judged" / f"{key}.json"
    if key is not None and (known := _read(place)) is not None:
        return known
    answer = _judged(params, machine, layout, runs)
    if key is not None:
        _write(place, answer)
    return answer


def _judged(params: Params, machine: Machine, layout: Layout, runs: Sequence[str]) -> Judged:
    from flows.conduct.proposals import advised
    from flows.stages.augment.forecast import forecast_run
    from flows.stages.fit.cost import cost_of
    from flows.stages.fit.order import order_accuracy
    from flows.stages.plan.components import require_valid
    from flows.stages.plan.feasible import foreseen
    from flows.stages.plan.weights import asked_encoders

    require_valid(params)
    outlooks = {name: outlook for name in runs if (outlook := foreseen(params, layout, name)) is not None}
    every = [forecast_run(name, params.run(name), params.numerics, machine, layout) for name in runs]
    forecasts = tuple(forecast for forecast in every if forecast is not None)
    return Judged(
        encoders=tuple(dict.fromkeys(name for run in runs for name in asked_encoders(params.run(run)))),
        outlooks=outlooks,
        forecasts=forecasts,
        advice={
            f.run: tuple(advised(params.run(f.run), f, cost_of(f.run, params.run(f.run), params.numerics, layout)))
            for f in forecasts
        },
        orders=tuple(o for name in runs if (o := order_accuracy(name, params.run(name), layout)) is not None),
    )


def _key(params: Params, machine: Machine, layout: Layout, runs: Sequence[str]) -> str | None:
    """None where something is named that is not looked at."""
    asked = params.model_dump(mode="json")
    if any("/" in text or text.startswith("path:") for text in _texts(asked["runs"])):
        return None
    corpora = dict.fromkeys(corpus for run in runs for corpus in params.run(run).corpora)
    places = [layout.run(run) for run in runs] + [layout.corpus(corpus) for corpus in corpora]
    places += [layout.scratch / "timings", layout.repo / "data" / "cards"]
    code = Path(__file__).resolve().parents[2]
    places += [code / package for package in PACKAGES]
    return hash_json(
        {
            "version": VERSION,
            "runs": list(runs),
            "params": asked,
            "machine": machine.model_dump(mode="json"),
            "files": {str(place): _files(place) for place in places},
            "python": sys.version,
            "packages": [_changed_ns(Path(sysconfig.get_path(name))) for name in ("purelib", "platlib")],
        }
    )[:32]


def _texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)


def _files(place: Path) -> list[list[str | int]]:
    """Name, size and time of change of every file below, sorted; [] where there is none."""
    every: list[list[str | int]] = []
    for folder, names, files in os.walk(place):
        names[:] = [name for name in names if name != "__pycache__"]
        for name in files:
            path = os.path.join(folder, name)  # noqa: PTH118 (a thousand files: Path takes as long as all the rest)
            with suppress(FileNotFoundError):  # a stage is at work: it was there a moment ago
                at = os.stat(path)  # noqa: PTH116
                every.append([path, at.st_size, at.st_mtime_ns])
    return sorted(every)


def _changed_ns(folder: Path) -> int:
    return folder.stat().st_mtime_ns if folder.exists() else 0


def _adapter() -> TypeAdapter[Any]:
    from flows.stages.augment.forecast import RunForecast
    from flows.stages.fit.order import OrderAccuracy
    from flows.stages.plan.feasible import Outlook

    adapter = TypeAdapter(Judged)
    adapter.rebuild(_types_namespace={c.__name__: c for c in (RunForecast, OrderAccuracy, Outlook)}, force=True)
    return adapter


def _read(place: Path) -> Judged | None:
    """None where there is none, or one that was cut short."""
    try:
        answer: Judged = _adapter().validate_json(place.read_bytes())
    except (OSError, ValidationError):
        return None
    return answer


def _write(place: Path, answer: Judged) -> None:
    """Of what does not come back as it was, and where nothing can be written, nothing is remembered."""
    adapter = _adapter()
    plain = adapter.dump_python(answer, mode="json")
    try:
        if adapter.validate_json(json.dumps(plain)) != answer:
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        write_json(place, plain)
        older = sorted(place.parent.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in older[KEPT:]:
            path.unlink(missing_ok=True)
    except (OSError, ValueError, ResourceError):
        return
