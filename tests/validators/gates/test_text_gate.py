"""The text gate: order of words, likeness to the source, listed words."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpora.errors import ParamsError, UserError
from tests.validators.gates.test_copies import lines
from validators.batch import rows_of
from validators.gate import Batch, admit
from validators.gates.text import TextGate, similarity

CLASSES = ("anger", "happiness", "sadness")
Make = Callable[..., Batch]


@pytest.fixture(scope="module")
def train(make: Make) -> Batch:
    return make("text", groups=range(10))


@pytest.fixture(scope="module")
def gate(train: Batch) -> TextGate:
    return TextGate.fit(train, classes=CLASSES, params={}, seed=0)


def shuffled(batch: Batch) -> Batch:
    rng = np.random.default_rng(0)
    return lines([" ".join(rng.permutation(s.tobytes().decode().split())) for s in batch.signals])


def test_shuffled_words_cost_more(gate: TextGate, make: Make) -> None:
    others = make("text", groups=range(20, 26), seed=1)
    limit = gate.default_limit.resolve(np.concatenate(list(gate.reference().values())))
    assert admit(gate.score(others), limit, gate.better).mean() > 0.9
    assert np.median(gate.score(shuffled(others))) > np.median(gate.score(others)) + 0.5


def test_the_score_by_hand() -> None:
    """Two lines "a b": each word after its start has one continuation, so p2 of a known pair is D-discounted."""
    texts = ["a b", "a b", "a b", "c"]
    gate = TextGate.fit(lines(texts), classes=CLASSES, params={"folds": 2}, seed=0)
    ordered, alone = gate._models[1], gate._models[0]  # both are tested against their own definition elsewhere
    p2 = [ordered.probability("a", ["<s>"]), ordered.probability("b", ["a"]), ordered.probability("</s>", ["b"])]
    p1 = [alone.probability(token, []) for token in ("a", "b", "</s>")]
    expected = sum(math.log2(q / p) for p, q in zip(p2, p1, strict=True)) / 3
    assert gate.score(lines(["a b"]))[0] == pytest.approx(expected)
    assert p1[0] == pytest.approx(alone.probability("b", [])) and p1[2] > p1[0] > alone.probability("c", [])


def test_rare_words_drop_out_of_order_but_not_of_bytes(train: Batch) -> None:
    line = train.signals[0].tobytes().decode()
    rare = line.replace(line.split()[-1], "quxotl")
    order, by_bytes = (TextGate.fit(train, classes=CLASSES, params={"measure": m}, seed=0) for m in ("order", "bytes"))
    assert by_bytes.score(lines([rare]))[0] > by_bytes.score(lines([line]))[0] > 0
    assert order.judge != by_bytes.judge
    with pytest.raises(ParamsError, match="'order' or 'bytes'"):
        TextGate.fit(train, classes=CLASSES, params={"measure": "perplexity"}, seed=0)


def test_listed_words(train: Batch, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("idiot  # rude\ntears all night\n", encoding="utf-8")
    gate = TextGate.fit(train, classes=CLASSES, params={"word_list": str(tmp_path / "list.txt")}, seed=0)
    asked = lines(["what an Idiot!", "tears, all night", "the idiots are here", "we cried all night"])
    assert gate.reasons(asked) == ["listed-words", "listed-words", None, None]
    assert np.isfinite(gate.score(asked)).tolist() == [False, False, True, True]
    said = [s.tobytes().decode().lower() for s in train.signals]
    held = sum("idiot" in line or "tears all night" in line for line in said)
    assert held and sum(int(np.isnan(v).sum()) for v in gate.reference().values()) == held
    gate.save(tmp_path / "gate")
    assert TextGate.load(tmp_path / "gate").reasons(asked) == gate.reasons(asked)
    plain = TextGate.fit(train, classes=CLASSES, params={}, seed=0)
    assert plain.reasons(asked) == [None] * 4 and plain.judge != gate.judge
    with pytest.raises(UserError, match="word list"):
        TextGate.fit(train, classes=CLASSES, params={"word_list": str(tmp_path / "none.txt")}, seed=0)


def test_likeness_to_the_source(train: Batch) -> None:
    source = train.signals[0].tobytes().decode()
    words = source.split()
    asked = lines([source, " ".join(words[:-2]), "nobody saw him", "nobody saw him", "nobody saw him"])
    own = (train.ids[0],)
    asked = replace(asked, source_ids=(own, own, own, (), ("c/unknown",)))
    params = {"least_similarity": 0.3, "most_similarity": 0.95}
    gate = TextGate.fit(train, classes=CLASSES, params=params, seed=0)
    assert gate.reasons(asked) == ["too-like-source", None, "unlike-source", None, "unknown-source"]
    assert np.isfinite(gate.score(asked)).tolist() == [False, True, False, True, False]
    several = replace(rows_of(asked, np.array([1])), source_ids=((train.ids[5], train.ids[0]),))
    assert gate.reasons(several) == [None]  # the nearest counts
    free = TextGate.fit(train, classes=CLASSES, params={}, seed=0)
    assert free.reasons(asked) == [None] * 5
    for bad, why in (
        ({"least_similarity": 1.2}, "'least_similarity' is 1.2.* less than or equal to 1"),
        ({"least_similarity": 0.9, "most_similarity": 0.1}, "least_similarity is 0.9, above most_similarity 0.1"),
    ):
        with pytest.raises(ParamsError, match=why):
            TextGate.fit(train, classes=CLASSES, params=bad, seed=0)


def test_similarity_is_that_of_sacrebleu() -> None:
    assert similarity("the cat sat", "the cat sat") == pytest.approx(1.0)
    assert similarity("xyz", "the cat sat") == 0.0
    # CHRF().sentence_score("the cat sat down", ["the cat sat"]), sacrebleu 2.x; brute force of chrF2 by hand:
    hyp, ref = "thecatsatdown", "thecatsat"
    p, r = [], []
    for n in range(1, 7):
        h, g = ([t[i : i + n] for i in range(len(t) - n + 1)] for t in (hyp, ref))
        same = sum(min(h.count(x), g.count(x)) for x in set(h))
        p.append(same / len(h))
        r.append(same / len(g))
    mean_p, mean_r = sum(p) / 6, sum(r) / 6
    assert similarity("the cat sat down", "the cat sat") == pytest.approx(5 * mean_p * mean_r / (4 * mean_p + mean_r))


def test_no_words_and_too_little(train: Batch) -> None:
    gate = TextGate.fit(train, classes=CLASSES, params={}, seed=0)
    asked = replace(lines(["?!", "x", "yes"]))
    asked = replace(asked, signals=[asked.signals[0], np.frombuffer(b"\xff\xfe", np.uint8), asked.signals[2]])
    assert gate.reasons(asked) == ["no-words", "not-utf8", None]
    assert np.isfinite(gate.score(asked)).tolist() == [False, False, True]
    with pytest.raises(UserError, match="2 groups"):
        TextGate.fit(rows_of(train, np.arange(1)), classes=CLASSES, params={}, seed=0)
    with pytest.raises(UserError):
        TextGate.fit(rows_of(train, np.arange(0)), classes=CLASSES, params={}, seed=0)


def test_held_out_comments(shared_data: Path) -> None:
    """GoEmotions: real comments pass a limit of 1 in 20; most of the shuffled ones do not."""
    table = (shared_data / "goemotions" / "train.tsv").read_text(encoding="utf-8").splitlines()
    texts = [text for text in dict.fromkeys(line.split("\t")[0] for line in table) if len(text.split()) > 3]
    order = np.random.default_rng(0).permutation(len(texts))
    real, other = (lines([texts[i] for i in rows]) for rows in (order[:4000], order[4000:4300]))
    gate = TextGate.fit(real, classes=CLASSES, params={"folds": 2}, seed=0)
    limit = float(np.nanquantile(np.concatenate(list(gate.reference().values())), 0.95))
    assert admit(gate.score(other), limit, gate.better).mean() > 0.9
    assert admit(gate.score(shuffled(other)), limit, gate.better).mean() < 0.4
