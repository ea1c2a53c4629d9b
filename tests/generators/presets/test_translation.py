"""Trained conversions: what each preset cannot do without is active, and taking it out changes what is stated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from corpora.errors import ParamsError
from features.speech.world import WorldRepresentation
from generators.generator import Condition, Draw, TrainData, generator_class, source_class
from generators.preset import load_preset
from generators.translation.columns import fisher_ratio
from generators.translation.edit import class_margin
from generators.translation.mappings import ClassCritics, CycleNetwork
from generators.translation.networks import Squeeze
from generators.translation.params import CycleParams
from generators.translation.stargan import StarGAN
from tests.generators.presets.mechanisms import shows
from tests.generators.toy import IMAGES, SPEECH, toy_data
from tests.generators.translation.toy import (
    CLASSES,
    CPU,
    FAST,
    converted,
    fitted,
    flipped,
    identity_kept,
    neutral_rows,
    pairs,
)
from training.loop import Minibatch
from training.seeds import generator as seeded

DATA = pairs()
ROWS = neutral_rows(DATA)


def of(preset: str, **changes: Any) -> dict[str, Any]:
    """Parameters of a preset with networks of a toy's size."""
    return {**load_preset(preset).params, **FAST, **changes}


def losses_of(preset: str, data: TrainData, **changes: Any) -> dict[str, float]:
    """Of the first step."""
    name = load_preset(preset).generator
    params = {**of(preset, **changes), "batch_size": 16}
    model = generator_class(name)(data.spec, data.classes, **params)
    return dict(next(iter(model.fit(data, steps=1, seed=1, device=CPU))).losses)


def phases(preset: str, data: TrainData, **changes: Any) -> tuple[Any, list[Any]]:
    """The model after one step, and the phases of another fit of it."""
    from generators.condition import train_conditions
    from generators.trained import TrainSet

    model = generator_class(load_preset(preset).generator)(data.spec, data.classes, **of(preset, **changes))
    for _ in model.fit(data, steps=1, seed=1, device=CPU):
        pass
    model.network.requires_grad_(True)
    x = torch.from_numpy(data.arrays.reshape(len(data.arrays), *data.spec.grid))
    train = TrainSet(model.network.normaliser(x), train_conditions(data, model.fields), np.arange(len(x)))
    return model, model._phases(model.network, train, CPU, 1)


def batch(n: int = 16) -> Minibatch:
    return Minibatch(np.arange(n), 0, 0.0, seeded(3), torch.device("cpu"))


@shows("faces/zhu-2018")
def test_pairs_of_mappings_with_least_squares_and_cycles() -> None:
    data = toy_data(IMAGES, n=24)
    model, (translator, critic) = phases("faces/zhu-2018", data)
    assert len(model.network.mappings) == 6 and isinstance(critic.module, ClassCritics)
    assert len(critic.module.critics) == 3
    one = losses_of("faces/zhu-2018", data, networks="one")
    assert set(losses_of("faces/zhu-2018", data)) == set(one)
    # least squares: a critic's score of 1 costs the generator nothing, of hinge it is -1
    ones = torch.ones(4)
    from generators.gan.losses import ADVERSARIAL

    game = ADVERSARIAL[model.params.loss]
    assert float(game.generator(ones)) == 0.0 and float(ADVERSARIAL["hinge"].generator(ones)) == -1.0
    kept = translator.loss(batch())
    total = kept["adversarial"] + 10 * kept["cycle"] + 5 * kept["identity"]
    torch.testing.assert_close(kept["loss"], total)


@shows("faces/mazen-2021")
def test_cycles_fill_every_class_to_the_largest() -> None:
    assert load_preset("faces/mazen-2021").target == {"policy": "majority"}
    error = []
    for weight in (10.0, 0.0):
        params = of("faces/mazen-2021", cycle_weight=weight, identity_weight=0.0, loss="hinge")
        _, losses = fitted("cycle", DATA, 100, **params)
        error.append(losses[-1]["translator_cycle"])
    assert error[0] < 0.5 * error[1], "faces come back from the other class"


@shows("faces/choi-2018", "speech/rizos-2020")
def test_the_domain_classifier_and_the_cycle_are_in_the_loss() -> None:
    for preset in ("faces/choi-2018", "speech/rizos-2020"):
        _, (translator, critic) = phases(preset, DATA)
        parts = translator.loss(batch())
        torch.testing.assert_close(parts["loss"], parts["adversarial"] + 10 * parts["cycle"] + parts["class"])
        assert "class" in critic.loss(batch())
        assert "class" not in phases(preset, DATA, classifier_weight=0.0)[1][0].loss(batch())
    params = of("speech/rizos-2020", loss="hinge", critic_steps=1)
    content = []
    for weight in (10.0, 0.0):
        generator, _ = fitted("stargan", DATA, 100, **{**params, "cycle_weight": weight})
        made = converted(generator, DATA, ROWS, "anger")
        assert flipped(made) > 0.9, "the class is flipped"
        content.append(float(np.abs(made - DATA.arrays[ROWS])[:, 2].mean()))
    assert content[0] < 0.5 * content[1], "and content is kept by the cycle"


@shows("faces/han-2023")
def test_squeezes_hinge_and_style_codes() -> None:
    data = toy_data(IMAGES, n=24)
    model, (translator, _) = phases("faces/han-2023", data)
    assert any(isinstance(m, Squeeze) for m in model.network.modules())
    without, _ = phases("faces/han-2023", data, squeeze=False)
    assert not any(isinstance(m, Squeeze) for m in without.network.modules())
    assert model.params.loss == "hinge"
    x, network = torch.rand(4, 1, 12, 12), model.network
    asked = {"emotion": torch.eye(3)[[0, 1, 2, 0]]}
    first, second = (network(x, asked, network.mapped(torch.randn(4, 16), asked)).y for _ in range(2))
    assert not torch.allclose(first, second, atol=1e-6)
    assert {"style", "diversity"} <= set(translator.loss(batch()))


@shows("faces/akram-2024")
def test_the_input_is_added_to_the_output() -> None:
    data = toy_data(IMAGES, n=24)
    far = []
    for skip in (True, False):
        model: StarGAN = phases("faces/akram-2024", data, skip=skip)[0]
        assert model.network is not None and len(model.network.translator.body.middle) == 1
        x = torch.from_numpy(data.arrays)
        with torch.no_grad():
            y = model.network(x, {"emotion": torch.eye(3)[[0] * len(x)]}, None).y
        far.append(float((y - x).abs().mean()))
    assert far[0] < 0.25 * far[1], "it begins near the source"


@shows("faces/zhu-2019")
def test_the_class_of_the_source_is_hidden_from_the_critic() -> None:
    _, (translator, critic) = phases("faces/zhu-2019", DATA)
    parts = translator.loss(batch())
    torch.testing.assert_close(
        parts["loss"], parts["adversarial"] + 10 * parts["cycle"] + parts["class"] + parts["trace"]
    )
    assert "trace" in critic.loss(batch())
    assert "trace" not in phases("faces/zhu-2019", DATA, untraceable_weight=0.0)[1][0].loss(batch())
    assert critic.module.trace is not None


@shows("faces/wang-2020")
def test_attention_says_where_and_context_keeps_the_rest() -> None:
    model, (translator, critic) = phases("faces/wang-2020", DATA)
    p, parts = model.params, translator.loss(batch())
    total = parts["adversarial"] + 10 * parts["cycle"] + parts["class"] + p.attention_weight * parts["attention"]
    torch.testing.assert_close(parts["loss"], total + p.context_weight * parts["context"])
    assert "class" in critic.loss(batch()), "the critic tells domains"
    assert "context" not in phases("faces/wang-2020", DATA, context_weight=0.0)[1][0].loss(batch())
    plain = phases("faces/wang-2020", DATA, blend=False, context_weight=0.0)[1][0].loss(batch())
    assert "attention" not in plain
    x, asked = torch.randn(4, 1, 6, 1), {"emotion": torch.eye(2)[[0, 1, 0, 1]]}
    made = model.network(x, asked, None)
    torch.testing.assert_close(made.y, made.attention * (made.y - x) / made.attention + x)
    with torch.no_grad():
        model.network.translator.body.out.bias[6:] = -200.0  # attention shut everywhere
    assert torch.equal(model.network(x, asked, None).y, x)


@shows("speech/shilandari-2022")
def test_columns_are_chosen_in_two_stages_and_they_alone_are_translated() -> None:
    ratio = fisher_ratio(DATA.arrays.astype(float), np.array([CLASSES.index(e) for e in DATA.emotions]))
    assert set(np.argsort(-ratio)[:2]) == {0, 1}
    params = of("speech/shilandari-2022", fisher=0.5, lda=0.6, loss="hinge", cycle_weight=2.0)
    generator, _ = fitted("cycle", DATA, 100, **params)
    selected = generator.network.selected.flatten().numpy()
    assert selected.tolist() == [1, 1, 0, 0, 0, 0], "half of six by Fisher, two of these by LDA"
    made, sources = converted(generator, DATA, ROWS, "anger"), DATA.arrays[ROWS]
    np.testing.assert_allclose(made[:, 2:], sources[:, 2:], atol=1e-5)
    assert flipped(made) > 0.9
    whole, _ = fitted("cycle", DATA, 3, **{**params, "fisher": 1.0, "lda": 1.0})
    assert whole.network.selected is None
    assert not np.allclose(converted(whole, DATA, ROWS, "anger")[:, 2:], sources[:, 2:], atol=1e-5)
    # what is held out chooses nothing
    held = DATA.arrays.copy()
    held[DATA.held_out, 4] += 50.0 * np.array([e == "anger" for e in DATA.emotions])[DATA.held_out]
    again, _ = fitted("cycle", replace(DATA, arrays=held), 1, **params)
    assert again.network.selected.flatten().numpy().tolist() == selected.tolist()
    with pytest.raises(ParamsError, match="columns of a vector"):
        generator_class("cycle")(IMAGES, CLASSES, fisher=0.5)._build()


@shows("speech/chang-2024")
def test_a_sparse_bounded_change_misleads_recognisers_that_it_never_saw() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    rows = np.arange(0, 200, 3)
    labels = np.array([CLASSES.index(e) for e in DATA.emotions])
    judges = [kind.fit(DATA.arrays, labels) for kind in (LogisticRegression(), SVC())]
    spread = DATA.arrays[~DATA.held_out].std(axis=0)

    def heard(**changes: Any) -> tuple[float, float, float]:
        """-> right answers of the judge that is misled least, share of cells that move, the farthest of them."""
        strong = {"epsilon": 1.3, "sparsity_weight": 0.3, "missed_margin": 3.0, "lr": 5e-3}
        params = of("speech/chang-2024", **{**strong, **changes})
        generator, _ = fitted("edit", DATA, 150, **params)
        draws = [Draw(Condition(DATA.emotions[i]), int(i), {"from": DATA.ids[i]}) for i in rows]
        made = generator.sample(draws, DATA.arrays[rows], device=CPU)
        moved = np.abs(made - DATA.arrays[rows]) / spread
        right = max(float((judge.predict(made) == labels[rows]).mean()) for judge in judges)
        return right, float((moved > 1e-4).mean()), float(moved.max())

    assert all((judge.predict(DATA.arrays[rows]) == labels[rows]).mean() > 0.98 for judge in judges)
    right, cells, farthest = heard()
    assert right < 0.3 and cells < 0.7 and farthest < 1.3 + 1e-3
    assert heard(missed_weight=0.0)[0] > 0.9, "without the first loss nobody is misled"
    assert heard(sparsity_weight=0.0, quality_weight=0.0)[1] > cells, "without the third more cells move"
    _, (attack, victim) = phases("speech/chang-2024", DATA)
    assert {"missed", "magnitude", "sparsity", "quality"} <= set(attack.loss(batch()))
    assert victim.span[1] == attack.span[0], "the recogniser is frozen once the attack begins"
    assert source_class(generator_class("edit"), {"mode": "perturb"}) == "same"


@shows("speech/zhou-2020c")
def test_spectrum_and_wavelets_of_f0_have_a_mapping_each() -> None:
    data = toy_data(SPEECH, n=24)
    model, _ = phases("speech/zhou-2020c", data)
    network: CycleNetwork = model.network
    assert network.scales is not None and network.inner.shape[0] == SPEECH.shape[0] + 10
    for mapping in network.mappings.values():
        assert mapping.spectrum is not mapping.prosody
    plain = phases("speech/zhou-2020c", data, prosody="rows")[0].network
    assert plain.scales is None and plain.inner == data.spec
    x = network.enter(network.normaliser(torch.from_numpy(data.arrays)[:, None]))
    asked, own = {"emotion": torch.eye(3)[[1] * len(x)]}, torch.eye(3)[[0] * len(x)]
    louder = x.clone()
    louder[:, :, 0] += 1.0
    before, after = (network(each, asked, own, 0)[:, :, network.scales.scale_rows] for each in (x, louder))
    assert torch.equal(before, after), "prosody does not depend on the spectrum"
    world = WorldRepresentation().spec
    assert CycleNetwork(world, 2, model.fields, CycleParams(width=8, prosody="cwt"), 1).inner.shape[0] == 42


@shows("speech/su-2021")
def test_the_emotion_is_told_and_the_label_survives_the_cycle() -> None:
    data = pairs(240, corpora=("a", "b"), offset=3.0)
    params = of("speech/su-2021", target_corpus="b", loss="hinge", cycle_weight=2.0)
    generator, _ = fitted("cycle", data, 100, **params)
    rows = np.array([i for i, sample_id in enumerate(data.ids) if sample_id.startswith("a/")])
    for emotion, share in (("neutral", 0.0), ("anger", 1.0)):
        own = np.array([i for i in rows if data.emotions[i] == emotion])
        made = converted(generator, data, own, emotion)
        assert abs(flipped(made) - share) < 0.06, "the label is the source's"
        assert made[:, 3].mean() > 2.0, "and the sample looks like the other corpus"
    together, _ = fitted("cycle", data, 100, **{**params, "corpora": "together", "target_corpus": None})
    assert converted(together, data, rows, "anger")[:, 3].mean() < 2.4


@shows("speech/su-2023")
def test_corpora_are_weighed_by_the_target() -> None:
    data = pairs(240, corpora=("a", "b", "c"), offset=1.5)
    params = of("speech/su-2023", target_corpus="c", loss="hinge", cycle_weight=2.0)
    generator, _ = fitted("cycle", data, 60, **params)
    weights = [generator.network.attention(torch.eye(2), target).numpy() for target in range(3)]
    assert all(np.allclose(each.sum(axis=1), 1.0) for each in weights)
    assert weights[2][0, 1] > weights[2][0, 0] and weights[2][0, 2] == 0.0
    assert not np.allclose(weights[0], weights[2]), "another target, other weights"
    rows = np.array([i for i in neutral_rows(data, 240) if data.ids[i].startswith("a/")])
    made = converted(generator, data, rows, "neutral")
    assert identity_kept(made, data.arrays[rows]) > 0.8 and flipped(made) < 0.1
    plain, _ = fitted("cycle", data, 1, **{**params, "corpora": "condition"})
    assert plain.network.attention is None


@shows("physio/zhang-2022")
def test_what_is_not_hidden_is_untouched_and_the_rate_is_the_label() -> None:
    generator, _ = fitted("edit", DATA, 20, **of("physio/zhang-2022"))
    made, sources = converted(generator, DATA, ROWS, "anger"), DATA.arrays[ROWS]
    assert ((made == sources).sum(axis=1) == 2).all(), "0.7 of 6 columns are hidden, the others the source's"
    edited, _ = fitted("edit", DATA, 20, **of("physio/zhang-2022", mode="edit"))
    assert not (converted(edited, DATA, ROWS, "anger") == sources).any()
    targets = []
    for rate in (0.34, 1.0):
        _, (translator, _) = phases("physio/zhang-2022", DATA, rate=rate, lowest_rate=rate)
        seen: list[torch.Tensor] = []
        cross_entropy = torch.nn.functional.cross_entropy

        def spy(
            logits: torch.Tensor, target: torch.Tensor, seen: list[torch.Tensor] = seen, real: Any = cross_entropy
        ) -> torch.Tensor:
            seen.append(target)
            return real(logits, target)

        torch.nn.functional.cross_entropy = spy
        try:
            translator.loss(batch())
        finally:
            torch.nn.functional.cross_entropy = cross_entropy
        targets.append(float(seen[0].max(dim=1).values.mean()))
    assert abs(targets[0] - 2 / 3) < 0.01 and targets[1] == 1.0, "a third filled in: a third of the label"


@shows("physio/zhang-2024")
def test_edits_differ_and_stay_near_the_boundary() -> None:
    params = of("physio/zhang-2024", boundary_weight=1.0, boundary_margin=1.0)
    names = set(phases("physio/zhang-2024", DATA)[1][0].loss(batch()))
    assert {"boundary", "diversity", "distance"} <= names
    assert "boundary" not in phases("physio/zhang-2024", DATA, boundary_weight=0.0)[1][0].loss(batch())
    margins, apart = [], []
    for weight in (1.0, 0.0):
        generator, _ = fitted("edit", DATA, 100, **{**params, "boundary_weight": weight, "diversity_weight": weight})
        made = converted(generator, DATA, ROWS, "anger")
        apart.append(float(np.abs(made - converted(generator, DATA, ROWS, "anger", seed=5000)).mean()))
        margins.append(_margin(made))
    assert margins[0] < margins[1] and margins[0] < _margin(DATA.arrays[1::2]), "nearer to the boundary than real ones"
    assert apart[0] > 2 * apart[1]


def _margin(arrays: np.ndarray) -> float:
    """Mean lead of anger in the logits of the classifier that knows the classes: of two Gaussians, spread 0.3."""
    means = torch.tensor([[0.0, 0.0], [2.0, -2.0]])
    x = torch.from_numpy(np.asarray(arrays[:, :2], np.float32))
    logits = -((x[:, None] - means[None]) ** 2).sum(dim=2) / (2 * 0.3**2)
    return float(class_margin(logits, torch.eye(2)[[1] * len(x)]).mean())
