"""The report under a real mouse and real keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.stages.report.report import write_report
from tests.browser import Page, chromium, needs_chromium
from tests.flows.stages.report.report_run import HOSTILE, make_run

pytestmark = [pytest.mark.slow, needs_chromium]
SHOWN = "document.querySelectorAll('#samples .card:not([hidden])').length"
ACTIVE = "(({className, name, tagName}) => [className, name, tagName].join(' '))(document.activeElement)"
HOVERED = "document.querySelector('#map .near')?.dataset.card"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clicked")
    run = make_run(folder, classes=["anger", "fear", HOSTILE, "neutral"], conversions=True)
    write_report(run, run.parent.parent / "corpora", folder / "report.html", generated=None)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def page(browser: Page, report: Path) -> Iterator[Page]:
    browser.errors.clear()
    browser.open(report)
    yield browser
    assert browser.errors == []


def choose(page: Page, name: str, value: str) -> None:
    page.js(
        f"(() => {{ const f = document.getElementById('filters').elements.namedItem('{name}'); f.value = '{value}';"
        " f.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


def test_filters_change_what_is_shown(page: Page) -> None:
    every = page.js(SHOWN)
    assert every == page.js("JSON.parse(document.getElementById('gallery-data').textContent).length")
    choose(page, "class", "fear")
    of_class = page.js(SHOWN)
    assert 0 < of_class < every
    choose(page, "kind", "rejected")
    assert 0 < page.js(SHOWN) < of_class
    assert page.js("document.getElementById('shown').textContent").startswith(f"{page.js(SHOWN)} of {every}")
    choose(page, "class", "")
    choose(page, "refusal", "validity: clipped")
    assert page.js(SHOWN) == 2, "one in each class that lacks samples"
    page.click("#filters button[type=reset]")
    page.until(f"{SHOWN} === {every}")


def test_a_range_of_scores(page: Page) -> None:
    choose(page, "gate", "agreement")
    scored = page.js(SHOWN)
    choose(page, "low", "1")
    above = page.js(SHOWN)
    choose(page, "low", "")
    choose(page, "high", "0.999999999")
    assert above + page.js(SHOWN) == scored and above > 0
    assert page.js(
        "[...document.querySelectorAll('#samples .card:not([hidden])')].every((card) => "
        "JSON.parse(document.getElementById('gallery-data').textContent)[card.dataset.card].scores.agreement < 1)"
    )


def test_a_click_opens_the_certificate_and_escape_closes_it(page: Page) -> None:
    n = page.js("document.querySelector('.synthetic .card').dataset.card")
    page.click(f"#card-{n} a.born")
    page.until("document.getElementById('certificate').open")
    text = page.js("document.getElementById('certificate').textContent")
    name = page.js(f"JSON.parse(document.getElementById('gallery-data').textContent)[{n}].id")
    for word in (name, "generator", "source (from)", "agreement", "Nearest real train samples"):
        assert word in text
    assert page.js("document.activeElement.closest('dialog') !== null"), "keys are in the dialog"
    page.key("Escape")
    page.until("!document.getElementById('certificate').open")
    assert page.js("document.activeElement.closest('.card')?.dataset.card") == n, "and come back"


def test_the_map_and_the_gallery_are_linked(page: Page) -> None:
    every = page.js(SHOWN)
    page.click("#map .dot.synthetic")
    assert page.js(SHOWN) == page.js("document.querySelectorAll('#map .dot.chosen').length") == 1
    assert page.js(
        "document.querySelector('#map .dot.chosen').dataset.card === "
        "document.querySelector('#samples .card:not([hidden])').dataset.card"
    )
    page.click("#clear")
    page.until(f"{SHOWN} === {every}")
    page.middle("#map")
    x, y, width, height = page.js(
        "(() => { const b = document.getElementById('map').getBoundingClientRect();"
        " return [b.x, b.y, b.width, b.height]; })()"
    )
    page.drag((x + 8, y + 8), (x + width * 0.6, y + height - 8))  # its corners are round
    chosen = page.js("document.querySelectorAll('#map .dot.chosen').length")
    assert 1 < chosen < every and page.js(SHOWN) == chosen
    assert f"{chosen} points are selected" in page.js("document.getElementById('selected').textContent")
    page.click("#clear")
    n = page.js("document.querySelector('.real .card').dataset.card")
    page.click(f"#card-{n} .mark")
    assert page.js(f"document.getElementById('dot-{n}').classList.contains('marked')")
    assert page.js(SHOWN) == every, "marking hides nothing"
    page.js(f"document.querySelector('#card-{n} a.born').focus()")
    assert page.js(HOVERED) == n, "the card that one is on shows where it lies"


def test_keys_alone_are_enough(page: Page) -> None:
    page.js("document.body.focus()")
    reached = []
    for _ in range(60):
        page.key("Tab")
        reached.append(page.js(ACTIVE))
    for wanted in ("skip", "SUMMARY", "BUTTON", "class SELECT", "kind SELECT", "gate SELECT", "born", "mark"):
        assert any(wanted in one for one in reached), (wanted, reached)
    page.js("document.getElementById('map').focus()")
    first = page.js("document.getElementById('map').getAttribute('aria-activedescendant')")
    moved = set()
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
        page.key(key)
        moved.add(page.js("document.getElementById('map').getAttribute('aria-activedescendant')"))
    assert first and moved - {first}
    page.key(" ")
    assert page.js(SHOWN) == 1
    page.key("Enter")
    page.until("document.getElementById('certificate').open")
    page.key("Escape")
    page.js("document.getElementById('map').focus()")
    page.key("Escape")
    assert page.js("document.querySelectorAll('#map .chosen').length") == 0


def test_a_table_is_sorted_by_keys(page: Page) -> None:
    page.js("document.querySelector('#balance th button').focus()")
    page.key("Enter")
    assert page.js("document.querySelector('#balance th').getAttribute('aria-sort')") == "ascending"


def test_a_phone_scrolls_down_and_not_sideways(page: Page, report: Path) -> None:
    page.open(report, width=390, height=800)
    assert page.js("document.documentElement.scrollWidth") <= 390
    page.click(".card a.born")
    page.until("document.getElementById('certificate').open")
    assert page.js("document.getElementById('certificate').getBoundingClientRect().width") <= 390


def test_nothing_hostile_runs(page: Page) -> None:
    assert page.js("document.querySelectorAll('script').length") == 2
    choose(page, "class", HOSTILE.replace("'", "\\'"))
    assert page.js(SHOWN) > 0
