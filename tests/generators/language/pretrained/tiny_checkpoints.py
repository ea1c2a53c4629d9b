"""Checkpoints of the genuine formats, of two layers and random weights: GPT-2 and T5, with tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from features.text.utf8 import Utf8Representation
from generators.generator import TrainData
from generators.language.lines import arrays_of

CLASSES = ("calm", "joy", "anger")
SUBJECTS = ("the cat", "my boss", "this town", "the train")
FEELS = {"calm": ("rests", "waits", "reads"), "joy": ("sings", "wins", "dances"), "anger": ("yells", "fights", "burns")}
UTF8 = Utf8Representation(48)


def toy_lines() -> list[tuple[str, str]]:
    """(line, class) of a toy grammar: a subject, which says nothing of the class, and two words of the class."""
    return [
        (f"{subject} {first} and {second}", name)
        for name, words in FEELS.items()
        for subject in SUBJECTS
        for first in words
        for second in words
        if first != second
    ]


def toy_train() -> TrainData:
    pairs = toy_lines()
    n = len(pairs)
    return TrainData(
        spec=UTF8.spec,
        classes=CLASSES,
        arrays=arrays_of([line for line, _ in pairs], UTF8.spec),
        emotions=tuple(name for _, name in pairs),
        ids=tuple(f"toy/{i}" for i in range(n)),
        groups=tuple(f"g{i}" for i in range(n)),
        subjects=(None,) * n,
        held_out=np.arange(n) % 3 == 2,
    )


def class_of(line: str) -> str | None:
    """The class all of whose words alone stand in a line; None of another line."""
    found = {name for name, words in FEELS.items() if set(words) & set(line.split())}
    return found.pop() if len(found) == 1 else None


def _tokenizer(folder: Path, sentinels: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<pad>", "</s>", *(f"<extra_id_{i}>" for i in range(sentinels))]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    lines = [line for line, _ in toy_lines()] + ["express calm joy anger: "]
    bpe.train_from_iterator(
        lines,
        trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    if sentinels:
        bpe.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>", eos_token="</s>")
    fast.save_pretrained(folder)
    return fast


def write_gpt2(folder: Path, seed: int = 0, **config: Any) -> str:
    """-> its place."""
    from transformers import GPT2Config, GPT2LMHeadModel

    fast = _tokenizer(folder, 0)
    shape = {"n_positions": 48, "n_embd": 32, "n_layer": 2, "n_head": 2, **config}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(
            GPT2Config(vocab_size=len(fast), bos_token_id=1, eos_token_id=1, pad_token_id=0, **shape)
        )
    model.save_pretrained(folder)
    return f"path:{folder}"


def write_t5(folder: Path, seed: int = 0) -> str:
    """-> its place."""
    from transformers import T5Config, T5ForConditionalGeneration

    fast = _tokenizer(folder, 8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = T5ForConditionalGeneration(
            T5Config(
                vocab_size=len(fast),
                d_model=32,
                d_kv=16,
                d_ff=64,
                num_layers=2,
                num_heads=2,
                pad_token_id=0,
                eos_token_id=1,
                decoder_start_token_id=0,
            )
        )
    model.save_pretrained(folder)
    return f"path:{folder}"


def fit(generator: Any, steps: int, seed: int = 1, **options: Any) -> list[float]:
    """-> its losses."""
    from generators.generator import Device

    reports = generator.fit(toy_train(), steps=steps, seed=seed, device=Device(), **options)
    return [report.losses["loss"] for report in reports]


def agreement(lines: Sequence[str], asked: Sequence[str]) -> float:
    """Share of lines that have words of the class that was asked for and of no other."""
    return sum(class_of(line) == name for line, name in zip(lines, asked, strict=True)) / len(lines)
