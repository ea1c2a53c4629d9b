"""What a card of layout `folder` can say of paths beside its pattern."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from corpora.errors import CorpusError
from corpora.readers import make_corpus
from corpora.schema import Reject, Sample

CARD: dict[str, Any] = {
    "title": "Lines",
    "modality": "text",
    "license": "CC0-1.0",
    "label_map": {"j": "happiness", "a": "anger"},
    "files": {
        "layout": "folder",
        "pattern": r"(?:(?P<box>\w+)/)?(?P<subject>[a-z]+)_(?P<label>[a-z])(?P<sentence>\d+)\.txt",
        "ignore_case": True,
        "same": {"box": "label"},
        "values": {"box": {"Joy": "j", "Anger": "a"}, "subject": ["ANN", "BOB"]},
        "case": {"subject": "upper"},
        "extra": ["said"],
        "compose": {"id": "{subject}-{sentence}", "said": "line {sentence} of {subject}", "language": "de"},
    },
}


def card(place: Path, **files: Any) -> str:
    whole = CARD | {"files": {k: v for k, v in (CARD["files"] | files).items() if v is not None}}
    (place / "lines.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    return str(place / "lines.yaml")


def read(place: Path, *names: str, **files: Any) -> tuple[dict[str, Sample], dict[str, str]]:
    for name in names:
        (place / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "raw" / name).write_text(f"a line of {name}")
    found = list(make_corpus(card(place, **files)).read(place / "raw", "c"))
    samples = {item.sample_id[2:]: item for item in found if isinstance(item, Sample)}
    return samples, {item.path: f"{item.reason}: {item.detail}" for item in found if isinstance(item, Reject)}


def test_ids_and_extra_are_composed_of_texts_in_one_case(tmp_path: Path) -> None:
    samples, rejects = read(tmp_path, "Joy/ann_j01.txt", "bob_A2.TXT", "else/Bob_j3.txt")
    assert not rejects and set(samples) == {"ANN-01", "BOB-2", "BOB-3"}
    ann = samples["ANN-01"]
    assert (ann.subject_id, ann.language, ann.emotion) == ("c:ANN", "de", "happiness")
    assert ann.extra == {"path": "Joy/ann_j01.txt", "said": "line 01 of ANN"}
    assert samples["BOB-2"].emotion == "anger", "and labels are found in any case"


def test_rejects_say_what_is_wrong(tmp_path: Path) -> None:
    samples, rejects = read(tmp_path, "Joy/ann_a1.txt", "cid_j2.txt", "Joy/ann_x3.txt", "bob_j4.txt", "copy/bob_j4.txt")
    assert set(samples) == {"BOB-4"}
    assert rejects["Joy/ann_a1.txt"] == "bad-label: box 'Joy' says happiness, label 'a' says anger"
    assert rejects["cid_j2.txt"] == "bad-label: subject 'CID'; known: ANN, BOB"
    assert rejects["Joy/ann_x3.txt"].startswith("bad-label: 'x'"), "a label that nobody knows contradicts nothing"
    assert rejects["copy/bob_j4.txt"].startswith("repeated-name")


def test_known_by_and_only(tmp_path: Path) -> None:
    _, rejects = read(tmp_path, "ann_j1.txt", "draft.txt")
    assert set(rejects) == {"draft.txt"}
    assert read(tmp_path, only=["*_*.txt"])[1] == {}
    with pytest.raises(CorpusError, match="named like"):
        read(tmp_path, known_by=r"bob_.*\.txt")
    assert "ANN-1" in read(tmp_path, "bob_j1.txt", known_by=r"BOB_.*\.txt")[0], "in any case, as the pattern"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"case": {"who": "upper"}}, r"case names 'who'; the pattern's groups are box, label, sentence, subject"),
        ({"case": {"subject": "title"}}, r"files\.case\.subject"),
        ({"same": {"folder": "label"}}, r"same names 'folder'"),
        ({"same": {"box": "emotion"}}, r"same\.box is 'emotion'"),
        ({"values": {"subject": ["ANN"]}}, r"same\.box is 'label': a group, and values\.box"),
        ({"known_by": "("}, r"files\.known_by.*not a regular expression"),
        ({"values": {"box": {"Joy": "j"}, "subject": [1]}}, r"files\.values\.subject"),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_it(files: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=says):
        make_corpus(card(tmp_path, **files))


def test_made_up_names_of_an_id_around_other_groups(tmp_path: Path) -> None:
    pattern = r"(?P<id>(?P<subject>[a-z]+)_(?P<label>[a-z])(?P<sentence>\d+))\.txt"
    plain = {"pattern": pattern, "example": "ann_j01.txt", "compose": None, "extra": None, "same": None}
    corpus = make_corpus(card(tmp_path, values={"subject": ["ANN", "BOB"]}, **plain))
    corpus.fake(tmp_path / "fake", subjects=2, per_class=3, seed=1)
    found = [item for item in corpus.read(tmp_path / "fake", "c") if isinstance(item, Sample)]
    assert sorted(s.emotion or "" for s in found) == ["anger"] * 3 + ["happiness"] * 3
    assert {s.subject_id for s in found} == {"c:ANN", "c:BOB"}


def test_made_up_files_contradict_nothing(tmp_path: Path) -> None:
    fake = {"path": ["{box}/{subject}_{label}{n}.txt"], "n": ["1", "2", "3"]}
    compose = {"id": "{subject}-{label}{sentence}"}
    corpus = make_corpus(card(tmp_path, example="Joy/ann_j01.txt", fake=fake, compose=compose, extra=None))
    corpus.fake(tmp_path / "fake", subjects=2, per_class=3, seed=1)
    found = list(corpus.read(tmp_path / "fake", "c"))
    assert len(found) == 6 and all(isinstance(item, Sample) for item in found)
    assert {p.parent.name for p in (tmp_path / "fake").rglob("*.txt")} == {"Joy", "Anger"}


def test_a_file_s_name_that_cannot_be_a_corpus_s_is_said(tmp_path: Path) -> None:
    other = Path(card(tmp_path)).rename(tmp_path / "my lines.yaml")
    with pytest.raises(CorpusError, match=r"'name' is missing, and 'my lines' .* Say `name: \.\.\.` in the card"):
        make_corpus(str(other))
    other.write_text("name: my_lines\n" + other.read_text())
    assert make_corpus(str(other)).card.name == "my_lines"
