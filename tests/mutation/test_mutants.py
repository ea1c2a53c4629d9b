"""Broken on purpose, some hundred times: nine of ten changes of the core must make its tests fail."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.mutation.run import REPO
from tests.mutation.targets import LEAST_NOTICED


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_most_mutants_are_noticed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation.run"], cwd=REPO, text=True, capture_output=True, timeout=3500
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    last = done.stdout.splitlines()[-1]  # "318 of 332 noticed (95.8%) in 21.0 min"
    noticed, _, tried = last.split()[:3]
    assert int(noticed) / int(tried) >= LEAST_NOTICED, done.stdout[-6000:]
