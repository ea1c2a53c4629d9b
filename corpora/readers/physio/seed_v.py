"""SEED-V: 16 subjects, three sessions of 15 other film clips each, five emotions.

Liu et al. (2021), IEEE Transactions on Cognitive and Developmental Systems. Layout is from the corpus' page
(bcmi.sjtu.edu.cn/~seed/seed-v.html); the order of labels, the seconds at which clips begin and end and the layout of
the features from torcheeg (torcheeg/datasets/module/emotion_recognition/seed_v.py and seed_v_feature.py), which agrees
with the loaders of eight other public repositories:

    EEG_DE_features/1_123.npz     subject 1, sessions 1, 2 and 3: `data` and `label`, each a pickled dict of 45 trials
                                  {0: [windows, 62 * 5], ...}, {0: [windows], ...}; trials 15 to 29 are session 2
    EEG_raw/6_3_20180802.cnt      subject 6, session 3: Neuroscan, 62 channels and M1, M2, VEO, HEO at 1000 Hz
    Eye_movement_features         eye movements under the same file names: not read
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import CorpusError, PayloadError, refused
from corpora.formats.pickles import dump_python2, load_arrays
from corpora.readers.physio.seed import (
    BANDS_HZ,
    CHANNELS,
    FAKE_WINDOWS,
    checked_form,
    de_sample,
    fake_de,
    needed_sessions,
    some_left,
)
from corpora.records.files import known, named_files, physio_sample, read_file, read_items
from corpora.schema import CorpusCard, Reject, Sample
from corpora.signals import check_entries, read_npy_header
from corpora.store.atomic import write_bytes

_WORDS = {"0": "disgust", "1": "fear", "2": "sad", "3": "neutral", "4": "happy"}
# the films of a session: label, first and last second in the recording
SESSIONS = {
    1: (
        (4, 1, 3, 2, 0, 4, 1, 3, 2, 0, 4, 1, 3, 2, 0),
        (30, 132, 287, 555, 773, 982, 1271, 1628, 1730, 2025, 2227, 2435, 2667, 2932, 3204),
        (102, 228, 524, 742, 920, 1240, 1568, 1697, 1994, 2166, 2401, 2607, 2901, 3172, 3359),
    ),
    2: (
        (2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0),
        (30, 299, 548, 646, 836, 1000, 1091, 1392, 1657, 1809, 1966, 2186, 2333, 2490, 2741),
        (267, 488, 614, 773, 967, 1059, 1331, 1622, 1777, 1908, 2153, 2302, 2428, 2709, 2817),
    ),
    3: (
        (2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0),
        (30, 353, 478, 674, 825, 908, 1200, 1346, 1451, 1711, 2055, 2307, 2457, 2726, 2888),
        (321, 418, 643, 764, 877, 1147, 1284, 1418, 1679, 1996, 2275, 2425, 2664, 2857, 3066),
    ),
}
TRIALS = 15  # of a session
_FILES = {"de": re.compile(r"(?:^|/)(\d{1,2})_123\.npz$"), "raw": re.compile(r"(?:^|/)(\d{1,2})_([123])_(\d{8})\.cnt$")}
_SUFFIXES = {"de": ".npz", "raw": ".cnt"}
_WINDOWS_HZ = 0.25
_MAX_NPZ = 256 * 2**20
_MAX_CHANNELS = 256

Trial = tuple[str, int, int, Any, Any]  # subject, session, trial in it, EEG [62, n] or DE [windows, 310], label or rate


class SeedV:
    """`Corpus` of SEED-V's features (`form: de`) or recordings cut into trials (`form: raw`)."""

    card = CorpusCard(
        name="seed_v",
        title="SEED-V",
        modality="physio",
        version="2021",
        license="LicenseRef-SEED-V",
        may_redistribute=False,
        url="https://bcmi.sjtu.edu.cn/home/seed/seed-v.html",
        bibtex=(
            "@article{liu2021seedv, title={Comparing Recognition Performance and Robustness of Multimodal Deep "
            "Learning Models for Multimodal Emotion Recognition}, author={Liu, Wei and Qiu, Jie-Lin and Zheng, "
            "Wei-Long and Lu, Bao-Liang}, journal={IEEE Transactions on Cognitive and Developmental Systems}, "
            "volume={14}, number={2}, pages={715--729}, year={2021}}"
        ),
        language=None,
        split_unit="subject",
        label_map={"disgust": "disgust", "fear": "fear", "sad": "sadness", "neutral": "neutral", "happy": "happiness"},
        counts={"disgust": 144, "fear": 144, "sad": 144, "neutral": 144, "happy": 144},
        counts_source="seed-v.html: 16 participants' features, 3 sessions, 3 clips of each of 5 emotions in a session",
        n_subjects=16,
        n_samples=720,
        sources={
            "layout": "bcmi.sjtu.edu.cn/~seed/seed-v.html, Dataset Summary; torcheeg seed_v.py, seed_v_feature.py",
            "labels": "torcheeg seed_v.py: disgust 0, fear 1, sad 2, neutral 3, happy 4, and the order of films",
            "subjects": "bcmi.sjtu.edu.cn/~seed/seed-v.html: features of 16 participants",
            "counts": "bcmi.sjtu.edu.cn/~seed/seed-v.html: 15 clips a session, 3 of each emotion",
        },
        unverified=("splits", "license"),
        access="sign the licence agreement of bcmi.sjtu.edu.cn/home/seed and ask for an account",
        quirks=(
            "20 subjects were recorded, 16 are published",
            "features are pickles within an .npz: read by an unpickler that knows arrays and plain data only",
            "the order of channel and band within the 310 features is torcheeg's: the bands of a channel side by side",
            "recordings hold no marks: clips are cut at published seconds",
            "features carry their labels, and the films' order is published: a trial whose two differ is a reject",
        ),
    )

    def __init__(self, form: str = "de") -> None:
        self.form = checked_form(form)

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: those of pickles (forbidden-pickle, ...) and not-an-npz, not-of-this-corpus,
        not-a-cnt, truncated, bad-shape, bad-label, non-finite.
        """
        example = "EEG_DE_features/1_123.npz" if self.form == "de" else "EEG_raw/1_1_20180804.cnt"
        either = re.compile("|".join(pattern.pattern for pattern in _FILES.values()))
        files = [pair for pair in named_files(root, self.card, either, example) if "Eye_" not in str(pair[0].parent)]
        files = [(path, name) for path, name in files if path.suffix.lower() == _SUFFIXES[self.form]]
        some_left(files, _FILES[self.form], self, root)

        def make(item: Trial | PayloadError, name: str) -> Sample:
            if isinstance(item, PayloadError):
                raise item
            subject, session, trial, value, fact = item
            code = str(fact) if self.form == "de" else str(SESSIONS[session][0][trial])
            word = known(_WORDS, code, "label")
            fields: dict[str, Any] = {
                "subject": subject,
                "session_id": f"{corpus}:{session}",
                "sentence_id": f"{corpus}:film{(session - 1) * TRIALS + trial + 1:02d}",
                "emotion": self.card.label_map[word],
                "emotion_raw": word,
                "extra": {"path": name},
            }
            native_id = f"{session}_{subject}_{trial + 1:02d}"
            if self.form == "raw":
                fields["extra"]["channels.EEG"] = ",".join(CHANNELS)
                return physio_sample(
                    self.card, corpus, native_id, {"EEG": value}, {"EEG": "uV"}, {"EEG": fact}, **fields
                )
            return de_sample(
                self.card, corpus, native_id, value.reshape(len(value), len(CHANNELS), -1), _WINDOWS_HZ, **fields
            )

        return read_items((_features if self.form == "de" else _recordings)(files), corpus, make)

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """Features of `FAKE_WINDOWS` windows a trial; all 45 trials of each subject, as a file holds them.

        Raises `CorpusError` for a number of subjects outside 1 ... 16, a class of more than 9 trials a subject, and for
        the form "raw": an hour a recording is too long to make up.
        """
        if self.form == "raw":
            raise CorpusError("a fake SEED-V comes as features: leave the option form at 'de'")
        needed_sessions(self.card, subjects, 16, per_class, 9, 1)
        for subject in range(1, subjects + 1):
            data, label = {}, {}
            for session, (codes, _, _) in SESSIONS.items():
                for trial, code in enumerate(codes):
                    emotion = str(self.card.label_map[_WORDS[str(code)]])
                    de = fake_de(emotion, FAKE_WINDOWS, (seed, subject, session, trial))
                    key = (session - 1) * TRIALS + trial
                    data[key] = de.transpose(1, 0, 2).reshape(FAKE_WINDOWS, -1)
                    label[key] = np.full(FAKE_WINDOWS, code)
            out = io.BytesIO()
            np.savez(out, data=dump_python2(data), label=dump_python2(label))
            write_bytes(Path(root) / "EEG_DE_features" / f"{subject}_123.npz", out.getvalue())


def _features(files: Sequence[tuple[Path, str]]) -> Iterator[tuple[Trial | PayloadError, str]]:
    for path, name in files:
        match = _FILES["de"].search(name)
        try:
            if match is None:
                raise PayloadError("not-of-this-corpus", "the name is not of the form 1_123.npz")
            data, label = _pickles(read_file(path, _MAX_NPZ))
        except PayloadError as error:
            yield error, name
            continue
        for key in sorted(data):
            shown = f"{name}#{key}"
            try:
                session, trial = key // TRIALS + 1, key % TRIALS
                de, code = _trial(data[key], label.get(key))
                if code != str(SESSIONS[session][0][trial]) and code in _WORDS:
                    meant = _WORDS[str(SESSIONS[session][0][trial])]
                    raise PayloadError("bad-label", f"{_WORDS[code]} here, film {key + 1} is published as {meant}")
                yield (match[1], session, trial, de, code), shown
            except PayloadError as error:
                yield error, shown


def _pickles(payload: bytes) -> list[dict[int, Any]]:
    """The two pickled dicts of an .npz. Raises `PayloadError`."""
    pickles = []
    check_entries(payload)
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            for name in ("data.npy", "label.npy"):
                entry = archive.getinfo(name)
                if entry.file_size > _MAX_NPZ:
                    raise PayloadError("too-large", f"{name} has {entry.file_size} bytes")
                with archive.open(entry) as file:
                    pickles.append(_pickle(file.read(_MAX_NPZ)))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
        raise PayloadError("not-an-npz", "no zip archive of data.npy and label.npy that can be read") from error
    except (OSError, ValueError, OverflowError) as error:
        raise PayloadError("truncated", "the archive ends before its arrays do, or is damaged") from error
    return pickles


def _pickle(data: bytes) -> dict[int, Any]:
    """A .npy of one bytes value that is a pickled dict {trial: array} -> that dict."""
    file = io.BytesIO(data)
    shape, _, dtype = read_npy_header(file, "a pickled dict")
    if shape != () or dtype.kind != "S":
        raise PayloadError("unsupported-encoding", f"values of type {dtype} {shape}; pickled bytes are expected")
    arrays = load_arrays(data[file.tell() :], max_bytes=_MAX_NPZ)
    if not isinstance(arrays, dict) or not all(isinstance(key, int) and 0 <= key < 3 * TRIALS for key in arrays):
        raise PayloadError("not-of-this-corpus", f"no dict of trials 0 to {3 * TRIALS - 1}")
    return arrays


def _trial(value: Any, label: Any) -> tuple[np.ndarray, str]:
    de, codes = np.asarray(value), np.asarray(label)
    if de.dtype.kind != "f" or de.ndim != 2 or not len(de) or de.shape[1] != len(CHANNELS) * len(BANDS_HZ):
        raise PayloadError(
            "bad-shape", f"{de.dtype} {de.shape}, [windows, {len(CHANNELS) * len(BANDS_HZ)}] is expected"
        )
    if codes.dtype.kind not in "fiu" or len(np.unique(codes)) != 1:
        raise PayloadError("bad-label", "no label, or several in one trial")
    if codes.size not in (1, len(de)):
        raise PayloadError("bad-label", f"labels of {codes.size} windows, features of {len(de)}")
    return de, f"{float(codes.ravel()[0]):g}"


def _recordings(files: Sequence[tuple[Path, str]]) -> Iterator[tuple[Trial | PayloadError, str]]:
    """The 15 clips of each .cnt, one in memory at a time."""
    for path, name in files:
        match = _FILES["raw"].search(name)
        try:
            if match is None:
                raise PayloadError("not-of-this-corpus", "the name is not of the form 6_3_20180802.cnt")
            raw = open_cnt(path)
        except PayloadError as error:
            yield error, name
            continue
        rate_hz = float(raw.info["sfreq"])
        _, starts, ends = SESSIONS[int(match[2])]
        for trial, (start, end) in enumerate(zip(starts, ends, strict=True)):
            shown = f"{name}#{trial + 1}"
            first, last = round(start * rate_hz), round(end * rate_hz)
            if last > raw.n_times:
                yield PayloadError("truncated", f"ends at {raw.n_times / rate_hz:.0f} s, the clip at {end} s"), shown
                continue
            eeg = raw.get_data(start=first, stop=last)
            yield (match[1], int(match[2]), trial, (eeg.T * 1e6).astype(np.float32), rate_hz), shown


def open_cnt(path: Path) -> Any:
    """A Neuroscan recording, its 62 EEG channels in the corpus' order, as MNE's `Raw`; no samples are read yet.

    The sizes in its header are judged first (900 bytes, then 75 a channel). Raises `PayloadError`: not-a-cnt,
    truncated, unreadable, bad-shape (other channels).
    """
    import mne

    try:
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            head = file.read(900)
    except OSError as error:
        raise PayloadError("unreadable", refused(error)) from error
    if not head.startswith(b"Version ") or len(head) < 900:
        raise PayloadError("not-a-cnt", f"starts with {head[:12]!r}")
    channels, events = int.from_bytes(head[370:372], "little"), int.from_bytes(head[886:890], "little")
    if not 1 <= channels <= _MAX_CHANNELS or not 900 + 75 * channels < events <= size:
        raise PayloadError("truncated", f"{channels} channels, events at byte {events} of {size}")
    try:
        raw = mne.io.read_raw_cnt(path, preload=False, verbose="ERROR")
        named = {name.upper(): name for name in raw.ch_names}
        missing = [name for name in CHANNELS if name not in named]
        if missing:
            raise PayloadError("bad-shape", f"no channels {', '.join(missing[:9])}; found: {', '.join(named)[:300]}")
        return raw.pick([named[name] for name in CHANNELS])
    except (ValueError, TypeError, KeyError, IndexError, OSError, RuntimeError, OverflowError, MemoryError) as error:
        raise PayloadError(
            "not-a-cnt", f"{channels} channels, {size} bytes: its header is no Neuroscan recording's"
        ) from error
