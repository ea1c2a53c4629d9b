"""What generators of lines share: from arrays of bytes to lines and back, checks, copies, save and load.

A generator of lines models layout "tokens" of the representation `utf8`. It sees lines and what is asked for; which
tokens it cuts them into is its own business.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch

from corpora.errors import IntegrityError, PayloadError, UserError
from corpora.fingerprint import hash_bytes
from corpora.schema import FROM
from features.representation import Spec
from features.text.utf8 import bytes_of
from generators.condition import ConditionFields, Conditions, encode_conditions, require_sources, train_conditions
from generators.fitting import FitOptions
from generators.generator import Condition, Device, Draw, Monitor, Progress, TrainData, require_layout
from generators.normalise import chunks
from generators.params import GeneratorParams, parse_params
from generators.trained import check_train_data, known_subjects
from training.checkpoint import load_model, save_tensors

FORMAT = 1
REPLACEMENT = "\ufffd"  # what a decoder puts where bytes are no UTF-8


def lines_of(arrays: np.ndarray) -> list[str]:
    """[n, T] bytes as numbers, 0 = padding -> n lines; "" for a row of padding alone.

    Raises `PayloadError`: not-bytes, not-utf8.
    """
    lines = []
    for row in np.asarray(arrays):
        data = bytes_of(row)
        try:
            lines.append(data.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise PayloadError("not-utf8", f"no UTF-8 at byte {error.start} of {data[:40]!r}") from error
    return lines


def arrays_of(lines: Sequence[str], spec: Spec) -> np.ndarray:
    """n lines -> [n, T] float32, the form of `features.text.utf8`. A line that is too long is cut at the end of a word,
    or where its first word is too long already, of a character: never in the middle of one. NUL has no place in it and
    is dropped."""
    room = spec.shape[0]
    arrays = np.zeros((len(lines), room), np.float32)
    for row, line in enumerate(lines):
        data = cut(line.replace("\0", ""), room).encode("utf-8")
        arrays[row, : len(data)] = np.frombuffer(data, np.uint8)
    return arrays


def cut(line: str, room: int) -> str:
    """The longest part of a line, from its start, that has at most `room` bytes of UTF-8 and ends with a word; where
    the first word is longer, with a character and all marks that belong to it.

    >>> cut("one two three", 9), cut("one two", 7), cut("naïveté", 3), cut("naïveté", 4)
    ('one two', 'one two', 'na', 'naï')
    """
    data = line.encode("utf-8", "replace")
    if len(data) <= room:
        return data.decode("utf-8")
    kept = data[:room].decode("utf-8", "ignore")
    if not line[len(kept)].isspace():
        words = kept.rsplit(None, 1)
        if len(words) == 2:
            return words[0]
        end = len(kept)
        while 0 < end < len(line) and (
            unicodedata.category(line[end])[0] == "M" or "\u200d" in line[end - 1 : end + 1]
        ):
            end -= 1
        kept = line[:end]
    return kept.rstrip()


def _joined(line: str, at: int) -> bool:
    """Whether what stands before a place and what stands there are one character: a mark, or a joiner beside it."""
    return unicodedata.category(line[at])[0] == "M" or "\u200d" in line[at - 1 : at + 1]


def same_line(line: str) -> int:
    """A number of 63 bits that lines share which differ in case, white space and signs at most: what counts as a copy.
    Of a line without letters and digits, the line itself decides."""
    bare = "".join(c if c.isalnum() else " " for c in unicodedata.normalize("NFKC", line).casefold())
    words = " ".join(bare.split()) or " ".join(line.split())
    return int(hash_bytes(words.encode("utf-8", "replace"))[:16], 16) >> 1


@dataclass(frozen=True, slots=True)
class TrainLines:
    """The train split as lines. labels: [N] int64 class of each; rows: those that may teach; `conditions`: what each
    stands under, in the form of `generators.condition`; data: the split itself (`data_fingerprint`)."""

    lines: tuple[str, ...]
    labels: np.ndarray
    rows: np.ndarray
    conditions: Conditions
    data: TrainData

    @property
    def seen(self) -> list[str]:
        """The lines that may teach."""
        return [self.lines[i] for i in self.rows]


@dataclass(frozen=True, slots=True)
class Asked:
    """One line that is wanted. Of a conversion: `source`, the line it starts from, and that one's class."""

    condition: Condition
    seed: int
    source: str = ""
    source_class: str = ""


class LineGenerator:
    """See `generators.generator.Generator`, whose methods these are. A generator brings `_learn`, `_write`, `_tensors`
    and `_restore`; with `takes = ("from",)` it converts, and what it is asked for names a source line."""

    name: ClassVar[str]
    Params: ClassVar[type[GeneratorParams]] = GeneratorParams
    takes: tuple[str, ...] = ()
    layouts: frozenset[str] = frozenset({"tokens"})
    trains: bool = True

    def __init__(self, spec: Spec, classes: Sequence[str], **params: Any) -> None:
        require_layout(self.name, type(self), spec)
        self.spec = spec
        self.classes = tuple(classes)
        self.params = parse_params(self.Params, params, self.name)
        self.fields = ConditionFields(rated=tuple(getattr(self.params, "rated", ())))
        self.source_emotions: dict[str, str] = {}
        self.known: frozenset[int] = frozenset()  # `same_line` of the lines it learned from
        self.fitted = False

    @classmethod
    def can_honour(cls, params: Mapping[str, Any]) -> frozenset[str]:
        """Names of `Condition.given` that a model with these parameters honours."""
        return frozenset((*params.get("honours", ()), *(("intensity",) if params.get("use_intensity") else ())))

    @property
    def honours(self) -> frozenset[str]:
        """Names of `Condition.given` that a draw may set."""
        return self.fields.names

    # -- what a generator brings

    def _learn(self, train: TrainLines, options: FitOptions) -> Iterator[Progress]:
        raise NotImplementedError

    def _write(self, asked: Sequence[Asked], device: Device) -> list[str]:
        """One line each; line i depends on asked[i] alone. "" where it has none to give: no decoder takes that."""
        raise NotImplementedError

    def _tensors(self) -> Mapping[str, torch.Tensor]:
        """What was learned, as tensors."""
        raise NotImplementedError

    def _learned(self) -> dict[str, Any]:
        """What was learned and is no tensor, as JSON keeps it."""
        return {}

    def _restore(self, tensors: Mapping[str, torch.Tensor], learned: Mapping[str, Any], device: Device) -> None:
        """Takes what `_tensors` and `_learned` gave. Raises `IntegrityError`, or `RuntimeError` of torch, where it does
        not fit."""
        raise NotImplementedError

    # -- the protocol

    def fit(
        self,
        data: TrainData,
        *,
        steps: int,
        seed: int,
        device: Device,
        checkpoints: Path | None = None,
        checkpoint_every: int = 500,
        monitor: Monitor | None = None,
        monitor_every: int = 0,
        patience: int = 0,
    ) -> Iterator[Progress]:
        """Learns from rows that are not held out. Raises `UserError` for train data it cannot learn from."""
        options = FitOptions(steps, seed, device, checkpoints, checkpoint_every, monitor, monitor_every, patience)
        train = self._train_lines(data)
        self.known = frozenset(same_line(line) for line in train.seen)
        yield from self._learn(train, options)
        self.fitted = True

    def _train_lines(self, data: TrainData) -> TrainLines:
        rows = check_train_data(data, self.spec, self.classes)
        lines: list[str] = []
        for part in chunks(data.arrays, np.arange(len(data.arrays))):
            for array in part:
                try:
                    lines += lines_of(array[None])
                except PayloadError as error:
                    raise UserError(f"train sample {data.ids[len(lines)]!r} is no text: {error}") from error
        for row in rows:
            if not lines[row].strip():
                raise UserError(f"train sample {data.ids[row]!r} is an empty line; leave it out")
        if self.takes:
            if len(self.classes) < 2:
                raise UserError(f"a conversion needs a class to come from; there is only {self.classes[0]!r}")
            self.source_emotions = dict(zip(data.ids, data.emotions, strict=True))
        if "subject" in getattr(self.params, "honours", ()):
            self.fields = replace(self.fields, subjects=known_subjects(data, rows))
        place = {name: k for k, name in enumerate(self.classes)}
        labels = np.array([place[e] for e in data.emotions], np.int64)
        return TrainLines(tuple(lines), labels, rows, train_conditions(data, self.fields), data)

    def sample(self, draws: Sequence[Draw], sources: np.ndarray | None = None, *, device: Device) -> np.ndarray:
        """draws (n) -> [n, max_bytes] float32. Raises `UserError` for a condition that the fitted model does not
        honour, and where draws and sources are not what `takes` says."""
        self._require_fitted()
        encode_conditions([d.condition for d in draws], self.classes, self.fields)  # refuses what is not honoured
        asked = self._asked(draws, sources)
        return arrays_of(self._write(asked, device) if asked else [], self.spec)

    def _asked(self, draws: Sequence[Draw], sources: np.ndarray | None) -> list[Asked]:
        if not self.takes:
            if sources is not None or any(d.sources for d in draws):
                raise UserError(f"generator {self.name} takes no sources; its draws name some")
            return [Asked(d.condition, d.seed) for d in draws]
        sources = require_sources(draws, sources, self.takes, self.spec, f"generator {self.name}")
        for draw in draws:
            if draw.sources[FROM] not in self.source_emotions:
                raise UserError(
                    f"source {draw.sources[FROM]!r} is not a train sample that this generator was fitted with"
                )
        return [
            Asked(draw.condition, draw.seed, line, self.source_emotions[draw.sources[FROM]])
            for draw, line in zip(draws, lines_of(sources), strict=True)
        ]

    def _is_new(self, line: str, source: str = "") -> bool:
        """Whether it is a line at all, fits, and is neither one of train nor its own source."""
        whole = line.strip() and REPLACEMENT not in line and "\0" not in line
        if not whole or len(line.encode("utf-8", "replace")) > self.spec.shape[0]:
            return False
        same = same_line(line)
        return same not in self.known and not (source and same == same_line(source))

    def save(self, folder: Path) -> None:
        """Writes model.safetensors and config.json."""
        self._require_fitted()
        known = torch.tensor(sorted(self.known), dtype=torch.int64)
        save_tensors(folder, {**self._tensors(), "known_lines": known}, self._config())

    @classmethod
    def load(cls, folder: Path, *, device: Device) -> Self:
        """Raises `IntegrityError` where the folder does not hold a model of this generator."""
        tensors, config = load_model(folder, cls.name, FORMAT, needs=("known_lines",))
        model = cls(Spec.from_json(config["spec"]), config["classes"], **config["params"])
        model.fields = replace(model.fields, subjects=tuple(config["subjects"]))
        model.source_emotions = dict(config["source_emotions"])
        model.known = frozenset(tensors.pop("known_lines").tolist())
        try:
            model._restore(tensors, config["learned"], device)
        except RuntimeError as error:
            raise IntegrityError(f"{folder} does not fit its own config: {error}") from error
        model.fitted = True
        return model

    def _require_fitted(self) -> None:
        if not self.fitted:
            raise UserError(f"generator {self.name} is not fitted yet; fit or load it first")

    def _config(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "generator": self.name,
            "spec": asdict(self.spec),
            "classes": list(self.classes),
            "params": self.params.model_dump(),
            "subjects": list(self.fields.subjects),
            "source_emotions": self.source_emotions,
            "learned": self._learned(),
        }
