"""FER2013: 35,887 grey faces of 48 x 48 pixels in seven classes, found by an image search and labelled by people.

Goodfellow et al. (2013), "Challenges in Representation Learning", arXiv:1307.0414; its section 3 (pp. 3-4) counts the
classes. One csv file: `emotion,pixels,Usage`; pixels are 2304 numbers 0 ... 255, row by row. Nobody knows who is on the
pictures, and some stand there more than once, also across Usage: what no split may part is the picture itself.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from corpora.atomic import write_bytes
from corpora.codecs import encode_png
from corpora.errors import CorpusError, PayloadError
from corpora.readers.files import class_counts, printable
from corpora.schema import CorpusCard, Reject, Sample

SIZE = 48  # pixels a side
_EMOTIONS = {
    "0": "anger",
    "1": "disgust",
    "2": "fear",
    "3": "happiness",
    "4": "sadness",
    "5": "surprise",
    "6": "neutral",
}
_WORDS = {"0": "angry", "1": "disgust", "2": "fear", "3": "happy", "4": "sad", "5": "surprise", "6": "neutral"}
USAGES = {"Training": "train", "PublicTest": "dev", "PrivateTest": "test"}
_COLUMNS = ("emotion", "pixels", "usage")
_MAX_ROW = 1 << 16  # bytes; a row of the corpus has at most 9.3 kB
_SIGNALS = [{"name": "image", "unit": "grey level", "rate_hz": None, "shape": [SIZE, SIZE]}]


class Fer2013:
    """`Corpus` of FER2013's csv; also reads the second published form with columns in another order."""

    card = CorpusCard(
        name="fer2013",
        title="FER2013",
        modality="face",
        version="2013",
        license="LicenseRef-DbCL-1.0",  # the database's contents licence of its Kaggle page; no SPDX id
        may_redistribute=False,  # the images have third-party rights
        url="https://www.kaggle.com/datasets/msambare/fer2013",
        bibtex=(
            "@inproceedings{goodfellow2013challenges, title={Challenges in Representation Learning: A Report on Three "
            "Machine Learning Contests}, author={Goodfellow, Ian J. and others}, booktitle={Neural Information "
            "Processing (ICONIP)}, year={2013}, eprint={1307.0414}, archivePrefix={arXiv}}"
        ),
        language=None,
        split_unit="payload",
        label_map={_WORDS[code]: emotion for code, emotion in _EMOTIONS.items()},
        counts={
            "angry": 4953,
            "disgust": 547,
            "fear": 5121,
            "happy": 8989,
            "sad": 6077,
            "surprise": 4002,
            "neutral": 6198,
        },
        counts_source="Goodfellow et al. (2013), arXiv:1307.0414, section 3 (35,887 images)",
        n_subjects=None,
        n_samples=35_887,
        knows_subjects=False,
        official_split="Usage: Training (train), PublicTest (dev), PrivateTest (test)",
        sources={
            "layout": "Kaggle, Challenges in Representation Learning: emotion,pixels,Usage",
            "labels": "Kaggle, Challenges in Representation Learning: 0 angry ... 6 neutral",
            "counts": "Goodfellow et al. (2013), arXiv:1307.0414, section 3",
            "splits": "Goodfellow et al. (2013), arXiv:1307.0414, section 3: 28,709 train, 3,589 public, 3,589 private",
            "license": "Kaggle page of the dataset: DbCL 1.0",
            "subjects": "none are known: pictures came from an image search (arXiv:1307.0414, section 3)",
        },
        tested_on="real",
        quirks=("byte-equal pictures, also across Usage", "one form has the columns emotion, Usage, pixels"),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: bad-row, bad-label, bad-usage, wrong-number-of-pixels, value-out-of-range,
        not-numbers, undecodable-row.

        `root`: the csv or the folder that holds it. Other columns or another encoding raise `CorpusError`.
        """
        path = self._find(Path(root))
        with path.open("rb") as file:
            order = _header(path, file.readline(_MAX_ROW))
        return self._read(path, order, corpus)

    def _find(self, root: Path) -> Path:
        hint = f"Need the folder that holds fer2013.csv ({self.card.url})."
        if root.is_file():
            return root
        if not root.is_dir():
            raise CorpusError(f"FER2013: {root} is missing. {hint}")
        found = sorted(path for path in root.rglob("*.csv") if path.is_file() and not _hidden(path.relative_to(root)))
        named = [path for path in found if path.name.lower() == "fer2013.csv"] or found
        if len(named) != 1:
            what = "no csv file" if not named else f"{len(named)} csv files: {', '.join(p.name for p in named[:5])}"
            raise CorpusError(f"FER2013: {root} holds {what}; exactly one is expected. {hint}")
        return named[0]

    def _read(self, path: Path, order: tuple[int, int, int], corpus: str) -> Iterator[Sample | Reject]:
        n_rows = 0
        for number, row in enumerate(_rows(path)):
            n_rows += 1
            try:
                yield self._sample(row, order, number, corpus)
            except PayloadError as error:
                yield Reject(corpus, f"{printable(path.name)}#{number:06d}", error.reason, error.detail)
        if n_rows == 0:
            raise CorpusError(f"FER2013: {path} has a header and no rows. Get the whole file from {self.card.url}.")

    def _sample(self, row: bytes, order: tuple[int, int, int], number: int, corpus: str) -> Sample:
        fields = [field.strip(b' \t\r\n"') for field in row.split(b",")]
        if len(fields) != 3:
            raise PayloadError("bad-row", f"{len(fields)} fields, 3 are expected")
        label, pixels, usage = (fields[i] for i in order)
        image = _image(pixels)
        try:
            code, split = label.decode("ascii"), usage.decode("ascii")
        except UnicodeDecodeError as error:
            raise PayloadError("undecodable-row", "emotion or Usage is not plain text") from error
        if code not in _EMOTIONS:
            raise PayloadError("bad-label", f"emotion {code[:20]!r}; known: {', '.join(_EMOTIONS)}")
        if split not in USAGES:
            raise PayloadError("bad-usage", f"Usage {split[:20]!r}; known: {', '.join(USAGES)}")
        return Sample(
            sample_id=f"{corpus}/{number:06d}",
            corpus=corpus,
            modality="face",
            payload=encode_png(image),
            codec="png",
            license=self.card.license,
            group_id=f"{corpus}:{hashlib.sha256(image.tobytes()).hexdigest()}",
            emotion=_EMOTIONS[code],
            emotion_raw=_WORDS[code],
            signals=_SIGNALS,
            extra={"usage": split, "official_split": USAGES[split], "row": str(number)},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """`fer2013.csv` with drawn faces, 80 % Training and 10 % each of the rest, some pictures in two of them.

        FER2013 knows no subjects: `subjects` > 0 bounds the number of people drawn, 0 draws a new one each time.
        """
        from corpora.readers.fake_face import draw_face

        counts = class_counts(self.card, per_class)
        codes = {emotion: code for code, emotion in _EMOTIONS.items()}
        labels = [emotion for emotion, count in counts.items() for _ in range(count)]
        rng = np.random.default_rng([seed, 0])
        order = rng.permutation(len(labels))
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(["emotion", "pixels", "Usage"])
        drawn: dict[str, str] = {}
        n_held = 0
        for place, i in enumerate(order):
            emotion = labels[i]
            person = int(i) if subjects < 1 else int(rng.integers(subjects))
            usage = "Training" if place % 10 < 8 else ("PublicTest" if place % 10 == 8 else "PrivateTest")
            face = draw_face(
                emotion, person=np.random.default_rng([seed, 1, person]), rng=np.random.default_rng([seed, 2, i])
            )
            pixels = " ".join(map(str, face.ravel().tolist()))
            if usage == "Training":
                drawn[emotion] = pixels
            else:
                n_held += 1
                if n_held % 13 == 0 and emotion in drawn:  # as in the corpus: a picture of Training once more
                    pixels = drawn[emotion]
            writer.writerow([codes[emotion], pixels, usage])
        write_bytes(Path(root) / "fer2013.csv", out.getvalue().encode("ascii"))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _header(path: Path, line: bytes) -> tuple[int, int, int]:
    """The first line -> where emotion, pixels and Usage stand. Raises `CorpusError`."""
    expected = "emotion,pixels,Usage in UTF-8 or ASCII"
    if line[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise CorpusError(f"FER2013: {path} is UTF-16; expected {expected}. Convert it: iconv -f UTF-16 -t UTF-8.")
    names = [field.strip(b' \t\r\n"').lower() for field in line.removeprefix(b"\xef\xbb\xbf").split(b",")]
    if sorted(names) != [name.encode() for name in sorted(_COLUMNS)]:
        shown = line[:80].decode("ascii", "backslashreplace").strip()
        raise CorpusError(f"FER2013: the first line of {path} is {shown!r}; expected {expected}.")
    place = {name: names.index(name.encode()) for name in _COLUMNS}
    return place["emotion"], place["pixels"], place["usage"]


def _rows(path: Path) -> Iterator[bytes]:
    """Records after the header; one that a quoted field spreads over lines is joined, an endless one is cut."""
    with path.open("rb") as file:
        file.readline(_MAX_ROW)
        while line := file.readline(_MAX_ROW):
            whole = line
            while whole.count(b'"') % 2 and len(whole) < _MAX_ROW and (line := file.readline(_MAX_ROW)):
                whole += line
            while not line.endswith(b"\n") and (line := file.readline(_MAX_ROW)):
                pass  # drops the rest of an endless line; its beginning becomes a reject
            if whole.strip():
                yield whole.replace(b"\n", b" ").replace(b"\r", b" ") if whole.count(b"\n") > 1 else whole


def _image(pixels: bytes) -> np.ndarray:
    """b"70 80 82 ..." -> uint8 [48, 48]. Raises `PayloadError`."""
    if pixels.translate(None, b"0123456789 "):
        kind = "value-out-of-range" if b"-" in pixels and not pixels.translate(None, b"0123456789 -") else "not-numbers"
        raise PayloadError(kind, f"pixels are whole numbers 0 to 255 with blanks between; found {pixels[:40]!r}")
    values = np.fromstring(pixels, dtype=np.int64, sep=" ") if pixels else np.zeros(0, np.int64)
    if values.size != SIZE * SIZE:
        raise PayloadError("wrong-number-of-pixels", f"{values.size}, expected {SIZE * SIZE}")
    if values.max() > 255 or values.min() < 0:
        raise PayloadError("value-out-of-range", f"{values.min()} to {values.max()}, allowed 0 to 255")
    return values.astype(np.uint8).reshape(SIZE, SIZE)
