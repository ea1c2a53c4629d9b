"""Which number of a version goes up: what a reader of the last version must know before taking this one.

major   code that reads the last version, or a result that was reached with it, may be wrong of this one:
        schema (a column or feature gone or of another type, another codec, rate, unit or modality), label map
        (classes, scheme, a corpus' native labels, a real sample's class), split (another view, a sample that moved)
minor   other samples: some came or went, payloads, features or weights under an old id changed; a new column
patch   metadata alone: notes, verdicts, scores, parameters, licences, lineage, and what describes a release: README.md,
        LICENSE.md, LICENSES/, croissant.json, SHA256SUMS
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpora.errors import UserError
from corpora.store.release import FEATURE_TABLE, FEATURES, INDEX, SPLIT_TABLE, Release
from flows.releases.paired import Paired, is_real, opened_pair, paired

Bump = Literal["major", "minor", "patch"]
BUMPS: tuple[Bump, ...] = ("patch", "minor", "major")  # in their order
# files that say something of the samples and hold none; any other file that changed is taken for samples
METADATA = frozenset(
    {
        *("README.md", "params.json", "prepared.json", "audit.json", "selftest.json", "statistics.json"),
        *("verdicts.parquet", "rejects.parquet", "scores.parquet", "lineage.parquet"),
        *("LICENSE.md", "croissant.json", "SHA256SUMS"),
    }
)
TABLES_OF_SAMPLES = frozenset({INDEX, SPLIT_TABLE, FEATURES})
SHOWN = 3  # names in a reason


@dataclass(frozen=True, slots=True)
class Needed:
    """The least bump that says what changed, and why; None, () where the releases are one."""

    bump: Bump | None
    because: tuple[str, ...] = ()


def needed_bump(before: Path, after: Path) -> Needed:
    """Compares two release folders, without payloads. Raises as `open_release`."""
    old, new = opened_pair(before, after)
    return Needed(None) if old.release_hash == new.release_hash else needed_of(old, new, paired(old, new))


def needed_of(old: Release, new: Release, pair: Paired) -> Needed:
    """The same of releases that are open and paired."""
    if old.release_hash == new.release_hash:
        return Needed(None)
    for bump, reasons in (("major", _major), ("minor", _minor)):
        if because := tuple(reasons(old, new, pair)):
            return Needed(bump, because)  # type: ignore[arg-type]
    return Needed("patch", (f"metadata: {_listed(_changed_files(old, new, is_metadata)) or 'manifest'}",))


def is_metadata(name: str) -> bool:
    """Whether a file of a release says something of the samples and holds none."""
    return name in METADATA or name.startswith("LICENSES/")


def settled_bump(asked: str, needed: Needed, latest: str) -> Bump:
    """`asked`: "auto" or one of `BUMPS`. latest: the tag that it is counted from. Raises `UserError` for a lower one
    than is needed."""
    least: Bump = needed.bump or "patch"
    if asked == "auto":
        return least
    bump: Bump = next(known for known in BUMPS if known == asked)
    if BUMPS.index(bump) < BUMPS.index(least):
        raise UserError(
            f"bump {bump} is too low: since {latest} {'; '.join(needed.because)}. That is {least}: leave --bump "
            f"out, or say --bump {least} (docs/releases.md)"
        )
    return bump


def _major(old: Release, new: Release, pair: Paired) -> Iterator[str]:
    yield from _schema(old, new)
    yield from _labels(old, new, pair)
    view = (old.manifest.get("view"), new.manifest.get("view"))
    if view[0] != view[1]:
        yield f"split: the view was {view[0]!r} and is {view[1]!r}"
    moved = pair.new.filter(pair.changed("split"))
    if moved.num_rows:
        yield f"split: {_samples(moved['sample_id'].to_pylist())} moved to another split"


def _schema(old: Release, new: Release) -> Iterator[str]:
    for name in ("modality", "rate_hz"):
        if old.manifest.get(name) != new.manifest.get(name):
            yield f"schema: {name} was {old.manifest.get(name)!r} and is {new.manifest.get(name)!r}"
    for name in _tables(old, new):
        before, after = _columns(old, name), _columns(new, name)
        if gone := sorted(set(before) - set(after)):
            yield f"schema: {name} has no {_listed(gone)} any more"
        if other := sorted(c for c in set(before) & set(after) if before[c] != after[c]):
            yield f"schema: {name} holds another type or unit in {_listed(other)}"
    codecs = [set(release.columns["codec"].unique().to_pylist()) for release in (old, new)]
    if codecs[0] and codecs[1] and codecs[0] != codecs[1]:
        yield f"schema: payloads were {_listed(sorted(codecs[0]))} and are {_listed(sorted(codecs[1]))}"
    signals = [_signals(release) for release in (old, new)]
    if signals[0] and signals[1] and signals[0] != signals[1]:
        yield f"schema: signals differ ({_listed(sorted(signals[0] ^ signals[1]))})"


def _labels(old: Release, new: Release, pair: Paired) -> Iterator[str]:
    for name in ("scheme", "classes"):
        if old.manifest.get(name) != new.manifest.get(name):
            yield f"label map: {name} was {old.manifest.get(name)!r} and is {new.manifest.get(name)!r}"
    maps = [label_maps(release.manifest) for release in (old, new)]
    for corpus in sorted(maps[0].keys() & maps[1].keys()):
        if maps[0][corpus] != maps[1][corpus]:
            yield f"label map: native labels of {corpus} mean something else"
    relabelled = pair.new.filter(pc.and_(pair.changed("emotion"), is_real(pair.new)))
    if relabelled.num_rows:
        yield f"label map: {_samples(relabelled['sample_id'].to_pylist())} have another class"


def label_maps(manifest: Mapping[str, Any]) -> dict[str, object]:
    """Corpus -> native label -> emotion, as the cards of a manifest have it."""
    cards = {str(entry["id"]): entry["card"] for entry in manifest.get("corpora", [])}
    return {name: card["label_map"] for name, card in cards.items() if "label_map" in card}


def _minor(old: Release, new: Release, pair: Paired) -> Iterator[str]:
    because = [*_other_samples(old, new, pair), *_recomputed(old, new)]
    changed = _changed_files(old, new, lambda name: not is_metadata(name))
    # files of samples are explained by the samples; where nothing is, that they changed is all that is known
    unexplained = [name for name in changed if not _of_samples(name)]
    if other := unexplained or ([] if because else changed):
        because.append(f"files: {_listed(other)} changed")
    yield from because


def _other_samples(old: Release, new: Release, pair: Paired) -> Iterator[str]:
    for what, table in (("came", pair.come), ("went", pair.gone)):
        if table.num_rows:
            real = int(pc.sum(is_real(table)).as_py() or 0)
            yield f"samples: {real} real and {table.num_rows - real} synthetic {what}"
    for column, words in (("sha256", "payload"), ("weight", "weight"), ("emotion", "class")):
        changed = pair.new.filter(pair.changed(column))
        if changed.num_rows:
            yield f"samples: {_samples(changed['sample_id'].to_pylist())} have another {words}"
    for name in _tables(old, new):
        if come := sorted(set(_columns(new, name)) - set(_columns(old, name))):
            yield f"schema grew: {name} has {_listed(come)}"


def _tables(old: Release, new: Release) -> list[str]:
    """Those whose columns people read: of samples, and of features beside them."""
    files = {*old.manifest["files"], *new.manifest["files"]}
    return [INDEX, FEATURES, *sorted(name for name in files if FEATURE_TABLE.fullmatch(name))]


def _of_samples(name: str) -> bool:
    return name in TABLES_OF_SAMPLES or name.startswith("shards/") or FEATURE_TABLE.fullmatch(name) is not None


def _recomputed(old: Release, new: Release) -> Iterator[str]:
    """Tables of features whose numbers mean something else under the same columns."""
    tables = [release.manifest.get("feature_tables") or {} for release in (old, new)]
    for name in sorted(tables[0].keys() & tables[1].keys()):
        before, after = ({key: table[name].get(key) for key in ("representation", "weights")} for table in tables)
        if before != after:
            told = [f"{one['representation']} {one['weights'] or ''}".strip() for one in (before, after)]
            yield f"features: {name} was computed by {told[0]} and is by {told[1]}"


def _changed_files(old: Release, new: Release, wanted: Callable[[str], bool]) -> list[str]:
    before, after = old.manifest["files"], new.manifest["files"]
    names = sorted({*before, *after})
    return [name for name in names if wanted(name) and before.get(name) != after.get(name)]


def _columns(release: Release, name: str) -> dict[str, str]:
    """Column -> type, with its unit; {} without the file."""
    path = release.path / name
    if not path.is_file():
        return {}
    schema = pq.read_schema(path)
    return {field.name: f"{field.type} {(field.metadata or {}).get(b'unit', b'').decode()}" for field in schema}


def _signals(release: Release) -> set[str]:
    """ "ECG [mV] 250.0 Hz" of every kind of signal that its payloads hold."""
    flat = pc.list_flatten(release.columns["signals"].combine_chunks())
    if not len(flat):
        return set()
    kinds = flat.flatten()[:3]
    rows = dict(zip(("name", "unit", "rate_hz"), kinds, strict=True))
    unique = pa.table(rows).group_by(list(rows)).aggregate([]).to_pylist()
    return {f"{row['name']} [{row['unit'] or ''}] {row['rate_hz']} Hz" for row in unique}


def _samples(ids: list[str]) -> str:
    return f"{len(ids)} samples ({_listed(ids)})" if len(ids) != 1 else f"1 sample ({ids[0]})"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
