"""Language models: probabilities by hand and by definition, unknown words, and a checkpoint in its real format."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import UserError
from validators.maths.text.ngrams import END, START, UNKNOWN, KneserNey
from validators.measures.registry import measure

TEXTS = ["a b", "a c", "a b"]


def test_bigrams_by_hand() -> None:
    """Bigrams: <s>a 3, ab 2, ac 1, b</s> 2, c</s> 1. D2 = 2/(2+2*2). Left neighbours: a 1, b 1, c 1, </s> 2.
    D1 = 3/(3+2*1). Five words with the unknown one."""
    model = KneserNey(TEXTS, order=2)
    assert model.discounts == [pytest.approx(3 / 5), pytest.approx(1 / 3)]
    b = (1 - 0.6) / 5 + 0.6 * 4 / 5 * (1 / 5)
    end = (2 - 0.6) / 5 + 0.6 * 4 / 5 * (1 / 5)
    unknown = 0.6 * 4 / 5 * (1 / 5)
    after_a = 1 / 3 * 2 / 3  # what ab and ac gave up
    assert model.probability("b", ["a"]) == pytest.approx((2 - 1 / 3) / 3 + after_a * b)
    assert model.probability(END, ["a"]) == pytest.approx(after_a * end)
    assert model.probability("zebra", ["a"]) == pytest.approx(after_a * unknown)
    assert model.probability("b", ["zebra"]) == pytest.approx(b)
    start = (3 - 1 / 3) / 3 + 1 / 3 * 1 / 3 * b  # a has as many left neighbours as b
    after_b = (2 - 1 / 3) / 2 + 1 / 3 * 1 / 2 * end
    found = model.surprise(["a b"])
    assert found.tokens.tolist() == [3]
    ab = (2 - 1 / 3) / 3 + after_a * b
    assert found.perplexity() == pytest.approx((start * ab * after_b) ** (-1 / 3))


def definition(texts: list[str], order: int) -> tuple[list[str], object]:
    """The formula, word by word, from sets of n-grams: slow and plain."""
    said = [[START] * (order - 1) + text.split() + [END] for text in texts]
    grams = Counter(tuple(s[i : i + order]) for s in said for i in range(len(s) - order + 1))
    words = sorted({g[-1] for g in grams})

    def n_of(gram: tuple[str, ...]) -> int:
        if len(gram) == order:
            return grams[gram]
        longer: set[tuple[str, ...]] = set(grams)
        for _ in range(order - len(gram) - 1):
            longer = {g[1:] for g in longer}
        return len({g for g in longer if g[1:] == gram})

    def p(word: str, context: tuple[str, ...], n: int) -> float:
        if n == 0:
            return 1 / (len(words) + 1)
        context = context[len(context) - (n - 1) :]
        lower = p(word, context, n - 1)
        tails = {g[len(g) - n :] for g in grams}
        counts = Counter(n_of(g) for g in tails)
        d = counts[1] / (counts[1] + 2 * counts[2]) if counts[1] and counts[2] else 0.5
        follow = [n_of(g) for g in tails if g[:-1] == context]
        if not follow:
            return lower
        return (max(n_of((*context, word)) - d, 0) + d * len(follow) * lower) / sum(follow)

    return words, p


@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=5).map(" ".join), min_size=1, max_size=5),
    st.integers(1, 3),
    st.lists(st.sampled_from("abcx"), min_size=3, max_size=3),
)
@settings(max_examples=30, deadline=None)
def test_probabilities_are_the_formulas_and_sum_to_one(texts: list[str], order: int, context: list[str]) -> None:
    model = KneserNey(texts, order=order)
    words, p = definition(texts, order)
    found = {word: model.probability(word, context) for word in [*words, UNKNOWN]}
    assert sum(found.values()) == pytest.approx(1.0)
    assert min(found.values()) > 0
    for word, value in found.items():
        assert value == pytest.approx(p(word, tuple(context), order))  # type: ignore[operator]


def test_bytes_sum_to_one_and_know_everything() -> None:
    model = KneserNey(["äb", "ab"], order=3, level="byte")
    context = list("ä".encode())
    assert sum(model.probability(b, context) for b in [*range(256), END]) == pytest.approx(1.0)
    found = model.surprise(["ß", "", "ab"])
    assert found.unknown.tolist() == [0, 0, 0] and found.tokens.tolist() == [3, 0, 3]
    assert found.bits_per_byte() == pytest.approx(math.log2(found.perplexity()))


def test_of_counts_is_the_same_model() -> None:
    model = KneserNey(TEXTS, order=3)
    again = KneserNey.of_counts(dict(model.counts), order=3, level="word")
    assert np.array_equal(again.surprise(["a b c x"]).nats, model.surprise(["a b c x"]).nats)


def test_unknown_words_cost_and_are_counted() -> None:
    model = KneserNey(["the cat ran home", "the dog ran home", "a dog slept", "a cat slept"] * 5)
    known, gibberish = model.surprise(["the cat slept"]), model.surprise(["xq zzt wwk"])
    assert gibberish.perplexity() > 10 * known.perplexity()
    assert gibberish.unknown_share() == 1.0 and known.unknown_share() == 0.0
    assert gibberish.perplexity_of_known() < gibberish.perplexity()
    assert known.perplexity_of_known() == pytest.approx(known.perplexity())
    # unknown words are spelt: 8 bits a byte, and one for their end
    spelt = (math.log2(math.e) * gibberish.nats.sum() + 8 * (3 + 4 + 4)) / (len("xq zzt wwk") + 1)
    assert gibberish.bits_per_byte() == pytest.approx(spelt)


def test_order_matters_to_the_model_and_real_text_is_the_floor() -> None:
    rng = np.random.default_rng(0)
    names, verbs, places = ["ann", "bob", "eve", "joe"], ["ran", "went", "came", "rode"], ["home", "out", "back", "in"]
    real = [" ".join(rng.choice(part) for part in (names, verbs, places)) for _ in range(60)]
    mixed = [" ".join(rng.permutation(line.split())) for line in real]
    good, bad = measure("perplexity", real, real[:30]), measure("perplexity", real, mixed)
    assert good.value < bad.value and bad.low < bad.value < bad.high
    assert good.value < good.floor * 1.05 < bad.value
    assert (
        measure("perplexity", real, mixed, level="byte", order=5).details["bits per byte"]
        > good.details["real, bits per byte"]
    )


@pytest.mark.parametrize(
    ("texts", "options", "match"),
    [
        ([], {}, "no text"),
        (["", "  "], {}, "no text"),
        (["a"], {"order": 0}, "order is 0"),
        (["a"], {"level": "letter"}, "known: byte, word"),
    ],
)
def test_no_model_of_nothing(texts: list[str], options: dict[str, object], match: str) -> None:
    with pytest.raises(UserError, match=match):
        KneserNey(texts, **options)  # type: ignore[arg-type]


def test_no_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no checkpoint"):
        measure("perplexity", ["a"], ["b"], model=str(tmp_path))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of two layers and its word tokenizer, as `save_pretrained` writes them."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    import torch

    folder = tmp_path_factory.mktemp("gpt2")
    vocabulary = {w: i for i, w in enumerate(["<unk>", "<s>", "</s>", "the", "cat", "dog", "ran", "home"])}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=8, n_positions=16, n_embd=8, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=2
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def test_a_checkpoint_from_a_path(checkpoint: Path) -> None:
    import torch
    from transformers import GPT2LMHeadModel

    from validators.embeddings.causallm import CausalModel

    model = CausalModel(checkpoint)
    text = "the cat ran home"
    found = model.surprise([text, "", " ".join(["the dog ran"] * 12)])
    ids = torch.tensor([[1, 3, 4, 6, 7, 2]])
    loss = GPT2LMHeadModel.from_pretrained(checkpoint).eval()(ids, labels=ids).loss.detach()  # mean over 5 of 6 tokens
    assert found.nats[0] == pytest.approx(5 * float(loss), rel=1e-5)
    assert found.tokens.tolist() == [5, 0, 37]  # longer than the window: each token once
    assert found.bytes[0] == len(text) + 1
    measured = measure("perplexity", ["the dog ran"], [text], model=str(checkpoint))
    assert measured.value == pytest.approx(math.exp(float(loss)), rel=1e-5)
    assert measured.details["bits per byte"] == pytest.approx(5 * float(loss) / math.log(2) / 17, rel=1e-5)
    assert measured.convention.startswith("GPT2LMHeadModel/") and math.isfinite(measured.floor)


def test_each_token_of_a_long_text_is_scored_once(checkpoint: Path) -> None:
    """A model that finds all 8 tokens equally likely: ln 8 each."""
    from validators.embeddings.causallm import CausalModel

    model = CausalModel(checkpoint)
    model._model.transformer.wte.weight.data.zero_()  # tied to the output
    for n in (1, 13, 14, 15, 16, 17, 22, 23, 24, 25, 31, 60):
        found = model.surprise([" ".join(["cat"] * n)])
        assert found.nats[0] == pytest.approx((n + 1) * math.log(8))


def test_weights_that_are_pickles_are_not_read(checkpoint: Path, tmp_path: Path) -> None:
    import torch

    from validators.embeddings.causallm import CausalModel

    config = json.loads((checkpoint / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        CausalModel(tmp_path)
