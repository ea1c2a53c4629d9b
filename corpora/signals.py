"""Physiological payloads: named arrays of different rates and shapes in one .npz that is the same bytes everywhere.

An npz because webdataset and numpy read it with nothing of ours installed. Only numbers go in and come out: no pickle.
"""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from tokenize import TokenError
from typing import IO

import numpy as np
from numpy.lib import format as npy

from corpora.errors import PayloadError

MAX_SIGNAL_BYTES = 512 * 2**20  # decoded; an hour of 32-channel EEG at 512 Hz in float32 is 236 MB
VECTOR = "features"  # the array of a payload that is a row of features [d], not a signal in time
MAX_SIGNALS = 1024  # arrays of one payload; the channels of one array [n, channels] are not counted
BASELINE = "_baseline"  # end of the name of what was recorded right before a trial, as DEAP, DREAMER, AMIGOS have it
_EPOCH = (1980, 1, 1, 0, 0, 0)  # what a zip entry says when it says nothing
_KINDS = "fiub"  # float, signed, unsigned, bool
# what numpy's reader of .npy headers raises; it parses them as Python, version 2 and older after a tokenizer's look
_NO_HEADER = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, UnicodeError, EOFError, TokenError)


def is_vector(signals: Sequence[Mapping[str, object]]) -> bool:
    """Whether the `signals` of a record are those of a row of features: one array without a rate."""
    return len(signals) == 1 and signals[0].get("name") == VECTOR and signals[0].get("rate_hz") is None


def encode_signals(signals: Mapping[str, np.ndarray]) -> bytes:
    """{name: array [n] or [n, channels], time first} -> npz, float64 as float32, the same bytes for the same arrays.

    Raises `PayloadError`: empty (no array, or one without values), non-finite, too-large (what `decode_signals` would
    not read). Raises ValueError for other shapes or kinds of values, and names that `is_signal_name` refuses.
    """
    if not signals:
        raise PayloadError("empty", "no signals")
    total = sum(a.size * (4 if a.dtype.kind == "f" else a.itemsize) for a in map(np.asarray, signals.values()))
    if len(signals) > MAX_SIGNALS or total > MAX_SIGNAL_BYTES:
        raise PayloadError(
            "too-large",
            f"{len(signals)} signals, {total} bytes; at most {MAX_SIGNALS} and {MAX_SIGNAL_BYTES} are kept. Channels "
            "of one rate and unit can be one signal [n, channels]",
        )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(signals):
            array = np.asarray(signals[name])
            if array.ndim not in (1, 2) or array.dtype.kind not in _KINDS:
                raise ValueError(f"signal {name!r}: need numbers [n] or [n, channels], got {array.dtype} {array.shape}")
            if not is_signal_name(name):
                raise ValueError(f"signal name {name!r}: allowed are letters, digits, _, - and .")
            if array.size == 0:
                raise PayloadError("empty", f"signal {name!r} has shape {array.shape}")
            if array.dtype.kind == "f":
                array = array.astype("<f4")
                if not np.isfinite(array).all():
                    raise PayloadError("non-finite", f"{int((~np.isfinite(array)).sum())} values of signal {name!r}")
            body = io.BytesIO()
            npy.write_array(body, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), body.getvalue())
    return out.getvalue()


def is_signal_name(name: str) -> bool:
    """Whether it can be a file name in the zip: letters, digits, "_", "-" and "."."""
    return bool(name) and all(c.isalnum() or c in "_-." for c in name)


def check_trial(arrays: Mapping[str, np.ndarray], rates_hz: Mapping[str, float]) -> None:
    """Whether {signal: [n] or [n, channels]} can be one stretch of time: no value missing, all as long as one another.

    There must be one duration T that each signal fills to within one value of its own: (n - 1) / rate <= T <= (n + 1) /
    rate. What was recorded before the trial ("..._baseline") has a duration of its own. Raises `PayloadError`:
    non-finite (how many values and where the first stands, in s), unequal-duration.
    """
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = ~np.isfinite(array).reshape(len(array), -1)
            first = int(bad.any(axis=1).argmax()) / rates_hz[name]
            raise PayloadError("non-finite", f"{int(bad.sum())} values of signal {name!r}, the first at {first:g} s")
    for before in (False, True):
        own = {n: (len(arrays[n]), float(rates_hz[n])) for n in sorted(arrays) if n.endswith(BASELINE) == before}
        if len(own) < 2:
            continue
        longest = max(own, key=lambda name: (own[name][0] - 1) / own[name][1])
        shortest = min(own, key=lambda name: (own[name][0] + 1) / own[name][1])
        least, most = (own[longest][0] - 1) / own[longest][1], (own[shortest][0] + 1) / own[shortest][1]
        if least > most * (1 + 1e-9):
            both = [f"{name!r} lasts {own[name][0] / own[name][1]:g} s" for name in (shortest, longest)]
            raise PayloadError("unequal-duration", f"signal {both[0]}, {both[1]}; signals of a trial cover one time")


def decode_signals(payload: bytes, *, max_bytes: int = MAX_SIGNAL_BYTES) -> dict[str, np.ndarray]:
    """npz -> {name: array}, names sorted. Sizes are judged from the headers before anything is unpacked.

    Raises `PayloadError`: empty, not-an-npz, truncated, too-large, unsupported-encoding (pickled or other values),
    non-finite.
    """
    if not payload:
        raise PayloadError("empty", "0 bytes")
    check_entries(payload)
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_SIGNALS or sum(entry.file_size for entry in entries) > max_bytes:
                total = sum(entry.file_size for entry in entries)
                raise PayloadError(
                    "too-large", f"{len(entries)} arrays, {total} bytes; at most {MAX_SIGNALS} and {max_bytes}"
                )
            if not entries or not all(entry.filename.endswith(".npy") for entry in entries):
                raise PayloadError("not-an-npz", f"entries {[entry.filename for entry in entries[:3]]}")
            return {
                entry.filename.removesuffix(".npy"): _array(archive, entry)
                for entry in sorted(entries, key=lambda entry: entry.filename)
            }
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise PayloadError(
            "not-an-npz", "no zip archive that can be read: damaged, encrypted or packed another way"
        ) from error
    except (OSError, ValueError, OverflowError) as error:  # zlib.error is an OSError's cousin: see _array
        raise PayloadError("truncated", "the archive ends before its arrays do, or is damaged") from error


def check_entries(payload: bytes) -> None:
    """Raises `PayloadError` too-large for a zip of far too many entries, before `zipfile` makes an object of each.

    Every entry in the table of contents begins with a signature; numbers look like one a few times at most.
    """
    if (count := payload.count(b"PK\1\2")) > 2 * MAX_SIGNALS:
        raise PayloadError("too-large", f"about {count} arrays, at most {MAX_SIGNALS} are read")


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    import zlib

    try:
        with archive.open(entry) as file:
            data = file.read(entry.file_size + 1)
    except zlib.error as error:
        raise PayloadError("truncated", f"{entry.filename}: damaged compressed data") from error
    return decode_npy(data, entry.filename)


def decode_npy(data: bytes, name: str) -> np.ndarray:
    """Bytes of one .npy -> array [n] or [n, channels] of numbers. Raises `PayloadError` as `decode_signals` does."""
    file = io.BytesIO(data)
    shape, fortran, dtype = read_npy_header(file, name)
    if dtype.kind not in _KINDS or dtype.hasobject:
        raise PayloadError("unsupported-encoding", f"{name}: values of type {dtype}; only numbers are read")
    if len(shape) not in (1, 2) or min(shape) < 1:
        raise PayloadError("empty" if 0 in shape else "unsupported-encoding", f"{name}: shape {shape}")
    need = math.prod(shape) * dtype.itemsize
    left = len(data) - file.tell()
    if need > left:
        raise PayloadError("truncated", f"{name}: the header promises {need} bytes, {left} follow")
    array = np.frombuffer(data, dtype=dtype, count=math.prod(shape), offset=file.tell())
    array = array.reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise PayloadError("non-finite", f"{int((~np.isfinite(array)).sum())} values of {name}")
    return array


def read_npy_header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """-> (shape, is in Fortran's order, dtype); leaves `file` at the first value.

    Raises `PayloadError`: not-an-npz, unsupported-encoding.
    """
    try:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise PayloadError("unsupported-encoding", f"{name}: npy version {version}")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            shape, fortran, dtype = read(file)
    except _NO_HEADER as error:
        raise PayloadError("not-an-npz", f"{name}: no header of an .npy file") from error
    return shape, fortran, dtype
