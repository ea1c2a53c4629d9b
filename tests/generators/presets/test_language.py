"""Systems that write or rewrite lines: what gives each its name is there, and taking it out shows."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from generators.classical.substitutes import tokens
from generators.condition import ConditionFields
from generators.generator import Condition, Device, Draw, generator_class
from generators.language.experts import Experts, LineCritic, penalty_loss, written
from generators.language.lines import lines_of
from generators.language.salience import Salience
from generators.language.transformer import Size
from generators.preset import load_preset
from tests.generators.language.grammar import CLASSES, SPEC, parsed, toy_lines
from tests.generators.presets.mechanisms import shows
from tests.generators.tiny import LM

CPU = Device()
DATA = toy_lines(240)
LINES = lines_of(DATA.arrays)


@cache
def fitted(name: str, steps: int) -> Any:
    """The preset on the toy grammar, its network as small as a test wants."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    preset = load_preset(name)
    model = generator_class(preset.generator)(SPEC, CLASSES, **preset.params, **(LM if steps > 1 else {}))
    for _ in model.fit(DATA, steps=steps, seed=1, device=CPU):
        pass
    torch.set_num_threads(before)
    return model


def converted(model: Any, wanted: str = "anger") -> list[tuple[str, str]]:
    """Lines of another class with what became of them."""
    rows = [i for i, e in enumerate(DATA.emotions) if e != wanted][:60]
    draws = [Draw(Condition(wanted), i, {"from": DATA.ids[i]}) for i in rows]
    return list(
        zip([LINES[i] for i in rows], lines_of(model.sample(draws, DATA.arrays[rows], device=CPU)), strict=True)
    )


def content_kept(pairs: list[tuple[str, str]]) -> float:
    """Share of lines that begin with what their source says."""
    return float(np.mean([after.startswith((parsed(before) or ("?",))[0]) for before, after in pairs]))


def of_anger(pairs: list[tuple[str, str]]) -> float:
    """Share of lines that have a word of anger."""
    words = ("furious", "shouting", "loudly", "rage", "temper")
    return float(np.mean([any(word in after for word in words) for _, after in pairs]))


def of_source(pairs: list[tuple[str, str]]) -> float:
    """Share of lines that still say it as their source does."""
    kept = [before.removeprefix((parsed(before) or ("?",))[0])[1:-1] in after for before, after in pairs]
    return float(np.mean(kept))


@shows("text/li-2018")
def test_words_of_the_class_are_deleted_and_those_of_a_line_with_like_content_retrieved() -> None:
    model = fitted("text/li-2018", 1)
    pairs = converted(model)
    assert content_kept(pairs) > 0.95 and of_anger(pairs) > 0.95 and of_source(pairs) < 0.05
    # without retrieval by content, the line whose words are taken says something else
    row = tokens("the baker keeps his old coat as usual.")
    said = {token.key for token in row[:6]}
    order = model._nearest(" ".join(token.key for token in row[:6]), CLASSES.index("anger"))
    shared = [len(said & {token.key for token in model._rows[i]}) for i in order]
    assert np.mean(shared[:3]) > np.mean(shared) + 1.5
    # without salience nothing is deleted
    kept, model._salience = model._salience, Salience([{}] * 3)
    assert of_source(converted(model)) > 0.95
    model._salience = kept


def without_class(model: Any) -> list[tuple[str, str]]:
    """The same conversions where the network does not know what is asked for."""
    weights = model.network.condition.emotion.weight
    kept = weights.clone()
    with torch.no_grad():
        weights.copy_(weights.mean(1, keepdim=True).expand_as(weights))
        pairs = converted(model)
        weights.copy_(kept)
    return pairs


@shows("text/wu-2019")
def test_what_is_masked_carries_the_class_and_what_fills_it_is_of_the_wanted_one() -> None:
    model = fitted("text/wu-2019", 200)
    pairs = converted(model)
    assert content_kept(pairs) > 0.9 and of_anger(pairs) > 0.9
    assert of_anger(without_class(model)) < of_anger(pairs) - 0.3
    kept, model.salience = model.salience, Salience([{}] * 3)  # without the mask rule, any word is masked
    assert content_kept(converted(model)) < 0.6
    model.salience = kept


@shows("text/malmi-2020")
def test_padding_lets_the_model_choose_how_much_it_inserts() -> None:
    padded, plain = fitted("text/malmi-2020", 200), fitted("text/wu-2019", 200)

    def lengths(model: Any) -> list[int]:
        known = model.pieces
        return [len(known.ids([b])[0]) - len(known.ids([a])[0]) for a, b in converted(model) if b]

    assert set(lengths(plain)) == {0}, "one mask a piece: as many pieces as before"
    assert len(set(lengths(padded))) > 2
    assert content_kept(converted(padded)) > 0.9 and of_anger(converted(padded)) > 0.8


@shows("text/wang-2018")
def test_each_class_has_a_writer_who_pays_the_critic_of_all_for_what_it_writes() -> None:
    model = fitted("text/wang-2018", 10)
    assert isinstance(model.network, Experts) and len(model.network.experts) == 3
    draws = [Draw(Condition(CLASSES[k % 3]), k) for k in range(6)]
    assert len(lines_of(model.sample(draws, device=CPU))) == 6
    torch.manual_seed(0)
    network: Any = Experts(Size(60, 12, 32, 1, 2, 0.0, False), 3, ConditionFields())
    critic, conditions = LineCritic(60, 3, 16), {"emotion": torch.eye(3)[[0, 1, 2, 1]]}
    ids = written(network, conditions, torch.rand(4, 12, dtype=torch.float64))
    objective, penalty = penalty_loss(network, critic, conditions, ids)
    assert critic(ids).shape == (4, 4) and 0 < float(penalty) < 1, "K classes, and written"
    objective.backward()
    assert all(p.grad is None for p in critic.parameters())
    # a soft label is the mixture, a pure one its own writer's words alone
    some = {"emotion": torch.tensor([[0.25, 0.75, 0.0]])}
    pure = [network.experts[k].causal(ids[:1, :3], {"emotion": torch.eye(3)[[k]]}).softmax(-1) for k in (0, 1)]
    own = {"emotion": torch.eye(3)[[1]]}
    torch.testing.assert_close(network.causal(ids[:1, :3], own).exp(), pure[1])
    alone = [network.experts[k].causal(ids[:1, :3], some).softmax(-1) for k in (0, 1)]
    torch.testing.assert_close(network.causal(ids[:1, :3], some).exp(), 0.25 * alone[0] + 0.75 * alone[1])
    # penalties make what is penalised unlikely: a critic that takes every line with one piece for written

    class Against(torch.nn.Module):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            bad = (ids == piece).any(dim=1).float()[:, None]
            return torch.cat([20.0 * (1 - bad).expand(-1, 3), 40.0 * bad], dim=1)

    everywhere = {"emotion": torch.eye(3)[[k % 3 for k in range(48)]]}
    chance = torch.rand(48, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    piece = int(written(network, everywhere, chance)[:, 0].mode().values)

    @torch.no_grad()
    def share() -> float:
        nothing = torch.zeros(3, 0, dtype=torch.int64)
        return float(network.causal(nothing, {"emotion": torch.eye(3)}).exp()[:, 0, piece].mean())

    before, optimiser = share(), torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(15):
        lines = written(network, everywhere, torch.rand(48, 12, dtype=torch.float64))
        optimiser.zero_grad()
        penalty_loss(network, Against(), everywhere, lines)[0].backward()
        optimiser.step()
    assert share() < 0.5 * before
    plain = fitted_with("text/wang-2018", penalty=0.0, adversarial=0.0, writers="one")
    assert not isinstance(plain.network, Experts) and plain._critic is None


def fitted_with(name: str, **changes: Any) -> Any:
    """One step of a preset with something taken out."""
    preset = load_preset(name)
    model = generator_class(preset.generator)(SPEC, CLASSES, **{**preset.params, **LM, **changes})
    list(model.fit(DATA, steps=1, seed=1, device=CPU))
    return model


@shows("text/keskar-2019")
def test_a_control_code_says_which_kind_and_the_penalty_keeps_from_repeating() -> None:
    model = fitted("text/keskar-2019", 150)
    draws = [Draw(Condition(CLASSES[k % 3]), k) for k in range(60)]

    def lines(model: Any) -> list[str]:
        return lines_of(model.sample(draws, device=CPU))

    def honoured() -> float:
        words = {"neutral": ("usual", "schedule", "always"), "anger": ("furious", "shout"), "fear": ("trembl", "dea")}
        pairs = zip(lines(model), draws, strict=True)
        return float(np.mean([any(w in line for w in words[str(d.condition.emotion)]) for line, d in pairs]))

    with_code = honoured()
    weights = model.network.condition.emotion.weight
    kept = weights.clone()
    with torch.no_grad():
        weights.copy_(weights.mean(1, keepdim=True).expand_as(weights))
        assert honoured() < with_code - 0.3
        weights.copy_(kept)

    def repeated(penalty: float) -> float:
        model.params, before = model.params.model_copy(update={"repetition_penalty": penalty}), model.params
        rows = model.pieces.ids(lines(model))
        model.params = before
        return float(np.mean([len(row) - len(set(row)) for row in rows if row]))

    assert repeated(1.2) < repeated(1.0)
