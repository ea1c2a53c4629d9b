"""Tiny random checkpoints in the genuine formats, one for each family of encoders; WORDS is their vocabulary."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

TOWER: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
PICTURE: dict[str, Any] = TOWER | {"image_size": 32, "patch_size": 16}
FRONT: dict[str, Any] = TOWER | {
    "conv_dim": (8, 8),
    "conv_stride": (10, 8),
    "conv_kernel": (10, 8),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "dog", "ran", "home", "cat", "slept"]
RATE = 16000


def pictures(folder: Path, processor: str, **options: Any) -> None:
    module = {"CLIP": "clip", "Bit": "bit", "ViT": "vit"}[processor]
    where = importlib.import_module(f"transformers.models.{module}.image_processing_pil_{module}")
    getattr(where, f"{processor}ImageProcessorPil")(**options).save_pretrained(folder)


def make_clip(folder: Path) -> None:
    text = dict(TOWER, vocab_size=20, max_position_embeddings=8)
    config = transformers.CLIPConfig(text_config=text, vision_config=PICTURE, projection_dim=6)
    transformers.CLIPModel(config).save_pretrained(folder)
    pictures(folder, "CLIP", size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def make_dinov2(folder: Path) -> None:
    transformers.Dinov2Model(transformers.Dinov2Config(**PICTURE, mlp_ratio=1)).save_pretrained(folder)
    pictures(folder, "Bit", size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def make_vit(folder: Path) -> None:
    transformers.ViTModel(transformers.ViTConfig(**PICTURE)).save_pretrained(folder)
    pictures(folder, "ViT", size={"height": 32, "width": 32})


def _speech(model: str, config: str, **options: Any) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        getattr(transformers, model)(getattr(transformers, config)(**FRONT, **options)).save_pretrained(folder)
        transformers.Wav2Vec2FeatureExtractor(sampling_rate=RATE, do_normalize=True).save_pretrained(folder)

    return make


def _clap(fusion: bool) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        audio = {
            "hidden_size": 32,
            "depths": [1, 1],
            "num_attention_heads": [2, 2],
            "patch_embeds_hidden_size": 16,
            "num_mel_bins": 64,
            "spec_size": 128,
            "window_size": 4,
            "num_hidden_layers": 2,
            "enable_fusion": fusion,
            "fusion_num_hidden_layers": 1,
        }
        text = dict(TOWER, vocab_size=20, max_position_embeddings=8)
        config = transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=6)
        transformers.ClapModel(config).save_pretrained(folder)
        transformers.ClapFeatureExtractor(
            max_length_s=1,
            sampling_rate=RATE,
            hop_length=160,
            frequency_max=8000,
            truncation="fusion" if fusion else "rand_trunc",
        ).save_pretrained(folder)

    return make


def make_tokenizer(folder: Path) -> None:
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    inner.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)


def _text(model: str, config: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        made_config = getattr(transformers, config)(
            **TOWER, vocab_size=len(WORDS), max_position_embeddings=24, pad_token_id=0
        )
        getattr(transformers, model)(made_config).save_pretrained(folder)
        make_tokenizer(folder)

    return make


def as_sentence_encoder(folder: Path, pooling: str, *, normalise: bool, longest: int = 12, **transformer: Any) -> None:
    """The files that sentence-transformers writes beside the model."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")] + [("2_Normalize", "Normalize")] * normalise
    rows = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(rows))
    (folder / "1_Pooling").mkdir()
    modes = {f"pooling_mode_{m}": m == pooling for m in ("cls_token", "mean_tokens", "max_tokens", "lasttoken")}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16, **modes}))
    told = {"max_seq_length": longest, "do_lower_case": False, **transformer}
    (folder / "sentence_bert_config.json").write_text(json.dumps(told))


MAKERS: dict[str, Callable[[Path], None]] = {
    "clip": make_clip,
    "dinov2": make_dinov2,
    "vit": make_vit,
    "wav2vec2": _speech("Wav2Vec2Model", "Wav2Vec2Config"),  # group norm: no mask
    "wav2vec2-large": _speech("Wav2Vec2Model", "Wav2Vec2Config", feat_extract_norm="layer", do_stable_layer_norm=True),
    "hubert": _speech("HubertModel", "HubertConfig"),
    "wavlm": _speech("WavLMModel", "WavLMConfig"),
    "clap": _clap(True),
    "clap-unfused": _clap(False),
    "bert": _text("BertModel", "BertConfig"),
    "mpnet": _text("MPNetModel", "MPNetConfig"),
}
