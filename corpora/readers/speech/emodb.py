"""EmoDB, the Berlin database of emotional speech: ten actors, ten German sentences, seven emotions.

Burkhardt et al. (2005), Interspeech. File names, speakers' ages and genders are from the corpus' page
(emodb.bilderbar.info/docu, section "Emo-DB"):

    03a01Fa.wav = speaker 03, text a01, emotion F (Freude), version a
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.records.files import class_counts, known, named_files, read_items, read_wav, speech_sample, spread
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

# initials of the German words: Wut, Langeweile, Ekel, Angst, Freude, Trauer, neutral
_EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
_SPEAKERS = {  # number -> gender, age in years
    "03": ("male", 31.0),
    "08": ("female", 34.0),
    "09": ("female", 21.0),
    "10": ("male", 32.0),
    "11": ("male", 26.0),
    "12": ("male", 30.0),
    "13": ("female", 32.0),
    "14": ("female", 35.0),
    "15": ("male", 25.0),
    "16": ("female", 31.0),
}
TEXTS = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")
_LABEL_FILES = {".lab", ".lablaut", ".labsilb", ".f0", ".laut", ".silb"}  # phones and syllables, in the archive too
_FILE = re.compile(r"\d\d[ab]\d\d[A-Z][a-z]?\.")
_NAME = re.compile(r"(\d\d)([ab]\d\d)([A-Z])([a-z]?)")


class EmoDB:
    """`Corpus` of EmoDB's wav files, flat or in any folders."""

    card = CorpusCard(
        name="emodb",
        title="EmoDB",
        modality="speech",
        version="1.0",
        license="CC0-1.0",
        may_redistribute=True,
        url="http://emodb.bilderbar.info",
        bibtex=(
            "@inproceedings{burkhardt2005emodb, title={A Database of German Emotional Speech}, author={Burkhardt, "
            "Felix and Paeschke, Astrid and Rolfes, Miriam and Sendlmeier, Walter F. and Weiss, Benjamin}, "
            "booktitle={Proc. Interspeech}, pages={1517--1520}, year={2005}, doi={10.21437/Interspeech.2005-446}}"
        ),
        language="de",
        split_unit="subject",
        label_map=_EMOTIONS,
        counts={"W": 127, "L": 81, "E": 46, "A": 69, "F": 71, "T": 62, "N": 79},
        counts_source="the 535 files of the archive at emodb.bilderbar.info, by the letter in their names",
        n_subjects=10,
        n_samples=535,
        sources={
            "layout": "emodb.bilderbar.info/docu, section on file names",
            "labels": "emodb.bilderbar.info/docu, section on file names",
            "subjects": "emodb.bilderbar.info/docu, list of speakers",
            "counts": "files of the archive at emodb.bilderbar.info, counted by the letter in their names",
            "license": "audEERING's data card of EmoDB (github.com/audeering/datasets): CC0 1.0",
        },
        unverified=("splits",),
        tested_on="real",
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of wav files: not-of-this-corpus, bad-label, repeated-name."""
        files = named_files(root, self.card, _FILE, "03a01Fa.wav")
        return read_items(files, corpus, lambda path, name: self._sample(path, name, corpus))

    def _sample(self, path: Path, name: str, corpus: str) -> Sample | None:
        if path.suffix.lower() in _LABEL_FILES:
            return None
        match = _NAME.fullmatch(path.stem)
        if match is None or path.suffix.lower() != ".wav":
            raise PayloadError("not-of-this-corpus", "the name is not of the form 03a01Fa.wav")
        speaker, text, letter, version = match.groups()
        emotion, (gender, age) = known(_EMOTIONS, letter, "emotion"), known(_SPEAKERS, speaker, "speaker")
        payload, header = read_wav(path)
        return speech_sample(
            self.card,
            corpus,
            path.stem,
            payload,
            header,
            subject=speaker,
            emotion=emotion,
            emotion_raw=letter,
            gender=gender,
            age=age,
            sentence_id=f"{corpus}:{text}",
            extra={"path": name, "version": version},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """16 kHz wav files of a fake voice in the folder `wav`, by up to ten speakers with the published numbers.

        Raises `CorpusError` for a number of subjects outside 1 ... 10, or a class of more than 260 files a speaker.
        """
        from corpora.readers.fakes.voice import RATE_HZ, make_voice, speak, wav

        if not 1 <= subjects <= len(_SPEAKERS):
            raise CorpusError(f"a fake EmoDB needs 1 to {len(_SPEAKERS)} subjects, not {subjects}")
        letters = {emotion: letter for letter, emotion in _EMOTIONS.items()}
        speakers = sorted(_SPEAKERS)[:subjects]
        taken: dict[tuple[str, str], int] = {}
        for emotion, speaker in spread(class_counts(self.card, per_class), speakers, np.random.default_rng([seed, 0])):
            nth = taken.get((emotion, speaker), 0)
            taken[emotion, speaker] = nth + 1
            if nth >= 26 * len(TEXTS):
                raise CorpusError(f"EmoDB's names hold at most {26 * len(TEXTS)} files of a class and speaker")
            text, version = nth % len(TEXTS), chr(ord("a") + nth // len(TEXTS))
            voice = make_voice(male=_SPEAKERS[speaker][0] == "male", rng=np.random.default_rng([seed, 1, int(speaker)]))
            rng = np.random.default_rng([seed, 2, int(speaker), ord(letters[emotion]), nth])
            signal = speak(voice, emotion, 1.0, statement=text, rng=rng)
            name = f"{speaker}{TEXTS[text]}{letters[emotion]}{version}.wav"
            write_bytes(Path(root) / "wav" / name, wav(signal, RATE_HZ))
