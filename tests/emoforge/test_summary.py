"""What a look into a release says: gates and licences each for themselves, and both together."""

from __future__ import annotations

from typing import Any

import pytest

from emoforge.summary import may_be_published


@pytest.mark.parametrize(
    ("publishable", "may_redistribute", "made_up", "said"),
    [
        (True, True, False, "yes"),
        (True, False, False, "privately"),
        (True, False, True, "yes"),
        (False, True, False, "no"),
        (False, False, False, "no"),
        (None, True, False, "no"),
    ],
)
def test_gates_and_licences_both_have_a_say(
    publishable: bool | None, may_redistribute: bool, made_up: bool, said: str
) -> None:
    card = {"license": "CC-BY-NC-SA-4.0", "may_redistribute": may_redistribute}
    manifest: dict[str, Any] = {"corpora": [{"id": "c", "card": card, "made_up": made_up}]}
    if publishable is not None:
        manifest["publishable"] = publishable
    assert may_be_published(manifest) == said


def test_the_door_lists_what_it_has() -> None:
    import emoforge

    assert dir(emoforge) == sorted(emoforge.__all__) and all(hasattr(emoforge, name) for name in dir(emoforge))
