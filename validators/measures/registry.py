"""One door to every measure: a name, two inputs, a number with its unit, convention, sizes, interval and floor.

`emoforge measure` is this on the command line. A metric says what it reads; loading files is
validators/measures/inputs.py.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from corpora.errors import UnknownNameError
from validators.measures.checked import checked_inputs
from validators.measures.measured import Kind, Measured, finished
from validators.measures.options import choices_of, defaults_of, resolved


@dataclass(frozen=True, slots=True)
class Metric:
    """`function` is "module:name": (real, synthetic, **options) -> Measured."""

    kind: Kind
    better: Literal["lower", "higher", "nearer 0.5"]
    about: str
    function: str


METRICS: dict[str, Metric] = {
    # sets of features
    "frechet": Metric("features", "lower", "Frechet distance of two Gaussians", "validators.measures.sets:frechet"),
    "kid": Metric("features", "lower", "kernel distance, unbiased, cubic kernel", "validators.measures.sets:kid"),
    "cmmd": Metric("features", "lower", "kernel distance, Gaussian, x 1000", "validators.measures.sets:cmmd"),
    "energy-distance": Metric("features", "lower", "energy distance", "validators.measures.sets:energy"),
    "sliced-wasserstein": Metric("features", "lower", "how far mass must move", "validators.measures.sets:sliced"),
    "precision": Metric("features", "higher", "share of synthetic near real", "validators.measures.sets:precision"),
    "recall": Metric("features", "higher", "share of real near synthetic", "validators.measures.sets:recall"),
    "density": Metric("features", "higher", "real balls around synthetic", "validators.measures.sets:density"),
    "coverage": Metric("features", "higher", "share of real balls filled", "validators.measures.sets:coverage"),
    "vendi": Metric("features", "higher", "effective number of samples", "validators.measures.sets:vendi"),
    "c2st": Metric("features", "nearer 0.5", "can a classifier tell them apart", "validators.measures.sets:c2st"),
    # copies; these take a holdout
    "auth-pct": Metric("features", "higher", "share of authentic samples", "validators.measures.sets:authenticity"),
    "dcr": Metric("features", "nearer 0.5", "share nearer to train than to a holdout", "validators.measures.sets:dcr"),
    "nndr": Metric("features", "higher", "nearest over second nearest", "validators.measures.sets:nndr"),
    "mia-auc": Metric("features", "nearer 0.5", "membership attack by distance", "validators.measures.sets:membership"),
    # answers
    "accuracy": Metric("labels", "higher", "share of right answers", "validators.measures.labels:accuracy"),
    "uar": Metric("labels", "higher", "mean recall of the classes", "validators.measures.labels:uar"),
    "macro-f1": Metric("labels", "higher", "mean F1 of the classes", "validators.measures.labels:macro_f1"),
    "auc": Metric("labels", "higher", "area under the ROC curve", "validators.measures.labels:auc"),
    "ece": Metric("labels", "lower", "expected calibration error", "validators.measures.labels:ece"),
    "ccc": Metric("dimension", "higher", "concordance correlation", "validators.measures.labels:concordance"),
    # speech
    "mcd": Metric("audio", "lower", "mel-cepstral distortion of pairs", "validators.measures.pairs:mcd"),
    "f0-rmse": Metric("audio", "lower", "error of the melody of pairs", "validators.measures.pairs:f0_rmse"),
    "f0-correlation": Metric("audio", "higher", "likeness of the melody", "validators.measures.pairs:f0_correlation"),
    "voicing-error": Metric("audio", "lower", "frames voiced in one only", "validators.measures.pairs:voicing_error"),
    "energy-difference": Metric("audio", "lower", "level of pairs", "validators.measures.pairs:energy_difference"),
    "duration-difference": Metric("audio", "lower", "length of pairs", "validators.measures.pairs:duration_difference"),
    "speaker-similarity": Metric("audio", "higher", "same voice", "validators.measures.identity:speaker_similarity"),
    # pictures
    "psnr": Metric("images", "higher", "peak signal-to-noise ratio of pairs", "validators.measures.pairs:psnr"),
    "ssim": Metric("images", "higher", "structural similarity of pairs", "validators.measures.pairs:ssim"),
    "lpips": Metric("images", "lower", "how different pairs look to a network", "validators.measures.lpips:lpips"),
    "identity-similarity": Metric("images", "higher", "same face", "validators.measures.identity:identity_similarity"),
    "face-likeness": Metric("features", "lower", "far from real faces", "validators.measures.identity:face_likeness"),
    # texts; cosine and mauve read embeddings of them
    "bleu": Metric("text", "higher", "n-grams shared with a reference, pairs", "validators.measures.text:bleu"),
    "chrf": Metric("text", "higher", "characters shared with a source, pairs", "validators.measures.text:chrf"),
    "cosine": Metric("features", "higher", "likeness of embeddings, pairs", "validators.measures.text:cosine"),
    "self-bleu": Metric("text", "lower", "how alike synthetic texts are", "validators.measures.text:self_bleu"),
    "distinct-n": Metric("text", "higher", "share of n-grams that are new", "validators.measures.text:distinct"),
    "mauve": Metric("features", "higher", "area under the divergence frontier", "validators.measures.text:mauve"),
    "perplexity": Metric("text", "lower", "surprise of a model of real texts", "validators.measures.text:perplexity"),
    "language": Metric("text", "higher", "letters like those of real texts", "validators.measures.text:language"),
    "toxicity": Metric("text", "lower", "lines with a word of your list", "validators.measures.text:toxicity"),
    "ngram-containment": Metric("text", "lower", "how much is copied", "validators.measures.text:containment"),
    # signals
    "differential-entropy": Metric("signals", "lower", "entropies of bands", "validators.measures.signals:entropy"),
    "band-power": Metric("signals", "lower", "powers of bands", "validators.measures.signals:band_power"),
    "psd-distance": Metric("signals", "lower", "log-spectral distance", "validators.measures.signals:psd_distance"),
    "autocorrelation": Metric("signals", "lower", "autocorrelations", "validators.measures.signals:autocorrelation"),
    "coherence": Metric("signals", "lower", "coherence of channels", "validators.measures.signals:coherence"),
    "heart-rate": Metric("signals", "lower", "distance of heart rates", "validators.measures.signals:heart_rate"),
    "rmssd": Metric("signals", "lower", "distance of heart rate variability", "validators.measures.signals:rmssd"),
    "sdnn": Metric("signals", "lower", "distance of heart rate variability", "validators.measures.signals:sdnn"),
    "out-of-range": Metric("signals", "lower", "values that no body has", "validators.measures.signals:out_of_range"),
}


def metric(name: str) -> Metric:
    """The entry of `METRICS` under `name`. Raises `UnknownNameError`, which names the nearest."""
    if name not in METRICS:
        raise UnknownNameError.of("metric", name, METRICS)
    return METRICS[name]


def function_of(name: str) -> Callable[..., Measured]:
    """The function behind a metric: (real, synthetic, **options) -> Measured. Raises `UnknownNameError`."""
    module, _, attribute = metric(name).function.partition(":")
    function: Callable[..., Measured] = getattr(importlib.import_module(module), attribute)
    return function


def options_of(name: str) -> dict[str, Any]:
    """Option -> default of the metric's function."""
    return defaults_of(function_of(name))


def choices(name: str) -> dict[str, tuple[str, ...]]:
    """Option -> the values it may have, for those that are a choice."""
    return choices_of(function_of(name))


def measure(name: str, real: Any, synthetic: Any, **options: Any) -> Measured:
    """One metric on inputs of its kind; options as values or as texts of a command line.

    Never a number that is none: where there is no value, `reason` says why. Raises `UnknownNameError` (metric, option,
    choice), `UserError` (inputs or options of another type or shape) and what the measure raises.
    """
    function = function_of(name)
    given = resolved(name, function, options)
    number = function(*checked_inputs(metric(name).kind, real, synthetic), **given)
    return finished(replace(number, metric=name))
