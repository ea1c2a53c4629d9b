"""What MkDocs asks while it builds the site (mkdocs.yml names this file).

Pages are written to be read in the repository. Here the site gets what they link to outside docs/: the pages at the
top of the repository, and single files as pages of their own. Lines of the navigation that end in `*.md` become all
pages of that folder.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from markdown_pages import charts, lists, notebook, relink, source  # beside this file, as MkDocs loads hooks
from mkdocs.structure.files import File, Files

REPO = Path(__file__).resolve().parents[2]
DOCS = "docs/"
TOP = {name: f"project/{name}" for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")}
SOURCES = "source/"


def place(path: str) -> str | None:
    """A path in the repository -> its path in the site; None of folders and of what is not there."""
    if path in TOP:
        return TOP[path]
    if not (REPO / path).is_file():
        return None
    if path.startswith(DOCS):
        inside = path.removeprefix(DOCS)
        return re.sub(r"\.ipynb$", ".md", inside)
    return f"{SOURCES}{path}.md"


def on_config(config: Any) -> Any:
    """Fills in the folders of the navigation."""
    config.nav = _filled(config.nav)
    return config


def _filled(nav: list[Any]) -> list[Any]:
    lines: list[Any] = []
    for line in nav:
        if isinstance(line, dict):
            lines += [
                {title: _filled(inside) if isinstance(inside, list) else inside} for title, inside in line.items()
            ]
        elif line.endswith("*.md"):
            pages = sorted(p for p in (REPO / DOCS).glob(line) if p.name != "README.md")
            lines += [{heading(p): p.relative_to(REPO / DOCS).as_posix()} for p in pages]
        else:
            lines.append(line)
    return lines


def heading(page: Path) -> str:
    """The first heading of a page, without its code marks; the name of its file where it has none."""
    match = re.search(r"^##? (.+)$", page.read_text(encoding="utf-8"), re.M)
    return re.sub(r"[`\\]", "", match[1]) if match else page.stem.replace("_", " ")


def on_files(files: Files, config: Any) -> Files:
    """Adds what lies outside docs/ and is linked, and notebooks as pages."""
    texts = {DOCS + file.src_uri: file.content_string for file in files.documentation_pages()}
    for name, goal in TOP.items():
        texts[name] = (REPO / name).read_text(encoding="utf-8")
        files.append(File.generated(config, goal, content=texts[name]))
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        name = DOCS + file.src_uri
        texts[name] = notebook(file.content_string, Path(name).name)
        files.append(File.generated(config, str(place(name)), content=texts[name]))
    linked: set[str] = set()

    def note(path: str) -> str | None:
        goal = place(path)
        if goal is not None and goal.startswith(SOURCES):
            linked.add(path)
        return goal

    for name, text in texts.items():
        relink(text, name, str(place(name)), note)
    for name in sorted(linked):
        text = source((REPO / name).read_text(encoding="utf-8"), name)
        files.append(File.generated(config, f"{SOURCES}{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A page as the site's Markdown reads it."""
    uri = page.file.src_uri
    if uri.startswith(SOURCES):
        return markdown
    origin = next((name for name, goal in TOP.items() if goal == uri), DOCS + uri)
    return lists(charts(relink(markdown, origin, uri, place)))
