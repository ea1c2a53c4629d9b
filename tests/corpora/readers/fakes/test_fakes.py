"""The demo's corpora: classes differ and overlap. A plain classifier on simple statistics is 70 to 85 % right (UAR)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from corpora.codecs import decode_image, decode_wav
from corpora.readers import make_corpus
from corpora.schema import Sample

VOICES = {"neutral": 48, "happiness": 48, "sadness": 36, "anger": 60, "fear": 18}
FACES = {"neutral": 110, "happiness": 130, "sadness": 80, "anger": 60, "surprise": 30}


def acoustic_statistics(payload: bytes) -> np.ndarray:
    """MFCC means and spreads, log-F0 mean, spread and range, share of voice, level, duration -> [34]"""
    import pyworld
    from scipy.fft import dct

    signal = decode_wav(payload)[0][:, 0].astype(np.float64)
    f0, _ = pyworld.dio(signal, 16000, frame_period=10.0)
    pitch = np.log(f0[f0 > 0]) if (f0 > 0).sum() > 3 else np.zeros(4)
    frames = np.lib.stride_tricks.sliding_window_view(signal, 400)[::160] * np.hanning(400)
    power = np.abs(np.fft.rfft(frames, 512)) ** 2
    edges = np.expm1(np.linspace(0, np.log1p(8000 / 700), 28)) * 700
    hz = np.fft.rfftfreq(512, 1 / 16000)
    rise = (hz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - hz) / np.diff(edges)[1:, None]
    mel = np.log(power @ np.clip(np.minimum(rise, fall), 0, None).T + 1e-10)
    mfcc = dct(mel, norm="ortho")[:, :13]
    level = 10 * np.log10((frames**2).mean(1) + 1e-10)
    rest = [
        pitch.mean(),
        pitch.std(),
        np.ptp(pitch),
        (f0 > 0).mean(),
        level.mean(),
        level.std(),
        level.max(),
        len(signal),
    ]
    return np.r_[mfcc.mean(0), mfcc.std(0), rest]


def oriented_gradients(payload: bytes) -> np.ndarray:
    from skimage.feature import hog

    return hog(decode_image(payload), orientations=8, pixels_per_cell=(8, 8), cells_per_block=(2, 2))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7, 11])
@pytest.mark.parametrize(
    ("name", "subjects", "counts", "features", "c"),
    [("ravdess", 12, VOICES, acoustic_statistics, 1.0), ("fer2013", 0, FACES, oriented_gradients, 0.01)],
)
def test_classes_overlap_as_they_do_in_life(
    name: str,
    subjects: int,
    counts: dict[str, int],
    features: Callable[[bytes], np.ndarray],
    c: float,
    seed: int,
    tmp_path: Path,
) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import recall_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    corpus = make_corpus(name)
    corpus.fake(tmp_path, subjects=subjects, per_class=counts, seed=seed)
    samples = [s for s in corpus.read(tmp_path, "c") if isinstance(s, Sample)]
    x = np.stack([features(s.payload) for s in samples])
    emotions = [s.emotion for s in samples]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=c, class_weight="balanced", max_iter=3000))
    said = cross_val_predict(model, x, emotions, groups=[s.group_id for s in samples], cv=StratifiedGroupKFold(4))
    uar = recall_score(emotions, said, average="macro")
    assert 0.70 <= uar <= 0.85
