"""From logits to pieces: temperature, the likeliest pieces, no repeated runs; one random generator a draw.

A piece is the one at which the cumulative distribution passes a uniform number of its own draw: lines that are computed
beside others differ from lines that are computed alone only where that number lies within rounding of an edge.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from training.seeds import generator


class Chances:
    """Uniform numbers of some draws: number k of draw i depends on its seed and k alone."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._generators = [generator(seed) for seed in seeds]

    def take(self, rows: Sequence[int], count: int) -> torch.Tensor:
        """[len(rows), count] float64: the next ones of each of these draws."""
        numbers = [torch.rand(count, generator=self._generators[i], dtype=torch.float64) for i in rows]
        return torch.stack(numbers) if numbers else torch.zeros(0, count, dtype=torch.float64)


def drawn(logits: torch.Tensor, chance: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """[n, pieces] logits (-inf: never), [n] uniform numbers -> [n] int64.

    top_p: of the likeliest pieces whose shares sum to it (Holtzman et al. 2020, arXiv 1904.09751).
    """
    shares = torch.softmax(logits.double() / temperature, dim=-1)
    if top_p < 1.0:
        shares = shares.masked_fill(~nucleus(shares, top_p), 0.0)
    whole = shares.cumsum(-1)
    point = chance.to(whole.device)[:, None] * whole[:, -1:]
    chosen = torch.searchsorted(whole, point, right=True)[:, 0]
    likeliest_last = shares.shape[-1] - 1 - (shares.flip(-1) > 0).int().argmax(-1)  # where rounding passed the end
    return torch.minimum(chosen, likeliest_last)


def nucleus(shares: torch.Tensor, top_p: float) -> torch.Tensor:
    """[n, pieces] shares -> [n, pieces] bool: the likeliest pieces until they have `top_p` together; of equally likely
    ones those of lower number first.

    Only values are sorted, no places: torch's sort, which knows both, takes longer on a CPU than the network does.
    """
    ordered = falling(shares)
    count = (ordered.cumsum(-1) - ordered < top_p).sum(-1, keepdim=True)  # the first one always is
    least = ordered.gather(-1, count - 1)
    kept = shares >= least
    tied = kept.sum(-1) > count[:, 0]
    if bool(tied.any()):
        more = shares[tied] > least[tied]
        same = shares[tied] == least[tied]
        room = count[tied] - more.sum(-1, keepdim=True)
        kept[tied] = more | (same & (same.cumsum(-1) <= room))
    return kept


def falling(values: torch.Tensor) -> torch.Tensor:
    """[n, k] -> each row from its largest to its smallest."""
    if values.device.type == "cpu":
        return torch.from_numpy(-np.sort(-values.numpy(), axis=-1))
    return values.sort(dim=-1, descending=True).values


def penalise(logits: torch.Tensor, rows: Sequence[Sequence[int]], penalty: float) -> torch.Tensor:
    """Pieces that a line has already get logits divided by `penalty` where positive, multiplied where negative (Keskar
    et al. 2019, section 4.1). 1: as they are."""
    if penalty == 1.0:
        return logits
    out = logits.clone()
    for i, row in enumerate(rows):
        if row:
            seen = torch.tensor(sorted(set(row)), device=logits.device)
            values = logits[i, seen]
            out[i, seen] = torch.where(values > 0, values / penalty, values * penalty)
    return out


def forbidden(row: Sequence[int], run: int) -> list[int]:
    """Pieces that would end a run of `run` pieces which the line has already; 0: none."""
    if run == 0 or len(row) < run:
        return []
    last = tuple(row[len(row) - run + 1 :])
    return sorted({row[i + run - 1] for i in range(len(row) - run + 1) if tuple(row[i : i + run - 1]) == last})


def block(logits: torch.Tensor, rows: Sequence[Sequence[int]], run: int) -> torch.Tensor:
    """`forbidden` pieces of each line at -inf."""
    places = [(i, piece) for i, row in enumerate(rows) for piece in forbidden(row, run)]
    if not places:
        return logits
    index = torch.from_numpy(np.array(places, np.int64)).to(logits.device)
    out = logits.clone()
    out[index[:, 0], index[:, 1]] = -torch.inf
    return out
