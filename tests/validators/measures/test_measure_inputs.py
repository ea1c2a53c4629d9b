"""Labels and pairs as people have them: what cannot be meant is taken off, the rest is an error that names it."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from corpora.codecs import encode_png, encode_wav
from corpora.errors import UnknownNameError, UserError
from corpora.labels import clean_label, folded, nearest_label
from emoforge.cli import app
from validators.measures.answers import classes_of, comparable
from validators.measures.inputs import load_one, load_pair, named_pairs
from validators.measures.registry import measure

TRUTH = ["happy", "sad", "angry", "gêné"] * 8
ANSWERS = ["happy", "sad", "angry", "happy"] * 8


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["measure", *map(str, arguments)])


def value(name: str, real: Path, synthetic: Path, *more: object) -> float:
    done = run(name, real, synthetic, "--json", *more)
    assert done.exception is None, done.exception
    return float(json.loads(done.stdout)["value"])


# -- labels


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("happy", "happy"),
        ("\ufeffhappy", "happy"),
        (" happy\t", "happy"),
        ('"happy"', "happy"),
        ("'happy'", "happy"),
        ("\u201chappy\u201d", "happy"),
        ('\ufeff "happy" ', "happy"),
        ("happy\u00a0", "happy"),
        ("\u200bhappy\u200b", "happy"),
        ("no\u00a0stress", "no stress"),
        (unicodedata.normalize("NFD", "gêné"), "gêné"),
        ("Happy", "Happy"),
        ("don't", "don't"),
        ('"', '"'),
        ("", ""),
        ("می\u200cشود", "می\u200cشود"),
        ("happy\r", "happy"),
    ],
)
def test_clean_label_takes_off_what_nobody_means(text: str, clean: str) -> None:
    assert clean_label(text) == clean and clean_label(clean) == clean


def test_nearest_label() -> None:
    known = ("disgust", "happy", "no stress", "anger")
    for label, near in (
        ("DISGUST", "disgust"),
        ("No_Stress", "no stress"),
        ("hapy", "happy"),
        ("angr", "anger"),
        ("xyz", None),
    ):
        assert nearest_label(label, known) == near
    assert folded("-1") != folded("1") and folded("no-stress") == folded("NO STRESS")


JUNK = st.sampled_from(["", " ", "\t", "\u00a0", "\u200b", "\ufeff", "  \u00a0"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["happy", "sad", "gêné"]), JUNK, JUNK, st.booleans(), st.booleans()),
        min_size=2,
        max_size=9,
    )
)
def test_labels_compare_whatever_stands_around_them(rows: list[tuple[str, str, str, bool, bool]]) -> None:
    plain = [label for label, *_ in rows]
    dressed = []
    for label, before, after, quoted, parted in rows:
        label = unicodedata.normalize("NFD", label) if parted else label
        dressed.append(f'{before}"{label}"{after}' if quoted else before + label + after)
    truth, answers, classes = comparable(plain, dressed)
    assert truth == answers == plain and set(classes) == set(plain)


def write(path: Path, labels: list[str], how: str) -> Path:
    text = {
        "plain": "\n".join(labels) + "\n",
        "mark": "\ufeff" + "\n".join(labels) + "\n",
        "crlf": "\r\n".join(labels) + "\r\n",
        "cr": "\r".join(labels) + "\r",
        "mark and crlf": "\ufeff" + "\r\n".join(labels),
        "blanks": " \n".join(labels) + "\t\n",
        "quotes": "\n".join(f'"{label}"' for label in labels),
        "nfd": unicodedata.normalize("NFD", "\n".join(labels)),
        "blank lines at the end": "\n".join(labels) + "\n\n \n",
        "utf-16": "\n".join(labels),
    }[how]
    path.write_bytes(text.encode("utf-16" if how == "utf-16" else "utf-8"))
    return path


HOW = ("plain", "mark", "crlf", "cr", "mark and crlf", "blanks", "quotes", "nfd", "blank lines at the end", "utf-16")


@pytest.mark.parametrize("how", HOW)
def test_files_of_labels_are_read_alike(tmp_path: Path, how: str) -> None:
    truth, answers = write(tmp_path / "t.txt", TRUTH, how), write(tmp_path / "a.txt", ANSWERS, "plain")
    assert measure("uar", *load_pair("labels", truth, answers)).value == pytest.approx(0.75)
    assert measure("uar", *load_pair("labels", answers, truth)).value == pytest.approx((1 + 1 + 0.5) / 3)
    scores = np.eye(4)[[["angry", "gêné", "happy", "sad"].index(label) for label in ANSWERS]]
    np.save(tmp_path / "s.npy", scores)
    found = measure("ece", *load_pair("labels", truth, tmp_path / "s.npy"), classes="angry,gêné,happy,sad")
    assert found.value == pytest.approx(0.25)


@pytest.mark.parametrize("kind", ["U", "S", "column", "object"])
def test_arrays_of_labels_are_read_alike(tmp_path: Path, kind: str) -> None:
    array = np.array(TRUTH) if kind != "S" else np.array([label.encode() for label in TRUTH])
    array = array[:, None] if kind == "column" else array
    if kind == "object":
        assert measure("uar", np.array(TRUTH, dtype=object), ANSWERS).value == pytest.approx(0.75)
        return
    np.save(tmp_path / "t.npy", array)
    truth = load_one("labels", tmp_path / "t.npy")
    assert measure("uar", truth, ANSWERS).value == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("truth", "answers", "more", "says"),
    [
        (["happy", "Happy"], ["happy", "happy"], {}, "'happy' and 'Happy'|'Happy' and 'happy'"),
        (["happy", "happy"], ["happy", "HAPPY"], {}, "differ in case"),
        (["no stress"], ["no_stress"], {}, "differ in case, hyphen or underscore"),
        (["happy", ""], ["happy", "happy"], {}, "the truth, row 2 holds no label"),
        (["happy", "nan"], ["happy", "happy"], {}, "the truth, row 2 holds no label"),
        (
            ["happy"],
            ["hapy"],
            {"classes": "happy,sad"},
            "the answers, row 1: 'hapy' .* happy, sad; 1 of 1 rows. Did you mean 'happy'",
        ),
        (
            ["joy", "sad"],
            ["sad", "sad"],
            {"classes": "happy,sad"},
            "the truth, row 1: 'joy' is not among the classes happy, sad",
        ),
        (["Happy"], ["happy"], {"classes": "happy,sad"}, "Did you mean 'happy'\\? ignore_case=true"),
        (["happy"], ["happy"], {"classes": "happy,Happy"}, "differ in case"),
        (["happy"], ["happy"], {"classes": "happy,happy"}, "twice"),
        (["happy"], ["happy"], {"classes": "happy,,sad"}, "number 2 has no name"),
    ],
)
def test_what_may_be_meant_is_an_error(truth: list[str], answers: list[str], more: dict[str, Any], says: str) -> None:
    for name in ("uar", "accuracy", "macro-f1"):
        with pytest.raises(UserError, match=says):
            measure(name, truth, answers, **more)


@pytest.mark.parametrize("name", ["auc", "ece"])
def test_a_truth_outside_the_classes_is_no_negative(name: str) -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    with pytest.raises(UserError, match=r"the truth, row 3: 'Happy' is not among the classes happy, sad; 1 of 3 rows"):
        measure(name, ["happy", "sad", "Happy"], scores, classes="happy,sad")
    found = measure(name, ["happy", "sad", "Happy"], scores, classes="happy,sad", ignore_case="Yes")
    assert found.value == measure(name, ["happy", "sad", "happy"], scores, classes=["happy", "sad"]).value


def test_case_can_be_ignored() -> None:
    assert measure("uar", ["Happy", "sad"], ["happy", "SAD"], ignore_case=True).value == 1
    assert comparable(["Happy", "sad"], ["HAPPY", "sad"], "happy,sad", ignore_case=True)[0] == ["happy", "sad"]
    assert measure("uar", ["happy", "sad"], ["happy", "glad"]).details["answered, never true"] == ["glad"]
    assert classes_of("") == [] and classes_of(" anger , 'fear' ") == ["anger", "fear"]


def test_a_blank_line_among_labels_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("happy\n\nsad\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"t.txt, line 2 is empty"):
        load_one("labels", tmp_path / "t.txt")
    (tmp_path / "n.txt").write_bytes(b"\xef\xbb\xbf1.5\r\n 2 \r\n\r\n")
    assert load_one("dimension", tmp_path / "n.txt").tolist() == [1.5, 2.0]
    (tmp_path / "n.txt").write_text("1.5\n2,5\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 2: '2,5' is no number"):
        load_one("dimension", tmp_path / "n.txt")


def test_texts_compare_in_one_unicode_form(tmp_path: Path) -> None:
    line = "une journée d'été à la forêt"
    (tmp_path / "a.txt").write_text("\ufeff" + line, encoding="utf-8")
    (tmp_path / "b.txt").write_text(unicodedata.normalize("NFD", line), encoding="utf-8")
    assert measure("chrf", *load_pair("text", tmp_path / "a.txt", tmp_path / "b.txt")).value == pytest.approx(100)


# -- options on the command line


def test_options_on_the_command_line_name_the_nearest(tmp_path: Path) -> None:
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        t = np.arange(8000) / 16000
        sound = sum(np.sin(2 * np.pi * (120 if side == "a" else 130) * k * t) / k for k in range(1, 9)).astype(
            np.float32
        )
        (tmp_path / side / "x.wav").write_bytes(encode_wav(0.1 * sound, 16000))
    files = (tmp_path / "a", tmp_path / "b")
    assert value("f0-rmse", *files, "--unit", "hz") == pytest.approx(10, abs=1)
    for options, says in (
        (("--unit", "herz"), "unknown value of f0-rmse's option unit 'herz'. Did you mean 'Hz'"),
        (("--unnit", "Hz"), "unknown option of f0-rmse 'unnit'. Did you mean 'unit'"),
        (("-o", "jsn=1"), "Did you mean 'json'"),
        (("-o", "unit=Hz", "-o", "Unit=cents"), "option unit is given twice: Hz and cents"),
        (("--unit",), "option --unit needs a value"),
        (("--unit", "--align"), "option --unit needs a value"),
    ):
        done = run("f0-rmse", *files, *options)
        assert isinstance(done.exception, UserError) and says in str(done.exception), done.exception
    gone = run("f0-rmse", tmp_path / "nowhere", tmp_path / "nowhere", "--unnit", "Hz")  # before files are read
    assert isinstance(gone.exception, UnknownNameError)
    assert json.loads(run("f0-rmse", *files, "--json", "--Unit", "HZ").stdout)["options"] == {
        "unit": "Hz",
        "align": "start",
        "f0": "dio",
    }


# -- pairs


def picture(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(np.full((8, 8), grey, np.uint8)))  # told by its content, whatever the ending


def make(folder: Path, names: list[str], grey: int = 0) -> Path:
    for number, name in enumerate(names):
        picture(folder / name, grey + number)
    return folder


def test_names_that_differ_in_their_ending_are_paired_by_the_whole_name(tmp_path: Path) -> None:
    names = ["a.png", "a.bmp", "a.jpg", "a.JPG", "deep/a.png", "b.png"]
    real, synthetic = make(tmp_path / "r", names), make(tmp_path / "s", names, 100)
    left, right = named_pairs(real, synthetic, (".png", ".bmp", ".jpg"))
    assert [p.relative_to(real) for p in left] == [p.relative_to(synthetic) for p in right] and len(left) == 6
    pairs = load_pair("images", real, synthetic)
    assert sorted(int(y[0, 0]) - int(x[0, 0]) for x, y in zip(*pairs, strict=True)) == [100] * 6


def test_another_ending_is_a_partner_where_it_is_the_only_one(tmp_path: Path) -> None:
    real, synthetic = make(tmp_path / "r", ["a.png", "b.PNG"]), make(tmp_path / "s", ["a.jpg", "b.png"])
    left, right = named_pairs(real, synthetic, (".png", ".jpg"))
    assert [(x.name, y.name) for x, y in zip(left, right, strict=True)] == [("a.png", "a.jpg"), ("b.PNG", "b.png")]


@pytest.mark.parametrize(
    ("real", "synthetic", "says"),
    [
        (["a.png", "a.bmp"], ["a.png"], "differ in their ending alone.*a.bmp"),
        (["a.png"], ["a.jpg", "a.png"], "differ in their ending alone.*a.jpg"),
        (["a.png", "a.bmp"], ["a.jpg", "a.tif"], "differ in their ending alone.*a.bmp, a.jpg, a.png, a.tif"),
        (["a.jpg", "a.JPG"], ["a.jpg", "a.jpeg"], "differ in their ending alone.*a.JPG, a.jpeg"),
        (["a.png", "c.png"], ["a.png", "d.png"], "no partner of the same name: c, d"),
        ([], [], "holds no .png"),
    ],
)
def test_names_that_cannot_be_paired_are_listed(
    tmp_path: Path, real: list[str], synthetic: list[str], says: str
) -> None:
    folders = make(tmp_path / "r", real), make(tmp_path / "s", synthetic)
    for folder in folders:
        folder.mkdir(exist_ok=True)
    with pytest.raises(UserError, match=says):
        named_pairs(*folders, (".png", ".bmp", ".jpg", ".jpeg", ".tif"))


@settings(max_examples=40, deadline=None)
@given(st.sets(st.tuples(st.sampled_from("abc"), st.sampled_from([".png", ".bmp", ".PNG", ".jpg"])), min_size=1))
def test_equal_folders_pair_every_file_once(
    tmp_path_factory: pytest.TempPathFactory, names: set[tuple[str, str]]
) -> None:
    root = tmp_path_factory.mktemp("pairs")
    files = ["".join(name) for name in names]
    folders = [root / side for side in "rs"]
    for folder in folders:
        folder.mkdir()
        for name in files:
            (folder / name).touch()
    left, right = named_pairs(*folders, (".png", ".bmp", ".jpg"))
    assert sorted(p.name for p in left) == sorted(files) and [p.name for p in left] == [p.name for p in right]


def test_names_that_look_alike_are_refused(tmp_path: Path) -> None:
    make(tmp_path / "r", ["é.png", "e\u0301.png"])
    if len(list((tmp_path / "r").iterdir())) == 2:
        with pytest.raises(UserError, match="look alike"):
            named_pairs(tmp_path / "r", tmp_path / "r", (".png",))
    left, _ = named_pairs(make(tmp_path / "x", ["é.png"]), make(tmp_path / "y", ["e\u0301.png"]), (".png",))
    assert len(left) == 1
