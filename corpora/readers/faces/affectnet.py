"""AffectNet: pictures found by words of emotion in six languages; expression, valence and arousal of a face on each.

Mollahosseini, Hasani & Mahoor (2017), "AffectNet: A Database for Facial Expression, Valence, and Arousal Computing in
the Wild", IEEE Transactions on Affective Computing, arXiv:1708.03985. Two published forms are read:

    training.csv, validation.csv               first publication, manually annotated part, the whole pictures:
        subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal
        12/<hash>.jpg,left,top,width,height,x1;y1;x2;y2;... (68 points),1,0.785714,-0.055556
    Manually_Annotated_Images/12/<hash>.jpg

    train_set/images/0.jpg                     later publication, faces cropped to 224 x 224, eight expressions:
    train_set/annotations/0_exp.npy, 0_val.npy, 0_aro.npy (one number or its text each), 0_lnd.npy (136: x, y, x, y ...)
    val_set/images/..., val_set/annotations/...

Expressions: 0 neutral, 1 happiness, 2 sadness, 3 surprise, 4 fear, 5 disgust, 6 anger, 7 contempt, 8 none, 9 uncertain,
10 no face; the last three are no emotion of the vocabulary. Valence and arousal are in [-1, 1], -2 where not rated.
The automatically annotated part is not read: its labels are a network's.
"""

from __future__ import annotations

import filecmp
import io
import math
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from corpora.errors import CorpusError, PayloadError, UnknownNameError
from corpora.formats.tables import Row, number_of, read_table, row_of
from corpora.labels import rescale
from corpora.records.boxes import face_box, landmark_text, picture_key
from corpora.records.files import (
    MAX_IMAGE_BYTES,
    class_counts,
    corpus_files,
    known,
    picture_sample,
    printable,
    read_file,
    read_items,
    spread,
)
from corpora.records.joins import Doubled, doubled_files, once, opened, settled
from corpora.records.unknown import is_unknown
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_WORDS = (
    "Neutral",
    "Happiness",
    "Sadness",
    "Surprise",
    "Fear",
    "Disgust",
    "Anger",
    "Contempt",
    "None",
    "Uncertain",
    "No-Face",
)
_CODES = {str(code): word for code, word in enumerate(_WORDS)}
_TABLES = {"training.csv": "train", "validation.csv": "dev"}
_SETS = {"train_set": "train", "val_set": "dev", "test_set": "test"}
_COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
_PICTURE = re.compile(rf"(?:^|/)({'|'.join(_SETS)})/images/([^/]+)\.(?:jpe?g|png)$")
_NOT_RATED = -2.0
_MAX_NPY = 1 << 16  # bytes; 136 doubles have 1,216


class AffectNet:
    """`Corpus` of AffectNet's manually annotated part. `form`: csv | npy, the first or the later publication; None
    takes the one that is there."""

    card = CorpusCard(
        name="affectnet",
        title="AffectNet",
        modality="face",
        version="2017",
        license="LicenseRef-AffectNet-agreement",
        may_redistribute=False,
        url="http://mohammadmahoor.com/affectnet/",
        bibtex=(
            "@article{mollahosseini2017affectnet, title={AffectNet: A Database for Facial Expression, Valence, and "
            "Arousal Computing in the Wild}, author={Mollahosseini, Ali and Hasani, Behzad and Mahoor, Mohammad H.}, "
            "journal={IEEE Transactions on Affective Computing}, year={2017}, eprint={1708.03985}, "
            "archivePrefix={arXiv}}"
        ),
        language=None,
        split_unit="payload",
        label_map={word: word.lower() if code < 8 else None for code, word in enumerate(_WORDS)},
        counts=dict(
            zip(
                _WORDS,
                (75_374, 134_915, 25_959, 14_590, 6878, 4303, 25_382, 4250, 33_588, 12_145, 82_914),
                strict=True,
            )
        ),
        counts_source=(
            "csv form: training.csv as public loaders count it (74,874; 134,415; 25,459; 14,090; 6,378; 3,803; 24,882; "
            "3,750; 33,088; 11,645; 82,414) and 500 of each in validation.csv. The npy form has 0 to 7 only"
        ),
        n_subjects=None,
        n_samples=420_298,
        knows_subjects=False,
        dimensions={"valence": (-1.0, 1.0), "arousal": (-1.0, 1.0)},
        official_split="training (train) and validation (dev); the test set was never given out",
        sources={
            "layout": "readme of the corpus, quoted by public loaders (head of training.csv; train_set, *_exp.npy ...)",
            "labels": "readme of the corpus, quoted by public loaders: expression IDs, -2 for uncertain and no-face",
            "subjects": "none are known: pictures came from search engines (arXiv:1708.03985)",
            "counts": "public loaders of training.csv; github.com/coder-xinxiaohai/AffectNet_Processing for 0 to 6",
            "splits": "names of the published files and folders",
            "license": "mohammadmahoor.com/affectnet: licence agreement, research purposes only",
        },
        access="lab managers and professors sign the licence agreement at mohammadmahoor.com/affectnet",
        quirks=(
            "one row of the published training.csv is broken and must be deleted for other loaders; a reject here",
            "valence and arousal are -2 for uncertain and no face",
            "numbers of the npy form may be text",
            "places in a picture are taken to be in stored pixels: EXIF turns them with it (no source says)",
        ),
    )

    def __init__(self, form: str | None = None) -> None:
        if form not in (None, "csv", "npy"):
            raise UnknownNameError.of("form of AffectNet", str(form), ("csv", "npy"))
        self.form = form

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: bad-row, undecodable-row, bad-label, not-a-number, rating-out-of-range, bad-box,
        bad-landmarks, no-picture, no-annotation, bad-name, not-an-npy, repeated-name (a picture that stands in the
        lists twice), conflicting-entries (there with two labels, or two pictures have one annotation), and those of a
        picture file: not-an-image, truncated, too-large, empty, unreadable."""
        root = Path(root)
        tables = {} if self.form == "npy" else _tables(root)
        if tables:

            def rows() -> Iterator[tuple[tuple[Row | PayloadError, str], str]]:
                return chain.from_iterable(_rows(path, split, self.card.title) for path, split in tables.items())

            folder = _image_folder(root, tables)
            items = settled(rows, lambda item: _picture_of(item[0]), lambda item: _said(row_of(item[0])))

            def make(item: tuple[Row | PayloadError, str] | PayloadError, _: str) -> Sample:
                row, split = opened(item)
                return self._row(row_of(row), split, folder, root, corpus)

            return read_items(items, corpus, make)
        files = corpus_files(root, self.card)
        pictures = [(path, name) for path, name in files if path.suffix.lower() != ".npy"]
        if self.form == "csv" or not any(_PICTURE.search(name) for _, name in pictures):
            raise CorpusError(
                f"{self.card.title}: {root} holds neither training.csv nor train_set/images/0.jpg (form: {self.form}; "
                f"found e.g. {files[0][1]!r}). Link the folder that holds them ({self.card.url})."
            )
        alike = doubled_files(pictures, _annotation_of)  # 0.png and 0.jpg have one
        return read_items(pictures, corpus, lambda path, name: self._annotated(path, name, alike, corpus))

    def _row(self, row: Row, split: str, folder: Path, root: Path, corpus: str) -> Sample:
        word = known(_CODES, row["expression"].strip(), "expression")
        name = row["subDirectory_filePath"].strip()
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts or not path.is_file():
            raise PayloadError("no-picture", f"{name[:120]!r} is not in {folder.name}")
        extra = {"path": path.relative_to(root).as_posix(), "official_split": split}
        if _given(row["face_x"]):
            x, y, w, h = (number_of(row[column], column) for column in _COLUMNS[1:5])
            extra["face_box"] = face_box(x, y, x + w, y + h)
        if _given(row["facial_landmarks"]):
            values = [number_of(value, "a landmark") for value in row["facial_landmarks"].split(";")]
            extra["landmarks"] = _points(values)
        ratings = {name: number_of(row[name], name) for name in ("valence", "arousal")}
        return self._sample(path, name.rpartition(".")[0], word, ratings, extra, corpus)

    def _annotated(self, path: Path, name: str, alike: Doubled, corpus: str) -> Sample:
        match = _PICTURE.search(name)
        if match is None:
            raise PayloadError("bad-name", "a picture lies in train_set/images/ or val_set/images/")
        once(alike, _annotation_of(path))
        stem = path.parent.parent / "annotations" / path.stem
        code, valence, arousal = (_numbers(Path(f"{stem}_{kind}.npy")) for kind in ("exp", "val", "aro"))
        word = known(_CODES, f"{code[0]:g}", "expression")
        extra = {"path": name, "official_split": _SETS[match.group(1)]}
        if Path(f"{stem}_lnd.npy").exists():
            extra["landmarks"] = _points(_numbers(Path(f"{stem}_lnd.npy")))
        ratings = {"valence": valence[0], "arousal": arousal[0]}
        return self._sample(path, f"{match.group(1)}/{match.group(2)}", word, ratings, extra, corpus)

    def _sample(
        self, path: Path, native_id: str, word: str, ratings: Mapping[str, float], extra: Mapping[str, str], corpus: str
    ) -> Sample:
        rated = {name: value for name, value in ratings.items() if value != _NOT_RATED}
        payload = read_file(path, MAX_IMAGE_BYTES)
        return picture_sample(
            self.card,
            corpus,
            native_id,
            payload,
            path.suffix.lower().lstrip("."),
            group=picture_key(payload),
            emotion=self.card.label_map[word],
            emotion_raw=word,
            valence=_scaled(self.card, rated, "valence"),
            arousal=_scaled(self.card, rated, "arousal"),
            ratings=[{"scheme": name, "rater": "annotator", "value": value} for name, value in rated.items()],
            extra=extra,
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """The csv form with one picture each of none, uncertain and no face besides the classes; with `form` npy the
        later one. AffectNet knows no subjects: `subjects` bounds the number of people. Raises `CorpusError` below 1."""
        from corpora.readers.fakes.face import draw_picture, encode_jpg

        if subjects < 1:
            raise CorpusError(f"a made-up AffectNet needs at least 1 person, not {subjects}")
        words = {word.lower(): word for word in _WORDS[:8]}
        rng = np.random.default_rng([seed, 0])
        faces = list(spread(class_counts(self.card, per_class), [str(i) for i in range(subjects)], rng))
        faces += [] if self.form == "npy" else [(word, "0") for word in _WORDS[8:]]
        lines = {name: [",".join(_COLUMNS)] for name in _TABLES}
        for number, (emotion, person) in enumerate(faces):
            picture = draw_picture(
                emotion if emotion in words else "neutral",
                size=(150, 130) if self.form != "npy" else 224,
                share=0.65,
                person=np.random.default_rng([seed, 1, int(person)]),
                rng=np.random.default_rng([seed, 2, number]),
            )
            code = _WORDS.index(words.get(emotion, emotion))
            valence, arousal = (f"{value:.6g}" for value in rng.uniform(-1, 1, 2).round(6))
            if code > 8:
                valence = arousal = "-2"
            jpg = encode_jpg(picture.pixels)
            if self.form == "npy":
                home = Path(root) / ("val_set" if number % 5 == 4 else "train_set")
                write_bytes(home / "images" / f"{number}.jpg", jpg)
                values = {"exp": np.array(str(code)), "val": np.array(valence), "aro": np.array(arousal)}
                for kind, array in (values | {"lnd": picture.landmarks.ravel()}).items():
                    out = io.BytesIO()
                    np.save(out, array, allow_pickle=False)
                    write_bytes(home / "annotations" / f"{number}_{kind}.npy", out.getvalue())
                continue
            name = f"{1 + number % 3}/{picture_key(jpg)[:56]}.jpg"
            write_bytes(Path(root) / "Manually_Annotated_Images" / name, jpg)
            left, top, width, height = picture.box
            marks = ";".join(f"{value:.2f}" for value in picture.landmarks.ravel())
            row = f"{name},{left},{top},{width},{height},{marks},{code},{valence},{arousal}"
            lines["validation.csv" if number % 5 == 4 else "training.csv"].append(row)
        for table, rows in lines.items():
            if self.form != "npy":
                write_bytes(Path(root) / table, ("\n".join(rows) + "\n").encode())


def _picture_of(row: Row | PayloadError) -> str | None:
    return None if isinstance(row, PayloadError) else row["subDirectory_filePath"].strip()


def _annotation_of(path: Path) -> str:
    return f"{path.parent.parent.name}/annotations/{printable(path.stem)}"


def _said(row: Row) -> tuple[str, ...]:
    return tuple(row[column].strip() for column in ("expression", "valence", "arousal"))


def _scaled(card: CorpusCard, rated: Mapping[str, float], name: str) -> float | None:
    return rescale(rated[name], card.dimensions[name], name) if name in rated else None


def _given(text: str) -> bool:
    return not is_unknown(text)


def _points(values: Any) -> str:
    """x, y, x, y ... -> "x1,y1;x2,y2;..." """
    if len(values) % 2:
        raise PayloadError("bad-landmarks", f"{len(values)} numbers, pairs are expected")
    return landmark_text(zip(values[::2], values[1::2], strict=True))


def _tables(root: Path) -> dict[Path, str]:
    """training.csv and validation.csv, at most two folders deep, -> split. The folders of pictures are not walked.

    Raises `CorpusError` for two of one name that differ."""
    found: dict[Path, str] = {}
    for pattern in ("", "*/", "*/*/"):
        for path in sorted(root.glob(f"{pattern}*.csv")):
            split = _TABLES.get(path.name.lower())
            if split is None or "__MACOSX" in path.parts:
                continue
            other = next((there for there, part in found.items() if part == split), None)
            if other is None:
                found[path] = split
            elif not filecmp.cmp(other, path, shallow=False):
                raise CorpusError(f"AffectNet: {other} and {path} differ; which of the two holds? Keep the right one.")
    return dict(sorted(found.items(), key=lambda pair: pair[1], reverse=True))  # train first


def _rows(path: Path, split: str, title: str) -> Iterator[tuple[tuple[Row | PayloadError, str], str]]:
    with path.open("rb") as file:
        has_header = b"subDirectory_filePath" in file.readline(1 << 12)  # a list whose head was cut is read too
    for row, name in read_table(path, title, columns=_COLUMNS, header=has_header, quoted=False):
        yield (row, split), name


def _image_folder(root: Path, tables: Mapping[Path, str]) -> Path:
    """The folder that subDirectory_filePath starts from: beside the tables, or one called Manually_Annotated..."""
    homes = [root, *(path.parent for path in tables)]
    named = [path for home in homes for path in sorted(home.glob("Manually_Annotated*")) if path.is_dir()]
    nested = [path for home in named for path in sorted(home.glob("Manually_Annotated*")) if path.is_dir()]
    return next(iter([*nested, *named]), homes[-1])


def _numbers(path: Path) -> list[float]:
    """An .npy with one number, one text of a number, or a row of numbers. Nothing is unpickled.

    Raises `PayloadError`: no-annotation, not-an-npy, not-a-number, unreadable, too-large.
    """
    if not path.exists():
        raise PayloadError("no-annotation", printable(path.name))
    data = read_file(path, _MAX_NPY)
    file = io.BytesIO(data)
    try:
        version = npy.read_magic(file)
        reader = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, _, dtype = reader(file)
        size = math.prod(shape)
        if dtype.kind not in "fiuU" or size < 1 or len(shape) > 2 or size * dtype.itemsize > len(data) - file.tell():
            raise PayloadError("not-an-npy", f"{printable(path.name)}: {dtype} {shape}, {len(data)} bytes")
        values = np.frombuffer(data, dtype=dtype, count=size, offset=file.tell())
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError, EOFError) as error:
        raise PayloadError(
            "not-an-npy", f"{printable(path.name)}: no header of an .npy file of numbers or text"
        ) from error
    return [number_of(str(value), printable(path.name)) for value in values.tolist()]
