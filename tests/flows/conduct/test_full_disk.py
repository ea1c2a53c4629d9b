"""No room while DVC checks outputs out: said as what it is. DVC itself speaks of link types."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from corpora.errors import LockedError, ResourceError, UserError
from flows.conduct.dvcrun import _explained
from flows.conduct.errorfile import StageFailedError
from tests.toy import Toy

BIG = """
out = repo / "data/runs/toy/model"
out.mkdir(parents=True, exist_ok=True)
(out / "weights").write_bytes(bytes(3 << 20))
"""
ASK = """
from pathlib import Path
from corpora.errors import EmoforgeError
from flows.conduct.dvcrun import repro
try:
    repro("fit@toy", repo=Path(), on_line=lambda line: None)
except EmoforgeError as error:
    print(type(error).__name__, error)
"""
LINKS = (
    "ERROR: failed to reproduce 'fit@toy': No possible cache link types for '/p/model/weights'. See <https://dvc.org>"
)


@pytest.mark.parametrize(
    ("lines", "kind", "says"),
    [
        ([f"refused: {os.strerror(errno.ENOSPC)}: /p/model/weights", LINKS], ResourceError, "the disk is full"),
        ([f"refused: {os.strerror(errno.EDQUOT)}: ", LINKS], ResourceError, "the disk is full"),
        ([f"refused: {os.strerror(errno.EFBIG)}: ", LINKS], ResourceError, "ulimit -f"),
        ([f"refused: {os.strerror(errno.EROFS)}: /p/model", LINKS], ResourceError, "not writable.*/p/model"),
        ([LINKS], ResourceError, "cannot write"),
        (["ERROR: unexpected error - [Errno 28] No space left on device: 'x'"], ResourceError, "the disk is full"),
        (["ERROR: missing data 'source': data/raw/toy"], UserError, "emoforge link toy PATH"),
        (["ERROR: 'x' is busy, it is being blocked by:", "  (PID 7): dvc repro"], LockedError, "pid 7"),
        (["ERROR: something else"], StageFailedError, "something else"),
    ],
)
def test_what_dvc_says_is_explained(lines: list[str], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        raise _explained("fit@toy", 255, lines)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    made = Toy(tmp_path_factory.mktemp("built") / "toy")
    made.behave("fit@toy", BIG)
    made.repro()
    shutil.rmtree(made.folder / "data/runs/toy/model")
    made.calls()
    return made


def own_mounts() -> bool:
    tried = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(tried, capture_output=True).returncode == 0


@pytest.mark.slow
def test_a_disk_that_is_full(built: Toy, tmp_path: Path) -> None:
    """A real one, of 1 MB, over the run's folder."""
    if not own_mounts():
        pytest.skip("this user may not mount a small disk")
    toy = Toy(tmp_path / "toy", built)
    script = (
        "set -e; cp -a data/runs/toy ../kept; mount -t tmpfs -o size=1m tmpfs data/runs/toy; "
        f'cp -a ../kept/. data/runs/toy; exec {sys.executable} -c "$0"'
    )
    done = toy.sh("unshare", "-m", "sh", "-c", script, ASK)
    assert done.stdout.startswith("ResourceError fit@toy: the disk is full. Free some space"), done.stdout + done.stderr
    assert toy.calls() == []


@pytest.mark.slow
def test_a_file_that_may_not_grow_so_far(built: Toy, tmp_path: Path) -> None:
    toy = Toy(tmp_path / "toy", built)
    done = toy.sh("sh", "-c", f'ulimit -f 2048; exec {sys.executable} -c "$0"', ASK)
    assert done.stdout.startswith("ResourceError fit@toy: a file is larger than"), done.stdout + done.stderr
