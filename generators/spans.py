"""Samples of several lengths in one batch: groups of like lengths, each computed over its own columns.

Arrays with a mask row are padded to the longest sample that a representation holds. Columns are counted in spans of
`unit`, as many as a network's coarsest level makes of one; a sample has the spans that its valid columns reach into.
Which group a row is in depends on the row alone, never on what else is in its batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from features.representation import Spec


def spans_of(x: torch.Tensor, spec: Spec, unit: int) -> torch.Tensor:
    """[B, C, H, W] normalised arrays -> [B] int64, how many spans of `unit` columns their valid ones reach into: at
    least 1. Valid are columns whose mask row is above 0."""
    assert spec.mask_row is not None
    valid = x[:, 0, spec.mask_row] > 0
    last = (valid * torch.arange(1, x.shape[-1] + 1, device=x.device)).amax(dim=1)
    return ((last + unit - 1) // unit).clamp(min=1)


def by_span(spans: torch.Tensor, compute: Callable[[torch.Tensor, int], torch.Tensor]) -> torch.Tensor:
    """[B] spans -> the rows of compute(rows [b] int64, spans of them all), which may have any shape but [0] = b, in the
    order of the batch."""
    groups = [torch.nonzero(spans == n)[:, 0] for n in spans.unique().tolist()]
    results = [compute(rows, int(spans[rows[0]])) for rows in groups]
    return torch.cat(results)[torch.cat(groups).argsort()]


def padded_to(x: torch.Tensor, n: int, unit: int, spec: Spec) -> torch.Tensor:
    """[b, C, H, n * unit] normalised arrays of n spans -> [b, C, H, W], with what is known of these: columns before the
    last span are valid (mask row 1), those after it are padding (0; mask row -1)."""
    width = spec.grid[2]
    b, c, h, w = x.shape
    assert spec.mask_row is not None
    known = torch.zeros(h, w, dtype=torch.bool, device=x.device)
    known[spec.mask_row, : (n - 1) * unit] = True
    x = torch.where(known, torch.ones_like(x), x)
    if w >= width:
        return x[..., :width]
    padding = x.new_zeros(h, 1)
    padding[spec.mask_row] = -1.0
    return torch.cat([x, padding.expand(b, c, h, width - w)], dim=-1)
