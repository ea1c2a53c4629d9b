"""WESAD: wearable stress and affect detection, a chest strap and a wristband through a protocol in the laboratory.

Schmidt et al. (2018), ICMI. Layout and codes: wesad_readme.pdf of the archive (quoted word for word by
njfritter/Characteristic-Based-Time-Series-Clustering, WESADAnalysis.py):

    WESAD/S2/S2.pkl          {"subject": "S2", "signal": {"chest": {...}, "wrist": {...}}, "label": [n] at 700 Hz}
    WESAD/S2/S2_readme.txt   age, gender, ... of the subject

chest (RespiBAN, 700 Hz): ACC [n, 3], ECG, EMG, EDA, Temp, Resp, each [n, 1]; wrist (Empatica E4): ACC [n, 3] at 32 Hz,
BVP at 64 Hz, EDA and TEMP at 4 Hz. label: 0 not defined / transient, 1 baseline, 2 stress, 3 amusement, 4 meditation,
5, 6, 7 to be ignored. The pickles are Python 2's.

A sample is a stretch of one label from 1 to 4. The baseline (neutral reading) is neutral, the Trier Social Stress Test
stress, funny clips amusement. Meditation is read as relaxation: our reading, for the corpus names the condition and not
what was felt; who wants it out filters by `emotion_raw`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.formats.pickles import dump_python2, load_array_file
from corpora.records.files import class_counts, named_files, physio_sample, spread
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_LABELS = {1: "baseline", 2: "stress", 3: "amusement", 4: "meditation"}
_IGNORED = (0, 5, 6, 7)
_EMOTIONS = {"baseline": "neutral", "stress": "stress", "amusement": "amusement", "meditation": "relaxation"}
SUBJECTS = tuple(f"S{n}" for n in range(2, 18) if n != 12)  # 1 and 12 were lost to a broken sensor
LABEL_HZ = 700.0
# ours: (device, key, columns, rate, unit); units from wesad_readme.pdf, which converts the strap's raw values to them
_SIGNALS: dict[str, tuple[str, str, int, float, str]] = {
    "chest_ACC": ("chest", "ACC", 3, 700.0, "g"),
    "chest_ECG": ("chest", "ECG", 1, 700.0, "mV"),
    "chest_EDA": ("chest", "EDA", 1, 700.0, "µS"),
    "chest_EMG": ("chest", "EMG", 1, 700.0, "mV"),
    "chest_RESP": ("chest", "Resp", 1, 700.0, "%"),
    "chest_TEMP": ("chest", "Temp", 1, 700.0, "°C"),
    "wrist_ACC": ("wrist", "ACC", 3, 32.0, "1/64 g"),
    "wrist_BVP": ("wrist", "BVP", 1, 64.0, "a.u."),
    "wrist_EDA": ("wrist", "EDA", 1, 4.0, "µS"),
    "wrist_TEMP": ("wrist", "TEMP", 1, 4.0, "°C"),
}
_FILE = re.compile(r"(^|/)S\d\d?\.pkl$")
_STEM = re.compile(r"S\d\d?")
_MAX_BYTES = 2 * 2**30  # the published ones have up to 1 GB
_MIN_S = 1.0  # of a stretch; shorter ones are glitches of the label
_SLACK_S = 2.0  # by which the devices' ends may differ


class Wesad:
    """`Corpus` of the synchronised pickles. `devices`: "both", "chest" or "wrist": whose signals are kept."""

    card = CorpusCard(
        name="wesad",
        title="WESAD",
        modality="physio",
        version="2018",
        license="LicenseRef-WESAD",
        may_redistribute=False,
        url="https://archive.ics.uci.edu/dataset/465/wesad+wearable+stress+and+affect+detection",
        bibtex=(
            "@inproceedings{schmidt2018wesad, title={Introducing {WESAD}, a Multimodal Dataset for Wearable Stress and "
            "Affect Detection}, author={Schmidt, Philip and Reiss, Attila and Duerichen, Robert and Marberger, Claus "
            "and Van Laerhoven, Kristof}, booktitle={Proc. ICMI}, pages={400--408}, year={2018}, "
            "doi={10.1145/3242969.3242985}}"
        ),
        language=None,
        split_unit="subject",
        label_map=_EMOTIONS,
        counts=None,
        counts_source=None,
        n_subjects=15,
        sources={
            "layout": "wesad_readme.pdf, as quoted by njfritter/Characteristic-Based-Time-Series-Clustering",
            "labels": "wesad_readme.pdf: 0 not defined / transient, 1 baseline, 2 stress, 3 amusement, 4 meditation, "
            "5/6/7 to be ignored",
            "subjects": "wesad_readme.pdf: 17 took part, S1 and S12 were discarded for a sensor malfunction",
        },
        unverified=("counts", "splits", "license"),
        access="open download",
        quirks=(
            "pickles of Python 2 of up to 1 GB: read by the unpickler for arrays, one subject in memory at a time",
            "the paper's three-class task has no meditation; its two-class task puts baseline and amusement together",
            "each subject has two stretches of meditation, so stretches, not conditions, are samples",
        ),
    )

    def __init__(self, devices: str = "both") -> None:
        if devices not in ("both", "chest", "wrist"):
            raise CorpusError(f"WESAD: devices is {devices!r}; known: both, chest, wrist")
        self._signals = {name: spec for name, spec in _SIGNALS.items() if devices in ("both", spec[0])}

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of pickles: not-of-this-corpus, bad-layout, bad-label, too-short,
        truncated, unequal-duration."""
        files = named_files(root, self.card, _FILE, "S2/S2.pkl")
        return self._read(files, corpus)

    def _read(self, files: list[tuple[Path, str]], corpus: str) -> Iterator[Sample | Reject]:
        seen: set[str] = set()
        for path, name in files:
            if path.suffix.lower() != ".pkl":
                continue
            subject = path.stem
            try:
                if not _STEM.fullmatch(subject):
                    raise PayloadError("not-of-this-corpus", "the name is not of the form S2.pkl")
                if subject in seen:
                    raise PayloadError("repeated-name", f"{subject} was read before, from another place")
                contents = load_array_file(path, max_bytes=_MAX_BYTES)
                labels, signals = _layout(contents, subject, self._signals)
            except PayloadError as error:
                yield Reject(corpus, name, error.reason, error.detail)
                continue
            seen.add(subject)
            person = _person(path.with_name(f"{subject}_readme.txt"))
            for number, (label, start, stop) in enumerate(_runs(labels), 1):
                try:
                    yield self._sample(name, subject, number, label, start, stop, signals, person, corpus)
                except PayloadError as error:
                    yield Reject(corpus, f"{name}#{number}", error.reason, error.detail)

    def _sample(
        self,
        name: str,
        subject: str,
        number: int,
        label: int,
        start: int,
        stop: int,
        signals: Mapping[str, np.ndarray],
        person: Mapping[str, Any],
        corpus: str,
    ) -> Sample:
        if label not in _LABELS:
            raise PayloadError("bad-label", f"label {label}; known: 0 to 7")
        first, last = start / LABEL_HZ, stop / LABEL_HZ
        if last - first < _MIN_S:
            raise PayloadError("too-short", f"{last - first:.3f} s of {_LABELS[label]}, at least {_MIN_S:g} s")
        ends = min(len(values) / self._signals[key][3] for key, values in signals.items())
        arrays = {}
        for key, values in signals.items():
            rate_hz = self._signals[key][3]
            arrays[key] = values[round(first * rate_hz) : round(min(last, ends) * rate_hz)]
        native = _LABELS[label]
        return physio_sample(
            self.card,
            corpus,
            f"{subject}/{number:02d}",
            arrays,
            {key: self._signals[key][4] for key in arrays},
            {key: self._signals[key][3] for key in arrays},
            subject=subject,
            session_id=f"{corpus}:{subject}",
            emotion=_EMOTIONS[native],
            emotion_raw=native,
            t_start_s=first,
            t_end_s=min(last, ends),
            extra={"path": f"{name}#{number}"},
            **person,
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """Pickles of Python 2's protocol with stretches of 8 s, transient time (0) between them and a stretch to be
        ignored (6) at the end. Raises `CorpusError` outside 1 ... 15 subjects."""
        if not 1 <= subjects <= len(SUBJECTS):
            raise CorpusError(f"a fake WESAD needs 1 to {len(SUBJECTS)} subjects, not {subjects}")
        names = SUBJECTS[:subjects]
        plan: dict[str, list[str]] = {name: [] for name in names}
        for emotion, subject in spread(class_counts(self.card, per_class), names, np.random.default_rng([seed, 0])):
            plan[subject].append(emotion)
        for name in names:
            if plan[name]:
                _fake_subject(Path(root) / name, plan[name], seed)


def _layout(
    contents: Any, subject: str, wanted: Mapping[str, tuple[str, str, int, float, str]]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Unpickled data -> (labels [n] int, {our name: float32 [n] or [n, 3]}). Raises `PayloadError`: bad-layout,
    truncated (labels and a signal do not last as long)."""
    try:
        labels, signal = np.asarray(contents["label"]), contents["signal"]
        arrays = {name: np.asarray(signal[spec[0]][spec[1]]) for name, spec in wanted.items()}
        named = str(contents["subject"])
    except (KeyError, TypeError, IndexError) as error:
        raise PayloadError("bad-layout", "no signal/chest/..., signal/wrist/..., label, subject") from error
    if named != subject:
        raise PayloadError("bad-layout", f"the file of {subject} says that it is of {named[:20]!r}")
    if labels.dtype.kind not in "iu" or labels.size == 0 or labels.size != max(labels.shape):
        raise PayloadError("bad-layout", f"labels are {labels.dtype} {labels.shape}, integers [n] are expected")
    for name, (device, _, columns, rate_hz, _) in wanted.items():
        array = arrays[name]
        if array.dtype.kind not in "fiu" or array.ndim > 2 or array.size != len(array) * columns or not array.size:
            raise PayloadError(
                "bad-layout", f"{name} is {array.dtype} {array.shape}, numbers [n, {columns}] are expected"
            )
        arrays[name] = array.reshape(-1) if columns == 1 else array
        _judge_duration(name, len(array) / rate_hz, device, labels.size / LABEL_HZ)
    return labels.reshape(-1), arrays


def _judge_duration(name: str, seconds: float, device: str, labelled_s: float) -> None:
    """A label belongs to each of the strap's values, and the devices end together: a signal of another duration has
    lost values somewhere, and what follows stands at another time. Raises `PayloadError`: truncated, unequal-duration.
    """
    lengths = f"{name} lasts {seconds:g} s, the labels {labelled_s:g} s"
    if labelled_s - seconds > _SLACK_S:
        raise PayloadError("truncated", lengths)
    if seconds - labelled_s > _SLACK_S or (device == "chest" and seconds != labelled_s):
        raise PayloadError("unequal-duration", lengths)


def _runs(labels: np.ndarray) -> list[tuple[int, int, int]]:
    """[n] -> (label, first, one after the last) of the stretches that are not to be ignored."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    starts, stops = [0, *edges.tolist()], [*edges.tolist(), len(labels)]
    return [(int(labels[a]), a, b) for a, b in zip(starts, stops, strict=True) if int(labels[a]) not in _IGNORED]


def _person(path: Path) -> dict[str, Any]:
    """S2_readme.txt -> age and gender, as far as they stand there: lines "Age: 27", "Gender: male"."""
    try:
        with path.open("rb") as file:
            text = file.read(1 << 16).decode("utf-8", "replace")
    except OSError:
        return {}
    age = re.search(r"^Age:\s*(\d{1,3})\s*$", text, re.MULTILINE)
    gender = re.search(r"^Gender:\s*(male|female)\s*$", text, re.MULTILINE | re.IGNORECASE)
    facts: dict[str, Any] = {}
    if age:
        facts["age"] = float(age.group(1))
    if gender:
        facts["gender"] = gender.group(1).lower()
    return facts


def _fake_subject(folder: Path, emotions: list[str], seed: int) -> None:
    from corpora.readers.fakes.signal import make_signal

    number = int(folder.name[1:])
    codes = {_EMOTIONS[native]: code for code, native in _LABELS.items()}
    order = np.random.default_rng([seed, 1, number]).permutation(len(emotions))
    protocol: list[tuple[int, str | None, int]] = [(0, None, 2)]
    for nth in order:
        protocol += [(codes[emotions[nth]], emotions[nth], 8), (0, None, 2)]
    protocol.append((6, None, 4))
    signal: dict[str, dict[str, np.ndarray]] = {"chest": {}, "wrist": {}}
    for at, (name, (device, key, columns, rate_hz, _)) in enumerate(_SIGNALS.items()):
        parts = [
            make_signal(
                name.split("_")[1],
                seconds=seconds,
                rate_hz=rate_hz,
                channels=columns,
                emotion=emotion,
                subject_rng=np.random.default_rng([seed, 2, number]),
                rng=np.random.default_rng([seed, 3, number, at, nth]),
            )
            for nth, (_, emotion, seconds) in enumerate(protocol)
        ]
        values = np.concatenate(parts).reshape(-1, columns)
        kind = "f4" if (device, key) == ("chest", "Temp") else "f8"
        signal[device][key] = (np.round(values * 64) if name == "wrist_ACC" else values).astype(kind)
    labels = np.concatenate([np.full(round(seconds * LABEL_HZ), code, dtype="i4") for code, _, seconds in protocol])
    data = {"signal": signal, "label": labels, "subject": folder.name}
    write_bytes(folder / f"{folder.name}.pkl", dump_python2(data))
    if folder.name == SUBJECTS[0]:
        return  # archives are passed on without the texts, too
    age, gender = 24 + number % 9, "female" if number in (8, 11, 17) else "male"
    text = f"### Personal information ###\nAge: {age}\nHeight (cm): 175\nWeight (kg): 80\nGender: {gender}\n"
    write_bytes(folder / f"{folder.name}_readme.txt", f"{text}Dominant hand: right\n".encode())
