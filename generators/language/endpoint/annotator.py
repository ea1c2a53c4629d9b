"""The annotator's role: which class a line shows, by another prompt and best another model than the writer's.

Koptyra et al. 2023 let one model write lines of an emotion and annotate lines; whether the two roles agree, with each
other and with people, is a result and no assumption. So the annotator is never told what was asked for, and how far it
agrees is reported: with what was asked for, over lines that were written; with the corpus, over lines of train.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from corpora.errors import PayloadError
from generators.language.endpoint.answers import label_of, label_schema
from generators.language.endpoint.cache import Request
from generators.language.endpoint.client import Client, chat_request
from generators.language.endpoint.meter import Cost
from generators.language.endpoint.params import Annotator, AskingParams
from generators.language.endpoint.prompts import annotate_messages

NO_LABEL = ""  # of a line for which the annotator gave no class


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of an annotator with given classes. n: lines; unanswered: lines without a class, which agree with nothing.

    share: of all n lines, in [0, 1]; kappa: Cohen's over the lines that have both, NaN where all of them are of one
    class on both sides or there is none; counts: (given, annotator's or `NO_LABEL`) -> lines.
    """

    n: int
    unanswered: int
    share: float
    kappa: float
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)


def agreement(given: Sequence[str], labels: Sequence[str]) -> Agreement:
    """given: class of each line; labels: the annotator's, `NO_LABEL` for none. Cohen 1960, Educational and
    Psychological Measurement 20:37-46."""
    counts = Counter(zip(given, labels, strict=True))
    n, same = len(given), sum(c for (a, b), c in counts.items() if a == b)
    both = {pair: c for pair, c in counts.items() if pair[1] != NO_LABEL}
    m = sum(both.values())
    names = {name for pair in both for name in pair}
    chance = sum(
        sum(c for (a, _), c in both.items() if a == name) * sum(c for (_, b), c in both.items() if b == name)
        for name in names
    )
    expected = chance / m**2 if m else 1.0
    kappa = (same / m - expected) / (1.0 - expected) if expected < 1.0 else float("nan")
    return Agreement(n, n - m, same / n if n else float("nan"), kappa, dict(counts))


def annotation_request(annotator: Annotator, params: AskingParams, classes: Sequence[str], line: str) -> Request:
    """A function of the line alone: the same line is asked about once, whoever wrote it."""
    messages = annotate_messages(params, classes, line)
    longest = 16 + max(len(name.encode()) for name in classes)
    return chat_request(
        annotator, messages, label_schema(classes), seed=0, temperature=0.0, max_tokens=min(longest, params.max_tokens)
    )


def annotated(client: Client, request: Request, classes: Sequence[str]) -> tuple[str, Cost]:
    """The class, or `NO_LABEL` where the answer holds none, and what the answer cost. Raises as `Client.ask` does."""
    reply = client.ask(request)
    cost = client.cost(request, reply)
    try:
        return label_of(reply, classes), cost
    except PayloadError:
        return NO_LABEL, cost
