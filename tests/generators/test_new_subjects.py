"""A new subject is nobody of train: the same for ever, unlike the others, and refused where there is nobody to mix."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.errors import UnknownNameError, UserError
from generators.condition import ConditionFields, encode_conditions, new_subject
from generators.generator import Condition

PEOPLE = tuple(f"c:{i:02d}" for i in range(9))


def shares(subject: str, known: tuple[str, ...] = PEOPLE) -> np.ndarray:
    asked = [Condition("anger", {"subject": subject})]
    encoded = encode_conditions(asked, ("anger",), ConditionFields(subjects=known))["subject"][0]
    out: np.ndarray = encoded.numpy()
    return out


def test_a_new_subject_is_a_few_people_and_always_the_same() -> None:
    one, two = shares("new:1"), shares("new:2")
    assert np.array_equal(one, shares("new:1")) and not np.allclose(one, two)
    for of in (one, two):
        assert of.sum() == pytest.approx(1.0) and (of > 0).sum() == 3 and of.max() < 0.8
    everyone = np.mean([new_subject(f"new:{i}", 9) for i in range(400)], axis=0)
    assert np.allclose(everyone, 1 / 9, atol=0.03), "nobody is in them more often than others"


def test_a_known_name_is_that_person_and_a_wrong_one_is_refused() -> None:
    assert shares("c:04").argmax() == 4 and shares("c:04").max() == 1.0
    assert shares("new:1", (*PEOPLE, "new:1"))[-1] == 1.0, "a corpus may be called new"
    with pytest.raises(UnknownNameError, match="c:40"):
        shares("c:40")
    with pytest.raises(UserError, match="mix of several people, and this model knows 1"):
        shares("new:1", PEOPLE[:1])
