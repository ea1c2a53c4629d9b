"""A made-up run with every file that the report reads."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpora.codecs import encode_png, encode_wav
from corpora.schema import REJECTS, SAMPLES, SCORES, SPLITS
from corpora.store.atomic import write_json
from corpora.store.release import FORMAT
from flows.artifacts.augmented import Augmented, Balance, Chosen, ClassTally, GateCost, RoundTally
from flows.artifacts.evaluated import Evaluated, VerdictRow
from validators.trials.selftest import HELD_OUT

CLASSES = ["anger", "fear", "happiness", "neutral"]
REAL = {"anger": 14, "fear": 4, "happiness": 11, "neutral": 14}
HOSTILE = "<script>alert('x')</script>&\"$y"
SECTIONS = ["headline", "balance", "samples", "gates", "conditions", "uplift", "loss", "preparation", "data"]
SECTIONS += ["provenance"]


def face(rng: np.random.Generator, k: int) -> bytes:
    """A round head with a mouth that bends by class."""
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    image = np.where(x**2 + y**2 < 0.8, 170.0, 40.0)
    image[(np.abs(np.abs(x) - 0.35) < 0.1) & (np.abs(y + 0.25) < 0.1)] = 20
    image[(np.abs(y - 0.4 - (k - 1.5) * 0.3 * (x**2 - 0.1)) < 0.07) & (np.abs(x) < 0.45)] = 20
    return encode_png(np.clip(image + rng.normal(0, 14, image.shape), 0, 255).astype(np.uint8))


def voice(rng: np.random.Generator, k: int) -> bytes:
    """A gliding harmonic tone whose pitch and steepness depend on the class."""
    t = np.arange(int(16000 * rng.uniform(0.5, 0.8))) / 16000
    phase = 2 * np.pi * np.cumsum(120 + 50 * k + 60 * (k - 1) * t + 8 * np.sin(2 * np.pi * 5 * t)) / 16000
    tone = sum(np.sin(h * phase) / h ** (1.5 - 0.2 * k) for h in range(1, 12)) * np.hanning(len(t))
    return encode_wav((0.2 * tone + rng.normal(0, 0.003, len(t))).astype(np.float32), 16000)


def write_index(folder: Path, shard: str, items: list[tuple[dict[str, Any], bytes]], index: str = "index") -> None:
    """A tar with payloads and the index beside it, as the stages write them."""
    (folder / shard).parent.mkdir(parents=True, exist_ok=True)
    rows = []
    with tarfile.open(folder / shard, "w", format=tarfile.USTAR_FORMAT) as tar:
        for i, (row, payload) in enumerate(items):
            info = tarfile.TarInfo(f"{i:06d}.{row['codec']}")
            info.size = len(payload)
            place = {"shard": shard, "offset": tar.offset + 512, "n_bytes": len(payload)}
            tar.addfile(info, io.BytesIO(payload))
            rows.append({**row, **place, "sha256": hashlib.sha256(payload).hexdigest()})
    pq.write_table(pa.Table.from_pylist(rows, schema=SAMPLES), folder / f"{index}.parquet")


def make_run(root: Path, modality: str = "face", *, classes: list[str] = CLASSES, conversions: bool = False) -> Path:
    """data/runs/made_up and data/corpora/made_up below `root`, filled with believable files. -> the run's folder."""
    rng = np.random.default_rng(5)
    draw, codec = (face, "png") if modality == "face" else (voice, "wav")
    run, corpus = root / "runs" / f"made_up_{modality}", root / "corpora" / "made_up"
    real_counts = dict(zip(classes, REAL.values(), strict=True))
    base = {"corpus": "made_up", "modality": modality, "codec": codec, "license": "CC0-1.0"}
    real, splits = [], []
    for k, name in enumerate(classes):
        for i in range(real_counts[name] + 4):
            sample = f"made_up/{name}/{i:03d}"
            owner = f"made_up:{i % 6}"
            row: dict[str, Any] = {**base, "sample_id": sample, "recording_id": sample, "emotion": name}
            real.append(({**row, "group_id": owner, "subject_id": owner}, draw(rng, k)))
            split = "train" if i < real_counts[name] else ("dev" if i % 2 else "test")
            splits.append({"view": "group", "sample_id": sample, "split": split})
    prepared, augmented, evaluation = run / "prepared", run / "augmented", run / "evaluation"
    write_index(prepared, "shards/train-real-00000.tar", real)
    pq.write_table(pa.Table.from_pylist(splits, schema=SPLITS), prepared / "splits.parquet")
    raw = {
        **real[0][0],
        "extra": {"path": HOSTILE},
        "signals": [{"name": "audio", "unit": "full scale", "rate_hz": 48000.0, "shape": [9, 2]}],
    }
    write_index(prepared, "before/before-00000.tar", [(raw, draw(rng, 1))], "before")
    rejects = [{"corpus": "made_up", "path": "a b/ä.wav", "stage": "prepare", "reason": "too-short", "detail": "0.1 s"}]
    pq.write_table(pa.Table.from_pylist(rejects, schema=REJECTS), prepared / "rejects.parquet")
    counts = {"train": real_counts, "dev": dict.fromkeys(classes, 2), "test": dict.fromkeys(classes, 2)}
    finding = {
        "kind": "repeats",
        "splits": ["train", "test"],
        "action": "drop",
        "counts": {"keys": 1, "train": 1, "test": 1},
        "members": {"ab" * 32: {"train": ["made_up/anger/001"], "test": ["made_up/anger/015"]}},
    }
    write_json(
        prepared / "summary.json",
        {
            "modality": modality,
            "rate_hz": 16000 if modality == "speech" else None,
            "classes": classes,
            "counts": counts,
            "corpora": ["made_up"],
            "scheme": "corpus",
            "view": "group",
            "dropped": 2,
            "leaks": {},
            "unlabelled": {},
            "rejected": {"too-short": 1},
            "noted": {"several-faces": 2},
            "not_encoded": 0,
            "representation": {"name": "pixels", "size": 32},
            "audit": [finding],
            "prepared": {"version": "face-9", "steps": [{"step": "crop-7", "params": {"margin": 0.25}}]},
            "by_corpus": {
                "made_up": {
                    "reader": "made_up",
                    "counts": counts,
                    "samples": 60,
                    "prepared": 59,
                    "rejected": {"too-short": 1},
                    "rejected_of_class": {classes[0]: 1},
                    "unlabelled": 3,
                    "noted": {"several-faces": 2},
                }
            },
        },
    )
    (run / "fit").mkdir()
    with (run / "fit" / "loss.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "loss", "kl"])
        for step in range(20, 801, 20):
            writer.writerow(
                [step, 0.2 + math.exp(-step / 150) + rng.normal(0, 0.01), "" if step < 60 else 4 + step / 400]
            )
    write_json(
        run / "fit" / "fit.json",
        {"generator": "cvae", "params": {"width": 32}, "steps": 800, "steps_done": 800, "trains": True},
    )
    synthetic, refused, scores, tallies, rounds = [], [], [], [], []
    for k, name in enumerate(classes):
        lacking = 14 - real_counts[name]
        accepted = surplus = 0
        rejected = {"validity": 0, "agreement": 0}
        for i in range(2 * lacking):
            sample = f"syn/0123456789abcdef/{hashlib.sha256(f'{name}{i}'.encode()).hexdigest()[:20]}"
            agreement = float(rng.normal(1.4, 0.5)) if i != 1 else math.nan
            valid, agreed = i != 2, bool(agreement >= 1.0)
            passed = valid and agreed and accepted < lacking
            source = [f"made_up/neutral/{i:03d}"] if conversions else None
            row = {
                **base,
                "sample_id": sample,
                "recording_id": sample,
                "group_id": "made_up:1",
                "emotion": name,
                "generator_id": "0123456789abcdef" * 4,
                "seed": 1000 * k + i,
                "source_ids": source,
            }
            accepted += passed
            surplus += valid and agreed and not passed
            if passed:
                synthetic.append((row, draw(rng, k)))
            elif not (valid and agreed):
                gate = "validity" if not valid else "agreement"
                rejected[gate] += 1
                refused.append(({**row, "extra": {"gate": gate, "value": str(agreement)}}, draw(rng, 3 - k)))
            for gate, value, limit, ok, reason in [
                ("validity", float(valid), 1.0, valid, None if valid else "clipped"),
                ("agreement", agreement, 1.0, agreed, None if math.isfinite(agreement) else "no-score"),
            ]:
                scores.append(
                    {
                        "sample_id": sample,
                        "emotion": name,
                        "round": 1,
                        "gate": gate,
                        "value": value,
                        "limit": limit,
                        "passed": ok,
                        "reason": reason,
                        "judge": f"{gate}@abc123",
                    }
                )
        drawn = 2 * lacking
        share = (accepted + surplus) / drawn if drawn else None
        tallies.append(
            ClassTally(
                emotion=name,
                real_train=real_counts[name],
                target=14,
                candidates=drawn,
                accepted=accepted,
                effective=accepted,
                surplus=surplus,
                rejected=rejected,
                acceptance=share,
                draws_per_accepted=1 / share if share else None,
                gates={g: GateCost(refused=n, alone=n, draws_per_accepted=None) for g, n in rejected.items() if drawn},
                filled=accepted >= lacking,
                stopped="filled" if accepted >= lacking else "draws",
            )
        )
        if lacking:
            rounds.append(RoundTally(round=1, emotion=name, candidates=drawn, accepted=accepted))
    write_index(augmented, "shards/train-synthetic-00000.tar", synthetic)
    write_index(augmented, "rejected/rejected-00000.tar", refused, "rejected")
    reference = {"agreement": {c: [*rng.normal(1.5, 0.4, 20).tolist(), None] for c in classes}}
    write_json(augmented / "reference.json", reference)
    pq.write_table(pa.Table.from_pylist(scores, schema=SCORES), augmented / "scores.parquet")
    limits = {gate: dict.fromkeys(classes, 1.0) for gate in ("validity", "agreement")}
    balance = Balance(
        within=None,
        target=None,
        classes=tuple(tallies),
        cells=(),
        rounds=tuple(rounds),
        chosen=Chosen(by="first", cells_with_a_choice=1),
        limits=limits,
        undecided={},
    )
    Augmented(augmented).write_balance(balance)
    evaluation.mkdir()
    measured: dict[str, Any] = {
        "gate": "frechet",
        "unit": "squared distance",
        "judge": "hog@77aa",
        "n_real": 43,
        "limit": 15.3,
    }
    inside: dict[str, Any] = {"value": 11.2, "low": 9.8, "high": 12.9, "floor": 5.1, "n_synthetic": 13}
    nothing: dict[str, Any] = dict.fromkeys(("value", "low", "high", "floor"), math.nan)
    few = "n = 1 is below the gate's minimum of 20"
    passed_one = VerdictRow(**measured, **inside, group="all", verdict="pass", reason="the whole interval is within")
    open_one = VerdictRow(**measured, **nothing, group=classes[1], n_synthetic=1, verdict="undecided", reason=few)
    Evaluated(evaluation).write_verdicts([passed_one, open_one])
    arms = []
    for arm, uar in [("real", 0.58), ("real, weighted", 0.60), ("real, oversampled", 0.61), ("real + synthetic", 0.66)]:
        per_class = {
            c: {
                "f1": uar + 0.05 * k - 0.08,
                "recall": uar,
                "low": uar + 0.05 * k - 0.16,
                "high": uar + 0.05 * k,
                "n": 9,
            }
            for k, c in enumerate(classes)
        }
        arms.append(
            {"arm": arm, "uar": uar, "low": uar - 0.06, "high": uar + 0.05, "per_class": per_class, "n_train": 43}
        )
    write_json(
        evaluation / "uplift.json",
        {
            "classifier": "logistic regression on HOG",
            "classes": classes,
            "n_train": 43,
            "n_synthetic": len(synthetic),
            "synthetic_weight": None,
            "n_test": 36,
            "test_groups": 6,
            "arms": arms,
            "outcome": "win",
            "difference": {"value": 0.08, "low": 0.01, "high": 0.14},
            "against_weighted": {"value": 0.06, "low": -0.01, "high": 0.12},
        },
    )
    conditions = {
        c: {
            "recall_synthetic": 0.8 - 0.15 * k,
            "low": 0.6 - 0.15 * k,
            "high": 0.92 - 0.1 * k,
            "n": 12,
            "recall_real": 0.7,
            "n_real": 20,
            "cannot_be_judged": "",
        }
        for k, c in enumerate(classes)
    }
    write_json(evaluation / "conditions.json", conditions)
    outcomes = [
        {"defect": HELD_OUT, "n": 20, "caught": False, "by": [], "undecided": ["kid"], "rejected": 0.05},
        {"defect": "copies 5%", "n": 20, "caught": True, "by": ["copies"], "undecided": [], "rejected": 1.0},
        {"defect": "blurred 2 px", "n": 20, "caught": False, "by": [], "undecided": ["kid"], "rejected": 0.1},
    ]
    write_json(evaluation / "selftest.json", {"outcomes": outcomes, "why_not": ""})
    write_json(run / "metrics.json", {"uar_real": 0.58, "uar_synthetic": 0.66})
    (run / "release").mkdir()
    per_split = {"train": {c: {"real": n, "synthetic": 14 - n} for c, n in real_counts.items()}}
    write_json(
        run / "release" / "manifest.json",
        {
            "name": "made_up",
            "release_hash": "fe" * 32,
            "format": FORMAT.text,
            "rate_hz": None,
            "corpora": [],
            "view": "group",
            "scheme": "corpus",
            "restrictions": [],
            "leaks": {},
            "cannot_be_judged": {},
            "publishable": False,
            "reasons": ["frechet: undecided for fear"],
            "notes": ["class 'fear' is small"],
            "modality": modality,
            "classes": classes,
            "counts": per_split,
            "licenses": ["CC0-1.0"],
            "files": {},
        },
    )
    corpus.mkdir(parents=True)
    card = {
        "name": "made_up",
        "title": "A made-up corpus",
        "version": "1",
        "license": "CC0-1.0",
        "n_subjects": 6,
        "may_redistribute": True,
        "url": "https://example.org/made-up",
        "counts": {classes[0]: 20},
        "counts_source": "its card",
    }
    counted = [
        {"label": classes[0], "emotion": classes[0], "published": 20, "found": 18, "difference": -2},
        {"label": classes[1], "emotion": None, "published": None, "found": 8, "difference": None},
    ]
    write_json(
        corpus / "card.json",
        {
            "reader": "made_up",
            "card": card,
            "counts": counted,
            "n_without_class": 3,
            "n_subjects": 6,
            "rejects": {"not-a-wav": 4, "too-short": 1},
        },
    )
    view = {"feasible": True, "reason": None, "counts": {"train": 43}, "findings": [finding]}
    absent = {"feasible": False, "reason": "the corpus publishes no split", "findings": []}
    write_json(corpus / "audit.json", {"views": {"group": view, "official": absent}})
    check = {
        "type": "expect_column_values_to_not_be_null",
        "column": "sample_id",
        "kwargs": {},
        "success": True,
        "observed": None,
        "unexpected_count": 0,
    }
    write_json(corpus / "quality.json", {"name": "made_up", "success": True, "n_rows": 59, "results": [check]})
    return run
