"""What every generator is: something that turns (condition, seed) into arrays, and can be fitted, saved and loaded.

Generators know no gates, no Ray, no Prefect and no DVC. What they need from outside is handed in as a callable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from corpora.errors import IntegrityError, ParamsError, PayloadError
from corpora.fingerprint import hash_json
from corpora.registry import Registry
from corpora.schema import FROM, Payload
from features.representation import Representation, Spec, needs_source

GENERATORS: dict[str, str] = {
    "cvae": "generators.autoencoders.vae:ConditionalVAE",
    "aae": "generators.autoencoders.aae:AdversarialAutoencoder",
    "vae_gan": "generators.autoencoders.vae_gan:VaeGan",
    "masked": "generators.autoencoders.masked:Masked",
    "vae_edit": "generators.autoencoders.edit:VaeEdit",
    "cgan": "generators.gan.gan:ConditionalGAN",
    "diffusion": "generators.diffusion.diffusion:Diffusion",
    "diffusion_edit": "generators.diffusion.diffusion:DiffusionEdit",
    "transfer": "generators.conversion:Transfer",
    "resampling": "generators.classical.resampling:Resampling",
    "augmentation": "generators.classical.augmentation:Augmentation",
    "small_lm": "generators.language.small_lm:SmallLm",
    "infill": "generators.language.infill:Infill",
    "delete_retrieve": "generators.language.delete_retrieve:DeleteRetrieve",
    "cycle": "generators.translation.cycle:Cycle",
    "stargan": "generators.translation.stargan:StarGAN",
    "edit": "generators.translation.edit:Edit",
    "endpoint": "generators.language.endpoint.write:Endpoint",
    "endpoint_rewrite": "generators.language.endpoint.rewrite:EndpointRewrite",
    "endpoint_restyle": "generators.language.endpoint.restyle:EndpointRestyle",
    "finetuned_diffusion": "generators.pipelines.finetuned:FinetunedDiffusion",
    "causal_lm": "generators.language.pretrained.causal:CausalLM",
    "seq2seq": "generators.language.pretrained.seq2seq:Seq2Seq",
    "back_translation": "generators.language.pretrained.backtranslation:BackTranslation",
}


SourceClass = Literal["other", "same"]
Given = str | float | tuple[float, ...]
RATED = {"intensity": (0.0, 1.0), "valence": (-1.0, 1.0), "arousal": (-1.0, 1.0), "dominance": (-1.0, 1.0)}
NEW_SUBJECT = "new:"  # a subject of this beginning is nobody of train: a mix of a few of them, the same for ever
DRAW_VERSION = 1  # of the canonical form: a new one renames every sample


@dataclass(frozen=True, slots=True)
class Condition:
    """What is asked for. `emotion`: a class, or a distribution over classes (soft labels).

    `given`: whatever else is asked for, by name; what is not asked for is not in it. `RATED` names are numbers within
    their bounds (intensity: 1 = full), "subject" a subject's id, "text" what is said; every other name is a vector
    (action units, a face's embedding, context). A generator that does not honour a name raises `UserError`.
    """

    emotion: str | Mapping[str, float]
    given: Mapping[str, Given] = field(default_factory=dict)

    @property
    def one_class(self) -> str | None:
        """The class that is asked for; None where several are mixed: a soft label is never named as one class."""
        if isinstance(self.emotion, str):
            return self.emotion
        asked = [name for name, weight in self.emotion.items() if weight > 0]
        return asked[0] if len(asked) == 1 else None

    @property
    def shares(self) -> dict[str, float]:
        """Class -> its share of what is asked for, by name; shares sum to 1."""
        if isinstance(self.emotion, str):
            return {self.emotion: 1.0}
        whole = sum(self.emotion.values())
        return {name: float(weight) / whole for name, weight in sorted(self.emotion.items()) if weight > 0}

    @property
    def subject(self) -> str | None:
        """The subject that is asked for, if one is."""
        subject = self.given.get("subject")
        return None if subject is None else str(subject)


@dataclass(frozen=True, slots=True)
class Draw:
    """Names one synthetic sample of one generator for ever. `seed` in [0, 2**63). `sources`: role -> id of a real train
    sample that the draw starts from ("from": what a conversion moves; "style": what it borrows from)."""

    condition: Condition
    seed: int
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def source_ids(self) -> tuple[str, ...]:
        """Ids of the sources, in the order of their roles' names."""
        return tuple(self.sources[role] for role in sorted(self.sources))

    def to_json(self) -> dict[str, Any]:
        """The canonical form: what is set, and nothing else, so that a new kind of condition changes no key."""
        emotion = self.condition.emotion
        whole: dict[str, Any] = {
            "v": DRAW_VERSION,
            "emotion": emotion if isinstance(emotion, str) else {k: float(v) for k, v in emotion.items()},
            "seed": self.seed,
        }
        if self.condition.given:
            whole["given"] = {k: list(v) if isinstance(v, tuple) else v for k, v in self.condition.given.items()}
        if self.sources:
            whole["sources"] = dict(self.sources)
        return whole

    @classmethod
    def from_json(cls, whole: Mapping[str, Any]) -> Draw:
        """What `to_json` made. Raises `IntegrityError` for another version."""
        if whole.get("v") != DRAW_VERSION:
            raise IntegrityError(f"a draw of version {whole.get('v')!r}; this emoforge reads {DRAW_VERSION}")
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in whole.get("given", {}).items()}
        return cls(Condition(whole["emotion"], given), whole["seed"], whole.get("sources", {}))

    def key(self) -> str:
        """20 hex digits of sha256 over the canonical JSON of the draw."""
        return hash_json(self.to_json())[:20]


@dataclass(frozen=True, slots=True)
class TrainData:
    """The train split as arrays: row i of every field is one sample. Nothing of dev or test is ever in here.

    arrays: [N, *spec.shape] float32 in the representation's units (may be memory-mapped); emotions: N class names;
    subjects: N subject ids or None; groups: N group ids; ids: N sample ids; ratings: name of `RATED` -> [N] float64,
    NaN where not known. `held_out`: boolean [N], the part of train that early stopping looks at and gradients never
    see. `vectors`: name of a vector that draws may be asked for -> [N, D] float32, finite. `payloads`: ids -> (id,
    payload) of each, in any order; given where the representation is of layout "payload".
    """

    spec: Spec
    classes: tuple[str, ...]
    arrays: np.ndarray
    emotions: tuple[str, ...]
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    subjects: tuple[str | None, ...]
    held_out: np.ndarray
    ratings: Mapping[str, np.ndarray] = field(default_factory=dict)
    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)
    payloads: Callable[[Sequence[str]], Iterator[tuple[str, Payload]]] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """One report of a running fit. `losses` are means since the last report."""

    step: int
    steps: int
    losses: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Device:
    """Where and how a generator computes. `dtype`: "float32" | "bfloat16" (autocast; weights stay float32)."""

    kind: str = "cpu"  # "cpu" | "cuda" | "cuda:1" ...
    dtype: str = "float32"
    compile: bool = False


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a sample came from beside its draw, of generators that ask somebody else.

    facts: JSON (prompts, names of models, hashes of requests). reason, detail: why the generator itself rejected it, as
    in `PayloadError`; "" where it did not.
    """

    facts: Mapping[str, Any]
    reason: str = ""
    detail: str = ""


Monitor = Callable[["Generator"], float]  # lower is better; looks at the held-out part of train only


@runtime_checkable
class Generator(Protocol):
    """Construct with `(spec, classes, **params)`; classes fixes the order of class indices.

    Optional: `refuses: Mapping[str, str]` of a fitted one, class -> why it draws nothing of it and converts nothing
    from it (`refused`). `source_class(params)`, a classmethod of one that takes sources: of which class they are
    (the function of that name). `turns: Mapping[str, int]` of a fitted one, train sample -> how often it serves as a
    source before all begin again (`turns_of`). `modules(params)`, a classmethod: modules that it imports by name for
    these parameters, whose code its samples depend on (`modules_of`). `foresee(params, ids, emotions, subjects)`, a
    classmethod: what the train samples say against a fit, in words, before anything is prepared. `mixes`: False where
    it draws no mixtures of classes (`require_mixing`). `held_out_loss(data, device) -> float` of one that may be
    sampled: how badly it knows the held-out samples (lower is better); where there is one, early stopping looks at it,
    unless `needs_all_steps(params) -> str`, a classmethod, says why such a fit is not to end before its last step.
    `lineage(draws, sources) -> list[Lineage]`: of draws that were sampled, what `sample` itself cannot say
    (`lineage_of`). `require(params, spec)`, a classmethod: raises `ParamsError` where parameters do not fit what is
    modelled. `soft_label(draw) -> Mapping[str, float]`: class -> share that the sample of a draw is of, where that is
    not what was asked for (`soft_labels`). `learns_given`: True where it honours `TrainData.vectors` by their names.
    """

    spec: Spec
    classes: tuple[str, ...]
    takes: tuple[str, ...]  # roles of the sources that every Draw names and whose arrays `sample` wants; () for none
    layouts: frozenset[str]  # of the representations that it can model
    trains: bool  # False: `fit` is a closed form without steps (transfer)

    @property
    def honours(self) -> frozenset[str]:
        """Names of `Condition.given` that a draw may set."""
        ...

    @classmethod
    def can_honour(cls, params: Mapping[str, Any]) -> frozenset[str]:
        """What `honours` will be of a model with these parameters: a run is planned before anything is fitted."""
        ...

    def fit(
        self,
        data: TrainData,
        *,
        steps: int,
        seed: int,
        device: Device,
        checkpoints: Path | None = None,  # folder for resumable state; written atomically, safe to delete
        checkpoint_every: int = 500,
        monitor: Monitor | None = None,
        monitor_every: int = 0,
        patience: int = 0,
    ) -> Iterator[Progress]:
        """Trains; resumes from `checkpoints` if state is there, with the result that an uninterrupted fit has."""
        ...

    def sample(self, draws: Sequence[Draw], sources: np.ndarray | None = None, *, device: Device) -> np.ndarray:
        """draws (n) and their sources [n, *spec.shape] -> [n, *spec.shape] float32 in the representation's units.

        Row i depends on draws[i] and sources[i] only: one random generator a draw, seeded with its seed.
        """
        ...

    def save(self, folder: Path) -> None:
        """Writes model.safetensors and config.json. Both, with the code of sampling, name the generator
        (`generator_id` in flows/stages/fit/model_file.py)."""
        ...

    @classmethod
    def load(cls, folder: Path, *, device: Device) -> Generator:
        """What `save` wrote. Raises `IntegrityError` where the folder does not hold a model of this generator."""
        ...


@runtime_checkable
class PayloadEditor(Protocol):
    """A generator whose samples are edits of real payloads: of layout "payload", without arrays of its own."""

    def edit_payloads(self, draws: Sequence[Draw], sources: Sequence[Payload]) -> list[Payload | PayloadError]:
        """draws (n) and the payloads of their sources (n) -> each edited, or why it cannot be. Row i depends on
        draws[i] and sources[i] only."""
        ...


def require_layout(name: str, kind: Any, spec: Spec) -> None:
    """Raises `ParamsError` where a generator (its class) cannot model the layout of a representation's arrays."""
    if spec.layout not in kind.layouts:
        raise ParamsError(
            f"generator {name} models layouts {', '.join(sorted(kind.layouts))}; representation {spec.name} has layout "
            f"{spec.layout}. Choose another representation or generator"
        )


def require_way_back(name: str, kind: Any, representation: Representation) -> None:
    """Raises `ParamsError` where a representation can only edit real payloads, and the generator (its class) starts
    from none."""
    if needs_source(representation) and FROM not in kind.takes:
        kinds = {other: generator_class(other) for other in generator_names()}
        takers = [o for o, k in kinds.items() if FROM in k.takes and representation.spec.layout in k.layouts]
        raise ParamsError(
            f"representation {representation.spec.name} edits a real sample, and generator {name} starts from none. "
            f"Choose another representation, or a generator that converts: {', '.join(takers)}"
        )


def turns_of(generator: Generator) -> dict[str, int]:
    """Train sample -> how often it serves as a source before all begin again; 1 for what is not in it."""
    return dict(getattr(generator, "turns", {}))


def modules_of(kind: Any, params: Mapping[str, Any]) -> tuple[str, ...]:
    """The module of a generator (its class), and those that it imports by name for these parameters."""
    return (kind.__module__, *(kind.modules(params) if hasattr(kind, "modules") else ()))


def require_mixing(name: str, kind: Any, mixtures: Sequence[Any]) -> None:
    """Raises `ParamsError` where a run asks for mixtures and the generator (its class) draws none."""
    if mixtures and not getattr(kind, "mixes", True):
        raise ParamsError(
            f"generator {name} draws no mixtures of classes, and ask.mixtures has {len(mixtures)}. Take them out, or "
            "choose another generator"
        )


def refused(generator: Generator) -> dict[str, str]:
    """Class -> why a fitted generator draws nothing of it, and converts nothing from it."""
    return dict(getattr(generator, "refuses", {}))


def source_class(kind: Any, params: Mapping[str, Any]) -> SourceClass:
    """Of which class the train samples are that a generator (its class) with these parameters starts from: another one
    than is asked for, which a conversion moves (where it says nothing), or the same, of which it draws variants."""
    says = getattr(kind, "source_class", None)
    return "other" if says is None else says(params)


def no_criterion(name: str, kind: Any, params: Mapping[str, Any]) -> str:
    """Why no held-out loss says when a fit of a generator (its class) with these parameters has learned enough; ""
    where one does."""
    if not hasattr(kind, "held_out_loss"):
        return f"generator {name} has no held-out loss"
    needs = getattr(kind, "needs_all_steps", None)
    return "" if needs is None else str(needs(params))


def lineage_of(
    generator: Generator, draws: Sequence[Draw], sources: Callable[[], np.ndarray | None] = lambda: None
) -> list[Lineage] | None:
    """Of each draw that was sampled; None of a generator whose samples come from their draws alone. `sources`: gives
    the arrays that the draws start from."""
    asked = getattr(generator, "lineage", None)
    return None if asked is None else list(asked(draws, sources()))


def soft_labels(generator: Generator, draws: Sequence[Draw]) -> list[dict[str, float] | None]:
    """Of each draw: class -> share (they sum to 1) that its sample is of, where that is another label than was asked
    for; None where it is what was asked for. Such a sample is trained with as the mixture that it is."""
    says = getattr(generator, "soft_label", None)
    if says is None:
        return [None] * len(draws)
    labels = [(_shares(says(draw)), _shares(draw.condition.shares)) for draw in draws]
    return [own if own != asked else None for own, asked in labels]


def _shares(label: Mapping[str, float]) -> dict[str, float]:
    """Sorted by class, to six digits: what a record holds; nothing that rounds to 0."""
    return {name: share for name, value in sorted(label.items()) if (share := round(float(value), 6)) > 0}


def generator_names() -> list[str]:
    """Every registered generator: ours, then those of entry points, sorted."""
    return _registry().names()


def generator_class(name: str) -> Any:
    """The class registered under `name`: of GENERATORS, or an entry point `emoforge.generators`. Raises
    `UnknownNameError`."""
    return _registry().load(name)


def _registry() -> Registry:
    return Registry("generator", "emoforge.generators", GENERATORS)
