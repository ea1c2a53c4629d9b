"""Parts of the language models against what is known of them: pieces, draws, the cache, salience, masks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import IntegrityError, ParamsError, UserError
from generators.classical.substitutes import tokens
from generators.condition import ConditionFields
from generators.generator import Condition, Device, Draw, generator_class
from generators.language.drawing import Chances, block, drawn, forbidden, nucleus, penalise
from generators.language.lines import lines_of
from generators.language.pieces import MARKS, PAD, Pieces
from generators.language.salience import Salience, SalienceParams, Span
from generators.language.transformer import PieceTransformer, Size
from tests.generators.language.grammar import CLASSES, SPEC, STYLE, toy_lines
from tests.generators.tiny import TINY

LINES = lines_of(toy_lines(120).arrays)
PIECES = Pieces.learn(LINES, 400)


# -- pieces


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_no_character_is_unknown(line: str) -> None:
    [ids] = PIECES.ids([line])
    assert all(len(MARKS) <= i < len(PIECES) for i in ids)
    assert PIECES.line([PAD, *ids]) == line.removeprefix(" ")


def test_the_same_lines_give_the_same_pieces_and_frequent_words_are_whole() -> None:
    assert Pieces.learn(LINES, 400).to_json() == PIECES.to_json() == Pieces(PIECES.to_json()).to_json()
    assert len(PIECES.ids(["child"])[0]) == 1 and len(PIECES.ids(["zebra"])[0]) > 1
    assert PIECES.ids(["<pad>"])[0] != [PAD], "a line that spells a mark is no mark"
    assert PIECES.ids(["the child sees"])[0] == [i for w in ("the", "child", "sees") for i in PIECES.ids([w])[0]]
    with pytest.raises(UserError, match="no line"):
        Pieces.learn([], 400)
    with pytest.raises(IntegrityError, match="vocabulary"):
        Pieces("{}")


# -- draws


def test_draws_follow_their_distribution() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    chance = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    many = logits.expand(1000, -1)
    shares = np.bincount(drawn(many, chance, 1.0, 1.0), minlength=4) / 1000
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.15, 0.05], atol=0.002)
    shares = np.bincount(drawn(many, chance, 1.0, 0.75), minlength=4) / 1000
    np.testing.assert_allclose(shares, [0.625, 0.375, 0, 0], atol=0.002)
    assert set(drawn(many, chance, 1.0, 1e-9).tolist()) == {0}, "the likeliest one is always kept"
    squared = np.bincount(drawn(many, chance, 0.5, 1.0), minlength=4) / 1000
    np.testing.assert_allclose(squared, np.array([0.25, 0.09, 0.0225, 0.0025]) / 0.365, atol=0.002)
    never = torch.tensor([[0.0, -torch.inf]])
    assert drawn(never, torch.tensor([1.0 - 1e-16], dtype=torch.float64), 1.0, 1.0).tolist() == [0]


def whole_sort(shares: torch.Tensor, top_p: float) -> torch.Tensor:
    kept = torch.zeros(shares.shape, dtype=torch.bool)
    for row, some in zip(kept, shares, strict=True):
        total = 0.0
        for piece in sorted(range(len(some)), key=lambda k: (-float(some[k]), k)):
            if total >= top_p:
                break
            row[piece] = True
            total += float(some[piece])
    return kept


@pytest.mark.parametrize("pieces", [7, 300])
@pytest.mark.parametrize("top_p", [0.01, 0.5, 0.95])
def test_the_likeliest_pieces_are_those_of_a_whole_sort(pieces: int, top_p: float) -> None:
    rng = torch.Generator().manual_seed(3)
    spread = torch.tensor([0.0, 0.02, 1.0, 3.0, 9.0])[:, None]  # from all alike, where many are needed, to one alone
    smooth = torch.softmax(spread * torch.randn(5, pieces, generator=rng).double(), dim=-1)
    stepped = torch.softmax((spread * torch.randn(5, pieces, generator=rng)).round().double(), dim=-1)  # many ties
    for shares in (smooth, stepped):
        assert torch.equal(nucleus(shares, top_p), whole_sort(shares, top_p))


def test_numbers_of_a_draw_are_its_own() -> None:
    together, alone = Chances([5, 6]), Chances([6])
    first = together.take([0, 1], 3)
    assert torch.equal(first[1:], alone.take([0], 3)) and not torch.equal(first[0], first[1])
    assert torch.equal(together.take([1], 2), alone.take([0], 2)), "and go on where they stopped"


def test_no_run_twice_and_less_of_what_is_there() -> None:
    assert forbidden([7, 8, 9, 7, 8], 3) == [9]
    assert forbidden([7, 8, 9], 3) == [] == forbidden([7, 8, 9, 7, 8], 0) and forbidden([7, 8], 1) == [7, 8]
    logits = torch.tensor([[2.0, -2.0, 1.0], [2.0, -2.0, 1.0]])
    assert block(logits, [[0, 1, 0], []], 2).tolist() == [[2.0, -torch.inf, 1.0], [2.0, -2.0, 1.0]]
    assert penalise(logits, [[0, 1], []], 2.0).tolist() == [[1.0, -4.0, 1.0], [2.0, -2.0, 1.0]]
    assert penalise(logits, [[0], []], 1.0) is logits


# -- the network


@pytest.mark.parametrize("every", [False, True])
def test_the_cache_says_what_the_whole_line_says(every: bool) -> None:
    torch.manual_seed(0)
    network = PieceTransformer(Size(20, 8, 16, 2, 2, 0.0, every), 3, ConditionFields(rated=("intensity",))).eval()
    conditions = {"emotion": torch.eye(3), "intensity": torch.tensor([[0.2, 1.0], [1.0, 1.0], [0.0, 0.0]])}
    ids = torch.randint(20, (3, 6))
    with torch.inference_mode():
        whole = network.causal(ids, conditions)
        logits, cache = network.begin(conditions)
        steps = [logits]
        for place in range(6):
            logits, cache = network.go_on(ids[:, place], conditions, cache, place)
            steps.append(logits)
        torch.testing.assert_close(torch.stack(steps, dim=1), whole)
        later = ids.clone()
        later[:, 4:] = 1
        torch.testing.assert_close(network.causal(later, conditions)[:, :5], whole[:, :5])  # nothing looks ahead


def test_padding_is_not_seen_from_either_side() -> None:
    torch.manual_seed(0)
    network = PieceTransformer(Size(20, 8, 16, 2, 2, 0.0, False), 3, ConditionFields()).eval()
    ids = torch.tensor([[4, 5, 6, 0, 0], [4, 5, 6, 9, 9]])
    real = torch.tensor([[True, True, True, False, False]] * 2)
    logits = network.both_ways(ids, {"emotion": torch.eye(3)[:1].expand(2, -1)}, real)
    torch.testing.assert_close(logits[0, :3], logits[1, :3])
    other = network.both_ways(ids[:, [0, 2, 1, 3, 4]], {"emotion": torch.eye(3)[:1].expand(2, -1)}, real)
    assert not torch.allclose(logits[0, 0], other[0, 0]), "what comes later is seen"


def test_a_width_that_heads_do_not_share_is_refused() -> None:
    with pytest.raises(ParamsError, match="width 30 is no multiple of heads 4"):
        generator_class("small_lm")(SPEC, CLASSES, width=30, heads=4)


# -- what is drawn is as train is


def test_pairs_of_words_are_as_often_as_in_train_and_nothing_is_repeated() -> None:
    data = toy_lines(240)
    model = generator_class("small_lm")(SPEC, CLASSES, **TINY["small_lm"].params | {"top_p": 1.0})
    for _ in model.fit(data, steps=250, seed=1, device=Device()):
        pass
    lines = lines_of(model.sample([Draw(Condition(CLASSES[i % 3]), i) for i in range(600)], device=Device()))

    def pairs(some: list[str]) -> Counter[tuple[str, str]]:
        return Counter(pair for line in some for pair in zip(line.split(), line.split()[1:], strict=False))

    real, made = pairs(lines_of(data.arrays)), pairs(lines)
    keys = sorted(real | made)
    p, q = (np.array([c[k] for k in keys]) / sum(c.values()) for c in (real, made))
    floor = []
    for seed in (1, 2):
        other = pairs(lines_of(toy_lines(240, seed=seed).arrays))
        floor.append(
            0.5 * sum(abs(real[k] / sum(real.values()) - other[k] / sum(other.values())) for k in real | other)
        )
    distance = 0.5 * float(np.abs(p - q).sum())
    assert distance < 1.3 * max(floor), f"total variation {distance:.3f}; two samples of train have {max(floor):.3f}"
    assert len(set(lines)) > 0.8 * len(lines)


# -- salience


def test_salience_is_the_papers_ratio() -> None:
    """Li et al. 2018, eq. 1, by hand: two classes of two lines."""
    params = SalienceParams(ngram=2, smoothing=1.0)
    salience = Salience.of(["so good food", "good food"], [0, 0], 1, params)
    assert salience.value("good", 0) == pytest.approx(3.0)  # nobody else has it
    salience = Salience.of(["good food", "so good", "bad food", "so bad good"], [0, 0, 1, 1], 2, params)
    assert salience.value("good", 0) == pytest.approx((2 + 1) / (1 + 1))
    assert salience.value("bad", 1) == pytest.approx((2 + 1) / (0 + 1))
    assert salience.value("food", 0) == 1.0 == salience.value("bad", 0)


def test_sizes_of_classes_do_not_make_words_salient() -> None:
    lines = [*["a dog barks"] * 40, *["a dog barks"] * 10]
    salience = Salience.of(lines, [0] * 40 + [1] * 10, 2, SalienceParams())
    assert salience.to_json() == [{}, {}]


def test_what_carries_the_class_is_marked_and_nothing_else() -> None:
    data = toy_lines(240)
    salience = Salience.of(lines_of(data.arrays), [CLASSES.index(e) for e in data.emotions], 3, SalienceParams())
    for emotion in CLASSES:
        for style in STYLE[emotion]:
            row = tokens(f"our dog finds the bread {style}.")
            [span] = salience.spans(row, CLASSES.index(emotion), SalienceParams())
            assert span == Span(5, len(row)), style
    assert salience.spans(tokens("our dog"), 1, SalienceParams()) == []
    assert Salience(salience.to_json()).to_json() == salience.to_json()
    whole = tokens("with furious rage")
    assert sum(s.stop - s.start for s in salience.spans(whole, 1, SalienceParams(most=0.4))) == 1
