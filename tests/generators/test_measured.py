"""Who comes first for a corpus, by a table of known measurements."""

from __future__ import annotations

from dataclasses import replace

import pytest

from generators import measured
from generators.measured import Measured, Need, candidates, measurements, ranked
from generators.preset import load_preset, preset_names

ROW = Measured(
    "transfer", "mine", "speech", "functionals", 200, 10, 9, 600,
    40.0, 30.0, 50.0, 3.0, 1.0, 5.0, 1.1, 0.9, 0.8, 0.7, 0.0, 2.0, 4.0,
)  # fmt: skip
NEED = Need("speech", "vector", 10, 500)


def test_the_lower_end_of_what_was_measured_nearby_decides() -> None:
    better = replace(ROW, what="cvae", f1=45.0, f1_low=10.0)
    ranks = ranked(NEED, [ROW, better])
    assert [r.what for r in ranks[:2]] == ["transfer", "cvae"], "a wide interval is no promise"
    assert ranks[0].f1 == pytest.approx(40.0) and ranks[0].seconds == pytest.approx(2.0 + 4.0 * 0.5)
    assert all(r.low is None and "never measured" in r.reasons[-1] for r in ranks[2:])
    assert [r.what for r in ranked(NEED, [better, replace(ROW, f1_low=5.0)])[:2]] == ["cvae", "transfer"]


def test_a_class_of_a_like_size_counts_more_and_another_modality_less() -> None:
    near, far = replace(ROW, f1=10.0, f1_low=10.0), replace(ROW, f1=30.0, f1_low=30.0, smallest=160)
    first = ranked(NEED, [near, far])[0]
    assert first.f1 == pytest.approx((10.0 + 30.0 * 2.718281828**-4) / (1 + 2.718281828**-4))
    other = replace(far, smallest=10, modality="face")
    assert ranked(NEED, [near, other])[0].f1 == pytest.approx((10.0 + 0.25 * 30.0) / 1.25)


def test_what_needs_larger_classes_comes_last() -> None:
    name = next(n for n in preset_names("speech") if n in candidates(NEED))
    smallest = load_preset(name).smallest_class
    few = ranked(replace(NEED, smallest=smallest - 1), [replace(ROW, what=name, smallest=smallest)])
    rank = next(r for r in few if r.what == name)
    assert not rank.fits and few.index(rank) >= sum(r.fits for r in few)
    assert f"the smallest has {smallest - 1}" in " ".join(rank.reasons)
    assert next(r for r in ranked(replace(NEED, smallest=smallest), [ROW]) if r.what == name).fits
    so_small = ranked(replace(NEED, smallest=smallest - 1), [replace(ROW, what=name, smallest=smallest - 1)])
    assert next(r for r in so_small if r.what == name).fits, "evidence goes before a rule of thumb"


def test_what_link_sets_up_is_ranked_as_it_was_measured() -> None:
    first = ranked(NEED, [ROW, replace(ROW, what="transfer, weighted", f1_low=35.0)])[0]
    assert (first.what, first.generator) == ("transfer, weighted", "transfer") and "by: weight" in first.reasons[0]


def test_only_what_can_model_the_layout_is_proposed() -> None:
    tokens = candidates(Need("text", "tokens", 10, 10))
    assert "transfer" not in tokens and "transfer" in candidates(NEED)
    assert all(n.startswith("speech/") for n in candidates(NEED) if "/" in n)


def test_the_packaged_table_is_read_and_names_what_there_is() -> None:
    known = {n for m in ("speech", "face", "text", "physio") for n in candidates(Need(m, "vector", 10, 10))}
    for row in measurements():
        assert row.what in known or "/" not in row.what, f"{row.what} was measured and is no longer there"
        assert row.f1_low <= row.f1 <= row.f1_high and row.cells > 0


def test_without_a_table_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "TABLE", "presets/no-such.csv")
    measurements.cache_clear()
    assert measurements() == ()
    measurements.cache_clear()
