"""One POST to a chat-completions endpoint: a whole answer within its time, or an error that says whose fault it is.

The answer is read in pieces with one clock over all of it, so that a server that drips a byte now and then is given up
as one that says nothing is. Redirects are not followed: the key would go where nobody sent it.
"""

from __future__ import annotations

import email.utils
import json
import os
import time
from typing import Any
from urllib.parse import urlsplit

import httpx

from corpora.errors import ParamsError, UserError
from generators.language.endpoint.cache import Reply, Request
from generators.language.endpoint.params import Server

LONGEST_REPLY = 4 << 20  # bytes of a whole answer
SHOWN = 300  # characters of what a server says that an error repeats
CONNECT_S = 10.0
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})  # statuses that may be gone the next time


class EndpointError(UserError):
    """The endpoint gives no usable answer: unreachable, refusing, too slow, or not of the protocol."""


class Failure(Exception):  # noqa: N818  # never leaves the client: it becomes a repetition or an EndpointError
    """One request that failed. passing: whether it may succeed the next time; after_s: seconds that the server asks to
    wait; billed: whether the server may have done the work."""

    def __init__(self, what: str, *, passing: bool, after_s: float | None = None, billed: bool = False) -> None:
        super().__init__(what)
        self.what, self.passing, self.after_s, self.billed = what, passing, after_s, billed


def api_key(server: Server) -> str | None:
    """From the environment variable that params name. Raises `ParamsError` where it is empty or not set."""
    if server.key_env is None:
        return None
    key = os.environ.get(server.key_env, "").strip()
    if not key:
        raise ParamsError(
            f"the environment variable {server.key_env} (key_env of {server.model} at {server.url}) is not set; set it "
            "where the run and its actors start"
        )
    return key


class Transport:
    """A pool of connections to one server; safe for several threads."""

    def __init__(self, server: Server) -> None:
        """Raises `ParamsError` where the key's variable is not set."""
        self.server = server
        self._key = api_key(server)
        near = urlsplit(server.url).hostname in ("localhost", "127.0.0.1", "::1")
        self._http = httpx.Client(
            follow_redirects=False,
            trust_env=not near,  # a proxy for the outside has nothing to do with this machine
            timeout=httpx.Timeout(server.limits.timeout_s, connect=min(CONNECT_S, server.limits.timeout_s)),
            limits=httpx.Limits(max_connections=server.limits.concurrency),
        )

    def close(self) -> None:
        """Ends its connections."""
        self._http.close()

    def post(self, request: Request) -> Reply:
        """Raises `Failure`."""
        headers = {"Accept": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        limit = self.server.limits.timeout_s
        late = time.monotonic() + limit
        try:
            with self._http.stream(
                "POST", f"{request.url}/chat/completions", json=request.body, headers=headers
            ) as response:
                pieces, size = [], 0
                for piece in response.iter_bytes():
                    pieces.append(piece)
                    size += len(piece)
                    if time.monotonic() > late:
                        raise Failure(f"no whole answer within {limit:g} s", passing=True, billed=True)
                    if size > LONGEST_REPLY:
                        raise Failure(f"an answer of more than {LONGEST_REPLY >> 20} MiB", passing=False, billed=True)
                body = b"".join(pieces)
                status, retry_after = response.status_code, response.headers.get("retry-after")
        except httpx.ConnectTimeout:
            raise Failure("no connection", passing=True) from None
        except httpx.TimeoutException:
            raise Failure(f"no whole answer within {limit:g} s", passing=True, billed=True) from None
        except httpx.ConnectError:
            raise Failure("nobody answers there", passing=True) from None
        except httpx.UnsupportedProtocol:
            raise Failure("not an http address", passing=False) from None
        except httpx.HTTPError as error:
            # the class alone: a library's text may hold addresses
            raise Failure(f"the connection broke ({type(error).__name__})", passing=True, billed=True) from None
        if status != 200:
            raise self._refused(status, body, retry_after)
        return self._parsed(body)

    def _refused(self, status: int, body: bytes, retry_after: str | None) -> Failure:
        said = self._said(body)
        after = None if retry_after is None else _seconds(retry_after)
        return Failure(f"status {status}{said}", passing=status in PASSING, after_s=after)

    def _said(self, body: bytes) -> str:
        """What the server gives as its reason, without the key: some servers repeat it."""
        text = body.decode("utf-8", "replace")
        try:
            error = json.loads(text)["error"]
            text = str(error["message"] if isinstance(error, dict) else error)
        except (ValueError, KeyError, TypeError):
            pass
        if self._key is not None:
            text = text.replace(self._key, "***")
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return f": {text[:SHOWN]}" if text else ""

    def _parsed(self, body: bytes) -> Reply:
        """The first choice of a chat completion. Raises `Failure` for anything else."""
        try:
            whole: dict[str, Any] = json.loads(body)
            choice = whole["choices"][0]
            content = choice["message"]["content"]
            refusal = choice["message"].get("refusal")
            usage = whole.get("usage") or {}
            reply = Reply(
                content="" if content is None else content,
                finish="refusal" if refusal else str(choice.get("finish_reason") or "stop"),
                model=str(whole.get("model") or self.server.model),
                tokens_in=_count(usage.get("prompt_tokens")),
                tokens_out=_count(usage.get("completion_tokens")),
            )
            if not isinstance(reply.content, str):
                raise TypeError("content is no text")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            what = "an answer that is no chat completion" + ("" if body else ": it is empty")
            raise Failure(what, passing=True, billed=True) from None
        return reply


def _count(value: Any) -> int:
    """Tokens as a server says; -1 where it does not."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else -1


def _seconds(retry_after: str) -> float | None:
    """Of a Retry-After header: seconds, or a date (RFC 9110, 10.2.3). None where it is neither."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
