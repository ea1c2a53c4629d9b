"""Whether synthetic samples, or features, may be published without the real samples that they were made from.

That is another question than whether a release may be passed on as it is (corpora/licences.py): a card's
`may_redistribute: false` speaks of its samples, and many a licence that keeps recordings at home lets adapted material
go. Three answers: *yes* and *no* by a clause, *unknown* where terms are silent, which is as good as no until the owner
permits it and the user says so (params.yaml: `publish: {permits: ...}`).

A card that holds samples back although their licence lets them go doubts that its licensor can give them (lines of a
series under a licence of code, pictures of the web in a database). Then only a licence of content answers.
docs/publishing.md
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from corpora.licences import Held, Kind, Use, conflicts
from corpora.terms.clauses import Says, clause_of
from corpora.terms.terms import Terms, meet

Part = Literal["synthetic", "features"]
PARTS: tuple[Part, ...] = get_args(Part)
# kinds of things that a part holds: rows of features that a generator made are synthetic samples, too
KINDS_OF: Mapping[Part, tuple[Kind, ...]] = {"synthetic": ("synthetic",), "features": ("features", "synthetic")}
WHAT: Mapping[Kind, str] = {"synthetic": "what is made after its samples", "features": "features of its samples"}
# corpus -> kind -> who permitted it, when and where: the user's own words
Permits = Mapping[str, Mapping[Part, str]]
_ORDER: Sequence[Says] = ("yes", "unknown", "no")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the terms of one corpus say of publishing things of a kind without its samples. because: clause and source.
    permitted: the answer is what the user says of the owner's permission."""

    corpus: str
    licence: str
    kind: Kind
    says: Says
    because: str
    permitted: bool = False

    @property
    def sentence(self) -> str:
        """For people."""
        said = {
            "yes": f"lets {WHAT[self.kind]} be passed on",
            "no": f"does not let {WHAT[self.kind]} be passed on",
            "unknown": f"does not say whether {WHAT[self.kind]} may be passed on",
        }[self.says]
        return f"{self.licence} of {self.corpus} {said}: {self.because}"

    def to_json(self) -> dict[str, object]:
        """For a manifest."""
        return {"corpus": self.corpus, "licence": self.licence, "kind": self.kind, "because": self.because} | {
            "permitted": self.permitted
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a part may be published alone. answers: of each corpus and kind; conflicts: licences that exclude each
    other; uses: what may be done with each kind in it."""

    part: Part
    answers: tuple[Answer, ...]
    conflicts: tuple[str, ...]
    uses: Mapping[Kind, Use]

    @property
    def says(self) -> Says:
        """The most narrow of its answers."""
        worst = max((_ORDER.index(answer.says) for answer in self.answers), default=0)
        return "no" if self.conflicts else _ORDER[worst]

    @property
    def because(self) -> tuple[str, ...]:
        """Why not, a sentence each; (): it may."""
        return tuple(a.sentence for a in self.answers if a.says != "yes") + self.conflicts

    @property
    def remedy(self) -> str:
        """What to do about it, "" where there is nothing to be done."""
        open_ = [a for a in self.answers if a.says != "yes"]
        if not self.because:
            return ""
        if not open_:
            return "Release these corpora in runs of their own"
        names = list(dict.fromkeys(one.corpus for one in open_))
        lines = [
            f"{name}: {{{', '.join(f'{one.kind}: WHO WHEN WHERE' for one in open_ if one.corpus == name)}}}"
            for name in names
        ]
        named = " and ".join(names)
        return (
            f"Leave {named} out of the run, or ask the owner; where the owner permits it, say so in params.yaml: "
            f"publish: {{permits: {{{', '.join(lines)}}}}}"
        )


def verdict(held: Iterable[Held], part: Part, permits: Permits, *, synthetic: bool = True) -> Verdict:
    """Of all corpora of a release. synthetic: whether anything in the part was drawn."""
    every = list(held)
    kinds = [kind for kind in KINDS_OF[part] if kind != "synthetic" or synthetic]
    answers = [answer(one, kind, permits.get(one.corpus, {})) for kind in kinds for one in every]
    given = {(a.corpus, a.kind) for a in answers if a.permitted}
    bound = [one for one in every if (one.corpus, "synthetic") not in given]
    clash = conflicts(bound) if "synthetic" in kinds else ()
    uses = {kind: Use(meet(_terms(one, (one.corpus, kind) in given, kind) for one in every), ()) for kind in kinds}
    return Verdict(part, tuple(answers), clash, uses)


def answer(held: Held, kind: Kind, permits: Mapping[Part, str]) -> Answer:
    """Of one corpus. permits: what its owner permitted, in the user's words."""
    text = held.expression.text
    if held.free:
        return Answer(held.corpus, text, kind, "yes", "made up: none of its samples is of a person")
    by_user = permits.get(kind) if kind != "real" else None
    if by_user is not None:
        return Answer(held.corpus, text, kind, "yes", f"permitted by its owner, says the publisher: {by_user}", True)
    says, why = "yes", []
    for name in held.expression.chosen:
        own, because = _of_licence(held, name)
        if own != "yes":
            because = f"{name}, {because}" if len(held.expression.chosen) > 1 else because
        why.append((own, because))
        says = max(says, own, key=_ORDER.index)
    return Answer(held.corpus, text, kind, says, "; ".join(w for own, w in why if own == says))  # type: ignore[arg-type]


def _of_licence(held: Held, name: str) -> tuple[Says, str]:
    clause = clause_of(name)
    if name in held.expression.unknown and held.passes:
        return "yes", "its card lets it be redistributed (may_redistribute)"
    if clause.says == "yes" and not held.passes and not clause.content:
        return "unknown", (
            f"{clause.sentence}; but its card holds its samples back (may_redistribute), and a licence of code or of a "
            "database gives no rights in samples that are somebody else's"
        )
    return clause.says, clause.sentence


def _terms(held: Held, permitted: bool, kind: Kind) -> Terms:
    if not permitted:
        return held.terms
    duties = (held.terms.must - {"agreement"}) | {"credit"}
    return Terms(frozenset({kind}), frozenset(duties))  # type: ignore[arg-type]
