"""Pre-trained encoders from a path: pictures, recordings or texts -> [n, d] features, with a name that holds their hash.

    CLIP                        image features (after the projection)         Radford et al. 2021, arXiv 2103.00020
    DINOv2, ViT                 class token after the last norm               Oquab et al. 2023; Dosovitskiy et al. 2021
    InceptionV3 (TorchScript)   2048 features before the last layer           Heusel et al. 2017; Karras et al. 2020
    wav2vec 2.0, HuBERT, WavLM  mean over time of a layer                     Baevski et al. 2020; Hsu et al. 2021; Chen et al. 2022
    CLAP                        audio features (projected, of length 1)       Wu et al. 2023, arXiv 2211.06687
    BERT, MPNet, ... (text)     pooled as 1_Pooling/config.json says          Reimers & Gurevych 2019, arXiv 1908.10084

A path is a folder in Hugging Face's format, or a TorchScript file; what happens to samples is validators/embeddings/encodings.py.
"""  # noqa: E501

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import UserError
from validators.batch import Batch, usable
from validators.embeddings.checkpoints import (
    LOCAL,
    checkpoint_hash,
    files_hash,
    load_model,
    plain_errors,
    read_json,
    transformers_for,
)
from validators.embeddings.encodings import (
    ClapEncoder,
    Encoder,
    ImageEncoder,
    Reads,
    ScriptedEncoder,
    SpeechEncoder,
)
from validators.embeddings.kept import content_key
from validators.embeddings.projection import Projection
from validators.embeddings.sentences import SentenceEncoder
from validators.memo import Memo
from validators.state import arrays_hash

MODELS: dict[Reads, dict[str, str]] = {  # model_type of config.json -> class of transformers
    "images": {
        "clip": "CLIPModel",
        "clip_vision_model": "CLIPVisionModelWithProjection",
        "dinov2": "Dinov2Model",
        "dinov2_with_registers": "Dinov2WithRegistersModel",
        "vit": "ViTModel",
    },
    "speech": {"wav2vec2": "Wav2Vec2Model", "hubert": "HubertModel", "wavlm": "WavLMModel", "clap": "ClapModel"},
    "text": {
        "bert": "BertModel",
        "mpnet": "MPNetModel",
        "roberta": "RobertaModel",
        "xlm-roberta": "XLMRobertaModel",
        "distilbert": "DistilBertModel",
        "albert": "AlbertModel",
        "camembert": "CamembertModel",
        "electra": "ElectraModel",
        "deberta-v2": "DebertaV2Model",
        "modernbert": "ModernBertModel",
    },
}
SCRIPTED = (".pt", ".torchscript")


def split_layer(path: str) -> tuple[Path, int | None]:
    """ "/models/hubert@layer7" -> the path and 7; without "@layer", None."""
    found = re.fullmatch(r"(.+?)@layer(\d+)", path)
    return (Path(found[1]).expanduser(), int(found[2])) if found else (Path(path).expanduser(), None)


def weights_hash(path: str) -> str:
    """12 hex digits of what `load_encoder(path)` would load; no model is built. Raises `UserError`."""
    place, _ = split_layer(path)
    if place.suffix in SCRIPTED and place.is_file():
        return files_hash([place])
    return checkpoint_hash(place)


def load_encoder(path: str | Path, *, reads: Reads | None = None, device: str = "cpu") -> Encoder:
    """`path`: a checkpoint folder or TorchScript file; "@layer7" at its end chooses a hidden layer (speech).

    Raises `UserError`, which says what is needed: no such path, not a checkpoint, pickled or missing weights, a kind of
    model that is not known or does not read `reads`, a package that is missing, a layer that the model has not.
    """
    place, layer = split_layer(str(path))
    if not place.exists():
        raise UserError(f"{place} does not exist; a checkpoint folder or a TorchScript file is needed")
    digest = weights_hash(str(path))
    if place.is_file():
        kind, of = "TorchScript", "images"
    else:
        kind = str(read_json(place / "config.json").get("model_type"))
        of = next((name for name, models in MODELS.items() if kind in models), "")
        if not of:
            known = ", ".join(sorted(name for models in MODELS.values() for name in models))
            raise UserError(f"{place} holds a model of type {kind!r}; known encoders: {known}")
    if reads is not None and reads != of:
        known = ", ".join(sorted(MODELS[reads]))
        raise UserError(f"{place} holds {kind}, which reads {of}; {reads} need one of {known}")
    if layer is not None and (of != "speech" or kind == "clap"):
        raise UserError(f"{place} holds {kind}; a layer is chosen of wav2vec2, hubert or wavlm only")
    if place.is_file():
        return _scripted(place, digest, device)
    return _from_folder(place, kind, digest, layer, device)


def _scripted(path: Path, digest: str, device: str) -> Encoder:
    import torch

    with plain_errors(path, "a TorchScript module"):
        model = torch.jit.load(str(path), map_location=device).eval()
    return ScriptedEncoder(model, f"{getattr(model, 'original_name', 'TorchScript')}/{digest}", device, path)


def _from_folder(folder: Path, kind: str, digest: str, layer: int | None, device: str) -> Encoder:
    import torch

    transformers = transformers_for("an encoder")
    of = next(name for name, models in MODELS.items() if kind in models)
    options: dict[str, Any] = {"dtype": torch.float32}
    if kind == "vit":
        options["add_pooling_layer"] = False
    model = load_model(getattr(transformers, MODELS[of][kind]), folder, f"an encoder of {of}", device=device, **options)
    name = f"{type(model).__name__}/{digest}" + (f"@layer{layer}" if layer is not None else "")
    if of != "text" and not any((folder / f"{n}processor_config.json").is_file() for n in ("pre", "")):
        raise UserError(f"{folder} has no preprocessor_config.json, which says how {of} become its input")
    with plain_errors(folder, f"an encoder of {of}"):
        if of == "images":  # the PIL processors need no torchvision, and round as the models' authors did
            processor = transformers.AutoImageProcessor.from_pretrained(str(folder), backend="pil", **LOCAL)
        elif of == "speech":
            processor = transformers.AutoFeatureExtractor.from_pretrained(str(folder), **LOCAL)
        else:
            processor = transformers.AutoTokenizer.from_pretrained(str(folder), **LOCAL)
    if of == "images":
        return ImageEncoder(model, name, device, folder, processor)
    if of == "text":
        return SentenceEncoder(model, name, device, folder, processor)
    if kind == "clap":
        return ClapEncoder(model, name, device, folder, processor)
    return SpeechEncoder(model, name, device, folder, processor, layer)


_LOADED: Memo[tuple[str, str, str, Reads | None], Encoder] = Memo(2)
READS: Mapping[str, Reads] = {"speech": "speech", "face": "images", "text": "text"}  # of a batch's modality


def kept_encoder(path: str, *, reads: Reads | None = None, device: str = "cpu") -> Encoder:
    """`load_encoder`, or what it gave for the same path with the same weights; the last two are kept."""
    key = (path, weights_hash(path), device, reads)
    encoder = _LOADED.get(key)
    if encoder is None:
        encoder = load_encoder(path, reads=reads, device=device)
        _LOADED.put(key, encoder)
    return encoder


class PathEmbedding:
    """Principal components of an encoder's features, standardised and fitted on train. `name`: model, hash of its
    weights, components, hash of the projection."""

    def __init__(self, encoder: Encoder, projection: Projection) -> None:
        self.encoder, self.projection = encoder, projection
        self.dim = projection.components.shape[0]
        self.name = f"{encoder.name}-pca{self.dim}/{arrays_hash(projection.arrays(''))}"

    @classmethod
    def fit(cls, path: str, train: Batch, *, dims: int, whiten: bool = False) -> PathEmbedding:
        """Raises `UserError`: what `load_encoder` raises, a modality that no encoder reads, fewer than 2 samples."""
        if train.kind not in READS:
            raise UserError(f"no encoder from a path reads {train.kind}; known: {', '.join(READS)}")
        encoder = kept_encoder(path, reads=READS[train.modality])
        x = encoded(encoder, train)
        x = x[np.isfinite(x).all(axis=1)]
        if len(x) < 2:
            raise UserError(f"{encoder.name} could encode {len(x)} of {len(train)} train samples; 2 are needed")
        return cls(encoder, Projection.fit(x, dims, whiten=whiten))

    def embed(self, batch: Batch) -> np.ndarray:
        """-> [B, dim] float64; NaN rows where the sample cannot be used."""
        x = encoded(self.encoder, batch)
        ok = np.isfinite(x).all(axis=1)
        out = np.full((len(batch), self.dim), np.nan)
        if ok.any():
            out[ok] = self.projection.apply(x[ok])
        return out


def encoded(encoder: Encoder, batch: Batch) -> np.ndarray:
    """-> [B, encoder.dim] float64, kept in `batch.cache[encoder.name]`; NaN rows where the sample cannot be used.

    The encoder also remembers samples by content: folds and classes of one set are batches of their own.
    """
    if encoder.name not in batch.cache:
        rate = float(batch.rate_hz) if batch.rate_hz else None
        out = np.full((len(batch), encoder.dim), np.nan)
        rows = [int(row) for row in np.flatnonzero(usable(batch))]
        keys = [content_key(batch.signals[row], rate) for row in rows]
        known = [encoder.memory.get(key) for key in keys]
        new = [row for row, features in zip(rows, known, strict=True) if features is None]
        computed = iter(encoder.encode([_sample(encoder, batch.signals[row]) for row in new], rate_hz=rate))
        for row, key, features in zip(rows, keys, known, strict=True):
            out[row] = next(computed) if features is None else features
            encoder.memory.put(key, out[row].copy())
        batch.cache[encoder.name] = out
    return batch.cache[encoder.name]


def _sample(encoder: Encoder, signal: np.ndarray) -> Any:
    """A batch holds texts as the bytes of their UTF-8."""
    return signal.tobytes().decode("utf-8", "replace") if encoder.reads == "text" else signal
