"""An object store on loopback and its fsspec implementation: what a bucket is to a cluster, without a bucket.

One PUT is one object, whole or not there; nodes reach it by address and share no folder. Importing this module
registers the protocol "loop" (loop://127.0.0.1:<port>/<bucket>).
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
from fsspec.spec import AbstractFileSystem


class _Handler(BaseHTTPRequestHandler):
    objects: dict[str, tuple[bytes, float]]

    def _answer(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_PUT(self) -> None:
        n = int(self.headers["Content-Length"])
        body = self.rfile.read(n)
        if len(body) == n:  # a writer that died half-way leaves nothing
            self.objects[self.path] = (body, time.time())
            self._answer(201)

    def do_GET(self) -> None:
        if self.path.endswith("?list"):
            prefix = self.path.removesuffix("?list")
            found = {k: [len(b), t] for k, (b, t) in self.objects.items() if k.startswith(prefix)}
            return self._answer(200, json.dumps(found).encode())
        if self.path not in self.objects:
            return self._answer(404)
        body = self.objects[self.path][0]
        if wanted := self.headers.get("Range"):
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            body = body[int(start) : int(end) + 1]
        return self._answer(200, body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self._answer(204 if self.objects.pop(self.path, None) else 404)

    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def object_store() -> Iterator[tuple[str, dict[str, tuple[bytes, float]]]]:
    """-> URL of an empty bucket, and its objects: path -> (bytes, unix time)."""
    handler = type("Handler", (_Handler,), {"objects": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"loop://127.0.0.1:{server.server_address[1]}/bucket", handler.objects
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class LoopFileSystem(AbstractFileSystem):
    protocol = "loop"

    def _ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        request = urllib.request.Request(f"http://{path}", data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise FileNotFoundError(path) from None
            raise

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        self._ask("PUT", self._strip_protocol(rpath), Path(lpath).read_bytes())

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        headers = {} if end is None else {"Range": f"bytes={start or 0}-{end - 1}"}
        return self._ask("GET", self._strip_protocol(path), **headers)[1]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        headers, _body = self._ask("HEAD", self._strip_protocol(path))
        return {"name": path, "type": "file", "size": int(headers["Content-Length"])}

    def rm_file(self, path: str) -> None:
        self._ask("DELETE", self._strip_protocol(path))

    def find(self, path: str, maxdepth: Any = None, withdirs: bool = False, detail: bool = False, **_: Any) -> Any:
        host, _, prefix = self._strip_protocol(path).partition("/")
        found = json.loads(self._ask("GET", f"{host}/{prefix}?list")[1])
        rows = {host + k: {"name": host + k, "type": "file", "size": n, "mtime": t} for k, (n, t) in found.items()}
        return rows if detail else list(rows)


fsspec.register_implementation("loop", LoopFileSystem, clobber=True)
