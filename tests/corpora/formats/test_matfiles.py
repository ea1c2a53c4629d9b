"""The loader of MATLAB files: what scipy reads, less what a hostile header can do to it."""

from __future__ import annotations

import io
import random
import re
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io.matlab
from scipy.io import loadmat, savemat

from corpora.errors import PayloadError
from corpora.formats.matfiles import MAX_DEPTH, load_cells, load_mat, open_mat
from tests.work import counted

EVERY = re.compile(".*", re.DOTALL)
HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
MATLAB = Path(scipy.io.matlab.__file__).parent / "tests" / "data"  # files that MATLAB itself saved, in scipy's wheel
MIB = 2**20


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(mclass: int, dims: tuple[int, ...], *parts: bytes, name: bytes = b"x", flags: int = 0) -> bytes:
    head = element(6, struct.pack("<II", mclass | flags, 0)) + element(5, struct.pack(f"<{len(dims)}i", *dims))
    return element(14, head + element(1, name) + b"".join(parts))


def doubles(*values: float) -> bytes:
    return element(9, struct.pack(f"<{len(values)}d", *values))


def packed(data: bytes) -> bytes:
    squeezed = zlib.compress(data)
    return struct.pack("<II", 15, len(squeezed)) + squeezed


def cells(*values: Any) -> np.ndarray:
    found = np.empty((1, len(values)), dtype=object)
    for i, value in enumerate(values):
        found[0, i] = value
    return found


def variables(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "x_eeg10": rng.normal(size=(62, 40)),
        "x_eeg2": np.arange(12, dtype=np.int16).reshape(3, 4),
        "s": {
            "Age": "22",
            "Data": cells(rng.normal(size=(5, 17)), np.zeros((0, 0)), "text", {"deep": np.ones((2, 2))}),
        },
        "flag": np.array([[True, False]]),
    }


def written(path: Path, found: dict[str, Any], compress: bool) -> Path:
    savemat(path, found, do_compression=compress)
    return path


def reasons(path: Path, data: bytes, max_bytes: int = MIB) -> list[str]:
    """What reading a file of these bytes comes to: "ok" or a slug for each variable."""
    path.write_bytes(data)
    return [
        value.reason if isinstance(value, PayloadError) else "ok"
        for _, value in load_mat(path, EVERY, max_bytes=max_bytes)
    ]


@pytest.mark.parametrize("compress", [False, True])
def test_values_come_back_and_numbers_in_names_count_as_numbers(tmp_path: Path, compress: bool) -> None:
    wanted = variables(np.random.default_rng(0))
    path = written(tmp_path / "a.mat", wanted, compress)
    found = dict(load_mat(path, EVERY))
    assert list(found) == ["flag", "s", "x_eeg2", "x_eeg10"]
    assert np.array_equal(found["x_eeg10"], wanted["x_eeg10"])
    assert np.array_equal(found["x_eeg2"], wanted["x_eeg2"]) and found["x_eeg2"].dtype == np.int16
    assert found["s"]["Age"] == "22"
    first, empty, text, inner = found["s"]["Data"]
    assert np.array_equal(first, wanted["s"]["Data"][0, 0])
    assert (empty.shape, text) == ((0, 0), "text")
    assert np.array_equal(inner["deep"], np.ones((2, 2)))
    assert found["flag"].tolist() == [[1, 0]]
    assert [name for name, _ in load_mat(path, re.compile(r"x_eeg(\d+)"))] == ["x_eeg2", "x_eeg10"]
    assert [name for name, _ in load_mat(path, ["s", "nothing"])] == ["s"]
    shapes = {variable.name: variable.shape for variable in open_mat(path).variables}
    assert shapes["x_eeg10"] == (62, 40) and shapes["s"] == (1, 1)


@pytest.mark.parametrize("compress", [False, True])
def test_cells_are_read_one_by_one(tmp_path: Path, compress: bool) -> None:
    path = written(tmp_path / "a.mat", variables(np.random.default_rng(0)) | {"c": cells(*range(9))}, compress)
    assert [int(value[0, 0]) for value in load_cells(path, "c")] == list(range(9))
    assert [type(value) for value in load_cells(path, "s", "Data")] == [np.ndarray, np.ndarray, str, dict]
    for name, field in (("c", "Data"), ("s", "none"), ("s", "Age"), ("x_eeg2", None), ("absent", None)):
        with pytest.raises(PayloadError, match="malformed"):
            list(load_cells(path, name, field))


def test_files_that_matlab_saved_read_as_scipy_reads_them() -> None:
    if not MATLAB.is_dir():
        pytest.skip("this scipy came without its test data")
    compared = 0
    for path in sorted(MATLAB.glob("test*_[67]*.mat")):
        if "hdf5" in path.name:
            continue
        for name, value in load_mat(path, EVERY):
            if isinstance(value, PayloadError):
                assert value.reason == "unsupported-encoding", path
                assert re.search("complex|sparse|func|object|struct_", path.name)
            elif isinstance(value, np.ndarray):
                assert np.array_equal(value, loadmat(path)[name]), path
                compared += 1
    assert compared > 10
    assert dict(load_mat(MATLAB / "teststring_7.1_GLNX86.mat", EVERY))["teststring"].startswith('"Do nine men')
    big = dict(load_mat(MATLAB / "big_endian.mat", ["floats"]))["floats"]
    assert np.array_equal(big, dict(load_mat(MATLAB / "little_endian.mat", ["floats"]))["floats"])


@pytest.mark.parametrize(
    ("data", "slug"),
    [
        (b"", "empty"),
        (b"not a mat file at all" * 99, "not-a-mat"),
        (b"\x89HDF\r\n\x1a\n" * 99, "unsupported-encoding"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + bytes(999), "unsupported-encoding"),
    ],
)
def test_what_is_no_matlab_5_file_is_an_error(tmp_path: Path, data: bytes, slug: str) -> None:
    with pytest.raises(PayloadError) as caught:
        reasons(tmp_path / "a.mat", data)
    assert caught.value.reason == slug


def nested(depth: int) -> bytes:
    inner = matrix(6, (1, 1), doubles(1.0))
    for _ in range(depth):
        inner = matrix(1, (1, 1), inner)
    return inner


HOSTILE = {
    "2^62 doubles": (matrix(6, (2**31 - 1, 2**31 - 1), doubles(1.0)), "too-large"),
    "2^31 doubles of no bytes": (matrix(6, (2**31 - 1, 1), doubles()), "too-large"),
    "more doubles than bytes": (matrix(6, (100, 100), doubles(1.0)), "malformed"),
    "fewer doubles than bytes": (matrix(6, (1, 1), doubles(1.0, 2.0)), "malformed"),
    "negative dimension": (matrix(6, (-1, -1), doubles(1.0)), "malformed"),
    "40 dimensions": (matrix(6, (1,) * 40, doubles(1.0)), "malformed"),
    "2^31 structs without a field": (
        matrix(2, (2**31 - 1, 1), element(5, struct.pack("<i", 8)), element(1, b"")),
        "too-large",
    ),
    "2^31 cells": (matrix(1, (2**31 - 1, 1)), "too-large"),
    "cells that are not there": (matrix(1, (3, 1), matrix(6, (1, 1), doubles(1.0))), "malformed"),
    "an element beyond its matrix": (matrix(6, (1, 1), struct.pack("<II", 9, 2**31)), "malformed"),
    "many cells in many cells": (
        matrix(1, (1, 120), *[matrix(1, (1, 99), *[element(14, b"")] * 99)] * 120),
        "too-large",
    ),
    "too deep": (nested(MAX_DEPTH + 1), "too-large"),
    "a thousand deep": (nested(1000), "too-large"),
    "a function handle": (matrix(16, (1, 1), nested(0)), "unsupported-encoding"),
    "an object": (matrix(3, (1, 1), element(1, b"bomb")), "unsupported-encoding"),
    "opaque": (matrix(17, (1, 1), element(1, b"bomb")), "unsupported-encoding"),
    "sparse": (matrix(5, (2**31 - 1, 2**31 - 1)), "unsupported-encoding"),
    "complex": (matrix(6, (1, 1), doubles(1.0), doubles(1.0), flags=0x800), "unsupported-encoding"),
    "fields of no length": (matrix(2, (1, 1), element(5, struct.pack("<i", 0)), element(1, b"abcd")), "malformed"),
}


MOST_CALLS = 300_000


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("compress", [False, True])
def test_a_hostile_variable_is_an_error_that_leaves_the_others(tmp_path: Path, what: str, compress: bool) -> None:
    data, slug = HOSTILE[what]
    after = matrix(6, (1, 1), doubles(1.0), name=b"y")
    tracemalloc.start()
    with counted() as work:
        slugs = reasons(tmp_path / "a.mat", HEADER + (packed(data) if compress else data) + after)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sorted(slugs) == sorted([slug, "ok"])
    assert peak < 4 * MIB and work.calls < MOST_CALLS


def test_sizes_are_judged_before_anything_is_unpacked(tmp_path: Path) -> None:
    bomb = packed(matrix(6, (8 * MIB, 1), element(9, bytes(64 * MIB))))  # 64 MiB in 64 KiB
    tracemalloc.start()
    assert reasons(tmp_path / "a.mat", HEADER + bomb, max_bytes=MIB) == ["too-large"]
    assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    tracemalloc.stop()


def test_a_file_cut_short_keeps_what_stands_before(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mat", {f"x{i}": np.full((9, 9), i) for i in range(4)}, compress=False)
    data = path.read_bytes()
    assert reasons(path, data[: len(data) - 99]) == ["ok", "ok", "ok", "truncated"]
    assert reasons(path, data[:-1] + b"\0" * 4)[-1] == "truncated"


def test_a_wrong_checksum_is_an_error_and_bytes_left_over_are_not(tmp_path: Path) -> None:
    whole = packed(matrix(6, (2, 100), doubles(*range(200))))
    assert reasons(tmp_path / "a.mat", HEADER + whole) == ["ok"]
    assert "malformed" in reasons(tmp_path / "a.mat", HEADER + whole[:-1] + bytes([whole[-1] ^ 1]))
    assert reasons(tmp_path / "a.mat", HEADER + packed(matrix(6, (1, 1), doubles(1.0)) + bytes(16))) == ["ok"]


def test_one_variable_and_one_cell_are_in_memory_at_a_time(tmp_path: Path) -> None:
    one = np.random.default_rng(0).normal(size=(62, 2100))  # 1 MB
    path = written(tmp_path / "a.mat", {f"x{i}": one for i in range(8)}, compress=True)
    cell = written(tmp_path / "b.mat", {"s": {"Data": cells(*[one] * 8)}}, compress=True)
    for values in (load_mat(path, EVERY), load_cells(cell, "s", "Data")):
        tracemalloc.start()
        assert sum(1 for _ in values) == 8
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5 * one.nbytes


def mutated(data: bytes, rng: random.Random) -> bytes:
    found = bytearray(data)
    words = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x10", b"\x0e\0\0\0", b"\1\0\0\0")
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(100, max(101, min(len(found), rng.choice((400, 1 << 30)))))
        kind = rng.randrange(5)
        if kind == 0:
            found[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            found[at : at + 4] = rng.choice(words)
        elif kind == 2:
            del found[at : at + rng.randrange(1, 40)]
        elif kind == 3:
            found[at:at] = found[rng.randrange(len(found)) :][: rng.randrange(1, 99)]
        else:
            del found[at:]
    return bytes(found)


def fuzz(folder: Path, count: int) -> None:
    whole = variables(np.random.default_rng(0))
    seeds = []
    for compress in (False, True):
        out = io.BytesIO()
        savemat(out, whole, do_compression=compress)
        seeds.append(out.getvalue())
    inner = seeds[0][HEADER.__len__() :]
    path = folder / "a.mat"
    most, failed = 0, 0
    for i in range(count):
        rng = random.Random(i)
        data = mutated(seeds[i % 2], rng)
        if i % 3 == 2:  # damage that a checksum does not find: packed again
            data = HEADER + packed(mutated(HEADER + inner, rng)[len(HEADER) :])
        path.write_bytes(data)
        with counted() as work:
            try:
                values = [value for _, value in load_mat(path, EVERY, max_bytes=MIB)]
                values += list(load_cells(path, "s", "Data"))
                failed += any(isinstance(value, PayloadError) for value in values)
            except PayloadError:
                failed += 1
        most = max(most, work.calls)
    assert most < MOST_CALLS
    assert failed > count / 4  # most mutations hit numbers, where they do no harm


def test_mutated_files_are_errors_never_crashes(tmp_path: Path) -> None:
    fuzz(tmp_path, 200)


@pytest.mark.slow
def test_ten_thousand_mutated_files_are_errors_never_crashes(tmp_path: Path) -> None:
    tracemalloc.start()
    fuzz(tmp_path, 10_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * MIB
