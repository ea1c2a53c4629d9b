from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import SplitError, UnknownNameError
from corpora.readers import CORPORA, make_corpus
from corpora.readers.speech.ravdess import Ravdess
from corpora.schema import SAMPLES, SPLITS, Sample
from corpora.splits.splits import group_view, make_view, official_view, view_names
from corpora.splits.views import Prune, ViewSpec, view_hash
from corpora.store.shards import write_shards
from tests.work import calls_of

RATIOS = {"train": 0.6, "dev": 0.2, "test": 0.2}


def index_of(groups: list[str], emotions: list[str | None], **columns: list[object]) -> pa.Table:
    n = len(groups)
    given_ = {"group_id": groups, "emotion": emotions, "sample_id": [f"c/{i:06d}" for i in range(n)]} | columns
    empty: dict[object, object] = {pa.string(): "", pa.int64(): 0}
    return pa.Table.from_pydict(
        {f.name: given_.get(f.name, [None if f.nullable else empty[f.type]] * n) for f in SAMPLES},
        schema=SAMPLES,
    )


def splits_of(view: pa.Table) -> dict[str, str]:
    assert view.schema == SPLITS
    return dict(zip(view["sample_id"].to_pylist(), view["split"].to_pylist(), strict=True))


@settings(max_examples=25, deadline=None)
@given(st.integers(6, 25), st.integers(2, 5), st.integers(0, 2**31))
def test_no_group_is_parted_and_every_possible_class_is_everywhere(n_groups: int, n_classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, emotions = [], []
    for g in range(n_groups):
        for k in range(n_classes):
            n = int(rng.integers(1, 6))
            groups += [f"g{g}"] * n
            emotions += [f"e{k}"] * n
    index = index_of(groups, list(emotions))
    split = splits_of(group_view(index, RATIOS, seed=1))
    assert len(split) == len(groups)
    held: dict[str, set[str]] = defaultdict(set)
    reached: dict[str, set[str]] = defaultdict(set)
    for i, (group, emotion) in enumerate(zip(groups, emotions, strict=True)):
        held[group].add(split[f"c/{i:06d}"])
        reached[emotion].add(split[f"c/{i:06d}"])
    assert all(len(where) == 1 for where in held.values())
    assert all(where == set(RATIOS) for where in reached.values())


def test_search_finds_the_perfect_split_where_there_is_one() -> None:
    # 10 groups in 5 kinds of two; only a stratified split gives each class its shares
    groups = [f"g{g}" for g in range(10) for _ in range(12)]
    emotions: list[str | None] = [f"e{(g + i) % 3}" if i < 9 else "rare" for g in range(10) for i in range(12)]
    split = splits_of(group_view(index_of(groups, emotions), RATIOS, seed=0))
    counts = Counter((emotions[i], split[f"c/{i:06d}"]) for i in range(120))
    for emotion in {"e0", "e1", "e2", "rare"}:
        assert [counts[emotion, s] for s in RATIOS] == [18, 6, 6]


def test_greedy_keeps_shares_of_many_tiny_groups() -> None:
    rng = np.random.default_rng(0)
    n = 36_000
    groups = [f"g{g}" for g in rng.integers(0, 35_500, n)]
    emotions: list[str | None] = [f"e{k}" for k in rng.choice(7, n, p=[0.25, 0.2, 0.17, 0.15, 0.14, 0.075, 0.015])]
    index = index_of(groups, emotions)
    split = splits_of(group_view(index, RATIOS, seed=0))
    half = calls_of(lambda: group_view(index.slice(0, n // 2), RATIOS, seed=0))
    assert calls_of(lambda: group_view(index, RATIOS, seed=0)) < 2.2 * half, "no more than in proportion"
    counts = Counter((emotions[i], split[f"c/{i:06d}"]) for i in range(n))
    for k in range(7):
        total = sum(counts[f"e{k}", s] for s in RATIOS)
        for s, share in RATIOS.items():
            assert abs(counts[f"e{k}", s] / total - share) < 0.01


def test_view_depends_on_the_seed_and_not_on_the_order(tmp_path: Path) -> None:
    Ravdess().fake(tmp_path, subjects=8, per_class={"neutral": 16, "anger": 24}, seed=0)
    read = [s for s in Ravdess().read(tmp_path, "c") if isinstance(s, Sample)]
    index = write_shards(read, tmp_path / "x", 4, "x")
    view = group_view(index, RATIOS, seed=3)
    shuffled = index.take(np.random.default_rng(0).permutation(index.num_rows))
    assert view.equals(group_view(shuffled, RATIOS, seed=3))
    assert any(not view.equals(group_view(index, RATIOS, seed=s)) for s in range(4, 8))


def test_both_genders_are_in_every_split() -> None:
    groups = [f"g{g:02d}" for g in range(10) for _ in range(4)]
    genders = ["female" if g % 2 else "male" for g in range(10) for _ in range(4)]
    index = index_of(groups, ["a", "b", "a", "b"] * 10, gender=list(genders))
    for seed in range(5):
        split = splits_of(group_view(index, RATIOS, seed=seed))
        assert len({(genders[i], split[f"c/{i:06d}"]) for i in range(40)}) == 6


def test_a_ratio_of_zero_makes_two_splits() -> None:
    view = group_view(index_of(["a", "a", "b", "b"], ["x", "y"] * 2), {"train": 0.5, "dev": 0.0, "test": 0.5}, 0)
    assert set(view["split"].to_pylist()) == {"train", "test"}


@pytest.mark.parametrize(
    ("groups", "emotions", "why"),
    [
        ([], [], "no samples"),
        (["a"] * 6, ["x", "y"] * 3, r"1 group\(s\) cannot fill 3 splits"),
        (["a", "b"] * 3, ["x"] * 6, r"2 group\(s\)"),
        (["a", "b", "c", "d"], ["x", "x", "x", "rare"], "'rare' has one sample"),
        (["a", "b", "c", "d", "d"], ["x", "x", "x", "rare", "rare"], r"'rare' has 2 samples, all in one group \(d\)"),
    ],
)
def test_view_that_cannot_be_says_why(groups: list[str], emotions: list[str | None], why: str) -> None:
    with pytest.raises(SplitError, match=why):
        group_view(index_of(groups, emotions), RATIOS, 0)


def test_samples_without_a_class_are_split_too() -> None:
    index = index_of([f"g{i % 5}" for i in range(20)], ["x", None] * 10)
    assert len(splits_of(group_view(index, RATIOS, 0))) == 20


def test_official_view() -> None:
    extra = [[("official_split", s)] for s in ("train", "dev", "test")]
    index = index_of(["a", "b", "c"], ["x"] * 3, extra=list(extra))
    view = official_view(index)
    assert view is not None and view["split"].to_pylist() == ["train", "dev", "test"]
    assert set(view["view"].to_pylist()) == {"official"}
    assert official_view(index_of(["a"], ["x"])) is None
    with pytest.raises(SplitError, match="1 of 2"):
        official_view(index_of(["a", "b"], ["x"] * 2, extra=[extra[0], None]))


NAMES = {
    "official": ViewSpec("official"),
    "group": ViewSpec("group"),
    "group-seed7": ViewSpec("group", seed=7),
    "disjoint-session+subject": ViewSpec("disjoint", ("subject", "session")),
    "group-k5-fold3": ViewSpec("kfold", k=5, fold=3),
    "disjoint-subject-k4-fold1": ViewSpec("kfold", ("subject",), k=4, fold=1),
    "group-k5-fold3-inner2": ViewSpec("kfold", k=5, fold=3, inner=2),
    "group-k5-fold3-inner2of4": ViewSpec("kfold", k=5, fold=3, inner=2, inner_k=4),
    "group-groups4": ViewSpec("group", groups=4),
    "loso-c:a-groups12-inner2of3-prune-fear10-seed1": ViewSpec(
        "loso", held="c:a", groups=12, inner=2, inner_k=3, prune=(Prune("fear", 10),), seed=1
    ),
    "disjoint-subject-k4-fold1-groups2": ViewSpec("kfold", ("subject",), k=4, fold=1, groups=2),
    "official-inner1": ViewSpec("official", inner=1, inner_k=5),
    "loso-meld:Dr. Green, Rob-Roy": ViewSpec("loso", held="meld:Dr. Green, Rob-Roy"),
    "loso-c:a-inner2of3-prune-fear10-seed1": ViewSpec(
        "loso", held="c:a", inner=2, inner_k=3, prune=(Prune("fear", 10),), seed=1
    ),
    "leave-session-iemocap:Ses01": ViewSpec("leave-session", held="iemocap:Ses01"),
    "leave-corpus-tess": ViewSpec("leave-corpus", held="tess"),
    "group-prune-disgust2.5-prunegroups-fear10": ViewSpec(
        "group", prune=(Prune("fear", 10, groups=True), Prune("disgust", 2.5))
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_and_its_spec_give_each_other(name: str) -> None:
    assert NAMES[name].name == name
    assert ViewSpec.parse(name) == NAMES[name]


def test_fields_of_params_make_the_same_spec_as_a_name() -> None:
    given_ = {"strategy": "kfold", "k": 5, "fold": 3, "inner": 2, "prune": {"fear": 10}, "prune_groups": {"anger": 50}}
    assert ViewSpec.of(given_).name == "group-k5-fold3-inner2-prunegroups-anger50-prune-fear10"
    assert ViewSpec.of({"strategy": "group", "groups": 4, "seed": 2}).name == "group-groups4-seed2"
    assert ViewSpec.of({"strategy": "disjoint", "units": ["subject", "session"]}).name == "disjoint-session+subject"
    assert ViewSpec.of("loso-a") == ViewSpec.of({"strategy": "loso", "held": "a"})


@pytest.mark.parametrize(
    ("given_", "why"),
    [
        ("grupo", "no view 'grupo'"),
        ("official-k5-fold1", "folds are cut from group or disjoint"),
        ("group-k5-fold6", "fold 6 of 5"),
        ("group-k1-fold1", "fold 1 of 1"),
        ("group-prune-fear0", "above 0"),
        ("group-groups0", "train of 0 groups: must be in 1"),
        ("group-inner2-groups4", "no view 'group-inner2-groups4'"),
        ({"strategy": "group", "groups": -1}, "train of -1 groups"),
        ({"strategy": "group", "groups": "4"}, "groups is '4', expected int"),
        ({"strategy": "loso", "held": "c:x-groups3"}, "ends like a part"),
        ("group-prune-fear10-prune-fear20", "pruned twice"),
        ("group-prune-fearr10", "Did you mean 'fear'"),
        ("disjoint-sbject", "Did you mean 'subject'"),
        ({"strategy": "kfold", "k": 5}, "needs fold and k"),
        ({"strategy": "group", "k": 5}, "takes no k"),
        ({"strategy": "loso"}, "needs held"),
        ({"strategy": "disjoint"}, "units belong"),
        ({"strategy": "kfolds"}, "Did you mean 'kfold'"),
        ({"strategy": "kfold", "k": "5", "fold": 1}, "k is '5', expected int"),
        ({"strategy": "group", "prune": {"fear": "much"}}, "class: percent"),
        ({"strategi": "group"}, "Did you mean 'strategy'"),
        ({"strategy": "loso", "held": "c:x-seed3"}, "ends like a part"),
    ],
)
def test_a_spec_that_is_none_says_why(given_: object, why: str) -> None:
    with pytest.raises((SplitError, UnknownNameError), match=why):
        ViewSpec.of(given_)  # type: ignore[arg-type]


def people(n: int = 10, per: int = 12, corpora: int = 1, **columns: list[object]) -> pa.Table:
    """n subjects of `per` samples, 3 classes, two sessions a subject pair, shared by `corpora` corpora."""
    who = [s for s in range(n) for _ in range(per)]
    corpus = [f"c{s % corpora}" for s in who]
    subjects = [f"{c}:s{s:02d}" for c, s in zip(corpus, who, strict=True)]
    return index_of(
        list(subjects),
        [("anger", "fear", "neutral")[i % 3] for i in range(n * per)],
        corpus=list(corpus),
        subject_id=list(subjects),
        session_id=[f"{c}:ses{s // 2}" for c, s in zip(corpus, who, strict=True)],
        **columns,
    )


def test_folds_part_nobody_and_everybody_is_tested_once() -> None:
    index = people(20)
    group = dict(zip(index["sample_id"].to_pylist(), index["group_id"].to_pylist(), strict=True))
    tested: Counter[str] = Counter()
    for name in view_names(index, "kfold", k=5):
        split = splits_of(make_view(index, name))
        assert set(split) == set(group) and set(split.values()) == {"train", "test"}
        held = {group[i] for i, s in split.items() if s == "test"}
        assert not held & {group[i] for i, s in split.items() if s == "train"} and len(held) == 4
        tested.update(i for i, s in split.items() if s == "test")
    assert set(tested.values()) == {1} and len(tested) == index.num_rows


def test_inner_folds_lie_in_train_and_know_nothing_else() -> None:
    index = people(20)
    group = dict(zip(index["sample_id"].to_pylist(), index["group_id"].to_pylist(), strict=True))
    outer = splits_of(make_view(index, "group-k5-fold3"))
    train = {i for i, s in outer.items() if s == "train"}
    held: Counter[str] = Counter()
    for fold in range(1, 5):
        inner = splits_of(make_view(index, f"group-k5-fold3-inner{fold}of4"))
        assert set(inner) == train and set(inner.values()) == {"train", "dev"}
        dev = {i for i, s in inner.items() if s == "dev"}
        assert not {group[i] for i in dev} & {group[i] for i in train - dev}
        held.update(dev)
    assert set(held.values()) == {1} and set(held) == train


def test_leave_one_out_leaves_each_out_once() -> None:
    index = people(6, corpora=2)
    for strategy, column, n in (
        ("loso", "subject_id", 6),
        ("leave-session", "session_id", 6),
        ("leave-corpus", "corpus", 2),
    ):
        of = dict(zip(index["sample_id"].to_pylist(), index[column].to_pylist(), strict=True))
        names = view_names(index, strategy)
        assert len(names) == n
        for name in names:
            split = splits_of(make_view(index, name))
            tested = {i for i, s in split.items() if s == "test"}
            assert set(split) == set(of) and tested == {i for i, v in of.items() if name.endswith("-" + v)}
            assert {split[i] for i in set(of) - tested} == {"train"}
    assert make_view(index, "loso-s00")["split"].equals(make_view(index, "loso-c0:s00")["split"])
    with pytest.raises(SplitError, match=r"subject 'c0:s99' is not there. Known: c0:s00, c0:s02"):
        make_view(index, "loso-c0:s99")
    with pytest.raises(SplitError, match=r"only one corpus \(c0\)"):
        make_view(people(4), "leave-corpus-c0")
    with pytest.raises(SplitError, match="knows no subjects"):
        make_view(index_of(["a", "b"], ["anger"] * 2), "loso-a")


def test_the_same_short_name_in_two_corpora_is_not_guessed() -> None:
    index = people(4, corpora=2)
    at = index.schema.get_field_index("subject_id")
    same = [f"{c}:01" for c in index["corpus"].to_pylist()]
    index = index.set_column(at, SAMPLES.field("subject_id"), pa.array(same, pa.string()))
    with pytest.raises(SplitError, match="in several corpora"):
        make_view(index, "loso-01")


def test_pruning_keeps_its_share_of_one_class_in_train_alone() -> None:
    index = people(20, per=30)
    emotion = dict(zip(index["sample_id"].to_pylist(), index["emotion"].to_pylist(), strict=True))
    whole = splits_of(make_view(index, "group"))
    kept = {}
    for percent in (5, 20, 50):
        split = splits_of(make_view(index, f"group-prune-fear{percent}"))
        assert {i: s for i, s in whole.items() if s != "train" or emotion[i] != "fear"} == {
            i: s for i, s in split.items() if s != "train" or emotion[i] != "fear"
        }
        kept[percent] = {i for i, s in split.items() if s == "train" and emotion[i] == "fear"}
        of = sum(s == "train" and emotion[i] == "fear" for i, s in whole.items())
        assert len(kept[percent]) == round(of * percent / 100)
    assert kept[5] < kept[20] < kept[50]
    fear = sorted(i for i, s in whole.items() if s == "train" and emotion[i] == "fear")
    assert kept[20] != set(fear[: len(kept[20])])  # drawn, and not the first
    made = make_view(index, "group")
    other = splits_of(make_view(index, "group-prune-fear20-seed1", outer=made))
    assert {i for i, s in other.items() if s == "train" and emotion[i] == "fear"} != kept[20]
    with pytest.raises(SplitError, match="no sample of 'grief'"):
        make_view(index, "group-prune-grief10")


def test_pruning_groups_takes_the_class_from_whole_groups() -> None:
    index = people(20, per=30)
    rows = list(zip(*(index[c].to_pylist() for c in ("sample_id", "group_id", "emotion")), strict=True))
    split = splits_of(make_view(index, "group-prunegroups-fear25"))
    left = Counter(g for i, g, e in rows if split.get(i) == "train" and e == "fear")
    assert set(left.values()) == {10} and len(left) == 3  # of 12 train groups with 10 each


def test_pruning_what_ingest_made_keeps_its_dev_and_test() -> None:
    index = people(20)
    made = group_view(index, {"train": 0.5, "dev": 0.25, "test": 0.25}, seed=9)
    split = splits_of(make_view(index, "group-prune-fear50", outer=made))
    assert {i for i, s in split.items() if s == "test"} == {i for i, s in splits_of(made).items() if s == "test"}


def test_no_unit_of_a_component_is_parted() -> None:
    rng = np.random.default_rng(0)
    dialogue = [f"d{i // 4:03d}" for i in range(400)]
    subject = [f"s{5 * (i // 40) + rng.integers(5)}" for i in range(400)]  # ten casts of five, ten dialogues each
    index = index_of(dialogue, ["anger", "neutral"] * 200, subject_id=list(subject))
    split = splits_of(make_view(index, "disjoint-subject"))
    for names in (dialogue, subject):
        where = defaultdict(set)
        for i, name in enumerate(names):
            where[name].add(split[f"c/{i:06d}"])
        assert all(len(w) == 1 for w in where.values())
    assert set(split.values()) == set(RATIOS)
    folds = {s for n in view_names(index, "kfold", k=5) for s in [view_hash(make_view(index, n))]}
    assert len(folds) == 5


def test_one_component_is_an_error_that_says_how_big_it_is() -> None:
    dialogue = [f"d{i // 4:03d}" for i in range(400)]
    subject = [f"s{i % 7}" for i in range(396)] + ["x1", "x2", "x3", "x4"]
    index = index_of(dialogue, ["anger", "neutral"] * 200, subject_id=list(subject))
    with pytest.raises(SplitError, match=r"2 component\(s\), and the biggest holds 396 of them \(99.0%\); 4 are left"):
        make_view(index, "disjoint-subject")
    with pytest.raises(SplitError, match="knows no sessions"):
        make_view(index, "disjoint-session")


@pytest.mark.skipif("meld" not in CORPORA, reason="no reader of MELD")
def test_subject_disjoint_meld_cannot_exist(shared_data: Path, tmp_path: Path) -> None:
    read = (s for s in make_corpus("meld").read(shared_data / "meld", "meld") if isinstance(s, Sample))
    index = write_shards(read, tmp_path, 4, "x")
    with pytest.raises(SplitError, match=r"cannot exist.*the biggest holds \d+ of them \(9\d"):
        make_view(index, "disjoint-subject")


def test_the_hash_of_a_view_is_of_its_rows() -> None:
    index = people(10)
    view = make_view(index, "group")
    renamed = view.set_column(0, SPLITS.field("view"), pa.array(["x"] * view.num_rows, pa.string()))
    assert view_hash(view) == view_hash(renamed.take(np.arange(view.num_rows)[::-1]))
    assert view_hash(view) != view_hash(make_view(index, "group-seed1"))
    assert view_hash(view) != view_hash(view.slice(1))


def test_views_do_not_depend_on_the_order_of_rows() -> None:
    index = people(20)
    shuffled = index.take(np.random.default_rng(0).permutation(index.num_rows))
    for name in (
        "group",
        "group-k5-fold2-inner1",
        "group-prune-fear30",
        "loso-s03",
        "disjoint-subject",
        "group-groups3",
    ):
        assert make_view(index, name).equals(make_view(shuffled, name)), name


def test_ten_folds_of_many_groups() -> None:
    groups = [f"g{g:04d}" for g in range(1400) for _ in range(3)]
    index = index_of(groups, ["anger", "fear", "neutral"] * 1400)
    split = splits_of(make_view(index, "group-k10-fold1"))
    half = calls_of(lambda: make_view(index.slice(0, 2100), "group-k10-fold1"))
    assert calls_of(lambda: make_view(index, "group-k10-fold1")) < 2.2 * half, "no more than in proportion"
    assert abs(sum(s == "test" for s in split.values()) - 420) <= 12


@pytest.mark.parametrize("n_groups", [12, 3000])
@pytest.mark.parametrize("seed", range(4))
def test_class_in_just_three_groups_is_in_every_split(n_groups: int, seed: int) -> None:
    groups = [f"g{g:04d}" for g in range(n_groups) for _ in range(2)]
    emotions: list[str | None] = ["common", "other"] * n_groups
    for g in np.random.default_rng(seed).choice(n_groups, 3, replace=False):
        emotions[2 * g] = "rare"  # deviation alone would rather have 2, 1 and 0 of them
    split = splits_of(group_view(index_of(groups, emotions), RATIOS, seed))
    assert {split[f"c/{i:06d}"] for i, emotion in enumerate(emotions) if emotion == "rare"} == set(RATIOS)
