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
    """`rows` orders of n things for raters 1, 2, ...; raters that follow each other get rows that lie far apart, so
    that of few raters too each thing stands early, in the middle and late. With n odd, the first n raters are a whole
    Latin square, and twice as many are Williams'."""
    if not n:
        return [[] for _ in range(rows)]
    step = next((s for s in range(round(n * 0.618), n) if gcd(s, n) == 1), 1)  # coprime: visits every row
    whole = n if n % 2 == 0 else 2 * n
    return [williams_row(n, (row * step % n + row // n * n) % whole) for row in range(rows)]
