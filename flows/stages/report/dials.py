"""Samples along a dial: one class at rising intensity, valence, arousal or dominance; mixtures by their shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from flows.stages.report.data import Listed, RunFolder, listed
from flows.stages.report.samples import Shown, feature_names, medium_of, order_of
from generators.generator import RATED
from validators.trials.curves import mixture_name

IN_A_ROW = 5
CLASSES = 2  # of a dial


@dataclass(frozen=True, slots=True)
class DialRow:
    """title: "fear, intensity"; shown: samples from the lowest asked value to the highest, which stands below each."""

    title: str
    shown: Sequence[Shown]


def dial_rows(data: RunFolder, max_characters: int) -> list[DialRow]:
    """Up to five released samples of each row, chosen by their names alone; none where draws asked for one value. What
    would be beyond `max_characters` of pictures and sounds is left out. Raises `IntegrityError`."""
    if data.synthetic is None:
        return []
    features, folder, used = feature_names(data), data.folder / "augmented", 0
    rows: list[DialRow] = []
    for title, samples in [*_rated(data), *_mixed(data.synthetic)]:
        shown: list[Shown] = []
        for said, row in samples:
            medium = medium_of(folder, row, features, may_be_broken=False)
            if used + medium.n_bytes > max_characters:
                continue
            used += medium.n_bytes
            note = f"{said} · {medium.note}" if medium.sound or medium.figure else said
            shown.append(Shown(medium, note, f"{row.sample_id} · asked {said}"))
        if shown:
            rows.append(DialRow(title, shown))
    return rows


def _rated(data: RunFolder) -> list[tuple[str, list[tuple[str, Listed]]]]:
    table = data.synthetic
    assert table is not None
    emotions = np.asarray(table["emotion"].to_pylist(), dtype=object)
    dials = []
    for name in RATED:
        values = np.array([np.nan if v is None else round(v, 4) for v in table[name].to_pylist()], np.float64)
        levels = {c: np.unique(values[(emotions == c) & np.isfinite(values)]) for c in data.classes}
        varied = sorted((c for c in data.classes if len(levels[c]) > 1), key=lambda c: -len(levels[c]))
        for emotion in varied[:CLASSES]:
            rows = np.flatnonzero((emotions == emotion) & np.isfinite(values))
            chosen = along(values[rows], [table["sample_id"][int(i)].as_py() for i in rows])
            picked = listed(table, [int(rows[i]) for i in chosen])
            said = [f"{name} {values[rows[i]]:g}" for i in chosen]
            dials.append((f"{emotion}, {name}", list(zip(said, picked, strict=True))))
    return dials


def along(values: np.ndarray, ids: Sequence[str]) -> list[int]:
    """[n] asked values and ids -> up to five places: levels from the lowest to the highest evenly, of one level the
    first by `order_of`; several of a level where there are fewer than five."""
    levels = np.unique(values)
    n = min(IN_A_ROW, len(values))
    wanted = levels[np.round(np.linspace(0, len(levels) - 1, n)).astype(int)]
    taken: list[int] = []
    for level in wanted:
        left = [i for i in np.flatnonzero(values == level).tolist() if i not in taken]
        if left:
            taken.append(min(left, key=lambda i: order_of(ids[i])))
    return taken


def _mixed(table: pa.Table) -> list[tuple[str, list[tuple[str, Listed]]]]:
    """One row for each set of classes that is mixed, by the share of the first of them."""
    by_classes: dict[tuple[str, ...], list[tuple[Mapping[str, float], int, str]]] = {}
    for i, row in enumerate(table.select(["sample_id", "emotion", "labels"]).to_pylist()):
        if row["emotion"] is None and row["labels"]:
            shares = {entry["label"]: round(float(entry["weight"]), 4) for entry in row["labels"]}
            by_classes.setdefault(tuple(sorted(shares)), []).append((dict(sorted(shares.items())), i, row["sample_id"]))
    dials = []
    for classes, members in sorted(by_classes.items()):
        firsts = np.array([shares[classes[0]] for shares, _, _ in members])
        chosen = [members[i] for i in along(firsts, [name for _, _, name in members])]
        picked = listed(table, [i for _, i, _ in chosen])
        said = [mixture_name(shares) for shares, _, _ in chosen]
        dials.append((" and ".join(classes), list(zip(said, picked, strict=True))))
    return dials
