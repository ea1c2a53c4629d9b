"""Modules below docs/, which is no package, by their path; what a built page fetches."""

from __future__ import annotations

import importlib.util
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

REPO = Path(__file__).resolve().parents[2]
DOCS = REPO / "docs"


def load(path: str) -> ModuleType:
    """The module docs/`path`; its folder is on the path while it is loaded, as that of a script is."""
    name = "docs_" + path.removesuffix(".py").replace("/", "_")
    specification = importlib.util.spec_from_file_location(name, DOCS / path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    sys.path.insert(0, str((DOCS / path).parent))
    try:
        specification.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


class Fetched(HTMLParser):
    """Addresses on other hosts that a browser asks when it opens a page; where links lead is up to the reader."""

    def __init__(self) -> None:
        super().__init__()
        self.elsewhere: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if tag == "a" and name == "href":
                continue
            if name in ("src", "srcset", "href", "data", "action", "poster", "style", "content"):
                self.elsewhere += re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", value or "")
        if ("class", "mermaid") in attrs:  # the theme would load what draws it from another host
            self.elsewhere.append("mermaid")


def fetched_elsewhere(page: Path) -> list[str]:
    """Of a page or a style sheet."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".css":
        return re.findall(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)", text)
    parser = Fetched()
    parser.feed(text)
    return parser.elsewhere
