"""Damaged corpora: whatever is lost, moved or told twice, no payload comes with another label than it had.

For every reader: its own fake corpus, one damage, read again. A refusal is right, so is a reject; a sample that
comes has a label that its payload had before. Where a row carries its text and its label and no key, two rows may say
different things of one text: then both come, and the finding `conflicting_labels` lists them.
"""

from __future__ import annotations

import random
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import CorpusError
from corpora.readers import CORPORA, card_names, make_corpus
from corpora.schema import SAMPLES, Sample
from corpora.splits.conflicts import find_conflicts

TABLES = {".csv", ".tsv", ".txt", ".lst", ".json", ".jsonl"}
# rows without a key of their own: text, pixels or beat and label stand side by side
KEYLESS = {"fer2013", "dair_emotion", "ecg200", "tweeteval_emotion", "xed"}
# Lines of one file that change places with nothing beside them that could tell: two pictures of one Usage in a small
# fer2013.csv (many are seen by FER2013's labels), two dialogues of equally many turns in one of DailyDialog's files.
UNSEEN = {("ferplus", "swap", "fer2013.csv"), ("dailydialog", "swap", "")}
DAMAGES = ("drop-file", "drop-line", "swap", "retell")
FEW, MANY = 3, 30  # damages of each kind

Label = tuple[Any, ...]


def label_of(sample: Sample) -> Label:
    own = sorted((str(e["scheme"]), str(e["label"]), float(e["weight"])) for e in sample.labels)  # type: ignore[arg-type]
    return (sample.emotion, sample.emotion_raw, tuple(own), sample.valence, sample.arousal, sample.dominance)


def holds_no_more(now: Label, before: Label) -> bool:
    """Whether the label is the one before, or what is left of it: CK+ without its file of the emotion has none, CREMA-D
    without votes has the intended one alone."""
    return set(now[2]) <= set(before[2]) and all(
        a in (None, b) for a, b in zip(now, before, strict=True) if a != now[2]
    )


def ratings_of(sample: Sample) -> set[tuple[Any, ...]]:
    return {tuple(sorted(rating.items())) for rating in sample.ratings}


def read(name: str, root: Path) -> list[Sample]:
    return [item for item in make_corpus(name).read(root, "mine") if isinstance(item, Sample)]


@pytest.fixture(scope="module", params=sorted({*CORPORA, *card_names()}))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def whole(name: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Sample]]]:
    """A fake corpus and {sha256 of a payload: its samples}."""
    root = tmp_path_factory.mktemp(name) / "whole"
    corpus = make_corpus(name)
    classes = [emotion for emotion in dict.fromkeys(corpus.card.label_map.values()) if emotion is not None]
    per_class = dict(zip(classes[:2], (4, 3), strict=False)) if classes else 6
    corpus.fake(root, subjects=2, per_class=per_class, seed=5)
    before: dict[str, list[Sample]] = defaultdict(list)
    for sample in read(name, root):
        before[sha256(sample.payload).hexdigest()].append(sample)
    return root, before


def damage(kind: str, root: Path, draw: random.Random) -> str | None:
    """One damage; -> the name of the file, None where the corpus has nothing that it could be done to."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    if kind == "drop-file":
        path = draw.choice(files)
        path.unlink()
        return path.name
    tables = [path for path in files if path.suffix.lower() in TABLES and path.read_bytes().count(b"\n") > 2]
    if not tables:
        return None
    # the big table as often as the many small texts beside it
    path = draw.choice([draw.choice(tables), max(tables, key=lambda table: table.stat().st_size)])
    lines = path.read_bytes().decode("latin-1").split("\n")
    last = len(lines) - (not lines[-1])
    one, other = draw.sample(range(last), 2)
    if kind == "drop-line":
        del lines[one]
    elif kind == "swap":
        lines[one], lines[other] = lines[other], lines[one]
    else:
        lines.insert(draw.randrange(1, last), retold(lines[one], lines[other], draw))
    path.write_bytes("\n".join(lines).encode("latin-1"))
    return path.name


def retold(line: str, other: str, draw: random.Random) -> str:
    """The line once more, with one to three of its short fields taken from another line."""
    delimiter = max("\t|,; ", key=line.count)
    fields, others = line.split(delimiter), other.split(delimiter)
    if len(fields) != len(others):
        return line
    differ = [i for i, (a, b) in enumerate(zip(fields, others, strict=True)) if a != b and len(a) < 20 and len(b) < 20]
    for i in draw.sample(differ, min(len(differ), draw.randint(1, 3))):
        fields[i] = others[i]
    return delimiter.join(fields)


def conflicting(samples: list[Sample]) -> set[str]:
    rows = [
        {name: value for name, value in asdict(s).items() if name in SAMPLES.names}
        | {"sha256": sha256(s.payload).hexdigest(), "extra": list(s.extra.items())}
        for s in samples
    ]
    import pyarrow as pa

    fields = [SAMPLES.field(n) for n in ("sample_id", "modality", "subject_id", "emotion", "emotion_raw", "labels")]
    schema = pa.schema([*fields, SAMPLES.field("extra"), SAMPLES.field("sha256")])
    index = pa.Table.from_pylist([{n: row.get(n) for n in schema.names} for row in rows], schema=schema)
    return {i for c in find_conflicts(index) if c.kind == "conflicting_labels" for ids in c.what.values() for i in ids}


def judge(name: str, kind: str, file: str, before: dict[str, list[Sample]], root: Path) -> str:
    """What a damage came to. Fails where a payload comes with another label."""
    try:
        after = read(name, root)
    except CorpusError:
        return "refused"
    told: set[str] | None = None
    for sample in after:
        was = before.get(sha256(sample.payload).hexdigest())
        if was is None:
            continue  # a row's text, or a trial's cut, is another one now
        if any(holds_no_more(label_of(sample), label_of(s)) for s in was):
            if kind == "drop-line":
                assert ratings_of(sample) <= set().union(*(ratings_of(s) for s in was)), (file, sample.sample_id)
            continue
        told = conflicting(after) if told is None else told
        own = sample.modality == "text" or name in KEYLESS
        same = sample.sample_id in {s.sample_id for s in was} and name not in KEYLESS
        assert own and not same and sample.sample_id in told, (file, sample.sample_id, label_of(sample))
    return "read"


def damaged(name: str, whole: tuple[Path, dict[str, list[Sample]]], folder: Path, count: int) -> Iterator[str]:
    root, before = whole
    for kind in DAMAGES:
        for number in range(count):
            copy = folder / f"{kind}{number}"
            shutil.copytree(root, copy)
            file = damage(kind, copy, random.Random(f"{name} {kind} {number}"))
            if file is not None and not {(name, kind, file), (name, kind, "")} & UNSEEN:
                yield judge(name, kind, file, before, copy)
            shutil.rmtree(copy)


def test_no_payload_comes_with_another_label(
    name: str, whole: tuple[Path, dict[str, list[Sample]]], tmp_path: Path
) -> None:
    assert list(damaged(name, whole, tmp_path, FEW))


@pytest.mark.slow
def test_no_payload_comes_with_another_label_after_many_damages(
    name: str, whole: tuple[Path, dict[str, list[Sample]]], tmp_path: Path
) -> None:
    assert list(damaged(name, whole, tmp_path, MANY))
