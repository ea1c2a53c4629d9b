"""`emoforge audit`: exit codes, what it prints and writes, names that are HTML, and that no project is needed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from corpora.codecs import encode_png, encode_wav
from emoforge.cli import main
from flows.audits import page
from tests.corpora.splits.test_sides import RATE, a_release, face, voice, write
from tests.flows.stages.report.test_report import Tags, loaded_from

HOSTILE = "<script>alert(1)</script> &\"'"


def audit(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ending:
        main(["audit", *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(ending.value.code or 0), out, err


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """a (40 faces of two classes, labels in subfolders) and b (20, of which 8 are of a); outside of any project."""
    monkeypatch.chdir(tmp_path)
    for i in range(40):
        write(tmp_path / f"a/{('joy', 'fear')[i % 2]}/{i}.png", encode_png(face(i)))
    for i in range(20):
        seed = i if i < 8 else 100 + i
        write(tmp_path / f"b/{('Joy', 'fear')[i % 2]}/{i}.png", encode_png(face(seed)))
    return tmp_path


def test_a_leak_is_told_priced_and_shown(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = audit(capsys, "a", "b", "--html", "page.html")
    assert code == 1
    text = " ".join(out.split())
    assert "exact repeats 8 8" in text and "without it (8 of 40 train samples fewer)" in text
    assert re.search(r"n = 40 train, 20 test in 20 groups", text) and "fear, joy" in text
    content = (folders / "page.html").read_text(encoding="utf-8")
    tags = Tags(content)
    assert not tags.open and sum(tag == "img" for tag, _ in tags.tags) == 16
    assert all(one.startswith("data:") for one in loaded_from(content))


def test_json_holds_it_all(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = audit(capsys, "a", "b", "--json")
    found = json.loads(out)
    assert code == 1 and found["leaks"] and [one["labelled"] for one in found["inputs"]] == [40, 20]
    shared = found["shared"][0]
    assert shared["samples"] == {"repeats": {"first": 8, "second": 8}} and shared["n_pairs"] == 8
    assert {"kind": "repeats", "first": "joy/0.png", "second": "Joy/0.png", "distance": 0.0} in shared["pairs"]
    worth = found["worth"][0]
    assert worth["n_leaked"] == 8 and worth["classes"] == ["fear", "joy"]
    assert worth["difference"]["low"] <= worth["difference"]["value"] <= worth["difference"]["high"]
    code, out, _ = audit(capsys, "a", "b", "--json", "--no-worth")
    assert json.loads(out)["worth"] == []


def test_nothing_shared_is_exit_0(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(8):
        (folders / f"b/{('Joy', 'fear')[i % 2]}/{i}.png").unlink()
    code, out, _ = audit(capsys, "a", "b", "--html", "page.html")
    assert code == 0 and "Nothing is shared." in out
    assert "nothing shared" in (folders / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("given", [["a"], ["a", "missing"], ["a", "b:train"], ["a", "b", "--html", "page.txt"]])
def test_bad_input_is_exit_2(folders: Path, given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = audit(capsys, *given)
    assert code == 2 and not out and err.startswith("error: ")


def test_mixed_folders_are_an_error(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folders / "a/joy/1.wav", encode_wav(voice(1), RATE))
    code, _, err = audit(capsys, "a", "b")
    assert code == 2 and "several modalities: 1 of speech, 40 of face" in err


def test_names_that_are_html_and_files_that_are_none(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left, right = folders / "ä b [x]", folders / "b"
    shutil.move(folders / "a", left)
    hostile = HOSTILE.replace("/", "")
    (left / "joy/0.png").rename(left / "joy" / f"{hostile}.png")
    write(left / "joy" / f"{hostile} broken.png", b"no")
    code, out, _ = audit(capsys, left, right, "--html", folders / "p ü.html", "--no-worth")
    assert code == 1 and "1 cannot be decoded" in out and "broken.png: not-an-image" in out
    content = (folders / "p ü.html").read_text(encoding="utf-8")
    tags = Tags(content)
    assert not tags.open and not any(tag == "script" for tag, _ in tags.tags)
    assert hostile not in content and "&lt;script&gt;alert(1)&lt;script&gt;" in content
    assert "ä b [x]" in content and "not-an-image" in content


def test_without_labels_there_is_no_number_and_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(6):
        write(tmp_path / f"a/{i}.wav", encode_wav(voice(i), RATE))
        write(tmp_path / f"b/{i}.wav", encode_wav(voice(i + 5), 2 * RATE))
    write(tmp_path / "b/copy.wav", encode_wav(voice(0), RATE))
    code, out, _ = audit(capsys, tmp_path / "a", tmp_path / "b", "--html", tmp_path / "p.html")
    assert code == 1 and "no number, because the first side has no labels" in out
    content = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert content.count("<audio") == 2 and "No number: the first side has no labels" in content


def test_releases_share_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = a_release(tmp_path / "one", ["ann", "bob"]), a_release(tmp_path / "two", ["bob", "cem"], seed=1)
    code, out, _ = audit(capsys, one, two, "--json")
    found = json.loads(out)
    assert code == 1 and found["shared"][0]["keys"] == {"split_unit": ["c:bob"]}
    assert found["worth"][0]["leak"] == "copies and people" and found["worth"][0]["n_leaked"] == 4
    code, out, _ = audit(capsys, one, two)
    assert "shared subjects" in out
    code, out, _ = audit(capsys, f"{one}:train", f"{one}:test")
    assert code == 0
    (one / "index.parquet").write_bytes(b"changed")
    code, _, err = audit(capsys, one, two)
    assert code == 2 and "index.parquet" in err


def test_a_page_that_would_be_too_large_says_how_many_it_shows(
    folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MAX_MEDIA_CHARACTERS", 20_000)
    audit(capsys, "a", "b", "--html", "page.html", "--no-worth")
    content = (folders / "page.html").read_text(encoding="utf-8")
    shown = int(re.findall(r"The closest (\d+) of 8 pairs", content)[0])
    assert 0 < shown < 8 and content.count("<img") == 2 * shown and len(content) < 40_000


def test_fer2013_leaks_between_its_published_splits(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real copies that the corpus is known for, as folders of pictures."""
    lines = (shared_data / "fer2013" / "fer2013.csv").read_text().splitlines()[1:]
    for i, line in enumerate(lines):
        label, pixels, usage = line.split(",")
        if usage != "Training":
            picture = np.array(pixels.split(), np.uint8).reshape(48, 48)
            write(tmp_path / usage / label / f"{i}.png", encode_png(picture))
    code, out, _ = audit(capsys, tmp_path / "PublicTest", tmp_path / "PrivateTest", "--json", "--no-worth")
    samples = json.loads(out)["shared"][0]["samples"]
    assert code == 1 and samples["repeats"] == {"first": 2, "second": 2} and samples["near"]["first"] >= 12


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here")
def test_chromium_draws_it(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audit(capsys, "a", "b", "--html", "page.html", "--no-worth")
    picture = folders / "page.png"
    command = [
        *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
        *(f"--user-data-dir={folders / 'profile'}", f"--screenshot={picture}", "--window-size=1200,1600"),
    ]
    subprocess.run([*command, (folders / "page.html").as_uri()], check=True, capture_output=True, timeout=120)
    from PIL import Image

    pixels = np.asarray(Image.open(picture).convert("L"))
    assert pixels.shape[1] == 1200 and pixels.std() > 10  # not an empty page
