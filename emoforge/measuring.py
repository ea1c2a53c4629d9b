"""`emoforge measure`: one number over two inputs, with all that it takes to compare it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import UserError
from emoforge import console
from validators.embeddings.encoders import load_encoder
from validators.measures.inputs import embed_one, embed_pair, load_npy, load_pair
from validators.measures.options import option_name, resolved
from validators.measures.registry import METRICS, Measured, choices, function_of, measure, metric, options_of

COMMON = ("embedding", "device", "json")  # options of the command itself, for errors that name what is known
ROWS_BELONG = ("cosine",)  # row i of both sides is a pair


def flags(rest: Sequence[str], name: str) -> list[str]:
    """`--name value` and `--name=value` -> "name=value", as `-o` takes it. Raises `UserError`."""
    options, words = [], list(rest)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise UserError(f"{word!r} is one input too many; options are written --name value or -o name=value")
        key, sign, value = word[2:].partition("=")
        if not sign and (not words or words[0].startswith("--")):
            raise UserError(f"option --{key} needs a value")
        key = option_name(name, key, options_of(name), also=COMMON)
        options.append(f"{key}={value if sign else words.pop(0)}")
    return options


@dataclass(frozen=True, slots=True)
class MetricListing:
    """One metric. reads: what its files are. options: name -> default; choices: name -> every value it may have."""

    name: str
    reads: str
    better: str
    about: str
    options: Mapping[str, object]
    choices: Mapping[str, Sequence[str]]

    def option(self, key: str) -> str:
        """ "unit=cents (or Hz)" """
        default = self.options[key]
        others = [value for value in self.choices.get(key, ()) if value != default]
        return f"{key}={default}" + (f" (or {', '.join(others)})" if others else "")


def list_metrics(*, as_json: bool) -> None:
    """Prints every metric of `emoforge measure`: what it reads, its direction and its options."""
    metrics = [
        MetricListing(name, one.kind, one.better, one.about, options_of(name), choices(name))
        for name, one in METRICS.items()
    ]
    if as_json:
        console.print_json([asdict(metric) for metric in metrics])
        return
    rows = [[m.name, m.reads, m.better, m.about, ", ".join(m.option(key) for key in m.options)] for m in metrics]
    console.table("Metrics", ["metric", "reads", "better", "what it is", "options"], rows)


def show_measure(
    name: str,
    real: Path,
    synthetic: Path,
    given: Sequence[str],
    *,
    embedding: str | None = None,
    device: str = "cpu",
    as_json: bool,
) -> None:
    """Prints one measured number. `embedding`: path of an encoder, for metrics of features over pictures, recordings or
    texts; both sides and a holdout go through the same one. Raises `UserError` for what does not fit."""
    kind = metric(name).kind
    if embedding is not None and "embedding" in options_of(name):  # pairs: the measure loads it itself
        given, embedding = [*given, f"embedding={embedding}"], None
    options = _parsed(name, given)
    used = options_of(name) | resolved(name, function_of(name), options)  # before files are read, which may take long
    load: Callable[[Path], np.ndarray] = load_npy
    if embedding is None:
        measured = measure(name, *load_pair(kind, real, synthetic), **_options(options, load))
    elif kind != "features":
        raise UserError(f"{name} reads {kind}; an embedding is for metrics of features")
    else:
        encoder = load_encoder(embedding, device=device)
        load = partial(embed_one, encoder)
        pair = embed_pair(encoder, real, synthetic, by_name=name in ROWS_BELONG)
        measured = measure(name, *pair, **_options(options, load))
        measured = replace(measured, convention=f"{measured.convention}, of {encoder.name}")
    if as_json:
        console.print_json(_plain(asdict(measured)) | {"options": _plain(used)})
        return
    console.table(name, ["fact", "value"], _rows(measured))


def _shown(measured: Measured) -> str:
    if not math.isfinite(measured.value):
        return "none"
    return f"{measured.value:.6g}" + ("" if measured.unit == "1" else f" {measured.unit}")


def _rows(measured: Measured) -> list[list[Any]]:
    rows: list[list[Any]] = [["value", _shown(measured)]]
    if measured.reason:
        rows.append(["why none", measured.reason])
    if math.isfinite(measured.low):
        rows.append(["95 % interval", f"{measured.low:.6g} to {measured.high:.6g}"])
    if math.isfinite(measured.floor):
        rows.append(["real against real", f"{measured.floor:.6g}"])
    rows += [["convention", measured.convention], ["n", f"{measured.n_real} real, {measured.n_synthetic} synthetic"]]
    return rows + [[key, "none" if value is None else value] for key, value in _plain(measured.details).items()]


def _parsed(name: str, given: Sequence[str]) -> dict[str, str]:
    """ "name=value" texts -> {option: text}. Raises `UserError`: no sign, an option that is none, one given twice."""
    options: dict[str, str] = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not sign:
            raise UserError(f"option {text!r}: write it as name=value")
        key = option_name(name, key, options_of(name), also=COMMON)
        if key in options:
            raise UserError(f"option {key} is given twice: {options[key]} and {value}")
        options[key] = value
    return options


def _options(options: Mapping[str, str], load: Callable[[Path], np.ndarray]) -> dict[str, str | np.ndarray]:
    """`load` reads a holdout; the rest stays text, which the measure reads."""
    return {key: load(Path(text)) if key == "holdout" else text for key, text in options.items()}


def _plain(value: Any) -> Any:
    """JSON has no NaN: null. Numbers of numpy become Python's."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
