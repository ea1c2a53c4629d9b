from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from corpora.errors import ParamsError, UserError
from tests.two_processes import run_two
from training import ddp
from training.device import resolve_device
from training.ema import Ema
from training.loop import POOL, DivergedError, LoopParams, Minibatch, Order, Phase, Report, class_weights, run
from training.posthoc import PostHocEma

X = torch.linspace(-1, 1, 40)[:, None].repeat(1, 3)
CPU = torch.device("cpu")


def network(dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1))


def phase(module: nn.Module, *, noise: float = 0.1, ema: bool = True) -> Phase:
    def loss(batch: Minibatch) -> Mapping[str, torch.Tensor]:
        x = X[torch.from_numpy(batch.rows)]
        error = (module(x + noise * batch.randn(*x.shape)) - x.sum(dim=1, keepdim=True)).square().mean()
        return {"loss": error, "size": torch.tensor(float(len(x)))}

    return Phase("fit", module, loss, 0.01, ema=Ema(module, 0.1) if ema else None)


def loop(steps: int = 20, **more: object) -> LoopParams:
    return LoopParams(**{"steps": steps, "batch_size": 8, "seed": 3, "warmup": 4, "report_every": 1, **more})  # type: ignore[arg-type]


def train(p: Phase, params: LoopParams, **more: object) -> list[Report]:
    return list(run([p], Order(np.arange(40), 1), params, device=CPU, identity="t", **more))  # type: ignore[arg-type]


def test_it_learns_and_reports_means() -> None:
    p = phase(network())
    reports = train(p, loop(200, report_every=50))
    assert [r.step for r in reports] == [50, 100, 150, 200]
    assert reports[-1].losses["loss"] < 0.2 * reports[0].losses["loss"]
    assert reports[-1].losses["size"] == 8.0


@pytest.mark.parametrize("stop", [1, 4, 9, 17])
def test_interrupted_at_any_step_it_ends_the_same(tmp_path: Path, stop: int) -> None:
    options = loop(20, report_every=3, decay=True)
    whole = phase(network(dropout=0.2))
    curve = train(whole, options)
    options = loop(20, report_every=3, decay=True, checkpoint_every=4)
    for report in run(
        [phase(network(dropout=0.2))], Order(np.arange(40), 1), options, device=CPU, identity="t", checkpoints=tmp_path
    ):
        if report.step >= stop:
            break
    torch.manual_seed(99)  # nothing may hang on the caller's global state
    again = phase(network(dropout=0.2))
    resumed = train(again, options, checkpoints=tmp_path)
    assert [(r.step, r.losses) for r in resumed] == [(r.step, r.losses) for r in curve]
    assert whole.ema is not None and again.ema is not None
    for a, b in ((whole.module, again.module), (whole.ema.module, again.ema.module)):
        for one, other in zip(a.parameters(), b.parameters(), strict=True):
            assert torch.equal(one, other)
    assert train(phase(network(dropout=0.2)), options, checkpoints=tmp_path)[-1] == resumed[-1], (
        "finished stays finished"
    )


def test_a_state_of_another_fit_or_a_broken_one_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(phase(network()), loop(8, checkpoint_every=4), checkpoints=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000004", "step-000000008"]
    train(phase(network()), loop(9, checkpoint_every=4), checkpoints=tmp_path)
    assert "belongs to a fit with other" in caplog.text
    whole = phase(network())
    train(whole, loop(9))
    state = tmp_path / "step-000000009" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-5])
    caplog.clear()
    again = phase(network())
    train(again, loop(9, checkpoint_every=4), checkpoints=tmp_path)
    assert "step-000000009" in caplog.text and "sha256" in caplog.text
    assert all(torch.equal(a, b) for a, b in zip(whole.module.parameters(), again.module.parameters(), strict=True))


def test_stops_early_with_the_best_weights_and_remembers_that(tmp_path: Path) -> None:
    def fit(scores: list[float]) -> tuple[Phase, list[Report]]:
        given = iter(scores)
        p = phase(network())
        options = loop(40, monitor_every=5, patience=2, checkpoint_every=5)
        return p, train(p, options, monitor=lambda: next(given), checkpoints=tmp_path)

    p, reports = fit([3.0, 1.0, 2.0, 1.5])
    assert reports[-1].step == 20 and reports[-1].losses["monitor"] == 1.5
    best = phase(network())
    train(best, loop(10))  # constant rate: the first 10 steps are the same
    again, _ = fit([])  # nothing is measured again
    assert p.ema is not None and best.ema is not None and again.ema is not None
    for a, b, c in zip(
        p.ema.module.parameters(), best.ema.module.parameters(), again.ema.module.parameters(), strict=True
    ):
        assert torch.equal(a, b) and torch.equal(a, c)


def test_a_hair_better_is_no_progress_and_the_best_weights_are_kept_all_the_same(tmp_path: Path) -> None:
    def fit(scores: list[float], gain: float, folder: str, stop: int = 99) -> tuple[Phase, list[Report]]:
        given, reports = dict(zip(range(5, 45, 5), scores, strict=False)), []
        p = phase(network())
        options = loop(40, monitor_every=5, patience=2, gain=gain, checkpoint_every=5)
        at: list[int] = []
        stream = run(
            [p],
            Order(np.arange(40), 1),
            options,
            device=CPU,
            identity="t",
            checkpoints=tmp_path / folder,
            monitor=lambda: given[at[-1]],
        )
        plain = p.loss

        def loss(batch: Minibatch) -> Mapping[str, torch.Tensor]:
            at.append(batch.step + 1)
            return plain(batch)

        p.loss = loss
        for report in stream:
            reports.append(report)
            if report.step == stop:
                break
        return p, reports

    scores = [-2.0, -10.0, -10.05, -10.07, -10.08, -10.09, -10.1, -10.2]  # below zero: a share of a score is no measure
    stalled, reports = fit(scores, 0.01, "whole")
    assert reports[-1].step == 20, "each of two looks gained less than a hundredth of the 8 gained before"
    assert fit(scores, 0.0, "patient")[1][-1].step == 40, "without a least gain every look is better"
    best = phase(network())
    train(best, loop(20))
    assert stalled.ema is not None and best.ema is not None
    for a, b in zip(stalled.ema.module.parameters(), best.ema.module.parameters(), strict=True):
        assert torch.equal(a, b), "the last look was the best, though no progress"
    for stop in (5, 12, 15):
        fit(scores, 0.01, f"cut-{stop}", stop)
        resumed, again = fit(scores, 0.01, f"cut-{stop}")
        assert [(r.step, r.losses) for r in again] == [(r.step, r.losses) for r in reports]
        assert resumed.ema is not None
        for a, b in zip(stalled.ema.module.parameters(), resumed.ema.module.parameters(), strict=True):
            assert torch.equal(a, b)


def test_no_look_before_every_phase_has_begun_and_the_early_ones_have_ended() -> None:
    def looks(*spans: tuple[float, float]) -> list[int]:
        phases = [phase(network()) for _ in spans]
        for i, (one, span) in enumerate(zip(phases, spans, strict=True)):
            one.name, one.span = f"phase-{i}", span
        options = loop(20, monitor_every=2, patience=99)
        reports = run(phases, Order(np.arange(40), 1), options, device=CPU, identity="t", monitor=lambda: 1.0)
        return [r.step for r in reports if "monitor" in r.losses]

    assert looks((0.0, 1.0))[0] == 2
    assert looks((0.0, 0.4), (0.4, 1.0))[0] == 10
    assert looks((0.2, 1.0), (0.0, 1.0), (0.2, 0.6))[0] == 14
    annealed = phase(network())
    annealed.steady = 0.45
    options = loop(20, monitor_every=2, patience=99)
    reports = run([annealed], Order(np.arange(40), 1), options, device=CPU, identity="t", monitor=lambda: 1.0)
    assert next(r.step for r in reports if "monitor" in r.losses) == 10


def test_what_is_not_finite_stops_the_fit(tmp_path: Path) -> None:
    module = network()

    def loss(batch: Minibatch) -> Mapping[str, torch.Tensor]:
        return {"loss": module(X).mean() * (float("nan") if batch.step == 6 else 1.0)}

    with pytest.raises(DivergedError, match="at step 6"):
        train(Phase("fit", module, loss, 0.01), loop(20))
    with pytest.raises(DivergedError, match="score is nan"):
        train(phase(network()), loop(20, monitor_every=5), monitor=lambda: float("nan"))


def test_two_phases_do_not_move_each_other() -> None:
    a, b = network(), network()
    before = [p.clone() for p in b.parameters()]

    def of_a(batch: Minibatch) -> Mapping[str, torch.Tensor]:
        return {"loss": b(a(X).repeat(1, 3)).square().mean()}

    def still(batch: Minibatch) -> Mapping[str, torch.Tensor]:
        return {"loss": 0.0 * b(X).mean()}

    phases = [Phase("a", a, of_a, 0.01), Phase("b", b, still, 0.0, repeats=2)]
    (report,) = run(phases, Order(np.arange(40), 1), loop(3, report_every=3), device=CPU, identity="t")
    assert set(report.losses) == {"a_loss", "b_loss"}
    assert all(torch.equal(x, y) for x, y in zip(before, b.parameters(), strict=True))
    assert not torch.equal(next(a.parameters()), next(network().parameters()))


def test_each_row_once_an_epoch_and_nothing_kept_between_steps() -> None:
    order = Order(np.arange(10, 17), seed=5)
    seen = np.concatenate([order.batch(step, 3) for step in range(7)])
    for epoch in range(3):
        assert sorted(seen[7 * epoch : 7 * epoch + 7]) == list(range(10, 17))
    assert not np.array_equal(seen[:7], seen[7:14])
    np.testing.assert_array_equal(Order(np.arange(10, 17), seed=5).batch(5, 3), seen[15:18])
    with pytest.raises(UserError, match="held out"):
        Order(np.arange(0), seed=5)


def test_rare_classes_come_evenly() -> None:
    labels = ["a"] * 90 + ["b"] * 10
    for power, share in ((1.0, 0.5), (0.5, 0.25)):
        order = Order(np.arange(100), 0, class_weights(labels, power))
        batches = [(order.batch(step, 20) >= 90).sum() for step in range(100)]
        assert np.mean(batches) == pytest.approx(20 * share, abs=0.3)
    assert class_weights(labels, 0.0) is None


@pytest.mark.parametrize("weighted", [False, True])
def test_like_rows_come_together_and_each_as_often(weighted: bool) -> None:
    rng = np.random.default_rng(0)
    rows, lengths = np.arange(100, 400), rng.integers(1, 6, 300)
    weights = rng.random(300) + 0.5 if weighted else None
    plain, alike = Order(rows, 3, weights), Order(rows, 3, weights, lengths)
    steps = range(3 * POOL)
    expected, dealt = (np.stack([order.batch(step, 20) for step in steps]) for order in (plain, alike))
    for pool in (slice(k * POOL, (k + 1) * POOL) for k in range(3)):
        assert sorted(dealt[pool].ravel()) == sorted(expected[pool].ravel()), "the same rows as often"
        kinds = [len(np.unique(lengths[batch - 100])) for batch in dealt[pool]]
        assert sum(kinds) <= POOL + 4, "each length is in one batch more than it fills, at most"
    firsts = [lengths[batch - 100].min() for batch in dealt]
    assert firsts != sorted(firsts), "batches come in no order of length"
    again = Order(rows, 3, weights, lengths)
    assert np.array_equal(again.batch(37, 20), dealt[37]), "of seed and step alone"
    assert not np.array_equal(Order(rows, 4, weights, lengths).batch(37, 20), dealt[37])


def test_a_device_that_is_not_there_is_named() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"'cuda'.*0 CUDA"):
            resolve_device("cuda")
    for kind in ("gpu", "meta"):
        with pytest.raises(ParamsError, match=kind):
            resolve_device(kind)


def _worker(rank: int, world: int, port: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=world)
    try:
        for attempt in ("broken off", "resumed"):
            p = phase(network(), noise=0.0)
            with torch.no_grad():
                next(p.module.parameters()).add_(rank)  # what ranks disagree on, rank 0 decides
            private = Path(folder) / f"node-{rank}"  # only rank 0 has states: nodes need not share a disk
            stream = run(
                [p], Order(np.arange(40), 1), loop(6, checkpoint_every=2), device=CPU, identity="t", checkpoints=private
            )
            for report in stream:
                if attempt == "broken off" and report.step == 5:
                    break
        torch.save([q.detach() for q in p.module.parameters()], Path(folder) / f"rank-{rank}.pt")
        own = [nn.Parameter(torch.zeros(2)) for _ in range(3)]  # the first two used by one rank alone, the last by none
        own[rank].grad = torch.full((2,), 4.0 + rank)
        ddp.average_gradients(own)
        torch.save([q.grad for q in own], Path(folder) / f"own-{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()


def test_two_workers_give_what_one_gives(tmp_path: Path) -> None:
    run_two(_worker, tmp_path)
    alone = phase(network(), noise=0.0)
    train(alone, loop(6))
    first, second = (torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in range(2))
    for a, b, c in zip(first, second, alone.module.parameters(), strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, c.detach(), atol=1e-6, rtol=1e-5)
    for rank in range(2):
        first, second, third = torch.load(tmp_path / f"own-{rank}.pt", weights_only=True)
        assert first.tolist() == [2.0, 2.0] and second.tolist() == [2.5, 2.5] and third is None


def test_a_fit_that_diverges_names_the_step_and_the_last_good_checkpoint(tmp_path: Path) -> None:
    def failing(after: int) -> Phase:
        fit = phase(network())
        plain = fit.loss

        def loss(batch: Minibatch) -> Mapping[str, torch.Tensor]:
            losses = dict(plain(batch))
            return losses | {"loss": losses["loss"] * (float("nan") if batch.step >= after else 1.0)}

        fit.loss = loss
        return fit

    with pytest.raises(DivergedError, match=r"at step 3.*No checkpoint"):
        train(failing(3), loop(20, checkpoint_every=5), checkpoints=tmp_path / "early")
    folder = tmp_path / "late"
    with pytest.raises(DivergedError, match=r"at step 13.*last good checkpoint is that of step 10: .*step-000000010"):
        train(failing(13), loop(20, checkpoint_every=5), checkpoints=folder)
    assert (folder / "step-000000010").is_dir()
    with pytest.raises(DivergedError, match=r"at step 10.*that of step 10"):
        train(failing(0), loop(20, checkpoint_every=5), checkpoints=folder)  # gone on from there


def test_a_phase_moves_within_its_span_alone() -> None:
    first, second = phase(network()), phase(network())
    first.name, first.span = "first", (0.0, 0.5)
    second.name, second.span = "second", (0.5, 1.0)
    before = [p.clone() for p in second.module.parameters()]
    states: list[list[torch.Tensor]] = []
    reports = []
    for report in run([first, second], Order(np.arange(40), 1), loop(10), device=CPU, identity="t"):
        reports.append(report)
        if report.step == 5:
            assert all(torch.equal(a, b) for a, b in zip(before, second.module.parameters(), strict=True))
            states.append([p.clone() for p in first.module.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(states[0], first.module.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(before, second.module.parameters(), strict=True))
    assert "first_loss" in reports[4].losses and "first_loss" not in reports[5].losses
    second.span = (0.7, 1.0)
    with pytest.raises(ParamsError, match="no phase"):
        list(run([first, second], Order(np.arange(40), 1), loop(10), device=CPU, identity="t"))


def test_an_average_of_another_width_is_rebuilt_afterwards(tmp_path: Path) -> None:
    wanted = {width: phase(network()) for width in (0.04, 0.07, 0.15)}
    kept = phase(network())
    kept.ema = PostHocEma(kept.module, 0.1)
    for width, fit in wanted.items():
        fit.ema = Ema(fit.module, width)
        train(fit, loop(300, report_every=100))
    train(kept, loop(300, report_every=100))
    plain = phase(network())
    train(plain, loop(300, report_every=100))
    assert plain.ema is not None
    for one, other in zip(plain.ema.module.parameters(), kept.ema.module.parameters(), strict=True):
        assert torch.equal(one, other)

    def vector(module: nn.Module) -> torch.Tensor:
        return nn.utils.parameters_to_vector(module.parameters()).detach()

    for width, fit in wanted.items():
        assert fit.ema is not None
        exact = vector(fit.ema.module)
        off = float((vector(kept.ema.of_width(width)) - exact).norm())
        usual = float((vector(kept.ema.module) - exact).norm())
        assert off < 0.1 * usual, (width, off, usual)
    resumed = phase(network())
    resumed.ema = PostHocEma(resumed.module, 0.1)
    options = loop(300, report_every=100, checkpoint_every=50)
    for report in run([resumed], Order(np.arange(40), 1), options, device=CPU, identity="t", checkpoints=tmp_path):
        if report.step >= 100:
            break
    again = phase(network())
    again.ema = PostHocEma(again.module, 0.1)
    train(again, options, checkpoints=tmp_path)
    assert torch.equal(vector(again.ema.of_width(0.07)), vector(kept.ema.of_width(0.07)))
