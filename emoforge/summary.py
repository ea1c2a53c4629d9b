"""What a run came to: the table of classes, the verdicts, the worth to a classifier; and a look into a release."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora.errors import CorpusError, IntegrityError
from corpora.formats.jsonfile import read_json
from corpora.licences import restrictions
from corpora.schema import SPLIT_NAMES
from emoforge import console
from flows.paths import Layout

if TYPE_CHECKING:
    from corpora.store.release import Release


def print_run(run: str, repo: Path) -> None:
    """Table per class (real, target, candidates, accepted, rejected by which gate), verdicts, uplift, report's path."""
    folder = Layout(repo).run(run)
    place = folder / "augmented" / "balance.json"
    balance = _json(place)
    rows = []
    with _as_written(place):
        for row in balance["classes"]:
            rejected = ", ".join(f"{gate} {n}" for gate, n in row["rejected"].items() if n) or "-"
            filled = "yes" if row["filled"] else "NO"
            rows.append(
                [row["emotion"], row["real_train"], row["target"], row["candidates"], row["accepted"], rejected, filled]
            )
    numbers = ["real", "target", "candidates", "accepted"]
    console.out.print()
    console.table(
        f"{run}: classes of the train split", ["class", *numbers, "rejected by", "filled"], rows, right=numbers
    )
    verdicts = folder / "evaluation" / "verdicts.parquet"
    if verdicts.exists():
        print_verdicts(run, verdicts)
        print_selftest(folder / "evaluation" / "selftest.json")
    uplift = folder / "evaluation" / "uplift.json"
    if uplift.exists():
        with _as_written(uplift):
            print_uplift(run, _json(uplift))
    manifest = folder / "release" / "manifest.json"
    if manifest.exists():
        contents = _json(manifest)
        gates = ", ".join(dict.fromkeys(str(reason).partition(" (")[0] for reason in contents.get("reasons") or ()))
        verdict = (
            "" if contents.get("publishable", True) else f"; it is not to be published ({gates or 'see its manifest'})"
        )
        held = restrictions(contents.get("corpora", []))
        verdict += f"; it may not be passed on: {'; '.join(held)}" if held else ""
        console.out.print(f"Release: {folder / 'release'}, {str(contents.get('release_hash', ''))[:12]}{verdict}")
    report = folder / "report.html"
    if report.exists():
        console.out.print(f"Report: {report}")


def print_verdicts(run: str, path: Path) -> None:
    """Prints the table of set gate verdicts in the Parquet file `path`. Raises `IntegrityError` if it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        verdicts = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError):
        raise IntegrityError(f"{path} cannot be read as Parquet: it is damaged.") from None
    rows = [
        [
            v["gate"],
            v["group"],
            number(v["value"]),
            f"{number(v['low'])} .. {number(v['high'])}",
            number(v["floor"]),
            number(v["limit"]),
            v["n_synthetic"],
            console.verdict_text(v["verdict"]),
            v["reason"],
        ]
        for v in verdicts
    ]
    columns = ["gate", "group", "value", "95 %", "real vs real", "limit", "n", "verdict", "reason"]
    console.table(f"{run}: verdicts on the whole set", columns, rows, right=["value", "real vs real", "limit", "n"])


def print_selftest(path: Path) -> None:
    """One line: what of the planted defects was caught, and whether real people were accepted."""
    if not path.exists():
        return
    from validators.trials.selftest import HELD_OUT

    selftest = _json(path)
    with _as_written(path):
        if selftest["why_not"]:
            console.out.print(f"The gates could not be tested on planted defects: {selftest['why_not']}")
            return
        planted = [o for o in selftest["outcomes"] if o["defect"] != HELD_OUT]
        missed = [o["defect"] for o in planted if not o["caught"]]
        real = next(o for o in selftest["outcomes"] if o["defect"] == HELD_OUT)
    people = f"failed {', '.join(real['by'])}" if real["caught"] else "all accepted"
    console.out.print(
        f"The gates tested on {real['n']} held-out samples: {len(planted) - len(missed)} of {len(planted)} planted "
        f"defects caught{' (missed: ' + ', '.join(missed) + ')' if missed else ''}; real people: {people}"
    )


def print_uplift(run: str, uplift: dict[str, Any]) -> None:
    """Prints UAR on real test samples, trained with and without synthetic ones, and the difference."""
    rows = [
        [a["arm"], a["n_train"], percent(a["uar"]), f"{percent(a['low'])} .. {percent(a['high'])}"]
        for a in uplift["arms"]
    ]
    title = f"{run}: UAR of a plain classifier on {uplift['n_test']} real test samples it never saw"
    console.table(title, ["trained on", "n", "UAR", "95 %"], rows, right=["n", "UAR"])
    gain = uplift["difference"]
    difference = (
        f"real + synthetic minus real: {percent(gain['value'])} ({percent(gain['low'])} .. {percent(gain['high'])})"
    )
    console.out.print(f"{difference}: {uplift['outcome']}")


def percent(value: float | None) -> str:
    """0.254 -> '25.4 %'; '-' where there is no finite number."""
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def number(value: float | None) -> str:
    """4 significant digits; '-' where there is no number."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.4g}"


def inspect_release(folder: Path, *, as_json: bool) -> None:
    """Counts, verdicts, terms; every file against its hash. Raises `CorpusError` (no release), `IntegrityError`."""
    from corpora.store.release import open_release

    release = open_release(folder)
    counts: Counter[tuple[str, str, str]] = Counter()
    for split in sorted(set(release.splits["split"].to_pylist())):
        for row in release.rows(split).select(["emotion", "generator_id"]).to_pylist():
            kind = "real" if row["generator_id"] is None else "synthetic"
            counts[row["emotion"] or "-", split, kind] += 1
    problem = _problem(release)
    if as_json:
        rows = [{"emotion": e, "split": s, "kind": k, "n": n} for (e, s, k), n in sorted(counts.items())]
        manifest = {k: v for k, v in release.manifest.items() if k != "counts"}
        console.print_json(
            {
                "counts": rows,
                "intact": problem is None,
                "problem": problem,
                "unlisted": list(release.unlisted),
                "may_be_published": may_be_published(release.manifest) if problem is None else "no",
                "manifest": manifest,
            }
        )
    else:
        _print_release(release, counts, intact=problem is None)
    if problem:
        raise IntegrityError(problem)
    if not as_json:
        console.out.print(f"intact: the manifest and all {len(release.manifest['files'])} files match their hashes")


def may_be_published(manifest: Mapping[str, Any]) -> str:
    """What gates, audit and licences say together: "yes", "no", or "privately"."""
    if manifest.get("publishable") is not True:
        return "no"
    return "privately" if restrictions(manifest.get("corpora", [])) else "yes"


def leak_lines(leaks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each split that leaks took samples from: how many, what share, and by which kind."""
    return [
        f"leaks take {sum(leak['dropped'].values())} of {leak['of']} samples of {split} "
        f"({sum(leak['dropped'].values()) / leak['of']:.1%}): "
        + ", ".join(f"{kind.replace('_', ' ')} {n}" for kind, n in sorted(leak["dropped"].items()))
        for split, leak in leaks.items()
    ]


def _problem(release: Release) -> str | None:
    try:
        release.verify()
    except IntegrityError as error:
        return str(error)
    return None


def _print_release(release: Release, counts: Counter[tuple[str, str, str]], *, intact: bool) -> None:
    rows = [
        [c, *(counts[c, split, "real"] for split in SPLIT_NAMES), counts[c, "train", "synthetic"]]
        for c in sorted({emotion for emotion, _, _ in counts})
    ]
    numbers = [*SPLIT_NAMES, "synthetic (train)"]
    console.table(f"{release.manifest.get('name', release.path)}: samples", ["class", *numbers], rows, right=numbers)
    if intact and (release.path / "verdicts.parquet").exists():
        print_verdicts(str(release.manifest.get("name", "")), release.path / "verdicts.parquet")
    manifest = release.manifest
    facts = [
        ["release hash", release.release_hash],
        ["licences of real samples", ", ".join(manifest.get("licenses", []))],
        ["gates and audit allow it", "yes" if manifest.get("publishable") is True else "no"],
    ]
    facts += [["because", reason] for reason in manifest.get("reasons", [])]
    held = restrictions(manifest.get("corpora", []))
    facts += [["licences allow passing on", "no" if held else "yes"]]
    facts += [["because", f"{reason}; `publish` pushes to a private_remote of machine.yaml alone"] for reason in held]
    facts += [["may be published", may_be_published(manifest) if intact else "no: it is damaged"]]
    facts += [["leaks", line] for line in leak_lines(manifest.get("leaks", {}))]
    facts += [["cannot be judged", f"{c}: {why}"] for c, why in manifest.get("cannot_be_judged", {}).items()]
    facts += [["note", note] for note in manifest.get("notes", [])]
    facts += [["not of the release", name] for name in release.unlisted]
    console.table("Release", ["fact", "value"], facts)


@contextmanager
def _as_written(path: Path) -> Iterator[None]:
    """What the stage wrote has certain keys and types; a file that has not was changed."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, StopIteration):
        raise IntegrityError(f"{path} is not as emoforge wrote it. Remove it and run again: emoforge run") from None


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise CorpusError(f"no {path}: the run has not got that far. Build it: emoforge run")
    return read_json(path)
