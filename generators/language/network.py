"""What generators of lines with a network of our own share: pieces and weights are learned from train lines alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from corpora.errors import IntegrityError, ParamsError, UserError
from generators.condition import Conditions, encode_conditions
from generators.fitting import FitOptions, Taught, initialised, steps_of
from generators.generator import Device, Progress, TrainData
from generators.language.drawing import Chances
from generators.language.experts import Experts
from generators.language.lines import Asked, LineGenerator, TrainLines, lines_of
from generators.language.pieces import Pieces
from generators.language.transformer import PieceTransformer, Size
from generators.params import TrainedParams
from generators.trained import FORMAT, data_fingerprint
from training.device import autocast, resolve_device
from training.ema import Ema
from training.loop import Losses, Minibatch, Phase
from training.seeds import derive_seed

LINES_AT_ONCE = 256


class LanguageParams(TrainedParams):
    """What the language models of our own share."""

    lr: float = Field(2e-3, gt=0, le=1, description="learning rate of Adam after the warm-up")
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW's decay of weights")
    vocabulary: int = Field(
        2000, ge=300, le=100_000, description="pieces of words, learned from train by joining pairs"
    )
    width: int = Field(128, ge=8, le=4096, description="numbers that a piece is described by")
    layers: int = Field(4, ge=1, le=96, description="blocks of the transformer")
    heads: int = Field(4, ge=1, le=128, description="of attention; width is a multiple")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of numbers that a training step leaves out")
    control: Literal["first", "every"] = Field(
        "first", description="first: what is asked for is a token before the line; every: it is added to every token"
    )
    temperature: float = Field(1.0, gt=0, le=10, description="1: as learned; less: likelier pieces")
    top_p: float = Field(0.95, gt=0, le=1, description="draw from the likeliest pieces that have this share together")
    redraws: int = Field(8, ge=0, le=1000, description="how often a line that copies one of train is drawn again")


class NetworkLines(LineGenerator):
    """A generator brings `_loss`, `_places`, `_nats` and `_attempt`."""

    Params: ClassVar[type[LanguageParams]] = LanguageParams
    params: LanguageParams

    def __init__(self, spec: Any, classes: Sequence[str], **params: Any) -> None:
        super().__init__(spec, classes, **params)
        if self.params.width % self.params.heads:
            raise ParamsError(
                f"generator {self.name}: width {self.params.width} is no multiple of heads {self.params.heads}"
            )
        self.pieces: Pieces | None = None
        self.network: PieceTransformer | Experts | None = None

    # -- what a generator brings

    def _prepare(self, train: TrainLines) -> None:
        """What is learned beside the network, before it is built."""

    def _places(self, ids: Sequence[Sequence[int]]) -> int:
        """Places of the network, from the pieces of the lines that teach."""
        raise NotImplementedError

    def _rivals(
        self, network: PieceTransformer | Experts, train: TrainLines, where: torch.device, seed: int
    ) -> list[Phase]:
        """Phases beside that of the network, built before its loss is."""
        return []

    def _loss(self, network: Any, train: TrainLines, where: torch.device) -> Callable[[Minibatch], Losses]:
        raise NotImplementedError

    # -- the fit

    def _learn(self, train: TrainLines, options: FitOptions) -> Iterator[Progress]:
        p, where = self.params, resolve_device(options.device.kind)
        self.pieces = Pieces.learn(train.seen, p.vocabulary)
        self._prepare(train)
        places = self._places(self.pieces.ids(train.seen))
        with initialised(derive_seed(options.seed, "init", self.name)):
            network = self._build(places)
        network.to(where)
        ema = Ema(network, p.ema_std)
        rivals = self._rivals(network, train, where, options.seed)
        phase = Phase(
            "lm", network, self._loss(network, train, where), p.lr, weight_decay=p.weight_decay, clip=p.clip, ema=ema
        )
        assert isinstance(ema.module, PieceTransformer | Experts)
        self.network, self.fitted = ema.module, True  # a monitor samples while the fit goes on
        monitor, rows = options.monitor, train.rows
        config = {k: v for k, v in self._config().items() if k != "learned"}
        identity = repr((FORMAT, config, data_fingerprint(train.data), asdict(options.device)))
        taught = Taught(rows, [train.data.emotions[i] for i in rows], identity)
        score = None if monitor is None else lambda: float(monitor(self))
        yield from steps_of([phase, *rivals], p, options, taught, result=ema.module, score=score)
        ema.module.eval().requires_grad_(False)

    def _build(self, places: int) -> PieceTransformer | Experts:
        return PieceTransformer(self._size(places), len(self.classes), self.fields)

    def _size(self, places: int) -> Size:
        p = self.params
        return Size(len(self._known_pieces()), places, p.width, p.layers, p.heads, p.dropout, p.control == "every")

    # -- what a monitor asks

    def held_out_loss(self, data: TrainData, device: Device) -> float:
        """Nats a piece of the held-out lines: mean over the classes that have some. Lower is better. Raises `UserError`
        where none is held out."""
        held = np.flatnonzero(data.held_out)
        if not len(held):
            raise UserError("no train line is held out, so there is nothing to stop early by; hold out more")
        lines = lines_of(np.asarray(data.arrays[held]))
        of_class = []
        for name in self.classes:
            own = [i for i, row in enumerate(held) if data.emotions[row] == name]
            if own:
                of_class.append(self._nats([lines[i] for i in own], name, device))
        return float(np.mean(of_class))

    def _nats(self, lines: Sequence[str], emotion: str, device: Device) -> float:
        """Nats a piece of lines of one class."""
        raise NotImplementedError

    # -- drawing

    def _conditions(self, asked: Sequence[Asked], where: torch.device) -> Conditions:
        encoded = encode_conditions([a.condition for a in asked], self.classes, self.fields)
        return {name: values.to(where) for name, values in encoded.items()}

    def _write(self, asked: Sequence[Asked], device: Device) -> list[str]:
        where = resolve_device(device.kind)
        self._network().to(where)
        written: list[str] = []
        for start in range(0, len(asked), LINES_AT_ONCE):
            with torch.inference_mode(), autocast(where, device.dtype):
                written += self._write_some(asked[start : start + LINES_AT_ONCE], where)
        return written

    def _write_some(self, asked: Sequence[Asked], where: torch.device) -> list[str]:
        """Draws again, from the same draw's generator, what is not new; "" after `redraws` of them."""
        conditions = self._conditions(asked, where)
        chances = Chances([a.seed for a in asked])
        written = [""] * len(asked)
        wanted = list(range(len(asked)))
        for _ in range(self.params.redraws + 1):
            some = {name: values[wanted] for name, values in conditions.items()}
            lines = self._attempt([asked[i] for i in wanted], some, chances.take(wanted, self._network().size.places))
            for i, line in zip(wanted, lines, strict=True):
                if self._is_new(line, asked[i].source):
                    written[i] = line
            wanted = [i for i in wanted if not written[i]]
            if not wanted:
                break
        return written

    def _attempt(self, asked: Sequence[Asked], conditions: Conditions, chance: torch.Tensor) -> list[str]:
        """chance: [n, places] float64, uniform -> a line each; "" where it came to none."""
        raise NotImplementedError

    # -- state

    def _network(self) -> Any:
        assert self.network is not None
        return self.network

    def _known_pieces(self) -> Pieces:
        assert self.pieces is not None
        return self.pieces

    def _tensors(self) -> Mapping[str, torch.Tensor]:
        return {f"network.{name}": value for name, value in self._network().state_dict().items()}

    def _learned(self) -> dict[str, Any]:
        return {"pieces": self._known_pieces().to_json(), "places": self._network().size.places}

    def _restore(self, tensors: Mapping[str, torch.Tensor], learned: Mapping[str, Any], device: Device) -> None:
        try:
            self.pieces = Pieces(learned["pieces"])
            places = int(learned["places"])
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(
                f"the config of generator {self.name} lacks its pieces ({error}); fit it again"
            ) from error
        with torch.random.fork_rng(devices=[]):
            network = self._build(places)
        network.load_state_dict({name.removeprefix("network."): value for name, value in tensors.items()})
        self.network = network.eval().requires_grad_(False).to(resolve_device(device.kind))
