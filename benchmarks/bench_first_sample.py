"""How long a person waits for the first accepted sample of `emoforge run`.

    python -m benchmarks.bench_first_sample [--corpus ravdess PATH] [--at COMMIT ...] [--set KEY=VALUE ...]
        [--repeats 1] [--out FILE]

Clones the project as committed into a fresh folder, links the corpus there (or, without one, takes a tiny fake one of
faces), starts `emoforge run` and reads what it says: the first round that says that a candidate passed every gate is
when the first accepted sample is known. Prints seconds by the clock and of the processor (the whole tree of processes)
until each stage and until then, and the largest memory of any one process. --at adds older commits, which take turns
with the committed state, every other round backwards, and prints how many times as long they take; their packages come
first on the path, what they need besides is what is installed here.

--set changes params.yaml of the clone by a path, for example runs.ravdess.generator.steps=300.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.bench_stack import PARAMS

REPO = Path(__file__).resolve().parent.parent
PASSED = re.compile(r"augment: round \d+, .+: (\d+) of \d+ candidates passed every gate")
HERE = "HEAD"
SAMPLE_S = 0.2  # how often memory and processor time are looked at


class Watch(threading.Thread):
    """Processor seconds of a process with all below it, and the largest memory of any one of them."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process, self.peak_mib, self.over = psutil.Process(pid), 0.0, threading.Event()
        self.ended: dict[int, float] = {}  # process -> seconds when it was last seen

    def look(self) -> float:
        """-> processor seconds so far; of a process that ended, those that were last seen."""
        with suppress(psutil.Error):
            for one in [self.process, *self.process.children(recursive=True)]:
                with suppress(psutil.Error):
                    times = one.cpu_times()
                    self.ended[one.pid] = times.user + times.system
                    self.peak_mib = max(self.peak_mib, one.memory_info().rss / 2**20)
        return sum(self.ended.values())

    def run(self) -> None:
        while not self.over.wait(SAMPLE_S):
            self.look()


def changed(params: dict[str, Any], text: str) -> None:
    path, _, value = text.partition("=")
    *above, last = path.split(".")
    for name in above:
        params = params.setdefault(name, {})
    params[last] = yaml.safe_load(value)


def once(folder: Path, commit: str, corpus: list[str] | None, changes: list[str]) -> dict[str, Any]:
    subprocess.run(["git", "clone", "-q", str(REPO), str(folder)], check=True)
    subprocess.run(["git", "checkout", "-q", "--detach", commit], cwd=folder, check=True)
    env = os.environ | {"PYTHONPATH": str(folder)}
    emoforge = [sys.executable, "-W", "ignore", "-m", "emoforge"]
    name = corpus[0] if corpus else "tiny"
    if corpus:
        subprocess.run([*emoforge, "link", name, corpus[1]], cwd=folder, env=env, check=True, capture_output=True)
    else:
        (folder / "params.yaml").write_text(PARAMS)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for text in changes:
        changed(params, text)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    begun = time.perf_counter()
    running = subprocess.Popen(
        [*emoforge, "run", name], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    watch = Watch(running.pid)
    watch.start()
    marks: dict[str, dict[str, float]] = {}
    said: list[str] = []
    assert running.stdout is not None
    for line in running.stdout:
        said.append(line)
        now = {"clock_s": round(time.perf_counter() - begun, 1), "processor_s": round(watch.look(), 1)}
        if stage := re.search(r"\b(ingest|plan|prepare|fit|augment|evaluate|release)\b", line):
            marks.setdefault(f"first word of {stage[1]}", now)
        if (passed := PASSED.search(line)) and int(passed[1]) > 0:
            marks.setdefault("first accepted", now)
    code = running.wait()
    watch.over.set()
    if "first accepted" not in marks:
        raise SystemExit(f"no candidate passed (exit code {code}):\n{''.join(said)[-3000:]}")
    marks["end"] = {"clock_s": round(time.perf_counter() - begun, 1), "processor_s": round(watch.look(), 1)}
    return {"marks": marks, "peak_mib_of_one_process": round(watch.peak_mib), "exit code": code}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", nargs=2, metavar=("NAME", "PATH"))
    parser.add_argument("--at", action="append", default=[], metavar="COMMIT")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    commits = [HERE, *args.at]
    runs: dict[str, list[dict[str, Any]]] = {commit: [] for commit in commits}
    for turn in range(args.repeats):
        for commit in commits[:: 1 if turn % 2 == 0 else -1]:
            with tempfile.TemporaryDirectory() as work:
                runs[commit].append(once(Path(work).resolve() / "project", commit, args.corpus, args.set))
            print(f"{commit}: {json.dumps(runs[commit][-1])}", flush=True)
    ratios = {
        commit: [until(old) / until(new) for old, new in zip(runs[commit], runs[HERE], strict=True)]
        for commit in args.at
    }
    result = {"cores": os.cpu_count(), "python": platform.python_version(), "runs": runs, "times as long": ratios}
    text = json.dumps(result, indent=1)
    print(text)
    if args.out is not None:
        args.out.write_text(text + "\n")


def until(run: dict[str, Any]) -> float:
    """Processor seconds until the first accepted sample."""
    return float(run["marks"]["first accepted"]["processor_s"])


if __name__ == "__main__":
    main()
