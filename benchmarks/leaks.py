"""Copies planted across two splits, as augmentation, re-packing and carelessness make them: what the audit has to find.

A corruption is a function (payload, random generator) -> payload. `plant` leaks a share of the test samples into train.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from corpora.codecs import decode_image, decode_text, decode_wav, encode_png, encode_text, encode_wav
from corpora.fingerprint import hash_bytes
from corpora.near.pairs import FINGERPRINTS, METHODS, fingerprint, near_pairs
from corpora.near.text import normalise, words_of
from corpora.schema import Sample
from corpora.signals import decode_signals, encode_signals

Corruption = Callable[[bytes, np.random.Generator], bytes]


def exact(payload: bytes, rng: np.random.Generator) -> bytes:
    return payload


# --- faces -----------------------------------------------------------------------------------------------------------


def _jpeg(payload: bytes, rng: np.random.Generator) -> bytes:
    out = io.BytesIO()
    Image.fromarray(decode_image(payload)).save(out, "JPEG", quality=int(rng.integers(35, 85)))
    return out.getvalue()


def _cropped_face(payload: bytes, rng: np.random.Generator) -> bytes:
    image = Image.fromarray(decode_image(payload))
    keep = rng.uniform(0.85, 0.97)
    w, h = image.width * keep, image.height * keep
    x, y = rng.uniform(0, image.width - w), rng.uniform(0, image.height - h)
    return encode_png(np.asarray(image.resize(image.size, Image.Resampling.BICUBIC, box=(x, y, x + w, y + h))))


def _lit(payload: bytes, rng: np.random.Generator) -> bytes:
    levels = (decode_image(payload).astype(float) - 128) * rng.uniform(0.7, 1.3) + 128 + rng.uniform(-25, 25)
    return encode_png(np.clip(levels, 0, 255).astype(np.uint8))


def _shifted_face(payload: bytes, rng: np.random.Generator) -> bytes:
    pixels = decode_image(payload)
    most = max(1, round(0.06 * pixels.shape[0]))
    dy, dx = rng.integers(-most, most + 1, 2)
    edge = ((most, most), (most, most), (0, 0))[: pixels.ndim]
    wide = np.pad(pixels, edge, mode="edge")
    return encode_png(wide[most + dy :, most + dx :][: pixels.shape[0], : pixels.shape[1]].copy())


def _mirrored(payload: bytes, rng: np.random.Generator) -> bytes:
    return encode_png(decode_image(payload)[:, ::-1].copy())


def _turned(payload: bytes, rng: np.random.Generator) -> bytes:
    image = Image.fromarray(decode_image(payload))
    return encode_png(np.asarray(image.rotate(rng.uniform(-6, 6), Image.Resampling.BILINEAR)))


def _face_chain(payload: bytes, rng: np.random.Generator) -> bytes:
    return _jpeg(_lit(_cropped_face(payload, rng), rng), rng)


# --- speech ----------------------------------------------------------------------------------------------------------


def _heard(payload: bytes) -> tuple[np.ndarray, int]:
    signal, rate_hz = decode_wav(payload)
    return signal.mean(axis=1), rate_hz


def _lossy(payload: bytes, rng: np.random.Generator) -> bytes:
    import soundfile

    signal, rate_hz = _heard(payload)
    out = io.BytesIO()
    soundfile.write(out, signal, rate_hz, format="OGG", subtype="VORBIS")
    out.seek(0)
    return encode_wav(*soundfile.read(out, dtype="float32"))


def _gain(payload: bytes, rng: np.random.Generator) -> bytes:
    signal, rate_hz = _heard(payload)
    return encode_wav(signal * 10 ** (rng.uniform(-18, 6) / 20), rate_hz)


def _trimmed(payload: bytes, rng: np.random.Generator) -> bytes:
    signal, rate_hz = _heard(payload)
    begin, end = rng.uniform(0, 0.12, 2) * len(signal)
    return encode_wav(signal[int(begin) : len(signal) - int(end)], rate_hz)


def _cutting(payload: bytes, rng: np.random.Generator) -> bytes:
    signal, rate_hz = _heard(payload)
    length = max(int(0.6 * len(signal)), int(1.3 * rate_hz))
    begin = int(rng.integers(0, max(1, len(signal) - length)))
    return encode_wav(signal[begin : begin + length], rate_hz)


def _resampled(payload: bytes, rng: np.random.Generator) -> bytes:
    from scipy.signal import resample_poly

    signal, rate_hz = _heard(payload)
    up, down = ((1, 2), (3, 2), (441, 320), (3, 1))[int(rng.integers(4))]
    return encode_wav(resample_poly(signal, up, down).astype(np.float32), rate_hz * up // down)


def _noisy(payload: bytes, rng: np.random.Generator) -> bytes:
    signal, rate_hz = _heard(payload)
    noise = rng.normal(0, np.sqrt(np.mean(signal**2)) * 10 ** (-20 / 20), len(signal))
    return encode_wav((signal + noise).astype(np.float32), rate_hz)


def _speech_chain(payload: bytes, rng: np.random.Generator) -> bytes:
    return _lossy(_gain(_trimmed(payload, rng), rng), rng)


# --- text ------------------------------------------------------------------------------------------------------------


def _spelling(payload: bytes, rng: np.random.Generator) -> bytes:
    text = decode_text(payload)
    text = (text.upper(), text.lower(), text.replace(" ", "  ").replace(".", "!!"), text + " :)")[int(rng.integers(4))]
    return encode_text(text + "\n")


def _typos(payload: bytes, rng: np.random.Generator) -> bytes:
    letters = list(decode_text(payload))
    for _ in range(max(1, len(letters) // 50)):
        letters[int(rng.integers(len(letters)))] = "abcdefgh"[int(rng.integers(8))]
    return encode_text("".join(letters))


def _fewer_words(payload: bytes, rng: np.random.Generator) -> bytes:
    words = decode_text(payload).split()
    n = max(1, round(0.85 * len(words)))
    begin = int(rng.integers(0, len(words) - n + 1))
    return encode_text(" ".join(words[begin : begin + n]))


def _quoted(payload: bytes, rng: np.random.Generator) -> bytes:
    return encode_text("RT @user: " + decode_text(payload))


# --- signals ---------------------------------------------------------------------------------------------------------


def _each(payload: bytes, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    return encode_signals({name: change(np.asarray(x, np.float64)) for name, x in decode_signals(payload).items()})


def _half_precision(payload: bytes, rng: np.random.Generator) -> bytes:
    return _each(payload, lambda x: (x / (np.abs(x).max() + 1e-9)).astype(np.float16).astype(np.float64))


def _unit(payload: bytes, rng: np.random.Generator) -> bytes:
    factor, offset = 10 ** rng.uniform(-3, 3), rng.uniform(-5, 5)
    return _each(payload, lambda x: factor * (x + offset))


def _shorter(payload: bytes, rng: np.random.Generator) -> bytes:
    begin, end = rng.uniform(0, 0.15, 2)
    return _each(payload, lambda x: x[int(begin * len(x)) : len(x) - int(end * len(x))])


CORRUPTIONS: dict[str, dict[str, Corruption]] = {
    "face": {
        "exact": exact,
        "re-encoded (jpeg 35-85)": _jpeg,
        "cropped (85-97 % of each side)": _cropped_face,
        "contrast x 0.7-1.3, brightness": _lit,
        "shifted (to 6 %)": _shifted_face,
        "mirrored": _mirrored,
        "turned (to 6 degrees)": _turned,
        "cropped, lit, re-encoded": _face_chain,
    },
    "speech": {
        "exact": exact,
        "re-encoded (Vorbis)": _lossy,
        "gain -18 to +6 dB": _gain,
        "trimmed (to 12 % each end)": _trimmed,
        "cutting of 60 %": _cutting,
        "resampled (8 to 48 kHz)": _resampled,
        "noise at 20 dB": _noisy,
        "trimmed, gain, re-encoded": _speech_chain,
    },
    "text": {
        "exact": exact,
        "case, punctuation, spaces": _spelling,
        "a typo in 50 letters": _typos,
        "cutting of 85 %": _fewer_words,
        "quoted": _quoted,
    },
    "physio": {
        "exact": exact,
        "half precision": _half_precision,
        "other unit and offset": _unit,
        "cutting (to 15 % each end)": _shorter,
    },
}


# Found as far as it goes; no part of what is promised
SHORT_WORDS = 12  # a text of fewer words shares them with others by chance: a copy that changed them is often not told
_SHORT = f", under {SHORT_WORDS} words"
BEYOND = {"turned (to 6 degrees)"} | {kind + _SHORT for kind in ("a typo in 50 letters", "cutting of 85 %", "quoted")}


@dataclass(frozen=True)
class Found:
    """What the audit said of planted copies. Shares of test samples; `wrong`: clean ones that are said to be copied."""

    planted: Counter[str]
    found: Counter[str]
    short: Counter[str]  # of the planted: not comparable by design (an utterance of half a second, "oh my god")
    clean: int
    wrong: int

    def recall(self, kind: str) -> float:
        return self.found[kind] / max(1, self.planted[kind])

    @property
    def near_recall(self) -> float:
        kinds = [kind for kind in self.planted if kind != "exact" and kind not in BEYOND]
        return sum(self.found[k] for k in kinds) / max(1, sum(self.planted[k] for k in kinds))

    @property
    def false_alarms(self) -> float:
        return self.wrong / max(1, self.clean)


def copies_of_itself(samples: Sequence[Sample]) -> set[str]:
    """Ids of samples that have a copy in the corpus already, says the audit. Real corpora do (FER2013: a tenth)."""
    modality = samples[0].modality
    rows = [_print(modality, s.sample_id, s.payload, s.signals) for s in samples]
    pairs = near_pairs(pa.Table.from_pylist(rows, schema=FINGERPRINTS))
    near = set(pairs["first"].to_pylist()) | set(pairs["second"].to_pylist())
    times = Counter(str(row["sha256"]) for row in rows)
    return {str(r["sample_id"]) for r in rows if r["sha256"] in near or times[str(r["sha256"])] > 1}


def _print(modality: str, sample_id: str, payload: bytes, signals: Sequence[Any]) -> dict[str, object]:
    return {
        "sample_id": sample_id,
        "sha256": hash_bytes(payload),
        "method": f"{modality}/{METHODS[modality].METHOD}",
        "data": fingerprint(modality, payload, signals),
    }


def _told(kind: str, sample: Sample) -> str:
    """The kind under which a copy is counted: changed copies of short texts apart."""
    short = sample.modality == "text" and len(words_of(normalise(decode_text(sample.payload)))) < SHORT_WORDS
    return kind + _SHORT if short and kind + _SHORT in BEYOND else kind


def plant(samples: Sequence[Sample], share: float, seed: int, left_out: Set[str] = frozenset()) -> Found:
    """A third of `samples` is test; of `share` of it (at least 3 of each kind) a corrupted copy goes to train.

    Samples that cannot be compared at all (docs/audit.md says which) and those `left_out` take no part.
    """
    rng = np.random.default_rng(seed)
    modality = samples[0].modality
    rows = {s.sample_id: _print(modality, s.sample_id, s.payload, s.signals) for s in samples}
    usable = [s for s in samples if rows[s.sample_id]["data"] and s.sample_id not in left_out]
    order = [usable[i] for i in rng.permutation(len(usable))]
    test, train = order[: len(order) // 3], order[len(order) // 3 :]
    kinds = CORRUPTIONS[modality]
    n = min(len(test), max(round(share * len(test)), 3 * len(kinds)))
    told = [rows[s.sample_id] for s in order]
    truth: dict[str, tuple[str, str, bool]] = {}
    for number, sample in enumerate(test[:n]):
        kind = list(kinds)[number % len(kinds)]
        row = _print(modality, f"copy/{number}", kinds[kind](sample.payload, rng), sample.signals)
        truth[sample.sample_id] = (_told(kind, sample), str(row["sha256"]), not row["data"])
        told.append(row)
    table = pa.Table.from_pylist(told, schema=FINGERPRINTS)
    pairs = near_pairs(table)
    near = set(zip(pairs["first"].to_pylist(), pairs["second"].to_pylist(), strict=True))
    near |= {(b, a) for a, b in near}
    of_train = {hash_bytes(s.payload) for s in train}
    copies = {sha for _, sha, _ in truth.values()}
    partners: dict[str, set[str]] = {}
    for a, b in near:
        partners.setdefault(a, set()).add(b)
    planted: Counter[str] = Counter()
    found: Counter[str] = Counter()
    short: Counter[str] = Counter()
    wrong = 0
    for sample in test:
        sha = hash_bytes(sample.payload)
        kind, copy_sha, is_short = truth.get(sample.sample_id, ("", "", False))
        if kind:
            planted[kind] += 1
            short[kind] += is_short
            found[kind] += copy_sha == sha or copy_sha in partners.get(sha, set())
        elif partners.get(sha, set()) & (of_train | copies):
            wrong += 1
    return Found(planted, found, short, len(test) - n, wrong)
