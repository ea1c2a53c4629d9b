"""The near copies that the audit finds in real corpora as they are, for a person to read: docs/audit.md has the counts.

    python benchmarks/near_pairs.py --out FOLDER [--data ../shared/data] [--corpora meld fer2013] [--most 96] [--seed 1]

Nothing is cleaned and nothing planted; equal payloads are one. For each corpus FOLDER gets NAME.txt, a line a pair
(similarity, both samples, their classes; of texts both texts). Of faces there are contact sheets too, one pair beside
the other, of sound and signals plots of both at the shift that fits best. Of more than `--most` pairs half are those
with the lowest similarity, half are drawn at random. What a pair is, the person decides: a copy is one recording,
photograph or text in two forms, whatever its label; two of the same kind are not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from corpora.codecs import decode_image, decode_text, decode_wav  # noqa: E402
from corpora.near.pairs import METHODS, fingerprint  # noqa: E402
from corpora.readers import make_corpus  # noqa: E402
from corpora.schema import Sample  # noqa: E402
from corpora.signals import decode_signals  # noqa: E402

CORPORA = ("goemotions", "meld", "ravdess", "emodb", "fer2013", "stress_predict")
Pair = tuple[Sample, Sample, float]
_SHEET = 24  # pairs of faces on one sheet


def pairs_of(samples: list[Sample]) -> tuple[int, list[Pair]]:
    """-> distinct payloads that can be compared, and all pairs among them, least alike first."""
    distinct = list({s.payload: s for s in samples}.values())
    prints = [fingerprint(s.modality, s.payload, s.signals) for s in distinct]  # type: ignore[arg-type]
    rows, similarity = METHODS[distinct[0].modality].near_pairs(prints)
    found = [(distinct[a], distinct[b], float(v)) for (a, b), v in zip(rows.tolist(), similarity.tolist(), strict=True)]
    return sum(map(bool, prints)), sorted(found, key=lambda pair: (pair[2], pair[0].sample_id, pair[1].sample_id))


def chosen(pairs: list[Pair], most: int, seed: int) -> list[Pair]:
    """All of them, or the least alike and as many others at random."""
    if len(pairs) <= most:
        return pairs
    others = np.random.default_rng(seed).permutation(np.arange(most // 2, len(pairs)))[: most - most // 2]
    return pairs[: most // 2] + [pairs[int(i)] for i in others]


def shown(pair: Pair) -> str:
    first, second, similarity = pair
    lines = [f"{similarity:.3f}  {first.sample_id} ({first.emotion})  {second.sample_id} ({second.emotion})"]
    if first.modality == "text":
        lines += [f"       {decode_text(s.payload)}" for s in (first, second)]
    return "\n".join(lines)


def draw_faces(pairs: list[Pair], folder: Path, name: str) -> None:
    from PIL import Image, ImageDraw

    for start in range(0, len(pairs), _SHEET):
        sheet = Image.new("L", (6 * 220, 4 * 130), 255)
        for at, (first, second, similarity) in enumerate(pairs[start : start + _SHEET]):
            x, y = at % 6 * 220, at // 6 * 130
            for side, sample in enumerate((first, second)):
                face = Image.fromarray(decode_image(sample.payload)).convert("L").resize((104, 104))
                sheet.paste(face, (x + 4 + side * 106, y + 16))
            ImageDraw.Draw(sheet).text((x + 4, y + 2), f"{start + at + 1}: {similarity:.3f}", fill=0)
        sheet.save(folder / f"{name}_{start // _SHEET + 1:02d}.png")


def draw_courses(pairs: list[Pair], folder: Path, name: str) -> None:
    """Both of a pair, one above the other: sound as it is, of signals the first channel of each."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    for number, (first, second, similarity) in enumerate(pairs, start=1):
        courses = [_courses(s) for s in (first, second)]
        figure, axes = pyplot.subplots(len(courses[0]), 1, squeeze=False, figsize=(12, 2.5 * len(courses[0])))
        for axis, label in zip(axes[:, 0], courses[0], strict=True):
            for side, course in enumerate(courses):
                values = course[label]
                axis.plot((values - values.mean()) / (values.std() + 1e-12) - 6 * side, linewidth=0.6)
            axis.set_ylabel(label)
        axes[0, 0].set_title(f"{similarity:.3f} {first.sample_id} {second.sample_id}")
        figure.savefig(folder / f"{name}_{number:03d}.png", dpi=70)
        pyplot.close(figure)


def _courses(sample: Sample) -> dict[str, np.ndarray]:
    if sample.modality == "speech":
        return {"sound": decode_wav(sample.payload)[0].mean(axis=1)}
    return {name: np.asarray(a, float).reshape(len(a), -1)[:, 0] for name, a in decode_signals(sample.payload).items()}


DRAW: dict[str, Any] = {"face": draw_faces, "speech": draw_courses, "physio": draw_courses}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=REPO.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--corpora", nargs="*", default=CORPORA)
    parser.add_argument("--most", type=int, default=96)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    print("| corpus | payloads | compared | pairs | to read |\n|---|---:|---:|---:|---:|")
    for name in args.corpora:
        samples = [s for s in make_corpus(name).read(args.data / name, name) if isinstance(s, Sample)]
        compared, pairs = pairs_of(samples)
        to_read = chosen(pairs, args.most, args.seed)
        (args.out / f"{name}.txt").write_text("\n".join(map(shown, to_read)) + "\n", encoding="utf-8")
        DRAW.get(samples[0].modality, lambda *_: None)(to_read, args.out, name)
        n = len({s.payload for s in samples})
        print(f"| {name} | {n:,} | {compared:,} | {len(pairs):,} | {len(to_read)} |", flush=True)


if __name__ == "__main__":
    main()
