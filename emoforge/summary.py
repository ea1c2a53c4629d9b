"""What a run came to: the table of classes, the verdicts, the worth to a classifier; and a look into a release."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora.errors import CorpusError, IntegrityError
from corpora.licences import restrictions
from corpora.schema import SPLIT_NAMES
from emoforge import console
from flows.paths import Layout

if TYPE_CHECKING:
    from corpora.store.release import Release
    from flows.artifacts.augmented import Balance
    from flows.artifacts.evaluated import Uplift, VerdictRow
    from flows.artifacts.of_run import RunArtifacts
    from flows.artifacts.released import Released
    from validators.trials.selftest import SelfTest


def print_run(run: str, repo: Path) -> None:
    """Table per class and mixture (real, target, candidates, accepted, rejected by which gate), verdicts, uplift, and
    where release and report are. Raises `CorpusError` where the run has not got that far, `IntegrityError` for damaged
    files."""
    from flows.artifacts.of_run import RunArtifacts

    there = RunArtifacts(Layout(repo).run(run))
    if there.augmented is None:
        raise CorpusError(f"no samples in {there.path}: the run has not got that far. Build it: emoforge run {run}")
    print_balance(run, there.augmented.balance())
    if there.evaluated is not None:
        print_verdicts(run, there.evaluated.verdicts())
        print_selftest(there.evaluated.selftest())
        print_uplift(run, there.evaluated.uplift())
    _print_places(there)


def print_end(run: str, repo: Path) -> None:
    """Where release and report of a run are, and which command shows more."""
    from flows.artifacts.of_run import RunArtifacts

    _print_places(RunArtifacts(Layout(repo).run(run)))
    console.out.print(f"Next: emoforge inspect {run}")


def _print_places(there: RunArtifacts) -> None:
    if there.released is not None:
        print_where(there.released)
    if there.report.exists():
        console.out.print(f"Report: {there.report}", markup=False)


def print_balance(run: str, balance: Balance) -> None:
    """Prints the table of classes; a mixture of classes ("0.5 fear + 0.5 sadness") is a row of its own below them."""
    rows = [
        [
            tally.named,
            tally.real_train,
            tally.target,
            tally.candidates,
            tally.counted,
            ", ".join(f"{gate} {n}" for gate, n in tally.rejected.items() if n) or "-",
            "yes" if tally.filled else "NO",
        ]
        for tally in balance.every
    ]
    numbers = ["real", "target", "candidates", "accepted"]
    console.out.print()
    console.table(
        f"{run}: classes of the train split", ["class", *numbers, "rejected by", "filled"], rows, right=numbers
    )


def print_where(released: Released) -> None:
    """One line: where the release is, its hash, and what keeps it from being published or passed on."""
    manifest = released.manifest()
    gates = ", ".join(dict.fromkeys(reason.partition(" (")[0] for reason in manifest.reasons))
    verdict = "" if manifest.publishable else f"; it is not to be published ({gates or 'see its manifest'})"
    if manifest.restrictions:
        verdict += f"; it may not be passed on: {'; '.join(manifest.restrictions)}"
    console.out.print(f"Release: {released.path}, {manifest.release_hash[:12]}{verdict}")


def print_verdicts(run: str, verdicts: Sequence[VerdictRow]) -> None:
    """Prints the table of verdicts, in their order; nothing where there are none."""
    if not verdicts:
        return
    rows = [
        [
            v.gate,
            v.group,
            number(v.value),
            f"{number(v.low)} .. {number(v.high)}",
            number(v.floor),
            number(v.limit),
            v.n_synthetic,
            console.verdict_text(v.verdict),
            v.reason,
        ]
        for v in verdicts
    ]
    columns = ["gate", "group", "value", "95 %", "real vs real", "limit", "n", "verdict", "reason"]
    console.table(f"{run}: verdicts on the whole set", columns, rows, right=["value", "real vs real", "limit", "n"])


def print_selftest(selftest: SelfTest | None) -> None:
    """One line: what of the planted defects was caught, and whether real people were accepted. Nothing for None."""
    if selftest is None:
        return
    from validators.trials.selftest import HELD_OUT

    real = next((o for o in selftest.outcomes if o.defect == HELD_OUT), None)
    if selftest.why_not or real is None:
        console.out.print(f"The gates could not be tested on planted defects: {selftest.why_not}")
        return
    planted = [o for o in selftest.outcomes if o.defect != HELD_OUT]
    missed = [o.defect for o in planted if not o.caught]
    people = f"failed {', '.join(real.by)}" if real.caught else "all accepted"
    console.out.print(
        f"The gates tested on {real.n} held-out samples: {len(planted) - len(missed)} of {len(planted)} planted "
        f"defects caught{' (missed: ' + ', '.join(missed) + ')' if missed else ''}; real people: {people}"
    )


def print_uplift(run: str, uplift: Uplift | None) -> None:
    """Prints UAR on real test samples, trained with and without synthetic ones, and the difference. Nothing for
    None."""
    if uplift is None or not uplift.n_synthetic:
        return
    rows = [[a.arm, a.n_train, percent(a.uar), f"{percent(a.low)} .. {percent(a.high)}"] for a in uplift.arms]
    title = f"{run}: UAR of a plain classifier on {uplift.n_test} real test samples it never saw"
    console.table(title, ["trained on", "n", "UAR", "95 %"], rows, right=["n", "UAR"])
    gain = uplift.difference
    difference = f"real + synthetic minus real: {percent(gain.value)} ({percent(gain.low)} .. {percent(gain.high)})"
    console.out.print(f"{difference}: {uplift.outcome}")


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
    weights: dict[str, float] = {}  # class -> what its synthetic rows count for
    for split in sorted(set(release.splits["split"].to_pylist())):
        for row in release.narrow(["emotion", "weight"]).rows(split).to_pylist():
            kind, emotion = "real" if row["generator_id"] is None else "synthetic", row["emotion"] or "-"
            counts[emotion, split, kind] += 1
            if kind == "synthetic":
                weights[emotion] = weights.get(emotion, 0.0) + row["weight"]
    problem = _problem(release)
    if as_json:
        rows = [{"emotion": e, "split": s, "kind": k, "n": n} for (e, s, k), n in sorted(counts.items())]
        manifest = {k: v for k, v in release.manifest.items() if k != "counts"}
        console.print_json(
            {
                "counts": rows,
                "synthetic_weights": {e: round(weight, 3) for e, weight in sorted(weights.items())},
                "intact": problem is None,
                "problem": problem,
                "unlisted": list(release.unlisted),
                "may_be_published": may_be_published(release.manifest) if problem is None else "no",
                "manifest": manifest,
            }
        )
    else:
        _print_release(release, counts, weights, intact=problem is None)
    if problem:
        raise IntegrityError(problem)
    if not as_json:
        console.out.print(f"intact: the manifest and all {len(release.manifest['files'])} files match their hashes")


def may_be_published(manifest: Mapping[str, Any]) -> str:
    """What gates, audit and licences say together: "yes", "no", or "privately"."""
    if manifest.get("publishable") is not True:
        return "no"
    return "privately" if _held(manifest) else "yes"


def _held(manifest: Mapping[str, Any]) -> list[str]:
    """Why licences keep it from being passed on, read from the cards that it holds: older formats say less."""
    counts = manifest.get("counts")
    splits = counts.values() if isinstance(counts, dict) else ()
    cells = [n for by_class in splits if isinstance(by_class, dict) for n in by_class.values()]
    synthetic = any(isinstance(n, dict) and n.get("synthetic") for n in cells)
    return restrictions(manifest.get("corpora", []), synthetic=synthetic)


def leak_lines(leaks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each split that leaks took samples from: how many, what share, and by which kind."""
    return [
        f"leaks take {sum(leak['dropped'].values())} of {leak['of']} samples of {split} "
        f"({sum(leak['dropped'].values()) / leak['of']:.1%}): "
        + ", ".join(f"{kind.replace('_', ' ')} {n}" for kind, n in sorted(leak["dropped"].items()))
        for split, leak in leaks.items()
    ]


def _problem(release: Release) -> str | None:
    """What differs, as `emoforge verify` says it; None where nothing does."""
    from corpora.store.verify import check_release

    return " ".join(problem.sentence for problem in check_release(release.path).problems) or None


def _print_release(
    release: Release, counts: Counter[tuple[str, str, str]], weights: Mapping[str, float], *, intact: bool
) -> None:
    rows: list[list[Any]] = [
        [c, *(counts[c, split, "real"] for split in SPLIT_NAMES), counts[c, "train", "synthetic"]]
        for c in sorted({emotion for emotion, _, _ in counts})
    ]
    numbers = [*SPLIT_NAMES, "synthetic (train)"]
    if any(abs(weights.get(row[0], 0.0) - row[-1]) > 1e-3 for row in rows):  # they are weighted
        numbers.append("which count for")
        rows = [[*row, f"{weights.get(row[0], 0.0):.4g}"] for row in rows]
    console.table(f"{release.manifest.get('name', release.path)}: samples", ["class", *numbers], rows, right=numbers)
    if intact:
        from flows.artifacts.released import Released

        print_verdicts(str(release.manifest.get("name", "")), Released(release.path).verdicts())
    manifest = release.manifest
    facts = [
        ["release hash", release.release_hash],
        ["licences of real samples", ", ".join(manifest.get("licenses", []))],
        ["gates and audit allow it", "yes" if manifest.get("publishable") is True else "no"],
    ]
    facts += [["because", reason] for reason in manifest.get("reasons", [])]
    held = _held(manifest)
    facts += [["licences allow passing on", "no" if held else "yes"]]
    facts += [["because", f"{reason}; `publish` pushes to a private_remote of machine.yaml alone"] for reason in held]
    facts += [["may be published", may_be_published(manifest) if intact else "no: it is damaged"]]
    facts += [["leaks", line] for line in leak_lines(manifest.get("leaks", {}))]
    facts += [["cannot be judged", f"{c}: {why}"] for c, why in manifest.get("cannot_be_judged", {}).items()]
    facts += [["note", note] for note in manifest.get("notes", [])]
    facts += [["not of the release", name] for name in release.unlisted]
    console.table("Release", ["fact", "value"], facts)
