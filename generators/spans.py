"""Samples of several lengths in one batch: groups of like lengths, each computed over its own columns.

Arrays with a mask row are padded to the longest sample that a representation holds. Columns are counted in spans of
`unit`, as many as a network's coarsest level makes of one; a sample has the spans that its valid columns reach into.
Which group a row is in depends on the row alone, never on what else is in its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from features.representation import Spec


def spans_of(x: torch.Tensor, spec: Spec, unit: int) -> torch.Tensor:
    """[B, C, H, W] normalised arrays -> [B] int64, how many spans of `unit` columns their valid ones reach into: at
    least 1. Valid are columns whose mask row is above 0."""
    assert spec.mask_row is not None
    valid = x[:, 0, spec.mask_row] > 0
    last = (valid * torch.arange(1, x.shape[-1] + 1, device=x.device)).amax(dim=1)
    return ((last + unit - 1) // unit).clamp(min=1)


def by_span(
    spans: torch.Tensor, compute: Callable[[torch.Tensor, int], torch.Tensor]
) -> torch.Tensor:
    """[B] spans -> the rows of compute(rows [b] int64, spans of them all), which may have any shape but [0] = b, in the
    order of the batch."""
    groups = [torch.nonzero(spans == n)[:, 0] for n in spans.unique().tolist()]
    results = [compute(rows, int(spans[rows[0]])) for rows in groups]
    return torch.cat(results)[torch.cat(groups).argsort()]


def padded_to(x: torch.Tensor, width: int, spec: Spec) -> torch.Tensor:
    """[b, C, H, w] normalised -> [b, C, H, width], whose further columns are padding: 0, and -1 in the mask row."""
    b, c, h, w = x.shape
    if w >= width:
        return x[..., :width]
    padding = x.new_zeros(h, 1)
    padding[spec.mask_row] = -1.0
    return torch.cat([x, padding.expand(b, c, h, width - w)], dim=-1)


def share_of_columns(lengths: Sequence[int], unit: int, width: int) -> float:
    """Columns that are computed of samples of these lengths (columns), as a share of `width` each."""
    computed = sum(min(-(-n // unit) * unit, width) for n in lengths)
    return computed / (width * len(lengths))
