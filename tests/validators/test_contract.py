"""What holds for every gate in the registries, on every modality that it knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.errors import ParamsError, UnknownNameError, UserError
from features.pretrained.packages import packaged
from tests.features.pretrained.carried import carry
from tests.features.pretrained.tiny_onnx import tiny_dnsmos
from validators.batch import rows_of
from validators.embeddings.features import features_of
from validators.gate import (
    SAMPLE_GATES,
    SET_GATES,
    Batch,
    Limit,
    SampleGate,
    SetGate,
    admit,
    default_limit,
    gate_class,
    gate_params,
    knows,
)

CLASSES = ("anger", "happiness", "sadness")
FEATURES = {
    "speech": ("functionals", "mel"),
    "face": ("hog", "pixels"),
    "text": ("ngrams",),
    "physio": ("paces",),
    "vector": ("plain",),
}
PARAMS: dict[str, dict[str, Any]] = {
    "ordinal": {"order": ["sadness", "anger", "happiness"]}
}  # what a gate cannot do without
_FITTED: dict[tuple[str, str], Any] = {}


@pytest.fixture(scope="module", autouse=True)
def _networks_that_listen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tiny ones in place of those that are installed: the contract is the same, and they answer at once."""
    with pytest.MonkeyPatch.context() as patch:
        carry(tmp_path_factory.mktemp("site"), "dnsmos", tiny_dnsmos(), patch)
        yield


@pytest.fixture(scope="module", params=list(FEATURES))
def modality(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _fit(name: str, train: Batch) -> Any:
    kind = gate_class(name)
    if not knows(kind, train.modality, train.layout):
        pytest.skip(f"{name} is not for {train.kind}")
    for encoder in kind.encoders(PARAMS.get(name, {})):
        try:
            packaged(encoder).require()
        except UserError as absent:
            pytest.skip(str(absent))
    return kind.fit(train, classes=CLASSES, known_sha256=frozenset(train.sha256), params=PARAMS.get(name, {}), seed=0)


@pytest.fixture(params=sorted(SAMPLE_GATES))
def gate(request: pytest.FixtureRequest, train: Batch) -> Any:
    key = (request.param, train.kind)
    if key not in _FITTED:
        _FITTED[key] = _fit(request.param, train)
    return _FITTED[key]


def test_it_has_what_the_contract_names(gate: Any) -> None:
    assert isinstance(gate, SampleGate)
    assert gate.better in ("lower", "higher") and gate.unit and ("/" in gate.judge or ":" in gate.judge)
    assert isinstance(default_limit(gate), Limit)


def test_scores_do_not_depend_on_other_rows(gate: Any, strangers: Batch) -> None:
    few = rows_of(strangers, np.arange(0, len(strangers), 6))
    fresh = replace(few, cache={})
    whole = gate.score(fresh)
    assert whole.shape == (len(few),) and whole.dtype == np.float64
    alone = np.concatenate([gate.score(rows_of(replace(few, cache={}), np.array([i]))) for i in range(len(few))])
    assert alone == pytest.approx(whole, rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_small_batches(gate: Any, strangers: Batch, n: int) -> None:
    few = rows_of(strangers, np.arange(n))
    values = gate.score(few)
    assert values.shape == (n,)
    assert len(gate.reasons(few)) == n


def test_what_is_not_a_signal_never_passes(gate: Any, strangers: Batch) -> None:
    like = strangers.signals[0]
    bad = [np.zeros(0, like.dtype)]
    if strangers.kind == "text":
        bad += [np.frombuffer(b"caf\xe9 au lait", np.uint8)]
    if strangers.kind == "physio":
        bad += [np.full(like.shape, np.nan, np.float32), np.where(np.arange(len(like))[:, None] == 9, np.inf, like)]
    if strangers.kind in ("speech", "vector"):
        bad += [np.full(like.shape, np.nan, np.float32), np.where(np.arange(like.size) == 9, np.inf, like)]
    broken = replace(
        rows_of(strangers, np.arange(4)),
        signals=[*bad, *strangers.signals[len(bad) : 4]],
        errors=("truncated", None, None, None),
        cache={},
    )
    values = gate.score(broken)
    assert np.isnan(values[: len(bad)]).all() and np.isfinite(values[len(bad) :]).all()
    for limit in (-np.inf, 0.0, np.inf):
        passed = admit(values, limit, gate.better)
        assert not passed[: len(bad)].any()


def test_saved_and_loaded_it_scores_the_same(gate: Any, strangers: Batch, tmp_path: Path) -> None:
    gate.save(tmp_path)
    loaded = type(gate).load(tmp_path)
    assert loaded.judge == gate.judge
    np.testing.assert_array_equal(loaded.score(strangers), gate.score(strangers))
    for name, values in gate.reference().items():
        np.testing.assert_array_equal(loaded.reference()[name], values)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {".json", ".safetensors"}


def test_fit_is_deterministic(gate: Any, train: Batch) -> None:
    again = _fit(gate.name, replace(train, cache=dict(train.cache)))
    assert again.judge == gate.judge


def test_real_samples_of_others_mostly_pass(gate: Any, strangers: Batch) -> None:
    """At the default limit, resolved as the stages do it."""
    reference, labels = gate.reference(), np.asarray(strangers.emotions)
    values = gate.score(strangers)
    limits = {name: default_limit(gate).resolve(reference[name]) for name in CLASSES}
    passed = [admit(values[labels == name], limits[name], gate.better) for name in CLASSES]
    assert np.concatenate(passed).mean() > 0.55


@pytest.mark.parametrize("name", sorted(SET_GATES))
def test_set_gates(name: str, train: Batch, strangers: Batch) -> None:
    plain = {"embedding": FEATURES[train.kind][0]}
    dev = replace(strangers, groups=tuple(f"dev {name}" for name in strangers.groups)) if name == "mia" else None
    made = gate_class(name).fit(train, dev, classes=CLASSES, params=plain if name != "mia" else {}, seed=0)
    assert isinstance(made, SetGate) and made.min_n > 2 and isinstance(default_limit(made), Limit)
    for n in (0, 1, 2):
        assert np.isnan(made.measure(rows_of(strangers, np.arange(n)), seed=0).value)
    assert made.measure(strangers, seed=0) == made.measure(strangers, seed=0)


def test_features_are_finite_and_cached(train: Batch) -> None:
    names = FEATURES[train.kind]
    broken = replace(train, signals=[np.zeros(0, train.signals[0].dtype), *train.signals[1:]], cache={})
    for name in names:
        found = features_of(broken, name)
        assert found.shape[0] == len(train) and np.isfinite(found).all() and not found[0].any()
        assert features_of(broken, name) is found
    with pytest.raises(UnknownNameError, match=names[0]):
        features_of(train, names[0] + "x")


@pytest.mark.parametrize("name", [*SAMPLE_GATES, *SET_GATES])
class TestDeclarations:
    """What every gate says of itself, read without fitting it."""

    def test_capabilities(self, name: str) -> None:
        kind = gate_class(name)
        assert kind.name == name and issubclass(kind, SampleGate if name in SAMPLE_GATES else SetGate)
        assert kind.modalities and set(kind.layouts) <= {"signal", "vector"} and "signal" in kind.layouts
        if issubclass(kind, SampleGate):
            assert kind.drops_repeats == ("near_pairs" in vars(kind))
        else:
            assert kind.measures_groups in (True, False)

    def test_parameters_have_descriptions_and_round_trip(self, name: str) -> None:
        model = gate_class(name).Params
        assert all(field.description for field in model.model_fields.values())
        plain = json.loads(json.dumps(model().model_dump(mode="json")))
        assert gate_params(name, plain) == model() == gate_params(name, {})
        assert model.of(model(), name) == model()

    def test_an_unknown_parameter_is_refused_with_the_nearest_name(self, name: str) -> None:
        known = gate_class(name).Params.model_fields
        for field in known:
            with pytest.raises(
                ParamsError, match=rf"gate {name}: unknown parameter '{field}z'\. Did you mean '{field}'"
            ):
                gate_params(name, {f"{field}z": 1})
        with pytest.raises(ParamsError, match=f"'nobody'.* Valid here: {', '.join(sorted(known)) or 'none'}"):
            gate_params(name, {"nobody": 1})

    def test_no_parameter_takes_what_is_no_number_or_name(self, name: str) -> None:
        for field in gate_class(name).Params.model_fields:
            for wrong in (float("nan"), {"a": 1}):
                with pytest.raises(ParamsError, match=f"'{field}"):
                    gate_params(name, {field: wrong})


def test_limits() -> None:
    assert Limit(absolute=2.0).resolve(np.zeros(0)) == 2.0
    assert Limit(quantile=0.5, times=2.0).resolve(np.array([1.0, 3.0, np.nan])) == 4.0
    assert np.isnan(Limit(quantile=0.5).resolve(np.array([np.nan])))
    for bad in ({}, {"absolute": 1.0, "floor": 2.0}, {"quantile": 2.0}):
        with pytest.raises(ParamsError):
            Limit(**bad)


def test_an_unknown_gate_names_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="frechet"):
        gate_class("frechett")
    monkeypatch.setitem(SAMPLE_GATES, "mine", "validators.batch:Batch")
    with pytest.raises(ParamsError, match="derives neither from SampleGate nor from SetGate"):
        gate_class("mine")
