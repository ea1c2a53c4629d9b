"""Near copies among pictures: perceptual hashes find candidates through an index, aligned correlation decides.

A picture becomes a grey thumbnail of 32 x 32, and everything else follows from thumbnails alone. The hash is that of
pHash (Zauner 2010, "Implementation and benchmarking of perceptual image hash functions"): signs of low-frequency DCT
coefficients, here against their median over the set, because faces share most of what they look like. A crop changes
such a hash, so each picture is looked up under the hashes of its crops, shifts and mirror image, too (`VIEWS`): all of
them are one matrix product. Candidates are aligned and correlated where they overlap
(corpora/near/alignment.py).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from corpora.codecs import decode_image
from corpora.errors import PayloadError
from corpora.near.alignment import MIDDLE, SIDE, aligned_correlation, pixel_grid

METHOD = "thumb32/1"
_FREQUENCIES = 11  # DCT coefficients (u, v) with 1 <= u + v <= this: 77 bits
_TABLES, _BAND = 28, 17  # hash tables, bits that make the key of each
_MAX_BITS = 18  # of 77 that may differ in a candidate; unrelated pictures differ in 38, one pair in 1000 in 23
_MIN_COSINE = 0.65  # of the coefficients of a candidate, against the mean of the set
_CROWD, _LINKS = 400, 50  # a key that more pictures share says little: each is compared with this many of them
_BLOCK = 512  # pictures or candidates at a time: bounds memory
_FLAT = 2.0  # standard deviation in grey levels below which a picture shows nothing
# Correlation of local contrast where two pictures overlap. On FER2013 copies lie above 0.9 (0.8 under a watermark or a
# caption), other pictures of one shoot at 0.7 to 0.8, other people below 0.75.
MIN_CORRELATION = 0.8
# Where a picture is much like many that are no copies (drawn faces, one person before one wall), a copy must be six
# times closer than they are, up to a correlation that copies have whatever stands beside them.
_PARTNERS, _CLOSER, _ENOUGH = 3, 6.0, 0.96
_MANY = 50  # candidates in all from which on the usual likeness of the pictures is known


class View(NamedTuple):
    """A part of a picture: side as a share of its own, middle off its middle, turned, mirrored."""

    scale: float = 1.0
    x: float = 0.0
    y: float = 0.0
    degrees: float = 0.0
    mirrored: bool = False


def _views() -> tuple[View, ...]:
    crops = [
        View(s, float(x), float(y))
        for s, n in ((0.95, 2), (0.9, 3), (0.85, 4))
        for y in np.linspace(-(1 - s) / 2, (1 - s) / 2, n)
        for x in np.linspace(-(1 - s) / 2, (1 - s) / 2, n)
    ]
    around = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
    shifts = [View(1.0, d * x, d * y) for d in (0.04, 0.08) for x, y in around]
    turned = [View(degrees=d) for d in (-7.0, -3.5, 3.5, 7.0)]
    return (View(), *crops, *shifts, *turned, View(mirrored=True))


VIEWS = _views()


def fingerprint(payload: bytes) -> bytes:
    """Picture -> 32 x 32 grey levels, row by row; b"" where it cannot be decoded or shows nothing (flat)."""
    from PIL import Image

    try:
        array = decode_image(payload)
    except PayloadError:
        return b""
    image = Image.fromarray(array)
    if image.mode != "L":
        image = image.convert("L")
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0), dtype=np.uint8)
    return b"" if small.std() < _FLAT else small.tobytes()


def near_pairs(prints: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Fingerprints -> ([P, 2] rows with first < second, [P] float32 correlation), sorted. Empty ones pair with none.

    Near-linear in the number of pictures: an index, not all pairs.
    """
    rows = np.array([i for i, data in enumerate(prints) if data], dtype=np.int64)
    if len(rows) < 2:
        return np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    thumbs = np.frombuffer(b"".join(prints[i] for i in rows), np.uint8).reshape(len(rows), SIDE * SIDE)
    first, second, view = _candidates(thumbs)
    score = np.empty(len(first), np.float32)
    for at in range(0, len(first), _BLOCK):
        part = slice(at, at + _BLOCK)
        start = [_motion(number) for number in view[part].tolist()]
        motion, mirrored = np.array([m for m, _ in start], np.float32), np.array([m for _, m in start], bool)
        score[part] = aligned_correlation(thumbs[first[part]], thumbs[second[part]], motion, mirrored)
    near = score >= _limit(first, second, score)
    pairs = np.sort(np.stack([rows[first[near]], rows[second[near]]], axis=1), axis=1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return pairs[order], score[near][order]


def _limit(first: np.ndarray, second: np.ndarray, score: np.ndarray) -> np.ndarray:
    """[P] correlation that each candidate has to reach."""
    row, value = np.concatenate([first, second]), np.concatenate([score, score])
    order = np.lexsort((value, row))
    rows, starts, counts = np.unique(row[order], return_index=True, return_counts=True)
    median = value[order][starts + (counts - 1) // 2]
    usual = np.full(int(row.max(initial=0)) + 1, np.quantile(score, 0.25) if len(score) >= _MANY else -np.inf)
    enough = counts >= _PARTNERS
    usual[rows[enough]] = np.maximum(usual[rows[enough]], median[enough])
    alike = np.maximum(usual[first], usual[second])
    return np.clip(1 - (1 - alike) / _CLOSER, MIN_CORRELATION, _ENOUGH)


@cache
def _cosines(highest: int) -> np.ndarray:
    """[1024, k] orthonormal columns: cosines (u, v) of the 32 x 32 plane, u + v <= highest, the constant first."""
    waves = np.cos(np.pi * (np.arange(SIDE) + 0.5)[None] * np.arange(SIDE)[:, None] / SIDE)
    kept = sorted((u + v, u, v) for u in range(highest + 1) for v in range(highest + 1) if u + v <= highest)
    basis = np.stack([np.outer(waves[u], waves[v]).ravel() for _, u, v in kept], axis=1)
    return basis / np.linalg.norm(basis, axis=0)


@cache
def _projection(number: int) -> np.ndarray:
    """[276, 77] float32: smoothed thumbnail (`_smooth`) -> DCT coefficients of its view `number`; edges go on."""
    from scipy.sparse import coo_array

    y, x = pixel_grid()
    (a, b, c, d), mirrored = _motion(number)
    u = np.clip(a * x - b * y + c + MIDDLE, 0, SIDE - 1)
    v = np.clip(b * x + a * y + d + MIDDLE, 0, SIDE - 1)
    u = SIDE - 1 - u if mirrored else u
    i, j = np.minimum(v.astype(int), SIDE - 2), np.minimum(u.astype(int), SIDE - 2)
    fv, fu = v - i, u - j
    corners = [((1 - fv) * (1 - fu), 0), ((1 - fv) * fu, 1), (fv * (1 - fu), SIDE), (fv * fu, SIDE + 1)]
    weights = np.concatenate([w for w, _ in corners])
    rows = np.concatenate([i * SIDE + j + step for _, step in corners])
    columns = np.tile(np.arange(SIDE * SIDE), 4)
    sampled = coo_array((weights, (rows, columns)), shape=(SIDE * SIDE, SIDE * SIDE)).tocsr()
    waves = _cosines(_FREQUENCIES)[:, 1:]  # without the constant
    return np.asarray(_cosines(2 * _FREQUENCIES).T @ (sampled @ waves), dtype=np.float32)


def _smooth(thumbs: np.ndarray) -> np.ndarray:
    """[n, 1024] uint8 -> [n, 276] float32: what the views are made from, at a quarter of the cost of the pixels."""
    basis = _cosines(2 * _FREQUENCIES).astype(np.float32)
    out = np.empty((len(thumbs), basis.shape[1]), np.float32)
    for at in range(0, len(thumbs), _BLOCK):
        out[at : at + _BLOCK] = thumbs[at : at + _BLOCK].astype(np.float32) @ basis
    return out


def _coefficients(smooth: np.ndarray, number: int) -> np.ndarray:
    """[n, 276] -> [n, 77] float32 of length 1: neither brightness nor contrast changes them."""
    return _unit(smooth @ _projection(number))


def _motion(number: int) -> tuple[tuple[float, float, float, float], bool]:
    """View -> (a, b, c, d) of x' = a x - b y + c, y' = b x + a y + d in pixels from the middle, after mirroring."""
    view = VIEWS[number]
    turn = np.deg2rad(view.degrees)
    scale = float(view.scale)
    return (scale * float(np.cos(turn)), scale * float(np.sin(turn)), view.x * SIDE, view.y * SIDE), view.mirrored


def _words(bits: np.ndarray) -> np.ndarray:
    """[n, b] bool -> [n, ceil(b / 64)] uint64."""
    padded = np.zeros((len(bits), -(-bits.shape[1] // 64) * 64), bool)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1).view(np.uint64)


def _candidates(thumbs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[n, 1024] -> (first, second, view): the view of `first` looks like `second`. Each pair once, as it fits best.

    Keys are fixed subsets of the bits.
    """
    n = len(thumbs)
    smooth = _smooth(thumbs)
    own = _coefficients(smooth, 0)
    median = np.median(own, axis=0)
    centred = _unit(own - own.mean(axis=0))
    bits = own > median
    words = _words(bits)
    bands = _bands(bits.shape[1])
    keys = (bits.astype(np.float32) @ bands).astype(np.int32)  # exact: below 2**24
    orders = [np.argsort(keys[:, t], kind="stable").astype(np.int32) for t in range(_TABLES)]
    starts = [np.searchsorted(keys[orders[t], t], np.arange((1 << _BAND) + 1)).astype(np.int32) for t in range(_TABLES)]
    blocks: list[np.ndarray] = []
    for number in range(len(VIEWS)):
        seen = own if number == 0 else _coefficients(smooth, number)
        mine = words if number == 0 else _words(seen > median)
        wanted = keys if number == 0 else ((seen > median).astype(np.float32) @ bands).astype(np.int32)
        close = [
            _matching(
                starts[t][wanted[:, t]], starts[t][wanted[:, t] + 1], orders[t], mine, words, 0 if number else _LINKS
            )
            for t in range(_TABLES)
        ]
        pairs = np.unique(np.concatenate(close))
        alike = _row_cosines(_unit(seen - own.mean(axis=0)), pairs // n, centred, pairs % n)
        good = alike >= _MIN_COSINE
        first, second = pairs[good] // n, pairs[good] % n
        either = np.minimum(first, second) * n + np.maximum(first, second)
        blocks.append(np.stack([either, -alike[good], first, second, np.full(len(first), number)], axis=1))
    every = np.concatenate(blocks)  # float64 holds whole numbers up to 2**53
    every = every[np.lexsort((every[:, 4], every[:, 1], every[:, 0]))]
    best = np.ones(len(every), bool)
    best[1:] = every[1:, 0] != every[:-1, 0]
    first, second, number = every[best, 2:].astype(np.int64).T
    return first, second, number


def _bands(n_bits: int) -> np.ndarray:
    """[b, tables] float32: powers of two in the rows of the bits that a table's key is made of."""
    rng = np.random.default_rng(20020613)
    bands = np.zeros((n_bits, _TABLES), np.float32)
    for table in range(_TABLES):
        bands[rng.choice(n_bits, _BAND, replace=False), table] = 1 << np.arange(_BAND)
    return bands


def _unit(x: np.ndarray) -> np.ndarray:
    return x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-9)


def _row_cosines(a: np.ndarray, i: np.ndarray, b: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Unit rows a[i] and b[j] -> their cosines, a block at a time."""
    out = np.empty(len(i), np.float64)
    for at in range(0, len(i), 1 << 16):
        part = slice(at, at + (1 << 16))
        out[part] = np.einsum("nd,nd->n", a[i[part]], b[j[part]])
    return out


def _matching(
    low: np.ndarray, high: np.ndarray, order: np.ndarray, mine: np.ndarray, words: np.ndarray, links: int
) -> np.ndarray:
    """-> first * n + second of pairs in one bucket that differ in at most `_MAX_BITS` bits."""
    n = len(order)
    size = (high - low).astype(np.int64)
    size[size > _CROWD] = links
    ends = np.cumsum(size)
    kept: list[np.ndarray] = []
    at = 0
    while at < n:
        done = ends[at - 1] if at else 0
        stop = max(int(np.searchsorted(ends, done + 1_000_000, "right")), at + 1)
        first = np.repeat(np.arange(at, stop), size[at:stop])
        within = np.arange(done, ends[stop - 1]) - np.repeat(ends[at:stop] - size[at:stop], size[at:stop])
        second = order[np.repeat(low[at:stop], size[at:stop]) + within].astype(np.int64)
        differ = np.bitwise_count(mine[first] ^ words[second]).sum(axis=1, dtype=np.int64)
        good = (differ <= _MAX_BITS) & (first != second)
        kept.append(first[good] * n + second[good])
        at = stop
    return np.concatenate(kept)
