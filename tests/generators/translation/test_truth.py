"""Conversions of a toy whose truth is known: the class moves by its shift, identity stays, and the cycle is why."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from corpora.errors import ParamsError, UserError
from generators.generator import Condition, Draw, generator_class
from generators.params import parse_params
from generators.translation.corpora import CorpusAttention
from tests.generators.translation.toy import (
    CPU,
    SHIFT,
    SPEC,
    converted,
    fitted,
    flipped,
    identity_kept,
    neutral_rows,
    pairs,
)

DATA = pairs()
ROWS = neutral_rows(DATA)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("cycle", {}),
        ("cycle", {"networks": "pairs", "loss": "least-squares", "cycle_weight": 2.0}),
        ("stargan", {"loss": "hinge"}),
        ("stargan", {"loss": "hinge", "blend": True}),
        ("edit", {}),
    ],
)
def test_the_class_moves_and_identity_stays(name: str, params: dict[str, object]) -> None:
    generator, _ = fitted(name, DATA, 120, **params)
    made, sources = converted(generator, DATA, ROWS, "anger"), DATA.arrays[ROWS]
    assert flipped(sources) < 0.05 and flipped(made) > 0.95
    shift = (made - sources)[:, :2].mean(axis=0)
    assert (np.abs(shift - SHIFT) < 0.9).all(), f"{shift} in place of {SHIFT}"
    assert identity_kept(made, sources) > 0.95
    assert np.abs(made - sources)[:, 2:].mean() < 0.3 * np.abs(SHIFT).mean()


@pytest.mark.parametrize(("name", "extra"), [("cycle", {"identity_weight": 0.0}), ("stargan", {"loss": "hinge"})])
def test_without_the_cycle_more_of_identity_is_lost(name: str, extra: dict[str, object]) -> None:
    sources = DATA.arrays[ROWS]
    lost, error = [], []
    for weight in (10.0, 0.0):
        generator, losses = fitted(name, DATA, 120, cycle_weight=weight, **extra)
        made = converted(generator, DATA, ROWS, "anger")
        assert flipped(made) > 0.9
        lost.append(float(np.abs(made - sources)[:, 2].mean()))
        error.append(losses[-1]["translator_cycle"])
    assert lost[0] < 0.5 * lost[1] and lost[0] < 0.15
    assert error[0] < 0.5 * error[1]


def test_the_cycle_error_falls() -> None:
    """A network that has to build its output from nothing begins without a way back."""
    _, losses = fitted("cycle", DATA, 150, skip=False, identity_weight=5.0)
    curve = [report["translator_cycle"] for report in losses]
    assert np.mean(curve[-10:]) < 0.4 * np.mean(curve[:10])


def test_a_mixture_of_pairs_is_the_mixture_of_its_translations() -> None:
    generator, _ = fitted("cycle", DATA, 20, networks="pairs", strength_range=0.0)
    source, whole = DATA.arrays[ROWS[:1]], converted(generator, DATA, ROWS[:1], "anger")
    draw = Draw(Condition({"neutral": 0.25, "anger": 0.75}), 7, {"from": DATA.ids[ROWS[0]]})
    half = generator.sample([draw], source, device=CPU)
    np.testing.assert_allclose(half, 0.25 * source + 0.75 * whole, atol=1e-5)
    own = dataclasses.replace(draw, condition=Condition("neutral"))
    np.testing.assert_allclose(generator.sample([own], source, device=CPU), source, atol=1e-5)


def test_between_corpora_the_label_survives() -> None:
    """Half of the translations keep their label; the corpus, identity and label are three things."""
    data = pairs(240, corpora=("a", "b"), offset=3.0)
    generator, _ = fitted("cycle", data, 120, corpora="condition", target_corpus="b", cycle_weight=2.0)
    rows = np.array([i for i in neutral_rows(data, 240) if data.ids[i].startswith("a/")])
    sources = data.arrays[rows]
    for asked, share in (("neutral", 0.0), ("anger", 1.0)):
        made = converted(generator, data, rows, asked)
        assert abs(flipped(made) - share) < 0.06
        assert abs(made[:, 3].mean() - 3.0) < 0.6 and abs(sources[:, 3].mean()) < 0.2, "looks like the target corpus"
        assert identity_kept(made, sources) > 0.9


def test_weights_of_corpora_sum_to_one_and_follow_the_target() -> None:
    """Corpora a, b, c lie at 0, 1.5 and 3 of a column: the nearest counts most, and other targets other weights."""
    data = pairs(240, corpora=("a", "b", "c"), offset=1.5)
    generator, _ = fitted("cycle", data, 40, corpora="attention", target_corpus="c", cycle_weight=2.0)
    asked = torch.eye(2)
    of_target = [generator.network.attention(asked, target).numpy() for target in range(3)]
    for target, each in enumerate(of_target):
        np.testing.assert_allclose(each.sum(axis=1), 1.0, atol=1e-6)
        assert (each[:, target] == 0).all()
    assert (of_target[2][:, 1] > 0.6).all() and (of_target[0][:, 1] > 0.6).all(), "b is between a and c"
    assert generator.corpora == ("a", "b", "c")
    attention = CorpusAttention(SPEC, 2, 3)
    attention.means[2, 1] = attention.means[0, 1] = torch.arange(6.0)
    weights = attention(asked, 2).detach().numpy()
    assert weights[1, 0] > 0.9 and weights[0, 0] == pytest.approx(0.5), "by class"


def test_a_translation_of_one_corpus_or_to_none_is_refused() -> None:
    def fit(**params: object) -> None:
        fitted("cycle", DATA if "data" not in params else params.pop("data"), 1, **params)  # type: ignore[arg-type]

    with pytest.raises(UserError, match="'toy' alone"):
        fit(corpora="attention")
    with pytest.raises(UserError, match="none of the train corpora a, b"):
        fit(data=pairs(40, corpora=("a", "b")), corpora="condition", target_corpus="c")
    for name, wrong, says in [
        ("cycle", {"networks": "pairs", "corpora": "condition"}, "networks: one"),
        ("cycle", {"networks": "pairs", "classifier_weight": 1.0}, "a critic for each class"),
        ("cycle", {"target_corpus": "a"}, "corpora: condition"),
        ("stargan", {"context_weight": 1.0}, "blend: true"),
        ("edit", {"boundary_weight": 1.0, "classifier_weight": 0.0}, "classifier_weight above 0"),
        ("edit", {"rate": 0.2}, "lowest_rate"),
    ]:
        with pytest.raises(ParamsError, match=says):
            parse_params(generator_class(name).Params, wrong, name)
    for name, wrong in (("cycle", {"prosody": "cwt"}), ("stargan", {"squeeze": True})):
        with pytest.raises(ParamsError, match=r"Choose another representation or leave|a vector has none"):
            fitted(name, DATA, 1, **wrong)


def test_codes_of_style_make_other_samples() -> None:
    apart = []
    for weight in (2.0, 0.0):
        params = {"loss": "hinge", "style": 4, "cycle_weight": 1.0, "diversity_weight": weight}
        generator, _ = fitted("stargan", DATA, 100, **params)
        a, b = (converted(generator, DATA, ROWS, "anger", seed) for seed in (7, 7000))
        assert flipped(a) > 0.95
        apart.append(float(np.abs(a - b).mean()))
    assert apart[0] > 0.01 and apart[0] > 2 * apart[1], "the seed is a code, and the diversity loss is why it counts"
