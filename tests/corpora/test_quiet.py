"""What is imported is set aside from the garbage collector while a corpus is read, and comes back."""

from __future__ import annotations

import gc

import pytest

from corpora.quiet import imports_set_aside


def test_what_was_there_is_passed_over_and_comes_back() -> None:
    assert gc.get_freeze_count() == 0
    with pytest.raises(KeyError), imports_set_aside():
        assert gc.get_freeze_count() > 1000
        with imports_set_aside():
            pass
        assert gc.get_freeze_count() > 1000, "the one inside is not its own"
        raise KeyError
    assert gc.get_freeze_count() == 0
