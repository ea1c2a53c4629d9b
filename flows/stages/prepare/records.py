"""What the worker of `prepare` is asked and what it leaves in the work store: a request and a record for each sample.

A prepared sample is named by what it is made of (`sample_key`) and lies in a pack: up to 64 samples in one item of the
store. Its record says where in the pack's arrays its bytes are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from corpora.fingerprint import hash_json
from corpora.schema import Signal
from features.steps import Reads

Place = tuple[int, int]  # first byte and the one behind the last, in the bytes of a pack


@dataclass(frozen=True, slots=True)
class Facts:
    """What the steps look at beside the payload (`features.steps.Reads`); what they do not look at is empty."""

    codec: str
    signals: tuple[Signal, ...] = ()
    extra: Mapping[str, str] | None = None
    reader: str = ""

    @classmethod
    def of(cls, row: Mapping[str, Any], reader: str, reads: Reads) -> Facts:
        """Of a row of SAMPLES. `reader`: name on its corpus' card."""
        extra = dict(row["extra"] or ())
        return cls(
            codec=row["codec"],
            signals=tuple(Signal.from_row(s) for s in row["signals"] or ()) if reads.signals else (),
            extra={name: extra[name] for name in sorted(reads.extra & extra.keys())},
            reader=reader if reads.reader else "",
        )


def sample_key(sha256: str, facts: Facts) -> str:
    """40 hex digits: of the payload's sha256 and the facts that the steps look at, and of nothing else."""
    return hash_json([sha256, asdict(facts)])[:40]


@dataclass(frozen=True, slots=True)
class Request:
    """One sample to prepare: where its payload lies (`shard`: absolute path of the tar), and its facts."""

    key: str
    sample_id: str  # for errors: any sample with this payload and these facts
    shard: str
    offset: int
    n_bytes: int
    sha256: str
    facts: Facts

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, whole: Mapping[str, Any]) -> Request:
        """What `to_json` wrote. Raises `KeyError` or `TypeError` for anything else."""
        facts = dict(whole["facts"])
        signals = tuple(Signal.from_row(s) for s in facts.pop("signals"))
        return cls(**{**whole, "facts": Facts(signals=signals, **facts)})


@dataclass(frozen=True, slots=True)
class CodedAs:
    """What a record says of a payload that went through the representation and back."""

    codec: str
    duration_s: float | None
    signals: tuple[Signal, ...]

    @classmethod
    def from_json(cls, whole: Mapping[str, Any]) -> CodedAs:
        """Of plain JSON values. Raises `KeyError` or `TypeError` where one is missing."""
        signals = tuple(Signal.from_row(s) for s in whole["signals"])
        return cls(str(whole["codec"]), whole["duration_s"], signals)


@dataclass(frozen=True, slots=True)
class PreparedPiece:
    """One prepared payload of a sample, as `features.steps.Piece` describes it. `row`: of the pack's "arrays", -1 where
    it is not encoded; `not_encoded`: then the reason and its detail. `payload`, `coded`: places in the pack's bytes.
    `coded_as`: of the coded one; None where none is kept."""

    suffix: str
    duration_s: float | None
    start_s: float | None
    stop_s: float | None
    signals: tuple[Signal, ...]
    notes: Mapping[str, str]
    counted: tuple[str, ...]
    row: int
    not_encoded: tuple[str, str] | None
    payload: Place
    coded: Place
    coded_as: CodedAs | None = None

    @classmethod
    def from_json(cls, whole: Mapping[str, Any]) -> PreparedPiece:
        """As `PackRecord.from_json`."""
        reason = whole["not_encoded"]
        return cls(
            suffix=whole["suffix"],
            duration_s=whole["duration_s"],
            start_s=whole["start_s"],
            stop_s=whole["stop_s"],
            signals=tuple(Signal.from_row(s) for s in whole["signals"]),
            notes=dict(whole["notes"]),
            counted=tuple(whole["counted"]),
            row=int(whole["row"]),
            not_encoded=None if reason is None else (reason[0], reason[1]),
            payload=(whole["payload"][0], whole["payload"][1]),
            coded=(whole["coded"][0], whole["coded"][1]),
            coded_as=None if whole["coded_as"] is None else CodedAs.from_json(whole["coded_as"]),
        )


@dataclass(frozen=True, slots=True)
class PreparedSample:
    """What became of one sample: its pieces, or the reason slug and detail for which it was rejected."""

    key: str
    error: tuple[str, str] | None
    pieces: tuple[PreparedPiece, ...] = ()

    @classmethod
    def from_json(cls, whole: Mapping[str, Any]) -> PreparedSample:
        """As `PackRecord.from_json`."""
        reason = whole["error"]
        pieces = tuple(PreparedPiece.from_json(piece) for piece in whole["pieces"])
        return cls(whole["key"], None if reason is None else (reason[0], reason[1]), pieces)


@dataclass(frozen=True, slots=True)
class PackRecord:
    """The metadata of a pack. `codec`: of all its payloads."""

    codec: str
    samples: tuple[PreparedSample, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, whole: Mapping[str, Any]) -> PackRecord:
        """Raises `KeyError`, `TypeError`, `IndexError` or `ValueError` for what is no record of a pack."""
        return cls(str(whole["codec"]), tuple(PreparedSample.from_json(sample) for sample in whole["samples"]))


def chunks(keys: Sequence[str], size: int) -> list[list[str]]:
    """`keys` in lists of `size`, the last one shorter."""
    return [list(keys[start : start + size]) for start in range(0, len(keys), size)]
