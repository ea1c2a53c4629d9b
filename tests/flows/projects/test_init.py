"""`emoforge init`: what it writes, what it never overwrites, and that the stages depend on what is installed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import flows.projects.init as beginning
from corpora.errors import ResourceError, UserError
from flows.paths import PACKAGES
from flows.projects.code import CODE
from flows.projects.init import FILES, WHOLE, init, outside, template

REPO = Path(__file__).resolve().parents[3]


def loaded(text: str) -> dict[str, Any]:
    stages: dict[str, Any] = YAML(typ="safe").load(text)["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


def tree(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file() and not {".git", "tmp"} & set(p.relative_to(folder).parts))
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml", "prefect.yaml"])
def test_the_clone_and_its_templates_are_the_same(name: str) -> None:
    same = (FILES / name).read_bytes() == (REPO / name).read_bytes()
    assert same, f"cp {name} flows/projects/files/{name}"


def test_outside_of_the_clone_stages_depend_on_the_installed_code_where_they_depended_on_folders() -> None:
    clone, own = loaded((REPO / "dvc.yaml").read_text(encoding="utf-8")), loaded(template("dvc.yaml"))
    code = own.pop("code")
    assert code["always_changed"] and code["outs"] == [{CODE: {"cache": False}}]
    assert own.keys() == clone.keys()
    for name, stage in clone.items():
        deps = stage.get("deps", [])
        wanted = [dep for dep in deps if dep not in PACKAGES] + [CODE] * bool(set(deps) & set(PACKAGES))
        assert own[name].get("deps", []) == wanted, name
        assert {k: v for k, v in own[name].items() if k != "deps"} == {k: v for k, v in stage.items() if k != "deps"}
    assert sum(CODE in stage.get("deps", []) for stage in own.values()) == 3
    assert "  # cards" in outside("stages:\n  a:\n    deps:\n    - data/cards  # cards\n    - flows\n")


def test_an_empty_folder_becomes_a_project_once(tmp_path: Path) -> None:
    begun = init(tmp_path / "new" / "lab")
    folder = tmp_path / "new" / "lab"
    there = tree(folder)
    assert {*WHOLE, ".gitignore", ".dvcignore", ".dvc/config"} <= there.keys()
    assert begun.git == "git init" and (folder / ".git").is_dir()
    assert b"autostage = false" in there[".dvc/config"]
    again = init(folder)
    assert tree(folder) == there and again.written == [] and again.git == ""
    (folder / "params.yaml").write_text("# mine\n" + (folder / "params.yaml").read_text())
    (folder / "prefect.yaml").unlink()
    mended = init(folder)
    assert mended.written == ["prefect.yaml"] and "params.yaml" in mended.kept and not mended.outdated
    assert (folder / "params.yaml").read_text().startswith("# mine")
    (folder / "dvc.yaml").write_text((folder / "dvc.yaml").read_text() + "# mine\n")
    assert init(folder).outdated == ["dvc.yaml"]


def test_what_stages_read_and_no_stage_writes_is_there(tmp_path: Path) -> None:
    """A dependency that is missing fails every `dvc repro`."""
    init(tmp_path)
    stages = loaded((tmp_path / "dvc.yaml").read_text(encoding="utf-8")).values()
    outs = [o if isinstance(o, str) else next(iter(o)) for stage in stages for o in stage.get("outs", ())]
    deps = {dep for stage in stages for dep in stage.get("deps", ()) if "${" not in dep}
    given = {dep for dep in deps if not any(out.startswith(dep) for out in outs)}
    assert given == {"data/cards", "data/retractions"}
    assert all((tmp_path / dep).is_dir() for dep in given)


def test_what_is_in_the_way_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("mine: 1\n")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "prefect.yaml").symlink_to("nowhere")
    before = tree(tmp_path)
    with pytest.raises(UserError, match=r"holds params\.yaml, dvc\.yaml, prefect\.yaml already"):
        init(tmp_path)
    assert tree(tmp_path) == before and not (tmp_path / ".git").exists() and not (tmp_path / ".dvc").exists()


def test_lines_are_added_to_what_git_ignores(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.bak\n.venv")
    assert ".gitignore (lines added)" in init(tmp_path).written
    text = (tmp_path / ".gitignore").read_text()
    assert text.startswith("*.bak\n.venv\n") and text.count(".venv") == 1 and "\n.emoforge/\n" in text


def test_a_folder_of_a_repository_is_no_repository_of_its_own(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    begun = init(tmp_path / "releases")
    assert begun.git == "" and not (tmp_path / "releases" / ".git").exists()
    assert (tmp_path / "releases" / ".dvc" / "config").is_file()


def test_without_git(tmp_path: Path) -> None:
    init(tmp_path, git=False)
    assert "no_scm = true" in (tmp_path / ".dvc" / "config").read_text() and not (tmp_path / ".git").exists()


def test_where_no_project_can_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a clone of emoforge"):
        init(REPO)
    (tmp_path / "params.yaml").touch()
    (tmp_path / "dvc.yaml").touch()
    with pytest.raises(UserError, match=f"lies in the project {tmp_path}"):
        init(tmp_path / "a" / "b")
    (tmp_path / "dvc.yaml").unlink()
    with pytest.raises(UserError, match="is a file"):
        init(tmp_path / "params.yaml")


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(10))
    write = beginning.write_text

    def full(path: Path, text: str) -> None:
        if next(calls) == 3:
            raise OSError(28, "No space left on device")
        write(path, text)

    monkeypatch.setattr(beginning, "write_text", full)
    with pytest.raises(ResourceError, match="No space left"):
        init(tmp_path / "lab")
    assert list(tmp_path.iterdir()) == []
    calls = iter(range(10))
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "notes.txt").write_text("mine")
    (tmp_path / "lab" / ".gitignore").write_text("mine\n")
    with pytest.raises(ResourceError):
        init(tmp_path / "lab")
    assert tree(tmp_path / "lab") == {"notes.txt": b"mine", ".gitignore": b"mine\n"}
