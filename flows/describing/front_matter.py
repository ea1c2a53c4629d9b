"""The YAML on top of a release's README.md: what the Hugging Face hub shows, and what `datasets` loads by.

`configs` name the shards of each split; `dataset_info` says what a row holds, so that nothing is guessed from the first
samples, of which some lack a weight. A recording's column is plain bytes: declared as audio, datasets 5.2 asks for
torchcodec before it hands over anything, `decode=False` or not.

Source of the keys: huggingface.co/docs/hub/datasets-cards and docs/hub/datasets-manual-configuration.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import pyarrow as pa

from corpora.store.release import FEATURES
from flows.describing.facts import ARRAYS, KINDS, Facts, split_names
from flows.describing.licence_files import TERMS

TASKS = {"speech": "audio-classification", "face": "image-classification", "text": "text-classification"}
MODALITY_TAGS = {"speech": "audio", "face": "image", "text": "text", "physio": "timeseries"}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
WHOLE = "full"  # split of a table that has all splits in it; datasets keeps the name "all" to itself
# columns of the index that stand in the json beside a payload, too (corpora/store/spill.py)
_BESIDE = (
    *("sample_id", "corpus", "modality", "emotion", "emotion_raw", "subject_id", "group_id", "session_id", "turn"),
    *("intensity", "valence", "arousal", "dominance", "gender", "age", "language", "sentence_id", "duration_s"),
    *("generator_id", "seed", "weight", "license"),
)


def front_matter(facts: Facts) -> str:
    """Between two lines of dashes, with a newline at its end."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width, yaml.default_flow_style = 10_000, False
    out = io.StringIO()
    yaml.dump(hub_metadata(facts), out)
    return f"---\n{out.getvalue()}---\n"


def hub_metadata(facts: Facts) -> dict[str, object]:
    """Plain mappings, lists and texts, in the order in which they are written."""
    manifest = facts.manifest
    synthetic = ["synthetic"] if manifest.has_synthetic else []
    names = _configs(facts)
    return {
        "pretty_name": manifest.name.replace("_", " "),
        **_licence(facts),
        **({"language": languages} if (languages := _languages(facts)) else {}),
        "task_categories": [TASKS.get(manifest.modality, "tabular-classification" if manifest.features else "other")],
        "size_categories": [size_category(facts.n_real + facts.n_synthetic)],
        "tags": ["emotion-recognition", MODALITY_TAGS[manifest.modality], *synthetic, "croissant", "emoforge"],
        "configs": [{"config_name": name, "data_files": files} for name, files in names.items()],
        "dataset_info": [
            {"config_name": name, "features": row_features(facts, KINDS if name == "default" else (name,))}
            for name in names
            if not _is_table(name)
        ],
        **_gate(facts),
    }


def size_category(n: int) -> str:
    """As the hub names sizes."""
    return next((name for limit, name in SIZES if n < limit), "1M<n<10M" if n < 10_000_000 else "10M<n<100M")


def _configs(facts: Facts) -> dict[str, list[dict[str, str]]]:
    """default: all; real, synthetic: those alone, where there are such; features: the table of a run of features;
    features-NAME: a table beside the payloads."""

    def files(kinds: tuple[str, ...], pattern: str) -> list[dict[str, str]]:
        return [{"split": s, "path": f"shards/{s}-{pattern}*.tar"} for s in split_names(facts, kinds)]

    found = {"default": files(("real", "synthetic"), ""), "real": files(("real",), "real-")}
    if split_names(facts, ("synthetic",)):
        found["synthetic"] = files(("synthetic",), "synthetic-")
    if facts.manifest.features is not None:
        found["features"] = [{"split": WHOLE, "path": FEATURES}]
    for name, table in (facts.manifest.feature_tables or {}).items():
        found[f"features-{name}"] = [{"split": WHOLE, "path": table.file}]
    return {name: listed for name, listed in found.items() if listed}


def _is_table(config: str) -> bool:
    """Whether it is of vectors, whose columns their file tells."""
    return config.partition("-")[0] == "features"


def row_features(facts: Facts, kinds: Sequence[str] = KINDS) -> list[dict[str, object]]:
    """A row of a config with samples of these kinds, as `dataset_info` writes it: payload, what stands beside it, key.
    Where real and synthetic payloads are of two endings, a row has a column for each, one of them None."""
    there = {column.name: column for column in facts.columns}
    beside: list[dict[str, object]] = [
        {"name": name, "dtype": _dtype(there[name].type)} for name in _BESIDE if name in there
    ]
    return [
        *(row for ending in facts.endings(kinds) for row in _payload(facts, ending)),
        {"name": "json", "struct": [*beside, {"name": "synthetic", "dtype": "bool"}]},
        {"name": "__key__", "dtype": "string"},
    ]


def _payload(facts: Facts, ending: str) -> list[dict[str, object]]:
    if ending != ARRAYS:
        return [{"name": ending, "dtype": {"png": "image", "txt": "string"}.get(ending, "binary")}]
    signals = [{"name": name, **_array(axes)} for name, axes in facts.signals.items()]  # datasets opens it by itself
    return [{"name": ending, "struct": signals}] if signals else []


def _dtype(kind: pa.DataType) -> str:
    return {"float": "float32", "double": "float64"}.get(str(kind), str(kind))


def _array(axes: int) -> dict[str, object]:
    return {"list": "float32"} if axes == 1 else {"list": _array(axes - 1)}


def _licence(facts: Facts) -> dict[str, object]:
    """One licence that the hub has a name for stands by it; anything else is `other`, told in LICENSE.md."""
    chosen = {name for source in facts.sources for name in source.licence.expression.chosen}
    rows = [row for source in facts.sources for row in source.licence.expression.licences]
    if len(chosen) == 1 and rows and rows[0].hub is not None:
        return {"license": rows[0].hub}
    return {"license": "other", "license_name": _slug(facts.expression), "license_link": TERMS}


def _slug(text: str) -> str:
    kept = "".join(c if c.isalnum() or c == "." else "-" for c in text.lower())
    return "-".join(part for part in kept.split("-") if part) or "unknown"


def _languages(facts: Facts) -> list[str]:
    """Without regions, which the hub does not know."""
    return sorted({tag.partition("-")[0].lower() for tag in facts.people.languages})


def _gate(facts: Facts) -> dict[str, object]:
    """Questions that the hub asks before it hands out a release that may not go to everybody."""
    held = _held(facts)
    if not held:
        return {}
    named = ", ".join(held)
    fields: dict[str, object] = {"Name": "text", "Affiliation": "text", "Purpose": "text"}
    if facts.part is None and any(source.licence.terms.wants_agreement for source in facts.sources):
        fields[f"I have an agreement with the owners of {named}"] = "checkbox"
    if any("commercial" not in source.licence.terms.may for source in facts.sources if source.id in held):
        fields["I use it for non-commercial research alone"] = "checkbox"
    return {
        "extra_gated_prompt": f"Licences of {named} do not let everybody have this release. To ask is no licence: read "
        f"{TERMS} first.",
        "extra_gated_fields": fields,
    }


def _held(facts: Facts) -> list[str]:
    """Corpora for which passing on is bound: not allowed, or not for everybody."""
    return list(_bound(facts))


def _bound(facts: Facts) -> Iterable[str]:
    for source in facts.sources:
        if facts.part is not None:  # what may not stand alone is in no part
            if "research" in source.licence.terms.must:
                yield source.id
        elif source.licence.why_not("real") or source.licence.terms.not_for_everybody:
            yield source.id
