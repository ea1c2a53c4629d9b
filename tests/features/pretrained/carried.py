"""Installed packages as they would carry weights: a dist-info and files of the genuine formats, tiny and random."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from features.pretrained.packages import ENCODERS

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "so", "happy", "sad", "##ness", "!", "the", "dog", "ran"]
WORDS += [mark + letter for mark in ("", "##") for letter in "abcdefghijklmnopqrstuvwxyz"]


def carry(site: Path, name: str, weights: bytes, monkeypatch: pytest.MonkeyPatch, version: str = "9.1") -> None:
    """The package of encoder `name` below `site`, first on the path, with `weights` as its first file."""
    encoder = ENCODERS[name]
    info = site / f"{encoder.distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {encoder.distribution}\nVersion: {version}\n")
    file = site / encoder.files[0]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(weights)
    monkeypatch.syspath_prepend(str(site))


def tiny_minilm(seed: int = 0, **config: Any) -> bytes:
    """The zip of a sentence encoder with one layer, 384 columns and a few word pieces and all letters."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    from safetensors.torch import save

    sizes = {"hidden_size": 384, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    options = transformers.BertConfig(**sizes | {"vocab_size": len(WORDS), "max_position_embeddings": 32} | config)
    torch.manual_seed(seed)
    state = transformers.BertModel(options).state_dict()
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding(length=32)  # as the published one does, which is undone
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as files:
        files.writestr("config.json", json.dumps({"model_type": "bert", **options.to_dict()}))
        files.writestr("tokenizer.json", tokenizer.to_str())
        files.writestr("tokenizer_config.json", json.dumps({"tokenizer_class": "BertTokenizer", "pad_token": "[PAD]"}))
        files.writestr("sentence_bert_config.json", json.dumps({"max_seq_length": 30, "do_lower_case": False}))
        files.writestr(
            "modules.json",
            json.dumps([{"type": f"m.{kind}", "path": path} for kind, path in PARTS]),
        )
        files.writestr("1_Pooling/config.json", json.dumps({"pooling_mode_mean_tokens": True}))
        files.writestr("model.safetensors", save({k: v.contiguous() for k, v in state.items()}))
    return out.getvalue()


PARTS = (("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize"))


def tiny_speaker(seed: int = 0) -> bytes:
    """Random weights of the speaker encoder, in the form in which its package carries them."""
    torch = pytest.importorskip("torch")
    from features.speech.speaker import Network

    torch.manual_seed(seed)
    state = {name: 3.0 * tensor for name, tensor in Network().state_dict().items()}
    state["lstm.weight_ih_l0"] = 100.0 * state["lstm.weight_ih_l0"]  # energies are small
    beside = {"similarity_weight": torch.ones(1), "similarity_bias": torch.zeros(1)}
    out = io.BytesIO()
    torch.save({"model_state": {**state, **beside}, "step": 1}, out)
    return out.getvalue()
