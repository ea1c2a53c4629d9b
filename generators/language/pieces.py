"""Pieces of words that are learned from train lines: byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909) over
bytes, so that no character of any line is unknown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from corpora.errors import IntegrityError, UserError

MARKS = ("<pad>", "<end>", "<mask>", "<part>")  # ids 0 to 3; what separates parts of one input is <part>
PAD, END, MASK, PART = range(len(MARKS))
BYTES = 256


class Pieces:
    """A vocabulary and the way between lines and ids. Every id from `first` on is a piece; those before are marks.

    The blank before a word is part of its first piece, and the first word of a line has one too; so a word has the same
    pieces wherever it stands.
    """

    first = len(MARKS)

    def __init__(self, state: str) -> None:
        """state: what `to_json` gave. Raises `IntegrityError` where it is none."""
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # threads of its own beside those of params.numerics
        from tokenizers import Tokenizer

        try:
            self._tokenizer: Any = Tokenizer.from_str(state)
        except Exception as error:  # tokenizers raises nothing narrower
            raise IntegrityError(f"no vocabulary of pieces: {error}") from error
        self._state = state

    @classmethod
    def learn(cls, lines: Sequence[str], size: int) -> Pieces:
        """The most frequent pairs joined until there are `size` ids, or no pair occurs twice; the same lines give the
        same pieces. Raises `UserError` for no line."""
        if not lines:
            raise UserError("no line to learn pieces of words from")
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=max(size, BYTES + len(MARKS)),
            min_frequency=2,
            special_tokens=list(MARKS),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(lines, trainer)
        state = json.loads(tokenizer.to_str())
        state["added_tokens"] = []  # they would be recognised inside of lines
        return cls(json.dumps(state, ensure_ascii=False))

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def ids(self, lines: Sequence[str]) -> list[list[int]]:
        """Pieces of each line, without marks. A line that spells a mark ("<pad>") has its letters, not the mark. A
        blank at the start of a line is lost."""
        return [self._tokenizer.encode(line, add_special_tokens=False).ids for line in lines]

    def line(self, ids: Sequence[int]) -> str:
        """The line of pieces; marks are left out. Holds U+FFFD where the pieces' bytes are no UTF-8."""
        text: str = self._tokenizer.decode([i for i in ids if i >= self.first], skip_special_tokens=False)
        return text.removeprefix(" ")

    def to_json(self) -> str:
        """What `Pieces(...)` takes."""
        return self._state
