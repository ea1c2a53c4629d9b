"""Hashed words of a text as what a generator models: a vector, without a way back to a sentence."""

from __future__ import annotations

import numpy as np

from corpora.codecs import decode_text
from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload
from features.text.ngrams import PIECE_COLUMNS, WORD_COLUMNS, hashed_ngrams
from features.vectors import VectorRepresentation, vector_spec

MAX_COLUMNS = 65_536


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
