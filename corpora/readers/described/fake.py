"""What a fake corpus of a card holds: who shows which class, with which texts in its fields; and the payloads."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from corpora.errors import CorpusError
from corpora.readers.described.cardfile import Card
from corpora.readers.described.filekeys import DIMENSIONS, FolderFiles
from corpora.records.files import class_counts, spread

_SUBJECT = "s01"


def plan(card: Card, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> list[dict[str, Any]]:
    """Rows {"texts": field -> text as it stands in the files, "emotion", "subject": number or None}.

    `texts` hold the label, the subject and what belongs to them; the layout chooses the rest. Raises `CorpusError` for
    a number of subjects that the names cannot hold, `UnknownNameError` for a class that the corpus has not.
    """
    files, facts = card.files, card.facts
    rng = np.random.default_rng([seed, 0])
    emotions: list[str | None]
    if facts.label_map:
        counts = class_counts(facts, per_class)
        emotions = [emotion for emotion, count in counts.items() for _ in range(count)]
    else:
        if not isinstance(per_class, int):
            raise CorpusError(f"{facts.title} is rated on dimensions only: per_class is a number, not {per_class}")
        emotions = [None] * per_class
    people = _people(card, subjects) if facts.knows_subjects else []
    if people and facts.label_map:
        pairs = list(spread(counts, [str(i) for i in range(len(people))], rng))
        chosen: list[int | None] = [int(person) for _, person in pairs]
    else:
        chosen = [i % len(people) if people else None for i in range(len(emotions))]
    rows = []
    for number, (emotion, person) in enumerate(zip(emotions, chosen, strict=True)):
        texts = {"label": _label_text(card, emotion)} if emotion is not None else {}
        if person is not None:
            texts["subject"] = people[person]
            texts |= _personal(card, person)
        if "split" in files.fields():
            splits = files.fake.get("split") or list(files.values.get("split", {})) or ["train", "dev", "test"]
            texts["split"] = splits[number % 5 % len(splits)] if number % 5 < len(splits) else splits[0]
        for name in (*DIMENSIONS, *facts.dimensions):
            if name in facts.dimensions:
                low, high = facts.dimensions[name]
                texts[name] = f"{rng.uniform(low, high):.2f}"
        rows.append({"texts": texts, "emotion": emotion, "subject": person, "number": number, "seed": seed})
    return rows


def _people(card: Card, subjects: int) -> list[str]:
    files = card.files
    composed = files.compose.get("subject")
    if composed is not None:
        # a subject made of other fields: those that are texts of the layout vary, `_personal` holds them
        return [str(i) for i in range(max(subjects, 1))]
    example = _SUBJECT
    if isinstance(files, FolderFiles) and files.example:
        match = files.compiled.search(files.example)
        example = (match.groupdict().get("subject") or example) if match else example
    names = variants(files.fake.get("subject"), files.values.get("subject"), example)
    if not 1 <= subjects <= len(names):
        raise CorpusError(f"a fake {card.facts.title} needs 1 to {len(names)} subjects, not {subjects}")
    return names[:subjects]


def _personal(card: Card, person: int) -> dict[str, str]:
    """Texts that hang on who it is: gender, age, and what files.fake lists one text a subject for."""
    files = card.files
    texts: dict[str, str] = {}
    for field in ("gender", "age", "language"):
        if field in files.fields() and field not in files.compose:
            known = files.fake.get(field) or list(files.values.get(field, {})) or None
            default = {"gender": ["female", "male"], "age": ["23", "31", "45"], "language": ["en"]}[field]
            options = known or default
            texts[field] = options[person % len(options)]
    return texts


def _label_text(card: Card, emotion: str) -> str:
    """The text that stands for the emotion in the files: the first native label, through `values` backwards."""
    native = next(label for label, meant in card.facts.label_map.items() if meant == emotion)
    codes = card.files.values.get("label")
    if codes is None:
        return native
    texts = [text for text, label in codes.items() if label == native]
    if not texts:
        raise CorpusError(f"{card.facts.title}: no text of files.values.label means {native!r}")
    return texts[0]


def variants(listed: Sequence[str] | None, meanings: Mapping[str, Any] | None, example: str) -> list[str]:
    """Texts like `example`: those listed, else those with a meaning, else with other numbers in its last number."""
    if listed:
        return list(listed)
    if meanings:
        return list(meanings)
    numbers = list(re.finditer(r"\d+", example))
    if not numbers:
        return [example]
    match = numbers[-1]
    width = len(match[0])
    return [f"{example[: match.start()]}{i:0{width}d}{example[match.end() :]}" for i in range(1, min(10**width, 1000))]


def payload_of(card: Card, row: Mapping[str, Any], suffix: str, rng: np.random.Generator) -> bytes:
    """A file's content in the format of its ending: a voice, a face, a sentence or signals of that emotion."""
    emotion, person = row["emotion"], row["subject"]
    who = [row["seed"], 1, person if person is not None else 10_000 + row["number"]]
    if card.facts.modality == "speech":
        return _voice(emotion, row["texts"].get("gender", ""), card, who, suffix, rng)
    if card.facts.modality == "face":
        from PIL import Image

        from corpora.readers.fakes import face as fake_face

        known = emotion if emotion in fake_face._EMOTIONS else "neutral"
        pixels = fake_face.draw_face(known, person=np.random.default_rng(who), rng=rng)
        out = io.BytesIO()
        endings = {".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".gif": "GIF", ".tif": "TIFF", ".tiff": "TIFF"}
        Image.fromarray(pixels).save(out, endings.get(suffix, "PNG"))
        return out.getvalue()
    if card.facts.modality == "text":
        return sentence(row, rng).encode()
    return _trial(card, emotion, who, rng)


def sentence(row: Mapping[str, Any], rng: np.random.Generator) -> str:
    """A fake sentence in the emotion of a row of `plan`."""
    from corpora.readers.fakes.text import write_sentence

    return write_sentence(row["emotion"], rng, person=row["subject"] or 0)


def _voice(
    emotion: str | None, gender: str, card: Card, who: list[int], suffix: str, rng: np.random.Generator
) -> bytes:
    import soundfile

    from corpora.readers.fakes import voice as fake_voice

    known = emotion if emotion in fake_voice._EMOTIONS else "neutral"
    meant = card.files.values.get("gender", {}).get(gender, gender)
    voice = fake_voice.make_voice(male=str(meant).lower()[:1] == "m", rng=np.random.default_rng(who))
    signal = fake_voice.speak(voice, known, 1.0, statement=int(rng.integers(10)), rng=rng)
    if suffix in ("", ".wav"):
        return fake_voice.wav(signal, fake_voice.RATE_HZ)
    out = io.BytesIO()
    soundfile.write(out, signal, fake_voice.RATE_HZ, format=suffix.lstrip(".").upper())
    return out.getvalue()


def _trial(card: Card, emotion: str | None, who: list[int], rng: np.random.Generator) -> bytes:
    """A csv of 20 s of each signal; shorter columns end in empty cells."""
    from corpora.readers.fakes.signal import make_signal

    columns: dict[str, np.ndarray] = {}
    for name, spec in card.files.signals.items():
        kind = next(
            (kind for kind in ("ECG", "BVP", "EDA", "RESP", "TEMP", "EMG", "EEG") if kind in name.upper()), "ECG"
        )
        names = spec.columns or (_like(spec.pattern) if spec.pattern is not None else [spec.column or name])
        signal = make_signal(
            kind,
            seconds=20,
            rate_hz=spec.rate_hz,
            channels=len(names),
            emotion=emotion,
            subject_rng=np.random.default_rng(who),
            rng=rng,
        )
        columns |= dict(zip(names, signal.reshape(len(signal), -1).T, strict=True))
    longest = max(len(values) for values in columns.values())
    lines = [",".join(columns)]
    for i in range(longest):
        lines.append(",".join(f"{values[i]:.5g}" if i < len(values) else "" for values in columns.values()))
    return ("\n".join(lines) + "\n").encode()


def _like(pattern: str) -> list[str]:
    """Three columns that a pattern of plain text and one varying part fits. Raises `CorpusError` for other patterns."""
    varying = re.compile(r"(?:\.|\\[dw]|\[[^]]*\])(?:[*+]|\{\d+(?:,\d*)?\})?|\((?:[^()|]*\|)+[^()]*\)")
    for width in (1, 2, 3):
        plain = "\0".join(varying.split(pattern.replace("\\.", "\1"))).replace("\1", ".").replace("\\", "")
        names = [plain.replace("\0", f"{number:0{width}d}") for number in (1, 2, 3)]
        if all(re.fullmatch(pattern, name) for name in names):
            return names
    raise CorpusError(f"no fake columns for the pattern {pattern!r}; list the columns for a fake corpus")
