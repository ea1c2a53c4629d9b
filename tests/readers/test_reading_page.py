"""The examples of docs/reading.md run as they stand, in a folder that holds the releases that they name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.readers.readable import readable

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reading.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S)
SAYS = (
    r"0 torch.Size\(\[13, 8, 6\]\) 13 torch.Size\(\[13\]\)\n",
    r"\('anger', 'fear'\) 20 torch.Size\(\[20, 8, 6\]\) 2",
    r"'real'\} 16\n.*0.25\} 21\n.*'copies'.* 26\n.*'anger'\]\} 13",
    r"real (anger|fear) \(4\d\d,\) 16000\nsynthetic",
    r"train.*anger.*8",
    r"(anger|fear) True",
)


ALL = """
import sys
for number, example in enumerate(sys.stdin.read().split(chr(0))):
    print(f"example {number}")
    exec(compile(example, f"reading.md:{number}", "exec"), {"__name__": "example"})
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each example prints. A process of their own runs them, as loaders fork: one that runs tests has the threads
    and handlers of all that ran before."""
    folder = tmp_path_factory.mktemp("project")
    for run, modality in (("demo_faces", "face"), ("demo_speech", "speech")):
        readable(folder / "data" / "runs" / run / "release", modality)
    done = subprocess.run(
        [sys.executable, "-c", ALL], cwd=folder, input="\0".join(EXAMPLES), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return re.split(r"^example \d+\n", done.stdout, flags=re.M)[1:]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(number: int, said: list[str]) -> None:
    assert re.search(SAYS[number], said[number], flags=re.S)


def test_each_example_has_its_answer_here() -> None:
    assert len(EXAMPLES) == len(SAYS)
