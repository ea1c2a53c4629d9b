"""A server on this machine that speaks the chat-completions protocol as a test wants it to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Response:
    """What the server does: sends `body` (JSON, or bytes as they are) with a status and headers; after `delay` seconds,
    or one byte each `drip` seconds."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0


def completion(content: Any, *, finish: str = "stop", tokens: tuple[int, int] | None = (40, 10)) -> Response:
    """A chat completion whose content is JSON of `content`, or the text as it is."""
    text = content if isinstance(content, str | type(None)) else json.dumps(content)
    body: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "tiny-1-2024",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}],
    }
    if tokens is not None:
        body["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    return Response(body)


Answer = Callable[[dict[str, Any]], Response]


@dataclass
class Endpoint:
    """Its address, what it was asked (bodies and headers), and the most requests that were under way at once."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    busiest: int = 0


@contextmanager
def serving(answer: Answer) -> Iterator[Endpoint]:
    """`answer`: body of a request -> response. Ends with the block."""
    lock, under_way = threading.Lock(), [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                under_way[0] += 1
                endpoint.busiest = max(endpoint.busiest, under_way[0])
                endpoint.bodies.append(body)
                endpoint.headers.append(dict(self.headers))
                endpoint.paths.append(self.path)
            try:
                self._send(answer(body))
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
            finally:
                with lock:
                    under_way[0] -= 1

        def _send(self, response: Response) -> None:
            time.sleep(response.delay)
            raw = response.body if isinstance(response.body, bytes) else json.dumps(response.body).encode()
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            if not response.drip:
                self.wfile.write(raw)
                return
            for i in range(len(raw)):
                self.wfile.write(raw[i : i + 1])
                self.wfile.flush()
                time.sleep(response.drip)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    endpoint = Endpoint(f"http://127.0.0.1:{httpd.server_address[1]}/v1")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def scripted(*responses: Response) -> Answer:
    """The responses one after the other; the last one for ever."""
    left = list(responses)
    lock = threading.Lock()

    def answer(body: dict[str, Any]) -> Response:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return answer
