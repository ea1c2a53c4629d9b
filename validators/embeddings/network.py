"""The small convolutional network of a corpus' own train split: how it is trained, and its last but one layer as an
embedding. The network itself: features/encoders.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from corpora.errors import UserError
from validators.batch import Batch, usable
from validators.embeddings.images import encoder_images
from validators.embeddings.projection import Projection
from validators.state import arrays_hash

if TYPE_CHECKING:
    import torch

    from features.encoders import TrainedEncoder
    from training.loop import Minibatch


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
