"""Weights and resumable state on disk: safetensors beside JSON, written whole or not at all, never a pickle."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from corpora.errors import IntegrityError
from corpora.fingerprint import hash_bytes, hash_folder
from corpora.store.atomic import atomic_folder, write_bytes, write_json

if TYPE_CHECKING:  # whoever asks a generator for its parameters needs no tensors
    import torch

MODEL_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
STATE_FILE = "state.safetensors"
META_FILE = "state.json"
KEEP_STATES = 2  # the newest may be unreadable after a crash of the machine; then the one before it serves
_STATE_NAME = re.compile(r"step-(\d{9})")

log = logging.getLogger(__name__)


def _plain(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensors[name].detach().to("cpu").contiguous().clone() for name in sorted(tensors)}


def save_tensors(folder: Path, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> None:
    """Writes model.safetensors and config.json; equal input gives equal bytes. Replaces `folder` if it exists."""
    from safetensors.torch import save as tensors_to_bytes

    with atomic_folder(folder) as building:
        write_bytes(building / MODEL_FILE, tensors_to_bytes(_plain(tensors)))
        write_json(building / CONFIG_FILE, dict(config))


def load_tensors(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """-> tensors on the CPU and the config. Raises `IntegrityError` where a file is missing or broken."""
    from safetensors.torch import load as tensors_from_bytes

    try:
        tensors = tensors_from_bytes((folder / MODEL_FILE).read_bytes())
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorError) as error:
        raise IntegrityError(f"{folder} holds no readable model ({error}); fit it again") from error
    return tensors, config


def load_model(
    folder: Path, generator: str, number: int, *, needs: Collection[str] = ()
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """What a generator saved: tensors and config, as `load_tensors`. Raises `IntegrityError` where they are of another
    generator or format, or lack a tensor of `needs`."""
    tensors, config = load_tensors(folder)
    if config.get("generator") != generator or config.get("format") != number or not tensors.keys() >= set(needs):
        raise IntegrityError(
            f"{folder} holds a model of {config.get('generator')!r} in format {config.get('format')!r}, not one of "
            f"{generator!r} in format {number} as this emoforge writes it; fit it again"
        )
    return tensors, config


def content_hash(folder: Path) -> str:
    """20 hex digits over all files of a saved model: equal fits have equal ones."""
    return hash_folder(folder)[:20]


@dataclass(frozen=True, slots=True)
class TrainingState:
    """All that a fit needs to go on as if it had never stopped. `identity` names the fit that it belongs to."""

    identity: str
    step: int
    tensors: Mapping[str, torch.Tensor]
    meta: Mapping[str, Any]


def _states(folder: Path) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        return []
    states = [(match, path) for path in folder.iterdir() if (match := _STATE_NAME.fullmatch(path.name))]
    return sorted((int(match.group(1)), path) for match, path in states)


def state_folder(folder: Path, step: int) -> Path:
    """Where the state after `step` steps lies."""
    return folder / f"step-{step:09d}"


def save_state(folder: Path, state: TrainingState) -> None:
    """Writes folder/step-<n>/ and removes what is not one of the newest two states of this fit."""
    from safetensors.torch import save as tensors_to_bytes

    payload = tensors_to_bytes(_plain(state.tensors))
    target = state_folder(folder, state.step)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_folder(target) as building:
        write_bytes(building / STATE_FILE, payload)
        write_json(
            building / META_FILE,
            {"identity": state.identity, "step": state.step, "sha256": hash_bytes(payload), "meta": dict(state.meta)},
        )
    own = [path for step, path in _states(folder) if step <= state.step and _identity(path) == state.identity]
    for _, path in _states(folder):
        if path not in own[-KEEP_STATES:]:
            shutil.rmtree(path)


def _identity(path: Path) -> str | None:
    try:
        return str(json.loads((path / META_FILE).read_text(encoding="utf-8"))["identity"])
    except (OSError, ValueError, KeyError):
        return None


def load_state(folder: Path, identity: str) -> TrainingState | None:
    """The newest readable state of `identity`, or None. What is broken or foreign is passed over, with a warning."""
    from safetensors.torch import load as tensors_from_bytes

    for step, path in reversed(_states(folder)):
        try:
            header = json.loads((path / META_FILE).read_text(encoding="utf-8"))
            if header["identity"] != identity:
                log.warning("ignoring %s: it belongs to a fit with other data, parameters, seed or numerics", path)
                continue
            payload = (path / STATE_FILE).read_bytes()
            if hash_bytes(payload) != header["sha256"]:
                raise IntegrityError("sha256 differs from what was written")
            return TrainingState(identity, step, tensors_from_bytes(payload), header["meta"])
        except (OSError, ValueError, KeyError, SafetensorError, IntegrityError) as error:
            log.warning("ignoring the training state %s: %s; going on from an earlier one", path, error)
    return None
