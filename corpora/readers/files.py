"""What readers of folders share: a steady walk, one wav read and judged, counts spread over subjects."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from corpora.codecs import MAX_WAV_S, WavHeader, decode_wav, wav_header
from corpora.errors import CorpusError, PayloadError, UnknownNameError
from corpora.schema import CorpusCard

MIN_WAV_S = 0.1  # shorter than a vowel
MAX_FILE_BYTES = 200 * 2**20  # a minute of 8-channel 48 kHz float is 92 MB; more is not an utterance and is not read
_SKIPPED_NAMES = {"__MACOSX", "Thumbs.db", "desktop.ini"}
# what corpora ship beside their samples; it is no sample and no mistake
_SKIPPED_SUFFIXES = {".txt", ".md", ".pdf", ".html", ".htm", ".json", ".xml", ".zip", ".csv", ".sha256", ".rtf", ".doc"}


def corpus_files(root: Path, card: CorpusCard) -> list[tuple[Path, str]]:
    """All files below `root` as (path, relative posix name), sorted by name. Links are followed, loops are not.

    Hidden files, `__MACOSX` and documents are left out. Raises `CorpusError` if `root` is missing, no folder or empty.
    """
    root = Path(root)
    if not root.is_dir():
        kind = "a file" if root.exists() else "missing"
        raise CorpusError(f"{card.title}: {root} is {kind}; need the folder that holds the corpus ({card.url}).")
    found, seen = [], set()
    for folder, names, files in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:
            names.clear()
            continue
        seen.add(place)
        names[:] = sorted(name for name in names if not name.startswith(".") and name not in _SKIPPED_NAMES)
        for name in files:
            if name.startswith(".") or name in _SKIPPED_NAMES or Path(name).suffix.lower() in _SKIPPED_SUFFIXES:
                continue
            path = Path(folder) / name
            found.append((path, printable(path.relative_to(root).as_posix())))
    if not found:
        raise CorpusError(f"{card.title}: {root} holds no files of the corpus. Get it from {card.url} and link that.")
    return sorted(found, key=lambda pair: pair[1])


def printable(name: str) -> str:
    """A file name as valid Unicode; bytes that are no UTF-8 become the replacement character."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def read_wav(path: Path) -> tuple[bytes, WavHeader]:
    """The file's bytes and header, judged without decoding where the format allows.

    Raises `PayloadError`: unreadable, too-large, empty, not-a-wav, truncated, unsupported-encoding, too-short,
    too-long, non-finite.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise PayloadError(
                "too-large", f"{size / 2**20:.0f} MiB, at most {MAX_FILE_BYTES / 2**20:.0f} MiB are read"
            )
        payload = path.read_bytes()
    except OSError as error:
        raise PayloadError("unreadable", str(error.strerror)) from error
    header = wav_header(payload)
    if header.duration_s > MAX_WAV_S:
        raise PayloadError("too-long", f"{header.duration_s:.1f} s, at most {MAX_WAV_S:g} s are allowed")
    if header.duration_s < MIN_WAV_S:
        raise PayloadError("too-short", f"{header.duration_s:.3f} s, at least {MIN_WAV_S:g} s are needed")
    if not header.is_integer:  # only floats can hide NaN; PCM is sound once its header is
        decode_wav(payload)
    return payload, header


def wav_facts(header: WavHeader) -> list[dict[str, object]]:
    """The `signals` column of one wav: unit, rate and [frames, channels] as they lie in the file."""
    shape = [header.n_frames, header.channels]
    return [{"name": "audio", "unit": "full scale", "rate_hz": float(header.rate_hz), "shape": shape}]


def class_counts(card: CorpusCard, per_class: Mapping[str, int] | int) -> dict[str, int]:
    """`per_class` of `fake` -> {canonical emotion: samples}, in the card's order. Raises `UnknownNameError`."""
    known = [emotion for emotion in dict.fromkeys(card.label_map.values()) if emotion is not None]
    if isinstance(per_class, int):
        per_class = dict.fromkeys(known, per_class)
    for emotion in per_class:
        if emotion not in known:
            raise UnknownNameError.of(f"class of {card.title}", emotion, known)
    return {emotion: int(per_class[emotion]) for emotion in known if emotion in per_class}


def spread(counts: Mapping[str, int], subjects: Sequence[str], rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """(emotion, subject) pairs: exactly the counts, each class as evenly over the subjects as it can be.

    The subjects that get one more differ from class to class, so that nobody has more of everything.
    """
    start = 0
    order = rng.permutation(len(subjects))
    for emotion, count in counts.items():
        for i in range(count):
            yield emotion, subjects[order[(start + i) % len(subjects)]]
        start = (start + count) % len(subjects)
