"""Every choice makes a game that trains, samples, resumes and honours the class; what makes none is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpora.errors import ParamsError, UserError
from features.representation import Spec
from generators.gan.critics import AutoencoderCritic, Critic, CriticOptions, TwoCritics
from generators.gan.gan import ConditionalGAN
from generators.gan.networks import APART
from generators.gan.start import gaussians
from generators.generator import Condition, Device, Draw
from tests.generators.toy import CLASSES, IMAGES, SIGNALS, SPEECH, VECTOR, toy_data
from training.loop import DivergedError

CPU = Device()
SMALL: dict[str, Any] = {"width": 4, "latent": 6, "batch_size": 12, "code": 5, "lr": 1e-3, "lr_discriminator": 1e-3}
GAMES: dict[str, dict[str, Any]] = {
    "wgan-div": {"loss": "wgan-div"},
    "least squares": {"loss": "least-squares", "discriminator": "ac"},
    "logistic": {"loss": "logistic", "r1": 1.0},
    "consistency": {"loss": "wgan-gp", "dropout": 0.3, "consistency": 2.0, "critic_steps": 2},
    "k+1": {"discriminator": "k+1", "labelled": 0.5, "smoothness": 1.0},
    "autoencoder": {"discriminator": "autoencoder", "balance_rate": 0.1},
    "two": {"discriminator": "two"},
    "one-hot": {"class_input": "one-hot"},
    "mixture": {"class_input": "mixture", "diversity": 0.1, "triplet": 1.0},
    "fitted": {"class_input": "fitted", "discriminator": "k+1", "start": 0.5},
    "codes": {"space": "codes", "discriminator": "ac", "loss": "wgan-div", "boundary": 0.1},
    "ada": {"augment": "ada"},
    "mixup": {"mixup": 0.4},
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fitted(spec: Spec, params: dict[str, Any], steps: int = 4, **options: Any) -> ConditionalGAN:
    gan = ConditionalGAN(spec, CLASSES, **{**SMALL, **params})
    list(gan.fit(toy_data(spec), steps=steps, seed=1, device=CPU, **options))
    return gan


def draws(n: int = 3, emotion: str = "fear") -> list[Draw]:
    return [Draw(Condition(emotion), 100 + i) for i in range(n)]


@pytest.mark.parametrize("spec", [IMAGES, SIGNALS, VECTOR], ids=lambda s: s.layout)
@pytest.mark.parametrize("name", list(GAMES))
def test_each_game_is_played_over_each_layout(name: str, spec: Spec, tmp_path: Path) -> None:
    gan = fitted(spec, GAMES[name])
    drawn = gan.sample(draws(), device=CPU)
    assert drawn.shape == (3, *spec.shape) and np.isfinite(drawn).all()
    np.testing.assert_allclose(gan.sample(draws()[1:2], device=CPU), drawn[1:2], atol=1e-4)
    assert not np.allclose(drawn, gan.sample(draws(emotion="anger"), device=CPU), atol=1e-4), "asked for another class"
    gan.save(tmp_path)
    np.testing.assert_array_equal(ConditionalGAN.load(tmp_path, device=CPU).sample(draws(), device=CPU), drawn)


@pytest.mark.parametrize("name", ["autoencoder", "fitted", "ada", "k+1", "consistency", "codes"])
def test_state_beside_the_weights_survives_an_interruption(name: str, tmp_path: Path) -> None:
    options = {"steps": 8, "seed": 1, "device": CPU, "checkpoints": tmp_path, "checkpoint_every": 2}
    whole = fitted(VECTOR, GAMES[name], steps=8)
    for stop in (2, 4, 6):  # "fitted" goes over to the game after step 4
        for progress in ConditionalGAN(VECTOR, CLASSES, **{**SMALL, **GAMES[name]}).fit(toy_data(VECTOR), **options):
            if progress.step == stop:
                break
    resumed = ConditionalGAN(VECTOR, CLASSES, **{**SMALL, **GAMES[name]})
    list(resumed.fit(toy_data(VECTOR), **options))
    np.testing.assert_array_equal(resumed.sample(draws(), device=CPU), whole.sample(draws(), device=CPU))


def test_recurrent_rows_have_a_time() -> None:
    for spec in (SIGNALS, SPEECH):
        gan = fitted(spec, {"recurrent": True, "loss": "wgan-gp"})
        assert gan.sample(draws(), device=CPU).shape == (3, *spec.shape)
    kinds = {type(m).__name__ for m in gan._fitted().modules()}
    assert "LSTM" in kinds and "Conv2d" not in kinds
    with pytest.raises(ParamsError, match="only rows have a time"):
        fitted(IMAGES, {"recurrent": True})


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"discriminator": "k+1", "loss": "hinge"}, "brings its own loss; leave loss out"),
        ({"penalty": 5.0}, "belongs to the losses wgan-gp and wgan-div"),
        ({"consistency": 1.0}, "set dropout above 0"),
        ({"discriminator": "two", "r1": 1.0}, "want a critic of one score"),
        ({"discriminator": "autoencoder", "triplet": 1.0}, "want a critic of one score"),
        ({"boundary": 1.0}, "set discriminator to ac or k\\+1"),
        ({"smoothness": 1.0}, "set discriminator to ac or k\\+1"),
        ({"labelled": 0.5}, "set discriminator to k\\+1"),
        ({"class_input": "fitted", "discriminator": "two"}, "starts the critic as an encoder"),
        ({"class_input": "fitted", "space": "codes"}, "space to samples"),
        ({"augment": "ada", "loss": "wgan-gp"}, "needs scores with a zero"),
        ({"augment": "adda"}, "augment"),
        ({"discriminator": "k+1", "honours": ["arousal"]}, "cannot see whether honours are kept"),
        ({"space": "codes", "recurrent": True}, "leave recurrent out"),
    ],
)
def test_what_makes_no_game_is_refused(params: dict[str, Any], says: str) -> None:
    with pytest.raises(ParamsError, match=says):
        ConditionalGAN(VECTOR, CLASSES, **params)


def test_what_the_train_data_cannot_play_is_refused() -> None:
    with pytest.raises(ParamsError, match="lengths of their own"):
        fitted(SPEECH, {"mixup": 0.4})
    with pytest.raises(ParamsError, match="fewer than the 3 classes"):
        fitted(VECTOR, {"class_input": "mixture", "latent": 2})


def with_rules(gan: ConditionalGAN, change: Callable[[Any], None]) -> ConditionalGAN:
    """The same, with something done to its rules before the fit."""
    build = gan._rules

    def changed(network: Any, critic: Any, device: Device) -> Any:
        rules = build(network, critic, device)
        change(rules)
        return rules

    gan._rules = changed  # type: ignore[method-assign]
    return gan


def test_divergence_says_what_steadies_the_game(tmp_path: Path) -> None:
    def explode(rules: Any) -> None:
        kept = rules.generator

        def generator(real: Any, fake: Any, batch: Any) -> Any:
            said = kept(real, fake, batch)
            return {"loss": said["loss"] * (float("nan") if batch.step == 5 else 1.0)}

        rules.generator = generator

    gan = with_rules(ConditionalGAN(VECTOR, CLASSES, **{**SMALL, "loss": "wgan-gp"}), explode)
    options = {"steps": 9, "seed": 1, "device": CPU, "checkpoints": tmp_path, "checkpoint_every": 2}
    with pytest.raises(DivergedError, match=r"is nan at step 5; .*critic_steps to 5.*last good state.*2 divides"):
        list(gan.fit(toy_data(VECTOR), **options))
    resumed = ConditionalGAN(VECTOR, CLASSES, **{**SMALL, "loss": "wgan-gp"})
    assert [r.step for r in resumed.fit(toy_data(VECTOR), **options)][-1] == 9, "from step 4 on, with what it was"


def test_the_latent_of_a_mixture_is_its_class_and_a_soft_label_lies_between() -> None:
    network = fitted(VECTOR, {"class_input": "mixture"})._fitted()
    weights = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    z = network.latents(torch.zeros(3, 6), {"emotion": weights})  # type: ignore[operator]
    torch.testing.assert_close(z[:2, :3], APART * weights[:2])
    torch.testing.assert_close(z[2], (z[0] + z[1]) / 2)
    asked = {"emotion": weights}
    same = network.decode(z[:1].expand(3, -1), asked)  # type: ignore[operator]
    torch.testing.assert_close(same[0], same[1])  # the class enters through the latent and nowhere else


def test_gaussians_of_codes_have_each_class_mean_and_covariance() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(4001) % 2
    labels[4000] = 2
    wide = np.array([[2.0, 0.0], [1.0, 0.5]])
    codes = np.where(labels[:, None] == 0, rng.normal(size=(4001, 2)) @ wide.T + 3.0, rng.normal(size=(4001, 2)))
    means, factors = gaussians(codes, labels, 3)
    np.testing.assert_allclose(means[:2], [[3.0, 3.0], [0.0, 0.0]], atol=0.1)
    np.testing.assert_allclose(factors[0] @ factors[0].T, wide @ wide.T, atol=0.2)
    np.testing.assert_allclose(factors[1] @ factors[1].T, np.eye(2), atol=0.1)
    assert np.isfinite(factors[2]).all() and factors[2][0, 0] > 0.5, "one sample is enough for a class"


@pytest.mark.slow
def test_bagan_starts_as_an_autoencoder_and_then_plays() -> None:
    data = toy_data(VECTOR)
    gan = ConditionalGAN(VECTOR, CLASSES, **{**SMALL, "class_input": "fitted", "start": 0.75, "augment": False})
    reports = list(gan.fit(data, steps=200, seed=1, device=CPU))
    rebuilt = [r.losses["generator_rebuilt"] for r in reports if "generator_rebuilt" in r.losses]
    assert len(rebuilt) == 75 and rebuilt[-1] < 0.35 * rebuilt[0], "generator and critic learn to rebuild"
    assert all("critic_gap" in r.losses for r in reports[75:]), "and then they play"
    means = gan._fitted().state_dict()["class_mean"]
    spread = torch.cdist(means, means)
    assert float(spread[~torch.eye(3, dtype=torch.bool)].min()) > 0.1, "each class has codes of its own"


def test_the_latents_are_fitted_once() -> None:
    gan = ConditionalGAN(VECTOR, CLASSES, **{**SMALL, **GAMES["fitted"]})
    means = []
    for _ in gan.fit(toy_data(VECTOR), steps=10, seed=1, device=CPU):
        means.append(gan._fitted().state_dict()["class_mean"].clone())
    assert not any(m.any() for m in means[:5]), "while the autoencoder is trained there is nothing to fit to"
    assert means[5].any() and all(torch.equal(m, means[5]) for m in means[5:])


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("boundary", {"discriminator": "ac"}),
        ("diversity", {}),
        ("triplet", {}),
        ("mixup", {}),
        ("r1", {}),
        ("dropout", {}),
        ("ac_weight", {"discriminator": "ac"}),
        ("smoothness", {"discriminator": "k+1"}),
        ("penalty", {"loss": "wgan-div"}),
        ("consistency", {"dropout": 0.2}),
    ],
)
def test_each_weight_moves_the_weights_of_the_network(name: str, params: dict[str, Any]) -> None:
    """From the same start, with the same random numbers: a weight of 0 and one above lead elsewhere."""

    def after(value: float) -> torch.Tensor:
        network = fitted(VECTOR, {"spectral": True, **params, name: value}, steps=3)._fitted()
        return torch.cat([p.flatten() for p in network.parameters()])

    assert not torch.equal(after(0.0), after(0.7))


def test_both_spaces_of_codes_are_there() -> None:
    gan = fitted(VECTOR, {"space": "codes", "discriminator": "ac", "loss": "wgan-div"})
    codes, arrays = gan.codes(draws(), device=CPU), toy_data(VECTOR).arrays[:4]
    assert codes.shape == (3, 5) and gan.encode(arrays, device=CPU).shape == (4, 5)
    network = gan._fitted()
    with torch.inference_mode():
        decoded = network.normaliser.inverse(network.rebuild(torch.from_numpy(codes)[:, None, :, None]))  # type: ignore[operator]
    np.testing.assert_allclose(decoded.reshape(3, -1).numpy(), gan.sample(draws(), device=CPU), atol=1e-5)
    with pytest.raises(UserError, match="space: codes"):
        fitted(VECTOR, {}).codes(draws(), device=CPU)


def test_the_balance_moves_and_stays_within_bounds() -> None:
    gan = ConditionalGAN(VECTOR, CLASSES, **{**SMALL, "discriminator": "autoencoder", "balance_rate": 0.5})
    balances = [r.losses["critic_balance"] for r in gan.fit(toy_data(VECTOR), steps=60, seed=1, device=CPU)]
    assert min(balances) >= 0.0 and max(balances) <= 1.0 and max(balances) - min(balances) > 0.05


def test_labels_are_hidden_by_class_and_one_is_always_left() -> None:
    seen: list[torch.Tensor] = []

    def look(rules: Any) -> None:
        kept = rules.critic

        def critic(real: Any, fake: Any, batch: Any) -> Any:
            seen.append(real.labelled)
            return kept(real, fake, batch)

        rules.critic = critic

    gan = with_rules(
        ConditionalGAN(VECTOR, CLASSES, **{**SMALL, "discriminator": "k+1", "labelled": 0.01, "critic_steps": 1}), look
    )
    list(gan.fit(toy_data(VECTOR), steps=16, seed=1, device=CPU))
    assert 0 < int(torch.cat(seen).sum()) < 24, "three rows of 48, each seen about four times"


@pytest.mark.parametrize("spec", [IMAGES, SIGNALS, VECTOR], ids=lambda s: s.layout)
def test_critics_of_other_families_can_be_built(spec: Spec) -> None:
    from generators.condition import ConditionFields

    x, asked = torch.randn(5, *spec.grid), {"emotion": torch.eye(3)[torch.arange(5) % 3]}
    for kind, answers in (("projection", 0), ("ac", 3), ("k+1", 4), ("plain", 0)):
        options = CriticOptions(kind, width=4, code=7, embeds=True)  # type: ignore[arg-type]
        critic = Critic(spec, 3, ConditionFields(), options).eval()  # spectral norm moves in training
        said = critic(x, asked)
        assert said.score.shape == (5,) and (said.logits is None) == (answers == 0)
        assert said.logits is None or said.logits.shape == (5, answers)
        assert critic.encode(x).shape == (5, 7)
        torch.testing.assert_close(critic.embed(said.features).norm(dim=1), torch.ones(5))
    two = TwoCritics(spec, 3, ConditionFields(), CriticOptions(width=4))(x, asked)
    assert two.first.shape == two.second.shape == (5,) and not torch.allclose(two.first, two.second)
    autoencoder = AutoencoderCritic(spec, 3, ConditionFields(), CriticOptions(width=4, code=4)).eval()
    expected = (x - autoencoder.rebuild(x, asked)).abs().flatten(1).mean(dim=1)
    torch.testing.assert_close(autoencoder(x, asked), expected)
    assert "balance" in autoencoder.state_dict()


def test_intensity_reaches_an_auxiliary_critic() -> None:
    data = toy_data(VECTOR)
    gan = ConditionalGAN(VECTOR, CLASSES, **{**SMALL, "discriminator": "ac", "honours": ["intensity"]})
    list(gan.fit(data, steps=4, seed=1, device=CPU))
    critic = gan._critic(gan._fitted())  # type: ignore[arg-type]
    assert isinstance(critic, Critic) and critic.condition is not None
    x, emotion = torch.randn(2, *VECTOR.grid)[:1].expand(2, -1, -1, -1), torch.eye(3)[[0, 1]]
    rated = torch.tensor([[0.5, 1.0], [0.5, 1.0]])
    same = critic(x, {"emotion": emotion, "intensity": rated}).score
    torch.testing.assert_close(same[0], same[1])  # the emotion is its answer, not its question
    rated[1, 0] = 0.9
    other = critic(x, {"emotion": emotion, "intensity": rated}).score
    assert not torch.allclose(other[0], other[1])
