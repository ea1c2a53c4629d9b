"""Writes measures.json beside it: what other tools say of the inputs in inputs.py. Not run by the tests.

    python -m venv peers
    peers/bin/pip install --no-deps torch-fidelity clean-fid prdc torchmetrics lightning-utilities vendi-score POT \
        mauve-text pymcd pysptk fastdtw decorator statsmodels patsy torcheeg xmltodict spectrum lmdb tqdm
    peers/bin/pip install -e . requests
    peers/bin/python tests/golden/make_measures.py

torch-fidelity, clean-fid and torchmetrics import torchvision for networks that are not used here; an empty stand-in
takes its place, so that their maths runs with any build of torch. mauve-text imports faiss in the same way.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

from inputs import INPUTS, fingerprint  # noqa: E402

STANDINS = [
    "torchvision",
    "torchvision.datasets",
    "torchvision.models",
    "torchvision.models.feature_extraction",
    "torchvision.transforms",
    "torchvision.transforms.functional",
    "faiss",
]
GOLDEN: list[tuple[str, str, str, str, Callable[[], float]]] = []  # measure, inputs, package, call, value


def stand_in() -> None:
    for name in STANDINS:
        module = MagicMock()
        module.__spec__, module.__path__ = ModuleSpec(name, None), []
        module.__version__ = "0.0"
        sys.modules[name] = module


def golden(measure: str, inputs: str, package: str, call: str) -> Callable[[Callable[..., float]], None]:
    def register(work: Callable[..., float]) -> None:
        GOLDEN.append((measure, inputs, package, call, lambda: work(*INPUTS[inputs]())))

    return register


def frechet() -> None:
    for inputs in ("features", "features-unequal", "features-deficient"):

        @golden("frechet", inputs, "torch-fidelity", "metric_fid.fid_statistics_to_metric")
        def _(x: np.ndarray, y: np.ndarray) -> float:
            import torch
            from torch_fidelity import metric_fid as peer

            first, second = (peer.fid_features_to_statistics(torch.from_numpy(a)) for a in (x, y))
            return peer.fid_statistics_to_metric(first, second, False)[peer.KEY_METRIC_FID]

        @golden("frechet", inputs, "clean-fid", "fid.fid_from_feats")
        def _(x: np.ndarray, y: np.ndarray) -> float:
            from cleanfid.fid import fid_from_feats

            return fid_from_feats(x, y)

        @golden("frechet", inputs, "torchmetrics", "image.fid._compute_fid")
        def _(x: np.ndarray, y: np.ndarray) -> float:
            import torch
            from torchmetrics.image.fid import _compute_fid

            parts = [part for a in (x, y) for part in (torch.from_numpy(a).mean(dim=0), torch.cov(torch.tensor(a.T)))]
            return float(_compute_fid(*parts))


def sets() -> None:
    @golden("kid", "features", "torch-fidelity", "metric_kid.kernel_mmd, all rows")
    def _(x: np.ndarray, y: np.ndarray) -> float:
        from torch_fidelity.metric_kid import kernel_mmd

        return kernel_mmd(
            x, y, kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1.0
        )

    @golden("kid", "features", "clean-fid", "fid.kernel_distance, one subset of all rows")
    def _(x: np.ndarray, y: np.ndarray) -> float:
        from cleanfid.fid import kernel_distance

        return kernel_distance(x, y, num_subsets=1, max_subset_size=len(x))

    @golden("kid", "features", "torchmetrics", "image.kid.poly_mmd, all rows")
    def _(x: np.ndarray, y: np.ndarray) -> float:
        import torch
        from torchmetrics.image.kid import poly_mmd

        return float(poly_mmd(torch.from_numpy(x), torch.from_numpy(y)))

    for name in ("precision", "recall", "density", "coverage"):

        @golden(name, "features-unequal", "prdc", "compute_prdc, nearest_k=5")
        def _(x: np.ndarray, y: np.ndarray, name: str = name) -> float:
            from prdc import compute_prdc

            return float(compute_prdc(x, y, nearest_k=5)[name])

    @golden("vendi", "features-unequal", "vendi-score", "vendi.score_K of cosines, second set")
    def _(x: np.ndarray, y: np.ndarray) -> float:
        from vendi_score.vendi import score_K

        unit = y / np.linalg.norm(y, axis=1, keepdims=True)
        return float(score_K(unit @ unit.T))

    @golden("sliced-wasserstein", "features-unequal", "POT", "sliced_wasserstein_distance, 256 projections of seed 0")
    def _(x: np.ndarray, y: np.ndarray) -> float:
        import ot

        axes = np.random.default_rng(0).normal(size=(x.shape[1], 256))
        return float(ot.sliced_wasserstein_distance(x, y, projections=axes / np.linalg.norm(axes, axis=0), p=2))

    @golden("mauve-frontier", "histograms", "mauve-text", "compute_mauve's curve and area of given histograms")
    def _(p: np.ndarray, q: np.ndarray) -> float:
        import mauve  # noqa: F401
        from sklearn.metrics import auc

        peer = sys.modules["mauve.compute_mauve"]
        x, y = peer.get_divergence_curve_for_multinomials(p, q, np.linspace(1e-6, 1 - 1e-6, 25), 5).T
        along, across = np.argsort(x), np.argsort(y)
        return float(0.5 * (auc(x[along], y[along]) + auc(y[across], x[across])))

    @golden("mauve-integral", "histograms", "mauve-text", "compute_mauve.get_fronter_integral")
    def _(p: np.ndarray, q: np.ndarray) -> float:
        import mauve  # noqa: F401

        return float(sys.modules["mauve.compute_mauve"].get_fronter_integral(p, q))


def pairs() -> None:
    @golden("psnr", "pictures", "scikit-image", "metrics.peak_signal_noise_ratio, data_range=255")
    def _(a: np.ndarray, b: np.ndarray) -> float:
        from skimage.metrics import peak_signal_noise_ratio

        return float(peak_signal_noise_ratio(a, b, data_range=255))

    @golden("ssim-skimage", "pictures", "scikit-image", "metrics.structural_similarity, data_range=255")
    def _(a: np.ndarray, b: np.ndarray) -> float:
        from skimage.metrics import structural_similarity

        return float(structural_similarity(a, b, data_range=255))

    for mode, inputs in (("plain", "waves"), ("dtw", "waves-apart")):

        @golden(
            f"mcd-pymcd-{mode}", inputs, "pymcd", f"Calculate_MCD('{mode}').calculate_mcd, from float wav at 22050 Hz"
        )
        def _(a: np.ndarray, b: np.ndarray, mode: str = mode) -> float:
            import tempfile

            import soundfile
            from pymcd.mcd import Calculate_MCD

            with tempfile.TemporaryDirectory() as folder:
                files = [str(Path(folder) / name) for name in ("a.wav", "b.wav")]
                for file, wave in zip(files, (a, b), strict=True):
                    soundfile.write(file, wave, 22050, subtype="FLOAT")
                return float(Calculate_MCD(mode).calculate_mcd(*files))

    @golden("bleu", "texts", "sacrebleu", "BLEU().corpus_score, first set as references")
    def _(first: list[str], second: list[str]) -> float:
        from sacrebleu.metrics import BLEU

        return float(BLEU().corpus_score(second, [first]).score)

    @golden("chrf", "texts", "sacrebleu", "CHRF().corpus_score, first set as references")
    def _(first: list[str], second: list[str]) -> float:
        from sacrebleu.metrics import CHRF

        return float(CHRF().corpus_score(second, [first]).score)

    @golden("self-bleu", "texts", "sacrebleu", "mean of BLEU(effective_order=True).sentence_score, second set")
    def _(first: list[str], second: list[str]) -> float:
        from sacrebleu.metrics import BLEU

        peer = BLEU(effective_order=True)
        return float(
            np.mean([peer.sentence_score(s, second[:i] + second[i + 1 :]).score for i, s in enumerate(second)])
        )


def answers() -> None:
    @golden("uar", "answers", "scikit-learn", "metrics.balanced_accuracy_score")
    def _(truth: np.ndarray, scores: np.ndarray) -> float:
        from sklearn.metrics import balanced_accuracy_score

        return float(balanced_accuracy_score(truth, scores.argmax(axis=1)))

    @golden("macro-f1", "answers", "scikit-learn", "metrics.f1_score, average='macro'")
    def _(truth: np.ndarray, scores: np.ndarray) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(truth, scores.argmax(axis=1), average="macro"))

    @golden("auc", "answers", "scikit-learn", "metrics.roc_auc_score, multi_class='ovr'")
    def _(truth: np.ndarray, scores: np.ndarray) -> float:
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(truth, scores, multi_class="ovr"))

    @golden("ece", "answers", "torchmetrics", "functional.classification.multiclass_calibration_error, n_bins=15")
    def _(truth: np.ndarray, scores: np.ndarray) -> float:
        import torch
        from torchmetrics.functional.classification import multiclass_calibration_error

        return float(multiclass_calibration_error(torch.from_numpy(scores), torch.from_numpy(truth), 4, n_bins=15))

    @golden("ccc", "ratings", "torchmetrics", "functional.concordance_corrcoef, float64")
    def _(x: np.ndarray, y: np.ndarray) -> float:
        import torch
        from torchmetrics.functional import concordance_corrcoef

        return float(concordance_corrcoef(torch.from_numpy(y), torch.from_numpy(x)))


def signals() -> None:
    for field, name in (("HRV_MeanNN", "mean-nn"), ("HRV_SDNN", "sdnn"), ("HRV_RMSSD", "rmssd")):

        @golden(name, "beats", "neurokit2", f"hrv_time at 250 Hz, {field}")
        def _(positions: np.ndarray, field: str = field) -> float:
            import neurokit2

            return float(neurokit2.hrv_time({"ECG_R_Peaks": positions}, sampling_rate=250)[field].iloc[0])

    @golden("autocorrelation", "eeg", "statsmodels", "tsa.stattools.acf of the first channel of the first trial, lag 7")
    def _(x: np.ndarray) -> float:
        from statsmodels.tsa.stattools import acf

        return float(acf(x[0, :, 0], nlags=7, fft=False)[7])

    @golden(
        "differential-entropy",
        "eeg",
        "torcheeg",
        "BandDifferentialEntropy().opt (bits) of channel 0 of trial 0 "
        "after scipy's sosfiltfilt of a Butterworth of order 4, 8 to 14 Hz, padlen 48",
    )
    def _(x: np.ndarray) -> float:
        from scipy.signal import butter, sosfiltfilt
        from torcheeg.transforms.numpy.band import BandDifferentialEntropy

        sos = butter(4, [8, 14], btype="bandpass", output="sos", fs=128)
        return float(BandDifferentialEntropy().opt(sosfiltfilt(sos, x[0, :, 0], padlen=48)))


def main() -> None:
    stand_in()
    for register in (frechet, sets, pairs, answers, signals):
        register()
    found = []
    for measure, inputs, package, call, work in GOLDEN:
        entry = {
            "measure": measure,
            "inputs": inputs,
            "fingerprint": fingerprint(inputs),
            "tool": package,
            "version": version(package),
            "call": call,
            "value": float(work()),
        }
        found.append(entry)
        print(json.dumps(entry), file=sys.stderr)  # noqa: T201
    told = {"command": "python tests/golden/make_measures.py", "values": found}
    (HERE / "measures.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
