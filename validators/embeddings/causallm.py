"""Surprise under a causal language model from a local folder (transformers). Nothing is downloaded or unpickled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from validators.embeddings.checkpoints import (
    LOCAL,
    checkpoint_hash,
    load_model,
    plain_errors,
    require_checkpoint,
    transformers_for,
)
from validators.maths.text.ngrams import Surprise, surprise_of

LONGEST = 1024  # tokens of a window, where the model names no limit


class CausalModel:
    """A checkpoint folder as `save_pretrained` writes it: config.json, *.safetensors, tokenizer.json.

    `name`: the architecture and a hash of weights and tokenizer; it belongs to every number.
    """

    def __init__(self, folder: Path | str, *, device: str = "cpu") -> None:
        """Raises `UserError`: transformers is missing, no such folder, not a checkpoint, weights that are pickles."""
        folder, what = Path(folder), "a causal language model"
        require_checkpoint(folder)
        transformers = transformers_for(what)
        with plain_errors(folder, what):
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), **LOCAL)
        self._model = load_model(transformers.AutoModelForCausalLM, folder, what, device=device)
        self._device = device
        self.name = f"{type(self._model).__name__}/{checkpoint_hash(folder)}"
        self.window = int(getattr(self._model.config, "max_position_embeddings", 0) or LONGEST)

    def surprise(self, texts: Sequence[str]) -> Surprise:
        """Each text on its own after the start token (or the end token, where the model has no other), end included.

        A model without either cannot say how likely a first token is: it is left out, and so is the end. Longer than
        the model's window: windows that overlap by half, each token scored once, with at least half a window before it.
        """
        start = self._tokenizer.bos_token_id
        end = self._tokenizer.eos_token_id
        start = end if start is None else start
        rows = []
        for text in texts:
            ids = list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
            if not ids:
                rows.append([0.0] * 6)
                continue
            full = ([start] if start is not None else []) + ids + ([end] if end is not None else [])
            nats = self._nats(full)
            size = len(text.encode("utf-8", "replace")) + (end is not None)
            rows.append([nats, max(len(full) - 1, 0), 0, 0.0, 0.0, size])
        return surprise_of(rows)

    def _nats(self, ids: Sequence[int]) -> float:
        """Sum of -ln p over all but the first of `ids`."""
        import torch

        total, done = 0.0, 1  # tokens before `done` are scored
        while done < len(ids):
            first = 0 if len(ids) <= self.window else max(0, done - self.window // 2)
            piece = torch.tensor([ids[first : first + self.window]], device=self._device)
            with torch.no_grad():
                logits = self._model(piece).logits[0, :-1].double()
            costs = torch.nn.functional.cross_entropy(logits, piece[0, 1:], reduction="none")
            total += float(costs[done - first - 1 :].sum())
            done = first + piece.shape[1]
        return total if math.isfinite(total) else math.nan
