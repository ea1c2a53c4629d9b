"""Does a judge that learned from other people hear the emotion that was asked for?

Cross-fitted: train is cut into group folds; judge f learned from all but fold f. A synthetic sample is judged by the
mean of all judges, a conversion only by judges that never saw its sources, a train sample only by the judge that
never saw it. Probabilities are temperature-scaled on the held-out logits (Guo et al. 2017, On Calibration of Modern
Neural Networks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from corpora.errors import UnknownNameError, UserError
from corpora.fingerprint import hash_json
from validators.embeddings import (
    PLAIN,
    Projection,
    arrays_hash,
    encoder_images,
    features_of,
    fit_encoder,
    load_state,
    rows_of,
    save_state,
    usable,
)
from validators.folds import group_folds
from validators.gate import Batch, Better, Limit

if TYPE_CHECKING:
    from features.encoders import TrainedEncoder

DEFAULTS: dict[str, Any] = {
    "judge": None,  # linear | network; None: network for at least NETWORK_FROM faces, else linear
    "folds": None,  # None: 4 linear judges or 3 networks
    "components": 100,  # of the linear judge
    "inverse_penalty": 0.03,  # of the linear judge: scikit-learn's C
    "steps": None,  # of the network's training
}
NETWORK_FROM = 1500  # train samples; with fewer the network learns them by heart
_DIGITS = (
    9  # scores are rounded: their last bits depend on how BLAS cuts a product, and a release is named by its bytes
)


class Agreement:
    """score = p(asked class) / max over classes p, in (0, 1]; 1: the asked class is the judges' first choice.

    Two kinds of judge, both with classes weighted equally. linear: multinomial logistic regression on principal
    components of standardised functionals (speech) or HOG features (faces). network: the small convolutional network of
    features.encoders. On 997 faces of FER2013 that train (5,934 faces) lacks, four linear judges reach a UAR of 0.38,
    one network 0.48. Neither is the classifier that `downstream` asks. params: see `DEFAULTS`.
    """

    name = "agreement"
    unit = "p(asked)/max p"
    better: Better = "higher"
    modalities = ("speech", "face")
    default_limit = Limit(quantile=0.25)

    def __init__(
        self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], networks: Sequence[TrainedEncoder] = ()
    ) -> None:
        self.classes: tuple[str, ...] = tuple(facts["classes"])
        self._facts, self._arrays, self._networks = dict(facts), dict(arrays), list(networks)
        self._fold_of: dict[str, int] = facts["fold_of"]
        self._n_folds = int(facts["folds"])
        self._temperature = float(facts["temperature"])
        digest = hash_json([arrays_hash(arrays), *(network.name for network in networks)])[:12]
        self.judge = f"{facts['judge']}-{self._n_folds}folds/{digest}"

    @classmethod
    def fit(
        cls,
        train: Batch,
        *,
        classes: Sequence[str],
        known_sha256: frozenset[str] = frozenset(),
        params: Mapping[str, Any],
        seed: int,
    ) -> Agreement:
        """Raises `UserError` where a class has no or one train sample, or lies in one group, or there are < 2
        groups."""
        options = {**DEFAULTS, **params}
        batch = rows_of(train, usable(train) & np.isin(np.asarray(train.emotions, str), classes))
        labels = np.asarray(batch.emotions, dtype=str)
        for name in classes:
            if not (labels == name).any():
                raise UserError(f"class {name!r} has no usable sample in train: no judge can learn it.")
        if len(classes) < 2:
            raise UserError(f"agreement needs at least 2 classes; this run has {len(classes)}: {', '.join(classes)}.")
        kind = options["judge"] or ("network" if train.modality == "face" and len(batch) >= NETWORK_FROM else "linear")
        if kind not in ("linear", "network"):
            raise UnknownNameError.of("judge of agreement", str(kind), ("linear", "network"))
        fold = group_folds(batch.groups, batch.emotions, int(options["folds"] or (4 if kind == "linear" else 3)), seed)
        target = np.asarray([list(classes).index(name) for name in labels])
        arrays: dict[str, np.ndarray] = {}
        networks: list[TrainedEncoder] = []
        logits = np.zeros((len(batch), len(classes)))
        for f in range(int(fold.max()) + 1):
            held_out = rows_of(batch, fold == f)
            if kind == "network":
                learn = rows_of(batch, fold != f)
                networks.append(fit_encoder(learn, classes=classes, seed=seed + f, steps=options["steps"]))
            else:
                x = features_of(batch, PLAIN[batch.modality])[fold != f]
                arrays |= _fit_linear(f, x, target[fold != f], len(classes), options)
            logits[fold == f] = _logits(f, held_out, arrays, networks)
        temperature = fit_temperature(logits, target)
        arrays["oof_log_p"] = log_softmax(logits / temperature, axis=1)
        arrays["oof_target"] = target
        facts = {
            "classes": list(classes),
            "judge": kind,
            "folds": int(fold.max()) + 1,
            "temperature": temperature,
            "fold_of": dict(zip(batch.ids, fold.tolist(), strict=True)),
        }
        return cls(arrays, facts, networks)

    def predict(self, batch: Batch) -> np.ndarray:
        """-> [B, K] calibrated probabilities in the order of `classes`; NaN rows where nothing may or can be said.

        Rows of train, and conversions of train samples, are judged by the folds that never saw them, so that recall on
        real train, real held-out and synthetic samples can be compared.
        """
        allowed = self._allowed(batch) & usable(batch)[:, None]
        out = np.full((len(batch), len(self.classes)), np.nan)
        rows = np.flatnonzero(allowed.any(axis=1))
        if rows.size == 0:
            return out
        part = rows_of(batch, rows)
        total = np.zeros((rows.size, len(self.classes)))
        for f in range(self._n_folds):
            logits = _logits(f, part, self._arrays, self._networks)
            total += allowed[rows, f, None] * np.exp(log_softmax(logits / self._temperature, axis=1))
        out[rows] = total / allowed[rows].sum(axis=1, keepdims=True)
        return out

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64 in (0, 1]. NaN: not decodable, not finite, a class that no judge knows, or a conversion whose
        sources lie in several folds, so that every judge has seen one of them."""
        p = self.predict(batch)
        known = {name: i for i, name in enumerate(self.classes)}
        asked = np.asarray([known.get(name, -1) for name in batch.emotions], dtype=int)
        return _ratio(p, asked)

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> out-of-fold scores of its real train samples."""
        target = self._arrays["oof_target"]
        scores = _ratio(np.exp(self._arrays["oof_log_p"]), target)
        return {name: scores[target == i] for i, name in enumerate(self.classes)}

    def _allowed(self, batch: Batch) -> np.ndarray:
        """-> [B, F] bool: judge f has seen neither the sample nor any of its sources."""
        n = self._n_folds
        allowed = np.ones((len(batch), n), dtype=bool)
        for i, own in enumerate(batch.ids):
            for seen in (own, *(batch.source_ids[i] if batch.source_ids else ())):
                fold = self._fold_of.get(seen)
                if fold is not None:  # only the judge that left this fold out has not seen it
                    allowed[i] &= np.arange(n) == fold
        return allowed

    def save(self, folder: Path) -> None:
        save_state(folder, self._arrays, self._facts)
        for f, network in enumerate(self._networks):
            network.save(folder / f"fold-{f}")

    @classmethod
    def load(cls, folder: Path) -> Agreement:
        arrays, facts = load_state(folder)
        if facts["judge"] != "network":
            return cls(arrays, facts)
        from features.encoders import TrainedEncoder

        return cls(arrays, facts, [TrainedEncoder.load(folder / f"fold-{f}") for f in range(int(facts["folds"]))])


def _fit_linear(f: int, x: np.ndarray, target: np.ndarray, k: int, options: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of the linear judge of fold f, learned from x [n, D] and class indices."""
    from sklearn.linear_model import LogisticRegression

    projection = Projection.fit(x, int(options["components"]))
    model = LogisticRegression(C=float(options["inverse_penalty"]), class_weight="balanced", max_iter=5000)
    model.fit(projection.apply(x), target)
    coef, intercept = model.coef_, model.intercept_
    if k == 2:  # scikit-learn keeps one row for two classes: the log-odds of the second
        coef, intercept = np.vstack([0 * coef, coef]), np.concatenate([0 * intercept, intercept])
    return projection.arrays(f"{f}.") | {f"{f}.coef": coef, f"{f}.intercept": intercept}


def _logits(
    f: int, batch: Batch, arrays: Mapping[str, np.ndarray], networks: Sequence[TrainedEncoder]
) -> np.ndarray:  # fmt: skip
    """[B, K] of judge f; every row of the batch is usable."""
    if networks:
        return networks[f].logits(encoder_images(batch))
    x = features_of(batch, PLAIN[batch.modality])
    return Projection.of_arrays(arrays, f"{f}.").apply(x) @ arrays[f"{f}.coef"].T + arrays[f"{f}.intercept"]


def fit_temperature(logits: np.ndarray, target: np.ndarray) -> float:
    """The T in [0.05, 20] that minimises the mean negative log-likelihood of softmax(logits / T); classes weigh
    equally.

    logits [N, K]; target [N] class indices. Equal weights because the judges learned with equal weights too: else T
    would absorb the class frequencies.
    """
    counts = np.bincount(target, minlength=logits.shape[1])
    weight = 1.0 / counts[target]

    def loss(log_t: float) -> float:
        log_p = log_softmax(logits / np.exp(log_t), axis=1)
        return -float(weight @ log_p[np.arange(len(target)), target])

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded").x))


def _ratio(p: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """[B, K] probabilities, [B] class indices (-1: unknown) -> [B] p(asked) / max p."""
    if p.size == 0:
        return np.full(len(p), np.nan)
    ratio = p[np.arange(len(p)), np.maximum(asked, 0)] / p.max(axis=1)
    return np.where(asked < 0, np.nan, np.round(ratio, _DIGITS))
