"""The tool that breaks code: each operator does what it says, and a broken module is really what the tests meet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.operators import mutants_of, sample
from tests.mutation.run import REPO, equivalents, source_path
from tests.mutation.targets import TARGETS


def changes(source: str) -> set[tuple[str, str]]:
    return {(m.before, m.after) for m in mutants_of("m", source)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", {("a < b", "a <= b"), ("a < b", "a >= b")}),
        ("x = a is not None", {("a is not None", "a is None")}),
        ("x = a + b", {("a + b", "a - b")}),
        ("x = a and b", {("a and b", "a or b")}),
        ("x = not a", {("not a", "a")}),
        ("x = 2", {("2", "3")}),
        ("x = True", {("True", "False")}),
        ("x = 0.5", {("0.5", "0.75")}),
        ("x = max(a)", {("max", "min")}),
        ("x += y", {("x += y", "pass")}),
        ("f(x)", {("f(x)", "pass")}),
        ("raise ValueError(f'{1}')", set()),
        ("x: Literal[1] = y", set()),
        ("x = 'a' + y", set()),
        ("x = zip(a, b, strict=True)", set()),
        ("def f(x: int) -> list[1]:\n    '''1'''\n    return x", set()),
    ],
)
def test_what_is_changed(source: str, expected: set[tuple[str, str]]) -> None:
    assert changes(source) == expected


def test_a_change_leaves_every_other_byte_alone() -> None:
    source = "# ü\ndef f(a):\n    b = a < 1  # why\n    return (b if a\n            else 2)\n"
    found = mutants_of("m", source)
    assert "# ü\ndef f(a):\n    b = (a <= 1)  # why\n    return (b if a\n            else 2)\n" in {
        m.source for m in found
    }
    assert len({m.name for m in found}) == len(found) == 4
    assert {m.where for m in found} == {"f"}
    for mutant in found:
        compile(mutant.source, "m", "exec")


def test_the_draw_is_seeded_and_does_not_know_of_lines() -> None:
    source = "def f(a):\n    return a + 1\n\n\ndef g(a):\n    return a * 2 < 3\n"
    names = [m.name for m in sample(mutants_of("m", source), 3, seed=1)]
    assert names == [m.name for m in sample(mutants_of("m", "import os\n\n" + source), 3, seed=1)]
    assert {tuple(m.name for m in sample(mutants_of("m", source), 3, seed=s)) for s in range(9)} != {tuple(names)}


def test_targets_and_the_list_of_equivalents_hold() -> None:
    """A mutant that the list excuses must be one that the code has: else code and list have parted."""
    tried = set()
    for target in TARGETS:
        assert source_path(target.module).is_file() and all(
            (REPO / test.partition("::")[0]).is_file() for test in target.tests
        )
        tried |= {m.name for m in mutants_of(target.module, source_path(target.module).read_text(encoding="utf-8"))}
    assert set(equivalents()) <= tried
    assert all(len(reason) > 20 for reason in equivalents().values())


@pytest.mark.slow
def test_a_mutant_that_matters_is_noticed_and_one_that_does_not_is_not(tmp_path: Path) -> None:
    """In a process of its own: it forks, and must not have imported what it breaks."""
    code = """
import json, sys
from pathlib import Path
from tests.mutation.run import _results
from tests.mutation.operators import Mutant
source = Path("validators/maths/intervals.py").read_text()
bad = Mutant("validators.maths.intervals", "x", "", "", 0, source.replace("z * z / (2 * n)", "z * z / n"))
equal = source.replace("p = successes / n", "p = 1.0 * successes / n")
same = Mutant("validators.maths.intervals", "x", "", "", 1, equal)
slow = Mutant("validators.maths.intervals", "x", "", "", 2, source + "\\nimport time\\ntime.sleep(600)\\n")
tests = ["tests/validators/maths/test_intervals.py"]
found = {m and m.nth: code for m, code, _ in _results([None, bad, same], tests, Path(sys.argv[1]), 120.0, 2)}
found["slow"] = [code for _, code, _ in _results([slow], tests, Path(sys.argv[1]), 6.0, 1)][0]
print(json.dumps(found))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=REPO, text=True, capture_output=True)
    assert json.loads(done.stdout) == {"null": 0, "0": 1, "1": 0, "slow": None}, done.stderr
