"""Mutated files of every family that is read: an error with a name or a counted reject, soon, in little memory."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from corpora.codecs import decode_image, encode_png
from corpora.errors import PayloadError
from corpora.signals import decode_npy
from tests import fuzz
from tests.fuzz_families import FAMILIES, Seed, mutant, mutate, with_checksums

MOST_CALLS = 300_000


def found(repo: Path, families: list[str], count: int, first: int = 0) -> dict[str, dict[str, Any]]:
    """What the mutants of families came to, in a process of their own that must end well and say nothing else."""
    command = [sys.executable, "-P", "tests/fuzz.py", ",".join(families), str(count), str(first)]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=1200)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [told["family"] for told in lines] == families
    return {told["family"]: told for told in lines}


def judge(told: dict[str, Any]) -> None:
    assert told["most_calls"] < MOST_CALLS, told
    assert told["growth"] < fuzz.MAX_GROWTH, told
    # a fuzzer that breaks all, or nothing, tests nothing
    assert told["outcomes"].get("ok", 0) > 0, told
    assert sum(count for outcome, count in told["outcomes"].items() if outcome != "ok") > told["mutants"] / 20, told


@pytest.fixture(scope="module")
def few(repo: Path) -> dict[str, dict[str, Any]]:
    names = list(FAMILIES)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda part: found(repo, part, 200), (names[::2], names[1::2]))
    return one | other


@pytest.mark.parametrize("family", FAMILIES)
def test_mutated_files_are_errors_or_rejects(few: dict[str, dict[str, Any]], family: str) -> None:
    judge(few[family])


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("family", FAMILIES)
def test_ten_thousand_mutated_files_are_errors_or_rejects(repo: Path, family: str) -> None:
    judge(found(repo, [family], 10_000, first=200)[family])


def test_a_mutant_is_the_same_bytes_everywhere() -> None:
    seeds = [Seed(bytes(range(256)) * 4), Seed(b"a,b\n" * 99)]
    many = [mutant(seeds, number) for number in range(400)]
    assert many == [mutant(seeds, number) for number in range(400)]
    assert sum(data not in (seed.data for seed in seeds) for data in many) > 380
    assert len({len(data) for data in many}) > 100


def test_the_guard_sees_what_must_not_happen(tmp_path: Path) -> None:
    """In a process of its own: the hook cannot be taken off again."""
    code = (
        "import os, sys, warnings; sys.path.insert(0, 'tests'); import fuzz; from pathlib import Path\n"
        f"with fuzz.guarded(Path({str(tmp_path)!r})):\n"
        "    for act in (lambda: os.system('true'), lambda: open('/tmp/x-of-fuzz', 'w'), lambda: warnings.warn('w'),\n"
        "                lambda: bytearray(2 << 30)):\n"
        "        try:\n"
        "            act()\n"
        "        except (AssertionError, UserWarning, MemoryError) as error:\n"
        "            print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=fuzz.__file__[: -len("tests/fuzz.py")]
    )
    assert done.stdout.split() == ["AssertionError", "AssertionError", "UserWarning", "MemoryError"], done.stderr
    assert not Path("/tmp/x-of-fuzz").exists()


def test_a_header_that_ends_within_a_bracket_is_an_error() -> None:
    """numpy's header reader lets an exception of the tokenizer through."""
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,".ljust(117) + b"\n"
    with pytest.raises(PayloadError) as caught:
        decode_npy(b"\x93NUMPY\x01\0" + len(head).to_bytes(2, "little") + head + bytes(16), "x.npy")
    assert caught.value.reason == "not-an-npz"


def test_images_that_other_programs_would_open_are_refused() -> None:
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    with pytest.raises(PayloadError) as caught:
        decode_image(postscript)
    assert caught.value.reason == "not-an-image"


def test_damaged_exif_is_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "turned"
    out = io.BytesIO()
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(out, "jpeg", exif=exif)
    damaged = out.getvalue().replace(b"\x01\x0e\x00\x02\x00\x00\x00\x07", b"\x01\x0e\x00\x02\x00\x00\xff\xff", 1)
    assert damaged != out.getvalue()
    assert decode_image(damaged).shape == (9, 8)
    assert not recwarn.list


def test_checksums_are_made_anew_for_what_is_damaged() -> None:
    picture = encode_png(np.arange(64, dtype=np.uint8).reshape(8, 8))
    assert with_checksums(picture) == picture
    damaged = bytearray(picture)
    damaged[19] = 9  # the width
    with pytest.raises(PayloadError, match=r"not-an-image|truncated"):
        decode_image(bytes(damaged))
    assert mutate(picture, random.Random(1), [picture]) != picture
    with pytest.raises(PayloadError, match="truncated"):
        decode_image(with_checksums(bytes(damaged)))
