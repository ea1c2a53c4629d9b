"""What a class does to a sample: effects of classes, and how sure they are, from features, labels, subjects, corpora.

One interface for all conversions, and for networks that want a prior of a class: `class_effects`. Pure numbers: the
space is whatever is handed in (`NormalScores` brings raw units to scores and back).
"""

from generators.effects.estimate import EffectParams, Effects, class_effects
from generators.effects.plain import shrunk_means, stein_means
from generators.effects.scores import NormalScores
from generators.effects.twoway import centre_by_subject

__all__ = [
    "EffectParams",
    "Effects",
    "NormalScores",
    "centre_by_subject",
    "class_effects",
    "shrunk_means",
    "stein_means",
]
