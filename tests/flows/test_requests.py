"""Lines that a model behind an address wrote: what was asked of whom stands in the release, and no key anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from corpora.errors import IntegrityError
from corpora.schema import REQUESTS
from corpora.store.release import open_release
from flows.artifacts.augmented import Augmented
from flows.stages.augment.requests import row_of
from flows.stages.release import released_requests
from flows.stages.report.report import write_report
from generators.language.endpoint.cache import FOLDER_ENV
from generators.language.endpoint.meter import Meter
from generators.language.endpoint.params import Server
from tests.flows.made_of import LENIENT, STAGES, ingested, released
from tests.generators.language.endpoint.server import Endpoint, Response, completion, serving

KEY = "sk-very-secret-0123456789"
FEW = LENIENT | {name: {"enabled": False} for name in ("agreement", "support")}  # judges take seconds
PRICES = {"price_in": 2.0, "price_out": 10.0, "budget": 5.0}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    monkeypatch.setenv(FOLDER_ENV, str(tmp_path / "kept"))
    monkeypatch.setenv("TEST_KEY", KEY)
    return tmp_path


@contextmanager
def asked_of_a_server(settings: Path, stages: tuple[str, ...]) -> Iterator[tuple[Path, Endpoint, dict[str, Any]]]:
    """A run whose lines a server wrote, up to the last of the stages -> its folder, what the server saw, its params."""

    def answer(body: dict[str, Any]) -> Response:
        """A new line for each seed; one draw in three needs a second answer."""
        return completion("junk" if body["seed"] % 3 == 0 else {"text": f"new {body['seed']}"}, tokens=(400, 20))

    with serving(answer) as endpoint:
        limits = {"requests_per_minute": 10_000, "tokens_per_minute": 10_000_000}
        server = {"url": endpoint.url, "model": "writer", "key_env": "TEST_KEY", "prices": PRICES, "limits": limits}
        generator = {"name": "endpoint", "params": {**server, "shots": 2}}
        run = {"representation": {"name": "utf8"}, "generator": generator, "gates": FEW}
        folder = ingested(settings / "project", "text", {"asked": run})
        yield released(folder, "asked", stages).parent, endpoint, server


def check_rows(requests: pa.Table, ids: Sequence[str], endpoint: Endpoint) -> None:
    """What was asked, of whom, for how much."""
    assert requests.schema == REQUESTS and len(ids) >= 2
    assert requests["sample_id"].to_pylist() == ids, "a row for each, in the order of the index"
    asked = {json.dumps(body["messages"], sort_keys=True, ensure_ascii=False) for body in endpoint.bodies}
    for row in requests.to_pylist():
        assert (row["url"], row["model"], row["answered_by"]) == (endpoint.url, "writer", ["tiny-1-2024"])
        assert len(row["requests"][0]) == 64 and set(row["prompts"]) <= asked and row["annotator"] is None
        assert (row["tokens_in"], row["tokens_out"]) == (400 * row["attempts"], 20 * row["attempts"])
        assert row["money"] == pytest.approx(row["attempts"] * (400 * 2.0 + 20 * 10.0) / 1e6)
    assert 2 in requests["attempts"].to_pylist(), "an answer that was no line was paid for, too"


def require_no_key(folder: Path, endpoint: Endpoint) -> None:
    assert KEY in endpoint.headers[0].get("Authorization", ""), "the key was used"
    assert [p for p in folder.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()] == [], "it is in no file"


def test_what_was_asked_of_whom_goes_from_the_work_store_to_release_and_report(settings: Path) -> None:
    with asked_of_a_server(settings, STAGES[:4]) as (place, endpoint, server):
        augmented = Augmented.open(place / "augmented")
    synthetic = augmented.index()["sample_id"].to_pylist()
    requests = released_requests(augmented, augmented.index())
    assert requests is not None
    check_rows(requests, synthetic, endpoint)

    # every candidate together costs what the account says
    whole = augmented.requests()
    assert whole is not None and len(endpoint.bodies) == pc.sum(whole["attempts"]).as_py()
    spent = Meter(settings / "kept", Server.model_validate(server)).spent()
    assert pc.sum(whole["money"]).as_py() == pytest.approx(spent.money)

    write_report(place, settings / "project/data/corpora", place / "report.html", generated=None)
    page = (place / "report.html").read_text(encoding="utf-8")
    assert endpoint.url in page and requests["requests"].to_pylist()[0][0] in page
    assert "user: " in page and f"{len(whole)} candidates" in page
    require_no_key(settings, endpoint)

    augmented.write_requests(whole.filter(pc.not_equal(whole["sample_id"], synthetic[0])))
    with pytest.raises(IntegrityError, match=r"requests\.parquet says nothing of"):
        released_requests(augmented, augmented.index())


@pytest.mark.slow
def test_a_release_holds_it_under_its_hash(settings: Path) -> None:
    with asked_of_a_server(settings, STAGES) as (place, endpoint, _):
        release = open_release(place / "release")
    release.verify()
    requests = release.requests()
    assert requests is not None
    check_rows(requests, release.rows("train", synthetic=True)["sample_id"].to_pylist(), endpoint)
    require_no_key(settings, endpoint)
    (place / "release/requests.parquet").write_bytes(b"")
    with pytest.raises(IntegrityError, match=r"requests\.parquet"):
        release.requests()


def test_what_has_no_column_of_its_own_is_kept_together() -> None:
    row = row_of("syn/g/1", {"model": "m", "prompts": [[{"role": "user", "content": "é"}]], "voice": "alto"})
    assert (row["model"], row["prompts"]) == ("m", ['[{"content": "é", "role": "user"}]'])
    assert row["facts"] == '{"voice": "alto"}' and row["url"] is None
    said = row_of("syn/g/2", {"annotator": {"model": "reader", "label": ""}})
    assert (said["annotator"], said["label"], said["facts"]) == ("reader", None, None)
