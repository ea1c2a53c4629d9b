"""Arrays that stand for samples: features computed once a batch, and embeddings whose distances mean something.

`features_of` gives hand-made features (functionals for speech, HOG for faces, log-mel images). An `Embedding` is fitted
on train and gives the coordinates in which sets are compared. Its name holds the hash of its weights: numbers from
different embeddings are never compared.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from safetensors.numpy import load_file, save

from corpora.errors import IntegrityError, UnknownNameError, UserError
from corpora.store.atomic import write_bytes, write_json
from features.physio.paces import trial_features
from features.text.ngrams import hashed_ngrams
from validators.embeddings.text_features import text_of
from validators.gate import Batch

if TYPE_CHECKING:
    import torch

    from features.encoders import TrainedEncoder
    from training.loop import Minibatch

FACE_SIDE = 48  # pixels; faces of any size are compared at this one, so that features of all sets have one length
FROM_PATH = "path:"  # an embedding of this beginning is an encoder, loaded from the rest
MEL_BANDS, MEL_COLUMNS = 40, 64  # columns of the time-normalised log-mel image

Extractor = Callable[[Batch, np.ndarray], np.ndarray]  # batch, indices of usable rows -> [rows, D]


def usable(batch: Batch) -> np.ndarray:
    """-> [B] bool: the row was decoded, is not empty, and all its values are finite; a text: is UTF-8."""
    if batch.modality == "text":
        return np.asarray([s.size > 0 and text_of(np.asarray(s)) is not None for s in batch.signals], bool)
    return np.asarray([s.size > 0 and s.ndim in (1, 2, 3) and bool(np.isfinite(s).all()) for s in batch.signals], bool)


def features_of(batch: Batch, name: str) -> np.ndarray:
    """-> [B, D] float64 features, computed on first use and kept in `batch.cache[name]`.

    name: functionals, mel (speech); hog, pixels (faces); ngrams (texts); paces (physiology). Every value is finite:
    rows that `usable` rejects are zeros, and whoever scores them must answer NaN. Row i depends on sample i only.

    Raises `UnknownNameError` for a name that the modality does not have.
    """
    known = FEATURES.get(batch.modality, {})
    if name not in known:
        raise UnknownNameError.of(f"feature extractor of modality {batch.modality}", name, known)
    if name not in batch.cache:
        rows = np.flatnonzero(usable(batch))
        if rows.size:
            found = _remembered(batch, name, rows, known[name])
            out = np.zeros((len(batch), found.shape[1]))
            out[rows] = np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)
        else:
            out = np.zeros((len(batch), 0))
        batch.cache[name] = out
    return batch.cache[name]


_MEMO: OrderedDict[tuple[Any, ...], np.ndarray] = OrderedDict()  # features of one signal, by its content
_MEMO_VALUES = 32_000_000  # float64: 256 MB


def _remembered(batch: Batch, name: str, rows: np.ndarray, extract: Extractor) -> np.ndarray:
    """-> [rows, D] float64. Gates, the self-test and `uplift` cut batches of their own out of the same samples; each
    signal is looked at once, and the oldest are forgotten."""
    keys = []
    for i in rows:
        signal = np.ascontiguousarray(batch.signals[i])
        digest = hashlib.blake2b(signal.tobytes(), digest_size=16).digest()
        keys.append((name, batch.modality, batch.rate_hz, signal.shape, signal.dtype.str, digest))
    missing = np.asarray([key not in _MEMO for key in keys], dtype=bool)
    fresh = np.zeros((0, 0))
    if missing.any():
        fresh = np.asarray(extract(batch, rows[missing]), dtype=np.float64)
    new = iter(fresh)
    found = np.stack([next(new) if gone else _MEMO[key] for key, gone in zip(keys, missing, strict=True)])
    for key, gone, row in zip(keys, missing, found, strict=True):
        if gone:
            _MEMO[key] = row.copy()
        else:
            _MEMO.move_to_end(key)
    kept = sum(row.size for row in _MEMO.values())
    while kept > _MEMO_VALUES:
        kept -= _MEMO.popitem(last=False)[1].size
    return found


def rows_of(batch: Batch, rows: np.ndarray) -> Batch:
    """The samples at integer or boolean `rows`, with what of their features is already known."""
    index = np.flatnonzero(rows) if rows.dtype == bool else rows
    cut: dict[str, Any] = {}
    for item in dataclasses.fields(Batch):
        value = getattr(batch, item.name)
        if item.name in ("cache", "dimensions"):
            cut[item.name] = {key: array[index] for key, array in value.items()}
        elif item.name == "signals":
            cut["signals"] = [value[i] for i in index]
        elif isinstance(value, tuple):
            cut[item.name] = tuple(value[i] for i in index) if value else ()
        else:
            cut[item.name] = value
    return Batch(**cut)


def faces_at(signals: Sequence[np.ndarray], side: int) -> np.ndarray:
    """uint8 [H, W] or [H, W, 3] each -> [B, side, side] uint8: luminance, resized bilinearly where the size differs."""
    from PIL import Image

    out = np.zeros((len(signals), side, side), dtype=np.uint8)
    for i, signal in enumerate(signals):
        if signal.shape == (side, side):
            out[i] = signal
            continue
        picture = Image.fromarray(np.ascontiguousarray(signal, dtype=np.uint8)).convert("L")
        out[i] = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))
    return out


def _functionals(batch: Batch, rows: np.ndarray) -> np.ndarray:
    from features.speech.functionals import functionals_matrix

    return functionals_matrix([batch.signals[i] for i in rows], _rate(batch))


def _mel(batch: Batch, rows: np.ndarray) -> np.ndarray:
    from features.encoders import time_normalised_logmel

    rate = _rate(batch)
    return np.stack([time_normalised_logmel(batch.signals[i], rate, MEL_COLUMNS).ravel() for i in rows])


def _hog(batch: Batch, rows: np.ndarray) -> np.ndarray:
    from features.faces.pixels import hog_features

    return hog_features(faces_at([batch.signals[i] for i in rows], FACE_SIDE))


def _pixels(batch: Batch, rows: np.ndarray) -> np.ndarray:
    return faces_at([batch.signals[i] for i in rows], FACE_SIDE).reshape(len(rows), -1)


def _ngrams(batch: Batch, rows: np.ndarray) -> np.ndarray:
    return hashed_ngrams([text_of(np.asarray(batch.signals[i])) or "" for i in rows])


def _paces(batch: Batch, rows: np.ndarray) -> np.ndarray:
    return trial_features([batch.signals[i] for i in rows], float(batch.rate_hz or 0.0))


FEATURES: dict[str, dict[str, Extractor]] = {
    "speech": {"functionals": _functionals, "mel": _mel},
    "face": {"hog": _hog, "pixels": _pixels},
    "text": {"ngrams": _ngrams},
    "physio": {"paces": _paces},
}
PLAIN = {"speech": "functionals", "face": "hog", "text": "ngrams", "physio": "paces"}  # the hand-made features
IMAGES = {"speech": ("mel", (MEL_BANDS, MEL_COLUMNS)), "face": ("pixels", (FACE_SIDE, FACE_SIDE))}  # of the encoder


def _rate(batch: Batch) -> int:
    if not batch.rate_hz:
        raise UserError("a speech batch needs its sampling rate (rate_hz in Hz)")
    return int(batch.rate_hz)


class Embedding(Protocol):
    """Coordinates in which sets are compared. Fitted on real train samples only."""

    name: str  # kind and hash of the weights
    dim: int

    def embed(self, batch: Batch) -> np.ndarray:
        """-> [B, dim] float64; NaN rows where the sample cannot be used."""
        ...


@dataclasses.dataclass(frozen=True)
class Projection:
    """Standardise each column, clip at 10 standard deviations, project on the leading principal components.

    mean, scale [D]; components [d, D]. The clip keeps one wild functional (a jitter of nearly nothing) from owning the
    distance; it is far outside of what real samples show.
    """

    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, dims: int, *, whiten: bool = False) -> Projection:
        """x [n, D] float64, n >= 2 -> at most `dims` components, never more than min(n - 1, D); `whiten`: each of unit
        variance on x, else they keep their own."""
        from sklearn.decomposition import PCA

        mean, spread = x.mean(axis=0), x.std(axis=0)
        scale = np.where(spread > 1e-9 * (1.0 + np.abs(mean)), spread, 1.0)  # a constant column stays 0
        standard = np.clip((x - mean) / scale, -10.0, 10.0)
        solver = "covariance_eigh" if len(x) > x.shape[1] else "full"
        d = max(1, min(dims, len(x) - 1, x.shape[1]))
        found = PCA(d, svd_solver=solver).fit(standard)
        components = found.components_
        if whiten:
            spreads = np.sqrt(found.explained_variance_)
            components = components / np.where(spreads > 1e-6 * spreads[0], spreads, np.inf)[:, None]
        return cls(mean, scale, components)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """[n, D] -> [n, d] float64. Raises `UserError` where D is not that of `fit`: other channels, another rate."""
        if x.ndim != 2 or x.shape[1] != self.mean.size:
            raise UserError(f"features {x.shape} where [n, {self.mean.size}] were learned: other channels or rate?")
        projected: np.ndarray = np.clip((x - self.mean) / self.scale, -10.0, 10.0) @ self.components.T
        return projected

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        return {f"{prefix}{f.name}": np.ascontiguousarray(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str) -> Projection:
        return cls(*(arrays[f"{prefix}{f.name}"] for f in dataclasses.fields(cls)))


def encoder_images(batch: Batch) -> np.ndarray:
    """-> [B, H, W] float64: what the encoder looks at (time-normalised log-mel in dB, or gray levels).

    Raises `UserError` for texts and physiology: there is no picture of them.
    """
    if batch.modality not in IMAGES:
        raise UserError(f"no network looks at {batch.modality}; judges and embeddings of it are linear or hand-made")
    name, shape = IMAGES[batch.modality]
    features = features_of(batch, name)
    return features.reshape(len(batch), *shape) if features.size else np.zeros((len(batch), *shape))


def fit_encoder(
    train: Batch,
    *,
    classes: Sequence[str],
    seed: int,
    steps: int | None = None,
    batch_size: int = 64,
    lr: float = 3e-3,
    width: int = 16,
) -> TrainedEncoder:
    """Trains the small network to tell the emotions of `train` apart; same input and threads, same weights.

    Classes come equally often. Images are shifted by up to 3 pixels, faces also mirrored, so that a few hundred samples
    are not learned by heart. `steps` None: 20 epochs, at least 200 and at most 1500 steps.
    """
    import torch
    from torch.nn.functional import cross_entropy

    from features.encoders import TrainedEncoder
    from training.loop import LoopParams, Order, Phase, class_weights, run
    from training.seeds import derive_seed

    labels = np.asarray(train.emotions, dtype=str)
    rows = np.flatnonzero(usable(train) & np.isin(labels, classes))
    if rows.size < 2:
        raise UserError(f"an encoder needs at least 2 usable train samples; there are {rows.size}.")
    images = encoder_images(train)[rows]
    index = {name: i for i, name in enumerate(classes)}
    target = torch.tensor([index[name] for name in labels[rows]])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "encoder"))
        spread = max(float(images.std()), 1e-6)
        encoder = TrainedEncoder(
            classes, shape=images.shape[1:], mean=images.mean(), scale=spread, width=width, kind=train.modality
        )
    x = encoder.standardised(images)
    mirror = train.modality == "face"

    def loss(batch: Minibatch) -> dict[str, torch.Tensor]:
        chosen = torch.from_numpy(batch.rows)
        shift = torch.randint(-3, 4, (2,), generator=batch.rng).tolist()
        seen = torch.roll(x[chosen], shift, dims=(2, 3))
        if mirror and torch.rand((), generator=batch.rng) < 0.5:
            seen = seen.flip(3)
        value = cross_entropy(encoder.network(seen), target[chosen], label_smoothing=0.1)
        return {"loss": value}

    total = steps or int(np.clip(20 * rows.size / batch_size, 200, 1500))
    params = LoopParams(steps=total, batch_size=batch_size, seed=seed, warmup=20, decay=True, report_every=total)
    order = Order(np.arange(rows.size), derive_seed(seed, "encoder rows"), class_weights(labels[rows].tolist(), 1.0))
    encoder.network.train()
    phase = Phase("encoder", encoder.network, loss, lr=lr, weight_decay=0.01)
    for _ in run([phase], order, params, device=torch.device("cpu"), identity="encoder"):
        pass
    encoder.network.eval()
    return encoder


class PlainEmbedding:
    """Principal components of standardised hand-made features ("functionals" or "hog"): no training, no network."""

    def __init__(self, features: str, projection: Projection) -> None:
        self.features, self.projection = features, projection
        self.dim = projection.components.shape[0]
        self.name = f"{features}-pca{self.dim}/{arrays_hash(projection.arrays(''))}"

    @classmethod
    def fit(cls, train: Batch, features: str, *, dims: int = 32, whiten: bool = False) -> PlainEmbedding:
        return cls(features, Projection.fit(features_of(train, features)[usable(train)], dims, whiten=whiten))

    def embed(self, batch: Batch) -> np.ndarray:
        """-> [B, dim] float64; NaN rows where the sample cannot be used."""
        x, ok = features_of(batch, self.features), usable(batch)
        out = np.full((len(batch), self.dim), np.nan)
        if ok.any():
            out[ok] = self.projection.apply(x[ok])
        return out


class TrainedEmbedding:
    """The penultimate layer of a network trained on the corpus' own train split, each column scaled to unit
    variance."""

    def __init__(self, encoder: TrainedEncoder, projection: Projection) -> None:
        self.encoder, self.projection = encoder, projection
        self.dim = projection.components.shape[0]
        self.name = encoder.name
        self.key = f"{encoder.name}/{arrays_hash(projection.arrays(''))}"

    @classmethod
    def fit(
        cls,
        train: Batch,
        *,
        classes: Sequence[str],
        seed: int,
        dims: int = 32,
        whiten: bool = False,
        options: Mapping[str, Any],
    ) -> TrainedEmbedding:
        encoder = fit_encoder(train, classes=classes, seed=seed, **options)
        return cls(encoder, Projection.fit(encoder.embed(encoder_images(train)[usable(train)]), dims, whiten=whiten))

    def embed(self, batch: Batch) -> np.ndarray:
        """-> [B, dim] float64; NaN rows where the sample cannot be used."""
        if self.key not in batch.cache:  # several gates ask for the same points
            ok = usable(batch)
            out = np.full((len(batch), self.dim), np.nan)
            if ok.any():
                out[ok] = self.projection.apply(self.encoder.embed(encoder_images(batch)[ok]))
            batch.cache[self.key] = out
        return batch.cache[self.key]


class JoinedEmbedding:
    """Two embeddings side by side: one learned what tells emotions apart, the other was never told what to look at."""

    def __init__(self, parts: Sequence[Embedding]) -> None:
        self.parts = tuple(parts)
        self.dim = sum(part.dim for part in parts)
        self.name = "&".join(part.name for part in parts)

    def embed(self, batch: Batch) -> np.ndarray:
        """-> [B, dim] float64; NaN rows where the sample cannot be used."""
        return np.concatenate([part.embed(batch) for part in self.parts], axis=1)


def fit_embedding(
    kind: str,
    train: Batch,
    *,
    classes: Sequence[str],
    seed: int,
    dims: int,
    whiten: bool = False,
    options: Mapping[str, Any],
) -> Embedding:
    """kind: "trained" (the network above, `options` go to `fit_encoder`; of texts and physiology, which have no picture
    for it, a linear classifier), the hand-made features of the modality ("functionals", "hog", "ngrams", "paces"),
    "both", side by side with `dims` each, or "path:FOLDER", a pre-trained encoder (validators/embeddings/encoders.py).

    Raises `UnknownNameError` for anything else, `UserError` for a folder that holds no encoder of the modality.
    """
    if kind.startswith(FROM_PATH):
        from validators.embeddings.encoders import PathEmbedding

        return PathEmbedding.fit(kind.removeprefix(FROM_PATH), train, dims=dims, whiten=whiten)
    plain = PLAIN[train.modality]
    if kind == "both":
        return JoinedEmbedding(
            [
                fit_embedding(k, train, classes=classes, seed=seed, dims=dims, whiten=whiten, options=options)
                for k in ("trained", plain)
            ]
        )
    if kind == "trained" and train.modality not in IMAGES:
        from validators.embeddings.linear import LinearEmbedding

        return LinearEmbedding.fit(train, classes=classes, dims=dims, whiten=whiten)
    if kind == "trained":
        return TrainedEmbedding.fit(train, classes=classes, seed=seed, dims=dims, whiten=whiten, options=options)
    if kind != plain:
        raise UnknownNameError.of(
            f"embedding of modality {train.modality}", kind, ("trained", plain, "both", f"{FROM_PATH}FOLDER")
        )
    return PlainEmbedding.fit(train, kind, dims=dims, whiten=whiten)


def weights_named(kind: str) -> str:
    """Hash of the weights that an embedding "path:FOLDER" loads, "" for other kinds. Raises `UserError`."""
    if not kind.startswith(FROM_PATH):
        return ""
    from validators.embeddings.encoders import weights_hash

    return weights_hash(kind.removeprefix(FROM_PATH))


def arrays_hash(arrays: Mapping[str, np.ndarray]) -> str:
    """12 hex digits of sha256 over names, shapes, dtypes and bytes."""
    digest = hashlib.sha256()
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key])
        digest.update(f"{key} {array.shape} {array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:12]


def save_state(folder: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Writes gate.safetensors and gate.json (facts and the arrays' hash) into `folder`, each atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
    write_bytes(folder / "gate.safetensors", save(plain))
    write_json(folder / "gate.json", {**facts, "arrays": arrays_hash(plain)})


def load_state(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `save_state` wrote. Raises `IntegrityError` where the two files do not belong together."""
    facts = json.loads((folder / "gate.json").read_text(encoding="utf-8"))
    arrays = load_file(folder / "gate.safetensors")
    if arrays_hash(arrays) != facts["arrays"]:
        raise IntegrityError(f"{folder / 'gate.safetensors'} is not the file that gate.json was written with")
    return arrays, facts
