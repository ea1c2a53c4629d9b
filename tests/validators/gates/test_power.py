"""The default gates in depth, on real people who were held out: what docs/gates.md claims holds at one split."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import gate_power
from benchmarks.gate_pools import NONE, Pools
from flows.params import DEFAULT_GATES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
SURE = {  # at 200 samples
    "ravdess": ("another corpus", "shuffled labels", "one class collapsed", "low-passed 1 kHz", "noisy 10 dB"),
    "fer2013": ("another corpus", "shuffled labels", "one class collapsed", "blurred 2 px", "noisy 32 levels"),
}
GRADED = {
    "ravdess": (
        ("low-passed 4 kHz", "low-passed 2 kHz", "low-passed 1 kHz"),
        ("noisy 30 dB", "noisy 20 dB", "noisy 10 dB"),
    ),
    "fer2013": (
        ("blurred 0.7 px", "blurred 1 px", "blurred 2 px"),
        ("noisy 8 levels", "noisy 16 levels", "noisy 32 levels"),
    ),
}


@pytest.mark.parametrize("corpus", ["ravdess", "fer2013"])
def test_power_and_false_alarms(
    corpus: str, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_power, "SIZES", (200,))
    monkeypatch.setattr(gate_power, "SET_GATES", tuple(g for g in gate_power.SET_GATES if g in DEFAULT_GATES))
    monkeypatch.setattr(gate_power, "SAMPLE_GATES", tuple(g for g in gate_power.SAMPLE_GATES if g in DEFAULT_GATES))
    rows = gate_power.measure(Pools(corpus, shared_data, tmp_path), 0, 3, 6, DEFAULT_GATES)
    by: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["n"] == 200:
            by[row["defect"]].append(row)
    assert sum(r["caught"] for r in by[NONE]) == 0, "real people of others got through"
    for name, found in by.items():
        if name in SURE[corpus] or found[0]["scope"] == "samples":
            assert all(r["caught"] for r in found), name
    for graded in GRADED[corpus]:
        excess = [np.mean([e[0] - e[3] for r in by[name] for e in [r["kid estimates"]["all"]]]) for name in graded]
        assert excess[0] < excess[1] < excess[2], (graded, excess)
