"""Texts: substitutes come from the counts of train, operations do what their names say."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import PayloadError
from generators.classical.method import payload_method
from generators.classical.substitutes import Contexts, Token, tokens
from tests.generators.classical.payloads import TRAIN_TEXTS, text

TRAIN = [text(line) for line in TRAIN_TEXTS]
LINE = "we are so happy today because you came home ."


def applied(name: str, line: str, seed: int = 0, **params: object) -> str:
    method = payload_method("text", name, params).fit(TRAIN)
    return method.apply(text(line), np.random.default_rng(seed)).data.decode()


def words_for(left: str | None, word: str, right: str | None, **params: int) -> dict[str, float]:
    contexts = Contexts(TRAIN_TEXTS, **params)
    numbers, weights = contexts.candidates(left, word, right)
    names = {number: key for key, number in contexts._number.items()}
    return {names[int(n)]: float(w) for n, w in zip(numbers, weights, strict=True)}


def by_brute_force(left: str, word: str, right: str, min_count: int) -> dict[str, float]:
    lines = [["<", *(w.strip(".").lower() or w for w in line.split()), ">"] for line in TRAIN_TEXTS]
    count = Counter(w for line in lines for w in line)
    between = Counter(
        b for line in lines for a, b, c in zip(line, line[1:], line[2:], strict=False) if (a, c) == (left, right)
    )
    pairs = Counter(pair for line in lines for pair in pairwise(line))
    allowed = [w for w in count if count[w] >= min_count and w != word and w not in "<>."]
    exact = {w: float(between[w]) for w in allowed if between[w]}
    return exact or {w: x for w in allowed if (x := pairs[left, w] * pairs[w, right] / count[w])}


@pytest.mark.parametrize("min_count", [1, 2])
def test_candidates_are_those_of_a_plain_count(min_count: int) -> None:
    """For every pair of words of train as a context, and every word as what stands there."""
    keys = sorted({token.key for line in TRAIN_TEXTS for token in tokens(line)})
    levels = Counter()  # type: Counter[str]
    for left in [None, *keys]:
        for right in [None, *keys]:
            for word in ("happy", "so", "zyzzyva"):
                expected = by_brute_force(left or "<", word, right or ">", min_count)
                assert words_for(left, word, right, min_count=min_count) == pytest.approx(expected)
                levels["some" if expected else "none"] += 1
        if levels["some"] > 150:
            break
    assert levels["some"] > 20 and levels["none"] > 20


def test_the_exact_context_comes_first() -> None:
    assert words_for("so", "happy", "today") == {"sad": 1.0, "glad": 1.0}
    assert "glad" in words_for("so", "happy", "now") and words_for("so", "happy", "zyzzyva") == {}


def test_signs_capitals_and_masks() -> None:
    """What stands around a word stays; capitals of the place stay; masks are never replaced."""
    assert Token.of('"Happy!!"') == Token('"', "Happy", '!!"') and Token.of("[NAME]!").word == ""
    seen = {applied("substitute", "[NAME] so (HAPPY) today [URL]", seed, share=1) for seed in range(20)}
    assert seen == {"[NAME] so (GLAD) today [URL]", "[NAME] so (SAD) today [URL]"}
    assert {applied("substitute", "So happy today!", seed, share=0.1) for seed in range(9)} >= {"So glad today!"}


def test_substitutes_stand_where_they_fit() -> None:
    results = {applied("substitute", LINE, seed, share=0.1) for seed in range(200)}
    for result in results:
        before, after = LINE.split(), result.split()
        changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
        assert len(changed) == 1
        left, right = ([None, *before, None][changed[0]], [None, *before, None][changed[0] + 2])
        assert after[changed[0]].lower() in words_for(left, before[changed[0]], right)
    assert any("glad" in result for result in results) and any("sad" in result for result in results)


def test_the_order_of_train_does_not_count() -> None:
    method = payload_method("text", "substitute").fit(reversed(TRAIN))
    for seed in range(20):
        assert method.apply(text(LINE), np.random.default_rng(seed)).data.decode() == applied("substitute", LINE, seed)


def test_a_text_that_train_knows_nothing_of() -> None:
    with pytest.raises(PayloadError, match="no-substitute"):
        applied("substitute", "zyzzyva quux")
    with pytest.raises(PayloadError, match="unchanged"):
        applied("eda", "zyzzyva")


@given(
    line=st.lists(st.sampled_from(LINE.split()), min_size=1, max_size=30),
    alpha=st.floats(0.01, 1),
    seed=st.integers(0, 10_000),
)
def test_each_operation_of_eda(line: list[str], alpha: float, seed: int) -> None:
    n = max(1, round(alpha * len(line)))
    for operation in ("replace", "insert", "swap", "delete"):
        try:
            result = applied("eda", " ".join(line), seed, alpha=alpha, operations=(operation,)).split()
        except PayloadError as error:
            assert error.reason == "unchanged"
            continue
        assert result and result != line
        if operation == "swap":
            assert sorted(result) == sorted(line)
            assert sum(a != b for a, b in zip(line, result, strict=True)) <= 2 * n
        elif operation == "delete":
            assert 1 <= len(result) < len(line) and _within(result, line)
        elif operation == "insert":
            assert len(line) < len(result) <= len(line) + n and _within(line, result)
        else:
            assert len(result) == len(line) and sum(a != b for a, b in zip(line, result, strict=True)) <= n


def _within(shorter: list[str], longer: list[str]) -> bool:
    """Whether the words stand there in this order."""
    rest = iter(longer)
    return all(word in rest for word in shorter)


def test_deletions_are_as_frequent_as_asked_for() -> None:
    line = " ".join(f"w{i}" for i in range(50))
    left = [len(applied("eda", line, seed, alpha=0.3, operations=("delete",)).split()) for seed in range(100)]
    assert np.mean(left) == pytest.approx(35, abs=1)
    few = [applied("eda", "a b c", seed, alpha=0.01, operations=("delete",)) for seed in range(30)]
    assert set(few) == {"a b", "a c", "b c"}  # one at least
    assert min(len(applied("eda", "a b c", seed, alpha=1, operations=("delete",)).split()) for seed in range(9)) == 1


def test_all_operations_come_up() -> None:
    kinds = Counter()  # type: Counter[str]
    for seed in range(200):
        result = applied("eda", LINE, seed).split()
        n, same = len(result) - len(LINE.split()), sorted(result) == sorted(LINE.split())
        kinds["insert" if n > 0 else "delete" if n < 0 else "swap" if same else "replace"] += 1
    assert min(kinds[kind] for kind in ("insert", "delete", "swap", "replace")) > 30
