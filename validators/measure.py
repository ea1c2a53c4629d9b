"""One door to every measure: a name, two inputs, a number with its unit, convention, sizes, interval and floor.

`emoforge measure` is this on the command line. A metric says what it reads; loading files is validators/inputs.py.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from corpora.errors import UnknownNameError
from validators.checked import checked_inputs
from validators.options import choices_of, defaults_of, resolved

Kind = Literal["features", "labels", "dimension", "audio", "images", "text", "signals"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A number and what it takes to compare it with another: same name, same convention, same options.

    low, high: 95 % interval, NaN where the measure has none. floor: real against real, group-blind halves of `real`,
    NaN where it was not asked for. `details`: further numbers (per class, per direction).
    """

    value: float
    unit: str
    convention: str
    n_real: int
    n_synthetic: int
    metric: str = ""  # filled in by `measure`
    low: float = math.nan
    high: float = math.nan
    floor: float = math.nan
    reason: str = ""  # why there is no number, where value is NaN
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Metric:
    """`function` is "module:name": (real, synthetic, **options) -> Measured."""

    kind: Kind
    better: Literal["lower", "higher", "nearer 0.5"]
    about: str
    function: str


METRICS: dict[str, Metric] = {
    # sets of features
    "frechet": Metric("features", "lower", "Frechet distance of two Gaussians", "validators.measures_sets:frechet"),
    "kid": Metric("features", "lower", "kernel distance, unbiased, cubic kernel", "validators.measures_sets:kid"),
    "cmmd": Metric("features", "lower", "kernel distance, Gaussian, x 1000", "validators.measures_sets:cmmd"),
    "energy-distance": Metric("features", "lower", "energy distance", "validators.measures_sets:energy"),
    "sliced-wasserstein": Metric("features", "lower", "how far mass must move", "validators.measures_sets:sliced"),
    "precision": Metric("features", "higher", "share of synthetic near real", "validators.measures_sets:precision"),
    "recall": Metric("features", "higher", "share of real near synthetic", "validators.measures_sets:recall"),
    "density": Metric("features", "higher", "real balls around synthetic", "validators.measures_sets:density"),
    "coverage": Metric("features", "higher", "share of real balls filled", "validators.measures_sets:coverage"),
    "vendi": Metric("features", "higher", "effective number of samples", "validators.measures_sets:vendi"),
    "c2st": Metric("features", "nearer 0.5", "can a classifier tell them apart", "validators.measures_sets:c2st"),
    # copies; these take a holdout
    "auth-pct": Metric("features", "higher", "share of authentic samples", "validators.measures_sets:authenticity"),
    "dcr": Metric("features", "nearer 0.5", "share nearer to train than to a holdout", "validators.measures_sets:dcr"),
    "nndr": Metric("features", "higher", "nearest over second nearest", "validators.measures_sets:nndr"),
    "mia-auc": Metric("features", "nearer 0.5", "membership attack by distance", "validators.measures_sets:membership"),
    # answers
    "accuracy": Metric("labels", "higher", "share of right answers", "validators.measures_labels:accuracy"),
    "uar": Metric("labels", "higher", "mean recall of the classes", "validators.measures_labels:uar"),
    "macro-f1": Metric("labels", "higher", "mean F1 of the classes", "validators.measures_labels:macro_f1"),
    "auc": Metric("labels", "higher", "area under the ROC curve", "validators.measures_labels:auc"),
    "ece": Metric("labels", "lower", "expected calibration error", "validators.measures_labels:ece"),
    "ccc": Metric("dimension", "higher", "concordance correlation", "validators.measures_labels:concordance"),
    # speech
    "mcd": Metric("audio", "lower", "mel-cepstral distortion of pairs", "validators.measures_pairs:mcd"),
    "f0-rmse": Metric("audio", "lower", "error of the melody of pairs", "validators.measures_pairs:f0_rmse"),
    "f0-correlation": Metric("audio", "higher", "likeness of the melody", "validators.measures_pairs:f0_correlation"),
    "voicing-error": Metric("audio", "lower", "frames voiced in one only", "validators.measures_pairs:voicing_error"),
    "energy-difference": Metric("audio", "lower", "level of pairs", "validators.measures_pairs:energy_difference"),
    "duration-difference": Metric("audio", "lower", "length of pairs", "validators.measures_pairs:duration_difference"),
    "speaker-similarity": Metric("audio", "higher", "same voice", "validators.measures_identity:speaker_similarity"),
    # pictures
    "psnr": Metric("images", "higher", "peak signal-to-noise ratio of pairs", "validators.measures_pairs:psnr"),
    "ssim": Metric("images", "higher", "structural similarity of pairs", "validators.measures_pairs:ssim"),
    "lpips": Metric("images", "lower", "how different pairs look to a network", "validators.lpips:lpips"),
    "identity-similarity": Metric("images", "higher", "same face", "validators.measures_identity:identity_similarity"),
    "face-likeness": Metric("features", "lower", "far from real faces", "validators.measures_identity:face_likeness"),
    # texts; cosine and mauve read embeddings of them
    "bleu": Metric("text", "higher", "n-grams shared with a reference, pairs", "validators.measures_text:bleu"),
    "chrf": Metric("text", "higher", "characters shared with a source, pairs", "validators.measures_text:chrf"),
    "cosine": Metric("features", "higher", "likeness of embeddings, pairs", "validators.measures_text:cosine"),
    "self-bleu": Metric("text", "lower", "how alike synthetic texts are", "validators.measures_text:self_bleu"),
    "distinct-n": Metric("text", "higher", "share of n-grams that are new", "validators.measures_text:distinct"),
    "mauve": Metric("features", "higher", "area under the divergence frontier", "validators.measures_text:mauve"),
    "perplexity": Metric("text", "lower", "surprise of a model of real texts", "validators.measures_text:perplexity"),
    "language": Metric("text", "higher", "letters like those of real texts", "validators.measures_text:language"),
    "toxicity": Metric("text", "lower", "lines with a word of your list", "validators.measures_text:toxicity"),
    "ngram-containment": Metric("text", "lower", "how much is copied", "validators.measures_text:containment"),
    # signals
    "differential-entropy": Metric("signals", "lower", "entropies of bands", "validators.measures_signals:entropy"),
    "band-power": Metric("signals", "lower", "powers of bands", "validators.measures_signals:band_power"),
    "psd-distance": Metric("signals", "lower", "log-spectral distance", "validators.measures_signals:psd_distance"),
    "autocorrelation": Metric("signals", "lower", "autocorrelations", "validators.measures_signals:autocorrelation"),
    "coherence": Metric("signals", "lower", "coherence of channels", "validators.measures_signals:coherence"),
    "heart-rate": Metric("signals", "lower", "distance of heart rates", "validators.measures_signals:heart_rate"),
    "rmssd": Metric("signals", "lower", "distance of heart rate variability", "validators.measures_signals:rmssd"),
    "sdnn": Metric("signals", "lower", "distance of heart rate variability", "validators.measures_signals:sdnn"),
    "out-of-range": Metric("signals", "lower", "values that no body has", "validators.measures_signals:out_of_range"),
}  # fmt: skip


def metric(name: str) -> Metric:
    """Raises `UnknownNameError`."""
    if name not in METRICS:
        raise UnknownNameError.of("metric", name, METRICS)
    return METRICS[name]


def function_of(name: str) -> Callable[..., Measured]:
    module, _, attribute = metric(name).function.partition(":")
    found: Callable[..., Measured] = getattr(importlib.import_module(module), attribute)
    return found


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
    found = function(*checked_inputs(metric(name).kind, real, synthetic), **given)
    return finished(replace(found, metric=name))


def finished(found: Measured) -> Measured:
    """Infinite numbers are none; no value has no interval; a value that is none has a reason."""
    value, low, high, floor = (x if math.isfinite(x) else math.nan for x in
                               (found.value, found.low, found.high, found.floor))  # fmt: skip
    reason = found.reason
    if not math.isfinite(value):
        low = high = math.nan
        reason = reason or "the numbers of the input are too large or too small to compute with"
    if not (math.isfinite(low) and math.isfinite(high)):
        low = high = math.nan
    return replace(found, value=value, low=low, high=high, floor=floor, reason=reason)
