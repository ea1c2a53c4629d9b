"""Do judges that learned from other people hear the emotion that was asked for?

Cross-fitted: train is cut into group folds; the judges of fold f learned from all but fold f. A synthetic sample is
judged by the mean of all judges, a conversion only by judges that never saw its sources, a train sample only by those
that never saw it. The probabilities of each architecture are temperature-scaled on its held-out logits (Guo et al.
2017, On Calibration of Modern Neural Networks), then averaged.

Two rules. `Agreement` asks how the class compares with the judges' first choice; `Conformal` how unusual the answer
would be for a real sample of the class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.special import log_softmax

from corpora.errors import UnknownNameError, UserError
from corpora.fingerprint import hash_json
from validators.crossfit import conformal_p, own_p, rounded, too_few_to_refuse, unseen
from validators.embeddings.embedding import (
    IMAGES,
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
from validators.gate import Batch, Better, Limit
from validators.maths.folds import group_folds
from validators.maths.judges import (
    ARCHITECTURES,
    components_of,
    fit_forest,
    fit_linear,
    fit_temperature,
    forest_logits,
    linear_logits,
    plain_components,
)
from validators.roster import Foreseen, Roster, why_no_judges
from validators.trials.conditions import unheard

if TYPE_CHECKING:
    from features.encoders import TrainedEncoder

__all__ = ["Agreement", "Conformal", "fit_temperature"]

DEFAULTS: dict[str, Any] = {
    "judge": None,  # linear | forest | network, or several joined by +; None: linear+forest, +network for many faces
    "folds": None,  # None: 4, or 3 where there are networks
    "components": None,  # of linear and forest: principal components of hand-made features; None: 100, of texts 1000
    "inverse_penalty": 0.03,  # of linear: scikit-learn's C
    "trees": 60,  # of forest
    "steps": None,  # of the network's training
}
NETWORK_FROM = 1500  # train samples; with fewer the network learns them by heart


class Agreement:
    """score = p(asked class) / max over classes p, in (0, 1]; 1: the asked class is the judges' first choice.

    The judges (validators/maths/judges.py) weigh classes equally; none is the classifier that `downstream` asks, and
    none shares weights with a generator. params: see `DEFAULTS`.
    """

    name = "agreement"
    unit = "p(asked)/max p"
    judges_class = True
    better: Better = "higher"
    modalities: tuple[str, ...] = ("speech", "face", "text", "physio")
    default_limit = Limit(quantile=0.25)

    def __init__(
        self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], networks: Sequence[TrainedEncoder] = ()
    ) -> None:
        self.classes: tuple[str, ...] = tuple(facts["classes"])
        self._facts, self._arrays, self._networks = dict(facts), dict(arrays), list(networks)
        self._fold_of: dict[str, int] = facts["fold_of"]
        self._n_folds = int(facts["folds"])
        self._kinds: tuple[str, ...] = tuple(facts["judge"].split("+"))
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
    ) -> Self:
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
        kinds = _kinds(options["judge"], train.modality, len(batch))
        n_folds = _n_folds(options, kinds)
        fold = group_folds(batch.groups, batch.emotions, n_folds, seed)
        target = np.asarray([list(classes).index(name) for name in labels])
        arrays: dict[str, np.ndarray] = {}
        networks: list[TrainedEncoder] = []
        logits = np.zeros((len(kinds), len(batch), len(classes)))
        for f in range(int(fold.max()) + 1):
            learn, held_out = rows_of(batch, fold != f), rows_of(batch, fold == f)
            arrays |= _fit_fold(f, kinds, learn, target[fold != f], len(classes), options, seed)
            if "network" in kinds:
                networks.append(fit_encoder(learn, classes=classes, seed=seed + f, steps=options["steps"]))
            logits[:, fold == f] = _logits(f, kinds, held_out, arrays, networks)
        temperature = np.asarray([fit_temperature(of_kind, target) for of_kind in logits])
        arrays |= {
            "temperature": temperature,
            "oof_p": _mean_p(logits, temperature),
            "oof_target": target,
            "oof_fold": fold,
        }
        facts = {
            "classes": list(classes),
            "judge": "+".join(kinds),
            "folds": int(fold.max()) + 1,
            "fold_of": dict(zip(batch.ids, fold.tolist(), strict=True)),
            "modality": train.modality,
        }
        return cls(arrays, facts, networks)

    @classmethod
    def foresee(
        cls,
        train: Roster,
        dev: Roster | None,
        *,
        classes: Sequence[str],
        params: Mapping[str, Any],
        limit: Limit,
        seed: int,
    ) -> Foreseen:
        options = {**DEFAULTS, **params}
        folds = _n_folds(options, _kinds(options["judge"], train.modality, len(train)))
        return Foreseen(why_no_judges(train, classes, folds, seed))

    def cannot_judge(self, limit: Limit) -> dict[str, str]:
        """Classes that judges do not name in real samples of people whom they have not met:
        validators/trials/conditions.py. What such judges refuse or let in is chance."""
        target = self._arrays["oof_target"]
        named = _ratio(self._arrays["oof_p"], target) >= 1.0
        return unheard({name: named[target == i] for i, name in enumerate(self.classes)})

    def predict(self, batch: Batch) -> np.ndarray:
        """-> [B, K] mean of the probabilities of the judges that never saw the row; NaN rows where there is none."""
        by_fold = self.predict_folds(batch)
        judged = np.isfinite(by_fold).all(axis=2)
        with np.errstate(invalid="ignore"):
            return np.nansum(by_fold, axis=1) / np.where(judged.any(axis=1), judged.sum(axis=1), np.nan)[:, None]

    def predict_folds(self, batch: Batch) -> np.ndarray:
        """-> [B, F, K] probabilities of the judges of each fold; NaN: the row is not usable, or they have seen it."""
        allowed = self._allowed(batch) & usable(batch)[:, None]
        out = np.full((len(batch), self._n_folds, len(self.classes)), np.nan)
        for f in range(self._n_folds):
            rows = np.flatnonzero(allowed[:, f])
            if rows.size:
                logits = _logits(f, self._kinds, rows_of(batch, rows), self._arrays, self._networks)
                out[rows, f] = _mean_p(logits, self._arrays["temperature"])
        return out

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64 in (0, 1]. NaN: not decodable, not finite, a class that no judge knows, or a conversion whose
        sources lie in several folds, so that every judge has seen one of them."""
        return _ratio(self.predict(batch), self._asked(batch))

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> out-of-fold scores of its real train samples."""
        target = self._arrays["oof_target"]
        scores = _ratio(self._arrays["oof_p"], target)
        return {name: scores[target == i] for i, name in enumerate(self.classes)}

    def _asked(self, batch: Batch) -> np.ndarray:
        """-> [B] class index, -1: unknown."""
        known = {name: i for i, name in enumerate(self.classes)}
        return np.asarray([known.get(name, -1) for name in batch.emotions], dtype=int)

    def _allowed(self, batch: Batch) -> np.ndarray:
        """-> [B, F] bool: the judges of fold f have seen neither the sample nor any of its sources."""
        return unseen(batch, self._fold_of, self._n_folds)

    def save(self, folder: Path) -> None:
        save_state(folder, self._arrays, self._facts)
        for f, network in enumerate(self._networks):
            network.save(folder / f"fold-{f}")

    @classmethod
    def load(cls, folder: Path) -> Self:
        arrays, facts = load_state(folder)
        if "network" not in facts["judge"].split("+"):
            return cls(arrays, facts)
        from features.encoders import TrainedEncoder

        return cls(arrays, facts, [TrainedEncoder.load(folder / f"fold-{f}") for f in range(int(facts["folds"]))])


class Conformal(Agreement):
    """score = p-value of "a real sample of the asked class", in (0, 1]: Mondrian conformal prediction, per class.

        p = (1 + #{real samples i of the class : p_i(class) <= p(class)}) / (1 + n)        (Vovk et al. 2005, eq. 4.5)

    p_i is what judges say that never saw i's group. With judges of F folds the counts are added over folds, each
    candidate compared with held-out samples of fold f by the very judges of fold f (cross-conformal: Vovk 2015). A
    limit of alpha then rejects at most alpha of what is exchangeable with the real samples of the class. For each fold
    on its own that is a theorem; for their sum the proven bound is 2 alpha (Vovk et al. 2018, for cross-conformal
    predictors), and what is measured stays below alpha (tests/validators/test_conformal.py). With fewer than
    1 / alpha - 1 samples a class rejects nobody: that is the price of the guarantee. A conversion is compared with the
    one fold that holds its source. Samples of one unseen person are less exchangeable than strangers are.
    """

    name = "conformal"
    unit = "p-value"
    default_limit = Limit(absolute=0.05)

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64 in (0, 1]; NaN as in `Agreement.score`."""
        by_fold, asked = self.predict_folds(batch), self._asked(batch)
        out = np.full(len(batch), np.nan)
        for k in range(len(self.classes)):
            rows = np.flatnonzero(asked == k)
            own, fold = self._own_p(k)
            out[rows] = conformal_p(-by_fold[rows, :, k], -own, fold)
        return out

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> p-values of its real train samples, each against the others of its own fold and all other folds."""
        return {name: own_p(-self._own_p(k)[0]) for k, name in enumerate(self.classes)}

    @classmethod
    def foresee(
        cls,
        train: Roster,
        dev: Roster | None,
        *,
        classes: Sequence[str],
        params: Mapping[str, Any],
        limit: Limit,
        seed: int,
    ) -> Foreseen:
        found = super().foresee(train, dev, classes=classes, params=params, limit=limit, seed=seed)
        counts = {name: len(train.of_classes([name])) for name in classes}
        return Foreseen(found.error, too_few_to_refuse(counts, limit))

    def cannot_judge(self, limit: Limit) -> dict[str, str]:
        """Those of `Agreement`, and classes with too few real samples for any p-value to be under the limit."""
        counts = {name: int((self._arrays["oof_target"] == k).sum()) for k, name in enumerate(self.classes)}
        return too_few_to_refuse(counts, limit) | super().cannot_judge(limit)

    def _own_p(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Held-out probabilities of class k of its real samples [n], and their folds [n]."""
        of_class = self._arrays["oof_target"] == k
        return rounded(self._arrays["oof_p"][of_class, k]), self._arrays["oof_fold"][of_class]


def _n_folds(options: Mapping[str, Any], kinds: Sequence[str]) -> int:
    return int(options["folds"] or (3 if "network" in kinds else 4))


def _kinds(asked: str | None, modality: str, n: int) -> tuple[str, ...]:
    if asked is None:
        return ARCHITECTURES if modality == "face" and n >= NETWORK_FROM else ARCHITECTURES[:2]
    kinds = tuple(str(asked).split("+"))
    for kind in kinds:
        if kind not in ARCHITECTURES:
            raise UnknownNameError.of("judge of agreement", kind, ARCHITECTURES)
    if "network" in kinds and modality not in IMAGES:
        raise UserError(f"agreement: no network looks at {modality}; judges of it are linear and forest")
    return kinds


def _fit_fold(
    f: int, kinds: Sequence[str], learn: Batch, target: np.ndarray, k: int, options: Mapping[str, Any], seed: int
) -> dict[str, np.ndarray]:
    """The arrays of fold f: its projection and the judges that are arrays."""
    if set(kinds) == {"network"}:
        return {}
    features = features_of(learn, PLAIN[learn.modality])
    projection = Projection.fit(features, components_of(learn.modality, options["components"]))
    found = projection.arrays(f"{f}.")
    x = projection.apply(features)
    if "linear" in kinds:
        found |= {f"{f}.linear.{key}": value for key, value in fit_linear(x, target, k, options).items()}
    if "forest" in kinds:
        found |= {f"{f}.forest.{key}": value for key, value in fit_forest(x, target, options, seed + f).items()}
    return found


def _logits(
    f: int,
    kinds: Sequence[str],
    batch: Batch,
    arrays: Mapping[str, np.ndarray],
    networks: Sequence[TrainedEncoder],
) -> np.ndarray:
    """[J, B, K] of the judges of fold f; every row of the batch is usable."""
    x = plain_components(batch, Projection.of_arrays(arrays, f"{f}.")) if set(kinds) != {"network"} else np.zeros(0)
    found = []
    for kind in kinds:
        prefix = f"{f}.{kind}."
        own = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
        if kind == "network":
            found.append(networks[f].logits(encoder_images(batch)))
        else:
            found.append(linear_logits(own, x) if kind == "linear" else forest_logits(own, x))
    return np.stack(found)


def _mean_p(logits: np.ndarray, temperature: np.ndarray) -> np.ndarray:
    """[J, B, K] logits, [J] temperatures -> [B, K] mean of the judges' probabilities."""
    p: np.ndarray = np.exp(log_softmax(logits / temperature[:, None, None], axis=2)).mean(axis=0)
    return p


def _ratio(p: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """[B, K] probabilities, [B] class indices (-1: unknown) -> [B] p(asked) / max p."""
    if p.size == 0:
        return np.full(len(p), np.nan)
    ratio = p[np.arange(len(p)), np.maximum(asked, 0)] / p.max(axis=1)
    return np.where(asked < 0, np.nan, rounded(ratio))
