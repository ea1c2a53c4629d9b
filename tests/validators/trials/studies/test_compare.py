"""Paired comparisons: the estimate is the plain one, intervals hold the truth, missing cells are counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t
from sklearn.metrics import f1_score, recall_score
from statsmodels.stats.multitest import multipletests

from tests.validators.trials.studies.simulated import AS_IS, BASELINES, Plan, keep_answers, simulated, without
from validators.trials.studies.answers import Study
from validators.trials.studies.compare import Difference, differences, effect_of, holm, lines
from validators.trials.studies.grid import grid_of, kind_of
from validators.trials.studies.mixed import mixed_model
from validators.trials.studies.resampling import Resampling, expanded_level, interval_of, p_value
from validators.trials.studies.roles import Roles

ROLES = Roles()
KIND = "one class to 10 %"


def resampled(study: Study, n: int = 200, seed: int = 0) -> Resampling:
    return Resampling.of(grid_of(study), n, np.random.default_rng(seed))


def one(
    rows: tuple[Difference, ...], arm: str, metric: str = "uar", group: str = KIND, base: str = "nothing"
) -> Difference:
    (row,) = [d for d in rows if (d.arm, d.metric, d.group, d.baseline) == (arm, metric, group, base)]
    return row


STUDY = simulated(Plan(BASELINES | {"better": 0.1}), 5)


def brute(study: Study, arm: str, metric: str) -> float:
    """Folds pooled, averaged over seeds, then over conditions; by loops and scikit-learn."""
    of_conditions = []
    for condition in sorted({c.condition for c in study.cells}):
        of_seeds = []
        for seed in sorted({c.seed for c in study.cells}):
            own = [n for n, c in enumerate(study.cells) if (c.arm, c.condition, c.seed) == (arm, condition, seed)]
            at = np.isin(study.cell, own)
            target, answer = study.target[at], study.answer[at]
            pruned = study.classes.index(condition.split()[0])
            of_seeds.append(
                recall_score(target, answer, average="macro")
                if metric == "uar"
                else f1_score(target, answer, labels=[pruned], average="macro")
            )
        of_conditions.append(np.mean(of_seeds))
    return float(np.mean(of_conditions))


@pytest.mark.parametrize("metric", ["uar", "f1_pruned"])
def test_estimates_are_the_plain_ones(metric: str) -> None:
    table = resampled(STUDY)
    own = {line.arm: line for line in lines(table) if line.metric == metric and line.group == KIND}
    for arm in ("nothing", "better"):
        assert own[arm].score.value == pytest.approx(brute(STUDY, arm, metric))
        assert own[arm].missing.n == 0 and own[arm].score.low < own[arm].score.value < own[arm].score.high
    difference = one(differences(table, ROLES), "better", metric)
    assert difference.difference.value == pytest.approx(
        brute(STUDY, "better", metric) - brute(STUDY, "nothing", metric)
    )


def test_pairing_narrows_the_interval() -> None:
    """The difference of two arms on the same people varies less than either arm."""
    table = resampled(STUDY, 500)
    score = next(x for x in lines(table) if (x.arm, x.metric, x.group) == ("nothing", "uar", KIND)).score
    difference = one(differences(table, ROLES), "class weights").difference
    assert difference.high - difference.low < 0.8 * (score.high - score.low)


def test_identical_arms_differ_by_nothing() -> None:
    answers = STUDY.answer.copy()
    ours = [n for n, c in enumerate(STUDY.cells) if c.arm == "nothing"]
    theirs = [n for n, c in enumerate(STUDY.cells) if c.arm == "class weights"]
    for n, m in zip(ours, theirs, strict=True):
        answers[STUDY.cell == m] = answers[STUDY.cell == n]
    row = one(differences(resampled(replace(STUDY, answer=answers)), ROLES), "class weights")
    assert (row.difference.value, row.difference.low, row.difference.high, row.p) == (0.0, 0.0, 0.0, 1.0)
    assert (row.record.wins, row.record.losses, row.record.ties) == (0, 0, 12)
    assert np.isnan(row.effect.d_z) and row.effect.reason and row.mixed is not None and not row.mixed.converged


def test_records_and_effect_sizes_by_hand() -> None:
    row = one(differences(resampled(STUDY), ROLES), "better")
    own = {arm: {} for arm in ("better", "nothing")}
    for n, cell in enumerate(STUDY.cells):
        if cell.arm in own:
            at = STUDY.cell == n
            place = (cell.condition, cell.seed, cell.fold)
            own[cell.arm][place] = recall_score(STUDY.target[at], STUDY.answer[at], average="macro")
    signs = np.sign([round(own["better"][place] - own["nothing"][place], 12) for place in own["better"]])
    assert (row.record.wins, row.record.losses, row.record.ties) == tuple(int((signs == s).sum()) for s in (1, -1, 0))
    effect = effect_of(np.array([1.0, 2.0, 3.0, np.nan]))
    assert effect.d_z == pytest.approx(2.0) and effect.n == 3
    assert np.isnan(effect_of(np.array([1.0, np.nan])).d_z)


def test_intervals_hold_the_truth() -> None:
    """40 studies of 10 people whose true mean difference is known: about 95 % of the intervals hold it."""
    truth, inside, wins = 0.04, 0, 0
    for seed in range(40):
        plan = Plan(BASELINES | {"better": truth}, people=10, between=0.05, conditions=("anger to 10 %",), seeds=2)
        row = one(differences(resampled(simulated(plan, seed), 400), ROLES, mixed=()), "better", group="anger to 10 %")
        inside += row.difference.low <= truth <= row.difference.high
        wins += row.difference.above
    assert inside >= 34  # of 40; P(fewer at 95 %) is below 1 %
    assert wins < 40


def test_the_expanded_interval_is_that_of_t_for_normal_draws() -> None:
    n, rng = 10, np.random.default_rng(0)
    values = rng.normal(size=n)
    draws = rng.normal(values.mean(), values.std() / np.sqrt(n), 400_000)  # what a bootstrap of the mean draws
    interval = interval_of(np.concatenate([[values.mean()], draws]), n)
    half = t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.02)
    assert expanded_level(1_000_000) == pytest.approx(0.025, abs=1e-4) and expanded_level(3) < 0.001


def test_p_is_never_0_and_agrees_with_a_paired_t_test() -> None:
    from scipy.stats import ttest_1samp

    rng = np.random.default_rng(2)
    for shift in (0.0, 0.3, 0.9):
        values = rng.normal(shift, 1.0, 40)
        draws = np.array([values.mean(), *(rng.choice(values, (4000, 40)).mean(1))])
        assert p_value(draws, 40) == pytest.approx(ttest_1samp(values, 0).pvalue, rel=0.3, abs=0.01)
    far = np.full(1001, 5.0) + np.concatenate([[0], rng.normal(size=1000) * 0.01])
    assert p_value(far, 40) == pytest.approx(2 / 1001)
    assert p_value(far, 3) > p_value(far, 40) or p_value(far, 3) == pytest.approx(2 / 1001)
    assert np.isnan(p_value(far, 1))


def test_holm_is_that_of_statsmodels() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 9):
        p = rng.uniform(size=n) ** 3
        np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])
    assert holm([]).shape == (0,)


def test_holm_spans_the_arms_but_not_the_oracle() -> None:
    study = simulated(Plan(BASELINES | {"better": 0.1, "oracle": 0.2}), 1)
    rows = [d for d in differences(resampled(study), ROLES, mixed=()) if d.group == KIND and d.baseline == "nothing"]
    own = [d for d in rows if d.metric == "uar" and d.arm != "oracle"]
    np.testing.assert_allclose([d.p_holm for d in own], holm([d.p for d in own]))
    assert all(np.isnan(d.p_holm) for d in rows if d.arm == "oracle")


def test_missing_cells_are_counted_and_both_sides_lose_them() -> None:
    lost = [n for n, c in enumerate(STUDY.cells) if c.arm == "better" and c.fold == 1 and c.seed == 0]
    study = without(STUDY, dict.fromkeys(lost, ("failed", "SVD did not converge")))
    table = resampled(study)
    row = one(differences(table, ROLES, mixed=()), "better")
    assert not row.complete and (row.missing.n, row.missing.expected) == (2, 12)
    assert row.missing.reasons == (("better: failed: SVD did not converge", 2),)
    whole = keep_answers(
        STUDY, ~np.isin(STUDY.cell, [n for n, c in enumerate(STUDY.cells) if c.fold == 1 and c.seed == 0])
    )
    expected = brute(whole, "better", "uar") - brute(whole, "nothing", "uar")
    assert row.difference.value == pytest.approx(expected)
    other = one(differences(table, ROLES, mixed=()), "class weights")
    assert other.complete and other.difference == one(differences(resampled(STUDY), ROLES), "class weights").difference


def test_an_arm_without_any_cell_is_undefined_with_the_reason() -> None:
    lost = {n: ("impossible", "no weights") for n, c in enumerate(STUDY.cells) if c.arm == "class weights"}
    rows = differences(resampled(without(STUDY, lost)), ROLES)
    row = one(rows, "class weights")
    assert np.isnan(row.difference.value) and np.isnan(row.p) and np.isnan(row.p_holm)
    assert "impossible: no weights (12)" in row.difference.reason and row.missing.n == 12
    assert np.isfinite(one(rows, "better").p_holm)


def test_a_class_absent_in_test_is_undefined() -> None:
    study = keep_answers(STUDY, STUDY.target != STUDY.classes.index("joy"))
    table = resampled(study)
    own = {(x.arm, x.metric): x.score for x in lines(table) if x.group == KIND}
    assert np.isnan(own["nothing", "uar"].value) and own["nothing", "uar"].reason == "test holds no sample of joy"
    assert np.isfinite(own["nothing", "f1_pruned"].low)  # anger and fear are there
    row = one(differences(table, ROLES), "better")
    assert np.isnan(row.difference.value) and "joy" in row.difference.reason and row.record.undefined == 12


def test_a_class_of_two_people_has_no_interval() -> None:
    """Resamples that lack a class are no zeros and are not averaged over what is left."""
    joy = STUDY.classes.index("joy")
    subject, _ = STUDY.subject_of_answer()
    study = keep_answers(STUDY, (STUDY.target != joy) | (subject < 2))
    score = next(x for x in lines(resampled(study)) if (x.arm, x.metric, x.group) == ("nothing", "uar", KIND)).score
    assert np.isfinite(score.value) and np.isnan(score.low) and "lack a class" in score.reason


def test_one_person_has_no_interval() -> None:
    study = simulated(Plan(BASELINES, people=1, folds=1), 0)
    row = one(differences(resampled(study), ROLES), "class weights")
    assert np.isfinite(row.difference.value) and np.isnan(row.difference.low) and np.isnan(row.p)
    assert "one person" in row.difference.reason


def test_mixed_model_is_the_mean_of_a_balanced_table() -> None:
    rng = np.random.default_rng(0)
    conditions, splits = np.repeat(np.arange(6), 20), np.tile(np.arange(20), 6)
    values = 2.0 + rng.normal(0, 1.5, 6)[conditions] + rng.normal(0, 1, 20)[splits] + rng.normal(0, 1, 120)
    mixed = mixed_model(values / 100, conditions, splits)
    assert mixed.converged and mixed.value == pytest.approx(values.mean() / 100)
    means = values.reshape(6, 20).mean(1)
    # REML of a balanced crossed table is its analysis of variance (Searle, Casella & McCulloch 1992, section 4.8)
    table = values.reshape(6, 20)
    of_splits = table.mean(0)
    rest = table - means[:, None] - of_splits + values.mean()
    ms_c, ms_s, ms_e = 20 * means.var(ddof=1), 6 * of_splits.var(ddof=1), (rest**2).sum() / (5 * 19)
    assert mixed.of_condition * 1e4 == pytest.approx((ms_c - ms_e) / 20, rel=0.02)
    assert mixed.of_split * 1e4 == pytest.approx((ms_s - ms_e) / 6, rel=0.02)
    half = 1.96 * np.sqrt((ms_c + ms_s - ms_e) / 120)
    assert mixed.high - mixed.low == pytest.approx(2 * half / 100, rel=0.01)


def test_mixed_model_says_what_it_cannot_do() -> None:
    assert "same" in mixed_model(np.ones(9), np.arange(9), np.arange(9)).reason
    assert "2 differences" in mixed_model(np.arange(2.0), np.arange(2), np.arange(2)).reason
    single = mixed_model(np.array([1.0, 2.0, 4.0, 5.0]), np.zeros(4), np.arange(4))
    assert single.converged and single.value == 3.0 and "without random intercepts" in single.reason


def test_an_optimiser_that_gives_up_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    from validators.trials.studies import mixed

    monkeypatch.setattr(mixed, "_OPTIMISERS", ["bfgs"])
    monkeypatch.setattr("statsmodels.regression.mixed_linear_model.MixedLM.loglike", lambda *_, **__: float("nan"))
    rng = np.random.default_rng(0)
    row = mixed_model(rng.normal(size=40), np.repeat(np.arange(4), 10), np.tile(np.arange(10), 4))
    assert not row.converged and row.reason


def test_kinds() -> None:
    assert kind_of("fear to 10 %", "fear") == KIND and kind_of("4 subjects", None) == "4 subjects"
    assert [g.name for g in grid_of(STUDY).groups] == [KIND, "anger to 10 %", "fear to 10 %"]
    own = simulated(Plan(BASELINES, conditions=("4 subjects", AS_IS, "fear to 10 %"), per_class=1), 0)
    assert [g.name for g in grid_of(own).groups] == [AS_IS, "4 subjects", "fear to 10 %"]


def test_a_grid_refuses_what_cannot_be_paired() -> None:
    twice = replace(STUDY, cells=(*STUDY.cells[:-1], replace(STUDY.cells[0], cell="f" * 40)))
    with pytest.raises(ValueError, match="two cells"):
        grid_of(twice)
    at = np.flatnonzero(STUDY.cell == 0)
    with pytest.raises(ValueError, match="different samples"):
        grid_of(keep_answers(STUDY, ~np.isin(np.arange(len(STUDY.cell)), at[:1])))
    with pytest.raises(ValueError, match="is none of"):
        grid_of(replace(STUDY, cells=(replace(STUDY.cells[0], pruned="awe"), *STUDY.cells[1:])))


def test_a_resample_is_the_plain_score_of_the_people_and_seeds_that_it_draws() -> None:
    table = resampled(STUDY, 5)
    mask = table.grid.shared(("better",), 0, 0)
    draws = table.scores("better", 0, 0, mask)
    subject, _ = STUDY.subject_of_answer()
    for r in range(1, 6):
        of_seeds = []
        for seed in (0, 1):
            own = [
                n
                for n, c in enumerate(STUDY.cells)
                if (c.arm, c.condition, c.seed) == ("better", "anger to 10 %", seed)
            ]
            at = np.flatnonzero(np.isin(STUDY.cell, own))
            at = np.repeat(at, table.people[r].astype(int)[subject[at]])
            of_seeds += [recall_score(STUDY.target[at], STUDY.answer[at], average="macro")] * int(table.seeds[r, seed])
        assert draws[r, 0] == pytest.approx(np.mean(of_seeds))
    assert {tuple(row) for row in table.seeds[1:]} != {(1.0, 1.0)}
