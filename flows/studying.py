"""`studies:` of params.yaml: the question what makes a recogniser better on people whom it has never met.

A study compares arms (what is done to a train set) over views (which people are tested, what train lacks), seeds and
classifiers. Stage `study@name` answers it; docs/studies.md explains it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from corpora.params import StrictParams
from generators.preset import filled_in

Percent = Annotated[float, Field(gt=0, lt=100)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Task = Literal["classes", "dimensions", "labels"]
GateName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


# what such a task is asked with unless the study says so
_CLASSIFIER_OF_TASK = {"dimensions": "ridge", "labels": "logistic"}


class Conditions(StrictParams):
    """What train lacks. Test sets are never touched; each condition is a view of its own."""

    as_is: bool = Field(True, description="Train as the corpus has it.")
    prune: tuple[Percent, ...] = Field((10.0,), description="Each class in turn keeps this percentage in train.")
    by: Literal["samples", "groups"] = Field(
        "samples", description="What pruning takes away: samples at random, or whole split units."
    )
    classes: tuple[str, ...] = Field((), description="Classes that are pruned in turn; none: all of them.")
    long_tail: tuple[Annotated[float, Field(gt=1, le=1000)], ...] = Field(
        (), description="All classes at once, largest to smallest in this ratio (Cui et al. 2019)."
    )
    groups: tuple[Count, ...] = Field((), description="Train holds so many split units alone, say 2, 4 and 8 people.")


class Vault(StrictParams):
    """People whom development never sees. They are tested once for each version of the defaults, and every look is
    logged."""

    subjects: tuple[str, ...] = Field((), description="Subject ids, with or without their corpus.")
    official: tuple[Literal["dev", "test"], ...] = Field((), description="Splits that the corpus publishes.")

    @property
    def empty(self) -> bool:
        """Whether nobody is in it."""
        return not (self.subjects or self.official)


class ArmGate(StrictParams):
    """A gate of an arm: candidates that it does not let in are drawn again."""

    limit: dict[str, float] | None = Field(None, description="As in a run's gates; none: the gate's own default.")
    params: dict[str, Any] = Field(default_factory=dict, description="The gate's own.")


class Arm(StrictParams):
    """What one arm does to the train set."""

    method: str = Field(description="`emoforge study` lists them; left out where `preset` names it.")
    preset: str | None = Field(
        None, description="A system of the literature, as in a run (`emoforge generators --presets`)."
    )
    params: dict[str, Any] = Field(default_factory=dict, description="The method's own.")
    representation: dict[str, Any] | None = Field(
        None,
        description="Of generators: what they model, if it is not the study's features (world, pixels, rows): samples "
        "are decoded, and features taken of them.",
    )
    steps: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        600, description="Of trained generators: optimiser steps, equal for all."
    )
    gates: dict[GateName, ArmGate] = Field(default_factory=dict, description="Sample gates that candidates must pass.")
    gather: Annotated[float, Field(ge=1, le=16)] = Field(
        4.0, description="With gates: draws at most, as a multiple of what is lacked."
    )
    amount: Annotated[float, Field(gt=0, le=10)] = Field(
        1.0,
        description="Of what each class lacks to the largest; the same for every arm unless tuned. Of other tasks: so "
        "many times the rows of train.",
    )
    by: Literal["count", "weight"] = Field(
        "count",
        description="Of generators that convert: as many rows as a class lacks, or one of every source, which together "
        "weigh as much.",
    )
    weigh: Literal["alike", "plausible"] = Field(
        "alike",
        description="Of generators: plausible: a row counts less in training, the less it looks like the real rows of "
        "its class.",
    )
    beyond: Annotated[float, Field(ge=0, le=10)] = Field(
        0.0,
        description="Of generators: every class, the largest too, is raised so much above the largest (0.5: by half).",
    )
    keep_total: bool = Field(
        False,
        description="Weights of all rows, real ones too, are scaled to come to as many as the real rows: more rows are "
        "then no weaker penalty.",
    )
    spread: Annotated[float, Field(ge=1, le=1000)] = Field(
        8.0, description="With `by: weight`: rows at most, as a multiple of what is lacked."
    )
    synthetic_only: bool = Field(False, description="Train holds synthetic samples alone (TSTR), as many as real ones.")
    tune: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters that are searched on inner folds of each outer train part: a list of values, or {low, "
        "high, log}. `amount` and the method's own.",
    )
    trials: Annotated[int, Field(ge=1, le=1000)] = Field(8, description="Of that search; the defaults are the first.")

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, given: Any) -> Any:
        return filled_in(given, name="method")


class Features(BaseModel):
    """What classifiers see. Further keys go to the representation and are checked by it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str = Field(description="functionals (speech) | hog (faces) | sentence (text) | heart, bands (physio).")

    @property
    def params(self) -> dict[str, Any]:
        """The representation's own keys."""
        return dict(self.model_extra or {})


class StudyParams(StrictParams):
    """One study."""

    corpora: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="Corpora of one modality.")
    task: Task = Field(
        "classes",
        description="What is recognised: one class of several; the ratings valence, arousal and dominance (CCC); or "
        "several labels a sample (macro-F1).",
    )
    scheme: str = Field("corpus", description="Target labels, as in a run; of the task `classes` alone.")
    features: Features = Field(description="What classifiers see, the same for every arm.")
    prepare: dict[str, Any] = Field(default_factory=dict, description="As in a run.")
    on_leak: dict[str, Any] = Field(default_factory=dict, description="As in a run.")
    scaling: dict[str, Any] | None = Field(
        None,
        description="How features are scaled, by real train rows alone: {scaling: normal | standard | none, "
        "components: n}; default: normal scores (speech, physiology), 100 principal components (faces, texts).",
    )
    split: Literal["groups", "corpora"] = Field(
        "groups",
        description="What is tested: each split unit once, in `folds` parts; or each corpus once, by what was learned "
        "from the others.",
    )
    units: tuple[str, ...] = Field((), description="What else stays in one part: subject, session, recording.")
    folds: Annotated[int, Field(ge=2, le=1000)] = Field(5, description="Outer parts; each is tested once.")
    inner_folds: Annotated[int, Field(ge=2, le=20)] = Field(3, description="Parts of train where something is tuned.")
    seeds: Annotated[int, Field(ge=1, le=1000)] = Field(
        5, description="Repetitions: another cut into folds, another draw of what is pruned, other generators."
    )
    seed: Annotated[int, Field(ge=0, le=10**9)] = Field(0, description="The first of them.")
    conditions: Conditions = Field(default_factory=lambda: Conditions())
    heard: dict[str, tuple[float, ...]] = Field(
        default_factory=dict,
        description="Test samples made harder, {change: levels}; of speech noise, gain; of faces occlusion, rotation, "
        "scale; of texts typos, word-drop; of physiology signal-noise, channel-off. Train as it is.",
    )
    classifiers: dict[str, dict[str, Any]] = Field(
        default_factory=lambda: dict[str, dict[str, Any]](logistic={}, svm={}),
        description="Each is trained in every cell; {name: its own parameters}. Never a gate's judge.",
    )
    arms: dict[str, Arm] = Field(
        default_factory=dict, description="Beside the default ones, or in place of one of them (docs/studies.md)."
    )
    defaults: bool = Field(True, description="Whether the default arms of the modality take part.")
    without: tuple[str, ...] = Field((), description="Default arms that are left out.")
    vault: Vault = Field(default_factory=lambda: Vault())
    max_samples: Annotated[int, Field(ge=10, le=10_000_000)] | None = Field(
        None, description="A part of the corpus, chosen by hash of the ids; none: all of it."
    )
    bootstrap: Annotated[int, Field(ge=100, le=100_000)] = Field(2000, description="Resamples of the tested people.")

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_task(cls, given: Any) -> Any:
        """Of a task without classes: nothing is pruned, and its own classifier, where the study says nothing."""
        if not isinstance(given, Mapping) or given.get("task") not in _CLASSIFIER_OF_TASK:
            return given
        conditions = given.get("conditions", {})
        if isinstance(conditions, Mapping):
            conditions = {"prune": (), **conditions}
        classifiers: Mapping[str, object] = {_CLASSIFIER_OF_TASK[given["task"]]: {}}
        return {"classifiers": classifiers, **given, "conditions": conditions}

    @model_validator(mode="after")
    def _classes_to_take_from(self) -> StudyParams:
        asked = [key for key in ("prune", "long_tail", "classes") if getattr(self.conditions, key)]
        if self.task != "classes" and asked:
            raise ValueError(
                f"`conditions: {asked[0]}` takes samples of classes away, and a study of {self.task} has no classes; "
                "it can have as_is and groups"
            )
        return self

    @model_validator(mode="after")
    def _something_to_compare(self) -> StudyParams:
        if not self.classifiers:
            raise ValueError("`classifiers` is empty: name at least one")
        if not (self.defaults or self.arms):
            raise ValueError("without `defaults` and `arms` there is nothing to compare")
        if self.split == "corpora" and len(self.corpora) < 2:
            raise ValueError("`split: corpora` tests each corpus by the others: name at least two")
        return self
