"""Small wrong changes of a module's source, one at a time: what a test suite must notice.

The operators are the usual ones (relational, arithmetic, logical, constants, statements; Offutt et al. 1996, "An
experimental determination of sufficient mutant operators"). Left alone are annotations, docstrings, texts of messages
and whatever stands inside `raise`: a changed word in an error is no fault of the arithmetic.
"""

from __future__ import annotations

import ast
import copy
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_OPPOSITES = {"min": "max", "max": "min", "any": "all", "all": "any", "ceil": "floor", "floor": "ceil"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change. `name` stays the same when lines move; `source` is the whole module with the change in it."""

    module: str
    where: str
    before: str
    after: str
    nth: int
    source: str

    @property
    def name(self) -> str:
        return f"{self.module}:{self.where}: {self.before} -> {self.after} #{self.nth}"


def mutants_of(module: str, source: str) -> list[Mutant]:
    """Every change that the operators make of `source`, in the order of the source."""
    tree = ast.parse(source)
    seen: Counter[tuple[str, str, str]] = Counter()
    found = []
    for where, node, changed in _changes(tree):
        before, after = _shown(node), _shown(changed)
        if before == after:
            continue
        nth = seen[where, before, after]
        seen[where, before, after] += 1
        found.append(Mutant(module, where, before, after, nth, _spliced(source, node, ast.unparse(changed))))
    return found


def sample(mutants: list[Mutant], n: int, seed: int) -> list[Mutant]:
    """`n` of them, drawn by a hash of seed and name: an edited function changes its own mutants and no others, and a
    module that moves to another folder none."""

    def place(mutant: Mutant) -> bytes:
        short = mutant.name.removeprefix(mutant.module.rpartition(".")[0] + ".")
        return hashlib.sha256(f"{seed}/{short}".encode()).digest()

    return sorted(mutants, key=place)[:n]


def _shown(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 100 else text[:60] + "..." + hashlib.sha256(text.encode()).hexdigest()[:8]


def _spliced(source: str, node: ast.AST, text: str) -> str:
    """`source` with the lines and columns of `node` replaced, so that everything else stays byte for byte."""
    lines = source.encode("utf-8").splitlines(keepends=True)
    assert isinstance(node, ast.expr | ast.stmt) and node.end_lineno is not None and node.end_col_offset is not None
    head = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
    tail = lines[node.end_lineno - 1][node.end_col_offset :] + b"".join(lines[node.end_lineno :])
    if isinstance(node, ast.expr):
        text = f"({text})"
    return (head + text.encode("utf-8") + tail).decode("utf-8")


def _changes(tree: ast.Module) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    """(qualified name, node, what it becomes)"""
    yield from _walk(tree, "")


def _walk(node: ast.AST, where: str) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}".lstrip(".")
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.If) and _type_checking(node):
        return
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return  # zip(strict=True) guards what cannot be: its inputs are of one length by their making
    for changed in _of(node):
        yield where or "module", node, changed
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_comment", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _walk(child, where)


def _type_checking(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _of(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            for other in _COMPARE[type(op)]:
                changed = copy.deepcopy(node)
                changed.ops[i] = other()
                yield changed
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC and not _is_text(node):
        changed_op = copy.deepcopy(node)
        changed_op.op = _ARITHMETIC[type(node.op)]()
        yield changed_op
    elif isinstance(node, ast.BoolOp):
        other_op: ast.boolop = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield ast.BoolOp(other_op, copy.deepcopy(node.values))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.Constant):
        yield from (ast.Constant(value) for value in _other_constants(node.value))
    elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
        name = node.id if isinstance(node, ast.Name) else node.attr
        if name in _OPPOSITES:
            swapped = copy.deepcopy(node)
            setattr(swapped, "id" if isinstance(swapped, ast.Name) else "attr", _OPPOSITES[name])
            yield swapped
    elif isinstance(node, ast.Continue):
        yield ast.Break()
    elif isinstance(node, ast.Break):
        yield ast.Continue()
    elif isinstance(node, ast.AugAssign) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield ast.Pass()


def _is_text(node: ast.BinOp) -> bool:
    """Text joined by +: - of it is an error that any call shows."""
    parts = (node.left, node.right)
    return any(
        isinstance(p, ast.JoinedStr) or (isinstance(p, ast.Constant) and isinstance(p.value, str)) for p in parts
    )


def _other_constants(value: object) -> tuple[object, ...]:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return (value + 1,)
    if isinstance(value, float):
        return (value * 1.5 + (1.0 if value == 0.0 else 0.0),)
    return ()
