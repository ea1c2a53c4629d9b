"""MinHash as arrays against datasketch's objects: the same hashes, sketches, candidates and pairs."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.near import minhash
from corpora.near import text as near_text
from tests.work import counted

WORDS = (
    *("when", "my", "dear", "mother", "went", "over", "seas", "there", "was", "never", "any", "other", "weather"),
    *("für", "müde", "Kätzchen", "猫は", "眠い"),
)


def texts_alike(seed: int, n: int) -> list[str]:
    """Texts of some words, and copies of half of them with words changed, cut off or put in."""
    rng = np.random.default_rng(seed)
    texts: list[list[str]] = []
    for _ in range(n):
        if texts and rng.uniform() < 0.5:
            words = list(texts[rng.integers(len(texts))])
            at = int(rng.integers(len(words)))
            words[at : at + int(rng.integers(3))] = [WORDS[i] for i in rng.integers(len(WORDS), size=rng.integers(3))]
            texts.append(words or ["so"])
        else:
            texts.append([WORDS[i] for i in rng.integers(len(WORDS), size=rng.integers(6, 30))])
    return [" ".join(words) for words in texts]


def hashes_of(text: str, letters: int, most: int) -> list[int]:
    shingles = {text[i : i + letters] for i in range(len(text) - letters + 1)}
    return sorted({zlib.crc32(shingle.encode("utf-8")) for shingle in shingles})[:most]


def sketch_of(hashes: list[int]) -> MinHash:
    sketch = MinHash(100, hashfunc=int, scheme="affine32")
    sketch.update_batch(hashes)
    return sketch


def one_after_the_other(prints: list[bytes]) -> list[tuple[int, int, float]]:
    """The pairs as an index of objects finds them, a text at a time."""
    lsh = MinHashLSH(num_perm=100, params=(25, 4))
    texts = {i: data.decode("utf-8") for i, data in enumerate(prints) if data}
    words = {i: near_text.words_of(text) for i, text in texts.items()}
    texts_with = Counter(word for one in words.values() for word in set(one))
    sets: dict[int, set[int]] = {}
    pairs: list[tuple[int, int, float]] = []
    for i, text in texts.items():
        hashes = hashes_of(text, 5, 4096)
        sets[i] = set(hashes)
        sketch = sketch_of(hashes)
        for j in lsh.query(sketch):
            common, (small, large) = len(sets[i] & sets[j]), sorted((len(sets[i]), len(sets[j])))
            jaccard = common / (small + large - common)
            same = jaccard >= 0.6 or (common >= 0.9 * small and small >= 0.5 * large)
            if same and near_text.same_words(words[j], words[i], texts_with):
                pairs.append((j, i, float(np.float32(jaccard))))
        lsh.insert(i, sketch)
    return sorted(pairs)


@pytest.mark.parametrize("seed", range(4))
def test_pairs_are_those_of_an_index_of_objects(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if seed % 2:  # blocks that end within the set
        for name, size in (("_BLOCK", 300), ("_LETTERS", 500), ("_PAIRS", 7), ("_HASHES", 200)):
            monkeypatch.setattr(minhash, name, size)
    prints = [near_text.fingerprint(text.encode("utf-8")) for text in texts_alike(seed, 200)]
    assert b"" in prints  # short ones pair with none
    wanted = one_after_the_other(prints)
    rows, score = near_text.near_pairs(prints)
    assert [(a, b, s) for (a, b), s in zip(rows.tolist(), score.tolist(), strict=True)] == wanted
    assert len(wanted) > 20


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(min_size=5, max_size=40), max_size=8), st.integers(1, 12))
def test_hashes_are_those_of_each_text_alone(texts: list[str], most: int) -> None:
    texts = [text for text in texts if not any("\ud800" <= letter <= "\udfff" for letter in text)]
    sets = minhash.shingle_hashes(iter(texts), 5, most)
    split = np.split(sets.values, sets.ends[:-1]) if texts else []
    assert [one.tolist() for one in split] == [hashes_of(text, 5, most) for text in texts]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sets(st.integers(0, 2**32 - 1), min_size=1, max_size=30), min_size=1, max_size=6))
def test_sketches_are_datasketchs(hashes: list[set[int]]) -> None:
    sets = set_of(hashes)
    a, b = minhash.permutations(100)
    mine = minhash._sketch(minhash._mixed(sets.values), sets, a, b).T
    assert np.array_equal(mine, [sketch_of(sorted(one)).hashvalues for one in hashes])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=2, max_size=30),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_candidates_come_once_and_share_counts_are_true(hashes: list[set[int]], bands: int, rows: int) -> None:
    sets = set_of(hashes)
    a, b = minhash.permutations(bands * rows)
    sketch = minhash._sketch(minhash._mixed(sets.values), sets, a, b).reshape(bands, rows, -1)
    wanted = [(i, j) for j in range(len(hashes)) for i in range(j) if (sketch[:, :, i] == sketch[:, :, j]).all(1).any()]
    pairs = [pair for one, two in minhash.candidates(sets, bands, rows) for pair in zip(one, two, strict=True)]
    assert sorted(pairs) == sorted(wanted)
    if pairs:
        first, second = np.array(pairs).T
        assert minhash.shared(sets, first, second).tolist() == [len(hashes[i] & hashes[j]) for i, j in pairs]


def set_of(hashes: Iterable[set[int]]) -> minhash.HashSets:
    parts = [np.array(sorted(one), np.uint32) for one in hashes]
    return minhash.HashSets(np.concatenate(parts), np.cumsum([len(part) for part in parts]))


def test_nothing_and_one_text_pair_with_none() -> None:
    for prints in ([], [b""], [b"a text of some words that is long enough to be looked at"]):
        rows, score = near_text.near_pairs(prints)
        assert rows.shape == (0, 2) and score.shape == (0,) and score.dtype == np.float32


def test_a_text_costs_few_calls() -> None:
    """An object a text costs some hundred."""
    distinct = [b"w%04d and quite other words %04d than %04d" % (i, 7 * i, 31 * i) for i in range(1000)]
    with counted() as work:
        near_text.near_pairs(distinct)
    assert work.calls < 25 * len(distinct)
