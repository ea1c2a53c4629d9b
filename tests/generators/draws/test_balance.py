from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import ParamsError, UserError
from generators.draws.balance import (
    Budget,
    draw_sequence,
    expected_acceptance,
    forecast,
    next_lists,
    next_step,
    recent_acceptance,
    share,
)
from generators.draws.sources import SourceTable, choose_sources
from generators.draws.targets import Cell, cells, effective_number, require_sources, require_subjects, targets
from training.seeds import derive_seed

COUNTS = {"happiness": 1000, "fear": 40, "anger": 600}
FEAR, ANGER = Cell("fear", None, 0, 1), Cell("anger", None, 0, 1)


def anger_of(subject: str) -> Cell:
    return Cell("anger", None, 0, 1, subject)


def test_targets_by_each_policy() -> None:
    assert targets(COUNTS) == dict.fromkeys(COUNTS, 1000)
    assert targets(COUNTS, "number", number=500) == {"happiness": 1000, "fear": 500, "anger": 600}
    assert targets(COUNTS, "tail", fraction=0.3) == {"happiness": 1000, "fear": 300, "anger": 600}
    assert effective_number(5, 0.0) == 1.0 and effective_number(1, 0.9) == pytest.approx(1.0)
    assert effective_number(0, 0.0) == effective_number(0, 0.9) == 0.0 and effective_number(7, 1.0) == 7.0
    for options, says in [
        ({"policy": "majorit"}, "majority, number"),
        ({"policy": "number"}, "target.number"),
        ({"policy": "effective", "beta": 1.0}, "target.beta"),
        ({"policy": "tail", "fraction": float("nan")}, "target.fraction"),
        ({"policy": "tail", "power": 0.0}, "target.power"),
    ]:
        with pytest.raises(ParamsError, match=says):
            targets(COUNTS, **options)  # type: ignore[arg-type]
    with pytest.raises(ParamsError, match="no classes"):
        targets({})
    with pytest.raises(ParamsError, match="-1"):
        targets({"fear": -1})


def test_the_effective_number_gives_the_shares_of_the_class_balanced_loss() -> None:
    # beta 0.5: E(4) = 1.875, E(2) = 1.5, E(1) = 1; t_c = n_c E(4) / E(n_c)
    assert targets({"a": 4, "b": 2, "c": 1, "d": 0}, "effective", beta=0.5) == {"a": 4, "b": 3, "c": 2, "d": 2}
    # 40 * 632.30 / 39.23 = 644.7; 600 * 632.30 / 451.4 = 840.5
    assert targets(COUNTS, "effective", beta=0.999) == {"happiness": 1000, "fear": 645, "anger": 841}
    assert targets(COUNTS, "effective", beta=0.0) == COUNTS, "no re-balancing"
    assert targets(COUNTS, "effective", beta=1 - 1e-9) == targets(COUNTS, "majority")
    # the same weight: what 1 / E(n) makes of a sample of fear against one of happiness, told as a count
    wanted = targets(COUNTS, "effective", beta=0.999)
    ratio = (1 / effective_number(40, 0.999)) / (1 / effective_number(1000, 0.999))
    assert wanted["fear"] / 40 == pytest.approx(ratio, rel=0.01)


def test_the_tail_is_raised_to_a_share_or_by_the_repeat_factor() -> None:
    counts = {"head": 400, "middle": 100, "tail": 25, "none": 0}
    assert targets(counts, "tail", fraction=0.25) == {"head": 400, "middle": 100, "tail": 100, "none": 100}
    # r = max(1, sqrt(0.25 / f)), f = 25 / 400: r = 2
    assert targets(counts, "tail", fraction=0.25, power=0.5) == {"head": 400, "middle": 100, "tail": 50, "none": 10}
    assert targets({"a": 100, "b": 1}, "tail", fraction=0.07)["b"] == 7, "0.07 * 100 is a little more in binary"


COUNTED = st.dictionaries(st.text(min_size=1), st.integers(0, 5000), min_size=1)
ANY_POLICY = st.one_of(
    st.just({"policy": "majority"}),
    st.builds(lambda n: {"policy": "number", "number": n}, st.integers(1, 9000)),
    st.builds(lambda b: {"policy": "effective", "beta": b}, st.floats(0, 1, exclude_max=True)),
    st.builds(
        lambda f, p: {"policy": "tail", "fraction": f, "power": p},
        st.floats(0, 1, exclude_min=True),
        st.floats(0.01, 1),
    ),
)


@given(COUNTED, ANY_POLICY)
def test_no_class_loses_none_passes_the_largest_and_order_stays(counts: dict[str, int], policy: dict) -> None:
    wanted = targets(counts, **policy)
    most = max([*counts.values(), policy.get("number", 0)])
    assert all(counts[c] <= wanted[c] <= most for c in counts)
    ordered = sorted(counts, key=counts.__getitem__)
    assert all(wanted[a] <= wanted[b] for a, b in pairwise(ordered)), "monotone in the count"


@given(COUNTED, st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_more_of_the_knob_asks_for_no_less(counts: dict[str, int], one: float, other: float) -> None:
    low, high = sorted((one, other))
    for policy, knob in (("effective", "beta"), ("tail", "fraction"), ("tail", "power")):
        if knob != "beta" and low == 0.0:
            continue
        less, more = (targets(counts, policy, **{knob: v}) for v in (low, high))  # type: ignore[arg-type]
        assert all(less[c] <= more[c] for c in counts), policy


@given(st.integers(0, 50), st.integers(0, 20), st.integers(0, 20))
def test_a_draw_is_the_same_however_the_sequence_is_cut(start: int, first: int, then: int) -> None:
    whole = draw_sequence(FEAR, start, first + then, run_seed=4)
    assert whole == draw_sequence(FEAR, start, first, run_seed=4) + draw_sequence(FEAR, start + first, then, run_seed=4)


def test_draws_differ_by_index_class_and_run() -> None:
    keys = {
        d.key()
        for emotion in ("fear", "anger")
        for seed in (0, 1)
        for d in draw_sequence(Cell(emotion, None, 0, 1), 0, 100, run_seed=seed)
    }
    assert len(keys) == 400
    assert draw_sequence(FEAR, 3, 1, run_seed=0, source_chooser=lambda i: {"from": f"x{i}"})[0].sources == {
        "from": "x3"
    }


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


BUDGET = Budget(max_rounds=6, max_draws=8, min_acceptance=0.1, give_up_after=2)


def test_acceptance_is_taken_over_the_last_round_or_as_many_as_hold_enough() -> None:
    assert recent_acceptance([], 8) is None and recent_acceptance([(4, 0)], 8) is None
    assert recent_acceptance([(40, 40), (8, 2)], 8) == 0.25, "the last round alone"
    assert recent_acceptance([(40, 40), (4, 1), (4, 0)], 8) == 0.125, "two small ones together"


def test_a_cell_ends_for_the_reason_that_is_told() -> None:
    def end(lacking: int, history: list[tuple[int, int]], budget: Budget = BUDGET) -> str | None:
        return next_step(lacking, history, budget, 4)[1]

    assert end(0, []) == "complete" and end(-3, []) == "complete"
    assert end(3, [(4, 3)]) == "filled"
    assert end(20, [(32, 12), (8, 0)]) == "acceptance", "none of the last round's, though 12 of 40 passed in all"
    assert end(20, [(32, 12), (4, 0)]) is None, "4 draws say nothing; 12 of 36 is enough"
    assert end(20, [(4, 1)] * 6) == "rounds"
    assert end(2, [(12, 1), (4, 0)], Budget(min_acceptance=0.0)) == "draws", "16 are 8 times what is missing"
    assert next_step(1, [], BUDGET, 16) == (1, None), "one list, whatever the budget"
    assert next_step(6, [(8, 6)], Budget(gather=1.5), 4) == (1, None), "9 are wanted, 3 are missing: 3 / 0.75 draws"
    assert next_step(6, [(8, 6), (4, 3)], Budget(gather=1.5), 4) == (0, "filled")


def test_a_forecast_is_what_the_rounds_would_do() -> None:
    told = forecast(10, 0.5, Budget(), 4)
    # 10 / 0.75 -> 16 draws, 8 pass; 2 / ((3 + 8) / (4 + 16)) -> 4 draws, 10 of 20 pass
    assert (told.draws, told.rounds, told.passed, told.stopped) == (20, 2, 10, "filled")
    assert forecast(0, 0.5, Budget(), 4).stopped == "complete"
    nothing = forecast(100, 0.0, Budget(), 4)
    assert nothing.passed == 0 and nothing.rounds == 1 and nothing.stopped == "acceptance"
    assert forecast(100, 0.05, Budget(max_rounds=2), 4).stopped == "rounds"
    with pytest.raises(ValueError, match=r"1\.5"):
        forecast(1, 1.5, Budget(), 4)


@given(st.integers(0, 300), st.floats(0, 1), st.integers(1, 40), st.floats(1, 20), st.integers(1, 8))
def test_a_forecast_keeps_to_the_budget(lacking: int, rate: float, size: int, most: float, rounds: int) -> None:
    budget = Budget(max_rounds=rounds, max_draws=most)
    told = forecast(lacking, rate, budget, size)
    assert told.rounds <= rounds and told.draws <= budget.draws(lacking, size) and told.draws % size == 0
    assert (told.passed >= lacking) == (told.stopped in ("filled", "complete"))
    assert told.passed <= rate * told.draws + 1e-6


def test_by_weight_every_source_serves_once_and_no_more() -> None:
    spread = Budget(spread=3, give_up_after=2, min_acceptance=0.1)

    def step(lacking: int, history: list[tuple[int, int]], sources: int, budget: Budget = spread) -> Any:
        return next_step(lacking, history, budget, 4, sources)

    assert step(0, [], 99) == (0, "complete")
    assert step(10, [], 99) == (2, None), "a first round of `give_up_after` lists, whatever is lacking"
    assert step(10, [(8, 4)], 99) == (6, None), "then the other 22 of 30, in whole lists"
    assert step(10, [(8, 8), (22, 22)], 99) == (0, "spread") and step(10, [(8, 8), (4, 4)], 12) == (0, "served")
    assert step(10, [(8, 0)], 99) == (0, "acceptance") and step(
        10, [(8, 1), (8, 8)], 99, Budget(spread=3, max_rounds=2)
    ) == (0, "rounds")
    assert step(10, [], 99, Budget(spread=3, max_rounds=1)) == (8, None), "one round has to do"
    assert step(1, [], 99) == (1, None) and step(1, [(3, 1)], 99) == (0, "spread")
    assert step(10, [], 5) == (2, None) and step(10, [(5, 5)], 5) == (0, "served"), "never twice, though 5 are lacking"
    assert Budget(spread=1.1).served(10, 99) == 11 and Budget().served(10, 99) is None
    with pytest.raises(ValueError, match="possible sources"):
        next_step(1, [], spread, 4)


def test_weights_come_to_what_is_lacking_and_none_is_above_one() -> None:
    assert share(10, 40) == 0.25 and share(10, 10) == share(10, 3) == share(10, 0) == 1.0


@given(st.integers(1, 400), st.integers(0, 4000))
def test_weights_of_a_cell_sum_to_what_it_lacks_or_to_its_rows(lacking: int, accepted: int) -> None:
    assert (
        share(lacking, accepted) * accepted == pytest.approx(min(lacking, accepted))
        and 0 < share(lacking, accepted) <= 1
    )


@given(
    st.integers(0, 300), st.floats(0, 1), st.integers(1, 40), st.floats(1, 20), st.integers(1, 8), st.integers(0, 900)
)
def test_a_forecast_by_weight_draws_each_source_once(
    lacking: int, rate: float, size: int, spread: float, rounds: int, sources: int
) -> None:
    budget = Budget(spread=spread, max_rounds=rounds)
    told = forecast(lacking, rate, budget, size, sources)
    most = budget.served(lacking, sources)
    assert most is not None and told.draws <= most <= sources and told.rounds <= min(rounds, 2)
    if told.stopped in ("spread", "served"):
        assert told.draws == most and (told.stopped == "served") == (most == sources)
    assert told.passed <= rate * told.draws + 1e-6


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
    chosen = [s["from"] for s in choose_sources(range(18), t, "fear", 7)]
    assert len(set(chosen)) == 18 and all(by_id[s][0] != "fear" for s in chosen)
    assert all(by_id[s][1] != "eve" for s in chosen[:12]), "first those whose fear is known"
    assert all(by_id[s][1] == "eve" for s in chosen[12:])
    assert choose_sources([18, 19], t, "fear", 7) == choose_sources([0, 1], t, "fear", 7)
    assert choose_sources([5], t, "fear", 7) == [{"from": chosen[5]}]
    assert choose_sources(range(12), t, "fear", 8) != choose_sources(range(12), t, "fear", 7)


def test_without_subjects_any_sample_of_another_class_serves() -> None:
    t = SourceTable(("a", "b", "c"), ("fear", "anger", "neutral"), (None, None, None))
    assert {s["from"] for s in choose_sources(range(2), t, "fear", 0)} == {"b", "c"}
    with pytest.raises(UserError, match="no source"):
        choose_sources([0], SourceTable(("a",), ("fear",), (None,)), "fear", 0)


def test_a_sample_that_joins_moves_no_other_ones_place() -> None:
    t = table()
    more = SourceTable((*t.ids, "c/new"), (*t.emotions, "anger"), (*t.subjects, "ann"))
    before = [s["from"] for s in choose_sources(range(18), t, "fear", 7)]
    after = [s["from"] for s in choose_sources(range(19), more, "fear", 7)]
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
        Cell("neutral", "a", 5, 5),
        Cell("neutral", "b", 2, 8),
        Cell("anger", "a", 3, 5),
        Cell("fear", "b", 8, 8),
    ]


def test_draws_of_a_class_in_two_corpora_are_different_and_those_of_the_run_are_what_they_were() -> None:
    of_run = [d.seed for d in draw_sequence(ANGER, 0, 8, run_seed=3)]
    of_a = [d.seed for d in draw_sequence(Cell("anger", "a", 0, 1), 0, 8, run_seed=3)]
    of_b = [d.seed for d in draw_sequence(Cell("anger", "b", 0, 1), 0, 8, run_seed=3)]
    assert len({*of_run, *of_a, *of_b}) == 24
    assert of_run[0] == derive_seed(3, "draw", "anger", 0)
    assert of_a[4:] == [d.seed for d in draw_sequence(Cell("anger", "a", 0, 1), 4, 4, run_seed=3)]


PEOPLE = {
    "a": {"a:1": {"neutral": 4, "anger": 1}, "a:2": {"neutral": 2, "fear": 2}, None: {"anger": 5}},
    "b": {"b:1": {"neutral": 3}},
}


def test_each_subject_is_filled_up_with_the_classes_that_it_never_showed() -> None:
    classes = ["neutral", "anger", "fear"]
    by_corpus = {"a": {"neutral": 6, "anger": 6, "fear": 2}, "b": {"neutral": 3, "anger": 0, "fear": 0}}
    counts = {"neutral": 9, "anger": 6, "fear": 2}
    found = cells(classes, counts, by_corpus, cells="subject", by_subject=PEOPLE, policy="majority")
    by_key = {(c.emotion, c.subject): (c.real, c.target, c.corpus) for c in found}
    assert by_key == {
        ("neutral", "a:1"): (4, 4, None),
        ("anger", "a:1"): (1, 4, None),
        ("fear", "a:1"): (0, 4, None),
        ("neutral", "a:2"): (2, 2, None),
        ("anger", "a:2"): (0, 2, None),
        ("fear", "a:2"): (2, 2, None),
        ("neutral", "b:1"): (3, 3, None),
        ("anger", "b:1"): (0, 3, None),
        ("fear", "b:1"): (0, 3, None),
        ("anger", None): (5, 5, "a"),  # of nobody known: left as it is
    }
    assert [c.emotion for c in found] == sorted((c.emotion for c in found), key=classes.index)
    assert sum(c.real for c in found) == sum(counts.values())
    own = cells(
        classes, counts, by_corpus, within="corpus", cells="subject", by_subject=PEOPLE, policy="number", number=2
    )
    assert ("anger", "b:1") not in {(c.emotion, c.subject) for c in own}, "nothing of corpus b shows anger"
    assert {(c.subject, c.target) for c in own if c.emotion == "anger"} == {("a:1", 2), ("a:2", 2), (None, 5)}
    assert {c.corpus for c in own} == {"a", "b"}


def test_without_subjects_there_are_no_cells_of_subjects() -> None:
    with pytest.raises(ParamsError, match="names its subject"):
        cells(["fear"], {"fear": 2}, {"a": {"fear": 2}}, cells="subject", by_subject={"a": {None: {"fear": 2}}})


def test_draws_of_a_subject_say_so_unless_their_source_does() -> None:
    free = draw_sequence(anger_of("a:1"), 0, 4, run_seed=3)
    assert {d.condition.subject for d in free} == {"a:1"}
    converted = draw_sequence(anger_of("a:1"), 0, 4, run_seed=3, source_chooser=lambda i: {"from": f"x{i}"})
    assert {d.condition.subject for d in converted} == {None} and converted[2].sources == {"from": "x2"}
    others = draw_sequence(anger_of("a:2"), 0, 4, run_seed=3) + draw_sequence(ANGER, 0, 4, run_seed=3)
    assert len({d.seed for d in [*free, *others]}) == 12
    assert free[2:] == draw_sequence(anger_of("a:1"), 2, 2, run_seed=3)


def test_a_generator_of_nobody_in_particular_is_refused() -> None:
    class Free:
        takes = ()

        @classmethod
        def can_honour(cls, params: Mapping[str, Any]) -> frozenset[str]:
            return frozenset({"subject"} if params.get("by_subject") else ())

    class Converts(Free):
        takes = ("from",)

    require_subjects("transfer", Converts, {})
    require_sources("transfer", Converts)
    with pytest.raises(ParamsError, match=r"target\.by is 'weight'.*'free' takes no source"):
        require_sources("free", Free)
    require_subjects("speaker", Free, {"by_subject": True})
    with pytest.raises(ParamsError, match=r"'free'.*honours one"):
        require_subjects("free", Free, {})


def test_samples_of_nobody_known_ask_for_nothing_and_stand_with_their_corpus() -> None:
    by_subject = {"a": {"a:1": {"neutral": 3}, None: {"neutral": 1, "fear": 7}}, "b": {None: {"neutral": 2}}}
    by_corpus = {"a": {"neutral": 4, "fear": 7}, "b": {"neutral": 2, "fear": 0}}
    classes, counts = ["neutral", "fear"], {"neutral": 6, "fear": 7}
    for within in ("run", "corpus"):
        found = cells(classes, counts, by_corpus, within=within, cells="subject", by_subject=by_subject)  # type: ignore[arg-type]
        nobody = {(c.emotion, c.corpus): (c.real, c.lacking) for c in found if c.subject is None}
        assert nobody == {("neutral", "a"): (1, 0), ("fear", "a"): (7, 0), ("neutral", "b"): (2, 0)}
        assert {(c.emotion, c.real, c.target) for c in found if c.subject == "a:1"} == {
            ("neutral", 3, 3),
            ("fear", 0, 3),
        }
        assert {c.corpus for c in found if c.subject} == ({None} if within == "run" else {"a"})
        assert [c.subject for c in found if c.emotion == "neutral"] == ["a:1", None, None], "people first, nobody last"
        assert sum(c.real for c in found) == sum(counts.values())


def test_a_subject_without_samples_of_the_classes_is_left_alone() -> None:
    by_subject = {"a": {"a:1": {"neutral": 3}, "a:2": {"grief": 4}}}
    found = cells(
        ["neutral", "fear"], {"neutral": 3, "fear": 0}, {"a": {"neutral": 3}}, cells="subject", by_subject=by_subject
    )
    assert {(c.emotion, c.target) for c in found if c.subject == "a:2"} == {("neutral", 0), ("fear", 0)}


@pytest.mark.parametrize("n", [0, 1])
def test_a_class_of_one_sample_or_none_has_a_target(n: int) -> None:
    """One sample is the smallest frequency that the formulas know; none stands as if it were one."""
    counts = {"happiness": 100, "grief": n}
    assert targets(counts, "majority")["grief"] == 100
    assert targets(counts, "number", number=1)["grief"] == 1
    assert targets(counts, "tail", fraction=0.3)["grief"] == 30
    assert targets(counts, "tail", fraction=0.3, power=0.5)["grief"] == 6  # sqrt(30) = 5.48
    assert targets(counts, "effective", beta=0.9)["grief"] == 10  # E(100) = 9.9997 over E(1) = 1
    assert targets({"a": 1, "b": 1}, "effective", beta=0.5) == targets({"a": 1, "b": 1}, "tail") == {"a": 1, "b": 1}


def test_what_is_not_said_has_the_documented_default() -> None:
    assert targets(COUNTS, "effective") == targets(COUNTS, "effective", beta=0.999)
    assert targets(COUNTS, "tail") == targets(COUNTS, "tail", fraction=0.5, power=1.0)
    assert targets(COUNTS, "tail", fraction=1.0) == targets(COUNTS)
    assert expected_acceptance(0, 0) == 0.75 and expected_acceptance(4, 0) == 0.375
    assert expected_acceptance(0, 0, 0.0) == 0.01 and expected_acceptance(0, 0, 5.0) == 1.0
    assert expected_acceptance(12, 2, 0.5) == 0.25


def test_a_sequence_does_not_begin_or_end_before_its_first_draw() -> None:
    for start, n in ((-1, 2), (0, -1)):
        with pytest.raises(ValueError, match=r">= 0"):
            draw_sequence(ANGER, start, n, run_seed=0)
    assert draw_sequence(ANGER, 0, 0, run_seed=0) == []


def test_lists_are_enough_for_what_is_missing() -> None:
    """9 at an acceptance of 1 / 2: 18 draws are 3 lists of 8, and 17 would be one too few."""
    assert next_lists(9, tried=0, accepted=0, draw_list=8, max_draws=100, first_rate=0.5) == 3
    assert next_lists(8, tried=0, accepted=0, draw_list=8, max_draws=100, first_rate=0.5) == 2
    assert next_lists(1, tried=0, accepted=0, draw_list=1, max_draws=100, first_rate=0.4) == 3
    assert next_lists(9, tried=0, accepted=0, draw_list=8, max_draws=23, first_rate=0.5) == 2, "no list is cut"


def test_a_cell_is_named_by_its_owner() -> None:
    assert Cell("fear", None, 1, 2).named == "fear" and Cell("fear", "meld", 1, 2).named == "fear of meld"
    assert Cell("fear", "meld", 1, 2, "meld:01").named == "fear of meld:01"


def test_one_sample_shows_a_class_to_its_corpus() -> None:
    by_subject = {"a": {"a:1": {"neutral": 3}, "a:2": {"fear": 1}}}
    by_corpus = {"a": {"neutral": 3, "fear": 1}}
    found = cells(["neutral", "fear"], {}, by_corpus, within="corpus", cells="subject", by_subject=by_subject)
    assert {(c.emotion, c.subject, c.target) for c in found if c.emotion == "fear"} == {
        ("fear", "a:1", 3),
        ("fear", "a:2", 1),
    }


def test_a_generator_that_says_nothing_of_subjects_is_refused() -> None:
    class Silent:
        pass

    with pytest.raises(ParamsError, match="silent"):
        require_subjects("silent", Silent, {})
