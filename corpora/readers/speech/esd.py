"""ESD, the emotional speech dataset: ten speakers of Mandarin and ten of English say 350 sentences in five emotions.

Zhou et al. (2022), Speech Communication 137:1-18; github.com/HLTSingapore/Emotional-Speech-Data. Layout as those read
it who use the archive (Strong-AI-Lab/emotion, datasets/ESD/process.py); one form of it has no folders of splits:

    0011/Angry/train/0011_000351.wav        speaker 0011 (0001-0010 Mandarin, 0011-0020 English), file 351
    0011/Angry/0011_000351.wav              the form without splits
    0011/0011.txt                           0011_000351 <tab> words <tab> Angry

Files are numbered through: 350 sentences in neutral, then the same 350 in the next emotion, and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.records.files import (
    class_counts,
    known,
    named_files,
    read_file,
    read_items,
    read_wav,
    speech_sample,
    spread,
)
from corpora.records.joins import Entries
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_EMOTIONS = {"Neutral": "neutral", "Angry": "anger", "Happy": "happiness", "Sad": "sadness", "Surprise": "surprise"}
_SPLITS = {"train": "train", "evaluation": "dev", "test": "test"}
_MALE = {4, 5, 6, 8, 10, 11, 12, 13, 14, 20}
_SENTENCES = 350
_SPEAKERS = 20
_FILE = re.compile(r"(?:^|/)\d{4}_\d{6}\.wav$")
_NAME = re.compile(r"(\d{4})_(\d{6})")
_EXAMPLE = "0011/Angry/train/0011_000351.wav"
_MAX_TXT = 4 * 2**20
Words = Entries[str, tuple[str, str]]  # file's stem -> words, emotion or ""


class Esd:
    """`Corpus` of ESD, with folders of splits or without."""

    card = CorpusCard(
        name="esd",
        title="ESD",
        modality="speech",
        version="1.0",
        license="LicenseRef-ESD-research",
        may_redistribute=False,
        url="https://github.com/HLTSingapore/Emotional-Speech-Data",
        bibtex=(
            "@article{zhou2022esd, title={Emotional voice conversion: Theory, databases and ESD}, author={Zhou, Kun "
            "and Sisman, Berrak and Liu, Rui and Li, Haizhou}, journal={Speech Communication}, volume={137}, "
            "pages={1--18}, year={2022}, issn={0167-6393}}"
        ),
        language=None,  # two: each record has its own
        split_unit="subject",
        label_map=_EMOTIONS,
        counts=dict.fromkeys(_EMOTIONS, _SPEAKERS * _SENTENCES),
        counts_source="README of HLTSingapore/Emotional-Speech-Data: 350 utterances x 20 speakers x 5 emotional states",
        n_subjects=_SPEAKERS,
        n_samples=35000,
        official_split="folders train (train), evaluation (dev) and test (test) of each speaker and emotion",
        sources={
            "layout": "Strong-AI-Lab/emotion, datasets/ESD/process.py (file tree, lists, their encodings)",
            "labels": "README of HLTSingapore/Emotional-Speech-Data: neutral, happy, angry, sad and surprise",
            "subjects": "README of HLTSingapore/Emotional-Speech-Data; genders: Strong-AI-Lab/emotion",
            "counts": "README of HLTSingapore/Emotional-Speech-Data; 35,000 files also in EmoBox' table",
            "splits": "Strong-AI-Lab/emotion, datasets/ESD/process.py (folders train, evaluation, test)",
            "license": "README of HLTSingapore/Emotional-Speech-Data: research only, after a licence form",
        },
        access="a licence form by mail, see the README; the archive lies open",
        quirks=(
            "the published split has every speaker in train, evaluation and test",
            "a sentence is spoken by ten speakers in five emotions: split by subject, the words are still shared",
            "lists of words come as GB 2312, UTF-16, UTF-8 or Latin-1; some lines lack the emotion",
            "the repository's MIT licence is not that of the recordings",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of wav files: not-of-this-corpus, bad-label (no folder and no list
        names an emotion, or an unknown speaker), conflicting-entries (the emotion is in the list alone, and there
        twice), repeated-name."""
        files = [
            (path, name)
            for path, name in named_files(root, self.card, _FILE, _EXAMPLE)
            if path.suffix.lower() == ".wav"
        ]
        folders = [set(name.split("/")[:-1]) & set(_SPLITS) for _, name in files if _FILE.search(name)]
        whole = all(len(named) == 1 for named in folders)  # a split of a part of the corpus is none
        lists: dict[Path, Words] = {}

        def list_of(path: Path, speaker: str) -> Words:
            for place in [folder / f"{speaker}.txt" for folder in list(path.parents)[:4]]:
                if place not in lists:
                    lists[place] = _list(place) if place.is_file() else Entries()
                if len(lists[place]):
                    return lists[place]
            return Entries()

        def make(path: Path, name: str) -> Sample:
            return self._sample(path, name, corpus, list_of(path, path.name[:4]), whole)

        return read_items(files, corpus, make)

    def _sample(self, path: Path, name: str, corpus: str, words: Words, split: bool) -> Sample:
        match = _NAME.fullmatch(path.stem)
        if match is None:
            raise PayloadError("not-of-this-corpus", f"the name is not of the form {_EXAMPLE}")
        speaker, number = match[1], int(match[2])
        if not 1 <= int(speaker) <= _SPEAKERS:
            raise PayloadError("bad-label", f"speaker {speaker}; known: 0001 to 0020")
        parts = name.split("/")[:-1]
        native = next((part for part in reversed(parts) if part in _EMOTIONS), "")
        if native and path.stem in words.doubled:
            text, listed = "", ""  # the folder says the emotion, and nobody which words are meant
        else:
            text, listed = words.get(path.stem) or ("", "")
        native = native or listed
        emotion = known(_EMOTIONS, native, "emotion (folder, or list)")
        payload, header = read_wav(path)
        language = "zh" if int(speaker) <= 10 else "en"
        extra = {"path": name}
        if text:
            extra["transcript"] = text
        if listed in _EMOTIONS and listed != native:
            extra["listed_emotion"] = listed  # the folder decides; a difference is not hidden
        if split:
            extra["official_split"] = next(_SPLITS[part] for part in parts if part in _SPLITS)
        sentence = (number - 1) % _SENTENCES + 1
        return speech_sample(
            self.card,
            corpus,
            path.stem,
            payload,
            header,
            subject=speaker,
            emotion=emotion,
            emotion_raw=native,
            gender="male" if int(speaker) in _MALE else "female",
            language=language,
            sentence_id=f"{corpus}:{language}{sentence:03d}",
            extra=extra,
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """16 kHz wav files in folders of splits, speakers of Mandarin and English in turn, and their lists of words.

        Lists have the encodings of the corpus; a line lacks its emotion. Raises `CorpusError` for a number of subjects
        outside 1 ... 20, or a class of more than 350 files a speaker.
        """
        from corpora.readers.fakes.voice import RATE_HZ, make_voice, speak, wav

        if not 1 <= subjects <= _SPEAKERS:
            raise CorpusError(f"a fake ESD needs 1 to {_SPEAKERS} subjects, not {subjects}")
        speakers = [f"{i // 2 + 1 + 10 * (i % 2):04d}" for i in range(subjects)]
        natives = {emotion: native for native, emotion in _EMOTIONS.items()}
        taken: dict[tuple[str, str], int] = {}
        lines: dict[str, list[str]] = {}
        for emotion, speaker in spread(class_counts(self.card, per_class), speakers, np.random.default_rng([seed, 0])):
            nth = taken.get((emotion, speaker), 0)
            taken[emotion, speaker] = nth + 1
            if nth >= _SENTENCES:
                raise CorpusError(f"ESD's names hold at most {_SENTENCES} files of a class and speaker")
            native = natives[emotion]
            stem = f"{speaker}_{list(_EMOTIONS).index(native) * _SENTENCES + nth + 1:06d}"
            split = list(_SPLITS)[(0, 0, 1, 0, 2)[nth % 5]]
            male = int(speaker) in _MALE
            voice = make_voice(male=male, rng=np.random.default_rng([seed, 1, int(speaker)]))
            rng = np.random.default_rng([seed, 2, int(stem.replace("_", ""))])
            signal = speak(voice, emotion, 1.0, statement=nth, rng=rng)
            write_bytes(Path(root) / speaker / native / split / f"{stem}.wav", wav(signal, RATE_HZ))
            text = f"第{nth}句" if int(speaker) <= 10 else f"sentence {nth}"
            known_lines = lines.setdefault(speaker, [])
            known_lines.append(f"{stem}\t{text}" if not known_lines else f"{stem}\t{text}\t{native}")
        encodings = {"0001": "gb2312", "0002": "utf-16", "0012": "utf-16"}
        for speaker, rows in lines.items():
            text = "\r\n".join(rows) + "\r\n"
            write_bytes(Path(root) / speaker / f"{speaker}.txt", text.encode(encodings.get(speaker, "utf-8")))


def _list(path: Path) -> Words:
    """{file's stem: (words, emotion or "")} of a speaker's list; empty if it cannot be read."""
    entries: Words = Entries()
    try:
        raw = read_file(path, _MAX_TXT)
    except PayloadError:
        return entries
    for number, line in enumerate(_decoded(raw).splitlines(), 1):
        stem, *rest = [field.strip() for field in line.split("\t")]
        if _NAME.fullmatch(stem) and rest:
            entries.add(stem, (rest[0], rest[1] if len(rest) > 1 else ""), f"{path.name}#{number}")
    return entries


def _decoded(raw: bytes) -> str:
    encodings = ["utf-16"] if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")
