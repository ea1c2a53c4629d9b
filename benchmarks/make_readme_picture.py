"""Draws docs/images/demo.png, the picture of the README, from the run folders that `make demo` leaves.

    python benchmarks/make_readme_picture.py [RUN ...]

Left: class balance of both runs. Right: real beside synthetic samples of the classes with the most synthetic ones,
chosen by name alone, as in the report. From fake corpora only: real ones may not be passed on.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from corpora.codecs import decode_image, decode_text, decode_wav
from corpora.errors import UserError
from corpora.store.release import FEATURES
from flows.params import load_params
from flows.stages.report.data import RunFolder, read_run
from flows.stages.report.figures import Bar, draw_balance
from flows.stages.report.media import spectrogram
from flows.stages.report.samples import pick

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

REPO = Path(__file__).resolve().parent.parent
TARGET = REPO / "docs" / "images" / "demo.png"
REAL, SYNTHETIC, INK = "#3f6ea8", "#d9822b", "#1d2126"  # of the report's light page
CLASSES, SHOWN = 3, {"face": 5, "speech": 3, "text": 1, "physio": 1}
LINES = 1  # texts in a cell; of a row of features, its samples are strips below one another
STRIPS = 12


def draw(runs: Sequence[RunFolder], target: Path) -> None:
    """One row a run: balance on the left, real and synthetic samples on the right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 2.4 * len(runs)), dpi=90, facecolor="white", layout="constrained")
    for row, run in zip(np.atleast_1d(figure.subfigures(len(runs), 1, hspace=0.06)), runs, strict=True):
        left, right = row.subfigures(1, 2, width_ratios=(1.0, 1.25), wspace=0.02)
        ax = left.subplots()
        tallies = run.balance.classes if run.balance else ()
        bars = [Bar(t.emotion, t.real_train, t.effective, t.target, t.accepted) for t in tallies]
        draw_balance(ax, bars, REAL, SYNTHETIC, INK)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(length=0)
        ax.get_legend().set_frame_on(False)
        left.suptitle(run.name, x=0.02, ha="left", fontweight="bold", fontsize=11)
        draw_samples(right, run)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Software": None})


def draw_samples(place: Figure | SubFigure, run: RunFolder) -> None:
    """Rows: classes. Columns: real samples, a gap, synthetic ones."""
    modality = run.summary.modality
    n = SHOWN[modality]
    accepted = {tally.emotion: tally.accepted for tally in (run.balance.classes if run.balance else ())}
    classes = sorted(accepted, key=lambda c: -accepted[c])[:CLASSES]
    ratios = [1] * n + [0.25] + [1] * n
    grid = place.subplots(len(classes), 2 * n + 1, squeeze=False, width_ratios=ratios, gridspec_kw={"hspace": 0.12})
    place.suptitle(" ", fontsize=7)  # room for the names of the first row
    for ax in grid.flat:
        ax.set_axis_off()
    for i, emotion in enumerate(classes):
        for first, table, folder in ((0, run.train, "prepared"), (n + 1, run.synthetic, "augmented")):
            if modality in ("text", "physio"):
                _one_cell(grid[i, first], run, table, emotion, folder)
                continue
            rows = pick(table, emotion, n) if table is not None else []
            for j, row in enumerate(rows):
                payload = row.payload(run.folder / folder)
                image = decode_image(payload) if modality == "face" else voice(payload)
                grey = {"cmap": "gray", "vmin": 0, "vmax": 255} if image.ndim == 2 else {}
                grid[i, first + j].imshow(image, aspect="equal" if modality == "face" else "auto", **grey)
        for first, kind, colour in ((0, "real", REAL), (n + 1, "synthetic", SYNTHETIC)):
            if kind == "synthetic" and not accepted[emotion]:
                continue
            place_of = grid[i, first].transAxes
            text = grid[i, first].text(0, 1.05, f"{emotion}, {kind}", transform=place_of, fontsize=9, color=colour)
            text.set_in_layout(False)  # wider than its picture, which must not push the others away


def _one_cell(ax: Axes, run: RunFolder, table: pa.Table | None, emotion: str, folder: str) -> None:
    """Texts of a class as lines; rows of features as strips, each column in units of its spread over train."""
    if run.summary.modality == "text":
        rows = pick(table, emotion, LINES) if table is not None else []
        texts = [decode_text(row.payload(run.folder / folder)) for row in rows]
        lines = ["\n".join(textwrap.wrap(text, 42)[:3]) for text in texts]
        ax.text(0, 0.95, "\n\n".join(lines), transform=ax.transAxes, fontsize=7, color=INK, va="top", clip_on=True)
        return
    import pandas as pd

    rows_of = pd.read_parquet(run.folder / "release" / FEATURES)
    train = rows_of[rows_of.split == "train"]
    columns = list(train.columns[train.columns.get_loc("generator_id") + 1 :])
    real = train[train.generator_id.isna()][columns]
    own = train[(train.emotion == emotion) & (train.generator_id.isna() == (folder == "prepared"))]
    strips = (own[columns].head(STRIPS) - real.mean()) / (real.std() + 1e-9)
    if len(strips):  # of a class that lacks nothing there are no synthetic ones
        ax.imshow(strips.to_numpy(), aspect="auto", cmap="RdBu_r", vmin=-2.5, vmax=2.5)


def voice(payload: bytes) -> np.ndarray:
    signal, rate_hz = decode_wav(payload)
    return spectrogram(signal.mean(axis=1).astype(np.float32), rate_hz)


def main(names: Sequence[str]) -> None:
    params = load_params(REPO / "params.yaml")
    runs = []
    for name in names:
        if not set(params.run(name).corpora) <= set(params.demo):
            raise UserError(f"run {name!r} is not made of demo corpora; pictures in the repository are")
        folder = REPO / "data" / "runs" / name
        if not (folder / "augmented").is_dir():
            raise UserError(f"no samples in {folder}: run `make demo` first")
        runs.append(read_run(folder, REPO / "data" / "corpora"))
    draw(runs, TARGET)
    print(TARGET.relative_to(REPO), f"{TARGET.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main(sys.argv[1:] or ["demo_speech", "demo_faces", "demo_text", "demo_physio"])
