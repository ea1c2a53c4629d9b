"""A release is read by tools that know nothing of us (tests/readers/strangers.py), and all of them read the same."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.readers import strangers
from tests.readers.readable import ENDINGS, SPLIT, content, number_of, readable, samples

OURS = {"emoforge", "flows", "corpora", "features", "training", "generators", "validators", "tests", "benchmarks"}


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: readable(tmp_path_factory.mktemp(name), name) for name in ENDINGS}


def truth(modality: str) -> strangers.Read:
    return {s.sample_id: (s.payload, s.emotion, s.generator_id is not None) for s in samples(modality)}


def test_strangers_import_nothing_of_ours() -> None:
    tree = ast.parse(Path(strangers.__file__).read_text(encoding="utf-8"))
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert names and not {name.partition(".")[0] for name in names} & OURS


@pytest.mark.parametrize("modality", list(ENDINGS))
def test_webdataset_and_plain_offsets(releases: dict[str, Path], modality: str) -> None:
    read = strangers.by_webdataset(releases[modality], ENDINGS[modality])
    assert read == truth(modality) == strangers.by_offsets(releases[modality])
    for sample_id, (payload, _, _) in read.items():
        assert alike(strangers.decoded(ENDINGS[modality], payload), content(modality, number_of(sample_id)))


def alike(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return value.keys() == wanted.keys() and all(np.array_equal(value[name], wanted[name]) for name in wanted)
    return bool(np.array_equal(value, wanted))


def test_tables(releases: dict[str, Path]) -> None:
    wanted = Counter((SPLIT.get(s.sample_id, "train"), s.emotion, s.generator_id is not None) for s in samples("face"))
    for read in (strangers.by_duckdb, strangers.by_polars, strangers.by_pandas):
        assert read(releases["face"]) == wanted


@pytest.mark.parametrize("streaming", [True, False])
def test_datasets_reads_real_and_synthetic_apart(releases: dict[str, Path], tmp_path: Path, streaming: bool) -> None:
    """wav, which `datasets` decodes with torchcodec alone; the others: in a process of its own, marked slow."""
    read = strangers.by_datasets(releases["speech"], "wav", streaming=streaming, cache=tmp_path)
    whole = truth("speech")
    assert read == {
        "real": {k: v for k, v in whole.items() if not v[2]},
        "synthetic": {k: v for k, v in whole.items() if v[2]},
    }


@pytest.mark.parametrize("modality", ["speech", "face"])
def test_datasets_streams_as_the_card_says(releases: dict[str, Path], modality: str) -> None:
    read = strangers.streamed_by_cast(releases[modality], ENDINGS[modality])
    assert read == {k: v for k, v in truth(modality).items() if k not in SPLIT}


def test_loaders_of_two_ranks_with_two_workers_read_each_sample_once(releases: dict[str, Path]) -> None:
    """In a process of its own: one that runs tests has the threads of all that ran before, and workers are forked."""
    code = "import json, strangers, sys; from pathlib import Path; "
    code += "print(json.dumps(strangers.by_loaders(Path(sys.argv[1]), 'png', 2, 2)))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(releases["face"])],
        env=os.environ | {"PYTHONPATH": str(Path(strangers.__file__).parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    parts = json.loads(done.stdout)
    assert sorted(chain(*parts)) == sorted(truth("face")) and all(parts)


@pytest.mark.slow
def test_ray_reads_it(releases: dict[str, Path]) -> None:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        assert strangers.by_ray(releases["speech"], "wav") == truth("speech")
    finally:
        ray.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("modality", list(ENDINGS))
def test_everything_in_a_process_without_us(releases: dict[str, Path], modality: str, tmp_path: Path) -> None:
    code = Path(strangers.__file__)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-P", str(code), str(releases[modality]), ENDINGS[modality], str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "32 samples"
