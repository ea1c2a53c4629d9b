"""What is much alike and no copy: smooth trends, features of an EEG, sentences of one formula. Copies of the same kinds
are found as far as they can be told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from corpora.codecs import encode_text
from corpora.near import rows as near_rows
from corpora.near import signals as near_signals
from corpora.near import text as near_text
from corpora.near.pairs import fingerprint
from corpora.signals import encode_signals

SLOW = settings(max_examples=12, deadline=None)


def pairs_of(windows: list[np.ndarray], rate_hz: float | None, name: str = "x") -> set[tuple[int, int]]:
    told = [{"name": name, "rate_hz": rate_hz}]
    prints = [fingerprint("physio", encode_signals({name: w}), told) for w in windows]
    pairs, _ = near_signals.near_pairs(prints)
    return {(int(a), int(b)) for a, b in pairs}


def trend(rng: np.random.Generator, n: int, channels: int) -> np.ndarray:
    """[n, channels] of a course that a few numbers describe."""
    t = np.linspace(0, 1, n)[:, None]
    kind = rng.integers(5)
    if kind == 0:
        made = np.polynomial.polynomial.polyval(t[:, 0], rng.standard_normal((4, channels))).T
    elif kind == 1:
        made = 1 - np.exp(-t / rng.uniform(0.1, 2, channels))
    elif kind == 2:
        made = 1 / (1 + np.exp(-(t - rng.uniform(0.2, 0.8, channels)) / rng.uniform(0.05, 0.3, channels)))
    elif kind == 3:
        made = np.sin(2 * np.pi * (rng.uniform(0.2, 2.5, channels) * t + rng.uniform(0, 1, channels)))
    else:
        made = gaussian_filter1d(rng.standard_normal((n, channels)).cumsum(0), n / 8, axis=0)
    return np.asarray(made * rng.uniform(0.5, 5) + rng.uniform(-5, 5), np.float32)


def features(rng: np.random.Generator, n: int, subject: int, smooth: float) -> np.ndarray:
    """[n, 310]: five bands of 62 channels that follow a few smoothed random walks, about a subject's own levels."""
    common = rng.standard_normal((n + 40, 4)).cumsum(0) @ rng.standard_normal((4, 310))
    walk = common + 0.5 * rng.standard_normal((n + 40, 310)).cumsum(0)
    levels = np.random.default_rng(subject).normal(20, 4, 310)
    return np.asarray(levels + 0.2 * gaussian_filter1d(walk, smooth, axis=0)[20 : n + 20], np.float32)


COPIES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "other unit": lambda x, rng: 37.3 * x - 5,
    "half precision": lambda x, rng: (x / np.abs(x).max()).astype(np.float16).astype(np.float64),
    "noise": lambda x, rng: x + 0.02 * x.std(axis=0) * rng.standard_normal(x.shape),
    "shifted": lambda x, rng: x[len(x) // 8 :],
}


@SLOW
@given(seed=st.integers(0, 2**32 - 1), n=st.sampled_from([32, 64, 250]), channels=st.sampled_from([1, 2, 6]))
def test_smooth_trends_are_never_near(seed: int, n: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    assert not pairs_of([trend(rng, n, channels) for _ in range(40)], n / 60)


@SLOW
@given(seed=st.integers(0, 2**32 - 1), smooth=st.sampled_from([2.0, 4.0, 8.0]), rate=st.sampled_from([0.25, 1.0]))
def test_smoothed_features_of_an_eeg_are_near_to_their_copies_alone(seed: int, smooth: float, rate: float) -> None:
    """Trials of 12 to 64 windows, as films last; the same person sits in several."""
    rng = np.random.default_rng(seed)
    lengths = [42, 23, 49, 12, 42, 12, 36, 64, 12, 12, 42, 36, 23, 12]
    windows = [features(rng, n, subject, smooth) for subject in range(4) for n in lengths]
    copies = [
        COPIES[kind](windows[i].astype(float), rng) for i in range(3) for kind in ("other unit", "half precision")
    ]
    copied = {(i, len(windows) + 2 * i + k) for i in range(3) for k in (0, 1)}
    copied |= {(len(windows) + 2 * i, len(windows) + 2 * i + 1) for i in range(3)}
    found = pairs_of(windows + copies, rate)
    assert found <= copied
    assert len(found) >= len(copied) - 2


@SLOW
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(sorted(COPIES)), channels=st.sampled_from([1, 2, 5, 12]))
def test_copies_above_the_effective_length_are_near(seed: int, kind: str, channels: int) -> None:
    rng = np.random.default_rng(seed)
    windows = [gaussian_filter1d(rng.standard_normal((400, channels)), 0.8, axis=0) for _ in range(12)]
    copies = [COPIES[kind](w, rng) for w in windows[:4]]
    assert pairs_of(windows + copies, 16.0) == {(i, 12 + i) for i in range(4)}


def test_the_effective_length_is_that_of_independent_values() -> None:
    """Of white noise a half or so, of smoothed noise less by its band, of a bump and of a wave hardly any; channels
    that move together are one."""
    rng = np.random.default_rng(0)

    def of(x: np.ndarray, y: np.ndarray | None = None) -> float:
        x = x - x.mean(axis=1, keepdims=True)
        return near_signals.effective_length(x, x if y is None else y - y.mean(axis=1, keepdims=True))

    noise = rng.standard_normal((1, 1024))
    t = np.linspace(-1, 1, 1024)[None]
    assert 300 < of(noise) < 800 and 300 < of(noise, rng.standard_normal((1, 1024))) <= 1024
    spread = [of(gaussian_filter1d(noise, s, axis=1)) for s in (1, 4, 16, 64)]
    assert spread == sorted(spread, reverse=True) and spread[-1] < 12
    assert of(np.exp(-((t / 0.002) ** 2))) < 8 and of(np.exp(-((t / 0.2) ** 2))) < 8 and of(np.sin(20 * t)) < 8
    four = rng.standard_normal((4, 1024))
    assert of(np.repeat(noise, 4, axis=0)) == pytest.approx(of(noise)) and of(four) > 3 * of(four[:1])


def test_chance_reaches_its_evidence_as_seldom_as_it_says() -> None:
    """White noise, shifted at will: one in a hundred pairs has an evidence of 2 or more."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 4000, 40))
    r = [float(np.corrcoef(a, b)[0, 1]) for a, b in zip(x, y, strict=True)]
    share = np.mean([near_signals.evidence(v, 40) >= 2 and v > 0 for v in r])
    assert 0.001 < share < 0.01
    assert near_signals.evidence(1.0, 2.0) == 0 and near_signals.evidence(0.0, 100.0) == 0


def test_channels_must_agree_at_one_shift() -> None:
    """Two channels each of which is a copy at a shift of its own are no copy; nor are three of eight that are equal."""
    rng = np.random.default_rng(3)
    long = gaussian_filter1d(rng.standard_normal((700, 8)), 1, axis=0)
    whole, apart = long[:500, :2], np.stack([long[20:520, 0], long[90:590, 1]], axis=1)
    assert pairs_of([whole, long[20:520, :2]], 16.0) == {(0, 1)} and not pairs_of([whole, apart], 16.0)
    other = gaussian_filter1d(rng.standard_normal((500, 8)), 1, axis=0)
    other[:, [0, 1, 4]] = long[:500, [0, 1, 4]]
    assert not pairs_of([long[:500], other], 16.0)


@pytest.mark.parametrize("form", ["a few windows", "no rate"])
def test_rows_are_near_where_they_are_far_closer_than_those_of_the_same_person(form: str) -> None:
    rng = np.random.default_rng(5)
    windows = [features(rng, 3, i % 10, 2.0) for i in range(80)]
    if form == "no rate":
        windows = [w[0] for w in windows]
    copies = [(w.astype(np.float64) * 7).astype(np.float16) for w in windows[:5]]
    rate = 1.0 if form == "a few windows" else None
    assert pairs_of(windows + copies, rate) == {(i, 80 + i) for i in range(5)}
    few = pairs_of([windows[0], windows[10], windows[20], 3.0 * windows[10]], rate)
    assert few == {(1, 3)}  # too few to know what is common: the same numbers alone


def test_rows_of_one_person_are_not_near_however_alike() -> None:
    """Eight people, ten rows each that differ by a hundredth of what people differ by; and one true copy."""
    rng = np.random.default_rng(2)
    people = np.repeat(rng.standard_normal((8, 200)), 10, axis=0)
    rows = [*(people + 0.05 * rng.standard_normal(people.shape))]
    rows.append(3 * rows[4] + 1e-4 * rng.standard_normal(200))
    prints = {i: near_rows.fingerprint({"x": row}, one_unit=True) for i, row in enumerate(rows)}
    assert set(near_rows.near_pairs(prints)) == {(4, 80)}


def test_rows_of_one_pattern_prove_nothing() -> None:
    """What is left of them when their pattern is taken away has fewer independent numbers than it takes."""
    rng = np.random.default_rng(1)
    rows = rng.standard_normal(100) + 0.1 * rng.standard_normal((40, 2)) @ rng.standard_normal((2, 100))
    prints = {i: near_rows.fingerprint({"x": row}, one_unit=True) for i, row in enumerate(rows)}
    assert all(prints.values()) and not near_rows.near_pairs(prints)


# --- texts ------------------------------------------------------------------------------------------------------------

WORDS = [
    "mother",
    "father",
    "brother",
    "sister",
    "friend",
    "teacher",
    "neighbour",
    "colleague",
    "money",
    "school",
    "garden",
    "letter",
    "window",
    "kitchen",
    "holiday",
    "train",
    "journey",
    "hospital",
    "summer",
    "winter",
    "morning",
    "evening",
    "broken",
    "stolen",
    "lost",
    "angry",
    "happy",
    "afraid",
    "ashamed",
    "guilty",
]
FORMULAS = [
    ("When my {} died of cancer last summer.", "grandmother", "grandfather"),
    ("I was very angry when my {} lied to me about the money.", "brother", "sister"),
    ("I felt disgust when I saw a drunk man {} in the street.", "vomiting", "lying"),
    ("I {} my final exam in mathematics at the end of school.", "passed", "failed"),
    ("When my {} was run over by a lorry last summer.", "cat", "car"),
    ("My father left us for another woman when I was {} years old.", "5", "8"),
    ("I have been afraid of dogs since 1 of them bit my leg in {} at home.", "200513", "200518"),
    ("When I was{} accepted at the university I had applied for.", "", " not"),
    ("I felt {} when I was caught cheating in an exam.", "ashamed", "guilty"),
    ("The conversation with {} was heartbreaking for everyone.", "Latisha", "Heather"),
    ("Hey just noticed it's your {} Cakeday, have a good one!", "5th", "6th"),
    ("昨天晚上我的{}去世了，我感到非常难过，一整夜都没有睡着，也不想和任何人说话。", "祖母", "祖父"),
]


def near_texts(*texts: str) -> set[tuple[int, int]]:
    pairs, _ = near_text.near_pairs([near_text.fingerprint(encode_text(text)) for text in texts])
    return {(int(a), int(b)) for a, b in pairs}


@pytest.mark.parametrize(("formula", "one", "two"), FORMULAS)
def test_sentences_of_one_formula_are_not_near(formula: str, one: str, two: str) -> None:
    first, second = formula.format(one), formula.format(two)
    assert not near_texts(first, second)
    assert near_texts(first, second, first.upper() + " !!") == {(0, 2)}


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("I thought I was the only one", "lmao and I thought I was the only one"),
        ("Thanks for the recommendation!", "will watch the films, thanks for the recommendation"),
        (
            "I'm sad I had to come this far down to find this.",
            "Really surprised I had to come this far down to find this!",
        ),
        ("Play stupid games, win stupid prizes.", "Then you'll be arrested, play stupid games win stupid prizes."),
        ("A surprise, but a welcome one", "A surprise to be sure, but a welcome one."),
    ],
)
def test_a_shared_formula_with_something_else_is_not_near(one: str, two: str) -> None:
    assert not near_texts(one, two)


@SLOW
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(10, 19))
def test_one_other_word_makes_another_text_below_twenty_words(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    words = rng.permutation(WORDS)
    changed = [*words[:n]]
    changed[int(rng.integers(n))] = words[-1]
    assert not near_texts(" ".join(words[:n]), " ".join(changed))


@SLOW
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(12, 28))
def test_copies_of_twelve_words_are_near(seed: int, n: int) -> None:
    """In other dress, quoted, cut by 15 %, with a letter wrong in a long word; and no other text is."""
    rng = np.random.default_rng(seed)
    words = [str(w) for w in rng.permutation(WORDS)[:n]]
    text, at = " ".join(words), int(rng.integers(n))
    others = [" ".join(rng.permutation(WORDS)[:n]) for _ in range(4)]
    wrong = max(range(n), key=lambda i: (len(words[i]), i == at))
    slip = [*words[:wrong], words[wrong][:3] + "x" + words[wrong][4:], *words[wrong + 1 :]]
    kept = round(0.85 * n)
    for copy in (text.upper() + "!!", "RT @user: " + text, " ".join(words[-kept:]), " ".join(slip)):
        assert near_texts(text, copy, *others) == {(0, 1)}, copy


def test_a_slip_is_no_other_word() -> None:
    """One letter apart: a slip where one of the two stands nowhere else, another word where both are usual."""
    words = ["when", "i", "was", "losing", "my", "job", "at", "the", "old", "mill", "near", "the", "river"]
    loving = [w if w != "losing" else "loving" for w in words]
    nowhere, usual = {"losing": 30, "loving": 1}, {"losing": 30, "loving": 30}
    assert near_text.same_words(words, loving, nowhere) and not near_text.same_words(words, loving, usual)
    apart = near_text._letters_apart
    assert [apart("river", w) for w in ("river", "rivr", "rievr", "rivers", "rixer")] == [0, 1, 1, 1, 1]
    assert [apart("river", w) for w in ("revir", "riv", "drivers", "a", "mountain")] == [2, 2, 2, 3, 3]
    assert near_text.words_of("我很 sad 了ok") == ["我", "很", "sad", "了", "ok"]
