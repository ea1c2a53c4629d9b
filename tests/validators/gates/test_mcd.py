"""MCD against closed forms and a brute-force search of all paths; its gate against what the contract promises."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import IntegrityError, ParamsError, PayloadError, UserError
from validators.gate import Batch, SampleGate, gate_class
from validators.gates.mcd import NearestMcd
from validators.maths.speech import pymcd
from validators.maths.speech.melcepstrum import (
    TO_DB,
    cepstrum_matrix,
    convention_of,
    dtw,
    dtw_path,
    mcd,
    mcd_dtw,
    mcd_plain,
    mel_cepstrum,
    summary,
)
from validators.measures.registry import measure

RATE = 16000


def voice(formants: tuple[float, ...], f0_hz: float = 130.0, seconds: float = 0.4, seed: int = 0) -> np.ndarray:
    """Pulse train through resonances, with a little breath: another set of formants, another envelope."""
    from scipy.signal import lfilter

    n = int(seconds * RATE)
    phase = np.cumsum(np.full(n, f0_hz / RATE))
    x = np.diff(np.floor(phase), prepend=0.0) + 0.005 * np.random.default_rng(seed).standard_normal(n)
    for f in formants:
        r = math.exp(-math.pi * 90.0 / RATE)
        x = lfilter([1.0 - r], [1.0, -2 * r * math.cos(2 * math.pi * f / RATE), r * r], x)
    return (0.3 * x / np.abs(x).max()).astype(np.float32)


A, E = (730.0, 1090.0, 2440.0), (270.0, 2290.0, 3010.0)


def oracle(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """Every monotone path, cheapest first, then shortest."""
    distance = np.sqrt(((a[:, None].astype(float) - b[None].astype(float)) ** 2).sum(axis=-1))
    best: list[tuple[float, int]] = []

    def walk(i: int, j: int, cost: float, steps: int) -> None:
        cost, steps = cost + distance[i, j], steps + 1
        if (i, j) == (len(a) - 1, len(b) - 1):
            best.append((cost, steps))
            return
        for di, dj in ((1, 1), (1, 0), (0, 1)):
            if i + di < len(a) and j + dj < len(b):
                walk(i + di, j + dj, cost, steps)

    walk(0, 0, 0.0, 0)
    cost = min(best)[0]
    return cost, min(s for c, s in best if c <= cost + 1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 10**6), st.booleans())
def test_dtw_equals_brute_force(n: int, m: int, seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((n, 3)), rng.standard_normal((m, 3))
    if ties:
        a, b = np.round(a[:, :1]), np.round(b[:, :1])
    a, b = a.astype(np.float32), b.astype(np.float32)
    cost, steps = dtw(a, b)
    expected, length = oracle(a, b)
    assert cost == pytest.approx(expected, abs=1e-5)
    assert steps == length
    assert dtw(b, a) == (cost, steps)


def test_among_paths_of_one_cost_the_shorter_counts() -> None:
    """Zeros and ones tie all the time; without the rule the result would depend on the order of the arguments."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        a, b = (rng.integers(0, 2, (n, 1)).astype(np.float32) for n in rng.integers(3, 7, 2))
        assert dtw(a, b) == dtw(b, a) == oracle(a, b)


def test_dtw_of_a_sequence_and_its_slower_self_is_free() -> None:
    a = np.random.default_rng(0).standard_normal((20, 24)).astype(np.float32)
    assert mcd_dtw(a, np.repeat(a, 3, axis=0)) == 0.0
    with pytest.raises(ValueError, match="NaN"):
        dtw(a, np.full((3, 24), np.nan))
    with pytest.raises(ValueError, match="non-empty"):
        dtw(a, np.zeros((0, 24)))


def test_distortion_of_a_known_difference() -> None:
    """Kubichek 1993: one coefficient off by 0.1 everywhere is 10 / ln 10 * sqrt(2) * 0.1 = 0.6142 dB."""
    a = np.random.default_rng(0).standard_normal((30, 24)).astype(np.float32)
    b = a.copy()
    b[:, 4] += 0.1
    assert mcd_plain(a, b) == pytest.approx(0.61418, abs=1e-4)
    assert pytest.approx(6.1418, abs=1e-4) == TO_DB
    assert mcd_dtw(a, b) == pytest.approx(mcd_plain(a, b), abs=1e-4)  # any other path costs more here
    with pytest.raises(ValueError, match="one length"):
        mcd_plain(a, b[:-1])


def test_matrix_recovers_the_cepstrum_of_a_spectrum_built_from_one() -> None:
    """log|X(w)| = sum_m c_m cos(m w~) with the all-pass' phase w~ (Tokuda 1994, eq. 3) must give c back."""
    alpha, n_fft = 0.42, 1024
    c = 0.5 * np.random.default_rng(2).standard_normal(25)
    w = 2 * np.pi * np.arange(n_fft // 2 + 1) / n_fft
    warped = w + 2 * np.arctan2(alpha * np.sin(w), 1 - alpha * np.cos(w))
    log_power = 2.0 * (np.cos(np.outer(warped, np.arange(25))) @ c)
    assert np.allclose(log_power @ cepstrum_matrix(n_fft, alpha), c, atol=1e-3)


def test_identity_symmetry_and_gain() -> None:
    a, i = voice(A), voice(E)
    assert mcd(a, a, RATE) == (0.0, None)
    there, back = mcd(a, i, RATE)[0], mcd(i, a, RATE)[0]
    assert there == back > 5.0
    for gain in (0.1, 0.5, 3.0, 10.0):
        assert mcd(a, gain * a, RATE)[0] < 1e-3
        assert mcd(a, gain * i, RATE)[0] == pytest.approx(there, abs=1e-3)
    assert mcd(a, a, RATE, align=False) == (0.0, None)


def test_grows_with_noise() -> None:
    a = voice(A)
    noise = np.random.default_rng(3).standard_normal(len(a)).astype(np.float32)
    values = [mcd(a, a + level * noise, RATE)[0] for level in (0.0, 1e-3, 1e-2, 1e-1)]
    assert values == sorted(values) and values[0] == 0.0 and values[-1] > values[1] + 2.0


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        (np.zeros(8000, dtype=np.float32), "silent"),
        (np.zeros(0, dtype=np.float32), "empty"),
        (voice(A)[:500], "too-short"),
        (np.full(8000, np.inf, dtype=np.float32), "non-finite"),
    ],
)
def test_no_envelope_is_nan_with_a_reason(signal: np.ndarray, reason: str) -> None:
    value, said = mcd(voice(A), signal, RATE)
    assert math.isnan(value) and said == reason
    with pytest.raises(PayloadError):
        mel_cepstrum(signal, RATE)


def test_the_tracker_is_an_option_and_in_the_name() -> None:
    a, b = voice(A), voice(E)
    by_dio, by_harvest = mcd(a, b, RATE)[0], mcd(a, b, RATE, f0="harvest")[0]
    assert by_dio != by_harvest and by_harvest == pytest.approx(by_dio, rel=0.1)
    assert convention_of() == convention_of_the_gate() == "mcd24-dtw-5ms"
    assert convention_of(align=False, f0="harvest") == "mcd24-plain-5ms-harvest"
    with pytest.raises(UserError, match="known: dio, harvest"):
        convention_of(f0="swipe")  # type: ignore[arg-type]


def convention_of_the_gate() -> str:
    """Of the gate: no option changes it."""
    return fitted().judge.split("-nearest")[0]


def test_the_path_is_the_best_one() -> None:
    rng = np.random.default_rng(8)
    for n, m in ((1, 1), (1, 7), (5, 3), (20, 31), (40, 40)):
        a, b = rng.normal(size=(n, 3)).astype(np.float32), rng.normal(size=(m, 3)).astype(np.float32)
        rows, columns = dtw_path(a, b)
        assert (rows[0], columns[0], rows[-1], columns[-1]) == (0, 0, n - 1, m - 1)
        assert {(i, j) for i, j in zip(np.diff(rows), np.diff(columns), strict=True)} <= {(0, 1), (1, 0), (1, 1)}
        assert np.sqrt(((a[rows] - b[columns]) ** 2).sum(axis=1)).sum() == pytest.approx(dtw(a, b)[0], rel=1e-5)


def test_pymcd_has_its_own_bad_input() -> None:
    assert pymcd.mcd(voice(A), np.zeros(8000, np.float32), RATE)[1] == "silent"
    assert pymcd.mcd(voice(A), voice(A), RATE) == (0.0, None)
    found = measure("mcd", [(voice(A), RATE)], [(voice(E)[:3000], RATE)], convention="pymcd", align=False)
    assert found.value > 0 and found.convention.startswith("pymcd-plain") and "zero-padded" in found.convention
    for options in ({"convention": "sptk"}, {"convention": "pymcd", "f0": "harvest"}):
        with pytest.raises(UserError):
            measure("mcd", [(voice(A), RATE)], [(voice(A), RATE)], **options)


def test_fast_dtw_is_never_better_than_the_exact_one_and_equal_where_it_sees_all() -> None:
    rng = np.random.default_rng(9)
    walk = np.cumsum(rng.normal(size=(150, 3)), axis=0)
    other = walk[np.sort(rng.integers(0, 150, 120))] + 0.1 * rng.normal(size=(120, 3))

    def cost(path: tuple[np.ndarray, np.ndarray]) -> float:
        return float(np.sqrt(((walk[path[0]] - other[path[1]]) ** 2).sum(axis=1)).sum())

    exact = cost(dtw_path(walk, other))
    assert exact <= cost(pymcd.fast_path(walk, other)) < 1.5 * exact
    assert cost(pymcd.fast_path(walk, other, radius=200)) == pytest.approx(exact)


def test_a_rate_without_convention_is_refused() -> None:
    with pytest.raises(UserError, match="12345"):
        mcd(voice(A), voice(E), 12345)


def batch(rows: list[tuple[str, str, str, np.ndarray]], **changes: object) -> Batch:
    """(id, emotion, subject, signal) -> Batch."""
    made = Batch(
        modality="speech",
        ids=tuple(r[0] for r in rows),
        emotions=tuple(r[1] for r in rows),
        signals=[r[3] for r in rows],
        sha256=tuple(f"{r[0]}-sha" for r in rows),
        rate_hz=float(RATE),
        subjects=tuple(r[2] for r in rows),
        groups=tuple(r[2] for r in rows),
        source_ids=((),) * len(rows),
        errors=(None,) * len(rows),
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def train_rows() -> list[tuple[str, str, str, np.ndarray]]:
    rows = []
    for s in range(4):
        for r in range(3):
            shift = 1.0 + 0.03 * s + 0.01 * r
            for emotion, formants in (("anger", A), ("sadness", E)):
                signal = voice(tuple(shift * f for f in formants), 120 + 10 * s, 0.3 + 0.02 * r, seed=10 * s + r)
                rows.append((f"{emotion}-{s}-{r}", emotion, f"c:{s}", signal))
    return rows


def fitted(rows: list[tuple[str, str, str, np.ndarray]] | None = None, **params: int) -> NearestMcd:
    return NearestMcd.fit(
        batch(train_rows() if rows is None else rows),
        classes=("anger", "sadness"),
        known_sha256=frozenset(),
        params=params,
        seed=3,
    )


@pytest.fixture(scope="module")
def gate() -> NearestMcd:
    return fitted()


def candidates() -> Batch:
    near = voice(tuple(1.02 * f for f in A), 125.0, seed=77)
    noise = (0.1 * np.random.default_rng(5).standard_normal(5000)).astype(np.float32)
    rows = [("a", "anger", "x", near), ("b", "sadness", "y", near), ("c", "anger", "z", noise)]
    return batch([*rows, ("d", "anger", "u", near[:0]), ("e", "anger", "v", np.zeros(5000, dtype=np.float32))])


def test_gate_keeps_the_contract(gate: NearestMcd) -> None:
    assert gate_class("mcd") is NearestMcd and isinstance(gate, SampleGate)
    assert gate.judge.startswith("mcd24-dtw-5ms-nearest5:")
    values = gate.score(candidates())
    assert values.dtype == np.float64 and values.shape == (5,)
    assert values[0] < 3.0 < values[1] and values[2] > values[0] + 3.0
    assert np.isnan(values[3:]).all()
    assert gate.reasons(candidates()) == [None, None, None, "empty", "silent"]


def test_score_is_the_mean_of_the_k_nearest(gate: NearestMcd) -> None:
    query = candidates().signals[0]
    all_values = sorted(mcd(query, r[3], RATE)[0] for r in train_rows() if r[1] == "anger")
    assert gate.score(candidates())[0] == pytest.approx(np.mean(all_values[:5]), abs=1e-6)
    assert fitted(k=2).score(candidates())[0] == pytest.approx(np.mean(all_values[:2]), abs=1e-6)


def test_rows_are_scored_alone(gate: NearestMcd) -> None:
    whole = gate.score(candidates())
    assert (whole[:3] == gate.score(candidates())[:3]).all()
    rows = [("b", "sadness", "y", candidates().signals[1])]
    assert gate.score(batch(rows))[0] == whole[1]


def test_own_group_and_sources_are_no_neighbours(gate: NearestMcd) -> None:
    rows = train_rows()
    anger = [r for r in rows if r[1] == "anger"]
    expected = np.mean(sorted(mcd(anger[0][3], r[3], RATE)[0] for r in anger if r[2] != anger[0][2])[:5])
    assert gate.score(batch([anger[0]]))[0] == pytest.approx(expected, abs=1e-6)
    assert gate.reference()["anger"][0] == pytest.approx(expected, abs=1e-6)
    copy = batch([("new", "anger", "nobody", anger[0][3])])
    assert fitted(k=1).score(copy)[0] == 0.0
    conversion = dataclasses.replace(copy, source_ids=((anger[0][0],),))
    assert fitted(k=1).score(conversion)[0] > 0.0


def test_reference_is_capped_by_seed_and_nan_without_other_groups() -> None:
    capped = fitted(reference_cap=4).reference()
    assert {e: len(v) for e, v in capped.items()} == {"anger": 4, "sadness": 4}
    assert (capped["anger"] == fitted(reference_cap=4).reference()["anger"]).all()
    assert set(capped["anger"]) <= set(fitted().reference()["anger"])
    alone = [r for r in train_rows() if r[1] == "anger" or r[2] == "c:0"]
    lonely = fitted(alone)
    assert np.isnan(lonely.reference()["sadness"]).all() and np.isfinite(lonely.reference()["anger"]).all()
    own = batch([("q", "sadness", "c:0", candidates().signals[0])])
    assert np.isnan(lonely.score(own)[0]) and lonely.reasons(own) == ["no-utterance-of-another-group"]


def test_fewer_than_k_and_none(gate: NearestMcd) -> None:
    two = [r for r in train_rows() if r[0] in ("anger-0-0", "anger-1-0")]
    small = fitted(two)
    assert np.isfinite(small.score(candidates())[0])
    assert small.reasons(candidates())[1] == "no-utterance-of-class" and np.isnan(small.score(candidates())[1])
    assert small.reference()["sadness"].shape == (0,)


def test_saved_and_loaded_it_is_the_same(gate: NearestMcd, tmp_path: Path) -> None:
    gate.save(tmp_path / "g")
    again = NearestMcd.load(tmp_path / "g")
    assert again.judge == gate.judge
    assert (again.score(candidates())[:3] == gate.score(candidates())[:3]).all()
    assert sorted(p.name for p in (tmp_path / "g").iterdir()) == ["cepstra.safetensors", "mcd.json"]
    config = (tmp_path / "g" / "mcd.json").read_text()
    (tmp_path / "g" / "mcd.json").write_text(config.replace('"k": 5', '"k": 4').replace('"k":5', '"k":4'))
    with pytest.raises(IntegrityError):
        NearestMcd.load(tmp_path / "g")


def test_judge_names_what_measures(gate: NearestMcd) -> None:
    assert fitted().judge == gate.judge
    assert fitted(k=3).judge != gate.judge and fitted(train_rows()[:-1]).judge != gate.judge


def test_bad_params_and_batches_are_named() -> None:
    with pytest.raises(ParamsError, match="Did you mean 'candidates'"):
        fitted(candidate=3)
    with pytest.raises(ParamsError, match="'k' is 0"):
        fitted(k=0)
    with pytest.raises(ParamsError, match="less than k"):
        fitted(k=30)
    with pytest.raises(UserError, match="face"):
        NearestMcd.fit(batch([], modality="face"), classes=("anger",), known_sha256=frozenset(), params={}, seed=0)
    with pytest.raises(UserError, match="no train utterance"):
        fitted([("s", "anger", "x", np.zeros(9000, dtype=np.float32))])


def test_only_those_near_in_mean_spread_and_length_are_compared_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = fitted(k=1, candidates=2)
    query = mel_cepstrum(candidates().signals[0], RATE)
    anger = [r for r in train_rows() if r[1] == "anger"]
    cepstra = [mel_cepstrum(r[3], RATE) for r in anger]
    far = [float(((summary(c) - summary(query)) ** 2).sum()) for c in cepstra]
    chosen = np.argsort(far, kind="stable")[:2]
    exact = sorted(mcd_dtw(query, cepstra[i]) for i in chosen)
    assert narrow.score(candidates())[0] == pytest.approx(exact[0], abs=1e-6)
    assert fitted(k=2, candidates=2).score(candidates())[0] == pytest.approx(np.mean(exact), abs=1e-6)
    compared = []
    monkeypatch.setattr("validators.gates.mcd.mcd_dtw", lambda a, b: compared.append(len(b)) or 1.0)  # type: ignore[func-returns-value]
    fitted(k=1, candidates=3).score(batch([("a", "anger", "x", candidates().signals[0])]))
    assert len(compared) == 3
    compared.clear()
    fitted().score(batch([("a", "anger", "x", candidates().signals[0])]))
    assert len(compared) == 12, "25 by default, and the class has 12"


def test_a_summary_is_mean_spread_and_log_length() -> None:
    cepstra = np.random.default_rng(2).normal(size=(30, 24))
    found = summary(cepstra)
    assert found[:24] == pytest.approx(cepstra.mean(axis=0)) and found[24:48] == pytest.approx(cepstra.std(axis=0))
    assert summary(np.repeat(cepstra, 2, axis=0))[-1] - found[-1] == pytest.approx(
        summary(np.repeat(cepstra, 4, axis=0))[-1] - summary(np.repeat(cepstra, 2, axis=0))[-1]
    )
    assert summary(np.repeat(cepstra, 2, axis=0))[-1] > found[-1]
