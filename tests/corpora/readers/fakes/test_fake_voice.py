"""The fake voice has no clicks and says the same twice."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.readers.fakes.voice import _BLOCK, _through_formants


@pytest.mark.parametrize("rest", [0, 1, _BLOCK // 2 - 1, _BLOCK // 2, _BLOCK - 1])
def test_every_sample_passes_the_filter(rest: int) -> None:
    n = 20 * _BLOCK + rest
    blocks = len(np.arange(_BLOCK // 2, n, _BLOCK))
    formants = np.tile([500.0, 1500.0, 2500.0, 3500.0, 4500.0], (blocks, 1))
    source = np.random.default_rng(0).normal(0, 0.1, n)
    wide = _through_formants(np.r_[source, np.zeros(_BLOCK)], np.vstack([formants, formants[-1:]]))[:n]
    # a filter looks back only, and these formants stand still: what follows changes nothing
    np.testing.assert_allclose(_through_formants(source, formants), wide, atol=1e-12)
