"""Padding that is cut: what columns beyond a sample's spans can change (nothing), which rows teach, how it resumes."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpora.errors import ParamsError
from generators.autoencoders.networks import COARSEST_CUT, GridVae
from generators.autoencoders.variational import Setting, plain_phases
from generators.generator import Condition, Device, Draw, TrainData, generator_class
from generators.layers import Grid, groups
from generators.spans import by_span, padded_to, spans_of
from generators.trained import TrainSet
from tests.generators.toy import CLASSES, IMAGES, SIGNALS, SPEECH, VECTOR, toy_data
from tests.two_processes import run_two
from training import ddp
from training.loop import POOL, Minibatch
from training.seeds import generator

CPU = Device()
TINY = {"width": 8, "latent": 4, "batch_size": 16}
AUTOENCODERS = ("cvae", "aae", "vae_gan", "masked", "vae_edit")
UNIT = 2 ** Grid(SPEECH, COARSEST_CUT).levels


def made(name: str = "cvae", **params: Any) -> Any:
    return generator_class(name)(SPEECH, CLASSES, **{**TINY, "padding": "cut", **params})


def fitted(data: TrainData, name: str = "cvae", steps: int = 4, **params: Any) -> Any:
    model = made(name, **params)
    for _ in model.fit(data, steps=steps, seed=1, device=CPU):
        pass
    return model


def prepared(model: Any, data: TrainData) -> TrainSet:
    """The train split as the loss gets it."""
    from generators.condition import train_conditions
    from generators.normalise import on_grid

    x = model.network.normaliser(torch.from_numpy(on_grid(data.arrays, data.spec)))
    return TrainSet(x, train_conditions(data, model.fields), np.flatnonzero(~data.held_out))


def loss_of(model: Any, train: TrainSet, rows: np.ndarray) -> float:
    (phase,) = plain_phases(model.network, model.params, Setting(SPEECH, train, CPU))
    with torch.no_grad():
        return float(phase.loss(Minibatch(rows, 5, 0.5, generator(3), torch.device("cpu")))["loss"])


def test_spans_are_counted_by_the_mask_row() -> None:
    x = torch.zeros(4, 1, *SPEECH.shape)
    for i, length in enumerate((1, UNIT, UNIT + 1, SPEECH.shape[1])):
        x[i, 0, 5] = torch.where(torch.arange(SPEECH.shape[1]) < length, 1.0, -1.0)
    assert spans_of(x, SPEECH, UNIT).tolist() == [1, 1, 2, -(-SPEECH.shape[1] // UNIT)]
    assert spans_of(-torch.ones_like(x), SPEECH, UNIT).tolist() == [1] * 4, "of nothing valid, one"


def test_groups_come_back_in_the_order_of_the_batch() -> None:
    spans = torch.tensor([3, 1, 2, 1, 3])
    seen: list[tuple[list[int], int]] = []

    def compute(rows: torch.Tensor, n: int) -> torch.Tensor:
        seen.append((rows.tolist(), n))
        return torch.stack([rows, torch.full_like(rows, n)], dim=1)

    assert by_span(spans, compute).tolist() == [[i, n] for i, n in enumerate(spans.tolist())]
    assert seen == [([1, 3], 1), ([2], 2), ([0, 4], 3)]


def test_padding_is_what_the_normaliser_gives_it() -> None:
    data = toy_data(SPEECH)
    x = prepared(fitted(data, steps=1), data).x
    for n in spans_of(x, SPEECH, UNIT).unique().tolist():
        own = x[spans_of(x, SPEECH, UNIT) == n]
        decoded = own[..., : n * UNIT].clone()
        decoded[:, :, 5, : (n - 1) * UNIT] = 0.3  # nothing else is known, so whatever is decoded there does not count
        assert torch.equal(padded_to(decoded, n, UNIT, SPEECH), own)


def test_a_column_that_is_cut_never_changes_the_loss() -> None:
    data = toy_data(SPEECH)
    for padding in ("cut", "keep"):
        model = fitted(data, padding=padding)
        train, rows = prepared(model, data), np.arange(16)
        before = loss_of(model, train, rows)
        spans = spans_of(train.x, SPEECH, UNIT)
        beyond = torch.arange(SPEECH.shape[1])[None] >= UNIT * spans[:, None]
        other = train.x.clone()
        other[:, 0, :5] = torch.where(beyond[:, None], torch.full_like(other[:, 0, :5], 4.0), other[:, 0, :5])
        assert beyond[rows].any()
        changed = loss_of(model, TrainSet(other, train.conditions, train.rows), rows)
        assert (changed == before) == (padding == "cut"), padding


def test_fewer_columns_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy_data(SPEECH)
    model = fitted(data)
    train = prepared(model, data)
    widths: list[tuple[int, int]] = []
    into = GridVae._down

    def spied(self: GridVae, h: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        widths.append((len(h), h.shape[-1]))
        return into(self, h, embedding)

    monkeypatch.setattr(GridVae, "_down", spied)
    loss_of(model, train, np.arange(60))
    lengths = (train.x[:, 0, 5] > 0).sum(dim=1)
    assert sum(n for n, _ in widths) == 60
    assert sum(n * w for n, w in widths) == int((-(-lengths // UNIT) * UNIT).sum()) < 60 * SPEECH.shape[1]


def test_what_becomes_of_a_row_does_not_depend_on_its_batch() -> None:
    data = toy_data(SPEECH)
    model = fitted(data)
    draws = [Draw(Condition(CLASSES[i % 3]), i) for i in range(12)]
    together = model.sample(draws, device=CPU)
    assert len({int((a[5] > 0).sum()) for a in together}) > 1
    apart = np.concatenate([model.sample([draw], device=CPU) for draw in draws])
    np.testing.assert_allclose(together, apart, atol=1e-4)


def test_every_sample_teaches_as_often_as_with_padding_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy_data(SPEECH)
    counts = {}
    take = TrainSet.take
    for padding in ("cut", "keep"):
        seen: Counter[int] = Counter()

        def spied(self: TrainSet, rows: np.ndarray, seen: Counter[int] = seen) -> Any:
            seen.update(rows.tolist())
            return take(self, rows)

        monkeypatch.setattr(TrainSet, "take", spied)
        monkeypatch.setattr("generators.autoencoders.autoencoder.Autoencoder._settle", lambda self, train: None)
        fitted(data, steps=POOL, padding=padding, class_balance=0.0, batch_size=12)  # four epochs of 48 rows
        counts[padding] = seen
    assert counts["cut"] == counts["keep"] == dict.fromkeys(np.flatnonzero(~data.held_out).tolist(), 4)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_the_same_seed_gives_the_same_bytes_also_after_a_kill_and_from_a_file(name: str, tmp_path: Path) -> None:
    data = toy_data(SPEECH)
    options: dict[str, Any] = {"steps": 6, "seed": 1, "device": CPU, "checkpoint_every": 2}
    whole, again = made(name), made(name)
    list(whole.fit(data, **options))
    for report in made(name).fit(data, **options, checkpoints=tmp_path / "state"):
        if report.step == 5:
            break
    list(again.fit(data, **options, checkpoints=tmp_path / "state"))
    again.save(tmp_path / "model")
    loaded = generator_class(name).load(tmp_path / "model", device=CPU)
    expected = whole.network.state_dict()
    assert any(key.startswith("spans.") for key in expected)
    for other in (again, loaded):
        assert all(torch.equal(value, expected[key]) for key, value in other.network.state_dict().items())


def test_lengths_are_learned_and_a_conversion_keeps_those_of_its_source() -> None:
    data = toy_data(SPEECH)
    model = fitted(data, steps=150)
    sampled = model.sample([Draw(Condition(CLASSES[i % 3]), i) for i in range(60)], device=CPU)
    of_sampled, of_train = ((a[:, 5] > 0).sum(axis=1) for a in (sampled, data.arrays))
    assert abs(of_sampled.mean() - of_train.mean()) < 1.5 and of_sampled.std() > 0.7 * of_train.std()
    edit = fitted(data, "vae_edit", source="same", latent_noise=0.0)
    rows = [i for i in range(60) if not data.held_out[i]][:8]
    draws = [Draw(Condition(data.emotions[i]), i, {"from": data.ids[i]}) for i in rows]
    back = edit.sample(draws, data.arrays[rows], device=CPU)
    np.testing.assert_array_equal(back[:, 5], data.arrays[rows, 5])
    np.testing.assert_allclose(back, data.arrays[rows], atol=0.3)


def test_where_there_is_no_padding_none_can_be_cut() -> None:
    for spec in (IMAGES, SIGNALS, VECTOR):
        for name in AUTOENCODERS:
            with pytest.raises(ParamsError, match=f"{name}: padding cut needs rows with a mask row.*{spec.name}"):
                generator_class(name)(spec, CLASSES, **TINY, padding="cut")


def test_a_group_of_one_channel_is_not_left_where_padding_is_cut() -> None:
    assert [groups(c) for c in (8, 24, 32, 6)] == [8, 8, 8, 2]
    assert [groups(c, 8) for c in (8, 24, 32, 128, 6)] == [1, 2, 4, 8, 1]
    kept, cut = (fitted(toy_data(SPEECH), steps=1, padding=p).network.out_norm.num_groups for p in ("keep", "cut"))
    assert (kept, cut) == (8, 1)


def _worker(rank: int, world: int, port: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=world)
    try:
        model = made()
        gradients = []
        average = ddp.average_gradients

        def spied(parameters: Any) -> None:
            own = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
            average(parameters)
            mean = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
            gradients.append((own, mean))

        ddp.average_gradients = spied
        list(model.fit(toy_data(SPEECH), steps=2, seed=1, device=CPU))
        torch.save((gradients, model.network.state_dict()), Path(folder) / f"rank-{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_workers_average_what_their_shares_say(tmp_path: Path) -> None:
    run_two(_worker, tmp_path)
    (first, a), (second, b) = (torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in range(2))
    for (own, mean), (other, same) in zip(first, second, strict=True):
        assert not torch.equal(own, other)
        torch.testing.assert_close(mean, (own + other) / 2)
        assert torch.equal(mean, same)
    assert all(torch.equal(a[key], b[key]) for key in a)
