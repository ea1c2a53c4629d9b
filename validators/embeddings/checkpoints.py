"""Checkpoint folders in Hugging Face's format: what must be in them, their hash, and loading them with transformers.

Nothing is downloaded, unpickled or run as code: weights are safetensors, `trust_remote_code` is off, and a model whose
weights are incomplete is an error, for transformers would fill the gaps with random numbers.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from corpora.errors import UserError

LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
# Beside config and weights: what turns a picture, a recording or a text into the model's input, and pools its output.
INPUT_FILES = (
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "*_Pooling/config.json",
)
# Weights that no number here depends on: a BERT's pooler, and what stands for masked input in training.
UNUSED = re.compile(r"(^|\.)(pooler\..*|mask_token|masked_spec_embed|position_ids)$")
# What loading a broken or foreign folder raises.
_LOADING = (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, ImportError, SafetensorError)
_HASHED: dict[tuple[Any, ...], str] = {}  # (name, size, time of change) of each file -> hash


def require_checkpoint(folder: Path) -> list[Path]:
    """-> its weights, in order. Raises `UserError`: no folder, no config.json, no weights, or pickled ones only."""
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{folder} is no checkpoint: a folder with config.json and *.safetensors is needed, as save_pretrained "
            "writes it"
        )
    weights = sorted(folder.glob("*.safetensors"))
    if weights:
        return weights
    pickled = sorted(
        p.name for pattern in ("*.bin", "*.pt", "*.pth", "*.h5", "*.msgpack") for p in folder.glob(pattern)
    )
    why = f"{', '.join(pickled[:3])} may hold code and is not read" if pickled else "there are no weights"
    raise UserError(f"{folder} is no checkpoint: config.json and *.safetensors are needed; {why}")


def checkpoint_hash(folder: Path) -> str:
    """12 hex digits of sha256 over names and contents of config, weights, and what prepares the input.

    Files that have not changed since are not read again. Raises what `require_checkpoint` raises.
    """
    files = [folder / "config.json", *require_checkpoint(folder)]
    files += sorted({path for pattern in INPUT_FILES for path in folder.glob(pattern) if path.is_file()})
    return files_hash(files, folder)


def files_hash(files: list[Path], root: Path | None = None) -> str:
    """12 hex digits of sha256 over the contents of `files`, and over their names where they lie below a `root`."""
    seen = [(str(p.absolute()), s.st_size, s.st_mtime_ns, s.st_ino) for p, s in ((p, p.stat()) for p in files)]
    key = (root is None, *seen)
    if key not in _HASHED:
        digest = hashlib.sha256()
        for path in files:
            if root is not None:
                digest.update(path.relative_to(root).as_posix().encode() + b"\0")
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        _HASHED[key] = digest.hexdigest()[:12]
    return _HASHED[key]


def read_json(path: Path) -> Any:
    """Raises `UserError` where it is missing or no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from error


def transformers_for(what: str) -> Any:
    """The package. Raises `UserError` where it is missing."""
    try:
        import transformers
    except ImportError as error:
        raise UserError(f"{what} from a path needs the package transformers: pip install 'emoforge[lm]'") from error
    return transformers


@contextlib.contextmanager
def plain_errors(folder: Path, what: str) -> Iterator[None]:
    """Errors of transformers as `UserError`, and no progress bars or advice on the screen."""
    try:
        with _quiet():
            yield
    except _LOADING as error:
        raise UserError(f"{folder} cannot be loaded as {what}: {str(error).strip() or type(error).__name__}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    if importlib.util.find_spec("transformers") is None:
        yield
        return
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load_model(kind: Any, folder: Path, what: str, *, device: str = "cpu", **options: Any) -> Any:
    """`kind`: a model class of transformers. -> the model in eval mode on `device`.

    Raises `UserError`: it cannot be loaded, or weights of it are missing.
    """
    with plain_errors(folder, what):
        model, info = kind.from_pretrained(
            str(folder), use_safetensors=True, output_loading_info=True, **LOCAL, **options
        )
        missing = sorted(key for key in info["missing_keys"] if not UNUSED.search(key))
        model = model.to(device).eval()
    if missing:
        raise UserError(
            f"{folder} cannot be loaded as {what}: {len(missing)} of its weights are missing, {missing[0]} among them"
        )
    return model
