"""given.safetensors beside a fitted model: the named vectors of the train samples that it learned from, by class, which
draws take where a run asks for none of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpora.errors import IntegrityError, UserError
from flows.given import GivenParams
from generators.draws.asked import Asked, Pools, Values
from generators.generator import TrainData

FILE = "given.safetensors"


def keep_given(folder: Path, data: TrainData) -> None:
    """Writes it; nothing for train data without vectors. What early stopping holds out is not in it."""
    if not data.vectors:
        return
    from safetensors.numpy import save_file

    seen = ~np.asarray(data.held_out, bool)
    emotions = np.array([data.classes.index(e) for e in data.emotions], np.int64)[seen]
    arrays = {f"given.{name}": np.ascontiguousarray(values[seen], np.float32) for name, values in data.vectors.items()}
    save_file({"emotion": emotions, **arrays}, folder / FILE)


def asked_of_train(asked: Asked, folder: Path, described: Mapping[str, object], seed: int) -> Asked:
    """What a run asks for, with its texts as vectors, and the vectors of train for draws that are asked for none.
    `described`: emoforge.json of the model in `folder`.

    Raises `UserError` for a vector of another length than train has, `IntegrityError` where the file does not fit.
    """
    told = described.get("given")
    if not isinstance(told, Mapping):
        return asked
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    given = {name: GivenParams.model_validate(params) for name, params in told.items()}
    try:
        arrays = load_file(folder / FILE)
        emotions = arrays["emotion"]
        vectors = {name: arrays[f"given.{name}"] for name in given}
    except (OSError, KeyError, SafetensorError) as error:
        raise IntegrityError(f"{folder / FILE} is not what the fit wrote ({error}); fit the run again") from None
    classes = [str(name) for name in described["classes"]]  # type: ignore[attr-defined]
    of = {
        name: {c: tuple(map(_vector, values[emotions == k])) for k, c in enumerate(classes)}
        for name, values in vectors.items()
    }

    def settled(values: Values) -> Values:
        return {
            n: tuple(_asked(n, v, given[n], vectors[n]) for v in of_n) if n in given else of_n
            for n, of_n in values.items()
        }

    return replace(
        asked,
        everywhere=settled(asked.everywhere),
        by_class={name: settled(values) for name, values in asked.by_class.items()},
        mixtures=tuple(replace(m, given=settled(m.given)) for m in asked.mixtures),
        pools=Pools(seed, of),
    )


def _asked(name: str, value: object, params: GivenParams, train: np.ndarray) -> tuple[float, ...]:
    vector = _vector(params.embedded([value])[0] if isinstance(value, str) else np.asarray(value))
    if len(vector) != train.shape[1]:
        raise UserError(
            f"ask.given.{name}: a vector of {len(vector)} numbers; train has {train.shape[1]} columns of it"
        )
    return vector


def _vector(values: np.ndarray) -> tuple[float, ...]:
    """Plain numbers of float32: what a draw is named by."""
    return tuple(np.asarray(values, np.float32).astype(float).tolist())
