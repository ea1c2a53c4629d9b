"""Backward and forward through edges of known truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import IntegrityError, UnknownNameError
from corpora.schema import Sample
from emoforge.releases.tracing import trace
from flows.releases.lineage import Lineage, every_place
from flows.releases.places import Place
from generators.generator import Condition, Draw
from tests.flows.releases.published import Published
from tests.small_release import made, real, write_release


def drawn(number: int, emotion: str) -> tuple[Draw, Sample]:
    """A conversion of c/NUMBER, named as generators name it."""
    draw = Draw(Condition(emotion, {"intensity": 0.5}), 100 + number, {"from": f"c/{number}"})
    sample = made(number, sample_id=f"syn/9e1d/{draw.key()}", emotion=emotion, seed=100 + number)
    return draw, sample


DRAWN = [drawn(0, "fear"), drawn(1, "anger"), drawn(5, "anger"), drawn(2, "fear")]
RELEASED = [*map(real, range(6)), *(sample for _, sample in DRAWN[:3])]  # the last one was drawn and not released


def edges(*, fitted: Sequence[int] = range(4), judged: Sequence[int] = (4,)) -> list[tuple[str, str, str]]:
    """c/5 is a source, and nothing was fitted on it."""
    found = [(s.sample_id, f"subject:{s.subject_id}", "subject") for s in RELEASED]
    for at, (draw, sample) in enumerate(DRAWN):
        found.append(("list:ab12", json.dumps(draw.to_json(), sort_keys=True), f"draw:{at}"))
        if sample in RELEASED:
            found += [(sample.sample_id, "generator:9e1d", "generator"), (sample.sample_id, "list:ab12", "list")]
            found += [(sample.sample_id, draw.sources["from"], "source:from")]
    found += [("generator:9e1d", "transfer", "name"), ("generator:9e1d", "weights:aa", "weights")]
    found += [("generator:9e1d", "params:bb", "params"), ("generator:9e1d", "code:cc", "code")]
    found += [("generator:9e1d", "dd /models/m", "loads")]
    found += [("generator:9e1d", f"c/{i}", "fitted on") for i in fitted]
    return found + [("judges", f"c/{i}", "learned from") for i in judged]


def lineage_of(place: Path, **facts: Any) -> Lineage:
    facts = {"lineage": edges()} | facts
    return Lineage.of(Place("tiny", write_release(place, RELEASED, {"c/5": "test"}, **facts)))


def test_a_synthetic_sample_leads_to_all_that_made_it(tmp_path: Path) -> None:
    draw, sample = DRAWN[1]
    one = lineage_of(tmp_path).certificate(sample.sample_id)
    assert one.known and one.draw == draw.to_json() and one.list_key == "ab12" and one.split == "train"
    assert one.generator is not None and one.generator.subjects == ("c:s0", "c:s1", "c:s2", "c:s3")
    assert (one.generator.name, one.generator.weights, one.generator.params, one.generator.code) == (
        *("transfer", "aa", "bb", "cc"),
    )
    assert one.generator.loads == ("dd /models/m",) and one.generator.n_samples == 4
    assert [(s.role, s.sample_id, s.subject_id, s.emotion) for s in one.sources] == [("from", "c/1", "c:s1", "fear")]
    assert [(g.gate, g.margin, g.passed) for g in one.gates] == [("copies", 0.25, True)]
    assert one.subjects == ("c:s1",) and one.facts["seed"] == 101


def test_a_real_sample_has_no_generator(tmp_path: Path) -> None:
    one = lineage_of(tmp_path).certificate("c/5")
    assert one.generator is None and one.draw is None and one.split == "test" and one.subjects == ("c:s1",)
    with pytest.raises(UnknownNameError, match="holds no sample 'c/77'"):
        lineage_of(tmp_path / "b").certificate("c/77")


@pytest.mark.parametrize(
    ("asked", "own", "direct", "fitted", "judged"),
    [
        ({"sample": "c/0"}, {"c/0"}, {0}, 3, False),
        ({"sample": "c/3"}, {"c/3"}, set(), 3, False),
        ({"sample": "c/4"}, {"c/4"}, set(), 0, True),
        ({"sample": "c/5"}, {"c/5"}, {2}, 0, False),
        ({"subject": "c:s1"}, {"c/1", "c/5"}, {1, 2}, 3, False),
        ({"subject": "c:s2"}, {"c/2"}, set(), 3, False),
        ({"subject": "c:s9"}, set(), set(), 0, False),
    ],
)
def test_what_stands_on_a_sample_or_a_person(
    tmp_path: Path, asked: dict[str, str], own: set[str], direct: set[int], fitted: int, judged: bool
) -> None:
    standing = lineage_of(tmp_path).standing(**asked)
    assert set(standing.real) == own and standing.judged == judged
    assert set(standing.direct) == {DRAWN[i][1].sample_id for i in direct}
    assert standing.fitted == ({"9e1d": fitted} if fitted else {})
    assert standing.touched == bool(own) and standing.n_synthetic == max(fitted, len(direct))


def test_an_older_release_tells_what_its_index_knows(tmp_path: Path) -> None:
    lineage = lineage_of(tmp_path, lineage=None)
    one = lineage.certificate(DRAWN[1][1].sample_id)
    assert not one.known and one.draw is None and one.sources[0].sample_id == "c/1"
    standing = lineage.standing(subject="c:s1")
    assert len(standing.direct) == 2 and standing.fitted == {} and not standing.known


def test_a_draw_of_another_name_is_no_birth_certificate(tmp_path: Path) -> None:
    forged = [(t, u.replace('"seed": 101', '"seed": 102'), r) for t, u, r in edges()]
    with pytest.raises(IntegrityError, match="no draw of that name"):
        lineage_of(tmp_path, lineage=forged).certificate(DRAWN[1][1].sample_id)


def test_trace_looks_at_all_releases_and_published_versions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Published(tmp_path / "project")
    run = project.folder / "data/runs/tiny"
    write_release(run / "release", RELEASED, lineage=edges())
    project.version(run, "v1.0.0")
    write_release(project.folder / "data/runs/other/release", [real(7)])
    assert [p.shown for p in every_place(project.folder, versions=True)[0]] == ["other", "tiny", "tiny@v1.0.0"]

    def told(sample: str | None, subject: str | None, form: str = "json", releases: tuple[str, ...] = ()) -> Any:
        capsys.readouterr()
        trace(sample, subject, list(releases), project.folder, versions=not releases, form=form)
        out = capsys.readouterr().out
        return out if form == "text" else json.loads(out)

    found = told(None, "c:s1")["standing"]
    assert [(one["release"], len(one["direct"]), one["fitted"]) for one in found] == [
        ("tiny", 2, {"9e1d": 3}),
        ("tiny@v1.0.0", 2, {"9e1d": 3}),
    ]
    sample = DRAWN[1][1].sample_id
    assert [one["release"] for one in told(sample, None)["certificates"]] == ["tiny", "tiny@v1.0.0"]
    assert [one["release"] for one in told(sample, None, releases=("tiny",))["certificates"]] == ["tiny"]
    text = told(sample, None, "text")
    assert all(word in text for word in (sample, "asked: seed", "c/1", "copies", "0.25", "transfer"))
    assert "made from them" in told(None, "c:s1", "text")
    with pytest.raises(UnknownNameError, match="no release here knows subject 'c:s77'"):
        told(None, "c:s77")
    events = told(sample, None, "openlineage")
    for event in events:
        assert {"eventType", "eventTime", "run", "job", "producer", "schemaURL"} <= set(event)
        for dataset in (*event["inputs"], *event["outputs"]):
            assert {"namespace", "name", "facets"} == set(dataset)
            assert all({"_producer", "_schemaURL"} <= set(facet) for facet in dataset["facets"].values())
    assert {one["name"] for one in events[0]["inputs"]} == {"c/1", "generator:9e1d"}
    assert events == told(sample, None, "openlineage"), "the same release, the same events"
