"""eNTERFACE'05: the sound of its films, and the odd names of its folders."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from corpora.codecs import decode_wav, encode_wav
from corpora.errors import UserError
from corpora.readers.speech.enterface05 import Enterface05
from corpora.schema import Corpus, Reject, Sample

TONE = (np.sin(np.arange(8000) / 20) * 0.3).astype(np.float32)
WAV = encode_wav(TONE, 16000)


def write(root: Path, *names: str, payload: bytes = WAV) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(payload)


def read(corpus: Corpus, root: Path) -> tuple[dict[str, Sample], dict[str, str]]:
    """-> ({native id: sample}, {path: slug})"""
    found = list(corpus.read(root, "c"))
    samples = {s.sample_id.removeprefix("c/"): s for s in found if isinstance(s, Sample)}
    return samples, {r.path: r.reason for r in found if isinstance(r, Reject)}


def emotions(corpus: Corpus, root: Path) -> dict[str, str | None]:
    samples, rejects = read(corpus, root)
    assert rejects == {}
    return {native: sample.emotion for native, sample in samples.items()}


# -- eNTERFACE'05: paths of EmoBox' list, and the odd names that Strong-AI-Lab/emotion mends


def film(tmp_path: Path) -> bytes:
    pytest.importorskip("av")
    Enterface05().fake(tmp_path / "made", subjects=1, per_class={"anger": 1}, seed=0)
    return next((tmp_path / "made").rglob("*.avi")).read_bytes()


def test_enterface_folders_tell_and_names_where_there_are_none(tmp_path: Path) -> None:
    payload = film(tmp_path)
    base = "enterface database/subject"
    names = {
        f"{base} 19/anger/sentence 4/s19_an_4.avi": ("19", "anger", "4"),
        f"{base} 3/surprise/sentence 1/s_3_su_1.avi": ("03", "surprise", "1"),
        f"{base} 11/fear/sentence 2/s12_fe_2.avi": ("11", "fear", "2"),
        f"{base} 12/fear/sentence 2/s12_fe_2.avi": ("12", "fear", "2"),
        f"{base} 16/surprise/sentence 3/s16_su_3avi.avi": ("16", "surprise", "3"),
        f"{base} 6/sadness/s6_sa_5.avi": ("06", "sadness", "5"),
        f"{base} 23/disgust/sentence 2/whatever.avi": ("23", "disgust", "2"),
        "flat/s44_ha_3.avi": ("44", "happiness", "3"),
        "flat/s16_su_3avi.avi": ("16", "surprise", "3"),
    }
    nameless = f"{base} 6/anger/film.avi"
    write(tmp_path / "corpus", *names, nameless, payload=payload)
    write(tmp_path / "corpus", f"{base} 19/anger/sentence 4/Thumbs.db", "notes.xls", payload=b"x")
    samples, rejects = read(Enterface05(), tmp_path / "corpus")
    assert rejects == {}
    told = {s.extra["path"]: (s.subject_id, s.emotion, s.sentence_id) for s in samples.values()}
    assert told.pop(nameless) == ("c:06", "anger", None)
    assert told == {
        path: (f"c:{subject}", emotion, f"c:{emotion}{number}") for path, (subject, emotion, number) in names.items()
    }
    assert len(samples) == len(names) + 1  # subjects 11 and 12 do not collide
    assert {s.gender for s in samples.values()} == {None}
    signal, rate_hz = decode_wav(samples["s44_ha_3"].payload)
    assert signal.shape[1] == 1 and len(signal) / rate_hz > 0.8


def test_enterface_rejects(tmp_path: Path) -> None:
    payload = film(tmp_path)
    write(tmp_path / "c", "subject 1/anger/sentence 1/s1_an_1.avi", "subject 45/anger/sentence 1/s45_an_1.avi")
    write(tmp_path / "c", "subject 1/joy/sentence 1/s1_jo_1.avi", "s1_xx_1.avi", "clip.avi")
    for name in list((tmp_path / "c").rglob("*.avi")):
        name.write_bytes(payload)
    write(tmp_path / "c", "subject 2/fear/sentence 1/s2_fe_1.avi", payload=payload[: len(payload) // 2])
    write(tmp_path / "c", "subject 2/fear/sentence 2/s2_fe_2.avi", payload=b"no film")
    write(tmp_path / "c", "subject 2/fear/sentence 3/s2_fe_3.avi", payload=b"")
    samples, rejects = read(Enterface05(), tmp_path / "c")
    assert set(samples) == {"subject01/anger/sentence1/s1_an_1"}
    assert rejects == {
        "subject 45/anger/sentence 1/s45_an_1.avi": "bad-label",
        "subject 1/joy/sentence 1/s1_jo_1.avi": "bad-label",
        "s1_xx_1.avi": "bad-label",
        "clip.avi": "not-of-this-corpus",
        "subject 2/fear/sentence 1/s2_fe_1.avi": "truncated",
        "subject 2/fear/sentence 2/s2_fe_2.avi": "not-media",
        "subject 2/fear/sentence 3/s2_fe_3.avi": "empty",
    }


def test_enterface_fake_has_the_odd_names(tmp_path: Path) -> None:
    pytest.importorskip("av")
    Enterface05().fake(tmp_path, subjects=5, per_class={"surprise": 15, "anger": 5}, seed=0)
    names = {path.relative_to(tmp_path / "enterface database").as_posix() for path in tmp_path.rglob("*.avi")}
    assert {
        "subject 3/surprise/sentence 1/s_3_su_1.avi",
        "subject 6/surprise/s6_su_1.avi",
        "subject 11/anger/sentence 1/s12_an_1.avi",
        "subject 16/surprise/sentence 3/s16_su_3avi.avi",
    } <= names
    assert list(tmp_path.rglob("Thumbs.db"))
    assert Counter(emotions(Enterface05(), tmp_path).values()) == {"surprise": 15, "anger": 5}


def test_enterface_without_the_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "subject 1/anger/sentence 1/s1_an_1.avi")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"install emoforge\[media\]"):
        Enterface05().read(tmp_path, "c")
