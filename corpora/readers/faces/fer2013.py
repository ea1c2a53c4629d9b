"""FER2013: 35,887 grey faces of 48 x 48 pixels in seven classes, found by an image search and labelled by people.

Goodfellow et al. (2013), "Challenges in Representation Learning", arXiv:1307.0414; its section 3 (pp. 3-4) counts the
classes. Nobody knows who is on the pictures, and some stand there more than once, also across Usage: the split unit is
the picture itself. Two published forms are read; where the csv is there, folders are not:

    fer2013.csv                            emotion,pixels,Usage; pixels are 2304 numbers 0 ... 255, row by row
    train/angry/Training_3908.jpg          the re-pack in class folders, kaggle.com/datasets/msambare/fer2013;
    test/angry/PrivateTest_10131363.jpg    its test/ holds PublicTest and PrivateTest; others have a validation/
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpora.codecs import decode_image, encode_png
from corpora.errors import CorpusError, PayloadError, UnknownLabelError
from corpora.records.boxes import picture_key
from corpora.records.files import class_counts, corpus_files, face_sample, known, printable, read_items, rejected
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

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
Row = tuple[str, np.ndarray, str]  # code of the emotion, uint8 [48, 48], Usage
_MAX_ROW = 1 << 16  # bytes; a row of the corpus has at most 9.3 kB
_BUFFER = 1 << 18  # bytes: with less, most rows lie in two fillings of it and are put together
_SIGNALS = [{"name": "image", "unit": "grey level", "rate_hz": None, "shape": [SIZE, SIZE]}]
# class folders; some re-packs name them by the noun
_FOLDERS = {word: word for word in _WORDS.values()} | {"anger": "angry", "happiness": "happy", "sadness": "sad"}
_SPLITS = {"train": "train", "test": "test", "validation": "dev", "val": "dev", "valid": "dev"}
_PICTURE = re.compile(rf"(?:^|/)({'|'.join(_SPLITS)})/([^/]+)/([^/]+)\.(?:jpe?g|png)$", re.IGNORECASE)


class Fer2013:
    """`Corpus` of FER2013's csv, its columns in either published order, and of its class folders."""

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
        official_split="Usage: Training (train), PublicTest (dev), PrivateTest (test); of folders: their name",
        sources={
            "layout": "Kaggle, Challenges in Representation Learning: emotion,pixels,Usage; folders: msambare/fer2013",
            "labels": "Kaggle, Challenges in Representation Learning: 0 angry ... 6 neutral",
            "counts": "Goodfellow et al. (2013), arXiv:1307.0414, section 3",
            "splits": "Goodfellow et al. (2013), arXiv:1307.0414, section 3: 28,709 train, 3,589 public, 3,589 private",
            "license": "Kaggle page of the dataset: DbCL 1.0",
            "subjects": "none are known: pictures came from an image search (arXiv:1307.0414, section 3)",
        },
        tested_on="real",
        quirks=(
            "byte-equal pictures, also across Usage",
            "one form has the columns emotion, Usage, pixels",
            "the folder form joins PublicTest and PrivateTest in test/; as jpg, its pixels are not those of the csv",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: bad-row, bad-label, bad-usage, wrong-number-of-pixels, value-out-of-range,
        not-numbers, undecodable-row; of folders bad-name (not in split/class/), bad-label, repeated-name and those of a
        picture file: not-an-image, truncated, too-large, empty, unreadable.

        `root`: the csv, or the folder that holds it or the class folders. Other columns or another encoding raise
        `CorpusError`.
        """
        root = Path(root)
        files = [] if not root.is_dir() or find_csv(root, named=True) else self._pictures(root)
        if files:
            return read_items(files, corpus, lambda path, name: self._file(path, name, corpus))
        path = self._find(root)
        return self._read(path, read_rows(path), corpus)

    def _pictures(self, root: Path) -> list[tuple[Path, str]]:
        """The files of the folder form; none where no picture lies in split/class/."""
        try:
            files = corpus_files(root, self.card)
        except CorpusError:  # nothing but documents, a csv of another name among them
            return []
        return files if any(_PICTURE.search(name) for _, name in files) else []

    def _find(self, root: Path) -> Path:
        hint = f"Need the folder that holds fer2013.csv or train/angry/*.jpg ({self.card.url})."
        if root.is_file():
            return root
        if not root.is_dir():
            raise CorpusError(f"FER2013: {root} is missing. {hint}")
        tables = find_csv(root, named=True) or find_csv(root)
        if len(tables) != 1:
            what = "no csv file" if not tables else f"{len(tables)} csv files: {', '.join(p.name for p in tables[:5])}"
            raise CorpusError(f"FER2013: {root} holds {what}; exactly one is expected. {hint}")
        return tables[0]

    def _read(self, path: Path, rows: Iterator[Row | PayloadError], corpus: str) -> Iterator[Sample | Reject]:
        number = -1
        for number, row in enumerate(rows):
            if isinstance(row, PayloadError):
                yield rejected(corpus, f"{printable(path.name)}#{number:06d}", row)
                continue
            code, image, usage = row
            yield Sample(  # as picture_sample makes it, without reading again the header that was written here
                sample_id=f"{corpus}/{number:06d}",
                corpus=corpus,
                modality="face",
                payload=encode_png(image),
                codec="png",
                license=self.card.license,
                group_id=f"{corpus}:{picture_key(image.tobytes())}",
                emotion=_EMOTIONS[code],
                emotion_raw=_WORDS[code],
                signals=_SIGNALS,
                extra={"usage": usage, "official_split": USAGES[usage], "row": str(number)},
            )
        if number < 0:
            raise CorpusError(f"FER2013: {path} has a header and no rows. Get the whole file from {self.card.url}.")

    def _file(self, path: Path, name: str, corpus: str) -> Sample:
        match = _PICTURE.search(name)
        if match is None:
            raise PayloadError("bad-name", "a picture lies in train/angry/ or the like")
        split, folder, stem = match.group(1).lower(), match.group(2), match.group(3)
        word = known(_FOLDERS, folder.lower(), "class folder")
        usage = stem.partition("_")[0]
        sample = face_sample(
            self.card,
            corpus,
            f"{split}/{word}/{stem}",
            path,
            emotion=self.card.label_map[word],
            emotion_raw=word,
            extra={"official_split": _SPLITS[split], "path": name} | ({"usage": usage} if usage in USAGES else {}),
        )
        # of the pixels, as in the csv: the same picture as png and as row is one group
        return replace(sample, group_id=f"{corpus}:{picture_key(decode_image(sample.payload).tobytes())}")

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """`fer2013.csv` with drawn faces, 80 % Training and 10 % each of the rest, some pictures in two of them.

        FER2013 knows no subjects: `subjects` > 0 bounds the number of people drawn, 0 draws a new one each time.
        """
        codes = {emotion: code for code, emotion in _EMOTIONS.items()}
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(["emotion", "pixels", "Usage"])
        for emotion, image, usage in self._drawn(subjects, per_class, seed):
            writer.writerow([codes[emotion], " ".join(map(str, image.ravel().tolist())), usage])
        write_bytes(Path(root) / "fer2013.csv", out.getvalue().encode("ascii"))

    def fake_folders(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """The pictures of `fake` as jpg in class folders."""
        from corpora.readers.fakes.face import encode_jpg

        words = {emotion: _WORDS[code] for code, emotion in _EMOTIONS.items()}
        for number, (emotion, image, usage) in enumerate(self._drawn(subjects, per_class, seed)):
            folder = Path(root) / ("train" if usage == "Training" else "test") / words[emotion]
            write_bytes(folder / f"{usage}_{number}.jpg", encode_jpg(image))

    def _drawn(
        self, subjects: int, per_class: Mapping[str, int] | int, seed: int
    ) -> Iterator[tuple[str, np.ndarray, str]]:
        """-> (emotion, uint8 [48, 48], Usage)"""
        from corpora.readers.fakes.face import draw_face

        counts = class_counts(self.card, per_class)
        labels = [emotion for emotion, count in counts.items() for _ in range(count)]
        rng = np.random.default_rng([seed, 0])
        drawn: dict[str, np.ndarray] = {}
        n_held = 0
        for place, i in enumerate(rng.permutation(len(labels))):
            emotion = labels[i]
            person = int(i) if subjects < 1 else int(rng.integers(subjects))
            usage = "Training" if place % 10 < 8 else ("PublicTest" if place % 10 == 8 else "PrivateTest")
            face = draw_face(
                emotion, person=np.random.default_rng([seed, 1, person]), rng=np.random.default_rng([seed, 2, i])
            )
            if usage == "Training":
                drawn[emotion] = face
            else:
                n_held += 1
                if n_held % 13 == 0 and emotion in drawn:  # as in the corpus: a picture of Training once more
                    face = drawn[emotion]
            yield emotion, face, usage


def find_csv(root: Path, *, named: bool = False) -> list[Path]:
    """The csv files below `root`, hidden ones left out; `named`: those called fer2013.csv."""
    tables = sorted(path for path in root.rglob("*.csv") if path.is_file() and not _hidden(path.relative_to(root)))
    return [path for path in tables if path.name.lower() == "fer2013.csv"] if named else tables


def read_rows(path: Path) -> Iterator[Row | PayloadError]:
    """Yields (code of the emotion, uint8 [48, 48], Usage) for each record of fer2013.csv, in the file's order.

    A bad record comes as a `PayloadError` in its place. Raises `CorpusError` at once for other columns.
    """
    with path.open("rb") as file:
        order = _header(path, file.readline(_MAX_ROW))
    return (_parsed(line, order) for line in _rows(path))


def read_labels(path: Path) -> Iterator[tuple[str, str] | None]:
    """Yields (canonical emotion, Usage) of each record of fer2013.csv without looking at its pixels; None for one whose
    fields are not readable. As many as `read_rows` yields. Raises `CorpusError` at once for other columns."""
    with path.open("rb") as file:
        order = _header(path, file.readline(_MAX_ROW))
    return (_told(line, order) for line in _rows(path))


def _told(line: bytes, order: tuple[int, int, int]) -> tuple[str, str] | None:
    fields = line.split(b",")
    if len(fields) != 3:
        return None
    code, usage = (fields[order[i]].strip(b' \t\r\n"').decode("ascii", "replace") for i in (0, 2))
    return (_EMOTIONS[code], usage) if code in _EMOTIONS and usage in USAGES else None


def _parsed(line: bytes, order: tuple[int, int, int]) -> Row | PayloadError:
    try:
        return _fields(line, order)
    except PayloadError as error:
        return error


def _fields(line: bytes, order: tuple[int, int, int]) -> Row:
    fields = [field.strip(b' \t\r\n"') for field in line.split(b",")]
    if len(fields) != 3:
        raise PayloadError("bad-row", f"{len(fields)} fields, 3 are expected")
    label, pixels, usage = (fields[i] for i in order)
    image = _image(pixels)
    try:
        code, split = label.decode("ascii"), usage.decode("ascii")
    except UnicodeDecodeError as error:
        raise PayloadError("undecodable-row", "emotion or Usage is not plain text") from error
    if code not in _EMOTIONS:
        raise UnknownLabelError(code, _EMOTIONS, "emotion")
    if split not in USAGES:
        raise PayloadError("bad-usage", f"Usage {split[:20]!r}; known: {', '.join(USAGES)}")
    return code, image, split


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
    with path.open("rb", buffering=_BUFFER) as file:
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
        raise PayloadError(kind, f"pixels are whole numbers 0 to 255, separated by blanks; found {pixels[:40]!r}")
    values = np.fromstring(pixels, dtype=np.int64, sep=" ") if pixels else np.zeros(0, np.int64)
    if values.size != SIZE * SIZE:
        raise PayloadError("wrong-number-of-pixels", f"{values.size}, expected {SIZE * SIZE}")
    if values.max() > 255:  # no sign got this far
        raise PayloadError("value-out-of-range", f"{values.min()} to {values.max()}, allowed 0 to 255")
    return values.astype(np.uint8).reshape(SIZE, SIZE)
