"""The identity gate and its embedding: whose sample it is, made-up people, cross-fitting, when it cannot be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpora.errors import IntegrityError, ParamsError, UserError
from features.pretrained.packages import packaged
from tests.features.pretrained.carried import carry, tiny_speaker
from tests.validators.conftest import MakeBatch
from validators.batch import rows_of
from validators.embeddings.people import KINDS, IdentityEmbedding, discriminants, fit_identity, levelled
from validators.gate import Batch, admit, default_limit
from validators.gates.identity import NO_SOURCE, Identity, folds_within

SPEAKER = "speaker_ge2e"
CLASSES = ("anger", "happiness", "sadness")
RATE = 16000


def voice(person: int, emotion: int, seed: int) -> np.ndarray:
    """[n] float32: resonances of the person, pitch of the emotion, another "word" each time."""
    rng, of = np.random.default_rng([person, emotion, seed]), np.random.default_rng(900 + person)
    t = np.arange(int(rng.uniform(0.3, 0.45) * RATE)) / RATE
    pitch = (130.0, 160.0, 115.0)[emotion] * rng.uniform(0.9, 1.1)
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(rng.uniform(8, 20) * t))) / RATE
    peaks = of.uniform([300, 1200, 2300], [800, 2000, 3500])
    wave = np.zeros_like(t)
    for k in range(1, 30):
        hz = k * pitch
        wave += sum(np.exp(-(((hz - p) / 250.0) ** 2)) for p in peaks) * np.sin(k * phase + rng.uniform(0, 6))
    wave = wave * (0.3 + np.abs(np.sin(rng.uniform(6, 12) * t))) + 0.02 * rng.normal(size=t.size)
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)


def people(persons: range, copies: int, seed: int, prefix: str = "real") -> Batch:
    rows = [(p, e, c) for p in persons for e in range(3) for c in range(copies)]
    ids = tuple(f"{prefix}/{p}-{e}-{c}" for p, e, c in rows)
    return Batch(
        "speech",
        ids,
        tuple(CLASSES[e] for _, e, _ in rows),
        [voice(p, e, 100 * seed + c) for p, e, c in rows],
        ids,
        float(RATE),
        tuple(f"s{p}" for p, _, _ in rows),
        tuple(f"s{p}" for p, _, _ in rows),
        ((),) * len(rows),
    )


def conversions(batch: Batch, of: dict[str, str]) -> Batch:
    """`batch` as made from neutral train samples of subject of[subject]."""
    sources = tuple((f"real/{of[str(s)][1:]}-1-0",) for s in batch.subjects)
    return replace(batch, ids=tuple(f"syn/{i}" for i in batch.ids), subjects=(), groups=(), source_ids=sources)


@pytest.fixture(scope="module")
def train() -> Batch:
    return people(range(5), 3, 0)


@pytest.fixture(scope="module")
def gate(train: Batch) -> Identity:
    return Identity.fit(train, classes=CLASSES, known_sha256=frozenset(), params={}, seed=0)


@pytest.fixture(scope="module")
def new() -> Batch:
    """Other utterances of the people of train."""
    return people(range(5), 2, 7, "new")


def right(new: Batch) -> Batch:
    return conversions(new, {f"s{p}": f"s{p}" for p in range(5)})


def wrong(new: Batch) -> Batch:
    return conversions(new, {f"s{p}": f"s{(p + 2) % 5}" for p in range(5)})


def passed(gate: Identity, batch: Batch) -> np.ndarray:
    limits = {c: default_limit(gate).resolve(v) for c, v in gate.reference().items()}
    return np.concatenate(
        [admit(gate.score(rows_of(batch, np.array([i]))), limits[e], gate.better) for i, e in enumerate(batch.emotions)]
    )


def test_the_right_person_passes_and_others_are_caught(gate: Identity, new: Batch) -> None:
    assert (gate.score(right(new)) > 0).mean() > 0.9 and (gate.score(wrong(new)) < 0).mean() > 0.9
    assert passed(gate, right(new)).mean() > 0.8 and passed(gate, wrong(new)).mean() < 0.2
    assert all(v.size == 15 and (v > 0).mean() > 0.7 for v in gate.reference().values())


def test_what_has_no_source_has_no_identity_to_keep(gate: Identity, new: Batch) -> None:
    for made in (replace(new, source_ids=()), new):
        assert (gate.score(made) == NO_SOURCE).all() and passed(gate, made).all()
    assert all(v.max() < NO_SOURCE for v in gate.reference().values())


def test_gain_is_no_identity(gate: Identity, new: Batch) -> None:
    some = rows_of(right(new), np.arange(0, 30, 5))
    for gain in (0.01, 3.0):
        loud = replace(some, signals=[(gain * s).astype(np.float32) for s in some.signals], cache={})
        assert gate.score(loud) == pytest.approx(gate.score(replace(some, cache={})), abs=0.02)


def test_a_row_does_not_depend_on_others(gate: Identity, new: Batch) -> None:
    whole = gate.score(replace(right(new), cache={}))
    alone = [gate.score(rows_of(replace(right(new), cache={}), np.array([i])))[0] for i in (0, 7, 20)]
    assert alone == pytest.approx(whole[[0, 7, 20]], abs=2e-5)


def test_the_source_is_left_out(gate: Identity, train: Batch) -> None:
    """A conversion that changed nothing gets what its source gets in `reference`."""
    i = train.ids.index("real/2-1-1")
    copy = replace(rows_of(train, np.array([i])), ids=("syn/copy",), source_ids=(("real/2-1-1",),))
    of_class = [k for k, e in enumerate(train.emotions) if e == "happiness"]
    assert gate.score(copy)[0] == pytest.approx(gate.reference()["happiness"][of_class.index(i)], abs=2e-5)
    several = replace(copy, source_ids=(tuple(f"real/2-{e}-0" for e in range(3)),))
    each = [gate.score(replace(copy, source_ids=((f"real/2-{e}-0",),)))[0] for e in range(3)]
    assert gate.score(several)[0] == pytest.approx(np.mean(each), abs=2e-5)


def test_what_cannot_be_scored_says_why(gate: Identity, new: Batch) -> None:
    four = rows_of(right(new), np.arange(4))
    odd = replace(
        four,
        signals=[np.zeros(4000, np.float32), np.zeros(0, np.float32), four.signals[2], four.signals[3]],
        source_ids=(four.source_ids[0], (), ("real/none",), ("real/1-0-0", "real/2-0-0")),
        cache={},
    )
    assert gate.reasons(odd) == ["silent", "not-usable", "source-unknown", "sources-of-several-subjects"]
    assert np.isnan(gate.score(odd)).all()
    assert gate.reasons(replace(four, rate_hz=8000.0)) == ["wrong-rate"] * 4
    assert np.isnan(gate.score(replace(four, rate_hz=8000.0))).all()


def test_folds_part_moods_and_leave_everybody_known() -> None:
    who = np.repeat([0, 1, 2], [9, 4, 2])
    emotions = np.asarray(list("aaabbbccc") + list("aaaa") + list("ab"))
    for seed in range(5):
        fold = folds_within(who, emotions, 3, seed)
        assert all(len(set(fold[(who == 0) & (emotions == e)])) == 1 for e in "abc")
        assert len(set(fold[who == 1])) == 3  # one mood only: single samples
        assert all(((who == k) & (fold != f)).any() for k in range(3) for f in range(3))


def test_discriminants_find_the_column_that_tells() -> None:
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(4), 30)
    x = rng.normal(size=(120, 200)) * rng.uniform(0.1, 9, 200)
    x[:, 5] = 3 * who + 0.1 * rng.normal(size=120)
    x[:, 6] = 1.0  # constant
    mean, scalings = discriminants(x, who)
    assert scalings.shape == (200, 3) and np.isfinite(scalings).all()
    first = (x - mean) @ scalings[:, 0]
    assert abs(np.corrcoef(first, who)[0, 1]) > 0.99
    alone = discriminants(x[::60], who[::60])  # one sample each: nothing within, still finite
    assert np.isfinite(alone[1]).all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "face" not in kind])
def test_embeddings_are_kept_whole(
    kind: str, train: Batch, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry(tmp_path_factory.mktemp("site"), SPEAKER, tiny_speaker(), monkeypatch)
    made = fit_identity(train, kind=kind, steps=3)
    made.save(tmp_path)
    again = IdentityEmbedding.load(tmp_path)
    found = again.embed(replace(train, cache={}))
    np.testing.assert_allclose(found, made.embed(train), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0)
    assert again.name == made.name and ("trained-speech" in made.name) == (kind in ("network", "both"))
    assert (packaged(SPEAKER).title() in made.name) == (SPEAKER in kind)
    (tmp_path / "gate.json").write_text((tmp_path / "gate.json").read_text().replace('"arrays": "', '"arrays": "0'))
    with pytest.raises(IntegrityError):
        IdentityEmbedding.load(tmp_path)
    with pytest.raises(UserError, match="holds no identity"):
        IdentityEmbedding.load(tmp_path / "gone")


def test_a_speaker_encoder_tells_people_apart(
    train: Batch, new: Batch, make: MakeBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one of random weights: its points are projected on what differs between the people of train."""
    carry(tmp_path / "site", SPEAKER, tiny_speaker(), monkeypatch)
    params = {"embedding": SPEAKER}
    gate = Identity.fit(train, classes=CLASSES, known_sha256=frozenset(), params=params, seed=0)
    right = gate.score(conversions(new, {str(s): str(s) for s in new.subjects}))
    names = sorted({str(s) for s in train.subjects})
    wrong = gate.score(conversions(new, dict(zip(names, names[1:] + names[:1], strict=True))))
    assert (right > 0).mean() > 0.4 and (wrong > 0).mean() < 0.2  # of five people
    assert Identity.encoders(params) == (SPEAKER,) == Identity.encoders({"embedding": f"statistics+{SPEAKER}"})
    assert Identity.encoders({}) == ()
    gate.save(tmp_path / "gate")
    carry(tmp_path / "site", SPEAKER, tiny_speaker(seed=1), monkeypatch)
    with pytest.raises(IntegrityError, match="was fitted with speaker_ge2e@"):
        Identity.load(tmp_path / "gate")
    with pytest.raises(UserError, match="looks at speech, not at face"):
        fit_identity(make("face", groups=range(3), per_cell=1), kind=SPEAKER)


def test_embedding_of_the_wrong_kind_of_batch(train: Batch, make: MakeBatch) -> None:
    made = fit_identity(train)
    with pytest.raises(UserError, match="knows speech at 16000"):
        made.embed(replace(train, rate_hz=8000.0))
    with pytest.raises(UserError, match="knows speech"):
        made.embed(make("face", groups=range(1), per_cell=1))
    assert np.isnan(
        made.embed(replace(rows_of(train, np.arange(1)), signals=[np.zeros(999, np.float32)], cache={}))
    ).all()
    assert made.embed(rows_of(train, np.arange(0))).shape == (0, 4)


def test_faces_of_people(make: MakeBatch) -> None:
    train, new = (make("face", groups=range(5), per_cell=2, seed=s) for s in (0, 4))
    gate = Identity.fit(train, classes=CLASSES, known_sha256=frozenset(), params={}, seed=0)
    first = dict(zip(reversed(train.subjects), reversed(train.ids), strict=True))
    own = replace(new, source_ids=tuple((first[s],) for s in new.subjects))
    other = replace(new, source_ids=tuple((first[f"demo:{(int(str(s)[5:]) + 1) % 5}"],) for s in new.subjects))
    assert (gate.score(own) > 0).mean() > 0.7 and (gate.score(other) > 0).mean() < 0.1


def test_where_it_cannot_be_used(train: Batch, make: MakeBatch) -> None:
    def fit(batch: Batch, **params: object) -> Identity:
        return Identity.fit(batch, classes=CLASSES, known_sha256=frozenset(), params=params, seed=0)

    for nobody in (replace(train, subjects=()), replace(train, subjects=(None,) * len(train))):
        with pytest.raises(UserError, match="no subject labels"):
            fit(nobody)
    one = replace(train, subjects=("s0",) * len(train))
    few = rows_of(train, np.array([0, 1, 9]))  # one of the two people has a single sample
    for batch in (one, few):
        with pytest.raises(UserError, match="1 subjects of train have 2 usable samples"):
            fit(batch)
    with pytest.raises(ParamsError, match="Did you mean 'folds'"):
        fit(train, fold=3)
    with pytest.raises(ParamsError, match="'folds' is 1"):
        fit(train, folds=1)
    with pytest.raises(ParamsError, match="statistics"):
        fit(train, embedding="statistic")


def test_levelled_twice_is_levelled_once(train: Batch) -> None:
    fresh = rows_of(replace(train, cache={}), np.arange(3))
    assert levelled(fresh).cache["mel"] is levelled(fresh).cache["mel"]
