"""The whole stage `ingest` of this working tree beside older commits, turn by turn: seconds, memory, and equal files.

    python benchmarks/bench_ingest_against.py 55be127 [more commits] [--corpora fer2013 goemotions ravdess]
        [--data ../shared/data] [--repeats 3] [--json against.json]

Each commit is unpacked (`git archive`) and run by this interpreter with its own packages first on the path. Every
measurement is a process of its own with one thread and fresh folders, every other round backwards. Seconds are the
processor's. Imports are apart: a first run of each contender, which also warms the page cache, tells which modules the
stage loads, and the measured ones load those before the clock starts. What is computed in them is not apart.

Ratios are of one round: seconds of the older commit / seconds of this tree. The files of the last round are compared by
their sha256; of near_pairs.parquet that is another one, whether it names the same pairs, and how far values lie apart.
Of FER2013, what it cannot do without is measured alone behind each run of this tree (benchmarks/ingest_floor.py).

Corpora, their development part alone: GoEmotions train.tsv, the first 6,000 of FER2013's Training rows, RAVDESS actors
01 to 06; the first two are cut into the published splits by place (benchmarks/bench_ingest.py).
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
TREE = "this tree"
PICTURES = 6_000
RATIOS = {"train": 0.6, "dev": 0.2, "test": 0.2}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ARROW_IO_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement. seconds: of the processor. imports: modules that were loaded at the end. files: relative name ->
    sha256 of what was written. floor: step -> seconds of the processor."""

    seconds: float
    peak_mib: float
    before_mib: float
    imports: list[str]
    files: dict[str, str]
    floor: dict[str, float]


@dataclass(frozen=True, slots=True)
class Contender:
    """A name, and the folder that holds its packages."""

    name: str
    repo: Path


def written(corpus: str, data: Path, folder: Path) -> Path:
    """The development part of a corpus -> the folder that is ingested."""
    from benchmarks.bench_ingest import parted, scaled

    if corpus != "fer2013":
        return scaled(corpus, data, 1, folder)
    folder.mkdir(parents=True)
    usages = (b"Training", b"PublicTest", b"PrivateTest")
    with (data / "fer2013" / "fer2013.csv").open("rb") as file:
        header = file.readline()
        rows = [row for row in file if b"Training" in row][:PICTURES]
    cut = [row.replace(b"Training", usage) for usage, own in zip(usages, parted(rows), strict=True) for row in own]
    (folder / "fer2013.csv").write_bytes(header + b"".join(cut))
    return folder


@contextmanager
def unpacked(commits: Sequence[str]) -> Iterator[list[Contender]]:
    """This tree and each commit, in folders of their own."""
    with tempfile.TemporaryDirectory() as folder:
        contenders = [Contender(TREE, REPO)]
        for commit in commits:
            place = Path(folder) / commit
            tar = subprocess.run(["git", "archive", commit], cwd=REPO, capture_output=True, check=True).stdout
            with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
                archive.extractall(place, filter="data")
            contenders.append(Contender(commit, place))
        yield contenders


def child(corpus: str, root: Path, out: Path, imports: Sequence[str]) -> Run:
    """The stage in this process, with the packages that the path has first."""
    importlib.import_module("great_expectations.expectations")
    stage = importlib.import_module("flows.stages.ingest.ingest")
    for name in imports:
        with suppress(ImportError, AttributeError):  # a module that another one makes is no file
            importlib.import_module(name)
    settings = stage.IngestSettings(corpus, shards=8, ratios=RATIOS, split_seed=0, max_reject_share=0.1)
    places = stage.IngestPlaces(root, out, work=out.parent / "work")
    before, begun = peak_mib(), time.process_time()
    stage.ingest_corpus(corpus, settings, places)
    seconds, peak = time.process_time() - begun, peak_mib()
    files = {path.relative_to(out).as_posix(): path for path in sorted(out.rglob("*")) if path.is_file()}
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    imported, steps = list(sys.modules), {}
    if corpus == "fer2013" and Path(stage.__file__).is_relative_to(REPO):
        sys.path.append(str(REPO))
        steps = importlib.import_module("benchmarks.ingest_floor").floor(root / "fer2013.csv", out)
    return Run(seconds, peak, before, imported, hashes, steps)


def peak_mib() -> float:
    """Of this process. Not getrusage: its maximum is inherited from the parent over exec."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def measured(contender: Contender, corpus: str, root: Path, folder: Path, imports: Sequence[str]) -> Run:
    """A process of its own; what it writes stays in `folder`/out."""
    folder.mkdir(parents=True)
    (folder / "imports.json").write_text(json.dumps(list(imports)))
    command = [sys.executable, "-P", __file__, "--child", corpus, str(root), str(folder)]
    path = {"PYTHONPATH": str(contender.repo), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        command, cwd=contender.repo, env=os.environ | ONE_THREAD | path, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{contender.name}, {corpus}: {done.stderr[-2000:]}")
    return Run(**json.loads((folder / "run.json").read_text()))


def turns(contenders: Sequence[Contender], corpus: str, root: Path, folder: Path, repeats: int) -> dict[str, list[Run]]:
    """Contender -> its runs, in order of the rounds."""
    loaded = {one.name: measured(one, corpus, root, folder / f"first-{i}", []) for i, one in enumerate(contenders)}
    runs: dict[str, list[Run]] = {one.name: [] for one in contenders}
    for turn in range(repeats):
        for i, one in list(enumerate(contenders))[:: 1 if turn % 2 == 0 else -1]:
            place = folder / f"{turn}-{i}"
            runs[one.name].append(measured(one, corpus, root, place, loaded[one.name].imports))
    return runs


def apart(ours: Mapping[str, str], theirs: Mapping[str, str], folders: tuple[Path, Path]) -> dict[str, str]:
    """File -> how that of the other contender differs; {}: all files have the same bytes."""
    odd = {name: "other bytes" for name in sorted(ours.keys() & theirs.keys()) if ours[name] != theirs[name]}
    odd |= dict.fromkeys(sorted(ours.keys() ^ theirs.keys()), "of one of them alone")
    if odd.get("near_pairs.parquet") == "other bytes":
        import pyarrow.parquet as pq

        near = [pq.read_table(folder / "out" / "near_pairs.parquet").to_pylist() for folder in folders]
        mine, other = ({(row["first"], row["second"]): row["similarity"] for row in rows} for rows in near)
        most = max((abs(mine[pair] - other[pair]) for pair in mine.keys() & other.keys()), default=0.0)
        alike = len(mine.keys() & other.keys())
        odd["near_pairs.parquet"] = (
            f"{len(mine)} pairs, {len(other)} theirs, {alike} alike; values differ by {most:.2g}"
        )
    return odd


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median and range."""
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def lines_of(corpus: str, runs: Mapping[str, Sequence[Run]], odd: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Lines of a table."""
    ours = runs[TREE]
    lines = []
    for name, own in runs.items():
        ratio = "" if name == TREE else spread([a.seconds / b.seconds for a, b in zip(own, ours, strict=True)])
        peak = f"{min(r.peak_mib for r in own):.0f} to {max(r.peak_mib for r in own):.0f}"
        files = "" if name == TREE else "; ".join(f"{file}: {how}" for file, how in odd[name].items()) or "equal"
        lines.append(f"| {corpus} | {name} | {spread([r.seconds for r in own])} | {ratio} | {peak} | {files} |")
    return lines


def floor_lines(ours: Sequence[Run]) -> list[str]:
    """Step by step, and all of them beside the stage."""
    if not ours[0].floor:
        return []
    lines = [f"| floor | {step} | {spread([run.floor[step] for run in ours])} |" for step in ours[0].floor]
    return [*lines, f"| floor | all of them | {spread([sum(run.floor.values()) for run in ours])} |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", nargs="*")
    parser.add_argument("--data", type=Path, default=REPO.parent / "shared" / "data")
    parser.add_argument("--corpora", nargs="+", default=["goemotions", "fer2013", "ravdess"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        corpus, root, place = asked.child[0], Path(asked.child[1]), Path(asked.child[2])
        run = child(corpus, root, place / "out", json.loads((place / "imports.json").read_text()))
        (place / "run.json").write_text(json.dumps(asdict(run)))
        return
    sys.path.insert(0, str(REPO))
    told: dict[str, object] = {"cores": os.cpu_count(), "load at first": os.getloadavg(), "rounds": asked.repeats}
    print(
        "| corpus | code | processor s | times as long as this tree | peak MiB | its files |\n|---|---|---|---|---|---|"
    )
    with unpacked(asked.commits) as contenders:
        for corpus in asked.corpora:
            with tempfile.TemporaryDirectory() as place:
                root, folder = written(corpus, asked.data.resolve(), Path(place) / "raw"), Path(place) / "runs"
                runs = turns(contenders, corpus, root, folder, asked.repeats)
                last = {one.name: folder / f"{asked.repeats - 1}-{i}" for i, one in enumerate(contenders)}
                odd = {
                    name: apart(runs[TREE][-1].files, own[-1].files, (last[TREE], last[name]))
                    for name, own in runs.items()
                }
            print("\n".join([*lines_of(corpus, runs, odd), *floor_lines(runs[TREE])]), flush=True)
            told[corpus] = {name: [asdict(run) | {"imports": []} for run in own] for name, own in runs.items()}
    told["load at last"] = os.getloadavg()
    print(f"load {told['load at first']} to {told['load at last']}, {asked.repeats} rounds")
    if asked.json is not None:
        asked.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
