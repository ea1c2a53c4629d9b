"""Oulu-CASIA NIR&VIS: 80 people pose six expressions, filmed in visible light and near infrared under three lights.

Zhao, Huang, Taini, Li & Pietikäinen (2011), "Facial expression recognition from near-infrared videos", Image and Vision
Computing 29(9), 607-619. Sequences go from a neutral face to the peak. Layout as public loaders read it:

    OriginalImg/VL/Strong/P001/Anger/000.jpeg                  light, illumination, subject, expression, frame
    PreProcess_Img/NI_Acropped/Dark/P080/Surprise/017.jpeg     faces cut out by the authors

VL is visible light, NI near infrared; Strong (normal indoor light), Weak and Dark are the illuminations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError, UnknownNameError
from corpora.readers.faces.sequences import NEUTRAL, chosen_frames, known_frames, refuse_lost
from corpora.records.files import class_counts, face_sample, named_files, read_items, spread
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_EMOTIONS = {
    "Anger": "anger",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happiness": "happiness",
    "Sadness": "sadness",
    "Surprise": "surprise",
}
IMAGES, ACQUISITIONS, LIGHTINGS = ("original", "cropped"), ("VL", "NI"), ("Strong", "Weak", "Dark")
_FILE = re.compile(
    rf"(?:^|/)(VL|NI)(_Acropped)?/(Strong|Weak|Dark)/(P\d{{3}})/({'|'.join(_EMOTIONS)})/(\d+)\.jpe?g$", re.IGNORECASE
)


class OuluCasia:
    """`Corpus` of frames of Oulu-CASIA.

    `frames`: apex (the last frame of a sequence), last3 (its last three), apex_neutral and last3_neutral (and the first
    frame as neutral). `images`: original | cropped. `acquisition`: VL | NI, `lighting`: Strong | Weak | Dark; None
    reads all. Most published results are of VL, Strong.
    """

    card = CorpusCard(
        name="oulu_casia",
        title="Oulu-CASIA",
        modality="face",
        version="2011",
        license="LicenseRef-OuluCASIA-agreement",
        may_redistribute=False,
        url="http://www.cse.oulu.fi/CMV/Downloads/Oulu-CASIA",
        bibtex=(
            "@article{zhao2011facial, title={Facial expression recognition from near-infrared videos}, author={Zhao, "
            'Guoying and Huang, Xiaohua and Taini, Matti and Li, Stan Z. and Pietik{\\"a}inen, Matti}, '
            "journal={Image and Vision Computing}, volume={29}, number={9}, pages={607--619}, year={2011}}"
        ),
        language=None,
        split_unit="subject",
        label_map=_EMOTIONS,
        counts=dict.fromkeys(_EMOTIONS, 480),
        counts_source="80 subjects with one sequence for each of 6 expressions, 2 kinds of light and 3 illuminations",
        n_subjects=80,
        n_samples=2880,
        sources={
            "layout": "public loaders of Oulu-CASIA: paths below OriginalImg and PreProcess_Img",
            "labels": "public loaders of Oulu-CASIA: names of the folders",
            "subjects": "paperswithcode.com/dataset/oulu-casia: 80 people between 23 and 58 years old",
            "counts": "public loaders of VL, Strong: 80 sequences an expression (240 pictures of three frames each)",
            "splits": "none is published; the literature uses 10 folds of subjects",
        },
        unverified=("license",),
        access="ask the Center for Machine Vision, University of Oulu",
        quirks=(
            "one expression of a person was filmed by both cameras at once: all sequences of a subject are one group",
            "original and cropped pictures show the same frames: one of the two is read",
        ),
    )

    def __init__(
        self,
        frames: str = "apex",
        images: str = "original",
        acquisition: str | None = None,
        lighting: str | None = None,
    ) -> None:
        """Raises `UnknownNameError`."""
        self._n_last, self._neutral = known_frames(self.card.title, frames)
        for what, value, valid in (
            ("images", images, IMAGES),
            ("acquisition", acquisition, (*ACQUISITIONS, None)),
            ("lighting", lighting, (*LIGHTINGS, None)),
        ):
            if value not in valid:
                raise UnknownNameError.of(f"{what} of Oulu-CASIA", str(value), [str(name) for name in valid if name])
        self.frames, self.images = frames, images
        self._setups = [
            (a, light)
            for a in ACQUISITIONS
            if acquisition in (a, None)
            for light in LIGHTINGS
            if lighting in (light, None)
        ]
        each = 80 * len(self._setups)
        counts = dict.fromkeys(_EMOTIONS, each * self._n_last) | ({"Neutral": each * 6} if self._neutral else {})
        self.card = replace(
            self.card,
            label_map=_EMOTIONS | ({"Neutral": NEUTRAL} if self._neutral else {}),
            counts=counts,
            n_samples=sum(counts.values()),
        )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: bad-name, missing-frame (of a neutral face that is not there), repeated-name, and
        those of a picture file: not-an-image, truncated, too-large, empty, unreadable."""
        files = named_files(Path(root), self.card, _FILE, "OriginalImg/VL/Strong/P001/Anger/000.jpeg")
        asked = [(path, name) for path, name in files if self._is_asked(name)]
        if not any(_FILE.search(name) for _, name in asked):
            raise CorpusError(
                f"{self.card.title}: {root} holds no {self.images} pictures of "
                f"{', '.join('/'.join(setup) for setup in self._setups)} (found e.g. {files[0][1]!r}). Change the "
                "options images, acquisition and lighting, or link another folder."
            )
        chosen, roles = chosen_frames(asked, _placed, self.frames)
        return read_items(chosen, corpus, lambda path, name: self._sample(path, name, roles, corpus))

    def _is_asked(self, name: str) -> bool:
        """Whether the options ask for a file, or it is none of the corpus, of which `_sample` says so."""
        match = _FILE.search(name)
        if match is None:
            return True
        is_cropped = match.group(2) is not None
        setup = (match.group(1).upper(), match.group(3).capitalize())
        return is_cropped == (self.images == "cropped") and setup in self._setups

    def _sample(self, path: Path, name: str, roles: Mapping[str, str], corpus: str) -> Sample:
        match = _FILE.search(name)
        if match is None:
            raise PayloadError("bad-name", "a picture lies in VL/Strong/P001/Anger/000.jpeg or the like")
        light, illumination, subject = match.group(1).upper(), match.group(3).capitalize(), match.group(4).upper()
        word, role = match.group(5).capitalize(), roles[name]
        sequence = f"{light}/{illumination}/{subject}/{word}"
        refuse_lost(role, path.name)
        if role == NEUTRAL:
            word = "Neutral"
        return face_sample(
            self.card,
            corpus,
            f"{sequence}/{match.group(6)}",
            path,
            subject=subject,
            emotion=self.card.label_map[word],
            emotion_raw=word,
            extra={
                "path": name,
                "acquisition": light,
                "lighting": illumination,
                "sequence": sequence,
                "frame_role": role,
            },
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """Sequences of five frames, of which the first and the last are drawn; near infrared is grey.

        With last3 counts are rounded up to whole sequences; every sequence has one neutral face. Raises `CorpusError`
        for a number of subjects outside 1 ... 80 and for more than the acquisitions and lightings read hold.
        """
        if not 1 <= subjects <= 80:
            raise CorpusError(f"a fake Oulu-CASIA needs 1 to 80 subjects, not {subjects}")
        counts = class_counts(self.card, per_class)
        neutral = counts.pop(NEUTRAL, 0)
        peaks = {emotion: -(-count // self._n_last) for emotion, count in counts.items()}
        most = len(self._setups) * subjects
        if max(peaks.values(), default=0) > most or neutral > sum(peaks.values()):
            raise CorpusError(
                f"{subjects} subjects of Oulu-CASIA have at most {most} sequences of an expression, each with one "
                f"neutral face: {dict(counts, neutral=neutral)}"
            )
        people = [f"P{i + 1:03d}" for i in range(subjects)]
        words = {emotion: word for word, emotion in _EMOTIONS.items()}
        taken: dict[tuple[str, str], int] = {}
        for number, (emotion, person) in enumerate(spread(peaks, people, np.random.default_rng([seed, 0]))):
            nth = taken.get((emotion, person), 0)
            taken[emotion, person] = nth + 1
            light, illumination = self._setups[nth]
            home = f"OriginalImg/{light}" if self.images == "original" else f"PreProcess_Img/{light}_Acropped"
            folder = Path(root) / home / illumination / person / words[emotion]
            _fake_sequence(folder, emotion, (light, illumination), self.images, [seed, int(person[1:]), number])


def _fake_sequence(folder: Path, emotion: str, setup: tuple[str, str], images: str, draw: list[int]) -> None:
    from PIL import Image, ImageFilter

    from corpora.readers.fakes.face import draw_picture, encode_jpg

    size, share = ((120, 160), 0.6) if images == "original" else ((84, 72), 0.95)
    still, peak = (
        draw_picture(
            emotion,
            size=size,
            colour=setup[0] == "VL",
            share=share,
            person=np.random.default_rng([*draw[:2], 1]),
            rng=np.random.default_rng([*draw, 2]),
            strength=strength,
        ).pixels
        for strength in (0.0, 1.1)
    )
    if setup == ("VL", "Dark"):  # near infrared does not need the lamp
        still, peak = still // 3, peak // 3
    for frame in range(5):
        mixed = (still.astype(float) * (4 - frame) + peak.astype(float) * frame) / 4
        picture = Image.fromarray(mixed.astype(np.uint8))
        pixels = peak if frame == 4 else np.asarray(picture.filter(ImageFilter.GaussianBlur(0.8)))
        write_bytes(folder / f"{frame:03d}.jpeg", encode_jpg(pixels))


def _placed(name: str) -> tuple[str, int] | None:
    match = _FILE.search(name)
    return None if match is None else (name[: match.start(6)], int(match.group(6)))
