"""Named split views: a name is the whole recipe, so a view can be rebuilt, compared and named in a release.

official                     what the corpus publishes
group                        each group in one split, 60/20/20, stratified (corpora/splits/splits.py)
disjoint-subject+session     the same, and each subject and session in one split (units: see UNITS)
group-k5-fold3               fold 3 of 5 is test, the others train; also disjoint-subject-k5-fold3
loso-<subject>               one subject is test, all others train
leave-session-<session>      one session is test
leave-corpus-<corpus>        one of several corpora is test
<any>-groups4                train holds 4 of its groups (of components, with units); dev and test as they were
<any>-inner2of5              the train split of <any> alone: its fold 2 of 5 is dev, the rest train; all else absent
<any>-prune-fear10           10 % of fear stay in train, drawn at random; -prunegroups-fear10: whole groups lose it
<any>-seed7                  another draw of folds, groups and of what is pruned
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from corpora.errors import SplitError, UnknownNameError
from corpora.fingerprint import hash_json
from corpora.labels import EMOTIONS

STRATEGIES = ("official", "group", "disjoint", "kfold", "loso", "leave-session", "leave-corpus")
UNITS = ("subject", "session", "recording", "sentence")
HELD_COLUMNS = {
    "loso": "subject_id",
    "leave-session": "session_id",
    "leave-corpus": "corpus",
}  # column of what is left out
MAX_FOLDS = 99_999  # more digits are no name of a view
MAX_GROUPS = 999_999
MAX_SEED = 10**18
INNER = 5  # inner folds where neither the name nor an outer k says how many
_NAME = re.compile(
    r"(?P<base>official|group|disjoint-[a-z+]+?|loso-.+?|leave-session-.+?|leave-corpus-.+?)"
    r"(?:-k(?P<k>\d{1,5})-fold(?P<fold>\d{1,5}))?"
    r"(?:-groups(?P<groups>\d{1,6}))?"
    r"(?:-inner(?P<inner>\d{1,5})(?:of(?P<inner_k>\d{1,5}))?)?"
    r"(?P<prune>(?:-prune(?:groups)?-[a-z_]+\d+(?:\.\d+)?)*)"
    r"(?:-seed(?P<seed>\d{1,18}))?"
)
_PRUNE = re.compile(r"-prune(?P<groups>groups)?-(?P<emotion>[a-z_]+)(?P<percent>\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Prune:
    """Keep `percent` of a class in train; `groups`: whole groups lose the class until about that many are left."""

    emotion: str
    percent: float
    groups: bool = False

    def __str__(self) -> str:
        return f"prune{'groups' if self.groups else ''}-{self.emotion}{self.percent:g}"


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """The recipe of a view. `name` is canonical: equal specs have equal names, and a name gives its spec back.

    `units`: what stays in one split besides the group. `held`: id of the subject, session or corpus that is left out.
    `k`, `fold` (1 ... k) of the strategy kfold. `groups`: how many of its groups train holds; None: all. `inner`,
    `inner_k`: a fold inside train (inside those groups), for tuning.
    Raises `SplitError` for what does not fit together.
    """

    strategy: str = "group"
    units: tuple[str, ...] = ()
    held: str | None = None
    k: int | None = None
    fold: int | None = None
    groups: int | None = None
    inner: int | None = None
    inner_k: int | None = None
    prune: tuple[Prune, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise UnknownNameError.of("split strategy", self.strategy, STRATEGIES)
        for unit in self.units:
            if unit not in UNITS:
                raise UnknownNameError.of("unit of a split", unit, UNITS)
        if self.inner is not None and self.inner_k is None:
            object.__setattr__(self, "inner_k", self.k or INNER)
        object.__setattr__(self, "units", tuple(sorted(set(self.units))))
        object.__setattr__(self, "prune", tuple(sorted(self.prune, key=lambda p: p.emotion)))
        self._check()

    def _check(self) -> None:
        given = {name for name in ("held", "k", "fold") if getattr(self, name) is not None}
        wanted = {"held"} if self.strategy in HELD_COLUMNS else {"k", "fold"} if self.strategy == "kfold" else set()
        if given != wanted:
            raise SplitError(
                f"split strategy {self.strategy!r} needs {_listed(wanted)}, and {_listed(given) or 'nothing'} is given"
                if wanted
                else f"split strategy {self.strategy!r} takes no {_listed(given)}"
            )
        if bool(self.units) != (self.strategy == "disjoint") and self.strategy != "kfold":
            raise SplitError("units belong to the strategies disjoint (at least one) and kfold")
        for fold, k, what in ((self.fold, self.k, "fold"), (self.inner, self.inner_k, "inner fold")):
            if k is not None and (not 2 <= k <= MAX_FOLDS or fold is None or not 1 <= fold <= k):
                raise SplitError(f"{what} {fold} of {k}: k must be in 2 ... {MAX_FOLDS} and the fold in 1 ... k")
        if self.groups is not None and not 1 <= self.groups <= MAX_GROUPS:
            raise SplitError(f"train of {self.groups} groups: must be in 1 ... {MAX_GROUPS}")
        for part in self.prune:
            if part.emotion not in EMOTIONS:
                raise UnknownNameError.of("class to prune", part.emotion, EMOTIONS)
            if not 0 < part.percent <= 100:
                raise SplitError(f"prune {part.emotion} to {part.percent:g} %: must be above 0 and at most 100")
        if len({part.emotion for part in self.prune}) < len(self.prune):
            raise SplitError("a class is pruned twice in one view")
        if not 0 <= self.seed < MAX_SEED:
            raise SplitError(f"seed {reprlib.repr(self.seed)} must be in 0 ... {MAX_SEED - 1}")
        if self.held is not None and _parsed(self.name)["base"] != self._base():
            raise SplitError(
                f"the id {self.held!r} ends like a part of a view's name ({self.name!r}); link it under another"
            )

    def _base(self) -> str:
        if self.strategy in HELD_COLUMNS:
            return f"{self.strategy}-{self.held}"
        if self.units:
            return "disjoint-" + "+".join(self.units)
        return "group" if self.strategy == "kfold" else self.strategy

    @property
    def name(self) -> str:
        """The canonical name, e.g. "group-k5-fold1-inner2-prune-fear25"; `parse` gives the spec back."""
        parts = [self._base()]
        if self.k is not None:
            parts.append(f"k{self.k}-fold{self.fold}")
        if self.groups is not None:
            parts.append(f"groups{self.groups}")
        if self.inner is not None:
            parts.append(f"inner{self.inner}" + ("" if self.inner_k == (self.k or INNER) else f"of{self.inner_k}"))
        parts += [str(part) for part in self.prune]
        if self.seed:
            parts.append(f"seed{self.seed}")
        return "-".join(parts)

    @property
    def outer(self) -> ViewSpec:
        """The view that this one is derived from: of all groups, without inner fold and pruning."""
        return ViewSpec(self.strategy, self.units, self.held, self.k, self.fold, seed=self.seed)

    @classmethod
    def parse(cls, name: str) -> ViewSpec:
        """Raises `SplitError` for a name that is none, with the forms that are."""
        parts = _parsed(name)
        base: str = parts["base"]
        strategy = base
        held: str | None = None
        units: tuple[str, ...] = ()
        for kind in HELD_COLUMNS:
            if base.startswith(kind + "-"):
                strategy, held = kind, base.removeprefix(kind + "-")
        if base.startswith("disjoint-"):
            strategy, units = "disjoint", tuple(base.removeprefix("disjoint-").split("+"))
        numbers = {
            key: int(parts[key]) for key in ("k", "fold", "groups", "inner", "inner_k") if parts[key] is not None
        }
        if "k" in numbers:
            if strategy not in ("group", "disjoint"):
                raise SplitError(f"view {name!r}: folds are cut from group or disjoint-..., not from {base!r}")
            strategy = "kfold"
        prune = tuple(
            Prune(m["emotion"], float(m["percent"]), m["groups"] is not None) for m in _PRUNE.finditer(parts["prune"])
        )
        return cls(strategy, units, held, prune=prune, seed=int(parts["seed"] or 0), **numbers)

    @classmethod
    def of(cls, given: str | Mapping[str, Any]) -> ViewSpec:
        """A name, or the fields: {strategy: kfold, k: 5, fold: 3, prune: {fear: 10}, prune_groups: {}}.

        Raises `SplitError` for an unknown field or a value of another type.
        """
        if isinstance(given, str):
            return cls.parse(given)
        fields = dict(given)
        prune: list[Prune] = []
        for key, groups in (("prune", False), ("prune_groups", True)):
            classes = fields.pop(key, None) or {}
            if not isinstance(classes, Mapping) or not all(isinstance(v, int | float) for v in classes.values()):
                raise SplitError(f"view: {key} is {classes!r}, expected class: percent")
            prune += [Prune(str(emotion), float(percent), groups) for emotion, percent in classes.items()]
        valid = {"strategy": str, "units": list, "held": str, "seed": int}
        valid |= dict.fromkeys(("k", "fold", "groups", "inner", "inner_k"), int)
        for key, value in fields.items():
            if key not in valid:
                raise UnknownNameError.of("field of a view", key, [*valid, "prune", "prune_groups"])
            if not isinstance(value, valid[key]) or isinstance(value, bool):
                raise SplitError(f"view: {key} is {value!r}, expected {valid[key].__name__}")
        fields["units"] = tuple(map(str, fields.get("units", ())))
        return cls(prune=tuple(prune), **fields)


def _listed(names: set[str]) -> str:
    return " and ".join(sorted(names))


def _parsed(name: str) -> dict[str, Any]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise SplitError(
            f"no view {name!r}. Views: official, group, disjoint-<unit>[+<unit>] ({', '.join(UNITS)}), loso-<subject>, "
            "leave-session-<session>, leave-corpus-<corpus>; then -k<k>-fold<n> (group, disjoint), -groups<n>, "
            "-inner<n>[of<k>], -prune-<class><percent>, -prunegroups-<class><percent>, -seed<n>, in this order"
        )
    return match.groupdict()


def view_hash(view: pa.Table) -> str:
    """64 hex digits over (sample_id, split) of all rows: equal for equal splits, whatever the view is called."""
    rows = sorted(zip(view["sample_id"].to_pylist(), view["split"].to_pylist(), strict=True))
    return hash_json(rows)
