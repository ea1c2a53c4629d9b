"""DEAP, WESAD, Stress-Predict, ECG200: codes, order of channels, stretches, odd files. Expected: what sources say."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.errors import CorpusError, UnknownNameError
from corpora.formats.pickles import dump_python2
from corpora.labels import assign
from corpora.readers import make_corpus
from corpora.readers.fakes.signal import KINDS, make_signal
from corpora.readers.physio.deap import EEG_CHANNELS, Deap
from corpora.readers.physio.ecg200 import Ecg200
from corpora.readers.physio.stress_predict import StressPredict
from corpora.readers.physio.wesad import Wesad
from corpora.schema import Reject, Sample
from corpora.signals import decode_signals


def split(found: Iterator[Sample | Reject]) -> tuple[list[Sample], list[Reject]]:
    both = list(found)
    return [item for item in both if isinstance(item, Sample)], [item for item in both if isinstance(item, Reject)]


def record(sample: Sample) -> dict[str, Any]:
    return {name: getattr(sample, name) for name in ("emotion", "labels", "valence", "arousal", "dominance")}


# --- made-up signals


def test_pulse_and_conductance_rise_with_stress_and_people_differ_more_than_classes() -> None:
    import neurokit2 as nk

    def pulse(subject: int, emotion: str) -> float:
        signal = make_signal(
            "ECG",
            seconds=40,
            rate_hz=200,
            channels=1,
            emotion=emotion,
            subject_rng=np.random.default_rng(subject),
            rng=np.random.default_rng([subject, len(emotion)]),
        )
        return 1.5 * len(nk.ecg_peaks(signal, 200)[1]["ECG_R_Peaks"])

    stressed, relaxed = (np.array([pulse(n, emotion) for n in range(8)]) for emotion in ("stress", "relaxation"))
    assert 5 < (stressed - relaxed).mean() < 30
    assert relaxed.std() > 3
    assert relaxed.max() > stressed.min()  # overlapping


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_signal_is_finite_and_repeats_with_its_seeds(kind: str) -> None:
    def made(seed: int, channels: int, emotion: str | None) -> np.ndarray:
        return make_signal(
            kind,
            seconds=3.2,
            rate_hz=64,
            channels=channels,
            emotion=emotion,
            subject_rng=np.random.default_rng(1),
            rng=np.random.default_rng(seed),
        )

    assert made(1, 3, None).shape == (205, 3) and made(1, 1, "admiration").shape == (205,)
    assert made(1, 2, "fear").dtype == np.float32
    assert np.array_equal(made(1, 2, "fear"), made(1, 2, "fear"))
    assert not np.array_equal(made(1, 2, "fear"), made(2, 2, "fear"))
    assert np.isfinite(made(1, 2, "anger")).all()


# --- DEAP


def deap_file(root: Path, data: np.ndarray, labels: Any, name: str = "s01.dat") -> Path:
    folder = root / "data_preprocessed_python"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(dump_python2({"labels": labels, "data": data}))
    return root


def test_deap_channels_baseline_and_ratings_stand_where_the_readme_says(tmp_path: Path) -> None:
    data = np.zeros((2, 40, 8064))
    data += np.arange(1, 41)[:, None]  # channel numbers of the readme, 1 to 40
    data[:, :, : 3 * 128] *= -1  # the 3 s before the video
    labels = np.array([[9.0, 1.0, 5.0, 3.0], [7.71, 7.6, 6.9, 7.83]])
    samples, rejects = split(Deap().read(deap_file(tmp_path, data, labels), "d"))
    assert not rejects
    first, second = samples
    assert (first.sample_id, first.subject_id, first.sentence_id) == ("d/s01/01", "d:s01", None)
    arrays = decode_signals(first.payload)
    assert {name: array.shape for name, array in arrays.items() if not name.endswith("_baseline")} == {
        "EEG": (7680, 32),
        "EOG": (7680, 2),
        "EMG": (7680, 2),
        "GSR": (7680,),
        "RESP": (7680,),
        "BVP": (7680,),
        "TEMP": (7680,),
    }
    numbers = {name: np.atleast_1d(array[0]).tolist() for name, array in arrays.items() if "_" not in name}
    assert numbers["EEG"] == list(range(1, 33))
    assert {k: v for k, v in numbers.items() if k != "EEG"} == {
        "EOG": [33, 34],
        "EMG": [35, 36],
        "GSR": [37],
        "RESP": [38],
        "BVP": [39],
        "TEMP": [40],
    }
    assert all(array.max() < 0 and len(array) == 384 for name, array in arrays.items() if name.endswith("_baseline"))
    assert (EEG_CHANNELS[0], EEG_CHANNELS[15], EEG_CHANNELS[16], EEG_CHANNELS[31]) == ("Fp1", "Pz", "Fp2", "O2")
    assert (first.extra["channels.EOG"], first.extra["channels.EMG"]) == ("hEOG,vEOG", "zEMG,tEMG")
    assert first.extra["channels.EEG"].split(",")[16] == "Fp2"
    assert (first.valence, first.arousal, first.dominance) == (1.0, -1.0, 0.0)
    assert {r["scheme"]: r["value"] for r in second.ratings} == pytest.approx(
        {"valence": 7.71, "arousal": 7.6, "dominance": 6.9, "liking": 7.83}
    )
    assert assign(record(first), "quadrants") == "LAHV" and assign(record(second), "valence2") == "high"
    assert first.duration_s == 60.0


def test_deap_refuses_other_arrays_and_keeps_the_other_trials(tmp_path: Path) -> None:
    good = np.random.default_rng(0).normal(size=(2, 40, 8064))
    deap_file(tmp_path, good, np.array([[5.0] * 4, [5.0, 9.5, 5.0, 5.0]]), "s01.dat")
    deap_file(tmp_path, good[:, :32], np.full((2, 4), 5.0), "s02.dat")
    deap_file(tmp_path, good, np.full((3, 4), 5.0), "s03.dat")
    deap_file(tmp_path, good, np.full((2, 4), 5.0), "s33.dat")
    bad = good.copy()
    bad[0, 0, 0] = np.nan
    deap_file(tmp_path, bad, np.full((2, 4), 5.0), "s04.dat")
    folder = tmp_path / "data_preprocessed_python"
    (folder / "s05.dat").write_bytes(pickle.dumps(Path("x")))
    (folder / "s06.dat").write_bytes(pickle.dumps([1, 2]))
    samples, rejects = split(Deap().read(tmp_path, "d"))
    assert [sample.sample_id for sample in samples] == ["d/s01/01", "d/s04/02"]
    assert {Path(r.path).name: r.reason for r in rejects} == {
        "s01.dat#02": "rating-out-of-range",
        "s02.dat": "bad-layout",
        "s03.dat": "bad-layout",
        "s04.dat#01": "non-finite",
        "s05.dat": "forbidden-pickle",
        "s06.dat": "bad-layout",
        "s33.dat": "not-of-this-corpus",
    }


def test_deap_has_no_classes_to_ask_for(tmp_path: Path) -> None:
    for subjects, per_class in ((0, 1), (33, 1), (1, 41)):
        with pytest.raises(CorpusError):
            Deap().fake(tmp_path, subjects=subjects, per_class=per_class, seed=0)


# --- WESAD


def wesad_file(
    root: Path, codes: list[tuple[int, float]], change: Callable[[dict[str, Any]], Any] | None = None
) -> Path:
    """S2.pkl whose signals hold the time in seconds; `codes`: (label, seconds)."""
    labels = np.concatenate([np.full(round(700 * seconds), code, dtype="i4") for code, seconds in codes])
    total = len(labels) / 700

    def clock(rate_hz: float, columns: int) -> np.ndarray:
        return np.repeat(np.arange(round(total * rate_hz))[:, None] / rate_hz, columns, axis=1)

    chest = {key: clock(700, 3 if key == "ACC" else 1) for key in ("ACC", "ECG", "EMG", "EDA", "Temp", "Resp")}
    wrist = {"ACC": clock(32, 3), "BVP": clock(64, 1), "EDA": clock(4, 1), "TEMP": clock(4, 1)}
    data: dict[str, Any] = {"signal": {"chest": chest, "wrist": wrist}, "label": labels, "subject": "S2"}
    if change is not None:
        change(data)
    (root / "S2").mkdir(parents=True, exist_ok=True)
    (root / "S2" / "S2.pkl").write_bytes(dump_python2(data))
    return root


def test_wesad_stretches_have_the_labels_of_the_readme_and_every_rate_cut_at_one_time(tmp_path: Path) -> None:
    codes = [(0, 3), (1, 10), (0, 2), (5, 1), (3, 6), (6, 1), (4, 5), (7, 1), (2, 8), (0, 1), (4, 4)]
    wesad_file(tmp_path, [(code, float(seconds)) for code, seconds in codes])
    (tmp_path / "S2" / "S2_readme.txt").write_text("### Personal information ###\nAge: 27\nGender: male\n")
    samples, rejects = split(Wesad().read(tmp_path, "w"))
    assert not rejects
    assert [(s.emotion_raw, s.emotion, s.t_start_s, s.t_end_s) for s in samples] == [
        ("baseline", "neutral", 3, 13),
        ("amusement", "amusement", 16, 22),
        ("meditation", "relaxation", 23, 28),
        ("stress", "stress", 29, 37),
        ("meditation", "relaxation", 38, 42),
    ]
    assert {(s.age, s.gender, s.subject_id, s.group_id) for s in samples} == {(27.0, "male", "w:S2", "w:S2")}
    for sample in samples:
        rates = {str(s["name"]): s["rate_hz"] for s in sample.signals}
        for name, array in decode_signals(sample.payload).items():
            time = array if array.ndim == 1 else array[:, 0]
            assert time[0] == pytest.approx(sample.t_start_s, abs=1e-4), name
            assert len(time) == round((sample.t_end_s - sample.t_start_s) * rates[name])  # type: ignore[operator]
        assert (rates["chest_ECG"], rates["wrist_ACC"], rates["wrist_BVP"], rates["wrist_EDA"]) == (700, 32, 64, 4)
    assert Counter(assign(record(s), "stress2") for s in samples) == {"no stress": 4, "stress": 1}


def test_wesad_devices_may_be_chosen(tmp_path: Path) -> None:
    wesad_file(tmp_path, [(1, 4.0)])
    wrist = split(make_corpus("wesad", {"devices": "wrist"}).read(tmp_path, "w"))[0][0]
    assert {str(s["name"]) for s in wrist.signals} == {"wrist_ACC", "wrist_BVP", "wrist_EDA", "wrist_TEMP"}
    with pytest.raises(CorpusError, match="both, chest, wrist"):
        make_corpus("wesad", {"devices": "ankle"})
    with pytest.raises(UnknownNameError, match="devices"):
        make_corpus("wesad", {"device": "wrist"})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data.update(subject="S3"), "bad-layout"),
        (lambda data: data.pop("label"), "bad-layout"),
        (lambda data: data["signal"]["wrist"].pop("BVP"), "bad-layout"),
        (lambda data: data["signal"]["chest"].update(ACC=np.zeros((2800, 2))), "bad-layout"),
        (lambda data: data.update(label=data["label"].astype("f8")), "bad-layout"),
        (lambda data: data["signal"]["wrist"].update(BVP=np.zeros((60, 1))), "truncated"),
        (lambda data: data["signal"]["wrist"].update(BVP=np.zeros((400, 1))), "unequal-duration"),
        (lambda data: data["signal"]["chest"].update(ECG=np.zeros((2799, 1))), "unequal-duration"),
        (lambda data: data.update(label=np.full(2800, 9, dtype="i4")), "bad-label"),
        (lambda data: data.update(label=np.r_[np.zeros(2500), np.ones(300)].astype("i4")), "too-short"),
        (lambda data: data["signal"]["chest"]["ECG"].fill(np.inf), "non-finite"),
    ],
)
def test_wesad_odd_files_are_rejects(change: Callable[[dict[str, Any]], Any], reason: str, tmp_path: Path) -> None:
    samples, rejects = split(Wesad().read(wesad_file(tmp_path, [(1, 4.0)], change), "w"))
    assert not samples
    assert [reject.reason for reject in rejects] == [reason]


# --- Stress-Predict


def test_stress_predict_real_counts_are_those_of_the_table(shared_data: Path) -> None:
    samples, rejects = split(StressPredict().read(shared_data / "stress_predict", "sp"))
    assert Counter(s.emotion for s in samples) == {"neutral": 40, "stress": 30}  # S02 to S11, 7 stretches each
    assert Counter(s.extra["task"] for s in samples) == {
        "baseline": 10,
        "rest": 30,
        "stroop": 10,
        "interview": 10,
        "hyperventilation": 10,
    }
    assert {s.subject_id for s in samples} == {f"sp:S{n:02d}" for n in range(2, 12)}
    # seconds of label 1 in the table for participants 2 to 11, of which no signal misses one
    assert sum(s.duration_s or 0 for s in samples if s.emotion == "stress") == 10619
    assert Counter(r.reason for r in rejects) == {"no-recording": 24}  # S12 to S35 are labelled, not in the slice
    s02 = samples[:7]
    assert [(s.t_start_s, s.t_end_s) for s in s02[1:6]] == [
        (613, 989),
        (989, 1261),
        (1261, 1916),
        (1916, 2218),
        (2218, 2348),
    ]
    tags = (shared_data / "stress_predict/Raw_data/S02/tags_S02.csv").read_text().split()
    assert [float(tag) - 1644227583 for tag in tags[:6]] == [613, 989, 1261, 1916, 2218, 2348]
    # line of BVP.csv: two of header, then 64 a second from 1644227574 on
    lines = (shared_data / "stress_predict/Raw_data/S02/BVP.csv").read_text().split()
    bvp = decode_signals(s02[1].payload)["BVP"]
    assert bvp[:3] == pytest.approx([float(line) for line in lines[2 + 64 * (613 + 9) :][:3]], abs=1e-4)
    assert all(record["rate_hz"] for s in samples for record in s.signals)


def fake_stress(root: Path) -> Path:
    StressPredict().fake(root, subjects=1, per_class={"neutral": 2, "stress": 1}, seed=0)
    return root / "Raw_data" / "S02"


def test_stress_predict_odd_exports_are_rejects_of_their_stretch(tmp_path: Path) -> None:
    folder = fake_stress(tmp_path)
    whole = (folder / "BVP.csv").read_text().splitlines(keepends=True)
    for text, reasons in {
        "".join(whole[:-1280]): ["truncated"],  # the last 20 s
        "".join(whole[:2]): ["empty"] * 3,
        whole[0] + "32.000000\n" + "".join(whole[2:]): ["bad-header"] * 3,
        "".join(whole[:50]) + "off\n" + "".join(whole[50:]): ["not-a-number"] * 3,
        "".join(whole[:50]) + "1.0,2.0\n" + "".join(whole[50:]): ["not-a-number"] * 3,
        "x": ["bad-header"] * 3,
    }.items():
        (folder / "BVP.csv").write_text(text)
        samples, rejects = split(StressPredict().read(tmp_path, "sp"))
        assert [reject.reason for reject in rejects] == reasons
        assert len(samples) == 3 - len(reasons)
    (folder / "BVP.csv").write_text("".join(whole))
    (folder / "ACC.csv").unlink()
    assert {r.reason for r in split(StressPredict().read(tmp_path, "sp"))[1]} == {"unreadable"}


def test_stress_predict_table_and_folders_need_each_other(tmp_path: Path) -> None:
    folder = fake_stress(tmp_path)
    table = next(tmp_path.rglob("Improved*.csv"))
    table.write_text(table.read_text() + "2,80,15,1644400999,2\r\n3,80,15,1644500000,1\r\n")
    folder.rename(folder.with_name("S09"))
    samples, rejects = split(StressPredict().read(tmp_path, "sp"))
    assert not samples
    assert [(r.path.rpartition("/")[2].partition("#")[0], r.reason) for r in rejects] == [
        (table.name, "bad-label"),
        ("S02", "no-recording"),
        ("S03", "no-recording"),
        ("S09", "no-labels"),
    ]
    (folder.with_name("S09") / "BVP.csv").unlink()
    with pytest.raises(CorpusError, match="Raw_data/S02"):
        StressPredict().read(tmp_path, "sp")


# --- ECG200


def test_ecg200_is_read_alike_in_each_published_form(tmp_path: Path) -> None:
    values = np.round(np.random.default_rng(0).normal(size=(4, 96)), 4)
    labels = ["1", "-1", "1", "-1"]
    forms = {
        "tsv": "".join("\t".join([label, *map(str, row)]) + "\n" for label, row in zip(labels, values, strict=True)),
        "txt": "".join(
            "  " + "  ".join(f"{x:.7e}" for x in [float(label), *row]) + "\n"
            for label, row in zip(labels, values, strict=True)
        ),
        "ts": "#This dataset was formatted by R. Olszewski: ...\n@problemName ECG200\n@classLabel true -1 1\n@data\n"
        + "".join(",".join(map(str, row)) + f":{label}\n" for label, row in zip(labels, values, strict=True)),
    }
    forms_of_2015 = "".join(",".join([label, *map(str, row)]) + "\n" for label, row in zip(labels, values, strict=True))
    for form, text in [*forms.items(), ("txt", forms_of_2015)]:
        folder = tmp_path / f"{form}{len(text)}"
        folder.mkdir()
        for name in ("TRAIN", "TEST"):
            (folder / f"ECG200_{name}.{form}").write_text(text)
        samples, rejects = split(Ecg200().read(folder, "e"))
        assert not rejects
        assert [s.sample_id for s in samples] == [f"e/{name}/{n:04d}" for name in ("train", "test") for n in range(4)]
        assert [s.emotion_raw for s in samples] == labels * 2
        assert all(s.emotion is None and assign(record(s), "labels:ecg200") == s.emotion_raw for s in samples)
        assert [s.extra["official_split"] for s in samples] == ["train"] * 4 + ["test"] * 4
        assert np.allclose(decode_signals(samples[1].payload)["ECG"], values[1], atol=1e-6)
        assert samples[0].group_id == samples[4].group_id != samples[1].group_id  # the same beat stays together


def test_ecg200_rows_that_are_none_are_rejects(tmp_path: Path) -> None:
    Ecg200().fake(tmp_path, subjects=1, per_class=4, seed=0)
    path = tmp_path / "ECG200_TEST.tsv"
    row = path.read_text().splitlines()[0].split("\t")
    rows = [row[:-1], ["2", *row[1:]], ["1", "nan", *row[2:]], ["1", "a", *row[2:]]]
    path.write_text(path.read_text() + "".join("\t".join(fields) + "\n" for fields in rows))
    samples, rejects = split(Ecg200().read(tmp_path, "e"))
    assert len(samples) == 4
    assert [r.reason for r in rejects] == ["bad-row", "bad-label", "not-a-number", "not-a-number"]
