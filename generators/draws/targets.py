"""How many samples each class, or each cell of corpus, subject and class, is to have. Pure arithmetic, no state.

Let n_c be the real train samples of class c, n_max those of the largest class, t_c the target; never t_c < n_c.

- majority:  t_c = n_max (1 + beyond), of the largest class as well: with beyond > 0 every class gains samples that are
             conversions of the others (docs/experiments/effects.md: it steadies kernel machines).
- number:    t_c = max(n_c, number).
- effective: t_c = n_c E(n_max) / E(n_c), with the effective number E(n) = (1 - beta^n) / (1 - beta) of Cui, Jia, Lin,
  Song & Belongie 2019 (CVPR, "Class-Balanced Loss Based on Effective Number of Samples", eq. 2). Their loss weights a
  sample of class c by 1 / E(n_c); t_c samples of each class give the classes the shares that those weights give them.
  As there, beta = 0 changes nothing and beta -> 1 is `majority`.
- tail:      t_c = n_c max(1, (fraction n_max / n_c)^power). power 1 raises each class below `fraction` of the head
  class to that share and leaves the others alone. power 0.5 is the repeat factor max(1, sqrt(t / f_c)) of Gupta, Dollar
  & Girshick 2019 (CVPR, "LVIS"), with the frequencies f_c taken relative to the head class and t = fraction.

A class without a sample stands in the last two formulas as if it had one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from corpora.errors import ParamsError

Policy = Literal["majority", "number", "effective", "tail"]
POLICIES: tuple[Policy, ...] = ("majority", "number", "effective", "tail")
Within = Literal["run", "corpus"]
Cells = Literal["class", "subject"]
BySubject = Mapping[str, Mapping[str | None, Mapping[str, int]]]  # corpus -> subject -> class -> train samples

ROUNDING = 1e-9  # relative; 0.07 * 100 is 7.000000000000001 and must not ask for 8 samples


@dataclass(frozen=True, slots=True)
class Cell:
    """What has a target of its own: a class of the run, of one corpus (`corpus`), or of one subject (`subject`).

    real: train samples. target: what real and synthetic together should come to. mixture: class and share of a soft
    label; `emotion` is then "", for a mixture is no class.
    """

    emotion: str
    corpus: str | None
    real: int
    target: int
    subject: str | None = None
    mixture: tuple[tuple[str, float], ...] = ()

    @property
    def lacking(self) -> int:
        """Synthetic samples that it is to get."""
        return self.target - self.real

    @property
    def named(self) -> str:
        """For people: "fear", "fear of meld", "fear of ravdess:01", "0.5 fear + 0.5 sadness"."""
        owner = self.subject or self.corpus
        return self.what if owner is None else f"{self.what} of {owner}"

    @property
    def what(self) -> str:
        """The same without its owner: the class, or "0.5 fear + 0.5 sadness"."""
        return mixture_name(dict(self.mixture)) or self.emotion

    @property
    def classes(self) -> tuple[str, ...]:
        """The class, or those of the mixture."""
        return tuple(name for name, _ in self.mixture) or (self.emotion,)


def mixture_name(shares: Mapping[str, float]) -> str:
    """Class -> share, for people: "0.5 fear + 0.5 sadness"; "" for none."""
    return " + ".join(f"{share:g} {name}" for name, share in sorted(shares.items()))


def effective_number(n: int, beta: float) -> float:
    """(1 - beta^n) / (1 - beta): what n samples are worth when they overlap. Cui et al. 2019, eq. 2; beta = 1: n.

    >>> round(effective_number(1000, 0.999), 1)
    632.3
    """
    if beta >= 1.0:
        return float(n)
    if beta == 0.0 or n == 0:
        return float(n > 0)
    return -math.expm1(n * math.log(beta)) / (1.0 - beta)  # expm1: beta^n is near 1 where beta is


def targets(
    counts: Mapping[str, int],
    policy: Policy = "majority",
    *,
    number: int | None = None,
    beta: float = 0.999,
    fraction: float = 0.5,
    power: float = 1.0,
    beyond: float = 0.0,
) -> dict[str, int]:
    """Real train samples of each class -> samples that it should have, real and synthetic together; never fewer than
    real, and more than the largest class has only by `number` and `beyond`. See the module. Raises `ParamsError` for
    what cannot be.

    >>> targets({"happiness": 1000, "fear": 40}, "effective", beta=0.999)
    {'happiness': 1000, 'fear': 645}
    >>> targets({"happiness": 1000, "fear": 40}, "tail", fraction=0.3, power=0.5)  # 40 * sqrt(300 / 40)
    {'happiness': 1000, 'fear': 110}
    """
    if not counts:
        raise ParamsError("no classes to balance")
    for name, n in counts.items():
        if n < 0:
            raise ParamsError(f"class {name!r} has a count of {n}; counts are >= 0")
    largest = max(counts.values())
    if beyond and policy != "majority":
        raise ParamsError(f"target.beyond is {beyond:g}; it goes with policy 'majority' alone, not with {policy!r}")
    if not (math.isfinite(beyond) and beyond >= 0):
        raise ParamsError(f"target.beyond is {beyond!r}; wanted: a finite number >= 0")
    if policy == "majority":
        return dict.fromkeys(counts, math.ceil(largest * (1.0 + beyond) * (1.0 - ROUNDING)))
    if policy == "number":
        if number is None or number < 1:
            raise ParamsError(f"target.number is {number!r}; policy 'number' wants an integer >= 1")
        return {name: max(n, number) for name, n in counts.items()}
    if policy == "effective":
        if not 0.0 <= beta < 1.0:
            raise ParamsError(f"target.beta is {beta!r}; policy 'effective' wants 0 <= beta < 1")
        worth = effective_number(largest, beta)
        wanted = {c: max(n, 1) * (worth / effective_number(max(n, 1), beta)) for c, n in counts.items()}
    elif policy == "tail":
        if not 0.0 < fraction <= 1.0:
            raise ParamsError(f"target.fraction is {fraction!r}; policy 'tail' wants 0 < fraction <= 1")
        if not 0.0 < power <= 1.0:
            raise ParamsError(f"target.power is {power!r}; policy 'tail' wants 0 < power <= 1")
        share = fraction * largest
        wanted = {c: max(n, 1) * (share / max(n, 1)) ** power if n < share else n for c, n in counts.items()}
    else:
        raise ParamsError(f"target.policy is {policy!r}; use one of {', '.join(POLICIES)}")
    return {c: max(n, min(largest, math.ceil(wanted[c] * (1.0 - ROUNDING)))) for c, n in counts.items()}


def cells(
    classes: Sequence[str],
    counts: Mapping[str, int],
    by_corpus: Mapping[str, Mapping[str, int]],
    *,
    within: Within = "run",
    cells: Cells = "class",
    by_subject: BySubject | None = None,
    **policy: Any,
) -> list[Cell]:
    """The cells to fill, in the order of the classes, then of the corpora, then of the subjects' ids. `counts`: class
    -> train samples of the run; `by_corpus`: corpus -> class -> the same; `policy`: as `targets` takes it.

    within corpus: each corpus is balanced on its own. A class that a corpus does not have stays empty there: nothing of
    that corpus shows how it sounds or looks. cells subject: each subject is balanced on its own over the classes of the
    run (of the subject's corpus, with `within: corpus`), those that the subject never showed among them. Samples of
    nobody known are left as they are. Raises `ParamsError` where no subject is known at all.
    """
    if cells == "subject":
        return _subject_cells(classes, by_corpus, by_subject or {}, within, policy)
    if within == "run":
        wanted = targets(counts, **policy)
        return [Cell(c, None, counts[c], wanted[c]) for c in classes]
    present = {name: {c: n for c, n in by.items() if n > 0} for name, by in by_corpus.items()}
    aims = {name: targets(by, **policy) if by else {} for name, by in present.items()}
    return [Cell(c, name, present[name][c], aims[name][c]) for c in classes for name in by_corpus if c in present[name]]


def _subject_cells(
    classes: Sequence[str],
    by_corpus: Mapping[str, Mapping[str, int]],
    by_subject: BySubject,
    within: Within,
    policy: Mapping[str, Any],
) -> list[Cell]:
    rows: list[tuple[str, str | None, str | None, dict[str, int], dict[str, int]]] = []
    for corpus, subjects in by_subject.items():
        in_corpus = [c for c in classes if by_corpus.get(corpus, {}).get(c, 0) > 0]
        owner = corpus if within == "corpus" else None
        for subject in sorted(subjects, key=lambda s: (s is None, s or "")):
            own = {c: subjects[subject].get(c, 0) for c in (in_corpus if within == "corpus" else classes)}
            aims = own if subject is None or not any(own.values()) else targets(own, **policy)
            rows.append((corpus, owner, subject, own, aims))
    if not any(subject is not None for _, _, subject, _, _ in rows):
        raise ParamsError(
            "target.cells is 'subject', but no train sample names its subject (the corpora know none); use cells: class"
        )
    return [
        Cell(c, owner if subject is not None else corpus, own[c], aims[c], subject)
        for c in classes
        for corpus, owner, subject, own, aims in rows
        if c in own and (subject is not None or own[c])
    ]


def require_sources(name: str, kind: Any) -> None:
    """Raises `ParamsError` where generator class `kind` takes no source: then there is nothing of which each serves
    once, and weights would make many samples of one generator out of nothing."""
    if not getattr(kind, "takes", ()):
        raise ParamsError(
            f"target.by is 'weight', which lets each sample of another class serve once as a source, and generator "
            f"{name!r} takes no source. Use a conversion (transfer), or by: count"
        )


def require_subjects(name: str, kind: Any, params: Mapping[str, Any]) -> None:
    """Raises `ParamsError` where generator class `kind` cannot fill a subject's cells.

    It can where it converts (a cell's sources are that subject's own samples), or where it honours "subject": its draws
    then carry one in `Condition.given`. To draw anybody and write a name on it would be a fake.
    """
    honoured = kind.can_honour(params) if hasattr(kind, "can_honour") else ()
    if not getattr(kind, "takes", ()) and "subject" not in honoured:
        raise ParamsError(
            f"target.cells is 'subject', and generator {name!r} makes samples of nobody in particular: it takes no "
            "source and does not honour a subject. Use a conversion (transfer), a generator that honours one, or "
            "cells: class"
        )
