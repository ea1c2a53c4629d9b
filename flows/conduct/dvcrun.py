"""Drives DVC: which stages would run and why, and running one. DVC decides; this asks it and passes on its answer.

The question is answered in this process (some 0.2 s for two runs, before Prefect or Ray is imported). A stage runs in a
process group of its own, so that cancelling ends all that it started.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from corpora.errors import EmoforgeError, InterruptedRunError, LockedError, ResourceError, UnknownNameError, UserError
from flows.conduct.dvctrust import read_listings_whole, read_objects_whole
from flows.conduct.errorfile import StageFailedError, read_error
from flows.conduct.leash import handed_down
from flows.conduct.processes import end_group
from flows.paths import Layout
from flows.projects.code import DEPENDENT, changed_code, write_code
from flows.stages.plan.weights import changed_weights

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

    from flows.params import Params

RUN_STAGES = ("plan", "prepare", "fit", "augment", "evaluate", "release", "report")
DVC = (sys.executable, "-m", "flows.conduct.leash", "flows.conduct.dvcrun")
REFUSALS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS})
_HINTS = re.compile(
    r"\s*$|To track the changes|\tgit add|To enable auto staging|\tdvc config|(Generat|Updat)ing lock file|Use `dvc"
)
_BUSY = re.compile(r"\(PID (\d+)\): (.*)")


def stages_of(params: Params, runs: Sequence[str]) -> list[str]:
    """DVC names of the stages of `runs`, in an order in which they can be walked. Raises `UnknownNameError`."""
    corpora = list(dict.fromkeys(corpus for run in runs for corpus in params.run(run).corpora))
    made_up = [f"fake@{name}" for name in corpora if name in params.demo]
    taken_in = [f"{stage}@{name}" for name in corpora for stage in ("reader", "ingest")]
    return made_up + taken_in + [f"{stage}@{run}" for run in dict.fromkeys(runs) for stage in RUN_STAGES]


def reasons(stages: Sequence[str], *, repo: Path) -> dict[str, list[str]]:
    """Stage -> why DVC would run it now, for those that it would; order kept. What they lead to is not yet known.

    Raises `UserError` for a broken dvc.yaml, `UnknownNameError` for a stage that is not in it, `LockedError` if another
    process is writing one of the outs.
    """
    with plain_errors(repo), opened(repo) as dvc:
        by_stage: dict[str, list[str]] = {}
        for name, stage in loaded_stages(dvc, stages, repo).items():
            why = [reason for sentences in stage.status().values() for reason in sentences]
            why += _unseen(name, repo)
            if why and not _says_the_same(name, repo):
                known = any(out.hash_info for out in stage.outs)
                by_stage[name] = _sentences(why, repo) if known else ["it has not run yet"]
        return by_stage


def _unseen(stage: str, repo: Path) -> list[str]:
    """Why a stage must run that DVC would not: weights outside of the project, which only the plan knows, and studies,
    on which no stage depends and whose sentence the report says; outside of the clone, another emoforge than before."""
    verb, _, run = stage.partition("@")
    if verb == "report":
        from flows.stages.report.provenance import changed_studies  # here: most questions need no report

        return changed_studies(Layout(repo), run)
    code = changed_code(repo) if verb in DEPENDENT else []
    return code + (changed_weights(Layout(repo), run) if verb == "plan" else [])


def _says_the_same(stage: str, repo: Path) -> bool:
    """Whether the stage would write what is there: a card or a reader of another corpus has changed, and DVC cannot
    know whose it is."""
    verb, _, corpus = stage.partition("@")
    if verb != "reader":
        return False
    from flows.stages.ingest.reader import (
        is_unchanged,  # here: it loads what plans stages, which most questions do not need
    )

    return is_unchanged(Layout(repo), corpus)


def loaded_stages(dvc: Repo, names: Sequence[str], repo: Path) -> dict[str, Stage]:
    """Name -> DVC's stage of that name, whatever the current folder is. Raises `UnknownNameError`.

    dvc.yaml and dvc.lock are read once for all of them: DVC's own `load_one` reads both for each.
    """
    from dvc.dvcfile import load_file
    from dvc.stage.exceptions import StageNotFound

    there = load_file(dvc, str(repo.resolve() / "dvc.yaml")).stages
    loaded = {}
    for name in names:
        try:
            loaded[name] = there[name]
        except StageNotFound:
            raise UnknownNameError.of("stage", name, [stage.name for stage in dvc.index.stages]) from None
    return loaded


def needed(stages: Sequence[str], *, repo: Path) -> list[str]:
    """Those of `stages` that DVC would run now. Empty: nothing to do. Raises what `reasons` raises."""
    return list(reasons(stages, repo=repo))


def repro(
    stage: str,
    *,
    repo: Path,
    on_line: Callable[[str], None],
    timeout_s: float | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    poll_s: float = 1.0,
) -> None:
    """`dvc repro -s STAGE`: each line that it prints goes to `on_line`; returns when the stage is done and locked.

    `cancelled` is asked every `poll_s` seconds. Raises the stage's own typed error, `InterruptedRunError` when
    cancelled, `LockedError` when another process holds what it needs, `StageFailedError` for everything else (after
    `timeout_s` too). Whatever the way out, nothing that the stage started is left running.
    """
    verb, _, name = stage.partition("@")
    error_file = Layout(repo).error_file(verb, name)
    error_file.unlink(missing_ok=True)
    free_dead_locks(repo)
    write_code(repo)
    force = ["--force"] if _unseen(stage, repo) else []
    child = subprocess.Popen(
        [*DVC, "repro", "--single-item", *force, stage],
        cwd=repo,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    last: list[str] = []
    deadline = time.monotonic() + timeout_s if timeout_s else None
    try:
        for line in _lines(child, poll_s):
            if line is not None:
                last = [*last[-40:], line]
                if not _HINTS.match(line):
                    on_line(line)
            elif cancelled():
                raise InterruptedRunError(f"{stage} was cancelled; what was finished is kept.")
            if deadline and time.monotonic() > deadline:
                raise StageFailedError(
                    f"{stage} took longer than {timeout_s:g} s and was ended (machine.yaml: stage_timeout_s)."
                )
        code = child.wait()
    finally:
        end_group(child)
        if child.stdout:
            child.stdout.close()
    if code != 0:
        raise read_error(error_file) or _explained(stage, code, last)


def free_dead_locks(repo: Path) -> None:
    """Drops entries of DVC's rwlock whose process is gone or whose pid has been given to something else since.

    DVC does the first itself, not the second; nor does it get over a lock file that a kill or a full disk cut short.
    """
    path = repo / ".dvc" / "tmp" / "rwlock"
    if not path.exists():
        return
    from dvc.lock import LockError, make_lock

    try:
        with make_lock(str(path) + ".lock", tmp_dir=str(path.parent)):
            try:
                held = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                path.unlink()
                return
            write = {out: holder for out, holder in held.get("write", {}).items() if _is_holder(holder)}
            read = {dep: [h for h in holders if _is_holder(h)] for dep, holders in held.get("read", {}).items()}
            path.write_text(json.dumps({"write": write, "read": {k: v for k, v in read.items() if v}}))
    except LockError:
        return  # a living DVC is editing it at this moment, and will do the same


def _is_holder(entry: Mapping[str, Any]) -> bool:
    try:
        running = " ".join(psutil.Process(int(entry["pid"])).cmdline())
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
    return " ".join(str(entry["cmd"]).split(" ")[1:]) in running


@contextlib.contextmanager
def opened(repo: Path) -> Iterator[Repo]:
    """DVC's repository under its lock; locks of processes that are gone are freed first. Raises `LockError` of DVC
    where another process holds it (`plain_errors` says so in our words)."""
    from dvc.repo import Repo

    read_listings_whole()
    free_dead_locks(repo)
    with Repo(str(repo)) as dvc, dvc.lock:
        yield dvc


@contextlib.contextmanager
def plain_errors(repo: Path) -> Iterator[None]:
    """DVC's exceptions as ours."""
    from dvc.exceptions import DvcException
    from dvc.lock import LockError

    try:
        yield
    except LockError as error:
        raise _locked(str(error)) from None
    except DvcException as error:
        cause = f": {error.__cause__}" if error.__cause__ else ""
        raise UserError(f"DVC cannot read the project in {repo}: {error}{cause}") from None
    except (RecursionError, IsADirectoryError, PermissionError) as error:
        raise UserError(f"DVC cannot read the project in {repo}: {error}") from None
    except ValueError as error:
        if "integer string conversion" not in str(error):
            raise
        raise UserError(f"DVC cannot read dvc.yaml or dvc.lock in {repo}: a number has thousands of digits") from None


def _locked(text: str) -> LockedError:
    who = "; ".join(f"pid {pid}: {command}" for pid, command in dict.fromkeys(_BUSY.findall(text)))
    return LockedError(
        f"another process holds what this needs ({who or 'DVC is at work in this folder'}). "
        "Wait for it, or end it, then run the same command again."
    )


def _sentences(why: list[Any], repo: Path) -> list[str]:
    """DVC's status of one stage -> lines that a person reads."""
    sentences: list[str] = []
    for entry in why:
        if isinstance(entry, str):
            sentences.append({"changed checksum": "its command or outs changed in dvc.yaml"}.get(entry, entry))
            continue
        for kind, items in entry.items():
            side = "input" if "deps" in kind else "output"
            for path, state in items.items():
                if isinstance(state, dict):  # a params file: key -> what happened
                    sentences += [f"parameter {key} is {what}" for key, what in state.items()]
                else:
                    absolute = Path(os.path.normpath(Path.cwd() / path))  # DVC speaks as seen from the current folder
                    shown = absolute.relative_to(repo.resolve()) if absolute.is_relative_to(repo.resolve()) else path
                    sentences.append(f"{side} {shown} is {state}")
    return sentences


def environment() -> dict[str, str]:
    """Of a process that runs `DVC`: it ends with this one."""
    own = Path(sys.executable).parent
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(own), os.environ.get("PATH", os.defpath)]),  # `python` in dvc.yaml is this one
        "PYTHONUNBUFFERED": "1",
        "DVC_NO_ANALYTICS": "1",
        **handed_down(),
    }


def _lines(child: subprocess.Popen[str], poll_s: float) -> Iterator[str | None]:
    """Lines as they come; None whenever `poll_s` has passed, so that the caller can look around."""
    arrived: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert child.stdout is not None
    stdout = child.stdout

    def read() -> None:
        with contextlib.suppress(ValueError):  # closed under our hands when the group was ended
            for line in stdout:
                arrived.put(line.rstrip("\n"))
        arrived.put(None)

    threading.Thread(target=read, name="dvc-output", daemon=True).start()
    looked = time.monotonic()
    while True:
        with contextlib.suppress(queue.Empty):
            line = arrived.get(timeout=poll_s)
            if line is None:
                return
            yield line
        if time.monotonic() - looked >= poll_s:
            looked = time.monotonic()
            yield None


def _explained(stage: str, code: int, last: list[str]) -> EmoforgeError:
    """What DVC itself says, and `_tell_refusals`, when the stage left no error file."""
    text = "\n".join(last)
    if "is busy, it is being blocked by" in text or "Unable to acquire lock" in text:
        return _locked(text)
    if any(os.strerror(number) in text for number in (errno.ENOSPC, errno.EDQUOT)):
        return ResourceError(f"{stage}: the disk is full. Free some space and run the same command again.")
    if os.strerror(errno.EFBIG) in text:
        return ResourceError(f"{stage}: a file is larger than this file system, or `ulimit -f`, allows.")
    if os.strerror(errno.EACCES) in text or os.strerror(errno.EROFS) in text:
        named = next((line for line in reversed(last) if line.startswith("refused: ")), last[-1])
        return ResourceError(f"{stage}: a folder is not writable: {named.removeprefix('refused: ')}")
    if "No possible cache link types" in text:
        return ResourceError(f"{stage}: DVC cannot write into the project's folder. Is there room, and may you write?")
    if missing := re.search(r"ERROR: .*(?:missing data 'source': |No such file or directory: '|output ')([^']+)", text):
        path = missing.group(1).strip()
        corpus = Path(path).name if "data/raw" in path else None
        hint = f"Link the corpus: emoforge link {corpus} PATH" if corpus else "Run the stages before it first"
        return UserError(f"{stage} needs {path}, which is not there. {hint}.")
    said = [line for line in last if line.startswith("ERROR")] or last[-5:]
    killed = code < 0 or "exited with -9" in text or "exited with 137" in text or not said
    return StageFailedError(f"{stage} failed: " + " ".join(said or ["it was killed"]), transient=killed)


def _tell_refusals() -> None:
    """What the system refused DVC goes to stderr: DVC itself tells no more than what it then could not do."""

    def tell(record: logging.LogRecord) -> bool:
        errors = [record.exc_info[1]] if record.exc_info else list(record.args or ())
        error = next((one for one in errors if isinstance(one, BaseException)), None)
        while error is not None:
            if isinstance(error, OSError) and error.errno in REFUSALS:
                sys.stderr.write(f"refused: {os.strerror(error.errno)}: {error.filename2 or error.filename or ''}\n")
            error = error.__cause__ or error.__context__
        return record.levelno > logging.DEBUG

    errors = logging.NullHandler()
    errors.handle = tell  # type: ignore[method-assign]
    logging.getLogger("dvc").addHandler(errors)
    links = logging.getLogger(
        "dvc_objects.fs.generic"
    )  # that a way to link is not to be had is a remark of lowest level
    links.setLevel(logging.DEBUG)
    links.addFilter(tell)


def main(arguments: Sequence[str]) -> int:
    """`python -m flows.conduct.leash flows.conduct.dvcrun ...` is `dvc ...` that ends with its parent, and its stages
    with it; that believes no object of its cache unread; and that says why the system refused it something."""
    os.environ.update(handed_down())
    from dvc.cli import main as dvc

    read_listings_whole()
    read_objects_whole()
    _tell_refusals()
    return int(dvc(list(arguments)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
