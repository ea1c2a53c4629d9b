"""What this machine offers against what the runs ask for: disk, accelerator, Ray cluster, corpora, tools."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from corpora.errors import EmoforgeError, ParamsError, ResourceError
from flows.engine.store import WorkStore
from flows.params import Machine, Params
from flows.paths import Layout
from flows.stages.ingest.retracted import keys_of, require_not_retracted, retractions

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `emoforge check`. `state`: ok | note (works, but know it) | missing (the run would fail)."""

    what: str
    state: Literal["ok", "note", "missing"]
    detail: str

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {"what": self.what, "state": self.state, "detail": self.detail}


def require_disk(repo: Path, machine: Machine) -> float:
    """-> GiB free where the repository lies. Raises `ResourceError` below machine.min_free_gib or if not writable."""
    free = shutil.disk_usage(repo).free / GIB
    if free < machine.min_free_gib:
        raise ResourceError(
            f"{free:.1f} GiB free at {repo}, {machine.min_free_gib:g} GiB are wanted (machine.yaml: min_free_gib). "
            "Free some space: `emoforge gc --dry-run` says what nothing needs any more."
        )
    for folder in (repo, repo / "data", repo / ".emoforge"):
        if folder.exists() and not os.access(folder, os.W_OK):
            raise ResourceError(f"{folder} is not writable for this user. Change its owner or mode, then run again.")
    return free


def require_accelerator(params: Params) -> str:
    """-> what the runs will compute on. Raises `ResourceError` if numerics ask for a GPU that is not there."""
    if params.numerics.device == "cpu":
        return f"cpu, {os.cpu_count()} cores"
    import torch

    if not torch.cuda.is_available():
        raise ResourceError(
            "numerics.device is 'cuda', but torch sees no CUDA device. Allowed here: cpu. Set numerics.device: cpu in "
            "params.yaml, or install a driver and a CUDA build of torch."
        )
    return f"cuda: {torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"


def require_cluster(machine: Machine) -> str:
    """-> where sampling actors will live. Raises `ResourceError` if the address of a Ray cluster does not answer."""
    if machine.ray_address is None or machine.ray_address == "local":
        return f"{machine.actors} actors on this machine"
    if machine.ray_address == "auto":
        return f"{machine.actors} actors on the Ray cluster that runs here"
    host, _, port = machine.ray_address.removeprefix("ray://").rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5):
            return f"{machine.actors} actors on the Ray cluster at {machine.ray_address}"
    except (OSError, ValueError) as error:
        raise ResourceError(
            f"no Ray cluster at {machine.ray_address!r} ({error}). Start it (`ray start --head`), mend ray_address in "
            "machine.yaml or RAY_ADDRESS, or unset both for a local one."
        ) from None


def require_store(machine: Machine, repo: Path) -> str:
    """-> where finished work is kept. Makes nothing.

    Raises `ParamsError` for a URL of an unknown kind, `ResourceError` for a place that cannot be a folder of this user.
    """
    store = WorkStore(machine.store or Layout(repo).store)
    if "://" not in store.url:
        nearest = next(p for p in (Path(store.url), *Path(store.url).parents) if p.exists() or p.is_symlink())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK):
            raise ResourceError(
                f"no work store can be at {store.url}: {nearest} is no folder that this user may write to. "
                "Name another in machine.yaml (store)"
            )
    return store.url


def survey(
    params: Params, machine: Machine, repo: Path, runs: Sequence[str], encoders: Sequence[str] = ()
) -> list[Finding]:
    """Everything that `emoforge check` says about the machine, the corpora of `runs` and the packaged `encoders` that
    they load; never raises for a lack."""
    findings: list[Finding] = []

    def add(what: str, ask: Callable[[], object]) -> None:
        try:
            findings.append(Finding(what, "ok", str(ask())))
        except EmoforgeError as error:
            findings.append(Finding(what, "missing", str(error)))

    add("disk", lambda: f"{require_disk(repo, machine):.1f} GiB free")
    add("accelerator", lambda: require_accelerator(params))
    add("actors", lambda: require_cluster(machine))
    add("work store", lambda: require_store(machine, repo))
    memory = psutil.virtual_memory().available / GIB
    findings.append(
        Finding("memory", "ok" if memory > 4 else "note", f"{memory:.1f} GiB available (the demo takes 4-6)")
    )
    for corpus in dict.fromkeys(c for run in runs for c in params.run(run).corpora):
        findings.append(_corpus(corpus, params, Layout(repo)))
    for run in runs:
        findings += [*_vectors(run, params, repo), *_licences(run, params, repo), *_parts(run, params, repo)]
    findings += _encoders(encoders)
    return findings


def _encoders(names: Sequence[str]) -> list[Finding]:
    """A line for each encoder of an installed package: what it is called, or that it is absent.

    Said here, before hours are spent; `plan` refuses such a run.
    """
    from features.pretrained.packages import packaged

    findings = []
    for name in names:
        try:
            packaged(name).require()
            findings.append(Finding(f"encoder {name}", "ok", packaged(name).title()))
        except EmoforgeError as error:
            findings.append(Finding(f"encoder {name}", "missing", str(error)))
    return findings


def _vectors(run: str, params: Params, repo: Path) -> list[Finding]:
    """What `plan` would say of a run whose samples are rows of features: nothing where all is well."""
    from corpora.readers import make_corpus
    from flows.stages.plan.plan import require_steps_of_vectors

    entries = {name: params.corpora[name] for name in params.run(run).corpora if name in params.corpora}
    try:
        cards = {name: make_corpus(e.reader, e.options, base=repo).card for name, e in entries.items()}
        require_steps_of_vectors(run, params.run(run), {name: card.is_vector for name, card in cards.items()})
    except ParamsError as error:
        return [Finding(f"steps of {run}", "missing", str(error))]
    except EmoforgeError:  # a reader or card that is not there: said of the corpus, or by its ingest
        return []
    return []


def _licences(run: str, params: Params, repo: Path) -> list[Finding]:
    """Why the release of a run may not be passed on, said before it is built; nothing where it may."""
    from flows.licensing import restrictions_of_run

    try:
        held = restrictions_of_run(params, run, repo)
    except EmoforgeError:  # a reader or card that is not there: said of the corpus, or by its ingest
        return []
    return [Finding(f"licences of {run}", "note", f"not to be passed on: {'; '.join(held)}")] if held else []


def _parts(run: str, params: Params, repo: Path) -> list[Finding]:
    """Which parts of a run's release may be published without its real samples, and why the others may not."""
    from flows.licensing import parts_of_run

    try:
        verdicts = parts_of_run(params, run, repo)
    except EmoforgeError:  # as above
        return []
    if not verdicts:
        return []
    lines = [
        f"{part}: may be published alone (emoforge publish {run} --only {part})"
        if not one.because
        else f"{part}: {'; '.join(one.because)}. {one.remedy}"
        for part, one in verdicts.items()
    ]
    allowed = any(not one.because for one in verdicts.values())
    return [Finding(f"parts of {run}", "ok" if allowed else "note", ". ".join(lines))]


def _corpus(name: str, params: Params, layout: Layout) -> Finding:
    what, raw = f"corpus {name}", layout.raw(name)
    try:
        require_not_retracted(name, keys_of(name, retractions(layout)), layout)
    except EmoforgeError as error:  # taken out for ever, or a file of data/retractions is damaged
        return Finding(what, "missing", str(error))
    if raw.is_dir():
        return Finding(what, "ok", str(raw.resolve()) if raw.is_symlink() else f"data/raw/{name}")
    if name in params.demo:
        return Finding(what, "ok", "written by the stage fake")
    state = "points to a folder that is gone" if raw.is_symlink() else "is not there"
    return Finding(what, "missing", f"data/raw/{name} {state}: emoforge link {name} PATH")
