"""Near copies among texts: MinHash over shingles of letters (Broder 1997) finds candidates, their words decide.

Case, punctuation, spacing and Unicode forms do not count. People share formulas: "When my grandmother died" is no copy
of "When my grandfather died", however many shingles are the same. So the words of two candidates are laid side by
side, and a copy has the same ones in the same order, but for slips of the pen and for what a cutting or a quotation
lacks or adds at the ends. Texts of a few words are left out: people do say "thank you so much" twice, and
where they are equal letter by letter, so is the payload's sha256.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import groupby, pairwise

import numpy as np

from corpora.codecs import decode_text
from corpora.errors import PayloadError
from corpora.near.minhash import HashSets, candidates, shared, shingle_hashes

METHOD = "words1/1"
_WORD = re.compile(r"[^\W_]+")  # of what `str.isalnum` says yes to
_SHINGLE = 5  # letters
_MIN_SHINGLES = 24  # fewer say too little
_MAX_SHINGLES = 4096  # of a long text the smallest hashes are compared: still the same ones for the same text
_MAX_LETTERS = 1 << 15  # of a text; what comes after is not looked at
_BANDS, _ROWS = 25, 4  # a pair with Jaccard 0.6 is missed once in 30, with 0.7 once in 1000
MIN_JACCARD = 0.6  # shared shingles of all ...
MIN_CONTAINED = 0.9  # ... or of the shorter text's, where it is a cutting of the longer one ...
MIN_CUTTING = 0.5  # ... and has at least this much of it. Fewer are not looked at
# Words that two texts share before one of them may lack, or have more at an end: a fifth of the shared ones, and with
# more of them as many again. Formulas are shorter ("I thought I was the only one").
MIN_SHARED, MIN_SHARED_LONG, _LONG_LETTERS, _SMALL_PART = 8, 9, 40, 0.2
_PER_CHANGE = 20  # shared words for each that is another one: nobody writes twenty like somebody else
_LETTERS_PER_SLIP = 40  # wrong letters, slips of the pen
# Words that differ by a slip: one stands in so few texts, or in so many fewer, that it may be no word. Short ones are
# words all the same (cat, car), but where the other stands in so many texts or the two texts share so many words.
_RARER = 200
_RARE, _SLIP_LETTERS, _COMMON, _MANY_SHARED = 2, 6, 20, 12
_MAX_SLIP = 60  # letters of what is looked at for slips
_MAX_ALIGNED = 2000  # words; longer texts are copies by their shingles alone
_NONE = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def normalise(text: str) -> str:
    """Letters and digits, case folded, words separated by one space, compatibility forms as one (NFKC)."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_WORD.findall(folded.replace("'", "").replace("\u2019", "")))


def fingerprint(payload: bytes) -> bytes:
    """UTF-8 -> its normalised text, UTF-8; b"" for a short text or none."""
    try:
        words = normalise(decode_text(payload))[:_MAX_LETTERS]
    except PayloadError:
        return b""
    return words.encode("utf-8") if _says_enough(words) else b""


def _says_enough(words: str) -> bool:
    """Whether a text has `_MIN_SHINGLES` different shingles; those at its beginning nearly always say so."""
    if len(words) - _SHINGLE + 1 < _MIN_SHINGLES:
        return False
    few, some = _MIN_SHINGLES + 2 * _SHINGLE, 2 * _MIN_SHINGLES
    return any(len(_shingles(words[:letters])) >= _MIN_SHINGLES for letters in (few, some, len(words)))


def near_pairs(prints: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Fingerprints -> ([P, 2] rows with first < second, [P] float32 Jaccard), sorted. Empty ones pair with none.

    An index, not all pairs; memory beside the fingerprints is 4 bytes a shingle and 150 a text.
    """
    rows = np.array([i for i, data in enumerate(prints) if data], np.int64)
    texts = (prints[i].decode("utf-8") for i in rows.tolist())
    sets = shingle_hashes(texts, _SHINGLE, _MAX_SHINGLES)
    alike = [pairs for pairs in _alike(sets) if len(pairs[0])]
    first, second, score = (np.concatenate(part) for part in zip(*alike, strict=True)) if alike else _NONE
    words = {i: words_of(prints[rows[i]].decode("utf-8")) for i in np.unique([first, second]).tolist()}
    texts_with = _texts_with({word for one in words.values() for word in one}, prints)
    near = [same_words(words[a], words[b], texts_with) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    kept = np.lexsort((second, first))
    kept = kept[np.array(near, bool)[kept]]
    pairs = np.stack([rows[first[kept]], rows[second[kept]]], axis=1)
    return pairs, score[kept].astype(np.float32)


def _alike(sets: HashSets) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Candidates (first, second) whose shingles are the same ones or a cutting of the other's, and their Jaccard."""
    sizes = sets.sizes
    for first, second in candidates(sets, _BANDS, _ROWS):
        common = shared(sets, first, second)
        small, large = np.minimum(sizes[first], sizes[second]), np.maximum(sizes[first], sizes[second])
        jaccard = common / (small + large - common)
        cutting = (common >= MIN_CONTAINED * small) & (small >= MIN_CUTTING * large)
        good = (jaccard >= MIN_JACCARD) | cutting
        yield first[good], second[good], jaccard[good]


def _texts_with(words: set[str], prints: Iterable[bytes]) -> Counter[str]:
    """How many texts hold each of `words`; of other words nobody asks."""
    texts_with: Counter[str] = Counter()
    if words:
        for data in prints:
            texts_with.update(words.intersection(words_of(data.decode("utf-8"))))
    return texts_with


def words_of(text: str) -> list[str]:
    """Normalised text -> its words; where a script has no spaces (Chinese, Japanese, Thai ...) each letter is one."""
    if text.isascii():
        return text.split()
    words: list[str] = []
    for word in text.split():
        for alone, letters in groupby(word, _is_word):
            part = "".join(letters)
            words += part if alone else [part]
    return words


def _is_word(letter: str) -> bool:
    return letter > "\u0e00" and (
        "\u0e00" <= letter <= "\u0eff"  # Thai, Lao
        or "\u1000" <= letter <= "\u109f"  # Burmese
        or "\u1780" <= letter <= "\u17ff"  # Khmer
        or "\u3040" <= letter <= "\u30ff"  # kana
        or "\u3400" <= letter <= "\u9fff"
        or letter >= "\U00020000"  # Han
    )


def same_words(first: Sequence[str], second: Sequence[str], texts_with: Mapping[str, int]) -> bool:
    """Whether one text is the other but for slips, cuttings at the ends and, in long ones, a changed word in twenty.

    `texts_with`: word -> number of texts of the corpora compared that hold it.
    """
    if list(first) == list(second):
        return True
    if max(len(first), len(second)) > _MAX_ALIGNED:
        return True
    blocks = [b for b in SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks() if b.size]
    if not blocks:
        return False
    same = [word for block in blocks for word in first[block.a : block.a + block.size]]
    shared, letters = _size(same), sum(map(len, same)) + len(same) - 1
    gaps = [(first[p.a + p.size : q.a], second[p.b + p.size : q.b]) for p, q in pairwise(blocks)]
    head = (first[: blocks[0].a], second[: blocks[0].b])
    tail = (first[blocks[-1].a + blocks[-1].size :], second[blocks[-1].b + blocks[-1].size :])
    more = 0.0
    for one, two in (head, tail):
        if one and two:
            gaps.append((one, two))  # not cut but changed
        else:
            more += _size(one) + _size(two)
    slips, changed = 0, 0.0
    for one, two in _word_by_word(gaps):
        if letters_wrong := _is_slip(one, two, texts_with, shared):
            slips += letters_wrong
        else:
            changed += max(_size(one), _size(two))
    if changed > shared // _PER_CHANGE or slips > 1 + letters // _LETTERS_PER_SLIP:
        return False
    if shared >= MIN_SHARED_LONG and letters >= _LONG_LETTERS:
        return more <= shared
    return more <= (_SMALL_PART * shared if shared >= MIN_SHARED else 0)


def _size(words: Sequence[str]) -> float:
    """Number of words; a letter that stands for itself (`words_of`) is half of one."""
    return sum(0.5 if _is_word(word[0]) else 1.0 for word in words)


def _word_by_word(gaps: Iterable[tuple[Sequence[str], Sequence[str]]]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    for one, two in gaps:
        if len(one) == len(two):
            yield from (([a], [b]) for a, b in zip(one, two, strict=True))
        else:
            yield one, two


def _is_slip(one: Sequence[str], two: Sequence[str], texts_with: Mapping[str, int], shared: float) -> int:
    """Letters that are wrong where what stands here is the same but for a slip or a word break; 0: it is not.

    With the same word breaks there is a word on both sides, which may differ by one letter; else two may be wrong.
    """
    a, b = " ".join(one), " ".join(two)
    if a.replace(" ", "") == b.replace(" ", ""):
        return 1
    apart = _letters_apart(a, b)
    if apart > (1 if len(one) == len(two) else 2) or len(a) == len(b) == 1 or any(c.isdigit() for c in a + b):
        return 0
    if len(one) != len(two):
        return apart if max(len(a), len(b)) > 2 * apart else 0
    few, many = sorted(max(texts_with.get(w, 0) for w in side) for side in (one, two))
    if few * _RARER <= many:
        return 1
    return int(few <= _RARE and (min(len(a), len(b)) >= _SLIP_LETTERS or many >= _COMMON or shared >= _MANY_SHARED))


def _letters_apart(a: str, b: str) -> int:
    """Letters put in, left out, exchanged or replaced to make one the other (Damerau 1964); 3: that many or more."""
    if abs(len(a) - len(b)) > 2 or max(len(a), len(b)) > _MAX_SLIP:
        return 3
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        row = [i]
        for j, y in enumerate(b, start=1):
            least = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and y == a[i - 2]:
                least = min(least, before[j - 2] + 1)
            row.append(least)
        before, last = last, row
    return min(last[-1], 3)


def _shingles(text: str) -> set[str]:
    return {text[i : i + _SHINGLE] for i in range(len(text) - _SHINGLE + 1)}
