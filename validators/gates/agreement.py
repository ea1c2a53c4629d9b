"""Do judges that learned from other people hear the emotion that was asked for?

Cross-fitted: train is cut into group folds; the judges of fold f learned from all but fold f. A synthetic sample is
judged by the mean of all judges, a conversion only by judges that never saw its sources, a train sample only by those
that never saw it. The probabilities of each architecture are temperature-scaled on its held-out logits (Guo et al.
2017, On Calibration of Modern Neural Networks), then averaged.

The gate `conformal` asks the same judges another question: how unusual their answer would be for a real sample of the
class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field, field_validator

from corpora.errors import UnknownNameError, UserError
from corpora.fingerprint import hash_json
from features.pretrained.packages import require_same
from validators.batch import Batch, rows_of, usable
from validators.crossfit import rounded, unseen
from validators.embeddings.features import FEATURES, PLAIN, encoders_in, features_of, known_features, titled
from validators.embeddings.images import IMAGES, encoder_images
from validators.embeddings.network import fit_encoder
from validators.embeddings.projection import Projection
from validators.gate import AnyParams, Foreseen, GateParams, Limit, SampleGate
from validators.maths.chance import unheard
from validators.maths.folds import group_folds
from validators.maths.judges import (
    ARCHITECTURES,
    components_of,
    fit_forest,
    fit_linear,
    fit_temperature,
    forest_logits,
    linear_logits,
)
from validators.roster import Roster, why_no_judges
from validators.state import arrays_hash, load_state, save_state

if TYPE_CHECKING:
    from features.encoders import TrainedEncoder

NETWORK_FROM = 1500  # train samples; with fewer the network learns them by heart


class JudgeParams(GateParams):
    """Parameters of gates whose judges tell classes apart."""

    judge: str | None = Field(
        None,
        description="linear, forest, network, or several joined by +; none: linear+forest, with network for many faces",
    )
    folds: int | None = Field(None, ge=2, le=1000, description="of train; none: 4, or 3 where there are networks")
    components: int | None = Field(
        None,
        ge=1,
        description="of linear and forest: principal components of hand-made features; none: 100, of texts 1000",
    )
    features: str | None = Field(
        None,
        description="what linear and forest see: the modality's hand-made features (none), an encoder of an installed "
        "package (text: minilm; speech: speaker_ge2e), or several joined by +, as ngrams+minilm (docs/encoders.md)",
    )
    inverse_penalty: float = Field(0.03, gt=0, description="of linear: scikit-learn's C")
    trees: int = Field(60, ge=1, le=100_000, description="of forest")
    steps: int | None = Field(None, ge=1, description="of the network's training; none: by the size of train")

    @field_validator("judge")
    @classmethod
    def _known(cls, judge: str | None) -> str | None:
        for kind in judge.split("+") if judge is not None else ():
            if kind not in ARCHITECTURES:
                raise ValueError(str(UnknownNameError.of("judge", kind, ARCHITECTURES)))
        return judge

    @field_validator("features")
    @classmethod
    def _known_features(cls, features: str | None) -> str | None:
        if features is not None:
            try:
                known_features(features)
            except UnknownNameError as error:
                raise ValueError(str(error)) from None
        return features


class Agreement(SampleGate):
    """score = p(asked class) / max over classes p, in (0, 1]; 1: the asked class is the judges' first choice.

    A sample with a soft label q is judged against the mixture: its score is the mean of p over q, by the most that any
    order of the classes could give, where that is more: 1 where judges rank the classes as q does.

    The judges (validators/maths/judges.py) weigh classes equally; none is the classifier that `downstream` asks, and
    none shares weights with a generator.
    """

    name = "agreement"
    unit = "p(asked)/max p"
    question = "do judges who know real people only hear or see the emotion that was asked for?"
    better = "higher"
    modalities = ("speech", "face", "text", "physio")
    layouts = ("signal", "vector")
    judges_class = True
    default_limit = Limit(quantile=0.25)
    Params = JudgeParams
    tells_class = True

    def __init__(
        self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], networks: Sequence[TrainedEncoder] = ()
    ) -> None:
        self.classes: tuple[str, ...] = tuple(facts["classes"])
        self._facts, self._arrays, self._networks = dict(facts), dict(arrays), list(networks)
        self._fold_of: dict[str, int] = facts["fold_of"]
        self._n_folds = int(facts["folds"])
        self._kinds: tuple[str, ...] = tuple(facts["judge"].split("+"))
        digest = hash_json([arrays_hash(arrays), *(network.name for network in networks)])[:12]
        seen = self._facts.get("features")
        if seen is not None:
            require_same(facts["encoder"], titled(seen), f"gate {self.name}")
        self.judge = f"{facts['judge']}{'' if seen is None else '-' + facts['encoder']}-{self._n_folds}folds/{digest}"

    @classmethod
    def fit(
        cls,
        train: Batch,
        *,
        classes: Sequence[str],
        known_sha256: frozenset[str] = frozenset(),
        params: AnyParams,
        seed: int,
    ) -> Self:
        """Raises `UserError` where a class has no or one train sample, or lies in one group, or there are < 2
        groups."""
        options = JudgeParams.of(params, cls.name)
        batch = rows_of(train, usable(train) & np.isin(np.asarray(train.emotions, str), classes))
        labels = np.asarray(batch.emotions, dtype=str)
        for name in classes:
            if not (labels == name).any():
                raise UserError(f"class {name!r} has no usable sample in train: no judge can learn it.")
        if len(classes) < 2:
            raise UserError(f"agreement needs at least 2 classes; this run has {len(classes)}: {', '.join(classes)}.")
        kinds = _architectures(options.judge, train.kind, len(batch))
        if why := _unlike(options.features, train.kind):
            raise UserError(f"agreement: {why}")
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
                networks.append(fit_encoder(learn, classes=classes, seed=seed + f, steps=options.steps))
            logits[:, fold == f] = _logits(f, kinds, held_out, arrays, networks, options.features)
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
            "kind": train.kind,
        }
        if options.features is not None:
            facts |= {"features": options.features, "encoder": titled(options.features)}
        return cls(arrays, facts, networks)

    @classmethod
    def encoders(cls, params: AnyParams) -> tuple[str, ...]:
        """What of its features installed packages carry."""
        return encoders_in(JudgeParams.of(params, cls.name).features or "")

    @classmethod
    def foresee(
        cls,
        train: Roster,
        dev: Roster | None,
        *,
        classes: Sequence[str],
        params: AnyParams,
        limit: Limit,
        seed: int,
    ) -> Foreseen:
        """Why judges cannot be cross-fitted on these classes."""
        options = JudgeParams.of(params, cls.name)
        if why := _unlike(options.features, train.kind):
            return Foreseen(why)
        folds = _n_folds(options, _architectures(options.judge, train.kind, len(train)))
        return Foreseen(why_no_judges(train, classes, folds, seed))

    def cannot_judge(self, limit: Limit) -> dict[str, str]:
        """Classes that judges do not name in real samples of people whom they have not met:
        validators/trials/conditions.py. What such judges reject or accept is chance."""
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
        out, seen = np.full((len(batch), self._n_folds, len(self.classes)), np.nan), self._facts.get("features")
        for f in range(self._n_folds):
            rows = np.flatnonzero(allowed[:, f])
            if rows.size:
                logits = _logits(f, self._kinds, rows_of(batch, rows), self._arrays, self._networks, seen)
                out[rows, f] = _mean_p(logits, self._arrays["temperature"])
        return out

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64 in (0, 1]. NaN: not decodable, not finite, a class that no judge knows, or a conversion whose
        sources lie in several folds, so that every judge has seen one of them."""
        p, asked = self.predict(batch), self._asked(batch)
        score = _ratio(p, asked)
        for i, shares in enumerate(batch.shares):
            if shares and asked[i] >= 0 and np.isfinite(p[i]).all():
                q = np.asarray([shares.get(name, 0.0) for name in self.classes])
                score[i] = max(score[i], float(rounded(np.asarray(mixture_agreement(p[i], q)))))
        return score

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
        """Writes gate.safetensors and gate.json, and each network into a folder of its own (fold-0, fold-1 ...)."""
        save_state(folder, self._arrays, self._facts)
        for f, network in enumerate(self._networks):
            network.save(folder / f"fold-{f}")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote. Raises `IntegrityError` where the two files do not belong together."""
        arrays, facts = load_state(folder)
        if "network" not in facts["judge"].split("+"):
            return cls(arrays, facts)
        from features.encoders import TrainedEncoder

        return cls(arrays, facts, [TrainedEncoder.load(folder / f"fold-{f}") for f in range(int(facts["folds"]))])


def _n_folds(options: JudgeParams, kinds: Sequence[str]) -> int:
    return options.folds or (3 if "network" in kinds else 4)


def _architectures(asked: str | None, kind: str, n: int) -> tuple[str, ...]:
    """Those that are asked for, or the usual ones for n samples of a kind. Raises `UserError` for a network of what is
    no picture."""
    if asked is None:
        return ARCHITECTURES if kind == "face" and n >= NETWORK_FROM else ARCHITECTURES[:2]
    architectures = tuple(asked.split("+"))
    if "network" in architectures and kind not in IMAGES:
        raise UserError(f"agreement: no network looks at {kind}; judges of it are linear and forest")
    return architectures


def _unlike(features: str | None, kind: str) -> str:
    """Why judges of a kind of sample cannot see these features, "" where they can."""
    known = FEATURES.get(kind, {})
    foreign = [name for name in (features.split("+") if features else ()) if name not in known]
    return f"features {foreign[0]} are not of {kind}; known: {', '.join(sorted(known))}" if foreign else ""


def _fit_fold(
    f: int, kinds: Sequence[str], learn: Batch, target: np.ndarray, k: int, options: JudgeParams, seed: int
) -> dict[str, np.ndarray]:
    """The arrays of fold f: its projection and the judges that are arrays."""
    if set(kinds) == {"network"}:
        return {}
    features = features_of(learn, options.features or PLAIN[learn.kind])
    projection = Projection.fit(features, components_of(learn.kind, options.components))
    arrays = projection.arrays(f"{f}.")
    x = projection.apply(features)
    if "linear" in kinds:
        linear = fit_linear(x, target, k, {"inverse_penalty": options.inverse_penalty})
        arrays |= {f"{f}.linear.{key}": value for key, value in linear.items()}
    if "forest" in kinds:
        forest = fit_forest(x, target, {"trees": options.trees}, seed + f)
        arrays |= {f"{f}.forest.{key}": value for key, value in forest.items()}
    return arrays


def _logits(
    f: int,
    kinds: Sequence[str],
    batch: Batch,
    arrays: Mapping[str, np.ndarray],
    networks: Sequence[TrainedEncoder],
    features: str | None,
) -> np.ndarray:
    """[J, B, K] of the judges of fold f; every row of the batch is usable."""
    x = np.zeros(0)
    if set(kinds) != {"network"}:
        x = Projection.of_arrays(arrays, f"{f}.").apply(features_of(batch, features or PLAIN[batch.kind]))
    logits = []
    for kind in kinds:
        prefix = f"{f}.{kind}."
        own = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
        if kind == "network":
            logits.append(networks[f].logits(encoder_images(batch)))
        else:
            logits.append(linear_logits(own, x) if kind == "linear" else forest_logits(own, x))
    return np.stack(logits)


def _mean_p(logits: np.ndarray, temperature: np.ndarray) -> np.ndarray:
    """[J, B, K] logits, [J] temperatures -> [B, K] mean of the judges' probabilities."""
    from scipy.special import log_softmax

    p: np.ndarray = np.exp(log_softmax(logits / temperature[:, None, None], axis=2)).mean(axis=0)
    return p


def mixture_agreement(p: np.ndarray, q: np.ndarray) -> float:
    """[K] judges' probabilities, [K] shares of a soft label -> sum q p over the largest sum that any order of p gives
    (both sorted: the rearrangement inequality), in [0, 1]. Of one class alone it is p(asked) / max p."""
    best = float(np.sort(q) @ np.sort(p))
    return float(q @ p) / best if best > 0 else 0.0


def _ratio(p: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """[B, K] probabilities, [B] class indices (-1: unknown) -> [B] p(asked) / max p."""
    if p.size == 0:
        return np.full(len(p), np.nan)
    ratio = p[np.arange(len(p)), np.maximum(asked, 0)] / p.max(axis=1)
    return np.where(asked < 0, np.nan, rounded(ratio))
