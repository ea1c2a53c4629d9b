"""Ancestral sampling with one stream of random numbers a line, for both kinds of language models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from training.seeds import generator


def uniforms(seeds: Sequence[int], n: int) -> torch.Tensor:
    """n numbers in [0, 1) for each seed: [len(seeds), n] float64; row i comes from seeds[i] alone."""
    return torch.stack([torch.rand(n, generator=generator(seed), dtype=torch.float64) for seed in seeds])


def pick(logits: torch.Tensor, u: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """[n, V] logits and [n] uniform numbers -> [n] tokens, of the smallest set of likeliest tokens that has the share
    top_p (Holtzman 2020, nucleus sampling). temperature 0: the likeliest."""
    if temperature == 0.0:
        return logits.argmax(dim=1)
    shares, order = torch.softmax(logits.double() / temperature, dim=1).sort(dim=1, descending=True, stable=True)
    before = shares.cumsum(dim=1) - shares
    kept = torch.where(before < top_p, shares, 0.0)
    reached = kept.cumsum(dim=1)
    place = torch.searchsorted(reached, u[:, None].to(reached.device) * reached[:, -1:], right=True)
    last = (kept > 0).sum(dim=1, keepdim=True) - 1
    return order.gather(1, torch.minimum(place, last))[:, 0]


Step = Callable[[torch.Tensor | None, Any], tuple[torch.Tensor, Any]]


def decode(
    step: Step, seeds: Sequence[int], end: int, *, longest: int, temperature: float, top_p: float
) -> list[list[int]]:
    """-> tokens of each line, without the end. step(last tokens [n, 1] or None at the start, cache) -> logits [n, V] of
    the next token, and the cache."""
    u = uniforms(seeds, longest)
    lines: list[list[int]] = [[] for _ in seeds]
    open_lines = [True] * len(seeds)
    last: torch.Tensor | None = None
    cache: Any = None
    for t in range(longest):
        logits, cache = step(last, cache)
        tokens = pick(logits, u[:, t], temperature, top_p)
        for i, token in enumerate(tokens.tolist()):
            open_lines[i] = open_lines[i] and token != end
            if open_lines[i]:
                lines[i].append(token)
        if not any(open_lines):
            break
        last = tokens[:, None]
    return lines
