"""Corpora whose readers were code and are cards now: the same facts, records and rejects. tests/golden has the old."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.codecs import encode_wav
from corpora.errors import CorpusError
from corpora.readers import make_corpus
from corpora.readers.fakes import voice
from corpora.schema import Reject, Sample
from tests.golden.make_cards_of_readers import NAMES, lay, records

OLD: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "golden" / "cards_of_readers.json").read_text(encoding="utf-8")
)["corpora"]
TONE = (np.sin(np.arange(8000) / 20) * 0.3).astype(np.float32)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_facts_are_those_of_the_reader(name: str) -> None:
    assert json.loads(json.dumps(asdict(make_corpus(name).card))) == OLD[name]["card"]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_records_and_rejects_are_those_of_the_reader(name: str, tmp_path: Path) -> None:
    lay(tmp_path, name, encode_wav(TONE, 16000))
    found = records(make_corpus(name), tmp_path)
    where = {row.get("path") or row["extra"]["path"]: row for row in found}
    before = {row.get("path") or row["extra"]["path"]: row for row in OLD[name]["records"]}
    assert list(where) == list(before), "all of them, in the same order"
    for path, row in before.items():
        if "reason" in row:  # what it says in words may be said better
            assert (where[path].get("reason"), where[path].get("label")) == (row["reason"], row.get("label")), path
        else:
            assert where[path] == row


@pytest.mark.parametrize(
    ("name", "subjects", "first"),
    [
        ("tess", 2, "OAF_angry/OAF_bite_angry.wav"),
        ("urdu", 22, "Angry/SM1_F1_A01.wav"),
        ("emovo", 6, "EMOVO/f1/rab-f1-b1.wav"),
        ("emodb", 10, "wav/03a01Wa.wav"),
        ("savee", 4, "AudioData/DC/a01.wav"),
    ],
)
def test_made_up_files_lie_as_the_published_ones(name: str, subjects: int, first: str, tmp_path: Path) -> None:
    corpus = make_corpus(name)
    for wrong in (0, subjects + 1):
        with pytest.raises(CorpusError, match=f"needs 1 to {subjects} subjects, not {wrong}"):
            corpus.fake(tmp_path, subjects=wrong, per_class=1, seed=0)
    corpus.fake(tmp_path, subjects=2, per_class={"anger": 8}, seed=0)
    assert (tmp_path / first).is_file()
    found = list(corpus.read(tmp_path, "c"))
    samples = [item for item in found if isinstance(item, Sample)]
    assert len(samples) == len(found) == 8 and len({s.subject_id for s in samples}) == 2
    assert {s.emotion for s in samples} == {"anger"}
    assert {s.gender for s in samples} == {"tess": {"female"}, "savee": {"male"}}.get(name, {"female", "male"})


def test_made_up_files_that_names_cannot_hold_are_an_error_before_the_first(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="EMOVO: the pattern holds too few names like"):
        make_corpus("emovo").fake(tmp_path / "many", subjects=1, per_class={"anger": 15}, seed=0)
    assert not (tmp_path / "many").exists()


def test_made_up_voices_are_of_the_gender_that_the_card_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    men_made: list[bool] = []
    make_voice = voice.make_voice

    def noted(*, male: bool, rng: np.random.Generator) -> Any:
        men_made.append(male)
        return make_voice(male=male, rng=rng)

    monkeypatch.setattr(voice, "make_voice", noted)
    for name, men in (("savee", {True}), ("tess", {False}), ("emovo", {True, False}), ("urdu", {True, False})):
        men_made.clear()
        make_corpus(name).fake(tmp_path / name, subjects=2, per_class={"anger": 2}, seed=0)
        assert set(men_made) == men, name


def test_a_folder_that_says_otherwise_is_a_reject_that_tells_both(tmp_path: Path) -> None:
    lay(tmp_path, "urdu", encode_wav(TONE, 16000))
    rejects = {r.path: r.detail for r in make_corpus("urdu").read(tmp_path, "c") if isinstance(r, Reject)}
    assert rejects["Happy/SM4_F1_A02.wav"] == "folder 'Happy' says happiness, label 'A' says anger"
    assert "'X'; known: A, H, N, S" in rejects["Angry/SM1_F10_X010.wav"], "not what its folder says of it"
