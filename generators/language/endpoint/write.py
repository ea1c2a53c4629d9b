"""endpoint: a language model behind an address writes new lines of a class, after examples of train."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from corpora.errors import IntegrityError
from generators.fitting import FitOptions
from generators.generator import Device, Progress
from generators.language.endpoint.asking import AskingGenerator
from generators.language.endpoint.params import WriteParams
from generators.language.endpoint.prompts import Messages, write_messages
from generators.language.lines import Asked, TrainLines, arrays_of, lines_of
from training.seeds import derive_seed


class Endpoint(AskingGenerator):
    """Few-shot generation by a chat-completions endpoint; what is promised of the same draw stands in `asking`.

    The examples are train lines that are not held out, of the class that is asked for (of a mixture: of its classes, by
    their shares), chosen by the draw's seed. They leave the machine. A line that repeats a train line is rejected.
    """

    name: ClassVar[str] = "endpoint"
    Params: ClassVar[type[WriteParams]] = WriteParams
    params: WriteParams

    def __init__(self, *args: Any, **params: Any) -> None:
        super().__init__(*args, **params)
        self._pool: dict[str, list[str]] = {}  # class -> its train lines

    def _learn(self, train: TrainLines, options: FitOptions) -> Iterator[Progress]:
        if self.params.shots:
            self._pool = {
                name: [train.lines[i] for i in train.rows if train.labels[i] == k]
                for k, name in enumerate(self.classes)
            }
        yield from super()._learn(train, options)

    def examples(self, asked: Asked, seed: int) -> list[str]:
        """Train lines for a prompt: `shots` of them, fewer where the class has fewer, each once."""
        rng = np.random.default_rng(derive_seed("shots", seed))
        shares = asked.condition.shares
        left = {name: list(rng.permutation(len(self._pool.get(name, ())))) for name in shares}
        chosen: list[str] = []
        while len(chosen) < self.params.shots and any(left.values()):
            names = [name for name in shares if left[name]]
            weights = np.array([shares[name] for name in names])
            name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
            chosen.append(self._pool[name][int(left[name].pop())])
        return chosen

    def _line(self, asked: Asked, seed: int, ask: Callable[[Messages, int], str]) -> str:
        return ask(write_messages(self.params, self._emotion(asked), self.examples(asked, seed)), seed)

    def _tensors(self) -> Mapping[str, torch.Tensor]:
        lines = [line for name in self.classes for line in self._pool.get(name, ())]
        return {"pool": torch.from_numpy(arrays_of(lines, self.spec).astype(np.uint8))}

    def _learned(self) -> dict[str, Any]:
        return {"pool": [len(self._pool.get(name, ())) for name in self.classes]}

    def _restore(self, tensors: Mapping[str, torch.Tensor], learned: Mapping[str, Any], device: Device) -> None:
        if set(tensors) != {"pool"} or sum(learned.get("pool", ())) != len(tensors["pool"]):
            raise IntegrityError(f"a model of {self.name} without the lines that its config counts; fit it again")
        lines = iter(lines_of(tensors["pool"].numpy()))
        self._pool = {
            name: [next(lines) for _ in range(n)] for name, n in zip(self.classes, learned["pool"], strict=True)
        }
