"""SEED, the SJTU emotion EEG dataset: 15 subjects watch the same 15 Chinese film clips in each of three sessions.

Zheng and Lu (2015), IEEE TAMD 7(3). Layout and labels are from the corpus' page (bcmi.sjtu.edu.cn/~seed/seed.html); the
names of the variables, which the page abbreviates, from a listing of the published files (github.com/fanb129/GLAE,
dataset/SEED.md) and torcheeg's reader (torcheeg/datasets/module/emotion_recognition/seed.py):

    Preprocessed_EEG/2_20140419.mat   jl_eeg1 ... jl_eeg15: subject 2's trials, [62 channels, n] at 200 Hz; the
                                      letters before _eeg are the subject's initials
    Preprocessed_EEG/label.mat        label [1, 15]: 1 positive, 0 neutral, -1 negative; holds for every file
    ExtractedFeatures/2_20140419.mat  de_LDS1 ... de_LDS15: differential entropy [62 channels, windows, 5 bands], one
                                      window a second; also de_movingAve1, psd_LDS1 and others, which are not read
    ExtractedFeatures_4s              a later form with windows of 4 s, beside ExtractedFeatures_1s

Trial 10 stands beside trial 1 if names are sorted as text: numbers are read as numbers here. What SEED-IV and SEED-V
share with SEED is here as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import CorpusError, PayloadError, UnknownNameError
from corpora.formats.matfiles import load_mat
from corpora.labels import native_labels
from corpora.records.files import class_counts, named_files, physio_sample, read_items
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

# "Channel Order.xlsx" of the corpus, as published readers have it
CHANNELS = (
    "FP1",
    "FPZ",
    "FP2",
    "AF3",
    "AF4",
    "F7",
    "F5",
    "F3",
    "F1",
    "FZ",
    "F2",
    "F4",
    "F6",
    "F8",
    "FT7",
    "FC5",
    "FC3",
    "FC1",
    "FCZ",
    "FC2",
    "FC4",
    "FC6",
    "FT8",
    "T7",
    "C5",
    "C3",
    "C1",
    "CZ",
    "C2",
    "C4",
    "C6",
    "T8",
    "TP7",
    "CP5",
    "CP3",
    "CP1",
    "CPZ",
    "CP2",
    "CP4",
    "CP6",
    "TP8",
    "P7",
    "P5",
    "P3",
    "P1",
    "PZ",
    "P2",
    "P4",
    "P6",
    "P8",
    "PO7",
    "PO5",
    "PO3",
    "POZ",
    "PO4",
    "PO6",
    "PO8",
    "CB1",
    "O1",
    "OZ",
    "O2",
    "CB2",
)
BANDS_HZ = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 14), "beta": (14, 31), "gamma": (31, 50)}
RATE_HZ = 200.0
FORMS = ("raw", "de")
# what label.mat holds; films 1 to 15
LABELS = (1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1)
SESSIONS = 3  # of a subject
_WORDS = {1: "positive", 0: "neutral", -1: "negative"}
_FILE = re.compile(r"(?:^|/)(\d{1,2})_(\d{8})\.mat$")
VARIABLES = {"raw": re.compile(r"\w*_eeg(\d+)"), "de": re.compile(r"de_LDS(\d+)")}
FAKE_SECONDS = 1.5  # of a fake trial; published ones have 185 to 265 s
FAKE_WINDOWS = 3
_FEATURES = re.compile(r"(?:^|/)(ExtractedFeatures\w*)/")

Trial = tuple[str, int, np.ndarray]  # name of the file, number of the trial, what its variable holds


class Seed:
    """`Corpus` of SEED's .mat files. `form`: "raw" (Preprocessed_EEG) or "de" (ExtractedFeatures, LDS-smoothed)."""

    card = CorpusCard(
        name="seed",
        title="SEED",
        modality="physio",
        version="2015",
        license="LicenseRef-SEED",
        may_redistribute=False,
        url="https://bcmi.sjtu.edu.cn/home/seed/seed.html",
        bibtex=(
            "@article{zheng2015seed, title={Investigating Critical Frequency Bands and Channels for EEG-Based Emotion "
            "Recognition with Deep Neural Networks}, author={Zheng, Wei-Long and Lu, Bao-Liang}, journal={IEEE "
            "Transactions on Autonomous Mental Development}, volume={7}, number={3}, pages={162--175}, year={2015}}"
        ),
        language=None,
        split_unit="subject",
        label_map={"positive": None, "neutral": "neutral", "negative": None},
        counts={"positive": 225, "neutral": 225, "negative": 225},
        counts_source="seed.html: 15 subjects x 3 sessions x 15 clips; label.mat has 5 of each",
        n_subjects=15,
        n_samples=675,
        dimensions={"valence": (-1.0, 1.0)},
        sources={
            "layout": "bcmi.sjtu.edu.cn/~seed/seed.html; listing in github.com/fanb129/GLAE dataset/SEED.md",
            "labels": "bcmi.sjtu.edu.cn/~seed/seed.html: -1 negative, 0 neutral, +1 positive",
            "subjects": "bcmi.sjtu.edu.cn/~seed/seed.html: 15 subjects, 7 males and 8 females",
            "counts": "bcmi.sjtu.edu.cn/~seed/seed.html: 45 experiments of 15 trials",
            "license": "bcmi.sjtu.edu.cn/~seed/downloads.html: a signed agreement, no public licence",
        },
        unverified=("splits",),
        access="sign the licence agreement of bcmi.sjtu.edu.cn/home/seed and ask for an account",
        quirks=(
            "the label is what the film was chosen for, not what the subject felt; it stands as valence, -1, 0 or 1",
            "the same 15 films are shown in all three sessions: sentence_id names the film",
            "files are named by date; a subject's sessions are numbered where all three are there, else named by date",
            "label.mat holds 15 codes in the order of the films: another order or number is an error",
            "the unit of the EEG is not stated; values of some hundred look like µV",
            "who is male and who female stands in no file that we know of: gender is null",
        ),
    )

    def __init__(self, form: str = "raw") -> None:
        self.form = checked_form(form)

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of .mat files: not-of-this-corpus, bad-shape, bad-label, non-finite."""
        files = named_files(root, self.card, _FILE, "Preprocessed_EEG/2_20140419.mat")
        features = sorted({hit[1] for _, name in files if (hit := _FEATURES.search(f"{Path(root).name}/{name}"))})
        if self.form == "de":
            kept = [pair for pair in files if self._is_feature(f"{Path(root).name}/{pair[1]}", features)]
        else:
            kept = [pair for pair in files if not _FEATURES.search(f"{Path(root).name}/{pair[1]}")]
        some_left(kept, _FILE, self, root)
        _judge_labels(kept)
        dates: dict[str, set[str]] = {}
        for _, name in kept:
            if match := _FILE.search(name):
                dates.setdefault(match[1], set()).add(match[2])
        sessions = {
            (subject, date): str(n) if len(days) == SESSIONS else f"{subject}_{date}"
            for subject, days in dates.items()
            for n, date in enumerate(sorted(days), start=1)
        }
        rate_hz = RATE_HZ if self.form == "raw" else (0.25 if features and features[0].endswith("_4s") else 1.0)

        def make(item: Trial | PayloadError, name: str) -> Sample:
            path, number, value = opened(item)
            match = _FILE.search(path)
            assert match is not None  # `trials` rejects the others
            subject, date = match.groups()
            if not 1 <= number <= len(LABELS):
                raise PayloadError("bad-label", f"trial {number}, there are {len(LABELS)} films")
            word = _WORDS[LABELS[number - 1]]
            return eeg_sample(
                self.card,
                corpus,
                f"{subject}_{date}_{number:02d}",
                value,
                self.form,
                rate_hz,
                subject=subject,
                session_id=f"{corpus}:{sessions[subject, date]}",
                sentence_id=f"{corpus}:film{number:02d}",
                emotion=self.card.label_map[word],
                emotion_raw=word,
                labels=native_labels("seed", {word: 1.0}, self.card.label_map),  # as positive has no canonical word
                valence=float(LABELS[number - 1]),
                extra={"path": name, "date": date},
            )

        return read_items(trials(kept, _FILE, VARIABLES[self.form], skip=("label.mat",)), corpus, make)

    def _is_feature(self, name: str, folders: Sequence[str]) -> bool:
        return f"{folders[0]}/" in name if folders else "Preprocessed_EEG/" not in name

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """Files of `FAKE_SECONDS` a trial, or `FAKE_WINDOWS` windows, and as many sessions as the counts need.

        Raises `CorpusError` for a number of subjects outside 1 ... 15, or more than 15 neutral trials a subject.
        """
        sessions = needed_sessions(self.card, subjects, 15, per_class, 5, 3)
        folder = Path(root) / ("Preprocessed_EEG" if self.form == "raw" else "ExtractedFeatures")
        for subject in range(1, subjects + 1):
            for session in range(sessions):
                arrays: dict[str, np.ndarray] = {}
                for number, code in enumerate(LABELS, start=1):
                    emotion = {1: "happiness", 0: "neutral", -1: "sadness"}[code]
                    arrays |= fake_trial(self.form, number, emotion, (seed, subject, session, number))
                write_mat(folder / f"{subject}_2013{6 + session:02d}{10 + subject:02d}.mat", arrays)
        write_mat(folder / "label.mat", {"label": np.array([LABELS], dtype=np.int16)})


def checked_form(form: str) -> str:
    """Raises `UnknownNameError` for a form that is neither "raw" nor "de"."""
    if form not in FORMS:
        raise UnknownNameError.of("form", str(form), FORMS)
    return form


def some_left(files: Sequence[tuple[Path, str]], pattern: re.Pattern[str], reader: Any, root: Path) -> None:
    """Raises `CorpusError` if no file of the reader's form is among them."""
    if not any(pattern.search(name) for _, name in files):
        other = FORMS[1 - FORMS.index(reader.form)]
        raise CorpusError(
            f"{reader.card.title}: {root} holds no files of the form {reader.form!r}; for what is there, set the "
            f"option form: {other}"
        )


def trials(
    files: Sequence[tuple[Path, str]], pattern: re.Pattern[str], variables: re.Pattern[str], skip: Sequence[str] = ()
) -> Iterator[tuple[Trial | PayloadError, str]]:
    """(trial, name) of each variable that `variables` matches, in the order of trials; errors in place of a trial."""
    for path, name in files:
        if path.suffix.lower() != ".mat" or path.name in skip:
            continue
        if pattern.search(name) is None:
            yield PayloadError("not-of-this-corpus", "the name is not of the form 2_20140419.mat"), name
            continue
        has_trials = False
        try:
            for variable, value in load_mat(path, variables):
                has_trials = True
                if isinstance(value, PayloadError):
                    yield value, f"{name}#{variable}" if variable else name
                else:
                    match = variables.fullmatch(variable)
                    yield (name, int(match[1]) if match else 0, value), f"{name}#{variable}"
        except PayloadError as error:
            yield error, name
        else:
            if not has_trials:
                yield PayloadError("not-of-this-corpus", f"no variable like {variables.pattern}"), name


def opened(item: Trial | PayloadError) -> Trial:
    """The trial, or its error raised."""
    if isinstance(item, PayloadError):
        raise item
    return item


def eeg_sample(
    card: CorpusCard, corpus: str, native_id: str, value: Any, form: str, rate_hz: float, **fields: Any
) -> Sample:
    """A trial as the .mat files hold it -> record. Raises `PayloadError`: bad-shape, empty, non-finite."""
    array = np.asarray(value)
    shape = (len(CHANNELS), -1) if form == "raw" else (len(CHANNELS), -1, len(BANDS_HZ))
    fits = array.ndim == len(shape) and all(want in (-1, have) for want, have in zip(shape, array.shape, strict=True))
    if array.dtype.kind not in "fiu" or not fits:
        raise PayloadError("bad-shape", f"{array.dtype} {array.shape}, {shape} is expected (-1: any length)")
    if form == "raw":
        return raw_sample(card, corpus, native_id, array.T, rate_hz, **fields)
    return de_sample(card, corpus, native_id, array.transpose(1, 0, 2), rate_hz, **fields)


def raw_sample(card: CorpusCard, corpus: str, native_id: str, eeg: np.ndarray, rate_hz: float, **fields: Any) -> Sample:
    """EEG [n, 62] -> record. Raises `PayloadError`: empty, non-finite."""
    fields["extra"] = dict(fields.get("extra", {})) | {"channels.EEG": ",".join(CHANNELS)}
    return physio_sample(
        card, corpus, native_id, {"EEG": eeg.astype(np.float32)}, {"EEG": "uV"}, {"EEG": rate_hz}, **fields
    )


def de_sample(card: CorpusCard, corpus: str, native_id: str, de: np.ndarray, rate_hz: float, **fields: Any) -> Sample:
    """Differential entropy [windows, 62, 5] -> record with DE [windows, 310]: the five bands of FP1, of FPZ, ..."""
    fields["extra"] = dict(fields.get("extra", {})) | {
        "channels.DE": ",".join(CHANNELS),
        "bands.DE": ",".join(BANDS_HZ),
        "order.DE": "channel,band",
    }
    flat = de.reshape(len(de), -1).astype(np.float32)
    return physio_sample(
        card, corpus, native_id, {"DE": flat}, {"DE": "differential entropy"}, {"DE": rate_hz}, **fields
    )


def _judge_labels(files: Sequence[tuple[Path, str]]) -> None:
    """Raises `CorpusError` if a label.mat cannot be read or holds other codes than the published one: a code belongs to
    a trial by its place alone."""
    for path, _ in files:
        if path.name != "label.mat":
            continue
        try:
            values = dict(load_mat(path, ["label"], max_bytes=1 << 20))
            label = np.asarray(values.get("label"))
            if label.dtype.kind not in "fiu" or not np.isfinite(label.astype(float)).all():
                raise PayloadError("malformed", f"no numbers in 'label'; found: {', '.join(values) or 'nothing'}")
        except PayloadError as error:
            raise CorpusError(f"SEED: {path} holds no labels ({error}); take the published one") from error
        codes = [int(code) for code in label.ravel()]
        if codes != list(LABELS):
            shown = f"{len(codes)} codes" if len(codes) != len(LABELS) else ", ".join(map(str, codes))
            raise CorpusError(
                f"SEED: {path} holds {shown}; the published one holds {', '.join(map(str, LABELS))}, a code a film in "
                "the order of the films. Take the published one, or remove it: the published labels are built in."
            )


def needed_sessions(
    card: CorpusCard, subjects: int, most_subjects: int, per_class: Mapping[str, int] | int, each: int, most: int
) -> int:
    """Sessions a subject that hold the counts, `each` trials of a class in one. Raises `CorpusError`."""
    if not 1 <= subjects <= most_subjects:
        raise CorpusError(f"a fake {card.title} needs 1 to {most_subjects} subjects, not {subjects}")
    count = max(class_counts(card, per_class).values(), default=0)
    needed = max(1, -(-count // (each * subjects)))
    if needed > most:
        raise CorpusError(f"{subjects} subjects of {card.title} hold {each * most * subjects} trials a class")
    return needed


def fake_trial(form: str, number: int, emotion: str, seed: tuple[int, int, int, int]) -> dict[str, np.ndarray]:
    """{variable: array} of one fake trial; `seed`: seed, subject, session, trial."""
    if form == "raw":
        return {f"s{seed[1]}_eeg{number}": fake_eeg(emotion, FAKE_SECONDS, RATE_HZ, seed).T.astype(np.float64)}
    de = fake_de(emotion, FAKE_WINDOWS, seed)
    return {f"de_movingAve{number}": de[:, ::-1], f"de_LDS{number}": de}


def fake_eeg(emotion: str, seconds: float, rate_hz: float, seed: tuple[int, int, int, int]) -> np.ndarray:
    """-> float32 [n, 62], µV."""
    from corpora.readers.fakes.signal import make_signal

    return make_signal(
        "EEG",
        seconds=seconds,
        rate_hz=rate_hz,
        channels=len(CHANNELS),
        emotion=emotion,
        subject_rng=np.random.default_rng([seed[0], 1, seed[1]]),
        rng=np.random.default_rng([2, *seed]),
    )


def fake_de(emotion: str, windows: int, seed: tuple[int, int, int, int]) -> np.ndarray:
    """-> float64 [62, windows, 5]: log power of each band in windows of a second, as a Gaussian's entropy."""
    rate_hz = 128
    eeg = fake_eeg(emotion, windows, rate_hz, seed).reshape(windows, rate_hz, len(CHANNELS))
    power = np.abs(np.fft.rfft(eeg.astype(np.float64), axis=1)) ** 2 / rate_hz**2
    bands = [power[:, low:high].sum(axis=1) for low, high in BANDS_HZ.values()]  # a bin is 1 Hz
    de = 0.5 * np.log(2 * np.pi * np.e * (np.stack(bands, axis=-1) + 1e-6))
    return np.ascontiguousarray(de.transpose(1, 0, 2))


def write_mat(path: Path, variables: Mapping[str, Any]) -> None:
    """One MATLAB 5 file, compressed, as MATLAB saves it."""
    import io

    from scipy.io import savemat

    out = io.BytesIO()
    savemat(out, dict(variables), do_compression=True)
    write_bytes(path, out.getvalue())
