"""RAF-DB: faces from the internet, labelled by about 40 people each; seven basic emotions, or eleven compound ones.

Li, Deng & Du (2017), "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition in the
Wild", CVPR. Layout as public loaders read it; basic/ and compound/ are alike:

    basic/EmoLabel/list_patition_label.txt                      train_00001.jpg 5
    basic/Image/aligned/train_00001_aligned.jpg                 100 x 100 pixels
    basic/Image/original/train_00001.jpg
    basic/Annotation/boundingbox/train_00001_boundingbox.txt    left top right bottom, in the original
    basic/Annotation/manual/train_00001_manu_attri.txt          5 landmarks in the original, gender, race, age range
    DATASET/train/5/train_00001_aligned.jpg                     the re-pack in class folders (basic, aligned)

Basic: 1 surprise, 2 fear, 3 disgust, 4 happiness, 5 sadness, 6 anger, 7 neutral. Compound: 1 happily surprised ... 11
disgustedly surprised; `labels` hold the two basic emotions, half each, and the compound one as `raf_db_compound`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import CorpusError, PayloadError, UnknownNameError
from corpora.formats.tables import Row, number_of, read_table, row_of
from corpora.labels import native_labels
from corpora.records.boxes import face_box, landmark_text, picture_key
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
from corpora.records.joins import Doubled, doubled, once, settled
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

LIST = "list_patition_label.txt"  # the name as published
SUBSETS, IMAGES = ("basic", "compound"), ("aligned", "original")
_BASIC = {"1": "Surprise", "2": "Fear", "3": "Disgust", "4": "Happiness", "5": "Sadness", "6": "Anger", "7": "Neutral"}
_PARTS = {  # compound label -> (name, its two basic emotions)
    "1": ("Happily Surprised", "Happiness", "Surprise"),
    "2": ("Happily Disgusted", "Happiness", "Disgust"),
    "3": ("Sadly Fearful", "Sadness", "Fear"),
    "4": ("Sadly Angry", "Sadness", "Anger"),
    "5": ("Sadly Surprised", "Sadness", "Surprise"),
    "6": ("Sadly Disgusted", "Sadness", "Disgust"),
    "7": ("Fearfully Angry", "Fear", "Anger"),
    "8": ("Fearfully Surprised", "Fear", "Surprise"),
    "9": ("Angrily Surprised", "Anger", "Surprise"),
    "10": ("Angrily Disgusted", "Anger", "Disgust"),
    "11": ("Disgustedly Surprised", "Disgust", "Surprise"),
}
_GENDERS = {0: "male", 1: "female", 2: None}  # 2: the annotators were unsure
_AGES = {0: "0-3", 1: "4-19", 2: "20-39", 3: "40-69", 4: "70+"}  # years
_REPACKED = re.compile(r"(?:^|/)(train|test)/([1-7])/((?:train|test)_\d+)(?:_aligned)?\.jpg$")
_MAX_TEXT = 1 << 16  # bytes of an annotation file; real ones have some hundred


class RafDB:
    """`Corpus` of RAF-DB. `subset`: basic | compound; `images`: aligned | original (with box and landmarks)."""

    card = CorpusCard(
        name="raf_db",
        title="RAF-DB",
        modality="face",
        version="2017",
        license="LicenseRef-RAF-DB-research-only",
        may_redistribute=False,
        url="http://www.whdeng.cn/raf/model1.html",
        bibtex=(
            "@inproceedings{li2017reliable, title={Reliable Crowdsourcing and Deep Locality-Preserving Learning for "
            "Expression Recognition in the Wild}, author={Li, Shan and Deng, Weihong and Du, JunPing}, "
            "booktitle={CVPR}, year={2017}}"
        ),
        language=None,
        split_unit="payload",
        label_map={word: word.lower() for word in _BASIC.values()} | {parts[0]: None for parts in _PARTS.values()},
        counts={
            "Surprise": 1619,
            "Fear": 355,
            "Disgust": 877,
            "Happiness": 5957,
            "Sadness": 2460,
            "Anger": 867,
            "Neutral": 3204,
        },
        counts_source=(
            "lines of basic/EmoLabel/list_patition_label.txt, as public loaders weigh classes (train 1290, 281, 717, "
            "4772, 1982, 705, 2524; test 329, 74, 160, 1185, 478, 162, 680); compound emotions are not counted"
        ),
        n_subjects=None,
        n_samples=15_339,
        knows_subjects=False,
        official_split="train_ and test_ in the names of files: 12,271 and 3,068 (basic)",
        sources={
            "layout": "public loaders of RAF-DB, e.g. MiviaLab/emotion-robustness, rafdb_dataset_hq.py",
            "labels": "public loaders of EmoLabel; order of compound labels also at whdeng.cn/RAF/model4.html (RAF-CE)",
            "subjects": "none are known: pictures came from the internet (Li et al. 2017)",
            "counts": "12,271 + 3,068 = 15,339: lynettegao.github.io/639-project/data and public loaders",
            "splits": "names of files; sizes: lynettegao.github.io/639-project/data",
        },
        unverified=("license",),
        access="ask the authors for a password (whdeng.cn); non-commercial research, as for its sister RAF-CE",
        quirks=(
            "both subsets start with train_00001: ids begin with the subset",
            "places in a picture are taken to be in stored pixels: EXIF turns them with it (no source says)",
            "compound emotions are no class of the vocabulary: they stand in labels, emotion is null",
        ),
    )

    def __init__(self, subset: str = "basic", images: str = "aligned") -> None:
        for what, value, valid in (("subset", subset, SUBSETS), ("images", images, IMAGES)):
            if value not in valid:
                raise UnknownNameError.of(f"{what} of RAF-DB", value, valid)
        self.subset, self.images = subset, images

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: bad-row, undecodable-row, bad-name, bad-label, no-picture, bad-annotation,
        not-a-number, bad-box, bad-landmarks, repeated-name, conflicting-entries (a picture with two labels), and those
        of a picture file: not-an-image, truncated, too-large, empty, unreadable."""
        root = Path(root)
        files = corpus_files(root, self.card)
        found = sorted(path for path in root.rglob(LIST) if "__MACOSX" not in path.parts)
        other = SUBSETS[1 - SUBSETS.index(self.subset)]
        lists = [path for path in found if self.subset in _folders(path, root)]
        lists = lists or [path for path in found if other not in _folders(path, root)]
        if len(lists) == 1:
            home = lists[0].parent.parent

            def rows() -> Iterator[tuple[Row | PayloadError, str]]:
                return read_table(
                    lists[0], self.card.title, columns=("image", "label"), delimiter=" ", header=False, quoted=False
                )

            items = settled(rows, _image_of, lambda row: row_of(row)["label"].strip())
            return read_items(items, corpus, lambda row, name: self._listed(row_of(row), home, root, corpus))
        repacked = [(path, name) for path, name in files if path.suffix.lower() == ".jpg"]
        if not found and self.subset == "basic" and any(_REPACKED.search(name) for _, name in repacked):
            places = [(match, name) for _, name in repacked if (match := _REPACKED.search(name))]
            alike = doubled(places, lambda match: match.group(3), lambda match: match.group(2))
            return read_items(repacked, corpus, lambda path, name: self._repacked(path, name, alike, corpus))
        raise CorpusError(
            f"{self.card.title}: {root} holds {len(lists)} lists {self.subset}/EmoLabel/{LIST}, one is expected "
            f"(found e.g. {files[0][1]!r}). Link the folder that holds {self.subset}/ as published ({self.card.url})."
        )

    def _listed(self, row: Row, home: Path, root: Path, corpus: str) -> Sample:
        stem = row["image"].removesuffix(".jpg")
        if not re.fullmatch(r"(train|test)_\d+", stem):
            raise PayloadError("bad-name", f"image {row['image'][:80]!r}; expected train_00001.jpg or the like")
        name = f"{stem}_aligned.jpg" if self.images == "aligned" else f"{stem}.jpg"
        path = home / "Image" / self.images / name
        if not path.is_file():
            raise PayloadError("no-picture", f"{name} is not in {self.subset}/Image/{self.images}")
        return self._sample(path, stem, row["label"].strip(), home, path.relative_to(root).as_posix(), corpus)

    def _repacked(self, path: Path, name: str, alike: Doubled, corpus: str) -> Sample:
        match = _REPACKED.search(name)
        if match is None:
            raise PayloadError("bad-name", "a picture lies in train/5/train_00001_aligned.jpg or the like")
        once(alike, match.group(3))
        return self._sample(path, match.group(3), match.group(2), path.parent, name, corpus)

    def _sample(self, path: Path, stem: str, label: str, home: Path, name: str, corpus: str) -> Sample:
        if self.subset == "basic":
            word = known(_BASIC, label, "label")
            fields: dict[str, Any] = {"emotion": self.card.label_map[word]}
        else:
            word, *parts = known(_PARTS, label, "compound label")
            halves = native_labels(self.card.name, dict.fromkeys(parts, 0.5), self.card.label_map)
            fields = {"labels": [{"scheme": f"{self.card.name}_compound", "label": word, "weight": 1.0}, *halves]}
        extra = {"path": name, "official_split": stem.partition("_")[0]}
        fields["gender"], marks = _attributes(home / "Annotation" / "manual" / f"{stem}_manu_attri.txt")
        if self.images == "original":
            marks |= _box(home / "Annotation" / "boundingbox" / f"{stem}_boundingbox.txt")
        else:
            marks.pop("landmarks", None)  # they are places in the original
        payload = read_file(path, MAX_IMAGE_BYTES)
        return picture_sample(
            self.card,
            corpus,
            f"{self.subset}/{stem}",
            payload,
            "jpg",
            group=picture_key(payload),
            emotion_raw=word,
            extra=extra | marks,
            **fields,
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """The published folders of `subset` with labels, the pictures of `images`, boxes and attributes.

        A class of compound is the first of its two emotions. RAF-DB knows no subjects: `subjects` bounds the number of
        people drawn. Raises `CorpusError` below 1, and for classes that no compound emotion begins with.
        """
        from corpora.readers.fakes.face import draw_picture, encode_jpg

        if subjects < 1:
            raise CorpusError(f"a made-up RAF-DB needs at least 1 person, not {subjects}")
        codes: dict[str, tuple[str, list[str]]] = {w.lower(): (code, [w.lower()]) for code, w in _BASIC.items()}
        counts = class_counts(self.card, per_class)
        if self.subset == "compound":
            firsts = {
                first.lower(): (code, [first.lower(), second.lower()])
                for code, (_, first, second) in reversed(_PARTS.items())
            }
            if isinstance(per_class, int):
                counts = {emotion: count for emotion, count in counts.items() if emotion in firsts}
            if not set(counts) <= set(firsts):
                raise CorpusError(
                    f"compound emotions of RAF-DB begin with {', '.join(firsts)}, not {', '.join(counts)}"
                )
            codes = firsts
        home = Path(root) / self.subset
        lines: list[str] = []
        rng = np.random.default_rng([seed, 0])
        for number, (emotion, person) in enumerate(spread(counts, [str(i) for i in range(subjects)], rng)):
            code, parts = codes[emotion]
            picture = draw_picture(
                parts,
                size=(190, 170),
                share=0.6,
                person=np.random.default_rng([seed, 1, int(person)]),
                rng=np.random.default_rng([seed, 2, number]),
            )
            stem = f"test_{number + 1:04d}" if number % 5 == 4 else f"train_{number + 1:05d}"
            lines.append(f"{stem}.jpg {code}")
            left, top, width, height = picture.box
            middle, half = (left + width // 2, top + height // 2), 50
            x, y = (min(max(0, middle[i] - half), picture.pixels.shape[1 - i] - 2 * half) for i in (0, 1))
            aligned = picture.pixels[y : y + 2 * half, x : x + 2 * half]
            if self.images == "aligned":  # aligned.zip and original.zip are two archives
                write_bytes(home / "Image" / "aligned" / f"{stem}_aligned.jpg", encode_jpg(aligned))
            else:
                write_bytes(home / "Image" / "original" / f"{stem}.jpg", encode_jpg(picture.pixels))
            box = f"{left}.000000 {top}.000000 {left + width}.000000 {top + height}.000000 \n"
            write_bytes(home / "Annotation" / "boundingbox" / f"{stem}_boundingbox.txt", box.encode())
            marks = picture.landmarks
            five = [marks[36:42].mean(0), marks[42:48].mean(0), marks[33], marks[48], marks[54]]
            points = "".join(f"{a:.6f}\t{b:.6f}\n" for a, b in five)
            manual = f"{points}{int(person) % 2}\n0\n{2 + int(person) % 2}\n"
            write_bytes(home / "Annotation" / "manual" / f"{stem}_manu_attri.txt", manual.encode())
        write_bytes(home / "EmoLabel" / LIST, ("\n".join(lines) + "\n").encode())


def _image_of(row: Row | PayloadError) -> str | None:
    return None if isinstance(row, PayloadError) else row["image"]


def _folders(path: Path, root: Path) -> list[str]:
    return [part.lower() for part in path.relative_to(root).parts] + [root.name.lower()]


def _attributes(path: Path) -> tuple[str | None, dict[str, str]]:
    """The manual annotation -> gender and what goes into `extra`; nothing where there is no such file."""
    if not path.is_file():
        return None, {}
    lines = read_file(path, _MAX_TEXT).decode("ascii", "replace").split("\n")
    if len(lines) < 8:
        raise PayloadError(
            "bad-annotation", f"{path.name} has {len(lines)} lines; 5 landmarks and 3 codes are expected"
        )
    points = [[number_of(field, "a landmark") for field in line.split()] for line in lines[:5]]
    if any(len(point) != 2 for point in points):
        raise PayloadError("bad-annotation", f"{path.name}: a landmark is x and y, found {lines[0][:40]!r}")
    gender, age = (int(number_of(lines[i], what)) for i, what in ((5, "gender"), (7, "age range")))
    extra = {"landmarks": landmark_text(points)}
    if age in _AGES:
        extra["age_range"] = _AGES[age]
    return _GENDERS.get(gender), extra


def _box(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    fields = read_file(path, _MAX_TEXT).decode("ascii", "replace").split()
    if len(fields) != 4:
        raise PayloadError("bad-box", f"{path.name} has {len(fields)} numbers, 4 are expected")
    left, top, right, bottom = (number_of(field, "a side of the box") for field in fields)
    return {"face_box": face_box(left, top, right, bottom)}
