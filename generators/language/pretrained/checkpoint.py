"""A pretrained language model from "path:PLACE" or "hub:ORG/NAME@COMMIT", in the format of transformers.

What the place holds is looked at before anything is loaded, and pickled weights are refused. A hub's model is named
with its whole commit, so that its content cannot change under the name; a path's content is hashed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from corpora.errors import ParamsError, ResourceError
from corpora.fingerprint import hash_folder

FROM_PATH, FROM_HUB = "path:", "hub:"
_HUB = re.compile(r"hub:([A-Za-z0-9._-]+/[A-Za-z0-9._-]+)@([0-9a-f]{40})")
Kind = Literal["causal", "seq2seq"]
KINDS: dict[Kind, str] = {
    "causal": "a causal language model (GPT-2, Llama ...)",
    "seq2seq": "an encoder-decoder (T5, BART ...)",
}


def check_place(place: str) -> str:
    """`place` where it can name a checkpoint; else ValueError, for validators of params."""
    if place.startswith(FROM_PATH) and len(place) > len(FROM_PATH):
        return place
    if place.startswith(FROM_HUB) and not _HUB.fullmatch(place):
        raise ValueError("a hub's model is named with its whole commit: hub:ORG/NAME@ and 40 hex digits")
    if not _HUB.fullmatch(place):
        raise ValueError("write path:FOLDER, or hub:ORG/NAME@COMMIT with the whole commit")
    return place


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """model and tokenizer: of transformers, on the CPU, in float32; identity: hash of a path's files, or the commit."""

    model: Any
    tokenizer: Any
    identity: str


def identity_of(place: str) -> str:
    """Names what is there: 20 hex digits over all files of a path, or the commit. Raises `ParamsError`."""
    hub = _HUB.fullmatch(place)
    if hub:
        return hub[2]
    folder = _folder(place)
    if not folder.is_dir():
        raise ParamsError(_said(place, "nothing is there" if not folder.exists() else "it is a file, not a folder"))
    return hash_folder(folder)[:20]


def load_checkpoint(place: str, kind: Kind) -> Checkpoint:
    """Raises `ParamsError` that says what is there instead, `ResourceError` where transformers is not installed or a
    hub's model can be had from nowhere."""
    transformers = _transformers()
    identity = identity_of(place)
    hub = _HUB.fullmatch(place)
    if hub:
        where, options = hub[1], {"revision": hub[2]}
    else:
        where, options = str(_folder(place)), {"local_files_only": True}
        _look(place, kind)
    auto = transformers.AutoModelForCausalLM if kind == "causal" else transformers.AutoModelForSeq2SeqLM
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, **options)
        model = auto.from_pretrained(where, use_safetensors=True, dtype="float32", **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        if hub:
            raise ResourceError(
                f"{place} cannot be loaded ({_first_line(error)}). Is the hub reachable, or the model in the cache, "
                "with weights as safetensors?"
            ) from None
        raise ParamsError(_said(place, f"transformers cannot load it: {_first_line(error)}")) from None
    if tokenizer.eos_token_id is None:
        raise ParamsError(_said(place, "its tokenizer has no token for the end of a line"))
    return Checkpoint(model, tokenizer, identity)


def _look(place: str, kind: Kind) -> None:
    """Raises `ParamsError` where a folder does not hold a checkpoint of this kind."""
    from transformers.models.auto import modeling_auto as auto

    folder = _folder(place)
    names = {path.name for path in folder.iterdir()}
    if "config.json" not in names:
        raise ParamsError(_said(place, _instead(names)))
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model_type = config.get("model_type")
    except (ValueError, AttributeError):
        raise ParamsError(_said(place, "its config.json is no JSON object")) from None
    if model_type is None:
        what = f"a model of generator {config['generator']}" if "generator" in config else "another config.json"
        raise ParamsError(_said(place, f"it holds {what}"))
    known = (
        auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        if kind == "causal"
        else auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    )
    if model_type not in known:
        raise ParamsError(_said(place, f"it holds a model of type {model_type!r}; wanted is {KINDS[kind]}"))
    if not any(name.endswith(".safetensors") for name in names):
        pickled = [name for name in sorted(names) if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
        raise ParamsError(
            _said(place, f"its weights are pickled ({pickled[0]}), which can run code; save them as safetensors")
            if pickled
            else _said(place, "it holds a config and no weights (*.safetensors)")
        )
    if not names & {"tokenizer.json", "tokenizer_config.json", "spiece.model", "vocab.json", "vocab.txt"}:
        raise ParamsError(_said(place, "it holds no tokenizer; save the model's tokenizer beside it"))


def _instead(names: set[str]) -> str:
    if "model_index.json" in names:
        return "it holds a diffusers pipeline"
    if "adapter_config.json" in names:
        return "it holds an adapter of peft without its base; merge it into the base and save that"
    for ending, what in ((".gguf", "a GGUF file"), (".onnx", "an ONNX model"), (".pt", "a pickled model")):
        if any(name.endswith(ending) for name in names):
            return f"it holds {what}, and no config.json"
    return f"it holds no config.json but {', '.join(sorted(names)[:5]) or 'nothing'}"


def _said(place: str, what: str) -> str:
    return f"{place}: {what}. Wanted is a folder as transformers' save_pretrained writes it"


def _folder(place: str) -> Path:
    return Path(place.removeprefix(FROM_PATH)).expanduser()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise ResourceError("transformers is not installed; install the extra: pip install 'emoforge[lm]'") from None
    return transformers
