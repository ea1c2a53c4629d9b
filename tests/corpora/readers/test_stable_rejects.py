"""What is rejected, and why, depends on the bytes of a corpus alone: not on its folder, the process or a library."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpora.errors import CorpusError, PayloadError, refused
from corpora.formats.looks import looks_like
from corpora.readers import CORPORA, card_names, make_corpus
from corpora.records.files import read_file
from corpora.schema import Reject
from tests.corpora.readers.test_contract import FEWER

REPO = Path(__file__).resolve().parents[3]
PLACES = ("here/a corpus", "somewhere/else/and longer")
UNSTABLE = re.compile(r"0x[0-9a-f]{5,}|object at|Error\b|Exception|Errno|Traceback")
PAGE = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
# One for each thing that reads: the others go through the same, and are slow for what they add.
QUICK = (
    "affectnet",
    "cafe",
    "dair_emotion",
    "ecg200",
    "emozionalmente",
    "enterface05",
    "expw",
    "goemotions",
    "isear",
    "kdef",
    "msp_podcast",
    "nemo",
    "raf_db",
    "ravdess",
    "subesco",
)
NAMES = [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in sorted({*CORPORA, *card_names()})]
# corpora that are refused whole, or of which a file is damaged here that is not read
ALL_OR_NOTHING = {"emorynlp", "meld", "oulu_casia", "semeval2018_ec", "stress_predict"}


def damaged(data: bytes, way: str) -> bytes:
    """`page`: another file under its name. `middle`: what no table, picture or header takes, half way."""
    half = len(data) // 2
    return {"page": PAGE, "middle": data[:half] + b'\xff\n"\xff,\t\0' + data[half:-9]}[way]


def told(name: str, root: Path) -> list[tuple[str, ...]] | str:
    """What is read of the corpus; of an error only that there is one, for it names the folder."""
    found = []
    try:
        for item in make_corpus(name).read(root, "mine"):
            if isinstance(item, Reject):
                found.append((item.path, item.reason, item.detail))
            else:
                found.append((item.sample_id, str(item.extra)))
    except CorpusError:
        return "CorpusError"
    return found


@pytest.mark.parametrize("name", NAMES)
def test_rejects_are_the_same_wherever_the_corpus_lies(name: str, tmp_path: Path) -> None:
    first, second = (tmp_path / place for place in PLACES)
    corpus = make_corpus(name)
    classes = [emotion for emotion in dict.fromkeys(corpus.card.label_map.values()) if emotion is not None]
    corpus.fake(first, subjects=FEWER.get(name, 2), per_class=dict.fromkeys(classes[:2], 2) if classes else 4, seed=3)
    by_suffix: dict[str, list[Path]] = {}
    for path in sorted(first.rglob("*")):
        if path.is_file():
            by_suffix.setdefault(path.suffix, []).append(path)
    second.parent.mkdir(parents=True)
    n_rejects = 0
    for files in by_suffix.values():
        path = files[len(files) // 2]
        good = path.read_bytes()
        for way in ("page", "middle"):
            path.write_bytes(damaged(good, way))
            here = told(name, first)
            first.rename(second)
            there = told(name, second)
            second.rename(first)
            assert here == there
            for item in here if isinstance(here, list) else []:
                assert str(tmp_path) not in " ".join(item)
                if len(item) == 3:
                    n_rejects += 1
                    assert not UNSTABLE.search(item[2]), item
        path.write_bytes(good)
    assert n_rejects or name in ALL_OR_NOTHING, "nothing was rejected, so nothing was tested"


def test_a_file_that_the_system_refuses_is_told_without_its_path(tmp_path: Path) -> None:
    for what, make in {
        "it is a folder": lambda path: path.mkdir(),
        "it is not there": lambda path: None,
        "it is a link that leads to itself": lambda path: path.symlink_to(path),
    }.items():
        path = tmp_path / what.replace(" ", "-")
        make(path)
        with pytest.raises(PayloadError) as caught:
            read_file(path)
        assert (caught.value.reason, caught.value.detail) == ("unreadable", what)
    assert refused(OSError("odd")) == "the system says no more"


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (PAGE, "a web page"),
        (b"\n <html lang='en'>", "a web page"),
        (b"<!-- saved --><!DOCTYPE HTML>", "a web page"),
        (b"\xef\xbb\xbf<html>", "a web page"),
        (b"<?xml version='1.0'?><Error/>", "an XML file"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        (b"\xff\xd8\xff\xe0", "a jpeg picture"),
        (b"\xff\xfb\x90\x64", "an mp3 file"),
        (b"RIFF\0\0\0\0WEBP", "a webp picture"),
        (b"\0\0\0\x20ftypM4A ", "an mp4 or m4a file"),
        (b'{"error": 404}', "JSON"),
        (b"Not found\n", "text: it begins with b'Not found"),
        (bytes(600), "nothing but zeros"),
        (b"\x01\x02\x03", "unknown"),
        (b"", "empty"),
    ],
)
def test_what_a_file_looks_like(head: bytes, words: str) -> None:
    assert looks_like(head).startswith(words)


# What of an exception is a fact of the payload, and not a library's words.
FACTS = {"start", "end", "pos", "reason", "detail", "errno"}
OURS = {"PayloadError", "CorpusError", "UnknownNameError", "CorpusChangedError"}


def borrowed(source: str) -> Iterator[tuple[int, str]]:
    """(line, words) of every `PayloadError` or `Reject` that is made of a caught exception of others, or of a path."""
    if "PayloadError" not in source and "Reject" not in source:
        return
    nodes = list(ast.walk(ast.parse(source)))
    for handler in nodes:
        if not isinstance(handler, ast.ExceptHandler) or handler.name is None:
            continue
        caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        if all(isinstance(kind, ast.Name) and kind.id in OURS for kind in caught):
            continue
        tainted = {handler.name}
        for node in ast.walk(handler):  # why = str(error)
            if isinstance(node, ast.Assign) and _speaks(node.value, tainted):
                tainted |= {
                    name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)
                }
        for node in ast.walk(handler):
            if _makes_reject(node) and any(_speaks(part, tainted) for part in _parts(node)):
                yield node.lineno, ast.unparse(node)
    for node in nodes:
        if _makes_reject(node):
            for part in _parts(node):
                for value in ast.walk(part):
                    if isinstance(value, ast.FormattedValue) and _is_path(value.value):
                        yield node.lineno, ast.unparse(node)


def _makes_reject(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("PayloadError", "Reject")


def _parts(node: ast.AST) -> list[ast.expr]:
    assert isinstance(node, ast.Call)
    return [*node.args, *(keyword.value for keyword in node.keywords)]


def _speaks(node: ast.expr, tainted: set[str]) -> bool:
    """Whether an expression uses one of the names in another way than for a fact, or for `refused(error)`."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in tainted:
        return node.attr not in FACTS
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "refused":
        return False
    if isinstance(node, ast.Name):
        return node.id in tainted
    return any(_speaks(child, tainted) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr | ast.AST))


def _is_path(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("path", "root", "folder_path", "table", "archive")


def test_no_reject_is_made_of_a_librarys_words() -> None:
    found = [
        f"{path.relative_to(REPO)}:{line}: {words}"
        for package in ("corpora", "features", "flows", "validators", "generators", "training")
        for path in sorted((REPO / package).rglob("*.py"))
        for line, words in borrowed(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("raise PayloadError('x', str(error))", True),
        ("raise PayloadError('x', f'{error}'[:9])", True),
        ("raise PayloadError('x', f'{type(error).__name__}')", True),
        ("raise PayloadError('x', error.args[0])", True),
        ("why = repr(error); found.append(PayloadError('x', why))", True),
        ("yield Reject('c', 'p', 'x', detail=str(error))", True),
        ("raise PayloadError('x', f'{path}: no')", True),
        ("raise PayloadError('x', f'no Unicode at {error.start}')", False),
        ("raise PayloadError('x', refused(error))", False),
        ("raise PayloadError('x', 'our words') from error", False),
        ("raise CorpusError(f'{path}: {error}')", False),
    ],
)
def test_the_scan_sees_what_is_borrowed(line: str, wrong: bool) -> None:
    source = f"def f():\n    try:\n        pass\n    except (OSError, ValueError) as error:\n        {line}\n"
    assert bool(list(borrowed(source))) == wrong
    ours = source.replace("(OSError, ValueError)", "PayloadError")
    assert bool(list(borrowed(ours))) == ("{path}" in line and wrong)
