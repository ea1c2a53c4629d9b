"""`emoforge measure`: one number over two inputs, with all that it takes to compare it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import UserError
from emoforge import console
from validators.encoders import load_encoder
from validators.inputs import embed_one, embed_pair, load_npy, load_pair
from validators.measure import METRICS, Measured, measure, metric, options_of

ROWS_BELONG = ("cosine",)  # row i of both sides is a pair


def flags(rest: Sequence[str]) -> list[str]:
    """`--name value` and `--name=value` -> "name=value", as `-o` takes it. Raises `UserError`."""
    found, words = [], list(rest)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise UserError(f"{word!r} is one input too many; options are written --name value or -o name=value")
        if "=" not in word and not words:
            raise UserError(f"option {word} needs a value")
        found.append(word[2:] if "=" in word else f"{word[2:]}={words.pop(0)}")
    return found


def list_metrics(*, as_json: bool) -> None:
    found = [
        {"name": name, "reads": one.kind, "better": one.better, "about": one.about, "options": options_of(name)}
        for name, one in METRICS.items()
    ]
    if as_json:
        console.print_json(found)
        return
    rows = [
        [one["name"], one["reads"], one["better"], one["about"],
         ", ".join(f"{key}={value}" for key, value in one["options"].items())]  # type: ignore[attr-defined]
        for one in found
    ]  # fmt: skip
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
    if embedding is None:
        found = measure(name, *load_pair(kind, real, synthetic), **_options(name, given, load_npy))
    elif kind != "features":
        raise UserError(f"{name} reads {kind}; an embedding is for metrics of features")
    else:
        encoder = load_encoder(embedding, device=device)
        options = _options(name, given, partial(embed_one, encoder))
        found = measure(name, *embed_pair(encoder, real, synthetic, by_name=name in ROWS_BELONG), **options)
        found = replace(found, convention=f"{found.convention}, of {encoder.name}")
    if as_json:
        console.print_json(_plain(asdict(found)) | {"options": options_of(name) | {k: str(v) for k, v in _told(given)}})
        return
    console.table(name, ["fact", "value"], _rows(found))


def _shown(found: Measured) -> str:
    if not math.isfinite(found.value):
        return "none"
    return f"{found.value:.6g}" + ("" if found.unit == "1" else f" {found.unit}")


def _rows(found: Measured) -> list[list[Any]]:
    rows: list[list[Any]] = [["value", _shown(found)]]
    if found.reason:
        rows.append(["why none", found.reason])
    if math.isfinite(found.low):
        rows.append(["95 % interval", f"{found.low:.6g} to {found.high:.6g}"])
    if math.isfinite(found.floor):
        rows.append(["real against real", f"{found.floor:.6g}"])
    rows += [["convention", found.convention], ["n", f"{found.n_real} real, {found.n_synthetic} synthetic"]]
    return rows + [[key, value] for key, value in found.details.items()]


def _told(given: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    for text in given:
        key, sign, value = text.partition("=")
        if not sign:
            raise UserError(f"option {text!r}: write it as name=value")
        pairs.append((key.replace("-", "_"), value))
    return pairs


def _options(name: str, given: Sequence[str], load: Callable[[Path], np.ndarray]) -> dict[str, Any]:
    """Texts -> values of the type of the option's default; `load` reads a holdout."""
    defaults = options_of(name)
    found: dict[str, Any] = {}
    for key, text in _told(given):
        default = defaults.get(key)
        if key == "holdout":
            found[key] = load(Path(text))
        elif isinstance(default, bool):
            if text.lower() not in ("true", "false", "yes", "no"):
                raise UserError(f"option {key} is {text!r}; true or false is needed")
            found[key] = text.lower() in ("true", "yes")
        elif isinstance(default, int | float):
            try:
                found[key] = type(default)(text)
            except ValueError:
                raise UserError(f"option {key} is {text!r}; a number is needed") from None
        else:
            found[key] = text
    return found


def _plain(value: Any) -> Any:
    """JSON has no NaN: null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
