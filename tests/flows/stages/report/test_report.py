"""The report of a made-up run: whole, safe, the same twice, and honest about what is missing."""

from __future__ import annotations

import html
import io
import json
import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpora.errors import IntegrityError
from corpora.store.atomic import write_json
from flows.artifacts.evaluated import Evaluated, Interval, Uplift
from flows.stages.release import selftest_notes
from flows.stages.report import figures
from flows.stages.report.data import read_run
from flows.stages.report.media import spectrogram, to_medium
from flows.stages.report.report import write_report
from flows.stages.report.samples import Media, Shown, chosen_media
from flows.stages.report.tables import histograms, uplift_words
from flows.stages.report.text import interval, number, percent
from tests.flows.stages.report.report_run import CLASSES, HOSTILE, SECTIONS, make_run, voice


@pytest.fixture(scope="module")
def face_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("faces"))


@pytest.fixture
def own_run(face_run: Path, tmp_path: Path) -> Path:
    """A copy without a report, that a test may break."""
    shutil.copytree(face_run.parent.parent, tmp_path / "data")
    (tmp_path / "data" / "runs" / face_run.name / "report.html").unlink(missing_ok=True)
    return tmp_path / "data" / "runs" / face_run.name


def page_of(run: Path, **options: Any) -> str:
    target = run / "report.html"
    write_report(run, run.parent.parent / "corpora", target, generated=options.get("generated"))
    return target.read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Every tag with its attributes, and a check that tags close in order."""

    VOID = frozenset({"meta", "link", "img", "br", "input", "path", "use", "rect", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()


def loaded_from(page: str) -> Iterator[str]:
    """Everything that a browser fetches to show the page."""
    for tag, attributes in Tags(page).tags:
        for name in ("src", "srcset", "poster", "data", "xlink:href"):
            if attributes.get(name):
                yield str(attributes[name])
        if tag == "link" and attributes.get("href"):
            yield str(attributes["href"])
    yield from re.findall(r"url\(([^)]*)\)|@import\s+(\S+)", page)


@pytest.mark.parametrize("modality", ["face", "speech"])
def test_whole_page(tmp_path: Path, modality: str) -> None:
    page = page_of(make_run(tmp_path, modality))
    tags = Tags(page)
    assert not tags.open
    assert {a.get("id") for _, a in tags.tags} >= set(SECTIONS)
    for source in loaded_from(page):
        text = "".join(source) if isinstance(source, tuple) else source
        assert text.startswith(("data:", "#")), text[:80]
    assert len(page.encode()) < 15_000_000
    names = [t for t, _ in tags.tags]
    assert names.count("audio") == (0 if modality == "face" else names.count("img"))
    assert names.count("img") >= 4 * 8
    assert "not publishable" in page and "frechet: undecided for fear" in page
    assert ">nan<" not in page.lower() and "None" not in html.unescape(re.sub(r'"data:[^"]*"', "", page))
    assert "Win: trained with the synthetic samples" in page


def test_the_self_test_says_what_gates_miss(own_run: Path) -> None:
    path = own_run / "evaluation" / "selftest.json"
    rows = re.findall(r"<td>(copies 5%|blurred 2 px|none [^<]*)</td><td>.*?>([a-z ]+)</span>", page_of(own_run))
    assert [said for _, said in rows] == ["yes", "yes", "missed"]
    told = json.loads(path.read_text())

    def noted() -> list[str]:
        return selftest_notes(Evaluated.open(path.parent).selftest())

    assert noted() == ["self-test: the gates did not catch a planted defect (blurred 2 px, n = 20)"]
    told["outcomes"][0] |= {"caught": True, "by": ["kid"]}
    write_json(path, told)
    assert "wrongly failed" in page_of(own_run) and "held-out people failed kid" in noted()[0]
    write_json(path, {"outcomes": [], "why_not": "train has 1 group"})
    assert "Not tested: train has 1 group" in page_of(own_run) and "1 group" in noted()[0]
    path.unlink()
    assert "Do the gates see" not in page_of(own_run) and noted() == []


def test_same_bytes_twice_and_no_clock(face_run: Path) -> None:
    first = page_of(face_run)
    assert page_of(face_run) == first
    assert "2001-02-03" not in first
    assert "2001-02-03 04:05" in page_of(face_run, generated="2001-02-03 04:05")


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    run = make_run(tmp_path, classes=["anger", HOSTILE, "c", "d"])
    manifest = json.loads((run / "release" / "manifest.json").read_text())
    write_json(run / "release" / "manifest.json", {**manifest, "name": HOSTILE, "reasons": [HOSTILE]})
    card = run.parent.parent / "corpora" / "made_up" / "card.json"
    told = json.loads(card.read_text())
    write_json(card, {**told, "card": {**told["card"], "title": HOSTILE, "url": "javascript:alert(1)"}})
    page = page_of(run)
    scripts = [a for t, a in Tags(page).tags if t == "script"]
    assert [a.get("type") for a in scripts] == ["application/json", None]
    assert not any(name.startswith("on") for _, a in Tags(page).tags for name in a), "no inline handlers"
    assert not Tags(page).open
    assert not any(str(a.get("href", "")).startswith("javascript") for _, a in Tags(page).tags)
    assert html.escape(HOSTILE, quote=False) in page.replace("&#34;", '"').replace("&#39;", "'").replace("&quot;", '"')


@pytest.mark.parametrize(
    "gone",
    [
        "fit",
        "augmented",
        "evaluation",
        "release",
        "fit/loss.csv",
        "evaluation/uplift.json",
        "evaluation/conditions.json",
        "augmented/rejected.parquet",
        "augmented/reference.json",
    ],
)
def test_what_is_not_there_yet_is_said(own_run: Path, gone: str) -> None:
    path = own_run / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = page_of(own_run)
    assert {a.get("id") for _, a in Tags(page).tags} >= set(SECTIONS)
    words = {
        "fit": "No fit so far",
        "augmented": "No synthetic samples so far",
        "evaluation": "No verdicts so far",
        "release": "There is no release",
        "fit/loss.csv": "closed form",
    }
    assert words.get(gone, "") in page


def test_pictures_and_sounds_keep_to_their_budget(face_run: Path) -> None:
    data = read_run(face_run, face_run.parent.parent / "corpora")
    whole, small = chosen_media(data, 10**7), chosen_media(data, 30_000)

    def shown(media: Media) -> list[Shown]:
        return [s for c in media.classes for s in (*c.real, *c.synthetic)] + list(media.rejected)

    assert not whole.cut and small.cut
    assert sum(s.medium.n_bytes for s in shown(small)) <= 30_000 < sum(s.medium.n_bytes for s in shown(whole))
    assert all(c.real for c in small.classes)  # cut evenly, not from the end


def test_a_fit_of_one_step_has_no_curve(own_run: Path) -> None:
    (own_run / "fit" / "loss.csv").write_text("step,loss\n1,0.5\n")
    assert "closed form" in page_of(own_run)


@pytest.mark.parametrize("gone", ["prepared/summary.json", "augmented/balance.json", "evaluation/verdicts.parquet"])
def test_half_a_stage_is_an_error(own_run: Path, gone: str) -> None:
    (own_run / gone).unlink()
    with pytest.raises(IntegrityError, match=Path(gone).name):
        page_of(own_run)
    assert not (own_run / "report.html").exists()


def test_changed_payload_is_an_error(own_run: Path) -> None:
    tar = own_run / "prepared" / "shards" / "train-real-00000.tar"
    data = bytearray(tar.read_bytes())
    for at in range(600, len(data), 64):
        data[at] ^= 1
    tar.write_bytes(bytes(data))
    with pytest.raises(IntegrityError):
        page_of(own_run)


def test_nothing_finite_still_makes_a_page(own_run: Path) -> None:
    one_group = {"value": 0.0, "low": None, "high": None}
    uplift = json.loads((own_run / "evaluation" / "uplift.json").read_text())
    for arm in uplift["arms"]:
        arm |= {"low": None, "high": None}
        arm["per_class"] = {c: {"f1": None, "recall": None, "low": None, "high": None, "n": 0} for c in CLASSES}
    write_json(own_run / "evaluation" / "uplift.json", {**uplift, "difference": one_group, "outcome": "undecided"})
    write_json(
        own_run / "evaluation" / "conditions.json",
        {
            c: {
                "recall_synthetic": 0.0,
                "low": 0.0,
                "high": 0.9,
                "n": 1,
                "recall_real": None,
                "n_real": 0,
                "cannot_be_judged": f"no real sample of {c}",
            }
            for c in CLASSES
        },
    )
    scores = pq.read_table(own_run / "augmented" / "scores.parquet")
    empty = pa.array([math.nan] * scores.num_rows, pa.float64())
    for name in ("value", "limit"):
        scores = scores.set_column(scores.schema.get_field_index(name), name, empty)
    pq.write_table(scores, own_run / "augmented" / "scores.parquet")
    page = page_of(own_run)
    assert ">nan<" not in page.lower()
    assert "cannot be said from one test group" in page


def test_histogram_rows_count_every_candidate(face_run: Path) -> None:
    entries = {e.gate: e for e in histograms(read_run(face_run, face_run.parent.parent / "corpora"))}
    scores = pq.read_table(face_run / "augmented" / "scores.parquet").to_pylist()
    for gate, entry in entries.items():
        assert sum(r.candidates for r in entry.rows) == sum(s["gate"] == gate for s in scores)
        assert sum(r.passed for r in entry.rows) == sum(s["gate"] == gate and s["passed"] for s in scores)
    assert entries["agreement"].side.startswith("larger")
    assert sum(r.unscored for r in entries["agreement"].rows) == 2  # one NaN in each class that lacks samples


@pytest.mark.parametrize(
    ("low", "high", "word"), [(0.01, 0.1, "Win"), (-0.1, -0.01, "Loss"), (-0.1, 0.2, "No difference"), (0.0, 0.1, "No")]
)
def test_uplift_is_said_plainly(low: float, high: float, word: str) -> None:
    unknown = Interval(value=0.0, low=None, high=None)
    measured = Uplift(
        classifier="SVM",
        classes=("a", "b"),
        n_train=4,
        n_synthetic=2,
        synthetic_weight=None,
        n_test=4,
        test_groups=2,
        arms=(),
        difference=Interval(value=(low + high) / 2, low=low, high=high),
        against_weighted=unknown,
        outcome="",
    )
    text = uplift_words(measured)
    assert text is not None and text.startswith(word)
    nothing = uplift_words(measured.model_copy(update={"n_synthetic": 0}))
    assert nothing is not None and nothing.startswith("No synthetic sample")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
        (12345, "12\u202f345"),
        (0, "0"),
        (0.12345, "0.123"),
        (3.0, "3"),
        (-1e-5, "-1.00e-05"),
        (True, "yes"),
    ],
)
def test_numbers(value: Any, text: str) -> None:
    assert number(value) == text


def test_interval_and_percent() -> None:
    assert interval(0.61, 0.55, 0.67) == "0.61 [0.55, 0.67]"
    assert interval(0.61, None, math.nan) == "0.61"
    assert interval(math.nan, 0.1, 0.2) == "–"
    assert percent(0.5) == "50.0\u202f%"


def test_spectrogram_shows_the_pitch() -> None:
    t = np.arange(16000) / 16000
    low, high = (spectrogram(np.sin(2 * np.pi * f * t).astype(np.float32), 16000).sum(axis=(1, 2)) for f in (200, 4000))
    assert low.argmax() > high.argmax()  # row 0 is the top


def test_sound_survives_losslessly() -> None:
    import base64

    import soundfile

    payload = voice(np.random.default_rng(0), 2)
    sound = to_medium(payload, "wav").sound
    assert sound is not None
    flac, _ = soundfile.read(io.BytesIO(base64.b64decode(sound.partition(",")[2])), dtype="int16")
    wav, _ = soundfile.read(io.BytesIO(payload), dtype="int16")
    assert (flac == wav).all()


def test_figures_follow_the_page_colours() -> None:
    svg = figures.balance_chart([figures.Bar("a", 3, accepted=1, target=4)])
    assert "var(--real)" in svg and "var(--synthetic)" in svg
    leftover = set(re.findall(r"#[0-9a-f]{6}", re.sub(r"url\(#\w+\)", "", svg)))
    assert not leftover & set(figures._VARIABLES), leftover


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here")
def test_chromium_draws_it(face_run: Path, tmp_path: Path) -> None:
    target, picture = tmp_path / "report.html", tmp_path / "report.png"
    write_report(face_run, face_run.parent.parent / "corpora", target, generated=None)
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--screenshot={picture}",
        "--window-size=1200,3000",
    ]
    subprocess.run([*command, target.as_uri()], check=True, capture_output=True, timeout=120)
    from PIL import Image

    pixels = np.asarray(Image.open(picture).convert("L"))
    assert pixels.shape[1] == 1200 and pixels.std() > 10  # not an empty page


def test_steps_counts_and_samples_before_and_after_are_shown(own_run: Path) -> None:
    page = page_of(own_run)
    for text in ("face-9", "crop-7", "margin: 0.25", "too-short: 1", "several faces: 2", f"of {CLASSES[0]}: 1"):
        assert text in page, text
    assert page.count("<h4>before</h4>") == 1 and "<h4>after" in page
    (own_run / "prepared" / "before.parquet").unlink()
    assert "<h4>before</h4>" not in page_of(own_run), "an older run has none"
