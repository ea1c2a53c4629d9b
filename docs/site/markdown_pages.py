"""Pages as the repository shows them, changed where the site's Markdown differs: pure text in, text out."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable

# code is matched first and left alone: what looks like a link in it is none
LINK = re.compile(
    r"(?P<code>^```.*?^```|`[^`\n]+`)|(?P<text>!?\[(?:[^\]`]|`[^`\n]*`)*\])\((?P<target>[^)\s]+)\)", re.M | re.S
)
FENCE = re.compile(r"^(```.*?^```)", re.M | re.S)
ITEM = re.compile(r"([-*]|\d+\.) ")
CHART = re.compile(r"^```mermaid\nflowchart \w+\n(.*?)^```\n", re.M | re.S)
NODE = r'(\w+)(?:\["([^"]*)"\])?'
ARROW = re.compile(rf"{NODE} -->(?:\|([^|]*)\|)? {NODE}")


def relink(text: str, page: str, site_page: str, place: Callable[[str], str | None]) -> str:
    """Links of `page` (a path in the repository), for the page `site_page` of the site. place: a path in the repository
    -> its path in the site, or None where the site has no such page: then the words of the link stay, without it."""

    def change(match: re.Match[str]) -> str:  # code has no target
        path, hash_, anchor = (match["target"] or "").partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return match[0]
        goal = place(posixpath.normpath(posixpath.join(posixpath.dirname(page), path)))
        if goal is None:
            return match["text"].lstrip("!")[1:-1]
        return f"{match['text']}({posixpath.relpath(goal, posixpath.dirname(site_page) or '.')}{hash_}{anchor})"

    return LINK.sub(change, text)


def lists(text: str) -> str:
    """Lists as Python-Markdown reads them: parts of an item stand four spaces in, and a blank line goes before a list
    that follows a paragraph."""
    parts = FENCE.split(text)
    return "".join(part if part.startswith("```") else _lists(part) for part in parts)


def _lists(text: str) -> str:
    lines: list[str] = []
    inside = False
    for line in text.split("\n"):
        before = lines[-1] if lines else ""
        words = line.lstrip(" ")
        indent = len(line) - len(words)
        item = ITEM.match(words) is not None and indent < 4
        if item and indent == 0:
            if before and not inside:
                lines.append("")
            inside = True
        elif inside and words and indent == 0 and not before:
            inside = False
        elif inside and words and 0 < indent < 4 and (item or not before):
            line = "    " + words
        lines.append(line)
    return "\n".join(lines)


def charts(text: str) -> str:
    """Flow charts as tables of where each arrow leads. What draws them would be fetched from another host."""

    def table(match: re.Match[str]) -> str:
        labels: dict[str, str] = {}
        arrows: dict[str, tuple[str, list[str]]] = {}
        lines = [line.strip() for line in match[1].splitlines() if line.strip()]
        for line in lines:
            arrow = ARROW.fullmatch(line)
            if arrow is None:
                raise ValueError(f'a line of a flow chart that is no arrow: {line!r}; write: a["label"] -->|verb| b')
            source, says, verb, target, also = arrow.groups()
            labels |= {key: label for key, label in ((source, says), (target, also)) if label}
            known, sources = arrows.setdefault(target, (verb or "", []))
            sources.append(source)
            arrows[target] = (known or verb or "", sources)
        rows = ["| arrow | from | to |", "|---|---|---|"]
        for target, (verb, sources) in arrows.items():
            begun = "; ".join(labels.get(s, s).split("<br>")[0].rstrip(",") for s in sources)
            head, *rest = labels.get(target, target).split("<br>")
            gap = ": " if rest and head[-1].isalnum() else " " * bool(rest)
            rows.append(f"| **{verb}** | {begun} | {head}{gap}{' '.join(rest)} |")
        return "\n".join(rows) + "\n"

    return CHART.sub(table, text)


def notebook(text: str, name: str) -> str:
    """A notebook as a page: its words and its code. It lies in git without outputs, so there are none."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    parts = [source if kind == "markdown" else f"```python\n{source}\n```" for kind, source in cells]
    # as HTML: a link in Markdown would lead to this page
    note = f'<a href="{name}" download>{name}</a>; `make notebooks` runs it. It is kept without outputs.'
    return "\n\n".join([parts[0], note, *parts[1:]]) + "\n"


def source(text: str, path: str) -> str:
    """A file of the repository as a page that search passes by."""
    language = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}.get(
        posixpath.splitext(path)[1], "text"
    )
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`{3,}", text))])
    head = f"---\nsearch: {{exclude: true}}\n---\n\n# {posixpath.basename(path)}\n\n`{path}`\n\n"
    return f"{head}{fence}{language}\n{text}\n{fence}\n"
