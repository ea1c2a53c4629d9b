"""MEAD, the sound of it: actors and actresses say sentences in eight emotions at three levels of intensity.

Wang et al. (2020), ECCV; wywu.github.io/projects/MEAD/MEAD.html and github.com/uniBruce/Mead (README: one folder an
actor, M or W and a number). The sound is AAC; re-packs with wav files of the same names are read as well:

    M003/audio/angry/level_1/001.m4a        actor 003 (W: actress), emotion, level 1 to 3 (neutral: 1), take 001
    M003/video/front/angry/level_1/001.mp4  not read here

AAC is decoded to PCM 16 bit, mono, at its own rate; this needs PyAV (`pip install emoforge[media]`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.formats.media import encode_m4a, need_av, read_media
from corpora.records.files import class_counts, known, named_files, read_items, read_wav, speech_sample, spread
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_EMOTIONS = {
    "angry": "anger",
    "contempt": "contempt",
    "disgusted": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprised": "surprise",
}
_INTENSITY = {"1": 1 / 3, "2": 2 / 3, "3": 1.0}  # the corpus orders the three; the numbers are our reading
_EXAMPLE = "M003/audio/angry/level_1/001.m4a"
_NAME = re.compile(r"(?:^|/)([MW]\d{3})/audio/([a-z]+)/level_(\d)/(\d{3})\.(m4a|wav)$")
_FILM = re.compile(r"/video/|\.mp4$")


class Mead:
    """`Corpus` of MEAD's audio files; the folder that holds M003 and the others."""

    card = CorpusCard(
        name="mead",
        title="MEAD (audio)",
        modality="speech",
        version="part 0",
        license="LicenseRef-MEAD-terms-of-use",
        may_redistribute=False,
        url="https://wywu.github.io/projects/MEAD/MEAD.html",
        bibtex=(
            "@inproceedings{wang2020mead, title={MEAD: A Large-scale Audio-visual Dataset for Emotional Talking-face "
            "Generation}, author={Wang, Kaisiyuan and Wu, Qianyi and Song, Linsen and Yang, Zhuoqian and Wu, Wayne and "
            "Qian, Chen and He, Ran and Qiao, Yu and Loy, Chen Change}, booktitle={ECCV}, year={2020}}"
        ),
        language="en",
        split_unit="subject",
        label_map=_EMOTIONS,
        counts=None,
        counts_source=None,
        n_subjects=48,
        n_samples=31729,
        sources={
            "layout": "README of uniBruce/Mead (folders of actors); audio/angry/level_1/001.m4a as its users name it",
            "labels": "wywu.github.io/projects/MEAD/MEAD.html: eight emotions, three levels except for neutral",
            "subjects": "EmoBox' table of corpora: 48 speakers of the part that is published (60 were recorded)",
            "splits": "none is published with the data (the page and the README name no partition)",
        },
        unverified=("counts", "license"),
        access="open download after the terms of use on the corpus' page",
        quirks=(
            "neutral has one level only, and no intensity here",
            "the number of a take is no number of a sentence: it differs between emotions and actors",
            "sound is AAC (m4a); re-packs hold wav files",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of wav files and media: not-of-this-corpus, bad-label, repeated-name.

        Raises `UserError` at once if there are m4a files and PyAV is not installed.
        """
        files = [(path, name) for path, name in named_files(root, self.card, _NAME, _EXAMPLE) if not _FILM.search(name)]
        if any(path.suffix == ".m4a" for path, _ in files):
            need_av()
        return read_items(files, corpus, lambda path, name: self._sample(path, name, corpus))

    def _sample(self, path: Path, name: str, corpus: str) -> Sample:
        match = _NAME.search(name)
        if match is None:
            raise PayloadError("not-of-this-corpus", f"the name is not of the form {_EXAMPLE}")
        actor, native, level, take, suffix = match.groups()
        emotion, intensity = known(_EMOTIONS, native, "emotion"), known(_INTENSITY, level, "level")
        payload, header = read_media(path) if suffix == "m4a" else read_wav(path)
        return speech_sample(
            self.card,
            corpus,
            f"{actor}/{native}/level_{level}/{take}",
            payload,
            header,
            subject=actor,
            emotion=emotion,
            emotion_raw=native,
            intensity=None if emotion == "neutral" else intensity,
            gender="male" if actor[0] == "M" else "female",
            extra={"path": name, "level": level},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """m4a files of a fake voice at 16 kHz, actors and actresses in turn, levels in turn (neutral: 1).

        Raises `CorpusError` for a number of subjects outside 1 ... 99, or a class of more than 2997 files an actor
        (neutral: 999); `UserError` without PyAV.
        """
        from corpora.readers.fakes.voice import RATE_HZ, make_voice, speak

        if not 1 <= subjects <= 99:
            raise CorpusError(f"a fake MEAD needs 1 to 99 subjects, not {subjects}")
        natives = {emotion: native for native, emotion in _EMOTIONS.items()}
        actors = [f"{'MW'[i % 2]}{3 + 2 * i:03d}" for i in range(subjects)]
        taken: dict[tuple[str, str], int] = {}
        for emotion, actor in spread(class_counts(self.card, per_class), actors, np.random.default_rng([seed, 0])):
            nth = taken.get((emotion, actor), 0)
            taken[emotion, actor] = nth + 1
            levels = 1 if emotion == "neutral" else 3
            level, take = nth % levels + 1, nth // levels + 1
            if take > 999:
                raise CorpusError(f"MEAD's names hold at most {999 * levels} files of {emotion} and an actor")
            voice = make_voice(male=actor[0] == "M", rng=np.random.default_rng([seed, 1, int(actor[1:])]))
            rng = np.random.default_rng([seed, 2, int(actor[1:]), list(_EMOTIONS).index(natives[emotion]), nth])
            signal = speak(voice, emotion, level / 3, statement=take, rng=rng)
            place = Path(root) / actor / "audio" / natives[emotion] / f"level_{level}" / f"{take:03d}.m4a"
            write_bytes(place, encode_m4a(signal, RATE_HZ))
