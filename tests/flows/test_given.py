"""Named vectors as conditions: from columns and texts of train to draws, and what is refused before hours are spent."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from corpora.errors import CorpusError, IntegrityError, ParamsError, UserError
from corpora.signals import decode_signals
from corpora.store.shards import iter_payloads
from features.text.ngrams import hashed_ngrams
from flows.artifacts.augmented import ASKED, Augmented
from flows.given import GivenParams, given_vectors, problems_of_given, require_given, require_vectors
from flows.params import Ask, GeneratorParams
from flows.stages.fit.given_file import FILE, asked_of_train, keep_given
from flows.stages.run import run_stage
from generators.draws.targets import Cell
from generators.generator import generator_class
from tests.flows.made_of import LENIENT, WRISTBAND
from tests.generators.toy import VECTOR, toy_data

LINES = ("where is it", "under the bed", "we won", "so what", "never mind")


def row(i: int, **fields: Any) -> dict[str, Any]:
    """A record as the index has it, turn i of a dialogue."""
    empty = {"age": None, "rater_agreement": None, "duration_s": 1.0 + i, "intensity": None}
    empty |= {"valence": 0.1 * i, "arousal": None, "dominance": None, "ratings": [], "extra": []}
    return {"sample_id": f"toy/{i}", "emotion": "anger", "session_id": "d1", "turn": i, **empty, **fields}


def read(ids: Sequence[str]) -> dict[str, str]:
    return {i: LINES[int(i.removeprefix("toy/"))] for i in ids}


def one(params: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    return given_vectors({"v": GivenParams.model_validate(params)}, rows, read)["v"]


def test_numbers_stand_in_columns_of_the_record() -> None:
    rows = [
        row(
            i,
            extra=[("au_2", str(i)), ("au_1", f"{i / 4}"), ("note", "x")],
            ratings=[rating("joy", 1), rating("joy", i)],
        )
        for i in range(3)
    ]
    np.testing.assert_allclose(one({"columns": ["extra.au_*"]}, rows), [[i / 4, i] for i in range(3)])
    both = one({"columns": ["valence", "ratings.joy", "extra.au_2"]}, rows)
    np.testing.assert_allclose(both, [[0.1 * i, (1 + i) / 2, i] for i in range(3)], rtol=1e-6)


def rating(scheme: str, value: float) -> dict[str, Any]:
    return {"scheme": scheme, "rater": "r", "value": value}


def test_texts_are_embedded_and_the_context_is_what_was_said_before() -> None:
    rows = [row(i) for i in (3, 0, 1, 2)] + [row(4, session_id="d2", turn=0)]
    said = [LINES[i] for i in (3, 0, 1, 2, 4)]
    np.testing.assert_allclose(one({"text": "payload", "dims": 16}, rows), hashed_ngrams(said, 8, 8), rtol=1e-6)
    before = ["under the bed\nwe won", "", "where is it", "where is it\nunder the bed", ""]
    context = one({"text": "payload", "before": 2, "dims": 16}, rows)
    np.testing.assert_allclose(context, hashed_ngrams(before, 8, 8), rtol=1e-6)
    assert not context[1].any() and not context[4].any(), "the first of a session has nothing before it"
    told = [row(i, extra=[("said", LINES[i])]) for i in range(3)]
    np.testing.assert_allclose(one({"text": "extra.said", "dims": 16}, told), hashed_ngrams(LINES[:3], 8, 8), rtol=1e-6)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"columns": ["extra.au_*"]}, r"no train sample has a number in extra\.au_\*; there are: .*valence"),
        ({"columns": ["extra.half"]}, r"1 of 3 train samples have no number in extra\.half \(toy/1\)"),
        ({"text": "extra.said"}, r"3 of 3 train samples have no extra\.said"),
        ({"text": "payload", "before": 1}, r"1 of 3 train samples have none \(toy/2\); leave `before` out"),
    ],
)
def test_what_train_lacks_is_named_before_a_payload_is_read(params: dict[str, Any], says: str) -> None:
    rows = [row(i, extra=[("half", "one" if i == 1 else "1")], turn=None if i == 2 else i) for i in range(3)]
    given = {"v": GivenParams.model_validate(params)}
    with pytest.raises(UserError, match=says):
        given_vectors(given, rows, read)
    (problem,) = problems_of_given(given, rows)
    assert problem.startswith("generator.given.v: ")
    assert problems_of_given({"v": GivenParams(columns=("valence",))}, rows) == []


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({}, "either `columns` or `text`"),
        ({"columns": ["valence"], "text": "payload"}, "either `columns` or `text`"),
        ({"columns": ["pitch"]}, "'pitch' is none"),
        ({"columns": ["extra."]}, "is none"),
        ({"text": "line"}, "'line' is none"),
        ({"columns": ["valence"], "before": 2}, "goes with `text`"),
        ({"text": "payload", "dims": 33}, "odd"),
        ({"text": "payload", "encoder": "bert"}, "ngrams"),
    ],
)
def test_wrong_params_are_named(params: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        GivenParams.model_validate(params)


def test_what_no_generator_could_learn_is_refused() -> None:
    units, said = GivenParams(columns=("valence", "age")), GivenParams(text="payload")
    cvae = generator_class("cvae")
    require_given("runs.a", {"units": units}, cvae, "speech")
    for given, kind, says in (
        ({"units": units}, "transfer", r"generator transfer learns no named vectors"),
        ({"units": units}, "finetuned_diffusion", "learns no named vectors"),
        ({"valence": units}, "cvae", r"given\.valence: a name"),
        ({"Units": units}, "cvae", r"given\.Units: a name"),
        ({"said": said}, "cvae", r"payloads of speech hold no text"),
    ):
        with pytest.raises(ParamsError, match=says):
            require_given("runs.a", given, generator_class(kind), "speech")
    for asked, says in (
        ({"units": ["so what"]}, r"ask\.given\.units: 'so what' is a text"),
        ({"units": [[1.0, 2.0], [1.0]]}, r"a vector of 1 numbers; .* has 2"),
        ({"said": [[1.0]]}, r"a vector of 1 numbers; .* has 64"),
    ):
        with pytest.raises(ParamsError, match=says):
            require_vectors("runs.a.ask", Ask.model_validate({"given": asked}).asked(), {"units": units, "said": said})
    require_vectors("runs.a.ask", Ask.model_validate({"given": {"said": "we won"}}).asked(), {"said": said})


def test_a_run_that_names_no_vector_is_written_as_before() -> None:
    assert "given" not in GeneratorParams(name="cvae").model_dump(mode="json")
    assert "given" not in Ask().model_dump(mode="json")
    whole = GeneratorParams.model_validate({"name": "cvae", "given": {"units": {"columns": ["age"]}}})
    assert GeneratorParams.model_validate(whole.model_dump(mode="json")) == whole


def test_draws_take_vectors_of_their_class_or_what_is_asked_for(tmp_path: Path) -> None:
    values = np.arange(60, dtype=np.float32)[:, None] * [1.0, -1.0]
    data = dataclasses.replace(toy_data(VECTOR), vectors={"units": values.astype(np.float32)})
    keep_given(tmp_path, data)
    told = {"given": {"units": {"columns": ["extra.a", "extra.b"]}}, "classes": list(data.classes)}
    asked = asked_of_train(Ask().asked(), tmp_path, told, 5)
    fear = Cell("fear", None, 0, 10)
    taken = [asked.given(fear, k)["units"] for k in range(200)]
    assert taken == [asked.given(fear, k)["units"] for k in range(200)], "the same for ever"
    own = {tuple(values[i]) for i, e in enumerate(data.emotions) if e == "fear" and not data.held_out[i]}
    assert set(taken) == own and max(Counter(taken).values()) < 40, "those of the class that gradients saw"
    mixture = Cell("", None, 0, 10, mixture=(("anger", 0.5), ("fear", 0.5)))
    assert len({asked.given(mixture, k)["units"] for k in range(300)}) > len(own)
    own_words = Ask.model_validate(
        {"given": {"units": [[1, 2], [3, 4]]}, "classes": {"fear": {"given": {"units": [5, 6]}}}}
    )
    asked = asked_of_train(own_words.asked(), tmp_path, told, 5)
    assert {asked.given(Cell("anger", None, 0, 1), k)["units"] for k in range(4)} == {(1.0, 2.0), (3.0, 4.0)}
    assert asked.given(fear, 3)["units"] == (5.0, 6.0)
    with pytest.raises(UserError, match="a vector of 3 numbers; train has 2"):
        asked_of_train(Ask.model_validate({"given": {"units": [1, 2, 3]}}).asked(), tmp_path, told, 5)
    assert asked_of_train(own_words.asked(), tmp_path, {}, 5) == own_words.asked(), "a model without vectors"
    (tmp_path / FILE).write_bytes(b"no tensors")
    with pytest.raises(IntegrityError, match=r"given\.safetensors"):
        asked_of_train(Ask().asked(), tmp_path, told, 5)


def wristband(folder: Path) -> None:
    """Feature eda_mean is au_1, feature hr is au_2, each with a little noise."""
    rng = np.random.default_rng(0)
    lines = ["window,condition,eda_mean,eda_sd,hr,au_1,au_2"]
    for person in range(8):
        for take in range(10):
            au = rng.normal(0, 1, 2)
            x = [au[0] + rng.normal(0, 0.1), rng.uniform(0.1, 0.4), 60 + 10 * au[1] + rng.normal(0, 1)]
            numbers = ",".join(f"{v:.4f}" for v in (*x, *au))
            lines.append(f"s{person:02d}/{take},{'tense' if take % 2 else 'calm'},{numbers}")
    (folder / "data/raw/tiny").mkdir(parents=True)
    (folder / "data/raw/tiny/features.csv").write_text("\n".join(lines) + "\n")
    (folder / "data/cards").mkdir(parents=True)
    (folder / "data/cards/tiny.yaml").write_text(WRISTBAND.replace("[take]", "[take, au_1, au_2]"))


def test_a_run_asks_for_the_vectors_of_its_corpus(tmp_path: Path, tiny_params: Any, project: Any) -> None:
    params = tiny_params("faces")
    params |= {"demo": {}, "corpora": {"tiny": {"reader": "data/cards/tiny.yaml", "shards": 2}}}
    generator = {"name": "cvae", "steps": 150, "params": {"width": 4, "latent": 2, "lr": 0.02}}
    run = {
        "corpora": ["tiny"],
        "shards": 2,
        "representation": {"name": "features"},
        "generator": generator | {"given": {"units": {"columns": ["extra.au_*"]}}},
        "ask": {"classes": {"stress": {"given": {"units": [[-1.5, 1.5], [1.5, -1.5]]}}}},
        "gates": {name: {"enabled": False} for name in LENIENT if name not in ("frechet", "kid", "vendi")},
        "target": {"policy": "number", "number": 50},
    }
    params["runs"]["tiny"] = run
    folder = project(tmp_path / "p", params)
    wristband(folder)
    for verb in ("ingest", "plan", "prepare", "fit", "augment"):
        run_stage(verb, "tiny", repo=folder)
    place = folder / "data/runs/tiny"
    augmented = Augmented.open(place / "augmented")
    asked = {r["sample_id"]: json.loads(r["given"])["units"] for r in augmented.asked().to_pylist()}
    assert augmented.asked().schema == ASKED
    rows = {r["sample_id"]: r for r in augmented.index().to_pylist()}
    stress = [tuple(asked[i]) for i, r in rows.items() if r["emotion"] == "stress"]
    assert set(stress) == {(-1.5, 1.5), (1.5, -1.5)}
    train = pq.read_table(place / "prepared/index.parquet").to_pylist()
    known = {
        tuple(np.float32([dict(r["extra"])[f"au_{k}"] for k in (1, 2)]).tolist())
        for r in train
        if r["emotion"] == "calm"
    }
    calm = {tuple(asked[i]) for i, r in rows.items() if r["emotion"] == "calm"}
    assert calm and calm <= known, "where nothing is asked for: of train samples of the class"

    # it is honoured: what was asked for is seen in what came out
    x, u = [], []
    for r, payload in iter_payloads(augmented.path, augmented.index()):
        x.append(decode_signals(payload)["features"])
        u.append(asked[r["sample_id"]])
    made, units = np.array(x), np.array(u)
    assert np.corrcoef(made[:, 0], units[:, 0])[0, 1] > 0.8 and np.corrcoef(made[:, 2], units[:, 1])[0, 1] > 0.8

    # what train lacks ends the run when it is planned
    run["generator"] = generator | {"given": {"units": {"columns": ["extra.mouth_*"]}}}
    project(folder, params)
    with pytest.raises(CorpusError, match=r"no train sample has a number in extra\.mouth_\*"):
        run_stage("plan", "tiny", repo=folder)
    run["generator"] = generator
    project(folder, params)
    with pytest.raises(ParamsError, match=r"ask\.given\.units: the run names no such vector"):
        run_stage("plan", "tiny", repo=folder)
