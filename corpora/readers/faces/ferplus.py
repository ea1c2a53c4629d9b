"""FER+: the pictures of FER2013, each labelled again by ten people of a crowd; eight emotions, unknown and "no face".

Barsoum, Zhang, Canton Ferrer & Zhang (2016), "Training Deep Networks for Facial Expression Recognition with
Crowd-Sourced Label Distribution", arXiv:1608.01041. The labels are one file, the pictures are FER2013's:

    fer2013new.csv     Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF
                       Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0
    fer2013.csv        the same number of rows in the same order (README of github.com/microsoft/FERPlus), or
    FER2013Train/fer0000000.png, FER2013Valid/..., FER2013Test/...    what its generate_training_data.py writes

Rows are joined by their order: image names do not number the rows (row 59 has no name, row 60 is fer0000059.png). So
counts, Usage, the order of names and FER2013's own labels must fit, or nothing is read (ferplus_join.py). Rows without
a name are no faces (ten votes for NF). Four names stand twice: one of the two rows has another picture's votes, and
both are rejects.

The three views are those of src/ferplus.py there. All drop an emotion that a single tagger chose, and call a picture
unknown whose remaining votes agree too little:

- majority: the emotion with more than half of the votes.
- probability: the most chosen emotions until they hold 75 % of the votes, at most three; more than half must be held.
- multi_target: every emotion with at least 30 % of the votes, all counted equal; more than half must be held.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from corpora.codecs import decode_image, encode_png
from corpora.errors import CorpusError, PayloadError, UnknownNameError
from corpora.formats.tables import Row, find_file, number_of, read_table, row_of
from corpora.labels import native_labels
from corpora.readers.faces.fer2013 import USAGES, Fer2013, find_csv, read_labels, read_rows
from corpora.readers.faces.ferplus_join import UNREADABLE, Place, doubled_names, same_order
from corpora.records.boxes import picture_key
from corpora.records.files import (
    MAX_IMAGE_BYTES,
    class_counts,
    corpus_files,
    picture_sample,
    read_file,
    read_items,
)
from corpora.records.joins import Doubled, doubled_files, once
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

EMOTIONS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
WORDS = (*EMOTIONS, "unknown", "NF")  # columns of votes, in the file's order
VIEWS = ("majority", "probability", "multi_target")
_FOLDERS = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}


class FerPlus:
    """`Corpus` of FER+. `view`: how ten votes become labels: majority | probability | multi_target."""

    card = CorpusCard(
        name="ferplus",
        title="FER+",
        modality="face",
        version="2016",
        license="MIT AND LicenseRef-DbCL-1.0",  # of the labels, and of FER2013's pictures
        may_redistribute=False,
        url="https://github.com/microsoft/FERPlus",
        bibtex=(
            "@inproceedings{barsoum2016training, title={Training Deep Networks for Facial Expression Recognition with "
            "Crowd-Sourced Label Distribution}, author={Barsoum, Emad and Zhang, Cha and Canton Ferrer, Cristian and "
            "Zhang, Zhengyou}, booktitle={ICMI}, year={2016}, eprint={1608.01041}, archivePrefix={arXiv}}"
        ),
        language=None,
        split_unit="payload",
        label_map={word: word for word in EMOTIONS} | {"unknown": None, "NF": None},
        counts=None,
        counts_source=None,
        n_subjects=None,
        n_samples=35_887,
        knows_subjects=False,
        official_split="Usage, as in FER2013: Training (train), PublicTest (dev), PrivateTest (test)",
        sources={
            "layout": "github.com/microsoft/FERPlus, README and fer2013new.csv",
            "labels": "github.com/microsoft/FERPlus, src/ferplus.py (_process_data), after arXiv:1608.01041",
            "subjects": "none are known: pictures are FER2013's (arXiv:1307.0414, section 3)",
            "splits": "github.com/microsoft/FERPlus, README: usage is the same as in the original FER labels",
            "license": "github.com/microsoft/FERPlus, LICENSE.md (MIT); pictures: Kaggle page of FER2013 (DbCL 1.0)",
        },
        unverified=("counts",),
        quirks=(
            "image names do not number the rows: rows without a face have none and the count goes on behind them",
            "byte-equal pictures, also across Usage",
            "fer0006953.png, fer0008403.png, fer0011785.png and fer0033120.png stand twice in the published table: "
            "their eight rows are rejects",
        ),
    )

    def __init__(self, view: str = "majority") -> None:
        if view not in VIEWS:
            raise UnknownNameError.of("view of FER+", view, VIEWS)
        self.view = view

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: bad-row, bad-votes, bad-usage, no-picture, no-votes, doubled-name (of two rows),
        usage-mismatch (row and folder), conflicting-entries (two pictures of one name), and those of FER2013's rows or
        of a picture file.

        Raises `CorpusError` as well if the rows of the two csv files do not belong together, and says where.
        """
        root = Path(root)
        table = find_file(root, self.card.title, ("fer2013new.csv",), self.card.url)
        votes = read_table(table, self.card.title, columns=("Usage", "Image name", *WORDS))
        found = find_csv(root, named=True)
        if len(found) > 1:
            raise CorpusError(
                f"{self.card.title}: {root} holds {len(found)} files fer2013.csv; link a folder with one."
            )
        if found:
            told = [_place(row) for row, _ in votes]
            labels = read_labels(found[0])
            same_order(
                told, (UNREADABLE if t is None else Place(t[1], frozenset([t[0]])) for t in labels), self.card.title
            )
            twice = doubled_names(told)
            votes = read_table(table, self.card.title, columns=("Usage", "Image name", *WORDS))
            items = ((pair, name) for pair, name in _joined(votes, read_rows(found[0])))
            return read_items(items, corpus, lambda pair, name: self._row(*pair, name, corpus, twice))
        try:
            pictures = [pair for pair in corpus_files(root, self.card) if pair[0].suffix.lower() == ".png"]
        except CorpusError:
            pictures = []
        files = {path.name: path for path, _ in pictures}
        if not any(name.startswith("fer") for name in files):
            raise CorpusError(
                f"{self.card.title}: {root} holds the votes and neither fer2013.csv nor {_FOLDERS['Training']}/"
                f"fer0000000.png. The pictures are FER2013's: {Fer2013.card.url}"
            )
        twice = doubled_names(_place(row) for row, _ in votes)
        alike = doubled_files(pictures, lambda path: path.name)
        votes = read_table(table, self.card.title, columns=("Usage", "Image name", *WORDS))
        return read_items(votes, corpus, lambda row, name: self._file(row, files, alike, name, corpus, twice))

    def _row(
        self, row: Row | PayloadError | None, picture: Any, name: str, corpus: str, twice: Mapping[str, tuple[int, ...]]
    ) -> Sample:
        if row is None:
            raise PayloadError("no-votes", "fer2013.csv has a row more that cannot be read")
        row = row_of(row)
        if picture is None:
            raise PayloadError("no-picture", "fer2013.csv has a row less")
        if isinstance(picture, PayloadError):
            raise picture
        _, image, usage = picture
        _named_once(row, twice)
        if usage != row["Usage"].strip():
            raise PayloadError("bad-usage", f"{row['Usage'][:20]!r} here, {usage!r} in fer2013.csv")
        return self._sample(row, encode_png(image), image, name, corpus)

    def _file(
        self,
        row: Row | PayloadError,
        files: Mapping[str, Path],
        alike: Doubled,
        name: str,
        corpus: str,
        twice: Mapping[str, tuple[int, ...]],
    ) -> Sample:
        row = row_of(row)
        _named_once(row, twice)
        image_name, usage = row["Image name"].strip(), row["Usage"].strip()
        path = files.get(image_name)
        if path is None:
            raise PayloadError("no-picture", f"image {image_name!r} is not there")
        once(alike, image_name)
        if path.parent.name in _FOLDERS.values() and path.parent.name != _FOLDERS.get(usage):
            raise PayloadError("usage-mismatch", f"{image_name} lies in {path.parent.name}, not {usage[:20]!r}")
        payload = read_file(path, MAX_IMAGE_BYTES)
        return self._sample(row, payload, decode_image(payload), name, corpus)

    def _sample(self, row: Row, payload: bytes, image: np.ndarray, name: str, corpus: str) -> Sample:
        usage = row["Usage"].strip()
        if usage not in USAGES:
            raise PayloadError("bad-usage", f"Usage {usage[:20]!r}; known: {', '.join(USAGES)}")
        votes = {word: number_of(row[word], f"votes for {word}") for word in WORDS}
        if min(votes.values()) < 0 or sum(votes.values()) <= 0:
            raise PayloadError("bad-votes", f"{votes}")
        weights = label_weights(votes, self.view)
        first, *others = sorted(weights, key=lambda word: -weights[word])
        alone = not others or weights[first] > weights[others[0]]
        number = name.rpartition("#")[2]
        return picture_sample(
            self.card,
            corpus,
            number,
            payload,
            "png",
            group=picture_key(image.tobytes()),
            emotion=self.card.label_map[first] if alone else None,
            emotion_raw=first if alone else None,
            labels=[] if self.view == "majority" else native_labels(self.card.name, weights, self.card.label_map),
            ratings=[
                {"scheme": f"votes:{word}", "rater": "crowd", "value": count} for word, count in votes.items() if count
            ],
            rater_agreement=max(votes.values()) / sum(votes.values()),
            extra={
                "usage": usage,
                "official_split": USAGES[usage],
                "row": str(int(number)),
                "image_name": row["Image name"].strip(),
            },
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """`fer2013.csv` and `fer2013new.csv`; besides the classes one picture that is no face and one that nobody could
        tell. FER+ knows no subjects: `subjects` bounds the number of people drawn, 0 draws a new one each time."""
        from corpora.readers.fakes.face import draw_face

        rng = np.random.default_rng([seed, 0])
        labels: list[str] = [word for word, count in class_counts(self.card, per_class).items() for _ in range(count)]
        labels = ["NF", *(labels[i] for i in rng.permutation(len(labels))), "unknown"]
        codes = {"anger": 0, "disgust": 1, "fear": 2, "happiness": 3, "sadness": 4, "surprise": 5}  # else neutral
        pictures, votes = io.StringIO(), io.StringIO()
        write_picture, write_votes = csv.writer(pictures).writerow, csv.writer(votes).writerow
        write_picture(["emotion", "pixels", "Usage"])
        write_votes(["Usage", "Image name", *WORDS])
        named = 0
        for number, label in enumerate(labels):
            person = number if subjects < 1 else int(rng.integers(subjects))
            face = draw_face(
                label if label in EMOTIONS else "neutral",
                person=np.random.default_rng([seed, 1, person]),
                rng=np.random.default_rng([seed, 2, number]),
            )
            count = np.zeros(len(WORDS), dtype=int)
            if label == "unknown":
                count[[0, 3]] = 5
            else:
                chosen = 10 if label == "NF" else int(rng.integers(6, 11))
                count[WORDS.index(label)] = chosen
                np.add.at(count, rng.integers(0, len(EMOTIONS), 10 - chosen), 1)
            if label == "NF":
                face = rng.integers(0, 256, face.shape).astype(np.uint8)
            usage = "Training" if number % 10 < 8 else ("PublicTest" if number % 10 == 8 else "PrivateTest")
            write_picture([codes.get(label, 6), " ".join(map(str, face.ravel().tolist())), usage])
            write_votes([usage, "" if label == "NF" else f"fer{named:07d}.png", *count.tolist()])
            named += label != "NF"
        write_bytes(Path(root) / "fer2013.csv", pictures.getvalue().encode("ascii"))
        write_bytes(Path(root) / "fer2013new.csv", votes.getvalue().encode("ascii"))


def _place(row: Row | PayloadError) -> Place:
    """What the join must know of a row of votes: its Usage, name and, where FER2013 has a word for it, winner."""
    if isinstance(row, PayloadError) or row["Usage"].strip() not in USAGES:
        return UNREADABLE
    try:
        votes = {word: number_of(row[word], word) for word in WORDS}
    except PayloadError:
        votes = {}
    most = max(votes.values(), default=0.0)
    won = frozenset(word for word, count in votes.items() if count == most > 0)
    comparable = won <= frozenset(EMOTIONS) - {"contempt"}
    return Place(row["Usage"].strip(), won if comparable else frozenset(), row["Image name"].strip())


def _named_once(row: Row, twice: Mapping[str, tuple[int, ...]]) -> None:
    """Raises `PayloadError` doubled-name."""
    name = row["Image name"].strip()
    if name in twice:
        rows = ", ".join(map(str, twice[name][:4]))
        raise PayloadError("doubled-name", f"{name} stands in rows {rows}: the votes of one are another picture's")


def _joined(votes: Iterator[tuple[Any, str]], pictures: Iterator[Any]) -> Iterator[tuple[tuple[Any, Any], str]]:
    for number, (row, picture) in enumerate(zip_longest(votes, pictures)):
        yield (row[0] if row else None, picture), row[1] if row else f"fer2013.csv#{number:06d}"


def label_weights(votes: Mapping[str, float], view: str) -> dict[str, float]:
    """Votes per column -> {label: weight} of a view; {"unknown": 1} or {"NF": 1} where no emotion is left.

    Weights of majority and probability sum to 1; those of multi_target are 1 each. See the module's head for the rules.
    """
    left = {word: count for word, count in votes.items() if count > 1}  # one tagger alone is an outlier
    total = sum(left.values())
    kept: dict[str, float] = {}
    if view == "majority":
        kept = {word: count for word, count in left.items() if count > 0.5 * total}
    elif view == "multi_target":
        kept = {word: count for word, count in left.items() if count >= 0.3 * total}
    else:
        held, n_taken = 0.0, 0
        rest = dict(left)
        while rest and held < 0.75 * total and n_taken < 3:
            most = max(rest.values())
            ties = [word for word in WORDS if rest.get(word) == most]
            unsure = [word for word in ties if word not in EMOTIONS][:1]  # ends the list; alone at the top it is kept
            for word in [word for word in ties if word in EMOTIONS] + unsure:
                held += rest.pop(word)
                if word in EMOTIONS or not kept:
                    kept[word] = most
                    n_taken += 1
            if unsure:
                break
        if n_taken > 3:
            kept = {}
    if sum(kept.values()) <= 0.5 * total:
        return {"unknown": 1.0}
    top = max(kept, key=lambda word: (kept[word], -WORDS.index(word)))  # the first column wins a tie, as in argmax
    if top not in EMOTIONS:
        return {top: 1.0}
    kept = {word: count for word, count in kept.items() if word in EMOTIONS}
    whole = sum(kept.values())
    return dict.fromkeys(kept, 1.0) if view == "multi_target" else {word: n / whole for word, n in kept.items()}
