"""Seeds, averages and what lies on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from corpora.errors import IntegrityError, ParamsError
from training.checkpoint import TrainingState, content_hash, load_state, load_tensors, save_state, save_tensors
from training.device import autocast, compiled
from training.ema import Ema, std_to_gamma
from training.seeds import SEED_LIMIT, derive_seed, generator, noise


def test_seeds_are_the_same_for_ever() -> None:
    assert (
        derive_seed(1, "draw", "fear", 0) == 1266414669280928701
    )  # first 63 bits but the top of sha256("[1,\"draw\",\"fear\",0]")
    assert derive_seed(1) != derive_seed("1") != derive_seed(1, None)
    made = {derive_seed(7, "x", i) for i in range(1000)}
    assert len(made) == 1000 and all(0 <= s < SEED_LIMIT for s in made)
    with pytest.raises(ValueError, match="outside"):
        generator(SEED_LIMIT)


def test_noise_of_a_row_hangs_on_its_seed_alone() -> None:
    state = torch.get_rng_state()
    a, b = noise([5, 6, 7], (3, 4)), noise([7, 5], (3, 4))
    assert torch.equal(a[0], b[1]) and torch.equal(a[2], b[0])
    assert torch.equal(state, torch.get_rng_state())
    assert noise([], (3, 4)).shape == (0, 3, 4)
    many = noise(list(range(400)), (50,))
    assert abs(float(many.mean())) < 0.03 and abs(float(many.std()) - 1) < 0.03


@pytest.mark.parametrize("std", [0.05, 0.10])
def test_the_average_has_the_power_profile(std: float) -> None:
    """Oracle: weights proportional to t^gamma (Karras et al. 2024, eq. 123), of a parameter that is t at step t."""
    source = nn.Linear(1, 1, bias=False)
    ema = Ema(source, std)
    steps = np.arange(1, 2001, dtype=np.float64)
    for t in steps:
        with torch.no_grad():
            source.weight.fill_(float(t))
        ema.update(source, int(t))
    weights = steps ** std_to_gamma(std)
    weights /= weights.sum()
    mean = float((weights * steps).sum())
    assert float(ema.module.weight) == pytest.approx(mean, rel=1e-3)  # type: ignore[arg-type]
    width = float(np.sqrt((weights * (steps - mean) ** 2).sum())) / 2000
    assert width == pytest.approx(std, rel=0.01)


def test_buffers_are_copied_not_averaged() -> None:
    source = nn.BatchNorm1d(2)
    ema = Ema(source, 0.1)
    source.num_batches_tracked.fill_(7)  # type: ignore[union-attr, operator]
    ema.update(source, 5)
    assert int(ema.module.num_batches_tracked) == 7  # type: ignore[arg-type]
    assert not any(p.requires_grad for p in ema.module.parameters())


def test_tensors_come_back_and_name_their_folder(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(6.0).reshape(2, 3).T, "a": torch.ones(2, dtype=torch.int64)}
    save_tensors(tmp_path / "x", tensors, {"k": [1, 2]})
    save_tensors(tmp_path / "y", dict(reversed(tensors.items())), {"k": [1, 2]})
    assert content_hash(tmp_path / "x") == content_hash(tmp_path / "y") and len(content_hash(tmp_path / "x")) == 20
    back, config = load_tensors(tmp_path / "x")
    assert torch.equal(back["b"], tensors["b"]) and config == {"k": [1, 2]}
    save_tensors(tmp_path / "y", tensors, {"k": [1, 3]})
    assert content_hash(tmp_path / "x") != content_hash(tmp_path / "y")
    (tmp_path / "x" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(IntegrityError, match="no readable model"):
        load_tensors(tmp_path / "x")
    with pytest.raises(IntegrityError, match="no readable model"):
        load_tensors(tmp_path / "nowhere")


def test_the_newest_readable_state_of_this_fit_is_taken(tmp_path: Path) -> None:
    def state(identity: str, step: int) -> TrainingState:
        return TrainingState(identity, step, {"w": torch.full((2,), float(step))}, {"step": step})

    assert load_state(tmp_path / "nowhere", "a") is None
    save_state(tmp_path, state("other", 900))
    for step in (10, 20, 30):
        save_state(tmp_path, state("a", step))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000020", "step-000000030"]
    (tmp_path / "step-000000030" / "state.json").write_text("{")
    found = load_state(tmp_path, "a")
    assert found is not None and found.step == 20 and torch.equal(found.tensors["w"], torch.full((2,), 20.0))
    assert load_state(tmp_path, "b") is None


def test_precision_and_compilation_are_switches() -> None:
    layer = nn.Linear(4, 4)
    with autocast(torch.device("cpu"), "bfloat16"):
        assert layer(torch.ones(1, 4)).dtype == torch.bfloat16
    with autocast(torch.device("cpu"), "float32"):
        assert layer(torch.ones(1, 4)).dtype == torch.float32
    with pytest.raises(ParamsError, match="float8"):
        autocast(torch.device("cpu"), "float8")
    assert compiled(layer, False) is layer
    wrapped = compiled(layer, True)  # nothing is compiled before the first call
    assert wrapped is not layer and next(wrapped.parameters()) is next(layer.parameters())
