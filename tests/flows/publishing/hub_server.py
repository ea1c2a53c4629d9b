"""Stands in for a Hugging Face Hub on a loopback port: the few endpoints that sending a dataset asks.

create, info, refs, preupload, LFS batch and upload, commit (ndjson), tree, tag, validate-yaml. It keeps files by hash,
checks the token and every upload's sha256, and can be told to fail.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_test"


@dataclass
class Repository:
    private: bool
    commits: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {"0" * 40: {}})
    main: str = "0" * 40
    tags: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


@dataclass
class Hub:
    """What it holds. broken: words of a path -> status that is answered from then on."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def file(self, repository: str, revision: str, path: str) -> bytes:
        known = self.repositories[repository]
        return self.objects[known.commits[known.tags.get(revision, revision)][path]["key"]]


def _answer(hub: Hub, method: str, path: str, body: bytes) -> tuple[int, Any]:
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if path == "/api/validate-yaml":
        return 200, {"errors": [], "warnings": []}
    if path == "/api/repos/create":
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        if name in hub.repositories:
            return 409, {"error": "exists", "url": f"{hub.url}/datasets/{name}"}
        hub.repositories[name] = Repository(asked.get("visibility") == "private" or bool(asked.get("private")))
        return 200, {"url": f"{hub.url}/datasets/{name}"}
    if parts[0] == "upload":
        hub.objects[parts[1]] = body
        return (200, {}) if hashlib.sha256(body).hexdigest() == parts[1] else (400, {"error": "another hash"})
    if parts[:1] == ["datasets"] and path.endswith("/info/lfs/objects/batch"):
        return 200, {"transfer": "basic", "objects": [_wanted(hub, one) for one in json.loads(body)["objects"]]}
    name = "/".join(parts[2:4])
    known = hub.repositories.get(name)
    if known is None:
        return 404, {"error": "no repository"}
    verb, at = (parts[4] if len(parts) > 4 else "info"), known.main
    if verb in ("info", "revision"):
        return 200, {"id": name, "private": known.private, "sha": at, "siblings": [], "tags": [], "downloads": 0}
    if verb == "refs":
        tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": c} for tag, c in known.tags.items()]
        return 200, {
            "branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": at}],
            "tags": tags,
            "converts": [],
        }
    revision = {"main": at, **known.tags}.get(parts[5], parts[5])
    if verb == "tree":
        return 200, [{"type": "file", "path": p, **entry["shown"]} for p, entry in known.commits[revision].items()]
    if verb == "preupload":
        return 200, {"files": [_mode(known, one) for one in json.loads(body)["files"]]}
    if verb == "commit":
        return _committed(hub, known, [json.loads(line) for line in body.splitlines()])
    if verb == "tag":
        asked = json.loads(body)
        if asked["tag"] in known.tags:
            return 409, {"error": "tag exists"}
        known.tags[asked["tag"]] = revision
        return 200, {}
    return 404, {"error": path}


def _wanted(hub: Hub, one: dict[str, Any]) -> dict[str, Any]:
    if one["oid"] in hub.objects:
        return one
    return {**one, "actions": {"upload": {"href": f"{hub.url}/upload/{one['oid']}"}}}


def _mode(known: Repository, one: dict[str, Any]) -> dict[str, Any]:
    there = known.commits[known.main].get(one["path"])
    mode = "lfs" if one["path"].endswith((".tar", ".parquet")) else "regular"
    return {"path": one["path"], "uploadMode": mode, "shouldIgnore": False, "oid": there["oid"] if there else None}


def _committed(hub: Hub, known: Repository, lines: list[dict[str, Any]]) -> tuple[int, Any]:
    files = dict(known.commits[known.main])
    for line in lines:
        value = line["value"]
        if line["key"] == "header":
            known.messages.append(value["summary"])
        elif line["key"] == "deletedFile":
            del files[value["path"]]
        elif line["key"] == "lfsFile":
            size = len(hub.objects[value["oid"]])  # a file that was not uploaded is an error of the client
            shown = {"size": size, "oid": "lfs", "lfs": {"size": size, "oid": value["oid"], "pointerSize": 1}}
            files[value["path"]] = {"key": value["oid"], "oid": value["oid"], "shown": shown}
        else:
            data = base64.b64decode(value["content"])
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            hub.objects[blob] = data
            files[value["path"]] = {"key": blob, "oid": blob, "shown": {"size": len(data), "oid": blob}}
    known.main = hashlib.sha1(repr((known.main, sorted(files), len(known.commits))).encode()).hexdigest()
    known.commits[known.main] = files
    return 200, {
        "commitUrl": f"{hub.url}/datasets/lab/tiny/commit/{known.main}",
        "commitOid": known.main,
        "pullRequestUrl": None,
    }


@contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            path = urlsplit(self.path).path
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            hub.asked.append(f"{self.command} {path}")
            status = next((code for words, code in hub.broken.items() if words in path), 0)
            value: Any = {"error": "broken"}
            if not status and self.headers.get("Authorization") != f"Bearer {TOKEN}" and "/upload/" not in path:
                status, value = 401, {"error": "Invalid token"}
            if not status:
                status, value = _answer(hub, self.command, path, body)
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_HEAD = do  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
