"""Presets of the GAN family: each mechanism is there, and taking it out changes what it should change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from features.representation import Spec
from generators.condition import Conditions, without_emotion
from generators.draws.targets import cells
from generators.gan import losses
from generators.gan.gan import ConditionalGAN
from generators.gan.networks import GanNetwork
from generators.gan.rules import Rules, Seen
from generators.generator import Condition, Device, Draw, Progress
from generators.preset import load_preset
from tests.generators.presets.mechanisms import shows
from tests.generators.toy import CLASSES, IMAGES, SIGNALS, VECTOR, class_means, nearest, toy_data, units_of
from training.loop import Minibatch
from training.seeds import generator

CPU = Device()
SMALL: dict[str, Any] = {"width": 4, "batch_size": 16}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def of_preset(name: str, spec: Spec = VECTOR, **changes: Any) -> ConditionalGAN:
    """The preset's generator with networks of toy size; a change of None takes a parameter back to its default."""
    params = {**load_preset(name).params, **SMALL, **changes}
    return ConditionalGAN(spec, CLASSES, **{k: v for k, v in params.items() if v is not None})


def fit(gan: ConditionalGAN, steps: int) -> list[Progress]:
    return list(gan.fit(toy_data(gan.spec), steps=steps, seed=1, device=CPU))


@dataclass
class Table:
    """A game that has not begun: who plays, and a batch of each side."""

    network: GanNetwork
    critic: Any
    rules: Rules
    real: Seen
    fake: Seen

    def score(self, x: torch.Tensor) -> torch.Tensor:
        said: torch.Tensor = self.critic(x, self.real.conditions).score
        return said

    def critic_loss(self) -> float:
        torch.manual_seed(0)  # dropout
        return self.rules.critic(self.real, self.fake, batch())["loss"].item()


def batch() -> Minibatch:
    return Minibatch(np.arange(12), 0, 0.0, generator(5), torch.device("cpu"))


def conditions(n: int = 12, shift: int = 0) -> Conditions:
    return {"emotion": torch.eye(len(CLASSES))[(torch.arange(n) + shift) % len(CLASSES)]}


def table(name: str, spec: Spec = VECTOR, **changes: Any) -> Table:
    torch.manual_seed(0)
    gan = of_preset(name, spec, **changes)
    network = gan._build()
    critic = gan._critic(network)
    rules = gan._rules(network, critic, CPU)
    labelled, shape = torch.ones(12, dtype=torch.bool), (12, *network.judged.grid)
    real = Seen(torch.randn(shape, generator=generator(1)), conditions(), labelled)
    return Table(network, critic, rules, real, Seen(torch.randn(shape, generator=generator(2)), conditions(), labelled))


def filled(name: str) -> set[int]:
    """How many samples each class has once what the preset asks for is drawn."""
    counts = {"neutral": 40, "anger": 11, "fear": 3}
    target = load_preset(name).target
    lacking = {cell.emotion: cell.lacking for cell in cells(CLASSES, counts, {}, **target)} if target else {}
    return {count + lacking.get(emotion, 0) for emotion, count in counts.items()}


def right(gan: ConditionalGAN) -> float:
    """Share of samples that are nearest to the mean of the class that was asked for."""
    data = toy_data(gan.spec)
    drawn = gan.sample([Draw(Condition(CLASSES[i % 3]), 1000 + i) for i in range(60)], device=CPU)
    unit = units_of(data)
    means = class_means(replace(data, arrays=data.arrays / unit))
    return float((nearest(drawn / unit, means) == np.arange(60) % 3).mean())


@shows("speech/chatziagapi-2019")
def test_bagan_starts_as_an_autoencoder_fills_to_balance_and_answers_k_plus_one() -> None:
    name = "speech/chatziagapi-2019"
    assert filled(name) == {40}, "class counts are equal after filling"
    gan = of_preset(name, latent=6, start=0.9, lr=2e-3, lr_discriminator=2e-3)
    losses_of = [r.losses for r in fit(gan, 60)]
    rebuilt = [said["generator_rebuilt"] for said in losses_of if "generator_rebuilt" in said]
    assert rebuilt[-1] < 0.6 * rebuilt[0], "generator and critic are halves of one autoencoder"
    means = gan._fitted().state_dict()["class_mean"]
    assert float(torch.pdist(means).min()) > 0.05, "each class has codes of its own"
    without = of_preset(name, latent=6, class_input="embedding", start=None)
    assert not any("generator_rebuilt" in r.losses for r in fit(without, 3))
    assert table(name, latent=6).critic(torch.zeros(2, *VECTOR.grid), conditions(2)).logits.shape == (2, 4)


@shows("speech/wang-2022")
def test_triplets_keep_classes_apart() -> None:
    game = table("speech/wang-2022")
    labels = game.real.conditions["emotion"].argmax(dim=1)
    same = labels[:, None] == labels[None, :]

    def ratio(x: torch.Tensor) -> float:
        with torch.no_grad():
            real = game.critic.embed(game.critic(game.real.x, game.real.conditions).features)
            drawn = game.critic.embed(game.critic(x, game.fake.conditions).features)
        distances = torch.cdist(drawn, real)
        return (distances[~same].mean() / distances[same].mean()).item()

    game.critic.eval()  # spectral norm moves in training
    game.real.x[:, 0, :3, 0] += 3.0 * game.real.conditions["emotion"]
    x = game.fake.x.clone()
    before = ratio(x)
    for _ in range(30):
        x.requires_grad_(True)
        said = game.rules.generator(game.real, Seen(x, game.fake.conditions, game.fake.labelled), batch())
        bare = said["loss"] - load_preset("speech/wang-2022").params["triplet"] * said["triplet"]
        (slope,) = torch.autograd.grad(said["loss"] - bare, x)
        x = (x - 20.0 * slope).detach()
    assert ratio(x) > 1.1 * before, "distances between classes against those within them, where the term pulls"
    game, without = table("speech/wang-2022"), table("speech/wang-2022", triplet=0.0)
    for side in (game, without):  # of the same weights, but for what the term has of its own
        side.critic.eval()
    said, plain = (t.rules.generator(t.real, t.fake, batch()) for t in (game, without))
    weight = load_preset("speech/wang-2022").params["triplet"]
    assert "triplet" not in plain and said["triplet"].item() > 0.0
    torch.testing.assert_close(said["loss"], plain["loss"] + weight * said["triplet"])
    assert fit(of_preset("speech/wang-2022"), 3)[-1].losses["generator_triplet"] > 0.0


@pytest.mark.slow
@shows("speech/yi-mak-2020")
def test_adan_plays_over_codes_and_exports_both_spaces() -> None:
    name = "speech/yi-mak-2020"
    gan = of_preset(name, code=5)
    said = fit(gan, 100)[-1].losses
    assert said["generator_rebuilt"] < 0.6 and said["generator_codes_tell"] < 1.0
    draws = [Draw(Condition(CLASSES[i % 3]), i) for i in range(6)]
    codes = gan.codes(draws, device=CPU)
    network = gan._fitted()
    assert isinstance(network, GanNetwork)
    with torch.inference_mode():
        decoded = network.normaliser.inverse(network.rebuild(torch.from_numpy(codes)[:, None, :, None]))
    np.testing.assert_allclose(decoded.reshape(6, -1).numpy(), gan.sample(draws, device=CPU), atol=1e-5)
    assert table(name, code=5).real.x.shape[2] == 5, "the critic sees codes"
    assert table(name, code=5, space=None).real.x.shape[2] == 10
    assert table(name, code=5).critic_loss() > table(name, code=5, penalty=0.0, spectral=False).critic_loss()


@shows("speech/latif-2020")
def test_mixup_inside_the_game_and_alpha_nought_is_the_plain_one() -> None:
    name = "speech/latif-2020"

    def weights(alpha: float | None) -> torch.Tensor:
        gan = of_preset(name, mixup=alpha)
        fit(gan, 4)
        return torch.cat([p.flatten() for p in gan._fitted().parameters()])

    plain = weights(None)
    assert torch.equal(weights(0.0), plain), "exactly"
    assert not torch.equal(weights(load_preset(name).params["mixup"]), plain)


@pytest.mark.slow
@shows("speech/sahu-2018a")
def test_codes_have_a_prior_of_one_mode_a_class() -> None:
    name = "speech/sahu-2018a"
    game = table(name, code=4)
    assert game.real.x.shape[2] == 4 and table(name, space=None).real.x.shape[2] == 10
    z = game.network.latents(torch.zeros(3, 16), conditions(3))
    assert float(torch.pdist(z).min()) > 3.0, "modes apart"
    plain = table(name, class_input="embedding").network
    assert float(torch.pdist(plain.latents(torch.zeros(3, 16), conditions(3))).max()) == 0.0
    gan = of_preset(name, code=4)
    fit(gan, 150)
    assert right(gan) > 0.7


@pytest.mark.slow
@shows("speech/sahu-2018b")
def test_changing_the_label_moves_the_sample_to_that_class() -> None:
    gan = of_preset("speech/sahu-2018b", latent=8)
    fit(gan, 150)
    assert right(gan) > 0.8
    network = gan._fitted()
    kept = network.forward
    network.forward = lambda noise, asked: kept(noise, without_emotion(asked))
    assert right(gan) < 0.5, "not without its label"


@shows("speech/sahu-2022a", "speech/sahu-2022b")
def test_the_two_ways_of_the_class_are_a_switch() -> None:
    mixture, onehot = table("speech/sahu-2022a").network, table("speech/sahu-2022b").network
    noise = torch.randn(1, 64, generator=generator(3)).expand(2, -1)
    z = mixture.latents(noise, conditions(2))
    assert not torch.allclose(z[0], z[1]) and torch.equal(onehot.latents(noise, conditions(2)), noise)
    alike, apart = mixture.decode(noise, conditions(2)), onehot.decode(noise, conditions(2))
    torch.testing.assert_close(alike[0], alike[1])  # the latent alone tells the class
    assert not torch.allclose(apart[0], apart[1]), "the one-hot vector tells it"
    a, b = (dict(load_preset(f"speech/sahu-2022{x}").params) for x in "ab")
    assert a.pop("class_input") == "mixture" and b.pop("class_input") == "one-hot" and a == b, "nothing else differs"


@shows("speech/zhao-2020")
def test_unlabelled_samples_and_smoothness_teach_the_critic() -> None:
    name = "speech/zhao-2020"
    game = table(name)
    game.real = Seen(game.real.x, game.real.conditions, torch.zeros(12, dtype=torch.bool))
    told = game.critic_loss()
    game.real = Seen(game.real.x, conditions(shift=1), game.real.labelled)
    assert game.critic_loss() == pytest.approx(told), "their labels are not looked at"
    bare = table(name, smoothness=0.0)
    bare.real = game.real
    logits = bare.critic(bare.real.x, bare.real.conditions).logits
    fake = bare.critic(bare.fake.x, bare.fake.conditions).logits
    by_hand = losses.kplus1_unlabelled(logits) + losses.kplus1_fake(fake)
    without = table(name, smoothness=0.0, r1=0.0, spectral=False)
    without.critic.load_state_dict(bare.critic.state_dict())
    without.real = bare.real
    assert without.critic_loss() == pytest.approx(by_hand.item(), rel=1e-4)
    assert told > bare.critic_loss(), "the virtual adversarial term"
    seen = fit(of_preset(name, labelled=0.1), 20)[-1].losses
    assert np.isfinite(list(seen.values())).all()


@shows("faces/chen-2019")
def test_a_softmax_with_generated_as_an_answer() -> None:
    game = table("faces/chen-2019", IMAGES)
    said = game.critic(game.real.x, game.real.conditions)
    assert said.logits.shape == (12, 4), "three classes, and generated"
    sigmoid = table("faces/chen-2019", IMAGES, discriminator="ac", labelled=1.0)
    assert sigmoid.critic(game.real.x, game.real.conditions).logits.shape == (12, 3)
    asked = game.rules.generator(game.real, game.fake, batch())["loss"].item()
    other = Seen(game.fake.x, conditions(shift=1), game.fake.labelled)
    assert game.rules.generator(game.real, other, batch())["loss"].item() != pytest.approx(asked)


@shows("speech/liang-2019")
def test_two_dropouts_have_to_agree() -> None:
    name = "speech/liang-2019"
    whole, without = table(name).critic_loss(), table(name, consistency=0.0).critic_loss()
    assert whole > without + 1e-3
    game = table(name)
    game.critic.eval()  # no dropout: nothing to disagree about
    bare = table(name, consistency=0.0)
    bare.critic.eval()
    assert game.critic_loss() == pytest.approx(bare.critic_loss(), rel=1e-5)


@shows("physio/luo-2018", "physio/luo-2020", "physio/kalashami-2022", "physio/bhat-2021")
def test_wasserstein_with_gradient_penalty_and_the_label_on_both_sides() -> None:
    for name in ("physio/luo-2018", "physio/luo-2020", "physio/kalashami-2022", "physio/bhat-2021"):
        game = table(name)
        real = game.critic(game.real.x, game.real.conditions).score
        fake = game.critic(game.fake.x, game.fake.conditions).score
        penalty = losses.gradient_penalty(game.score, game.real.x, game.fake.x, batch().rand(12))
        bare = (fake.mean() - real.mean()).item()
        assert table(name, penalty=0.0, spectral=False).critic_loss() == pytest.approx(bare, abs=1e-4)
        assert game.critic_loss() == pytest.approx(bare + 10.0 * penalty.item(), rel=1e-4)
        other = game.critic(game.real.x, conditions(shift=1)).score
        assert not torch.allclose(real, other), "the critic knows the label"
        noise = torch.randn(12, *game.network.latent_shape)
        drawn = game.network(noise, conditions()), game.network(noise, conditions(shift=1))
        assert not torch.allclose(*drawn), "the generator is asked for it"


@pytest.mark.slow
@shows("physio/pan-2021")
def test_scarce_classes_are_filled_from_band_powers() -> None:
    preset = load_preset("physio/pan-2021")
    assert preset.representation == "band_power" and filled("physio/pan-2021") == {40}
    gan = of_preset("physio/pan-2021", latent=8)
    fit(gan, 150)
    assert right(gan) > 0.8


@shows("physio/luo-2019")
def test_the_balance_stays_within_bounds_and_its_measure_falls() -> None:
    name = "physio/luo-2019"
    said = [r.losses for r in fit(of_preset(name, latent=8, code=4, lr=2e-3, lr_discriminator=2e-3), 120)]
    balance = [s["critic_balance"] for s in said]
    assert min(balance) >= 0.0 and max(balance) <= 1.0 and max(balance) > 0.0
    measure = [s["critic_measure"] for s in said]
    assert np.mean(measure[-10:]) < 0.8 * np.mean(measure[:10])
    game = table(name, balance_rate=1.0, balance=1.0)
    losing = game.critic_loss()
    game.critic.balance.fill_(0.5)
    assert game.critic_loss() < losing, "with k_t the critic gains by rebuilding generated ones badly"
    assert type(game.critic).__name__ == "AutoencoderCritic"


@shows("physio/haradal-2018")
def test_generator_and_critic_are_recurrent() -> None:
    def before_the_change(**changes: Any) -> torch.Tensor:
        network = table("physio/haradal-2018", SIGNALS, **changes).network
        noise = torch.randn(1, *network.latent_shape, generator=generator(4))
        changed = noise.clone()
        changed[:, -5:] += 1.0
        moved = (network(noise, conditions(1)) - network(changed, conditions(1))).abs()[0, 0].amax(dim=0)
        assert moved[-1].item() > 1e-5
        return moved[:-5]

    assert before_the_change().max().item() == 0.0, "a column hangs on the noise up to its time"
    assert before_the_change(recurrent=None).max().item() > 1e-5
    kinds = {type(m).__name__ for m in table("physio/haradal-2018", SIGNALS).critic.modules()}
    assert "LSTM" in kinds and "Conv2d" not in kinds
