"""Sentences as points: all-MiniLM-L6-v2 (Wang et al. 2020, arXiv 2002.10957; Reimers & Gurevych 2019, arXiv 1908.10084).

The model as its authors published it, read out of the zip in which a package carries it: nothing is unpacked to disk,
downloaded, unpickled or run as code. Word pieces of a text (256 at most, as the model was trained) -> mean over them of
the last layer -> length 1.
"""  # noqa: E501

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import UserError
from features.pretrained.packages import packaged

NAME = "minilm"
COLUMNS = 384
_TOGETHER = 64  # texts of one length in word pieces that go through the network at once
_DIGITS = 6  # how many texts go through together shows in the last bits; decimals of numbers of size 0.05
_NEEDED = ("config.json", "tokenizer.json", "model.safetensors")


class MiniLm:
    """Loaded by `minilm()`. title: NAME@VERSION#HASH of the weights."""

    def __init__(self, archive: bytes, title: str) -> None:
        self.title = title
        self._model, self._tokenizer = _opened(archive, title)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """-> [n, 384] float32, rows of length 1 rounded to 6 decimals; zeros for a text without word pieces. Row i
        depends on text i only."""
        import torch

        out = np.zeros((len(texts), COLUMNS), np.float32)
        pieces = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))] if len(texts) else []
        of_length: dict[int, list[int]] = {}
        for row, ids in enumerate(pieces):
            if len(ids) > 2:  # beside the marks of begin and end
                of_length.setdefault(len(ids), []).append(row)
        with torch.inference_mode():
            for rows in of_length.values():  # texts of one length: nothing is padded
                for first in range(0, len(rows), _TOGETHER):
                    some = rows[first : first + _TOGETHER]
                    tokens = self._model(input_ids=torch.tensor([pieces[row] for row in some])).last_hidden_state
                    points = torch.nn.functional.normalize(tokens.mean(dim=1), dim=1)
                    out[some] = np.round(points.numpy(), _DIGITS)
        return out


def minilm() -> MiniLm:
    """The encoder; loaded once a process. Raises `UserError` where it is not installed or its package is damaged."""
    encoder = packaged(NAME)
    encoder.require()
    return _loaded(str(encoder.paths()[0]), encoder.title())


@lru_cache(maxsize=1)
def _loaded(path: str, title: str) -> MiniLm:
    return MiniLm(Path(path).read_bytes(), title)


def _opened(archive: bytes, title: str) -> tuple[Any, Any]:
    """-> the network in eval mode, its tokenizer."""
    from safetensors import SafetensorError
    from safetensors.torch import load
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel

    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            held = {name: files.read(name) for name in _NEEDED}
            limits = json.loads(files.read("sentence_bert_config.json"))
        config = BertConfig.from_dict(json.loads(held["config.json"]))
        model = BertModel(config, add_pooling_layer=False)
        lacking = model.load_state_dict(_named(load(held["model.safetensors"])), strict=False).missing_keys
        tokenizer = Tokenizer.from_str(held["tokenizer.json"].decode("utf-8"))
        longest = int(limits["max_seq_length"])
    except (zipfile.BadZipFile, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{title}: its archive holds no such sentence encoder ({error}); install it again") from error
    if lacking or config.hidden_size != COLUMNS:
        raise UserError(
            f"{title}: {len(lacking)} of its weights are missing and a text has {config.hidden_size} columns, not "
            f"{COLUMNS}; install it again"
        )
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=longest)
    return model.eval(), tokenizer


def _named(weights: dict[str, Any]) -> dict[str, Any]:
    """Without what no number here depends on: the pooler, and positions that are counted, not learned."""
    return {k: v for k, v in weights.items() if not k.startswith("pooler.") and not k.endswith("position_ids")}
