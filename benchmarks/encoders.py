"""What encoders of installed packages add: recall of judges on people whom they have not met, identity, naturalness.

    python benchmarks/encoders.py judges --data shared/data --out judges.json [--corpora goemotions meld]
    python benchmarks/encoders.py people --data shared/data --out people.json
    python benchmarks/encoders.py natural --data shared/data --out natural.json
    python benchmarks/encoders.py page judges.json people.json natural.json

Needs the packages of docs/encoders.md. Development people alone: RAVDESS actors 01-06, FER2013 Training, GoEmotions and
MELD train.

judges   The judges of the gate `agreement` (linear and forest, cross-fitted over group folds) on each set of features:
         mean recall over classes of real samples that they had not met, out of fold. Texts and faces have no people:
         each GoEmotions comment and picture is a group of its own, MELD's groups are its dialogues. 95 % intervals:
         groups resampled 2,000 times, of the difference pairwise.
people   Equal error rate of pairs of recordings, and of recordings against the people of train.
natural  Opinions of DNSMOS and DistillMOS: real speech, its round trip through WORLD, the same with its spectrum
         smoothed over 0.1 s as a small variational autoencoder leaves it, phases drawn at random; and what the gate
         `mos` lets in of each at its default limit, of conversions of other people's recordings.
page     Writes docs/experiments/encoders.md from these files.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import corpora.quiet  # noqa: F401  (before anything heavy)
from validators.batch import Batch, rows_of

EKMAN = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
SETS = {
    "goemotions": ("ngrams", "minilm", "ngrams+minilm"),
    "meld": ("ngrams", "minilm", "ngrams+minilm"),
    "ravdess": ("functionals", "speaker_ge2e", "functionals+speaker_ge2e"),
    "fer2013": ("hog", "face_dlib", "hog+face_dlib"),
}
SEEDS = 3
RESAMPLES = 2000


def text_batch(rows: Sequence[tuple[str, str, str, str]]) -> Batch:
    """(id, class, group, text) -> a batch."""
    ids, emotions, groups, texts = zip(*rows, strict=True)
    signals = [np.frombuffer(text.encode(), np.uint8) for text in texts]
    return Batch("text", ids, emotions, signals, ids, groups=groups)


def goemotions(data: Path, most: int) -> Batch:
    """Train comments of one label, by Ekman's classes; at most `most` of each."""
    names = (data / "goemotions/emotions.txt").read_text().split("\n")
    ekman = json.loads((data / "goemotions/ekman_mapping.json").read_text())
    of = {fine: {"joy": "happiness"}.get(coarse, coarse) for coarse, fines in ekman.items() for fine in fines}
    rows = []
    for line in (data / "goemotions/train.tsv").read_text(encoding="utf-8").splitlines():
        text, labels, name = line.split("\t")
        classes = {of.get(names[int(i)], "neutral") for i in labels.split(",")}
        if len(classes) == 1 and text.strip():
            rows.append((name, classes.pop(), name, text))
    return text_batch(few(rows, most))


def meld(data: Path, most: int) -> Batch:
    """Train utterances; a dialogue is a group."""
    rows = []
    with (data / "meld/train_sent_emo.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name = f"{row['Dialogue_ID']}-{row['Utterance_ID']}"
            emotion = {"joy": "happiness"}.get(row["Emotion"], row["Emotion"])
            if row["Utterance"].strip():
                rows.append((name, emotion, row["Dialogue_ID"], row["Utterance"]))
    return text_batch(few(rows, most))


def few(rows: list[Any], most: int) -> list[Any]:
    """At most `most` of each class, in a fixed order."""
    kept = []
    for name in EKMAN:
        own = [row for row in rows if row[1] == name]
        order = np.random.default_rng([EKMAN.index(name)]).permutation(len(own))[:most]
        kept += [own[i] for i in np.sort(order)]
    return kept


def ravdess(data: Path, most: int) -> Batch:
    """Actors 01-06, prepared as a run prepares them."""
    from benchmarks.bench_identity import load

    batch = load(data / "ravdess", 0, 6)
    return replace(batch, ids=tuple(f"ravdess/{name}" for name in batch.ids))


def fer2013(data: Path, most: int) -> Batch:
    """Training rows, each once; at most `most` of each class."""
    order = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    seen: dict[str, tuple[str, str, str, np.ndarray]] = {}
    with (data / "fer2013/fer2013.csv").open() as file:
        for i, row in enumerate(csv.DictReader(file)):
            if row["Usage"] == "Training":
                pixels = np.array(row["pixels"].split(), np.uint8).reshape(48, 48)
                seen.setdefault(row["pixels"], (f"{i}", order[int(row["emotion"])], f"{i}", pixels))
    ids, emotions, groups, signals = zip(*few(list(seen.values()), most), strict=True)
    return Batch("face", ids, emotions, list(signals), ids, groups=groups)


CORPORA = {"goemotions": goemotions, "meld": meld, "ravdess": ravdess, "fer2013": fer2013}
MOST = {"goemotions": 1200, "meld": 1200, "ravdess": 10_000, "fer2013": 220}


def judges(data: Path, names: Sequence[str]) -> dict[str, Any]:
    """Corpus -> sets of features -> recall, its interval and that of its difference to the first set."""
    from validators.embeddings.features import features_of, titled
    from validators.gates.agreement import Agreement

    out: dict[str, Any] = {}
    for name in names:
        batch = CORPORA[name](data, MOST[name])
        classes = tuple(sorted(set(batch.emotions)))
        labels, groups = np.asarray(batch.emotions), np.asarray(batch.groups)
        hits, told = {}, {}
        for features in SETS[name]:
            started = time.perf_counter()
            features_of(batch, features)  # of several joined, the parts are there already
            encoding = (time.perf_counter() - started) / len(batch)
            encoding += sum(told[part]["ms"] for part in features.split("+") if part in told) / 1000
            started = time.perf_counter()
            of_seed = []
            for seed in range(SEEDS):
                gate = Agreement.fit(batch, classes=classes, params={"features": features}, seed=seed)
                target, p = gate._arrays["oof_target"], gate._arrays["oof_p"]
                of_seed.append(p.argmax(axis=1) == target)
            hits[features] = np.mean(of_seed, axis=0)
            told[features] = {"title": titled(features), "ms": 1000 * encoding}
            told[features]["fit_s"] = (time.perf_counter() - started) / SEEDS
            print(name, features, recall(hits[features], labels), told[features], flush=True)
        first = hits[SETS[name][0]]
        names_of, of_row = np.unique(groups, return_inverse=True)
        rng = np.random.default_rng(0)
        weights = [np.bincount(rng.integers(0, len(names_of), len(names_of)), minlength=len(names_of))[of_row]
                   for _ in range(RESAMPLES)]  # fmt: skip
        for features, own in hits.items():
            drawn = np.array([recall(own, labels, w) for w in weights])
            base = np.array([recall(first, labels, w) for w in weights])
            told[features] |= {
                "uar": recall(own, labels),
                "interval": interval(drawn),
                "gain": recall(own, labels) - recall(first, labels),
                "gain_interval": interval(drawn - base),
                "per_class": {c: float(own[labels == c].mean()) for c in classes},
            }
        out[name] = {"n": len(batch), "groups": len(names_of), "classes": len(classes), "sets": told}
    return out


def recall(hit: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean over classes of the share that was named right."""
    w = np.ones(len(hit)) if weights is None else weights
    each = [np.average(hit[labels == c], weights=w[labels == c]) for c in np.unique(labels) if w[labels == c].any()]
    return float(np.mean(each))


def interval(values: np.ndarray) -> list[float]:
    """95 %."""
    return [float(v) for v in np.quantile(values, [0.025, 0.975])]


def people(data: Path) -> dict[str, Any]:
    """Kind of embedding -> equal error rates on RAVDESS 01-06."""
    from validators.embeddings.people import fit_identity
    from validators.gates.identity import folds_within
    from validators.maths.sets import unit_rows

    batch = ravdess(data, 0)
    who, names = np.asarray(batch.subjects), sorted(set(batch.subjects))
    index = np.array([names.index(s) for s in who])
    fold = folds_within(index, np.asarray(batch.emotions), 3, 0)
    out: dict[str, Any] = {}
    for kind in ("statistics", "speaker_ge2e", "statistics+speaker_ge2e"):
        strangers = []
        for pair in itertools.combinations(names, 2):
            away = np.isin(who, pair)
            points = fit_identity(rows_of(batch, ~away), kind=kind).embed(rows_of(batch, away))
            strangers.append(error_of_pairs(points, who[away]))
        scores, same, right = [], [], []
        for f in range(3):
            points = fit_identity(rows_of(batch, fold != f), kind=kind, subjects=names).embed(batch)
            means = unit_rows(np.stack([points[(fold != f) & (index == k)].mean(axis=0) for k in range(len(names))]))
            likeness = points[fold == f] @ means.T
            scores.append(likeness.ravel())
            same.append((index[fold == f][:, None] == np.arange(len(names))).ravel())
            right.append(likeness.argmax(axis=1) == index[fold == f])
        out[kind] = {
            "strangers": float(np.mean(strangers)),
            "strangers_low_high": [float(min(strangers)), float(max(strangers))],
            "known": equal_error(np.concatenate(scores), np.concatenate(same)),
            "nearest": float(np.concatenate(right).mean()),
        }
        print(kind, out[kind], flush=True)
    points = speaker_points(batch)
    points -= points.mean(axis=0)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    bare = [error_of_pairs(points[np.isin(who, pair)], who[np.isin(who, pair)]) for pair in
            itertools.combinations(names, 2)]  # fmt: skip
    out["speaker_ge2e, not projected"] = {"strangers": float(np.mean(bare)),
                                          "strangers_low_high": [min(bare), max(bare)]}  # fmt: skip
    print(out["speaker_ge2e, not projected"])
    return out


def speaker_points(batch: Batch) -> np.ndarray:
    """[B, 256]"""
    from validators.embeddings.features import features_of

    return features_of(batch, "speaker_ge2e").copy()


def error_of_pairs(points: np.ndarray, who: np.ndarray) -> float:
    """Equal error rate over all pairs of rows."""
    i, j = np.triu_indices(len(points), 1)
    return equal_error((points @ points.T)[i, j], who[i] == who[j])


def equal_error(scores: np.ndarray, same: np.ndarray) -> float:
    """[n] likeness, [n] bool -> where misses and false alarms are equally frequent."""
    from sklearn.metrics import roc_curve

    alarms, caught, _ = roc_curve(same, scores)
    at = int(np.argmin(np.abs(1 - caught - alarms)))
    return float((1 - caught[at] + alarms[at]) / 2)


def degraded(batch: Batch) -> Iterator[tuple[str, list[np.ndarray]]]:
    """What is done to real speech, and the speech after it."""
    from corpora.codecs import decode_wav, encode_wav
    from corpora.schema import Payload
    from features.representation import make_representation
    from validators.gates.mos import phases_drawn

    yield "real", list(batch.signals)
    world: Any = make_representation("world", {"max_s": 8.0})
    arrays = [world.encode(Payload(encode_wav(s.astype(np.float32), 16000), "wav")) for s in batch.signals]

    def heard(array: np.ndarray) -> np.ndarray:
        return decode_wav(world.decode(array).data)[0][:, 0].astype(np.float32)

    yield "WORLD round trip", [heard(a) for a in arrays]
    from scipy.ndimage import uniform_filter1d

    mask = world.spec.mask_row
    columns = round(0.1 * world.spec.rate_hz)
    smooth = []
    for array in arrays:
        flat = array.copy()
        rows = [r for r in range(len(array)) if r != mask and "f0" not in world.spec.rows[r]]
        flat[rows] = uniform_filter1d(array[rows], columns, axis=1, mode="nearest")
        smooth.append(heard(flat))
    yield "WORLD, spectrum smoothed over 0.1 s", smooth
    rng = np.random.default_rng(0)
    yield "phases drawn at random", [phases_drawn(s, rng) for s in batch.signals]
    noise = [s + 10 ** (-20 / 20) * np.std(s) * rng.standard_normal(s.size).astype(np.float32) for s in batch.signals]
    yield "noise at 20 dB", noise


def natural(data: Path) -> dict[str, Any]:
    """Model -> what was done -> mean opinion, and the share that the gate lets in."""
    from validators.gate import admit, class_limits, default_limit
    from validators.gates.mos import MosParams, Naturalness, opinions

    batch = ravdess(data, 0)
    fields = [name.split("-") for name in batch.ids]  # ..., intensity, sentence, repetition, actor
    batch = rows_of(batch, np.asarray([f[4] == f[5] for f in fields]))  # half of them, of each actor and emotion
    classes = tuple(sorted(set(batch.emotions)))
    versions = {what: replace(batch, signals=signals, cache={}) for what, signals in degraded(batch)}
    rng, out = np.random.default_rng(0), {}
    half = rng.permutation(len(batch))
    train, held = half[: len(batch) // 2], half[len(batch) // 2 :]
    for model in ("dnsmos", "distillmos"):
        told: dict[str, Any] = {}
        options = MosParams.model_validate({"model": model})
        started = time.perf_counter()
        values = {what: opinions(own, options) for what, own in versions.items()}
        seconds = (time.perf_counter() - started) / (len(values) * len(batch))
        for reference in ("real", "WORLD round trip"):
            gate = Naturalness.fit(
                rows_of(versions[reference], train), classes=classes, params={"model": model}, seed=0
            )
            limits, silent = class_limits(gate, default_limit(gate), classes)
            for what, own in versions.items():
                part = rows_of(own, held)
                made = replace(part, ids=tuple(f"syn/{i}" for i in part.ids))
                scores, emotions = gate.score(made), np.asarray(made.emotions)
                passed = [bool(admit(scores[i : i + 1], limits[e], gate.better)[0]) for i, e in enumerate(emotions)]
                told.setdefault(what, {})[f"let in, limit from {reference}"] = float(np.mean(passed))
            told[f"undecided, limit from {reference}"] = sorted(silent)
        for what, own in values.items():
            difference = own - values["real"]
            told[what] |= {"mean": float(own.mean()), "difference": float(difference.mean()),
                           "worse": float((difference < 0).mean())}  # fmt: skip
        out[model] = {"n": len(batch), "s_each": seconds, "versions": told}
        print(model, json.dumps(out[model], indent=1), flush=True)
    return out


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=["judges", "people", "natural", "page"])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--data", type=Path, default=Path("shared/data"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--corpora", nargs="+", choices=list(CORPORA), default=list(CORPORA))
    given = parser.parse_args()
    if given.what == "page":
        from benchmarks.encoders_page import written

        written([json.loads(path.read_text()) for path in given.files])
        return
    doors: dict[str, Any] = {"judges": lambda: judges(given.data, given.corpora), "people": lambda: people(given.data)}
    result = doors.get(given.what, lambda: natural(given.data))()
    if given.out:
        given.out.write_text(json.dumps({given.what: result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
