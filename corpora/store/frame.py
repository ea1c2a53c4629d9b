"""Tables of a release as pandas frames, with the types that people expect."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from corpora.schema import SPLIT_NAMES

# texts that many rows share
CATEGORIES = (
    *("corpus", "modality", "part", "subject_id", "group_id", "session_id", "emotion", "emotion_raw", "gender"),
    *("language", "sentence_id", "codec", "shard", "generator_id", "license", "consent"),
)


def index_frame(index: pa.Table, splits: pa.Table) -> pd.DataFrame:
    """Rows of SAMPLES and of one view of SPLITS -> a frame by `sample_id`: see `Release.to_pandas`.

    Whole numbers that may be missing are Int32 and Int64, lists and structures are Python's, `extra` is a dict.
    """
    frame = index.to_pandas(
        categories=[name for name in CATEGORIES if name in index.column_names], integer_object_nulls=True
    )
    for field in index.schema:
        if pa.types.is_integer(field.type) and field.nullable:
            frame[field.name] = pd.array(frame[field.name].tolist(), dtype=f"Int{field.type.bit_width}")
    frame["extra"] = [dict(pairs or ()) for pairs in index["extra"].to_pylist()]
    for field in index.schema:
        if pa.types.is_list(field.type):
            frame[field.name] = index[field.name].to_pylist()
    split_of = dict(zip(splits["sample_id"].to_pylist(), splits["split"].to_pylist(), strict=True))
    names = list(dict.fromkeys((*SPLIT_NAMES, *split_of.values())))
    chosen = pd.Categorical([split_of.get(i) for i in frame["sample_id"]], categories=names, ordered=True)
    frame.insert(1, "split", chosen)
    frame.insert(2, "synthetic", pc.is_valid(index["generator_id"]).to_numpy())
    return frame.set_index("sample_id")


def score_frame(scores: pa.Table) -> pd.DataFrame:
    """Rows of SCORES -> a frame by `sample_id` with a float64 column `score.<gate>` for each gate, sorted by name.

    Where a gate scored a sample in several rounds, the last counts.
    """
    frame = scores.select(["sample_id", "round", "gate", "value"]).to_pandas()
    last = frame.sort_values("round", kind="stable").drop_duplicates(["sample_id", "gate"], keep="last")
    return last.pivot(index="sample_id", columns="gate", values="value").add_prefix("score.").rename_axis(columns=None)
