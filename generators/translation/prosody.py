"""Speech with its F0 taken apart into time scales, so that a network can move phrases and syllables by themselves."""

from __future__ import annotations

import torch
from torch import nn

from corpora.errors import ParamsError
from features.representation import Spec
from features.speech.cwt import operator
from generators.translation.networks import Translated, Translator, TranslatorOptions

ROW = "log_f0"
SPREAD_FLOOR = 1e-3  # a scale that is the same everywhere must not be blown up


class ScaleRows(nn.Module):
    """Normalised arrays of a representation with a row of log-F0 <-> the same with rows of its wavelet components and
    the rest in its place, each of spread 1 over train (features/speech/cwt.py).

    `spec`: of the latter; the other rows first, then the scales, then the mask row where there is one.
    """

    spread: torch.Tensor  # [scales + 1, 1]

    def __init__(self, spec: Spec, scales: int) -> None:
        super().__init__()
        if spec.layout != "rows" or ROW not in spec.rows or spec.rate_hz is None:
            raise ParamsError(
                f"wavelets of F0 want a representation with a row {ROW}, as world has; {spec.name} has none. Choose "
                "another representation or leave prosody out"
            )
        self.row, self.count = spec.rows.index(ROW), scales + 1
        self.mask = spec.mask_row
        self.others = [i for i in range(len(spec.rows)) if i not in (self.row, self.mask)]
        names = (*(spec.rows[i] for i in self.others), *(f"{ROW}_scale_{i}" for i in range(scales)), f"{ROW}_rest")
        whole = names if self.mask is None else (*names, spec.rows[self.mask])
        self.columns = spec.grid[2]
        self.spec = Spec(
            f"{spec.name}-cwt",
            (len(whole), self.columns),
            layout="rows",
            rows=whole,
            units=("",) * len(whole),
            rate_hz=spec.rate_hz,
            mask_row=None if self.mask is None else len(names),
        )
        kernel = torch.from_numpy(operator(self.columns, 1.0 / spec.rate_hz, scales)).float()
        self.register_buffer("kernel", kernel, persistent=False)
        self.register_buffer("spread", torch.ones(self.count, 1))

    @property
    def scale_rows(self) -> slice:
        """Where the components lie among the rows."""
        return slice(len(self.others), len(self.others) + self.count)

    @torch.no_grad()
    def fit(self, x: torch.Tensor) -> None:
        """Spread of each component over x [N, 1, H, W], normalised train arrays."""
        self.spread.fill_(1.0)
        for i, row in enumerate(range(self.scale_rows.start, self.scale_rows.stop)):
            values = torch.cat([self.expand(part)[:, 0, row].flatten() for part in x.split(256)])
            self.spread[i] = values.std(correction=0).clamp(min=SPREAD_FLOOR)

    def expand(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 1, H, W] -> [B, 1, H + scales, W]."""
        contour = self._held(x)  # [B, W]
        parts = torch.einsum("sij,bj->bsi", self.kernel, contour) / self.spread
        parts = parts * self._inside(x)
        rows = [x[:, 0, self.others], parts]
        return torch.cat([*rows, *([] if self.mask is None else [x[:, 0, [self.mask]]])], dim=1)[:, None]

    def collapse(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 1, H + scales, W] -> [B, 1, H, W]: components added up."""
        rows: list[torch.Tensor] = [x[:, 0, 0]] * (self.spec.shape[0] - self.count + 1)
        for place, row in enumerate(self.others):
            rows[row] = x[:, 0, place]
        rows[self.row] = (x[:, 0, self.scale_rows] * self.spread).sum(dim=1)
        if self.mask is not None:
            rows[self.mask] = x[:, 0, -1]
        return torch.stack(rows, dim=1)[:, None]

    def _inside(self, x: torch.Tensor) -> torch.Tensor:
        if self.mask is None:
            return torch.ones_like(x[:, 0, :1])
        return (x[:, 0, [self.mask]] > 0).to(x.dtype)

    def _held(self, x: torch.Tensor) -> torch.Tensor:
        """[B, W] contours whose padding goes on with the last valid value: a jump there is no prosody."""
        contour = x[:, 0, self.row].float()
        if self.mask is None:
            return contour
        last = self._inside(x)[:, 0].sum(dim=1).long().clamp(min=1) - 1
        place = torch.minimum(torch.arange(self.columns, device=x.device)[None], last[:, None])
        return contour.gather(1, place)


class TwoMappings(nn.Module):
    """A translator of the spectrum and one of the scales of F0, neither of which sees the other's rows. Zhou et al.
    2020 (Odyssey) train the two apart; here they share their loss."""

    def __init__(self, rows: ScaleRows, embedding: int, options: TranslatorOptions) -> None:
        super().__init__()
        self.split = len(rows.others)
        self.masked = rows.mask is not None
        self.spectrum = Translator(_part(rows, slice(0, self.split)), embedding, options)
        self.prosody = Translator(_part(rows, rows.scale_rows), embedding, options)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> Translated:
        """x [B, 1, rows, W] of `ScaleRows.expand`."""
        end = x.shape[2] - self.masked
        mask = x[:, :, end:]
        spectrum = self.spectrum(torch.cat([x[:, :, : self.split], mask], dim=2), embedding)
        prosody = self.prosody(torch.cat([x[:, :, self.split : end], mask], dim=2), embedding)
        parts = [spectrum.y[:, :, : self.split], prosody.y]
        if spectrum.attention is None or prosody.attention is None:
            return Translated(torch.cat(parts, dim=2), None)
        maps = torch.cat([spectrum.attention[:, :, : self.split], prosody.attention], dim=2)
        return Translated(torch.cat(parts, dim=2), maps)


def _part(rows: ScaleRows, chosen: slice) -> Spec:
    spec = rows.spec
    names = spec.rows[chosen] if rows.mask is None else (*spec.rows[chosen], spec.rows[-1])
    return Spec(
        spec.name,
        (len(names), rows.columns),
        layout="rows",
        rows=names,
        units=("",) * len(names),
        rate_hz=spec.rate_hz,
        mask_row=None if rows.mask is None else len(names) - 1,
    )
