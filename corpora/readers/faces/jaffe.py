"""JAFFE: ten Japanese women pose seven expressions; every picture is rated on six emotions by 60 people.

Lyons, Akamatsu, Kamachi & Gyoba (1998), "Coding Facial Expressions with Gabor Wavelets", 3rd IEEE Conference on
Automatic Face and Gesture Recognition; zenodo.org/records/3451524. Layout as published, names as public loaders list
them:

    KA.AN1.39.tiff       person (two letters), expression and take, number; 256 x 256, grey
    README_FIRST.txt     a table of ratings from 1 to 5, means over the raters:
        #   HAP  SAD  SUR  ANG  DIS  FEA  PIC
        1   2.87 2.52 2.10 1.97 1.97 2.06 KM-NE1

Expressions: AN anger, DI disgust, FE fear, HA happiness, NE neutral, SA sadness, SU surprise: what was posed, which is
not always what raters saw. A second table of the text, "Semantic Ratings Data (Fear Excluded)", is another study of
five emotions and is not read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError, UnknownLabelError
from corpora.formats.tables import number_of
from corpora.records.files import class_counts, face_sample, named_files, read_file, read_items, spread
from corpora.records.raters import rating
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_EMOTIONS = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
PEOPLE = ("KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM")
_COLUMNS = {"HAP": "happiness", "SAD": "sadness", "SUR": "surprise", "ANG": "anger", "DIS": "disgust", "FEA": "fear"}
_SCALE = (1.0, 5.0)
_NAME = re.compile(r"([A-Z]{2})[.]([A-Z]{2})(\d+)[.](\d+)")
_FILE = re.compile(r"(?:^|/)[A-Z]{2}[.](?:AN|DI|FE|HA|NE|SA|SU)\d+[.]\d+[.][A-Za-z]+$")
_ROW = re.compile(r"\d+\s.*\s([A-Z]{2})-([A-Z]{2}\d+)")
_END = "semantic ratings data (fear excluded)"  # heading of the other study's table
_MAX_TEXT = 1 << 20  # bytes; the real one has 18,459


class Jaffe:
    """`Corpus` of JAFFE's tiff files, in one folder or several, and the ratings of its readme where that lies there."""

    card = CorpusCard(
        name="jaffe",
        title="JAFFE",
        modality="face",
        version="1998",
        license="LicenseRef-JAFFE-non-commercial-research",
        may_redistribute=False,
        url="https://zenodo.org/records/3451524",
        bibtex=(
            "@inproceedings{lyons1998coding, title={Coding Facial Expressions with Gabor Wavelets}, author={Lyons, "
            "Michael and Akamatsu, Shigeru and Kamachi, Miyuki and Gyoba, Jiro}, booktitle={3rd IEEE International "
            "Conference on Automatic Face and Gesture Recognition}, pages={200--205}, year={1998}, "
            "doi={10.1109/AFGR.1998.670949}}"
        ),
        language=None,
        split_unit="subject",
        label_map=_EMOTIONS,
        counts={"AN": 30, "DI": 29, "FE": 32, "HA": 31, "NE": 30, "SA": 31, "SU": 30},
        counts_source="names of the 213 pictures as public projects list them; zenodo.org/records/3451524: 213 in all",
        n_subjects=10,
        n_samples=213,
        sources={
            "layout": "zenodo.org/records/3451524 (files, format); public loaders of the names and of the ratings",
            "labels": "public loaders of JAFFE: codes in the names",
            "subjects": "zenodo.org/records/3451524: 10 Japanese female expressers",
            "counts": "names of the 213 pictures as public projects list them",
            "splits": "none is published (zenodo.org/records/3451524)",
            "license": "zenodo.org/records/3451524: non-commercial scientific research",
        },
        access="ask for access at zenodo.org/records/3451524 and follow its instructions",
        quirks=(
            "six of the 219 rated pictures were not published (numbers 8, 12, 21, 76, 108, 183): their rows are unused",
            "some pictures are stored with three channels, all alike",
            "labels are what was posed; the ratings say what was seen, and neutral is rated by none",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: bad-name, bad-label, bad-rating (of the picture's row), repeated-name, and those of
        a picture file: not-an-image, truncated, too-large, empty, unreadable."""
        root = Path(root)
        files = named_files(root, self.card, _FILE, "KA.AN1.39.tiff")
        ratings = _ratings(root)
        return read_items(files, corpus, lambda path, name: self._sample(path, name, ratings, corpus))

    def _sample(
        self, path: Path, name: str, ratings: Mapping[str, Mapping[str, float] | PayloadError], corpus: str
    ) -> Sample:
        match = _NAME.fullmatch(path.stem)
        if match is None:
            raise PayloadError("bad-name", "a picture is called KA.AN1.39.tiff or the like")
        person, code, take, number = match.groups()
        if code not in _EMOTIONS:
            raise UnknownLabelError(code, _EMOTIONS, "expression")
        seen = ratings.get(f"{person}-{code}{take}", {})
        if isinstance(seen, PayloadError):
            raise seen
        return face_sample(
            self.card,
            corpus,
            path.stem,
            path,
            subject=person,
            gender="female",
            emotion=_EMOTIONS[code],
            emotion_raw=code,
            ratings=[rating(emotion, "mean", value) for emotion, value in seen.items()],
            extra={"path": name, "take": take, "number": number},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """Grey tiff files, one of them with three channels, and README_FIRST.txt with both tables and a rated picture
        that is not there. Raises `CorpusError` for a number of subjects outside 1 ... 10."""
        from PIL import Image

        from corpora.readers.fakes.face import draw_picture

        if not 1 <= subjects <= len(PEOPLE):
            raise CorpusError(f"a fake JAFFE needs 1 to {len(PEOPLE)} subjects, not {subjects}")
        codes = {emotion: code for code, emotion in _EMOTIONS.items()}
        rng = np.random.default_rng([seed, 0])
        taken: dict[str, int] = {}
        rows = []
        for number, (emotion, person) in enumerate(
            spread(class_counts(self.card, per_class), PEOPLE[:subjects], rng), start=1
        ):
            pose = f"{person}.{codes[emotion]}"
            taken[pose] = taken.get(pose, 0) + 1
            pixels = draw_picture(
                emotion,
                size=256,
                colour=False,
                share=0.65,
                person=np.random.default_rng([seed, 1, PEOPLE.index(person)]),
                rng=np.random.default_rng([seed, 2, number]),
            ).pixels
            out = io.BytesIO()
            Image.fromarray(pixels if number > 1 else np.dstack([pixels] * 3)).save(out, "TIFF")
            write_bytes(Path(root) / f"{pose}{taken[pose]}.{number}.tiff", out.getvalue())
            seen = {word: rng.uniform(3, 5) if word == emotion else rng.uniform(1, 3) for word in _COLUMNS.values()}
            rows.append(
                f"{number:<4}"
                + " ".join(f"{value:.2f}" for value in seen.values())
                + f" {person}-{codes[emotion]}{taken[pose]}"
            )
        rows.append(f"{len(rows) + 1:<4}2.10 1.71 1.48 1.97 2.03 1.45 KM-SA99")
        line = "-" * 43
        first = [f"#   {'  '.join(_COLUMNS)}  PIC", line, *rows]
        other = [f"#   {'  '.join(list(_COLUMNS)[:5])}  PIC", line]
        other += [" ".join([*row.split()[:6], row.split()[-1]]) for row in rows]
        text = "\n".join(["Semantic Ratings Data", "", *first, "", "Semantic Ratings Data (Fear Excluded)", "", *other])
        write_bytes(Path(root) / "README_FIRST.txt", (text + "\n").encode())


def _ratings(root: Path) -> dict[str, dict[str, float] | PayloadError]:
    """{"KM-NE1": {emotion: mean rating}} of the first text with the table; a row that is wrong is an error to raise."""
    for pattern in ("", "*/", "*/*/"):
        for path in sorted(root.glob(f"{pattern}*README*")):
            if not path.is_file() or path.name.startswith(".") or "__MACOSX" in path.parts:
                continue
            try:
                text = read_file(path, _MAX_TEXT).decode("utf-8", "replace")
            except PayloadError:
                continue  # another text of that name; pictures do not depend on it
            if all(name in text for name in (*_COLUMNS, "PIC")):
                return _rows(text)
    return {}


def _rows(text: str) -> dict[str, dict[str, float] | PayloadError]:
    ratings: dict[str, dict[str, float] | PayloadError] = {}
    for line in text.splitlines():
        if _END in line.lower():
            break
        match = _ROW.fullmatch(line.strip())
        if match is None:
            continue
        picture = f"{match.group(1)}-{match.group(2)}"
        try:
            values = [number_of(field, f"a rating of {picture}") for field in line.split()[1:-1]]
        except PayloadError as error:
            ratings[picture] = PayloadError("bad-rating", error.detail)
            continue
        if len(values) != len(_COLUMNS) or not all(_SCALE[0] <= value <= _SCALE[1] for value in values):
            ratings[picture] = PayloadError("bad-rating", f"{picture}: six ratings from 1 to 5 are expected, {values}")
        elif picture in ratings:
            ratings[picture] = PayloadError("bad-rating", f"{picture} is rated in two rows")
        else:
            ratings[picture] = dict(zip(_COLUMNS.values(), values, strict=True))
    return ratings
