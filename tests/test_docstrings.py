"""Docstrings of public names, width of the docs' prose, the list of decisions, the glossary."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
PACKAGES = ("corpora", "features", "training", "generators", "validators", "flows", "emoforge")
WIDTH = 120

# Public names without a docstring that a package may still have. Numbers only go down; at 0 the entry goes.
MISSING: dict[str, int] = {}

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def trees(package: str) -> Iterator[tuple[str, ast.Module]]:
    """(path in the repository, syntax tree) of every module of the package."""
    for path in sorted((REPO / package).rglob("*.py")):
        yield str(path.relative_to(REPO)), ast.parse(path.read_text(encoding="utf-8"))


def definitions(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[str, Definition]]:
    """(qualified name, node) of public functions, classes and methods; not of what is defined inside functions."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield owner + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from definitions(node.body, f"{owner}{node.name}.")


def documented_by_protocols() -> set[str]:
    """Names of methods that a Protocol of ours documents: what implements one need not say it again."""
    names: set[str] = set()
    for package in PACKAGES:
        for _, tree in trees(package):
            for _, node in definitions(tree.body):
                if isinstance(node, ast.ClassDef) and any(ast.unparse(b).startswith("Protocol") for b in node.bases):
                    names |= {n for n, part in definitions(node.body) if ast.get_docstring(part)}
    return names


def undocumented(package: str, inherited: set[str]) -> list[str]:
    """ "path:line name" of every public name without a docstring of its own or of its protocol."""
    return [
        f"{path}:{node.lineno} {name}"
        for path, tree in trees(package)
        for name, node in definitions(tree.body)
        if not ast.get_docstring(node) and not ("." in name and node.name in inherited)
    ]


@pytest.fixture(scope="module")
def inherited() -> set[str]:
    return documented_by_protocols()


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_have_a_docstring(package: str, inherited: set[str]) -> None:
    missing = undocumented(package, inherited)
    assert len(missing) <= MISSING.get(package, 0), "\n".join(["without a docstring:", *missing])


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """(number, line without the targets of its links) outside of code blocks, tables, comments and pictures."""
    code = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            code = not code
        elif not code and not line.startswith(("|", "    ", "<", "![")):
            text = re.sub(r"\]\([^)]*\)", "]", line)  # where a link leads cannot be wrapped
            yield number, text


def pages() -> list[Path]:
    """README.md and docs/, without what a script writes."""
    written = [REPO / "README.md", *sorted((REPO / "docs").rglob("*.md"))]
    return [page for page in written if not page.read_text(encoding="utf-8").startswith("<!-- Written by")]


@pytest.mark.parametrize("page", [str(page.relative_to(REPO)) for page in pages()])
def test_prose_fits_the_width(page: str) -> None:
    wide = [f"{page}:{number} has {len(line)} letters" for number, line in prose(REPO / page) if len(line) > WIDTH]
    assert not wide, "\n".join(wide)


def test_every_decision_is_listed() -> None:
    folder = REPO / "docs" / "adr"
    listed = re.findall(r"\]\((\d{4}-[^)#]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


def test_every_term_stands_once_in_the_glossary() -> None:
    text = (REPO / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?!term \|)(.+?) \| (.+) \|$", text, flags=re.M)
    terms = Counter(term for names, _ in rows for term in names.split(", "))
    assert rows and max(terms.values()) == 1, [term for term, count in terms.items() if count > 1]
    assert all(meaning.endswith(".") for _, meaning in rows)
