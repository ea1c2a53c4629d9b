"""The reviewer pack: numbers are those of the tables, LaTeX and BibTeX are whole, and nothing is made up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import UserError
from corpora.readers import make_corpus, reader_names
from corpora.store.release import open_release
from flows.artifacts.released import Released
from flows.packing.checklist import AUTHOR
from flows.packing.citations import ALWAYS, gates_of, papers
from flows.packing.latex import escaped, prose, table
from flows.packing.pack import Pack, write_pack
from generators.preset import load_preset, preset_names
from tests.flows.describing.tiny import CARD, write_described
from validators.gate import gate_names

NASTY = CARD | {"title": "50% of A_B & {C}$ #1 ~ ^\\ [x]"}
FILES = ("methods.tex", "tables.tex", "statement.tex", "checklist.tex", "references.bib", "main.tex")
COMMAND = re.compile(r"\\(?:[A-Za-z]+\*?|.)")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_described(tmp_path_factory.mktemp("r") / "release", corpora=[{"id": "c", "card": NASTY}])


@pytest.fixture(scope="module")
def pack(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return write_pack(release, tmp_path_factory.mktemp("p") / "paper")


def numbers(text: str) -> set[str]:
    """Whole and broken numbers that stand alone: not in a name, a key or a hash."""
    plain = re.sub(r"\\(?:cite|ref|label|texttt)\{[^}]*(?:\\.[^}]*)*\}", " ", text)
    return set(re.findall(r"(?<![\w.\-])-?\d+(?:\.\d+)?(?![\w.]*\w)", plain))


def test_every_number_of_the_paragraph_is_one_of_the_tables(release: Path, pack: Pack) -> None:
    manifest, opened = Released(release).manifest(), open_release(release)
    counts = [n for by in manifest.counts.values() for n in by.values()]
    real = [sum(n.real for n in by.values()) for by in manifest.counts.values()]
    verdicts = Released(release).verdicts()
    known = {
        *map(str, (*real, sum(real), sum(n.synthetic for n in counts), sum(n.effective or 0 for n in counts))),
        *(str(len(manifest.classes)), str(opened.rows(synthetic=False).num_rows)),
        str(len(set(opened.index["subject_id"].drop_null().to_pylist()))),
        *(str(sum(v.verdict == said for v in verdicts)) for said in ("pass", "fail", "undecided")),
        *(str(len(verdicts)), "3"),  # candidates of scores.parquet
    }
    text = (pack.folder / "methods.tex").read_text(encoding="utf-8").replace(escaped(NASTY["title"]), "")
    found = numbers(text)
    assert found <= known, found - known
    assert {"8", "3", "2", "7"} <= found, "real, synthetic, classes, people"


def test_tables_are_read_back(release: Path, pack: Pack) -> None:
    text = (pack.folder / "tables.tex").read_text(encoding="utf-8")
    rows = [line.removesuffix(r" \\").split(" & ") for line in text.splitlines() if line.endswith(r" \\")]
    manifest = Released(release).manifest()
    told = {(row[0], row[1]): row[2:] for row in rows if row[0] in manifest.counts}
    for split, by_class in manifest.counts.items():
        for name, n in by_class.items():
            effective = n.synthetic if n.effective is None else n.effective
            assert told.pop((split, name)) == [str(n.real), str(n.synthetic), str(effective)]
    assert not told
    (verdict,) = (row for row in rows if row[0] == "frechet")
    assert verdict == ["frechet", "all", "1.5", "1 .. 2", "1", "2.5", "4", "pass"]


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".tex")])
def test_latex_is_whole(name: str, pack: Pack) -> None:
    text = (pack.folder / name).read_text(encoding="utf-8")
    depth = 0
    for char in COMMAND.sub("", text):  # what is left bears no meaning of its own but braces
        depth += (char == "{") - (char == "}")
        assert depth >= 0
        assert char not in "$#^%" and (char != "_" or "\\ref" in text or "\\cite" in text)
    assert depth == 0
    opened = re.findall(r"\\(begin|end)\{(\w+)\}", text)
    stack: list[str] = []
    for way, what in opened:
        if way == "begin":
            stack.append(what)
        else:
            assert stack.pop() == what
    assert not stack


@given(st.text())
def test_no_character_of_a_text_means_anything(text: str) -> None:
    left = COMMAND.sub("", escaped(text))
    assert not set(left) & set('$#^%&~_<>|"\n\t\\')
    braces = 0
    for char in left:
        braces += (char == "{") - (char == "}")
        assert braces >= 0
    assert braces == 0
    assert re.search(r"(?<!\{)\[", left) is None


def test_text_survives_its_escape() -> None:
    assert escaped(r"a_b & 5% \x") == r"a\_b \& 5\% \textbackslash{}x"
    assert prose("a `b_c` d_e") == r"a \texttt{b\_c} d\_e"
    assert r"\begin{tabular}{lr}" in table("x", "c", [("a", "b"), ("z", "-1.5"), ("y", "-")])


def entries(bibtex: str) -> dict[str, dict[str, str]]:
    """Key -> field -> value, of BibTeX with values in braces. Fails for any other text."""
    found: dict[str, dict[str, str]] = {}
    at = 0
    while (start := re.compile(r"\s*@(\w+)\s*\{\s*([^\s,{}]+)\s*,").match(bibtex, at)) is not None:
        key, at, fields = start.group(2), start.end(), {}
        while (field := re.compile(r"\s*(\w+)\s*=\s*\{").match(bibtex, at)) is not None:
            depth, end = 1, field.end()
            while depth:
                depth += {"{": 1, "}": -1}.get(bibtex[end], 0) if bibtex[end - 1] != "\\" else 0
                end += 1
            fields[field.group(1)] = bibtex[field.end() : end - 1]
            separator = re.compile(r"\s*,?").match(bibtex, end)
            at = separator.end() if separator else end
        closing = re.compile(r"\s*\}").match(bibtex, at)
        assert closing is not None, bibtex[at : at + 40]
        at = closing.end()
        assert key not in found
        found[key] = fields
    assert not bibtex[at:].strip()
    return found


def test_references_parse_and_hold_every_key_that_is_cited(pack: Pack) -> None:
    found = entries((pack.folder / "references.bib").read_text(encoding="utf-8"))
    text = (pack.folder / "methods.tex").read_text(encoding="utf-8")
    cited = {key for keys in re.findall(r"\\cite\{([^}]*)\}", text) for key in keys.split(",")}
    assert cited == {"emoforge", "c2020corpus", "dowson1982frechet", "heusel2017gans"}
    assert cited <= set(found) and found["c2020corpus"]["year"] == "2020"


def test_papers_of_gates_are_whole_and_of_gates_that_are() -> None:
    for key, text in papers().items():
        (own,) = entries(text).items()
        assert own[0] == key and own[1]["title"] and own[1]["author"]
        assert set(gates_of(text)) <= set(gate_names()) and bool(gates_of(text)) == (key not in ALWAYS)
    assert len(papers()) == 16 and set(ALWAYS) <= set(papers())


@pytest.mark.parametrize("name", reader_names())
def test_cards_of_corpora_hold_bibtex_that_parses(name: str) -> None:
    assert len(entries(make_corpus(name).card.bibtex)) == 1


def test_the_paper_of_a_preset_is_cited_in_its_own_words(tmp_path: Path) -> None:
    name = preset_names("speech")[0]
    folder = write_described(tmp_path / "release", preset=name)
    made = write_pack(folder, tmp_path / "paper").folder
    key = name.rpartition("/")[2]
    note = entries((made / "references.bib").read_text(encoding="utf-8"))[key]["note"]
    assert note == escaped(" ".join(load_preset(name).source.split()))
    assert rf"\cite{{{key}}}" in (made / "methods.tex").read_text(encoding="utf-8")


def test_what_nobody_knows_is_for_the_author(pack: Pack) -> None:
    text = (pack.folder / "checklist.tex").read_text(encoding="utf-8")
    assert text.count(rf"\textbf{{{AUTHOR}}}") == len(pack.unanswered) == 11
    assert "Were there ethical reviews, and did the people consent?" in pack.unanswered
    assert "1.5" not in text and "3 of 11 samples, in train alone" in text
    assert "language: 8 of 8 real samples" in text


def test_a_release_without_synthetic_samples_cites_no_gate(tmp_path: Path) -> None:
    made = write_pack(write_described(tmp_path / "release", synthetic=0), tmp_path / "paper").folder
    text = (made / "methods.tex").read_text(encoding="utf-8")
    assert "No sample is synthetic." in text and "Gates" not in text
    assert "tab:gates" not in (made / "tables.tex").read_text(encoding="utf-8")


def test_a_folder_that_is_there_is_left_alone(release: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UserError, match="is there already"):
        write_pack(release, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
