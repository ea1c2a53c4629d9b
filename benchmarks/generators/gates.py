"""A trained family through the gates of a run, on development people.

    python -m benchmarks.generators.gates --data FOLDER --corpus ravdess | fer2013 [--params '{keep: 1.0}']
        [--work FOLDER]

`vae_edit` (1,500 steps, width 16, latent 16) edits real samples of RAVDESS 01 to 06 (`differential`; every class raised
by half) or of 1,600 pictures of FER2013's Training (`oriented_energy`; by a tenth). Prints candidates, those that pass
every sample gate, and each verdict of the set gates. Nothing is released.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import corpora.quiet  # noqa: F401  (before anything heavy)
from corpora.store.atomic import write_text
from flows.artifacts.augmented import Augmented
from flows.artifacts.evaluated import Evaluated
from flows.paths import Layout
from flows.stages.run import run_stage

PICTURES = 1600


@dataclass(frozen=True)
class Trial:
    """What a run of a corpus models, and by how much classes are raised."""

    representation: str
    target: str


TRIALS = {
    "ravdess": Trial("differential", "{policy: majority, by: weight, beyond: 0.5}"),
    "fer2013": Trial("oriented_energy", "{policy: majority, by: weight, beyond: 0.1, spread: 2}"),
}


def link_people(name: str, data: Path, raw: Path) -> None:
    """Development people alone: actors 01 to 06; the first pictures of Training, each once."""
    raw.mkdir(parents=True)
    if name == "ravdess":
        for actor in range(1, 7):
            (raw / f"Actor_{actor:02d}").symlink_to((data / name / f"Actor_{actor:02d}").resolve())
        return
    seen: set[str] = set()
    with (data / name / "fer2013.csv").open() as file, (raw / "fer2013.csv").open("w", newline="") as out:
        rows = csv.DictReader(file)
        writer = csv.DictWriter(out, rows.fieldnames or [])
        writer.writeheader()
        for row in rows:
            if row["Usage"] == "Training" and row["pixels"] not in seen and len(seen) < PICTURES:
                seen.add(row["pixels"])
                writer.writerow(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--corpus", choices=list(TRIALS), required=True)
    parser.add_argument("--params", type=yaml.safe_load, default={"keep": 1.0}, help="of vae_edit, as YAML")
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    trial = TRIALS[options.corpus]
    params = {"width": 16, "latent": 16, **options.params}
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        link_people(options.corpus, options.data, work / "data" / "raw" / "lab")
        write_text(
            work / "params.yaml",
            f"corpora: {{lab: {{reader: {options.corpus}}}}}\nruns:\n  lab:\n    corpora: [lab]\n    seed: 1\n"
            f"    representation: {{name: {trial.representation}}}\n    target: {trial.target}\n"
            f"    generator: {{name: vae_edit, steps: 1500, params: {json.dumps(params)}}}\n",
        )
        layout = Layout(work)
        for verb in ("ingest", "plan", "prepare", "fit", "augment", "evaluate"):
            run_stage(verb, "lab", repo=work)
        balance = Augmented.open(layout.run("lab") / "augmented").balance()
        for row in balance.classes:
            print(f"{row.emotion}: {row.passed} of {row.candidates} candidates pass")
        tried, passed = (sum(getattr(row, name) for row in balance.classes) for name in ("candidates", "passed"))
        print(f"{options.corpus}, {params}: {passed} of {tried} candidates pass every sample gate")
        verdicts = Evaluated.open(layout.run("lab") / "evaluation").verdicts()
        states = Counter(v.verdict for v in verdicts)
        print("verdicts: " + ", ".join(f"{n} {state}" for state, n in sorted(states.items())))
        for v in verdicts:
            if v.gate == "conditions" or v.verdict == "fail":
                print(f"{v.gate} ({v.group}): {v.verdict}; {v.reason}")


if __name__ == "__main__":
    main()
