"""Measures of texts: hand-computed values, brute force, properties, and texts that have no number."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import UserError
from corpora.near.text import normalise
from validators.maths.mauve import frontier_area, frontier_integral, mauve
from validators.maths.text.copies import WordIndex
from validators.maths.text.language import LanguageProfile, listed_words, read_word_list
from validators.maths.text.words import bleu, chrf, distinct_n, ngrams, self_bleu, tokens
from validators.measures.registry import measure

WORDS = ["the", "a", "cat", "dog", "ran", "slept", "home", "all", "day", "while", "rain", "fell", "on", "red"]
lines = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join), min_size=2, max_size=8)


def test_bleu_by_hand() -> None:
    """Clipped precisions 5/6, 3/5, 1/4 and, smoothed, 1/(2*3); no brevity penalty."""
    found = bleu(["the cat is on the mat"], ["the cat sat on the mat"], interval=False)
    assert found.value == pytest.approx(100 * math.exp(sum(map(math.log, (5 / 6, 3 / 5, 1 / 4, 1 / 6))) / 4))
    assert found.signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_bleu_punishes_brevity_and_chrf_sees_letters() -> None:
    whole, half = "one two three four five six seven eight", "one two three four"
    assert bleu([whole], [half]).value == pytest.approx(100 * math.exp(1 - 8 / 4))
    assert bleu([whole, half], [whole, half]).value == pytest.approx(100) == chrf([whole], [whole]).value
    assert 0 < chrf(["unbelievable"], ["believable"]).value < 100
    found = bleu([whole] * 20 + [half] * 20, [whole] * 10 + ["x y z q"] * 30)
    assert found.low < found.value < found.high


@given(lines)
@settings(max_examples=25, deadline=None)
def test_self_bleu_is_sacrebleus_of_each_against_the_others(texts: list[str]) -> None:
    from sacrebleu.metrics import BLEU

    judge = BLEU(effective_order=True)
    brute = [judge.sentence_score(text, texts[:i] + texts[i + 1 :]).score for i, text in enumerate(texts)]
    assert self_bleu(texts) == pytest.approx(np.mean(brute))


def test_self_bleu_of_copies_and_strangers() -> None:
    assert self_bleu(["all day the rain fell"] * 5) == pytest.approx(100)
    assert self_bleu(["a b c d e", "f g h i j"]) < 20
    many = [" ".join(np.random.default_rng(i).choice(WORDS, 6)) for i in range(60)]
    assert self_bleu(many, cap=20, seed=1) == self_bleu(many, cap=20, seed=1) != self_bleu(many, cap=20, seed=2)
    assert math.isnan(self_bleu(["one"])) and math.isnan(self_bleu(["", " ", "one two"]))


def test_distinct_by_hand() -> None:
    assert distinct_n(["a b a", "A b"], 1) == 2 / 5
    assert distinct_n(["a b a", "A b"], 2) == 2 / 3  # ab ba ab
    assert math.isnan(distinct_n(["a", "", "b"], 2))
    with pytest.raises(UserError, match="n is 0"):
        distinct_n(["a"], 0)


def test_frontier_of_two_coins() -> None:
    """Disjoint: the frontier is r = (w, 1-w): exp(5 ln w), exp(5 ln (1-w)); the integral is 1. Equal: 1 and 0."""
    p, q = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    w = np.linspace(1e-6, 1 - 1e-6, 25)
    x, y = np.r_[0, (1 - w[::-1]) ** 5, 1], np.r_[1, w[::-1] ** 5, 0]
    assert frontier_area(p, q) == pytest.approx(np.trapezoid(y, x)) and frontier_area(p, q) < 0.01
    assert frontier_integral(p, q) == pytest.approx(1.0)
    half = np.array([0.5, 0.5])
    assert frontier_area(half, half) == pytest.approx(1.0) and frontier_integral(half, half) == 0.0
    # of a coin and a fair one, by numbers
    s = (np.arange(20000) + 0.5) / 20000
    r = s[:, None] * p + (1 - s[:, None]) * half
    kl = lambda a: np.where(a > 0, a * np.log(np.where(a > 0, a, 1) / r), 0).sum(axis=1)  # noqa: E731
    assert frontier_integral(p, half) == pytest.approx(2 * np.mean(s * kl(p) + (1 - s) * kl(half)), rel=1e-4)


def test_mauve_falls_as_sets_part() -> None:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(200, 6))
    values = [mauve(real, rng.normal(size=(200, 6)) + shift).value for shift in (0.0, 0.7, 1.5, 4.0)]
    assert values == sorted(values, reverse=True) and values[0] > 0.85 and values[-1] < 0.05
    assert mauve(real, real).value == pytest.approx(1.0) and mauve(real, real).frontier_integral == 0.0
    assert mauve(real, real[:100] + 0.5) == mauve(real, real[:100] + 0.5)
    assert mauve(np.ones((30, 3)), np.ones((30, 3))).value == 1.0
    assert math.isnan(mauve(real[:19], real).value)
    real[3, 2] = np.nan
    assert math.isnan(mauve(real, real).value)
    assert "1 of 200 real rows hold NaN" in measure("mauve", real, np.ones((50, 6))).reason


def test_language_of_a_set_is_told_from_others() -> None:
    english = [
        "the weather was lovely and we walked along the river",
        "she could not believe what they had told her",
        "there is nothing that he would rather do this evening",
        "when the children came home they were very hungry",
        "this is the first time that I have heard of it",
        "everybody thought that it would rain the whole day",
    ]
    german = [
        "das wetter war schön und wir gingen am fluss entlang",
        "sie konnte nicht glauben was man ihr sagte",
        "es gibt nichts was er heute abend lieber tun würde",
    ]
    profile = LanguageProfile.of(english[:3] * 2)
    assert profile.score(" ".join(english[3:])) > profile.score(" ".join(german)) + 0.05
    assert profile.score(" ".join(english[:3])) > 0.95  # ranks of equal counts are ordered by the n-gram
    assert profile.score("zzzz qqqq xxxx kkkk") < 0.2
    assert math.isnan(profile.score("1234 !!! ab"))
    with pytest.raises(UserError, match="no text with a letter"):
        LanguageProfile.of(["123", ""])


def test_out_of_place_by_hand() -> None:
    """Profile b > a > c. Of the text's own n-grams, all as frequent as another, "a" alone is known, at rank 1."""
    profile, text = LanguageProfile(["b", "a", "c"]), "aaaaaaaaaaaaaaaaaaaaaaaa"
    grams = {"".join(g) for n in range(1, 6) for g in itertools.product(" a", repeat=n)}
    grams = {g for g in grams if g in f" {text} "} - {" "}
    assert len(grams) == 5 + 4 + 4  # of a alone; with the blank before them; with the blank behind
    # "a" is the most frequent: rank 0 against 1; each of the others is as far as the profile is long
    assert profile.score(text) == pytest.approx(1 - (1 + 3 * 12) / (3 * 13))


def test_word_lists(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# mine\nFool\nson of a gun # phrase\n\n", encoding="utf-8")
    listed = read_word_list(path)
    assert listed == {"fool", "son of a gun"}
    assert listed_words("You FOOL! You son-of-a-gun, fools.", listed) == ["fool", "son of a gun"]
    assert listed_words("", listed) == [] == listed_words("foolish", listed)
    for bad, match in (("# none\n", "lists no word"), (None, "cannot be read")):
        path.write_text(bad, encoding="utf-8") if bad else path.write_bytes(b"\xff\xfe\xff")
        with pytest.raises(UserError, match=match):
            read_word_list(path)
    with pytest.raises(UserError, match="words=FILE"):
        measure("toxicity", ["a"], ["b"])


def brute_overlap(real: list[str], text: str, n: int) -> tuple[float, int]:
    said, words = [normalise(r).split() for r in real], normalise(text).split()
    spans = lambda w, k: set(ngrams(w, k))  # noqa: E731
    longest = max((k for k in range(1, len(words) + 1) for r in said if spans(words, k) & spans(r, k)), default=0)
    if len(words) < n:
        return float(words in said), longest
    grams = spans(words, n)
    return max(len(grams & spans(r, n)) / len(grams) for r in said), longest


@given(lines, st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join), st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_overlap_is_that_of_all_pairs(real: list[str], text: str, n: int) -> None:
    found = WordIndex(real, n=n).overlap(text)
    assert (found.containment, found.longest) == brute_overlap(real, text, n)


def test_copies_are_found_and_name_their_source() -> None:
    real = ["I never said that she stole my money.", "What a lovely day it is today, my friend!", ""]
    index = WordIndex(real)
    copy = index.overlap("WHAT a lovely day; it is today my friend")
    assert (copy.containment, copy.row, copy.longest) == (1.0, 1, 9)
    part = index.overlap("well, I never said that she stole his car")
    assert part.containment == pytest.approx(2 / 5) and part.row == 0 and part.longest == 6
    assert index.overlap(real[0], but=0).containment == 0.0
    assert math.isnan(index.overlap("!?").containment) and index.overlap("!?").longest == 0
    assert index.overlap("money what a lovely day").longest == 4  # no span goes over the end of a text
    found = measure("ngram-containment", real[:2], ["what a lovely day it is today my friend", "no", ""])
    assert found.details["the first of them"] == ["1 of 2"] and found.value == 0.5


@pytest.mark.parametrize(
    "name", ["bleu", "chrf", "self-bleu", "distinct-n", "perplexity", "language", "ngram-containment"]
)
def test_no_text_is_no_number(name: str) -> None:
    for real, synthetic in ((["", ""], ["", ""]), ([], []), (["a b c", "d e f"], ["", " "])):
        try:
            found = measure(name, real, synthetic)
        except UserError as error:
            assert str(error)
        else:
            assert math.isnan(found.value) and found.reason


def test_pairs_need_partners() -> None:
    for name in ("bleu", "chrf"):
        with pytest.raises(UserError, match="as many of both"):
            measure(name, ["a"], ["a", "b"])
    with pytest.raises(UserError, match="as many of both"):
        measure("cosine", np.ones((3, 2)), np.ones((2, 2)))
    found = measure("cosine", np.array([[1.0, 0], [0, 0], [3, 4]]), np.array([[1.0, 1], [1, 1], [-3, -4]]))
    assert found.value == pytest.approx((1 / math.sqrt(2) - 1) / 2) and found.details["left out"]


def test_tokens_are_those_of_sacrebleu() -> None:
    assert tokens("Hello, you!  1,000.5") == ["Hello", ",", "you", "!", "1,000.5"]
