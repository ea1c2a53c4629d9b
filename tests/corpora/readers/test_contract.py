"""What every reader owes, checked on the corpus that its own `fake` writes."""

from __future__ import annotations

import gc
import shutil
from collections import Counter
from pathlib import Path

import pytest

from corpora.codecs import decode_image, decode_text, decode_wav
from corpora.errors import CorpusError, UnknownNameError
from corpora.labels import EMOTIONS
from corpora.readers import CORPORA, card_names, make_corpus, reader_names
from corpora.schema import FACTS, MODALITIES, Corpus, CorpusCard, Reject, Sample
from corpora.signals import decode_signals

SUBJECTS = 3
FEWER: dict[str, int] = {"tess": 2}  # corpora of fewer people than that
# The layout fixes the trials of a subject (SEED's label.mat holds for every file): counts are rounded up.
ROUNDED_UP: set[str] = {"ck_plus", "dreamer", "seed", "seed_iv", "seed_v"}
# Files whose n-th rows belong together: the whole corpus is refused where one of them has fewer lines than the others.
BY_POSITION: set[str] = {"dailydialog", "ferplus"}
# How a file of a corpus that is one table, or a few, is called, so that a line of garbage can be put at its end.
TABLES: dict[str, str] = {
    "ecg200": "ECG200_TRAIN.tsv",
    "stress_predict": "Improved_All_Combined_hr_rsp_binary.csv",
    "fer2013": "fer2013.csv",
    "goemotions": "train.tsv",
    "meld": "train_sent_emo.csv",
    "isear": "isear.csv",
    "empathetic_dialogues": "train.csv",
    "ferplus": "fer2013new.csv",
    "dailydialog": "dialogues_train.txt",
    "expw": "label.lst",
    "semeval2018_ec": "2018-E-c-En-train.txt",
    "dair_emotion": "train.txt",
    "raf_db": "list_patition_label.txt",
    "affectnet": "training.csv",
    "emorynlp": "emorynlp_train_final.csv",
    "nemo": "data.tsv",
    "emozionalmente": "samples.csv",
    "emobank": "emobank.csv",
    "xed": "en-annotated.tsv",
}


def asked(card: CorpusCard) -> dict[str | None, int]:
    """7, 5 and 3 samples of the first classes; 9 in all where the corpus has ratings only."""
    classes = [emotion for emotion in dict.fromkeys(card.label_map.values()) if emotion is not None]
    if not classes:
        return {None: 9}
    return dict(zip(classes[:3], (7, 5, 3), strict=False))


def fake(name: str, folder: Path, seed: int) -> None:
    card = make_corpus(name).card
    wanted = asked(card)
    per_class = wanted[None] if None in wanted else {str(emotion): count for emotion, count in wanted.items()}
    make_corpus(name).fake(folder, subjects=FEWER.get(name, SUBJECTS), per_class=per_class, seed=seed)


@pytest.fixture(scope="module", params=sorted({*CORPORA, *card_names()}))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def root(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(name) / "a corpus, größer"
    fake(name, folder, 1)
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
    assert set(card.counts or {}) <= set(card.label_map)
    assert card.label_map or card.dimensions
    assert all(low < high for low, high in card.dimensions.values())
    assert card.tested_on in ("real", "fake")


def test_every_fact_of_a_card_has_a_source_or_is_said_to_have_none(name: str) -> None:
    card = make_corpus(name).card
    assert set(card.sources) | set(card.unverified) == set(FACTS)
    assert not set(card.sources) & set(card.unverified)
    assert all(len(source) > 8 for source in card.sources.values())
    for fact, value in (("counts", card.counts), ("subjects", card.n_subjects), ("splits", card.official_split)):
        assert fact not in card.unverified or value is None, f"{fact} has a value and no source"


def test_counts_asked_are_counts_read(name: str, root: Path) -> None:
    wanted = asked(make_corpus(name).card)
    found = Counter(sample.emotion for sample in samples(name, root))
    if name in ROUNDED_UP:
        assert all(found[emotion] >= count for emotion, count in wanted.items())
    else:
        assert {emotion: found[emotion] for emotion in wanted} == wanted
        assert sum(count for emotion, count in found.items() if emotion is not None) == sum(wanted.values()) or (
            None in wanted
        )


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
    if not make_corpus(name).card.knows_subjects:
        assert subjects == {None}
        return
    assert len(subjects) == FEWER.get(name, SUBJECTS)
    assert all(subject is not None and subject.startswith("mine:") for subject in subjects)


def test_records_say_what_the_vocabulary_knows(name: str, root: Path) -> None:
    card = make_corpus(name).card
    for sample in samples(name, root):
        assert sample.modality == card.modality
        assert sample.emotion in {*EMOTIONS, None}
        if sample.emotion_raw is not None and card.label_map:
            assert sample.emotion_raw in card.label_map
            assert sample.labels or sample.emotion == card.label_map[sample.emotion_raw]
        for entry in sample.labels:
            assert set(entry) == {"scheme", "label", "weight"}
            assert entry["scheme"] != "canonical" or entry["label"] in EMOTIONS
        for value in (sample.valence, sample.arousal, sample.dominance):
            assert value is None or -1 <= value <= 1


def test_payloads_decode(name: str, root: Path) -> None:
    for sample in samples(name, root):
        shapes = {str(signal["name"]): tuple(signal["shape"]) for signal in sample.signals}  # type: ignore[arg-type]
        if sample.codec == "wav":
            signal, rate_hz = decode_wav(sample.payload)
            assert signal.shape[0] / rate_hz == pytest.approx(sample.duration_s)
            assert 0.02 < abs(signal).max() <= 1.0
        elif sample.codec == "npz":
            arrays = decode_signals(sample.payload)
            assert {key: array.shape for key, array in arrays.items()} == shapes
            assert sample.duration_s is not None and sample.duration_s > 0
            assert all(signal["rate_hz"] and signal["unit"] for signal in sample.signals)
        elif sample.codec == "txt":
            assert shapes == {"text": (len(decode_text(sample.payload)),)}
        else:
            image = decode_image(sample.payload)
            assert shapes == {"image": image.shape}
            assert image.std() > 10


def test_same_seed_same_bytes_another_seed_others(name: str, root: Path, tmp_path: Path) -> None:
    fake(name, tmp_path / "again", 1)
    fake(name, tmp_path / "other", 2)
    first = [(s.sample_id, s.payload) for s in samples(name, root)]
    assert [(s.sample_id, s.payload) for s in samples(name, tmp_path / "again")] == first
    assert {s.payload for s in samples(name, tmp_path / "other")}.isdisjoint({payload for _, payload in first})


def test_every_class_of_the_corpus_may_be_asked(name: str, tmp_path: Path) -> None:
    corpus = make_corpus(name)
    corpus.fake(tmp_path, subjects=2, per_class=1, seed=0)
    emotions = [sample.emotion for sample in samples(name, tmp_path)]
    wanted = set(corpus.card.label_map.values()) - {None}
    assert set(filter(None, emotions)) == wanted
    assert name in ROUNDED_UP or not wanted or len(list(filter(None, emotions))) == len(wanted)


def test_class_that_the_corpus_has_not_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises((UnknownNameError, CorpusError), match="bliss"):
        make_corpus(name).fake(tmp_path, subjects=2, per_class={"bliss": 3}, seed=0)


def alive() -> int:
    gc.collect()
    return sum(isinstance(thing, Sample) for thing in gc.get_objects())


def test_memory_is_flat_samples_are_not_kept(name: str, root: Path) -> None:
    most = 0
    gc.freeze()  # what was there before is not looked at: fixtures of other files, and millions of objects of libraries
    try:
        for number, _ in enumerate(make_corpus(name).read(root, "mine")):
            if number in (4, 9, 14):  # looking takes longer the more there is: SEED-V has 135 trials
                most = max(most, alive())
    finally:
        gc.unfreeze()
    assert most <= 3, f"{most} samples are alive at once"


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


def test_garbage_is_a_reject_and_takes_nothing_with_it(name: str, root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    if name in TABLES:
        with next(copy.rglob(TABLES[name])).open("ab") as file:
            file.write(b"\x00\xff\xfe\x12garbage\r\n")
    else:
        suffix = Counter(path.suffix for path in copy.rglob("*") if path.is_file()).most_common(1)[0][0]
        (copy / f"garbage{suffix}").write_bytes(b"\x00\xff\xfe\x12" * 99)
    found = read(name, copy)
    rejects = [item for item in found if isinstance(item, Reject)]
    assert len(found) - len(rejects) == len(samples(name, root))
    assert [reject.corpus for reject in rejects] == ["mine"]


def test_a_file_cut_short_is_no_crash(name: str, root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    biggest = max((path for path in copy.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    biggest.write_bytes(biggest.read_bytes()[: biggest.stat().st_size * 2 // 3])
    try:
        found = read(name, copy)
    except CorpusError as error:
        assert name in BY_POSITION, error
        return
    assert any(isinstance(item, Reject) for item in found)


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
    with pytest.raises(UnknownNameError, match=r"Did you mean 'ravdess'.*Known, nearest of [0-9]+: ravdess, "):
        make_corpus("ravdes")
    assert set(CORPORA) <= set(reader_names())
