"""EEG corpora published as MATLAB files: labels, order of trials, sessions, ratings and odd cases, from what is cited.

Golden lists: label.mat of SEED and ReadMe.txt of SEED-IV, as public repositories quote them.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from corpora.errors import CorpusError, UnknownNameError
from corpora.labels import assign
from corpora.readers import make_corpus
from corpora.readers.physio.seed import CHANNELS
from corpora.readers.physio.seed_v import SESSIONS
from corpora.schema import Reject, Sample
from corpora.signals import decode_signals

SEED_LABELS = [1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1]
SEED_IV_SESSION_2 = [2, 1, 3, 0, 0, 2, 0, 2, 3, 3, 2, 3, 2, 0, 1, 1, 2, 1, 0, 3, 0, 1, 3, 1]


def read(name: str, root: Path, **options: Any) -> tuple[list[Sample], list[Reject]]:
    found = list(make_corpus(name, options).read(root, "mine"))
    return [s for s in found if isinstance(s, Sample)], [r for r in found if isinstance(r, Reject)]


def fake(name: str, root: Path, subjects: int = 1, per_class: Any = 1, **options: Any) -> Path:
    make_corpus(name, options).fake(root, subjects=subjects, per_class=per_class, seed=3)
    return root


def record(sample: Sample) -> dict[str, Any]:
    return {"emotion": sample.emotion, "labels": sample.labels, "valence": sample.valence}


def cells(*values: Any) -> np.ndarray:
    found = np.empty((1, len(values)), dtype=object)
    for i, value in enumerate(values):
        found[0, i] = value
    return found


# --- SEED


def test_seed_reads_the_tenth_trial_after_the_ninth_and_labels_it_by_its_number(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    trials = {f"jl_eeg{n}": rng.normal(size=(62, 100 + n)) for n in sorted(range(1, 16), key=str)}  # 1, 10, 11, ...
    folder = tmp_path / "Preprocessed_EEG"
    folder.mkdir()
    savemat(folder / "2_20140419.mat", trials)
    samples, rejects = read("seed", tmp_path)
    assert not rejects
    assert [sample.sample_id for sample in samples] == [f"mine/2_20140419_{n:02d}" for n in range(1, 16)]
    assert [sample.valence for sample in samples] == SEED_LABELS
    for n, sample in enumerate(samples, start=1):
        eeg = decode_signals(sample.payload)["EEG"]
        assert np.allclose(eeg, trials[f"jl_eeg{n}"].T, atol=1e-5)
        assert sample.sentence_id == f"mine:film{n:02d}"
        assert sample.duration_s == pytest.approx((100 + n) / 200)
    assert samples[0].extra["channels.EEG"].split(",")[:3] == ["FP1", "FPZ", "FP2"]
    assert len(CHANNELS) == len(set(CHANNELS)) == 62


def test_seed_takes_labels_from_label_mat_and_needs_it_to_be_sound(tmp_path: Path) -> None:
    fake("seed", tmp_path)
    path = tmp_path / "Preprocessed_EEG" / "label.mat"
    assert loadmat(path)["label"].tolist() == [SEED_LABELS]
    assert [sample.valence for sample in read("seed", tmp_path)[0]] == SEED_LABELS
    swapped = [SEED_LABELS[1], SEED_LABELS[0], *SEED_LABELS[2:]]
    for codes in (SEED_LABELS[::-1], [7.0] * 15, swapped, SEED_LABELS[:3] + SEED_LABELS[4:], [np.nan] * 15):
        savemat(path, {"label": np.array([codes])})
        with pytest.raises(CorpusError, match=r"label\.mat"):  # a code is a trial's by its place alone
            make_corpus("seed").read(tmp_path, "mine")
    path.write_bytes(b"garbage")
    with pytest.raises(CorpusError, match=r"label\.mat"):
        make_corpus("seed").read(tmp_path, "mine")
    path.unlink()
    assert [sample.valence for sample in read("seed", tmp_path)[0]] == SEED_LABELS


def test_seed_classes_are_had_as_native_labels_and_as_bins_of_valence(tmp_path: Path) -> None:
    samples, _ = read("seed", fake("seed", tmp_path))
    assert [assign(record(s), "labels:seed") for s in samples[:3]] == ["positive", "neutral", "negative"]
    assert [assign(record(s), "valence3") for s in samples[:3]] == ["positive", "neutral", "negative"]
    assert {s.emotion for s in samples} == {None, "neutral"}


def test_seed_numbers_the_sessions_of_a_subject_by_date(tmp_path: Path) -> None:
    samples, _ = read("seed", fake("seed", tmp_path, subjects=2, per_class=21, form="de"), form="de")
    assert Counter(sample.session_id for sample in samples) == {"mine:1": 30, "mine:2": 30, "mine:3": 30}
    assert all(int(s.extra["date"][4:6]) == 5 + int(str(s.session_id)[-1]) for s in samples)
    assert {sample.group_id for sample in samples} == {"mine:1", "mine:2"}
    (tmp_path / "ExtractedFeatures" / "1_20130611.mat").unlink()  # which of the others is the first is not known now
    samples, _ = read("seed", tmp_path, form="de")
    assert {s.session_id for s in samples if s.subject_id == "mine:1"} == {"mine:1_20130711", "mine:1_20130811"}
    assert {s.session_id for s in samples if s.subject_id == "mine:2"} == {"mine:1", "mine:2", "mine:3"}


def test_seed_features_are_windows_by_channel_and_band(tmp_path: Path) -> None:
    fake("seed", tmp_path, form="de")
    fake("seed", tmp_path)
    features = loadmat(tmp_path / "ExtractedFeatures" / "1_20130611.mat")["de_LDS2"]
    samples, rejects = read("seed", tmp_path, form="de")
    assert len(samples) == 15 and not rejects
    de = decode_signals(samples[1].payload)["DE"]
    assert de.shape == (3, 310)
    assert de[2, 61 * 5 + 4] == pytest.approx(features[61, 2, 4], rel=1e-6)
    assert samples[1].signals[0]["rate_hz"] == 1.0
    assert samples[1].extra["bands.DE"] == "delta,theta,alpha,beta,gamma"
    raw = read("seed", tmp_path)[0]
    assert [s.sample_id for s in raw] == [s.sample_id for s in samples]
    assert {s.signals[0]["name"] for s in raw} == {"EEG"}
    (tmp_path / "ExtractedFeatures").rename(tmp_path / "ExtractedFeatures_4s")
    assert read("seed", tmp_path, form="de")[0][0].signals[0]["rate_hz"] == 0.25


@pytest.mark.parametrize("name", ["seed", "seed_iv", "seed_v"])
def test_a_form_that_is_not_there_or_unknown_is_an_error(name: str, tmp_path: Path) -> None:
    there, other = ("de", "raw") if name == "seed_v" else ("raw", "de")
    fake(name, tmp_path)
    with pytest.raises(CorpusError, match=f"form: {there}"):
        make_corpus(name, {"form": other}).read(tmp_path, "mine")
    with pytest.raises(UnknownNameError, match="raw"):
        make_corpus(name, {"form": "psd"})


def test_a_variable_of_another_shape_or_with_nan_is_a_reject_of_its_own(tmp_path: Path) -> None:
    good = np.ones((62, 50))
    bad = np.where(np.eye(62, 50) > 0, np.nan, 1.0)
    odd = {"a_eeg1": good, "a_eeg2": good.T, "a_eeg3": bad, "a_eeg4": "text", "a_eeg5": good, "a_eeg16": good}
    savemat(tmp_path / "1_20131027.mat", odd)
    samples, rejects = read("seed", tmp_path)
    assert [sample.sample_id[-2:] for sample in samples] == ["01", "05"]
    assert [(r.path.rpartition("#")[2], r.reason) for r in rejects] == [
        ("a_eeg2", "bad-shape"),
        ("a_eeg3", "non-finite"),
        ("a_eeg4", "bad-shape"),
        ("a_eeg16", "bad-label"),
    ]


# --- SEED-IV


def test_seed_iv_takes_its_labels_from_the_session(tmp_path: Path) -> None:
    folder = tmp_path / "eeg_raw_data" / "2"
    folder.mkdir(parents=True)
    savemat(folder / "1_20161125.mat", {f"cz_eeg{n}": np.full((62, 30), float(n)) for n in range(1, 25)})
    (tmp_path / "eye_feature_smooth" / "2").mkdir(parents=True)
    savemat(tmp_path / "eye_feature_smooth" / "2" / "1_20161125.mat", {"eye_1": np.ones((31, 4))})
    samples, rejects = read("seed_iv", tmp_path)
    words = ["neutral", "sad", "fear", "happy"]
    assert not rejects
    assert [sample.emotion_raw for sample in samples] == [words[code] for code in SEED_IV_SESSION_2]
    assert [decode_signals(sample.payload)["EEG"][0, 0] for sample in samples] == list(range(1, 25))
    assert {sample.session_id for sample in samples} == {"mine:2"}
    assert (samples[0].sentence_id, samples[-1].sentence_id) == ("mine:film25", "mine:film48")
    savemat(tmp_path / "1_20161125.mat", {"cz_eeg1": np.ones((62, 30))})  # in no session's folder
    assert [reject.reason for reject in read("seed_iv", tmp_path)[1]] == ["not-of-this-corpus"]


def test_seed_iv_has_six_trials_of_each_class_in_each_session(tmp_path: Path) -> None:
    samples, _ = read("seed_iv", fake("seed_iv", tmp_path, per_class=18, form="de"), form="de")
    counts = Counter((sample.session_id, sample.emotion_raw) for sample in samples)
    assert len(counts) == 12 and set(counts.values()) == {6}
    assert samples[0].signals[0]["rate_hz"] == 0.25  # windows of 4 s
    with pytest.raises(CorpusError, match="18"):
        fake("seed_iv", tmp_path, per_class=19)


# --- SEED-V


def test_seed_v_reads_pickled_features_of_three_sessions(tmp_path: Path) -> None:
    samples, rejects = read("seed_v", fake("seed_v", tmp_path))
    assert len(samples) == 45 and not rejects
    assert [s.emotion_raw for s in samples[:5]] == ["happy", "fear", "neutral", "sad", "disgust"]
    assert [s.emotion_raw for s in samples[15:20]] == ["sad", "fear", "neutral", "disgust", "happy"]
    assert Counter(s.session_id for s in samples) == {"mine:1": 15, "mine:2": 15, "mine:3": 15}
    assert set(Counter(s.emotion for s in samples).values()) == {9}
    assert len({s.sentence_id for s in samples}) == 45


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit(1)",))


def npz(path: Path, data: object, label: object) -> None:
    out = io.BytesIO()
    np.savez(out, data=pickle.dumps(data), label=pickle.dumps(label))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue())


def test_seed_v_rejects_what_is_no_array_and_runs_nothing(tmp_path: Path) -> None:
    de, label = np.ones((4, 310)), np.full(4, 4)
    npz(tmp_path / "1_123.npz", {0: Bomb()}, {0: label})
    npz(
        tmp_path / "2_123.npz",
        {0: de, 1: de[:, :9], 2: de, 3: de, 4: de, 5: de, 6: de},
        {0: label, 1: label, 2: label + 9, 3: [0, 1], 5: label - 1, 6: [1] * 3},
    )
    npz(tmp_path / "3_123.npz", [de], [label])
    np.savez(tmp_path / "4_123.npz", data=np.array([{0: de}], dtype=object), label=label)
    npz(tmp_path / "Eye_movement_features" / "1_123.npz", {0: np.ones((4, 33))}, {0: label})
    samples, rejects = read("seed_v", tmp_path)
    assert [(s.sample_id, s.emotion) for s in samples] == [("mine/1_2_01", "happiness")]
    assert [(r.path, r.reason) for r in rejects] == [
        ("1_123.npz", "forbidden-pickle"),
        ("2_123.npz#1", "bad-shape"),
        ("2_123.npz#2", "bad-label"),
        ("2_123.npz#3", "bad-label"),
        ("2_123.npz#4", "bad-label"),
        ("2_123.npz#5", "bad-label"),  # film 6 is happy, and no film is neutral by mistake
        ("2_123.npz#6", "bad-label"),  # labels of three windows, features of four
        ("3_123.npz", "not-of-this-corpus"),
        ("4_123.npz", "unsupported-encoding"),
    ]


# --- DREAMER


def test_dreamer_keeps_baselines_rates_ratings_and_the_films_emotion(tmp_path: Path) -> None:
    fake("dreamer", tmp_path, subjects=2)
    there = loadmat(tmp_path / "DREAMER.mat")["DREAMER"][0, 0]["Data"][0, 1][0, 0]
    samples, rejects = read("dreamer", tmp_path)
    assert len(samples) == 36 and not rejects
    sample = samples[18 + 10]  # second subject, film 11
    arrays = decode_signals(sample.payload)
    assert {name: array.shape[1] for name, array in arrays.items()} == {
        "EEG": 14,
        "ECG": 2,
        "EEG_baseline": 14,
        "ECG_baseline": 2,
    }
    assert np.allclose(arrays["ECG_baseline"], there["ECG"][0, 0]["baseline"][10, 0], atol=1e-5)
    assert np.allclose(arrays["EEG"], there["EEG"][0, 0]["stimuli"][10, 0], atol=1e-4)
    assert {s["name"]: s["rate_hz"] for s in sample.signals} == {
        "EEG": 128.0,
        "ECG": 256.0,
        "EEG_baseline": 128.0,
        "ECG_baseline": 256.0,
    }
    ratings = {str(r["scheme"]): r["value"] for r in sample.ratings}
    assert ratings["valence"] == there["ScoreValence"][10, 0]
    assert sample.valence == (float(ratings["valence"]) - 3) / 2  # type: ignore[arg-type]
    assert [entry["label"] for entry in sample.labels] == ["calmness"]
    assert sample.emotion is None
    assert (sample.gender, sample.age) == ("female", 23.0)
    assert (sample.subject_id, sample.sentence_id) == ("mine:02", "mine:film11")


def test_dreamer_rejects_single_films(tmp_path: Path) -> None:
    fake("dreamer", tmp_path)
    person = loadmat(tmp_path / "DREAMER.mat", simplify_cells=True)["DREAMER"]["Data"]
    one = {key: person[key] for key in ("Age", "Gender")}
    for signal in ("EEG", "ECG"):
        parts = {part: list(person[signal][part]) for part in ("baseline", "stimuli")}
        if signal == "ECG":
            parts["stimuli"][4] = parts["stimuli"][4][:, :1]
            parts["stimuli"][7] = parts["stimuli"][7][9:]
        one[signal] = {part: cells(*values).T for part, values in parts.items()}
    for score in ("ScoreValence", "ScoreArousal", "ScoreDominance"):
        one[score] = np.asarray(person[score], dtype=float).reshape(-1, 1)
    one["ScoreArousal"][0] = 6
    savemat(tmp_path / "DREAMER.mat", {"DREAMER": {"Data": cells(one, "no subject")}})
    samples, rejects = read("dreamer", tmp_path)
    assert len(samples) == 15
    assert [(r.path.partition("#")[2], r.reason) for r in rejects] == [
        ("01_01", "rating-out-of-range"),
        ("01_05", "bad-shape"),
        ("01_08", "unequal-duration"),
        ("02", "bad-shape"),
    ]


@pytest.mark.parametrize("where", ["EEG.stimuli", "ECG.baseline", "ScoreValence"])
def test_dreamer_subject_with_a_film_less_anywhere_is_a_reject(where: str, tmp_path: Path) -> None:
    fake("dreamer", tmp_path, subjects=2)
    people = loadmat(tmp_path / "DREAMER.mat", simplify_cells=True)["DREAMER"]["Data"]
    written = []
    for person in people:
        one = {key: person[key] for key in ("Age", "Gender")}
        for signal in ("EEG", "ECG"):
            one[signal] = {part: cells(*person[signal][part]).T for part in ("baseline", "stimuli")}
        for score in ("ScoreValence", "ScoreArousal", "ScoreDominance"):
            one[score] = np.asarray(person[score], dtype=float).reshape(-1, 1)
        written.append(one)
    first, _, part = where.partition(".")
    if part:
        written[0][first][part] = np.delete(written[0][first][part], 3, axis=0)
    else:
        written[0][first] = np.delete(written[0][first], 3, axis=0)
    savemat(tmp_path / "DREAMER.mat", {"DREAMER": {"Data": cells(*written)}})
    samples, rejects = read("dreamer", tmp_path)
    assert {s.subject_id for s in samples} == {"mine:02"} and len(samples) == 18
    assert [(r.path.partition("#")[2], r.reason) for r in rejects] == [("01", "bad-shape")]
    assert f"17 {where}" in rejects[0].detail


# --- AMIGOS


@pytest.mark.parametrize("gone", ["joined_data", "labels_selfassessment", "VideoIDs"])
def test_amigos_with_a_cell_less_in_one_variable_is_a_reject(gone: str, tmp_path: Path) -> None:
    signal, rating = np.ones((700, 17)), np.array([[5.0] * 5 + [1.0] + [0.0] * 6])
    path = tmp_path / "Data_Preprocessed_P08.mat"
    amigos(path, [(signal, rating)] * 3)
    assert len(read("amigos", tmp_path)[0]) == 3
    found = {key: value for key, value in loadmat(path).items() if not key.startswith("_")}
    found[gone] = found[gone][:, 1:]
    savemat(path, found)
    samples, rejects = read("amigos", tmp_path)
    assert not samples
    assert [(r.path, r.reason) for r in rejects] == [("Data_Preprocessed_P08.mat", "counts-differ")]
    assert f"2 {gone}" in rejects[0].detail


def amigos(path: Path, trials: list[tuple[Any, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {
        "joined_data": cells(*[signal for signal, _ in trials]),
        "labels_selfassessment": cells(*[rating for _, rating in trials]),
        "VideoIDs": cells(*["10", "13", "138", "18", "19", "1", "20", "23", "30", "N1"][: len(trials)]),
    }
    savemat(path, found)


def test_amigos_rates_and_ticks_emotions_and_splits_the_baseline_off(tmp_path: Path) -> None:
    signal = np.random.default_rng(0).normal(size=(800, 17))
    rating = [7.5, 3.0, 5.0, 9.0, 1.0]
    amigos(
        tmp_path / "Data_Preprocessed_P07" / "Data_Preprocessed_P07.mat",
        [
            (signal, np.array([[*rating, 0, 0, 1, 0, 0, 0, 0]])),
            (signal, np.array([[*rating, 0, 1, 0, 0, 1, 0, 0]])),
            (signal, np.array([[*rating, 0, 0, 0, 0, 0, 0, 0]])),
        ],
    )
    samples, rejects = read("amigos", tmp_path)
    assert not rejects
    assert [s.emotion for s in samples] == ["happiness", None, None]
    assert [[e["label"] for e in s.labels if e["scheme"] == "amigos"] for s in samples] == [
        ["happiness"],
        ["disgust", "anger"],
        [],
    ]
    first = samples[0]
    assert (first.arousal, first.valence, first.dominance) == (0.625, -0.5, 0.0)  # the file begins with arousal
    assert {r["scheme"]: r["value"] for r in first.ratings} == {
        "arousal": 7.5,
        "valence": 3.0,
        "dominance": 5.0,
        "liking": 9.0,
        "familiarity": 1.0,
    }
    arrays = decode_signals(first.payload)
    assert {name: array.shape for name, array in arrays.items()} == {
        "EEG": (160, 14),
        "ECG": (160, 2),
        "GSR": (160,),
        "EEG_baseline": (640, 14),
        "ECG_baseline": (640, 2),
        "GSR_baseline": (640,),
    }
    assert np.allclose(arrays["ECG"][:, 1], signal[640:, 15], atol=1e-6)
    assert np.allclose(arrays["GSR_baseline"], signal[:640, 16], atol=1e-6)
    assert [s.sentence_id for s in samples] == ["mine:film10", "mine:film13", "mine:film138"]


def test_amigos_odd_trials(tmp_path: Path) -> None:
    signal, rating, nothing = np.ones((700, 17)), np.array([[5.0] * 5 + [1.0] + [0.0] * 6]), np.zeros((0, 0))
    half, none = signal.copy(), np.full_like(signal, np.nan)
    half[9, 14] = np.nan
    amigos(
        tmp_path / "Data_Preprocessed_P08.mat",
        [
            (signal, rating),
            (half, rating),
            (none, rating),
            (nothing, nothing),
            (signal, nothing),
            (nothing, rating),
            (signal[:640], rating),
            (signal, rating * 2),
            (signal, rating + 1),
            (signal[:, :9], rating),
        ],
    )
    samples, rejects = read("amigos", tmp_path)
    assert [(s.sample_id, s.extra.get("missing")) for s in samples] == [("mine/P08_01", None), ("mine/P08_02", "ECG")]
    assert {str(s["name"]) for s in samples[1].signals} == {"EEG", "GSR", "EEG_baseline", "GSR_baseline"}
    assert [(r.path.partition("#")[2], r.reason) for r in rejects] == [
        ("03", "non-finite"),
        ("05", "missing-rating"),
        ("06", "missing-signal"),
        ("07", "too-short"),
        ("08", "bad-label"),
        ("09", "bad-label"),
        ("10", "bad-shape"),
    ]


# --- SEED-V's recordings


def cnt(path: Path, rate_hz: int, seconds: int, names: list[str]) -> None:
    """A Neuroscan recording: 900 bytes, 75 a channel, int32 samples, an empty table of events."""
    head = bytearray(900)
    head[:12] = b"Version 3.0\0"
    n = rate_hz * seconds
    struct.pack_into("<H", head, 370, len(names))
    struct.pack_into("<H", head, 376, rate_hz)
    struct.pack_into("<I", head, 864, n)
    table = 900 + 75 * len(names) + 4 * n * len(names)
    struct.pack_into("<I", head, 886, table)
    head[225:245] = b"01/01/18\0\0" + b"10:00:00\0\0"
    channels = b""
    for name in names:
        one = bytearray(75)
        one[: len(name)] = name.encode()
        struct.pack_into("<f", one, 59, 1.0)
        struct.pack_into("<f", one, 71, 204.8)  # calibration: a step is 1 µV
        channels += bytes(one)
    samples = np.arange(n, dtype="<i4")[:, None] + 1000 * np.arange(len(names), dtype="<i4")
    tail = struct.pack("<BII", 1, 0, 9)
    path.write_bytes(bytes(head) + channels + samples.astype("<i4").tobytes() + tail)


def test_seed_v_cuts_recordings_at_the_published_seconds(tmp_path: Path) -> None:
    names = [*CHANNELS[:32], "M1", *CHANNELS[32:][::-1], "M2", "VEO", "HEO"]  # in another order, with others between
    cnt(tmp_path / "6_3_20180802.cnt", 4, 3000, names)  # 3000 s: the last clip of session 3 ends at 3066 s
    (tmp_path / "7_1_20180802.cnt").write_bytes(b"Version 3.0" + bytes(2000))
    (tmp_path / "8_1_20180802.cnt").write_bytes(b"garbage")
    samples, rejects = read("seed_v", tmp_path, form="raw")
    assert [(r.path, r.reason) for r in rejects] == [
        ("6_3_20180802.cnt#15", "truncated"),
        ("7_1_20180802.cnt", "truncated"),
        ("8_1_20180802.cnt", "not-a-cnt"),
    ]
    assert [s.emotion_raw for s in samples[:5]] == ["sad", "fear", "neutral", "disgust", "happy"]
    starts, ends = SESSIONS[3][1:]
    second = decode_signals(samples[1].payload)["EEG"]
    assert second.shape == ((ends[1] - starts[1]) * 4, 62)
    first = starts[1] * 4 + 1000.0 * np.array([names.index(name) for name in CHANNELS])
    assert np.allclose(second[0], first, rtol=1e-4)
    assert samples[1].signals[0]["rate_hz"] == 4.0
