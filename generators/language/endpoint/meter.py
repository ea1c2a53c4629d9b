"""What an endpoint has cost so far and how fast it is asked, over all processes of a machine.

One small JSON file for each address and model, changed under a lock. Before a request is sent, the most that it can
cost is taken off the budget; when the answer is there, what it did not cost is given back. A process that is killed in
between leaves the whole amount taken: its request may have been billed. So the budget is never exceeded, and what is
reported is never too little.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpora.errors import IntegrityError, ParamsError, UserError
from corpora.fingerprint import hash_json
from corpora.store.atomic import write_json
from generators.language.endpoint.cache import Request
from generators.language.endpoint.params import Server

WINDOW_S = 60.0
MESSAGE_TOKENS = 16  # that a chat format adds to each message, at most
MILLION = 1e6


class BudgetError(UserError):
    """The next request could cost more than is left."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one request or of many. money: in the unit of the prices."""

    tokens_in: int = 0
    tokens_out: int = 0
    money: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out, self.money + other.money)


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to send one request. cost: the most that it can cost, taken off the budget already."""

    number: int
    cost: Cost


def cost_of(server: Server, tokens_in: int, tokens_out: int) -> Cost:
    """Tokens at the server's prices."""
    prices = server.prices
    return Cost(tokens_in, tokens_out, (tokens_in * prices.price_in + tokens_out * prices.price_out) / MILLION)


def worst_cost(server: Server, request: Request) -> Cost:
    """The most that a request can cost: no token of a prompt is shorter than a byte, and the answer ends at
    max_tokens."""
    messages = request.body["messages"]
    n_bytes = sum(len(m["content"].encode()) for m in messages)
    n_bytes += len(json.dumps(request.body.get("response_format", {})).encode())  # servers may write it into the prompt
    return cost_of(server, n_bytes + MESSAGE_TOKENS * len(messages), int(request.body["max_tokens"]))


class Meter:
    """Of one address and model. `clock`: seconds since 1970, `sleep`: waits; both given in tests."""

    def __init__(
        self,
        folder: Path,
        server: Server,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        account = hash_json([server.url, server.model])[:16]
        self.server = server
        self.path = folder / "meters" / f"{account}.json"
        self._clock, self._sleep = clock, sleep

    def admit(self, request: Request) -> Ticket:
        """Waits until the rates allow a request, and takes the most that it can cost off the budget.

        Raises `BudgetError` where that is more than is left, `ParamsError` where the request alone is above the tokens
        of a minute.
        """
        cost = worst_cost(self.server, request)
        tokens = cost.tokens_in + cost.tokens_out
        limits = self.server.limits
        if tokens > limits.tokens_per_minute:
            raise ParamsError(
                f"one request to {self.server.model} may take {tokens} tokens, tokens_per_minute is "
                f"{limits.tokens_per_minute}: it could never be sent. Raise it, or lower shots or max_tokens"
            )
        while True:
            with self._locked() as state:
                now = self._clock()
                recent = [entry for entry in state["recent"] if now - WINDOW_S < entry[1] <= now]
                wait = self._wait(recent, tokens, now)
                if wait <= 0.0:
                    self._require_budget(state, cost)
                    number = state["requests"] + 1
                    state["recent"] = [*recent, [number, now, tokens]]
                    self._add(state, 1, cost, 1)
                    return Ticket(number, cost)
            self._sleep(wait)

    def settle(self, ticket: Ticket, cost: Cost) -> None:
        """What a request did cost takes the place of the most that it could. Nothing: `Cost()`."""
        with self._locked() as state:
            self._add(state, 0, ticket.cost, -1)
            self._add(state, 0, cost, 1)
            tokens = cost.tokens_in + cost.tokens_out
            state["recent"] = [[n, at, tokens if n == ticket.number else t] for n, at, t in state["recent"]]

    def spent(self) -> Cost:
        """So far, by all processes; requests under way count at their most."""
        with self._locked() as state:
            return Cost(state["tokens_in"], state["tokens_out"], state["money"])

    def _wait(self, recent: list[list[Any]], tokens: int, now: float) -> float:
        """Seconds until there is room for a request of so many tokens; 0: there is."""
        limits = self.server.limits
        n, used = len(recent), sum(entry[2] for entry in recent)
        for _, at, freed in [[0, now - WINDOW_S, 0], *sorted(recent, key=lambda entry: entry[1])]:
            if at > now - WINDOW_S:
                n, used = n - 1, used - freed
            if n < limits.requests_per_minute and used + tokens <= limits.tokens_per_minute:
                return max(0.0, at + WINDOW_S - now)
        return WINDOW_S

    def _require_budget(self, state: dict[str, Any], cost: Cost) -> None:
        prices = self.server.prices
        used, more = state["tokens_in"] + state["tokens_out"], cost.tokens_in + cost.tokens_out
        if prices.budget is not None and state["money"] + cost.money > prices.budget:
            raise BudgetError(
                f"{self.server.model} at {self.server.url} has cost {state['money']:.4f} of the budget of "
                f"{prices.budget:g}; the next request may cost {cost.money:.4f}. Nothing more is sent; answers so far "
                "are kept. Raise prices.budget to go on"
            )
        if prices.budget_tokens is not None and used + more > prices.budget_tokens:
            raise BudgetError(
                f"{self.server.model} at {self.server.url} has used {used} of {prices.budget_tokens} tokens; the next "
                f"request may use {more}. Nothing more is sent; answers so far are kept. Raise prices.budget_tokens to "
                "go on"
            )

    @staticmethod
    def _add(state: dict[str, Any], requests: int, cost: Cost, sign: int) -> None:
        state["requests"] += requests
        state["tokens_in"] += sign * cost.tokens_in
        state["tokens_out"] += sign * cost.tokens_out
        state["money"] = max(0.0, state["money"] + sign * cost.money)

    @contextmanager
    def _locked(self) -> Iterator[dict[str, Any]]:
        """The account, written back where the block ends without an error."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = self._read()
            yield state
            write_json(self.path, state)

    def _read(self) -> dict[str, Any]:
        try:
            state = json.loads(self.path.read_text(encoding="utf-8"))
            known: dict[str, Any] = {
                "requests": int,
                "tokens_in": int,
                "tokens_out": int,
                "money": (int, float),
                "recent": list,
            }
            if not all(isinstance(state.get(name), kind) for name, kind in known.items()):
                raise ValueError("a field is missing")
        except FileNotFoundError:
            return {"requests": 0, "tokens_in": 0, "tokens_out": 0, "money": 0.0, "recent": []}
        except (ValueError, AttributeError) as error:
            # never counted from nothing again: a budget would be spent twice
            raise IntegrityError(
                f"the account {self.path} is damaged ({error}). Remove it to count from nothing, after a look at the "
                "provider's own bill"
            ) from None
        return dict(state)
