"""A toy grammar: lines of which everything is known. What is said depends on nothing, how it is said on the class; no
two classes share a word of how."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from features.representation import Spec, make_representation
from generators.generator import TrainData
from generators.language.lines import arrays_of

CLASSES = ("neutral", "anger", "fear")
WHO = ("Anna", "Ben", "my aunt", "the baker", "our dog", "the child")
DOES = ("sees", "takes", "finds", "brings", "keeps")
WHAT = ("the bread", "a letter", "the red car", "an apple", "the key", "his old coat", "the map")
STYLE = {
    "neutral": ("as usual", "on schedule", "like always"),
    "anger": ("with furious rage", "shouting loudly", "in a furious temper"),
    "fear": ("trembling badly", "scared to death", "and full of dread"),
}
ENDS = (".", "!")
SPEC: Spec = make_representation("utf8", {"max_bytes": 64}).spec


def said(rng: np.random.Generator, emotion: str, styles: tuple[str, ...] = ()) -> str:
    """One line of a class: who does what, how."""
    parts = [str(rng.choice(some)) for some in (WHO, DOES, WHAT, styles or STYLE[emotion])]
    return " ".join(parts) + str(rng.choice(ENDS))


def parsed(line: str) -> tuple[str, str] | None:
    """Content and class of a line that the grammar has; None for every other."""
    if not line.endswith(ENDS):
        return None
    body = line[:-1]
    for emotion, styles in STYLE.items():
        for style in styles:
            if body.endswith(" " + style):
                content = body.removesuffix(" " + style)
                return (content, emotion) if content in CONTENTS else None
    return None


CONTENTS = frozenset(f"{who} {does} {what}" for who in WHO for does in DOES for what in WHAT)


def toy_lines(n: int = 240, *, seed: int = 0, subjects: bool = True) -> TrainData:
    """n lines, classes in turn; every eighth is held out; intensities known of two of three."""
    rng = np.random.default_rng(seed)
    emotions = tuple(CLASSES[i % 3] for i in range(n))
    lines = [said(rng, emotion) for emotion in emotions]
    people = np.arange(n) % 5
    return TrainData(
        spec=SPEC,
        classes=CLASSES,
        arrays=arrays_of(lines, SPEC),
        emotions=emotions,
        ids=tuple(f"toy/{i}" for i in range(n)),
        groups=tuple(f"toy:{p}" for p in people),
        subjects=tuple(f"toy:{p}" for p in people) if subjects else (None,) * n,
        held_out=np.arange(n) % 8 == 0,
        ratings={"intensity": np.where(np.arange(n) % 3 == 0, np.nan, rng.random(n))},
    )


def rated_lines(n: int) -> TrainData:
    """As `toy_lines`; intensity decides which of the first two of its class' ways a line is said in: the second where
    it is 1, the first where it is 0."""
    data, rng = toy_lines(n), np.random.default_rng(4)
    strong = rng.random(n) < 0.5
    lines = [said(rng, e, STYLE[e][1:2] if s else STYLE[e][:1]) for e, s in zip(data.emotions, strong, strict=True)]
    return replace(data, arrays=arrays_of(lines, SPEC), ratings={"intensity": strong.astype(np.float64)})
