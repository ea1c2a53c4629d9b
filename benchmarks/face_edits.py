"""What edits of real faces are worth to a classifier: texture, warp, gains of oriented energy, against feature space.

    python -m benchmarks.face_edits FER2013.csv [--seeds 10 11 12] [--samples 1500] [--sources 120] [--arms ...]

Training rows alone, near copies removed; two stratified halves a seed, one class cut to 10 %. Every arm but the first
three fills the other short classes by the transfer in feature space, so that the gap is clean. An arm "NAME:S" edits
with strength S; "NAME:S!" with class means of the uncut half. Printed as cells come in: one JSON object a line, with
UAR, F1 of the cut class, and cosine and slope of the realised change of features against the wanted one. The table of
docs/experiments/faces.md is a mean over such cells.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.face_warping import moved_face
from corpora.codecs import decode_image, encode_png
from corpora.near.images import fingerprint, near_pairs
from corpora.schema import Payload
from features.faces.hog import hog_features
from features.faces.oriented import OrientedEnergyRepresentation
from generators.effects import shrunk_means, stein_means
from generators.spaces import principal_axes

N_CLASSES, RARE = 7, 1  # disgust has too few samples to be cut
PLAIN = ("nothing", "weights", "logit")
EDITS = ("feature:1", "texture:1", "texture:1.5", "texture:2", "warp:1", "oriented:1", "oriented:2")
KNOWN = ("feature:1!", "texture:2!", "warp:1!", "oriented:2!")
ARMS = (*PLAIN, "fill", "oracle", *EDITS, *KNOWN)
ORIENTED = OrientedEnergyRepresentation()


def pictures(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Training rows without near copies -> [N, 48, 48] uint8, labels [N]."""
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["Usage"] == "Training"]
    faces = np.stack([np.array(row["pixels"].split(), np.uint8).reshape(48, 48) for row in rows])
    prints = [fingerprint(encode_png(face)) for face in faces]
    keep = np.array([bool(data) for data in prints])
    for first, second in near_pairs(prints)[0]:
        keep[second] &= not keep[first]
    return faces[keep], np.array([int(row["emotion"]) for row in rows])[keep]


def hog(faces: np.ndarray) -> np.ndarray:
    """[N, 48, 48] any grey levels -> [N, 900] float64"""
    return hog_features(np.rint(np.clip(faces, 0, 255)).astype(np.uint8)).astype(np.float64)


@dataclass
class Cell:
    """One half of a draw with class `rare` cut: rows `full` of (faces, labels) before and `kept` after the cut."""

    faces: np.ndarray
    labels: np.ndarray
    full: np.ndarray
    kept: np.ndarray
    rare: int
    sources: np.ndarray

    def __post_init__(self) -> None:
        features = hog(self.faces)
        self.scaler = StandardScaler().fit(features[self.kept])
        self.pca = PCA(100, random_state=0).fit(self.scaler.transform(features[self.kept]))
        self.features = self.projected(features)

    def projected(self, features: np.ndarray) -> np.ndarray:
        """HOG [N, 900] -> [N, 100]"""
        return np.asarray(self.pca.transform(self.scaler.transform(features)))

    def means(self, values: np.ndarray, true: bool) -> np.ndarray:
        """[all, D] -> class means [K, D]: shrunk, of what is left; or plain, of what was there."""
        if true:
            return np.stack([values[self.full][self.labels[self.full] == k].mean(axis=0) for k in range(N_CLASSES)])
        own = values[self.kept]
        return shrunk_means(own - own.mean(axis=0), self.labels[self.kept], N_CLASSES)[0]

    @cached_property
    def oriented(self) -> np.ndarray:
        """[all, D] vectors of `oriented_energy`."""
        return np.stack([ORIENTED.encode(Payload(encode_png(face), "png")) for face in self.faces]).astype(np.float64)

    def mean_faces(self, true: bool) -> np.ndarray:
        """[K, 48, 48] of pictures without their own brightness and contrast, as the conversion of images has them."""
        flat = self.faces.reshape(len(self.faces), -1).astype(np.float64)
        flat = (flat - flat.mean(axis=1, keepdims=True)) / np.maximum(flat.std(axis=1, keepdims=True), 2.5)
        if true:
            return self.means(flat, True).reshape(-1, 48, 48)
        own = flat[self.kept]
        axes = principal_axes(own - own.mean(axis=0), 64)
        values = (own - own.mean(axis=0)) @ axes.T
        shrunk = stein_means(values - values.mean(axis=0), self.labels[self.kept], N_CLASSES)[0]
        return (own.mean(axis=0) + shrunk @ axes).reshape(-1, 48, 48)

    def converted(self, how: str, strength: float, true: bool) -> np.ndarray:
        """The sources as the rare class -> features [n, 100]."""
        classes = self.labels[self.sources]
        if how == "feature":
            means = self.means(self.features, true)
            return np.asarray(self.features[self.sources] + strength * (means[self.rare] - means[classes]))
        if how == "oriented":
            means = self.means(self.oriented, true)
            edited = [self._gained(i, strength * (means[self.rare] - means[self.labels[i]])) for i in self.sources]
            return self.projected(hog(np.stack(edited)))
        means = self.mean_faces(true)
        if how == "warp":  # what a class does to faces is symmetric, and halves the noise of where it does it
            means = (means + means[:, :, ::-1]) / 2
        moved = []
        for i, k in zip(self.sources, classes, strict=True):
            face = self.faces[i].astype(np.float64)
            contrast = max(float(face.std()), 2.5)
            mean_from, mean_to = contrast * means[k], contrast * means[self.rare]
            warped = moved_face(face, mean_from, mean_to, strength) if how == "warp" else None
            moved.append(face + strength * (mean_to - mean_from) if warped is None else warped)
        return self.projected(hog(np.stack(moved)))

    def _gained(self, i: int, change: np.ndarray) -> np.ndarray:
        before = self.oriented[i]
        source = Payload(encode_png(self.faces[i]), "png")
        return decode_image(ORIENTED.edit(source, before, before + change).data)

    def filled(self, rows: np.ndarray, rare: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Train rows and new ones of short classes -> features, labels, weights."""
        x, y = self.features[rows], self.labels[rows]
        means, _ = shrunk_means(x - x.mean(axis=0), y, N_CLASSES)
        counts = np.bincount(y, minlength=N_CLASSES)
        parts, labels, weights = [x], [y], [np.ones(len(y))]
        for k in range(N_CLASSES):
            cut = k == self.rare and rows is self.kept
            new = rare if cut else x[y != k] + means[k] - means[y[y != k]]
            if new is None or counts[k] == counts.max() or (counts[k] < 8 and not cut):
                continue
            parts.append(new)
            labels.append(np.full(len(new), k))
            weights.append(np.full(len(new), (counts.max() - counts[k]) / len(new)))
        return np.concatenate(parts), np.concatenate(labels), np.concatenate(weights)

    def train(self, arm: str) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], dict[str, float]]:
        """Features, labels, weights of an arm, and how its features moved."""
        if arm in PLAIN:
            return (self.features[self.kept], self.labels[self.kept], np.ones(len(self.kept))), {}
        if arm in ("fill", "oracle"):
            return self.filled(self.full if arm == "oracle" else self.kept, None), {}
        how, _, strength = arm.removesuffix("!").partition(":")
        rare = self.converted(how, float(strength), arm.endswith("!"))
        truth, classes = self.means(self.features, True), self.labels[self.sources]
        real = rare - self.features[self.sources]
        got = np.stack([real[classes == k].mean(axis=0) for k in np.unique(classes)])
        want = np.stack([truth[self.rare] - truth[k] for k in np.unique(classes)])
        told = float((got * want).sum())
        fidelity = {
            "slope": told / float((want**2).sum()),
            "cosine": told / float(np.sqrt((got**2).sum() * (want**2).sum())),
        }
        return self.filled(self.kept, rare), fidelity


def cells(faces: np.ndarray, labels: np.ndarray, seed: int, n_sources: int) -> Iterator[tuple[Cell, np.ndarray]]:
    """Each half and class of a draw -> its cell, and the rows that it is tested on."""
    halves = StratifiedKFold(2, shuffle=True, random_state=seed).split(faces, labels)
    for half, (train, test) in enumerate(halves):
        for rare in (k for k in range(N_CLASSES) if k != RARE):
            rng = np.random.default_rng([seed, half, rare])
            own, others = train[labels[train] == rare], train[labels[train] != rare]
            left = rng.choice(own, max(3, round(0.1 * len(own))), replace=False)
            sources = np.sort(rng.choice(others, min(n_sources, len(others)), replace=False))
            yield Cell(faces, labels, train, np.sort(np.r_[others, left]), rare, sources), test


def scored(cell: Cell, test: np.ndarray, arm: str) -> Iterator[dict[str, Any]]:
    """UAR and F1 of the cut class in points, of both classifiers."""
    (x, y, weights), fidelity = cell.train(arm)
    balance = "balanced" if arm == "weights" else None
    for name, model in (
        ("svm", SVC(C=1.0, class_weight=balance)),
        ("lr", LogisticRegression(C=0.1, class_weight=balance, max_iter=500)),
    ):
        model.fit(x, y, sample_weight=weights)
        said = model.predict(cell.features[test])
        if arm == "logit" and name == "lr":
            prior = np.log(np.bincount(y, minlength=N_CLASSES)[model.classes_] / len(y))
            said = model.classes_[(model.decision_function(cell.features[test]) - prior).argmax(axis=1)]
        truth = cell.labels[test]
        yield {
            "arm": arm,
            "classifier": name,
            "rare": cell.rare,
            "uar": 100 * float(recall_score(truth, said, average="macro")),
            "f1": 100 * float(f1_score(truth, said, labels=[cell.rare], average="macro", zero_division=0.0)),
            **fidelity,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    parser.add_argument("--samples", type=int, default=1500)
    parser.add_argument("--sources", type=int, default=120)
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    options = parser.parse_args()
    faces, labels = pictures(options.csv)
    for seed in options.seeds:
        drawn = np.sort(np.random.default_rng(seed).choice(len(faces), options.samples, replace=False))
        for number, (cell, test) in enumerate(cells(faces[drawn], labels[drawn], seed, options.sources)):
            for arm in options.arms:
                for row in scored(cell, test, arm):
                    print(json.dumps({"seed": seed, "cell": number, **row}), flush=True)


if __name__ == "__main__":
    main()
