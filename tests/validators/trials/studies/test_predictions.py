"""Studies of dimensions and labels: scores against brute force and scikit-learn, intervals, and the honest order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import f1_score

from corpora.errors import UnknownNameError
from validators.trials.studies.answers import AS_IS, CELLS, PEOPLE
from validators.trials.studies.compare import Difference, Line
from validators.trials.studies.predicted import PredictedSummary, predicted_summary
from validators.trials.studies.predictions import (
    PREDICTIONS,
    TRUTHS,
    Predictions,
    Scored,
    Task,
    concordance,
    in_words,
)
from validators.trials.studies.resampling import expanded_level
from validators.trials.studies.roles import Roles
from validators.trials.studies.scores import ccc

DIMENSIONS = ("valence", "arousal", "dominance")
LABELS = ("joy", "anger")


@dataclass
class Made:
    """Tables of a study with a known truth. noise: arm -> sd of its predictions around the truth (of labels: of the
    score around 0 or 1)."""

    task: Task
    noise: dict[str, float]
    people: int = 10
    each: int = 12
    seeds: int = 2
    folds: int = 2
    unrated: Sequence[str] = ()
    classifiers: Sequence[str] = ("one",)
    tables: list[pa.Table] = field(default_factory=list)
    truth: np.ndarray = field(default_factory=lambda: np.zeros(0))
    given: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return DIMENSIONS if self.task == "dimensions" else LABELS

    def build(self, change: Any = None, seed: int = 0) -> Made:
        """change: (arm, seed, values [N, K]) -> values."""
        rng = np.random.default_rng(seed)
        n, k = self.people * self.each, len(self.names)
        person = np.repeat(np.arange(self.people), self.each)
        self.truth = rng.normal(0, 0.4, (n, k)) if self.task == "dimensions" else rng.uniform(size=(n, k)) < 0.4
        self.truth = self.truth.astype(np.float32)
        if self.task == "dimensions":
            self.truth[rng.uniform(size=(n, k)) < 0.1] = np.nan
            for name in self.unrated:
                self.truth[:, self.names.index(name)] = np.nan
        ids = [f"s{i:03d}" for i in range(n)]
        cells, rows = [], []
        for seed_ in range(self.seeds):
            fold_of = rng.permutation(self.people) % self.folds
            shared = rng.normal(size=(n, k))
            for arm, sd in self.noise.items():
                own = 0.8 * shared + 0.6 * rng.normal(size=(n, k))
                values = (np.nan_to_num(self.truth) + sd * own).astype(np.float32)
                values = values if change is None else change(arm, seed_, values)
                self.given[arm, seed_] = values
                for classifier in self.classifiers:
                    for fold in range(self.folds):
                        name = f"{arm}-{classifier}-{seed_}-{fold}"
                        at = {"condition": AS_IS, "pruned": None, "fold": fold, "seed": seed_}
                        became = {"status": "ok", "reason": "", "n_real": 5, "n_added": 0, "seconds": 0.0}
                        cells.append({"cell": name, "arm": arm, "classifier": classifier, **at, **became})
                        for i in np.flatnonzero(fold_of[person] == fold):
                            listed = [None if np.isnan(v) else float(v) for v in values[i]]
                            answers = None if self.task == "dimensions" else [bool(v >= 0.5) for v in values[i]]
                            rows.append({"cell": name, "sample_id": ids[i], "values": listed, "answers": answers})
        truths = [
            {"sample_id": i, "values": [None if np.isnan(v) else float(v) for v in own]}
            for i, own in zip(ids, self.truth, strict=True)
        ]
        people = [
            {"sample_id": i, "subject": f"p{p}", "corpus": "c", "gender": None, "age": None, "language": None}
            for i, p in zip(ids, person, strict=True)
        ]
        self.tables = [
            pa.Table.from_pylist(cells, schema=CELLS),
            pa.Table.from_pylist(rows, schema=PREDICTIONS),
            pa.Table.from_pylist(truths, schema=TRUTHS),
            pa.Table.from_pylist(people, schema=PEOPLE),
        ]
        return self

    def whole(self) -> Predictions:
        return Predictions.of_tables(self.task, self.names, *self.tables)

    def summary(self, **more: Any) -> PredictedSummary:
        return predicted_summary(self.whole(), Roles(), **{"n_bootstrap": 300, "seed": 0, **more})


def _line(summary: PredictedSummary, arm: str, metric: str) -> Line:
    return next(x for x in summary.lines if (x.arm, x.metric) == (arm, metric))


def _difference(summary: PredictedSummary, arm: str, metric: str, baseline: str = "nothing") -> Difference:
    return next(d for d in summary.differences if (d.arm, d.metric, d.baseline) == (arm, metric, baseline))


def _brute_ccc(p: np.ndarray, t: np.ndarray) -> float:
    """Lin 1989, eq. 1, over the pairs of which both are known, sample by sample."""
    pairs = [(float(a), float(b)) for a, b in zip(p, t, strict=True) if np.isfinite(b)]
    n = len(pairs)
    mp, mt = sum(a for a, _ in pairs) / n, sum(b for _, b in pairs) / n
    above = 2 * sum((a - mp) * (b - mt) for a, b in pairs) / n
    below = sum((a - mp) ** 2 for a, _ in pairs) / n + sum((b - mt) ** 2 for _, b in pairs) / n + (mp - mt) ** 2
    return above / below


def test_concordance_is_lins_pooled_over_folds_and_averaged_over_seeds() -> None:
    made = Made("dimensions", {"nothing": 0.5, "jitter": 0.4}).build()
    summary = made.summary()
    for arm in made.noise:
        each = [np.mean([_brute_ccc(made.given[arm, s][:, k], made.truth[:, k]) for s in range(2)]) for k in range(3)]
        for name, value in zip(DIMENSIONS, each, strict=True):
            assert _line(summary, arm, f"ccc {name}").score.value == pytest.approx(value, abs=1e-6)
        assert _line(summary, arm, "ccc").score.value == pytest.approx(np.mean(each), abs=1e-6)
    both = [_line(summary, arm, "ccc").score.value for arm in ("jitter", "nothing")]
    assert _difference(summary, "jitter", "ccc").difference.value == pytest.approx(both[0] - both[1])


def test_concordance_of_moments_is_that_of_rows() -> None:
    rng = np.random.default_rng(3)
    p, t = rng.normal(0.3, 0.5, (40, 3)), rng.normal(size=(40, 3))
    ones = np.ones_like(p)
    moments = np.stack([part.sum(0) for part in (ones, p, t, p * p, t * t, p * t)])
    np.testing.assert_allclose(concordance(moments), ccc(p, t))
    np.testing.assert_allclose(concordance(np.stack([part.sum(0) for part in (ones, t, t, t * t, t * t, t * t)])), 1.0)


def test_macro_f1_is_that_of_scikit_learn() -> None:
    made = Made("labels", {"nothing": 0.6, "class weights": 0.6, "jitter": 0.5}).build()
    summary = made.summary()
    for arm in made.noise:
        answers = [made.given[arm, s] >= 0.5 for s in range(2)]
        macro = np.mean([f1_score(made.truth > 0, a, average="macro") for a in answers])
        assert _line(summary, arm, "macro_f1").score.value == pytest.approx(macro)
        for k, name in enumerate(LABELS):
            own = np.mean([f1_score(made.truth[:, k] > 0, a[:, k]) for a in answers])
            assert _line(summary, arm, f"f1 {name}").score.value == pytest.approx(own)


def test_intervals_are_of_people_drawn_whole_and_the_same_for_both_arms() -> None:
    made = Made("dimensions", {"nothing": 0.5, "jitter": 0.4}, seeds=1, unrated=("dominance",)).build()
    scored = Scored.of(made.whole(), 200, np.random.default_rng(0))
    person = np.repeat(np.arange(made.people), made.each)
    names = sorted(f"p{p}" for p in range(made.people))
    column = {name: n for n, name in enumerate(names)}
    draws = []
    for drawn in scored.draws.people:
        rows = np.concatenate(
            [np.repeat(np.flatnonzero(person == p), int(drawn[column[f"p{p}"]])) for p in range(made.people)]
        )
        both = [
            np.mean([_brute_ccc(made.given[arm, 0][rows, k], made.truth[rows, k]) for k in range(2)])
            for arm in ("jitter", "nothing")
        ]
        draws.append(both[0] - both[1])
    got = _difference(made.summary(n_bootstrap=200), "jitter", "ccc").difference
    level = expanded_level(made.people)
    np.testing.assert_allclose(
        [got.value, got.low, got.high], [draws[0], *np.quantile(draws[1:], [level, 1 - level])], atol=1e-6
    )


def test_a_dimension_that_nobody_rated_is_undefined_and_no_part_of_the_mean() -> None:
    made = Made("dimensions", {"nothing": 0.5, "jitter": 0.4}, unrated=("dominance",)).build()
    summary = made.summary(left_out={"dominance": "nobody rated it"})
    line = _line(summary, "nothing", "ccc dominance").score
    assert np.isnan(line.value) and line.reason == "nobody rated dominance"
    assert summary.about.counted == ("valence", "arousal") and summary.about.left_out
    two = [_line(summary, "nothing", f"ccc {name}").score.value for name in ("valence", "arousal")]
    assert _line(summary, "nothing", "ccc").score.value == pytest.approx(np.mean(two))


@pytest.mark.parametrize(("value", "says"), [(0.3, "predictions of arousal are constant"), (np.nan, "fewer than two")])
def test_what_is_not_predicted_is_undefined_and_so_is_the_mean(value: float, says: str) -> None:
    def change(arm: str, seed: int, values: np.ndarray) -> np.ndarray:
        if arm == "jitter" and seed == 1:
            values[:, 1] = np.float32(value)
        return values

    summary = Made("dimensions", {"nothing": 0.5, "jitter": 0.4, "other": 0.4}).build(change).summary()
    for metric in ("ccc", "ccc arousal"):
        for own in (_line(summary, "jitter", metric).score, _difference(summary, "jitter", metric).difference):
            assert np.isnan(own.value) and says in own.reason
    assert np.isfinite(_line(summary, "jitter", "ccc valence").score.value)
    assert np.isfinite(_line(summary, "other", "ccc").score.value)
    assert summary.verdict.arm == "other"


def test_a_label_that_test_lacks_is_undefined() -> None:
    made = Made("labels", {"nothing": 0.6, "jitter": 0.5}).build()
    values = pa.array([[own[0], 0.0] for own in made.tables[2]["values"].to_pylist()], pa.list_(pa.float32()))
    made.tables[2] = pa.Table.from_arrays([made.tables[2]["sample_id"], values], schema=TRUTHS)
    summary = made.summary()
    assert _line(summary, "nothing", "macro_f1").score.reason == "test holds no sample of anger"
    assert summary.verdict.outcome == "cannot tell" and "no sample of anger" in summary.verdict.sentence


def test_one_person_has_no_interval_and_few_people_no_verdict() -> None:
    summary = Made("dimensions", {"nothing": 0.5, "jitter": 0.4}, people=1, folds=1).build().summary()
    score = _line(summary, "nothing", "ccc").score
    assert np.isfinite(score.value) and np.isnan(score.low) and "one person" in score.reason
    assert "1 test person; fewer than 6" in summary.verdict.sentence
    five = Made("dimensions", {"nothing": 0.5, "jitter": 0.4}, people=5).build().summary()
    assert five.verdict.outcome == "cannot tell" and "5 test people" in five.verdict.sentence


def test_the_sentence_keeps_the_honest_order() -> None:
    better = Made("dimensions", {"nothing": 0.6, "jitter": 0.25, "noise": 0.6}).build().summary()
    assert better.verdict.outcome == "win" and better.verdict.arm == "jitter"
    assert better.verdict.sentence.startswith("Jitter beats the train set as it is by ")
    assert "points of mean CCC" in better.verdict.sentence
    same = Made("dimensions", {"nothing": 0.5, "jitter": 0.5, "noise": 0.5}).build().summary()
    assert same.verdict.outcome == "no win" and same.verdict.sentence.startswith("Nothing beats")
    # of labels a win has to beat class weights too
    weights = {"nothing": 1.2, "class weights": 0.3, "jitter": 0.3}
    labels = Made("labels", weights, people=20).build().summary()
    assert _difference(labels, "jitter", "macro_f1").difference.above
    assert labels.verdict.outcome == "no win" and "Nothing beats class weights" in labels.verdict.sentence
    few = Made("dimensions", {"nothing": 0.6, **{f"arm {n}": 0.5 for n in range(4)}}).build().summary(n_bootstrap=100)
    assert "100 resamples give no p below 0.05 with 4 arms" in few.verdict.sentence


def test_a_missing_cell_is_counted_and_its_arm_does_not_win() -> None:
    made = Made("dimensions", {"nothing": 0.6, "jitter": 0.2, "noise": 0.5}).build()
    cells = made.tables[0].to_pylist()
    lost = next(n for n, cell in enumerate(cells) if cell["arm"] == "jitter")
    cells[lost] |= {"status": "impossible", "reason": "no source"}
    gone = made.tables[1]["cell"].to_numpy() != cells[lost]["cell"]
    made.tables[0] = pa.Table.from_pylist(cells, schema=CELLS)
    made.tables[1] = made.tables[1].filter(pa.array(gone))
    summary = made.summary()
    difference = _difference(summary, "jitter", "ccc")
    assert difference.missing.n == 1 and not difference.complete
    assert summary.verdict.arm != "jitter" and "Not ranked, since cells are missing: jitter" in summary.verdict.sentence
    assert [(u.arm, u.reason, u.n) for u in summary.unusable] == [("jitter", "no source", 1)]


def test_holm_is_over_the_arms_and_order_of_rows_changes_nothing() -> None:
    made = Made("dimensions", {"nothing": 0.6, "jitter": 0.45, "noise": 0.5}).build()
    summary = made.summary()
    own = sorted((_difference(summary, arm, "ccc") for arm in ("jitter", "noise")), key=lambda d: d.p)
    assert own[0].p_holm == pytest.approx(min(1.0, 2 * own[0].p))
    assert own[1].p_holm == pytest.approx(min(1.0, max(2 * own[0].p, own[1].p)))
    made.tables = [table.take(np.random.default_rng(1).permutation(table.num_rows)) for table in made.tables]
    again = made.summary()
    assert repr(sorted(again.lines, key=repr)) == repr(sorted(summary.lines, key=repr))
    assert again.verdict.sentence == summary.verdict.sentence


def test_tables_that_do_not_belong_together_are_refused() -> None:
    made = Made("labels", {"nothing": 0.5}).build()
    with pytest.raises(UnknownNameError):
        predicted_summary(made.whole(), Roles(nothing="baseline"), n_bootstrap=100, seed=0)
    whole = list(made.tables)
    made.tables[2] = whole[2].slice(1)
    with pytest.raises(ValueError, match="1 samples without a truth"):
        made.whole()
    made.tables = [*whole]
    with pytest.raises(ValueError, match="values in"):
        Predictions.of_tables("labels", ("one", "two", "three"), *made.tables)
    numbers = Made("dimensions", {"nothing": 0.5}).build()
    with pytest.raises(ValueError, match=r"values in|without answers"):
        Predictions.of_tables("labels", DIMENSIONS, *numbers.tables)


def test_metrics_in_words() -> None:
    assert [in_words(m) for m in ("ccc", "ccc valence", "macro_f1", "f1 love")] == [
        "mean CCC",
        "CCC of valence",
        "macro-F1",
        "F1 of love",
    ]
