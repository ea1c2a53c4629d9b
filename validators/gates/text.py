"""Does a text read like text, does it keep to its source, and does it hold words that nobody wants?

Length, loops and the language's letters are what `validity` asks; copies are what `copies` asks. Here words in their
order are judged by a language model of other real lines, and conversions by their likeness to what they were made of.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from corpora.fingerprint import hash_json
from corpora.near.text import normalise
from validators.batch import Batch, rows_of, usable
from validators.gate import AnyParams, Foreseen, GateParams, Limit, SampleGate
from validators.maths.folds import group_folds
from validators.maths.text.language import listed_words, read_word_list
from validators.maths.text.ngrams import KneserNey
from validators.maths.text.words import text_of
from validators.roster import Roster, why_no_folds
from validators.state import arrays_hash, load_state, save_state

_OF_CLASS = 500  # real lines of each class whose scores are the reference
_DIGITS = 9


class TextParams(GateParams):
    """Parameters of the gate `text`."""

    measure: Literal["order", "bytes"] = Field(
        "order", description="order: what the words' order costs beyond the words themselves; bytes: bits a byte"
    )
    n: int = Field(2, ge=1, le=20, description="words of an n-gram of the language model")
    folds: int = Field(4, ge=2, le=1000, description="of train")
    texts: int = Field(20000, ge=2, description="real lines that the model is fitted to, at most")
    word_list: str | None = Field(
        None, description="path of a file, a word or phrase a line: a text that holds one is rejected"
    )
    least_similarity: float | None = Field(
        None, ge=0, le=1, description="chrF to the nearest of its sources; less: unlike-source"
    )
    most_similarity: float | None = Field(None, ge=0, le=1, description="of the same; more: too-like-source")

    @model_validator(mode="after")
    def _in_order(self) -> TextParams:
        least, most = self.least_similarity, self.most_similarity
        if least is not None and most is not None and least > most:
            raise ValueError(f"least_similarity is {least:g}, above most_similarity {most:g}")
        return self


class TextGate(SampleGate):
    """score = what the order of a text's words costs beyond the words themselves, bits a word; less is better.

        (log2 p1(text) - log2 pn(text)) / tokens

    p1 the words on their own, pn each after those before it, by interpolated Kneser-Ney models
    (validators/maths/text/ngrams.py). It is the negative SLOR (Pauls & Klein 2012; Kann et al. 2018): what rare words
    cost is in both and drops out; plain bits a byte follow the rarest name in a line. measure "bytes": bits a byte by
    pn, unknown words spelled out.

    NaN, each with a reason: no-words, listed-words, unlike-source, too-like-source, unknown-source (a similarity is
    asked for, and train lacks the sources). Samples without sources are not compared with any. The list is read when
    the gate is fitted. Real lines that hold listed words have no score either.
    """

    name = "text"
    unit = "bits a word (order), bits a byte (bytes)"
    question = "does a text read like text, and keep to its source?"
    better = "lower"
    modalities = ("text",)
    default_limit = Limit(quantile=0.99)
    Params = TextParams

    def __init__(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self._arrays, self._facts = dict(arrays), dict(facts)
        self._options = TextParams.model_validate(facts["options"])
        self._listed = frozenset(facts["listed"])
        self._models = _unpacked(arrays, facts["vocabulary"], self._options.n)
        rules = hash_json([facts["vocabulary"], facts["options"], sorted(self._listed), facts["sources"]])[:12]
        self.judge = f"kneser-ney{self._options.n}-{self._options.measure}/{arrays_hash(arrays)}:{rules}"

    @classmethod
    def fit(
        cls,
        train: Batch,
        *,
        classes: Sequence[str],
        known_sha256: frozenset[str] = frozenset(),
        params: AnyParams,
        seed: int,
    ) -> TextGate:
        """Raises `UserError`: no two real lines with words in two groups, a list that cannot be read."""
        options = TextParams.of(params, cls.name)
        listed = read_word_list(Path(options.word_list)) if options.word_list else frozenset()
        batch = rows_of(train, usable(train))
        texts = _texts(batch)
        batch = rows_of(batch, np.array([bool(normalise(text)) for text in texts], bool))
        some = np.sort(np.random.default_rng(seed).permutation(len(batch))[: options.texts])
        batch = rows_of(batch, some)
        texts = _texts(batch)
        fold = group_folds(batch.groups, ["all"] * len(batch), options.folds, seed)
        labels = np.asarray(batch.emotions, dtype=str)
        members = [np.flatnonzero(labels == name)[:_OF_CLASS] for name in classes]
        measured = np.sort(np.concatenate([np.zeros(0, np.int64), *members]))
        reference = np.full(len(batch), np.nan)
        for f in np.unique(fold):
            other = _models([text for text, own in zip(texts, fold, strict=True) if own != f], options.n)
            rows = measured[fold[measured] == f]
            reference[rows] = _scores(other, [texts[i] for i in rows], options.measure)
        hits = [bool(listed_words(texts[i], listed)) for i in measured]
        reference[measured[np.array(hits, bool)]] = np.nan
        arrays, vocabulary = _packed(_models(texts, options.n)[1])
        compared = options.least_similarity is not None or options.most_similarity is not None
        real = rows_of(train, usable(train))
        facts = {
            "options": options.model_dump(mode="json", exclude={"word_list"}),  # the list is kept, not where it stood
            "listed": sorted(listed),
            "vocabulary": vocabulary,
            "sources": dict(zip(real.ids, _texts(real), strict=True)) if compared else {},
            "classes": list(classes),
            "emotions": labels[measured].tolist(),
        }
        return cls(arrays | {"reference": np.round(reference[measured], _DIGITS)}, facts)

    @classmethod
    def foresee(
        cls,
        train: Roster,
        dev: Roster | None,
        *,
        classes: Sequence[str],
        params: AnyParams,
        limit: Limit,
        seed: int,
    ) -> Foreseen:
        """Why train cannot be cut into folds."""
        if len(set(train.group_names)) >= 2:
            return Foreseen()
        return Foreseen(why_no_folds(train, TextParams.of(params, cls.name).folds, seed, by_class=False))

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64; NaN as `reasons` says, or not decodable."""
        out = np.full(len(batch), np.nan)
        ok = usable(batch) & np.array([reason is None for reason in self.reasons(batch)], bool)
        rows = np.flatnonzero(ok)
        if rows.size:
            scores = _scores(self._models, _texts(rows_of(batch, rows)), self._options.measure)
            out[rows] = np.round(scores, _DIGITS)
        return out

    def reasons(self, batch: Batch) -> list[str | None]:
        """What is wrong beside the score; None: nothing, or the score tells."""
        reasons: list[str | None] = []
        for i, signal in enumerate(batch.signals):
            text = text_of(np.asarray(signal))
            if text is None:
                reasons.append("not-utf8" if signal.size else None)
            elif not normalise(text):
                reasons.append("no-words" if text else None)
            elif listed_words(text, self._listed):
                reasons.append("listed-words")
            else:
                reasons.append(self._against_source(text, batch.source_ids[i] if batch.source_ids else ()))
        return reasons

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> scores of real train lines by models of other groups' lines, up to 500 of them."""
        of_row = np.asarray(self._facts["emotions"], dtype=str)
        return {name: self._arrays["reference"][of_row == name] for name in self._facts["classes"]}

    def _against_source(self, text: str, sources: Sequence[str]) -> str | None:
        least, most = self._options.least_similarity, self._options.most_similarity
        if not sources or (least is None and most is None):
            return None
        known = [self._facts["sources"][name] for name in sources if name in self._facts["sources"]]
        if not known:
            return "unknown-source"
        nearest = max(similarity(text, source) for source in known)
        if least is not None and nearest < least:
            return "unlike-source"
        return "too-like-source" if most is not None and nearest > most else None

    def save(self, folder: Path) -> None:
        """Writes gate.safetensors and gate.json."""
        save_state(folder, self._arrays, self._facts)

    @classmethod
    def load(cls, folder: Path) -> TextGate:
        """What `save` wrote. Raises `IntegrityError` where the two files do not belong together."""
        return cls(*load_state(folder))


def similarity(text: str, source: str) -> float:
    """chrF2 of a text against its source, 0 to 1 (Popovic 2015; sacrebleu's): F of character n-grams to 6."""
    return float(_chrf().sentence_score(text, [source]).score) / 100.0


@lru_cache(maxsize=1)
def _chrf():  # type: ignore[no-untyped-def]
    from sacrebleu.metrics import CHRF

    return CHRF()


def _texts(batch: Batch) -> list[str]:
    return [text_of(np.asarray(signal)) or "" for signal in batch.signals]


def _models(texts: Sequence[str], n: int) -> tuple[KneserNey, KneserNey]:
    """-> of words on their own, of words after others."""
    return _with_words(KneserNey(texts, order=n, level="word"))


def _with_words(model: KneserNey) -> tuple[KneserNey, KneserNey]:
    alone: Counter[tuple[Any, ...]] = Counter()
    for gram, count in model.counts.items():
        alone[gram[-1:]] += count
    return KneserNey.of_counts(alone, order=1, level="word"), model


def _scores(models: tuple[KneserNey, KneserNey], texts: Sequence[str], measure: str) -> np.ndarray:
    alone, ordered = models
    surprise = ordered.surprise(texts)
    with np.errstate(divide="ignore", invalid="ignore"):
        if measure == "bytes":
            bits = (surprise.nats + surprise.spelling) / (surprise.bytes * math.log(2.0))
        else:
            bits = (surprise.nats - alone.surprise(texts).nats) / (surprise.tokens * math.log(2.0))
    return np.asarray(bits, np.float64)


def _packed(model: KneserNey) -> tuple[dict[str, np.ndarray], list[str]]:
    """-> grams [N, n] int32 into the vocabulary, counts [N] int32; the vocabulary."""
    vocabulary = sorted({str(token) for gram in model.counts for token in gram})
    place = {token: i for i, token in enumerate(vocabulary)}
    rows = sorted((tuple(place[str(token)] for token in gram), count) for gram, count in model.counts.items())
    grams = np.array([gram for gram, _ in rows], np.int32).reshape(len(rows), model.order)
    return {"grams": grams, "counts": np.array([count for _, count in rows], np.int32)}, vocabulary


def _unpacked(arrays: Mapping[str, np.ndarray], vocabulary: Sequence[str], n: int) -> tuple[KneserNey, KneserNey]:
    pairs = zip(arrays["grams"].tolist(), arrays["counts"].tolist(), strict=True)
    counts: Counter[tuple[Any, ...]] = Counter({tuple(vocabulary[t] for t in gram): count for gram, count in pairs})
    return _with_words(KneserNey.of_counts(counts, order=n, level="word"))
