"""The stage `reader`: a corpus depends on its own card and reader, and on nobody else's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import CorpusError, UnknownNameError
from flows.paths import Layout
from flows.stages.ingest.reader import is_unchanged
from flows.stages.ingest.retracted import Retraction, retraction_key, write_retraction
from flows.stages.plan import code
from flows.stages.run import run_stage

CARD = """
title: Lab
modality: {modality}
license: CC0-1.0
label_map: {{glad: happiness, cross: anger}}
files: {files}
"""
FOLDER = CARD.format(modality="face", files="{layout: folder}")
TABLE = CARD.format(modality="text", files="{layout: table, tables: t.csv, columns: {text: text, label: label}}")
PARAMS = """
corpora:
  coded: {reader: ravdess}
  shipped: {reader: SHIPPED}
  one: {reader: data/cards/one.yaml}
  two: {reader: table, options: {card: data/cards/two.yaml}}
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    from corpora.readers import card_names

    (tmp_path / "params.yaml").write_text(PARAMS.replace("SHIPPED", card_names()[0]))
    cards = tmp_path / "data" / "cards"
    cards.mkdir(parents=True)
    (cards / "one.yaml").write_text(FOLDER)
    (cards / "two.yaml").write_text(TABLE)
    for name in ("coded", "shipped", "one", "two"):
        run_stage("reader", name, repo=tmp_path)
    return Layout(tmp_path)


def there(layout: Layout) -> dict[str, bytes]:
    return {name: layout.reader(name).read_bytes() for name in ("coded", "shipped", "one", "two")}


def again(layout: Layout) -> dict[str, bytes]:
    for name in ("coded", "shipped", "one", "two"):
        run_stage("reader", name, repo=layout.repo)
    return there(layout)


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_another_card_changes_nobody_and_an_edited_one_its_own_corpus(layout: Layout) -> None:
    before = there(layout)
    cards = layout.repo / "data" / "cards"
    (cards / "three.yaml").write_text(FOLDER)
    assert all(is_unchanged(layout, name) for name in before) and again(layout) == before
    (cards / "two.yaml").write_text(TABLE + "# an edit\n")
    assert [is_unchanged(layout, name) for name in before] == [True, True, True, False]
    assert changed(before, again(layout)) == {"two"}
    (cards / "one.yaml").unlink()
    with pytest.raises(CorpusError, match=r"one\.yaml"):
        run_stage("reader", "one", repo=layout.repo)


def test_an_edited_reader_changes_the_corpora_that_it_reads(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    before, source = there(layout), code.source_of

    def edited(*modules: str) -> set[str]:
        monkeypatch.setattr(code, "source_of", lambda m: source(m) + b"\nEDITED = 1\n" * (m in modules))
        return changed(before, again(layout))

    assert edited("corpora.readers.speech.cafe") == set()
    assert edited("corpora.readers.speech.ravdess") == {"coded"}
    assert edited("corpora.readers.layouts.table") == {"two"}
    assert "one" in edited("corpora.readers.layouts.folder") and "two" not in edited("corpora.readers.layouts.folder")
    network = "generators.autoencoders.vae"
    assert edited("corpora.near.audio", network) == set(before), "what ingest itself does, for everybody"
    assert edited(network, "flows.stages.fit.fit") == set()
    assert edited("corpora.readers.fakes.voice", "corpora.readers.described.fake") == set(), "what writes made-up ones"


def test_a_retraction_concerns_its_corpus_and_those_with_copies(layout: Layout) -> None:
    before = there(layout)
    one = Retraction(corpus="coded", of="subject", key=retraction_key("subject", "coded:01"), date="2026-11-30")
    write_retraction(layout, one)
    assert [is_unchanged(layout, name) for name in before] == [False, True, True, True]
    assert changed(before, again(layout)) == {"coded"}
    with_copies = one.model_copy(
        update={"near": {"two": (retraction_key("sample", "two/7"),)}, "payloads": ("ab" * 32,)}
    )
    write_retraction(layout, with_copies)
    assert changed(before, again(layout)) == {"coded", "two"}
    assert json.loads(layout.reader("two").read_bytes())["retracted"] == sorted([*with_copies.near["two"], "ab" * 32])


def test_options_and_names_are_checked_before_anything_is_read(layout: Layout) -> None:
    params = (layout.repo / "params.yaml").read_text()
    (layout.repo / "params.yaml").write_text(params.replace("{reader: ravdess}", "{reader: ravdes}"))
    with pytest.raises(UnknownNameError, match="ravdess"):
        run_stage("reader", "coded", repo=layout.repo)
    with pytest.raises(UnknownNameError, match="corpus"):
        run_stage("reader", "nobody", repo=layout.repo)
    assert not layout.reader("nobody").exists()


def test_what_is_missing_or_damaged_is_written_again(layout: Layout) -> None:
    before = there(layout)
    layout.reader("one").unlink()
    layout.reader("two").write_text("{")
    assert not is_unchanged(layout, "one") and not is_unchanged(layout, "two")
    assert again(layout) == before
    told: dict[str, Any] = json.loads(before["two"])
    assert told["card_sha256"] and json.loads(before["coded"])["card_sha256"] is None
