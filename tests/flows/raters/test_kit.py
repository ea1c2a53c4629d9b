"""The kit is balanced, blind, and one file; its orders are Latin squares."""

from __future__ import annotations

import base64
import io
import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from corpora.errors import UnknownNameError, UserError
from corpora.store.release import Release
from flows.raters.kit import Asked, Kit, chosen_tasks, make_kit, write_kit
from flows.raters.orders import balanced_rows, williams_row
from flows.raters.records import TASKS, read_key
from flows.raters.wording import CONSENT, Wording, read_wording
from tests.flows.raters.kit_release import release_in


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return release_in(tmp_path_factory.mktemp("kit") / "release")


@pytest.fixture(scope="module")
def kit(release: Release) -> Kit:
    return make_kit(release, Asked(per_class=4, raters=12, seed=1), Wording())


def data_of(kit: Kit) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="kit-data">(.*?)</script>', kit.page, re.S)
    assert found is not None
    data: dict[str, Any] = json.loads(found.group(1))
    return data


@pytest.mark.parametrize("n", [1, 2, 3, 6, 7, 12])
def test_williams_square(n: int) -> None:
    rows = [williams_row(n, row) for row in range(n if n % 2 == 0 else 2 * n)]
    assert all(sorted(row) == list(range(n)) for row in rows)
    for place in range(n):
        assert set(Counter(row[place] for row in rows).values()) == {len(rows) // n}, "each in each place equally often"
    after = Counter((a, b) for row in rows for a, b in pairwise(row))
    assert len(set(after.values())) <= 1 and len(after) == n * (n - 1), "each after each other equally often"


def test_rows_of_few_raters_are_spread_out() -> None:
    whole = balanced_rows(24, 24)
    assert {tuple(row) for row in whole} == {tuple(williams_row(24, row)) for row in range(24)}
    places = [row.index(0) for row in balanced_rows(24, 6)]
    assert min(places) < 8 and max(places) > 15, "early and late"
    assert {tuple(row) for row in balanced_rows(5, 10)} == {tuple(williams_row(5, row)) for row in range(10)}
    assert len({row[0] for row in balanced_rows(5, 5)}) == 5, "five raters are a Latin square"
    assert balanced_rows(0, 2) == [[], []]


def test_as_many_real_as_synthetic_of_each_class(kit: Kit) -> None:
    items = {item.code: item for item in kit.key.items}
    for task in ("real", "emotion", "quality"):
        trials = [t for t in kit.key.trials if t.task == task and t.counts]
        counts = Counter((items[t.item].kind, items[t.item].emotion) for t in trials)
        assert counts == dict.fromkeys([(k, e) for k in ("real", "synthetic") for e in ("anger", "fear")], 4)
    sides = [(items[t.item].kind, items[str(t.other)].kind) for t in kit.key.trials if t.task == "pairs"]
    assert all(set(pair) == {"real", "synthetic"} for pair in sides)
    assert {pair[0] for pair in sides} == {"real", "synthetic"}, "now one first, now the other"
    for t in kit.key.trials:
        if t.task == "similarity":
            item, reference = items[t.item], items[str(t.other)]
            assert reference.kind == "real" and reference.sample_id != item.sample_id
            assert reference.subject == item.subject or not t.counts
    references = {t.other for t in kit.key.trials if t.task == "similarity" and t.counts}
    judged = {t.item for t in kit.key.trials if t.counts}
    assert not references & judged, "who knows a reference is real would know the answer"


def test_sources_are_not_heard_beside_what_was_made_of_them(kit: Kit) -> None:
    real = {item.sample_id for item in kit.key.items if item.kind == "real"}
    assert len(real) > 8
    scored = {t.item for t in kit.key.trials if t.counts and t.task == "real"}
    made = {item.sample_id for item in kit.key.items if item.code in scored and item.kind == "synthetic"}
    assert not {f"c/{name.rpartition('/')[2]}" for name in made} & real


def test_the_page_tells_no_truth(kit: Kit) -> None:
    """Nothing of the key but codes stands in it, and what stands in it does not change with the truth."""
    for item in kit.key.items:
        assert item.sample_id not in kit.page and item.code in kit.page
    assert kit.key.secret not in kit.page and kit.key.release_hash not in kit.page
    data = data_of(kit)
    assert set(data) == {"kit", "modality", "raters", "consent", "instructions", "items", "blocks", "orders"}
    assert list(data["items"]) == sorted(data["items"])
    assert all(set(item) == {"type", "data"} for item in data["items"].values())
    for block in data["blocks"]:
        codes = [trial["code"] for trial in block["trials"]]
        assert codes == sorted(codes)
        assert all(set(trial) <= {"code", "items", "check"} for trial in block["trials"])


def test_codes_and_places_are_independent_of_the_kind(release: Release) -> None:
    """Over many secrets a synthetic item stands in the first half as often as a real one."""
    first = total = leading = pairs = 0
    for seed in range(40):
        key = make_kit(release, Asked(("real", "pairs"), per_class=4, raters=2, seed=seed), Wording()).key
        scored = [t for t in key.trials if t.counts]
        items = {item.code: item for item in key.items}
        kinds = [items[t.item].kind for t in scored if t.task == "real"]
        first += sum(kind == "synthetic" for kind in kinds[: len(kinds) // 2])
        total += len(kinds) // 2
        leading += sum(items[t.item].kind == "synthetic" for t in scored if t.task == "pairs")
        pairs += sum(t.task == "pairs" for t in scored)
    assert abs(first / total - 0.5) < 0.07 and abs(leading / pairs - 0.5) < 0.1


def test_a_stimulus_is_as_large_as_it_is_long(kit: Kit, tmp_path: Path) -> None:
    """Synthetic pictures of this release compress well, real ones do not: nothing of it is left."""
    items, data = {item.code: item for item in kit.key.items}, data_of(kit)
    assert len({len(item["data"]) for item in data["items"].values()}) == 1
    spread = {
        kind: {len(set(Image.open(io.BytesIO(base64.b64decode(held["data"]))).getdata())) > 1}
        for code, held in data["items"].items()
        for kind in [items[code].kind]
    }
    assert spread == {"real": {True}, "synthetic": {False}}, "and the pictures are the samples"


@pytest.mark.parametrize("modality", ["speech", "text"])
def test_other_modalities(tmp_path: Path, modality: str) -> None:
    made = make_kit(release_in(tmp_path / "r", modality), Asked(per_class=2, raters=4, seed=0), Wording())
    item = next(iter(data_of(made)["items"].values()))
    assert (item["type"] == "audio/wav") if modality == "speech" else ("day, number" in item["text"])
    assert made.page.count("</script>") == 2, "texts end no script"
    assert not made.left_out and made.trials == len(made.key.trials)


def test_every_rater_meets_every_trial_once(kit: Kit) -> None:
    data = data_of(kit)
    assert len(data["orders"]) == 12 and all(sorted(row) == list(range(5)) for row in data["orders"])
    for block in data["blocks"]:
        wanted = sorted(set(range(len(block["trials"]))) - set(block["practice"]))
        assert all(sorted(order) == wanted for order in block["orders"])
        assert sum("check" in trial for trial in block["trials"]) == 1
        (check,) = [i for i, trial in enumerate(block["trials"]) if "check" in trial]
        assert all(0 < order.index(check) < len(order) - 1 for order in block["orders"]), "somewhere in the middle"


def test_the_same_seed_is_the_same_kit_and_none_is_another(release: Release, kit: Kit) -> None:
    asked = Asked(per_class=4, raters=12, seed=1)
    assert make_kit(release, asked, Wording()).page == kit.page
    drawn = {make_kit(release, Asked(per_class=1, raters=1), Wording()).key.kit for _ in range(3)}
    assert len(drawn) == 3


def test_files_are_written_and_never_over_others(kit: Kit, tmp_path: Path) -> None:
    page, key = tmp_path / "p.html", tmp_path / "KEY.json"
    write_kit(kit, page, key)
    assert read_key(key) == kit.key and page.read_text() == kit.page
    with pytest.raises(UserError, match="there already"):
        write_kit(kit, tmp_path / "q.html", key)
    assert not (tmp_path / "q.html").exists()
    with pytest.raises(UserError, match="both"):
        write_kit(kit, tmp_path / "a", tmp_path / "a")


def test_what_cannot_be_asked_is_refused(release: Release, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--per-class"):
        make_kit(release, Asked(most_mb=0.01), Wording())
    with pytest.raises(UnknownNameError, match="quality"):
        chosen_tasks("real,qualty")
    assert chosen_tasks("") == tuple(TASKS) and chosen_tasks(" pairs, real") == ("real", "pairs")
    from corpora.store.release import open_release
    from tests.small_release import real, write_release

    alone = open_release(write_release(tmp_path / "alone", [real(i) for i in range(4)]))
    with pytest.raises(UserError, match="nothing to"):
        make_kit(alone, Asked(), Wording())


def test_own_words(tmp_path: Path, release: Release) -> None:
    text = tmp_path / "words.txt"
    text.write_text("I agree to\nbe asked.\n\n<b>Second</b>\n---\nListen </script> well.\n", encoding="utf-8")
    wording = read_wording(text)
    assert wording.consent == ["I agree to be asked.", "<b>Second</b>"]
    kit = make_kit(release, Asked(("real",), per_class=1, raters=1, seed=0), wording)
    assert data_of(kit)["instructions"] == ["Listen </script> well."] and kit.page.count("</script>") == 2
    assert read_wording(None).consent == CONSENT
    for wrong in ("no line", "a\n---\nb\n---\n", "---\nonly after", "only before\n---\n"):
        text.write_text(wrong)
        with pytest.raises(UserError, match=re.escape(str(text))):
            read_wording(text)
