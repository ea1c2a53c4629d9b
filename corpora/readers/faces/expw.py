"""ExpW, Expression in the Wild: 91,793 faces on pictures of an image search, seven classes, a box for every face.

Zhang, Luo, Loy & Tang (2016), "From Facial Expression Recognition to Interpersonal Relation Prediction",
arXiv:1609.06426. Its readme, as quoted at rhkb.cn/news/38351.html and in public loaders:

    label/label.lst            each line: image_name face_id_in_image face_box_top face_box_left face_box_right
                               face_box_bottom face_box_cofidence expression_label
                               angry_actor_104.jpg 0 28 113 226 141 22.9362 0
    image/origin/angry_actor_104.jpg

Mind the order: top, left, right, bottom. Labels: 0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral.
One sample for each face: the whole picture, its box in `extra["face_box"]`. Faces of one picture share the group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import Row, find_file, number_of, read_table, row_of
from corpora.records.boxes import face_box, picture_key
from corpora.records.files import (
    MAX_IMAGE_BYTES,
    class_counts,
    corpus_files,
    known,
    picture_sample,
    read_file,
    read_items,
    spread,
)
from corpora.records.joins import doubled_files, once, settled
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_WORDS = {"0": "angry", "1": "disgust", "2": "fear", "3": "happy", "4": "sad", "5": "surprise", "6": "neutral"}
_EMOTIONS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprise": "surprise",
    "neutral": "neutral",
}
_COLUMNS = ("image", "face", "top", "left", "right", "bottom", "confidence", "label")


class ExpW:
    """`Corpus` of ExpW's label.lst and the pictures beside it."""

    card = CorpusCard(
        name="expw",
        title="ExpW",
        modality="face",
        version="2016",
        license="LicenseRef-ExpW-unstated",
        may_redistribute=False,  # pictures of an image search; their rights are with third parties
        url="http://mmlab.ie.cuhk.edu.hk/projects/socialrelation/index.html",
        bibtex=(
            "@misc{zhang2016socialrelation, title={From Facial Expression Recognition to Interpersonal Relation "
            "Prediction}, author={Zhang, Zhanpeng and Luo, Ping and Loy, Chen Change and Tang, Xiaoou}, year={2016}, "
            "eprint={1609.06426}, archivePrefix={arXiv}}"
        ),
        language=None,
        split_unit="payload",
        label_map=_EMOTIONS,
        counts={
            "angry": 3671,
            "disgust": 3995,
            "fear": 1088,
            "happy": 30_537,
            "sad": 10_559,
            "surprise": 7060,
            "neutral": 34_883,
        },
        counts_source="rhkb.cn/news/38351.html, counted in label.lst; the sum is the paper's 91,793",
        n_subjects=None,
        n_samples=91_793,
        knows_subjects=False,
        sources={
            "layout": "readme of the corpus, quoted at rhkb.cn/news/38351.html",
            "labels": "readme of the corpus, quoted at rhkb.cn/news/38351.html",
            "subjects": "none are known: pictures came from an image search (arXiv:1609.06426)",
            "counts": "rhkb.cn/news/38351.html; total: arXiv:1609.06426",
            "splits": "none is published in label.lst",
        },
        unverified=("license",),
        quirks=(
            "boxes are published as top, left, right, bottom",
            "places in a picture are taken to be in stored pixels: EXIF turns them with it (no source says)",
            "a picture with several faces is several samples with the same payload, one group",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: bad-row, undecodable-row, bad-label, not-a-number, bad-box, no-picture,
        repeated-name (the same face of a picture twice), conflicting-entries (a face with two labels or boxes, two
        pictures of one name), and those of a picture file: not-an-image, truncated,
        too-large, empty, unreadable."""
        root = Path(root)
        table = find_file(root, self.card.title, ("label.lst",), self.card.url)

        def rows() -> Iterator[tuple[Row | PayloadError, str]]:
            return read_table(table, self.card.title, columns=_COLUMNS, delimiter=" ", header=False, quoted=False)

        pictures = [(path, name) for path, name in corpus_files(root, self.card) if path.name != table.name]
        files = {path.name: path for path, _ in pictures}
        if not files:
            raise CorpusError(f"{self.card.title}: {root} holds label.lst and no pictures; unpack origin.7z beside it.")
        items = settled(rows, _face_of, lambda row: tuple(row_of(row).items()))
        alike = doubled_files(pictures, lambda path: path.name)

        def make(row: Row | PayloadError, _: str) -> Sample:
            once(alike, row_of(row)["image"])
            return self._sample(row_of(row), files, corpus)

        return read_items(items, corpus, make)

    def _sample(self, row: Row, files: Mapping[str, Path], corpus: str) -> Sample:
        word = known(_WORDS, row["label"].strip(), "expression_label")
        top, left, right, bottom = (number_of(row[side], f"face_box_{side}") for side in _COLUMNS[2:6])
        box = face_box(left, top, right, bottom)
        confidence = number_of(row["confidence"], "face_box_cofidence")
        path = files.get(row["image"])
        if path is None:
            raise PayloadError("no-picture", f"image {row['image'][:80]!r} is not there")
        payload = read_file(path, MAX_IMAGE_BYTES)
        return picture_sample(
            self.card,
            corpus,
            f"{path.stem}_{int(number_of(row['face'], 'face_id_in_image'))}",
            payload,
            path.suffix.lower().lstrip(".") or "jpg",
            group=picture_key(payload),
            emotion=_EMOTIONS[word],
            emotion_raw=word,
            extra={"path": row["image"], "face_box": box, "face_box_confidence": f"{confidence:g}"},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """`label/label.lst` and jpg pictures in `image/origin/`, most pictures with two faces.

        ExpW knows no subjects: `subjects` bounds the number of people drawn. Raises `CorpusError` below 1.
        """
        from corpora.readers.fakes.face import draw_picture, encode_jpg

        if subjects < 1:
            raise CorpusError(f"a made-up ExpW needs at least 1 person, not {subjects}")
        codes = {_EMOTIONS[word]: code for code, word in _WORDS.items()}
        rng = np.random.default_rng([seed, 0])
        faces = list(spread(class_counts(self.card, per_class), [str(i) for i in range(subjects)], rng))
        lines: list[str] = []
        begin = 0
        while begin < len(faces):
            number = len(lines)
            both = faces[begin : begin + 1 + (begin % 3 > 0)]
            name = f"{_WORDS[codes[both[0][0]]]}_actor_{begin}.jpg"
            drawn = [
                draw_picture(
                    emotion,
                    size=(160, 140),
                    share=0.5,
                    person=np.random.default_rng([seed, 1, int(person)]),
                    rng=np.random.default_rng([seed, 2, number, i]),
                )
                for i, (emotion, person) in enumerate(both)
            ]
            for i, (picture, (emotion, _)) in enumerate(zip(drawn, both, strict=True)):
                left, top, width, height = picture.box
                left += 140 * i
                box = f"{top} {left} {left + width} {top + height}"
                lines.append(f"{name} {i} {box} {rng.uniform(5, 60):.4f} {codes[emotion]}")
            write_bytes(Path(root) / "image" / "origin" / name, encode_jpg(np.hstack([p.pixels for p in drawn])))
            begin += len(both)
        write_bytes(Path(root) / "label" / "label.lst", ("\n".join(lines) + "\n").encode("ascii"))


def _face_of(row: Row | PayloadError) -> tuple[str, str] | None:
    return None if isinstance(row, PayloadError) else (row["image"], row["face"].strip())
