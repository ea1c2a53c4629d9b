"""Runs the notebooks, in their order, each in a Python of its own (`make notebooks`).

    python docs/notebooks/run.py

What they write lies in build/notebooks, which is made anew: the second notebook reads what the first one released. The
notebooks themselves stay as they are, without outputs; executed copies lie beside what they wrote.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
ORDER = ("first_release", "train_on_a_release")
WORK = HERE.parents[1] / "build" / "notebooks"
TIMEOUT_S = 900  # for one cell; on a busy machine a minute of work takes long


def execute(name: str, work: Path) -> nbformat.NotebookNode:
    """Runs one notebook in `work` and writes the executed copy there. -> it. Raises nbclient's `CellExecutionError`,
    which shows the cell and its traceback."""
    notebook = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=TIMEOUT_S, resources={"metadata": {"path": str(work)}})
    # commands of this environment, and its Python as the kernel, whatever kernels the user has installed
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    client.execute(env=os.environ | {"PATH": path})
    nbformat.write(notebook, work / f"{name}.ipynb")
    return notebook


def main() -> None:
    """Runs them all."""
    if WORK.exists():
        shutil.rmtree(WORK)
    WORK.mkdir(parents=True)
    for name in ORDER:
        begun = time.perf_counter()
        execute(name, WORK)
        print(f"{name}: {time.perf_counter() - begun:.0f} s, {WORK / name}.ipynb")


if __name__ == "__main__":
    main()
