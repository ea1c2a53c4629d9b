"""RaFD, the Radboud Faces Database: 67 models, children among them, show eight expressions to five cameras.

Langner, Dotsch, Bijlstra, Wigboldus, Hawk & van Knippenberg (2010), "Presentation and validation of the Radboud Faces
Database", Cognition & Emotion 24(8), 1377-1388; rafd.socsci.ru.nl. The file name holds every label:

    Rafd090_01_Caucasian_female_angry_frontal.jpg = camera angle, model, group, gender, emotion, gaze

Angles 000, 045, 090 (frontal), 135 and 180 degrees; groups Caucasian, Kid (Caucasian children) and Moroccan; gaze left,
frontal or right. Models are numbered 1 to 73, without 6, 13, 17, 34, 62 and 66.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError, UnknownNameError
from corpora.records.files import class_counts, face_sample, known, named_files, read_items, spread
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_EMOTIONS = {
    "angry": "anger",
    "contemptuous": "contempt",
    "disgusted": "disgust",
    "fearful": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprised": "surprise",
}
ANGLES = ("000", "045", "090", "135", "180")
GAZES = ("left", "frontal", "right")
GROUPS = ("Caucasian", "Kid", "Moroccan")
MODELS = tuple(number for number in range(1, 74) if number not in (6, 13, 17, 34, 62, 66))
_NAME = re.compile(r"Rafd(\d{3})_(\d\d)_([A-Za-z]+)_(female|male)_([a-z]+)_([a-z]+)")
_FILE = re.compile(r"(?:^|/)Rafd\d{3}_\d\d_[^/]*\.[A-Za-z]+$")


class Rafd:
    """`Corpus` of RaFD. `angle`: one of `ANGLES` (90 is 090), `gaze`: one of `GAZES`; None reads all."""

    card = CorpusCard(
        name="rafd",
        title="RaFD",
        modality="face",
        version="2010",
        license="LicenseRef-RaFD-agreement",
        may_redistribute=False,
        url="https://rafd.socsci.ru.nl",
        bibtex=(
            "@article{langner2010presentation, title={Presentation and validation of the Radboud Faces Database}, "
            "author={Langner, Oliver and Dotsch, Ron and Bijlstra, Gijsbert and Wigboldus, Daniel H. J. and Hawk, "
            "Skyler T. and van Knippenberg, Ad}, journal={Cognition \\& Emotion}, volume={24}, number={8}, "
            "pages={1377--1388}, year={2010}, doi={10.1080/02699930903485076}}"
        ),
        language=None,
        split_unit="subject",
        label_map=_EMOTIONS,
        counts=dict.fromkeys(_EMOTIONS, 67 * 15),
        counts_source="rafd.socsci.ru.nl/Overview.html: 67 models x 8 expressions x 3 gazes x 5 angles = 8040 pictures",
        n_subjects=67,
        n_samples=8040,
        sources={
            "layout": "FAQ of RaFD as quoted by public loaders: parts of the file name and their values",
            "labels": "rafd.socsci.ru.nl/Overview.html; FAQ of RaFD as quoted by public loaders",
            "subjects": "rafd.socsci.ru.nl/Overview.html: 39 Caucasian adults, 10 children, 18 Moroccan men",
            "counts": "rafd.socsci.ru.nl/Overview.html; facedb.blogspot.com: 8040 images in total",
            "splits": "none is published (rafd.socsci.ru.nl)",
        },
        unverified=("license",),
        access="apply at rafd.socsci.ru.nl as a member of an accredited university",
        quirks=(
            "the five angles of a pose were taken at one moment: all pictures of a model are one group",
            "children are the group Kid; the age of nobody is published",
        ),
    )

    def __init__(self, angle: str | int | None = None, gaze: str | None = None) -> None:
        """Raises `UnknownNameError`."""
        wanted = None if angle is None else str(angle).zfill(3)
        for what, value, valid in (("angle", wanted, ANGLES), ("gaze", gaze, GAZES)):
            if value is not None and value not in valid:
                raise UnknownNameError.of(f"{what} of RaFD", value, valid)
        self.angle, self.gaze = wanted, gaze
        self._views = [(a, g) for a in ANGLES if wanted in (a, None) for g in GAZES if gaze in (g, None)]
        each = len(MODELS) * len(self._views)
        self.card = replace(self.card, counts=dict.fromkeys(_EMOTIONS, each), n_samples=8 * each)

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: bad-name, bad-label (emotion, angle, group or gaze), repeated-name, and those of a
        picture file: not-an-image, truncated, too-large, empty, unreadable."""
        files = named_files(Path(root), self.card, _FILE, "Rafd090_01_Caucasian_female_angry_frontal.jpg")
        return read_items(files, corpus, lambda path, name: self._sample(path, name, corpus))

    def _sample(self, path: Path, name: str, corpus: str) -> Sample | None:
        match = _NAME.fullmatch(path.stem)
        if match is None:
            raise PayloadError("bad-name", "a picture is called Rafd090_01_Caucasian_female_angry_frontal.jpg")
        angle, model, group, gender, word, gaze = match.groups()
        emotion = known(_EMOTIONS, word, "emotion")
        for what, value, valid in (("angle", angle, ANGLES), ("group", group, GROUPS), ("gaze", gaze, GAZES)):
            known(dict.fromkeys(valid), value, what)
        if (angle, gaze) not in self._views:
            return None  # asked for by nobody, and no mistake
        return face_sample(
            self.card,
            corpus,
            path.stem,
            path,
            subject=model,
            gender=gender,
            emotion=emotion,
            emotion_raw=word,
            extra={"path": name, "angle": angle, "gaze": gaze, "model_group": group},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """Colour jpg files, frontal views first; every third model is a child or a Moroccan man.

        All angles look alike: the drawn head does not turn. Raises `CorpusError` for a number of subjects outside
        1 ... 67 and for more pictures of a class than the views read hold.
        """
        from corpora.readers.fakes.face import draw_picture, encode_jpg

        if not 1 <= subjects <= len(MODELS):
            raise CorpusError(f"a fake RaFD needs 1 to {len(MODELS)} subjects, not {subjects}")
        words = {emotion: word for word, emotion in _EMOTIONS.items()}
        views = sorted(self._views, key=lambda view: (view[0] != "090", view[1] != "frontal"))
        counts = class_counts(self.card, per_class)
        most = len(views) * subjects
        if max(counts.values(), default=0) > most:
            raise CorpusError(f"{subjects} models of RaFD have at most {most} pictures of an emotion: {counts}")
        models = [f"{number:02d}" for number in MODELS[:subjects]]
        people = {
            m: (
                (
                    "Caucasian_female",
                    "Caucasian_male",
                    "Kid_female",
                    "Caucasian_female",
                    "Caucasian_male",
                    "Moroccan_male",
                )[i % 6]
            )
            for i, m in enumerate(models)
        }
        taken: dict[tuple[str, str], int] = {}
        for number, (emotion, model) in enumerate(spread(counts, models, np.random.default_rng([seed, 0]))):
            nth = taken.get((emotion, model), 0)
            taken[emotion, model] = nth + 1
            angle, gaze = views[nth]
            picture = draw_picture(
                emotion,
                size=(170, 114),
                share=0.65,
                person=np.random.default_rng([seed, 1, int(model)]),
                rng=np.random.default_rng([seed, 2, number]),
            )
            name = f"Rafd{angle}_{model}_{people[model]}_{words[emotion]}_{gaze}.jpg"
            write_bytes(Path(root) / name, encode_jpg(picture.pixels))
