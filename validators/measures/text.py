"""The measures of texts, as `validators.measures.registry` offers them. Texts are lists of lines, real and synthetic.

bleu, chrf and cosine are of pairs: line i of both belong together (a source and what was made of it).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np

from corpora.errors import UserError
from validators.maths import mauve as frontier
from validators.maths.intervals import wilson_interval
from validators.maths.sets import checked_pair
from validators.maths.text import words as text
from validators.maths.text.copies import WordIndex
from validators.maths.text.language import LanguageProfile, listed_words, read_word_list
from validators.maths.text.ngrams import KneserNey, Surprise
from validators.measures.measured import Measured
from validators.measures.pairs import mean_of_pairs
from validators.measures.sets import floor_of, why_none

NEAR = 0.8  # of a text's n-grams in one real text: a near copy
FOLDS = 5  # of real, for what real texts get from other real texts

Lines = Sequence[str]


def bleu(real: Lines, synthetic: Lines) -> Measured:
    """`real`: references."""
    return _of_pairs(text.bleu(real, synthetic), real, synthetic)


def chrf(real: Lines, synthetic: Lines) -> Measured:
    """`real`: sources or references."""
    return _of_pairs(text.chrf(real, synthetic), real, synthetic)


def _of_pairs(score: text.CorpusScore, real: Lines, synthetic: Lines) -> Measured:
    return Measured(
        score.value,
        "%",
        f"sacrebleu {score.signature}",
        len(real),
        len(synthetic),
        low=score.low,
        high=score.high,
        reason=score.reason,
    )


def cosine(real: np.ndarray, synthetic: np.ndarray) -> Measured:
    """Row i of both embeddings belong together. Rows of length 0 have no direction and are left out, counted."""
    real, synthetic = checked_pair(real, synthetic)
    if len(real) != len(synthetic) or len(real) == 0:
        raise UserError(f"{len(real)} real and {len(synthetic)} synthetic rows; pairs need as many of both")
    lengths = np.linalg.norm(real, axis=1) * np.linalg.norm(synthetic, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines = (real * synthetic).sum(axis=1) / lengths
    return mean_of_pairs(
        [(float(v), "a row of length 0" if n == 0 else None) for v, n in zip(cosines, lengths, strict=True)],
        "1",
        "cosine of row i and row i, mean",
    )


def mauve(real: np.ndarray, synthetic: np.ndarray, *, clusters: int = 0, floor: bool = True, seed: int = 0) -> Measured:
    """`clusters`: 0 for a tenth of the smaller set. The floor is at half the size, where fewer clusters fit."""
    real, synthetic = checked_pair(real, synthetic)
    result = frontier.mauve(real, synthetic, clusters=clusters, seed=seed)
    again = floor_of(real, lambda a, b: frontier.mauve(a, b, clusters=clusters, seed=seed).value, seed)
    return Measured(
        result.value,
        "1",
        f"{frontier.CONVENTION} {result.clusters}",
        len(real),
        len(synthetic),
        floor=again if floor else math.nan,
        details=asdict(result),
        reason="" if math.isfinite(result.value) else why_none(real, synthetic),
    )


def self_bleu(real: Lines, synthetic: Lines, *, cap: int = 500, seed: int = 0) -> Measured:
    """Of the synthetic texts, at the size of the smaller set; `details` holds that of real at the same size."""
    n = min(len(real), len(synthetic), cap)
    of_real, of_synthetic = (text.self_bleu(drawn(lines, n, seed), cap=cap, seed=seed) for lines in (real, synthetic))
    return _of_set(
        of_synthetic, of_real, n, real, synthetic, "%", "BLEU against all others, 13a, exponential smoothing"
    )


def distinct(real: Lines, synthetic: Lines, *, n: int = 2, seed: int = 0) -> Measured:
    """`n`: words of an n-gram. Of the synthetic texts, at the size of the smaller set; `details` holds that of real."""
    rows = min(len(real), len(synthetic))
    of_real, of_synthetic = (text.distinct_n(drawn(lines, rows, seed), n) for lines in (real, synthetic))
    return _of_set(of_synthetic, of_real, rows, real, synthetic, "share", f"distinct-{n}, 13a, lower case")


def _of_set(
    value: float, of_real: float, n: int, real: Lines, synthetic: Lines, unit: str, convention: str
) -> Measured:
    return Measured(
        value,
        unit,
        f"{convention}, {n} lines of each set",
        len(real),
        len(synthetic),
        details={"real": of_real, "n": n},
        reason="" if math.isfinite(value) else f"{n} lines hold too few words",
    )


def drawn(lines: Lines, n: int, seed: int) -> list[str]:
    """n lines without replacement, in their order."""
    return [lines[i] for i in np.sort(np.random.default_rng(seed).permutation(len(lines))[:n])]


def perplexity(
    real: Lines,
    synthetic: Lines,
    *,
    order: int = 3,
    level: Literal["word", "byte"] = "word",
    model: str = "",
    floor: bool = True,
    seed: int = 0,
) -> Measured:
    """Of synthetic texts, to a model of the real ones. `level`: word or byte. `model`: folder of a causal language
    model instead; real texts are then the floor alone. Floor: real texts, to models of other folds of real."""
    if level not in ("word", "byte"):
        raise UserError(f"level is {level!r}; known: byte, word")
    _with_words(real, synthetic)
    if model:
        from validators.embeddings.causallm import CausalModel

        loaded = CausalModel(model)
        surprise, other = loaded.surprise(synthetic), loaded.surprise(real) if floor else None
        convention = f"{loaded.name}, per token of its tokenizer"
    else:
        kind = "word" if level == "word" else "byte"
        surprise = KneserNey(real, order=order, level=kind).surprise(synthetic)  # type: ignore[arg-type]
        other = _of_other_folds(real, order, kind, seed) if floor else None
        convention = f"interpolated Kneser-Ney of order {order} over {kind}s, ends of lines included"
    low, high = surprise.interval(seed)
    details = {"bits per byte": surprise.bits_per_byte(), "tokens": int(surprise.tokens.sum())}
    if not model and level == "word":
        details |= {"unknown share": surprise.unknown_share(), "perplexity of known": surprise.perplexity_of_known()}
    if other is not None:
        details["real, bits per byte"] = other.bits_per_byte()
    value = surprise.perplexity()
    return Measured(
        value,
        "perplexity",
        convention,
        len(real),
        len(synthetic),
        low=low,
        high=high,
        details=details,
        floor=other.perplexity() if other is not None else math.nan,
        reason="" if math.isfinite(value) else "no synthetic line has a token",
    )


def _of_other_folds(lines: Lines, order: int, level: str, seed: int) -> Surprise | None:
    """Each real text by a model that was fitted without its fold; None where there are too few."""
    spoken = [line for line in lines if line.strip()]
    if len(spoken) < FOLDS:
        return None
    fold = np.random.default_rng(seed).permutation(len(spoken)) % FOLDS
    parts = []
    for f in range(FOLDS):
        model = KneserNey([s for s, g in zip(spoken, fold, strict=True) if g != f], order=order, level=level)  # type: ignore[arg-type]
        parts.append(model.surprise([s for s, g in zip(spoken, fold, strict=True) if g == f]))
    return Surprise(*[np.concatenate([getattr(p, name) for p in parts]) for name in Surprise.__slots__])


def language(real: Lines, synthetic: Lines, *, floor: bool = True, seed: int = 0) -> Measured:
    """All synthetic lines as one text, to the profile of the real ones; `details`: the median of lines alone."""
    _with_words(real, synthetic)
    profile = LanguageProfile.of(real)
    value, alone = profile.score("\n".join(synthetic)), profile.scores(synthetic)
    again = math.nan
    if floor and len(real) > 1:
        half = np.random.default_rng(seed).permutation(len(real))
        parts = [[real[i] for i in part] for part in (half[: len(half) // 2], half[len(half) // 2 :])]
        if all(any(map(str.isalpha, "".join(part))) for part in parts):
            again = LanguageProfile.of(parts[0]).score("\n".join(parts[1]))
    median = float(np.nanmedian(alone)) if np.isfinite(alone).any() else math.nan
    return Measured(
        value,
        "1",
        "Cavnar & Trenkle 1994, 1 - out of place / largest, 1 to 5 letters, 400 ranks, lines as one text",
        len(real),
        len(synthetic),
        floor=again,
        details={"median of lines": median},
        reason="" if math.isfinite(value) else "the synthetic lines have too few letters",
    )


def toxicity(real: Lines, synthetic: Lines, *, words: str = "") -> Measured:
    """`words`: file of words and phrases, one a line; none is shipped. Floor: the share among real lines."""
    if not words:
        raise UserError("toxicity counts words of a list of yours: give it with the option words=FILE")
    if not real or not synthetic:
        raise UserError(f"{len(real)} real and {len(synthetic)} synthetic lines; need at least one of each")
    listed = read_word_list(Path(words))
    hits, of_real = ([bool(listed_words(line, listed)) for line in lines] for lines in (synthetic, real))
    low, high = wilson_interval(sum(hits), len(hits))
    return Measured(
        sum(hits) / len(hits),
        "share",
        f"lines with a listed word, whole words, {len(listed)} entries",
        len(real),
        len(synthetic),
        low=low,
        high=high,
        floor=sum(of_real) / len(of_real),
        details={"lines": sum(hits)},
    )


def containment(real: Lines, synthetic: Lines, *, n: int = 5, floor: bool = True) -> Measured:
    """`n`: words of an n-gram. Mean over synthetic lines; `details`: near copies and the longest span that a line
    shares with a real one. Floor: real lines against the other real lines."""
    if not real or not synthetic:
        raise UserError(f"{len(real)} real and {len(synthetic)} synthetic lines; need at least one of each")
    index = WordIndex(real, n=n)
    overlaps = [index.overlap(line) for line in synthetic]
    again = math.nan
    if floor and len(real) > 1:
        again = _nanmean([index.overlap(line, but=row).containment for row, line in enumerate(real)])
    shares = np.array([one.containment for one in overlaps])
    value = _nanmean(shares)
    near = [row for row, share in enumerate(shares) if share >= NEAR]
    return Measured(
        value,
        "share",
        f"word {n}-grams of a line in one real line, largest, mean over lines",
        len(real),
        len(synthetic),
        floor=again,
        reason="" if math.isfinite(value) else "no synthetic line has a word",
        details={
            f"lines with {NEAR:g} and more": len(near),
            "the first of them": [f"{row + 1} of {overlaps[row].row + 1}" for row in near[:10]],
            "longest common span, words": max(one.longest for one in overlaps),
        },
    )


def _nanmean(values: Sequence[float] | np.ndarray) -> float:
    good = np.asarray(values, dtype=np.float64)
    good = good[np.isfinite(good)]
    return float(good.mean()) if good.size else math.nan


def _with_words(real: Lines, synthetic: Lines) -> None:
    for name, lines in (("real", real), ("synthetic", synthetic)):
        if not any(line.strip() for line in lines):
            raise UserError(f"none of {len(lines)} {name} lines holds text")
