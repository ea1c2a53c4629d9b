from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import ParamsError, UserError
from generators.balance import Cell, cells, draw_sequence, effective_number, next_lists, targets
from generators.sources import SourceTable, choose_sources
from training.seeds import derive_seed

COUNTS = {"happiness": 1000, "fear": 40, "anger": 600}


def test_targets_by_each_policy() -> None:
    assert targets(COUNTS) == dict.fromkeys(COUNTS, 1000)
    assert targets(COUNTS, "number", number=500) == {"happiness": 1000, "fear": 500, "anger": 600}
    assert targets(COUNTS, "tail", fraction=0.3) == {"happiness": 1000, "fear": 300, "anger": 600}
    assert targets(COUNTS, "effective", beta=0.999) == {"happiness": 1000, "fear": 633, "anger": 633}
    assert effective_number(5, 0.0) == 1.0 and effective_number(1, 0.9) == pytest.approx(1.0)
    for options, says in [
        ({"policy": "majorit"}, "majority, number"),
        ({"policy": "number"}, "target.number"),
        ({"policy": "effective", "beta": 1.0}, "target.beta"),
        ({"policy": "tail", "fraction": float("nan")}, "target.fraction"),
    ]:
        with pytest.raises(ParamsError, match=says):
            targets(COUNTS, **options)  # type: ignore[arg-type]
    with pytest.raises(ParamsError, match="no classes"):
        targets({})


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 5000), min_size=1), st.sampled_from(["majority", "tail"]))
def test_no_class_loses_and_none_passes_the_largest(counts: dict[str, int], policy: str) -> None:
    wanted = targets(counts, policy)  # type: ignore[arg-type]
    assert all(counts[c] <= wanted[c] <= max(counts.values()) for c in counts)


@given(st.integers(0, 50), st.integers(0, 20), st.integers(0, 20))
def test_a_draw_is_the_same_however_the_sequence_is_cut(start: int, first: int, then: int) -> None:
    whole = draw_sequence("fear", start, first + then, run_seed=4)
    assert whole == draw_sequence("fear", start, first, run_seed=4) + draw_sequence(
        "fear", start + first, then, run_seed=4
    )


def test_draws_differ_by_index_class_and_run() -> None:
    keys = {
        d.key()
        for emotion in ("fear", "anger")
        for seed in (0, 1)
        for d in draw_sequence(emotion, 0, 100, run_seed=seed)
    }
    assert len(keys) == 400
    assert draw_sequence("fear", 3, 1, run_seed=0, source_chooser=lambda e, i: (f"{e}{i}",))[0].source_ids == ("fear3",)


def test_rounds_ask_for_whole_lists_by_what_was_accepted() -> None:
    def ask(missing: int, tried: int = 0, accepted: int = 0, most: int = 10_000, **more: float) -> int:
        return next_lists(missing, tried=tried, accepted=accepted, draw_list=16, max_draws=most, **more)  # type: ignore[arg-type]

    assert ask(0) == 0
    assert ask(12) == 1  # 12 / 0.75 = 16
    assert ask(13) == 2
    assert ask(10, tried=96, accepted=47) == 2  # (47 + 3) / (96 + 4) = 0.5
    assert ask(10, tried=16, accepted=0) == 5  # 3 / 20: wary, not desperate
    assert ask(100, most=40) == 2 and ask(100, tried=40, accepted=0, most=50) == 0
    assert ask(100, first_rate=0.1) > ask(100)
    with pytest.raises(ValueError, match="accepted 3"):
        ask(1, tried=2, accepted=3)


def table() -> SourceTable:
    rows = [
        (f"c/{s}{e}{i}", e, s)
        for s in ("ann", "bob", "eve")
        for e in ("neutral", "anger", "fear")
        for i in range(3)
        if not (s == "eve" and e == "fear")
    ]
    ids, emotions, subjects = zip(*rows, strict=True)
    return SourceTable(ids, emotions, subjects)


def test_sources_are_of_another_class_and_none_is_used_twice_before_all_are_once() -> None:
    t = table()
    by_id = dict(zip(t.ids, zip(t.emotions, t.subjects, strict=True), strict=True))
    chosen = [s for (s,) in choose_sources(range(18), t, "fear", 7)]
    assert len(set(chosen)) == 18 and all(by_id[s][0] != "fear" for s in chosen)
    assert all(by_id[s][1] != "eve" for s in chosen[:12]), "first those whose fear is known"
    assert all(by_id[s][1] == "eve" for s in chosen[12:])
    assert choose_sources([18, 19], t, "fear", 7) == choose_sources([0, 1], t, "fear", 7)
    assert choose_sources([5], t, "fear", 7) == [(chosen[5],)]
    assert choose_sources(range(12), t, "fear", 8) != choose_sources(range(12), t, "fear", 7)


def test_without_subjects_any_sample_of_another_class_serves() -> None:
    t = SourceTable(("a", "b", "c"), ("fear", "anger", "neutral"), (None, None, None))
    assert {s for (s,) in choose_sources(range(2), t, "fear", 0)} == {"b", "c"}
    with pytest.raises(UserError, match="no source"):
        choose_sources([0], SourceTable(("a",), ("fear",), (None,)), "fear", 0)


def test_a_sample_that_joins_moves_no_other_ones_place() -> None:
    t = table()
    more = SourceTable((*t.ids, "c/new"), (*t.emotions, "anger"), (*t.subjects, "ann"))
    before = [s for (s,) in choose_sources(range(18), t, "fear", 7)]
    after = [s for (s,) in choose_sources(range(19), more, "fear", 7)]
    assert [s for s in after if s != "c/new"] == before


def test_cells_of_the_run_are_the_targets_of_its_classes() -> None:
    counts = {"neutral": 9, "anger": 4}
    found = cells(["neutral", "anger"], counts, {"a": counts}, policy="majority", number=None, beta=0.9, fraction=0.5)
    assert found == [Cell("neutral", None, 9, 9), Cell("anger", None, 4, 9)]


def test_each_corpus_is_a_run_of_its_own_and_lacks_what_it_has_not() -> None:
    by_corpus = {"a": {"neutral": 5, "anger": 3, "fear": 0}, "b": {"neutral": 2, "anger": 0, "fear": 8}}
    total = {c: sum(by[c] for by in by_corpus.values()) for c in ("neutral", "anger", "fear")}
    found = cells(list(total), total, by_corpus, within="corpus", policy="majority")
    assert found == [
        Cell("neutral", "a", 5, 5), Cell("neutral", "b", 2, 8), Cell("anger", "a", 3, 5), Cell("fear", "b", 8, 8)
    ]  # fmt: skip


def test_draws_of_a_class_in_two_corpora_are_different_and_those_of_the_run_are_what_they_were() -> None:
    of_run = [d.seed for d in draw_sequence("anger", 0, 8, run_seed=3)]
    of_a = [d.seed for d in draw_sequence("anger", 0, 8, run_seed=3, corpus="a")]
    of_b = [d.seed for d in draw_sequence("anger", 0, 8, run_seed=3, corpus="b")]
    assert len({*of_run, *of_a, *of_b}) == 24
    assert of_run[0] == derive_seed(3, "draw", "anger", 0)
    assert of_a[4:] == [d.seed for d in draw_sequence("anger", 4, 4, run_seed=3, corpus="a")]
