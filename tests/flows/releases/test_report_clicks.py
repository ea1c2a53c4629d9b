"""The report with what changed, under a real mouse and real keys, wide and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.releases.places import find_release
from flows.releases.report_page import changes_since, read_report, with_changes
from tests.browser import Page, chromium, needs_chromium
from tests.flows.releases.changed_run import changed_project

pytestmark = [pytest.mark.slow, needs_chromium]
TOP = "document.getElementById('changed').getBoundingClientRect().top"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("changed")
    project = changed_project(folder)
    place = find_release("tiny", project.folder, whole=False)
    page = with_changes(read_report(place, project.folder), changes_since(place, None, project.folder))
    (folder / "page.html").write_text(page, "utf-8")
    return folder / "page.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def page(browser: Page, written: Path) -> Iterator[Page]:
    browser.errors.clear()
    browser.open(written)
    yield browser
    assert browser.errors == []


def test_a_click_leads_to_what_changed_and_opens_what_is_folded(page: Page) -> None:
    assert page.js(TOP) > 300
    page.click("nav a[href='#changed']")
    page.until(f"Math.abs({TOP}) < 40")
    folded = "#changed details:nth-of-type(2)"
    assert not page.js(f"document.querySelector({folded!r}).open")
    page.click(f"{folded} summary")
    page.until(f"document.querySelector({folded!r}).open")
    text = page.js(f"document.querySelector({folded!r}).innerText")
    assert "c/9" in text and "came" in text, "what became of them"
    assert "fail" in page.js("document.querySelector('#changed .badge.fail').textContent")


def test_its_tables_are_sorted_by_mouse_and_keys(page: Page) -> None:
    first = "document.querySelector('#changed tbody td').textContent"
    assert page.js(first) == "train"
    page.click("#changed th button")
    assert page.js(first) == "test"
    page.js("document.querySelector('#changed th button').focus()")
    page.key("Enter")
    assert page.js(first) == "train"
    assert page.js("document.querySelector('#changed th').getAttribute('aria-sort')") == "descending"
    headers = "[...document.querySelectorAll('#changed th')]"
    assert page.js(f"{headers}.every((h) => h.scope === 'col' && h.textContent.trim() !== '')")


def test_map_and_gallery_stay_linked_beside_it(page: Page) -> None:
    shown = "document.querySelectorAll('#samples .card:not([hidden])').length"
    every = page.js(shown)
    page.click("#map .dot.synthetic")
    assert page.js(shown) == 1
    assert page.js(
        "document.querySelector('#map .dot.chosen').dataset.card === "
        "document.querySelector('#samples .card:not([hidden])').dataset.card"
    )
    page.click("#clear")
    page.until(f"{shown} === {every}")
    assert page.js("document.querySelectorAll('script').length") == 2


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(page: Page, written: Path, width: int) -> None:
    page.open(written, width=width, height=800)
    page.js("document.querySelectorAll('#changed details').forEach((one) => { one.open = true; })")
    assert page.js("document.documentElement.scrollWidth") <= width
    inside = (
        "[...document.querySelectorAll('#changed > *')].every((e) => e.getBoundingClientRect().right"
        " <= document.getElementById('changed').getBoundingClientRect().right)"
    )
    assert page.js(inside)
    boxes = "[...document.querySelectorAll('#changed .wide')]"
    reached = f"{boxes}.every((b) => b.scrollWidth <= b.clientWidth || b.tabIndex === 0)"
    assert page.js(reached), "what scrolls is reached by keys"
