"""Asks a chat-completions endpoint: kept answers first, then the meter, then the server, with repetitions."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from generators.language.endpoint.cache import Cache, Reply, Request, cache_folder
from generators.language.endpoint.meter import Cost, Meter, cost_of, worst_cost
from generators.language.endpoint.params import Server
from generators.language.endpoint.transport import EndpointError, Failure, Transport
from training.seeds import derive_seed

SEED_LIMIT = 2**31  # seeds that every server takes
BACKOFF_LIMIT_S = 60.0

T = TypeVar("T")
R = TypeVar("R")


def chat_request(
    server: Server,
    messages: Sequence[dict[str, str]],
    schema: dict[str, Any],
    *,
    seed: int,
    temperature: float,
    max_tokens: int,
) -> Request:
    """A request for one answer of the schema (JSON schema with a "title"). `seed` in [0, 2**63), sent modulo 2**31."""
    body: dict[str, Any] = {
        "model": server.model,
        "messages": [dict(message) for message in messages],
        "temperature": temperature,
        "max_tokens": max_tokens,
        "seed": seed % SEED_LIMIT,
        "n": 1,
        "stream": False,
    }
    if server.response_format == "json_schema":
        named = {"name": str(schema["title"]), "strict": True, "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    elif server.response_format == "json_object":
        body["response_format"] = {"type": "json_object"}
    return Request(server.url, body)


class Client:
    """Of one server. Safe for several threads; `with` ends its connections.

    folder: of kept answers and accounts; None: this machine's own (`cache_folder`). sleep: waits, given in tests.
    A server and its key are looked for when the first answer that is not kept is needed: a rerun of what was answered
    needs neither.
    """

    def __init__(
        self, server: Server, folder: Path | None = None, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.server = server
        place = cache_folder() if folder is None else folder
        self.cache, self.meter = Cache(place), Meter(place, server, sleep=sleep)
        self._sleep, self._lock = sleep, threading.Lock()
        self._transport: Transport | None = None
        self.asked = 0  # answers that came from the server; the others were kept

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def ask(self, request: Request) -> Reply:
        """The kept answer, or the server's, which is then kept.

        Raises `BudgetError` before a request that could exceed the budget; `EndpointError` where the server refuses, or
        gave no usable answer after all repetitions; `ParamsError` where the key's variable is not set.
        """
        kept = self.cache.get(request)
        if kept is not None:
            return kept
        reply = self._asked(request)
        self.cache.put(request, reply)
        with self._lock:
            self.asked += 1
        return reply

    def cost(self, request: Request, reply: Reply) -> Cost:
        """Of an answer, kept or new, at today's prices; a server that does not count is taken at the most that it could
        have counted."""
        most = worst_cost(self.server, request)
        t_in = most.tokens_in if reply.tokens_in < 0 else reply.tokens_in
        t_out = most.tokens_out if reply.tokens_out < 0 else reply.tokens_out
        return cost_of(self.server, t_in, t_out)

    def _asked(self, request: Request) -> Reply:
        limits = self.server.limits
        jitter = random.Random(derive_seed("backoff", request.hash))
        failure: Failure | None = None
        for repetition in range(limits.retries + 1):
            if failure is not None:
                self._sleep(self._pause(failure, repetition, jitter))
            transport = self._connected()
            ticket = self.meter.admit(request)
            cost = ticket.cost
            try:
                reply = transport.post(request)
                cost = self.cost(request, reply)
                return reply
            except Failure as failed:
                failure = failed
                cost = ticket.cost if failed.billed else Cost()
                if not failed.passing:
                    break
            finally:
                self.meter.settle(ticket, cost)
        assert failure is not None
        tries = f" after {limits.retries + 1} tries" if failure.passing else ""
        raise EndpointError(f"{self.server.model} at {self.server.url}: {failure.what}{tries}. {_advice(failure)}")

    def _pause(self, failure: Failure, repetition: int, jitter: random.Random) -> float:
        """Seconds before a repetition (from 1): what the server asks for, else exponential, with jitter in its
        upper half. Raises `EndpointError` where the server asks for more than `longest_wait_s`."""
        limits = self.server.limits
        if failure.after_s is not None:
            if not math.isfinite(failure.after_s) or failure.after_s > limits.longest_wait_s:
                raise EndpointError(
                    f"{self.server.model} at {self.server.url}: {failure.what}; it asks to wait {failure.after_s:.0f} "
                    f"s, longest_wait_s is {limits.longest_wait_s:g}. Run again later; answers so far are kept"
                )
            return failure.after_s
        longest = min(BACKOFF_LIMIT_S, limits.longest_wait_s, limits.backoff_s * 2.0 ** (repetition - 1))
        return longest * (0.5 + 0.5 * jitter.random())

    def _connected(self) -> Transport:
        with self._lock:
            if self._transport is None:
                self._transport = Transport(self.server)
            return self._transport


def each(work: Callable[[T], R], items: Sequence[T], concurrency: int) -> list[R]:
    """`work` of each item, several at once, results in the order of the items. The first error ends it: what has not
    begun is not begun, what runs is waited for, and the error of the first item that has one is raised."""
    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        running = [pool.submit(work, item) for item in items]
        wait(running, return_when=FIRST_EXCEPTION)
        for future in running:
            future.cancel()
    for future in running:
        if not future.cancelled() and (error := future.exception()) is not None:
            raise error
    return [future.result() for future in running]


def _advice(failure: Failure) -> str:
    if "status 401" in failure.what or "status 403" in failure.what:
        return "Look at the key in the variable that key_env names, and at what it may be used for"
    if "status 404" in failure.what:
        return "Look at url (it ends with the version: /v1) and at the model's name"
    if "status 400" in failure.what or "status 422" in failure.what:
        return "The server may not know JSON schemas: try response_format: json_object or none"
    if "status 3" in failure.what:
        return "It is somewhere else now; write that address in url"
    return "Answers so far are kept; run again when the server is well"
