"""The docs as a site: every page is in its navigation, links lead somewhere, nothing comes from another host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import DOCS, REPO, fetched_elsewhere, load

pages = load("site/markdown_pages.py")


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml, whose function for anchors stands as a Python object in it."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
CONFIG: dict[str, Any] = yaml.load((REPO / "mkdocs.yml").read_text(encoding="utf-8"), Loader)  # a SafeLoader
LEFT_OUT: set[str] = set()  # pages that are deliberately not in the navigation
ADDED = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}  # of the top of the repository, below project/ in the site


def entries(nav: list[Any]) -> list[str]:
    """Pages of the navigation in order, its folders filled in."""
    names: list[str] = []
    for line in nav:
        for goal in line.values() if isinstance(line, dict) else [line]:
            if isinstance(goal, list):
                names += entries(goal)
            elif goal.endswith("*.md"):
                names += sorted(p.relative_to(DOCS).as_posix() for p in DOCS.glob(goal) if p.name != "README.md")
            else:
                names.append(goal)
    return names


def test_every_page_is_in_the_navigation_once() -> None:
    named = entries(CONFIG["nav"])
    assert len(named) == len(set(named))
    written = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    run = {path.relative_to(DOCS).with_suffix(".md").as_posix() for path in DOCS.rglob("*.ipynb")}
    assert set(named) == (written | run | {f"project/{name}" for name in ADDED}) - LEFT_OUT, (
        "a page is missing in the nav of mkdocs.yml, or one that is named there is gone"
    )
    assert all((REPO / name).is_file() for name in ADDED)


def test_the_site_fetches_nothing_and_forgives_no_link() -> None:
    assert CONFIG["theme"]["font"] is False
    assert "analytics" not in CONFIG["extra"] and "extra_javascript" not in CONFIG
    assert set(CONFIG["plugins"]) == {"search"}
    kinds = {kind: set(words.values()) for kind, words in CONFIG["validation"].items()}
    assert kinds == {"nav": {"warn"}, "links": {"warn"}}  # with --strict, a warning is an error
    assert {"anchors", "not_found"} <= set(CONFIG["validation"]["links"])
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    assert "build --strict" in makefile and "--dev-addr 127.0.0.1:" in makefile


def test_links_to_what_lies_outside() -> None:
    places = {
        "docs/a.md": "a.md",
        "README.md": "project/README.md",
        "x/y.py": "source/x/y.py.md",
        "docs/n.ipynb": "n.md",
    }
    text = "[a](a.md#b) [r](../README.md) ![p](p.png) [`c`](../x/y.py#L3) [n](n.ipynb)"
    text += " [h](https://h.org/a) [s](#s) [f](../x)"
    text += "\n`[a](../x/y.py)`\n```\n[a](../x/y.py)\n```\n"
    seen = []

    def place(path: str) -> str | None:
        seen.append(path)
        return places.get(path, path.removeprefix("docs/") if path.endswith("png") else None)

    assert pages.relink(text, "docs/q.md", "q.md", place) == (
        "[a](a.md#b) [r](project/README.md) ![p](p.png) [`c`](source/x/y.py.md#L3) [n](n.md)"
        " [h](https://h.org/a) [s](#s) f\n`[a](../x/y.py)`\n```\n[a](../x/y.py)\n```\n"
    )
    assert seen == ["docs/a.md", "README.md", "docs/p.png", "x/y.py", "docs/n.ipynb", "x"]
    assert pages.relink("[a](docs/a.md)", "README.md", "project/README.md", place) == "[a](../a.md)"
    assert pages.relink("[a](../a.md)", "docs/d/q.md", "d/q.md", place) == "[a](../a.md)"


def anchors(text: str) -> set[str]:
    """What headings of a page are linked by, as code hosts and mkdocs.yml make it."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    words = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in words}


def test_anchors_lead_to_a_heading() -> None:
    assert anchors("# A: `b.c`\n## [D e](f.md)\n```\n# no\n```\n") == {"a-bc", "d-e"}
    broken = []
    for page in [*DOCS.rglob("*.md"), *(REPO / name for name in ADDED)]:
        text = page.read_text(encoding="utf-8")
        for match in pages.LINK.finditer(text):
            path, _, anchor = (match["target"] or "").partition("#")
            goal = page.parent / path if path else page
            checked = anchor and goal.suffix == ".md" and not re.match(r"[a-z]+:", path)
            if checked and anchor not in anchors(goal.read_text(encoding="utf-8")):
                broken.append(f"{page.relative_to(REPO)}: {match['target']}")
    assert not broken


def test_lists_as_the_site_reads_them() -> None:
    text = "words:\n- one\n  goes on\n  - inner\n\n  a paragraph of one\n- two\n\n"
    rest = "no part of it\n  nor this\n```\nx\n- y\n```\n"
    assert pages.lists(text + rest) == (
        "words:\n\n- one\n  goes on\n    - inner\n\n    a paragraph of one\n- two\n\n" + rest
    )


def test_charts_become_tables() -> None:
    arrows = 'a["A<br>x, y"] -->|make| b["B,<br>z"]\n  c["C"] --> b\n  b -->|end| d["D<br>e f"]'
    chart = f"```mermaid\nflowchart LR\n  {arrows}\n```\n"
    assert pages.charts(f"x\n\n{chart}\ny") == (
        "x\n\n| arrow | from | to |\n|---|---|---|\n| **make** | A; C | B, z |\n| **end** | B | D: e f |\n\ny"
    )
    with pytest.raises(ValueError, match="no arrow: 'subgraph s'"):
        pages.charts("```mermaid\nflowchart LR\n  subgraph s\n```\n")
    whole = "".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))
    assert "```mermaid" in whole and "```mermaid" not in pages.charts(whole)


def test_a_file_of_code_as_a_page() -> None:
    page = pages.source("a = '''\n```\n'''", "x/y.py")
    assert "exclude: true" in page and "# y.py\n" in page and page.endswith("\n````python\na = '''\n```\n'''\n````\n")


def test_what_is_fetched_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    page.write_text(
        '<a href="https://a.org/x">a</a><script src="//b.org/x.js"></script><img src="c.png"><link href="https://d.org">'
    )
    assert fetched_elsewhere(page) == ["//b.org/x.js", "https://d.org"]
    style = tmp_path / "a.css"
    style.write_text("a{background:url(https://e.org/x.png)} b{background:url(data:image/png;base64,//a)}")
    assert fetched_elsewhere(style) == ["https://e.org/x.png"]
    page.write_text('<div class="mermaid">a</div>')
    assert fetched_elsewhere(page) == ["mermaid"]


ABSENT = "the site is built by MkDocs: pip install 'emoforge[docs]'"


def everything_fetched(site: Path) -> dict[str, list[str]]:
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    assert files
    return {str(path.relative_to(site)): elsewhere for path in files if (elsewhere := fetched_elsewhere(path))}


def test_a_small_site_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Theme and extensions of mkdocs.yml over one page."""
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    pytest.importorskip("material", reason=ABSENT)
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "README.md").write_text("# T\n\n## A: `b.c`\n\n| a | b |\n|---|---|\n| `x|y` | 2 |\n\n[up](#a-bc)\n")
    config = load_config(
        str(REPO / "mkdocs.yml"), docs_dir=str(docs), site_dir=str(tmp_path / "site"), nav=["README.md"], hooks=[]
    )
    config.extra_css.clear()
    config.strict = True
    build(config)
    text = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert '<h2 id="a-bc">' in text and "<td>2</td>" in text
    assert everything_fetched(tmp_path / "site") == {}


@pytest.mark.slow
def test_the_whole_site(tmp_path: Path) -> None:
    """As `make docs`: strict, so every link and anchor of every page leads somewhere."""
    pytest.importorskip("mkdocs", reason=ABSENT)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=REPO, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    built = {
        path.relative_to(tmp_path / "site").with_suffix(".md").as_posix()
        for path in (tmp_path / "site").rglob("*.html")
    }
    wanted = {name.replace("README.md", "index.md") for name in entries(CONFIG["nav"])}
    assert wanted <= built
    assert everything_fetched(tmp_path / "site") == {}
