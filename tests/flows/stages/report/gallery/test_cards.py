"""The gallery of a made-up run: every sample has a certificate that says what the run's files say."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from flows.stages.report.data import RunFolder, read_run
from flows.stages.report.gallery import space
from flows.stages.report.gallery.cards import Gallery, gallery
from flows.stages.report.samples import REJECTED, Media, chosen_media
from tests.flows.stages.report.report_run import make_run
from validators.batch import Batch


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = make_run(tmp_path_factory.mktemp("faces"), conversions=True)
    return read_run(run, run.parent.parent / "corpora")


@pytest.fixture(scope="module")
def media(data: RunFolder) -> Media:
    return chosen_media(data, 10**7)


@pytest.fixture(scope="module")
def shown(data: RunFolder, media: Media) -> Gallery:
    return gallery(data, media)


def test_every_sample_on_the_page_has_a_card_and_a_certificate(shown: Gallery, media: Media) -> None:
    on_page = [s.sample_id for sheet in media.classes for s in (*sheet.real, *sheet.synthetic)]
    on_page += [s.sample_id for s in media.rejected]
    assert list(shown.numbers) == on_page and list(shown.numbers.values()) == list(range(len(on_page)))
    assert [birth.sample_id for birth in shown.births] == on_page
    assert {dot.card for dot in shown.dots} - {None} == set(shown.numbers.values())


def test_certificates_say_what_the_scores_say(shown: Gallery, data: RunFolder) -> None:
    assert data.scores is not None
    rows: dict[str, list[dict[str, object]]] = {}
    for row in data.scores.to_pylist():
        rows.setdefault(row["sample_id"], []).append(row)
    for birth in shown.births:
        own = rows.get(birth.sample_id, [])
        assert [(g.gate, g.passed, g.reason) for g in birth.gates] == [
            (r["gate"], r["passed"], r["reason"]) for r in own
        ]
        assert birth.passed == (birth.kind != "rejected")
        if birth.kind == "real":
            assert not own and birth.generator_id is None and not birth.parents
            continue
        assert birth.generator_id == "0123456789abcdef" * 4
        for gate in birth.gates:
            if gate.value is not None and math.isfinite(gate.value):
                assert gate.margin == pytest.approx(abs(gate.value - 1.0) * (1 if gate.passed else -1))
        (parent,) = birth.parents
        assert parent.role == "from" and parent.sample_id.startswith("made_up/neutral/")
        known = {r["sample_id"]: r for r in data.samples.to_pylist()}
        assert parent.emotion == (known[parent.sample_id]["emotion"] if parent.sample_id in known else None)


def test_the_island_is_what_filters_need(shown: Gallery) -> None:
    facts = json.loads(str(shown.data))
    assert [fact["id"] for fact in facts] == [birth.sample_id for birth in shown.births]
    refused = {reason for fact in facts for reason in fact["refusals"]}
    assert refused == set(shown.refusals) and "validity: clipped" in refused
    assert all(bool(fact["refusals"]) == (fact["kind"] == "rejected") for fact in facts)
    assert all(fact["scores"] for fact in facts if fact["kind"] != "real")


def test_gates_take_turns_among_the_rejected(media: Media, data: RunFolder) -> None:
    assert data.rejected is not None and 0 < len(media.rejected) <= REJECTED
    gate = dict(zip(data.rejected["sample_id"].to_pylist(), data.rejected["extra"].to_pylist(), strict=True))
    order = [dict(gate[s.sample_id])["gate"] for s in media.rejected]
    assert order[:3] == ["agreement", "validity", "agreement"]


def vectors(
    points: list[list[float]], prefix: str, groups: list[str], sources: list[tuple[str, ...]] | None = None
) -> Batch:
    n = len(points)
    ids = tuple(f"{prefix}{i}" for i in range(n))
    return Batch(
        "physio",
        ids,
        ("fear",) * n,
        [np.asarray(p, np.float32) for p in points],
        ids,
        groups=tuple(groups),
        source_ids=tuple(sources) if sources else ((),) * n,
        layout="vector",
    )


def test_neighbours_are_the_nearest_real_ones_in_typical_distances() -> None:
    rng = np.random.default_rng(3)
    real_x, made_x = rng.normal(size=(12, 4)), rng.normal(size=(5, 4))
    groups = [f"g{i % 4}" for i in range(12)]
    real = vectors(real_x.tolist(), "r", groups)
    made = vectors(made_x.tolist(), "s", ["g0"] * 5, [(f"r{i}",) for i in range(5)])
    near = space._nearest([real, made], [real_x, made_x], {*real.ids, *made.ids})
    z = (real_x - real_x.mean(0)) / real_x.std(0)
    q = (made_x - real_x.mean(0)) / real_x.std(0)
    nearest_stranger = [min(math.dist(z[i], z[j]) for j in range(12) if groups[j] != groups[i]) for i in range(12)]
    typical = float(np.median(nearest_stranger))
    for i in range(5):
        expected = sorted(range(12), key=lambda j: math.dist(q[i], z[j]))[:3]
        assert [one.sample_id for one in near[f"s{i}"]] == [f"r{j}" for j in expected]
        assert near[f"s{i}"][0].distance == pytest.approx(math.dist(q[i], z[expected[0]]) / typical, abs=1e-4)
        assert [one.source for one in near[f"s{i}"]] == [j == i for j in expected]
    assert all(one.sample_id != f"r{i}" for i in range(12) for one in near[f"r{i}"]), "nobody is near itself"


def test_the_map_is_the_plane_of_most_variance() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 6))
    shares, (placed, other) = space._mapped([plane, plane[:7]])
    assert sum(shares) == pytest.approx(1.0) and shares[0] > shares[1]
    assert placed.min() == 0 and placed.max() == 1 and np.array_equal(placed[:7], other)
    again = space._mapped([plane, plane[:7]])
    assert np.array_equal(again[1][0], placed), "the same every time"


def test_the_map_is_cut_by_ids_alone_and_needs_three_real_samples(
    data: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = space.space_of(data, set())
    assert whole is not None and whole.near == {} and whole.n_synthetic == whole.of_synthetic == 13
    monkeypatch.setattr(space, "MOST", 5)
    wanted = whole.points[0].sample_id
    few = space.space_of(data, {wanted})
    assert few is not None and (few.n_real, few.n_synthetic, few.of_real) == (5, 5, whole.of_real)
    assert wanted in {point.sample_id for point in few.points}, "what the gallery shows is always there"
    monkeypatch.setattr(space, "MOST", 2)
    assert space.space_of(data, set()) is None


def test_a_run_without_a_generator_has_a_gallery_too(tmp_path: Path) -> None:
    import shutil

    run = make_run(tmp_path)
    shutil.rmtree(run / "augmented")
    alone = read_run(run, tmp_path / "corpora")
    shown = gallery(alone, chosen_media(alone, 10**7))
    assert shown.kinds == {"real": "real"} and not shown.gates and not shown.refusals
    assert all(len(birth.near) == space.NEAR for birth in shown.births)
