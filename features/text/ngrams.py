"""Numbers of a text: which words and which pieces of words it has, hashed into a fixed number of columns.

Hashed (Weinberger et al. 2009, Feature hashing for large scale multitask learning): no vocabulary to learn, to keep or
to leak, and a word that train lacks has its place too. MurmurHash3 with a sign, the same everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WORD_COLUMNS, PIECE_COLUMNS = 512, 512
_WORD = r"(?u)\w(?:[\w'\u2019]*\w)?|[!?]+|\.\.+"  # signs that carry tone are words
_PIECES = (2, 4)  # characters, inside of words between blanks


def hashed_ngrams(texts: Sequence[str], words: int = WORD_COLUMNS, pieces: int = PIECE_COLUMNS) -> np.ndarray:
    """-> [n, words + pieces] float64: words, then pieces of 2 to 4 characters; row i depends on text i only.

    Signed counts c become sign(c) ln(1 + |c|), and each of the two parts of a row has length 1, or 0 where it has
    nothing. Case does not count.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    of_words = HashingVectorizer(n_features=words, token_pattern=_WORD, norm=None)
    of_pieces = HashingVectorizer(n_features=pieces, analyzer="char_wb", ngram_range=_PIECES, norm=None)
    parts = []
    for kind in (of_words, of_pieces):
        counts = kind.transform(texts).toarray() if len(texts) else np.zeros((0, kind.n_features))
        damped = np.sign(counts) * np.log1p(np.abs(counts))
        length = np.linalg.norm(damped, axis=1, keepdims=True)
        parts.append(np.divide(damped, length, out=np.zeros_like(damped), where=length > 0))
    return np.concatenate(parts, axis=1)
