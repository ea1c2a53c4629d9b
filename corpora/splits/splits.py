"""Split views as tables (SPLITS): which sample is train, dev or test. Each group (speaker, dialogue ...) is in one.

A view that cannot exist is an error that says why; there is no silent second best. Names of views:
corpora/splits/views.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import SplitError
from corpora.schema import SPLIT_NAMES, SPLITS
from corpora.splits.few import few_groups
from corpora.splits.stratify import Learners, stratified
from corpora.splits.views import HELD_COLUMNS, Prune, ViewSpec

RATIOS = {"train": 0.6, "dev": 0.2, "test": 0.2}
_SHOWN = 12  # ids that an error lists


def make_view(
    index: pa.Table,
    spec: ViewSpec | str,
    *,
    ratios: Mapping[str, float] = RATIOS,
    outer: pa.Table | None = None,
) -> pa.Table:
    """The view `spec` over an index (SAMPLES, of one corpus or of several joined), as SPLITS rows sorted by sample id.

    `outer`: rows of the view of all groups, without inner fold and pruning, where they exist already (what ingest
    wrote): then a pruned `group` has the dev and test of `group`. Deterministic in (index, spec, ratios), whatever the
    order of rows.

    Raises `SplitError`: the view cannot exist, and why.
    """
    spec = ViewSpec.parse(spec) if isinstance(spec, str) else spec
    if index.num_rows == 0:
        raise SplitError("the index holds no samples, there is nothing to split")
    index = index.select([c for c in _COLUMNS if c in index.column_names]).sort_by("sample_id")
    view = outer if outer is not None else _outer(index, spec, ratios)
    split_of = dict(zip(view["sample_id"].to_pylist(), view["split"].to_pylist(), strict=True))
    ids = index["sample_id"].to_pylist()
    if spec.groups is not None:
        for gone in _beyond_few(index, split_of, spec, spec.groups):
            del split_of[gone]
    if spec.inner is not None and spec.inner_k is not None:
        train = index.filter(pa.array([split_of.get(i) == "train" for i in ids], pa.bool_()))
        seed = [spec.seed, 1, spec.fold or 0]
        folds = _folds(train, spec, spec.inner_k, seed)
        held = dict(zip(train["sample_id"].to_pylist(), (folds == spec.inner - 1).tolist(), strict=True))
        split_of = {i: "dev" if is_held else "train" for i, is_held in held.items()}
    for part in spec.prune:
        for gone in pruned_ids(index, split_of, part, seed=spec.seed, view=spec.name):
            del split_of[gone]
    kept = [i for i in ids if i in split_of]
    return _table(spec.name, np.array(kept, dtype=object), np.array([split_of[i] for i in kept], dtype=object))


_COLUMNS = (
    *("sample_id", "corpus", "subject_id", "group_id", "session_id", "recording_id", "sentence_id", "emotion"),
    *("gender", "extra"),
)


def _outer(index: pa.Table, spec: ViewSpec, ratios: Mapping[str, float]) -> pa.Table:
    if spec.strategy == "official":
        view = official_view(index)
        if view is None:
            raise SplitError("view 'official': the corpus publishes no split")
        return view
    if spec.strategy in ("group", "disjoint"):
        return _stratified_view(index, spec.outer.name, spec.units, ratios, [spec.seed])
    ids = np.array(index["sample_id"].to_pylist(), dtype=object)
    if spec.strategy == "kfold" and spec.k is not None and spec.fold is not None:
        test = _folds(index, spec, spec.k, [spec.seed, 0]) == spec.fold - 1
    else:
        test = _held(index, spec)
    return _table(spec.outer.name, ids, np.where(test, "test", "train").astype(object))


def _folds(index: pa.Table, spec: ViewSpec, k: int, seed: list[int]) -> np.ndarray:
    """[N] fold 0 ... k - 1 of each row, stratified; a unit is in one fold."""
    names = [f"fold{n + 1}" for n in range(k)]
    where, _ = _assigned(index, spec.name, spec.units, dict.fromkeys(names, 1.0), seed, folds=True)
    return where


def _held(index: pa.Table, spec: ViewSpec) -> np.ndarray:
    """[N] bool: rows of what is left out. An id may be given without its corpus where that is not ambiguous."""
    column = HELD_COLUMNS[spec.strategy]
    what = column.removesuffix("_id")
    have = index[column].to_pylist()
    known = sorted({value for value in have if value is not None})
    if None in have and not known:
        raise SplitError(f"view {spec.name!r}: the corpus knows no {what}s, so none can be left out")
    if len(known) < 2:
        raise SplitError(f"view {spec.name!r}: there is only one {what} ({known[0]}); leaving it out leaves no train")
    chosen = [v for v in known if v == spec.held] or [v for v in known if v.partition(":")[2] == spec.held]
    if len(chosen) != 1:
        shown = ", ".join(known[:_SHOWN]) + (f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else "")
        why = "is in several corpora; name it with its corpus" if chosen else "is not there"
        raise SplitError(f"view {spec.name!r}: {what} {spec.held!r} {why}. Known: {shown}")
    return np.array([value == chosen[0] for value in have])


def view_names(index: pa.Table, strategy: str, *, k: int | None = None) -> list[str]:
    """All views of a leave-one-out strategy or of `kfold`, to loop over. Raises `SplitError` as `make_view` does."""
    if strategy == "kfold" and k is not None:
        return [ViewSpec("kfold", k=k, fold=fold).name for fold in range(1, k + 1)]
    if strategy not in HELD_COLUMNS:
        raise SplitError(f"strategy {strategy!r} is one view; several have: kfold (give k), {', '.join(HELD_COLUMNS)}")
    held = sorted({value for value in index[HELD_COLUMNS[strategy]].to_pylist() if value is not None})
    specs = [ViewSpec(strategy, held=value) for value in held] or [ViewSpec(strategy, held="?")]
    _held(index, specs[0])
    return [spec.name for spec in specs]


def pruned_ids(index: pa.Table, split_of: Mapping[str, str], part: Prune, *, seed: int, view: str) -> list[str]:
    """Ids that leave train. Ordered by a hash of id and seed, so what 10 % keep is a part of what 20 % keep.

    index: with sample_id, group_id and emotion, of whatever label scheme; split_of: id -> split. Raises `SplitError`
    that names the `view` where train has no sample of the class.
    """
    rows = [
        (i, group)
        for i, group, emotion in zip(*(index[c].to_pylist() for c in ("sample_id", "group_id", "emotion")), strict=True)
        if emotion == part.emotion and split_of.get(i) == "train"
    ]
    if not rows:
        raise SplitError(f"view {view!r}: train has no sample of {part.emotion!r} to prune")
    wanted = max(1, round(len(rows) * part.percent / 100))

    def rank(name: str) -> bytes:
        return hashlib.sha256(f"{seed}:{part.emotion}:{name}".encode()).digest()

    if not part.groups:
        return sorted((i for i, _ in rows), key=rank)[wanted:]
    of_group: dict[str, list[str]] = {}
    for i, group in rows:
        of_group.setdefault(group, []).append(i)
    gone, kept = [], 0
    for group in sorted(of_group, key=rank):
        # the group that passes the mark stays if that is nearer to it than leaving it out
        if kept and kept + len(of_group[group]) / 2 > wanted:
            gone += of_group[group]
        else:
            kept += len(of_group[group])
    return gone


def _beyond_few(index: pa.Table, split_of: Mapping[str, str], spec: ViewSpec, n: int) -> list[str]:
    """Ids that leave train because their group is none of the n that stay."""
    train = index.filter(pa.array([split_of.get(i) == "train" for i in index["sample_id"].to_pylist()], pa.bool_()))
    names = _connected(train, spec.name, spec.units) if spec.units else train["group_id"].to_pylist()
    groups, group_of = np.unique(np.array(names, dtype=str), return_inverse=True)
    if n > len(groups):
        whole = " and ".join(("group", *spec.units))
        raise SplitError(
            f"view {spec.name!r}: train has {len(groups)} of what is kept whole ({whole}), {n} cannot stay in it"
        )
    counts, learned = _strata(train, group_of, len(groups))
    rng = np.random.default_rng([spec.seed, 2, spec.fold or 0, len(groups)])
    stays = np.isin(group_of, few_groups(counts, learned, n, rng))
    return [i for i, stay in zip(train["sample_id"].to_pylist(), stays.tolist(), strict=True) if not stay]


def group_view(index: pa.Table, ratios: Mapping[str, float], seed: int, view: str = "group") -> pa.Table:
    """Group-disjoint, stratified splits (schema SPLITS): shares of samples near `ratios`, of each class and in all.

    A class with enough groups is in every split, and with one more than that train holds two of them, so that judges
    can be asked about people whom they have not met; genders (and corpora, where there are several) count like classes.
    Deterministic in (index, ratios, seed).

    Raises `SplitError`: no samples, fewer groups than splits, or a class with one sample or in one group only.
    """
    return _stratified_view(index, view, (), ratios, [seed])


def _stratified_view(
    index: pa.Table, view: str, units: tuple[str, ...], ratios: Mapping[str, float], seed: list[int]
) -> pa.Table:
    wanted = {name: float(ratios.get(name, 0.0)) for name in SPLIT_NAMES if ratios.get(name, 0.0) > 0}
    where, ids = _assigned(index, view, units, wanted, seed)
    return _table(view, ids, np.array(list(wanted), dtype=object)[where])


def _assigned(
    index: pa.Table,
    view: str,
    units: tuple[str, ...],
    wanted: Mapping[str, float],
    seed: list[int],
    *,
    folds: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """-> ([N] split of each row as a number, [N] sample ids). `wanted`: split -> share; with `folds` each is a fold,
    and whoever learns reads all the others."""
    ids = np.array(index["sample_id"].to_pylist(), dtype=object)
    if len(ids) == 0:
        raise SplitError("the index holds no samples, there is nothing to split")
    shares = np.array(list(wanted.values())) / sum(wanted.values())
    names = _components(index, view, units, shares) if units else index["group_id"].to_pylist()
    groups, group_of = np.unique(np.array(names, dtype=str), return_inverse=True)
    classes, class_of = _coded(index, "emotion")
    _feasible(view, groups, classes, _count(group_of, class_of, len(groups), len(classes)), list(wanted))
    counts, learned = _strata(index, group_of, len(groups))
    learners = Learners.of_folds(len(wanted), learned) if folds else Learners.of_train(list(wanted), learned)
    return stratified(counts, shares, np.random.default_rng([*seed, len(groups)]), learners)[group_of], ids


def _strata(index: pa.Table, group_of: np.ndarray, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """[N] group of each row -> [G, K] samples by class, and by gender and corpus where there are several of them;
    [K] bool, which of these are classes."""
    classes, class_of = _coded(index, "emotion")
    counts = _count(group_of, class_of, n_groups, len(classes))
    for column in ("gender", "corpus"):
        values, value_of = _coded(index, column)
        if len(values) > 1:
            counts = np.hstack([counts, _count(group_of, value_of, n_groups, len(values))])
    return counts, np.concatenate([classes != "", np.zeros(counts.shape[1] - len(classes), bool)])


def _coded(index: pa.Table, column: str) -> tuple[np.ndarray, np.ndarray]:
    """-> sorted values ("" for null) and the number of each row's."""
    values = np.array([v if v is not None else "" for v in index[column].to_pylist()], dtype=str)
    names, number = np.unique(values, return_inverse=True)
    return names, number


def _components(index: pa.Table, view: str, units: tuple[str, ...], shares: np.ndarray) -> list[str]:
    """Name of each row's component: rows that share a group or one of `units` are connected, and so on.

    Raises `SplitError` if one component is so big that the other splits cannot get half of what they should have.
    """
    names, n = _connected(index, view, units), index.num_rows
    components, sizes = np.unique(np.array(names, dtype=str), return_counts=True)
    biggest, others = int(sizes.max()), n - int(sizes.max())
    if len(components) < len(shares) or others < n * (1 - shares.max()) / 2:
        whole = " and ".join(("group", *units))
        raise SplitError(
            f"view {view!r} cannot exist: with every {whole} in one split the {n} samples form {len(components)} "
            f"component(s), and the biggest holds {biggest} of them ({biggest / n:.1%}); {others} are left for the "
            "other splits. Name fewer units, or take the view `group`, whose audit lists what its splits share."
        )
    return names


def _connected(index: pa.Table, view: str, units: tuple[str, ...]) -> list[str]:
    """Name of each row's component, however many there are: the first of its sample ids."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = index.num_rows
    rows, nodes, count = [], [], n
    for column in ("group_id", *(f"{unit}_id" for unit in units)):
        values = index[column].to_pylist()
        number = {value: count + i for i, value in enumerate(sorted({v for v in values if v is not None}))}
        if not number:
            raise SplitError(
                f"view {view!r}: the corpus knows no {column.removesuffix('_id')}s, so none can be kept whole"
            )
        rows += [i for i, value in enumerate(values) if value is not None]
        nodes += [number[value] for value in values if value is not None]
        count += len(number)
    graph = coo_array((np.ones(len(rows), bool), (rows, nodes)), shape=(count, count))
    label = connected_components(graph, directed=False)[1][:n]
    ids = index["sample_id"].to_pylist()
    first: dict[int, str] = {}
    for i, component in zip(ids, label.tolist(), strict=True):
        first[component] = min(first.get(component, i), i)
    return [first[component] for component in label.tolist()]


def _count(group_of: np.ndarray, stratum_of: np.ndarray, n_groups: int, n_strata: int) -> np.ndarray:
    """[N], [N] -> [G, K] samples."""
    counts = np.zeros((n_groups, n_strata))
    np.add.at(counts, (group_of, stratum_of), 1.0)
    return counts


def _feasible(view: str, groups: np.ndarray, classes: np.ndarray, counts: np.ndarray, splits: list[str]) -> None:
    if len(groups) < len(splits):
        raise SplitError(
            f"view {view!r}: {len(groups)} group(s) cannot fill {len(splits)} splits ({', '.join(splits)}): "
            "a group stays in one split. Add subjects, set a ratio to 0, or name another view."
        )
    for k, name in enumerate(classes):
        total, spread = int(counts[:, k].sum()), int((counts[:, k] > 0).sum())
        if name and (total == 1 or spread == 1):
            what = "one sample" if total == 1 else f"{total} samples, all in one group ({groups[counts[:, k] > 0][0]})"
            raise SplitError(
                f"view {view!r}: class {str(name)!r} has {what}; it cannot be in train and in test. Add samples "
                "of other subjects, or leave the class out: null for its labels in `label_map` of a card of yours, or "
                "its files taken out of the folder."
            )


def official_view(index: pa.Table) -> pa.Table | None:
    """The corpus' own split, view `official` (from `extra["official_split"]`), or None where it publishes none.

    Raises `SplitError` if only some samples have one.
    """
    splits = pc.map_lookup(index["extra"], pa.scalar("official_split"), "last")
    n, unknown = len(splits), splits.null_count
    if unknown == n:
        return None
    if unknown:
        raise SplitError(f"view 'official': {unknown} of {n} samples have no official split")
    ids, names = (np.array(column.to_pylist(), dtype=object) for column in (index["sample_id"], splits))
    return _table("official", ids, names)


def _table(view: str, ids: np.ndarray, splits: np.ndarray) -> pa.Table:
    """Rows sorted by sample id, so that a view does not depend on the order of the index."""
    order = np.argsort(ids.astype(str), kind="stable")
    columns = [
        pa.array([view] * len(ids), pa.string()),
        pa.array(ids[order].tolist(), pa.string()),
        pa.array(splits[order].tolist(), pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=SPLITS)
