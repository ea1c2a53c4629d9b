"""DEAP: brain waves and body signals of 32 people who each watched 40 music videos and rated them.

Koelstra et al. (2012), IEEE Trans. Affective Computing 3(1). Layout: readme.html of the corpus, section
Data_preprocessed; one pickle of Python 2 for each participant:

    data_preprocessed_python/s01.dat    {"data": [40 videos, 40 channels, 8064], "labels": [40 videos, 4]}

8064 = 63 s at 128 Hz, of which the first 3 s are a baseline before the video. Channels 1 to 32 are EEG in the order of
`EEG_CHANNELS`, then hEOG, vEOG, zEMG (zygomaticus), tEMG (trapezius), GSR (in ohm), respiration belt, plethysmograph,
temperature. Labels: valence, arousal, dominance, liking, each from 1 to 9. A sample is a trial: the 60 s of the video
as EEG, EOG, ..., the 3 s before it as EEG_baseline, EOG_baseline, ...
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.formats.pickles import dump_python2, load_array_file
from corpora.labels import rescale
from corpora.records.files import named_files, physio_sample
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

RATE_HZ = 128.0
BASELINE_S, VIDEO_S = 3.0, 60.0
EEG_CHANNELS = (
    "Fp1",
    "AF3",
    "F3",
    "F7",
    "FC5",
    "FC1",
    "C3",
    "T7",
    "CP5",
    "CP1",
    "P3",
    "P7",
    "PO3",
    "O1",
    "Oz",
    "Pz",
    "Fp2",
    "AF4",
    "Fz",
    "F4",
    "F8",
    "FC6",
    "FC2",
    "Cz",
    "C4",
    "T8",
    "CP6",
    "CP2",
    "P4",
    "P8",
    "PO4",
    "O2",
)
_RATED = ("valence", "arousal", "dominance", "liking")
_SCALE = (1.0, 9.0)
_VIDEOS = 40
_N_SAMPLES = round((BASELINE_S + VIDEO_S) * RATE_HZ)
# name -> (channels of the array, unit); "a.u.": the readme names none
_SIGNALS: dict[str, tuple[slice, str]] = {
    "EEG": (slice(0, 32), "µV"),
    "EOG": (slice(32, 34), "µV"),
    "EMG": (slice(34, 36), "µV"),
    "GSR": (slice(36, 37), "ohm"),
    "RESP": (slice(37, 38), "a.u."),
    "BVP": (slice(38, 39), "a.u."),
    "TEMP": (slice(39, 40), "a.u."),
}
_CHANNELS = {"channels.EEG": ",".join(EEG_CHANNELS), "channels.EOG": "hEOG,vEOG", "channels.EMG": "zEMG,tEMG"}
_FILE = re.compile(r"(^|/)s\d\d\.dat$")
_STEM = re.compile(r"s(0[1-9]|[12]\d|3[0-2])")
_MAX_BYTES = 256 * 2**20  # the published ones have 103 MB


class Deap:
    """`Corpus` of the preprocessed pickles. The original .bdf files are not read: they are not cut into trials."""

    card = CorpusCard(
        name="deap",
        title="DEAP",
        modality="physio",
        version="2012",
        license="LicenseRef-DEAP-EULA",
        may_redistribute=False,
        url="https://www.eecs.qmul.ac.uk/mmv/datasets/deap/",
        bibtex=(
            "@article{koelstra2012deap, title={{DEAP}: A Database for Emotion Analysis Using Physiological Signals}, "
            "author={Koelstra, Sander and Muehl, Christian and Soleymani, Mohammad and Lee, Jong-Seok and Yazdani, "
            "Ashkan and Ebrahimi, Touradj and Pun, Thierry and Nijholt, Anton and Patras, Ioannis}, journal={IEEE "
            "Transactions on Affective Computing}, volume={3}, number={1}, pages={18--31}, year={2012}, "
            "doi={10.1109/T-AFFC.2011.15}}"
        ),
        language=None,
        split_unit="subject",
        label_map={},
        counts=None,
        counts_source=None,
        n_subjects=32,
        n_samples=1280,
        dimensions=dict.fromkeys(_RATED, _SCALE),
        sources={
            "layout": "readme.html of the corpus, Data_preprocessed: data 40 x 40 x 8064, labels 40 x 4, the channels",
            "labels": "readme.html of the corpus: valence, arousal, dominance and liking on a continuous 9-point scale",
            "subjects": "readme.html of the corpus: 32 volunteers",
            "counts": "readme.html of the corpus: 32 volunteers watched 40 videos each",
            "license": "download page of the corpus: an end user licence agreement is signed",
        },
        unverified=("splits",),
        access="sign the end user licence agreement, then ask for a password",
        quirks=(
            "pickles of Python 2: read by the unpickler for arrays",
            "published as filtered to 4-45 Hz, EOG removed, averaged to the common reference",
            "rows are in the order of the videos (Experiment_id), not of presentation: a sentence_id for each, no turn",
            "a file of fewer than 40 rows does not say which videos they are: no sentence_id",
            "the readme calls the 3 s before the video removed; the 63 s hold them first (torcheeg's num_baseline)",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of pickles: not-of-this-corpus, bad-layout, repeated-name,
        rating-out-of-range, non-finite."""
        files = named_files(root, self.card, _FILE, "data_preprocessed_python/s01.dat")
        return self._read(files, corpus)

    def _read(self, files: list[tuple[Path, str]], corpus: str) -> Iterator[Sample | Reject]:
        seen: set[str] = set()
        for path, name in files:
            if path.suffix.lower() != ".dat":
                continue
            try:
                if not _STEM.fullmatch(path.stem):
                    raise PayloadError("not-of-this-corpus", "the name is not of the form s01.dat ... s32.dat")
                if path.stem in seen:
                    raise PayloadError("repeated-name", f"{path.stem} was read before, from another place")
                data, labels = _layout(load_array_file(path, max_bytes=_MAX_BYTES))
            except PayloadError as error:
                yield Reject(corpus, name, error.reason, error.detail)
                continue
            seen.add(path.stem)
            for trial, (channels, rated) in enumerate(zip(data, labels, strict=True), 1):
                try:
                    yield self._sample(name, path.stem, trial, channels, rated, corpus, whole=len(data) == _VIDEOS)
                except PayloadError as error:
                    yield Reject(corpus, f"{name}#{trial:02d}", error.reason, error.detail)

    def _sample(
        self, name: str, subject: str, trial: int, channels: np.ndarray, rated: np.ndarray, corpus: str, *, whole: bool
    ) -> Sample:
        arrays: dict[str, np.ndarray] = {}
        units: dict[str, str] = {}
        cut = round(BASELINE_S * RATE_HZ)
        for key, (which, unit) in _SIGNALS.items():
            values = channels[which].T if which.stop - which.start > 1 else channels[which.start]
            arrays |= {key: values[cut:], f"{key}_baseline": values[:cut]}
            units |= {key: unit, f"{key}_baseline": unit}
        ratings = {key: float(value) for key, value in zip(_RATED, rated, strict=True)}
        rescaled = {key: rescale(value, _SCALE, key) for key, value in ratings.items()}
        return physio_sample(
            self.card,
            corpus,
            f"{subject}/{trial:02d}",
            arrays,
            units,
            dict.fromkeys(arrays, RATE_HZ),
            subject=subject,
            session_id=f"{corpus}:{subject}",
            sentence_id=f"{corpus}:video{trial:02d}" if whole else None,  # a row's place is all that names its video
            t_start_s=0.0,
            t_end_s=VIDEO_S,
            valence=rescaled["valence"],
            arousal=rescaled["arousal"],
            dominance=rescaled["dominance"],
            ratings=[{"scheme": key, "rater": subject, "value": value} for key, value in ratings.items()],
            extra={"path": f"{name}#{trial:02d}"} | _CHANNELS,
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """One .dat a subject, with all channels and 63 s, but with as many trials as are asked for in all.

        Raises `CorpusError` outside 1 ... 32 subjects, for more than 40 trials of one, or counts of classes: there are
        none.
        """
        if not isinstance(per_class, int):
            raise CorpusError(f"DEAP has ratings and no classes, so none can be asked for: {', '.join(per_class)}")
        if not 1 <= subjects <= 32 or per_class > 40 * subjects:
            raise CorpusError(f"a fake DEAP needs 1 to 32 subjects of at most 40 trials, not {subjects}, {per_class}")
        for number in range(1, subjects + 1):
            count = per_class // subjects + (number <= per_class % subjects)
            if count:
                data, labels = _fake_subject(number, count, seed)
                path = Path(root) / "data_preprocessed_python" / f"s{number:02d}.dat"
                write_bytes(path, dump_python2({"labels": labels, "data": data}))


def _layout(contents: Any) -> tuple[np.ndarray, np.ndarray]:
    """Unpickled data -> (data [trials, 40, 8064], labels [trials, 4]). Raises `PayloadError` bad-layout."""
    try:
        data, labels = contents["data"], contents["labels"]
        shapes = data.shape, labels.shape
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise PayloadError("bad-layout", "arrays data and labels are expected") from error
    n_trials = shapes[0][0] if len(shapes[0]) == 3 else 0
    if not 1 <= n_trials <= 40 or shapes != ((n_trials, 40, _N_SAMPLES), (n_trials, len(_RATED))):
        raise PayloadError("bad-layout", f"data {shapes[0]}, labels {shapes[1]}; expected (40, 40, 8064), (40, 4)")
    if data.dtype.kind not in "fi" or labels.dtype.kind not in "fi":
        raise PayloadError("bad-layout", f"data are {data.dtype}, labels {labels.dtype}; numbers are expected")
    return data, labels


def _fake_subject(number: int, n_trials: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    from corpora.readers.fakes.signal import make_signal

    corners = {
        (True, True): "happiness",
        (True, False): "relaxation",
        (False, True): "anger",
        (False, False): "sadness",
    }
    kinds = {"GSR": "EDA"}
    data = np.empty((n_trials, 40, _N_SAMPLES), dtype="f8")
    labels = np.empty((n_trials, len(_RATED)), dtype="f8")
    for trial in range(n_trials):
        rng = np.random.default_rng([seed, 1, number, trial])
        labels[trial] = np.round(rng.uniform(*_SCALE, size=len(_RATED)), 2)
        emotion = corners[bool(labels[trial, 0] > 5), bool(labels[trial, 1] > 5)]
        for at, (name, (which, _)) in enumerate(_SIGNALS.items()):
            wave = make_signal(
                kinds.get(name, name),
                seconds=BASELINE_S + VIDEO_S,
                rate_hz=RATE_HZ,
                channels=which.stop - which.start,
                emotion=emotion,
                subject_rng=np.random.default_rng([seed, 2, number]),
                rng=np.random.default_rng([seed, 3, number, trial, at]),
            ).reshape(_N_SAMPLES, -1)
            data[trial, which] = (1e6 / wave if name == "GSR" else wave).T  # µS -> ohm
    return data, labels
