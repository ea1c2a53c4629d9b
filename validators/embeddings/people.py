"""Whose voice or face is it? An embedding that learned the subjects of a corpus' own train split.

The subjects are the classes. "statistics" projects long-term features (speech: mean, spread and change of each mel
band, level taken off; faces: HOG) on what tells people apart (linear discriminants, Fisher 1936, with the shrinkage of
Ledoit & Wolf 2004); "network" is the small network of validators/embeddings/embedding.py; "both" stand side by side.
"speaker_ge2e" (speech) and "face_dlib" (faces) project the points of an encoder that an installed package carries
(docs/encoders.md) in the same way; "statistics+speaker_ge2e" stand side by side. How good they are was measured:
docs/gates.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpora.errors import UnknownNameError, UserError
from features.encoders import TrainedEncoder
from features.pretrained.packages import require_same
from features.speech.world import SILENT_PEAK
from validators.batch import Batch, rows_of, usable
from validators.embeddings.features import features_of, titled
from validators.embeddings.images import MEL_BANDS, MEL_COLUMNS, encoder_images, mel_of
from validators.embeddings.network import fit_encoder
from validators.maths.principal import directions
from validators.maths.sets import column_scale, unit_rows
from validators.state import arrays_hash, load_state, save_state

PACKED = {"speaker_ge2e": "speech", "face_dlib": "face"}  # encoders of installed packages -> what they look at
KINDS = ("statistics", "network", "both", *PACKED, *(f"statistics+{name}" for name in PACKED))
WIDEST = 128  # columns of a covariance that is inverted
_LEVEL = 0.05  # root mean square that recordings are brought to


def recognisable(batch: Batch) -> np.ndarray:
    """-> [B] bool: usable, and neither silence (peak under -80 dBFS) nor a picture of one gray."""
    least = SILENT_PEAK if batch.modality == "speech" else 1.0
    return np.asarray(
        [ok and float(np.ptp(s)) >= least for ok, s in zip(usable(batch), batch.signals, strict=True)], bool
    )


def levelled(batch: Batch) -> Batch:
    """Recordings at one level, so that gain is no identity; what is computed once stays in `batch.cache`. Faces: as
    they are."""
    if batch.modality != "speech":
        return batch
    key = "mel at one level"
    if key not in batch.cache:
        ok = recognisable(batch)
        signals = [
            np.asarray(s, np.float64) * (_LEVEL / np.sqrt(np.mean(np.square(s, dtype=np.float64)))) if good else s[:0]
            for good, s in zip(ok, batch.signals, strict=True)
        ]
        mel = mel_of(replace(batch, signals=signals, cache={}))
        batch.cache[key] = mel if mel.size else np.zeros((len(batch), MEL_BANDS * MEL_COLUMNS))
    return replace(batch, cache={"mel": batch.cache[key]})


def statistics_of(batch: Batch) -> np.ndarray:
    """A levelled batch -> [B, 120] (speech, dB) or [B, D] (faces, HOG) float64."""
    if batch.modality != "speech":
        return features_of(batch, "hog")
    mel = mel_of(batch).reshape(-1, MEL_BANDS, MEL_COLUMNS)
    return np.concatenate([mel.mean(axis=2), mel.std(axis=2), np.diff(mel, axis=2).std(axis=2)], axis=1)


class IdentityEmbedding:
    """Unit vectors whose scalar product is the likeness of two people, in [-1, 1]; 0: as alike as any two of train.

    Fitted by `fit_identity`; `save` and `load` use a folder of safetensors and JSON.
    """

    def __init__(
        self,
        modality: str,
        rate_hz: float | None,
        arrays: Mapping[str, np.ndarray],
        encoder: TrainedEncoder | None,
        title: str = "",
    ) -> None:
        """title: of the packaged encoder that the arrays project, "" where they project none."""
        self.modality, self.rate_hz = modality, rate_hz
        self._arrays, self._encoder, self._title = dict(arrays), encoder, title
        if title:
            require_same(title, titled(title.partition("@")[0]), "an identity embedding")
        parts = ([encoder.name] if encoder is not None else []) + ([title] if title else [])
        self.name = "identity-" + "&".join([*parts, f"{modality}/{arrays_hash(self._arrays)}"])

    def embed(self, batch: Batch) -> np.ndarray:
        """-> [B, d] float64, rows of length 1; NaN rows where nobody can be recognised.

        Raises `UserError` for another modality or sampling rate than it was fitted on.
        """
        if batch.modality != self.modality or (batch.rate_hz or None) != self.rate_hz:
            raise UserError(
                f"this identity embedding knows {self.modality} at {self.rate_hz} Hz, not {batch.modality} at "
                f"{batch.rate_hz} Hz; resample, or fit another"
            )
        ok = np.flatnonzero(recognisable(batch))
        even = rows_of(levelled(batch), ok) if ok.size else None
        parts = []
        if "scalings" in self._arrays:
            d = self._arrays["scalings"].shape[1]
            x = (statistics_of(even) - self._arrays["mean"]) @ self._arrays["scalings"] if even else np.zeros((0, d))
            parts.append(unit_rows(x))
        if self._title:
            packed = self._title.partition("@")[0]
            mean, scalings = self._arrays[f"{packed}.mean"], self._arrays[f"{packed}.scalings"]
            known = features_of(batch, packed)[ok] if ok.size else np.zeros((0, mean.size))
            parts.append(unit_rows((known - mean) @ scalings))
        if self._encoder is not None:
            x = self._encoder.embed(encoder_images(even)) if even else np.zeros((0, self._arrays["centre"].size))
            parts.append(unit_rows(x - self._arrays["centre"]))
        points = np.concatenate(parts, axis=1) / np.sqrt(len(parts))
        out = np.full((len(batch), points.shape[1]), np.nan)
        out[ok] = points
        return out

    def save(self, folder: Path) -> None:
        """Into `folder`, as `load` reads it: gate.safetensors and gate.json, and the network's own two files."""
        save_state(folder, self._arrays, self._facts())
        if self._encoder is not None:
            self._encoder.save(folder)

    def _facts(self) -> dict[str, str | float | None]:
        facts = {"identity": self.name, "modality": self.modality, "rate_hz": self.rate_hz}
        return facts | ({"encoder": self._title} if self._title else {})

    @classmethod
    def load(cls, folder: Path) -> IdentityEmbedding:
        """Raises `UserError` for a folder that holds none, `IntegrityError` for files that do not belong together."""
        if not (folder / "gate.json").is_file():
            raise UserError(f"{folder} holds no identity embedding (gate.json is missing)")
        arrays, facts = load_state(folder)
        if "identity" not in facts:
            raise UserError(f"{folder} holds no identity embedding; of a gate, name the folder of one of its folds")
        encoder = TrainedEncoder.load(folder) if "centre" in arrays else None
        return cls(facts["modality"], facts["rate_hz"], arrays, encoder, facts.get("encoder", ""))


def fit_identity(
    train: Batch,
    *,
    kind: str = "statistics",
    seed: int = 0,
    steps: int | None = None,
    subjects: Sequence[str] | None = None,
) -> IdentityEmbedding:
    """What tells the subjects of `train` apart: `subjects`, or those with at least 2 recognisable samples. `steps`: of
    the network.

    Raises `UserError` with fewer than 2 such subjects, for an encoder of another modality or that is not installed,
    `UnknownNameError` for an unknown kind.
    """
    if kind not in KINDS:
        raise UnknownNameError.of("identity embedding", kind, KINDS)
    subjects = known_subjects(train) if subjects is None else list(subjects)
    part = levelled(train)
    part = rows_of(part, recognisable(train) & np.isin(subjects_of(train), subjects))
    who = subjects_of(part)
    arrays: dict[str, np.ndarray] = {}
    encoder = None
    seen = kind.split("+")
    packed = next((name for name in seen if name in PACKED), "")
    if packed and train.modality != PACKED[packed]:
        raise UserError(f"identity embedding {kind} looks at {PACKED[packed]}, not at {train.modality}")
    if kind == "both" or "statistics" in seen:
        arrays = dict(zip(("mean", "scalings"), discriminants(statistics_of(part), who), strict=True))
    if packed:
        places = (f"{packed}.mean", f"{packed}.scalings")
        arrays |= dict(zip(places, discriminants(features_of(part, packed), who), strict=True))
    if kind in ("network", "both"):
        encoder = fit_encoder(replace(part, emotions=tuple(who)), classes=subjects, seed=seed, steps=steps)
        points = encoder.embed(encoder_images(part))
        arrays["centre"] = np.stack([points[who == s].mean(axis=0) for s in subjects]).mean(axis=0)
    title = titled(packed) if packed else ""
    return IdentityEmbedding(train.modality, train.rate_hz or None, arrays, encoder, title)


def discriminants(x: np.ndarray, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[n, D] of [n] classes -> mean of the class means [D], scalings [D, at most classes - 1]: (x - mean) @ scalings
    has unit variance within classes, as far as the shrunk covariance tells. More than 128 columns are first rotated to
    their 128 principal components."""
    from scipy.linalg import eigh
    from sklearn.covariance import ledoit_wolf

    names, of_row = np.unique(who, return_inverse=True)
    means = np.stack([x[of_row == k].mean(axis=0) for k in range(len(names))])
    centre = means.mean(axis=0)  # a class weighs as much as another: where nobody is
    within = x - means[of_row]
    spread = within.std(axis=0)
    scale = column_scale(spread, centre)
    turn = np.eye(x.shape[1])
    if x.shape[1] > WIDEST:
        turn = directions((x - centre) / scale, min(WIDEST, len(x)))[0].T
    covariance, _ = ledoit_wolf((within / scale) @ turn, assume_centered=True)
    covariance += (1e-6 * np.trace(covariance) / len(covariance) or 1.0) * np.eye(len(covariance))
    between = ((means - centre) / scale) @ turn
    values, vectors = eigh(between.T @ between / len(names), covariance)
    kept = [i for i in np.argsort(values)[::-1][: len(names) - 1] if values[i] > 1e-12 * values[-1]]
    return centre, np.ascontiguousarray((turn @ vectors[:, kept]) / scale[:, None])


def subjects_of(batch: Batch) -> np.ndarray:
    """-> [B] str, empty where a subject is not known."""
    return np.asarray([s or "" for s in batch.subjects] if batch.subjects else [""] * len(batch), dtype=str)


def known_subjects(batch: Batch) -> list[str]:
    """Those with at least 2 recognisable samples, in order. Raises `UserError` where there are fewer than 2."""
    names = subjects_of(batch)[recognisable(batch)].tolist()
    if why := why_no_people(names):
        raise UserError(why)
    return sorted(s for s, n in Counter(names).items() if s and n >= 2)


def why_no_people(subjects: Sequence[str | None]) -> str:
    """Subjects of train's samples (None or "": not known) -> why identity cannot be judged; "" where it can."""
    counts = Counter(s for s in subjects if s)
    if not counts:
        return (
            "identity cannot be judged: train has no subject labels (FER2013, for one, knows none). Leave the gate "
            "identity out, or use a corpus that names its subjects."
        )
    several = sum(n >= 2 for n in counts.values())
    if several < 2:
        return (
            f"identity cannot be judged: {several} subjects of train have 2 usable samples; at least 2 such "
            "subjects are needed. Leave the gate identity out, or add subjects."
        )
    return ""
