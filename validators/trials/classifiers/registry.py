"""Classifiers by name, as params.yaml asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corpora.errors import UserError
from corpora.params import StrictParams, parse
from corpora.registry import Registry
from validators.trials.classifiers.protocol import Classifier, DimensionsClassifier, LabelsClassifier

CLASSIFIERS: dict[str, str] = {
    "logistic": "validators.trials.classifiers.logistic:Logistic",
    "linear_svm": "validators.trials.classifiers.svm:LinearSvm",
    "svm": "validators.trials.classifiers.svm:RbfSvm",
    "boosting": "validators.trials.classifiers.boosting:Boosting",
    "cnn": "validators.trials.classifiers.cnn:Cnn",
    "ridge": "validators.trials.classifiers.ridge:RidgeDimensions",
}
_REGISTRY = Registry("classifier", "emoforge.classifiers", CLASSIFIERS)
_TASKS = {
    "fit": "one class of several",
    "fit_dimensions": "numbers such as valence",
    "fit_labels": "several labels a sample",
}


def classifier(name: str, params: Mapping[str, Any] | StrictParams | None = None) -> Classifier:
    """For one class of several. Raises `UnknownNameError` and `ParamsError` that name the nearest valid name,
    `UserError` where the classifier of that name is for another task."""
    built: Classifier = _of_task(name, params, "fit")
    return built


def dimensions_classifier(name: str, params: Mapping[str, Any] | StrictParams | None = None) -> DimensionsClassifier:
    """For numbers such as valence. Raises as `classifier` does."""
    built: DimensionsClassifier = _of_task(name, params, "fit_dimensions")
    return built


def labels_classifier(name: str, params: Mapping[str, Any] | StrictParams | None = None) -> LabelsClassifier:
    """For several labels a sample. Raises as `classifier` does."""
    built: LabelsClassifier = _of_task(name, params, "fit_labels")
    return built


def classifiers_for(task: str) -> list[str]:
    """Names that have the method `task` ("fit", "fit_dimensions" or "fit_labels"), in the order of the table."""
    return [name for name in _REGISTRY.names() if hasattr(_REGISTRY.load(name), task)]


def _of_task(name: str, params: Mapping[str, Any] | StrictParams | None, method: str) -> Any:
    kind = _REGISTRY.load(name)
    if not hasattr(kind, method):
        raise UserError(
            f"classifier {name!r} is not for {_TASKS[method]}. Those that are: {', '.join(classifiers_for(method))}."
        )
    return kind(parse(kind.Params, {} if params is None else params, f"parameters of classifier {name}"))
