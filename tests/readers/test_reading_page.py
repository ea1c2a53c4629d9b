"""The examples of docs/reading.md run as they stand, in a folder that holds the releases that they name."""

from __future__ import annotations

import re
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


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for run, modality in (("demo_faces", "face"), ("demo_speech", "speech")):
        readable(folder / "data" / "runs" / run / "release", modality)
    return folder


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(
    number: int, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    exec(compile(EXAMPLES[number], f"{PAGE.name}:{number}", "exec"), {"__name__": "example"})
    assert re.search(SAYS[number], capsys.readouterr().out, flags=re.S)


def test_each_example_has_its_answer_here() -> None:
    assert len(EXAMPLES) == len(SAYS)
