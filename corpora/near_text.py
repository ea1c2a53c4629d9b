"""Near copies among texts: MinHash over shingles of letters (Broder 1997) finds candidates, exact overlap decides.

Case, punctuation, spacing and Unicode forms do not count. Texts of a few words are left out: people do say "thank you
so much" twice, and where they do so letter by letter the payload's sha256 tells.
"""

from __future__ import annotations

import unicodedata
import zlib

import numpy as np

from corpora.codecs import decode_text
from corpora.errors import PayloadError

METHOD = "shingles5/1"
_SHINGLE = 5  # letters
_MIN_SHINGLES = 24  # fewer say too little
_MAX_SHINGLES = 4096  # of a long text the smallest hashes are kept: still the same ones for the same text
_PERMUTATIONS, _BANDS, _ROWS = 100, 25, 4  # a pair with Jaccard 0.6 is missed once in 30, with 0.7 once in 1000
MIN_JACCARD = 0.6  # shared shingles of all
MIN_CONTAINED = 0.9  # shared shingles of the shorter text's, where it is a cutting of the longer one ...
MIN_CUTTING = 0.5  # ... and has at least this much of it


def normalise(text: str) -> str:
    """Letters and digits, case folded, words parted by one space, compatibility forms as one (NFKC)."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(c if c.isalnum() else " " for c in folded.replace("'", "").replace("\u2019", "")).split())


def fingerprint(payload: bytes) -> bytes:
    """UTF-8 -> sorted distinct little-endian uint32 hashes of its shingles; b"" for a short text or none."""
    try:
        words = normalise(decode_text(payload))
    except PayloadError:
        return b""
    parts = {words[i : i + _SHINGLE] for i in range(len(words) - _SHINGLE + 1)}
    if len(parts) < _MIN_SHINGLES:
        return b""
    hashes = sorted({zlib.crc32(part.encode("utf-8")) for part in parts})[:_MAX_SHINGLES]
    return np.array(hashes, "<u4").tobytes()


def near_pairs(prints: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Fingerprints -> ([P, 2] rows with first < second, [P] float32 Jaccard), sorted. Empty ones pair with none."""
    from datasketch import MinHash, MinHashLSH

    lsh = MinHashLSH(num_perm=_PERMUTATIONS, params=(_BANDS, _ROWS))
    first = MinHash(_PERMUTATIONS, hashfunc=int, scheme="affine32")
    sets = {i: np.frombuffer(data, "<u4") for i, data in enumerate(prints) if data}
    pairs: list[tuple[int, int]] = []
    scores: list[float] = []
    for i, shingles in sets.items():
        sketch = MinHash(_PERMUTATIONS, hashfunc=int, scheme="affine32", permutations=first.permutations)
        sketch.update_batch(shingles.tolist())
        for j in sorted(lsh.query(sketch)):
            shared = len(np.intersect1d(sets[j], shingles, assume_unique=True))
            small, large = sorted((len(sets[j]), len(shingles)))
            jaccard = shared / (small + large - shared)
            if jaccard >= MIN_JACCARD or (shared >= MIN_CONTAINED * small and small >= MIN_CUTTING * large):
                pairs.append((j, i))
                scores.append(jaccard)
        lsh.insert(i, sketch)
    if not pairs:
        return np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    found, score = np.array(pairs, np.int64), np.array(scores, np.float32)
    order = np.lexsort((found[:, 1], found[:, 0]))
    return found[order], score[order]
