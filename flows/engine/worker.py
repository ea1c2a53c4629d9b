"""What happens inside one worker process: threads fixed, the worker built once, calls answered. Knows no Ray.

A worker is a class "module:Class" whose `run(payload) -> dict` is small and JSON-able both ways. The same code answers
a call in an actor and in the stage's own process, so both give the same result.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import corpora.quiet
from corpora.errors import EmoforgeError

BLAS_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
# how OpenMP's threads wait, read when torch loads: in a worker of Ray Train that is before any module of ours
WAITING = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT")


class WorkerError(EmoforgeError):
    """A worker raised an exception that cannot be rebuilt in this process; the message holds its type and text."""


def environment(threads: int) -> dict[str, str]:
    """What a worker process needs before its first import: this repository's packages, exactly `threads` threads, and
    the way in which they wait here (corpora/quiet.py, or the user).

    The number of threads changes the order of sums, hence bytes.
    """
    path = [str(corpora.quiet.REPO), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    counts = dict.fromkeys((*BLAS_THREADS, "NUMBA_NUM_THREADS"), str(threads))
    waiting = {name: os.environ[name] for name in WAITING if name in os.environ}
    return {"PYTHONPATH": os.pathsep.join(dict.fromkeys(path)), **counts, **waiting}


@contextmanager
def environ(values: Mapping[str, str]) -> Iterator[None]:
    """os.environ with `values`, put back afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Exactly `threads` threads in BLAS, OpenMP and torch of this process, be torch imported already or later."""
    import threadpoolctl

    before = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    with environ(dict.fromkeys(BLAS_THREADS, str(threads))), threadpoolctl.threadpool_limits(threads):
        set_torch_threads(threads)
        try:
            yield
        finally:
            if before is not None:
                sys.modules["torch"].set_num_threads(before)


def set_torch_threads(threads: int) -> None:
    """For a torch that is there; one that comes later reads OMP_NUM_THREADS."""
    if "torch" in sys.modules and sys.modules["torch"].get_num_threads() != threads:
        sys.modules["torch"].set_num_threads(threads)


def load_object(address: str) -> Any:
    """ "module:name" -> the object."""
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)


def call(worker: Any, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The worker's answer as JSON has it: the same in every process. Raises `TypeError` if it is no JSON-able dict."""
    answer = worker.run(payload)
    if not isinstance(answer, dict):
        raise TypeError(f"{type(worker).__name__}.run must return a dict, not {type(answer).__name__}")
    plain: dict[str, Any] = json.loads(json.dumps(answer))
    return plain


class WorkerHost:
    """The body of an actor. Exceptions travel as plain data: many cannot be unpickled, and none should be."""

    def __init__(self, worker: str, kwargs: Mapping[str, Any], threads: int) -> None:
        self._address, self._kwargs, self._threads = worker, kwargs, threads
        self._worker: Any = None

    def prepare(self) -> dict[str, Any]:
        """Imports and builds the worker. -> {"ok": {}} or {"error": ...}"""
        return self._answer(self._build)

    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        """-> {"ok": the worker's answer} or {"error": ...}"""
        return self._answer(lambda: call(self._worker, payload))

    def _build(self) -> dict[str, Any]:
        set_torch_threads(self._threads)
        self._worker = load_object(self._address)(**self._kwargs)
        set_torch_threads(self._threads)
        return {}

    def _answer(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return {"ok": work()}
        except Exception as error:  # noqa: BLE001  (raised again in the driver's process)
            return {"error": describe_error(error)}


def describe_error(error: BaseException) -> dict[str, Any]:
    """An exception as JSON: type, arguments and attributes as far as JSON holds them, text and traceback."""
    kind = type(error)
    state = {}
    for name, value in vars(error).items():
        with suppress(TypeError, ValueError):
            state[name] = json.loads(json.dumps(value))
    return {
        "type": f"{kind.__module__}:{kind.__qualname__}",
        "args": [a if isinstance(a, str | int | float | bool | None) else repr(a) for a in error.args],
        "state": {k: v for k, v in state.items() if not k.startswith("__")},
        "text": str(error),
        "traceback": "".join(traceback.format_exception(error)),
    }


def rebuild_error(described: Mapping[str, Any]) -> Exception:
    """The exception that `describe_error` saw, of its own type where that can be imported; else `WorkerError`.

    The constructor is not called (its parameters are not known); arguments and attributes are put back as they were.
    """
    kind: Any = None
    with suppress(ImportError, AttributeError, ValueError):
        kind = load_object(described["type"])
    if isinstance(kind, type) and issubclass(kind, Exception):
        with suppress(TypeError, AttributeError):
            error = kind.__new__(kind, *described["args"])
            error.args = tuple(described["args"])
            error.__dict__.update(described["state"])
            if str(error) == described["text"]:
                error.add_note(f"In the worker:\n{described['traceback']}")
                return error
    return WorkerError(f"{described['type'].replace(':', '.')}: {described['text']}\n{described['traceback']}")
