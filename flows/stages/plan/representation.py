"""What params leave open of a representation and the corpora tell, settled once, when a run is planned.

A representation of physiology models the signals that the run's samples have after the steps of preparation. Which ones
these are stands in the corpora's indexes; from here on it stands in the plan, and every stage reads it there.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pyarrow.compute as pc

from corpora.errors import ParamsError
from corpora.schema import SAMPLES, Signal
from corpora.signals import BASELINE, VECTOR
from corpora.store.shards import read_table
from features.physio.prepare import SignalSteps, signals_after
from features.representation import Known, Representation, is_features, make_representation, representation_class
from flows.params import RepresentationParams, RunParams
from flows.paths import Layout


def settled_run(run_name: str, run: RunParams, modality: str, layout: Layout) -> RunParams:
    """The run with a representation that leaves nothing open. The corpora must be ingested.

    Raises `UnknownNameError` (no such representation), `ParamsError` where it does not fit the modality, the steps or
    the corpora.
    """
    if run.representation is None:
        return run
    name, params = run.representation.name, run.representation.params
    kind = representation_class(name)
    settles = hasattr(kind, "settled")
    if kind.modality == modality and (settles or modality == "physio"):
        try:
            known = known_of(run, layout)
            params = kind.settled(params, known) if settles else params
            built = make_representation(name, params)
            _require_one_rate(built, known)
            if settles and hasattr(built, "require"):
                built.require(getattr(run.prepare, modality))
        except ParamsError as error:
            raise ParamsError(f"runs.{run_name}.representation: {error}") from None
    return run.model_copy(update={"representation": RepresentationParams(name=name, **params)})


def _require_one_rate(built: Representation, known: Known) -> None:
    """Raises `ParamsError` where gates could not put the run's signals into one array: these keep several rates, and
    what is modelled has none."""
    rates = sorted({signal.rate_hz for signal in known.signals if signal.rate_hz})
    if len(rates) > 1 and not is_features(built) and built.spec.rate_hz is None:
        named = ", ".join(f"{rate:g}" for rate in rates)
        raise ParamsError(
            f"{built.spec.name} leaves signals at {named} Hz, and gates see them in one array; name one rate "
            "(prepare.physio.resample.all_hz) or keep signals of one (prepare.physio.keep)"
        )


def known_of(run: RunParams, layout: Layout) -> Known:
    """What the indexes of the run's corpora tell of its payloads after the steps. Raises `ParamsError` where corpora
    of features have other columns than one another."""
    steps: SignalSteps = run.prepare.physio
    layouts: Counter[tuple[Signal, ...]] = Counter()
    columns: Counter[str] = Counter()
    longest = 0.0
    for corpus in run.corpora:
        table = read_table(layout.corpus(corpus) / "index.parquet", SAMPLES)
        longest = max(longest, pc.max(table["duration_s"]).as_py() or 0.0)
        for row in table["signals"].to_pylist():
            layouts[_prepared(row or (), steps)] += 1
        columns.update(dict(row or ()).get(VECTOR, "[]") for row in table["extra"].to_pylist())
    if len(columns) > 1:
        raise ParamsError(
            f"the rows of features of {', '.join(run.corpora)} have {len(columns)} different lists of columns; name "
            "corpora of one list"
        )
    usual = max(layouts, key=lambda of: (layouts[of], len(of), repr(of)), default=())
    names = next(iter(columns), "[]")
    window_s = None if steps.windows is None else steps.windows.length_s
    return Known(usual, window_s, longest or None, tuple(json.loads(names)))


def _prepared(rows: Any, steps: SignalSteps) -> tuple[Signal, ...]:
    """The `signals` of a record -> those of its prepared pieces, by name; of each shape, only the channels."""
    signals = [Signal.from_row(row) for row in rows]
    after = signals_after([Signal(s.name, s.unit, s.rate_hz, s.shape[1:]) for s in signals], steps)
    return tuple(sorted((s for s in after if not s.name.endswith(BASELINE)), key=lambda signal: signal.name))
