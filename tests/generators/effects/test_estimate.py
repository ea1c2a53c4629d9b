"""Effects of classes against the truth of simulated data, a literal re-implementation, and their symmetries."""

from __future__ import annotations

import time

import numpy as np
import pytest

from corpora.errors import ParamsError, UserError
from generators.effects import EffectParams, Effects, class_effects
from generators.params import parse_params
from tests.generators.effects.literal import recipe

K, D = 7, 24


def simulated(
    seed: int, n: int, *, common: int = 30, classes: int = K, d: int = D, people: int = 5, rare: int | None = None
) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray]:
    """Rows, labels, subjects and true effects [K, D]: two-way data, correlated features, effects of low rank and some
    more; class `rare` (default: the last) has n rows."""
    rng = np.random.default_rng(seed)
    rare = classes - 1 if rare is None else rare
    counts = [n if k == rare else common for k in range(classes)]
    y = np.repeat(np.arange(classes), counts)
    mixing = np.eye(d) + 0.4 * rng.normal(size=(d, d)) / np.sqrt(d)
    effects = (
        rng.normal(size=(classes, 3)) @ rng.normal(size=(3, d)) * 0.3 + rng.normal(0, 0.2, (classes, d))
    ) @ mixing
    levels, who = rng.normal(0, 0.8, (people, d)), rng.integers(0, people, len(y))
    x = levels[who] + effects[y] + rng.normal(size=(len(y), d)) @ mixing
    return x, y, [f"s{w}" for w in who], effects


def error(estimated: Effects, effects: np.ndarray, k: int) -> float:
    """Mean squared error of what is added to samples of the other classes, on their mean: of the effect of k."""
    js = [j for j in range(len(effects)) if j != k]
    return float(((estimated.offsets[k, js] - (effects[k] - effects[js])).mean(axis=0) ** 2).mean())


@pytest.mark.parametrize("n", [3, 6])
def test_shared_strength_errs_least(n: int) -> None:
    errors: dict[str, list[float]] = {"shared": [], "shrunk": [], "naive": []}
    for seed in range(40):
        x, y, subjects, effects = simulated(seed, n)
        for name in errors:
            params = parse_params(EffectParams, {"estimator": name}, "effects")
            errors[name].append(error(class_effects(x, y, subjects, K, params=params), effects, K - 1))
    mean = {name: np.mean(values) for name, values in errors.items()}
    assert mean["shared"] < 0.95 * mean["shrunk"] and mean["shrunk"] < mean["naive"], mean
    assert mean["shared"] < 0.6 * mean["naive"], mean


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("n", [3, 5])
def test_it_is_the_recipe(seed: int, n: int) -> None:
    x, y, subjects, _ = simulated(seed, n, common=12)
    estimated = class_effects(x, y, subjects, K)
    m, e = recipe(x, y, subjects, K - 1)
    assert estimated.how == ("shared",) * K
    for j, effect in e.items():
        np.testing.assert_allclose(estimated.offsets[K - 1, j], m - effect, atol=1e-9)


def test_it_is_the_recipe_with_other_corpora() -> None:
    x, y, subjects, effects = simulated(3, 4, common=12)
    rng = np.random.default_rng(9)
    others = {k: effects[k] + rng.normal(0, 0.1, D) + 5.0 for k in range(K)}  # their level says nothing
    m, e = recipe(x, y, subjects, K - 1, others)
    estimated = class_effects(x, y, subjects, K, others=others)
    np.testing.assert_allclose(estimated.offsets[K - 1, 0], m - e[0], atol=1e-9)
    alone = class_effects(x, y, subjects, K)
    assert error(estimated, effects, K - 1) < error(alone, effects, K - 1)
    few = class_effects(x, y, subjects, K, others={K - 1: others[K - 1], 0: others[0], 1: others[1]})
    np.testing.assert_array_equal(few.offsets, alone.offsets)


def test_a_subject_with_rare_samples_alone_has_the_mean_level() -> None:
    x, y, subjects, _ = simulated(5, 4, common=12)
    subjects[int(np.flatnonzero(y == K - 1)[0])] = "only rare"
    estimated = class_effects(x, y, subjects, K)
    m, e = recipe(x, y, subjects, K - 1)
    np.testing.assert_allclose(estimated.offsets[K - 1, 2], m - e[2], atol=1e-9)


def test_with_two_other_classes_each_feature_is_for_itself() -> None:
    x, y, subjects, _ = simulated(6, 4, common=20, classes=3)
    estimated = class_effects(x, y, subjects, 3)
    m, e = recipe(x, y, subjects, 2)
    np.testing.assert_allclose(estimated.offsets[2, 1], m - e[1], atol=1e-9)
    assert estimated.how[2] == "diagonal: 2 other classes have 8 samples; directions need 3"


def test_a_class_unlike_all_others_is_believed() -> None:
    """What the others never show is no reason to forget it, where 6 samples show it 8 standard deviations wide."""
    for classes in (3, K):
        x, y, subjects, effects = simulated(11, 6, classes=classes, common=30)
        x[y == classes - 1, 0] += 8.0
        effects[classes - 1, 0] += 8.0
        estimated = class_effects(x, y, subjects, classes)
        assert estimated.offsets[classes - 1, 0, 0] > 6.5, estimated.offsets[classes - 1, 0, 0]


def test_with_one_other_class_the_spread_is_one_number() -> None:
    errors = []
    for seed in range(20):
        x, y, subjects, effects = simulated(seed, 5, common=60, classes=2, d=60)
        estimated = class_effects(x, y, subjects, 2)
        assert estimated.how[1].startswith("diagonal: 1 other class")
        naive = class_effects(x, y, subjects, 2, params=EffectParams(estimator="naive"))
        true = effects[1] - effects[0]
        errors.append([((e.offsets[1, 0] - true) ** 2).mean() for e in (estimated, naive)] + [(true**2).mean()])
    shared, naive_error, nothing = np.mean(errors, axis=0)
    assert shared < 0.9 * naive_error and shared < 0.9 * nothing


def test_with_many_samples_it_is_the_naive_effect() -> None:
    x, y, subjects, effects = simulated(7, 4000, common=4000)
    naive = class_effects(x, y, subjects, K, params=EffectParams(estimator="naive"))
    for params in (EffectParams(), EffectParams(enough=1_000_000), EffectParams(estimator="shrunk")):
        estimated = class_effects(x, y, subjects, K, params=params)
        np.testing.assert_allclose(estimated.offsets, naive.offsets, atol=0.02)
        assert error(estimated, effects, K - 1) < 0.002
    assert class_effects(x, y, subjects, K).how == ("naive",) * K


def test_the_posterior_variance_is_that_of_the_error() -> None:
    """Errors over their posterior deviations have mean square about 1, for rare and for common classes."""
    ratios = []
    for seed in range(60):
        x, y, subjects, effects = simulated(seed, 4, common=40)
        estimated = class_effects(x, y, subjects, K)
        ratios.append([])
        for k in (K - 1, 0):
            js = [j for j in range(K - 1) if j != k]  # the well-known others, whose effects have mean 0
            miss = estimated.effects[k] - (effects[k] - effects[js].mean(axis=0))
            ratios[-1].append((miss**2 / estimated.variance[k]).mean())
    rare, common = np.mean(ratios, axis=0)
    assert 0.7 < rare < 1.4, rare
    assert 0.8 < common < 1.7, common  # the others' own error comes on top


def test_classes_subjects_rows_and_features_have_no_order() -> None:
    x, y, subjects, _ = simulated(8, 5, common=14, rare=2)
    one = class_effects(x, y, subjects, K)
    rng = np.random.default_rng(0)
    rows, classes, features = rng.permutation(len(x)), rng.permutation(K), rng.permutation(D)
    names = {s: f"{i}" for i, s in enumerate(rng.permutation(sorted(set(subjects))))}
    other = class_effects(
        x[rows][:, features], np.argsort(classes)[y[rows]], [names[subjects[i]] for i in rows.tolist()], K
    )
    np.testing.assert_allclose(other.offsets, one.offsets[classes][:, classes][:, :, features], atol=1e-9)
    np.testing.assert_allclose(other.variance, one.variance[classes][:, features], atol=1e-9)
    assert other.how == tuple(one.how[k] for k in classes)


def test_units_of_a_feature_do_not_matter_to_the_diagonal_estimate() -> None:
    x, y, subjects, _ = simulated(9, 4, common=12, classes=3)
    unit = np.geomspace(1e-3, 1e3, D)
    one, other = class_effects(x, y, subjects, 3), class_effects(x * unit + 7.0 * unit, y, subjects, 3)
    np.testing.assert_allclose(other.offsets[2] / unit, one.offsets[2], atol=1e-9)
    np.testing.assert_allclose(other.variance / unit**2, one.variance, atol=1e-9)


def test_the_same_input_gives_the_same_bytes_and_is_left_alone() -> None:
    x, y, subjects, _ = simulated(10, 4)
    kept = x.copy()
    one, other = class_effects(x, y, subjects, K), class_effects(x, y, subjects, K)
    assert one.offsets.tobytes() == other.offsets.tobytes() and x.tobytes() == kept.tobytes()
    assert np.all(one.offsets[np.arange(K), np.arange(K)] == 0)
    assert one.levels.shape == (5, D) and one.subjects == tuple(f"s{i}" for i in range(5))
    assert [one.subjects[i] for i in one.level_of] == subjects


def test_levels_are_those_of_the_subjects() -> None:
    rng = np.random.default_rng(0)
    levels, effects = rng.normal(size=(3, 4)), rng.normal(size=(4, 4))
    who, y = np.repeat([0, 1, 2], 40), np.tile(np.repeat(np.arange(4), 10), 3)
    estimated = class_effects(levels[who] + effects[y], y, [f"{w}" for w in who], 4)
    np.testing.assert_allclose(estimated.levels, levels + effects.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(estimated.offsets, effects[:, None] - effects[None], atol=1e-9)


def test_too_few_samples_are_refused_with_the_reason() -> None:
    x, y, subjects, _ = simulated(11, 2)
    estimated = class_effects(x, y, subjects, K)
    assert estimated.how[K - 1] == "refused: 2 samples; at least 3 are needed"
    assert class_effects(x[1:], y[1:], subjects[1:], K + 1).how[K] == "refused: 0 samples; at least 3 are needed"
    assert not estimated.usable(K - 1) and estimated.usable(0)
    assert np.isnan(estimated.offsets[K - 1, :-1]).all() and np.isnan(estimated.offsets[:-1, K - 1]).all()
    assert np.isnan(estimated.variance[K - 1]).all() and np.all(estimated.offsets[K - 1, K - 1] == 0)
    assert np.isfinite(estimated.offsets[:-1, :-1]).all()
    alone = class_effects(x[y == 0], y[y == 0], [None] * 30, K)
    assert alone.how[0] == "refused: no other class has samples enough to be converted"
    for name in ("shrunk", "naive"):
        assert class_effects(x, y, subjects, K, params=EffectParams(estimator=name)).how[K - 1] == estimated.how[K - 1]


def test_between_two_rare_classes_offsets_are_there_and_back() -> None:
    x, y, subjects, _ = simulated(12, 5)
    kept = (y != 0) | (np.cumsum(y == 0) <= 4)
    estimated = class_effects(x[kept], y[kept], [s for s, k in zip(subjects, kept, strict=True) if k], K)
    assert estimated.counts[0] == 4 and np.isfinite(estimated.offsets).all()
    np.testing.assert_allclose(estimated.offsets[0, K - 1], -estimated.offsets[K - 1, 0])
    np.testing.assert_allclose(estimated.offsets[1, 0], -estimated.offsets[0, 1])


def test_who_is_not_known_is_one_person() -> None:
    x, y, _, _ = simulated(13, 4)
    one = class_effects(x, y, [None] * len(x), K)
    np.testing.assert_array_equal(one.offsets, class_effects(x, y, ["me"] * len(x), K).offsets)
    assert one.subjects == ("",) and one.levels.shape == (1, D)


def test_each_corpus_has_its_own_effects_and_those_of_the_others_as_prior() -> None:
    gains = []
    for seed in range(20):
        x, y, subjects, effects = simulated(seed, 4, common=20)
        other, y2, subjects2, _ = simulated(seed, 40, common=40)
        unit = np.geomspace(0.1, 10.0, D)  # the other corpus speaks in other units and is as rich as can be
        both = np.concatenate([x, other * unit + 3.0])
        named = class_effects(
            both, np.concatenate([y, y2]), subjects + subjects2, K, corpora=["a"] * len(x) + ["b"] * len(other)
        )
        assert set(named.by_corpus) == {"a", "b"} and named.subjects[0] == "a/s0" and len(named.subjects) == 10
        alone = class_effects(x, y, subjects, K)
        gains.append(error(alone, effects, K - 1) - error(named.by_corpus["a"], effects, K - 1))
        np.testing.assert_array_equal(named.by_corpus["b"].how, ["naive"] * K)
        for part, rows in (("a", range(len(x))), ("b", range(len(x), len(both)))):
            mine = [(subjects + subjects2)[i] for i in rows]
            assert [named.by_corpus[part].subjects[i] for i in named.by_corpus[part].level_of] == mine
    assert np.mean(gains) > 0 and np.mean(np.array(gains) > 0) > 0.7
    same = class_effects(x, y, subjects, K, corpora=["a"] * len(x))
    np.testing.assert_array_equal(same.offsets, class_effects(x, y, subjects, K).offsets)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"y": np.zeros(3, int)}, "do not fit together"),
        ({"n_classes": K - 1}, "labels lie in"),
        ({"corpora": ["a"]}, "1 names of corpora"),
        ({"others": {0: np.zeros(3)}}, "elsewhere has shape"),
        ({"x": np.full((184, D), np.nan)}, "184 rows hold values"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], words: str) -> None:
    x, y, subjects, _ = simulated(14, 4)
    given = {"x": x, "y": y, "subjects": subjects, "n_classes": K} | change
    with pytest.raises(ValueError, match=words):
        class_effects(**given)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="there is none"):
        class_effects(x[:0], y[:0], [], K)
    with pytest.raises(ParamsError, match="enough"):
        parse_params(EffectParams, {"enough": 1}, "effects")


def test_a_constant_feature_and_equal_rows_stay_finite() -> None:
    x, y, subjects, _ = simulated(15, 4)
    x[:, 0] = 2.5
    estimated = class_effects(x, y, subjects, K)
    assert np.isfinite(estimated.offsets).all() and np.abs(estimated.offsets[..., 0]).max() < 1e-6
    assert np.isfinite(class_effects(np.zeros_like(x), y, subjects, K).offsets).all()


def test_28_classes_of_2000_features_take_seconds() -> None:
    x, y, subjects, _ = simulated(16, 4, common=40, classes=28, d=2000)
    started = time.process_time()
    estimated = class_effects(x, y, subjects, 28)
    assert time.process_time() - started < 20
    assert estimated.how[27] == "shared" and np.isfinite(estimated.offsets).all()
