"""What a cell is made of, and under which name the work store keeps its answers.

A cell is named by the rows that it learned from and is asked about, its arm, its classifier, its seed and their code:
never by the name of the study, of the arm or of the view. So an arm that is added computes itself alone, and a study
that asks the same of the same people finds its answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import JsonValue

from corpora.fingerprint import hash_json
from flows.artifacts.base import Record
from flows.stages.plan.code import code_hash
from flows.stages.study.methods import family_of
from flows.stages.study.rows import RowFacts
from flows.stages.study.views import View
from flows.studying import Arm
from generators.classical.method import PAYLOAD_METHODS, VECTOR_METHODS
from generators.generator import GENERATORS, generator_class
from validators.gate import gate_class
from validators.trials.classifiers.registry import CLASSIFIERS

FORM = 1  # of a stored cell, and of how arms and classifiers are put together (flows/stages/study/worker.py)
# modules that arms of a family are made by, beside the method's own
_ROOTS = {
    "plain": ("flows.stages.study.plain",),
    "vector": (),
    "payload": ("flows.stages.study.changed",),
    "generator": ("flows.stages.study.generated",),
}
_NO_CODE = ("nothing", "class_weights", "logit_adjustment")  # what they do is the classifier's
# imported by these modules for their types, or hashed elsewhere
_HASHED_ELSEWHERE = {
    "flows.studying": "the arm itself is in the key",
    "flows.stages.study.rows": "the rows are in the key",
    "flows.stages.study.methods": "the method is in the key",
    "flows.params": "the arm itself is in the key",
    "flows.stages.plan.*": "what is prepared is in the key",
    "flows.stages.prepare.*": "what is prepared is in the key",
    "corpora.schema": "types and the columns of tables",
}


class CellCode(Record):
    """Hashes of the code that cells depend on. arms: method or gate -> hash; classifiers: name -> hash."""

    arms: dict[str, str]
    classifiers: dict[str, str]


def code_of_cells(arms: Sequence[Arm], classifiers: Sequence[str], modality: str) -> CellCode:
    """Of the methods and gates of these arms, and of these classifiers."""
    methods: dict[str, str] = {}
    for arm in arms:
        family = family_of(arm.method)
        roots = list(_ROOTS[family]) if arm.method not in _NO_CODE else []
        if family == "vector":
            roots.append(VECTOR_METHODS[arm.method].partition(":")[0])
        elif family == "payload" and arm.method in PAYLOAD_METHODS.get(modality, {}):
            roots.append(PAYLOAD_METHODS[modality][arm.method].partition(":")[0])
        elif family == "generator":
            kind = GENERATORS.get(arm.method, "").partition(":")[0] or generator_class(arm.method).__module__
            roots.append(kind)
        methods.setdefault(arm.method, code_hash(roots, without=_HASHED_ELSEWHERE))
        for gate in arm.gates:
            methods.setdefault(f"gate {gate}", code_hash([gate_class(gate).__module__], without=_HASHED_ELSEWHERE))
    own = {name: code_hash([CLASSIFIERS[name].partition(":")[0]], without=_HASHED_ELSEWHERE) for name in classifiers}
    return CellCode(arms=methods, classifiers=own)


def view_hash(view: View, facts: Sequence[RowFacts], rows: str) -> str:
    """64 hex digits over the rows of a view: what they are, their labels and people, and which are train, gone, test.
    `rows`: the store key of the rows, which names how they were prepared."""

    def described(indices: np.ndarray) -> list[JsonValue]:
        return [[facts[i].key, facts[i].piece_id, facts[i].emotion, facts[i].subject, facts[i].group] for i in indices]

    return hash_json([rows, described(view.train), described(view.gone), described(view.test), view.seed])


def cell_key(
    view: str, pruned: str | None, arm: Arm, classifier: str, params: Mapping[str, JsonValue], more: JsonValue
) -> str:
    """Where the work store keeps the answers. `more`: classes, scaling, code, inner folds."""
    # class weights and the like are asked of the classifier; everything of an arm counts
    asked = arm.model_dump(mode="json", exclude_defaults=True)
    return f"studies/cells/{hash_json([FORM, view, pruned, asked, classifier, dict(params), more])[:40]}"
