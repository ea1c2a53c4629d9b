"""Writes docs/measures.md from the registry of metrics and from what stands here about each.

    python docs/make_measures.py

tests/validators/measures/test_measures_page.py fails while a metric has no entry,
or the page differs from what this prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from corpora.store.atomic import write_text
from features.physio.ranges import RANGES
from validators.measures.registry import METRICS, choices, options_of

PAGE = Path(__file__).parent / "measures.md"


class Note(NamedTuple):
    """What the page says of one metric beside what the registry knows."""

    unit: str
    convention: str
    source: str
    unless: str  # when not to use it


SAYS: dict[str, Note] = {
    # sets of features
    "frechet": Note(
        "squared feature units",
        "Gaussians, ddof 1, no shrinkage",
        "Dowson & Landau 1982; FID: Heusel et al. 2017",
        "sets of different size, or fewer rows than columns: it is biased upwards by both; read it beside its floor",
    ),
    "kid": Note(
        "1",
        "MMD², unbiased, (x·y/d + 1)³, all rows, not scaled",
        "Binkowski et al. 2018",
        "features of different scale: the large ones decide; below 0 is noise",
    ),
    "cmmd": Note(
        "1",
        "MMD², unbiased, Gaussian of width sigma, × 1000",
        "Jayasumana et al. 2024",
        "features that are not CLIP's, unless sigma is set to their typical distance",
    ),
    "energy-distance": Note(
        "feature units", "2 E|x-y| - E|x-x'| - E|y-y'|, unbiased", "Székely & Rizzo 2013", "features of different scale"
    ),
    "sliced-wasserstein": Note(
        "feature units",
        "W_p over random directions, root of the mean power",
        "Bonneel et al. 2015",
        "sets of different or small size: biased upwards; compare equal directions and seed only",
    ),
    "precision": Note(
        "share",
        "k nearest neighbours, strictly inside",
        "Kynkäänniemi et al. 2019",
        "real sets with outliers: one far row has a large ball; use density. Sets that repeat rows: see below",
    ),
    "recall": Note(
        "share",
        "k nearest neighbours, strictly inside",
        "Kynkäänniemi et al. 2019",
        "sets of different size; use coverage. Sets that repeat rows: see below",
    ),
    "density": Note(
        "share",
        "k nearest neighbours; may exceed 1",
        "Naeem et al. 2020",
        "as a share: it has no upper end. Sets that repeat rows: see below",
    ),
    "coverage": Note(
        "share",
        "k nearest neighbours",
        "Naeem et al. 2020",
        "sets of different size: it falls with fewer synthetic rows. Sets that repeat rows: see below",
    ),
    "vendi": Note(
        "samples",
        "order 1, cosine or rbf, as many rows of each set",
        "Friedman & Dieng 2023",
        "as fidelity: noise is diverse; compare with that of real in `details`",
    ),
    "c2st": Note(
        "AUC",
        "cross-validated classifier, classes weighted equally",
        "Lopez-Paz & Oquab 2017",
        "large sets as a verdict: any difference is found, however small",
    ),
    "auth-pct": Note(
        "share",
        "not nearer to a train row than that row's nearest train row is",
        "Alaa et al. 2022",
        "fewer synthetic than train rows: copies may go unseen; copies of rows that repeat are left out",
    ),
    "dcr": Note(
        "share",
        "nearer to train than to as many holdout rows, ties half",
        "distance to closest record; Platzer & Reutterer 2021",
        "a holdout of the same people: it hides memorised voices and faces",
    ),
    "nndr": Note(
        "ratio",
        "nearest over second nearest train row, median",
        "Lowe 2004 for matching; as privacy: Zhao et al. 2021",
        "corpora with repeats: copies of rows that repeat have no ratio and are left out",
    ),
    "mia-auc": Note(
        "AUC",
        "distance to the nearest synthetic rows, no shadow model",
        "Chen et al. 2020, GAN-Leaks",
        "as proof of privacy: a stronger attack may succeed",
    ),
    # answers
    "accuracy": Note("share", "right of all", "", "imbalanced classes: always answering the largest looks good"),
    "uar": Note(
        "share",
        "mean recall over classes that occur",
        "Schuller et al. 2009",
        "classes of a handful: each sample weighs much",
    ),
    "macro-f1": Note(
        "share",
        "mean F1 over classes that occur or are answered (UF1)",
        "See et al. 2019",
        "comparing test sets of different prevalence",
    ),
    "auc": Note(
        "AUC", "one against the rest, macro, ties half", "Hanley & McNeil 1982", "judging calibration or a threshold"
    ),
    "ece": Note(
        "share",
        "15 equal bins, an upper edge inside",
        "Guo et al. 2017, eq. 3",
        "few rows: bins are noisy and it is biased upwards",
    ),
    "ccc": Note(
        "1", "ddof 0 or 1 (option)", "Lin 1989", "constant truth or answers; single dialogues pooled into one number"
    ),
    # speech
    "mcd": Note(
        "dB",
        "mcd24-dtw-5ms: WORLD, 24 coefficients without c0, exact DTW; harvest, plain and pymcd by option",
        "Kubichek 1993",
        "other sentences; numbers of other conventions (pymcd's are about twice as large)",
    ),
    "f0-rmse": Note(
        "cents", "DIO + StoneMask, 5 ms, voiced in both", "", "other sentences; a mean over few voiced frames"
    ),
    "f0-correlation": Note("1", "Pearson of log F0, voiced in both", "", "monotone speech: noise decides"),
    "voicing-error": Note("share", "frames voiced in one only", "", "pairs of different timing, unless aligned"),
    "energy-difference": Note(
        "dB",
        "mean |difference| of 25-ms level along the DTW path, or from the start",
        "",
        "comparing loudness as heard; recordings at other distances from the microphone, unless gain=false",
    ),
    "duration-difference": Note(
        "s", "mean |synthetic - real|, pauses included", "", "other sentences; one recording trimmed and the other not"
    ),
    "speaker-similarity": Note(
        "1",
        "cosine of an embedding from a path, mean over pairs",
        "",
        "comparing embeddings: 0.8 of one says nothing in another; a different room or microphone in the two sets",
    ),
    "identity-similarity": Note(
        "1",
        "cosine of an embedding from a path, mean over pairs",
        "",
        "comparing embeddings; faces that are not cropped and aligned as those it was trained on",
    ),
    "face-likeness": Note(
        "x typical real distance",
        "distance to the k-th nearest of half of real / median of the other half's",
        "Sun et al. 2022",
        "judging looks: a blurred mean face lies among real ones; several pictures of one person",
    ),
    # pictures
    "psnr": Note("dB", "peak 255, mean over pixels and channels", "", "unpaired pictures; judging looks"),
    "ssim": Note(
        "1",
        "wang2004: Gaussian 11 × 11; or skimage: uniform 7 × 7",
        "Wang et al. 2004",
        "unpaired pictures; the two conventions together",
    ),
    "lpips": Note(
        "1",
        "version 0.1 on AlexNet or VGG16, mean over positions, sum of 5 layers; the hash of the weights",
        "Zhang et al. 2018, eq. 1",
        "unpaired pictures; other networks, weights or sizes of picture than the number it is compared with",
    ),
    # texts
    "bleu": Note(
        "%",
        "sacrebleu's signature: one reference, 13a, exponential smoothing",
        "Papineni et al. 2002; Post 2018",
        "lines of fewer than 4 words (none: there is no 4-gram), paraphrases, single lines, other tokenizers or "
        "numbers of references",
    ),
    "chrf": Note(
        "%",
        "sacrebleu's signature: characters to 6, beta 2, no words",
        "Popović 2015",
        "judging meaning; two languages together",
    ),
    "cosine": Note(
        "1", "row i and row i, mean", "", "embeddings of different models; as a scale: 0.8 means nothing by itself"
    ),
    "self-bleu": Note(
        "%",
        "each against all others, 13a, as many lines of each set",
        "Zhu et al. 2018",
        "sets of different size: it rises with n",
    ),
    "distinct-n": Note(
        "share",
        "13a, lower case, as many lines of each set",
        "Li et al. 2016",
        "sets of different size or length of lines: it falls with both",
    ),
    "mauve": Note(
        "1",
        "c 5, 25 points, PCA 90 % whitened, k-means of n/10 clusters",
        "Pillutla et al. 2021",
        "fewer than some hundred rows; other embeddings, seeds or n than the number it is compared with",
    ),
    "perplexity": Note(
        "perplexity",
        "interpolated Kneser-Ney of order 3 over words, or a model from a path; bits a byte beside it",
        "Kneser & Ney 1995; Chen & Goodman 1999",
        "other tokens or training texts (compare bits a byte); as quality: dull text is likely",
    ),
    "language": Note(
        "1",
        "1 - out of place / largest, 1 to 5 letters, 400 ranks, lines as one text",
        "Cavnar & Trenkle 1994",
        "single short lines, sets of different size; two close languages",
    ),
    "toxicity": Note(
        "share",
        "lines with an entry of your list, whole words",
        "",
        "judging meaning: quotes, irony and other spellings go unseen; none is shipped",
    ),
    "ngram-containment": Note(
        "share",
        "word 5-grams of a line in one real line, largest",
        "containment: Broder 1997",
        "paraphrases; lines of fewer than 5 words, which count only where they are equal",
    ),
    # signals
    "differential-entropy": Note(
        "nats",
        "difference of mean 1/2 ln(2πe var) by band and channel",
        "Duan, Zhu & Lu 2013; bands: Zheng & Lu 2015",
        "other units, references or gains: a factor g adds ln g; a flat stretch of 0.5 s has none",
    ),
    "band-power": Note(
        "dB",
        "difference of mean dB by band and channel, Welch Hann 2 s",
        "Welch 1967",
        "other units or gains; a flat stretch of 0.5 s has none",
    ),
    "psd-distance": Note(
        "dB",
        "rms log-spectral distance of mean spectra",
        "Gray & Markel 1976",
        "lines that a filter emptied: restrict low_hz and high_hz",
    ),
    "autocorrelation": Note(
        "1",
        "biased, lags to 1 s, mean over lags and channels",
        "Box & Jenkins 1976",
        "judging level or gain: it sees neither",
    ),
    "coherence": Note(
        "1",
        "magnitude squared, Welch Hann 1 s, by band and pair",
        "Carter, Knapp & Nuttall 1973",
        "trials of few seconds or of different length; after average reference in one set only",
    ),
    "heart-rate": Note(
        "beats/min",
        "Wasserstein-1 of trials' rates, NeuroKit2's peaks, artefacts left out",
        "Task Force 1996; Lipponen & Tarvainen 2019",
        "trials under 10 s; see how many trials and intervals were left out, and why",
    ),
    "rmssd": Note(
        "ms",
        "Wasserstein-1 of trials' RMSSD, NeuroKit2's peaks, artefacts left out",
        "Task Force 1996; Lipponen & Tarvainen 2019",
        "trials under a minute, rates under 100 Hz: each beat is off by up to a value; sensors at a moving wrist",
    ),
    "sdnn": Note(
        "ms",
        "Wasserstein-1 of trials' SDNN, NeuroKit2's peaks, artefacts left out",
        "Task Force 1996; Lipponen & Tarvainen 2019",
        "trials of different length: it grows with it",
    ),
    "out-of-range": Note(
        "share",
        "values outside of the table below",
        "see below",
        "standardised signals; as proof that a signal is real",
    ),
}
KINDS = {
    "features": (
        "Embeddings and other features",
        "`.npy` of [n, d] or [n], a row a sample; or, with "
        "`--embedding PATH`, files or folders of pictures or of wav, or text files",
    ),
    "labels": (
        "Answers",
        "text files, a label a line, or `.npy` of texts or whole numbers; the second of `auc` and "
        "`ece` is `.npy` [n, classes]. Byte-order marks, blanks and quotes around a label are taken off, and "
        "letters are brought to Unicode form NFC. A label outside `classes`, one that differs from another in "
        "case, hyphen or underscore alone (unless `ignore_case`), and an empty line are errors that name the "
        "row",
    ),
    "dimension": ("Dimensions", "`.npy` [n], or text files with a number a line"),
    "audio": ("Speech, in pairs", "two wav files, or two folders whose files have the same names"),
    "images": (
        "Pictures, in pairs",
        "two files, two folders of the same names, or `.npy` of uint8 [n, C, H, W]. "
        "Endings may differ (a.png and a.jpg are a pair) where a folder has one file of that name; where it has "
        "several, whole names must be the same",
    ),
    "text": ("Texts", "UTF-8 files, a line a sample; line i of both is a pair for `bleu` and `chrf`"),
    "signals": ("Signals", "`.npy` of [T], [n, T] or [n, T, channels] with the option `rate_hz`"),
}
REPEATS = """\
**Sets that repeat rows.** The ball of a row that has *k* equals in its own set has no radius, and whether a point at
its centre lies inside is a matter of the edge (the paper of 2019 counts it in, the tools do not). `precision`,
`recall`, `density` and `coverage` leave such points out and count them under `left_out`; where none is left (two equal
sets of repeats) there is no number. For the same reason `auth-pct` and `nndr` leave out copies of train rows that
repeat, and `vendi` has no number for rows of length 0 under `cosine`.
"""
HEAD = """\
<!-- Written by docs/make_measures.py; edit its notes, not this page. -->
# Measures

`emoforge measure METRIC REAL SYNTHETIC [-o option=value] [--json]` prints a value with its unit, convention, sizes,
a 95 % interval and a floor (what real gets against real) where there are such. Numbers compare only where metric,
convention, options, features and sizes are the same. The parity with other tools is in
[tests/golden/measures.json](../tests/golden/measures.json), with the tool, its version and the command; what gates
make of these numbers is in [gates.md](gates.md). A value that is undefined is printed as none,
with the reason, never as 0: too few rows, rows that hold NaN, or rows that repeat where a measure asks for the nearest
other one.

Options may also be written at the end as `--option value`; case does not matter, and a name or choice that is none is
an error that names the nearest. `--embedding PATH` names a pre-trained encoder: a folder in
Hugging Face's format (CLIP, DINOv2, ViT; wav2vec 2.0, HuBERT, WavLM, CLAP; sentence encoders) or the InceptionV3 of FID
as TorchScript; `PATH@layer7` takes a hidden layer of a speech model. Both sides and a holdout go through the same one,
and its name and the hash of its weights stand in the convention ([Embeddings](gates.md#embeddings)).
"""


def _option(name: str, key: str) -> str:
    """`unit` (cents, Hz)"""
    allowed = choices(name).get(key)
    return f"`{key}`" + (f" ({', '.join(allowed)})" if allowed else "")


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    for kind, (title, reads) in KINDS.items():
        rows = ["| metric | better | unit | convention | source | not for | options |", "|---|---|---|---|---|---|---|"]
        for name, metric in METRICS.items():
            if metric.kind == kind:
                note = SAYS[name]
                given = ", ".join(_option(name, key) for key in options_of(name))
                cells = [
                    f"`{name}` {metric.about}",
                    metric.better,
                    *note[:2],
                    note.source or "common",
                    note.unless,
                    given or "none",
                ]
                rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        parts.append(f"## {title}\n\nRead from {reads}.\n\n" + "\n".join(rows))
        if kind == "features":
            parts.append(REPEATS)
    rows = [f"| {kind} | {one.low:g} to {one.high:g} | {one.unit} | {one.source} |" for kind, one in RANGES.items()]
    parts.append(
        "## Ranges of living bodies\n\n| kind | range | unit | source |\n|---|---|---|---|\n" + "\n".join(rows)
    )
    return "\n\n".join(part.strip() for part in parts) + "\n"


if __name__ == "__main__":
    write_text(PAGE, page())
