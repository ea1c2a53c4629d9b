"""What every classifier of the registry promises."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.errors import ParamsError, UnknownNameError, UserError
from validators.trials.classifiers.protocol import Classifier
from validators.trials.classifiers.registry import (
    CLASSIFIERS,
    classifier,
    classifiers_for,
    dimensions_classifier,
    labels_classifier,
)

SMALL = {"cnn": {"steps": 60, "batch_size": 32, "width": 8}, "boosting": {"rounds": 40}}
NAMES = classifiers_for("fit")
VECTORS = [name for name in NAMES if "vector" in classifier(name).layouts]
SCALED = [name for name in NAMES if name != "boosting"]  # trees scale nothing


def built(name: str) -> Classifier:
    return classifier(name, SMALL.get(name))


def rows(
    name: str, n: int = 90, k: int = 3, seed: int = 0, shape: tuple[int, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Classes 0 ... k - 1 whose features differ by far; images where the classifier reads no vectors."""
    rng = np.random.default_rng(seed)
    shape = shape or ((12,) if "vector" in built(name).layouts else (1, 8, 8))
    means = np.random.default_rng(99).normal(size=(k, *shape)) * 2.0
    y = np.arange(n) % k
    return means[y] + rng.normal(size=(n, *shape)), y


@pytest.mark.parametrize("name", NAMES)
def test_learns_what_is_separable(name: str) -> None:
    x, y = rows(name)
    x_test, y_test = rows(name, seed=1)
    answers, scores = built(name).fit(x, y, n_classes=3, seed=0).answers(x_test)
    assert answers.dtype == np.int64 and scores.dtype == np.float32 and scores.shape == (90, 3)
    assert (answers == y_test).mean() > 0.95
    assert (answers == scores.argmax(axis=1)).all()
    if built(name).probabilities:
        assert scores.min() >= 0 and np.allclose(scores.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_rows_in_any_order_and_the_same_seed_give_the_same_answers(name: str) -> None:
    x, y = rows(name)
    x_test, _ = rows(name, seed=1)
    weights = 1.0 + (np.arange(90) % 4)
    reference = np.arange(90) % 5 > 0
    order = np.random.default_rng(3).permutation(90)
    first = built(name).fit(x, y, weights=weights, n_classes=3, seed=7, reference=reference).answers(x_test)
    again = (
        built(name)
        .fit(x[order], y[order], weights=weights[order], n_classes=3, seed=7, reference=reference[order])
        .answers(x_test)
    )
    assert (first[0] == again[0]).all() and (first[1] == again[1]).all()


def test_another_seed_trains_another_network() -> None:
    x, y = rows("cnn")
    one, other = (built("cnn").fit(x, y, n_classes=3, seed=seed).answers(x)[1] for seed in (0, 1))
    assert (one != other).any()


@pytest.mark.parametrize("name", ["logistic", "linear_svm", "svm"])
def test_a_weight_of_two_is_the_row_twice(name: str) -> None:
    x, y = rows(name, n=120)
    x = x * 0.3 + np.random.default_rng(5).normal(size=x.shape) * 2  # classes overlap: every row matters
    x_test, _ = rows(name, seed=1)
    twice = np.arange(120) % 3 == 1
    more, real = np.flatnonzero(twice), np.arange(120 + twice.sum()) < 120
    weighted = built(name).fit(x, y, weights=1.0 + twice, n_classes=3, seed=0).answers(x_test)[1]
    repeated = (
        built(name)
        .fit(np.concatenate([x, x[more]]), np.concatenate([y, y[more]]), n_classes=3, seed=0, reference=real)
        .answers(x_test)[1]
    )
    plain = built(name).fit(x, y, n_classes=3, seed=0).answers(x_test)[1]
    assert np.abs(weighted - repeated).max() < 5e-3
    assert np.abs(weighted - plain).max() > 2e-2


@pytest.mark.parametrize("name", NAMES)
def test_heavy_rows_win(name: str) -> None:
    """The same features with two labels: the heavier one is answered."""
    x, _ = rows(name, n=60, k=1)
    both, y = np.concatenate([x, x]), np.repeat([0, 1], 60)
    for heavy in (0, 1):
        weights = np.where(y == heavy, 3.0, 0.5)
        answers, _ = built(name).fit(both, y, weights=weights, n_classes=2, seed=0).answers(x)
        assert (answers == heavy).mean() > 0.9


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("absent", [0, 1, 3])
def test_a_class_that_train_lacks_is_never_answered_and_shifts_no_index(name: str, absent: int) -> None:
    x, y = rows(name, n=120, k=4)
    kept = y != absent
    answers, scores = built(name).fit(x[kept], y[kept], n_classes=4, seed=0).answers(x)
    assert (answers[kept] == y[kept]).mean() > 0.95
    assert (answers != absent).all()
    assert (scores[:, absent] == (0.0 if built(name).probabilities else -np.inf)).all()


@pytest.mark.parametrize("name", NAMES)
def test_two_classes(name: str) -> None:
    x, y = rows(name, k=2)
    answers, scores = built(name).fit(x, y, n_classes=2, seed=0).answers(x)
    assert (answers == y).mean() > 0.95 and scores.shape == (90, 2)


@pytest.mark.parametrize("name", NAMES)
def test_constant_features_say_nothing(name: str) -> None:
    x, y = rows(name)
    x_test, _ = rows(name, seed=1)
    if "vector" not in built(name).layouts:
        x, x_test = np.repeat(x, 2, axis=1), np.repeat(x_test, 2, axis=1)
    x[:, 0], moved = 5.0, x_test.copy()
    x_test[:, 0], moved[:, 0] = 5.0, -1000.0
    fitted = built(name).fit(x, y, n_classes=3, seed=0)
    assert (fitted.answers(x_test)[1] == fitted.answers(moved)[1]).all()
    constant = built(name).fit(np.ones_like(x), y, n_classes=3, seed=0).answers(x_test)[1]
    assert np.isfinite(constant).all()


@pytest.mark.parametrize("name", SCALED)
def test_scales_are_learned_from_reference_rows_alone(name: str) -> None:
    """Rows of almost no weight, far away, change nothing as long as they are no reference."""
    x, y = rows(name)
    x_test, _ = rows(name, seed=1)
    both, labels = np.concatenate([x, 50.0 + 1000.0 * x]), np.concatenate([y, y])
    real = np.arange(180) < 90
    weights = np.where(real, 1.0, 1e-12)
    alone = built(name).fit(x, y, weights=weights[:90], n_classes=3, seed=0).answers(x_test)
    beside = built(name).fit(both, labels, weights=weights, n_classes=3, seed=0, reference=real).answers(x_test)
    blind = built(name).fit(both, labels, weights=weights, n_classes=3, seed=0).answers(x_test)
    if name == "cnn":  # other rows are other batches: the scales are compared, not the network

        def mean(**given: np.ndarray) -> np.ndarray:
            return built(name).fit(both, labels, n_classes=3, seed=0, **given).scales.mean  # type: ignore[attr-defined]

        assert np.allclose(mean(reference=real), x.mean()) and not np.allclose(mean(), x.mean())
        return
    assert np.abs(alone[1] - beside[1]).max() < 5e-3
    assert np.abs(alone[1] - blind[1]).max() > 5e-2


@pytest.mark.parametrize("name", NAMES)
def test_what_is_wrong_is_said(name: str) -> None:
    x, y = rows(name)
    fit = built(name).fit
    bad = x.copy()
    bad.reshape(len(x), -1)[4, 2] = np.nan
    with pytest.raises(UserError, match=f"{name}: 1 of 90 train rows hold NaN or infinite values .the first is row 4"):
        fit(bad, y, n_classes=3, seed=0)
    with pytest.raises(UserError, match="1 of 90 test rows hold NaN"):
        fit(x, y, n_classes=3, seed=0).answers(bad)
    with pytest.raises(UserError, match="train holds 1 of 3 classes"):
        fit(x, np.full(90, 2), n_classes=3, seed=0)
    with pytest.raises(UserError, match="none of 0 train rows"):
        fit(x[:0], y[:0], n_classes=3, seed=0)
    for weight in (0.0, -1.0, np.nan):
        with pytest.raises(UserError, match="1 weights are not finite numbers above 0"):
            fit(x, y, weights=np.where(np.arange(90) == 3, weight, 1.0), n_classes=3, seed=0)
    with pytest.raises(UserError, match="none of 90 train rows is a real one"):
        fit(x, y, n_classes=3, seed=0, reference=np.zeros(90, bool))
    with pytest.raises(ValueError, match="class indices"):
        fit(x, y + 1, n_classes=3, seed=0)
    with pytest.raises(ValueError, match="90 rows"):
        fit(x, y[:-1], n_classes=3, seed=0)


def test_names_and_parameters_that_are_none() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown classifier 'logistics'.*Did you mean 'logistic'"):
        classifier("logistics")
    with pytest.raises(ParamsError, match=r"parameters of classifier svm: unknown parameter 'gama'.*'gamma'"):
        classifier("svm", {"gama": 1})
    with pytest.raises(ParamsError, match="parameter 'C' is -1"):
        classifier("logistic", {"C": -1})
    with pytest.raises(UserError, match=r"'ridge' is not for one class of several.*logistic"):
        classifier("ridge")
    with pytest.raises(UserError, match=r"'svm' is not for numbers such as valence.*: ridge\."):
        dimensions_classifier("svm")
    with pytest.raises(UserError, match=r"'svm' is not for several labels a sample.*: logistic\."):
        labels_classifier("svm")


def test_every_name_of_the_table_is_what_it_is_called() -> None:
    for name in CLASSIFIERS:
        tasks = [task for task in ("fit", "fit_dimensions", "fit_labels") if name in classifiers_for(task)]
        door = {"fit": classifier, "fit_dimensions": dimensions_classifier, "fit_labels": labels_classifier}
        assert tasks and all(door[task](name).name == name for task in tasks)


def test_a_network_of_rows_pools_over_valid_columns_alone() -> None:
    x, y = rows("cnn", shape=(3, 32))
    x[:, 2, :20], x[:, 2, 20:] = 1.0, -1.0
    fitted = classifier("cnn", {**SMALL["cnn"], "mask_row": 2}).fit(x, y, n_classes=3, seed=0)
    assert (fitted.answers(x)[0] == y).mean() > 0.95
    wide = np.concatenate([x[:9], np.full((9, 3, 368), -1.0)], axis=2)
    narrow = classifier("cnn", {**SMALL["cnn"], "mask_row": 2}).fit(wide, y[:9], n_classes=3, seed=0)
    loud = wide.copy()
    loud[:, :2, 300:] = 1000.0  # farther from what is valid than a convolution reaches
    assert np.allclose(narrow.answers(wide)[1], narrow.answers(loud)[1], atol=1e-6)
    loud[:, :2, :20] = 1000.0
    assert not np.allclose(narrow.answers(wide)[1], narrow.answers(loud)[1], atol=1e-2)
    with pytest.raises(UserError, match="mask_row is 3"):
        classifier("cnn", {"mask_row": 3}).fit(x, y, n_classes=3, seed=0)
    with pytest.raises(UserError, match=r"not arrays of shape \[12\]"):
        classifier("cnn").fit(*rows("svm"), n_classes=3, seed=0)
    with pytest.raises(ValueError, match="trained on"):
        fitted.answers(x[:, :, :16])


def test_a_network_takes_as_many_steps_whatever_the_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    import training.loop

    seen = []
    batch = training.loop.Order.batch
    monkeypatch.setattr(
        training.loop.Order, "batch", lambda self, step, size: seen.append(size) or batch(self, step, size)
    )
    for n in (60, 180):
        seen.clear()
        built("cnn").fit(*rows("cnn", n=n), n_classes=3, seed=0)
        assert seen == [32] * 60


def test_dimensions() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 6))
    slopes = rng.normal(size=(6, 3))
    targets = x @ slopes + 3.0
    targets[::3, 1] = np.nan
    targets[:, 2] = np.nan
    targets[0, 2] = 1.0
    regression = dimensions_classifier("ridge", {"alpha": 1e-3, "scaling": "standard"})
    predicted = regression.fit_dimensions(x, targets, seed=0).predictions(x)
    assert predicted.dtype == np.float32
    assert np.allclose(predicted[:, :2], x @ slopes[:, :2] + 3.0, atol=1e-2)
    assert np.isnan(predicted[:, 2]).all()  # one known value is no line
    order = rng.permutation(200)
    again = regression.fit_dimensions(x[order], targets[order], seed=0).predictions(x)
    assert np.array_equal(predicted, again, equal_nan=True)
    with pytest.raises(UserError, match="fewer than two values of every dimension"):
        regression.fit_dimensions(x, np.full((200, 3), np.nan), seed=0)


def test_dimensions_weigh_rows() -> None:
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(40, 2)), rng.normal(size=(40, 1))
    twice = np.arange(40) % 2 == 0
    fit = dimensions_classifier("ridge").fit_dimensions
    weighted = fit(x, target, weights=1.0 + twice, seed=0).predictions(x)
    real = np.arange(60) < 40
    repeated = fit(
        np.concatenate([x, x[twice]]), np.concatenate([target, target[twice]]), seed=0, reference=real
    ).predictions(x)
    assert np.allclose(weighted, repeated, atol=1e-6)
    assert not np.allclose(weighted, fit(x, target, seed=0).predictions(x), atol=1e-3)


def test_several_labels() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5))
    targets = np.stack([x[:, 0] > 0, x[:, 1] > 0, np.zeros(300, bool), np.ones(300, bool)], axis=1)
    fitted = labels_classifier("logistic").fit_labels(x, targets, seed=0)
    answers, scores = fitted.answers(x)
    assert answers.dtype == bool and scores.dtype == np.float32
    assert (answers[:, :2] == targets[:, :2]).mean() > 0.95
    assert not answers[:, 2].any() and (scores[:, 2] == 0).all() and (scores[:, 3] == 1).all()
    strict = labels_classifier("logistic", {"threshold": 0.9}).fit_labels(x, targets, seed=0).answers(x)[0]
    assert strict[:, 0].sum() < answers[:, 0].sum()
    of_label = np.ones((300, 4))
    of_label[targets[:, 0], 0] = 20.0  # one label's weights leave the others alone
    heavy = labels_classifier("logistic").fit_labels(x, targets, weights=of_label, seed=0).answers(x)[1]
    assert heavy[:, 0].mean() > scores[:, 0].mean() + 0.01 and np.allclose(heavy[:, 1], scores[:, 1], atol=1e-4)
    with pytest.raises(UserError, match="no label has train rows with and without it"):
        labels_classifier("logistic").fit_labels(x, targets[:, 2:], seed=0)
