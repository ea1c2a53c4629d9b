"""Rows of development people, and the folds they are tested in."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from validators.trials.classifiers.scaling import Scaler, ScalingParams

SHARE, LEAST = 0.1, 3  # of a class that is pruned: what it keeps, and at least so many
CORPORA = ("ravdess", "fer2013", "goemotions", "goemotions lsa", "meld", "meld lsa")


@dataclass(frozen=True)
class Rows:
    """x: [N, D] features, or N texts; folds: seed -> test rows of each; pruned: classes to prune in turn."""

    name: str
    x: Any
    y: np.ndarray
    subjects: list[str | None]
    classes: tuple[str, ...]
    pruned: tuple[int, ...]
    folds: Callable[[int], list[np.ndarray]]


@lru_cache
def ravdess(data: Path) -> Rows:
    from corpora.codecs import decode_wav
    from features.speech.functionals import speech_functionals

    files = sorted(p for a in range(1, 7) for p in (data / "ravdess" / f"Actor_{a:02d}").glob("*.wav"))
    rows = []
    for path in files:
        channels, rate = decode_wav(path.read_bytes())
        rows.append(speech_functionals(channels.mean(axis=1), int(rate)))
    y = np.array([int(p.name.split("-")[2]) - 1 for p in files])
    actors = np.array([int(p.parent.name[-2:]) - 1 for p in files])
    names = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
    return Rows("ravdess", np.stack(rows), y, [str(a) for a in actors], names, tuple(range(8)), partial(_pairs, actors))


def _pairs(actors: np.ndarray, seed: int) -> list[np.ndarray]:
    """Round `seed` of a tournament of six: every pair of actors is tested once in five rounds."""
    ring = [(seed + i) % 5 for i in range(5)]
    pairs = [(5, ring[0]), (ring[1], ring[4]), (ring[2], ring[3])]
    return [np.flatnonzero(np.isin(actors, pair)) for pair in pairs]


def _halves(groups: np.ndarray, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng([7, seed])
    units = rng.permutation(np.unique(groups))
    first = np.isin(groups, units[: len(units) // 2])
    return [np.flatnonzero(first), np.flatnonzero(~first)]


@lru_cache
def fer2013(data: Path, most: int = 1100) -> Rows:
    from features.faces.hog import hog_features

    images, labels, seen = [], [], set()
    with (data / "fer2013" / "fer2013.csv").open() as file:
        for row in csv.DictReader(file):
            if row["Usage"] == "Training" and row["pixels"] not in seen:
                seen.add(row["pixels"])
                images.append(np.array(row["pixels"].split(), np.uint8).reshape(48, 48))
                labels.append(int(row["emotion"]))
    chosen = np.sort(np.random.default_rng(0).permutation(len(labels))[:most])
    x, y = hog_features(np.stack(images)[chosen]).astype(np.float64), np.array(labels)[chosen]
    names = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    return Rows(
        "fer2013", x, y, [None] * len(y), names, (0, 2, 3, 4, 5, 6), partial(_halves, np.arange(len(y)))
    )  # of disgust a tenth is no sample


EKMAN = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")


@lru_cache
def goemotions(data: Path, most: int = 1400, *, lsa: bool = False) -> Rows:
    names = (data / "goemotions" / "emotions.txt").read_text("utf-8").split()
    mapping = json.loads((data / "goemotions" / "ekman_mapping.json").read_text("utf-8"))
    of = {label: EKMAN.index(kind) for kind, labels in mapping.items() for label in labels} | {"neutral": 6}
    texts, y = [], []
    for line in (data / "goemotions" / "train.tsv").read_text("utf-8").splitlines():
        text, ids, _ = line.split("\t")
        kinds = {of[names[int(i)]] for i in ids.split(",")}
        if len(kinds) == 1:
            texts.append(text)
            y.append(kinds.pop())
    return _texts("goemotions", texts, np.array(y), [None] * len(y), np.arange(len(y)), most, lsa)


@lru_cache
def meld(data: Path, most: int = 1400, *, lsa: bool = False) -> Rows:
    with (data / "meld" / "train_sent_emo.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    y = np.array([EKMAN.index(row["Emotion"]) for row in rows])
    groups = np.array([int(row["Dialogue_ID"]) for row in rows])
    return _texts("meld", [r["Utterance"] for r in rows], y, [r["Speaker"] for r in rows], groups, most, lsa)


def _texts(
    name: str, texts: list[str], y: np.ndarray, subjects: list[str | None], groups: np.ndarray, most: int, lsa: bool
) -> Rows:
    from features.text.ngrams import hashed_ngrams

    chosen = np.sort(np.random.default_rng(0).permutation(len(y))[:most])
    texts, y = [texts[i] for i in chosen], y[chosen]
    x: Any = np.array(texts, object) if lsa else hashed_ngrams(texts)
    few = np.bincount(y, minlength=7) * SHARE / 2 < LEAST  # of half of them a tenth is not three
    pruned = tuple(int(k) for k in np.flatnonzero(~few))
    label = f"{name} lsa" if lsa else name
    return Rows(label, x, y, [subjects[i] for i in chosen], EKMAN, pruned, partial(_halves, groups[chosen]))


def rows_of(name: str, data: Path) -> Rows:
    """Features of one corpus of `CORPORA`."""
    kind, _, lsa = name.partition(" ")
    if kind in ("goemotions", "meld"):
        return {"goemotions": goemotions, "meld": meld}[kind](data, lsa=bool(lsa))
    return {"ravdess": ravdess, "fer2013": fer2013}[kind](data)


def features(rows: Rows, *parts: np.ndarray) -> list[np.ndarray]:
    """Scaled by the first part."""
    if rows.name.endswith("lsa"):
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        counts = TfidfVectorizer(sublinear_tf=True, min_df=2)
        first = counts.fit_transform(rows.x[parts[0]])
        svd = TruncatedSVD(100, random_state=0).fit(first)
        z = [svd.transform(counts.transform(rows.x[p])) for p in parts]
        scaler = Scaler.fit(z[0], ScalingParams(scaling="standard"))
        return [scaler.apply(part) for part in z]
    params = ScalingParams() if rows.name.startswith("ravdess") else ScalingParams(scaling="standard", components=100)
    scaler = Scaler.fit(rows.x[parts[0]], params)
    return [scaler.apply(rows.x[p]) for p in parts]
