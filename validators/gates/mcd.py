"""The gate that asks whether an utterance's spectral envelope is one that real speakers of the class have."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from pydantic import Field, model_validator

from corpora.errors import IntegrityError, UserError
from corpora.fingerprint import hash_bytes, hash_json
from corpora.store.atomic import write_bytes, write_json
from validators.batch import Batch
from validators.gate import AnyParams, Foreseen, GateParams, Limit, SampleGate
from validators.maths.speech.melcepstrum import CONVENTION, ORDER, mcd_dtw, mel_cepstrum, refusal, summary
from validators.roster import Roster, alone_in_class


class McdParams(GateParams):
    """Parameters of the gate `mcd`."""

    k: int = Field(5, ge=1, description="nearest real utterances of the class whose distances are averaged")
    candidates: int = Field(25, ge=1, description="utterances that are compared exactly, nearest in mean and spread")
    reference_cap: int = Field(40, ge=1, description="real utterances of a class that are scored for the limit")

    @model_validator(mode="after")
    def _enough(self) -> McdParams:
        if self.candidates < self.k:
            raise ValueError(f"candidates is {self.candidates}, less than k = {self.k}")
        return self


@dataclass(frozen=True, slots=True)
class Utterances:
    """Real utterances that candidates are compared with; row i of each is one. cepstra: [T, 24] float32 at 5 ms."""

    ids: Sequence[str]
    emotions: Sequence[str]
    subjects: Sequence[str | None]
    groups: Sequence[str | None]
    cepstra: Sequence[np.ndarray]


class NearestMcd(SampleGate):
    """Mean MCD in dB to the k nearest real utterances of the asked class: a spectral envelope that nobody has is far.

    Convention: mcd24-dtw-5ms-nearest<k>. Unpaired samples have no reference of their own, so the k nearest of the class
    stand in. Excluded as neighbours: the sample itself, its `source_ids`, and every utterance of its own subject or
    group where the batch names them; `reference()` follows the same rule, so limits and candidates are comparable.

    DTW against a whole class is dear: the `candidates` utterances that are nearest in mean and spread of the cepstra
    and in log duration are compared exactly. The result can only be too high, alike for real and synthetic (how much:
    benchmarks/bench_mcd.py).
    """

    name = "mcd"
    unit = "dB"
    question = "does a voice sound like one that real speakers have?"
    better = "lower"
    modalities = ("speech",)
    judges_class = True
    default_limit = Limit(quantile=0.98)
    Params = McdParams
    lacks_reference = frozenset({"no-utterance-of-class", "no-utterance-of-another-group"})

    def __init__(
        self, real: Utterances, *, rate_hz: int, classes: Sequence[str], options: McdParams, seed: int
    ) -> None:
        self.rate_hz, self.classes, self.seed = int(rate_hz), tuple(classes), int(seed)
        self.k, self.candidates, self.reference_cap = options.k, options.candidates, options.reference_cap
        self._ids, self._emotions = tuple(real.ids), tuple(real.emotions)
        self._subjects, self._groups = tuple(real.subjects), tuple(real.groups)
        self._cepstra = list(real.cepstra)
        summaries = [summary(c) for c in self._cepstra]
        self._summaries = np.stack(summaries) if summaries else np.zeros((0, 2 * ORDER + 1))
        self._members = {c: np.flatnonzero([e == c for e in self._emotions]) for c in classes}
        self.judge = f"{CONVENTION}-nearest{self.k}:{self._content_hash()[:12]}"

    @classmethod
    def fit(
        cls,
        train: Batch,
        *,
        classes: Sequence[str],
        known_sha256: frozenset[str],
        params: AnyParams,
        seed: int,
    ) -> NearestMcd:
        """Analyses every train utterance of `classes`; those that have no cepstrum (silent, too short) are left out.

        Raises `UserError` if nothing is left or the batch is no speech, `ParamsError` for unknown or senseless params.
        """
        options = McdParams.of(params, cls.name)
        if train.kind not in cls.modalities or not train.rate_hz:
            raise UserError(f"gate mcd scores speech with a sampling rate; this batch is {train.kind!r}.")
        kept: list[tuple[int, np.ndarray]] = []
        for i, signal in enumerate(train.signals):
            if train.emotions[i] in classes and refusal(signal, train.rate_hz) is None:
                kept.append((i, mel_cepstrum(signal, int(train.rate_hz))))
        if not kept:
            raise UserError("gate mcd: no train utterance of the asked classes has a spectral envelope (all silent?).")
        rows = [i for i, _ in kept]
        real = Utterances(
            ids=[train.ids[i] for i in rows],
            emotions=[train.emotions[i] for i in rows],
            subjects=[train.subjects[i] if train.subjects else None for i in rows],
            groups=[train.groups[i] if train.groups else None for i in rows],
            cepstra=[c for _, c in kept],
        )
        return cls(real, rate_hz=int(train.rate_hz), classes=classes, options=options, seed=seed)

    @classmethod
    def foresee(
        cls,
        train: Roster,
        dev: Roster | None,
        *,
        classes: Sequence[str],
        params: AnyParams,
        limit: Limit,
        seed: int,
    ) -> Foreseen:
        """Classes of one group, where the limit comes from real utterances."""
        spread = {name: len(set(train.of_classes([name]).group_names)) for name in classes}
        return Foreseen("", alone_in_class(spread, train.unit) if limit.quantile is not None else {})

    def cannot_judge(self, limit: Limit) -> dict[str, str]:
        """Classes of one group: real utterances have nobody to be compared with."""
        if limit.quantile is None:
            return {}
        spread = {
            name: len({self._groups[r] or self._subjects[r] or self._ids[r] for r in rows})
            for name, rows in self._members.items()
        }
        groups, subjects = tuple(g or "" for g in self._groups), self._subjects
        return alone_in_class(spread, Roster("speech", self._ids, self._emotions, groups, subjects).unit)

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64 dB; NaN where `reasons` has something to say, never a number that means nothing."""
        reasons = self.reasons(batch)
        values = np.full(len(batch), np.nan)
        for i, signal in enumerate(batch.signals):
            if reasons[i] is None:
                values[i] = self._nearest(mel_cepstrum(signal, self.rate_hz), self._eligible(batch, i))
        return values

    def reasons(self, batch: Batch) -> list[str | None]:
        """-> [B] slugs, None where a row can be scored: wrong-rate, empty, non-finite, too-short, silent,
        no-utterance-of-class, no-utterance-of-another-group."""
        out: list[str | None] = []
        for i, signal in enumerate(batch.signals):
            if batch.rate_hz != self.rate_hz:
                out.append("wrong-rate")
            elif (refused := refusal(signal, self.rate_hz)) is not None:
                out.append(refused.reason)
            elif not len(self._members.get(batch.emotions[i], ())):
                out.append("no-utterance-of-class")
            else:
                out.append(None if len(self._eligible(batch, i)) else "no-utterance-of-another-group")
        return out

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> [n <= reference_cap] float64: real train utterances against those of other subjects and groups.

        NaN for an utterance whose class no other group has.
        """
        out = {}
        for emotion, members in self._members.items():
            rows = members
            if len(members) > self.reference_cap:
                # one generator a class, so that another class' size does not change what is drawn here
                key = int.from_bytes(hashlib.sha256(f"{self.seed}/{emotion}".encode()).digest()[:8], "big")
                rows = np.sort(np.random.default_rng(key).choice(members, self.reference_cap, replace=False))
            scores = [self._nearest(self._cepstra[r], self._others(members, self._row(int(r)))) for r in rows]
            out[emotion] = np.array(scores, dtype=np.float64)
        return out

    def save(self, folder: Path) -> None:
        """Writes cepstra.safetensors and mcd.json into `folder`."""
        frames = np.concatenate(self._cepstra)
        lengths = np.array([len(c) for c in self._cepstra], dtype=np.int64)
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / "cepstra.safetensors", safetensors.numpy.save({"frames": frames, "lengths": lengths}))
        write_json(folder / "mcd.json", self._config() | {"judge": self.judge})

    @classmethod
    def load(cls, folder: Path) -> NearestMcd:
        """Raises `IntegrityError` if the files are not what was saved."""
        config = json.loads((folder / "mcd.json").read_text(encoding="utf-8"))
        judge = config.pop("judge")
        tensors = safetensors.numpy.load((folder / "cepstra.safetensors").read_bytes())
        cepstra = np.split(tensors["frames"], np.cumsum(tensors["lengths"])[:-1])
        real = Utterances(**{name: config[name] for name in ("ids", "emotions", "subjects", "groups")}, cepstra=cepstra)
        options = McdParams(**{name: config[name] for name in McdParams.model_fields})
        gate = cls(real, rate_hz=config["rate_hz"], classes=config["classes"], options=options, seed=config["seed"])
        if gate.judge != judge:
            raise IntegrityError(f"{folder} holds cepstra of {gate.judge}, its mcd.json says {judge}: save it again.")
        return gate

    def _config(self) -> dict[str, Any]:
        return {
            "rate_hz": self.rate_hz,
            "classes": list(self.classes),
            "k": self.k,
            "candidates": self.candidates,
            "reference_cap": self.reference_cap,
            "seed": self.seed,
            "ids": list(self._ids),
            "emotions": list(self._emotions),
            "subjects": list(self._subjects),
            "groups": list(self._groups),
        }

    def _content_hash(self) -> str:
        frames = [hash_bytes(np.ascontiguousarray(c, dtype=np.float32).tobytes()) for c in self._cepstra]
        return hash_json({"config": self._config(), "cepstra": frames})

    def _row(self, r: int) -> tuple[set[str], str | None, str | None]:
        return {self._ids[r]}, self._subjects[r], self._groups[r]

    def _eligible(self, batch: Batch, i: int) -> np.ndarray:
        ids = {batch.ids[i], *(batch.source_ids[i] if batch.source_ids else ())}
        subject = batch.subjects[i] if batch.subjects else None
        group = batch.groups[i] if batch.groups else None
        return self._others(self._members[batch.emotions[i]], (ids, subject, group))

    def _others(self, members: np.ndarray, own: tuple[set[str], str | None, str | None]) -> np.ndarray:
        ids, subject, group = own
        return np.array(
            [
                r
                for r in members
                if self._ids[r] not in ids
                and (subject is None or self._subjects[r] != subject)
                and (group is None or self._groups[r] != group)
            ],
            dtype=np.int64,
        )

    def _nearest(self, cepstra: np.ndarray, rows: np.ndarray) -> float:
        """[T, 24] and the rows it may be compared with -> mean MCD to the k nearest of them; NaN without any."""
        if not len(rows):
            return math.nan
        distance = ((self._summaries[rows] - summary(cepstra)) ** 2).sum(axis=1)
        near = rows[np.argsort(distance, kind="stable")[: self.candidates]]
        values = np.sort([mcd_dtw(cepstra, self._cepstra[r]) for r in near])
        return float(values[: self.k].mean())
