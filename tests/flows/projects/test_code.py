"""Outside of the clone a stage looks again exactly when the installed code changed, and a tag says which that was."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import flows.projects.code as code
from flows.conduct.dvcrun import RUN_STAGES, _unseen, reasons, repro
from flows.paths import Layout
from flows.projects.code import CODE, Code, changed_code, code_in, installed_code, write_code
from flows.publishing.facts import AUTO, facts_now
from tests.small_release import real, write_release
from tests.toy import Toy

OLD = Code(version="0.0.9", packages={"flows": "0" * 64})
NEW = Code(version="0.1.0", packages={"flows": "1" * 64})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  plan:\n    deps:\n      - {CODE}\n")
    return tmp_path


def test_what_changed_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "installed_code", lambda: OLD)
    assert changed_code(project) == [f"{CODE} does not say yet which emoforge is installed"]
    write_code(project)
    assert changed_code(project) == [] and code_in(project) == OLD
    before = (project / CODE).stat().st_mtime_ns
    write_code(project)
    assert (project / CODE).stat().st_mtime_ns == before, "DVC would hash it again"
    monkeypatch.setattr(code, "installed_code", lambda: NEW)
    assert changed_code(project) == ["the installed emoforge changed: 0.0.9 -> 0.1.0"]
    monkeypatch.setattr(code, "installed_code", lambda: OLD.model_copy(update={"packages": NEW.packages}))
    assert "the code of the installed emoforge changed" in changed_code(project)[0]
    monkeypatch.setattr(code, "installed_code", lambda: OLD.model_copy(update={"plugins": {"lab": "2" * 64}}))
    assert changed_code(project) == ["the code of a plugin changed"]
    (project / CODE).write_text("{half")
    assert len(changed_code(project)) == 1


def test_a_clone_depends_on_its_folders(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages:\n  plan:\n    deps:\n      - flows\n")
    assert changed_code(tmp_path) == []
    write_code(tmp_path)
    assert not (tmp_path / "data").exists()


def test_every_file_of_a_package_counts_but_compiled_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_package_of_code"
    (package / "cards" / "__pycache__").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(code, "PACKAGES", ("some_package_of_code",))

    def seen() -> dict[str, str]:
        return installed_code.__wrapped__().packages

    empty = seen()
    (package / "cards" / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"1")
    (package / "b.pyc").write_bytes(b"1")
    assert seen() == empty
    (package / "cards" / "a.yaml").write_text("a: 1")
    card = seen()
    assert card != empty
    (package / "cards" / "a.yaml").rename(package / "cards" / "b.yaml")
    assert seen() not in (card, empty), "a name counts"
    assert "some_package_of_code" not in sys.modules


def test_which_stages_look_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "installed_code", lambda: OLD)
    write_code(project)
    monkeypatch.setattr(code, "installed_code", lambda: NEW)
    because = ["the installed emoforge changed: 0.0.9 -> 0.1.0"]
    told = {verb: _unseen(f"{verb}@toy", project) for verb in (*RUN_STAGES, "reader", "ingest", "design", "study")}
    assert {verb for verb, why in told.items() if why} == {"plan", "reader", "design"}
    assert told["plan"] == told["reader"] == because


@pytest.mark.slow
def test_stages_look_again_when_another_emoforge_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy(tmp_path / "toy")
    text = (toy.folder / "dvc.yaml").read_text().replace('- "data/corpora"\n', f'- "data/corpora"\n      - {CODE}\n')
    (toy.folder / "dvc.yaml").write_text(text)
    (toy.folder / "data" / "corpora").mkdir(parents=True)
    for name in ("PYTHONPATH", "HOME", "PATH"):
        monkeypatch.setenv(name, toy.env[name])
    monkeypatch.setattr(code, "installed_code", lambda: OLD)
    assert reasons(["plan@toy"], repo=toy.folder)
    repro("plan@toy", repo=toy.folder, on_line=lambda _: None)
    assert toy.calls() == ["plan@toy"] and reasons(["plan@toy"], repo=toy.folder) == {}
    monkeypatch.setattr(code, "installed_code", lambda: NEW)
    assert reasons(["plan@toy"], repo=toy.folder) == {"plan@toy": ["the installed emoforge changed: 0.0.9 -> 0.1.0"]}
    assert code_in(toy.folder) == OLD, "asking changes nothing"
    repro("plan@toy", repo=toy.folder, on_line=lambda _: None)
    assert toy.calls() == ["plan@toy"] and reasons(["plan@toy"], repo=toy.folder) == {}
    os.utime(toy.folder / CODE)
    assert reasons(["plan@toy"], repo=toy.folder) == {}


def test_a_tag_names_what_ran(project: Path) -> None:
    write_release(Layout(project).run("toy") / "release", [real(i) for i in range(4)])
    write_code(project)
    facts = facts_now("toy", None, AUTO, project)
    assert (facts.code, facts.emoforge) == (installed_code().hash, installed_code().version)
    (project / "dvc.yaml").write_text("stages: {}\n")
    assert facts_now("toy", None, AUTO, project).code == ""
