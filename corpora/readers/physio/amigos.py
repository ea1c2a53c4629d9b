"""AMIGOS: EEG, ECG and skin response of 40 people during 16 short and 4 long films, rated by themselves.

Miranda-Correa et al. (2021), IEEE TAC 12(2). What was recorded is from the corpus' readme
(eecs.qmul.ac.uk/mmv/datasets/amigos/readme.html), variables and columns of the preprocessed files from torcheeg
(torcheeg/datasets/functional/emotion_recognition/amigos.py) and the loaders of several other public repositories:

    Data_Preprocessed_P01.mat   subject P01, also in a folder of that name, with cell arrays {1, 20}:
      joined_data               [n, 17] at 128 Hz: 14 EEG, 2 ECG, 1 GSR; the first 640 samples are a baseline of 5 s
      labels_selfassessment     [1, 12]: arousal, valence, dominance, liking, familiarity, 1 to 9; neutral, disgust,
                                happiness, surprise, anger, fear, sadness, 0 or 1
      VideoIDs                  "10", "13", ... short; "N1", "P1", "B1", "U1" long
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.formats.matfiles import load_cells, load_mat, open_mat
from corpora.labels import native_labels, rescale
from corpora.readers.physio.dreamer import CHANNELS
from corpora.readers.physio.seed import write_mat
from corpora.records.files import class_counts, named_files, physio_sample, read_items, spread
from corpora.schema import CorpusCard, Reject, Sample

RATE_HZ = 128.0
BASELINE = 640  # samples
COLUMNS = {"EEG": slice(0, 14), "ECG": slice(14, 16), "GSR": slice(16, 17)}
_DIMENSIONS = ("arousal", "valence", "dominance", "liking", "familiarity")
_EMOTIONS = ("neutral", "disgust", "happiness", "surprise", "anger", "fear", "sadness")
_SCALE = (1.0, 9.0)
# fake files show them in this order; in the published ones each subject has their own, see VideoIDs
_VIDEOS = "4 5 9 10 13 18 19 20 23 30 31 34 36 58 80 138 N1 P1 B1 U1"
VIDEOS = tuple(_VIDEOS.split())
_FILE = re.compile(r"(?:^|/)Data_Preprocessed_P(\d\d)\.mat$")
_FAKE_SECONDS = 2.0  # of a fake clip after its baseline; published ones last minutes

Trial = tuple[str, int, str, Any, Any]  # subject, trial from 1, film, joined_data, labels_selfassessment


class Amigos:
    """`Corpus` of AMIGOS' preprocessed files."""

    card = CorpusCard(
        name="amigos",
        title="AMIGOS",
        modality="physio",
        version="2017",
        license="LicenseRef-AMIGOS",
        may_redistribute=False,
        url="http://www.eecs.qmul.ac.uk/mmv/datasets/amigos/",
        bibtex=(
            "@article{miranda2021amigos, title={AMIGOS: A Dataset for Affect, Personality and Mood Research on "
            "Individuals and Groups}, author={Miranda-Correa, Juan Abdon and Abadi, Mojtaba Khomami and Sebe, Nicu and "
            "Patras, Ioannis}, journal={IEEE Transactions on Affective Computing}, volume={12}, number={2}, "
            "pages={479--493}, year={2021}, eprint={1702.02510}, archivePrefix={arXiv}}"
        ),
        language=None,
        split_unit="subject",
        label_map={emotion: emotion for emotion in _EMOTIONS},
        counts=None,
        counts_source=None,
        n_subjects=40,
        dimensions=dict.fromkeys(_DIMENSIONS, _SCALE),
        sources={
            "layout": "torcheeg datasets/functional/emotion_recognition/amigos.py: joined_data, labels_selfassessment",
            "labels": "torcheeg datasets/functional/emotion_recognition/amigos.py: the order of the 12 values",
            "subjects": "eecs.qmul.ac.uk/mmv/datasets/amigos/readme.html: 40 volunteers, 37 of them for long videos",
        },
        unverified=("counts", "splits", "license"),
        access="sign the licence agreement of eecs.qmul.ac.uk/mmv/datasets/amigos",
        quirks=(
            "P08, P24 and P28 saw no long films: cells without signal and rating are no trial and no reject",
            "signals of some trials are NaN: such a signal is left out and named in extra.missing",
            "several emotions may be ticked, or none: emotion is set if it is exactly one",
            "the 5 s before a film are kept as EEG_baseline, ECG_baseline and GSR_baseline",
            "long films were watched alone or in groups of four: no split by group is made",
            "units of the preprocessed signals are not stated",
            "signals, ratings and films are joined by their place: a file without as many of each is a reject",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of .mat files: not-of-this-corpus, bad-shape, too-short, non-finite
        (all signals), missing-rating, missing-signal, counts-differ (of a file), rating-out-of-range, bad-label.
        """
        files = named_files(root, self.card, _FILE, "Data_Preprocessed_P01.mat")
        mats = [(path, name) for path, name in files if path.suffix.lower() == ".mat"]
        return read_items(_trials(mats), corpus, lambda item, name: self._sample(item, name, corpus))

    def _sample(self, item: Trial | PayloadError, name: str, corpus: str) -> Sample | None:
        if isinstance(item, PayloadError):
            raise item
        subject, number, video, signal, rating = item
        if isinstance(signal, PayloadError):
            raise signal
        signal, rating = np.asarray(signal), np.asarray(rating)
        if not signal.size and not rating.size:
            return None
        arrays, missing = _signals(signal)
        values, ticked = _ratings(rating)
        extra = {"path": name, "video": video, "channels.EEG": ",".join(CHANNELS)}
        return physio_sample(
            self.card,
            corpus,
            f"P{subject}_{number:02d}",
            arrays,
            dict.fromkeys(arrays, "unknown"),
            dict.fromkeys(arrays, RATE_HZ),
            subject=f"P{subject}",
            session_id=f"{corpus}:{'long' if video[:1].isalpha() else 'short'}",
            sentence_id=f"{corpus}:film{video}",
            emotion=ticked[0] if len(ticked) == 1 else None,
            emotion_raw=ticked[0] if len(ticked) == 1 else None,
            labels=native_labels("amigos", dict.fromkeys(ticked, 1.0), self.card.label_map),
            ratings=[{"scheme": key, "rater": f"P{subject}", "value": value} for key, value in values.items()],
            **{key: rescale(values[key], _SCALE, key) for key in ("valence", "arousal", "dominance")},
            extra=extra | ({"missing": ",".join(missing)} if missing else {}),
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """One file a subject with clips of 2 s after their baselines; films that nobody watched are empty cells.

        Raises `CorpusError` for a number of subjects outside 1 ... 40, or more than 20 samples a subject.
        """
        if not 1 <= subjects <= 40:
            raise CorpusError(f"a fake AMIGOS needs 1 to 40 subjects, not {subjects}")
        names = [f"{number:02d}" for number in range(1, subjects + 1)]
        wanted: dict[str, list[str]] = {name: [] for name in names}
        for emotion, name in spread(class_counts(self.card, per_class), names, np.random.default_rng([seed, 0])):
            wanted[name].append(emotion)
        for name, emotions in wanted.items():
            if len(emotions) > len(VIDEOS):
                raise CorpusError(f"a subject of AMIGOS has {len(VIDEOS)} trials, not {len(emotions)}")
            folder = f"Data_Preprocessed_P{name}"
            write_mat(Path(root) / folder / f"{folder}.mat", _fake_subject(int(name), emotions, seed))


def _trials(files: Sequence[tuple[Path, str]]) -> Iterator[tuple[Trial | PayloadError, str]]:
    for path, name in files:
        match = _FILE.search(name)
        if match is None:
            yield PayloadError("not-of-this-corpus", "the name is not of the form Data_Preprocessed_P01.mat"), name
            continue
        try:
            _judge_counts(path)
            small = dict(load_mat(path, ["VideoIDs", "labels_selfassessment"], max_bytes=1 << 20))
            ratings, videos = small.get("labels_selfassessment"), small.get("VideoIDs")
            for cells in (ratings, videos):
                if not isinstance(cells, list):
                    raise _first_error(small)
            trials = zip(load_cells(path, "joined_data"), videos or [], ratings or [], strict=False)
            for number, (signal, video, rating) in enumerate(trials, start=1):
                yield (match[1], number, str(video), signal, rating), f"{name}#{number:02d}"
        except PayloadError as error:
            yield error, name


def _judge_counts(path: Path) -> None:
    """Raises `PayloadError` counts-differ: with a cell less in one of the three, later ratings are of other films."""
    wanted = ("joined_data", "labels_selfassessment", "VideoIDs")
    sizes = {variable.name: math.prod(variable.shape) for variable in open_mat(path).variables}
    counts = {name: sizes[name] for name in wanted if name in sizes}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise PayloadError("counts-differ", f"{shown}: which rating is of which trial cannot be known")


def _first_error(small: Mapping[str, Any]) -> PayloadError:
    errors = [value for value in small.values() if isinstance(value, PayloadError)]
    return errors[0] if errors else PayloadError("not-of-this-corpus", f"no ratings or films; found: {list(small)}")


def _signals(signal: np.ndarray) -> tuple[dict[str, np.ndarray], list[str]]:
    """joined_data of a trial -> ({name: [n, channels]}, names of signals that are left out for their NaN)."""
    if not signal.size:
        raise PayloadError("missing-signal", "a rating without a signal")
    if signal.dtype.kind not in "fiu" or signal.ndim != 2 or signal.shape[1] != 17:
        raise PayloadError("bad-shape", f"{signal.dtype} {signal.shape}, [n, 17] is expected")
    if len(signal) <= BASELINE:
        raise PayloadError("too-short", f"{len(signal)} samples, {BASELINE} of them are the baseline")
    arrays: dict[str, np.ndarray] = {}
    missing = []
    for name, columns in COLUMNS.items():
        part = signal[:, columns].astype(np.float32)
        if not np.isfinite(part).all():
            missing.append(name)
            continue
        part = part[:, 0] if part.shape[1] == 1 else part
        arrays |= {name: part[BASELINE:], f"{name}_baseline": part[:BASELINE]}
    if not arrays:
        raise PayloadError("non-finite", "values of EEG, ECG and GSR")
    return arrays, missing


def _ratings(rating: np.ndarray) -> tuple[dict[str, float], list[str]]:
    """labels_selfassessment of a trial -> ({dimension: value, 1 to 9}, emotions that are ticked)."""
    if not rating.size:
        raise PayloadError("missing-rating", "a signal without a rating")
    if rating.dtype.kind not in "fiu" or rating.size != len(_DIMENSIONS) + len(_EMOTIONS):
        raise PayloadError("bad-shape", f"ratings {rating.dtype} {rating.shape}, 12 values are expected")
    values = [float(value) for value in rating.ravel()]
    ticks = values[len(_DIMENSIONS) :]
    if not set(ticks) <= {0.0, 1.0}:
        raise PayloadError("bad-label", f"emotions {ticks}, each is 0 or 1")
    return dict(zip(_DIMENSIONS, values, strict=False)), [e for e, tick in zip(_EMOTIONS, ticks, strict=True) if tick]


def _fake_subject(subject: int, emotions: Sequence[str], seed: int) -> dict[str, Any]:
    from corpora.readers.fakes.signal import make_signal

    rng = np.random.default_rng([seed, 1, subject])
    cells = {key: np.empty((1, len(VIDEOS)), object) for key in ("joined_data", "labels_selfassessment", "VideoIDs")}
    for number, video in enumerate(VIDEOS):
        cells["VideoIDs"][0, number] = video
        cells["joined_data"][0, number] = cells["labels_selfassessment"][0, number] = np.zeros((0, 0))
        if number >= len(emotions):
            continue
        parts = [
            make_signal(
                kind,
                seconds=BASELINE / RATE_HZ + _FAKE_SECONDS,
                rate_hz=RATE_HZ,
                channels=channels,
                emotion=emotions[number],
                subject_rng=np.random.default_rng([seed, 2, subject]),
                rng=np.random.default_rng([seed, 3, subject, number, channels]),
            ).reshape(-1, channels)
            for kind, channels in (("EEG", 14), ("ECG", 2), ("EDA", 1))
        ]
        cells["joined_data"][0, number] = np.concatenate(parts, axis=1).astype(np.float64)
        ticks = [float(word == emotions[number]) for word in _EMOTIONS]
        cells["labels_selfassessment"][0, number] = np.array([[*np.round(rng.uniform(1, 9, size=5), 2), *ticks]])
    return cells
