"""Measures of texts by their words: BLEU, chrF, self-BLEU and distinct-n. Pure functions over lists of strings.

BLEU and chrF are sacrebleu's, so that numbers compare with published ones; the signature stands in every number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from corpora.errors import UserError

MAX_ORDER = 4
BOOTSTRAP = 1000  # resamples of pairs, sacrebleu's own


@dataclass(frozen=True, slots=True)
class CorpusScore:
    """Percent in [0, 100], its 95 % bootstrap interval over pairs, and sacrebleu's signature."""

    value: float
    low: float
    high: float
    signature: str
    reason: str = ""  # why there is no number, where value is NaN


def text_of(signal: np.ndarray) -> str | None:
    """uint8 [n], the bytes of UTF-8 -> text; None where it is none, or no bytes."""
    if signal.dtype != np.uint8 or signal.ndim != 1:
        return None
    try:
        return signal.tobytes().decode("utf-8")
    except UnicodeDecodeError:
        return None


def tokens(text: str) -> list[str]:
    """Words and signs as mteval-v13a parts them: sacrebleu's default, made for European languages."""
    return _tokenizer()(text).split()


@lru_cache(maxsize=1)
def _tokenizer():  # type: ignore[no-untyped-def]
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    return Tokenizer13a()


def bleu(references: Sequence[str], hypotheses: Sequence[str], *, interval: bool = True) -> CorpusScore:
    """Corpus BLEU of hypothesis i against reference i (Papineni et al. 2002), sacrebleu's defaults (Post 2018).

    One reference, case kept, tokens 13a, exponential smoothing. Not symmetric: references set the brevity penalty.
    NaN: no reference, or no hypothesis, has a word, or no hypothesis has 4 (there is no 4-gram to count; sacrebleu says
    0, of equal texts too). Raises `UserError` unless there are as many of both, and one.
    """
    from sacrebleu.metrics import BLEU

    any_words = any(text.strip() for text in references) and any(text.strip() for text in hypotheses)
    if any_words and len(references) == len(hypotheses) and all(len(tokens(h)) < MAX_ORDER for h in hypotheses):
        why = f"no line has {MAX_ORDER} words, so there is no {MAX_ORDER}-gram; take chrf"
        return CorpusScore(math.nan, math.nan, math.nan, "none", why)
    return _sacrebleu(BLEU(), references, hypotheses, interval)


def chrf(references: Sequence[str], hypotheses: Sequence[str], *, interval: bool = True) -> CorpusScore:
    """chrF2 of hypothesis i against reference i: F of character n-grams to 6, recall twice as heavy (Popovic 2015).

    Blanks do not count. Works in languages without blanks between words. NaN and errors as in `bleu`.
    """
    from sacrebleu.metrics import CHRF

    return _sacrebleu(CHRF(), references, hypotheses, interval)


def _sacrebleu(metric, references: Sequence[str], hypotheses: Sequence[str], interval: bool) -> CorpusScore:  # type: ignore[no-untyped-def]
    if len(references) != len(hypotheses) or len(references) == 0:
        raise UserError(f"{len(references)} references and {len(hypotheses)} hypotheses; pairs need as many of both")
    for name, texts in (("reference", references), ("hypothesis", hypotheses)):
        if not any(text.strip() for text in texts):
            return CorpusScore(math.nan, math.nan, math.nan, "none", f"every {name} is empty")
    score = metric.corpus_score(list(hypotheses), [list(references)])
    value, signature = float(score.score), str(metric.get_signature())
    low = high = math.nan
    if interval and len(references) > 1:
        again = metric.corpus_score(list(hypotheses), [list(references)], n_bootstrap=BOOTSTRAP)
        half = float(again._ci)  # of the bootstrap, which sacrebleu draws with a fixed seed
        low, high = max(0.0, value - half), min(100.0, value + half)
    return CorpusScore(value, low, high, signature)


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All n-grams in order, repeats included; none where there are fewer than n words."""
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def self_bleu(texts: Sequence[str], *, cap: int = 500, order: int = MAX_ORDER, seed: int = 0) -> float:
    """Mean BLEU in percent of each text against all others as its references; 100: all say the same.

    Zhu et al. 2018, Texygen. Sentence BLEU of sacrebleu (13a, exponential smoothing, effective order). It rises with
    the number of texts, so of more than `cap` that many are drawn; compare numbers of equal n only. Texts without a
    word count 0 among the candidates and say nothing as references. NaN for fewer than 2 texts with words.
    """
    from sacrebleu.metrics import BLEU

    if len(texts) > cap:
        rows = np.sort(np.random.default_rng(seed).permutation(len(texts))[:cap])
        texts = [texts[i] for i in rows]
    candidates = [tokens(text) for text in texts]
    if sum(map(bool, candidates)) < 2:
        return math.nan
    counts = [Counter(gram for n in range(1, order + 1) for gram in ngrams(words, n)) for words in candidates]
    # of each n-gram: its largest count in a text, in which one, and its largest count in any other
    first: dict[tuple[str, ...], tuple[int, int]] = {}
    second: dict[tuple[str, ...], int] = {}
    for row, own in enumerate(counts):
        for gram, count in own.items():
            most, holder = first.get(gram, (0, -1))
            if count > most:
                first[gram] = (count, row)
                second[gram] = most if holder >= 0 else 0
            elif count > second.get(gram, 0):
                second[gram] = count
    lengths = np.array([len(words) for words in candidates])
    scores = np.zeros(len(candidates))
    for row, own in enumerate(counts):
        if not candidates[row]:
            continue
        correct, total = [0] * order, [max(len(candidates[row]) - n, 0) for n in range(order)]
        for gram, count in own.items():
            most, holder = first[gram]
            correct[len(gram) - 1] += min(count, second[gram] if holder == row else most)
        others = np.delete(lengths, row)
        others = others[others > 0]
        nearest = int(min(others, key=lambda length: (abs(length - lengths[row]), length)))
        scores[row] = BLEU.compute_bleu(
            correct,
            total,
            int(lengths[row]),
            nearest,
            smooth_method="exp",
            effective_order=True,
            max_ngram_order=order,
        ).score
    return float(scores.mean())


def distinct_n(texts: Sequence[str], n: int = 2) -> float:
    """Distinct n-grams of all texts over n-grams of all texts, in (0, 1] (Li et al. 2016, NAACL, section 5.2).

    Falls as texts are added (Heaps' law): compare sets of equal size only. Tokens 13a, lower case. NaN: no n-gram.
    """
    if n < 1:
        raise UserError(f"n is {n}; an n-gram has at least 1 word")
    grams = [gram for text in texts for gram in ngrams(tokens(text.lower()), n)]
    return len(set(grams)) / len(grams) if grams else math.nan
