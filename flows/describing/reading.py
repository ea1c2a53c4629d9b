"""How a release is read, as its README.md says it: each block of Python is run by a test as it stands."""

from __future__ import annotations

from corpora.signals import VECTOR
from corpora.store.release import FEATURES
from flows.artifacts.released import FeatureTable
from flows.describing.facts import ARRAYS, KINDS, Facts, split_names

_OF_ENDING = {
    "wav": [
        "A recording is plain bytes: declared as audio, datasets 5 would ask for torchcodec even with `decode=False`.",
        'Where torchcodec is installed, `data.cast_column("wav", datasets.Audio())` decodes it.',
    ],
    "png": ["A picture comes as a PIL image."],
    "txt": ["A text comes as such."],
    "npz": ["A trial comes as its arrays by name, each value a list; what a sample does not have is None."],
}


def reading_lines(facts: Facts) -> list[str]:
    """Markdown with code that runs in the release's folder."""
    payloads = [*_hub(facts), *_webdataset(facts)] if facts.shards else []  # a part of features may have none
    return [*payloads, *_pandas(), *_features(facts), *_tables(facts), *_emoforge(facts)]


def _hub(facts: Facts) -> list[str]:
    config = "synthetic" if facts.manifest.has_synthetic else "real"
    configs = "`default`, `real`" + (" and `synthetic`" if config == "synthetic" else "")
    if facts.part is not None:
        configs = "`default` and `synthetic`"
    if facts.manifest.features is not None:
        configs = f"{configs}; `features` is the table below"
    if facts.manifest.feature_tables:
        configs = f"{configs}; `features-...` are tables below"
    return [
        f"With `datasets` (configs {configs}; `streaming=True` reads as it goes):",
        "",
        "```python",
        "from pathlib import Path",
        "",
        "from datasets import load_dataset",
        "",
        'folder = Path().absolute()  # or its name on a hub; a bare "." is no name to datasets',
        f'data = load_dataset(str(folder), "{config}", split="train", streaming=True)',
        "row = next(iter(data))",
        'print(row["json"]["sample_id"], row["json"]["emotion"])',
        "```",
        "",
        *(line for ending in facts.endings((config,)) for line in _of_ending(facts, ending)),
        "",
    ]


def _of_ending(facts: Facts, ending: str) -> list[str]:
    if ending == ARRAYS and VECTOR in facts.signals:
        return [f'It comes as its features, a list: `row["{ARRAYS}"]["{VECTOR}"]`.']
    return _OF_ENDING[ending]


def _webdataset(facts: Facts) -> list[str]:
    real, synthetic = (facts.endings((kind,)) for kind in KINDS)
    held = ", ".join(f"`<key>.{ending}`" for ending in facts.endings())
    payload = f'sample["{facts.endings()[0]}"]'
    if real and synthetic and real != synthetic:
        held = f"`<key>.{real[0]}` of a real or `<key>.{synthetic[0]}` of a synthetic sample"
        payload = f'sample["{synthetic[0]}" if about["synthetic"] else "{real[0]}"]'
    return [
        f"With `webdataset`, whose shards hold {held}, and `<key>.json`:",
        "",
        "```python",
        "import glob",
        "import json",
        "",
        "import webdataset",
        "",
        'shards = sorted(glob.glob("shards/train-*.tar"))'
        + ("  # train-real-*.tar: without synthetic samples" if facts.part is None else ""),
        "for sample in webdataset.WebDataset(shards, shardshuffle=False):",
        '    about = json.loads(sample["json"])',
        f"    payload = {payload}",
        "```",
        "",
    ]


def _pandas() -> list[str]:
    return [
        "With `pandas`, labels and people without payloads:",
        "",
        "```python",
        "import pandas",
        "",
        'index, splits = pandas.read_parquet("index.parquet"), pandas.read_parquet("splits.parquet")',
        'rows = index.merge(splits, on="sample_id")',
        'print(rows[rows.split == "train"].groupby(["emotion", rows.generator_id.notna()]).size())',
        "```",
        "",
    ]


def _features(facts: Facts) -> list[str]:
    about = facts.manifest.features
    if about is None:
        return []
    return [
        f"`{FEATURES}` holds what was generated: {about['columns']} features ({about['representation']}) of "
        f"{about['real']} real and {about['synthetic']} synthetic samples, a float32 column each, its unit in the "
        "column's metadata. Synthetic samples exist as features alone; their `<key>.npz` in the shards holds the same "
        "vector.",
        "",
        "```python",
        "import pandas as pd",
        "",
        f'rows = pd.read_parquet("{FEATURES}")',
        'features = list(rows.columns[rows.columns.get_loc("generator_id") + 1 :])',
        'train, test = rows[rows.split == "train"], rows[rows.split == "test"]',
        "real = train[train.generator_id.isna()]  # the others are synthetic",
        "x, y = train[features].to_numpy(), train.emotion",
        "weight = train.weight.fillna(1.0)  # sample_weight of a classifier",
        "```",
        "",
    ]


def _tables(facts: Facts) -> list[str]:
    tables = facts.manifest.feature_tables
    if not tables:
        return []
    first = next(iter(tables.values()))
    beside = " beside the payloads" if facts.manifest.has_payloads else ""
    return [
        f"Features{beside}, of every sample, real and synthetic, a float32 column each with its unit in the "
        "column's metadata; what computed them is in the file's metadata:",
        "",
        *(f"- `{table.file}`: {_of_table(table)}" for table in tables.values()),
        "",
        "```python",
        "import pandas as pd",
        "",
        'index, splits = pd.read_parquet("index.parquet"), pd.read_parquet("splits.parquet")',
        f'table = pd.read_parquet("{first.file}")  # sample_id, then features',
        'rows = table.merge(index[["sample_id", "emotion", "generator_id"]]).merge(splits)',
        'train = rows[rows.split == "train"].dropna(subset=table.columns)',
        "x, y = train[table.columns[1:]].to_numpy(), train.emotion",
        "```",
        "",
    ]


def _of_table(table: FeatureTable) -> str:
    weights = "".join(f", weights {name.removeprefix('package:')} {value}" for name, value in table.weights.items())
    lacking = sum(table.missing.values())
    why = ", ".join(f"{reason} {n}" for reason, n in table.missing.items())
    none = f"; {lacking} of {table.rows} samples have none ({why})" if lacking else ""
    return f"{table.columns} features ({table.representation}{weights}){none}"


def _emoforge(facts: Facts) -> list[str]:
    tables = facts.manifest.feature_tables
    if tables and not facts.manifest.has_payloads:
        return [
            "With `emoforge`, which checks each file against its hash (`emoforge verify .` checks all of it):",
            "",
            "```python",
            "import emoforge",
            "",
            'release = emoforge.open_release(".")',
            "labels = release.to_pandas()  # split, synthetic, emotion, weight, ...",
            f'table = release.features("{next(iter(tables))}")  # rows in the order of the labels',
            "```",
            "",
        ]
    split = split_names(facts)[0] if facts.shards else "train"
    return [
        "With `emoforge`, which checks every payload against its hash (`emoforge verify .` checks all of it):",
        "",
        "```python",
        "import emoforge",
        "",
        'release = emoforge.open_release(".")',
        f'for sample in release.samples("{split}"):',
        '    payload, emotion, weight = sample["payload"], sample["emotion"], sample["weight"]',
        "```",
        "",
    ]
