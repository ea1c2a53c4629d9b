"""Published claims: entries that say what they rest on, re-runs whose leaks have a price, and errors that are said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.errors import CorpusError, ParamsError, UnknownNameError, UserError
from corpora.params import parse
from corpora.readers import make_corpus, reader_names
from corpora.schema import Sample
from emoforge.claiming import list_claims, run_claim
from flows.claims import rerun
from flows.claims.claim import Claim, claim_names, load_claim
from flows.claims.rerun import rerun_claim


def fake(reader: str, folder: Path, per_class: dict[str, int], subjects: int = 6) -> Path:
    options = {"channel": "speech"} if reader == "ravdess" else {}
    make_corpus(reader, options).fake(folder, subjects=subjects, per_class=per_class, seed=1)
    return folder


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake("ravdess", tmp_path_factory.mktemp("ravdess"), {"anger": 24, "neutral": 12, "sadness": 18})


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake("fer2013", tmp_path_factory.mktemp("fer2013"), {"happiness": 60, "anger": 30, "neutral": 24})


def changed(name: str, **fields: Any) -> dict[str, Any]:
    given = load_claim(name).model_dump()
    given["rerun"] |= fields
    return given


@pytest.mark.parametrize("name", claim_names())
def test_every_entry_says_what_it_rests_on(name: str) -> None:
    claim = load_claim(name)
    assert claim.rerun.reader in reader_names() and claim.open
    assert any(word in claim.source.citation for word in ("doi:", "arXiv:"))
    make_corpus(claim.rerun.reader, claim.rerun.options)


def test_an_audited_protocol_that_leaks_is_none() -> None:
    given = changed("fer2013_diffusion")
    given["rerun"]["protocols"][-1]["copies"] = "keep"
    with pytest.raises(ParamsError, match="leaks by what it says"):
        parse(Claim, given, "claim")
    with pytest.raises(ParamsError, match="unknown parameter 'clam'"):
        parse(Claim, load_claim("fer2013_diffusion").model_dump() | {"clam": 1}, "claim")
    with pytest.raises(UnknownNameError, match="Did you mean 'fer2013_diffusion'"):
        load_claim("fer2013_difusion")


def test_by_file_and_by_person(voices: Path) -> None:
    found = rerun_claim(load_claim("ravdess_by_file"), voices, n_bootstrap=50)
    assert (found.samples, found.subjects, found.classes) == (54, 6, ("anger", "neutral", "sadness"))
    by_name = {one.protocol.name: one for one in found.measured}
    audited = by_name["audited"]
    assert audited.n_test == 54 and audited.groups == 6, "everybody is tested once"
    assert by_name["files at random"].n_test == 3 * 11 and by_name["files at random"].n_added > 43
    first, last = found.measured[0].real["uar"].value, audited.real["uar"].value
    assert found.by_protocol["uar"].value == pytest.approx(first - last)
    assert found == rerun_claim(load_claim("ravdess_by_file"), voices, n_bootstrap=50)


def test_folds_of_people_part_nobody(voices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = rerun.score_after

    def watch(task: Any, folds: Any, **options: Any) -> Any:
        seen.append((task, folds))
        return real(task, folds, **options)

    monkeypatch.setattr(rerun, "score_after", watch)
    claim = load_claim("ravdess_by_file")
    alone = claim.rerun.model_copy(update={"protocols": claim.rerun.protocols[-1:]})
    rerun_claim(claim.model_copy(update={"rerun": alone}), voices, n_bootstrap=5)
    task, folds = seen[0]
    assert len(folds) == 5
    for fold in folds:
        assert not set(task.groups[fold.train]) & set(task.groups[fold.test])
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(54))


def test_filling_before_the_split_is_what_gains(faces: Path) -> None:
    found = rerun_claim(load_claim("fer2013_diffusion"), faces, n_bootstrap=50)
    loose, kept, audited = found.measured
    assert found.subjects is None and loose.n_added > loose.n_real
    assert audited.n_test == kept.n_test and audited.n_real == kept.n_real - audited.dropped
    gain = loose.gain["uar"].value - audited.gain["uar"].value
    assert found.by_protocol["uar"].value == pytest.approx(gain)


def test_copies_are_dropped_from_train_alone(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten train pictures are those of the test: the audited protocol takes them away, and nothing else."""
    samples = [one for one in make_corpus("fer2013").read(faces, "fer2013") if isinstance(one, Sample)]
    test = [one for one in samples if one.extra["official_split"] != "train"][:10]
    copies = [
        replace(one, sample_id=f"{one.sample_id}-copy", extra=dict(one.extra) | {"official_split": "train"})
        for one in test
    ]
    claim = load_claim("fer2013_diffusion")
    before = rerun_claim(claim, faces, n_bootstrap=5).measured[-1]
    monkeypatch.setattr(rerun, "_samples", lambda claim, data: [*samples, *copies])
    after = rerun_claim(claim, faces, n_bootstrap=5)
    assert after.measured[-1].dropped == before.dropped + 10
    assert (after.measured[-1].n_real, after.measured[-1].n_test) == (before.n_real, before.n_test)
    assert after.measured[1].n_real == after.measured[-1].n_real + after.measured[-1].dropped


def test_bad_data_is_said(voices: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is no folder"):
        rerun_claim(load_claim("ravdess_by_file"), tmp_path / "no")
    with pytest.raises(CorpusError):
        rerun_claim(load_claim("fer2013_diffusion"), voices)
    one = fake("ravdess", tmp_path / "one", {"anger": 8, "sadness": 8}, subjects=1)
    with pytest.raises(UserError, match="two subjects"):
        rerun_claim(load_claim("ravdess_by_file"), one)


def test_what_is_printed(voices: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list_claims(as_json=False)
    assert "16.68 points accuracy" in capsys.readouterr().out
    list_claims(as_json=True)
    assert set(json.loads(capsys.readouterr().out)) == set(claim_names())
    run_claim("ravdess_by_file", voices, seed=0, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert "own network is not trained again" in found["note"] and len(found["protocols"]) == 3
    assert found["protocols"][-1]["real"]["uar"]["low"] < found["protocols"][-1]["real"]["uar"]["high"]
    run_claim("ravdess_by_file", voices, seed=0, as_json=False)
    text = " ".join(capsys.readouterr().out.split())
    assert "92 % accuracy on RAVDESS" in text and "own network is not trained again" in text
    assert "n = 54 of 6 subjects" in text and "'files at random' minus 'audited' =" in text


def test_real_ravdess_by_file_and_by_person(shared_data: Path, tmp_path: Path) -> None:
    """On four real actors a random split by file says much more than one by actor does."""
    for actor in ("01", "02", "03", "04"):
        (tmp_path / f"Actor_{actor}").symlink_to(shared_data / "ravdess" / f"Actor_{actor}")
    found = rerun_claim(load_claim("ravdess_by_file"), tmp_path, n_bootstrap=200)
    assert found.samples == 240 and found.by_protocol["uar"].value > 0.1


def test_the_command_asks_for_the_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emoforge.cli import main

    monkeypatch.chdir(tmp_path)  # no project is needed
    for arguments, code in (([], 0), (["ravdess_by_file"], 2), (["no", "--data", "."], 2)):
        with pytest.raises(SystemExit) as ending:
            main(["claims", *arguments])
        assert (ending.value.code or 0) == code
