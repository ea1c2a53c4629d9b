"""CFEE: 230 people pose neutral, six basic and fifteen compound emotions ("happily surprised").

Du, Tao & Martinez (2014), "Compound facial expressions of emotion", PNAS 111(15), E1454-E1462. Layout of the release
CFEE_Database_230 as public loaders read it (AngusMaiden/complex-FER, xiaohanghu/2CET-GAN):

    CFEE_Database_230/01-04/Images1/01_126_3963.jpg     category, subject, number of the photograph
    CFEE_Database_230/21-26/Images6/23_178_6632.jpg
    CFEE_Database_230/AU_annotation_all_subjects.xls    sheet "summary": numbers and names of the 22 categories
    CFEE_Database_230/emotion_codes.csv                 that sheet's first two columns, saved by you: 1,Neutral ...

What the numbers 01 to 26 mean stands in that sheet alone (01 is neutral, say loaders; nothing public names the rest),
so they are not built in: save its first two columns (number, name) as emotion_codes.csv. Pictures of numbers that it
does not hold are rejects.

Compound emotions are no class of the vocabulary: `labels` hold the category as `cfee_category` and the two basic
emotions that its name says, half each; appalled, hatred and awed name none.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.labels import native_labels
from corpora.records.files import class_counts, face_sample, named_files, read_file, read_items, spread
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

CODES = "emotion_codes.csv"
_BASIC = {
    "Neutral": "neutral",
    "Happy": "happiness",
    "Sad": "sadness",
    "Fearful": "fear",
    "Angry": "anger",
    "Surprised": "surprise",
    "Disgusted": "disgust",
}
_PARTS: dict[str, tuple[str, ...]] = {  # compound category -> the basic ones that its name says
    "Happily surprised": ("Happy", "Surprised"),
    "Happily disgusted": ("Happy", "Disgusted"),
    "Sadly fearful": ("Sad", "Fearful"),
    "Sadly angry": ("Sad", "Angry"),
    "Sadly surprised": ("Sad", "Surprised"),
    "Sadly disgusted": ("Sad", "Disgusted"),
    "Fearfully angry": ("Fearful", "Angry"),
    "Fearfully surprised": ("Fearful", "Surprised"),
    "Fearfully disgusted": ("Fearful", "Disgusted"),
    "Angrily surprised": ("Angry", "Surprised"),
    "Angrily disgusted": ("Angry", "Disgusted"),
    "Disgustedly surprised": ("Disgusted", "Surprised"),
    "Appalled": (),
    "Hatred": (),
    "Awed": (),
}
_CATEGORIES = (*_BASIC, *_PARTS)
_NAME = re.compile(r"(\d\d)_(\d{3})(?:_\d+)?")
_FILE = re.compile(r"(?:^|/)\d\d_\d{3}(?:_\d+)?\.jpe?g$", re.IGNORECASE)
_FOLDERS = ("01-04", "05-08", "09-12", "13-16", "17-20", "21-26")
_MAX_TEXT = 1 << 16


class Cfee:
    """`Corpus` of CFEE's pictures."""

    card = CorpusCard(
        name="cfee",
        title="CFEE",
        modality="face",
        version="230 subjects",
        license="LicenseRef-CFEE-agreement",
        may_redistribute=False,
        url="https://cbcsl.ece.ohio-state.edu/compound.html",
        bibtex=(
            "@article{du2014compound, title={Compound facial expressions of emotion}, author={Du, Shichuan and Tao, "
            "Yong and Martinez, Aleix M.}, journal={Proceedings of the National Academy of Sciences}, volume={111}, "
            "number={15}, pages={E1454--E1462}, year={2014}, doi={10.1073/pnas.1322355111}}"
        ),
        language=None,
        split_unit="subject",
        label_map={**_BASIC, **dict.fromkeys(_PARTS)},
        counts=dict.fromkeys(_CATEGORIES, 230),
        counts_source="Du et al. (2014): 230 subjects, each with neutral, 6 basic and 15 compound emotions",
        n_subjects=230,
        n_samples=22 * 230,
        sources={
            "layout": "github.com/AngusMaiden/complex-FER and github.com/xiaohanghu/2CET-GAN, dataset/CFEE.py",
            "labels": "Du et al. (2014), figure 1 and table 1: names; numbers: the corpus' own sheet",
            "subjects": "Du et al. (2014): images of 230 subjects passed",
            "counts": "Du et al. (2014), doi:10.1073/pnas.1322355111",
            "splits": "none is published",
        },
        unverified=("license",),
        access="ask the authors (cbcsl.ece.ohio-state.edu/compound.html)",
        quirks=(
            f"what the numbers mean is in an .xls alone: save the first two columns of its sheet summary as {CODES}",
            "pictures are numbered with 26 categories, of which the sheet names 22; 2CET-GAN counted 5,954 in all, "
            "26 less than 26 x 230",
            "some names are of another form (260_19.png.jpg): rejects",
            "compound emotions are no class of the vocabulary: they stand in labels, emotion is null",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: bad-name, no-category (a number that the table does not hold), repeated-name, and
        those of a picture file: not-an-image, truncated, too-large, empty, unreadable."""
        root = Path(root)
        files = named_files(root, self.card, _FILE, "01-04/Images1/01_126_3963.jpg")
        codes = self._codes(root)
        return read_items(files, corpus, lambda path, name: self._sample(path, name, codes, corpus))

    def _codes(self, root: Path) -> dict[str, str]:
        """{"01": "Neutral", ...} of emotion_codes.csv. Raises `CorpusError`."""
        tables = sorted(path for pattern in ("", "*/") for path in root.glob(pattern + CODES) if path.is_file())
        if len(tables) != 1:
            raise CorpusError(
                f"{self.card.title}: {root} holds {len(tables)} files {CODES}, one is needed. Save the first two "
                "columns (number, name) of the sheet summary of AU_annotation_all_subjects.xls under that name."
            )
        known = {name.lower(): name for name in _CATEGORIES}
        by_code: dict[str, str] = {}
        try:
            lines = read_file(tables[0], _MAX_TEXT).decode("utf-8-sig", "replace").splitlines()
            rows = [[field.strip() for field in row] for row in csv.reader(lines)]
        except (PayloadError, csv.Error) as error:
            raise CorpusError(f"{self.card.title}: {tables[0]} cannot be read: {error}") from error
        for row in rows:
            code = row[0].removesuffix(".0") if row else ""
            if not (code.isascii() and code.isdigit()):
                continue  # the head, or an empty line
            name = " ".join(row[1].replace("_", " ").split()) if len(row) > 1 else ""
            if name.lower() not in known or code.zfill(2) in by_code:
                raise CorpusError(
                    f"{self.card.title}: {tables[0]}: {row[:2]} is "
                    f"{'there twice' if code.zfill(2) in by_code else 'unknown'}; categories: {', '.join(_CATEGORIES)}"
                )
            by_code[code.zfill(2)] = known[name.lower()]
        if not by_code:
            raise CorpusError(f"{self.card.title}: {tables[0]} names no category; a line is 1,Neutral or the like")
        return by_code

    def _sample(self, path: Path, name: str, codes: Mapping[str, str], corpus: str) -> Sample:
        match = _NAME.fullmatch(path.stem)
        if match is None:
            raise PayloadError("bad-name", "a picture is called 01_126_3963.jpg or the like")
        code, subject = match.groups()
        word = codes.get(code)
        if word is None:
            raise PayloadError("no-category", f"{CODES} has no number {code}; it has {', '.join(sorted(codes))}")
        fields: dict[str, Any] = {"emotion": _BASIC.get(word)}
        if word in _PARTS:
            halves = native_labels(self.card.name, dict.fromkeys(_PARTS[word], 0.5), self.card.label_map)
            fields = {"labels": [{"scheme": f"{self.card.name}_category", "label": word, "weight": 1.0}, *halves]}
        return face_sample(
            self.card,
            corpus,
            path.stem,
            path,
            subject=subject,
            emotion_raw=word,
            extra={"path": name, "category": code},
            **fields,
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """The folders of the release, emotion_codes.csv, and two compound pictures besides what is asked.

        Categories are numbered in order (22 in a row). A subject shows a category several times where a class asks for
        more. Raises `CorpusError` for a number of subjects outside 1 ... 230.
        """
        from corpora.readers.fakes.face import draw_picture, encode_jpg

        if not 1 <= subjects <= 230:
            raise CorpusError(f"a fake CFEE needs 1 to 230 subjects, not {subjects}")
        people = [str(i + 106) for i in range(subjects)]
        rng = np.random.default_rng([seed, 0])
        words = {emotion: word for word, emotion in _BASIC.items()}
        faces = [
            (words[emotion], person) for emotion, person in spread(class_counts(self.card, per_class), people, rng)
        ]
        faces += [("Happily surprised", people[0]), ("Fearfully angry", people[-1])]
        for number, (word, person) in enumerate(faces):
            code = _CATEGORIES.index(word) + 1
            picture = draw_picture(
                [_BASIC[part] for part in _PARTS.get(word, (word,))],
                size=(134, 200),
                share=0.65,
                person=np.random.default_rng([seed, 1, int(person)]),
                rng=np.random.default_rng([seed, 2, number]),
            )
            place = min((code - 1) // 4, 5)
            folder = Path(root) / "CFEE_Database_230" / _FOLDERS[place] / f"Images{place + 1}"
            write_bytes(folder / f"{code:02d}_{person}_{2000 + number}.jpg", encode_jpg(picture.pixels))
        table = "".join(f"{code},{word}\n" for code, word in enumerate(_CATEGORIES, start=1))
        write_bytes(Path(root) / "CFEE_Database_230" / CODES, ("id,emotion\n" + table).encode())
