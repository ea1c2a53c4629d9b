"""The table "You change X, this reruns" of docs/architecture.md, line by line.

A stage runs again when its JSON (data/readers/<corpus>.json, data/runs/<run>/plan/<stage>.json) or what comes before it
changed: so plans are compared, with the source of modules edited in memory. What is found again in the work store is
counted in real runs of a tiny corpus.
"""

from __future__ import annotations

import copy
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from corpora.schema import SAMPLES
from corpora.store.shards import iter_payloads, read_table
from features.faces.pixels import PixelRepresentation
from features.faces.prepare import PrepareFaces
from flows.artifacts.prepared import Prepared
from flows.engine.store import WorkStore
from flows.params import load_params
from flows.paths import Layout
from flows.stages.augment import batches, sampler
from flows.stages.augment.batches import SEEN
from flows.stages.augment.gating import gate_key, reference_hash
from flows.stages.augment.originals import originals_key
from flows.stages.augment.sampler import samples_key, scores_key
from flows.stages.fit.model_file import generator_id
from flows.stages.ingest.reader import reader_of
from flows.stages.plan import code
from flows.stages.plan.plan import make_plans
from flows.stages.plan.plans import AugmentCompute, AugmentPlan
from flows.stages.run import run_stage
from generators.conversion import Transfer
from generators.generator import Condition, Draw

Change = Callable[[dict[str, Any]], None]
PARAMS: dict[str, Any] = {
    "numerics": {"draw_list": 4, "fit_threads": 1},
    "demo": {"tiny": {"reader": "fer2013", "subjects": 0, "seed": 1, "per_class": {"happiness": 30, "anger": 24}}},
    "corpora": {"tiny": {"reader": "fer2013", "shards": 2}},
    "runs": {
        "tiny": {
            "corpora": ["tiny"],
            "seed": 3,
            "representation": {"name": "pixels", "size": 16},
            "generator": {"name": "transfer"},
            "gates": {
                "validity": {"limit": {"absolute": -1000.0}},
                "copies": {"limit": {"absolute": 0.0}},
                "support": {"limit": {"absolute": 1000.0}, "params": {"k": 3}},
                "kid": {"params": {"embedding": "hog", "dims": 8}},
            },
            "policy": {"on_fail": "flag"},
            "shards": 2,
        }
    },
}


def write(folder: Path, params: dict[str, Any]) -> Layout:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    return Layout(folder)


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reruns")
    write(folder, PARAMS)
    for verb in ("fake", "ingest"):
        run_stage(verb, "tiny", repo=folder)
    return folder


@pytest.fixture
def folder(ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    shutil.copytree(ingested, tmp_path / "p")
    return tmp_path / "p"


def dependencies(folder: Path, change: Change | None = None) -> dict[str, Any]:
    """Stage -> what DVC compares of it, outs of the stages before it aside."""
    params = copy.deepcopy(PARAMS)
    params["runs"]["tiny"]["gates"]["agreement"] = {}  # planned here, fitted nowhere
    if change is not None:
        change(params)
    layout = write(folder, params)
    parsed = load_params(layout.params)
    plans: dict[str, Any] = {plan.stage: plan.key for plan in make_plans(parsed, layout, "tiny")}
    return {"ingest": (reader_of("tiny", parsed.corpus("tiny"), layout), parsed.corpus("tiny")), **plans}


@pytest.fixture(scope="module")
def before(ingested: Path) -> dict[str, Any]:
    return dependencies(ingested)


def of_run(**changes: Any) -> Change:
    return lambda params: params["runs"]["tiny"].update(copy.deepcopy(changes))


def of_gate(name: str, **changes: Any) -> Change:
    return lambda params: params["runs"]["tiny"]["gates"][name].update(changes)


def of_numerics(**changes: Any) -> Change:
    return lambda params: params["numerics"].update(changes)


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        (of_run(view="group-k3-fold1"), "prepare release"),
        (of_run(scheme="ekman6"), "prepare release"),
        (of_run(on_leak={"repeats": "waive"}), "prepare release"),
        (of_gate("agreement", limit={"absolute": 0.3}), "augment release"),
        (of_gate("agreement", params={"trees": 50}), "augment release"),
        (of_gate("support", limit={"absolute": 5.0}), "augment evaluate release"),  # which tests it on planted defects
        (of_gate("kid", limit={"absolute": 5.0}), "evaluate release"),
        (of_gate("kid", params={"embedding": "hog", "dims": 4}), "evaluate release"),
        (of_run(generator={"name": "transfer", "params": {"strength": 1.5}}), "fit release"),
        (of_run(target={"policy": "tail", "fraction": 0.7}), "augment release"),
        (of_run(policy={"on_fail": "block"}), "release"),
        (of_run(evaluation={"bootstrap": 200}), "evaluate release"),
        (of_run(representation={"name": "pixels", "size": 24}), "prepare fit augment release"),
        (of_numerics(draw_list=8), "augment release"),
        (of_numerics(sample_threads=2), "augment release"),
        (of_numerics(fit_threads=2), "fit augment evaluate release"),
    ],
)
def test_params(ingested: Path, before: dict[str, Any], change: Change, stages: str) -> None:
    after = dependencies(ingested, change)
    assert " ".join(stage for stage in before if before[stage] != after[stage]) == stages


ALL = "ingest prepare fit augment evaluate release report"
EDITS: dict[str, Callable[[bytes], bytes]] = {
    "comment": lambda text: text.replace(b"\nimport", b"\n# a word about it\nimport", 1) + b"\n# and one more\n",
    "docstring": lambda text: re.sub(rb'\A"""', b'"""Once more, in other words. ', text, count=1),
    "format": lambda text: text.replace(b"    return ", b"    return  ") + b"\n\n\n",
    "code": lambda text: text + b"\nEDITED = 1\n",
}


def test_comments_docstrings_and_formatting_rerun_nothing(
    ingested: Path, before: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, changed = code.source_of, Counter[str]()

    def edited(module: str) -> bytes:
        text = source(module)
        for how in ("comment", "docstring", "format"):
            changed[how] += EDITS[how](text) != text
            text = EDITS[how](text)
        return text

    monkeypatch.setattr(code, "source_of", edited)
    assert dependencies(ingested) == before and min(changed.values()) > 50, "every module of every stage was edited"


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("corpora.readers.faces.fer2013", "ingest"),
        ("corpora.readers.faces.expw", ""),
        ("corpora.near.images", "ingest prepare"),
        ("features.faces.prepare", "prepare"),
        ("features.speech.prepare", ""),
        ("features.faces.pixels", "prepare fit augment"),
        ("generators.conversion", "fit augment"),
        ("generators.autoencoders.vae", ""),
        ("flows.stages.fit.monitor", "fit"),
        ("training.loop", "fit augment evaluate"),
        ("validators.gates.copies", "augment evaluate"),
        ("flows.stages.augment.rounds", "augment"),
        ("flows.stages.prepare.writer", "prepare"),
        ("flows.engine.pool", ""),
    ],
)
def test_code(
    ingested: Path, before: dict[str, Any], module: str, stages: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = code.source_of
    monkeypatch.setattr(code, "source_of", lambda m: EDITS["code"](source(m)) if m == module else source(m))
    after = dependencies(ingested)
    rerun = [stage for stage in before if before[stage] != after[stage]]
    assert set(stages.split()) <= set(rerun), f"{module}: {rerun}"
    spared = {"": ALL.split(), "ingest": ALL.split()[1:]}.get(stages, [s for s in ("ingest",) if s not in stages])
    assert not set(spared) & set(rerun), f"{module}: {rerun}"
    if stages in ("prepare", "fit"):
        assert rerun == [stages]


# ---------------------------------------------------------------- what is found again


class Counted:
    """How often payloads were prepared, encoded and drawn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: Counter[str] = Counter()
        for kind, method, of in (
            (PrepareFaces, "__call__", lambda args: 1),
            (PixelRepresentation, "encode", lambda args: 1),
            (Transfer, "sample", lambda args: len(args[1])),
        ):
            self._watch(monkeypatch, kind, method, of)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, kind: type, method: str, of: Callable[[Any], int]) -> None:
        whole = getattr(kind, method)

        def counting(*args: Any, **kwargs: Any) -> Any:
            self.counts[kind.__name__] += of(args)
            return whole(*args, **kwargs)

        monkeypatch.setattr(kind, method, counting)

    def taken(self) -> tuple[int, int, int]:
        """(prepared, encoded, drawn) since the last time."""
        names = ("PrepareFaces", "PixelRepresentation", "Transfer")
        values = tuple(self.counts[name] for name in names)
        self.counts.clear()
        return values[0], values[1], values[2]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def stages(folder: Path, change: Change | None = None, *, verbs: str) -> None:
    params = copy.deepcopy(PARAMS)
    if change is not None:
        change(params)
    write(folder, params)
    for verb in verbs.split():
        run_stage(verb, "tiny", repo=folder)


def prepared_payloads(folder: Path) -> dict[str, bytes]:
    prepared = folder / "data/runs/tiny/prepared"
    table = read_table(prepared / "index.parquet", SAMPLES)
    return {row["sample_id"]: payload for row, payload in iter_payloads(prepared, table)}


def one_more_picture(folder: Path) -> None:
    (path,) = (folder / "data/raw/tiny").rglob("*.csv")
    lines = path.read_text().splitlines()
    header = lines[0].split(",")
    pixels = np.random.default_rng(5).integers(0, 255, 48 * 48)
    values = {"emotion": "3", "pixels": " ".join(map(str, pixels)), "Usage": "Training"}
    path.write_text("\n".join([*lines, ",".join(values[name] for name in header)]) + "\n")


def test_each_payload_is_prepared_and_encoded_once_whatever_the_view(folder: Path, counted: Counted) -> None:
    n = len({r["sha256"] for r in read_table(folder / "data/corpora/tiny/index.parquet", SAMPLES).to_pylist()})
    seen: dict[str, bytes] = {}
    total = Counter[str]()
    changes = [
        of_run(view=f"group-k3-fold{fold}{cut}", seed=fold) for fold in (1, 2, 3) for cut in ("", "-prune-anger50")
    ]
    changes += [of_run(scheme="ekman6"), of_run(on_leak={"near": "waive"}), of_run(view="official", shards=3)]
    for change in changes:
        stages(folder, change, verbs="plan prepare")
        prepared, encoded, _ = counted.taken()
        total.update(prepared=prepared, encoded=encoded)
        for sample_id, payload in prepared_payloads(folder).items():
            assert seen.setdefault(sample_id, payload) == payload
    assert total == {"prepared": n, "encoded": n} and len(changes) == 9

    one_more_picture(folder)
    stages(folder, verbs="ingest plan prepare")
    payloads = prepared_payloads(folder)
    assert counted.taken()[:2] == (1, 1) and len(payloads.keys() - seen.keys()) == 1
    stages(folder, of_run(representation={"name": "pixels", "size": 24}), verbs="plan prepare")
    assert counted.taken()[:2] == (len(payloads), len(payloads)), "other arrays are made anew"


def test_nothing_that_is_written_depends_on_who_shares_a_pack(folder: Path, tmp_path: Path) -> None:
    """What a second view finds in packs of the first, and in one of its own, is what it would have made alone."""
    alone = tmp_path / "alone"
    shutil.copytree(folder, alone)
    stages(folder, of_run(view="group-k3-fold1-prune-anger30"), verbs="plan prepare")
    for where in (folder, alone):
        stages(where, verbs="plan prepare")
    names = {w: {p.relative_to(w): p.read_bytes() for p in (w / "data/runs").rglob("*.*")} for w in (folder, alone)}
    assert names[folder] == names[alone] and len(names[alone]) > 8
    packs = [len(WorkStore(w / ".emoforge/store").keys("prepared")) for w in (folder, alone)]
    assert packs[0] > packs[1], "they did lie in other packs"


def sample_ids(folder: Path) -> list[str]:
    scores = folder / "data/runs/tiny/augmented/scores.parquet"
    return sorted(pq.read_table(scores)["sample_id"].to_pylist())


UPTO_AUGMENT = "plan prepare fit augment"


def test_samples_keep_their_names_and_are_drawn_once(
    folder: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = code.source_of
    edits: dict[str, Callable[[bytes], bytes]] = {}
    monkeypatch.setattr(code, "source_of", lambda m: edits[m](source(m)) if m in edits else source(m))
    stages(folder, verbs=UPTO_AUGMENT)
    ids, drawn = sample_ids(folder), counted.taken()[2]
    assert drawn > 0 and len({i.split("/")[1] for i in ids}) == 1
    kept = WorkStore(folder / ".emoforge/store").keys("sources")
    assert kept == [originals_key(Prepared(folder / "data/runs/tiny/prepared"), edited=True)]  # pictures are edited
    gates = folder / ".emoforge/store/gates"

    def again(change: Change | None = None) -> int:
        stages(folder, change, verbs=UPTO_AUGMENT)
        return counted.taken()[2]

    edits["corpora.readers.faces.fer2013"] = EDITS["comment"]
    for module in ("flows.stages.fit.monitor", "flows.stages.fit.fit", "training.loop"):
        edits[module] = EDITS["code"]
    edits["flows.stages.augment.rounds"] = edits["flows.stages.prepare.prepare"] = EDITS["code"]
    assert again() == 0 and sample_ids(folder) == ids
    fitted = sorted(path.name for path in gates.rglob("*.item"))
    assert again(of_gate("support", limit={"absolute": 999.0})) == 0 and sample_ids(folder) == ids
    assert sorted(path.name for path in gates.rglob("*.item")) == fitted, "a limit fits no gate again"
    assert again(of_gate("support", params={"k": 7})) == 0 and sample_ids(folder) == ids
    assert len(list(gates.rglob("*.item"))) == len(fitted) + 1, "a parameter fits its own gate again"
    edits["generators.normalise"] = EDITS["code"]
    assert again() == drawn and not set(sample_ids(folder)) & set(ids), "other code draws other samples"
    before = sample_ids(folder)
    more = {"name": "transfer", "params": {"strength": 1.5}}
    assert again(of_run(generator=more)) > 0 and not set(sample_ids(folder)) & set(before)


def test_a_generator_is_named_by_what_draws() -> None:
    described = {
        "generator": "cvae",
        "params": {"width": 8},
        "representation": {"name": "pixels"},
        "classes": ["anger"],
        "files": {"config.json": "0", "model.safetensors": "1"},
        "sha256": "2",
    }
    name = generator_id(described, "code", {})
    assert len(name) == 20 and generator_id(described | {"sha256": "3", "note": "x"}, "code", {}) == name
    for part in ("generator", "params", "representation", "classes", "files"):
        assert generator_id(described | {part: "other"}, "code", {}) != name
    assert generator_id(described, "other", {}) != name != generator_id(described, "code", {"path:m": "0"})


def test_a_list_of_samples_is_named_by_what_changes_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = {"device": "cpu", "dtype": "float32", "compile": False, "fit_threads": 1, "sample_threads": 1}
    draws = [Draw(Condition("anger"), seed) for seed in range(4)]

    def key(of: list[Draw] = draws, sources: tuple[str, ...] = ("0",), **changes: Any) -> str:
        compute = AugmentCompute.model_validate(usual | {"draw_list": 4} | changes)
        return samples_key("g", of, sources, compute)

    first = key()
    assert key(fit_threads=8) == key(draw_list=64) == first, "how gates are fitted, and what the list itself says"
    others = [key(device="cuda"), key(dtype="bfloat16"), key(compile=True), key(sample_threads=2)]
    others += [key(draws[:2]), key(sources=("1",))]
    monkeypatch.setattr(sampler, "SAMPLES_FORM", sampler.SAMPLES_FORM + 1)
    assert len({first, key(), *others}) == 8
    scores = scores_key("s", "g")
    monkeypatch.setattr(sampler, "SCORES_FORM", sampler.SCORES_FORM + 1)
    assert scores_key("s", "g") != scores


def test_what_conversions_start_from_is_named_by_the_arrays_and_their_ids(folder: Path) -> None:
    stages(folder, verbs="plan prepare")
    prepared = folder / "data/runs/tiny/prepared"
    key = originals_key(Prepared(prepared), edited=False)
    for name in ("summary.json", "index.parquet", "rejects.parquet"):
        (prepared / name).write_bytes(b"something else")
    assert originals_key(Prepared(prepared), edited=False) == key
    for name in ("arrays.npy", "arrays.parquet"):
        (prepared / name).write_bytes((prepared / name).read_bytes() + b"0")
        assert key != (key := originals_key(Prepared(prepared), edited=False))


def test_a_fitted_gate_is_keyed_by_its_reference_rows(folder: Path) -> None:
    stages(folder, verbs="plan prepare")
    layout, run = Layout(folder), folder / "data/runs/tiny/prepared"
    plan = AugmentPlan.read(layout, "tiny")
    prepared = Prepared.open(run)
    summary = prepared.summary()
    known = frozenset({"a"})
    key = gate_key(plan, "support", reference_hash(prepared, summary, "train", known))
    for name in ("rejects.parquet", "summary.json", "before.parquet", "splits.parquet"):
        (run / name).write_bytes(b"something else")
    assert gate_key(plan, "support", reference_hash(prepared, summary, "train", known)) == key
    assert reference_hash(prepared, summary, "train", known) != reference_hash(prepared, summary, "dev", known)
    assert reference_hash(prepared, summary, "train", known) != reference_hash(prepared, summary, "train", frozenset())
    table = read_table(run / "index.parquet", SAMPLES)
    for column, seen in (
        ("age", False),
        ("session_id", False),
        ("license", False),
        ("emotion", True),
        ("group_id", True),
    ):
        at = table.schema.get_field_index(column)
        kind = table.schema.field(at).type
        other = pa.array([7.0 if pa.types.is_floating(kind) else "other"] * table.num_rows).cast(kind)
        pq.write_table(table.set_column(at, table.schema.field(at), other), run / "index.parquet")
        assert (gate_key(plan, "support", reference_hash(prepared, summary, "train", known)) != key) == seen, column


def test_the_key_of_a_gate_holds_every_column_that_reaches_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages(folder, verbs="plan prepare")
    run = folder / "data/runs/tiny/prepared"
    read: set[str] = set()

    class Watched(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            read.add(name)
            return super().__getitem__(name)

        def get(self, name: str, default: Any = None) -> Any:
            read.add(name)
            return super().get(name, default)

    def watching(folder: Path, table: pa.Table, columns: Sequence[str]) -> Iterator[tuple[dict[str, Any], bytes]]:
        assert set(columns) == {*SEEN, "labels"}, "what no gate sees is not decoded"
        return ((Watched(row), payload) for row, payload in iter_payloads(folder, table, columns))

    monkeypatch.setattr(batches, "iter_payloads", watching)
    batches.batch_from_table(run, read_table(run / "index.parquet", SAMPLES), batches.Form("face"))
    assert read <= set(SEEN) and set(SEEN) - read <= {"signals"}, "signals are of physio"


CARD = """
title: Lines
modality: text
license: CC0-1.0
label_map: {glad: happiness, cross: anger}
files: {layout: table, tables: lines.csv, columns: {text: text, label: label}}
"""


def test_a_new_column_in_a_table_of_the_raw_corpus_reruns_ingest_alone(tmp_path: Path) -> None:
    params = {
        "corpora": {"tiny": {"reader": "data/cards/lines.yaml", "shards": 1}},
        "runs": {"tiny": {"corpora": ["tiny"], "shards": 1}},
    }
    layout, raw = write(tmp_path, params), tmp_path / "data/raw/tiny"
    for place in (raw, tmp_path / "data/cards"):
        place.mkdir(parents=True)
    (tmp_path / "data/cards/lines.yaml").write_text(CARD, encoding="utf-8")
    lines = [f"line number {i} of them,{'glad' if i % 2 else 'cross'}" for i in range(20)]

    def plans(*extra: str) -> dict[str, str]:
        header = ",".join(["text", "label", *extra])
        rows = [line + f",{n}" * len(extra) for n, line in enumerate(lines)]
        (raw / "lines.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        run_stage("ingest", "tiny", repo=tmp_path)
        return {plan.stage: plan.key for plan in make_plans(load_params(layout.params), layout, "tiny")}

    before = plans()
    assert plans("noted") == before, "payloads and records are what they were"
    lines[0] = "another line,glad"
    assert plans("noted") != before
