from __future__ import annotations

import numpy as np
import pytest

from corpora.errors import UserError
from validators.maths.privacy import auth_pct, dcr_share, membership_auc, nearest, nndr


@pytest.fixture
def people() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(150, 8)), rng.normal(size=(150, 8)), rng.normal(size=(100, 8))


def test_nearest_is_brute_force(people: tuple[np.ndarray, ...]) -> None:
    train, _, synthetic = people
    far = np.sort(np.linalg.norm(synthetic[:, None] - train[None], axis=2), axis=1)[:, :3]
    np.testing.assert_allclose(nearest(synthetic, train, 3), far, rtol=1e-9)


def test_a_set_that_is_no_copy_is_as_near_to_the_holdout(people: tuple[np.ndarray, ...]) -> None:
    train, _, synthetic = people
    assert auth_pct(train, synthetic).value > 0.3
    shares, attacks = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sets = rng.normal(size=(60, 4)), rng.normal(size=(60, 4)), rng.normal(size=(50, 4))
        shares.append(dcr_share(*sets))
        attacks.append(membership_auc(*sets))
    for found in (shares, attacks):
        assert np.mean([share.value for share in found]) == pytest.approx(0.5, abs=0.03)
        assert sum(share.low <= 0.5 <= share.high for share in found) >= 34  # 95 % of 40, and its own chance


def test_unequal_sizes_do_not_move_the_share() -> None:
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found.append(dcr_share(rng.normal(size=(200, 4)), rng.normal(size=(15, 4)), rng.normal(size=(80, 4))))
    assert np.mean([share.value for share in found]) == pytest.approx(0.5, abs=0.04)
    assert sum(share.low <= 0.5 <= share.high for share in found) >= 34


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_copies_are_seen_by_all_of_them(people: tuple[np.ndarray, ...], noise: float) -> None:
    train, holdout, _ = people
    copies = train[:100] + noise * np.random.default_rng(1).normal(size=(100, 8))
    assert dcr_share(train, holdout, copies).low > 0.85
    assert auth_pct(train, copies).high < 0.1
    assert membership_auc(train, holdout, copies).low > 0.75  # 100 of 150 can be told
    assert np.median(nndr(train, copies)) < 0.05


def test_the_share_follows_the_number_of_copies(people: tuple[np.ndarray, ...]) -> None:
    train, _, synthetic = people
    shares = []
    for n in (0, 20, 60, 100):
        mixed = synthetic.copy()
        mixed[:n] = train[:n]
        shares.append(1 - auth_pct(train, mixed).value)
    assert shares == sorted(shares) and shares[-1] == 1


def test_ratio_is_one_where_two_are_equally_near() -> None:
    assert nndr(np.array([[0.0], [2.0]]), np.array([[1.0]])) == pytest.approx([1.0])
    assert nndr(np.array([[0.0], [0.0], [5.0]]), np.array([[0.0]])) == pytest.approx([1.0])  # twins in train
    assert nndr(np.array([[0.0], [4.0]]), np.array([[1.0]])) == pytest.approx([1 / 3])


def test_no_rows_no_number(people: tuple[np.ndarray, ...]) -> None:
    train, holdout, synthetic = people
    empty = np.zeros((0, 8))
    assert np.isnan(dcr_share(train, holdout, empty).value) and np.isnan(auth_pct(train, empty).value)
    assert np.isnan(membership_auc(train, holdout, empty).value)
    synthetic[0, 0] = np.nan
    assert np.isnan(dcr_share(train, holdout, synthetic).value)
    with pytest.raises(UserError, match="reference rows"):
        nearest(train, empty)
