"""KDEF: 70 people pose seven expressions, photographed twice from five angles.

Lundqvist, Flykt & Öhman (1998), "The Karolinska Directed Emotional Faces - KDEF", CD ROM, Karolinska Institutet; facts
from kdef.se and emotionlab.se/resources/kdef. The file name holds every label:

    KDEF/AF01/AF01ANFL.JPG = session (A, B), gender (F, M), person (01-35), expression, angle

Expressions: AF afraid, AN angry, DI disgusted, HA happy, NE neutral, SA sad, SU surprised. Angles: FL full left
profile, HL half left, S straight, HR half right, FR full right. The averaged pictures of AKDEF
(FAFFL.JPG: gender, expression, angle), which some downloads hold too, show nobody and are passed over.
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

_WORDS = {
    "AF": "afraid",
    "AN": "angry",
    "DI": "disgusted",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sad",
    "SU": "surprised",
}
_EMOTIONS = {
    "afraid": "fear",
    "angry": "anger",
    "disgusted": "disgust",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprised": "surprise",
}
ANGLES = {
    "FL": "full left profile",
    "HL": "half left profile",
    "S": "straight",
    "HR": "half right profile",
    "FR": "full right profile",
}
_GENDERS = {"F": "female", "M": "male"}
_NAME = re.compile(r"([AB])([FM])(\d\d)([A-Z]{2})([A-Z]{1,2})")
_AVERAGE = re.compile(rf"[FM](?:{'|'.join(_WORDS)})(?:{'|'.join(ANGLES)})")
_FILE = re.compile(rf"(?:^|/)[AB][FM]\d\d(?:{'|'.join(_WORDS)})(?:{'|'.join(ANGLES)})\.[A-Za-z]+$")


class Kdef:
    """`Corpus` of KDEF, in one folder a person and session or flat. `angle`: one of `ANGLES`, or None for all five."""

    card = CorpusCard(
        name="kdef",
        title="KDEF",
        modality="face",
        version="1998",
        license="LicenseRef-KDEF-non-commercial-research",
        may_redistribute=False,
        url="https://kdef.se",
        bibtex=(
            "@misc{lundqvist1998kdef, title={The Karolinska Directed Emotional Faces - KDEF}, author={Lundqvist, "
            'Daniel and Flykt, Anders and {\\"O}hman, Arne}, howpublished={CD ROM from Department of Clinical '
            "Neuroscience, Psychology section, Karolinska Institutet, ISBN 91-630-7164-9}, year={1998}}"
        ),
        language=None,
        split_unit="subject",
        label_map=_EMOTIONS,
        counts=dict.fromkeys(_WORDS.values(), 700),
        counts_source="emotionlab.se/resources/kdef: 70 individuals x 7 expressions x 5 angles, each twice = 4900",
        n_subjects=70,
        n_samples=4900,
        sources={
            "layout": "kdef.se, codes of the file names",
            "labels": "kdef.se, codes of the file names",
            "subjects": "emotionlab.se/resources/kdef: 70 individuals; 35 of each gender",
            "counts": "emotionlab.se/resources/kdef: 4900 pictures",
            "splits": "none is published (kdef.se)",
            "license": "kdef.se: researchers, non-commercial purposes; never redistributed without written consent",
        },
        access="download form at kdef.se, for researchers",
        quirks=(
            "two pictures are misnamed (AF31V.JPG, AM31H.JPG) and say no expression: rejects",
            "users found about ten pictures that are nearly black, and AM05ANFR and BM10ANFR of another size",
            "both sessions and all angles of a person are one group",
        ),
    )

    def __init__(self, angle: str | None = None) -> None:
        """Raises `UnknownNameError` for another `angle`."""
        if angle is not None and angle not in ANGLES:
            raise UnknownNameError.of("angle of KDEF", angle, ANGLES)
        self.angle = angle
        if angle is not None:
            self.card = replace(self.card, counts=dict.fromkeys(_WORDS.values(), 140), n_samples=980)

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: bad-name, bad-label, repeated-name, and those of a picture file: not-an-image,
        truncated, too-large, empty, unreadable."""
        files = named_files(Path(root), self.card, _FILE, "AF01ANS.JPG")
        return read_items(files, corpus, lambda path, name: self._sample(path, name, corpus))

    def _sample(self, path: Path, name: str, corpus: str) -> Sample | None:
        if _AVERAGE.fullmatch(path.stem):
            return None  # of AKDEF: a face of nobody, and no mistake
        match = _NAME.fullmatch(path.stem)
        if match is None:
            raise PayloadError("bad-name", "a picture is called AF01ANS.JPG or the like")
        session, gender, person, code, angle = match.groups()
        word, seen_from = known(_WORDS, code, "expression"), known(ANGLES, angle, "angle")
        if self.angle not in (angle, None):
            return None
        return face_sample(
            self.card,
            corpus,
            path.stem,
            path,
            subject=f"{gender}{person}",
            session_id=f"{corpus}:{session}{gender}{person}",
            gender=_GENDERS[gender],
            emotion=_EMOTIONS[word],
            emotion_raw=word,
            extra={"path": name, "session": session, "angle": angle, "view": seen_from},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """Colour jpg files in a folder for each person and session, and one averaged picture of AKDEF besides.

        All angles look alike: the drawn head does not turn. Raises `CorpusError` for a number of subjects outside
        1 ... 70 and for more pictures of a class than two sessions and the angles read hold.
        """
        from corpora.readers.fakes.face import draw_picture, encode_jpg

        if not 1 <= subjects <= 70:
            raise CorpusError(f"a fake KDEF needs 1 to 70 subjects, not {subjects}")
        codes = {_EMOTIONS[word]: code for code, word in _WORDS.items()}
        angles = ["S", "HL", "HR", "FL", "FR"] if self.angle is None else [self.angle]
        counts = class_counts(self.card, per_class)
        most = 2 * len(angles) * subjects
        if max(counts.values(), default=0) > most:
            raise CorpusError(f"{subjects} people of KDEF have at most {most} pictures of an expression: {counts}")
        people = [f"{'FM'[i % 2]}{i // 2 + 1:02d}" for i in range(subjects)]
        taken: dict[tuple[str, str], int] = {}
        for number, (emotion, person) in enumerate(spread(counts, people, np.random.default_rng([seed, 0]))):
            nth = taken.get((emotion, person), 0)
            taken[emotion, person] = nth + 1
            folder = f"{'AB'[nth // len(angles)]}{person}"
            picture = draw_picture(
                emotion,
                size=(168, 124),
                share=0.6,
                person=np.random.default_rng([seed, 1, people.index(person)]),
                rng=np.random.default_rng([seed, 2, number]),
            )
            name = f"{folder}{codes[emotion]}{angles[nth % len(angles)]}.JPG"
            write_bytes(Path(root) / "KDEF" / folder / name, encode_jpg(picture.pixels))
        nobody = np.random.default_rng([seed, 3])
        average = draw_picture("fear", size=(84, 62), colour=False, share=0.6, person=nobody, rng=nobody)
        write_bytes(Path(root) / "AKDEF" / "FAFS.JPG", encode_jpg(average.pixels))
