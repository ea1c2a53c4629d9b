"""What readers of folders share: a steady walk, one file read and judged, records made of it, counts over subjects."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from corpora.codecs import (
    MAX_WAV_S,
    WavHeader,
    decode_wav,
    encode_text,
    image_header,
    plain_wav,
    rescaled_wav,
    wav_header,
)
from corpora.errors import CorpusError, PayloadError, UnknownLabelError, UnknownNameError, refused
from corpora.formats.pictures import picture_codec, turn_of
from corpora.labels import nearest_label
from corpora.records.boxes import upright_places
from corpora.records.ids import check_text, valid_id
from corpora.records.turns import Done, current_turn
from corpora.schema import CorpusCard, Reject, Sample
from corpora.signals import VECTOR, check_trial, encode_signals

T = TypeVar("T")
MIN_WAV_S = 0.1  # shorter than a vowel
MAX_FILE_BYTES = 200 * 2**20  # a minute of 8-channel 48 kHz float is 92 MB; more is not an utterance and is not read
MAX_IMAGE_BYTES = 50 * 2**20
_SKIPPED_NAMES = {"__MACOSX", "Thumbs.db", "desktop.ini"}
# what corpora ship beside their samples; it is no sample and no mistake
_SKIPPED_SUFFIXES = {".txt", ".md", ".pdf", ".html", ".htm", ".json", ".xml", ".zip", ".csv", ".sha256", ".rtf", ".doc"}

_WALKED: ContextVar[dict[Path, list[tuple[Path, str]]] | None] = ContextVar("walked", default=None)


@contextmanager
def one_walk() -> Iterator[None]:
    """Inside, each folder is walked once however many readers look at it: for finding out which one fits."""
    token = _WALKED.set({})
    try:
        yield
    finally:
        _WALKED.reset(token)


def corpus_files(root: Path, card: CorpusCard) -> list[tuple[Path, str]]:
    """All files below `root` as (path, relative posix name), sorted by name. Links are followed, loops are not.

    Hidden files, `__MACOSX` and documents are left out. Raises `CorpusError` if `root` is missing, no folder, empty, or
    cannot be read.
    """
    root = Path(root)
    if (kind := absence(root)) is not None:
        raise CorpusError(f"{card.title}: {root} is {kind}; need the folder that holds the corpus ({card.url}).")
    walked = _WALKED.get()
    if walked is None:
        files = _walk(root)
    elif (known := walked.get(root)) is None:
        files = walked[root] = _walk(root)
    else:
        files = known
    if not files:
        raise CorpusError(f"{card.title}: {root} holds no files of the corpus. Get it from {card.url} and link that.")
    return list(files)


def absence(root: Path) -> str | None:
    """What `root` is instead of a folder that is there: the end of "... is"."""
    try:
        if root.is_dir():
            return None
        if root.exists():
            return "a file"
        return f"a link to {root.readlink()}, which is not there" if root.is_symlink() else "missing"
    except OSError as error:  # of the folders above it
        return f"out of reach ({error.strerror})"


def walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """(folder, names of its files) of `root` and all folders below it. Links are followed, but no folder comes twice.

    Hidden folders and what archivers leave behind are passed over. Raises `CorpusError` for a folder that cannot be
    read: what lies in it would be missing without a word.
    """

    def unreadable(error: OSError) -> None:
        raise CorpusError(f"the folder {error.filename} cannot be read ({error.strerror}); make it readable")

    seen = set()
    for folder, names, files in os.walk(root, followlinks=True, onerror=unreadable):
        place = os.path.realpath(folder)
        if place in seen:
            names.clear()
            continue
        seen.add(place)
        names[:] = sorted(name for name in names if not name.startswith(".") and name not in _SKIPPED_NAMES)
        yield Path(folder), files


def _walk(root: Path) -> list[tuple[Path, str]]:
    inside = []
    for folder, files in walk(root):
        for name in files:
            if name.startswith(".") or name in _SKIPPED_NAMES or Path(name).suffix.lower() in _SKIPPED_SUFFIXES:
                continue
            path = folder / name
            inside.append((path, printable(path.relative_to(root).as_posix())))
    return sorted(inside, key=lambda pair: pair[1])


def printable(name: str) -> str:
    """A file name as valid Unicode; bytes that are no UTF-8 become the replacement character."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def named_files(root: Path, card: CorpusCard, pattern: re.Pattern[str], example: str) -> list[tuple[Path, str]]:
    """`corpus_files`, of which at least one has a relative name that `pattern` finds (search) something in.

    Raises `CorpusError` with `example`, a file name of the layout, where none has: another folder was linked.
    """
    files = corpus_files(root, card)
    if not any(pattern.search(name) for _, name in files):
        raise CorpusError(
            f"{card.title}: none of the {len(files)} files in {root} is named like {example} (found e.g. "
            f"{files[0][1]!r}). Link the folder that holds the corpus as it is published ({card.url})."
        )
    return files


def read_items(
    items: Iterable[tuple[T, str]], corpus: str, make: Callable[[T, str], Sample | None]
) -> Iterator[Sample | Reject]:
    """(item, name) pairs -> what `make(item, name)` makes of each: a sample, or None for what is no sample.

    Its `PayloadError` becomes a `Reject` under that name; so does a sample whose id was there before (repeated-name).
    """
    seen: set[str] = set()
    turn = current_turn()
    for item, name in items:
        if turn is not None:
            before = turn.begin(name, item)
            if isinstance(before, Done) and before.sample_id is not None:
                seen.add(before.sample_id)
            if before is not True:
                continue
        try:
            sample = make(item, name)
        except PayloadError as error:
            yield rejected(corpus, name, error)
            continue
        if sample is None:
            continue
        if sample.sample_id in seen:
            yield Reject(corpus, name, "repeated-name", f"{sample.sample_id} was read before, from another place")
            continue
        seen.add(sample.sample_id)
        yield sample


def rejected(corpus: str, name: str, error: PayloadError) -> Reject:
    """The reject that an error means; one that names an unknown label keeps it."""
    if not isinstance(error, UnknownLabelError):
        return Reject(corpus, name, error.reason, error.detail)
    label = error.label[:80].encode("utf-8", "backslashreplace").decode("utf-8")  # halves of a pair are no UTF-8
    near = nearest_label(label, error.known)
    return Reject(corpus, name, error.reason, error.detail, label=label, nearest=near)


# What readers call the field that holds a sample's class; an unknown text there is an unknown label.
LABEL_FIELDS = frozenset(
    {
        "emotion",
        "label",
        "expression",
        "context",
        "class folder",
        "compound label",
        "expression_label",
        "emot",
        "emoclass",
        "emotion (folder, or list)",
    }
)


def known(table: Mapping[str, Any], value: str, field: str) -> Any:
    """table[value]. Raises `PayloadError` bad-label naming the field, the value and what is known: an
    `UnknownLabelError` for one of `LABEL_FIELDS`."""
    if value in table:
        return table[value]
    if field.lower() in LABEL_FIELDS:
        raise UnknownLabelError(value, table, field)
    raise PayloadError("bad-label", f"{field} {value!r}; known: {', '.join(table)}")


def read_file(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """All bytes of one file. Raises `PayloadError`: unreadable, too-large (before reading)."""
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise PayloadError("too-large", f"{size / 2**20:.0f} MiB, at most {max_bytes / 2**20:.0f} MiB are read")
        return path.read_bytes()
    except OSError as error:
        raise PayloadError("unreadable", refused(error)) from error


def read_wav(path: Path) -> tuple[bytes, WavHeader]:
    """`judged_wav` of one file. Raises unreadable and too-large as well."""
    return judged_wav(read_file(path))


def judged_wav(payload: bytes, full_scale: float | None = None) -> tuple[bytes, WavHeader]:
    """A wav's bytes and header, judged without decoding where the format allows.

    The bytes stay as they are, but for two kinds: what programs read differently (sizes of a stream, RIFX, tags in
    front) gets a plain header, and floats of another scale are divided by `full_scale` (the card's files.full_scale).

    Raises `PayloadError`: empty, not-a-wav, truncated, unsupported-encoding, several-data-chunks, too-short, too-long,
    non-finite, unknown-scale.
    """
    header = wav_header(payload)
    if header.duration_s > MAX_WAV_S:
        raise PayloadError("too-long", f"{header.duration_s:.1f} s, at most {MAX_WAV_S:g} s are allowed")
    if header.duration_s < MIN_WAV_S:
        raise PayloadError("too-short", f"{header.duration_s:.3f} s, at least {MIN_WAV_S:g} s are needed")
    if full_scale is not None and not header.is_integer:
        payload, header = rescaled_wav(payload, header, full_scale)
    if not header.is_integer or header.proof_bits:  # floats can hide NaN and scales; PCM is sound once its header is
        decode_wav(payload)
    return plain_wav(payload, header)


def wav_facts(header: WavHeader) -> list[dict[str, object]]:
    """The `signals` column of one wav: unit, rate and [frames, channels] as they lie in the file."""
    shape = [header.n_frames, header.channels]
    return [{"name": "audio", "unit": "full scale", "rate_hz": float(header.rate_hz), "shape": shape}]


def speech_sample(
    card: CorpusCard, corpus: str, native_id: str, payload: bytes, header: WavHeader, **fields: Any
) -> Sample:
    """The record of one wav; `fields` are `Sample`'s. `subject`: the native speaker, which is the group as well unless
    `group` names another."""
    return _sample(
        card,
        corpus,
        native_id,
        "speech",
        payload,
        "wav",
        {"duration_s": header.duration_s, "signals": wav_facts(header)} | fields,
    )


def face_sample(card: CorpusCard, corpus: str, native_id: str, path: Path, **fields: Any) -> Sample:
    """The record of one picture file, its bytes as published; size and mode are read from its header.

    Raises `PayloadError`: unreadable, too-large, empty, not-an-image, truncated, unknown-scale. Pixels of 8 bits are
    decoded by `prepare`, not here.
    """
    payload = read_file(path, MAX_IMAGE_BYTES)
    return picture_sample(card, corpus, native_id, payload, path.suffix.lower().lstrip(".") or "png", **fields)


def picture_sample(card: CorpusCard, corpus: str, native_id: str, payload: bytes, codec: str, **fields: Any) -> Sample:
    """`face_sample` of bytes that are there already. Its shape, and the places in `extra`, are of the upright picture
    (see corpora/readers/faces/boxes.py)."""
    height, width, channels = image_header(payload)
    extra = fields.get("extra", {})
    if not extra.keys().isdisjoint(("face_box", "landmarks")):
        fields["extra"] = upright_places(extra, turn_of(payload))
    shape = [height, width] if channels == 1 else [height, width, channels]
    signals = [{"name": "image", "unit": "grey level", "rate_hz": None, "shape": shape}]
    codec = picture_codec(payload) or codec  # a png called .jpg is a png
    return _sample(card, corpus, native_id, "face", payload, codec, {"signals": signals} | fields)


def text_sample(card: CorpusCard, corpus: str, native_id: str, text: str, **fields: Any) -> Sample:
    """The record of one text. Raises `PayloadError`: empty, too-large, not-utf8."""
    payload = encode_text(text)
    signals = [{"name": "text", "unit": "character", "rate_hz": None, "shape": [len(text)]}]
    return _sample(card, corpus, native_id, "text", payload, "txt", {"signals": signals} | fields)


def physio_sample(
    card: CorpusCard,
    corpus: str,
    native_id: str,
    arrays: Mapping[str, np.ndarray],
    units: Mapping[str, str],
    rates_hz: Mapping[str, float],
    **fields: Any,
) -> Sample:
    """The record of one trial: {signal: [n] or [n, channels], time first}, with unit and rate of each.

    Raises `PayloadError`: empty, non-finite, unequal-duration, too-large.
    """
    check_trial(arrays, rates_hz)
    payload = encode_signals(arrays)
    signals = [
        {"name": name, "unit": units[name], "rate_hz": float(rates_hz[name]), "shape": list(np.shape(arrays[name]))}
        for name in sorted(arrays)
    ]
    longest = max(np.shape(arrays[name])[0] / rates_hz[name] for name in arrays)
    return _sample(
        card, corpus, native_id, "physio", payload, "npz", {"duration_s": longest, "signals": signals} | fields
    )


def vector_sample(
    card: CorpusCard, corpus: str, native_id: str, features: Mapping[str, float], **fields: Any
) -> Sample:
    """The record of a row of features, {name: number}: an npz that holds `features` float32 [d], in the order given;
    `extra["features"]` lists their names as JSON. No rate, no duration: nothing happens in it.

    Raises `PayloadError`: empty, non-finite.
    """
    payload = encode_signals({VECTOR: np.fromiter(features.values(), np.float64, len(features))})
    signals = [{"name": VECTOR, "unit": "", "rate_hz": None, "shape": [len(features)]}]
    names = json.dumps(list(features), ensure_ascii=False)
    extra = {**fields.pop("extra", {}), VECTOR: names}
    return _sample(card, corpus, native_id, "physio", payload, "npz", {"signals": signals, "extra": extra} | fields)


def _sample(
    card: CorpusCard, corpus: str, native_id: str, modality: str, payload: bytes, codec: str, fields: dict[str, Any]
) -> Sample:
    sample_id = f"{corpus}/{valid_id(native_id)}"
    subject, group = fields.pop("subject", None), fields.pop("group", None)
    if subject is not None:
        fields["subject_id"] = f"{corpus}:{subject}"
    unit = group if group is not None else subject
    fields.setdefault("group_id", f"{corpus}:{unit}" if unit is not None else sample_id)
    fields.setdefault("language", card.language)
    check_text(_texts(fields))
    return Sample(
        sample_id=sample_id,
        corpus=corpus,
        modality=modality,
        payload=payload,
        codec=codec,
        license=card.license,
        **fields,
    )


def _texts(fields: Mapping[str, Any]) -> list[str]:
    extra: Mapping[str, str] = fields.get("extra", {})
    texts = [value for value in fields.values() if isinstance(value, str)]
    return [*texts, *extra, *extra.values(), *[str(entry["label"]) for entry in fields.get("labels", ())]]


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
