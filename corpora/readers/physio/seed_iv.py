"""SEED-IV: 15 subjects, three sessions of 24 other film clips each, four emotions.

Zheng et al. (2018), EmotionMeter, IEEE Transactions on Cybernetics. Layout is from the corpus' page
(bcmi.sjtu.edu.cn/home/seed/seed-iv.html), labels and the length of the windows from the ReadMe.txt in the archive:

    eeg_raw_data/1/1_20160518.mat        session 1, subject 1: cz_eeg1 ... cz_eeg24, [62 channels, n] at 200 Hz
    eeg_feature_smooth/1/1_20160518.mat  de_LDS1 ... de_LDS24, [62 channels, windows of 4 s, 5 bands]; also
                                         de_movingAve1, psd_LDS1, psd_movingAve1, which are not read
    eye_raw_data, eye_feature_smooth     eye movements under the same file names: not read
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from corpora.errors import PayloadError
from corpora.readers.physio.seed import (
    RATE_HZ,
    VARIABLES,
    Trial,
    checked_form,
    eeg_sample,
    fake_trial,
    needed_sessions,
    opened,
    some_left,
    trials,
    write_mat,
)
from corpora.records.files import named_files, read_items
from corpora.schema import CorpusCard, Reject, Sample

# ReadMe.txt: session1_label, session2_label, session3_label; "neutral, sad, fear, and happy"
SESSION_LABELS = {
    "1": (1, 2, 3, 0, 2, 0, 0, 1, 0, 1, 2, 1, 1, 1, 2, 3, 2, 2, 3, 3, 0, 3, 0, 3),
    "2": (2, 1, 3, 0, 0, 2, 0, 2, 3, 3, 2, 3, 2, 0, 1, 1, 2, 1, 0, 3, 0, 1, 3, 1),
    "3": (1, 2, 2, 1, 3, 3, 3, 1, 1, 2, 1, 0, 2, 3, 3, 0, 2, 3, 0, 0, 2, 0, 1, 0),
}
_WORDS = ("neutral", "sad", "fear", "happy")
_FILE = re.compile(r"(?:^|/)(?:session)?([123])/(\d{1,2})_(\d{8})\.mat$")
_FOLDERS = {"raw": "eeg_raw_data", "de": "eeg_feature_smooth"}
_WINDOWS_HZ = 0.25


class SeedIV:
    """`Corpus` of SEED-IV's .mat files. `form`: "raw" (eeg_raw_data) or "de" (eeg_feature_smooth, LDS-smoothed)."""

    card = CorpusCard(
        name="seed_iv",
        title="SEED-IV",
        modality="physio",
        version="2018",
        license="LicenseRef-SEED-IV",
        may_redistribute=False,
        url="https://bcmi.sjtu.edu.cn/home/seed/seed-iv.html",
        bibtex=(
            "@article{zheng2018emotionmeter, title={EmotionMeter: A Multimodal Framework for Recognizing Human "
            "Emotions}, author={Zheng, Wei-Long and Liu, Wei and Lu, Yifei and Lu, Bao-Liang and Cichocki, Andrzej}, "
            "journal={IEEE Transactions on Cybernetics}, year={2018}}"
        ),
        language=None,
        split_unit="subject",
        label_map={"neutral": "neutral", "sad": "sadness", "fear": "fear", "happy": "happiness"},
        counts={"neutral": 270, "sad": 270, "fear": 270, "happy": 270},
        counts_source="seed-iv.html: 15 subjects x 3 sessions x 24 trials; ReadMe.txt has 6 of each in a session",
        n_subjects=15,
        n_samples=1080,
        sources={
            "layout": "bcmi.sjtu.edu.cn/home/seed/seed-iv.html, Dataset Summary",
            "labels": "ReadMe.txt of SEED-IV: labels of the three sessions, names of the four numbers",
            "subjects": "bcmi.sjtu.edu.cn/home/seed/seed-iv.html: 15 subjects",
            "counts": "bcmi.sjtu.edu.cn/home/seed/seed-iv.html and ReadMe.txt of SEED-IV",
            "license": "bcmi.sjtu.edu.cn/~seed/downloads.html: a signed agreement, no public licence",
        },
        unverified=("splits",),
        access="sign the licence agreement of bcmi.sjtu.edu.cn/home/seed and ask for an account",
        quirks=(
            "the label is what the film was chosen for, not what the subject felt",
            "sessions show different films; the folder is the session",
            "files of eye movements bear the same names in other folders",
            "the unit of the EEG is not stated; values of some hundred look like µV",
        ),
    )

    def __init__(self, form: str = "raw") -> None:
        self.form = checked_form(form)

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of .mat files: not-of-this-corpus, bad-shape, bad-label, non-finite."""
        files = named_files(root, self.card, _FILE, f"{_FOLDERS[self.form]}/1/1_20160518.mat")
        kept = [pair for pair in files if not self._is_other(f"{Path(root).name}/{pair[1]}")]
        some_left(kept, _FILE, self, root)

        def make(item: Trial | PayloadError, name: str) -> Sample:
            path, number, value = opened(item)
            match = _FILE.search(path)
            assert match is not None  # `trials` rejects the others
            session, subject, date = match.groups()
            labels = SESSION_LABELS[session]
            if not 1 <= number <= len(labels):
                raise PayloadError("bad-label", f"trial {number}, a session has {len(labels)}")
            word = _WORDS[labels[number - 1]]
            film = (int(session) - 1) * len(labels) + number
            rate_hz = RATE_HZ if self.form == "raw" else _WINDOWS_HZ
            return eeg_sample(
                self.card,
                corpus,
                f"{session}_{subject}_{number:02d}",
                value,
                self.form,
                rate_hz,
                subject=subject,
                session_id=f"{corpus}:{session}",
                sentence_id=f"{corpus}:film{film:02d}",
                emotion=self.card.label_map[word],
                emotion_raw=word,
                extra={"path": name, "date": date},
            )

        return read_items(trials(kept, _FILE, VARIABLES[self.form]), corpus, make)

    def _is_other(self, name: str) -> bool:
        parts = name.split("/")
        other = _FOLDERS["de" if self.form == "raw" else "raw"]
        return any(part == other or part.startswith("eye_") for part in parts)

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """Files with trials of 1.5 s, or three windows, and as many sessions as the counts need.

        Raises `CorpusError` for a number of subjects outside 1 ... 15, or a class of more than 18 trials a subject.
        """
        sessions = needed_sessions(self.card, subjects, 15, per_class, 6, 3)
        for session in list(SESSION_LABELS)[:sessions]:
            for subject in range(1, subjects + 1):
                arrays: dict[str, np.ndarray] = {}
                for number, code in enumerate(SESSION_LABELS[session], start=1):
                    emotion = str(self.card.label_map[_WORDS[code]])
                    arrays |= fake_trial(self.form, number, emotion, (seed, subject, int(session), number))
                write_mat(
                    Path(root) / _FOLDERS[self.form] / session / f"{subject}_201505{10 + subject:02d}.mat", arrays
                )
