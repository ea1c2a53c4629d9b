"""Ingest of RAVDESS, FER2013 and GoEmotions against Hugging Face `datasets` on the same files, and as data grow.

    python benchmarks/bench_ingest.py [--data ../shared/data] [--repeats 3] [--scales 1 2 4] [--big] [--rows rows.json]

`--big`: peak memory and time for 0.1 and 1 GB of noise in the layout of RAVDESS, in one process and on two actors.

Every measurement is a process of its own (peak memory), with fresh output and cache folders; import times are told
apart, because they do not grow with the corpus. The page cache is warm for all. Contenders:

    stage         the whole stage, as `emoforge run` runs it: journal, fingerprints, near copies, views, audits, checks
    inner         reader -> labels -> tars + index -> split views -> audit: what the work is without the rest
    hf_build      load_dataset("audiofolder" | "csv"): paths or strings in Arrow; nothing was looked into
    hf_usable     the same, then the payload itself in Parquet: wav bytes embedded | pixels parsed and stored as PNG
    stage_two     stage with the reading shared out over two Ray actors (starting Ray included)

Corpora are cut to their development part (RAVDESS actors 01-06, FER2013 Training, GoEmotions train.tsv), cut into
train, dev and test by their place. Prints JSON; `--rows` writes lines of the speed table (processor seconds, round by
round, contenders in turn).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from benchmarks.rows import OURS, Row, row, table, write_rows  # noqa: E402

RATIOS = {"train": 0.6, "dev": 0.2, "test": 0.2}
LIBRARIES = ("datasets", "pyarrow", "numpy", "pillow", "great-expectations", "webdataset")


def scaled(corpus: str, data: Path, times: int, folder: Path) -> Path:
    """`times` copies of the corpus under names of its own form; "noise": `times` tenths of a GB of fake wavs."""
    if corpus == "noise":
        return noise(times, folder)
    if corpus == "goemotions":
        folder.mkdir(parents=True)
        (folder / "emotions.txt").write_bytes((data / "goemotions" / "emotions.txt").read_bytes())
        rows = (data / "goemotions" / "train.tsv").read_bytes().splitlines(keepends=True)
        for part, own in zip(("train", "dev", "test"), parted(rows), strict=True):
            (folder / f"{part}.tsv").write_bytes(many_comments(b"".join(own), times))
        return folder
    if corpus == "fer2013":
        header, *rows = (data / "fer2013" / "fer2013.csv").read_bytes().splitlines(keepends=True)
        parts = parted([row for row in rows if b"Training" in row])
        usages = (b"Training", b"PublicTest", b"PrivateTest")
        cut = [row.replace(b"Training", usage) for usage, own in zip(usages, parts, strict=True) for row in own]
        folder.mkdir(parents=True)
        (folder / "fer2013.csv").write_bytes(header + b"".join(cut * times))
        return folder
    for path in sorted((data / "ravdess").glob("Actor_0[1-6]/*.wav")):
        for copy in range(times):
            actor = int(path.stem[-2:]) + 6 * copy
            place = folder / f"Actor_{actor:02d}" / f"{path.stem[:-2]}{actor:02d}.wav"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    return folder


def parted(rows: list[bytes]) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Eight, one and one tenth, in their order."""
    first, second = len(rows) * 8 // 10, len(rows) * 9 // 10
    return rows[:first], rows[first:second], rows[second:]


def many_comments(text: bytes, times: int) -> bytes:
    """The rows `times` times, each copy with ids of its own."""
    rows = text.splitlines(keepends=True)
    return b"".join(row[:-1] + b"x" * copy + b"\n" for copy in range(times) for row in rows)


def noise(tenths: int, folder: Path) -> Path:
    """`tenths` x 0.1 GB in the layout of RAVDESS: 3 s of noise at 16 kHz a file, 96 kB, no two alike."""
    import numpy as np

    from corpora.codecs import encode_wav

    rng = np.random.default_rng(0)
    base = rng.normal(0, 0.1, 48_000 + 99_999).astype(np.float32)
    for number in range(round(tenths * 1e8 / 96_044)):
        actor, rest = number % 99 + 1, number // 99
        name = f"03-01-{rest % 8 + 1:02d}-01-{rest // 8 % 2 + 1:02d}-{rest // 16 + 1:02d}-{actor:02d}.wav"
        place = folder / f"Actor_{actor:02d}" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        start = int(rng.integers(100_000))
        place.write_bytes(encode_wav(base[start : start + 48_000], 16_000))
    return folder


def inner(corpus: str, root: Path, out: Path) -> Callable[[], int]:
    import corpora.readers
    from corpora.schema import Sample
    from corpora.splits.audit import audit_view
    from corpora.splits.splits import group_view, official_view
    from corpora.store.shards import write_shards, write_table

    reader = "ravdess" if corpus == "noise" else corpus
    corpora.readers.make_corpus(reader)  # imports its module

    def work() -> int:
        out.mkdir()
        read = (s for s in corpora.readers.make_corpus(reader).read(root, corpus) if isinstance(s, Sample))
        index = write_shards(read, out, 8, "shards/x")
        write_table(out / "index.parquet", index)
        for view in (group_view(index, RATIOS, 0), official_view(index)):
            if view is not None:
                audit_view(index, view)
        return int(index.num_rows)

    return work


def stage(corpus: str, root: Path, out: Path, *, actors: int = 0) -> Callable[[], int]:
    importlib.import_module("great_expectations.expectations")
    from flows.params import Machine
    from flows.stages.ingest.ingest import IngestPlaces, IngestSettings, ingest_corpus
    from flows.stages.ingest.parts import shared_out

    def work() -> int:
        result = ingest_corpus(
            corpus,
            IngestSettings(
                "ravdess" if corpus == "noise" else corpus, shards=8, ratios=RATIOS, split_seed=0, max_reject_share=0.1
            ),
            IngestPlaces(root, out, work=out.parent / "work"),
            share=shared_out(Machine(actors=actors)) if actors else None,
        )
        return int(result["manifest"]["n"])

    return work


def hf(corpus: str, root: Path, out: Path, *, usable: bool) -> Callable[[], int]:
    import datasets
    from datasets.table import embed_table_storage

    if importlib.util.find_spec("torchcodec") is None:
        # the audio builder imports it even where nothing is decoded; a stand-in lets it build from paths
        for name in ("torchcodec", "torchcodec.encoders"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["torchcodec.encoders"].AudioEncoder = object  # type: ignore[attr-defined]
    datasets.disable_progress_bars()

    def parse(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        import numpy as np
        from PIL import Image

        pictures = [np.array(p.split(), dtype=np.uint8).reshape(48, 48) for p in batch["pixels"]]
        return {"image": [Image.fromarray(p) for p in pictures]}

    def work() -> int:
        cache = str(out / "cache")
        if corpus in ("ravdess", "noise"):
            data = datasets.load_dataset("audiofolder", data_dir=str(root), split="train", cache_dir=cache)
            data = data.cast_column("audio", datasets.Audio(decode=False))
        elif corpus == "goemotions":
            files = [str(path) for path in sorted(root.glob("*.tsv"))]
            data = datasets.load_dataset(
                "csv",
                data_files=files,
                split="train",
                cache_dir=cache,
                delimiter="\t",
                column_names=["text", "labels", "id"],
                quoting=3,
            )
        else:
            table_file = str(root / "fer2013.csv")
            data = datasets.load_dataset("csv", data_files=table_file, split="train", cache_dir=cache)
        if usable and corpus in ("ravdess", "noise"):
            data = data.with_format("arrow").map(embed_table_storage, batched=True, batch_size=100)
        elif usable and corpus == "fer2013":
            features = datasets.Features(
                {
                    "emotion": data.features["emotion"],
                    "Usage": data.features["Usage"],
                    "image": datasets.Image(),
                }
            )
            data = data.map(parse, batched=True, batch_size=500, remove_columns=["pixels"], features=features)
        if usable:
            data.to_parquet(str(out / "data.parquet"))
        return len(data)

    return work


CONTENDERS: dict[str, Callable[[str, Path, Path], Callable[[], int]]] = {
    "inner": inner,
    "stage": stage,
    "stage_two": lambda corpus, root, out: stage(corpus, root, out, actors=2),
    "hf_build": lambda corpus, root, out: hf(corpus, root, out, usable=False),
    "hf_usable": lambda corpus, root, out: hf(corpus, root, out, usable=True),
}


def peak_mib() -> float:
    """Peak resident memory of this process. Not getrusage: its maximum is inherited from the parent over exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def child(contender: str, corpus: str, root: Path, out: Path) -> None:
    begun = time.perf_counter()
    work = CONTENDERS[contender](corpus, root, out)
    imported = time.perf_counter()
    before = peak_mib()
    cpu = time.process_time()
    n = work()
    print(
        json.dumps(
            {
                "n": n,
                "import_s": imported - begun,
                "wall_s": time.perf_counter() - imported,
                "cpu_s": time.process_time() - cpu,
                "rss_before_mib": before,
                "rss_peak_mib": peak_mib(),
            }
        )
    )


def measure(names: list[str], corpus: str, root: Path, repeats: int) -> dict[str, dict[str, Any]]:
    """Contender -> what it took; contenders in turn, a process each, every other round backwards."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    failed: dict[str, list[str]] = {}
    for i in range(repeats):
        for name in names[:: 1 if i % 2 == 0 else -1]:
            if name in failed:
                continue
            with tempfile.TemporaryDirectory() as folder:
                quiet = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": folder}
                done = subprocess.run(
                    [sys.executable, __file__, "--child", name, corpus, str(root), f"{folder}/out"],
                    capture_output=True,
                    text=True,
                    env=os.environ | quiet | {"OMP_NUM_THREADS": "1"},
                    cwd=REPO,
                    check=False,
                )
            if done.returncode:
                failed[name] = done.stderr.strip().splitlines()[-1:]
            else:
                runs[name].append(json.loads(done.stdout.strip().splitlines()[-1]))
    return {name: {"failed": failed[name]} if name in failed else summary(runs[name]) for name in names}


def summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    rates = [run["n"] / run["cpu_s"] for run in runs]
    return {
        "n": runs[0]["n"],
        "repeats": len(runs),
        "cpu_s": [round(run["cpu_s"], 3) for run in runs],
        "samples_per_cpu_s": round(statistics.median(rates)),
        "samples_per_cpu_s_range": [round(min(rates)), round(max(rates))],
        "samples_per_s": round(statistics.median(run["n"] / run["wall_s"] for run in runs)),
        "import_s": round(statistics.median(run["import_s"] for run in runs), 2),
        "rss_peak_mib": round(max(run["rss_peak_mib"] for run in runs)),
        "rss_growth_mib": round(max(run["rss_peak_mib"] - run["rss_before_mib"] for run in runs)),
    }


def rows_of(corpus: str, results: dict[str, dict[str, Any]]) -> list[Row]:
    """The whole stage beside each peer that ran, and beside its own inner part."""
    times = {OURS if name == "stage" else name: one["cpu_s"] for name, one in results.items() if "cpu_s" in one}
    if OURS not in times:
        return []
    work = f"ingest, whole stage: {corpus}, {results['stage']['n']} samples"
    return [row(work, times, name) for name in times if name != OURS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=REPO.parent / "shared" / "data")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--corpora", nargs="+", default=["ravdess", "fer2013", "goemotions"])
    parser.add_argument("--big", action="store_true")
    parser.add_argument("--rows", type=Path, help="where lines of the speed table go as JSON")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        contender, corpus, root, out = asked.child
        child(contender, corpus, Path(root), Path(out))
        return
    results: dict[str, Any] = {
        "machine": {
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
        },
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }
    rows: list[Row] = []
    for corpus in asked.corpora:
        results[corpus] = {}
        for times in asked.scales:
            with tempfile.TemporaryDirectory() as folder:
                root = scaled(corpus, asked.data, times, Path(folder) / "raw")
                names = [n for n in CONTENDERS if n != "stage_two"] if times == asked.scales[0] else ["stage"]
                results[corpus][f"{times}x"] = measure(names, corpus, root, asked.repeats)
        rows += rows_of(corpus, results[corpus][f"{asked.scales[0]}x"])
    if asked.big:
        results["noise"] = {}
        for tenths in (1, 10):
            with tempfile.TemporaryDirectory() as folder:
                root = noise(tenths, Path(folder) / "raw")
                names = ["stage", "inner", "stage_two", "hf_usable"]
                results["noise"][f"{tenths / 10:g} GB"] = measure(names, "noise", root, 1)
    print(json.dumps(results, indent=2))
    sys.stderr.write(table(rows) + "\n")
    if asked.rows is not None:
        write_rows(asked.rows, rows, machine={"machine": platform.machine(), "cores": str(os.cpu_count())})


if __name__ == "__main__":
    main()
