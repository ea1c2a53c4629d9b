"""Means of features by class, real train samples beside synthetic ones: what one looks at first in a release of
feature rows.

    python -m benchmarks.feature_means RELEASE [--columns 8]

Printed of each class: how many, and for the columns in which the classes of real samples differ most (F of a one-way
analysis of variance) the means of both; then, over all columns, the median and the largest distance between the two
means in deviations of the real class.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from corpora.store.release import UNIT, open_release


def most_telling(x: np.ndarray, labels: np.ndarray, n: int) -> list[int]:
    """[N, D] and N classes -> the n columns of largest F."""
    classes = sorted(set(labels))
    means = np.stack([x[labels == c].mean(axis=0) for c in classes])
    counts = np.array([(labels == c).sum() for c in classes])[:, None]
    between = (counts * (means - x.mean(axis=0)) ** 2).sum(axis=0) / max(1, len(classes) - 1)
    within = sum(((x[labels == c] - x[labels == c].mean(axis=0)) ** 2).sum(axis=0) for c in classes)
    ratio = between / np.maximum(np.asarray(within) / max(1, len(x) - len(classes)), 1e-12)
    return [int(i) for i in np.argsort(-ratio)[:n]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release", type=Path)
    parser.add_argument("--columns", type=int, default=8)
    options = parser.parse_args()
    table = open_release(options.release).features()
    names = table.schema.names[table.schema.get_field_index("generator_id") + 1 :]
    split, emotion = (np.array(table[c].to_pylist()) for c in ("split", "emotion"))
    is_real = np.array([g is None for g in table["generator_id"].to_pylist()])
    x = np.stack([table[name].to_numpy() for name in names], axis=1).astype(np.float64)
    real, synthetic = (split == "train") & is_real, ~is_real
    shown = most_telling(x[real], emotion[real], options.columns)
    units = [(table.schema.field(names[i]).metadata or {}).get(UNIT, b"").decode() for i in shown]
    heads = [f"{names[i]} ({unit})" if unit else names[i] for i, unit in zip(shown, units, strict=True)]
    print("| class | | n | " + " | ".join(heads) + " | median, largest distance |")
    print("|---|---|---:|" + "---:|" * (len(shown) + 1))
    for name in sorted(set(emotion[synthetic])):
        own = [x[rows & (emotion == name)] for rows in (real, synthetic)]
        apart = np.abs(own[1].mean(axis=0) - own[0].mean(axis=0)) / np.maximum(own[0].std(axis=0), 1e-6)
        for kind, part in zip(("real", "synthetic"), own, strict=True):
            cells = " | ".join(f"{part[:, i].mean():.3g}" for i in shown)
            distances = f"{np.median(apart):.2f}, {apart.max():.2f}" if kind == "synthetic" else ""
            print(f"| {name} | {kind} | {len(part)} | {cells} | {distances} |")


if __name__ == "__main__":
    main()
