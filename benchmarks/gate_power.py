"""What do the gates see? Power and false alarms on real people who were held out, with and without planted defects.

    python benchmarks/gate_power.py --data /path/to/shared/data --out power.json [--corpora ravdess fer2013] [--write]

Each corpus is cut by group, several times: train (generators' and judges' side), dev where there are groups enough, and
a pool of people whom no gate has seen. Sets of n are drawn from the pool, as they are and with a defect
(validators/trials/defects.py), go through the sample gates, and what is let through is measured by the set gates, all
at their default limits. A set is caught if a set gate says fail, if the judges' recall over all of it is that of chance
("conditions"), or, where single samples are bad, if at least 80 % of them are rejected. Undecided is not caught.
`--write` puts the tables into docs/gates.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import corpora.quiet  # noqa: F401  (before anything heavy)
from benchmarks.gate_pools import ADVERSARIAL, CORPORA, NONE, Pools, join, perturbed, split

SIZES = (20, 50, 200, 1000)
SAMPLE_GATES = ("validity", "copies", "agreement", "conformal", "support")
SET_GATES = ("frechet", "kid", "c2st", "vendi", "coverage")
FOOLED = "changed until judges err"
MARK = ("<!-- power: written by benchmarks/gate_power.py -->", "<!-- power: end -->")


def fit(pools: Pools, train: Any, dev: Any, seed: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, float]]:
    from validators.gate import default_limit, gate_class

    seconds, sample, sets = {}, {}, {}
    for name in (*SAMPLE_GATES, *SET_GATES):
        started = time.perf_counter()
        kind = gate_class(name)
        if name in SET_GATES:
            sets[name] = (kind.fit(train, dev, classes=pools.classes, params={}, seed=seed), default_limit(kind))
        else:
            gate = kind.fit(train, classes=pools.classes, known_sha256=frozenset(train.sha256), params={}, seed=seed)
            real, limit = gate.reference(), default_limit(kind)
            sample[name] = (gate, {c: limit.resolve(np.asarray(real.get(c, ()))) for c in pools.classes})
        seconds[name] = time.perf_counter() - started
    return sample, sets, seconds


def draw(
    pools: Pools, defect: Any, train_rows: np.ndarray, pool: np.ndarray, n: int, rng: Any, judge: Any, fooled: Any
) -> Any:
    """A set of n with its defect. Features come with it wherever the signals are one of the forms."""
    from validators.batch import rows_of
    from validators.trials.defects import Planted, as_candidates, lacking_mode, mode_key

    base = pools.form(NONE, None)
    if defect == "another corpus":
        known = np.flatnonzero(np.isin(pools.other.emotions, pools.classes))
        rows = rng.permutation(known)[:n]
        return Planted(as_candidates(rows_of(pools.other, rows)), np.ones(rows.size, bool))
    if defect == FOOLED:
        rows = rng.permutation(len(fooled))[:n]
        return Planted(rows_of(fooled, rows), np.ones(rows.size, bool))
    if defect == "labels as the judges err":
        chosen = rng.permutation(pool)[: min(pool.size, 4 * n)]
        p = judge.predict(rows_of(base, chosen))
        said = np.asarray(judge.classes)[p.argmax(axis=1)]
        wrong = np.flatnonzero(said != np.asarray(base.emotions)[chosen])[:n]
        out = rows_of(base, chosen[wrong])
        return Planted(replace(as_candidates(out), emotions=tuple(said[wrong].tolist())), np.ones(wrong.size, bool))
    rows = rng.permutation(pool)[:n]
    if defect == NONE:
        return Planted(as_candidates(rows_of(base, rows)), np.zeros(n, bool))
    if defect.plant is lacking_mode:
        key = mode_key(rows_of(base, pool))
        rows = rng.permutation(pool[key <= np.median(key)])[:n]
        return Planted(as_candidates(rows_of(base, rows)), np.ones(rows.size, bool))
    if defect.change is None and not defect.of_train:  # labels and repeats: signals as they are
        return defect.plant(rows_of(base, rows), base, rng)
    count = n if defect.share == 1.0 else max(1, round(defect.share * n))
    form = pools.form(defect.name.rsplit(" ", 1)[0] if defect.of_train else defect.name, defect.change)
    spoiled = rng.permutation(train_rows)[:count] if defect.of_train else rows[:count]
    made = as_candidates(join(rows_of(form, spoiled), rows_of(base, rows[count:])))
    hashes = tuple(pools.real.sha256[i] for i in spoiled) if defect.of_train and defect.change is None else ()
    return Planted(replace(made, sha256=hashes + made.sha256[len(hashes) :]), np.arange(n) < count)


def conditions(planted: Any, agreement: Any) -> str:
    from validators.gate import judge
    from validators.trials.conditions import MIN_N, honoured

    labels, said = np.asarray(planted.batch.emotions), agreement.score(planted.batch) >= 1.0
    made = {c: said[labels == c] for c in agreement.classes}
    real = {c: v >= 1.0 for c, v in agreement.reference().items()}
    found, limit = honoured(made, real)
    return judge(found, limit=limit.resolve_floor(found), min_n=MIN_N, better="higher")[0]


def measure(pools: Pools, seed: int, repeats: int, nulls: int, defaults: tuple[str, ...]) -> list[dict[str, Any]]:
    from validators.batch import rows_of
    from validators.gate import judge, measured_groups
    from validators.trials.defects import DEFECTS
    from validators.trials.selftest import REJECTED

    train_rows, dev_rows, pool = split(pools, seed)
    base = pools.form(NONE, None)
    train, dev = rows_of(base, train_rows), None if dev_rows is None else rows_of(base, dev_rows)
    sample, sets, seconds = fit(pools, train, dev, seed)
    print(pools.name, "split", seed, {k: round(v, 1) for k, v in seconds.items()}, flush=True)
    rare = pool[np.asarray(base.emotions)[pool] == pools.rare]
    cases: list[tuple[Any, str, str]] = [(NONE, NONE, "set")]
    cases += [("another corpus", "another corpus", "set")] if pools.other is not None else []
    cases += [("labels as the judges err", "labels as the judges err", "set")]
    if pools.modality in ADVERSARIAL:
        cases += [(FOOLED, FOOLED, "set")]
        fooled = perturbed(pools, pool, sample["agreement"][0], np.random.default_rng(seed))
    else:
        fooled = None
    cases += [(d, d.name, d.scope) for d in DEFECTS[pools.modality]]
    rows = []
    for size in (*SIZES, 0):  # 0: the rare class alone, all there is of it
        available = pool if size else rare
        n = size or min(rare.size, 50)
        if available.size < 1.2 * n and size:
            continue
        for defect, name, scope in cases:
            if not size and name in (
                "another corpus",
                "labels as the judges err",
                FOOLED,
                "shuffled labels",
                "mode dropped",
            ):
                continue
            if defect == FOOLED and len(fooled) < n:
                continue
            for repeat in range(nulls if defect == NONE else repeats):
                if not size and available.size <= n and repeat:
                    break
                rng = np.random.default_rng([seed, size, repeat])
                planted = draw(pools, defect, train_rows, available, n, rng, sample["agreement"][0], fooled)
                row: dict[str, Any] = {"corpus": pools.name, "split": seed, "n": size, "rows": n, "defect": name}
                row["scope"] = scope
                kept = np.ones(len(planted.batch), bool)
                for gate_name, (gate, limits) in sample.items():
                    at = np.asarray([limits[e] for e in planted.batch.emotions])
                    scores = gate.score(planted.batch)
                    with np.errstate(invalid="ignore"):
                        passed = np.isfinite(scores) & ((scores <= at) if gate.better == "lower" else (scores >= at))
                    of = planted.planted if planted.planted.any() else np.ones(len(kept), bool)
                    row[gate_name] = float((~passed[of]).mean())
                    if gate_name in defaults:
                        kept &= passed
                for i, j in sample["copies"][0].near_pairs(planted.batch, sample["copies"][1][pools.classes[0]]):
                    kept[j] &= not kept[i]  # as a run does: of candidates that repeat each other the first is kept
                row["rejected"] = float((~kept[of]).mean())
                row["conditions"] = conditions(planted, sample["agreement"][0])
                if scope == "set":
                    survivors = rows_of(planted.batch, kept)
                    for gate_name, (gate, limit) in sets.items():
                        for form, batch in (("", planted.batch), (" kept", survivors)):
                            if form and gate_name not in defaults:
                                continue
                            found = measured_groups(gate, batch, seed=repeat)
                            said = {
                                g: judge(e, limit=limit.resolve_floor(e), min_n=gate.min_n, better=gate.better)[0]
                                for g, e in found.items()
                            }
                            row[gate_name + form] = "fail" if "fail" in said.values() else said["all"]
                            row[gate_name + form + " estimates"] = {
                                g: [e.value, e.low, e.high, e.floor, e.n_real, e.n_synthetic] for g, e in found.items()
                            }
                together = [row[g + " kept"] for g in sets if g in defaults and scope == "set"] + [row["conditions"]]
                turned_away = defect != NONE and row["rejected"] >= REJECTED
                row["caught"] = "fail" in together or turned_away
                row["passes"] = scope == "set" and all(v == "pass" for v in together)
                rows.append(row)
    return rows


def gain_of_mcd(pools: Pools, n: int = 8) -> dict[str, float]:
    """Largest change of an utterance's MCD score in dB, for each gain; NaN: clipped away, so left out."""
    from validators.batch import rows_of
    from validators.gate import gate_class
    from validators.trials.defects import louder

    train_rows, _, pool = split(pools, 0)
    base = pools.form(NONE, None)
    some = np.random.default_rng(0).permutation(train_rows)[:80]
    gate = gate_class("mcd").fit(
        rows_of(base, some), classes=pools.classes, known_sha256=frozenset(), params={}, seed=0
    )
    few = rows_of(base, pool[:n])
    plain = gate.score(few)
    found = {}
    for gain in (0.1, 0.3, 3.0, 10.0):
        loud = [louder(gain)(s, 16000.0, np.random.default_rng(0)) for s in few.signals]
        kept = [i for i, s in enumerate(few.signals) if np.abs(s * gain).max() <= 1.0]
        again = gate.score(replace(few, signals=loud, cache={}))
        found[str(gain)] = float(np.abs(again - plain)[kept].max()) if kept else float("nan")
    return found


def tables(result: dict[str, Any]) -> str:
    """Markdown: sample gates, set gates, all defaults together."""
    rows, defaults = result["rows"], result["defaults"]
    out = [MARK[0], "", f"Measured {result['date']} on {result['machine']}; {result['command']}.", ""]
    for corpus in dict.fromkeys(r["corpus"] for r in rows):
        own = [r for r in rows if r["corpus"] == corpus]
        splits = len({r["split"] for r in own})
        by: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
        for r in own:
            by[r["defect"], r["n"]].append(r)
        sizes = [*sorted({r["n"] for r in own if r["n"]}), 0]
        few = next(r["rows"] for r in own if r["n"] == 0)
        heads = [str(n) if n else f"{CORPORA[corpus][1]} alone, {few}" for n in sizes]
        counts = "; ".join(
            f"{h}: {len(by[NONE, n])} sets of real people, "
            f"{max((len(v) for k, v in by.items() if k[1] == n and k[0] != NONE), default=0)} of each defect"
            for h, n in zip(heads, sizes, strict=True)
        )
        out += [f"### {result['about'][corpus]}", "", f"{splits} splits by group. {counts}.", ""]
        out += ["**All default gates together**: share of sets caught, and by which set gate (share of sets).", ""]
        out += ["| defect | " + " | ".join(f"n = {h}" if h.isdigit() else h for h in heads) + " |"]
        out += ["|---|" + "---|" * len(sizes)]
        for defect in dict.fromkeys(r["defect"] for r in own):
            cells = [_together(by[defect, n], defaults) for n in sizes]
            out.append(f"| {'**real people held out**' if defect == NONE else defect} | " + " | ".join(cells) + " |")
        out += ["", "**Set gates, each alone** on unfiltered sets: share failed / undecided.", ""]
        names = [*(g for g in SET_GATES), "conditions"]
        for n, head in zip(sizes, heads, strict=True):
            out += [f"n = {head}:", "", "| defect | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
            for defect in dict.fromkeys(r["defect"] for r in own if r["scope"] == "set"):
                if by[defect, n]:
                    cells = [_alone(by[defect, n], g) for g in names]
                    out.append(f"| {defect} | " + " | ".join(cells) + " |")
            out.append("")
        out += [
            "**Sample gates**: share of the planted samples rejected (of all, where none is), all sizes.",
            "",
        ]
        out += [
            "| defect | " + " | ".join(SAMPLE_GATES) + " | default gates |",
            "|---|" + "---|" * (len(SAMPLE_GATES) + 1),
        ]
        for defect in dict.fromkeys(r["defect"] for r in own):
            seen = [r for r in own if r["defect"] == defect]
            cells = [f"{np.mean([r[g] for r in seen]):.2f}" for g in (*SAMPLE_GATES, "rejected")]
            out.append(f"| {defect} | " + " | ".join(cells) + " |")
        out.append("")
    if result["gain"]:
        told = ", ".join(f"{g}: {v:.2g} dB" for g, v in result["gain"].items() if np.isfinite(v))
        out += [f"MCD under gain, largest change of an utterance's score (clipped ones left out): {told}.", ""]
    return "\n".join([*out, MARK[1]])


def _together(rows: list[dict[str, Any]], defaults: list[str]) -> str:
    if not rows:
        return ""
    caught = np.mean([r["caught"] for r in rows])
    if rows[0]["scope"] == "samples":
        return f"{caught:.2f} (sample gates)"
    names = [g for g in SET_GATES if g in defaults]
    by = {g: np.mean([r[f"{g} kept"] == "fail" for r in rows]) for g in names}
    by["conditions"] = np.mean([r["conditions"] == "fail" for r in rows])
    told = ", ".join(f"{g} {v:.2f}" for g, v in by.items() if v > 0)
    passes = f"; all pass {np.mean([r['passes'] for r in rows]):.2f}" if rows[0]["defect"] == NONE else ""
    return f"{caught:.2f}" + (f" ({told})" if told else "") + passes


def _alone(rows: list[dict[str, Any]], gate: str) -> str:
    said = [r[gate] for r in rows]
    return f"{np.mean([v == 'fail' for v in said]):.2f} / {np.mean([v == 'undecided' for v in said]):.2f}"


def main() -> None:
    import tempfile

    import torch

    from flows.params import DEFAULT_GATES

    told = f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__} (CPU, one thread)"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--corpora", nargs="+", default=["ravdess", "fer2013"], choices=sorted(CORPORA))
    parser.add_argument("--splits", type=int, default=3, help="of 10 people; FER2013 gets a third of them, at least 1")
    parser.add_argument("--first", type=int, default=0, help="number of the first split: limits are chosen on others")
    parser.add_argument("--repeats", type=int, default=8, help="sets of each defect, size and split")
    parser.add_argument("--nulls", type=int, default=20, help="sets of real people of each size and split")
    parser.add_argument("--no-gain", action="store_true")
    parser.add_argument("--tables", type=Path, nargs="+", help="measure nothing: tables of these results")
    parser.add_argument("--write", type=Path, help="docs/gates.md: put the tables between its marks")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.tables:
        parts = [json.loads(p.read_text()) for p in chosen.tables]
        result = parts[0] | {
            "rows": [r for p in parts for r in p["rows"]],
            "gain": next((p["gain"] for p in parts if p["gain"]), {}),
        }
    else:
        rows: list[dict[str, Any]] = []
        gain: dict[str, float] = {}
        for name in chosen.corpora:
            with tempfile.TemporaryDirectory() as scratch:
                pools = Pools(name, chosen.data, Path(scratch))
                count = chosen.splits if name != "fer2013" else max(1, chosen.splits // 3)
                for seed in range(chosen.first, chosen.first + count):
                    rows += measure(pools, seed, chosen.repeats, chosen.nulls, DEFAULT_GATES)
                    chosen.out.with_suffix(".part.json").write_text(json.dumps(rows))  # hours of work
                if pools.modality == "speech" and not chosen.no_gain:
                    gain = gain_of_mcd(pools)
        result = {
            "rows": rows,
            "gain": gain,
            "defaults": list(DEFAULT_GATES),
            "date": time.strftime("%Y-%m-%d"),
            "machine": told,
            "command": f"gate_power.py --splits {chosen.splits} --first {chosen.first} --repeats {chosen.repeats} "
            f"--nulls {chosen.nulls}",
            "about": {
                "ravdess": "RAVDESS: 10 actors, 5 to learn from (cross-fitted reference), 5 strangers",
                "stress_predict": "Stress-Predict: minutes of 10 people, 5 to learn from, 5 strangers",
                "fer2013": "FER2013: 3,000 faces to learn from, 1,000 dev, the rest strangers",
            },
        }
    chosen.out.write_text(json.dumps(result))
    text = tables(result)
    print(text)
    if chosen.write:
        page = chosen.write.read_text(encoding="utf-8")
        before, _, rest = page.partition(MARK[0])
        chosen.write.write_text(before + text + rest.partition(MARK[1])[2], encoding="utf-8")


if __name__ == "__main__":
    main()
