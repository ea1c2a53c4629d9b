"""A rater goes through the kit by keys alone, is interrupted, comes back, and sends answers that can be analysed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.raters.collected import collect
from flows.raters.kit import Asked, Kit, make_kit, write_kit
from flows.raters.wording import Wording
from tests.browser import Page, chromium, needs_chromium
from tests.flows.raters.kit_release import release_in

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kit")


@pytest.fixture(scope="module")
def kits(folder: Path) -> dict[str, Kit]:
    kits = {}
    for modality in ("face", "speech", "text"):
        release = release_in(folder / modality, modality)
        kits[modality] = make_kit(release, Asked(per_class=1, raters=4, seed=2), Wording())
        write_kit(kits[modality], folder / f"{modality}.html", folder / f"{modality}-KEY.json")
    return kits


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


def heading(page: Page) -> str:
    return str(page.js("document.querySelector('h1').textContent"))


def begin(page: Page, path: Path, rater: int) -> None:
    page.open(path)
    page.click("#agree")
    page.js("document.getElementById('rater').focus()")
    page.key(str(rater))
    page.key("Enter")
    page.until("document.querySelector('h1').textContent !== 'A study of raters'")


def step(page: Page, *, sound: bool) -> bool:
    """One page by keys; False at the end."""
    if heading(page) == "Thank you":
        return False
    if not page.js("document.querySelector('fieldset') !== null"):
        page.key("Enter")  # its button has the focus
        return True
    if sound:
        assert page.js("document.querySelector('form button').disabled"), "nobody answers what they did not hear"
        two = page.js("document.querySelectorAll('audio').length") > 1
        for key in ("a", "b") if two else (" ",):
            page.key(key)
        page.until("![...document.querySelectorAll('form input')].some((input) => input.disabled)")
    wanted = page.js("(document.querySelector('legend').textContent.match(/choose \"(.*)\"/) ?? [])[1] ?? ''")
    labels = page.js("[...document.querySelectorAll('.choice span')].map((span) => span.textContent)")
    page.key(str(labels.index(wanted) + 1 if wanted else 1))
    page.key("Enter")
    return True


@pytest.mark.parametrize("modality", ["face", "speech", "text"])
def test_a_rater_by_keys(browser: Page, kits: dict[str, Kit], folder: Path, tmp_path: Path, modality: str) -> None:
    kit, path = kits[modality], folder / f"{modality}.html"
    browser.errors.clear()
    begin(browser, path, 3)
    for _ in range(12):
        assert step(browser, sound=modality == "speech")
    said = browser.js("document.getElementById('said').textContent")
    before = int(said.split()[0])
    assert before > 5
    begin(browser, path, 3)  # as after a crash
    assert heading(browser) == "Welcome back" and f"{before} answers" in browser.js("document.body.textContent")
    while step(browser, sound=modality == "speech"):
        pass
    browser.downloads_to(tmp_path)
    browser.key("Enter")
    target = tmp_path / f"answers-{kit.key.kit}-3.json"
    end = time.monotonic() + 30
    while not target.is_file():
        assert time.monotonic() < end
        time.sleep(0.1)
    (rater,) = collect(kit.key, [target]).raters
    assert rater.finished and set(rater.answers) == {trial.code for trial in kit.key.trials}
    assert (rater.checks, rater.checks_passed) == (5, 5)
    assert browser.errors == []


def test_consent_and_a_number_are_needed(browser: Page, kits: dict[str, Kit], folder: Path) -> None:
    browser.open(folder / "face.html", width=390, height=700)
    browser.click("form button")
    assert "agree" in browser.js("document.querySelector('[role=alert]').textContent")
    browser.click("#agree")
    browser.js("document.getElementById('rater').value = '5'")
    browser.click("form button")
    assert "1 to 4" in browser.js("document.querySelector('[role=alert]').textContent")
    assert browser.js("document.documentElement.scrollWidth") <= 390


def test_raters_meet_the_blocks_in_other_orders(browser: Page, kits: dict[str, Kit], folder: Path) -> None:
    first = []
    for rater in (1, 2):
        begin(browser, folder / "face.html", rater)
        browser.key("Enter")
        first.append(heading(browser))
    assert first[0] != first[1]
