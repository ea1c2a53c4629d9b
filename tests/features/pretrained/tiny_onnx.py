"""Small networks as ONNX files, written by hand: the format is protobuf, and a graph of a few nodes takes few fields.

Field numbers are those of onnx.proto3 (IR version 8, operators of version 13).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

FLOAT, INT64 = 1, 7


@dataclass(frozen=True)
class Node:
    """An operator: `ints` are its attributes that are lists of integers, `numbers` those that are one."""

    op: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    ints: Mapping[str, Sequence[int]] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)


def model(
    nodes: Sequence[Node],
    inputs: Mapping[str, tuple[int, Sequence[int | str]]],
    outputs: Mapping[str, tuple[int, Sequence[int | str]]],
    constants: Mapping[str, Sequence[float]] | None = None,
) -> bytes:
    """inputs, outputs: name -> kind of number and shape ("N": any length); constants: name -> [n] float32."""
    import struct

    graph = b"".join(_part(1, _node(node)) for node in nodes) + _part(2, b"tiny")
    for name, values in (constants or {}).items():
        tensor = _number(1, len(values)) + _number(2, FLOAT) + _part(8, name.encode())
        graph += _part(5, tensor + _part(9, struct.pack(f"<{len(values)}f", *values)))
    for place, named in ((11, inputs), (12, outputs)):
        for name, (kind, shape) in named.items():
            graph += _part(place, _part(1, name.encode()) + _part(2, _type(kind, shape)))
    return _number(1, 8) + _part(7, graph) + _part(8, _number(2, 13))


def _node(node: Node) -> bytes:
    out = b"".join(_part(1, name.encode()) for name in node.inputs)
    out += b"".join(_part(2, name.encode()) for name in node.outputs) + _part(4, node.op.encode())
    for name, values in node.ints.items():
        body = _part(1, name.encode()) + b"".join(_number(8, value) for value in values) + _number(20, 7)
        out += _part(5, body)
    for name, value in node.numbers.items():
        out += _part(5, _part(1, name.encode()) + _number(3, value) + _number(20, 2))
    return out


def _type(kind: int, shape: Sequence[int | str]) -> bytes:
    sides = b"".join(_part(1, _number(1, side) if isinstance(side, int) else _part(2, side.encode())) for side in shape)
    return _part(1, _number(1, kind) + _part(2, sides))


def _number(place: int, value: int) -> bytes:
    return _varint(place << 3) + _varint(value)


def _part(place: int, body: bytes) -> bytes:
    return _varint(place << 3 | 2) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def tiny_dnsmos() -> bytes:
    """[N, 144160] -> [N, 3], raw sig, bak and ovrl: 4 less 6, 4 and 8 times the mean of |x|. At one level, what is
    spread evenly over time is louder in this sense, and sounds worse."""
    nodes = [
        Node("Abs", ["input_1"], ["loud"]),
        Node("ReduceMean", ["loud"], ["level"], {"axes": [1]}, {"keepdims": 1}),
        Node("Mul", ["level", "slopes"], ["scaled"]),
        Node("Add", ["scaled", "most"], ["out"]),
    ]
    shapes = {"input_1": (FLOAT, ["N", 144_160])}, {"out": (FLOAT, ["N", 3])}
    return model(nodes, *shapes, {"slopes": [-6.0, -4.0, -8.0], "most": [4.0]})


def tiny_vad() -> bytes:
    """As the voice activity detector: input [1, 576], state [2, 1, 128] and sr -> 5 times the mean of |x|; the state as
    it came."""
    nodes = [
        Node("Abs", ["input"], ["loud"]),
        Node("ReduceMean", ["loud"], ["level"], {"axes": [1]}, {"keepdims": 1}),
        Node("Mul", ["level", "slope"], ["output"]),
        Node("Identity", ["state"], ["stateN"]),
        Node("Identity", ["sr"], ["rate"]),
    ]
    shapes = (
        {"input": (FLOAT, ["batch", "sequence"]), "state": (FLOAT, [2, "batch", 128]), "sr": (INT64, [])},
        {"output": (FLOAT, ["batch", 1]), "stateN": (FLOAT, [2, "batch", 128])},
    )
    return model(nodes, *shapes, {"slope": [5.0]})
