"""Views of a run: made at ingest or on demand, over one corpus or several, with the leaks between them found."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from corpora.errors import LeakError, ParamsError, SplitError
from corpora.readers import make_corpus
from corpora.schema import SAMPLES
from corpora.store.shards import read_table
from flows.artifacts.base import Described
from flows.artifacts.prepared import Prepared
from flows.params import RunParams, load_params
from flows.paths import Layout
from flows.stages.ingest.ingest import IngestPlaces, IngestSettings, ingest_corpus
from flows.stages.plan.plan import prepare_steps
from flows.stages.plan.plans import NoCompute, PreparePlan
from flows.stages.prepare.prepare import choose_view, load_indexes
from flows.stages.release import what_was_seen

RATIOS = {"train": 0.6, "dev": 0.2, "test": 0.2}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Corpora a and b; b holds two recordings of a, once softer and once as it is."""
    root = tmp_path_factory.mktemp("views")
    layout = Layout(root)
    options: dict[str, Any] = {"shards": 3, "ratios": RATIOS, "split_seed": 0, "max_reject_share": 0.1}
    for name, seed in (("a", 1), ("b", 2)):
        make_corpus("ravdess").fake(root / "raw" / name, subjects=6, per_class={"neutral": 12, "anger": 18}, seed=seed)
    files = {name: sorted((root / "raw" / name).rglob("*.wav")) for name in "ab"}
    signal, rate_hz = soundfile.read(files["a"][0], dtype="float32")
    softer = io.BytesIO()
    soundfile.write(softer, signal * np.float32(0.4), rate_hz, format="WAV", subtype="PCM_16")
    files["b"][0].write_bytes(softer.getvalue())
    files["b"][1].write_bytes(files["a"][1].read_bytes())
    for name in "ab":
        settings = IngestSettings("ravdess", **options)
        ingest_corpus(name, settings, IngestPlaces(root / "raw" / name, layout.corpus(name)))
    return layout


def chosen(layout: Layout, view: Any, corpora: list[str], **on_leak: str) -> tuple[dict[str, str], dict[Any, Any], int]:
    run = RunParams.model_validate(
        {
            "corpora": corpora,
            "view": view,
            "on_leak": on_leak,
            "representation": {"name": "world"},
            "generator": {"name": "cvae"},
        }
    )
    steps = prepare_steps("r", run, "speech")
    plan = PreparePlan(
        run="r",
        modality="speech",
        corpora={},
        code={},
        compute=NoCompute(),
        corpus_names=tuple(corpora),
        scheme=run.scheme,
        view=run.view,
        on_leak=run.on_leak,
        representation=run.representation,
        shards=run.shards,
        seed=run.seed,
        steps=steps,
        described=Described.model_validate({"version": steps.VERSION, "steps": steps.described()}),
        max_reject_share=0.5,
        loads={},
        worker_code="",
    )
    splits, findings, dropped = choose_view(plan, layout, load_indexes(plan, layout))
    return splits, {(f.kind, f.splits): f for f in findings}, dropped.num_rows


def test_a_view_that_ingest_did_not_make_is_made_for_the_run(layout: Layout) -> None:
    splits, findings, dropped = chosen(layout, {"strategy": "kfold", "k": 3, "fold": 2}, ["a"])
    assert len(splits) == 30 and set(splits.values()) == {"train", "test"} and dropped == 0 and findings == {}
    assert chosen(layout, "group-k3-fold2", ["a"])[0] == splits
    whole, pruned = chosen(layout, "group", ["a"])[0], chosen(layout, "group-prune-anger50", ["a"])[0]
    assert set(pruned.items()) < set(whole.items())
    assert {whole[i] for i in set(whole) - set(pruned)} == {"train"}


def test_leaving_a_corpus_out_finds_what_it_shares_with_the_others(layout: Layout) -> None:
    index = {n: read_table(layout.corpus(n) / "index.parquet", SAMPLES)["sample_id"].to_pylist() for n in "ab"}
    splits, findings, dropped = chosen(layout, "leave-corpus-b", ["a", "b"])
    assert {i for i, s in splits.items() if s == "test"} == set(index["b"])
    assert findings["repeats", ("train", "test")].counts["keys"] == 1
    assert findings["near", ("train", "test")].counts == {"keys": 1, "train": 1, "test": 1}
    assert dropped == 2 and len(splits) == 58
    with pytest.raises(LeakError, match="near in train and test: 1"):
        chosen(layout, "leave-corpus-b", ["a", "b"], near="fail")
    with pytest.raises(SplitError, match="only one corpus"):
        chosen(layout, "leave-corpus-a", ["a"])


def test_moving_a_near_copy_takes_its_speaker_along(layout: Layout) -> None:
    splits, findings, _ = chosen(layout, "leave-corpus-b", ["a", "b"], near="move")
    (pair,) = findings["near", ("train", "test")].pairs
    table = read_table(layout.corpus("b") / "index.parquet", SAMPLES)
    group = dict(zip(table["sample_id"].to_pylist(), table["group_id"].to_pylist(), strict=True))
    speaker = {i for i, g in group.items() if g == group[pair[1]]}
    assert {splits.get(i, "dropped") for i in speaker} == {"train", "dropped"}  # the repeat is of the same speaker
    assert sum(i not in splits for i in speaker) == 1
    assert {splits[i] for i in set(group) - speaker} == {"test"}


def test_unknown_views_are_errors_of_params(tmp_path: Path) -> None:
    text = """
corpora: {a: {reader: fer2013}}
runs: {a: {corpora: [a], view: VIEW, representation: {name: pixels}, generator: {name: cvae}}}
"""
    for view, why in (
        ("grupo", "no view 'grupo'"),
        ("{strategy: kfold, k: 5}", "needs fold and k"),
        ("7", "expected a name"),
    ):
        (tmp_path / "params.yaml").write_text(text.replace("VIEW", view))
        with pytest.raises(ParamsError, match=rf"runs\.a\.view.*{why}"):
            load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text(text.replace("VIEW", "{strategy: kfold, k: 5, fold: 3}"))
    assert load_params(tmp_path / "params.yaml").run("a").view == "group-k5-fold3"


def test_what_was_seen_is_read_from_the_files_that_were_learnt_from(tmp_path: Path) -> None:
    import pyarrow as pa

    from corpora.schema import Sample
    from corpora.store.shards import write_shards, write_table
    from flows.records import ARRAYS

    samples = [Sample(f"c/{i}", "c", "face", b"x%d" % i, "png", "CC0-1.0", f"g{i}") for i in range(4)]
    real = pa.concat_tables(
        write_shards(part, tmp_path, 1, f"shards/{split}-real")
        for split, part in (("train", samples[:2]), ("test", samples[2:]))
    )
    write_table(tmp_path / "arrays.parquet", pa.table({"sample_id": ["c/0"], "row": [0]}, schema=ARRAYS))
    made = Sample("syn/1", "c", "face", b"y", "png", "CC0-1.0", "g1", generator_id="g", seed=1, sources={"from": "c/1"})
    write_table(tmp_path / "index.parquet", real)
    seen = what_was_seen(Prepared.open(tmp_path), write_shards([made], tmp_path, 1, "synthetic"))
    assert seen["generator"] == ["c/0"] and seen["sources of synthetic samples"] == ["c/1"]
    assert sorted(seen["gates and judges"]) == ["c/0", "c/1"]
