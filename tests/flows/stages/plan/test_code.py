"""Code is hashed by what it does, and each identity holds the code that it needs and no other."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.errors import IntegrityError
from corpora.readers import CORPORA, make_corpus
from features.representation import make_representation
from flows.stages.plan import code
from flows.stages.plan.code import (
    INERT,
    INERT_FOR_GATES,
    INERT_FOR_PREPARING,
    INERT_FOR_READING,
    INERT_FOR_SAMPLING,
    code_digest,
    code_of,
)
from generators.generator import (
    GENERATORS,
    Condition,
    Device,
    Draw,
    TrainData,
    generator_class,
    modules_of,
    source_class,
)
from tests.generators.tiny import ARRAYS, TINY

SOURCE = '''
"""What it is."""
from x import y

LIMIT = 0.5  # of all


class Thing:
    """A thing."""

    size: int = 3
    """How big."""

    def double(self, value: float) -> str:
        """Twice."""
        # twice
        return f"{value * 2:.1f}" + "text"
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# of all", "# of everything, or nearly"),
        ('"""What it is."""\n', ""),
        ('"""Twice."""', '"""Twice the value: see [1]."""'),
        ('    """How big."""\n', ""),
        ("        # twice\n", "\n\n"),
        ("LIMIT = 0.5", "LIMIT = (\n    0.5\n)"),
        ('"text"', "'text'"),
        ('"text"', '"te" "xt"'),
        ("(self, value: float)", "(\n        self,\n        value: float,\n    )"),
        ("from x import y", "from x import (\n    y,\n)"),
        ("LIMIT = 0.5", 'READERS: dict[str, str] = {"a": "pack.a:A"}\nLIMIT = 0.50'),
    ],
)
def test_how_it_is_written_changes_nothing(old: str, new: str) -> None:
    edited = SOURCE.replace(old, new)
    assert edited != SOURCE and code_digest(edited.encode()) == code_digest(SOURCE.encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 0.5", "LIMIT = 0.25"),
        ("LIMIT = 0.5", "LIMITS = 0.5"),
        ("size: int = 3", "size: int = 4"),
        ("size: int = 3", "size: float = 3"),
        ("size: int = 3", "size: int"),
        ("value * 2", "value + 2"),
        (":.1f", ":.2f"),
        ('"text"', '"test"'),
        ('"text"', 'b"text"'),
        ("(self, value: float)", "(self, *, value: float)"),
        ("from x import y", "from x import z as y"),
        ("LIMIT = 0.5", "LIMIT = 0.5\nNAMES = {'a': 'b'}"),
        ("class Thing:", "@frozen\nclass Thing:"),
        ("        return", "        yield"),
    ],
)
def test_what_it_does_changes_it(old: str, new: str) -> None:
    edited = SOURCE.replace(old, new)
    assert edited != SOURCE and code_digest(edited.encode()) != code_digest(SOURCE.encode())


def test_numbers_and_their_kinds_are_told_apart() -> None:
    texts = ("x = 1", "x = 1.0", "x = True", "x = '1'", "x = b'1'", "x = None", "x = ...", "x = 1j", "x = -1", "x = ()")
    assert len({code_digest(text.encode()) for text in texts}) == len(texts)


def test_another_process_gives_the_same_hash(repo: Path) -> None:
    line = "from flows.stages.plan.code import code_hash; print(code_hash(['generators.autoencoders.vae']))"
    env = os.environ | {"PYTHONHASHSEED": "7"}
    ran = subprocess.run([sys.executable, "-c", line], cwd=repo, env=env, capture_output=True, text=True, check=True)
    assert ran.stdout == code.code_hash(["generators.autoencoders.vae"]) + "\n"


def test_what_is_no_python_is_hashed_as_bytes_and_a_missing_module_is_named() -> None:
    assert code_digest(b"\x7fELF\x00") != code_digest(b"\x7fELF\x01")
    with pytest.raises(IntegrityError, match=r"corpora\.nothing"):
        code_of(["corpora.nothing"])


def test_inert_modules_are_there_and_have_a_reason() -> None:
    modules = code._graph().modules
    for table in (INERT, INERT_FOR_SAMPLING, INERT_FOR_PREPARING, INERT_FOR_READING, INERT_FOR_GATES):
        for name, reason in table.items():
            assert reason and any(m == name or m.startswith(name.removesuffix("*")) for m in modules), name


def test_a_look_at_the_text_sees_every_import_of_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    roots = ["flows.stages.ingest.parts", "corpora.readers.described.corpus"]
    for root in [*roots, *(place.partition(":")[0] for place in CORPORA.values())]:
        seen = code._scanned([root], INERT_FOR_READING)
        missed, more = code._closure([root], INERT_FOR_READING) - seen, seen - code._closure([root], INERT_FOR_READING)
        assert not missed, root
        assert len(more) < 3, f"{root}: far more than what is imported: {sorted(more)}"
    text = """
from corpora.near import (  # a remark, with ) and ,
    audio,
    images as pictures,  # another
)
from corpora.codecs import decode_wav, encode_wav; import corpora.labels as names, os
    from .turns import Turn
from numpy import corpora
"""
    monkeypatch.setattr(code, "source_of", lambda module: text.encode())
    code._imported.cache_clear()
    wanted = ("near.audio", "near.images", "codecs", "labels", "records.turns")
    assert set(code._imported("corpora.records.files")) == {f"corpora.{name}" for name in wanted}
    code._imported.cache_clear()


def edited(*modules: str) -> Callable[[str], bytes]:
    """`source_of`, with one more line of code in some modules."""
    source = code.source_of
    return lambda module: source(module) + b"\nEDITED = 1\n" * (module in modules)


def sampling(name: str) -> str:
    params = TINY[name].params if name in TINY else {}
    return code.sampling_code(*modules_of(generator_class(name), params), "features.faces.pixels")


def test_a_generator_is_named_by_the_code_of_sampling_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: sampling(name) for name in GENERATORS}
    modules = {name: generator_class(name).__module__ for name in GENERATORS}
    assert len(set(before.values())) == len(set(modules.values())), "the name beside the code tells those of one module"

    def renamed(*modules: str) -> set[str]:
        with monkeypatch.context() as patch:
            patch.setattr(code, "source_of", edited(*modules))
            return {name for name in GENERATORS if sampling(name) != before[name]}

    of_a_fit = ("training.loop", "training.ddp", "training.ema", "flows.stages.fit.fit", "flows.stages.fit.monitor")
    elsewhere = ("corpora.readers.speech.ravdess", "features.faces.prepare", "validators.gate", "corpora.schema")
    assert renamed(*of_a_fit, *elsewhere, "flows.stages.augment.augment") == set()
    assert renamed("features.faces.pixels") == set(GENERATORS), "it decodes what is drawn"
    assert renamed("generators.layers") >= {"cvae", "cgan", "diffusion"}
    assert "transfer" not in renamed("generators.layers")
    for name, module in modules.items():
        assert name in renamed(module) and "transfer" not in renamed(module) - {name}
    assert renamed(modules["cgan"]) == {"cgan"} and renamed(modules["transfer"]) == {"transfer"}


class BrokenError(Exception):
    pass


def _break(patch: pytest.MonkeyPatch, tables: dict[str, str], packages: tuple[str, ...]) -> None:
    """Every function and class of the modules in `tables` raises, wherever it was imported to."""

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise BrokenError

    inert = {m for m in sys.modules if code._is_one_of(m, set(tables))}
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in packages:
            for attribute, value in list(vars(module).items()):
                if getattr(value, "__module__", None) in inert and callable(value):
                    patch.setattr(module, attribute, broken)


@pytest.mark.parametrize("name", ARRAYS)
def test_drawing_uses_nothing_of_what_only_a_fit_uses(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = "image" in generator_class(name).layouts
    representation = make_representation(*(("pixels", {"size": 16}) if images else ("hog", {})))
    spec, rng = representation.spec, np.random.default_rng(0)
    emotions = ("anger", "happiness") * 4
    ids = tuple(f"toy/{i}" for i in range(8))
    data = TrainData(
        spec=spec,
        classes=("anger", "happiness"),
        arrays=rng.uniform(-1, 1, (8, *spec.shape)).astype(np.float32),
        emotions=emotions,
        ids=ids,
        groups=ids,
        subjects=(None,) * 8,
        held_out=np.zeros(8, bool),
        ratings={},
    )
    kind, device = generator_class(name), Device("cpu", "float32", False)
    small = {"width", "latent", "sample_steps", "components"} & set(kind.Params.model_fields)
    params: dict[str, Any] = {p: {"width": 8, "latent": 4, "sample_steps": 2, "components": 4}[p] for p in small}
    model = kind(spec, data.classes, **params)
    list(model.fit(data, steps=1, seed=1, device=device))
    model.save(tmp_path / "model")
    at = 0 if source_class(kind, params) == "same" else 1
    source = ids[at]
    draws = [Draw(Condition("anger"), 5, {"from": source} if model.takes else {})]
    sources = data.arrays[at : at + 1] if model.takes else None
    whole = model.sample(draws, sources, device=device)
    computes = {m: why for m, why in INERT_FOR_SAMPLING.items() if m != "corpora.schema"}
    with monkeypatch.context() as patch:
        _break(patch, computes, ("generators", "training", "features", "corpora"))
        with pytest.raises(BrokenError):
            model.save(tmp_path / "again")
        loaded = kind.load(tmp_path / "model", device=device)
        assert np.array_equal(loaded.sample(draws, sources, device=device), whole)
        assert representation.decode(whole[0]).codec == ("png" if images else "npz")


@pytest.mark.parametrize("reader", ["ravdess", "fer2013", "goemotions", "wesad"])
def test_reading_uses_nothing_of_what_writes_made_up_corpora(
    reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make_corpus(reader)
    corpus.fake(tmp_path, subjects=2, per_class=2, seed=1)
    with monkeypatch.context() as patch:
        fakes = {m: why for m, why in INERT_FOR_READING.items() if m != "corpora.readers"}
        _break(patch, fakes, ("corpora",))
        with pytest.raises(BrokenError):
            corpus.fake(tmp_path / "again", subjects=2, per_class=2, seed=1)
        assert len(list(corpus.read(tmp_path, "mine"))) > 2


def test_every_module_can_be_hashed() -> None:
    """All of ours parse, and no two of any length do the same."""
    modules = [m for m in code._graph().modules if len(code.source_of(m)) > 400]
    assert len({code_digest(code.source_of(m)) for m in modules}) == len(modules)
    assert ast.parse(code.source_of("flows.stages.plan.code"))
