"""URDU: 400 utterances of Urdu talk shows in four emotions, spontaneous speech.

Latif, Qayyum, Usman & Qadir (2018), arXiv:1812.10411; github.com/siddiquelatif/URDU-Dataset, whose README explains the
names (SGX_FXX_EYY: gender and speaker, the speaker's file, the emotion's file):

    Angry/SM1_F10_A010.wav      man 1, his file 10, angry file 10
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from corpora.errors import PayloadError
from corpora.records.files import known, named_files, read_items, read_wav, speech_sample
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_EMOTIONS = {"A": "anger", "H": "happiness", "N": "neutral", "S": "sadness"}
_FOLDERS = {"Angry": "A", "Happy": "H", "Neutral": "N", "Sad": "S"}
_EXAMPLE = "Angry/SM1_F10_A010.wav"
_FILE = re.compile(r"(?:^|/)S[FM]\d+_F\d+_[A-Z]\d+\.wav$")
_NAME = re.compile(r"S([FM])(\d+)_F(\d+)_([A-Z])(\d+)")


class Urdu:
    """`Corpus` of URDU's wav files, in folders of emotions or flat."""

    card = CorpusCard(
        name="urdu",
        title="URDU",
        modality="speech",
        version="1.0",
        license="LicenseRef-URDU-research",
        may_redistribute=False,
        url="https://github.com/siddiquelatif/URDU-Dataset",
        bibtex=(
            "@inproceedings{latif2018urdu, title={Cross Lingual Speech Emotion Recognition: Urdu vs. Western "
            "Languages}, author={Latif, Siddique and Qayyum, Adnan and Usman, Muhammad and Qadir, Junaid}, "
            "booktitle={Frontiers of Information Technology (FIT)}, pages={88--93}, year={2018}}"
        ),
        language="ur",
        split_unit="subject",
        label_map=_EMOTIONS,
        counts=dict.fromkeys(_EMOTIONS, 100),
        counts_source="the 400 wav files of siddiquelatif/URDU-Dataset, counted by folder",
        n_subjects=29,
        n_samples=400,
        sources={
            "layout": "README and files of siddiquelatif/URDU-Dataset",
            "labels": "README of siddiquelatif/URDU-Dataset: A, H, N and S",
            "subjects": "names of the files of siddiquelatif/URDU-Dataset (29); EmoBox' table: 29",
            "counts": "files of siddiquelatif/URDU-Dataset, 100 in each folder",
            "license": "README of siddiquelatif/URDU-Dataset: only for research purposes",
        },
        unverified=("splits",),
        quirks=(
            "the README counts 38 speakers (27 men); names of the files hold 18 men (up to M27) and 11 women",
            "most speakers are heard in one emotion only: who speaks nearly tells the emotion",
            "numbers begin with a 0 of their own: 09, 010, ... 0100",
            "recordings are talk shows, so several files of one speaker are one conversation",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of wav files: not-of-this-corpus, bad-label (also where folder and name
        do not agree), repeated-name."""
        files = named_files(root, self.card, _FILE, _EXAMPLE)
        return read_items(files, corpus, lambda path, name: self._sample(path, name, corpus))

    def _sample(self, path: Path, name: str, corpus: str) -> Sample:
        match = _NAME.fullmatch(path.stem)
        if match is None or path.suffix.lower() != ".wav":
            raise PayloadError("not-of-this-corpus", f"the name is not of the form {_EXAMPLE}")
        gender, number, _, letter, _ = match.groups()
        emotion = known(_EMOTIONS, letter, "emotion")
        folder = path.parent.name
        if _FOLDERS.get(folder, letter) != letter:
            raise PayloadError("bad-label", f"the folder says {folder}, the name says {emotion}")
        payload, header = read_wav(path)
        return speech_sample(
            self.card,
            corpus,
            path.stem,
            payload,
            header,
            subject=f"{gender}{number}",
            emotion=emotion,
            emotion_raw=letter,
            gender="male" if gender == "M" else "female",
            extra={"path": name},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """16 kHz wav files of made-up voices in folders of emotions, men and women in turn.

        Unlike the real speakers, all are heard in every emotion. Raises `CorpusError` for a number of subjects outside
        1 ... 22, or a class of more than 999 files a speaker.
        """
        from corpora.readers.fakes.acted import utterances

        letters = {emotion: letter for letter, emotion in _EMOTIONS.items()}
        folders = {letter: folder for folder, letter in _FOLDERS.items()}
        cast = {f"S{sex}{number}": sex == "M" for number in range(1, 12) for sex in "MF"}
        files: dict[str, int] = {}  # of a speaker, of an emotion
        for one in utterances(self.card, cast, per_class, subjects=subjects, seed=seed, most=999):
            letter = letters[one.emotion]
            for key in (one.speaker, letter):
                files[key] = files.get(key, 0) + 1
            name = f"{one.speaker}_F{files[one.speaker]}_{letter}0{files[letter]}.wav"
            write_bytes(Path(root) / folders[letter] / name, one.wav())
