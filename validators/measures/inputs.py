"""Files and folders -> what a measure reads. One input may be a file or a folder; pairs go by name."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from corpora.codecs import decode_image, decode_text, decode_wav
from corpora.errors import PayloadError, UserError
from corpora.formats.channels import mixed_down
from corpora.formats.loose import IMAGE_SUFFIXES, WAV_SUFFIXES, files_below
from corpora.labels import clean_label
from validators.measures.measured import Kind

if TYPE_CHECKING:
    from validators.embeddings.encodings import Encoder

_SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "audio": WAV_SUFFIXES,
    "images": IMAGE_SUFFIXES,
}
MAX_NPY_BYTES = 16 << 30


def load_pair(kind: Kind, real: Path, synthetic: Path) -> tuple[Any, Any]:
    """Both inputs of a measure of that kind. Raises `UserError` that names the file and what is expected."""
    if kind in ("audio", "images"):
        return _pairs(kind, Path(real), Path(synthetic))
    return load_one(kind, Path(real)), load_one(kind, Path(synthetic))


def load_one(kind: Kind, path: Path) -> Any:
    """features: .npy [n, d] or [n]. dimension, signals: .npy of numbers. labels: .npy of strings, or scores, or text.
    text: UTF-8 (or UTF-16 with its mark), a line a sample."""
    if not path.exists():
        raise UserError(f"{path} does not exist")
    if path.is_dir() and kind != "features":
        raise UserError(f"{path} is a folder; {kind} are read from a file")
    if path.suffix.lower() == ".npy":
        array = load_npy(path)
        if kind == "labels" and array.dtype.kind in "US":
            return array
        if kind == "text":
            raise UserError(f"{path}: text is read from a text file, a line a sample")
        if array.dtype.kind not in "fiub":
            raise UserError(f"{path} holds {array.dtype}; numbers are needed")
        return array
    if kind == "text":
        return _lines(path)
    if kind == "labels":
        return _column(path)
    if kind == "dimension":
        return np.array([_number(line, path, number) for number, line in enumerate(_column(path), start=1)])
    hint = "; for pictures, recordings or texts name an encoder: --embedding PATH" if kind == "features" else ""
    raise UserError(f"{path}: {kind} are read from .npy files{hint}")


def embed_pair(encoder: Encoder, real: Path, synthetic: Path, *, by_name: bool) -> tuple[np.ndarray, np.ndarray]:
    """Pictures, recordings or texts of both sides -> their features [n, d] by the one encoder.

    `by_name`: row i of both belong together, so files of two folders must have the same names. Raises `UserError`.
    """
    if by_name and encoder.reads != "text":
        pair = _pairs("audio" if encoder.reads == "speech" else "images", Path(real), Path(synthetic))
        return _embedded(encoder, pair[0], real), _embedded(encoder, pair[1], synthetic)
    return embed_one(encoder, Path(real)), embed_one(encoder, Path(synthetic))


def embed_one(encoder: Encoder, path: Path) -> np.ndarray:
    """A file or a folder of what the encoder reads: pictures (or .npy of uint8), wav files, or a text file, a line
    a sample -> [n, d]. Raises `UserError`: nothing there, something else, or a sample that cannot be encoded."""
    if not path.exists():
        raise UserError(f"{path} does not exist")
    if encoder.reads == "text":
        if path.is_dir() or path.suffix.lower() == ".npy":
            raise UserError(f"{path}: {encoder.name} reads texts, from a file with a line a sample")
        return _embedded(encoder, _lines(path), path)
    kind: Kind = "audio" if encoder.reads == "speech" else "images"
    suffixes = _SUFFIXES[kind]
    if path.suffix.lower() == ".npy" and kind == "images":
        return _embedded(encoder, pictures_of(load_npy(path), path), path)
    files = list(files_below(path, suffixes).values()) if path.is_dir() else [path]
    if not files or files[0].suffix.lower() not in suffixes:
        what = "recordings" if kind == "audio" else "pictures"
        raise UserError(f"{path}: {encoder.name} reads {what} ({', '.join(suffixes)}), a file or a folder of them")
    return _embedded(encoder, [_decoded(kind, file) for file in files], path)


def _embedded(encoder: Encoder, samples: list[Any], path: Path) -> np.ndarray:
    if encoder.reads == "speech":
        features = encoder.encode([signal for signal, _ in samples], rate_hz=[rate for _, rate in samples])
    else:
        features = encoder.encode(samples)
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if bad.size:
        raise UserError(
            f"{path}: {encoder.name} cannot encode {bad.size} of {len(samples)} samples (empty, not finite or too "
            f"short), the first is number {bad[0] + 1}"
        )
    return features


def load_npy(path: Path) -> np.ndarray:
    """An array of numbers or strings; nothing pickled. Raises `UserError`."""
    try:
        if path.stat().st_size > MAX_NPY_BYTES:
            raise UserError(f"{path} has more than {MAX_NPY_BYTES >> 30} GiB")
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise UserError(f"{path} is no .npy array of numbers or strings: {error}") from error


_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def _lines(path: Path) -> list[str]:
    """The lines of a text file, Unicode form NFC, without a byte-order mark. Raises `UserError`."""
    try:
        content = path.read_bytes()
        text = content.decode(_MARKS[content[:2]]) if content[:2] in _MARKS else decode_text(content)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    except (PayloadError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from error
    # not splitlines(): a text may hold U+2028 or a form feed, and pairs go by line
    text = unicodedata.normalize("NFC", text.removeprefix("\ufeff")).replace("\r\n", "\n")
    lines = text.replace("\r", "\n").split("\n") if "\n" not in text else text.split("\n")  # old Macintosh: \r alone
    return lines[:-1] if lines[-1] == "" else lines


def _column(path: Path) -> list[str]:
    """`_lines` of which each holds one label or number: blank ones at the end are none. Raises `UserError` for a blank
    one before: the rows behind it would move up."""
    lines = _lines(path)
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise UserError(f"{path}, line {number} is empty; a value a line is needed")
    return lines


def _number(line: str, path: Path, number: int) -> float:
    try:
        return float(clean_label(line))
    except ValueError:
        raise UserError(f"{path}, line {number}: {line[:40]!r} is no number") from None


def _pairs(kind: Kind, real: Path, synthetic: Path) -> tuple[list[Any], list[Any]]:
    for path in (real, synthetic):
        if not path.exists():
            raise UserError(f"{path} does not exist")
    if kind == "images" and real.suffix.lower() == synthetic.suffix.lower() == ".npy":
        return pictures_of(load_npy(real), real), pictures_of(load_npy(synthetic), synthetic)
    if real.is_dir() != synthetic.is_dir():
        raise UserError(f"{real} and {synthetic}: two files or two folders are needed")
    suffixes = _SUFFIXES[kind]
    if not real.is_dir():
        return [_decoded(kind, real)], [_decoded(kind, synthetic)]
    left, right = named_pairs(real, synthetic, suffixes)
    return [_decoded(kind, path) for path in left], [_decoded(kind, path) for path in right]


def named_pairs(real: Path, synthetic: Path, suffixes: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """Files of two folders that belong together, in order of their names.

    By the name without its ending, so that a.png may have a.jpg as partner; where one folder holds both, by the whole
    name. Raises `UserError` with the names: a file without a partner, names that differ in their ending (or its case)
    alone and have no partner of the same whole name, no files.
    """
    sides = [files_below(folder, suffixes) for folder in (real, synthetic)]
    if not any(sides):
        raise UserError(f"{real} holds no {' or '.join(suffixes)} files")
    doubled = {stem for names in sides for stem, n in Counter(map(_stem, names)).items() if n > 1}
    keyed = [
        {(name if _stem(name) in doubled else _stem(name)): path for name, path in names.items()} for names in sides
    ]
    alone = sorted(set(keyed[0]) ^ set(keyed[1]))
    unclear = [name for name in alone if _stem(name) in doubled]
    if unclear:
        raise UserError(
            f"{real} and {synthetic}: names that differ in their ending alone, so which belong together is not known: "
            f"{', '.join(unclear[:6])}{' ...' if len(unclear) > 6 else ''}. Rename them, or keep one of each."
        )
    if alone:
        raise UserError(
            f"{len(alone)} files of {real} and {synthetic} have no partner of the same name: {', '.join(alone[:5])}"
        )
    names = sorted(keyed[0])
    return [keyed[0][name] for name in names], [keyed[1][name] for name in names]


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _decoded(kind: Kind, path: Path) -> Any:
    try:
        payload = path.read_bytes()
        if kind == "images":
            return decode_image(payload)
        channels, rate_hz = decode_wav(payload)
        return mixed_down(channels, np.float32)[0], rate_hz
    except (OSError, PayloadError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def pictures_of(array: np.ndarray, path: Path) -> list[np.ndarray]:
    """uint8 [H, W], [C, H, W] or [n, C, H, W] -> pictures [H, W] or [H, W, C]. Raises `UserError`."""
    if array.dtype != np.uint8:
        raise UserError(f"{path} holds {array.dtype}; pictures are uint8")
    if array.ndim == 2:
        return [array]
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        raise UserError(f"{path} is {array.shape}; pictures are [H, W], [C, H, W] or [n, C, H, W] with C = 1 or 3")
    return [one[0] if len(one) == 1 else np.moveaxis(one, 0, 2) for one in array]
