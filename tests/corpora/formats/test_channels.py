from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.formats.channels import chosen_channels, mixed_down

RNG = np.random.default_rng(0)
TONE = 0.3 * np.sin(np.arange(4000) / 7)
NOISE = 0.3 * RNG.normal(size=4000)


@pytest.mark.parametrize(
    ("channels", "heard", "slug"),
    [
        ([TONE], TONE, None),
        ([TONE, TONE], TONE, None),
        ([TONE, 0.2 * TONE], 0.6 * TONE, None),
        ([TONE, NOISE], (TONE + NOISE) / 2, None),
        ([TONE, -TONE], TONE, "opposed-channels"),
        ([0.5 * TONE, -TONE], -TONE, "opposed-channels"),
        ([TONE, 0.1 * NOISE - 0.8 * TONE], TONE, "opposed-channels"),
        ([TONE + 0.2, 0.4 - TONE], TONE + 0.2, "opposed-channels"),
        ([TONE, TONE, -TONE, -TONE], TONE, "opposed-channels"),
        ([TONE, 0 * TONE], TONE, "silent-channel"),
        ([0 * TONE + 0.1, TONE, TONE], TONE, "silent-channel"),
        ([0 * TONE, TONE, -TONE], TONE, "opposed-channels"),
        ([1e-5 * TONE, 5e-6 * TONE], 7.5e-6 * TONE, None),
        ([0 * TONE, 0 * TONE], 0 * TONE, None),
    ],
)
def test_what_is_heard_of_several_channels(channels: list[np.ndarray], heard: np.ndarray, slug: str | None) -> None:
    mono, told = mixed_down(np.stack(channels, 1))
    assert told == slug
    np.testing.assert_allclose(mono, heard, atol=1e-9)


@given(st.lists(st.floats(-1, 1).filter(lambda g: abs(g) > 0.05), min_size=1, max_size=6))
def test_one_source_is_never_lost(gains: list[float]) -> None:
    """However the channels are wired, at least half of the loudest one's level is left of one source in all."""
    mono, _ = mixed_down(np.stack([gain * TONE for gain in gains], 1))
    loudest = max(map(abs, gains))
    assert mono.std() >= 0.5 / len(gains) ** 0.5 * np.sqrt(np.mean(np.square(gains))) * TONE.std()
    assert mono.std() <= loudest * TONE.std() * (1 + 1e-9)


def test_unrelated_channels_are_averaged() -> None:
    for n in (2, 3, 8):
        assert chosen_channels(RNG.normal(size=(5000, n))) == (list(range(n)), None)
