"""The folder in which a version is built again: a clone at its commit, with a cache of its own.

Nothing of the project's cache, work store or outs is in it, so nothing can be taken for rebuilt that was only copied:
what a stage writes, it computed. It lies in .emoforge/rebuilt, stays where a rebuild was cut short or differs, and goes
when the version is the same.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from corpora.errors import CorpusError, IntegrityError, ResourceError
from corpora.store.atomic import atomic_folder, write_text
from flows.params import load_machine, load_params
from flows.paths import Layout
from flows.rebuilding.lock import Outs
from flows.releases.fetched import Objects, copy_out, lock_of, opened_to_read
from flows.releases.git import git, git_root
from flows.releases.versions import Version


def cloned(version: Version, repo: Path) -> Path:
    """-> the project's folder at the commit of `version`, as an earlier call left it or new. Raises `UserError`."""
    place = Layout(repo).scratch / "rebuilt" / f"{version.tag}-{version.commit[:12]}"
    root = git_root(repo)
    if not place.is_dir():
        with atomic_folder(place) as fresh:
            git(repo, "clone", "--quiet", "--shared", "--no-checkout", "--", str(root), str(fresh))
            git(fresh, "-c", "advice.detachedHead=false", "checkout", "--quiet", version.commit)
            project = fresh / repo.resolve().relative_to(root.resolve())
            _configured(project, repo)
    return place / repo.resolve().relative_to(root.resolve())


def _configured(project: Path, repo: Path) -> None:
    """Nothing that was computed: no lock, no remote, no cache or work store that others fill."""
    (project / "dvc.lock").unlink(missing_ok=True)
    write_text(project / ".dvc" / "config.local", "[cache]\n    dir = cache\n")
    machine = load_machine(repo / "machine.yaml").model_dump(mode="json", exclude_unset=True)
    settings = {key: value for key, value in machine.items() if key not in ("store", "private_remote")}
    if settings:
        from ruamel.yaml import YAML

        with (project / "machine.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump(settings, file)


def given(version: Version, project: Path, repo: Path) -> list[str]:
    """Puts the raw corpora of the run into `project`; -> stages of corpora that need not run, as what they write was
    fetched. A corpus is linked here, or made by its stage `fake`; else it is taken as it was read, from the cache or a
    remote.

    Raises `CorpusError` for one that cannot be had in any way, and what `copy_out` raises.
    """
    params = load_params(project / "params.yaml")
    fetched_stages: list[str] = []
    for corpus in params.run(version.run).corpora:
        if corpus in params.demo:
            continue
        here, there = Layout(repo).raw(corpus), Layout(project).raw(corpus)
        if here.exists():
            if not there.is_symlink():
                there.parent.mkdir(parents=True, exist_ok=True)
                there.symlink_to(here.resolve(), target_is_directory=True)
        else:
            _fetched(version, corpus, project, repo)
            fetched_stages += [f"reader@{corpus}", f"ingest@{corpus}"]
    return fetched_stages


def _fetched(version: Version, corpus: str, project: Path, repo: Path) -> None:
    target = Layout(project).corpus(corpus)
    out = f"data/corpora/{corpus}"
    oid = Outs.of(lock_of(version, repo)).made(f"ingest@{corpus}").get(out)
    if target.is_dir():
        return
    try:
        if oid is None:
            raise ResourceError(f"{version.tag}: dvc.lock of its commit names no {out}")
        with opened_to_read(repo) as dvc, atomic_folder(target) as folder:
            copy_out(Objects(dvc, repo, version), out, oid, folder, lambda name: True)
    except (ResourceError, IntegrityError) as error:
        raise CorpusError(
            f"{version.tag} was built from the corpus {corpus!r}, which is not here: link it (emoforge link {corpus} "
            f"PATH), or add the remote that holds it. ({error})"
        ) from None


def removed(version: Version, repo: Path) -> None:
    """The clone, with all that was built in it."""
    shutil.rmtree(Layout(repo).scratch / "rebuilt" / f"{version.tag}-{version.commit[:12]}", ignore_errors=True)
