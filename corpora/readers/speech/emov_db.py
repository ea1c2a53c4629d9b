"""EmoV-DB, the emotional voices database: four speakers of English read CMU Arctic sentences in five styles.

Adigwe et al. (2018), arXiv:1806.09514; github.com/numediart/EmoV-DB (README), archives at openslr.org/115. Both forms
are read, the archives' folders and the sorted ones:

    bea_Amused/amused_1-15_0001.wav         speaker bea, style amused, sentences 1 to 15 of the session, sentence 0001
    bea/Amused/amused_1-15_0001.wav
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.records.files import class_counts, named_files, read_items, read_wav, speech_sample, spread
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_EMOTIONS = {
    "Amused": "amusement",
    "Angry": "anger",
    "Disgusted": "disgust",
    "Neutral": "neutral",
    "Sleepy": "sleepiness",
}
_STYLES = {"Amused": "amused", "Angry": "anger", "Disgusted": "disgust", "Neutral": "neutral", "Sleepy": "sleepiness"}
_SPEAKERS = {"bea": "female", "jenie": "female", "sam": "male", "josh": "male"}
_MISSING = {"josh": ("Angry", "Disgusted")}  # what a speaker did not record
_EXAMPLE = "bea_Amused/amused_1-15_0001.wav"
_FOLDER = re.compile(
    rf"(?:^|/)({'|'.join(_SPEAKERS)})[_/](amused|angry|disgust(?:ed)?|neutral|sleepy)/(?=[^/]*$)", re.IGNORECASE
)
_NAME = re.compile(r"([A-Za-z]+)_[\w-]*?(\d{4})")


class EmovDb:
    """`Corpus` of EmoV-DB's wav files, in folders speaker_Style or speaker/Style."""

    card = CorpusCard(
        name="emov_db",
        title="EmoV-DB",
        modality="speech",
        version="1.0",
        license="LicenseRef-EmoV-DB-non-commercial",
        may_redistribute=False,
        url="https://github.com/numediart/EmoV-DB",
        bibtex=(
            "@article{adigwe2018emovdb, title={The emotional voices database: Towards controlling the emotion "
            "dimension in voice generation systems}, author={Adigwe, Adaeze and Tits, No{\\'e} and Haddad, Kevin El "
            "and Ostadabbas, Sarah and Dutoit, Thierry}, journal={arXiv preprint arXiv:1806.09514}, year={2018}}"
        ),
        language="en",
        split_unit="subject",
        label_map=_EMOTIONS,
        counts={"Amused": 1330, "Angry": 1308, "Disgusted": 1033, "Neutral": 1585, "Sleepy": 1744},
        counts_source="README of numediart/EmoV-DB, files per speaker and style, summed over the four speakers",
        n_subjects=4,
        n_samples=7000,
        sources={
            "layout": "README of numediart/EmoV-DB (file naming); folders: archives of openslr.org/115",
            "labels": "README of numediart/EmoV-DB: neutral, sleepiness, anger, disgust and amused",
            "subjects": "README of numediart/EmoV-DB: two males, two females",
            "counts": "README of numediart/EmoV-DB",
            "splits": "none is published (the README names no partition)",
            "license": "LICENSE.md of numediart/EmoV-DB: non-commercial purposes only",
        },
        quirks=(
            "josh recorded neither anger nor disgust: a split by speaker has classes that a speaker lacks",
            "EmoBox counted 6887 files where the README sums up to 7000",
            "names repeat between speakers, so a sample is named by speaker, style and file",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of wav files: not-of-this-corpus, bad-label (the style in the name is
        not the folder's), repeated-name."""
        files = [
            (path, name)
            for path, name in named_files(root, self.card, _FOLDER, _EXAMPLE)
            if path.suffix.lower() == ".wav"  # TextGrid files lie beside
        ]
        return read_items(files, corpus, lambda path, name: self._sample(path, name, corpus))

    def _sample(self, path: Path, name: str, corpus: str) -> Sample:
        folder, match = _FOLDER.search(name), _NAME.fullmatch(path.stem)
        if folder is None or match is None:
            raise PayloadError("not-of-this-corpus", f"the name is not of the form {_EXAMPLE}")
        speaker = folder[1].lower()
        style = folder[2].capitalize()
        style = "Disgusted" if style == "Disgust" else style
        named = match[1].lower()
        if named != _STYLES[style] and named in _STYLES.values():
            raise PayloadError("bad-label", f"the file says {named}, its folder {style}")
        payload, header = read_wav(path)
        return speech_sample(
            self.card,
            corpus,
            f"{speaker}/{style}/{path.stem}",
            payload,
            header,
            subject=speaker,
            emotion=_EMOTIONS[style],
            emotion_raw=style,
            gender=_SPEAKERS[speaker],
            sentence_id=f"{corpus}:{match[2]}",
            extra={"path": name},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """16 kHz wav files in folders speaker_Style; the fourth speaker has neither anger nor disgust.

        Raises `CorpusError` for a number of subjects outside 1 ... 4, or a class of more than 9999 files a speaker.
        """
        from corpora.readers.fakes.voice import RATE_HZ, make_voice, speak, wav

        if not 1 <= subjects <= len(_SPEAKERS):
            raise CorpusError(f"a fake EmoV-DB needs 1 to {len(_SPEAKERS)} subjects, not {subjects}")
        styles = {emotion: style for style, emotion in _EMOTIONS.items()}
        rng = np.random.default_rng([seed, 0])
        taken: dict[tuple[str, str], int] = {}
        for emotion, count in class_counts(self.card, per_class).items():
            style = styles[emotion]
            able = [who for who in list(_SPEAKERS)[:subjects] if style not in _MISSING.get(who, ())]
            for _, speaker in spread({emotion: count}, able, rng):
                nth = taken.get((emotion, speaker), 0) + 1
                taken[emotion, speaker] = nth
                if nth > 9999:
                    raise CorpusError("EmoV-DB's names hold at most 9999 files of a class and speaker")
                who = list(_SPEAKERS).index(speaker)
                voice = make_voice(male=_SPEAKERS[speaker] == "male", rng=np.random.default_rng([seed, 1, who]))
                draw = np.random.default_rng([seed, 2, who, list(_EMOTIONS).index(style), nth])
                signal = speak(voice, emotion, 1.0, statement=nth, rng=draw)
                first = (nth - 1) // 28 * 28 + 1
                name = f"{_STYLES[style]}_{first}-{first + 27}_{nth:04d}.wav"
                write_bytes(Path(root) / f"{speaker}_{style}" / name, wav(signal, RATE_HZ))
