"""causal_lm: a pretrained causal language model, fine-tuned to write lines of a class.

The class is said by control embeddings in front of the line (learned, in the way of CTRL's control codes, Keskar 2019,
and of prompt tuning, Lester 2021), of which a mixture is the weighted mean; or by words in front of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as functional
from pydantic import Field, model_validator
from torch import nn

from corpora.errors import ParamsError, UserError
from generators.condition import emotion_weights
from generators.language.lines import Asked, TrainLines
from generators.language.pretrained.checkpoint import Checkpoint, Kind
from generators.language.pretrained.decoding import decode
from generators.language.pretrained.tuned import LanguageParams, TunedLines
from training.loop import Minibatch

IGNORED = -100  # label of a place that teaches nothing


class CausalParams(LanguageParams):
    """Of `causal_lm`."""

    control: Literal["tokens", "prompt"] = Field(
        "tokens", description="what says the class: learned embeddings in front of the line, or the words of `prompt`"
    )
    control_tokens: int = Field(4, ge=1, le=256, description="embeddings for each class")
    prompt: str = Field("{emotion}:", min_length=1, max_length=2000, description="words before a line, with {emotion}")

    @model_validator(mode="after")
    def _the_prompt_names_the_class(self) -> Self:
        if self.control == "prompt" and self.prompt.count("{emotion}") != 1:
            raise ValueError("prompt must hold {emotion} once: nothing else says the class")
        return self


class CausalLM(TunedLines):
    """See the module. With `control: prompt` a draw of a mixture is refused: no words of a mixture were trained."""

    name: ClassVar[str] = "causal_lm"
    Params: ClassVar[type[CausalParams]] = CausalParams
    params: CausalParams
    kind: ClassVar[Kind] = "causal"

    def _prepare(self, base: Checkpoint) -> dict[str, nn.Parameter]:
        self.control: nn.Parameter | None = None
        room = _positions(base.model.config)
        if room is not None and room <= self._prefix_length(base) + 1:
            raise ParamsError(f"{self.params.model} has {room} positions, too few for what says the class")
        if self.params.control == "prompt":
            return {}
        # as large as the embeddings that the model knows: others are far from what its first layer expects
        table = base.model.get_input_embeddings().weight.detach()
        shape = (len(self.classes), self.params.control_tokens, table.shape[1])
        self.control = nn.Parameter(table.mean(dim=0) + table.std() * torch.randn(shape))
        return {"control": self.control}

    def _prefix_length(self, base: Checkpoint) -> int:
        if self.params.control == "tokens":
            return self.params.control_tokens
        return max(len(self._prompt(base, name)) for name in self.classes)

    def _prompt(self, base: Checkpoint, name: str) -> list[int]:
        text = self.params.prompt.replace("{emotion}", name)
        return list(base.tokenizer(text, add_special_tokens=False).input_ids)

    def _longest(self) -> int:
        """Tokens of a line with its end, as far as the model has positions."""
        assert self.base is not None
        room = _positions(self.base.model.config)
        own = self.params.max_tokens + 1
        return own if room is None else min(own, room - self._prefix_length(self.base))

    def _prefix(self, shares: torch.Tensor) -> torch.Tensor:
        """[b, K] shares of classes -> [b, P, H] embeddings in front of the line; by prompt: all rows of one class."""
        assert self.base is not None
        if self.control is not None:
            return torch.einsum("bk,kph->bph", shares.to(self.control.dtype), self.control)
        name = self.classes[int(shares[0].argmax())]
        ids = torch.tensor([self._prompt(self.base, name)], device=shares.device)
        table: torch.Tensor = self.base.model.get_input_embeddings()(ids)
        return table.expand(len(shares), -1, -1)

    def _train_rows(self, train: TrainLines) -> tuple[torch.Tensor, torch.Tensor]:
        """-> [N, L] tokens of each line and its end, `IGNORED` behind it; [N] classes."""
        assert self.base is not None
        tokenizer, longest = self.base.tokenizer, self._longest()
        space = " " if self.params.control == "prompt" else ""
        lines = [
            [*tokenizer(space + line, add_special_tokens=False).input_ids, tokenizer.eos_token_id][:longest]
            for line in train.lines
        ]
        ids = torch.full((len(lines), max(map(len, lines))), IGNORED)
        for row, tokens in enumerate(lines):
            ids[row, : len(tokens)] = torch.tensor(tokens)
        return ids, torch.from_numpy(train.labels)

    def _loss(self, rows: Any, batch: Minibatch) -> torch.Tensor:
        ids, labels = (part[torch.from_numpy(batch.rows)].to(batch.device) for part in rows)
        if self.control is not None:
            return self._of_lines(ids, labels)
        # words in front of a line are of another length for each class
        weights = [(labels == k).float().mean() for k in range(len(self.classes))]
        parts = [w * self._of_lines(ids[labels == k], labels[labels == k]) for k, w in enumerate(weights) if w > 0]
        return torch.stack(parts).sum()

    def _of_lines(self, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over lines of the mean cross-entropy of their tokens, end included."""
        assert self.base is not None
        model = self.base.model
        shares = functional.one_hot(labels, len(self.classes)).float()
        prefix = self._prefix(shares)
        embedded = model.get_input_embeddings()(ids.clamp(min=0))
        inputs = torch.cat([prefix.to(embedded.dtype), embedded], dim=1)
        mask = torch.cat([torch.ones(prefix.shape[:2], device=ids.device), (ids != IGNORED).float()], dim=1)
        logits = model(inputs_embeds=inputs, attention_mask=mask).logits[:, prefix.shape[1] - 1 : -1]
        losses = functional.cross_entropy(logits.float().transpose(1, 2), ids, ignore_index=IGNORED, reduction="none")
        return (losses.sum(dim=1) / (ids != IGNORED).sum(dim=1)).mean()

    def _lines(self, asked: Sequence[Asked], seeds: Sequence[int]) -> list[str]:
        assert self.base is not None
        model, tokenizer = self.base.model, self.base.tokenizer
        device = next(model.parameters()).device
        shares = torch.stack(
            [torch.as_tensor(emotion_weights(a.condition.emotion, self.classes), dtype=torch.float32) for a in asked]
        ).to(device)
        groups: dict[int, list[int]] = {}
        for i, one in enumerate(asked):
            if self.control is None and one.condition.one_class is None:
                raise UserError(f"generator {self.name} with control: prompt knows no mixtures; set control: tokens")
            groups.setdefault(0 if self.control is not None else int(shares[i].argmax()), []).append(i)
        lines = [""] * len(asked)
        for members in groups.values():
            prefix = self._prefix(shares[members])

            def step(last: torch.Tensor | None, cache: Any, prefix: torch.Tensor = prefix) -> tuple[torch.Tensor, Any]:
                given = {"inputs_embeds": prefix} if last is None else {"input_ids": last}
                out = model(**given, past_key_values=cache, use_cache=True)
                return out.logits[:, -1].float(), out.past_key_values

            tokens = decode(
                step,
                [seeds[i] for i in members],
                tokenizer.eos_token_id,
                longest=self._longest(),
                temperature=self.params.temperature,
                top_p=self.params.top_p,
            )
            for i, own in zip(members, tokens, strict=True):
                lines[i] = tokenizer.decode(own, skip_special_tokens=True)
        return lines


def _positions(config: Any) -> int | None:
    """Positions that a model has embeddings for; None where it counts none."""
    for name in ("max_position_embeddings", "n_positions"):
        n = getattr(config, name, None)
        if isinstance(n, int) and n > 0:
            return n
    return None
