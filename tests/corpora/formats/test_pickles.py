"""The unpickler for arrays: reads what numpy and Python 2 wrote, and nothing that a pickle can do beyond that."""

from __future__ import annotations

import builtins
import os
import pickle
import pickletools
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.errors import PayloadError
from corpora.formats.pickles import MAX_OPCODES, dump_python2, load_array_file, load_arrays
from tests.work import counted

MIB = 2**20
VALUES = np.random.default_rng(0).normal(size=(2, 3))


def load(data: bytes, max_bytes: int = MIB) -> Any:
    return load_arrays(data, max_bytes=max_bytes)


def refused(data: bytes, max_bytes: int = MIB) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        load(data, max_bytes)
    return caught.value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_data_come_back_of_every_protocol(protocol: int) -> None:
    wanted = {
        "c": VALUES,
        "fortran": np.asfortranarray(VALUES.astype(">f4")),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), dtype="u2"),
        "words": np.array(["ab", "c"]),
        "scalar": np.float32(1.5),
        "plain": [1, -(2**40), 2.5, None, True, "ü", b"\xff\0", b"", (), (1, "x")],
    }
    found = load(pickle.dumps(wanted, protocol=protocol))
    assert found.keys() == wanted.keys()
    for name in ("c", "fortran", "flags", "empty", "words"):
        array, other = wanted[name], found[name]
        assert isinstance(array, np.ndarray)
        assert (other.dtype, other.shape) == (array.dtype, array.shape)
        assert np.array_equal(other, array)
    assert found["scalar"] == 1.5 and found["scalar"].dtype == np.float32
    assert found["plain"] == wanted["plain"]


def python2_array(shape: str = "(I2\nI3\nt", raw: bytes = VALUES.tobytes(), kind: str = "f8") -> bytes:
    """`cPickle.dumps({"data": array})` of Python 2.7 and numpy 1.16, whose bytes are a string literal (protocol 0)."""
    text = repr(raw)[1:].encode()
    return (
        b"(dp1\nS'data'\np2\ncnumpy.core.multiarray\n_reconstruct\np3\n(cnumpy\nndarray\np4\n(I0\ntS'b'\ntRp5\n(I1\n"
        + shape.encode()
        + f"cnumpy\ndtype\np6\n(S'{kind}'\nI0\nI1\ntRp7\n(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS".encode()
        + text
        + b"\ntbs."
    )


def python2_binary() -> bytes:
    """The same of protocol 2: bytes as BINSTRING, which Python 3 reads as latin-1 text."""
    raw = VALUES.tobytes()
    return (
        b"\x80\x02}q\x01U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b"
        b"\x87Rq\x05(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x06U\x02f8K\x00K\x01\x87Rq\x07(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<i", len(raw)) + raw + b"tbs."
    )


@pytest.mark.parametrize("data", [python2_array(), python2_binary()], ids=["protocol 0", "protocol 2"])
def test_pickles_of_python_2_are_read(data: bytes) -> None:
    assert np.array_equal(pickle.loads(data, encoding="latin1")["data"], VALUES)  # noqa: S301 (the fixture is what it says)
    assert np.array_equal(load(data)["data"], VALUES)


def test_what_python_2_would_have_written_is_what_both_unpicklers_read() -> None:
    wanted = {"signal": {"chest": {"ECG": VALUES, "flat": VALUES[0].astype("f4")}}, "subject": "S2", "n": -3}
    for found in (pickle.loads(dump_python2(wanted), encoding="latin1"), load(dump_python2(wanted))):  # noqa: S301
        assert (found["subject"], found["n"]) == ("S2", -3)
        assert np.array_equal(found["signal"]["chest"]["ECG"], VALUES)
        assert found["signal"]["chest"]["flat"].dtype == np.float32


class Calls:
    """Pickles as a call of anything."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


RECONSTRUCT = np._core.multiarray._reconstruct  # type: ignore[attr-defined]
HOSTILE = {
    "os.system": pickle.dumps(Calls(os.system, "touch SENTINEL")),
    "os.system, protocol 0": b"cos\nsystem\n(S'touch SENTINEL'\ntR.",
    "builtins.eval": pickle.dumps(Calls(builtins.eval, "open('SENTINEL', 'w')")),
    "python 2 eval": b"c__builtin__\neval\n(S\"open('SENTINEL', 'w')\"\ntR.",
    "in a list": pickle.dumps([VALUES, {"x": Calls(os.mkdir, "SENTINEL")}]),
    "getattr": pickle.dumps(Calls(getattr, "x", "upper")),
    "INST": b"(S'touch SENTINEL'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'touch SENTINEL'\no.",
    "NEWOBJ": b"\x80\x02cos\nsystem\n)\x81.",
    "persistent id": b"Psomething\n.",
    "extension code": b"\x80\x02\x82\x01.",
    "a class of ours": pickle.dumps(Path("x")),
    "set": pickle.dumps({1, 2}),
    "object array": pickle.dumps(np.array([object, {"a": 1}], dtype=object)),
    "structured array": pickle.dumps(np.zeros(3, dtype=[("a", "f4"), ("b", "i2")])),
    "dates": pickle.dumps(np.array(["2020-01-01"], dtype="M8[D]")),
    "reconstruct of another class": pickle.dumps(Calls(RECONSTRUCT, np.matrix, (0,), b"b")),
    "reconstruct of a name": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I9\ntS'b'\ntR.",
    "array without state": pickle.dumps(Calls(RECONSTRUCT, np.ndarray, (0,), b"b")),
    "array with shape in reconstruct": pickle.dumps(Calls(RECONSTRUCT, np.ndarray, (2**40,), b"b")),
    "more values than bytes": python2_array(shape="(I2\nI4\nt"),
    "fewer values than bytes": python2_array(shape="(I2\nI2\nt"),
    "huge shape": python2_array(shape="(I2147483647\nI2147483647\nt"),
    "negative shape": python2_array(shape="(I-2\nI-3\nt"),
    "shape of floats": python2_array(shape="(F2\nF3\nt"),
    "wide text": python2_array(kind="U99999999"),
    "void": python2_array(kind="V48"),
    "objects in bytes": python2_array(kind="O8"),
    "unicode bytes": python2_binary().replace(b"\x89T", b"\x89X"),
    "a stand-in as data": b"\x80\x02cnumpy\nndarray\n.",
    "state of a name": b"\x80\x02cnumpy\nndarray\n}U\x01aK\x01sb.",
    "state of a list": b"\x80\x02]}U\x01aK\x01sb.",
    "state with slots of a name": b"\x80\x02cnumpy\nndarray\nN}U\x0c__defaults__)s\x86b.",
    "call of data": b"\x80\x02K\x01)R.",
    "nothing on the stack": b".",
    "memo that was not filled": b"h\x05.",
    "cycle": b"\x80\x02]q\x00h\x00a.",
    "in two places": pickle.dumps([[shared := [1], 2], shared]),
    "laughs": b"\x80\x02]q\x00" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(60)) + b".",
    "depth of lists": b"]" * 5000 + b"a" * 4999 + b".",
    "depth of tuples": b"N" + b"\x85" * 15000 + b".",
    "tuples as key": b"}N" + b"\x85" * 15000 + b"Ns.",
    "key of a list": b"}]Ns.",
    "too many opcodes": b"]" + b"Na" * MAX_OPCODES + b".",
    "marks": b"(" * (MAX_OPCODES + 1) + b".",
    "memo index": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "memo index as text": b"Np99999999999\n.",
    "negative memo index": b"Np-1\n.",
    "negative length": b"T\xff\xff\xff\xff.",
    "an integer of 100 bytes": pickle.dumps(2**800),
    "an integer of 5000 digits": b"L" + b"9" * 5000 + b"L\n.",
    "a name of 1000 bytes": b"c" + b"a" * 1000 + b"\nb\n.",
    "bytes to codec": pickle.dumps(Calls(__import__("codecs").encode, "x", "rot13")),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_pickle_is_refused_and_runs_nothing(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with counted(10 * MAX_OPCODES):  # a few calls an opcode
        assert refused(HOSTILE[case]).reason == "forbidden-pickle"
    assert list(tmp_path.iterdir()) == []


def test_the_cases_are_hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(HOSTILE["os.system, protocol 0"])  # noqa: S301
    assert (tmp_path / "SENTINEL").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",  # BINBYTES8
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",  # BYTEARRAY8
        b"\x80\x03B" + struct.pack("<I", 2**32 - 1) + b"x.",  # BINBYTES
        b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",  # LONG4
        b"\x80\x02T" + struct.pack("<i", 2**31 - 1) + b"x.",  # BINSTRING
        b"\x80\x04\x95" + struct.pack("<Q", 2**50) + b"N.",  # FRAME
        b"S'no end",
        pickle.dumps(VALUES)[:-40],
        pickle.dumps(VALUES)[:-1],
    ],
)
def test_a_promise_of_more_than_there_is_takes_no_memory(data: bytes) -> None:
    tracemalloc.start()
    assert refused(data).reason == "truncated"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MIB


def test_memo_grows_with_the_pickle_and_not_with_its_indices() -> None:
    for data in (b"\x80\x02Nr" + struct.pack("<I", 5_000_000) + b".", b"Np5000000\n."):  # 80 MB for one entry
        tracemalloc.start()
        assert refused(data).reason == "forbidden-pickle"
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MIB


def test_one_string_for_many_arrays_is_counted_each_time() -> None:
    text = b"T" + struct.pack("<i", 9999) + b"x" * 9999 + b"q\x02"
    names = b"cnumpy.core.multiarray\nscalar\nq\x00cnumpy\ndtype\nU\x05S9999\x85Rq\x01"
    pickled = b"\x80\x02](" + names + text + b"h\x00h\x01h\x02\x86R" * 200 + b"e."
    assert len(pickled) < 20_000
    assert refused(pickled, max_bytes=20_000).reason == "too-large"


@pytest.mark.parametrize("data", [b"hello, this is text\n", b"\x89PNG\r\n\x1a\n", b"\0" * 100, b"PK\3\4rest"])
def test_what_is_no_pickle_is_called_so(data: bytes) -> None:
    assert refused(data).reason in ("not-a-pickle", "forbidden-pickle", "truncated")


def test_size_is_asked_first() -> None:
    assert refused(b"").reason == "empty"
    assert refused(pickle.dumps(np.zeros(2**17)), max_bytes=2**20).reason == "too-large"


def test_files_are_mapped(tmp_path: Path) -> None:
    for name, data in (("new.pkl", pickle.dumps({"a": VALUES})), ("old.dat", python2_array())):
        (tmp_path / name).write_bytes(data)
        found = load_array_file(tmp_path / name, max_bytes=MIB)
        assert np.array_equal(next(iter(found.values())), VALUES)
    (tmp_path / "empty.pkl").write_bytes(b"")
    for name, reason in (("empty.pkl", "empty"), ("none.pkl", "unreadable"), ("new.pkl", "too-large")):
        with pytest.raises(PayloadError) as caught:
            load_array_file(tmp_path / name, max_bytes=10)
        assert caught.value.reason == reason


def mutations(seed: int) -> bytes:
    """One of three pickles with bytes flipped, cut, doubled or replaced by an opcode."""
    rng = np.random.default_rng(seed)
    data = bytearray(
        [pickle.dumps({"data": VALUES, "s": "S2"}, protocol=4), python2_array(), python2_binary()][seed % 3]
    )
    codes = [ord(op.code) for op in pickletools.opcodes]
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(len(data)))
        how = rng.integers(4)
        if how == 0:
            data[at] = rng.integers(256)
        elif how == 1:
            data[at] = rng.choice(codes)
        elif how == 2:
            del data[at : at + int(rng.integers(1, 9))]
        else:
            data[at:at] = data[at : at + int(rng.integers(1, 40))]
    return bytes(data)


def survives(data: bytes) -> None:
    try:
        found = load(data)
    except PayloadError as error:
        assert error.reason in ("not-a-pickle", "truncated", "forbidden-pickle", "too-large", "empty")
    else:
        assert isinstance(found, (dict, str, bytes, int, float, list, tuple, np.ndarray, np.generic, type(None)))


def test_mutated_pickles_are_read_or_refused() -> None:
    for seed in range(300):
        survives(mutations(seed))


@pytest.mark.slow
def test_ten_thousand_mutated_pickles_are_read_or_refused() -> None:
    for seed in range(10_000):
        survives(mutations(seed))
