"""What code a stage, a sample or a fitted gate depends on: the modules that it imports, hashed by what they do.

The closure is that of the imports (grimp), so a module that is imported by name alone (a registry) is a root of its
own. A module is hashed as its syntax tree: comments, docstrings, blank lines, quotes, brackets that only break a line
and whatever else `ruff format` moves change nothing; a changed literal, name, annotation or default does. Docstrings
are left out although pydantic and typer may show one: none of ours is read back by code that makes data. Texts of
`Field(description=...)` and of errors are literals and count. Registries ({name: "module:object"} at the top of a
module) are left out too: the module that a run uses is a root, and a new entry changes nothing for the others.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from corpora.errors import IntegrityError
from corpora.fingerprint import hash_bytes, hash_json
from flows.paths import PACKAGES

# module -> why an edit there redoes nothing, whatever imports it: it decides where and how work runs or how errors
# read, never what comes out.
INERT: dict[str, str] = {
    "corpora.errors": "words of errors",
    "corpora.quiet": "what libraries print",
    "flows.engine.cluster": "where Ray runs",
    "flows.engine.executor": "which process works",
    "flows.engine.pool": "which process works",
    "flows.engine.progress": "what is shown meanwhile",
    "flows.engine.store": "where finished work lies",
    "flows.engine.reaper": "ends a local Ray",
    "flows.asking": "what a run asks for stands in its plans",
    "flows.machine": "how many processes, and how often they are tried",
    "flows.params": "what the stages use of params.yaml stands in their plans",
    "flows.paths": "names of folders",
    "flows.stages.plan.code": "what it says is in the plan",
    "flows.stages.plan.feasible": "refuses a run, changes none",
    "flows.stages.plan.plan": "what it says is in the plan",
    "flows.stages.plan.plans": "what it says is in the plan",
    "flows.stages.plan.weights": "what it says is in the plan",
}
_RECORDS = "types and the columns of tables: they carry bytes and their description, and compute neither"
# Of drawing samples from a fitted model, beside `INERT`: what only a fit uses. Its result are the weights, which are
# hashed themselves. A test draws with all of it but the types out of order.
INERT_FOR_SAMPLING: dict[str, str] = {
    "corpora.schema": _RECORDS,
    "corpora.store.atomic": "how a model is written",
    "generators.fitting": "initial weights and the loop of a fit",
    "generators.held_out": "when a fit ends",
    "training.ddp": "how several processes fit",
    "training.ema": "averages weights while they are fitted",
    "training.loop": "the steps of a fit",
}
# Of preparing a payload: how it comes, which its sha256 answers for.
INERT_FOR_PREPARING: dict[str, str] = {
    "corpora.schema": _RECORDS,
    "corpora.store.shards": "hands on bytes that are checked against the sha256 of the sample",
    "features.prepare": "which module prepares a modality: that module is a root",
}
# Of scoring: what a gate is fitted on and what it scores is in its key and in the samples'.
INERT_FOR_GATES: dict[str, str] = {"corpora.schema": _RECORDS}
# Of reading a corpus: what writes fake ones, for tests and the demo.
INERT_FOR_READING: dict[str, str] = {
    "corpora.readers": "which module reads a corpus: that module is a root",
    "corpora.readers.described.fake": "writes fake corpora",
    "corpora.readers.fakes.*": "writes fake corpora",
}
_IMPORT = re.compile(
    r"(?:^|;)[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]*(\((?:[^)#]|#[^\n]*\n)*\)|[^\n;#]+)"
    r"|import[ \t]+([\w., \t]+))",
    re.M,
)
_COMMENT = re.compile(r"#[^\n]*")
_ADDRESS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")  # of a registry's entry
# fields of a syntax tree that say how the source is written: load or store, u"" before a string, comments about types
_HOW_WRITTEN = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


def code_of(roots: Iterable[str], *, without: Iterable[str] = ()) -> dict[str, str]:
    """Modules of this project that `roots` import, directly or not -> sha256 of what they do (64 hex digits), sorted.

    `INERT` ones and those of `without` are left out ("package.*": all below), and with them what only they import. A
    root outside the project (an entry point) stands with its own module only. Raises `IntegrityError` for a module
    without a source file.
    """
    return {name: code_digest(source_of(name)) for name in sorted(_closure(roots, without))}


def _closure(roots: Iterable[str], without: Iterable[str]) -> set[str]:
    graph = _graph()
    return _reached(roots, without, lambda m: graph.find_modules_directly_imported_by(m) if m in graph.modules else ())


def _reached(roots: Iterable[str], without: Iterable[str], imports: Callable[[str], Iterable[str]]) -> set[str]:
    """`roots` and what they import, directly or not; `imports`: what one module does."""
    inert = {*INERT, *without}
    modules: set[str] = set()
    ahead = list(roots)
    while ahead:
        module = ahead.pop()
        if module not in modules and not _is_one_of(module, inert):
            modules.add(module)
            ahead += imports(module)
    return modules


def code_hash(roots: Iterable[str], *, without: Iterable[str] = ()) -> str:
    """64 hex digits over `code_of`: an identity that holds code holds this."""
    return hash_json(code_of(roots, without=without))


def source_hash(roots: Iterable[str], *, without: Iterable[str] = ()) -> str:
    """64 hex digits over the bytes of the modules of `code_of`. Ten times as fast, and another one after any edit, of a
    comment as well: for what may be done anew at no cost to speak of."""
    return hash_json({name: hash_bytes(source_of(name)) for name in sorted(_scanned(roots, without))})


def _scanned(roots: Iterable[str], without: Iterable[str]) -> set[str]:
    """`_closure` by a look at the text of its own modules alone: grimp reads the whole project first. What only a type
    checker imports, and a line of a docstring that reads like an import, count here."""
    return _reached(roots, without, lambda m: _imported(m) if m.partition(".")[0] in PACKAGES else ())


@cache
def _imported(module: str) -> tuple[str, ...]:
    """Modules of this project that a module's text imports."""
    text = source_of(module).decode("utf-8", "replace")
    package = module if _file_of(module).name == "__init__.py" else module.rpartition(".")[0]
    names: list[str] = []
    for source, taken, plain in _IMPORT.findall(text):
        if plain:
            names += [name.partition(" as ")[0].strip() for name in plain.split(",")]
            continue
        source = importlib.util.resolve_name(source, package)
        if source.partition(".")[0] in PACKAGES:
            words = [word.partition(" as ")[0].strip() for word in _COMMENT.sub("", taken).strip("()").split(",")]
            names += [f"{source}.{word}" if _is_module(f"{source}.{word}") else source for word in words if word]
    return tuple(dict.fromkeys(name for name in names if name.partition(".")[0] in PACKAGES))


def _is_module(name: str) -> bool:
    """Whether a package's file or folder has that name."""
    package, _, last = name.rpartition(".")
    place = _file_of(package)
    if place.name != "__init__.py":
        return False
    return place.with_name(f"{last}.py").is_file() or (place.parent / last / "__init__.py").is_file()


def sampling_code(*modules: str) -> str:
    """64 hex digits over what turns a draw and the weights into a payload: the modules of the generator (`modules_of`
    in generators/generator.py), that of the representation which decodes what it draws, and what tags it."""
    return code_hash([*modules, "corpora.tagged"], without=INERT_FOR_SAMPLING)


def source_of(module: str) -> bytes:
    """The source of a module; of an extension its binary. Raises `IntegrityError` where there is no such file."""
    return _file_of(module).read_bytes()


@cache
def _file_of(module: str) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # not even its package
        spec = None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise IntegrityError(f"module {module!r} has no source file")
    return Path(spec.origin)


@lru_cache(maxsize=4096)
def code_digest(source: bytes) -> str:
    """64 hex digits of what `source` does: over its syntax tree without docstrings, or its bytes if it is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return hash_bytes(source)
    parts: list[str] = []
    _write(tree, parts.append)
    return hashlib.sha256("".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _write(node: Any, write: Callable[[str], None]) -> None:
    """The tree in one line, the same on every version of Python that parses it alike: what is not set is left out."""
    if isinstance(node, ast.Constant):
        write(f"<{node.value!r}>")
    elif isinstance(node, ast.AST):
        write(f"({type(node).__name__}")
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or value == [] or name in _HOW_WRITTEN:
                continue
            write(f" {name}=")
            _write(value, write)
        write(")")
    elif isinstance(node, list):
        write("[")
        for entry in node:
            if not (_is_text_alone(entry) or _is_registry(entry)):
                _write(entry, write)
                write(",")
        write("]")
    else:
        write(repr(node))


def _is_text_alone(node: Any) -> bool:
    """Whether a statement is a string that nobody takes: a docstring, of a module, class, function or attribute."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_registry(node: Any) -> bool:
    """Whether a statement gives a name to {"name": "module:object", ...}."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Dict) or not node.value.keys:
        return False
    values = [v.value if isinstance(v, ast.Constant) else None for v in node.value.values]
    return all(isinstance(v, str) and _ADDRESS.fullmatch(v) for v in values)


def _is_one_of(module: str, names: set[str]) -> bool:
    """`names`: modules, or "package.*" for all below."""
    parents = module.split(".")
    return module in names or any(".".join(parents[:i]) + ".*" in names for i in range(1, len(parents)))


@cache
def _graph() -> Any:
    """Which module of the project imports which; what only a type checker imports is not imported."""
    import grimp

    return grimp.build_graph(*PACKAGES, cache_dir=None, exclude_type_checking_imports=True)
