"""What a release cannot know of itself stands in a copy of croissant.json and in dvc.yaml, and changes no hash."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from corpora.errors import ParamsError, UserError
from corpora.store.verify import check_release
from emoforge.releases.packing import pack
from flows.conduct import publish_part as conduct
from flows.conduct.publish import publish
from flows.params import load_params
from flows.publisher import PublishParams
from flows.publishing.announced import ON_HUB, Announced, announced
from flows.publishing.artifacts import with_artifact
from flows.publishing.hub import push_hub
from flows.releases.fetched import fetched
from flows.releases.versions import version_of
from tests.flows.describing.tiny import write_described
from tests.flows.publishing.hub_server import Hub
from tests.flows.publishing.test_artifacts import STAGES
from tests.flows.releases.published import Published
from tests.small_release import write_stub_report

WHO = {
    "creator": [{"name": "The Lab", "url": "https://ror.org/0x"}, {"name": "Ada Müller", "kind": "person"}],
    "url": "https://example.org/{name}/{version}",
}
PARAMS = """corpora:
  c: {reader: ravdess}
runs:
  tiny: {corpora: [c], seed: 1, representation: {name: world}, generator: {name: transfer}}
"""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_described(tmp_path_factory.mktemp("announced") / "tiny", name="tiny")


@pytest.fixture
def project(quick: None, tmp_path: Path) -> Published:
    made = Published(tmp_path / "one" / "project")
    (made.folder / "params.yaml").write_text(PARAMS + f"publish: {json.dumps(WHO)}\n")
    (made.folder / ".gitignore").write_text("/data/runs\n/.emoforge\n")
    write_described(made.folder / "data/runs/tiny/release", name="tiny")
    (made.folder / "data/runs/tiny/metrics.json").write_text("{}")
    write_stub_report(made.folder / "data/runs/tiny")
    made.built(made.folder / "data/runs/tiny")
    made.git("add", "-A")
    made.git("commit", "-q", "-m", "begin")
    return made


def test_mlcroissant_wants_nothing_more_of_the_copy(
    release: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    about = Announced("tiny", PublishParams.model_validate(WHO), "v1.2.0", "2026-11-30")
    text = announced(release, about)
    assert text is not None and text == announced(release, about)
    for name, document in (("own", (release / "croissant.json").read_text()), ("copy", text)):
        (tmp_path / f"{name}.json").write_text(document)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            mlcroissant.Dataset(jsonld=str(tmp_path / f"{name}.json"))
        missing = [one for one in ("url", "creator", "datePublished", "version") if f'/{one}"' in caplog.text]
        assert bool(missing) == (name == "own"), caplog.text
    copy, own = json.loads(text), json.loads((release / "croissant.json").read_text())
    assert copy.pop("url") == "https://example.org/tiny/v1.2.0" and copy.pop("version") == "1.2.0"
    assert copy.pop("datePublished") == "2026-11-30"
    assert copy.pop("creator") == [
        {"@type": "sc:Organization", "name": "The Lab", "url": "https://ror.org/0x"},
        {"@type": "sc:Person", "name": "Ada Müller"},
    ]
    assert copy == own


def test_nothing_known_nothing_written(release: Path, tmp_path: Path) -> None:
    assert announced(release, Announced("tiny", PublishParams())) is None
    assert announced(tmp_path, Announced("tiny", PublishParams.model_validate(WHO), "v1.0.0", "2026-11-30")) is None


def test_publish_commits_the_copy_and_the_release_stays(project: Published) -> None:
    before = check_release(project.folder / "data/runs/tiny/release").release_hash
    assert publish("tiny", repo=project.folder).tag == "tiny@v1.0.0"
    committed = json.loads(project.git("show", "HEAD:data/runs/tiny/croissant.json"))
    assert committed["datePublished"] == "2026-11-30" and committed["url"] == "https://example.org/tiny/v1.0.0"
    checked = check_release(project.folder / "data/runs/tiny/release")
    assert checked.intact and checked.release_hash == before and not checked.extra
    entry = YAML(typ="safe").load((project.folder / "dvc.yaml").read_text())["artifacts"]["tiny"]
    assert entry["meta"] == {"creator": ["The Lab", "Ada Müller"], "url": WHO["url"]}


def test_a_part_has_its_own(project: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conduct, "require_intact", lambda stages, pushed, repo: [])
    conduct.publish_part("tiny", "synthetic", repo=project.folder)
    committed = json.loads(project.git("show", "HEAD:data/parts/tiny-synthetic/croissant.json"))
    assert committed["name"] == "tiny-synthetic"
    assert committed["url"] == "https://example.org/tiny-synthetic/v1.0.0"


def test_a_pack_has_the_copy_of_its_version(project: Published, tmp_path: Path) -> None:
    project.version(project.folder / "data/runs/tiny", "v1.0.0")
    pack("tiny@v1.0.0", tmp_path / "paper", project.folder, as_json=True)
    copy = json.loads((tmp_path / "paper" / "croissant.json").read_text())
    assert copy["version"] == "1.0.0" and copy["creator"][0]["name"] == "The Lab"
    pack(str(project.folder / "data/runs/tiny/release"), tmp_path / "bare", None, as_json=True)
    assert not (tmp_path / "bare" / "croissant.json").exists()


def test_a_hub_gets_it_beside_the_release_in_the_same_commit(project: Published, hub: Hub) -> None:
    tag = project.version(project.folder / "data/runs/tiny", "v1.0.0")
    (project.folder / "params.yaml").write_text(PARAMS)  # nobody says who: the Hub's own page is known
    hub.broken["/tag/"] = 403
    with pytest.raises(Exception, match="goes on"):
        push_hub(tag, "hf://datasets/lab/tiny", repo=project.folder)
    hub.broken.clear()
    assert push_hub(tag, "hf://datasets/lab/tiny", repo=project.folder).sent
    known = hub.repositories["lab/tiny"]
    assert len(known.messages) == 1, "again is no other commit"
    copy = json.loads(hub.file("lab/tiny", "v1.0.0", ON_HUB))
    assert copy["url"] == f"{hub.url}/datasets/lab/tiny" and copy["datePublished"] and "creator" not in copy
    whole = fetched(version_of(tag, project.folder), project.folder, whole=True) / "release"
    assert hub.file("lab/tiny", "v1.0.0", "croissant.json") == (whole / "croissant.json").read_bytes()
    assert not push_hub(tag, "hf://datasets/lab/tiny", repo=project.folder).sent


@pytest.mark.parametrize(
    "text",
    [
        STAGES,
        STAGES
        + "artifacts:\n  tiny:   # by hand\n    path: data/runs/tiny/release\n    type: x\n  zoo:\n    path: z\n",
        STAGES + 'artifacts:\n  zoo:\n    path: z\n  tiny:\n    meta: {"url": "https://old"}\n'
        "    path: data/runs/tiny/release\n",
    ],
)
def test_the_entry_says_who_and_everything_else_stays(text: str) -> None:
    who = PublishParams.model_validate(WHO)
    after = with_artifact(text, "tiny", "face", who)
    entries = YAML(typ="safe").load(after)["artifacts"]
    assert entries["tiny"]["meta"] == {"creator": ["The Lab", "Ada Müller"], "url": WHO["url"]}
    assert with_artifact(after, "tiny", "face", who) == after
    assert with_artifact(after, "tiny", "face") == after, "who says nothing changes nothing"
    added = [line for line in after.splitlines() if line not in text.splitlines()]
    assert len(added) == (1 if "artifacts" in text else len(added)) and ("by hand" in after) == ("by hand" in text)


def test_an_entry_on_one_line_is_told() -> None:
    text = STAGES + "artifacts:\n  tiny: {path: data/runs/tiny/release}\n"
    with pytest.raises(UserError, match=r"write it there yourself:\nmeta: "):
        with_artifact(text, "tiny", "face", PublishParams.model_validate(WHO))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{url: 'ftp://x'}", "https"),
        ("{creator: [{name: ''}]}", "one line"),
        ("{creator: [{name: x, kind: firm}]}", "organization"),
        ("{permits: {c: {synthetic: yes}}}", "permits"),
        ("{permits: {c: {synthetic: short}}}", "who permitted it"),
        ("{permits: {other: {synthetic: 'the owner, letter of May'}}}", "other"),
        ("{permits: {c: {real: 'the owner, letter of May'}}}", "synthetic"),
    ],
)
def test_what_nobody_can_mean_is_refused(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS + f"publish: {text}\n")
    with pytest.raises(ParamsError, match=says):
        load_params(tmp_path / "params.yaml")
