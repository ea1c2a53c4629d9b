"""What an arm may do to a train set, by name, and the arms that every study has.

Families: `plain` methods add nothing that was not there (weights, a rule for answers, repeats, what was pruned);
`vector` methods work on the features themselves; `payload` methods change real payloads, of which features are taken
again; `generator` methods are the registered generators, on features or, with a representation, on payloads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import JsonValue

from corpora.errors import ParamsError, UnknownNameError
from flows.params import DEFAULT_GATES
from flows.stages.study.plain import WEIGHTED
from flows.studying import Arm, ArmGate, StudyParams, Task
from generators.classical.method import PAYLOAD_METHODS, VECTOR_METHODS
from generators.generator import generator_names
from validators.gate import SampleGate, gate_class, knows
from validators.trials.studies.gates import ALL_GATES, GatePair
from validators.trials.studies.roles import Roles

Family = Literal["plain", "vector", "payload", "generator"]

# name -> what it does, in words for `emoforge study`
PLAIN: dict[str, str] = {
    "nothing": "the train set as it is",
    "class_weights": "each class weighs the same in training",
    "logit_adjustment": "answers are corrected by the classes' shares of train (Menon et al. 2021)",
    "oracle": "the real samples that were pruned are given back",
    "fill": "short classes but the pruned one are filled by `transfer`: the lower end of the clean gap",
    "oracle_fill": "the same, and the pruned samples given back: its upper end",
    "true_effect": "`transfer` with the class effect of all real samples, pruned ones too: a bound, no method",
}
ORACLES = frozenset({"oracle", "oracle_fill", "true_effect"})  # of conditions in which something was pruned
NEEDS_PRUNED = ORACLES | {"fill"}
# beside the methods on payloads: those whose rows keep all that is known of the real row that they come from
KEEP_TARGETS = ("nothing", "oversample", "jitter")


def family_of(method: str) -> Family:
    """Raises `UnknownNameError`."""
    if method in PLAIN:
        return "plain"
    if method in VECTOR_METHODS:
        return "vector"
    if any(method in own for own in PAYLOAD_METHODS.values()):
        return "payload"
    if method in generator_names():
        return "generator"
    raise UnknownNameError.of("method of an arm", method, method_names())


def method_names() -> list[str]:
    """Every method of every modality."""
    of_payloads = sorted({name for own in PAYLOAD_METHODS.values() for name in own})
    return list(dict.fromkeys([*PLAIN, *VECTOR_METHODS, *of_payloads, *generator_names()]))


# Vectors of some hundred columns and some hundred rows: wider networks, or more steps, cost more and say the same
_NETWORK: dict[str, JsonValue] = {"width": 8, "latent": 16, "batch_size": 64}
_DENOISER: dict[str, JsonValue] = {"width": 8, "batch_size": 64, "sample_steps": 12}
STEPS = 200  # of every trained default arm
EDITS = 2.0  # edited samples for each that a class lacks: features are taken of each of them again
# modality -> name of the arm that edits real samples, the representation in which it does, and parameters of `transfer`
EDITED: dict[str, tuple[str, str, dict[str, JsonValue]]] = {
    "speech": ("transfer, audio", "differential", {"scale": "scores"}),
    "face": ("transfer, pictures", "oriented_energy", {"strength": 2.0}),
    "physio": ("transfer, signals", "band_power", {}),
}


def _classical(modality: str) -> dict[str, Arm]:
    """Arms without networks and gates, of every modality."""
    plain = {
        "nothing": Arm(method="nothing"),
        "class weights": Arm(method="class_weights", tune={"power": [1.0, 0.5]}, trials=2),
        "logit adjustment": Arm(method="logit_adjustment", tune={"tau": [1.0, 0.5, 1.5]}, trials=3),
        "oversampling": Arm(method="oversample"),
        "SMOTE": Arm(method="smote"),
        "Borderline-SMOTE": Arm(method="borderline"),
        "ADASYN": Arm(method="adasyn"),
        "mixup": Arm(method="mixup"),
        "jitter": Arm(method="jitter"),
    }
    of_modality = {
        "speech": {"noise": "noise", "pitch": "pitch", "stretch": "stretch", "SpecAugment": "spec_augment"},
        "face": {"flip": "flip", "crop": "crop", "erase": "erase"},
        "text": {"EDA": "eda", "substitution": "substitute"},
        "physio": {"channel mask": "channel_mask", "band mask": "band_mask", "surrogate": "surrogate"},
    }
    return {**plain, **{label: Arm(method=method) for label, method in of_modality.get(modality, {}).items()}}


def _generated(modality: str) -> dict[str, Arm]:
    """Every registered generator on features, ungated and gated by the gates that a run has by default; `transfer` with
    every source at a low weight, alone, and on real samples that it edits."""
    gates = {name: ArmGate() for name in DEFAULT_GATES if _judges_vectors(name, modality)}
    sized = {"cvae": _NETWORK, "cgan": _NETWORK, "diffusion": _DENOISER}
    arms = {"transfer": Arm(method="transfer"), **{n: Arm(method=n, params=p, steps=STEPS) for n, p in sized.items()}}
    arms |= {f"{name}, gated": arm.model_copy(update={"gates": gates}) for name, arm in arms.items()}
    arms["transfer, weighted"] = WEIGHTED
    arms["transfer, weighted, beyond"] = WEIGHTED.model_copy(update={"beyond": 0.5, "keep_total": True})
    arms["transfer alone"] = Arm(method="transfer", synthetic_only=True)
    if modality in EDITED:
        label, representation, params = EDITED[modality]
        arms[label] = Arm(
            method="transfer",
            params=params,
            representation={"name": representation},
            by="weight",
            spread=EDITS,
            keep_total=True,
        )
    return arms


def _judges_vectors(gate: str, modality: str) -> bool:
    kind = gate_class(gate)
    return issubclass(kind, SampleGate) and knows(kind, modality, "vector")


def default_arms(modality: str) -> dict[str, Arm]:
    """The arms of every study of a modality, in the order in which tables list them."""
    ends = {
        "true class mean": Arm(method="true_effect"),
        "oracle": Arm(method="oracle"),
        "fill": Arm(method="fill"),
        "oracle + fill": Arm(method="oracle_fill"),
    }
    return {**_classical(modality), **_generated(modality), **ends}


def roles_of(arms: Mapping[str, Arm]) -> Roles:
    """Which arms are baselines, ends of the gap and bounds, by what they do: arms of a user have names of their own."""

    def first(method: str, otherwise: str) -> str:
        return next((name for name, arm in arms.items() if arm.method == method), otherwise)

    return Roles(
        nothing=first("nothing", "nothing"),
        weights=first("class_weights", "class weights"),
        logit=first("logit_adjustment", "logit adjustment"),
        oracle=first("oracle", "oracle"),
        fill=first("fill", "fill"),
        oracle_fill=first("oracle_fill", "oracle + fill"),
        bounds=tuple(name for name, arm in arms.items() if arm.method == "true_effect"),
    )


def arms_of(study: StudyParams, modality: str) -> dict[str, Arm]:
    """The arms of a study: defaults, without those that it leaves out, and its own. `nothing` always takes part: what
    all are compared with. Raises `UnknownNameError` for an arm to leave out that is none."""
    defaults = default_arms(modality) if study.defaults else {}
    if study.task != "classes":
        # nothing is tuned there: what inner folds would choose by is a score of classes
        own = {name: arm for name, arm in defaults.items() if keeps_targets(arm.method, study.task)}
        defaults = {name: arm.model_copy(update={"tune": {}}) for name, arm in own.items()}
    for name in study.without:
        if name not in default_arms(modality):
            raise UnknownNameError.of("default arm", name, default_arms(modality))
    chosen = {name: arm for name, arm in defaults.items() if name not in study.without}
    return {"nothing": Arm(method="nothing"), **chosen, **study.arms}


def keeps_targets(method: str, task: Task) -> bool:
    """Whether an arm can do this in a study of another task than classes: its rows, if it adds any, keep the ratings or
    labels of the real row that each comes from."""
    weighs = method == "class_weights" and task == "labels"
    return weighs or method in KEEP_TARGETS or family_of(method) == "payload"


def require_of_task(arm: Arm, task: Task, modality: str) -> None:
    """Raises `ParamsError` for an arm of a study of `dimensions` or `labels` that belongs to one of classes."""
    if keeps_targets(arm.method, task):
        if arm.tune:
            raise ParamsError(f"`tune` is chosen by a score of classes, and a study of {task} has none")
        return
    wanted = "ratings" if task == "dimensions" else "several labels each"
    allowed = [*KEEP_TARGETS, *(["class_weights"] if task == "labels" else []), *PAYLOAD_METHODS.get(modality, {})]
    what = "what it does" if arm.method in PLAIN else "each of its rows"
    raise ParamsError(
        f"method {arm.method}: {what} belongs to a class, and a study of {task} needs rows with {wanted}. Methods that "
        f"keep them: {', '.join(allowed)}"
    )


def of_modality(method: str, modality: str) -> bool:
    """Whether a method knows payloads of the modality; whatever works on features knows all."""
    return family_of(method) != "payload" or method in PAYLOAD_METHODS.get(modality, {})


def gate_pairs(arms: Mapping[str, Arm]) -> list[GatePair]:
    """Arms that are the same but for one gate, or for all of them."""
    pairs = []
    for on, arm in arms.items():
        for off, other in arms.items():
            if on == off or arm.model_copy(update={"gates": {}}) != other.model_copy(update={"gates": {}}):
                continue
            gone = [name for name in arm.gates if other.gates.get(name) != arm.gates[name]]
            if set(other.gates) <= set(arm.gates) and len(gone) == 1:
                pairs.append(GatePair(gone[0], on, off))
            elif arm.gates and not other.gates:
                pairs.append(GatePair(ALL_GATES, on, off))
    return pairs
