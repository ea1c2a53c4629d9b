"""seq2seq: a pretrained encoder-decoder, fine-tuned to rewrite lines of one class as lines of another.

There are no pairs of lines that differ in their emotion alone. So the model learns to restore: words of a line are
masked, a prefix in words names the line's class (as T5 names its tasks, Raffel 2020), and the whole line is the target.
To convert, the prefix names the class that is asked for and words of the source are masked: what stays keeps what the
line is about, what is filled in follows the prefix (as in Wu 2019, mask and infill). Each line's own class is said, so
that the model learns what a class does to a line, and nothing of dev or test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as functional
from pydantic import Field, model_validator

from corpora.errors import UserError
from corpora.schema import FROM
from generators.language.lines import Asked, TrainLines
from generators.language.pretrained.checkpoint import Checkpoint, Kind
from generators.language.pretrained.decoding import decode
from generators.language.pretrained.tuned import LanguageParams, TunedLines
from training.loop import Minibatch
from training.seeds import derive_seed

IGNORED = -100


class Seq2SeqParams(LanguageParams):
    """Of `seq2seq`."""

    prefix: str = Field("express {emotion}: ", max_length=500, description="words before the input, with {emotion}")
    mask: str = Field(
        "<extra_id_{n}>",
        max_length=40,
        description="what stands for masked words; {n} counts them: <extra_id_{n}> for T5, <mask> for BART",
    )
    mask_share: float = Field(
        0.4, ge=0, le=1, description="of a source's words that are masked; 0: the prefix alone says what to change"
    )

    @model_validator(mode="after")
    def _the_prefix_names_the_class(self) -> Self:
        if self.prefix.count("{emotion}") != 1:
            raise ValueError("prefix must hold {emotion} once: nothing else says the class")
        return self


class Seq2Seq(TunedLines):
    """See the module. A draw names a train line of another class; mixtures are refused."""

    name: ClassVar[str] = "seq2seq"
    Params: ClassVar[type[Seq2SeqParams]] = Seq2SeqParams
    params: Seq2SeqParams
    kind: ClassVar[Kind] = "seq2seq"
    takes: tuple[str, ...] = (FROM,)

    def _input(self, line: str, emotion: str, rng: np.random.Generator, share: float) -> str:
        return self.params.prefix.replace("{emotion}", emotion) + masked(line, share, self.params.mask, rng)

    def _train_rows(self, train: TrainLines) -> TrainLines:
        return train

    def _loss(self, rows: TrainLines, batch: Minibatch) -> torch.Tensor:
        assert self.base is not None
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=batch.rng)))
        lines = [rows.lines[i] for i in batch.rows]
        # every share, so that the model knows what to do with a little masked as well as with much
        inputs = [
            self._input(line, self.classes[int(rows.labels[i])], rng, float(rng.random()))
            for i, line in zip(batch.rows, lines, strict=True)
        ]
        given = encoded(self.base, inputs, self.params.max_tokens, batch.device)
        labels = encoded(self.base, lines, self.params.max_tokens, batch.device, end=True)
        ids = labels["input_ids"].masked_fill(labels["attention_mask"] == 0, IGNORED)
        logits = self.base.model(**given, labels=ids).logits
        losses = functional.cross_entropy(logits.float().transpose(1, 2), ids, ignore_index=IGNORED, reduction="none")
        return (losses.sum(dim=1) / (ids != IGNORED).sum(dim=1)).mean()

    def _lines(self, asked: Sequence[Asked], seeds: Sequence[int]) -> list[str]:
        assert self.base is not None
        inputs = []
        for one, seed in zip(asked, seeds, strict=True):
            emotion = one.condition.one_class
            if emotion is None:
                raise UserError(f"generator {self.name} rewrites to one class; a mixture was asked for")
            rng = np.random.default_rng(derive_seed("mask", seed))
            inputs.append(self._input(one.source, emotion, rng, self.params.mask_share))
        p = self.params
        return rewritten(self.base, inputs, seeds, longest=p.max_tokens, temperature=p.temperature, top_p=p.top_p)


def masked(line: str, share: float, mask: str, rng: np.random.Generator) -> str:
    """Each word is masked with probability `share`; neighbours share one mask, and {n} in it counts masks from 0.

    >>> masked("so very happy today", 1.0, "<extra_id_{n}>", np.random.default_rng(0))
    '<extra_id_0>'
    """
    kept: list[str] = []
    n, open_mask = 0, False
    for word in line.split():
        if rng.random() < share:
            if not open_mask:
                kept.append(mask.replace("{n}", str(n)))
                n += 1
            open_mask = True
        else:
            kept.append(word)
            open_mask = False
    return " ".join(kept)


def encoded(
    base: Checkpoint, lines: Sequence[str], longest: int, device: torch.device, *, end: bool = False
) -> dict[str, torch.Tensor]:
    """Tokens of lines, padded: input_ids and attention_mask [n, L]. end: each ends with the end token, whatever the
    tokenizer adds of its own."""
    eos = base.tokenizer.eos_token_id
    rows = [list(base.tokenizer(line).input_ids) for line in lines]
    if end:
        rows = [row if row and row[-1] == eos else [*row, eos] for row in rows]
    rows = [row if len(row) <= longest + 1 else [*row[:longest], eos] for row in rows]
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), base.tokenizer.pad_token_id or 0)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


def rewritten(
    base: Checkpoint, inputs: Sequence[str], seeds: Sequence[int], *, longest: int, temperature: float, top_p: float
) -> list[str]:
    """What an encoder-decoder makes of each input, sampled with the seed of each."""
    model = base.model
    device = next(model.parameters()).device
    given = encoded(base, inputs, longest, device)
    states = model.get_encoder()(**given)
    start = model.config.decoder_start_token_id
    first = torch.full((len(inputs), 1), base.tokenizer.pad_token_id or 0 if start is None else start, device=device)

    def step(last: torch.Tensor | None, cache: Any) -> tuple[torch.Tensor, Any]:
        out = model(
            encoder_outputs=states,
            attention_mask=given["attention_mask"],
            decoder_input_ids=first if last is None else last,
            past_key_values=cache,
            use_cache=True,
        )
        return out.logits[:, -1].float(), out.past_key_values

    end = base.tokenizer.eos_token_id
    tokens = decode(step, seeds, end, longest=longest, temperature=temperature, top_p=top_p)
    return [base.tokenizer.decode(own, skip_special_tokens=True) for own in tokens]
