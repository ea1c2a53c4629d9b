"""Numbers of a text: which words and which pieces of words it has, hashed into a fixed number of columns.

Hashed (Weinberger et al. 2009, Feature hashing for large scale multitask learning): no vocabulary to learn, to keep or
to leak, and a word that train lacks has its place too. MurmurHash3 with a sign, the same everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corpora.codecs import decode_text
from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload
from features.vectors import VectorRepresentation, vector_spec

WORD_COLUMNS, PIECE_COLUMNS = 512, 512
MAX_COLUMNS = 65_536
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


class SentenceRepresentation(VectorRepresentation):
    """txt -> [words + pieces] float32: hashed words and pieces of words, without a way back to a sentence.

    `words`, `pieces`: columns of each; fewer columns share more. Nothing is learned and nothing is loaded.
    """

    modality = "text"

    def __init__(self, words: int = WORD_COLUMNS, pieces: int = PIECE_COLUMNS) -> None:
        for name, size in (("words", words), ("pieces", pieces)):
            if not isinstance(size, int) or not 1 <= size <= MAX_COLUMNS:
                raise ParamsError(f"representation sentence: {name} is {size!r}; allowed are 1 to {MAX_COLUMNS}.")
        self.words, self.pieces = words, pieces
        columns = [*(f"word_{i}" for i in range(words)), *(f"piece_{i}" for i in range(pieces))]
        self.spec = vector_spec(f"ngrams{words}+{pieces}", columns, [""] * len(columns))

    def encode(self, payload: Payload) -> np.ndarray:
        """txt -> [words + pieces] float32. Raises `PayloadError`: wrong-codec, or what the decoder says."""
        if payload.codec != "txt":
            raise PayloadError("wrong-codec", f"text is read from txt, this payload is {payload.codec!r}")
        return hashed_ngrams([decode_text(payload.data)], self.words, self.pieces)[0].astype(np.float32)
