"""Presets of the autoencoders: each mechanism is there, and taking it out changes what it should change."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpora.errors import ParamsError, UserError
from features.representation import Spec
from generators.autoencoders.aae import even_loss
from generators.autoencoders.corruption import corrupt
from generators.autoencoders.heads import orthogonality
from generators.autoencoders.objective import annealed
from generators.autoencoders.variational import _generator_side
from generators.condition import train_conditions
from generators.draws.targets import cells
from generators.gan.critics import TwoCritics
from generators.gan.losses import TwoScores
from generators.generator import Condition, Device, Draw, TrainData, generator_class, source_class
from generators.preset import load_preset
from generators.trained import TrainSet
from tests.generators.presets.mechanisms import shows
from tests.generators.toy import CLASSES, IMAGES, SIGNALS, VECTOR, toy_data
from training.loop import Minibatch, Phase
from training.seeds import generator

CPU = Device()
SMALL: dict[str, Any] = {"width": 4, "batch_size": 16, "lr": 5e-3}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def of_preset(name: str, spec: Spec = VECTOR, **changes: Any) -> Any:
    """The preset's generator with networks of toy size."""
    preset = load_preset(name)
    latent = {"latent": min(int(preset.params.get("latent", 4)), 6)}
    return generator_class(preset.generator)(spec, CLASSES, **{**preset.params, **SMALL, **latent, **changes})


def fitted(model: Any, steps: int, data: TrainData | None = None) -> Any:
    for _ in model.fit(data or toy_data(model.spec), steps=steps, seed=1, device=CPU):
        pass
    return model


@dataclass
class Start:
    """A fit that has not begun: its phases, and the same batch for whoever asks."""

    model: Any
    network: Any
    train: TrainSet
    phases: Mapping[str, Phase]

    def losses(self, phase: str = "vae", progress: float = 0.9) -> Mapping[str, torch.Tensor]:
        return self.phases[phase].loss(batch(progress))

    def loss(self, progress: float = 0.9) -> float:
        return self.losses(progress=progress)["loss"].item()


def batch(progress: float = 0.9, seed: int = 5) -> Minibatch:
    return Minibatch(np.arange(24), 0, progress, generator(seed), torch.device("cpu"))


def start(name: str, spec: Spec = VECTOR, **changes: Any) -> Start:
    """The same weights whatever the changes are, where these change no layer."""
    model, data = of_preset(name, spec, **changes), toy_data(spec)
    if "subject" in model.params.honours:
        model.fields = replace(model.fields, subjects=tuple(sorted({s for s in data.subjects if s})))
    torch.manual_seed(0)
    network = model._build()
    network.normaliser.fit(data.arrays, np.arange(len(data.arrays)))
    x = network.normaliser(torch.from_numpy(data.arrays.reshape(-1, *spec.grid)))
    train = TrainSet(x, train_conditions(data, model.fields), np.arange(len(x)))
    return Start(model, network, train, {p.name: p for p in model._phases(network, train, CPU, 7)})


def codes(model: Any) -> tuple[np.ndarray, TrainData]:
    """[n, latent] of the toy corpus."""
    data, network = toy_data(model.spec), model.network
    x = network.normaliser(torch.from_numpy(data.arrays.reshape(-1, *model.spec.grid)))
    with torch.inference_mode():
        code, _ = network.encode(x, network.read_under(train_conditions(data, model.fields)))
    return code.numpy(), data


def of_two_corpora() -> TrainData:
    """The toy vectors; every other one is of corpus b, whose column 6 lies 3 higher."""
    data = toy_data(VECTOR, n=120)
    b = np.arange(120) % 2 == 1
    arrays = data.arrays.copy()
    arrays[b, 6] += 3.0
    return replace(data, arrays=arrays, ids=tuple(f"{'ab'[int(x)]}/{i}" for i, x in enumerate(b)))


TARGET: dict[str, Any] = {"lr_critic": 5e-3, "unlabelled_corpus": "b"}


@shows("speech/latif-2022")
def test_a_second_discriminator_asks_for_the_corpus_and_labels_of_the_target_teach_nothing() -> None:
    name, data = "speech/latif-2022", of_two_corpora()
    said = [dict(p.losses) for p in of_preset(name, **TARGET).fit(data, steps=10, seed=1, device=CPU)]
    assert {"vae_hidden", "vae_fooled", "critic_loss", "corpus_loss"} <= set(said[1]), "an encoder against two"
    assert "vae_emotion_head" not in said[1] and "vae_emotion_head" in said[-1], "synthesis is the pretext"
    plain = of_preset(name, corpora="together", pretext=0.0)
    without = [dict(p.losses) for p in plain.fit(data, steps=2, seed=1, device=CPU)]
    assert not {"vae_hidden", "corpus_loss"} & set(without[0]) and "vae_emotion_head" in without[0]
    assert even_loss(torch.zeros(4, 3)).item() == pytest.approx(0.0, abs=1e-6)
    assert even_loss(torch.tensor([[4.0, 0.0]])).item() > 0.5
    # the labels of b, turned round, change not a bit; those of a do
    samples = []
    draws = [Draw(Condition(CLASSES[k % 3]), k) for k in range(6)]
    for corpus in ("none", "b", "a"):
        turned = tuple(
            CLASSES[2 - CLASSES.index(e)] if i[0] == corpus else e for e, i in zip(data.emotions, data.ids, strict=True)
        )
        model = fitted(of_preset(name, **TARGET), 5, replace(data, emotions=turned))
        samples.append(model.sample(draws, device=CPU))
    np.testing.assert_array_equal(samples[0], samples[1])
    assert not np.array_equal(samples[0], samples[2])
    changes: dict[str, Any]
    for changes, says in (({"unlabelled_corpus": "c"}, "none of train's: a, b"), ({}, "'toy' alone")):
        with pytest.raises(UserError, match=says):
            fitted(of_preset(name, **changes), 1, data if changes else toy_data(VECTOR))
    with pytest.raises(ParamsError, match="class_balance"):
        of_preset(name, **TARGET, class_balance=0.5)


@pytest.mark.slow
def test_codes_do_not_tell_the_corpus_and_samples_are_as_of_the_target(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    name, data = "speech/latif-2022", of_two_corpora()
    corpus = np.array([i[0] == "b" for i in data.ids])

    def told(model: Any) -> float:
        """How often a classifier of codes, cross-validated, says the right corpus."""
        x = model.network.normaliser(torch.from_numpy(data.arrays.reshape(-1, *VECTOR.grid)))
        with torch.inference_mode():
            z = model.network.encode(x, model.network.read_under(train_conditions(data, model.fields)))[0].numpy()
        return float(cross_val_score(LogisticRegression(max_iter=1000), z, corpus, cv=5).mean())

    model = fitted(of_preset(name, **TARGET), 200, data)
    assert told(model) < 0.65, "near chance"
    assert told(fitted(of_preset(name, **TARGET, hiding=0.0), 200, data)) > 0.9
    draws = [Draw(Condition(CLASSES[k % 3]), k) for k in range(60)]
    made = model.sample(draws, device=CPU)
    assert abs(made[:, 6].mean() - 3.0) < 0.5, "though codes do not say so"
    asked = np.array([k % 3 for k in range(60)])
    assert ((made[:, :3] / np.array([100.0, 1.0, 1.0])).argmax(axis=1) == asked).mean() > 0.9, "though b has no labels"
    model.save(tmp_path)
    np.testing.assert_array_equal(type(model).load(tmp_path, device=CPU).sample(draws, device=CPU), made)


def adds(name: str, term: str, weight: float, **without: Any) -> None:
    """The loss holds `weight` times the term; without it the loss is lower by just that, and the term is gone."""
    whole, less = start(name), start(name, **without)
    said = whole.losses()
    with torch.no_grad():  # layers that only the one has do not reach the others
        own = less.network.state_dict()
        less.network.load_state_dict({k: v for k, v in whole.network.state_dict().items() if k in own})
    assert said["loss"].item() - less.loss() == pytest.approx(weight * said[term].item(), abs=2e-5)
    assert said[term].item() > 0 and term not in less.losses()


@pytest.mark.slow
@shows("speech/sahu-2018c")
def test_a_discriminator_holds_codes_to_the_prior_of_their_class() -> None:
    name, far = "speech/sahu-2018c", {}
    for adversarial in (0.0, 0.3):
        model = fitted(of_preset(name, adversarial=adversarial, codes="fitted", lr_critic=5e-3), 150)
        far[adversarial] = float((model.network.density.mean[:, 0] - model._means()).norm(dim=1).mean())
        if adversarial:
            code, data = codes(model)
            away = np.linalg.norm(code[:, None] - model._means().numpy()[None], axis=2)
            labels = np.array([CLASSES.index(e) for e in data.emotions])
            assert (away.argmin(axis=1) == labels).mean() > 0.9, "codes keep the classes apart"
    assert far[0.3] < 0.6 * far[0.0], far
    assert load_preset(name).params["codes"] == "prior"
    mean = fitted(of_preset(name), 1).network.density.mean[:, 0]
    assert torch.equal(mean, of_preset(name)._means()), "the prior is what samples are drawn from"


@shows("speech/ying-2021")
def test_the_input_is_corrupted_and_a_discriminator_works_on_the_code() -> None:
    name = "speech/ying-2021"
    whole = start(name)
    seen, _ = corrupt(whole.train.x[:24], batch(), whole.model.params, VECTOR)
    noise = seen - whole.train.x[:24]
    assert abs(float(noise.std()) - load_preset(name).params["noise"]) < 0.05
    clean = start(name, noise=0.0)
    assert whole.loss() != pytest.approx(clean.loss(), abs=1e-5)
    assert torch.equal(corrupt(clean.train.x[:24], batch(), clean.model.params, VECTOR)[0], clean.train.x[:24])
    said, without = whole.losses(), start(name, adversarial=0.0)
    weight = whole.model.params.adversarial
    assert said["loss"].item() - without.loss() == pytest.approx(weight * said["fooled"].item(), abs=1e-5)
    before = whole.losses("critic")["loss"].item()
    assert before > 0 and whole.phases["critic"].module.features.mlp.into.in_features == 6, "it judges codes"


@shows("speech/latif-2020b")
def test_heads_on_the_code_answer_emotion_and_speaker_beside_the_prior() -> None:
    name = "speech/latif-2020b"
    adds(name, "subject_head", load_preset(name).params["subject_head"], subject_head=0.0)
    adds(name, "emotion_head", load_preset(name).params["emotion_head"], emotion_head=0.0)
    said = start(name).losses()
    assert {"fooled", "emotion_head", "subject_head"} <= set(said) and "critic" in start(name).phases


@shows("speech/das-2022")
def test_beta_rises_from_nothing_in_cycles_and_labels_add_a_loss() -> None:
    name = "speech/das-2022"
    whole, constant = start(name), start(name, kl_warmup=0.0)
    schedule = [annealed(whole.model.params, t) for t in (0.0, 0.0625, 0.125, 0.24, 0.25, 0.375)]
    assert schedule == [0.0, 0.5, 1.0, 1.0, 0.0, 1.0]
    kl, size = whole.losses(progress=0.0)["kl"].item(), float(whole.train.x[0].numel())
    assert whole.loss(0.125) - whole.loss(0.0) == pytest.approx(kl / size, rel=1e-3) and kl > 0
    assert constant.loss(0.0) == pytest.approx(whole.loss(0.125), abs=1e-6)
    weight = load_preset(name).params["emotion_head"]
    said, next_to_none = whole.losses(), start(name, emotion_head=1e-9)  # at 0 the encoder would see the class
    assert said["loss"].item() - next_to_none.loss() == pytest.approx(weight * said["emotion_head"].item(), abs=1e-5)


@shows("speech/deng-2017")
def test_one_code_is_learned_by_reconstruction_and_class_together() -> None:
    name = "speech/deng-2017"
    adds(name, "emotion_head", load_preset(name).params["emotion_head"], emotion_head=0.0)
    for term in ("loss", "emotion_head"):
        begun = start(name)
        begun.losses()[term].backward()
        grads = [p.grad for p in begun.network.encoder.parameters() if p.grad is not None]
        assert sum(float(g.abs().sum()) for g in grads) > 0, "both reach the encoder"


@shows("speech/almotlak-2020")
def test_each_group_of_the_code_has_an_auxiliary_of_its_own() -> None:
    name = "speech/almotlak-2020"
    begun = start(name)
    assert "kl" in begun.losses()
    reached = {}
    for term in ("emotion_head", "subject_head"):
        code = torch.randn(24, 6, generator=generator(1)).requires_grad_(True)
        _, conditions = begun.train.take(np.arange(24))
        begun.network.heads(code, conditions)[1][term].backward()
        assert code.grad is not None
        reached[term] = (code.grad.abs().sum(dim=0) > 0).tolist()
    assert reached == {"emotion_head": [True] * 3 + [False] * 3, "subject_head": [False] * 3 + [True] * 3}
    adds(name, "subject_head", 0.5, subject_head=0.0)


@pytest.mark.slow
@shows("faces/li-2023")
def test_noise_in_the_code_of_a_tail_sample_and_noise_0_is_the_reconstruction() -> None:
    name = "faces/li-2023"
    preset = load_preset(name)
    assert source_class(generator_class(preset.generator), preset.params) == "same"
    lacking = {
        c.emotion: c.lacking for c in cells(CLASSES, {"neutral": 40, "anger": 22, "fear": 3}, {}, **preset.target)
    }
    assert lacking.get("fear", 0) == 17 and not lacking.get("anger") and not lacking.get("neutral"), "the tail alone"
    data = toy_data(IMAGES)
    model = fitted(of_preset(name, IMAGES), 30)
    own = [i for i, e in enumerate(data.emotions) if e == "fear"][:6]
    draws = [Draw(Condition("fear"), i, {"from": data.ids[i]}) for i in own]
    varied = model.sample(draws, data.arrays[own], device=CPU)
    model.params = model.params.model_copy(update={"latent_noise": 0.0})
    plain = model.sample(draws, data.arrays[own], device=CPU)
    network, emotion = model.network, {"emotion": torch.eye(3)[[2] * 6]}
    with torch.inference_mode():
        code, _ = network.encode(torch.from_numpy(data.arrays[own]), network.read_under(emotion))
        rebuilt = network.decode(code, network.write_under(emotion)).clamp(-1, 1).numpy()
    np.testing.assert_allclose(plain, rebuilt, atol=1e-5)
    assert np.abs(varied - plain).max() > 1e-3
    begun = start(name, IMAGES)
    said = begun.losses()
    assert {"kl", "fooled", "mse"} <= set(said)
    for part, weight in (("adversarial", 0.0), ("beta", 0.0), ("reconstruction", 0.0)):
        assert start(name, IMAGES, **{part: weight}).loss() != pytest.approx(begun.loss(), abs=1e-4), part
    assert begun.losses("critic")["loss"].item() == pytest.approx(2.0, abs=0.5), "hinge: about 2 at the start"


@pytest.mark.slow
@shows("faces/wu-2020")
def test_the_parts_of_the_code_become_orthogonal() -> None:
    name, left = "faces/wu-2020", {}
    for weight in (0.0, 20.0):
        code, _ = codes(fitted(of_preset(name, IMAGES, orthogonal=weight, split=0.5), 60))
        left[weight] = float(orthogonality(torch.from_numpy(code[:, :3]), torch.from_numpy(code[:, 3:])))
    assert left[20.0] < 0.5 * left[0.0], left
    assert load_preset(name).params["orthogonal"] > 0 and start(name, IMAGES).losses()["orthogonal"].item() > 0


@shows("faces/chatterjee-2024")
def test_the_encoder_is_residual_and_its_code_has_a_kl_term() -> None:
    name = "faces/chatterjee-2024"
    begun = start(name, IMAGES)
    block = begun.network.encoder[0]
    x = torch.randn(2, block.conv1.in_channels, 12, 12, generator=generator(0))
    for conv in (block.conv1, block.conv2):
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    nothing = torch.zeros(2, 4 * SMALL["width"])
    assert torch.allclose(block(x, nothing), block.shortcut(x)), "what the layers do not change is passed on"
    fresh = start(name, IMAGES, free_bits=0.0)
    said, size = fresh.losses(), float(fresh.train.x[0].numel())
    without = start(name, IMAGES, free_bits=0.0, beta=0.0)
    assert fresh.loss() - without.loss() == pytest.approx(said["kl"].item() / size, rel=1e-2)
    assert load_preset(name).params["class_balance"] == 1.0 and "emotion_head" in said
    assert fitted(of_preset(name, IMAGES), 2).network.density.mean.shape[1] == 2, "resampled from a mixture"


@shows("faces/zhou-2024")
def test_random_patches_are_left_out_and_the_loss_is_of_them_alone() -> None:
    name = "faces/zhou-2024"
    begun = start(name, IMAGES, patch=3)
    _, hidden = corrupt(begun.train.x[:24], batch(), begun.model.params, IMAGES)
    other = corrupt(begun.train.x[:24], batch(seed=6), begun.model.params, IMAGES)[1]
    assert (hidden.mean(dim=(1, 2, 3)) == 0.75).all() and not torch.equal(hidden, other)
    everything = start(name, IMAGES, patch=3, hidden_only=False)
    assert everything.loss() > begun.loss() + 0.01, "the visible ones cost, too"
    added = torch.ones(24, *IMAGES.shape)
    losses = []
    for where in (added * (1 - hidden), added * hidden):
        spoiled = start(name, IMAGES, patch=3)
        decode = spoiled.network.decode
        spoiled.network.decode = lambda z, e, spans, decode=decode, where=where: decode(z, e, spans) + where
        losses.append(spoiled.loss())
    assert losses[0] == pytest.approx(begun.loss(), abs=1e-5), "what is seen is not judged"
    assert losses[1] != pytest.approx(begun.loss(), abs=1e-2)


@shows("physio/bao-2021")
def test_removing_one_of_two_opposed_critics_lowers_the_variance_of_samples() -> None:
    """Samples of a Gaussian against the critics that are best for each step, of two modes that it has to cover."""
    params = of_preset("physio/bao-2021").params
    both, second_alone = _variance(params), _variance(params.model_copy(update={"first_critic": 0.0}))
    assert both > 2.0 * second_alone, (both, second_alone)
    begun = start("physio/bao-2021")
    critic = begun.phases["critic"].module
    assert isinstance(critic, TwoCritics) and "kl" in begun.losses()
    begun.losses("critic")["loss"].backward()
    for one in (critic.first, critic.second):
        assert sum(float(p.grad.abs().sum()) for p in one.parameters() if p.grad is not None) > 0
    assert not isinstance(start("physio/bao-2021", critics="one").phases["critic"].module, TwoCritics)


def _variance(params: Any) -> float:
    """Of a Gaussian N(mean, spread^2) that plays against D1 = alpha p / q and D2 = beta q / p (Nguyen et al. 2017,
    proposition 1) where p has a mode at -2 and one at 2."""
    wide = torch.float64
    mean, log_spread = (torch.tensor(v, dtype=wide, requires_grad=True) for v in (0.5, 0.0))
    step = torch.optim.Adam([mean, log_spread], lr=0.03)
    eps = torch.special.ndtri((torch.arange(400, dtype=wide) + 0.5) / 400)

    def log_p(x: torch.Tensor) -> torch.Tensor:
        of_modes = torch.stack([-0.5 * ((x - m) / 0.5).square() - math.log(0.5) for m in (-2.0, 2.0)])
        return torch.logsumexp(of_modes, dim=0) - math.log(2.0)

    for _ in range(250):
        x = mean + log_spread.exp() * eps
        log_q = -0.5 * ((x - mean.detach()) / log_spread.detach().exp()).square() - log_spread.detach()
        ratio = log_p(x) - log_q
        answers = (params.first_critic * ratio.exp(), params.second_critic * (-ratio).exp())
        said = TwoScores(*(a + torch.log(-torch.expm1(-a - 1e-12)) for a in answers))  # softplus gives the answer back
        loss = _generator_side(lambda fake, under, said=said: said, x, {}, params)
        step.zero_grad()
        loss.backward()
        step.step()
    return float((log_spread.exp() * eps).var().detach())


@shows("physio/jirayucharoensak-2014")
def test_band_powers_are_rebuilt_from_a_code_through_several_layers() -> None:
    name = "physio/jirayucharoensak-2014"
    data = toy_data(VECTOR)
    model = fitted(of_preset(name), 150)
    network = model.network
    x = network.normaliser(torch.from_numpy(data.arrays.reshape(-1, *VECTOR.grid)))
    under = network.write_under(train_conditions(data, model.fields))
    with torch.inference_mode():
        code, _ = network.encode(x, under)
        error, without = ((x - network.decode(z, under)).square().mean().item() for z in (code, torch.zeros_like(code)))
    assert error < 0.5 * without and error < 0.4
    assert len(network.encoder.blocks) >= 2 and len(network.decoder.blocks) >= 2
    assert code.shape[1] < VECTOR.shape[0], "the code is narrower than the input"


@pytest.mark.slow
@shows("physio/jaques-2017")
def test_a_sensor_that_is_missing_is_rebuilt_from_the_others() -> None:
    name = "physio/jaques-2017"
    data = toy_data(SIGNALS, n=90)
    arrays = data.arrays.copy()
    arrays[:, 2] = 0.5 * arrays[:, 0] + 1.0  # what the third sensor says the first one knows
    data = replace(data, arrays=arrays)
    errors = {}
    for dropped in (True, False):
        changes = {} if dropped else {"corruption": "noise", "noise": 0.0}
        model = fitted(of_preset(name, SIGNALS, width=8, **changes), 150, data)
        network = model.network
        x = network.normaliser(torch.from_numpy(data.arrays.reshape(-1, *SIGNALS.grid)))
        missing = x.clone()
        missing[:, :, 2] = 0.0
        conditions = train_conditions(data, model.fields)
        with torch.inference_mode():
            code, _ = network.encode(missing, network.read_under(conditions))
            rebuilt = network.decode(code, network.write_under(conditions))
        errors[dropped] = float((rebuilt - x)[:, :, 2].square().mean())
    assert errors[True] < 0.8 * errors[False], errors
    begun = start(name, SIGNALS)
    _, hidden = corrupt(begun.train.x[:24], batch(), begun.model.params, SIGNALS)
    assert (hidden.sum(dim=(1, 2)) == 1).all(), "one whole sensor of three"
