"""Named vectors that draws may be asked for (action units, a text, what was said before): where train has them.

```yaml
generator:
  name: cvae
  given:
    units: {columns: ["extra.AU*"]}                    # numbers in columns of the corpus
    said: {text: payload, encoder: minilm}             # the line itself, or extra.NAME: a column of texts
    context: {text: payload, before: 3, dims: 32}      # the three turns before it
ask:
  given:
    units: [[0, 1.5, 0], [2, 0, 0]]                    # these in turn; without it: those of train samples of the class
    context: ["You broke it.", "We won!"]
```
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from corpora.errors import ParamsError, UserError
from corpora.params import StrictParams
from generators.draws.asked import Asked
from generators.generator import RATED

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
NUMBERS = ("age", "rater_agreement", "duration_s", *RATED)  # columns of SAMPLES that hold a number
PAYLOAD = "payload"
MOST_COLUMNS = 4096
NEEDED = ("sample_id", "emotion", "session_id", "turn", "ratings", "extra", *NUMBERS)  # columns of SAMPLES

Row = Mapping[str, Any]  # of SAMPLES, with `NEEDED`; `extra` as a list of pairs
Texts = Callable[[Sequence[str]], dict[str, str]]  # ids -> id -> what the payload says


class GivenParams(StrictParams):
    """Where the values of one named vector come from: columns of numbers, or a text."""

    columns: tuple[str, ...] = Field(
        (),
        description="numbers of a sample's record: extra.NAME, ratings.SCHEME (mean over raters), or "
        f"{', '.join(NUMBERS)}; * stands for several, in the order of their names",
    )
    text: str | None = Field(None, description="payload: what the line says (texts); extra.NAME: a column of texts")
    before: int = Field(
        0,
        ge=0,
        le=50,
        description="of `text`: so many turns of the same session before the sample, in place of its own; none: empty",
    )
    encoder: Literal["ngrams", "minilm"] = Field(
        "ngrams", description="what makes a vector of a text: hashed words and pieces of words, or a sentence encoder"
    )
    dims: Annotated[int, Field(ge=2, le=MOST_COLUMNS)] = Field(64, description="of `ngrams`: columns, an even number")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.columns) == (self.text is not None):
            raise ValueError("give either `columns` or `text`")
        for column in self.columns:
            kind, _, rest = column.partition(".")
            if not (kind in ("extra", "ratings") and rest) and column not in NUMBERS:
                raise ValueError(
                    f"column {column!r} is none; write extra.NAME, ratings.SCHEME, or one of {', '.join(NUMBERS)}"
                )
        if self.text is not None and self.text != PAYLOAD and not (self.text.startswith("extra.") and self.text[6:]):
            raise ValueError(f"text {self.text!r} is none; write payload, or extra.NAME")
        if self.before and self.text is None:
            raise ValueError("`before` counts turns of texts; it goes with `text`")
        if self.dims % 2:
            raise ValueError(f"dims {self.dims} is odd; one half is of words, the other of pieces of words")
        return self

    @property
    def length(self) -> int | None:
        """Numbers of a vector; None where the corpus decides it."""
        if self.text is not None:
            return 384 if self.encoder == "minilm" else self.dims
        return None if any("*" in column or "?" in column for column in self.columns) else len(self.columns)

    @property
    def encoders(self) -> tuple[str, ...]:
        """What of it installed packages carry."""
        return ("minilm",) if self.text is not None and self.encoder == "minilm" else ()

    def embedded(self, texts: Sequence[str]) -> np.ndarray:
        """n texts -> [n, D] float32; an empty one is zeros. Raises `UserError` where the encoder is not installed."""
        if self.encoder == "minilm":
            from features.text.minilm import minilm

            return minilm().encode(list(texts))
        from features.text.ngrams import hashed_ngrams

        return np.asarray(hashed_ngrams(list(texts), self.dims // 2, self.dims // 2), np.float32)


def require_given(where: str, given: Mapping[str, GivenParams], kind: Any, modality: str) -> None:
    """Raises `ParamsError` where a generator (its class) learns no named vectors, a name cannot be one, or texts are
    asked of payloads that hold none. `where`: the run's key in params.yaml."""
    if given and not getattr(kind, "learns_given", False):
        raise ParamsError(
            f"{where}.generator.given: generator {kind.name} learns no named vectors; choose one that is trained, such "
            "as cvae, cgan or diffusion, or leave `given` out"
        )
    for name, params in given.items():
        if not NAME.fullmatch(name) or name in (*RATED, "subject", "emotion", "vector"):
            raise ParamsError(
                f"{where}.generator.given.{name}: a name has small letters, digits and _, and is none of "
                f"{', '.join((*RATED, 'subject', 'emotion', 'vector'))}"
            )
        if params.text == PAYLOAD and modality != "text":
            raise ParamsError(
                f"{where}.generator.given.{name}: payloads of {modality} hold no text; name a column: text: extra.NAME"
            )


def require_vectors(where: str, asked: Asked, given: Mapping[str, GivenParams]) -> None:
    """Raises `ParamsError` for a text where numbers are wanted, and for a vector of another length than its columns
    have, as far as params tell how many these are. `where`: the key of `ask`."""
    for values in (asked.everywhere, *asked.by_class.values(), *(mixture.given for mixture in asked.mixtures)):
        for name in sorted(values.keys() & given.keys()):
            for value in values[name]:
                if isinstance(value, str) and given[name].text is None:
                    raise ParamsError(
                        f"{where}.given.{name}: {value!r} is a text, and generator.given.{name} has columns"
                    )
                length = given[name].length
                if not isinstance(value, str) and length is not None and np.size(value) != length:
                    raise ParamsError(
                        f"{where}.given.{name}: a vector of {np.size(value)} numbers; "
                        f"generator.given.{name} has {length}"
                    )


def given_vectors(given: Mapping[str, GivenParams], rows: Sequence[Row], texts: Texts) -> dict[str, np.ndarray]:
    """Rows of train -> name -> [N, D] float32 in the columns' own units. Raises `UserError` that names what is missing
    and of how many samples."""
    return {name: _vector(name, params, rows, texts) for name, params in given.items()}


def problems_of_given(given: Mapping[str, GivenParams], rows: Sequence[Row]) -> list[str]:
    """The same without reading a payload: why a vector cannot be had of these samples, in words."""

    def unread(ids: Sequence[str]) -> dict[str, str]:
        return dict.fromkeys(ids, "")

    problems = []
    for name, params in given.items():
        try:
            _texts_of(name, params, rows, unread) if params.text else _numbers(name, params, rows)
        except UserError as error:
            problems.append(str(error))
    return problems


def _vector(name: str, params: GivenParams, rows: Sequence[Row], texts: Texts) -> np.ndarray:
    if params.text is not None:
        return params.embedded(_texts_of(name, params, rows, texts))
    return _numbers(name, params, rows)


def _numbers(name: str, params: GivenParams, rows: Sequence[Row]) -> np.ndarray:
    there = [_columns_of(row) for row in rows]
    known = sorted({column for own in there for column in own})
    chosen = list(dict.fromkeys(c for pattern in params.columns for c in known if fnmatchcase(c, pattern)))
    for pattern in params.columns:
        if not any(fnmatchcase(c, pattern) for c in known):
            shown = ", ".join(known[:12]) + (" ..." if len(known) > 12 else "")
            raise UserError(
                f"generator.given.{name}: no train sample has a number in {pattern}; there are: {shown or 'none'}"
            )
    if len(chosen) > MOST_COLUMNS:
        raise UserError(f"generator.given.{name}: {len(chosen)} columns; at most {MOST_COLUMNS} are taken")
    for column in chosen:
        lacking = [row["sample_id"] for row, own in zip(rows, there, strict=True) if column not in own]
        if lacking:
            raise UserError(
                f"generator.given.{name}: {len(lacking)} of {len(rows)} train samples have no number in {column} "
                f"({lacking[0]}); leave the column out, or prune those samples"
            )
    return np.array([[own[column] for column in chosen] for own in there], np.float32).reshape(len(rows), len(chosen))


def _columns_of(row: Row) -> dict[str, float]:
    """Finite numbers of a record, by the name that params give them."""
    numbers: dict[str, list[float]] = {}
    for name in NUMBERS:
        _keep(numbers, name, row[name])
    for rating in row["ratings"] or ():
        _keep(numbers, f"ratings.{rating['scheme']}", rating["value"])
    for key, value in dict(row["extra"] or ()).items():
        _keep(numbers, f"extra.{key}", value)
    return {name: sum(values) / len(values) for name, values in numbers.items()}


def _keep(numbers: dict[str, list[float]], name: str, value: Any) -> None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return
    if np.isfinite(number):
        numbers.setdefault(name, []).append(number)


def _texts_of(name: str, params: GivenParams, rows: Sequence[Row], texts: Texts) -> list[str]:
    if params.text == PAYLOAD:
        said = texts([row["sample_id"] for row in rows])
    else:
        key = str(params.text).removeprefix("extra.")
        own = {row["sample_id"]: dict(row["extra"] or ()).get(key) for row in rows}
        if lacking := [i for i, text in own.items() if text is None]:
            raise UserError(
                f"generator.given.{name}: {len(lacking)} of {len(rows)} train samples have no {params.text} "
                f"({lacking[0]}); name another column"
            )
        said = {i: str(text) for i, text in own.items()}
    if not params.before:
        return [said[row["sample_id"]] for row in rows]
    return _before(name, params.before, rows, said)


def _before(name: str, n: int, rows: Sequence[Row], said: Mapping[str, str]) -> list[str]:
    """Of each sample the texts of the n turns of its session before it, oldest first, as far as they are in train."""
    if lacking := [row["sample_id"] for row in rows if row["session_id"] is None or row["turn"] is None]:
        raise UserError(
            f"generator.given.{name}: what was said before is known where samples have a session and a turn, and "
            f"{len(lacking)} of {len(rows)} train samples have none ({lacking[0]}); leave `before` out"
        )
    sessions: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["session_id"], row["turn"], row["sample_id"])):
        sessions.setdefault(row["session_id"], []).append(row)
    context = {}
    for turns in sessions.values():
        for row in turns:
            earlier = [said[other["sample_id"]] for other in turns if other["turn"] < row["turn"]]
            context[row["sample_id"]] = "\n".join(earlier[-n:])
    return [context[row["sample_id"]] for row in rows]
