"""Answers that came back, by the hash of what was asked: a rerun asks nothing.

Which folder serves is a matter of the machine, like the work store: it changes no sample, so it stands in no params.
`EMOFORGE_ENDPOINT_CACHE`, else `emoforge/endpoint` below XDG_CACHE_HOME (~/.cache). Processes of a machine share it;
machines share it where the variable names a shared disk. It is safe to delete, at the price of asking again: samples
themselves are kept in the work store by (generator, draws), and a finished list of draws is never asked twice wherever
its actor ran.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from corpora.fingerprint import hash_json
from corpora.store.atomic import write_json

FORMAT = 1
FOLDER_ENV = "EMOFORGE_ENDPOINT_CACHE"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: the address and the body of the POST. No key, no header."""

    url: str
    body: dict[str, Any]

    @property
    def hash(self) -> str:
        """64 hex digits of sha256 over the canonical JSON of both."""
        return hash_json({"v": FORMAT, "url": self.url, "body": self.body})


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. content: text of the first choice; finish: why it ended ("stop", "length", ...); model: as the
    server names it; tokens as the server counts them."""

    content: str
    finish: str
    model: str
    tokens_in: int
    tokens_out: int


def cache_folder() -> Path:
    """Of this machine and user."""
    named = os.environ.get(FOLDER_ENV)
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "emoforge" / "endpoint"


class Cache:
    """One file an answer, `<2 hex>/<hash>.json`, with the request in it; written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, request: Request) -> Reply | None:
        """None where it was never answered, or the file is not what was written."""
        path = self._path(request)
        try:
            whole = json.loads(path.read_text(encoding="utf-8"))
            if whole["format"] != FORMAT or whole["url"] != request.url or whole["body"] != request.body:
                raise ValueError("another request stands in it")
            reply = Reply(**whole["reply"])
            if whole["sha256"] != hash_json(asdict(reply)):
                raise ValueError("the answer is not what was written")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("ignoring the kept answer %s: %s; it is asked for again", path, error)
            return None
        return reply

    def put(self, request: Request, reply: Reply) -> None:
        """Keeps an answer. Raises `ResourceError` where the folder cannot be written."""
        kept = asdict(reply)
        whole = {"format": FORMAT, "url": request.url, "body": request.body, "reply": kept, "sha256": hash_json(kept)}
        write_json(self._path(request), whole)

    def _path(self, request: Request) -> Path:
        digest = request.hash
        return self.folder / "answers" / digest[:2] / f"{digest}.json"
