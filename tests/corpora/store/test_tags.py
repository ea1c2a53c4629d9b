"""`verify` looks at the tag of every payload; a release of before there were tags has none and is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.codecs import encode_png
from corpora.schema import Sample
from corpora.store.release import open_release
from corpora.store.verify import check_release
from corpora.tagged import PLACES, Tag, with_tag
from tests.small_release import made, real, write_release

PIXELS = [encode_png(np.full((8, 8), n, np.uint8)) for n in range(9)]


def tagged(number: int, tag: Tag | None = None) -> Sample:
    sample = made(number)
    tag = tag or Tag("9e1d", sample.sample_id)
    return made(number, payload=with_tag(PIXELS[number], "png", tag))


def checked(folder: Path, samples: list[Sample], **facts: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    result = check_release(write_release(folder, samples, **{"payload_tags": {"png": PLACES["png"]}} | facts))
    return [(p.kind, [(s.sample_id, s.part) for s in p.samples]) for p in result.problems]


def test_tags_are_looked_at(tmp_path: Path) -> None:
    people = [real(n, payload=PIXELS[n]) for n in range(3)]
    assert checked(tmp_path / "right", [*people, tagged(1), tagged(2)]) == []
    assert open_release(tmp_path / "right").manifest["payload_tags"] == {"png": PLACES["png"]}
    bare = made(3, payload=PIXELS[3])
    assert checked(tmp_path / "bare", [*people, tagged(1), bare]) == [("tag", [("syn/9e1d/3", "tag")])]
    other = tagged(3, Tag("9e1d", "syn/9e1d/4"))
    assert checked(tmp_path / "other", [*people, other]) == [("tag", [("syn/9e1d/3", "tag")])]
    posing = real(5, payload=with_tag(PIXELS[5], "png", Tag("9e1d", "syn/9e1d/5")))
    assert checked(tmp_path / "real", [*people, posing, tagged(1)]) == [("tag", [("c/5", "tag")])]


def test_a_release_of_before_has_none(tmp_path: Path) -> None:
    people = [real(n, payload=PIXELS[n]) for n in range(3)]
    assert check_release(write_release(tmp_path / "a", [*people, made(3, payload=PIXELS[3])])).intact


@pytest.mark.parametrize("places", [{"png": None}, {}])
def test_a_codec_without_a_place_has_none(tmp_path: Path, places: dict[str, None]) -> None:
    assert checked(tmp_path / "a", [made(3, payload=PIXELS[3])], payload_tags=places) == []


def test_who_reads_tars_with_webdataset_sees_what_they_saw(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    seen = []
    for name, one in (("plain", made(3, payload=PIXELS[3])), ("tagged", tagged(3))):
        folder = write_release(tmp_path / name, [one])
        tars = [str(path) for path in sorted(folder.glob("shards/*.tar"))]
        (row,) = webdataset.WebDataset(tars, shardshuffle=False, empty_check=False).decode("l8")
        seen.append((row["png"].dtype, row["png"].tolist(), row["json"]))
    assert seen[0] == seen[1]
    assert seen[0][2]["synthetic"] is True and seen[0][2]["generator_id"] == "9e1d", "beside it, as it was"
