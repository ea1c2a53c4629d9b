"""Near copies among pictures: perceptual hashes find candidates through an index, aligned correlation decides.

A picture becomes a grey thumbnail of 32 x 32, and everything else follows from thumbnails alone. The hash is that of
pHash (Zauner 2010, "Implementation and benchmarking of perceptual image hash functions"): signs of low-frequency DCT
coefficients, here against their median over the set, because faces share most of what they look like. A crop changes
such a hash, so each picture is looked up under the hashes of its crops, shifts and mirror image, too (`VIEWS`): all of
them are one matrix product. Candidates are aligned and correlated where they overlap
(corpora/near/alignment.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
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
_BLOCK = 512  # pictures at a time: bounds memory
_ROWS = 256  # pictures that are looked up under their views at a time
_ALIGNED = 32  # candidates at a time: what they need stays in the processor's cache
_PAIRS = 1 << 17  # pairs of one bucket at a time
_SMALL = 3 * SIDE  # pixels a side; larger pictures are made small one by one
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
    return fingerprints([payload])[0]


def fingerprints(payloads: Iterable[bytes]) -> list[bytes]:
    """`fingerprint` of each, in their order; small grey pictures of one size are made small together."""
    thumbnails = Thumbnails()
    for payload in payloads:
        thumbnails.add(payload)
    return thumbnails.taken()


class Thumbnails:
    """`fingerprints` of pictures that come one by one. Small grey ones wait, decoded, until they are taken."""

    def __init__(self) -> None:
        self._prints: list[bytes] = []
        self._alike: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = {}

    def __len__(self) -> int:
        return len(self._prints)

    def add(self, payload: bytes) -> None:
        """Takes in one picture."""
        number = len(self._prints)
        self._prints.append(b"")
        with suppress(PayloadError):
            array = decode_image(payload)
            if array.ndim == 2 and max(array.shape) <= _SMALL:
                self._alike.setdefault(array.shape, []).append((number, array))
            else:
                self._prints[number] = _printed(_thumbnail(array)[None])[0]

    def taken(self) -> list[bytes]:
        """The fingerprints of all that came since it was last asked, in their order."""
        prints, alike = self._prints, self._alike
        self._prints, self._alike = [], {}
        for pictures in alike.values():
            numbers, arrays = zip(*pictures, strict=True)
            for number, data in zip(numbers, _printed(_thumbnails(np.stack(arrays))), strict=True):
                prints[number] = data
        return prints


def _printed(thumbs: np.ndarray) -> list[bytes]:
    """uint8 [n, 32, 32] -> the bytes of each; b"" for a flat one."""
    flat = thumbs.reshape(len(thumbs), -1)
    return [b"" if deviation < _FLAT else row.tobytes() for row, deviation in zip(flat, flat.std(axis=1), strict=True)]


def _thumbnail(array: np.ndarray) -> np.ndarray:
    from PIL import Image

    image = Image.fromarray(array)
    if image.mode != "L":
        image = image.convert("L")
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0), dtype=np.uint8)


def _thumbnails(arrays: np.ndarray) -> np.ndarray:
    """uint8 [n, h, w] of at most `_SMALL` a side -> [n, 32, 32], `_thumbnail` of each.

    Pillow makes a picture narrower and then lower, rounding in between. So all of them below each other are made
    narrower in one call, and then all beside each other lower. Of small pictures `reducing_gap` reduces nothing.
    """
    from PIL import Image

    n, height, width = arrays.shape
    below = Image.fromarray(arrays.reshape(n * height, width))
    narrow = np.asarray(below.resize((SIDE, n * height), Image.Resampling.BILINEAR)).reshape(n, height, SIDE)
    beside = Image.fromarray(np.ascontiguousarray(narrow.transpose(1, 0, 2)).reshape(height, n * SIDE))
    low = np.asarray(beside.resize((n * SIDE, SIDE), Image.Resampling.BILINEAR)).reshape(SIDE, n, SIDE)
    return np.ascontiguousarray(low.transpose(1, 0, 2))


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
    for at in range(0, len(first), _ALIGNED):
        part = slice(at, at + _ALIGNED)
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
def _waves() -> np.ndarray:
    """[32, 32]: cosines along a line of 32 pixels, a row each."""
    return np.cos(np.pi * (np.arange(SIDE) + 0.5)[None] * np.arange(SIDE)[:, None] / SIDE)


@cache
def _frequencies(highest: int) -> np.ndarray:
    """int64 [k, 2]: u and v with u + v <= highest, (0, 0) first."""
    kept = sorted((u + v, u, v) for u in range(highest + 1) for v in range(highest + 1) if u + v <= highest)
    return np.array(kept)[:, 1:]


@cache
def _cosines(highest: int) -> np.ndarray:
    """[1024, k] orthonormal columns: cosines (u, v) of the 32 x 32 plane, u + v <= highest, the constant first."""
    waves = _waves()
    basis = np.stack([np.outer(waves[u], waves[v]).ravel() for u, v in _frequencies(highest)], axis=1)
    return basis / np.linalg.norm(basis, axis=0)


def _projection(number: int) -> np.ndarray:
    """[276, 77]: smoothed thumbnail (`_smooth`) -> DCT coefficients of its view `number`; edges go on."""
    (a, b, c, d), mirrored = _motion(number)
    if b:
        return _sampled(number)
    # rows and columns stay rows and columns: a product of what happens along each
    return _upright(_along(a, d, mirrored=False), _along(a, c, mirrored=mirrored))


def _sampled(number: int) -> np.ndarray:
    """`_projection` of any view, pixel by pixel."""
    from scipy.sparse import coo_array

    (a, b, c, d), mirrored = _motion(number)
    y, x = pixel_grid()
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
    return np.asarray(_cosines(2 * _FREQUENCIES).T @ (sampled @ waves))


def _along(scale: float, shift: float, *, mirrored: bool) -> np.ndarray:
    """[23, 12]: cosines of a line -> cosines of its pixels sampled at scale * x + shift, from the middle."""
    axis = np.arange(SIDE, dtype=np.float32) - MIDDLE
    at = np.clip(np.float32(scale) * axis + np.float32(shift) + np.float32(MIDDLE), 0, SIDE - 1)
    at = SIDE - 1 - at if mirrored else at
    low = np.minimum(at.astype(int), SIDE - 2)
    sampled = np.zeros((SIDE, SIDE))
    sampled[low, np.arange(SIDE)] = 1 - (at - low)
    sampled[low + 1, np.arange(SIDE)] = at - low
    waves = _waves() / np.linalg.norm(_waves(), axis=1, keepdims=True)
    return np.asarray(waves[: 2 * _FREQUENCIES + 1] @ sampled @ waves[: _FREQUENCIES + 1].T)


def _upright(down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """[23, 12] twice -> [276, 77]: of the plane's cosines (u, v), without the constant."""
    p, q = _frequencies(2 * _FREQUENCIES).T
    u, v = _frequencies(_FREQUENCIES)[1:].T
    return np.asarray(down[p][:, u] * across[q][:, v])


def _smooth(thumbs: np.ndarray) -> np.ndarray:
    """[n, 1024] uint8 -> [n, 276] float32: what the views are made from, at a quarter of the cost of the pixels."""
    basis = _cosines(2 * _FREQUENCIES).astype(np.float32)
    out = np.empty((len(thumbs), basis.shape[1]), np.float32)
    for at in range(0, len(thumbs), _BLOCK):
        out[at : at + _BLOCK] = thumbs[at : at + _BLOCK].astype(np.float32) @ basis
    return out


def _coefficients(smooth: np.ndarray, number: int) -> np.ndarray:
    """[n, 276] -> [n, 77] float32 of length 1: neither brightness nor contrast changes them."""
    return _unit(smooth @ _projection(number).astype(np.float32))


@cache
def _projections() -> np.ndarray:
    """[276, 50 x 77] float32: of all views but the first, beside each other. One product for all of them: twice as
    fast as fifty."""
    return np.concatenate([_projection(number) for number in range(1, len(VIEWS))], axis=1).astype(np.float32)


def _motion(number: int) -> tuple[tuple[float, float, float, float], bool]:
    """View -> (a, b, c, d) of x' = a x - b y + c, y' = b x + a y + d in pixels from the middle, after mirroring."""
    view = VIEWS[number]
    turn = np.deg2rad(view.degrees)
    scale = float(view.scale)
    return (scale * float(np.cos(turn)), scale * float(np.sin(turn)), view.x * SIDE, view.y * SIDE), view.mirrored


class _Looked(NamedTuple):
    """Unit coefficients [m, 77] float32 and what they are looked up by: hash `words` [m, 2] uint64, `keys` [tables, m]
    int64."""

    unit: np.ndarray
    words: np.ndarray
    keys: np.ndarray


def _looked(unit: np.ndarray, median: np.ndarray, bands: np.ndarray) -> _Looked:
    on = np.zeros((len(unit), 128), bool)
    np.greater(unit, median, out=on[:, : unit.shape[1]])
    # exact: below 2**24. A table after the other, so that what they are looked up in stays in the processor's cache
    keys = (bands.T @ on[:, : unit.shape[1]].astype(np.float32).T).astype(np.int64)
    return _Looked(unit, np.packbits(on, axis=1).view(np.uint64), keys)


def _candidates(thumbs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[n, 1024] -> (first, second, view): the view of `first` looks like `second`. Each pair once, as it fits best.

    Keys are fixed subsets of the bits.
    """
    n = len(thumbs)
    smooth = _smooth(thumbs)
    own = _coefficients(smooth, 0)
    median, mean = np.median(own, axis=0), own.mean(axis=0)
    centred = _unit(own - mean)
    bands = _bands(own.shape[1])
    plain = _looked(own, median, bands)
    buckets = _buckets(plain.keys)
    blocks = [_alike(buckets, plain, plain.words, (centred, mean), np.arange(n), np.zeros(n, np.int64), _LINKS)]
    n_seen = len(VIEWS) - 1
    for low in range(0, n, _ROWS):
        part = smooth[low : low + _ROWS]
        seen = _looked(_unit((part @ _projections()).reshape(len(part) * n_seen, -1)), median, bands)
        row, number = np.divmod(np.arange(len(seen.unit)), n_seen)
        blocks.append(_alike(buckets, seen, plain.words, (centred, mean), row + low, number + 1, 0))
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
    return x / (np.sqrt(np.einsum("nd,nd->n", x, x)) + np.float32(1e-9))[:, None]


class _Buckets(NamedTuple):
    """What of n pictures has which key in each table: `order[starts[k] : starts[k + 1]]`, k the key in table t plus
    t * (2**17 + 1)."""

    order: np.ndarray  # int32 [tables * n]
    starts: np.ndarray  # int32 [tables * (2**17 + 1)]
    used: np.ndarray  # bool [tables, 2**17]: a small table to look into first, for few keys are any picture's


def _buckets(keys: np.ndarray) -> _Buckets:
    """[tables, n]"""
    n = keys.shape[1]
    order = np.concatenate([np.argsort(own, kind="stable") for own in keys]).astype(np.int32)
    starts = np.zeros((_TABLES, (1 << _BAND) + 1), np.int32)
    for t in range(_TABLES):
        np.cumsum(np.bincount(keys[t], minlength=1 << _BAND), out=starts[t, 1:])
        starts[t] += t * n
    return _Buckets(order, starts.ravel(), np.diff(starts, axis=1) > 0)


def _alike(
    buckets: _Buckets,
    asked: _Looked,
    words: np.ndarray,
    own: tuple[np.ndarray, np.ndarray],
    row: np.ndarray,
    view: np.ndarray,
    links: int,
) -> np.ndarray:
    """Pictures `row` [m], seen in their `view` [m] -> float64 [P, 5] of those that look like picture `second`: what
    names the pair, -cosine, first, second, view. `own`: unit rows [n, 77] off the mean [77], and that mean."""
    centred, mean = own
    n = len(words)
    pairs = np.unique(_matching(buckets, asked, words, row, links))
    at, second = pairs // n, pairs % n
    cosine = np.empty(len(at), np.float64)
    for low in range(0, len(at), 1 << 14):
        part = slice(low, low + (1 << 14))
        cosine[part] = np.einsum("nd,nd->n", _unit(asked.unit[at[part]] - mean), centred[second[part]])
    good = cosine >= _MIN_COSINE
    first, second = row[at[good]], second[good]
    either = np.minimum(first, second) * n + np.maximum(first, second)
    return np.stack([either, -cosine[good], first, second, view[at[good]]], axis=1)


def _matching(buckets: _Buckets, asked: _Looked, words: np.ndarray, row: np.ndarray, links: int) -> np.ndarray:
    """What was asked and all words [n, 2] -> number of the asked one * n + second of pairs in one bucket that differ in
    at most `_MAX_BITS` bits, as often as they share one. `row` [m]: of the asked ones, for none is its own copy."""
    n = len(words)
    full = [np.flatnonzero(used.take(keys)) for used, keys in zip(buckets.used, asked.keys, strict=True)]
    asker = np.concatenate(full)
    at = np.concatenate(
        [keys[own] + t * ((1 << _BAND) + 1) for t, (keys, own) in enumerate(zip(asked.keys, full, strict=True))]
    )
    low = buckets.starts[at]
    size = (buckets.starts[at + 1] - low).astype(np.int64)
    size[size > _CROWD] = links
    ends = np.cumsum(size)
    mine, theirs = np.ascontiguousarray(asked.words.T), np.ascontiguousarray(words.T)
    kept: list[np.ndarray] = [np.zeros(0, np.int64)]
    done = 0
    while done < len(size):
        before = ends[done - 1] if done else 0
        stop = max(int(np.searchsorted(ends, before + _PAIRS, "right")), done + 1)
        own = size[done:stop]
        first = np.repeat(asker[done:stop], own)
        place = np.arange(ends[stop - 1] - before) + np.repeat(low[done:stop] - (ends[done:stop] - own - before), own)
        second = buckets.order[place]
        differ = np.bitwise_count(mine[0][first] ^ theirs[0][second])
        differ += np.bitwise_count(mine[1][first] ^ theirs[1][second])
        good = np.flatnonzero(differ <= _MAX_BITS)
        first, second = first[good], second[good]
        other = row[first] != second
        kept.append(first[other] * n + second[other])
        done = stop
    return np.concatenate(kept)
