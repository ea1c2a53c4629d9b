"""croissant.json of a release: Croissant 1.1 with its RAI vocabulary and PROV terms, for whoever reads machines' words.

Files with their hashes, and tables as record sets that mlcroissant reads row by row. What is an entity here (a corpus,
a generator) has a urn, so that nothing of a machine or of time is in it: the file lies under `release_hash`. For the
same reason it names no url, creator or datePublished, which the specification wants of what is on the web: whoever
publishes a release adds them to the copy there. No record is quoted in it; what it says of people are counts.

Sources: docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html, its RAI specification 1.0 and the fields that
NeurIPS' track of data sets asks for (blog.neurips.cc, 4 May 2026), w3.org/TR/prov-o.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpora.store.release import FEATURE_TABLE, FEATURES, INDEX, LINEAGE_TABLE, SCORE_TABLE, SPLIT_TABLE
from corpora.terms.table import LICENCES
from flows.artifacts.released import PartOf
from flows.describing.facts import Facts, Source
from flows.describing.statement import counted, how, limits, who

CROISSANT = "croissant.json"
CONFORMS = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
VERDICT_TABLE = "verdicts.parquet"
# file -> its record set's name and description; those that are there, in this order
TABLES: dict[str, tuple[str, str]] = {
    INDEX: ("index", "One row a sample: labels, people, where its payload lies, and, of synthetic ones, the generator"),
    SPLIT_TABLE: ("splits", "The split of each sample in each view"),
    SCORE_TABLE: ("scores", "What each sample gate gave each candidate, accepted or not"),
    VERDICT_TABLE: ("verdicts", "What each set gate said of the synthetic samples together"),
    LINEAGE_TABLE: ("lineage", "Who used what: an edge a row, from samples back to people, draws and generators"),
    "rejects.parquet": ("rejects", "Files and samples that did not come into the release, and why"),
    "requests.parquet": ("requests", "Who was asked for a synthetic sample, where its generator asks somebody"),
    FEATURES: ("features", "Vectors of features, one row a sample, real and synthetic"),
}
_MIME = {".parquet": "application/x-parquet", ".tar": "application/x-tar", ".json": "application/json"}
_MIME |= {".md": "text/markdown", ".txt": "text/plain"}
_PAYLOADS = {"wav": "audio/wav", "png": "image/png", "txt": "text/plain", "npz": "application/zip"}
_KIND = {"string": "sc:Text", "bool": "sc:Boolean", "float": "sc:Float", "double": "sc:Float"}
_KIND |= {"int32": "sc:Integer", "int64": "sc:Integer"}


def croissant(folder: Path, facts: Facts, files: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """JSON-LD. files: path -> {"sha256", "n_bytes"} of what it tells of; tables are opened for their columns alone."""
    manifest = facts.manifest
    return {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS),
        "name": manifest.name,
        "description": f"Samples of emotion corpora in {len(manifest.classes)} classes "
        f"({', '.join(manifest.classes)}): {_counted(facts)} of modality {manifest.modality}.",
        "license": _licences(facts),
        "keywords": ["emotion recognition", manifest.modality, *(["synthetic"] if manifest.has_synthetic else [])],
        **({"inLanguage": list(facts.people.languages)} if facts.people.languages else {}),
        **({"citeAs": "\n".join(cited)} if (cited := [s.bibtex for s in facts.sources if s.bibtex]) else {}),
        "isLiveDataset": False,
        **_responsible(facts),
        **_provenance(folder, facts),
        "distribution": [*(_file(name, entry) for name, entry in sorted(files.items())), *_payload_sets(facts)],
        "recordSet": [
            _record_set(folder / name, *told)
            for name, told in {**TABLES, **_feature_tables(facts)}.items()
            if name in files and _rows(folder / name)
        ],
    }


def _counted(facts: Facts) -> str:
    if facts.part is not None:
        return counted(facts)
    return f"{facts.n_real} real and {facts.n_synthetic} synthetic ones"


def _feature_tables(facts: Facts) -> dict[str, tuple[str, str]]:
    """File -> its record set's name and description, of tables beside the payloads."""
    return {
        table.file: (f"features-{name}", f"Features of every sample ({table.representation}), null where it has none")
        for name, table in (facts.manifest.feature_tables or {}).items()
    }


def _context() -> dict[str, object]:
    """As the specification's appendix has it, with PROV."""
    terms = "arrayShape citeAs column containedIn equivalentProperty extract field fileProperty fileObject fileSet"
    terms += " format includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex"
    terms += " repeated replace samplingRate separator source subField transform"
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        **{name: f"cr:{name}" for name in terms.split()},
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "dct": "http://purl.org/dc/terms/",
        "description": {"@container": "@language"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "name": {"@container": "@language"},
        "prov": "http://www.w3.org/ns/prov#",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "sc": "https://schema.org/",
    }


def _licences(facts: Facts) -> list[str]:
    """Addresses of texts: of SPDX where it has the licence."""
    names = dict.fromkeys(name for source in facts.sources for name in source.licence.expression.chosen)
    return [
        f"LICENSES/{name}.txt" if name.startswith("LicenseRef-") and name not in LICENCES else _address(name)
        for name in names
    ]


def _address(name: str) -> str:
    return LICENCES[name].url if name.startswith("LicenseRef-") else f"https://spdx.org/licenses/{name}.html"


def _responsible(facts: Facts) -> dict[str, object]:
    """What tables and cards tell; social impact and plans of maintenance are the publisher's to say."""
    manifest = facts.manifest
    synthetic = manifest.has_synthetic
    told = [name for name in ("subject_id", "gender", "age", "language") if name in {c.name for c in facts.columns}]
    made_up = all(source.licence.free for source in facts.sources)
    of = (
        "of persons that do not exist"
        if made_up
        else {"text": "lines that people wrote or said"}.get(
            manifest.modality, f"{manifest.modality} recordings of people"
        )
    )
    return {
        "rai:hasSyntheticData": synthetic,
        "rai:dataCollection": f"Samples come from {', '.join(f'{s.title} ({s.id})' for s in facts.sources)}."
        + (" Synthetic samples were drawn from a generator that was fitted on the train split." if synthetic else ""),
        "rai:dataCollectionType": ["Secondary Data Analysis", *(["Synthetic"] if synthetic else [])],
        "rai:dataPreprocessingProtocol": how(facts)[:1],
        **({"rai:dataManipulationProtocol": "; ".join(how(facts)[1:])} if synthetic else {}),
        "rai:dataAnnotationProtocol": [
            f"Labels of real samples are those of their corpora, in the scheme {manifest.scheme}; a synthetic sample "
            "has the class that its generator was asked for, and gates say whether it shows it."
        ],
        "rai:dataLimitations": limits(facts),
        "rai:dataBiases": [line for line in who(facts) if not line.startswith(("corpus ", "of corpus "))],
        "rai:dataUseCases": [
            "training and testing of recognisers of emotion: synthetic samples fill train classes that lack real ones, "
            "dev and test are real"
        ],
        "rai:personalSensitiveInformation": [f"{manifest.modality}: {of}; emotion labels"]
        + ([f"columns about persons: {', '.join(told)}"] if told else []),
    }


def _provenance(folder: Path, facts: Facts) -> dict[str, object]:
    """Corpora and generators as entities, the making of synthetic samples as an activity."""
    generators = _generators(folder)
    found: dict[str, object] = {
        "prov:wasDerivedFrom": [
            *(_corpus(s) for s in facts.sources),
            *(_generator(*one) for one in generators.items()),
            *([_whole(facts.part)] if facts.part is not None else []),
        ]
    }
    if facts.made is not None and generators:
        found["prov:wasGeneratedBy"] = {
            "@type": "prov:Activity",
            "prov:label": f"augmentation of train by {facts.made.generator}",
            "prov:used": [{"@id": f"urn:emoforge:generator:{name}"} for name in generators],
        }
    return found


def _corpus(source: Source) -> dict[str, object]:
    licence = source.licence.expression.text
    return {
        "@id": f"urn:emoforge:corpus:{source.id}",
        "@type": "prov:Entity",
        "prov:label": f"{source.title}, version {source.version}",
        **({"sc:url": source.url} if source.url and not source.licence.free else {}),
        "sc:license": licence,
    }


def _whole(part: PartOf) -> dict[str, object]:
    """The release that this one is a part of, by its hash."""
    return {
        "@id": f"urn:emoforge:release:{part.release_hash}",
        "@type": "prov:Entity",
        "prov:label": f"release {part.release}, of which real samples are left out",
    }


def _generator(name: str, parts: Mapping[str, str]) -> dict[str, object]:
    described = ", ".join(f"{key} {value}" for key, value in parts.items())
    return {"@id": f"urn:emoforge:generator:{name}", "@type": "prov:Entity", "prov:label": described or name}


def _generators(folder: Path) -> dict[str, dict[str, str]]:
    """Generator's id -> what its id is made of (name, weights, params, code), of lineage.parquet."""
    found: dict[str, dict[str, str]] = {}
    if not (folder / LINEAGE_TABLE).exists():
        return found
    edges = pq.read_table(folder / LINEAGE_TABLE)  # an edge for each use of each sample: looked through as columns
    parts = pc.is_in(edges["role"], value_set=pa.array(["name", "weights", "params", "code"]))
    for edge in edges.filter(pc.and_(parts, pc.starts_with(edges["thing"], "generator:"))).to_pylist():
        name = edge["thing"].partition(":")[2]
        found.setdefault(name, {})[edge["role"]] = edge["used"].rpartition(":")[2]
    return dict(sorted(found.items()))


def _file(name: str, entry: Mapping[str, Any]) -> dict[str, object]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{entry['n_bytes']} B",
        "encodingFormat": _MIME[Path(name).suffix],
        "sha256": entry["sha256"],
    }


def _payload_sets(facts: Facts) -> list[dict[str, object]]:
    """Payloads inside the tars: one set a split and kind."""
    return [
        {
            "@type": "cr:FileSet",
            "@id": f"payloads/{split}-{kind}",
            "name": f"payloads/{split}-{kind}",
            "description": f"Payloads of {kind} samples of {split}, each with a json of the same name beside it",
            "containedIn": [{"@id": shard} for shard in shards],
            "encodingFormat": _one([_PAYLOADS[ending] for ending in facts.endings((kind,))]),
            "includes": _one([f"*.{ending}" for ending in facts.endings((kind,))]),
        }
        for (split, kind), shards in facts.shards.items()
    ]


def _one(texts: list[str]) -> str | list[str]:
    """Alone where there is one."""
    return texts[0] if len(texts) == 1 else texts


def _rows(path: Path) -> bool:
    return bool(pq.ParquetFile(path).metadata.num_rows)


def _record_set(path: Path, name: str, description: str) -> dict[str, object]:
    """Columns of plain values and lists of them; nested ones are in the file and not told here."""
    columns = [column for column in pq.read_schema(path) if _data_type(column.type) is not None]
    nested = [column.name for column in pq.read_schema(path) if _data_type(column.type) is None]
    also = f". Nested columns beside these: {', '.join(nested)}" if nested else ""
    key = (
        {"key": {"@id": f"{name}/sample_id"}}
        if path.name in (INDEX, FEATURES) or FEATURE_TABLE.fullmatch(path.name)
        else {}
    )
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description + also,
        **key,
        "field": [_field(path.name, name, column) for column in columns],
    }


def _data_type(kind: pa.DataType) -> str | None:
    return _KIND.get(str(kind.value_type if pa.types.is_list(kind) else kind))


def _field(file: str, records: str, column: pa.Field) -> dict[str, object]:
    listed = {"isArray": True, "arrayShape": "-1"} if pa.types.is_list(column.type) else {}
    unit = (column.metadata or {}).get(b"unit")
    return {
        "@type": "cr:Field",
        "@id": f"{records}/{column.name}",
        "name": f"{records}/{column.name}",
        **({"description": f"unit: {unit.decode()}"} if unit else {}),
        "dataType": _data_type(column.type),
        **listed,
        "source": {"fileObject": {"@id": file}, "extract": {"column": column.name}},
    }


def croissant_text(document: Mapping[str, Any]) -> str:
    """As it is written: keys in their order, two spaces, a newline at the end."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
