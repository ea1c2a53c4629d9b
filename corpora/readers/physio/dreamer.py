"""DREAMER: EEG and ECG of 23 people during 18 film clips, rated by themselves for valence, arousal and dominance.

Katsigiannis and Ramzan (2018), IEEE JBHI 22(1). All is in one file; its structure is from the readme of version 1.0.2
and from torcheeg's reader (torcheeg/datasets/module/emotion_recognition/dreamer.py), the target emotions of the films
from the paper's table I as two public repositories quote it:

    DREAMER.mat   DREAMER.Data{1, 23}: Age and Gender as text, EEG and ECG, each with baseline{18, 1} and
                  stimuli{18, 1}, ScoreValence, ScoreArousal and ScoreDominance [18, 1]
                  EEG [n, 14] at 128 Hz (Emotiv EPOC), ECG [m, 2] at 256 Hz (Shimmer2); a baseline is 61 s of EEG

The file is one large struct; one subject of it is in memory at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import CorpusError, PayloadError, UnknownNameError
from corpora.formats.matfiles import load_cells
from corpora.labels import native_labels, rescale
from corpora.readers.physio.seed import write_mat
from corpora.records.files import named_files, physio_sample, read_items
from corpora.schema import CorpusCard, Reject, Sample

CHANNELS = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")
FILMS = (
    "calmness",
    "surprise",
    "amusement",
    "fear",
    "excitement",
    "disgust",
    "happiness",
    "anger",
    "sadness",
    "disgust",
    "calmness",
    "amusement",
    "happiness",
    "anger",
    "fear",
    "excitement",
    "sadness",
    "surprise",
)
RATES_HZ = {"EEG": 128.0, "ECG": 256.0}
_WIDTHS = {"EEG": len(CHANNELS), "ECG": 2}
_SCALE = (1.0, 5.0)
_SCORES = ("Valence", "Arousal", "Dominance")
_FILE = re.compile(r"(?:^|/)DREAMER[^/]*\.mat$", re.IGNORECASE)
_FAKE_SECONDS = 2.0  # of a fake clip; published ones last minutes

Trial = tuple[int, int, Mapping[str, Any]]  # subject from 1, film from 1, what the file has on the subject


class Dreamer:
    """`Corpus` of DREAMER.mat."""

    card = CorpusCard(
        name="dreamer",
        title="DREAMER",
        modality="physio",
        version="1.0.2",
        license="LicenseRef-DREAMER",
        may_redistribute=False,
        url="https://zenodo.org/record/546113",
        bibtex=(
            "@article{katsigiannis2018dreamer, title={DREAMER: A Database for Emotion Recognition Through EEG and ECG "
            "Signals From Wireless Low-cost Off-the-Shelf Devices}, author={Katsigiannis, Stamos and Ramzan, Naeem}, "
            "journal={IEEE Journal of Biomedical and Health Informatics}, volume={22}, number={1}, pages={98--107}, "
            "year={2018}, doi={10.1109/JBHI.2017.2688239}}"
        ),
        language=None,
        split_unit="subject",
        label_map={},
        counts=None,
        counts_source=None,
        n_subjects=23,
        n_samples=414,
        dimensions={"valence": _SCALE, "arousal": _SCALE, "dominance": _SCALE},
        sources={
            "layout": "readme of DREAMER v1.0.2; torcheeg datasets/module/emotion_recognition/dreamer.py",
            "labels": "readme of DREAMER v1.0.2: felt arousal, valence and dominance on five-point scales",
            "subjects": "readme of DREAMER v1.0.2: 23 volunteers",
            "counts": "readme of DREAMER v1.0.2: 23 volunteers watched 18 film clips",
        },
        unverified=("splits", "license"),
        access="ask on the Zenodo page",
        quirks=(
            "subjects have no numbers in the file; they are numbered in its order",
            "labels hold the emotion that a film was chosen for (scheme dreamer), ratings what the subject felt",
            "the 61 s before a clip are kept as EEG_baseline and ECG_baseline",
            "units of EEG and ECG are not stated",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of .mat files: not-of-this-corpus, bad-shape (also a subject without
        exactly 18 of everything: a film is known by its place), rating-out-of-range, not-a-number, empty, non-finite.
        """
        files = named_files(root, self.card, _FILE, "DREAMER.mat")
        mats = [(path, name) for path, name in files if path.suffix.lower() == ".mat"]
        return read_items(_trials(mats), corpus, lambda item, name: self._sample(item, name, corpus))

    def _sample(self, item: Trial | PayloadError, name: str, corpus: str) -> Sample:
        if isinstance(item, PayloadError):
            raise item
        subject, film, record = item
        arrays = {}
        for signal in RATES_HZ:
            for part, suffix in (("stimuli", ""), ("baseline", "_baseline")):
                arrays[signal + suffix] = _array(record.get(signal), part, film, signal)
        scores = {score.lower(): _score(record.get(f"Score{score}"), film, score) for score in _SCORES}
        age, gender = str(record.get("Age", "")), str(record.get("Gender", "")).lower()
        return physio_sample(
            self.card,
            corpus,
            f"{subject:02d}_{film:02d}",
            arrays,
            dict.fromkeys(arrays, "unknown"),
            {key: RATES_HZ[key[:3]] for key in arrays},
            subject=f"{subject:02d}",
            sentence_id=f"{corpus}:film{film:02d}",
            labels=native_labels("dreamer", {FILMS[film - 1]: 1.0}, dict.fromkeys(FILMS)),
            ratings=[{"scheme": key, "rater": f"{subject:02d}", "value": value} for key, value in scores.items()],
            **{key: rescale(value, _SCALE, key) for key, value in scores.items()},
            gender=gender if gender in ("male", "female") else None,
            age=float(age) if age.isascii() and age.isdigit() else None,
            extra={"path": name, "channels.EEG": ",".join(CHANNELS), "channels.EEG_baseline": ",".join(CHANNELS)},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """One file with clips of 2 s and baselines of 1 s. All 18 films a subject, whatever count is asked for.

        Raises `CorpusError` for a number of subjects outside 1 ... 23, or more than 18 samples a subject.
        """
        if not isinstance(per_class, int):
            raise UnknownNameError.of("class of DREAMER, which is rated on dimensions,", next(iter(per_class), ""), [])
        if not 1 <= subjects <= 23 or per_class > len(FILMS) * subjects:
            raise CorpusError(f"a fake DREAMER needs 1 to 23 subjects, not {subjects}, of {len(FILMS)} samples each")
        people = np.empty((1, subjects), dtype=object)
        for subject in range(subjects):
            people[0, subject] = _fake_subject(subject, seed)
        electrodes = np.empty((1, len(CHANNELS)), dtype=object)
        electrodes[0, :] = CHANNELS
        facts = {
            "Data": people,
            "EEG_SamplingRate": 128.0,
            "ECG_SamplingRate": 256.0,
            "EEG_Electrodes": electrodes,
            "noOfSubjects": float(subjects),
            "noOfVideoSequences": float(len(FILMS)),
            "Disclaimer": "made up",
        }
        write_mat(Path(root) / "DREAMER.mat", {"DREAMER": facts})


def _trials(files: Sequence[tuple[Path, str]]) -> Iterator[tuple[Trial | PayloadError, str]]:
    for path, name in files:
        if _FILE.search(name) is None:
            yield PayloadError("not-of-this-corpus", "the file is not called DREAMER.mat"), name
            continue
        try:
            for subject, record in enumerate(load_cells(path, "DREAMER", "Data"), start=1):
                if isinstance(record, PayloadError) or not isinstance(record, dict):
                    wrong = record if isinstance(record, PayloadError) else PayloadError("bad-shape", "no struct")
                    yield wrong, f"{name}#{subject:02d}"
                    continue
                if (uneven := _uneven(record)) is not None:
                    yield uneven, f"{name}#{subject:02d}"
                    continue
                for film in range(1, len(FILMS) + 1):
                    yield (subject, film, record), f"{name}#{subject:02d}_{film:02d}"
        except PayloadError as error:
            yield error, name


def _uneven(record: Mapping[str, Any]) -> PayloadError | None:
    """Films are joined with signals and scores by their place alone: what a subject has not 18 of, unless nothing."""
    counts: dict[str, int] = {}
    for signal in RATES_HZ:
        parts = record.get(signal)
        for part, cells in parts.items() if isinstance(parts, dict) else ():
            if part in ("baseline", "stimuli") and isinstance(cells, list):
                counts[f"{signal}.{part}"] = len(cells)
    for score in _SCORES:
        values = record.get(f"Score{score}")
        if values is not None and (array := np.asarray(values)).dtype.kind in "fiu":
            counts[f"Score{score}"] = array.size
    odd = [f"{count} {what}" for what, count in counts.items() if count != len(FILMS)]
    if not odd:
        return None
    return PayloadError("bad-shape", f"{', '.join(odd)}; {len(FILMS)} of each are expected, or places mean other films")


def _array(parts: Any, part: str, film: int, signal: str) -> np.ndarray:
    cells = parts.get(part) if isinstance(parts, dict) else None
    if not isinstance(cells, list) or len(cells) < film:
        raise PayloadError("bad-shape", f"no {signal}.{part} of film {film}")
    array = np.asarray(cells[film - 1])
    if array.dtype.kind not in "fiu" or array.ndim != 2 or array.shape[1] != _WIDTHS[signal]:
        raise PayloadError(
            "bad-shape", f"{signal}.{part}: {array.dtype} {array.shape}, [n, {_WIDTHS[signal]}] expected"
        )
    return array.astype(np.float32)


def _score(values: Any, film: int, what: str) -> float:
    array = np.asarray(values if values is not None else [])
    if array.dtype.kind not in "fiu" or array.size < film:
        raise PayloadError("not-a-number", f"no Score{what} of film {film}")
    return float(array.ravel()[film - 1])


def _fake_subject(subject: int, seed: int) -> dict[str, Any]:
    from corpora.readers.fakes.signal import make_signal

    rng = np.random.default_rng([seed, 0, subject])
    record: dict[str, Any] = {"Age": str(22 + subject % 12), "Gender": "female" if subject % 2 else "male"}
    for signal, rate_hz in RATES_HZ.items():
        parts = {}
        for part, seconds in (("baseline", 1.0), ("stimuli", _FAKE_SECONDS)):
            cells = np.empty((len(FILMS), 1), dtype=object)
            for film, word in enumerate(FILMS):
                emotion = {"calmness": "calm"}.get(word, word) if part == "stimuli" else "neutral"
                wave = make_signal(
                    signal,
                    seconds=seconds,
                    rate_hz=rate_hz,
                    channels=_WIDTHS[signal],
                    emotion=emotion,
                    subject_rng=np.random.default_rng([seed, 1, subject]),
                    rng=np.random.default_rng([seed, 2, subject, film, len(part)]),
                )
                cells[film, 0] = wave.astype(np.float64)
            parts[part] = cells
        record[signal] = parts
    for score in _SCORES:
        record[f"Score{score}"] = rng.integers(1, 6, size=(len(FILMS), 1)).astype(np.float64)
    return record
