"""When a fit ends: which train samples early stopping holds out, how often it looks, and what is said of it.

Unless a run says otherwise, a generator that knows a held-out loss (generators/held_out.py) is fitted until that loss
stalls, and `steps` is what it may take at most. One without such a loss, a GAN, is fitted for all its steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpora.errors import UserError
from flows.generating import GeneratorParams
from generators.generator import generator_class, no_criterion
from training.seeds import derive_seed

SHORT = 500  # steps; what a shorter fit could save is worth less than the samples that it would not see
LOOKS, EVERY = 40, 25  # looks at most in a fit, and steps between two of them at least
FEW_GROUPS = 10  # with fewer, samples are held out and no whole people: each is worth more to the generator
FEWEST_OF_CLASS = 5  # train samples of a class of which one is held out
FEWEST = 8  # held-out samples that say anything


@dataclass(frozen=True, slots=True)
class Stopping:
    """every: steps between looks, 0 for none. held_out: [N] bool, what gradients never see. because: where nothing is
    looked at, why; else ""."""

    every: int
    held_out: np.ndarray
    because: str = ""


def foreseen(generator: GeneratorParams) -> tuple[int, str]:
    """-> (steps between looks, "") or (0, why all steps are done), from parameters alone."""
    if not generator_class(generator.name).trains:
        return 0, "a closed form"
    if generator.early_stop.every is not None:
        every = generator.early_stop.every
        return every, "" if every else "generator.early_stop.every is 0"
    reason = no_criterion(generator.name, generator_class(generator.name), generator.params)
    if not reason and generator.steps < SHORT:
        reason = f"a fit of fewer than {SHORT} steps is not stopped early"
    return (0, reason) if reason else (max(EVERY, generator.steps // LOOKS), "")


def stopping_of(generator: GeneratorParams, groups: Sequence[str], emotions: Sequence[str], seed: int) -> Stopping:
    """groups, emotions: N, of the train samples. The same for the same seed. Raises `UserError` where a run asks for
    looks and has too few groups to hold some out; where it does not ask, such a fit does all its steps."""
    every, reason = foreseen(generator)
    nobody = np.zeros(len(groups), bool)
    if not every:
        return Stopping(0, nobody, reason)
    share = generator.early_stop.share
    if generator.early_stop.every is not None:
        return Stopping(every, of_groups(groups, share, seed))
    if len(set(groups)) >= FEW_GROUPS and "subject" not in generator_class(generator.name).can_honour(generator.params):
        held = of_groups(groups, share, seed)
        if held.sum() >= FEWEST and set(np.asarray(emotions)[~held]) == set(emotions):
            return Stopping(every, held)
    held = _of_samples(emotions, share, seed)
    if held.sum() < FEWEST:
        return Stopping(0, nobody, f"{len(groups)} train samples are too few to hold {FEWEST} of them out")
    return Stopping(every, held)


def of_groups(groups: Sequence[str], share: float, seed: int) -> np.ndarray:
    """[N] bool: the samples of `held_out_groups`."""
    held = held_out_groups(tuple(groups), share, seed)
    return np.array([group in held for group in groups], bool)


def held_out_groups(groups: tuple[str, ...], share: float, seed: int) -> frozenset[str]:
    """At least one group and never all; the same for the same seed."""
    unique = sorted(set(groups))
    if len(unique) < 3:
        raise UserError(
            f"early stopping needs at least 3 train groups to hold some out; there are {len(unique)}. "
            "Set generator.early_stop.every to 0."
        )
    n = min(max(1, round(share * len(unique))), len(unique) - 2)
    chosen = np.random.default_rng(derive_seed("held-out", seed)).choice(len(unique), n, replace=False)
    return frozenset(unique[i] for i in chosen)


def _of_samples(emotions: Sequence[str], share: float, seed: int) -> np.ndarray:
    """[N] bool: that share of each class, at least one of `FEWEST_OF_CLASS` or more; of a smaller class none."""
    labels, held = np.asarray(emotions), np.zeros(len(emotions), bool)
    for name in sorted(set(emotions)):
        own = np.flatnonzero(labels == name)
        if len(own) >= FEWEST_OF_CLASS:
            n = min(max(1, round(share * len(own))), len(own) - 1)
            rng = np.random.default_rng(derive_seed("held-out samples", seed, name))
            held[rng.choice(own, n, replace=False)] = True
    return held


def says_when(generator: GeneratorParams) -> str:
    """When a fit with these parameters ends, for who plans a run; "" of a closed form."""
    every, reason = foreseen(generator)
    if not generator_class(generator.name).trains:
        return ""
    if not every:
        return f"the fit of {generator.name} takes all its {generator.steps:,} steps: {reason}"
    return (
        f"the fit of {generator.name} ends where it stalls on held-out train samples, after {generator.steps:,} steps "
        f"at most (a look every {every} steps)"
    )


def ended(generator: GeneratorParams, stopping: Stopping, scores: Sequence[tuple[int, float]], done: int) -> str:
    """Why a fit ended after `done` steps. scores: (step, score) of each look."""
    if not stopping.every:
        return f"after all {done:,} steps: {stopping.because}"
    if not scores:
        return f"after all {done:,} steps: no look was due before"
    best, held = min(scores, key=lambda one: one[1])[0], int(stopping.held_out.sum())
    kept = f"the weights are those of step {best:,}, the best of {len(scores)} looks at {held} held-out samples"
    if done < generator.steps:
        looks = generator.early_stop.patience
        return f"at step {done:,} of at most {generator.steps:,}: no progress in {looks} looks; {kept}"
    return f"after all {done:,} steps, still making progress; {kept}"
