"""Does converted speech replace what a rare class lacks? Conversions in sample space against transfer of features.

    python benchmarks/differential_protocol.py shared/data/ravdess --cache /tmp/conversions --out results.json

RAVDESS, people 01 to 06, subject-disjoint folds of two; one class of train pruned to a tenth (at least three samples),
nothing else filled. Each arm gives converted train samples of all other classes: all of them at low weight, or as many
as are missing. Classifiers: SVC(C=1) and LogisticRegression(C=0.1) on 88 functionals in normal scores of train.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score
from sklearn.svm import SVC

import corpora.quiet  # noqa: F401
from benchmarks.differential import Utterance, load, world_converted
from corpora.codecs import decode_wav, encode_wav
from corpora.errors import PayloadError
from corpora.schema import Payload
from features.speech.differential.analysis import HOP_S, Analysis
from features.speech.differential.representation import DifferentialRepresentation
from features.speech.differential.statistics import Statistics
from features.speech.functionals import speech_functionals
from features.speech.world import WorldFrames
from features.speech.world import analyse as world_analyse
from generators.effects import EffectParams, NormalScores, class_effects

PEOPLE = ("01", "02", "03", "04", "05", "06")
KEPT, FEWEST = 0.1, 3
EXTRAS = {
    "jitter": ("log_jitter",),
    "shimmer": ("log_shimmer",),
    "unvoiced": tuple(f"c{i}_unvoiced_less_voiced" for i in range(6)),
}


@dataclass(frozen=True)
class Arm:
    """A way to convert: by which estimate of the effect, with which controls, by which synthesis."""

    estimator: str  # naive, shared, or true: the naive one with the samples that were pruned
    controls: tuple[str, ...] = ()
    f0: bool = True
    vocoder: bool = False
    duration: bool = False
    strength: float = 1.0
    scores: bool = False  # effects are estimated and added in normal scores of the statistics


ARMS = {
    "WORLD": Arm("naive", vocoder=True),
    "S": Arm("naive", f0=False),
    "SF": Arm("naive"),
    "SF + duration": Arm("naive", duration=True),
    "SF + unvoiced": Arm("naive", ("unvoiced",)),
    "SF + jitter, shimmer": Arm("naive", ("jitter", "shimmer")),
    "SF + all three": Arm("naive", ("unvoiced", "jitter", "shimmer")),
    "SF shared": Arm("shared", scores=True),
    "SF + all three, shared": Arm("shared", ("unvoiced", "jitter", "shimmer"), scores=True),
    "SF + duration, shared": Arm("shared", duration=True, scores=True),
    "WORLD shared": Arm("shared", vocoder=True, scores=True),
    "SF true mean": Arm("true"),
}


@dataclass(frozen=True)
class Cell:
    """A fold, a rare class and a pruning: rows of train that stay, rows that were pruned, rows of test."""

    name: str
    rare: int
    train: np.ndarray
    pruned: np.ndarray
    test: np.ndarray


def cells(utterances: list[Utterance], classes: list[str], seeds: int) -> list[Cell]:
    y = np.array([classes.index(u.emotion) for u in utterances])
    who = np.array([u.subject for u in utterances])
    out = []
    for fold in range(3):
        tested = np.isin(who, PEOPLE[2 * fold : 2 * fold + 2])
        for rare, name in enumerate(classes):
            if name == "neutral":
                continue
            own = np.flatnonzero(~tested & (y == rare))
            for seed in range(seeds):
                kept = np.random.default_rng([seed, fold, rare]).permutation(own)[: max(FEWEST, int(KEPT * len(own)))]
                pruned = np.setdiff1d(own, kept)
                train = np.setdiff1d(np.flatnonzero(~tested), pruned)
                out.append(Cell(f"{fold}-{name}-{seed}", rare, train, pruned, np.flatnonzero(tested)))
    return out


def offsets(x: np.ndarray, y: np.ndarray, who: np.ndarray, rows: np.ndarray, rare: int, how: str) -> np.ndarray:
    """-> [K, D]: what is added to a sample of each class to make it one of the rare class."""
    params = EffectParams(estimator="shared" if how == "shared" else "naive")
    return class_effects(x[rows], y[rows], list(who[rows]), int(y.max()) + 1, params=params).offsets[rare]


class Conversions:
    """Functionals of converted utterances, on disk by cell and arm."""

    def __init__(self, utterances: list[Utterance], y: np.ndarray, who: np.ndarray, cache: Path, every: int) -> None:
        self.utterances, self.y, self.who, self.cache, self.every = utterances, y, who, cache, every
        self.editor, self.stretcher = (
            DifferentialRepresentation(jitter=True, shimmer=True, unvoiced=True, move_duration=moves)
            for moves in (False, True)
        )
        for editor in (self.editor, self.stretcher):
            editor.remembered = len(utterances)
        self.frames: dict[int, WorldFrames] = {}

    @cached_property
    def statistics(self) -> np.ndarray:
        """[N, D] of all utterances; not needed where all conversions are on disk."""
        return np.stack([self.editor.encode(u.payload) for u in self.utterances]).astype(np.float64)

    @cached_property
    def analyses(self) -> list[Analysis]:
        """Of all utterances."""
        return [self.editor.analysis(u.payload) for u in self.utterances]

    def of(self, cell: Cell, label: str, arm: Arm) -> tuple[np.ndarray, np.ndarray]:
        """-> (rows of the sources [M], functionals [M, 88]; NaN where the edit was refused)."""
        sources = self.sources(cell)
        path = self.cache / label.replace(" ", "_") / f"{cell.name}.npy"
        if path.exists():
            return sources, np.load(path)
        rows = np.concatenate([cell.train, cell.pruned]) if arm.estimator == "true" else cell.train
        scores = NormalScores.fit(self.statistics[cell.train]) if arm.scores else None
        space = self.statistics if scores is None else scores.transform(self.statistics)
        moves = offsets(space, self.y, self.who, rows, cell.rare, arm.estimator) * arm.strength
        names = self.editor.spec.rows
        still = [c for extra, cs in EXTRAS.items() if extra not in arm.controls for c in cs]
        still += [] if arm.f0 else ["log_f0_mean", "log_f0_log_sd"]
        still += [] if arm.duration else ["log_duration"]
        out = []
        for i in sources:
            moved = space[i] + moves[self.y[i]]
            after = (moved if scores is None else scores.inverse(moved[None])[0]).astype(np.float32)
            before = self.statistics[i].astype(np.float32)
            for name in still:
                after[names.index(name)] = before[names.index(name)]
            out.append(self._converted(i, before, after, arm))
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack(out))
        return sources, np.stack(out)

    def sources(self, cell: Cell) -> np.ndarray:
        """Rows of train of the other classes, every `every`th of them."""
        return cell.train[self.y[cell.train] != cell.rare][:: self.every]

    def _frames(self, i: int) -> WorldFrames:
        if i not in self.frames:
            self.frames[i] = world_analyse(self.analyses[i].signal, 16000, hop_s=HOP_S, f0_method="dio")
        return self.frames[i]

    def _converted(self, i: int, before: np.ndarray, after: np.ndarray, arm: Arm) -> np.ndarray:
        if arm.vocoder:
            change = Statistics.of_vector(after.astype(np.float64) - before, self.editor.columns)
            signal = world_converted(self.analyses[i], replace(change, log_duration=0.0), self._frames(i))
            payload = Payload(encode_wav((signal / max(1.0, np.abs(signal).max())).astype(np.float32), 16000), "wav")
        else:
            editor = self.stretcher if arm.duration else self.editor
            try:
                payload = editor.edit(self.utterances[i].payload, before, after)
            except PayloadError:
                return np.full(88, np.nan)
        return speech_functionals(decode_wav(payload.data)[0][:, 0], 16000)


def answers(x: np.ndarray, y: np.ndarray, weight: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    """Training rows, labels, weights, test rows -> predictions of each classifier."""
    models = {"SVM": SVC(C=1.0), "LR": LogisticRegression(C=0.1, max_iter=5000)}
    return {name: m.fit(x, y, sample_weight=weight).predict(test) for name, m in models.items()}


def evaluate(cell: Cell, functionals: np.ndarray, y: np.ndarray, who: np.ndarray, made: Conversions, labels: list[str]):
    """-> {(arm, amount, classifier): (UAR, recall, F1) of the rare class in percent}, refused share by arm."""
    scores = NormalScores.fit(functionals[cell.train])
    z = scores.transform(functionals)
    counts = np.bincount(y[cell.train], minlength=int(y.max()) + 1)
    missing = int(counts.max() - counts[cell.rare])
    rows: dict[str, np.ndarray] = {"nothing": np.zeros((0, z.shape[1])), "oracle": z[cell.pruned]}
    refused = {}
    sources = made.sources(cell)
    for label, how in (("transfer", "naive"), ("transfer, shared", "shared"), ("transfer, true mean", "true")):
        used = np.concatenate([cell.train, cell.pruned]) if how == "true" else cell.train
        rows[label] = z[sources] + offsets(z, y, who, used, cell.rare, how)[y[sources]]
    for label in labels:
        _, converted = made.of(cell, label, ARMS[label])
        fine = np.isfinite(converted).all(axis=1)
        refused[label] = float(1 - fine.mean())
        rows[label] = scores.transform(converted[fine])
        partner = "transfer, shared" if ARMS[label].estimator == "shared" else "transfer"
        if label in ("SF", "SF shared"):
            rows[f"mean of {label} and {partner}"] = (rows[label] + rows[partner][fine]) / 2
    out = {}
    for label, new in rows.items():
        amounts = {"all": np.arange(len(new))}
        if label not in ("nothing", "oracle"):
            chosen = np.random.default_rng([7, cell.rare]).permutation(len(new))[:missing]
            amounts["missing"] = chosen
        for amount, chosen in amounts.items():
            each = 1.0 if label == "oracle" or not len(chosen) else missing / len(chosen)
            x = np.concatenate([z[cell.train], new[chosen]])
            t = np.concatenate([y[cell.train], np.full(len(chosen), cell.rare)])
            w = np.concatenate([np.ones(len(cell.train)), np.full(len(chosen), each)])
            for classifier, said in answers(x, t, w, z[cell.test]).items():
                truth = y[cell.test]
                out[label, amount, classifier] = (
                    100 * recall_score(truth, said, average="macro", zero_division=0),
                    100 * recall_score(truth, said, labels=[cell.rare], average="macro", zero_division=0),
                    100 * f1_score(truth, said, labels=[cell.rare], average="macro", zero_division=0),
                )
    return out, refused


def half_width(values: np.ndarray) -> float:
    """95 % half width of the mean over cells."""
    return float(student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def table(results: dict[tuple[str, str, str], np.ndarray], classifier: str, anchor: str) -> str:
    """[cells, 3] of each arm -> a Markdown table: means, differences to the anchor, shares of the oracle gap."""
    low, high = results["nothing", "all", classifier].mean(0), results["oracle", "all", classifier].mean(0)
    lines = [
        f"| {classifier}: arm | rows | UAR | recall | F1 | share of the gap, UAR / F1 | minus {anchor}: F1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for (label, amount, which), values in results.items():
        if which != classifier:
            continue
        mean = values.mean(0)
        share = 100 * (mean - low) / (high - low)
        against = values[:, 2] - results[anchor, "all", classifier][:, 2]
        widths = [half_width(values[:, c]) for c in range(3)]
        cols = " | ".join(f"{m:.1f} ±{w:.1f}" for m, w in zip(mean, widths, strict=True))
        paired = "" if label == anchor and amount == "all" else f"{against.mean():+.1f} ±{half_width(against):.1f}"
        lines.append(f"| {label} | {amount} | {cols} | {share[0]:.0f} / {share[2]:.0f} % | {paired} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--every", type=int, default=1, help="use every Nth source alone")
    parser.add_argument("--arms", nargs="*", default=list(ARMS))
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), help="convert cells I of every N alone, no table")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    utterances = load(options.root, PEOPLE)
    classes = sorted({u.emotion for u in utterances})
    y = np.array([classes.index(u.emotion) for u in utterances])
    who = np.array([u.subject for u in utterances])
    made = Conversions(utterances, y, who, options.cache, options.every)
    every = cells(utterances, classes, options.seeds)
    index, parts = options.part
    if parts > 1:
        for label in options.arms:
            for cell in every[index::parts]:
                made.of(cell, label, ARMS[label])
        return
    functionals = np.stack([u.functionals for u in utterances])
    collected: dict[tuple[str, str, str], list[tuple[float, float, float]]] = {}
    refused: dict[str, list[float]] = {}
    for cell in every:
        measured, left_out = evaluate(cell, functionals, y, who, made, options.arms)
        for key, value in measured.items():
            collected.setdefault(key, []).append(value)
        for label, share in left_out.items():
            refused.setdefault(label, []).append(share)
    results = {key: np.array(value) for key, value in collected.items()}
    print(f"{len(every)} cells, {len(utterances)} utterances, classes {', '.join(classes)}")
    for classifier in ("SVM", "LR"):
        print("\n" + table(results, classifier, "transfer"))
    print("\nrefused, %:", {k: round(100 * float(np.mean(v)), 2) for k, v in refused.items()})
    if options.out:
        plain = {" / ".join(key): value.round(2).tolist() for key, value in results.items()}
        options.out.write_text(json.dumps({"cells": [c.name for c in every], "results": plain}, indent=1) + "\n")


if __name__ == "__main__":
    main()
