"""Parts of a run that was built for real: `emoforge init`, stages through DVC, git, a folder as remote, clones."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.drills.project import DVC, EMOFORGE, PARAMS, Project
from corpora.store.release import open_release
from corpora.store.verify import check_release
from flows.releases.lineage import Lineage
from flows.releases.places import find_release

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
WITH_TABLE = PARAMS.replace(
    "    representation: {name: pixels", "    release: {features: [hog]}\n    representation: {name: pixels"
)


def said(project: Project, *words: str, where: Path | None = None) -> Any:
    """What a command of emoforge answers with --json, in the project or in another clone; lines of stages go before."""
    printed = project.sh("env", "-C", str(where or project.folder), *EMOFORGE, *words, "--json")
    return json.loads(printed[("\n" + printed).index("\n{") :])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Built up to its report; nothing is published yet."""
    made = Project(tmp_path_factory.mktemp("real") / "place")
    made.begin()
    (made.folder / "params.yaml").write_text(WITH_TABLE, encoding="utf-8")
    made.sh("git", "commit", "-qam", "A table of features")
    made.sh(*DVC, "repro", "--quiet", "report@tiny")
    return made


@pytest.fixture(scope="module")
def clone(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made anew of what git has when it is first asked for: after the first part was published."""
    place = tmp_path_factory.mktemp("other") / "clone"
    said(project, "publish", "tiny", "--only", "synthetic")
    project.sh("git", "clone", "-q", str(project.folder), str(place))
    return place


def test_synthetic_samples_are_published_and_read_in_another_clone(project: Project, clone: Path) -> None:
    tag = "tiny-synthetic@v1.0.0"
    again = said(project, "publish", "tiny", "--only", "synthetic")
    assert (again["tag"], again["latest"]) == (None, tag)
    assert project.sh("git", "status", "--porcelain", "--untracked-files=no") == ""
    assert said(project, "verify", tag, where=clone)["intact"] is True
    release = find_release(tag, clone).release
    opened = open_release(release)
    rows = list(opened.samples())
    assert rows and all(row["synthetic"] and row["payload"] for row in rows)
    whole = open_release(project.folder / "data/runs/tiny/release")
    theirs = {row["sample_id"]: row["payload"] for row in whole.samples(synthetic=True)}
    assert {row["sample_id"]: row["payload"] for row in rows} == theirs
    shards = b"".join(path.read_bytes() for path in sorted((release / "shards").iterdir()))
    assert not [row["sample_id"] for row in whole.samples(synthetic=False) if row["payload"] in shards]
    assert opened.features("hog").num_rows == len(rows)


def test_dvc_alone_gets_it_by_its_tag(project: Project, clone: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-W", "ignore", "-m", "dvc", "get", "-q", str(project.folder)]
    project.sh(
        *words, "data/parts/tiny-synthetic/release", "--rev", "tiny-synthetic@v1.0.0", "-o", str(tmp_path / "got")
    )
    assert check_release(tmp_path / "got").intact


def test_a_sample_of_a_part_is_traced_to_its_generator(clone: Path) -> None:
    one = Lineage.of(find_release("tiny-synthetic@v1.0.0", clone))
    sample = one.release.index["sample_id"][0].as_py()
    certificate = one.certificate(sample)
    assert certificate.known and certificate.generator is not None and certificate.gates and certificate.draw


def test_tables_of_features_are_published_alone(project: Project) -> None:
    done = said(project, "publish", "tiny", "--only", "features")
    assert done["tag"] == "tiny-features@v1.0.0"
    part, whole = (open_release(project.folder / place) for place in (done["pushed"][0], "data/runs/tiny/release"))
    assert check_release(part.path).intact and not list(part.path.rglob("*.tar"))
    assert part.features("hog").equals(whole.features("hog")) and part.splits.equals(whole.splits)
    assert part.index["emotion"].equals(whole.index["emotion"])


def test_the_whole_is_built_again_in_a_clone_and_gives_the_same_parts(project: Project, tmp_path: Path) -> None:
    assert said(project, "publish", "tiny")["tag"] == "tiny@v1.0.0"
    other = tmp_path / "rebuilt"
    project.sh("git", "clone", "-q", str(project.folder), str(other))
    rebuilt = said(project, "rebuild", "tiny@v1.0.0", where=other)
    assert rebuilt["same"] is True and rebuilt["got"] == rebuilt["wanted"], rebuilt
    assert not (other / "data/runs/tiny/release").exists(), "what lies in the clone's own folder is left alone"
