"""Draws docs/gallery: real samples of fake corpora beside what generators make of them, failures too.

    python benchmarks/make_gallery.py [--work FOLDER] [--only faces speech physio text] [--steps 400]

Fake corpora only: real ones may not be passed on. Samples are the first draws of each class, chosen by nobody; nothing
is gated. The page (docs/gallery.md) says what was fitted, for how long, and how far a judge of means hears the class.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import corpora.quiet  # noqa: F401  (before anything heavy)
from benchmarks.speech_tracks import TOP_HZ, Voice, median_f0, show, voice_of
from corpora.codecs import decode_image, decode_text
from corpora.errors import PayloadError, UserError
from corpora.store.atomic import write_bytes, write_text
from features.representation import Representation, make_representation, needs_source
from flows.artifacts.prepared import Prepared
from flows.paths import Layout
from flows.stages.fit.fit import load_train
from flows.stages.plan.plans import FitPlan
from flows.stages.run import run_stage
from generators.draws.sources import SourceTable, choose_sources
from generators.generator import Condition, Device, Draw, TrainData, generator_class, source_class
from training.seeds import derive_seed

ROOT = Path(__file__).resolve().parents[1]
PAGE, PICTURES = ROOT / "docs" / "gallery.md", ROOT / "docs" / "gallery"
JUDGED, SHOWN, INK = 40, 3, "#1d2126"
COLOURS = 96  # of a picture
TRACKED = 8  # voices of each class whose F0 is tracked
CPU = Device()


@dataclass(frozen=True)
class Hung:
    """One system of a wall: a generator with parameters, and steps (of --steps, where None)."""

    label: str
    generator: str
    params: dict[str, Any] = field(default_factory=dict)
    steps: int | None = None


@dataclass(frozen=True)
class Wall:
    """One modality: its fake corpus (demo:), the run's preparation and representation, and systems."""

    demo: str
    representation: str
    systems: Sequence[Hung]
    prepare: str = "{}"


SMALL = {"width": 16, "batch_size": 32}
WALLS = {
    "faces": Wall(
        "{reader: fer2013, subjects: 0, seed: 7, per_class: {neutral: 130, happiness: 150, sadness: 95, anger: 72, "
        "surprise: 150}}",
        "{name: pixels, size: 32}",
        [
            Hung("transfer (in pixels)", "transfer"),
            Hung("cvae", "cvae", {**SMALL, "latent": 32}),
            Hung("vae_gan", "vae_gan", {**SMALL, "latent": 32}),
            Hung("cgan (projection, hinge)", "cgan", {**SMALL, "latent": 32}),
            Hung("diffusion", "diffusion", {**SMALL, "sample_steps": 16}),
            Hung("vae_edit", "vae_edit", {**SMALL, "latent": 32}),
        ],
    ),
    "speech": Wall(
        "{reader: ravdess, subjects: 12, seed: 7, per_class: {neutral: 48, happiness: 48, sadness: 48, anger: 48}}",
        "{name: world, max_s: 1.6}",
        [
            Hung("transfer", "transfer"),
            Hung("vae_edit", "vae_edit", {**SMALL, "latent": 32}, 500),
            Hung("cvae", "cvae", {**SMALL, "latent": 32}, 900),
        ],
    ),
    "physio": Wall(
        "{reader: wesad, subjects: 12, seed: 7, per_class: {neutral: 60, stress: 60, amusement: 40, relaxation: 60}}",
        "{name: rows}",
        [
            Hung("transfer", "transfer"),
            Hung("cvae", "cvae", {**SMALL, "latent": 32}),
            Hung("diffusion (over time)", "diffusion", {**SMALL, "sample_steps": 16}),
        ],
        "{physio: {keep: [wrist_BVP, wrist_EDA, wrist_TEMP], windows: {length_s: 8, hop_s: 8}, "
        "resample: {all_hz: 16}}}",
    ),
    "text": Wall(
        "{reader: isear, subjects: 12, seed: 7, per_class: {anger: 120, happiness: 120, sadness: 90, fear: 60}}",
        "{name: utf8}",
        [Hung("small_lm", "small_lm"), Hung("delete_retrieve", "delete_retrieve"), Hung("infill", "infill")],
    ),
}


@dataclass
class Result:
    """What a system drew: payload bytes by class (None: nothing valid), and numbers."""

    drawn: dict[str, list[bytes | None]]
    agreement: float
    fit_s: float
    steps: int
    voices: dict[str, list[Voice]] = field(default_factory=dict)


def prepared(name: str, wall: Wall, work: Path) -> tuple[Representation, TrainData]:
    """The wall's corpus through the stages up to `prepare`."""
    project = work / name
    project.mkdir(parents=True, exist_ok=True)
    reader = wall.demo.partition("reader: ")[2].partition(",")[0]
    write_text(
        project / "params.yaml",
        f"demo: {{wall: {wall.demo}}}\ncorpora: {{wall: {{reader: {reader}}}}}\nruns:\n  wall:\n    corpora: [wall]\n"
        f"    prepare: {wall.prepare}\n    representation: {wall.representation}\n"
        f"    generator: {{name: {wall.systems[0].generator}}}\n",
    )
    layout = Layout(project)
    for verb in ("fake", "ingest", "plan", "prepare"):
        run_stage(verb, "wall", repo=project)
    plan = FitPlan.read(layout, "wall")
    left = Prepared.open(layout.run("wall") / "prepared")
    assert plan.representation is not None
    return make_representation(plan.representation.name, plan.representation.params), load_train(left, plan)


def drawn(of: Hung, representation: Representation, data: TrainData, steps: int) -> Result:
    """Fits and draws `JUDGED` of each class."""
    model = generator_class(of.generator)(data.spec, data.classes, **of.params)
    begun = time.process_time()
    wanted = steps if of.steps is None else of.steps
    for _ in model.fit(data, steps=wanted, seed=1, device=CPU):
        pass
    fit_s = time.process_time() - begun
    table = SourceTable(data.ids, data.emotions, data.subjects, source_class(model, of.params))
    row = {sample_id: i for i, sample_id in enumerate(data.ids)}
    payloads: dict[str, list[bytes | None]] = {}
    arrays, asked = [], []
    for emotion in data.classes:
        chosen = choose_sources(range(JUDGED), table, emotion, 0) if model.takes else [{}] * JUDGED
        draws = [Draw(Condition(emotion), derive_seed("gallery", emotion, i), s) for i, s in enumerate(chosen)]
        sources = np.stack([data.arrays[row[d.sources["from"]]] for d in draws]) if model.takes else None
        sampled = model.sample(draws, sources, device=CPU)
        arrays.append(sampled)
        asked += [emotion] * JUDGED
        payloads[emotion] = [_decoded(representation, a) for a in sampled[:SHOWN]]
    heard = _nearest(data, np.concatenate(arrays))
    right = float(np.mean([h == a for h, a in zip(heard, asked, strict=True)]))
    voices: dict[str, list[Voice]] = {}
    if "log_f0" in data.spec.rows:
        for k, (emotion, sampled) in enumerate(zip(data.classes, arrays, strict=True)):
            own = heard[k * JUDGED : (k + 1) * JUDGED]
            voices[emotion] = [voice_of(representation, a, h) for a, h in zip(sampled[:TRACKED], own, strict=False)]
    return Result(payloads, right, fit_s, wanted, voices)


def _decoded(representation: Representation, array: np.ndarray) -> bytes | None:
    try:
        return representation.decode(array).data
    except PayloadError:
        return None


def _nearest(data: TrainData, arrays: np.ndarray) -> list[str]:
    """Class of the linear discriminant of train arrays, averaged over time."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def seen(x: np.ndarray) -> np.ndarray:
        if data.spec.layout == "tokens":
            return np.stack([np.bincount(row.astype(int), minlength=256)[1:] for row in x]).astype(float)
        flat = np.asarray(x, np.float64)
        return flat.reshape(len(flat), -1) if data.spec.layout == "image" else flat.mean(axis=-1)

    judge = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    judge.fit(seen(data.arrays), data.emotions)
    answers: list[str] = judge.predict(seen(arrays)).tolist()
    return answers


def draw(name: str, real: Result, results: dict[str, Result], target: Path) -> None:
    """Rows: real, then systems. Columns: classes, `SHOWN` samples each."""
    from matplotlib.figure import Figure

    rows = {"real": real, **results}
    classes = list(real.drawn)
    shown = SHOWN if name == "faces" else 1
    columns = len(classes) * shown
    size = (1.0, 1.05) if name == "faces" else (2.3, 1.5) if name == "speech" else (2.3, 1.25)
    figure = Figure(figsize=(size[0] * columns + 1.4, size[1] * len(rows) + 0.4), dpi=100, layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for i, (label, result) in enumerate(rows.items()):
        for j, emotion in enumerate(classes):
            for k in range(shown):
                ax = grid[i, j * shown + k]
                ax.set_xticks([])
                ax.set_yticks([])
                payload = (result.drawn.get(emotion) or [None])[k : k + 1]
                if result.voices:
                    show(ax, result.voices[emotion][k], emotion)
                elif payload and payload[0] is not None:
                    _show(ax, name, payload[0])
                if i == 0 and k == 0:
                    ax.set_title(emotion, fontsize=9, color=INK, loc="left")
        grid[i, 0].set_ylabel(label, fontsize=8, color=INK, rotation=0, ha="right", va="center")
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Software": None})
    with Image.open(target) as whole:  # few colours are enough, and a page of pictures stays small
        whole.convert("RGB").quantize(COLOURS).save(target, optimize=True)


def _show(ax: Any, name: str, payload: bytes) -> None:
    if name == "faces":
        ax.imshow(decode_image(payload), cmap="gray", vmin=0, vmax=255)
    else:
        from corpora.signals import decode_signals

        for key, values in decode_signals(payload).items():
            one = values[:, 0] if values.ndim == 2 else values
            spread = max(float(one.std()), 1e-9)
            ax.plot(np.linspace(0, 1, len(one)), (one - one.mean()) / spread, linewidth=0.8, label=key)


def lines(real: Result, results: dict[str, Result]) -> list[str]:
    """Texts as a table."""
    out = ["| system | class | lines |", "|---|---|---|"]
    for label, result in {"real": real, **results}.items():
        for emotion, payloads in result.drawn.items():
            texts = [decode_text(p).replace("|", "/") for p in payloads if p is not None]
            out.append(f"| {label} | {emotion} | {'<br>'.join(texts) or '*nothing valid*'} |")
    return out


def hang(name: str, wall: Wall, work: Path, steps: int) -> list[str]:
    """Fits and draws one wall; -> its section of the page."""
    representation, data = prepared(name, wall, work)
    if needs_source(representation):
        raise UserError(
            f"{name}: representation {representation.spec.name} edits; the gallery shows what decodes alone"
        )
    by_class: dict[str, list[bytes | None]] = {}
    for emotion in data.classes:
        rows = [i for i, e in enumerate(data.emotions) if e == emotion][:SHOWN]
        by_class[emotion] = [_decoded(representation, np.asarray(data.arrays[i])) for i in rows]
    real = Result(by_class, float("nan"), 0.0, 0)
    if "log_f0" in data.spec.rows:
        of_class = {e: [i for i, own in enumerate(data.emotions) if own == e] for e in data.classes}
        real.voices = {e: [voice_of(representation, data.arrays[i]) for i in at] for e, at in of_class.items()}
    results = {}
    for of in wall.systems:
        print(f"{name}: {of.label}", file=sys.stderr)
        results[of.label] = drawn(of, representation, data, steps)
    section = [f"## {name.capitalize()}", "", f"{len(data.ids)} train samples of a fake corpus (`{wall.demo}`), "
               f"representation `{wall.representation}`.", ""]  # fmt: skip
    if name == "text":
        section += lines(real, results)
    else:
        draw(name, real, results, PICTURES / f"{name}.png")
        section.append(f"![{name}](gallery/{name}.png)")
    section += ["", "| system | steps | fit, processor s | heard as asked |", "|---|---:|---:|---:|"]
    for label, result in results.items():
        section.append(f"| {label} | {result.steps} | {result.fit_s:.0f} | {result.agreement:.0%} |")
    return section + (tracks(real, results) if real.voices else [])


def tracks(real: Result, results: dict[str, Result]) -> list[str]:
    """F0 of voices: asked against produced, and where each class' median comes to lie."""
    classes = list(real.voices)
    lines = [
        "",
        "White, dashed: the F0 that the array asks the vocoder for; blue: the F0 that is tracked in the waveform that "
        f"came out (axis: 0 to {TOP_HZ:g} Hz). Red: what the judge hears where it is not what was asked for. Below, of "
        f"{TRACKED} voices of a class: mean distance of the two where both are voiced, frames voiced in one alone, "
        "voices that could not be decoded, and the median F0 of each class beside that of real ones through the same "
        "vocoder.",
        "",
        "| system | F0 off, semitones | voicing off | failed | " + " | ".join(f"{c}, Hz" for c in classes) + " |",
        "|---|---:|---:|---:|" + "---:|" * len(classes),
    ]
    for label, result in {"real": real, **results}.items():
        voices = [voice for own in result.voices.values() for voice in own]
        off, unlike = (np.nanmean([getattr(v, name) for v in voices]) for name in ("off_semitones", "unlike_voicing"))
        failed = sum(v.wav is None for v in voices)
        medians = " | ".join(f"{median_f0(result.voices[c]):.0f}" for c in classes)
        lines.append(f"| {label} | {off:.2f} | {unlike:.0%} | {failed} of {len(voices)} | {medians} |")
    return lines


HEAD = """\
<!-- Written by benchmarks/make_gallery.py; edit that, not this. -->
# Gallery

What generators make of the fake corpora of the demo: the first draws of each class, chosen by nobody, before any gate.
Fits are short (the tables say how long), so what looks bad here is what few steps on few samples look like; what the
families are worth on real corpora stands in [generators](generators.md). "Heard as asked": share of {judged} samples of
a class that a linear judge of the train arrays puts there; it has seen what the generator has seen."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(WALLS), default=list(WALLS))
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    hung = _hung_before()
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        for name in options.only:
            hung[name] = "\n".join(hang(name, WALLS[name], work, options.steps))
            parts = [HEAD.format(judged=JUDGED), *(hung[wall] for wall in WALLS if wall in hung)]
            write_bytes(PAGE, ("\n\n".join(parts) + "\n").encode())


def _hung_before() -> dict[str, str]:
    """Walls of the page as it stands: those that are not drawn again stay."""
    text = PAGE.read_text("utf-8") if PAGE.exists() else ""
    parts = re.split(r"(?m)^## ", text)[1:]
    return {part.split("\n", 1)[0].lower(): "## " + part.strip() for part in parts}


if __name__ == "__main__":
    main()
