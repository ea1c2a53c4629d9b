"""Labels that no card knows: counted, told with the nearest, and no class is lost without a word."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import CorpusError, PayloadError, UnknownLabelError
from corpora.readers import make_corpus
from corpora.records.files import rejected
from corpora.schema import REJECTS, SAMPLES, Reject, Sample
from corpora.store.atomic import write_json
from corpora.store.shards import read_table
from corpora.store.spill import Spill
from flows.stages.ingest.ingest import IngestPlaces, IngestSettings, ingest_corpus
from flows.stages.ingest.unknown_labels import HALF, MANY, Asked, judge_labels, listed, unknown_labels
from tests.flows.stages.report.test_report import make_run, page_of

CARD = """\
title: Lines
modality: text
license: CC0-1.0
label_map: {joy: happiness, glad: happiness, disgust: disgust, fear: fear, puzzled: null}
split_unit: payload
files: {layout: table, tables: lines.csv, columns: {text: text, label: mood}}
"""


def corpus(folder: Path, labels: dict[str, int], card: str = CARD) -> Path:
    """A table of lines, one a label, and the card beside its folder."""
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    rows = [f"line {i} of {label},{label}" for label, n in labels.items() for i in range(n)]
    (folder / "raw" / "lines.csv").write_text("text,mood\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (folder / "lines.yaml").write_text(card, encoding="utf-8")
    return folder


def ingest(folder: Path, **more: Any) -> tuple[dict[str, Any], list[str]]:
    """-> card.json of the ingested corpus and the lines that were told."""
    told: list[str] = []
    options: dict[str, Any] = {
        "reader": str(folder / "lines.yaml"),
        "shards": 1,
        "ratios": {"train": 0.6, "dev": 0.2, "test": 0.2},
        "split_seed": 0,
        "max_reject_share": 0.1,
    }
    settings = IngestSettings(**{k: v for k, v in (options | more).items() if k != "rejects_to"})
    places = IngestPlaces(folder / "raw", folder / "out", rejects_to=more.get("rejects_to"))
    ingest_corpus("mine", settings, places, tell=told.append)
    card: dict[str, Any] = json.loads((folder / "out" / "card.json").read_text(encoding="utf-8"))
    return card, told


def test_half_of_a_class_in_another_spelling_stops(tmp_path: Path) -> None:
    folder = corpus(tmp_path, {"joy": 150, "fear": 150, "disgust": 2, "DISGUST": 18})
    with pytest.raises(CorpusError) as error:
        ingest(folder)
    for says in (
        "a label that its card does not know: 'DISGUST' (18 of 20 samples of disgust would be lost; did you mean "
        "'disgust'?)",
        "label_map: {DISGUST: disgust}",
        "null in label_map leaves a label without a class on purpose",
        "ignore_case: true",
        "corpora.mine.on_unknown_label: reject",
    ):
        assert says in str(error.value)
    assert not (folder / "out").exists()
    with pytest.raises(CorpusError, match=r"label_map: \{Joy: happiness\}"):
        ingest(corpus(tmp_path, {"joy": 9, "Joy": 90}))


def test_a_slip_of_the_pen_is_a_reject_that_is_told(tmp_path: Path) -> None:
    card, told = ingest(corpus(tmp_path, {"joy": 150, "fear": 150, "hapy": 1, "faer": 1}))
    assert card["unknown_labels"] == [
        {"label": "faer", "count": 1, "nearest": "fear"},
        {"label": "hapy", "count": 1, "nearest": None},
    ]
    assert told[-2:] == [
        "mine: rejected, by reason: bad-label 2",
        "mine: unknown labels: 'faer' 1 (nearest: 'fear'), 'hapy' 1",
    ]
    rows = read_table(tmp_path / "out" / "rejects.parquet", REJECTS).to_pylist()
    assert [row["reason"] for row in rows] == ["bad-label"] * 2 and "label" not in rows[0]


def test_nothing_unknown_nothing_told(tmp_path: Path) -> None:
    card, told = ingest(corpus(tmp_path, {"joy": 10, "puzzled": 10}))
    assert card["unknown_labels"] == [] and told == ["mine: 20 samples, 0 rejected files"]
    # null is a label without a class on purpose: accepted, and counted
    assert card["n_without_class"] == 10
    index = read_table(tmp_path / "out" / "index.parquet", SAMPLES)
    assert index["emotion_raw"].to_pylist().count("puzzled") == 10


@pytest.mark.parametrize(
    ("labels", "stops"),
    [
        ({"joy": 400, "sleepy": 5}, True),  # a label of its own
        ({"joy": 300, "sleepy": 4}, True),  # 1 %
        ({"joy": 150, "sleepy": 2}, True),
        ({"joy": 900, "sleepy": 4}, False),
        ({"joy": 90, "sleepy": 1}, False),
        ({"joy": 400, "fear": 1, "Fear": 1}, True),  # half of fear
        ({"joy": 400, "fear": 2, "Fear": 1}, False),
        ({"joy": 400, "disgusted": 1}, True),  # the whole of disgust, by its nearest label
        ({"joy": 3, "glad": 400, "Joy": 4}, False),  # 4 of 407 of happiness
        ({"joy": 400, "puzzled": 3, "Puzzled": 3}, True),  # a label without a class is one of the corpus all the same
    ],
)
def test_what_stops(tmp_path: Path, labels: dict[str, int], stops: bool) -> None:
    folder = corpus(tmp_path, labels)
    reader = make_corpus(str(folder / "lines.yaml"))
    items = list(reader.read(folder / "raw", "mine"))
    unknown = unknown_labels(item for item in items if isinstance(item, Reject))
    kept = Counter(item.emotion_raw for item in items if isinstance(item, Sample))

    def judge() -> None:
        judge_labels(Asked("mine", folder, reader.card, True), unknown, n_read=len(items), by_label=kept)

    if stops:
        with pytest.raises(CorpusError, match="does not know"):
            judge()
    else:
        judge()


def test_the_share_of_rejects_stops_as_before(tmp_path: Path) -> None:
    folder = corpus(tmp_path, {"joy": 80, "sleepy": 20})
    with pytest.raises(CorpusError, match=r"20 of 100 files were rejected \(20%"):
        ingest(folder, on_unknown_label="reject")
    card, told = ingest(folder, on_unknown_label="reject", max_reject_share=0.3)  # the owner's word
    assert card["unknown_labels"] == [{"label": "sleepy", "count": 20, "nearest": None}]
    assert told[-1] == "mine: unknown labels: 'sleepy' 20"
    with pytest.raises(CorpusError, match="all 20 samples of it would be lost"):
        ingest(folder, max_reject_share=1.0)


def test_values_of_a_card_are_labels_too(tmp_path: Path) -> None:
    card = CARD.replace("label: mood}", "label: mood}, values: {label: {'1': joy, '2': fear}}")
    with pytest.raises(CorpusError, match=r"'3' \(all 6 samples of it would be lost\)"):
        ingest(corpus(tmp_path, {"1": 100, "2": 100, "3": 6}, card))


def test_a_reader_of_ours_stops_as_well(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    make_corpus("ravdess").fake(root, subjects=2, per_class={"neutral": 4, "anger": 8}, seed=1)
    first = sorted(root.rglob("*.wav"))[0]
    for number in range(6):
        parts = first.stem.split("-")
        shutil.copy(
            first, first.with_name("-".join([*parts[:2], "09", *parts[3:5], f"{number:02d}", parts[6]]) + ".wav")
        )
    with pytest.raises(
        CorpusError, match=r"its reader does not know: '09' .*Spell them as the corpus is published; or"
    ):
        ingest(tmp_path, reader="ravdess")


# -- in pieces


def made(counts: dict[str, int], nearest: str | None = None) -> list[Reject]:
    return [
        Reject("c", f"{label}{i}", "bad-label", label=label, nearest=nearest)
        for label, n in counts.items()
        for i in range(n)
    ]


def test_most_frequent_first() -> None:
    rejects = [*made({"b": 2, "a": 2, "c": 3}), Reject("c", "x", "too-short")]
    assert [one.label for one in unknown_labels(rejects)] == ["c", "a", "b"]
    assert listed(unknown_labels(rejects), most=2) == "'c' 3, 'a' 2, 1 more"


def test_an_error_that_names_a_label_becomes_a_reject_that_keeps_it() -> None:
    found = rejected("c", "x", UnknownLabelError("DISGUST", ["joy", "disgust"], "label"))
    assert (found.reason, found.label, found.nearest) == ("bad-label", "DISGUST", "disgust")
    assert found.detail == "label 'DISGUST'; known: joy, disgust"
    assert rejected("c", "x", PayloadError("empty", "nothing")).label is None
    assert rejected("c", "x", UnknownLabelError("29", map(str, range(28)), "id")).nearest is None


@pytest.mark.parametrize("label", ["\ud800joy", "a\nb", "x" * 300, "\0", "[red]", "\u2028", "é" * 50])
def test_any_text_can_be_an_unknown_label(label: str) -> None:
    found = rejected("c", "x", UnknownLabelError(label, ["joy"], "label"))
    assert found.label is not None and len(found.label) <= 90
    assert json.dumps(unknown_labels([found])[0].as_dict(), ensure_ascii=False).encode("utf-8")
    assert listed(unknown_labels([found])).isprintable() and found.detail.isprintable()


def test_a_spill_that_is_gone_on_with_knows_the_labels(tmp_path: Path) -> None:
    with_label, without = made({"DISGUST": 1}, "disgust")[0], Reject("c", "y", "too-short")
    first = Spill(tmp_path / "s", 1, "one")
    first.refuse(with_label, 0, "x")
    first.refuse(without, 1, "y")
    first.close()
    assert Spill(tmp_path / "s", 1, "one").rejects == [with_label, without]


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["JOY", "Glad", "dsigust", "xx"]), st.integers(1, 9), max_size=4),
    st.integers(0, 30),
)
def test_nothing_that_matters_passes(counts: dict[str, int], kept: int) -> None:
    from corpora.labels import nearest_label

    card = make_corpus("ravdess").card
    card = type(card)(
        **{f: getattr(card, f) for f in card.__dataclass_fields__}
        | {"label_map": {"joy": "happiness", "glad": "happiness", "disgust": "disgust"}}
    )
    labels = unknown_labels(
        [r for label, n in counts.items() for r in made({label: n}, nearest_label(label, card.label_map))]
    )
    happy, disgust = counts.get("JOY", 0) + counts.get("Glad", 0), counts.get("dsigust", 0)
    n_read = 2 * kept + sum(counts.values()) + 1000
    matters = (
        any(n >= MANY for n in counts.values())
        or (happy and happy >= HALF * (happy + kept))
        or (disgust and disgust >= HALF * (disgust + kept))
    )
    try:
        judge_labels(Asked("c", Path("r"), card, True), labels, n_read=n_read, by_label={"joy": kept, "disgust": kept})
    except CorpusError:
        assert matters
    else:
        assert not matters


def test_labels_that_the_card_does_not_know_are_shown(tmp_path: Path) -> None:
    own_run = make_run(tmp_path)
    assert "Labels that the card does not know" not in page_of(own_run)  # an older card.json names none
    path = own_run.parent.parent / "corpora" / "made_up" / "card.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    told["unknown_labels"] = [
        {"label": "DIS<GUST", "count": 4195, "nearest": "disgust"},
        {"label": "bored", "count": 2, "nearest": None},
    ]
    write_json(path, told)
    page = page_of(own_run)
    assert "Labels that the card does not know" in page
    assert "<td>DIS&lt;GUST</td><td>disgust</td>" in page and "<td>bored</td><td>none</td>" in page
