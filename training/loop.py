"""The one training loop: of every generator and every judge.

What is trained is a list of phases (a module and its loss; a GAN has two). Which rows a step sees and which random
numbers it uses is a pure function of (seed, step), so a fit that was interrupted goes on to the very result that an
uninterrupted one has. Under torch.distributed each rank takes its share of the same batch and gradients are averaged.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from corpora.errors import ParamsError, UserError
from training import ddp
from training.checkpoint import TrainingState, load_state, save_state, state_folder
from training.device import autocast
from training.ema import Ema
from training.seeds import derive_seed, generator, seed_global

Losses = Mapping[str, torch.Tensor]
POOL = 16  # batches whose rows are sorted together where like rows are to be in one batch


class DivergedError(UserError):
    """A loss or score is no longer a finite number."""


@dataclass(frozen=True, slots=True)
class Minibatch:
    """What a loss gets. rows: [b] int64 rows of the train data (this rank's share); `rng`: this step's, on the CPU."""

    rows: np.ndarray
    step: int  # from 0
    progress: float  # step / steps, in [0, 1)
    rng: torch.Generator
    device: torch.device

    def randn(self, *shape: int) -> torch.Tensor:
        """Standard normal float32 of this step, on the device."""
        return torch.randn(shape, generator=self.rng).to(self.device)

    def rand(self, *shape: int) -> torch.Tensor:
        """Uniform [0, 1) float32 of this step, on the device."""
        return torch.rand(shape, generator=self.rng).to(self.device)


@dataclass(slots=True)
class Phase:
    """One module, its loss (a dict of scalars; "loss" is what is minimised) and how Adam moves it.

    `ema`: average to keep, or None. `repeats`: optimiser steps of this phase within one step of the loop, each with a
    batch and random numbers of its own. `span`: shares of the steps between which the phase moves; before and after, it
    stands still. At every step one phase moves, else `ParamsError`.
    """

    name: str
    module: nn.Module
    loss: Callable[[Minibatch], Losses]
    lr: float
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    clip: float = 1.0  # largest norm of the gradient; 0: not clipped
    repeats: int = 1
    ema: Ema | None = None
    span: tuple[float, float] = (0.0, 1.0)
    steady: float = 0.0

    def bounds(self, steps: int) -> tuple[int, int]:
        """First step of the loop that moves the phase, and the first that does not any more."""
        return round(self.span[0] * steps), round(self.span[1] * steps)


@dataclass(frozen=True, slots=True)
class LoopParams:
    """How long and how often. `decay`: cosine to zero after the warm-up, else constant. Steps are optimiser steps."""

    steps: int
    batch_size: int  # over all ranks
    seed: int
    warmup: int = 50
    decay: bool = False
    report_every: int = 10
    checkpoint_every: int = 500
    monitor_every: int = 0  # 0: no early stop
    patience: int = 0  # checks without progress before the fit stops; 0: never stops, still keeps the best
    gain: float = 0.0  # what is progress: a score better by this share of all that was gained since the first check
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Report:
    """Means of the losses since the report before; `seconds` of training so far, over interruptions."""

    step: int
    steps: int
    losses: Mapping[str, float]
    seconds: float


class Order:
    """Which rows a batch holds: a function of (seed, step), with nothing kept between steps.

    rows: [n] int64, the rows that may be seen. weights: None (each row once an epoch, in a new order each epoch) or [n]
    relative frequencies (systematic resampling within each batch, so that rare classes come evenly). alike: None, or
    [n] int64, e.g. lengths: each `POOL` batches hold the rows that they would hold without it, dealt anew so that those
    of a batch are alike, and come in a random order.
    """

    def __init__(
        self, rows: np.ndarray, seed: int, weights: np.ndarray | None = None, alike: np.ndarray | None = None
    ) -> None:
        if len(rows) == 0:
            raise UserError("no rows to train on: every row of the train split is held out")
        self.rows = np.asarray(rows, np.int64)
        self.seed = seed
        self.alike = None if alike is None else dict(zip(self.rows.tolist(), np.asarray(alike).tolist(), strict=True))
        self.cumulative: np.ndarray | None = None
        if weights is not None:
            shares = np.asarray(weights, np.float64)
            self.cumulative = np.cumsum(shares / shares.sum())
        self._permuted = lru_cache(maxsize=2)(self._permute)
        self._pooled = lru_cache(maxsize=2)(self._pool)

    def _permute(self, epoch: int) -> np.ndarray:
        return self.rows[np.random.default_rng([self.seed, epoch]).permutation(len(self.rows))]

    def batch(self, step: int, size: int) -> np.ndarray:
        """-> [size] int64."""
        if self.alike is None:
            return self._plain(step, size)
        return self._pooled(step // POOL, size)[step % POOL]

    def _pool(self, pool: int, size: int) -> np.ndarray:
        """-> [POOL, size]: the batches from pool * POOL on."""
        assert self.alike is not None
        rows = np.concatenate([self._plain(pool * POOL + i, size) for i in range(POOL)])
        rng = np.random.default_rng([self.seed, pool, 1])  # of equals, who is with whom is left to chance
        rows = rng.permutation(rows)
        batches = rows[np.argsort([self.alike[row] for row in rows.tolist()], kind="stable")].reshape(POOL, size)
        return np.stack([rng.permutation(batch) for batch in rng.permutation(batches)])

    def _plain(self, step: int, size: int) -> np.ndarray:
        if self.cumulative is None:
            at = np.arange(step * size, (step + 1) * size)
            epochs, places = np.divmod(at, len(self.rows))
            return np.array([self._permuted(int(e))[p] for e, p in zip(epochs, places, strict=True)], np.int64)
        # A new order of the rows each step: otherwise neighbours in the table would never meet in a batch.
        rng = np.random.default_rng([self.seed, step])
        order = rng.permutation(len(self.rows))
        shares = np.diff(self.cumulative, prepend=0.0)[order]
        points = (rng.random() + np.arange(size)) / size
        places = np.searchsorted(np.cumsum(shares), points, side="right")
        return rng.permutation(self.rows[order[np.minimum(places, len(order) - 1)]])


def class_weights(labels: Sequence[str], power: float) -> np.ndarray | None:
    """[n] weight n_c^-power for each row of class c; None (plain epochs) for power 0. 1 = classes equally often."""
    if power == 0.0:
        return None
    names, inverse, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    del names
    weights: np.ndarray = (counts.astype(np.float64) ** -power)[inverse]
    return weights


class _Fit:
    """The held state of a running fit, and its way to and from tensors."""

    def __init__(self, phases: Sequence[Phase], result: nn.Module, params: LoopParams) -> None:
        self.phases = phases
        self.params = params
        self.result = result
        self.optimizers = {
            p.name: torch.optim.AdamW(
                p.module.parameters(), lr=p.lr, betas=p.betas, weight_decay=p.weight_decay, fused=True
            )
            for p in phases
        }
        self.step = 0
        self.seconds = 0.0
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}  # steps since the report that had this loss
        self.since_report = 0
        self.history: list[dict[str, Any]] = []
        self.best: float | None = None
        self.first: float | None = None  # the first score
        self.mark: float | None = None  # the score that the last progress reached
        self.checks_without_better = 0
        self.stopped = False
        self.best_tensors: dict[str, torch.Tensor] = {}
        self.saved: tuple[int, Path] | None = None  # step and folder of the newest checkpoint

    def tensors(self) -> dict[str, torch.Tensor]:
        """Every tensor of the state under a name of its own, in an order that is the same on every rank."""
        named: dict[str, torch.Tensor] = {}
        for phase in self.phases:
            named |= {f"{phase.name}/module/{k}": v for k, v in phase.module.state_dict().items()}
            if phase.ema is not None:
                named |= {f"{phase.name}/ema/{k}": v for k, v in phase.ema.state.state_dict().items()}
            for name, parameter in phase.module.named_parameters():
                state = self._adam(phase.name, parameter)
                named |= {f"{phase.name}/adam/{name}/{k}": v for k, v in state.items()}
        return named | {f"best/{k}": v for k, v in self.best_tensors.items()}

    def _adam(self, phase: str, parameter: nn.Parameter) -> dict[str, torch.Tensor]:
        # torch makes this state on the first step; made here, every rank has it before it is broadcast or restored
        state = self.optimizers[phase].state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        return state

    def meta(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "seconds": self.seconds,
            "sums": self.sums,
            "counts": self.counts,
            "since_report": self.since_report,
            "history": self.history,
            "best": self.best,
            "first": self.first,
            "mark": self.mark,
            "checks_without_better": self.checks_without_better,
            "stopped": self.stopped,
        }

    @torch.no_grad()
    def restore(self, meta: Mapping[str, Any], tensors: Mapping[str, torch.Tensor] | None) -> None:
        """Takes the counters of `meta`, and the tensors (None on ranks that get theirs from rank 0)."""
        for name, value in meta.items():
            setattr(self, name, value)
        if self.best is not None:
            self.best_tensors = {k: v.clone() for k, v in self.result.state_dict().items()}
        if tensors is not None:
            for name, tensor in self.tensors().items():
                tensor.copy_(tensors[name])

    def lr_scale(self, phase: Phase) -> float:
        """Warm-up and decay within the steps of the phase."""
        p = self.params
        first, end = phase.bounds(p.steps)
        step, steps = self.step - first, end - first
        scale = min(1.0, (step + 1) / max(1, p.warmup))
        if p.decay:
            done = max(0, step - p.warmup) / max(1, steps - p.warmup)
            scale *= 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
        return scale

    def move(self, order: Order, device: torch.device) -> None:
        """One step: every phase in turn."""
        rank, world = ddp.rank(), ddp.world_size()
        step_sums: dict[str, torch.Tensor] = {}
        for phase in self.phases:
            first, end = phase.bounds(self.params.steps)
            if not first <= self.step < end:
                continue
            if len(self.phases) > 1:
                for other in self.phases:  # a generator's gradient goes through its discriminator, not into it
                    other.module.requires_grad_(other is phase)
            optimizer = self.optimizers[phase.name]
            for group in optimizer.param_groups:
                group["lr"] = phase.lr * self.lr_scale(phase)
            for repeat in range(phase.repeats):
                rows = order.batch(self.step * phase.repeats + repeat, self.params.batch_size)[rank::world]
                seed = derive_seed(self.params.seed, "step", self.step, phase.name, repeat, rank)
                batch = Minibatch(rows, self.step, self.step / self.params.steps, generator(seed), device)
                optimizer.zero_grad(set_to_none=True)
                devices = [device] if device.type == "cuda" else []
                # Dropout knows only the global generator: it gets this step's seed, and the caller's state comes back.
                with torch.random.fork_rng(devices=devices):
                    seed_global(seed, device)
                    with autocast(device, self.params.dtype):
                        losses = phase.loss(batch)
                    losses["loss"].backward()
                ddp.average_gradients(list(phase.module.parameters()))
                parameters = [p for p in phase.module.parameters() if p.grad is not None]
                if phase.clip > 0:
                    nn.utils.clip_grad_norm_(parameters, phase.clip)
                optimizer.step()
                prefix = "" if len(self.phases) == 1 else f"{phase.name}_"
                for name, value in losses.items():
                    key = f"{prefix}{name}"
                    share = value.detach().float() / phase.repeats
                    step_sums[key] = step_sums.get(key, torch.zeros((), device=device)) + share
                if phase.ema is not None:
                    phase.ema.update(phase.module, (self.step - first) * phase.repeats + repeat + 1)
        if len(self.phases) > 1:
            for phase in self.phases:
                phase.module.requires_grad_(True)
        values = ddp.average(torch.stack([step_sums[k] for k in sorted(step_sums)])).tolist()
        for name, value in zip(sorted(step_sums), values, strict=True):
            if not math.isfinite(value):
                raise DivergedError(
                    f"loss {name!r} is {value} at step {self.step}; lower the learning rate or look at the train data. "
                    + self._last_good()
                )
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
        self.step += 1
        self.since_report += 1

    def check(self, score: float) -> None:
        """Keeps the best weights so far; decides whether to stop."""
        if not math.isfinite(score):
            raise DivergedError(
                f"the early-stopping score is {score} at step {self.step}; it must be a finite number. "
                + self._last_good()
            )
        if self.best is None or score < self.best:
            self.best = score
            self.best_tensors = {k: v.detach().clone() for k, v in self.result.state_dict().items()}
        if self.first is None or self.mark is None:
            self.first = self.mark = score
        elif score < self.mark - self.params.gain * (self.first - self.mark):
            self.mark, self.checks_without_better = score, 0
        else:
            self.checks_without_better += 1
            self.stopped = 0 < self.params.patience <= self.checks_without_better

    def report(self, score: float | None = None) -> None:
        # a state of an earlier version has no counts: each loss was there at every step
        losses = {name: total / self.counts.get(name, self.since_report) for name, total in self.sums.items()}
        if score is not None:
            losses["monitor"] = score
        self.history.append({"step": self.step, "losses": losses, "seconds": self.seconds})
        self.sums, self.counts, self.since_report = {}, {}, 0

    def _last_good(self) -> str:
        """What can be gone on from, for the message of a fit that diverged."""
        if self.saved is None:
            return "No checkpoint was written before it"
        step, path = self.saved
        return f"The last good checkpoint is that of step {step}: {path}"


def run(
    phases: Sequence[Phase],
    order: Order,
    params: LoopParams,
    *,
    device: torch.device,
    identity: str,
    result: nn.Module | None = None,
    checkpoints: Path | None = None,
    monitor: Callable[[], float] | None = None,
) -> Iterator[Report]:
    """Trains, and yields one report each `report_every` steps (also those of steps done before an interruption).

    result: the module whose best weights by `monitor` (lower is better) are in place at the end; None: that of the
    first phase, averaged if it has an EMA. identity: names data, parameters and numerics;
    only a state with the same one is resumed. The monitor first looks when every phase has begun and is steady, and
    those that end before the last step have ended: what came before is of a module that is not whole yet.
    Raises `DivergedError` where a loss or score is not finite (it names the step and the last good checkpoint),
    `ParamsError` where ranks cannot share the batch evenly or at some step no phase moves.
    """
    spans = [phase.bounds(params.steps) for phase in phases]
    if any(
        not any(first <= step < end for first, end in spans)
        for step in {0, *(end for _, end in spans)} - {params.steps}
    ):
        raise ParamsError(f"of {params.steps} steps some move no phase; the spans are {[p.span for p in phases]}")
    if params.batch_size % ddp.world_size():
        raise ParamsError(
            f"batch_size {params.batch_size} cannot be shared by {ddp.world_size()} workers; use a multiple of it"
        )
    whole = max(at for span in spans for at in span if at < params.steps)
    whole = max(whole, *(round(phase.steady * params.steps) for phase in phases))
    identity = f"{identity}:{derive_seed(repr(params), ddp.world_size(), str(device))}"
    if result is None:
        result = phases[0].module if phases[0].ema is None else phases[0].ema.module
    fit = _Fit(phases, result, params)
    _start(fit, checkpoints, identity)
    if fit.step and checkpoints is not None:
        fit.saved = fit.step, state_folder(checkpoints, fit.step)
    for entry in list(fit.history):
        yield _as_report(entry, params.steps)
    clock = time.monotonic()
    while fit.step < params.steps and not fit.stopped:
        fit.move(order, device)
        score = None
        last = fit.step == params.steps
        look = monitor is not None and params.monitor_every > 0 and fit.step > min(whole, params.steps - 1)
        if monitor is not None and look and (fit.step % params.monitor_every == 0 or last):
            score = ddp.from_first(monitor)
            fit.check(score)
        now = time.monotonic()
        fit.seconds, clock = fit.seconds + now - clock, now
        due = fit.step % params.report_every == 0 or last or score is not None
        if due:
            fit.report(score)
        if checkpoints is not None and (fit.step % params.checkpoint_every == 0 or last or fit.stopped):
            if ddp.rank() == 0:
                save_state(checkpoints, TrainingState(identity, fit.step, fit.tensors(), fit.meta()))
            ddp.wait()
            fit.saved = fit.step, state_folder(checkpoints, fit.step)
        if due:
            yield _as_report(fit.history[-1], params.steps)
    if fit.best is not None:
        result.load_state_dict(fit.best_tensors)


def _start(fit: _Fit, checkpoints: Path | None, identity: str) -> None:
    state = load_state(checkpoints, identity) if checkpoints is not None and ddp.rank() == 0 else None
    meta = ddp.broadcast_json(None if state is None else dict(state.meta))
    if meta is not None:
        fit.restore(meta, None if state is None else state.tensors)
    ddp.broadcast_tensors(fit.tensors())


def _as_report(entry: Mapping[str, Any], steps: int) -> Report:
    return Report(entry["step"], steps, entry["losses"], entry["seconds"])
