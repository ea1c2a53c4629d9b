"""SFEW 2.0 and the frames of AFEW: faces in scenes of films, seven classes, the test part without labels.

Dhall, Goecke, Lucey & Gedeon (2011), "Static facial expression analysis in tough conditions: Data, evaluation protocol
and benchmark", ICCV workshops; SFEW 2.0 is the image part of the EmotiW 2015 challenge. Layouts as public loaders read
them (albanie/mcnDatasets, sfew/getSfewImdb.m; names of archives and frames in loaders of SFEW 2.0 and AFEW):

    Train/Angry/RevolutionaryRoad_000806440_00000015.png     SFEW: film, time code of the clip, frame; Val/... alike
    Train_Aligned_Faces/Angry/..., Val_Aligned_Faces_new/Angry/..., also inside Train/ and Val/
    Test/..., Test_Aligned_Faces/...                         no class folders: labels are not public
    Train_AFEW/Angry/000247920.avi                           AFEW: the label of a clip is the folder of its video
    Train_AFEW/AlignedFaces_LBPTOP_Points/Faces/000247920/I_1001.jpg
    train_afew/Angry/000046280/00001.jpg                     frames cut by the user, one folder a clip

Frames of one clip are one group; an actor may play in several clips and films, and nobody is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from corpora.codecs import encode_png
from corpora.errors import CorpusError, PayloadError
from corpora.records.files import class_counts, face_sample, named_files, read_items, spread
from corpora.records.joins import Entries
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_EMOTIONS = {
    "Angry": "anger",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happy": "happiness",
    "Neutral": "neutral",
    "Sad": "sadness",
    "Surprise": "surprise",
}
_FOLDERS = {word.lower(): word for word in _EMOTIONS}
_SPLITS = {"train": "train", "val": "dev", "test": "test"}
_SPLIT = re.compile(r"(train|val|test)(?:_.*)?", re.IGNORECASE)  # Train, Val_Aligned_Faces_new, Test_AFEW ...
_FILE = re.compile(r"(?:^|/)(?:train|val|test)(?:_[^/]*)?/.*\.(?:png|jpe?g)$", re.IGNORECASE)
_FRAME = re.compile(r"(.+)_(\d{9})_(\d{8})")  # film, time code of the clip, frame
_VIDEOS = {".avi", ".mp4"}


class Sfew:
    """`Corpus` of frames of films. `aligned`: True only below folders *Aligned*, False only the others, None both."""

    card = CorpusCard(
        name="sfew",
        title="SFEW 2.0 / AFEW frames",
        modality="face",
        version="2.0",
        license="LicenseRef-AFEW-agreement",
        may_redistribute=False,
        url="https://cs.anu.edu.au/few/",
        bibtex=(
            "@inproceedings{dhall2011static, title={Static Facial Expression Analysis in Tough Conditions: Data, "
            "Evaluation Protocol and Benchmark}, author={Dhall, Abhinav and Goecke, Roland and Lucey, Simon and "
            "Gedeon, Tom}, booktitle={ICCV Workshops}, year={2011}}"
        ),
        language=None,
        split_unit="video",
        label_map=_EMOTIONS,
        counts=None,
        counts_source=None,
        n_subjects=None,
        n_samples=None,
        knows_subjects=False,
        official_split="folders Train (SFEW 2.0: 958), Val (dev, 436) and Test (372, unlabelled)",
        sources={
            "layout": "github.com/albanie/mcnDatasets, sfew/getSfewImdb.m; public loaders of SFEW 2.0 and AFEW",
            "labels": "github.com/albanie/mcnDatasets, sfew/getSfewImdb.m: names of class folders",
            "subjects": "none are named; clips come from films (hyper.ai/datasets/18168)",
            "splits": "hyper.ai/datasets/18168: 958, 436 and 372 images",
        },
        unverified=("counts", "license"),
        access="ask the authors and sign their agreement",
        quirks=(
            "labels of the test part are not public: emotion is null there",
            "aligned faces and whole frames of one name are two samples of one group",
            "some aligned faces of SFEW 2.0 show no face (public loaders list 130); prepare rejects them",
        ),
    )

    def __init__(self, aligned: bool | None = None) -> None:
        self.aligned = aligned

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: bad-name (outside Train, Val and Test, or of no clip), no-label (neither a class
        folder nor a labelled video), conflicting-entries (a clip's video lies in two class folders), repeated-name, and
        those of a picture file: not-an-image, truncated, too-large, empty, unreadable."""
        files = named_files(Path(root), self.card, _FILE, "Train_Aligned_Faces/Angry/Film_000806440_00000015.png")
        labels: Entries[tuple[str, str], str] = Entries()  # (split, clip) -> word, of AFEW's videos
        pictures = []
        for path, name in files:
            if path.suffix.lower() not in _VIDEOS:
                if self.aligned is None or self.aligned == ("aligned" in name.lower()):
                    pictures.append((path, name))
                continue
            split, word = _places(name.split("/")[:-1])
            if split is not None and word is not None:
                labels.add((split, path.stem), word, name)
        return read_items(pictures, corpus, lambda path, name: self._sample(path, name, labels, corpus))

    def _sample(self, path: Path, name: str, labels: Entries[tuple[str, str], str], corpus: str) -> Sample:
        folders = name.split("/")[:-1]
        split, word = _places(folders)
        if split is None:
            raise PayloadError("bad-name", "expected Train/Angry/, Val_Aligned_Faces/Angry/, Test/ or the like")
        match = _FRAME.fullmatch(path.stem)
        film = None
        if match is not None:
            film, clip, frame = match.group(1), f"{match.group(1)}_{match.group(2)}", match.group(3)
        elif folders[-1].lower() not in _FOLDERS and not _SPLIT.fullmatch(folders[-1]):
            clip, frame = folders[-1], path.stem
        else:
            raise PayloadError("bad-name", f"{path.stem[:60]!r} is no film_timecode_frame and lies in no clip's folder")
        if word is None:
            word = labels.get((split, clip))
        if word is None and split != "test":
            raise PayloadError("no-label", f"clip {clip} lies in no class folder and its video is not there")
        return face_sample(
            self.card,
            corpus,
            name.rpartition(".")[0],
            path,
            group=clip if film is not None else f"{split}/{clip}",
            session_id=f"{corpus}:{film}" if film is not None else None,
            emotion=None if word is None else _EMOTIONS[word],
            emotion_raw=word,
            extra={"path": name, "official_split": _SPLITS[split], "clip": clip, "frame": frame},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """Aligned faces of SFEW 2.0 (png, 143 x 181) in Train and Val, and two unlabelled ones in Test besides.

        Nobody is named: `subjects` is the number of people drawn, a film each. Raises `CorpusError` below 1.
        """
        from corpora.readers.fakes.face import draw_picture

        if subjects < 1:
            raise CorpusError(f"a fake SFEW needs at least 1 person, not {subjects}")
        folders = {emotion: word for word, emotion in _EMOTIONS.items()}
        people = [str(i) for i in range(subjects)]
        rng = np.random.default_rng([seed, 0])
        faces = [*spread(class_counts(self.card, per_class), people, rng), ("neutral", "0"), ("fear", people[-1])]
        for number, (emotion, person) in enumerate(faces):
            picture = draw_picture(
                emotion,
                size=(181, 143),
                share=0.95,
                person=np.random.default_rng([seed, 1, int(person)]),
                rng=np.random.default_rng([seed, 2, number]),
            )
            split = "Test" if number >= len(faces) - 2 else ("Val" if int(person) % 3 == 2 else "Train")
            clip = int(rng.integers(1, 10**6)) if number % 2 == 0 else 120  # some frames are of one clip
            name = f"MadeUpFilm{person}_{clip:09d}_{number:08d}.png"
            folder = Path(root) / f"{split}_Aligned_Faces"
            write_bytes((folder if split == "Test" else folder / folders[emotion]) / name, encode_png(picture.pixels))


def _places(folders: list[str]) -> tuple[str | None, str | None]:
    """Folders above a file -> (train | val | test, class word), the innermost of each."""
    split = next((m.group(1).lower() for part in reversed(folders) if (m := _SPLIT.fullmatch(part))), None)
    return split, next((_FOLDERS[part.lower()] for part in reversed(folders) if part.lower() in _FOLDERS), None)
