"""CK+: 123 people pose sequences from a neutral face to the peak of an expression; 327 of 593 carry an emotion.

Lucey, Cohn, Kanade, Saragih, Ambadar & Matthews (2010), "The Extended Cohn-Kanade Dataset (CK+): A complete dataset for
action unit and emotion-specified expression", CVPR workshops. Layout from the readme of the distribution (phase 1,
revised 28 Sept 2010), the four archives unpacked side by side:

    cohn-kanade-images/S005/001/S005_001_00000011.png       subject, sequence, frame; the last frame is the peak
    Emotion/S005/001/S005_001_00000011_emotion.txt          3.0000000e+00: one code, of the peak; no file: no label
    FACS/S005/001/S005_001_00000011_facs.txt                9.0000000e+00   4.0000000e+00: action unit and intensity
    Landmarks/S005/001/S005_001_00000011_landmarks.txt      68 lines of x and y, for each frame
    CK+48/anger/S010_004_00000017.png                       the re-pack: last 3 frames of labelled sequences

Codes: 0 neutral, 1 anger, 2 contempt, 3 disgust, 4 fear, 5 happy, 6 sadness, 7 surprise. Action units stand in
`extra["au"]` as "9=4;17=2": intensity 1 to 5 is FACS' a to e, 0 means that none was given. They are no labels: they say
what the face does, not which emotion was seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpora.codecs import encode_png
from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import number_of
from corpora.readers.faces.sequences import NEUTRAL, chosen_frames, known_frames, refuse_lost
from corpora.records.boxes import landmark_text
from corpora.records.files import (
    class_counts,
    corpus_files,
    face_sample,
    known,
    printable,
    read_file,
    read_items,
    spread,
)
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_WORDS = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
_CODES = {str(code): word for code, word in enumerate(_WORDS)}
_EMOTIONS = {word: "happiness" if word == "happy" else word for word in _WORDS}
_PICTURE = re.compile(r"(?:^|/)S\d+/\d+/(S\d{3})_(\d{3})_(\d{8})\.png$")
_REPACKED = re.compile(rf"(?:^|/)({'|'.join(_WORDS[1:])})/(S\d{{3}})_(\d{{3}})_(\d{{8}})\.png$")
_ANNOTATION = re.compile(r"S(\d+)_(\d+)_(\d+)_")  # numbers are padded otherwise now and then
_MAX_TEXT = 1 << 16  # bytes of an annotation; 68 landmarks have 2,300
_LABELLED = {"anger": 45, "contempt": 18, "disgust": 59, "fear": 25, "happy": 69, "sadness": 28, "surprise": 83}
_AUS = {  # the fake's, after Ekman's prototypes
    "anger": (4, 5, 23),
    "contempt": (14,),
    "disgust": (9, 17),
    "fear": (1, 2, 4, 20),
    "happiness": (6, 12),
    "sadness": (1, 4, 15),
    "surprise": (1, 2, 5, 27),
}


class CKPlus:
    """`Corpus` of frames of CK+.

    `frames`: apex (the last frame of a sequence), last3 (its last three), apex_neutral and last3_neutral (and the first
    frame as neutral). `unlabelled`: whether sequences without an emotion are read, emotion null.
    """

    card = CorpusCard(
        name="ck_plus",
        title="CK+",
        modality="face",
        version="phase 1, 28 Sept 2010",
        license="LicenseRef-CKPlus-agreement",
        may_redistribute=False,
        url="http://www.jeffcohn.net/Resources/",
        bibtex=(
            "@inproceedings{lucey2010extended, title={The Extended Cohn-Kanade Dataset (CK+): A complete dataset for "
            "action unit and emotion-specified expression}, author={Lucey, Patrick and Cohn, Jeffrey F. and Kanade, "
            "Takeo and Saragih, Jason and Ambadar, Zara and Matthews, Iain}, booktitle={CVPR Workshops}, "
            "pages={94--101}, year={2010}}"
        ),
        language=None,
        split_unit="subject",
        label_map=_EMOTIONS,
        counts={"neutral": 593, **_LABELLED},
        counts_source=(
            "readme: 593 sequences (each begins neutral), 327 labelled; per emotion a third of the pictures of CK+48, "
            "which holds three a sequence (135, 54, 177, 75, 207, 84, 249)"
        ),
        n_subjects=123,
        n_samples=1186,
        sources={
            "layout": "readme of the distribution; CK+48: public loaders of the re-pack",
            "labels": "readme of the distribution: 0=neutral ... 7=surprise",
            "subjects": "readme of the distribution: 593 sequences across 123 subjects",
            "counts": "readme of the distribution; per emotion: public loaders of CK+48",
            "splits": "none is published; the paper leaves one subject out at a time",
        },
        unverified=("license",),
        access="sign the agreement of the Cohn-Kanade distribution",
        quirks=(
            "266 sequences have no emotion: emotion is null there, or leave them out (unlabelled: false)",
            "the readme's own example of an AU file is misnamed (S0005_...): files are found by their folder",
            "the re-pack CK+48 holds labelled sequences alone, three frames each: take frames: last3, unlabelled: "
            "false, or counts differ",
        ),
    )

    def __init__(self, frames: str = "apex_neutral", unlabelled: bool = True) -> None:
        """Raises `UnknownNameError` for other `frames`."""
        self._n_last, self._neutral = known_frames(self.card.title, frames)
        self.frames, self.unlabelled = frames, unlabelled
        sequences = 593 if unlabelled else 327
        counts = {word: count * self._n_last for word, count in _LABELLED.items()}
        self.card = replace(
            self.card,
            counts=({"neutral": sequences} if self._neutral else {}) | counts,
            n_samples=sequences * (self._n_last + self._neutral),
        )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: bad-name, bad-label, bad-annotation, missing-frame (the labelled peak, or the first
        frame, is not there), not-a-number, bad-landmarks, repeated-name, and those of a picture file: not-an-image,
        truncated, too-large, empty, unreadable."""
        root = Path(root)
        files = corpus_files(root, self.card)
        if any(_PICTURE.search(name) for _, name in files):
            emotions = _home(root, "Emotion")
            if emotions is None:
                raise CorpusError(
                    f"{self.card.title}: {root} holds pictures and no folder Emotion with their labels. Unpack "
                    f"Emotion_labels.zip beside cohn-kanade-images and link the folder of both ({self.card.url})."
                )
            homes = {"Emotion": emotions, "FACS": _home(root, "FACS"), "Landmarks": _home(root, "Landmarks")}
            files, roles = chosen_frames(files, _placed, self.frames)
            return read_items(files, corpus, lambda path, name: self._sample(path, name, roles, homes, corpus))
        if any(_REPACKED.search(name) for _, name in files):
            # its first frame is not the sequence's: there is no neutral face
            files, roles = chosen_frames(files, _repacked, self.frames.removesuffix("_neutral"))
            return read_items(files, corpus, lambda path, name: self._repacked(path, name, roles, corpus))
        raise CorpusError(
            f"{self.card.title}: {root} holds neither S005/001/S005_001_00000011.png nor anger/S010_004_00000017.png "
            f"(found e.g. {files[0][1]!r}). Link the folder that holds cohn-kanade-images ({self.card.url})."
        )

    def _sample(
        self, path: Path, name: str, roles: Mapping[str, str], homes: Mapping[str, Path | None], corpus: str
    ) -> Sample | None:
        match = _PICTURE.search(name)
        if match is None:
            raise PayloadError("bad-name", "a picture is called S005/001/S005_001_00000011.png or the like")
        subject, sequence, number = match.groups()
        refuse_lost(roles[name], path.name)
        code, peak = _code(homes["Emotion"], subject, sequence)
        if peak is not None and roles[name] != NEUTRAL and int(number) <= peak - self._n_last:
            raise PayloadError("missing-frame", f"frame {peak} is labelled, and {path.name} is the last that is there")
        if code is None and not self.unlabelled:
            return None
        word = None if code is None else known(_CODES, code, "emotion")
        extra = {"path": name, "sequence": f"{subject}_{sequence}", "frame_role": roles[name]}
        if homes["Landmarks"] is not None:
            extra |= _landmarks(homes["Landmarks"] / subject / sequence / f"{path.stem}_landmarks.txt")
        if roles[name] == NEUTRAL:
            word = NEUTRAL
        elif homes["FACS"] is not None:
            extra |= _action_units(homes["FACS"] / subject / sequence)
        return self._made(path, subject, word, extra, corpus)

    def _repacked(self, path: Path, name: str, roles: Mapping[str, str], corpus: str) -> Sample:
        match = _REPACKED.search(name)
        if match is None:
            raise PayloadError("bad-name", "a picture is called anger/S010_004_00000017.png or the like")
        word, subject, sequence, _ = match.groups()
        extra = {"path": name, "sequence": f"{subject}_{sequence}", "frame_role": roles[name]}
        return self._made(path, subject, word, extra, corpus)

    def _made(self, path: Path, subject: str, word: str | None, extra: Mapping[str, str], corpus: str) -> Sample:
        return face_sample(
            self.card,
            corpus,
            path.stem,
            path,
            subject=subject,
            emotion=None if word is None else _EMOTIONS[word],
            emotion_raw=word,
            extra=extra,
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """The four folders; sequences of four frames, of which the first and the last are drawn, and at least one
        sequence without an emotion. Landmarks are written for the peak alone.

        Counts are rounded up: every sequence has a first frame (neutral) and as many peaks as `frames` asks for. Raises
        `CorpusError` for a number of subjects outside 1 ... 199, and for neutral where `frames` reads none.
        """
        if not 1 <= subjects <= 199:
            raise CorpusError(f"a made-up CK+ needs 1 to 199 subjects, not {subjects}")
        counts = class_counts(self.card, per_class)
        neutral = counts.pop("neutral", 0)
        if neutral and not self._neutral and not isinstance(per_class, int):
            raise CorpusError(f"frames: {self.frames} of CK+ reads no neutral faces; apex_neutral does")
        people = [f"S{5 * (i + 1):03d}" for i in range(subjects)]
        rng = np.random.default_rng([seed, 0])
        peaks = {emotion: -(-count // self._n_last) for emotion, count in counts.items()}
        labelled = [(emotion, person, True) for emotion, person in spread(peaks, people, rng)]
        missing = max(1, neutral - len(labelled)) if self._neutral else 1
        bare = [(str(rng.choice(list(_AUS))), people[i % subjects], False) for i in range(missing)]
        taken: dict[str, int] = {}
        for number, (emotion, person, has_label) in enumerate(labelled + bare):
            taken[person] = taken.get(person, 0) + 1
            _fake_sequence(Path(root), emotion, person, taken[person], has_label, [seed, int(person[1:]), number])


def _fake_sequence(root: Path, emotion: str, person: str, nth: int, has_label: bool, draw: list[int]) -> None:
    from PIL import Image, ImageFilter

    from corpora.readers.fakes.face import draw_picture

    still, peak = (
        draw_picture(
            emotion,
            size=(98, 128),
            colour=False,
            share=0.65,
            person=np.random.default_rng([*draw[:2], 1]),
            rng=np.random.default_rng([*draw, 2]),
            strength=strength,
        )
        for strength in (0.0, 1.1)
    )
    between = Image.fromarray(((still.pixels.astype(np.uint16) + peak.pixels) // 2).astype(np.uint8))
    moving = np.asarray(between.filter(ImageFilter.GaussianBlur(0.8)))
    place = f"{person}/{nth:03d}"
    stem = f"{person}_{nth:03d}_"
    for frame, pixels in enumerate((still.pixels, moving, moving, peak.pixels), start=1):
        write_bytes(root / "cohn-kanade-images" / place / f"{stem}{frame:08d}.png", encode_png(pixels))
    points = "".join(f"   {x:.7e}   {y:.7e}\n" for x, y in peak.landmarks)
    units = "".join(f"   {unit:.7e}   {(unit + draw[2]) % 6:.7e}\n" for unit in _AUS[emotion])
    write_bytes(root / "Landmarks" / place / f"{stem}00000004_landmarks.txt", points.encode())
    write_bytes(root / "FACS" / place / f"{stem}00000004_facs.txt", units.encode())
    if has_label:
        code = list(_EMOTIONS.values()).index(emotion)
        write_bytes(root / "Emotion" / place / f"{stem}00000004_emotion.txt", f"   {code:.7e}\n".encode())


def _placed(name: str) -> tuple[str, int] | None:
    match = _PICTURE.search(name)
    return None if match is None else (name[: match.start(3)], int(match.group(3)))


def _repacked(name: str) -> tuple[str, int] | None:
    match = _REPACKED.search(name)
    return None if match is None else (name[: match.start(4)], int(match.group(4)))


def _home(root: Path, called: str) -> Path | None:
    """The folder of that name at most two folders deep (archives unpack to Emotion_labels/Emotion), or None."""
    for pattern in ("", "*/", "*/*/"):
        for path in sorted(root.glob(pattern + called)):
            if path.is_dir() and "__MACOSX" not in path.parts:
                return path
    return None


def _numbers(path: Path) -> list[list[float]]:
    """Lines of numbers."""
    lines = read_file(path, _MAX_TEXT).decode("ascii", "replace").splitlines()
    return [[number_of(field, printable(path.name)) for field in line.split()] for line in lines if line.strip()]


def _code(home: Path | None, subject: str, sequence: str) -> tuple[str | None, int | None]:
    """-> (the emotion's code of a sequence as its file has it, or None where there is no file; the frame that the
    file's name speaks of). Raises `PayloadError` bad-annotation, also for a file that is of another sequence."""
    files = sorted((home / subject / sequence).glob("*_emotion.txt")) if home is not None else []
    if not files:
        return None, None
    numbers = [_numbers(path) for path in files]
    if len(numbers) != 1 or len(numbers[0]) != 1 or len(numbers[0][0]) != 1:
        raise PayloadError("bad-annotation", f"{subject}/{sequence}: one emotion is expected, found {numbers}"[:200])
    return f"{numbers[0][0][0]:g}", _named_frame(files[0], subject, sequence)


def _named_frame(path: Path, subject: str, sequence: str) -> int | None:
    """The frame of an annotation's name, None where it says none. Raises `PayloadError` bad-annotation: it is of
    another sequence."""
    match = _ANNOTATION.match(path.name)
    if match is None:
        return None
    if (int(match[1]), int(match[2])) != (int(subject[1:]), int(sequence)):
        raise PayloadError("bad-annotation", f"{printable(path.name)} lies in {subject}/{sequence}")
    return int(match[3])


def _action_units(folder: Path) -> dict[str, str]:
    files = sorted(folder.glob("*_facs.txt"))
    rows = [row for path in files for row in _numbers(path)]
    for path in files:
        _named_frame(path, folder.parent.name, folder.name)
    if len(files) > 1 or any(len(row) != 2 for row in rows):
        raise PayloadError(
            "bad-annotation",
            f"{printable(folder.name)}: one file of action units and intensities, found {len(files)}, {rows}"[:200],
        )
    return {"au": ";".join(f"{unit:g}={strength:g}" for unit, strength in rows)} if rows else {}


def _landmarks(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    points = _numbers(path)
    if any(len(point) != 2 for point in points):
        raise PayloadError("bad-landmarks", f"{printable(path.name)}: a landmark is x and y")
    return {"landmarks": landmark_text(points)}
