"""The memory of what takes long to compute: bounded, and the least lately used goes first."""

from __future__ import annotations

from validators.memo import Memo


def test_the_least_lately_used_is_forgotten() -> None:
    memo: Memo[str, int] = Memo(2)
    memo.put("a", 1)
    memo.put("b", 2)
    assert memo.get("a") == 1  # now b is the oldest
    memo.put("c", 3)
    assert (memo.get("a"), memo.get("b"), memo.get("c")) == (1, None, 3) and len(memo) == 2
    memo.put("a", 4)  # again: it counts once
    assert memo.get("a") == 4 and len(memo) == 2
    memo.clear()
    assert len(memo) == 0 and memo.get("a") is None


def test_values_count_by_their_size() -> None:
    memo: Memo[int, str] = Memo(5, size=len)
    memo.put(0, "abc")
    memo.put(1, "de")
    assert len(memo) == 2
    memo.put(1, "def")  # 6 letters: the oldest goes
    assert memo.get(0) is None and memo.get(1) == "def"
    memo.put(2, "too long for it")
    assert len(memo) == 0
    memo.put(3, "abcde")  # what was forgotten counts no more
    assert memo.get(3) == "abcde"
