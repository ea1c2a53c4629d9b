"""Features of texts: tokens pooled as a sentence encoder's folder says (Reimers & Gurevych 2019, arXiv 1908.10084).

Texts of a batch are padded under an attention mask, so row i depends on text i only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpora.errors import UserError
from validators.embeddings.checkpoints import read_json
from validators.embeddings.encodings import BATCH, Encoder, Reads


class SentenceEncoder(Encoder):
    """Tokens pooled as `SentenceModules` says. Longer texts are cut off after `longest` tokens, as these models do;
    blank texts have no features."""

    reads: Reads = "text"

    def __init__(self, model: Any, name: str, device: str, folder: Path, tokenizer: Any) -> None:
        super().__init__(model, name, device)
        self._tokenizer = tokenizer
        self.modules = SentenceModules.read(folder)
        limits = [self.modules.longest, int(tokenizer.model_max_length), self._positions()]
        self.longest = min(limit for limit in limits if limit and limit < 1_000_000)
        if tokenizer.pad_token_id is None:
            raise UserError(f"the tokenizer in {folder} has no padding token")
        self._measured("a", folder)

    def _positions(self) -> int:
        config = self._model.config
        positions = int(getattr(config, "max_position_embeddings", 0) or 512)
        offset = config.model_type in (
            "roberta",
            "xlm-roberta",
            "camembert",
            "mpnet",
        )  # begin after the padding's place
        return positions - (2 if offset else 0)

    def _prepared(self, sample: Any, rate_hz: float | None) -> Any:
        if not isinstance(sample, str):
            raise UserError(f"texts are needed, not {type(sample).__name__}")
        if not sample.strip():
            return None
        return self.modules.prompt + (sample.lower() if self.modules.lower else sample)

    def _groups(self, ready: list[Any]) -> Iterator[list[int]]:
        order = sorted(range(len(ready)), key=lambda row: len(ready[row]))  # little to pad
        for first in range(0, len(order), BATCH):
            yield order[first : first + BATCH]

    def _batch(self, ready: list[Any]) -> Any:
        import torch

        inputs = self._tokenizer(ready, padding=True, truncation=True, max_length=self.longest, return_tensors="pt")
        inputs = {key: inputs[key].to(self._device) for key in ("input_ids", "attention_mask")}
        tokens = self._model(**inputs).last_hidden_state.float()
        inside = inputs["attention_mask"].bool()[:, :, None]
        if self.modules.pooling == "cls":
            pooled = tokens[:, 0]
        elif self.modules.pooling == "max":
            pooled = tokens.masked_fill(~inside, -torch.inf).amax(dim=1)
        else:
            pooled = tokens.masked_fill(~inside, 0.0).sum(dim=1) / inside.sum(dim=1)
        return torch.nn.functional.normalize(pooled, dim=1) if self.modules.normalise else pooled


@dataclass(frozen=True)
class SentenceModules:
    """How a sentence encoder's folder says that tokens become one vector, and what is done to a text before."""

    pooling: str = "mean"  # mean, cls or max
    normalise: bool = False  # to length 1
    longest: int | None = None  # tokens
    lower: bool = False  # lower case, before the tokenizer
    prompt: str = ""  # before each text

    @classmethod
    def read(cls, folder: Path) -> SentenceModules:
        """As sentence-transformers' modules.json and the files that it names say; without it, the defaults.

        Raises `UserError` for what is not known here (Dense layers, other poolings).
        """
        if not (folder / "modules.json").is_file():
            return cls()
        settings: dict[str, Any] = {}
        for module in read_json(folder / "modules.json"):
            kind, inside = str(module["type"]).rsplit(".", 1)[-1], folder / str(module.get("path", ""))
            if kind == "Pooling":
                settings["pooling"] = _pooling(read_json(inside / "config.json"), inside)
            elif kind == "Normalize":
                settings["normalise"] = True
            elif kind != "Transformer":
                raise UserError(f"{folder}: modules.json names {kind}; known: Transformer, Pooling, Normalize")
            elif inside != folder:
                raise UserError(f"{folder}: the model lies in {inside.name}; load and save it anew, into one folder")
            elif (inside / "sentence_bert_config.json").is_file():
                config = read_json(inside / "sentence_bert_config.json")
                settings |= {"longest": config.get("max_seq_length"), "lower": bool(config.get("do_lower_case"))}
        if (folder / "config_sentence_transformers.json").is_file():
            config = read_json(folder / "config_sentence_transformers.json")
            settings["prompt"] = (config.get("prompts") or {}).get(config.get("default_prompt_name")) or ""
        return cls(**settings)


def _pooling(config: Mapping[str, Any], where: Path) -> str:
    named = {"cls": "cls", "cls_token": "cls", "mean": "mean", "mean_tokens": "mean", "max": "max", "max_tokens": "max"}
    given = config.get("pooling_mode")
    chosen = [given] if isinstance(given, str) else list(given or ())
    chosen += [
        key.removeprefix("pooling_mode_") for key, on in config.items() if key.startswith("pooling_mode_") and on
    ]
    if len(chosen) != 1 or chosen[0] not in named:
        raise UserError(f"{where} pools by {', '.join(chosen) or 'nothing'}; known: cls, mean or max, one of them")
    return named[chosen[0]]
