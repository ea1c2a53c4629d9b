"""In which order a rater meets blocks and trials: rows of Williams' square, by the rater's number.

In a Latin square each thing stands in each place equally often; in Williams' (1949) each also follows each other thing
equally often, so that what one trial does to the next one evens out. With n even, n rows do; with n odd, 2n.
"""

from __future__ import annotations

from math import gcd


def williams_row(n: int, row: int) -> list[int]:
    """The order 0 .. n-1 of one row, of n rows (n even) or 2n (n odd). Raises ValueError for n < 1."""
    if n < 1:
        raise ValueError(f"{n} things to order")
    zigzag = [(i + 1) // 2 if i % 2 else (n - i // 2) % n for i in range(n)]  # 0, 1, n-1, 2, n-2, ...
    order = [(place + row) % n for place in zigzag]
    return order[::-1] if n % 2 and row % (2 * n) >= n else order


def balanced_rows(n: int, rows: int) -> list[list[int]]:
    """`rows` orders of n things for raters 1, 2, ...; fewer raters than the square has rows get rows that are spread
    out over it, so that each thing still stands early, in the middle and late."""
    whole = n if n % 2 == 0 else 2 * n
    step = next((s for s in range(round(whole * 0.618), whole) if gcd(s, whole) == 1), 1)  # coprime: visits every row
    return [williams_row(n, row * step % whole) for row in range(rows)] if n else [[] for _ in range(rows)]
