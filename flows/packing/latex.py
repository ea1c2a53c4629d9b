"""Text and tables as LaTeX that compiles: everything that a table, a card or a person wrote goes through `escaped`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flows.describing.statement import Section

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # else an option of \\item, or of the end of a table's row
    "]": "{]}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
}
_CODE = re.compile(r"`([^`]*)`")


def escaped(text: str) -> str:
    """Plain text: no character of it means anything to LaTeX. Line ends and tabs become spaces."""
    return "".join(_SPECIAL.get(c, c if c.isprintable() else " ") for c in text)


def prose(text: str) -> str:
    """The same, with `code` between backticks set as such."""
    parts = _CODE.split(text)
    return "".join(code(part) if i % 2 else escaped(part) for i, part in enumerate(parts))


def code(text: str) -> str:
    """A name of a file, a run, a generator."""
    return rf"\texttt{{{escaped(text)}}}"


def table(label: str, caption: str, rows: Sequence[Sequence[str]]) -> str:
    """rows: the head first; a column whose cells are all numbers stands right. caption: plain text."""
    head, *body = rows
    columns = "".join("r" if body and all(_is_number(row[i]) for row in body) else "l" for i in range(len(head)))
    lines = [
        r"\begin{table}[t]",
        r"\centering\small",
        rf"\caption{{{prose(caption)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\hline",
        _row(head),
        r"\hline",
        *map(_row, body),
        r"\hline",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"


def _is_number(cell: str) -> bool:
    return cell == "-" or re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", cell) is not None


def section(told: Section, level: str = "subsection") -> str:
    """A title and a list; its table, if it has one, stands elsewhere."""
    items = "\n".join(rf"  \item {prose(line)}" for line in told.lines)
    return f"\\{level}{{{escaped(told.title)}}}\n\\begin{{itemize}}\n{items}\n\\end{{itemize}}\n"
