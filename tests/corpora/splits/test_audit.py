from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from corpora.errors import LeakError, UnknownNameError
from corpora.near.pairs import FINGERPRINTS, NEAR, near_pairs, write_fingerprints
from corpora.readers import make_corpus
from corpora.schema import SAMPLES, SPLITS, Sample
from corpora.splits.audit import DEFAULT_POLICY, DROPPED, Finding, apply_on_leak, audit_fitted, audit_view
from corpora.splits.splits import group_view, official_view
from corpora.store.shards import read_table, write_shards

# id: (group, subject, payload hash, split)
ROWS = {
    "c/1": ("g1", "s1", "h1", "train"),
    "c/2": ("g1", "s1", "h2", "train"),
    "c/3": ("g1", "s1", "h3", "test"),  # g1 in two splits
    "c/4": ("g2", "s2", "h4", "train"),
    "c/5": ("g3", "s2", "h5", "dev"),  # s2 in two splits
    "c/6": ("g4", "s4", "hX", "train"),  # one payload in three splits
    "c/7": ("g5", "s5", "hX", "dev"),
    "c/8": ("g6", "s6", "hX", "test"),
    "c/9": ("g7", "s7", "hY", "train"),  # one payload twice in train
    "c/91": ("g7", "s7", "hY", "train"),
}


def tables(rows: dict[str, tuple[str, str | None, str, str]]) -> tuple[pa.Table, pa.Table]:
    columns = {
        "sample_id": list(rows),
        "recording_id": list(rows),
        "group_id": [r[0] for r in rows.values()],
        "subject_id": [r[1] for r in rows.values()],
        "sha256": [r[2] for r in rows.values()],
    }
    empty = {pa.string(): "", pa.int64(): 0}
    index = pa.Table.from_pydict(
        {f.name: columns.get(f.name, [None if f.nullable else empty[f.type]] * len(rows)) for f in SAMPLES},
        schema=SAMPLES,
    )
    view = {"view": ["v"] * len(rows), "sample_id": list(rows), "split": [r[3] for r in rows.values()]}
    return index, pa.Table.from_pydict(view, schema=SPLITS)


def found(rows: dict[str, tuple[str, str | None, str, str]] = ROWS) -> tuple[pa.Table, list[Finding]]:
    index, view = tables(rows)
    return view, audit_view(index, view)


def kept(view: pa.Table) -> dict[str, str]:
    return dict(zip(view["sample_id"].to_pylist(), view["split"].to_pylist(), strict=True))


WAIVE = dict.fromkeys(DEFAULT_POLICY, "waive")


def near_of(*pairs: tuple[str, str]) -> pa.Table:
    rows = [{"first": min(p), "second": max(p), "similarity": 0.95} for p in pairs]
    return pa.Table.from_pylist(rows, schema=NEAR)


def test_every_leak_is_found_once_with_all_its_pairs() -> None:
    _, findings = found()
    told = {(f.kind, f.splits): f for f in findings}
    assert set(told) == {
        ("repeats", ("train", "dev")),
        ("repeats", ("train", "test")),
        ("repeats", ("dev", "test")),
        ("repeats_within", ("train",)),
        ("split_unit", ("train", "test")),
        ("subject", ("train", "dev")),
        ("subject", ("train", "test")),
    }
    assert told["split_unit", ("train", "test")].pairs == [("c/1", "c/3"), ("c/2", "c/3")]
    assert told["split_unit", ("train", "test")].counts == {"keys": 1, "train": 2, "test": 1}
    assert told["repeats", ("dev", "test")].pairs == [("c/7", "c/8")]
    assert told["repeats_within", ("train",)].pairs == [("c/9", "c/91")]
    assert {f.kind: f.action for f in findings} == {
        "repeats": "drop",
        "repeats_within": "waive",
        "split_unit": "fail",
        "subject": "waive",
    }


def test_clean_view_has_no_findings() -> None:
    assert found({k: v for k, v in ROWS.items() if k in ("c/1", "c/2", "c/4", "c/8")})[1] == []


def test_by_default_a_parted_group_fails_and_says_which() -> None:
    view, findings = found()
    with pytest.raises(LeakError, match=r"split_unit in train and test: 1 \(e.g. 'g1'\)"):
        apply_on_leak(view, findings)


def test_waive_changes_nothing() -> None:
    view, findings = found()
    new, dropped = apply_on_leak(view, findings, WAIVE)
    assert new.equals(view) and dropped.num_rows == 0


def test_drop_of_repeats_keeps_one_copy_where_it_evaluates() -> None:
    view, findings = found()
    new, dropped = apply_on_leak(view, findings, WAIVE | {"repeats": "drop"})
    assert "c/8" in kept(new) and not {"c/6", "c/7"} & set(kept(new))
    assert dropped.to_pylist() == [
        {"view": "v", "sample_id": "c/6", "split": "train", "kind": "repeats", "key": "hX"},
        {"view": "v", "sample_id": "c/7", "split": "dev", "kind": "repeats", "key": "hX"},
    ]
    assert not [f for f in audit_view(tables(ROWS)[0], new) if f.kind == "repeats"]


def test_drop_and_move_of_a_parted_group() -> None:
    view, findings = found()
    new, _ = apply_on_leak(view, findings, WAIVE | {"split_unit": "drop"})
    assert not {"c/1", "c/2"} & set(kept(new)) and kept(new)["c/3"] == "test"
    new, dropped = apply_on_leak(view, findings, WAIVE | {"split_unit": "move"})
    assert {kept(new)[i] for i in ("c/1", "c/2", "c/3")} == {"train"} and dropped.num_rows == 0


def test_other_names_what_params_call_other() -> None:
    view, findings = found()
    new, _ = apply_on_leak(view, findings, {"repeats": "waive", "split_unit": "waive", "other": "drop"})
    assert "c/4" not in kept(new) and "c/5" in kept(new)


def test_unknown_policies_are_errors() -> None:
    view, findings = found()
    with pytest.raises(UnknownNameError, match="repeats"):
        apply_on_leak(view, findings, {"repeat": "drop"})
    with pytest.raises(UnknownNameError, match="waive"):
        apply_on_leak(view, findings, {"repeats": "ignore"})


def test_pictures_as_split_unit_are_repeats_and_do_not_fail() -> None:
    rows: dict[str, tuple[str, str | None, str, str]] = {
        "c/1": ("p1", None, "h1", "train"),
        "c/2": ("p1", None, "h1", "test"),
    }
    view, findings = found(rows)
    assert [f.kind for f in findings] == ["repeats"]
    assert kept(apply_on_leak(view, findings)[0]) == {"c/2": "test"}


# --- near copies ------------------------------------------------------------------------------------------------------

COPIES: dict[str, tuple[str, str | None, str, str]] = {
    "c/1": ("g1", "s1", "h1", "train"),
    "c/2": ("g1", "s1", "h2", "train"),  # near h3, which is in test
    "c/3": ("g2", "s2", "h3", "test"),
    "c/4": ("g2", "s2", "h4", "test"),
    "c/5": ("g3", "s3", "h5", "dev"),  # near h3 as well
    "c/6": ("g4", "s4", "h6", "train"),  # near h7, in one split with it
    "c/7": ("g4", "s4", "h7", "train"),
    "c/8": ("g5", "s5", "h2", "train"),  # the same payload as c/2
    "c/9": ("g6", "s6", "h9", "test"),
    "c/91": ("g7", "s7", "h91", "dev"),
}
PAIRS = (("h2", "h3"), ("h3", "h5"), ("h6", "h7"), ("h9", "nowhere"))


def near_found() -> tuple[pa.Table, list[Finding]]:
    index, view = tables(COPIES)
    return view, [f for f in audit_view(index, view, near_of(*PAIRS)) if f.kind.startswith("near")]


def test_near_copies_are_told_with_the_payload_that_they_copy() -> None:
    _, findings = near_found()
    assert [(f.kind, f.splits, f.action) for f in findings] == [
        ("near", ("train", "test"), "drop"),
        ("near", ("dev", "test"), "drop"),
        ("near_within", ("train",), "waive"),
    ]
    assert findings[0].members == {"h3": {"train": ("c/2", "c/8"), "test": ("c/3",)}}
    assert findings[0].pairs == [("c/2", "c/3"), ("c/8", "c/3")]
    assert findings[1].pairs == [("c/5", "c/3")]
    assert findings[2].pairs == [("c/6", "c/7")]
    index, view = tables(COPIES)
    assert not [f for f in audit_view(index, view) if f.kind.startswith("near")]


def test_drop_of_near_copies_keeps_the_evaluation_and_ends_the_leak() -> None:
    view, findings = near_found()
    new, dropped = apply_on_leak(view, findings)
    assert set(COPIES) - set(kept(new)) == {"c/2", "c/8", "c/5"}
    assert {(r["kind"], r["key"]) for r in dropped.to_pylist()} == {("near", "h3")}
    left = audit_view(tables(COPIES)[0], new, near_of(*PAIRS))
    assert [f.kind for f in left] == ["near_within"]


def test_move_takes_the_whole_group_of_a_near_copy_to_train() -> None:
    view, findings = near_found()
    groups = {i: row[0] for i, row in COPIES.items()}
    new, dropped = apply_on_leak(view, findings, {"near": "move"}, groups)
    assert dropped.num_rows == 0
    moved = {i for i, split in kept(new).items() if split != COPIES[i][3]}
    assert moved == {"c/3", "c/4", "c/5"} and {kept(new)[i] for i in moved} == {"train"}
    left = audit_view(tables(COPIES)[0], new, near_of(*PAIRS))
    assert {f.kind for f in left} == {"near_within", "repeats_within"}  # no split unit is parted


def test_a_near_copy_moves_to_train_though_most_of_it_lies_in_test() -> None:
    rows: dict[str, tuple[str, str | None, str, str]] = {
        "c/1": ("g1", None, "h1", "train"),
        "c/2": ("g2", None, "h2", "test"),
        "c/3": ("g2", None, "h3", "test"),
        "c/4": ("g3", None, "h4", "test"),
    }
    index, view = tables(rows)
    findings = audit_view(index, view, near_of(("h1", "h2")))
    new, _ = apply_on_leak(view, findings, {"near": "move"}, {i: row[0] for i, row in rows.items()})
    assert kept(new) == {"c/1": "train", "c/2": "train", "c/3": "train", "c/4": "test"}


def test_without_groups_only_the_copies_move() -> None:
    view, findings = near_found()
    new, _ = apply_on_leak(view, findings, {"near": "move"})
    assert kept(new)["c/3"] == "train" and kept(new)["c/4"] == "test"


def test_what_would_empty_a_split_is_an_error() -> None:
    view, findings = near_found()
    everything = dict.fromkeys(COPIES, "one group")
    with pytest.raises(LeakError, match="would leave dev empty"):
        apply_on_leak(view, findings, {"near": "move"}, everything)


def test_near_copies_may_fail_a_run_and_pairs_are_bounded_in_json() -> None:
    view, findings = near_found()
    with pytest.raises(LeakError, match="near in train and test: 1; near in dev and test: 1"):
        apply_on_leak(view, findings, {"near": "fail"})
    many = Finding(
        "near", "drop", ("train", "test"), {f"h{i}": {"train": (f"a{i}",), "test": (f"b{i}",)} for i in range(2500)}
    )
    told = many.to_json()
    assert told["counts"] == {"keys": 2500, "train": 2500, "test": 2500} and len(told["members"]) == 1000


def test_near_copies_across_corpora_are_found_by_their_payloads() -> None:
    index, view = tables({"a/1": ("a:1", None, "h1", "train"), "b/1": ("b:1", None, "h2", "test")})
    (finding,) = audit_view(index, view, near_of(("h1", "h2")))
    assert finding.pairs == [("a/1", "b/1")]


# --- what was fitted --------------------------------------------------------------------------------------------------


def test_what_saw_more_than_train_is_told() -> None:
    _, view = tables(COPIES)
    train = [i for i, row in COPIES.items() if row[3] == "train"]
    assert audit_fitted(view, {"generator": train, "judge": train[:2], "scaler": []}) == []
    findings = audit_fitted(view, {"generator": [*train, "c/3"], "judge": ["c/5", "c/gone"], "scaler": train})
    assert {f.splits: dict(f.members) for f in findings} == {
        ("dev",): {"judge": {"dev": ("c/5",)}},
        ("test",): {"generator": {"test": ("c/3",)}},
        ("outside",): {"judge": {"outside": ("c/gone",)}},
    }
    with pytest.raises(LeakError, match="fitted in dev: 1"):
        apply_on_leak(view, findings)
    assert apply_on_leak(view, findings, {"fitted": "waive"})[0].equals(view)
    with pytest.raises(UnknownNameError, match="fail, waive"):
        apply_on_leak(view, findings, {"fitted": "drop"})


# --- published files --------------------------------------------------------------------------------------------------


def real(name: str, root: Path, folder: Path) -> pa.Table:
    read = (s for s in make_corpus(name).read(root, name) if isinstance(s, Sample))
    return write_shards(read, folder, 4, "x")


def test_real_ravdess_holds_one_file_twice(shared_data: Path, tmp_path: Path) -> None:
    index = real("ravdess", shared_data / "ravdess", tmp_path)
    (finding,) = audit_view(index, group_view(index, {"train": 0.6, "dev": 0.2, "test": 0.2}, 0))
    assert finding.kind == "repeats_within"
    assert finding.pairs == [("ravdess/03-01-03-01-02-01-07", "ravdess/03-01-03-01-02-02-07")]


def test_real_fer2013_repeats_pictures_across_usage(shared_data: Path, tmp_path: Path) -> None:
    index = real("fer2013", shared_data / "fer2013", tmp_path)
    view = official_view(index)
    assert view is not None
    findings = audit_view(index, view)
    assert {f.splits: f.counts["keys"] for f in findings if f.kind == "repeats"} == {
        ("train", "dev"): 20,
        ("train", "test"): 16,
        ("dev", "test"): 2,
    }
    new, dropped = apply_on_leak(view, findings)
    assert not [f for f in audit_view(index, new) if f.kind == "repeats"]
    assert Counter(dropped["split"].to_pylist())["test"] == 1  # the one picture that is twice in test and in train


def test_real_fer2013_has_near_copies_across_usage_and_drop_ends_them(shared_data: Path, tmp_path: Path) -> None:
    index = real("fer2013", shared_data / "fer2013", tmp_path)
    rows = [int(dict(extra)["row"]) for extra in index["extra"].to_pylist()]
    index = index.filter(pa.array([row < 1500 or row >= 6000 for row in rows], pa.bool_()))  # 1500 of train, all else
    write_fingerprints(tmp_path, index, tmp_path / "near.parquet")
    near = near_pairs(read_table(tmp_path / "near.parquet", FINGERPRINTS))
    view = official_view(index)
    assert view is not None
    found_ = {(f.kind, f.splits): f for f in audit_view(index, view, near)}
    across = found_["near", ("train", "test")]
    # one photo in another crop, light or size, or with a watermark: looked at by eye, docs/audit.md
    assert 20 <= across.counts["keys"] <= 40
    assert found_["near", ("dev", "test")].counts["keys"] >= 5
    new, _ = apply_on_leak(view, found_.values())
    assert not [f for f in audit_view(index, new, near) if f.kind in ("near", "repeats")]


def test_real_ravdess_has_no_near_copies_beside_the_two_equal_files(shared_data: Path, tmp_path: Path) -> None:
    index = real("ravdess", shared_data / "ravdess", tmp_path)
    few = index.filter(
        pa.array([s in ("ravdess:07", "ravdess:02") for s in index["subject_id"].to_pylist()], pa.bool_())
    )
    assert few.num_rows == 120
    write_fingerprints(tmp_path, few, tmp_path / "near.parquet")
    assert near_pairs(read_table(tmp_path / "near.parquet", FINGERPRINTS)).num_rows == 0


@pytest.mark.parametrize("kind", ["split_unit", "subject", "session", "recording"])
def test_drop_takes_what_shares_with_a_more_protected_split_and_nothing_else(kind: str) -> None:
    """Of a key all rows of its most protected split stay, however many they are; rows of no such key stay anywhere."""
    column = {"split_unit": "group_id", "subject": "subject_id"}.get(kind, f"{kind}_id")
    # key: split of each of its rows
    keys = {
        "three": ["train", "train", "dev", "dev", "test", "test"],
        "two": ["train", "dev", "dev"],
        "lone": ["test", "train"],
        "whole": ["dev", "dev"],
        "own": ["train", "train", "train"],
    }
    rows = [(key, split) for key, splits in keys.items() for split in splits]
    index, view = tables({f"c/{i:02d}": (f"g{i}", None, f"h{i}", split) for i, (_, split) in enumerate(rows)})
    at = index.schema.get_field_index(column)
    index = index.set_column(at, SAMPLES.field(column), pa.array([key for key, _ in rows], pa.string()))
    new, dropped = apply_on_leak(view, audit_view(index, view), WAIVE | {kind: "drop"})
    strongest = {"three": "test", "two": "dev", "lone": "test", "whole": "dev", "own": "train"}
    assert kept(new) == {f"c/{i:02d}": split for i, (key, split) in enumerate(rows) if split == strongest[key]}
    assert {r["kind"] for r in dropped.to_pylist()} == {kind}
    assert Counter(r["key"] for r in dropped.to_pylist()) == {"three": 4, "two": 1, "lone": 1}
    assert not [f for f in audit_view(index, new) if f.kind == kind]


def test_drop_of_near_copies_leaves_those_that_lie_in_one_split() -> None:
    rows: dict[str, tuple[str, str | None, str, str]] = {
        f"c/{i}": (f"g{i}", None, f"h{i}", split)
        for i, split in enumerate(["train", "train", "dev", "dev", "test", "test", "train"])
    }
    index, view = tables(rows)
    near = near_of(("h0", "h1"), ("h2", "h3"), ("h4", "h5"), ("h1", "h4"), ("h3", "h5"))
    new, dropped = apply_on_leak(view, audit_view(index, view, near), WAIVE | {"near": "drop"})
    assert sorted(dropped["sample_id"].to_pylist()) == ["c/1", "c/3"]
    assert set(kept(new)) == {"c/0", "c/2", "c/4", "c/5", "c/6"}
    new, dropped = apply_on_leak(view, audit_view(index, view, near), WAIVE | {"near_within": "drop"})
    assert sorted(dropped["sample_id"].to_pylist()) == ["c/1", "c/3", "c/5"], "one of each pair stays"


def test_a_unit_that_is_the_group_itself_hides_none_of_the_others() -> None:
    """Subject and group are one and the same; the session, which is neither, still leaks."""
    index, view = tables({f"c/{i}": (f"g{i}", f"g{i}", f"h{i}", split) for i, split in enumerate(("train", "test"))})
    at = index.schema.get_field_index("session_id")
    index = index.set_column(at, SAMPLES.field(at), pa.array(["e", "e"], pa.string()))
    assert [(f.kind, f.splits) for f in audit_view(index, view)] == [("session", ("train", "test"))]


def test_rows_of_dropped_samples_say_all_there_is_to_say() -> None:
    view, findings = found()
    _, dropped = apply_on_leak(view, findings, WAIVE | {"repeats": "drop"})
    assert dropped.schema == DROPPED and not any(field.nullable for field in DROPPED)


def texts(rows: dict[str, tuple[str, str]]) -> tuple[pa.Table, pa.Table]:
    """id: (text, split) -> index and view of a text corpus, each line a group of its own."""
    index, view = tables({i: (i, None, f"sha of {text}", split) for i, (text, split) in rows.items()})
    signals = [[{"name": "text", "unit": "character", "rate_hz": None, "shape": [len(t)]}] for t, _ in rows.values()]
    for name, values in (("modality", ["text"] * len(rows)), ("signals", signals)):
        at = index.schema.get_field_index(name)
        index = index.set_column(at, SAMPLES.field(name), pa.array(values, SAMPLES.field(name).type))
    return index, view


LINES = {
    "c/1": ("Thank you.", "train"),
    "c/2": ("Thank you.", "test"),
    "c/3": ("Thank you.", "dev"),
    "c/4": ("The garden gate was left open all night long.", "train"),
    "c/5": ("The garden gate was left open all night long.", "test"),
    "c/6": ("Nobody but this one says it in any other place.", "dev"),
    "c/7": ("And this is the line by which train is not empty.", "train"),
}


@pytest.mark.parametrize(
    ("letters", "policy", "left"),
    [
        (20, {}, {"c/1", "c/2", "c/3", "c/5"}),
        (0, {}, {"c/2", "c/5"}),
        (11, {}, {"c/1", "c/2", "c/3", "c/5"}),
        (10, {}, {"c/2", "c/5"}),
        (60, {}, {"c/1", "c/2", "c/3", "c/4", "c/5"}),
        (20, {"short_texts": "drop"}, {"c/2", "c/5"}),
    ],
)
def test_short_texts_are_said_again_and_not_copied(letters: int, policy: dict[str, str], left: set[str]) -> None:
    index, view = texts(LINES)
    findings = audit_view(index, view, short_text=letters)
    assert set(kept(apply_on_leak(view, findings, policy)[0])) == left | {"c/6", "c/7"}
    of_kind = Counter(f.kind for f in findings for _ in f.members)
    assert of_kind["short_texts"] == {0: 0, 10: 0, 11: 3, 20: 3, 60: 4}[letters]
    assert sum(of_kind.values()) == 4, "three pairs of splits share the thanks, one the gate: told once each"


def test_a_short_text_that_must_not_leak_is_named() -> None:
    index, view = texts(LINES)
    with pytest.raises(LeakError, match="short_texts"):
        apply_on_leak(view, audit_view(index, view), {"short_texts": "fail"})


def test_near_copies_of_short_texts_are_short_texts_and_speech_has_none() -> None:
    rows = {"c/1": ("I am so happy for you", "train"), "c/2": ("I am so happy for you!", "test")}
    index, view = texts(rows)
    near = near_of(("sha of I am so happy for you", "sha of I am so happy for you!"))
    assert [f.kind for f in audit_view(index, view, near, short_text=30)] == ["short_texts"]
    assert [f.kind for f in audit_view(index, view, near, short_text=22)] == ["near"], "one of them is not short"
    speech, other = tables(COPIES)
    assert not [f for f in audit_view(speech, other, near_of(*PAIRS), short_text=10_000) if f.kind == "short_texts"]
