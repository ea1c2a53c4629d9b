"""What every reader owes, checked on the corpus that its own `fake` writes."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from corpora.codecs import decode_image, decode_wav
from corpora.errors import CorpusError, UnknownNameError
from corpora.labels import EMOTIONS
from corpora.readers import CORPORA, make_corpus, reader_names
from corpora.schema import MODALITIES, Corpus, Reject, Sample

COUNTS = {"neutral": 7, "happiness": 5, "anger": 3}
KNOWS_SUBJECTS = {"ravdess": True, "emodb": True, "fer2013": False}


@pytest.fixture(scope="module", params=sorted(CORPORA))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def root(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(name) / "a corpus, größer"
    make_corpus(name).fake(folder, subjects=3, per_class=COUNTS, seed=1)
    return folder


def read(name: str, root: Path) -> list[Sample | Reject]:
    return list(make_corpus(name).read(root, "mine"))


def samples(name: str, root: Path) -> list[Sample]:
    found = read(name, root)
    assert all(isinstance(item, Sample) for item in found), found
    return [item for item in found if isinstance(item, Sample)]


def test_reader_fulfils_the_protocol_and_its_card_is_whole(name: str) -> None:
    corpus = make_corpus(name)
    assert isinstance(corpus, Corpus)
    card = corpus.card
    assert card.name == name
    assert card.modality in MODALITIES
    assert card.url.startswith("http") and "@" in card.bibtex
    assert set(card.label_map.values()) <= {*EMOTIONS, None}
    assert (card.counts is None) == (card.counts_source is None)
    assert set(card.counts or {}) == set(card.label_map.values()) - {None}


def test_counts_asked_are_counts_read(name: str, root: Path) -> None:
    assert Counter(sample.emotion for sample in samples(name, root)) == COUNTS


def test_ids_are_unique_and_carry_the_name_of_the_link(name: str, root: Path) -> None:
    found = samples(name, root)
    assert len({sample.sample_id for sample in found}) == len(found)
    for sample in found:
        assert sample.sample_id.startswith("mine/")
        assert sample.group_id.startswith("mine:")
        assert sample.corpus == "mine"
        assert sample.license == make_corpus(name).card.license


def test_subjects_are_those_that_were_asked_for(name: str, root: Path) -> None:
    subjects = {sample.subject_id for sample in samples(name, root)}
    if not KNOWS_SUBJECTS[name]:
        assert subjects == {None}
        return
    assert len(subjects) == 3
    assert all(subject is not None and subject.startswith("mine:") for subject in subjects)
    assert {sample.gender for sample in samples(name, root)} == {"male", "female"}


def test_payloads_decode(name: str, root: Path) -> None:
    for sample in samples(name, root):
        if sample.codec == "wav":
            signal, rate_hz = decode_wav(sample.payload)
            assert signal.shape[0] / rate_hz == pytest.approx(sample.duration_s)
            assert 0.9 <= signal.shape[0] / rate_hz <= 1.6
            assert 0.02 < abs(signal).max() < 1.0
        else:
            image = decode_image(sample.payload)
            assert image.shape == (48, 48)
            assert image.std() > 10


def test_same_seed_same_bytes_another_seed_others(name: str, root: Path, tmp_path: Path) -> None:
    corpus = make_corpus(name)
    corpus.fake(tmp_path / "again", subjects=3, per_class=COUNTS, seed=1)
    corpus.fake(tmp_path / "other", subjects=3, per_class=COUNTS, seed=2)
    first = [(s.sample_id, s.payload) for s in samples(name, root)]
    assert [(s.sample_id, s.payload) for s in samples(name, tmp_path / "again")] == first
    assert {s.payload for s in samples(name, tmp_path / "other")}.isdisjoint({payload for _, payload in first})


def test_every_class_of_the_corpus_may_be_asked(name: str, tmp_path: Path) -> None:
    corpus = make_corpus(name)
    corpus.fake(tmp_path, subjects=2, per_class=1, seed=0)
    emotions = [sample.emotion for sample in samples(name, tmp_path)]
    assert sorted(filter(None, emotions)) == sorted(set(corpus.card.label_map.values()) - {None})


def test_class_that_the_corpus_has_not_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="contempt"):
        make_corpus(name).fake(tmp_path, subjects=2, per_class={"contempt": 3}, seed=0)


def test_link_to_the_corpus_reads_alike(name: str, root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert samples(name, tmp_path / "link") == samples(name, root)


def test_debris_of_archives_is_not_read(name: str, root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    (copy / "__MACOSX").mkdir()
    for debris in ("__MACOSX/._03-01-05-01-01-01-01.wav", ".DS_Store", ".gitignore", "README.txt"):
        (copy / debris).write_bytes(b"\0\5\x16\7")
    assert samples(name, copy) == samples(name, root)


def test_garbage_file_is_a_reject(name: str, root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    if name == "fer2013":
        with (copy / "fer2013.csv").open("ab") as file:
            file.write(b"\x00\xff\xfe\x12garbage\r\n")
    else:
        (copy / "garbage.wav").write_bytes(b"\x00\xff\xfe\x12" * 99)
    found = read(name, copy)
    rejects = [item for item in found if isinstance(item, Reject)]
    assert len(rejects) == 1 and len(found) == sum(COUNTS.values()) + 1
    assert rejects[0].corpus == "mine" and rejects[0].reason in {"not-of-this-corpus", "bad-row"}


@pytest.mark.parametrize("state", ["missing", "empty", "other"])
def test_folder_without_the_corpus_is_an_error_at_once(name: str, state: str, tmp_path: Path) -> None:
    root = tmp_path / "there"
    if state != "missing":
        root.mkdir()
    if state == "other":
        (root / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(CorpusError, match="there"):
        make_corpus(name).read(root, "mine")  # before anything is iterated


def test_unknown_reader_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'ravdess'.*Known: emodb, fer2013, ravdess"):
        make_corpus("ravdes")
    assert set(CORPORA) <= set(reader_names())
