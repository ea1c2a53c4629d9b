"""Class sizes that fall exponentially."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import SplitError
from corpora.labels import EMOTIONS
from corpora.splits.longtail import long_tail
from corpora.splits.splits import make_view
from corpora.splits.views import Prune, ViewSpec
from tests.corpora.splits.test_splits import people, splits_of


def left(counts: dict[str, int], prunes: tuple[Prune, ...]) -> dict[str, int]:
    """Sizes after the prunes, by the rule that views follow."""
    percent = {part.emotion: part.percent for part in prunes}
    return {name: max(1, round(n * percent.get(name, 100.0) / 100)) for name, n in counts.items()}


def test_equal_classes_fall_as_in_long_tailed_cifar() -> None:
    """CIFAR-10-LT of ratio 100: 5000 ... 50 (numbers of the formula 5000 * 0.01^(i / 9))."""
    counts = dict.fromkeys(sorted(EMOTIONS)[:10], 5000)
    sizes = left(counts, long_tail(counts, 100))
    assert list(sizes.values()) == [round(5000 * 0.01 ** (i / 9)) for i in range(10)]


def test_classes_that_are_smaller_than_the_curve_bend_it_down() -> None:
    counts = {"anger": 1000, "fear": 100, "neutral": 400}
    prunes = long_tail(counts, 4)
    # anger > neutral > fear; fear allows 100, so the largest is 400
    assert left(counts, prunes) == {"anger": 400, "neutral": 200, "fear": 100}
    assert prunes == (Prune("anger", 40), Prune("neutral", 50))


@given(
    st.dictionaries(st.sampled_from(sorted(EMOTIONS)), st.integers(1, 20_000), min_size=2, max_size=8),
    st.floats(1, 200),
)
def test_sizes_are_those_of_the_curve_and_the_name_of_the_view_keeps_them(counts: dict[str, int], ratio: float) -> None:
    try:
        prunes = long_tail(counts, ratio)
    except SplitError as error:
        assert "take a lower ratio" in str(error)
        return
    spec = ViewSpec("group", prune=prunes)
    assert ViewSpec.parse(spec.name) == spec
    sizes = sorted(left(counts, prunes).values(), reverse=True)
    curve = [sizes[0] * ratio ** (-i / (len(sizes) - 1)) for i in range(len(sizes))]
    assert all(abs(size - at) <= 1.0 for size, at in zip(sizes, curve, strict=True))
    # no larger n would do: some class is whole, but for rounding
    assert any(left(counts, prunes)[name] >= counts[name] - 1 for name in counts)


def test_the_view_has_these_sizes() -> None:
    index = people(20, per=30)
    emotion = dict(zip(index["sample_id"].to_pylist(), index["emotion"].to_pylist(), strict=True))
    train = Counter(emotion[i] for i, s in splits_of(make_view(index, "group")).items() if s == "train")
    spec = ViewSpec("group", prune=long_tail(train, 9))
    split = splits_of(make_view(index, spec))
    assert Counter(emotion[i] for i, s in split.items() if s == "train") == {"anger": 120, "fear": 40, "neutral": 13}
    assert sum(s == "test" for s in split.values()) == sum(
        s == "test" for s in splits_of(make_view(index, "group")).values()
    )
    assert all(part.groups for part in long_tail(train, 9, groups=True))


@pytest.mark.parametrize(
    ("counts", "ratio", "why"),
    [
        ({"anger": 5}, 2.0, "needs two classes"),
        ({}, 2.0, "needs two classes"),
        ({"anger": 5, "fear": 0}, 2.0, "needs two classes"),
        ({"anger": 5, "fear": 5}, 0.5, "at least 1"),
        ({"anger": 5, "fear": 5}, float("nan"), "at least 1"),
        ({"anger": 5, "fear": 5}, 100.0, r"leaves 0.05 of 'fear'; take a lower ratio"),
    ],
)
def test_tails_that_cannot_be(counts: dict[str, int], ratio: float, why: str) -> None:
    with pytest.raises(SplitError, match=why):
        long_tail(counts, ratio)
