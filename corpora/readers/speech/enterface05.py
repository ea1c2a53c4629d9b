"""eNTERFACE'05: people who are no actors say five sentences in each of six emotions; the sound of its films.

Martin, Kotsia, Macq & Pitas (2006), ICDE Workshops; enterface.net/enterface05/emotion.html. Layout as those list it who
use the archive (emo-box/EmoBox, data/enterface/enterface.jsonl; Strong-AI-Lab/emotion, datasets/eNTERFACE/process.py):

    enterface database/subject 1/anger/sentence 1/s1_an_1.avi       48 kHz PCM beside the picture
    subject 3/surprise/sentence 1/s_3_su_1.avi                      subject 3's names
    subject 11/anger/sentence 1/s12_an_1.avi                        subject 11's files are called s12
    subject 16/surprise/sentence 3/s16_su_3avi.avi

Folders decide who speaks, in which emotion, which sentence; where there are none (flat re-packs), names do. Sound is
kept as PCM 16 bit wav, mono; this needs PyAV (`pip install emoforge[media]`).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from corpora.errors import PayloadError
from corpora.formats.media import need_av, read_media
from corpora.records.files import known, named_files, read_items, speech_sample
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_EMOTIONS = {
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happiness": "happiness",
    "sadness": "sadness",
    "surprise": "surprise",
}
_CODES = {word[:2]: word for word in _EMOTIONS}  # an, di, fe, ha, sa, su
_SUBJECTS = 44
_SENTENCES = 5
_EXAMPLE = "subject 1/anger/sentence 1/s1_an_1.avi"
_FOLDERS = re.compile(r"(?:^|/)subject[ _-]?(\d{1,2})/([a-z]+)/(?:sentence[ _-]?(\d)/)?[^/]+\.avi$", re.IGNORECASE)
_NAME = re.compile(r"(?:^|/)s_?(\d{1,2})_([a-z]{2})_(\d)(?:avi)?\.avi$", re.IGNORECASE)
_FILE = re.compile(f"{_FOLDERS.pattern}|{_NAME.pattern}", re.IGNORECASE)
_NUMBER = re.compile(r"_(\d)(?:avi)?$", re.IGNORECASE)
# those with odd names come first, so that a small fake corpus has them
_CAST = (1, 3, 6, 11, 16, 2, *(number for number in range(4, _SUBJECTS + 1) if number not in (6, 11, 16)))


class Enterface05:
    """`Corpus` of the sound of eNTERFACE'05, in the archive's folders or flat."""

    card = CorpusCard(
        name="enterface05",
        title="eNTERFACE'05 (audio)",
        modality="speech",
        version="1.0",
        license="LicenseRef-eNTERFACE05-research",
        may_redistribute=False,
        url="https://enterface.net/enterface05/emotion.html",
        bibtex=(
            "@inproceedings{martin2006enterface, title={The eNTERFACE'05 Audio-Visual Emotion Database}, "
            "author={Martin, Olivier and Kotsia, Irene and Macq, Benoit and Pitas, Ioannis}, booktitle={22nd "
            "Int. Conference on Data Engineering Workshops (ICDEW)}, year={2006}, doi={10.1109/ICDEW.2006.145}}"
        ),
        language="en",
        split_unit="subject",
        label_map=_EMOTIONS,
        counts={word: 213 if word == "happiness" else 216 for word in _EMOTIONS},
        counts_source="README of albanie/mcnDatasets, enterface: 1293 films of 44 subjects in the archive, by folder",
        n_subjects=_SUBJECTS,
        n_samples=1293,
        sources={
            "layout": "emo-box/EmoBox, enterface.jsonl; Strong-AI-Lab/emotion, datasets/eNTERFACE/process.py",
            "labels": "names of folders, the same; six emotions: enterface.net/enterface05/emotion.html",
            "subjects": "README of albanie/mcnDatasets, enterface, and EmoBox' table: 44 folders of subjects",
            "counts": "README of albanie/mcnDatasets, enterface: happiness 213, others 216",
            "license": "doi:10.1109/ICDEW.2006.145: publicly available for scientific research purposes",
        },
        unverified=("splits",),
        quirks=(
            "the paper speaks of 42 subjects (81 % men) and 1166 films; the archive holds 44 folders and 1293 films",
            "nowhere does it say who is a woman: gender is not known here",
            "subject 6 has far fewer films than the others; films without a folder of their sentence are read as well",
            "names of subject 11 say s12: in a flat re-pack one of the two overwrites the other",
            "Thumbs.db files lie among the films",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of media: not-of-this-corpus, bad-label, repeated-name.

        Raises `UserError` at once if PyAV is not installed.
        """
        files = named_files(root, self.card, _FILE, _EXAMPLE)
        need_av()
        return read_items(files, corpus, lambda path, name: self._sample(path, name, corpus))

    def _sample(self, path: Path, name: str, corpus: str) -> Sample | None:
        if path.suffix.lower() != ".avi":
            return None
        placed, named = _FOLDERS.search(name), _NAME.search(name)
        if placed is not None:
            subject, native = int(placed[1]), placed[2].lower()
            number = placed[3] or next(iter(_NUMBER.findall(path.stem)), None)
            native_id = f"subject{subject:02d}/{native}/{f'sentence{placed[3]}/' if placed[3] else ''}{path.stem}"
        elif named is not None:
            subject, native, number = int(named[1]), known(_CODES, named[2].lower(), "emotion"), named[3]
            native_id = path.stem
        else:
            raise PayloadError("not-of-this-corpus", f"the name is not of the form {_EXAMPLE}")
        emotion = known(_EMOTIONS, native, "emotion")
        if not 1 <= subject <= _SUBJECTS:
            raise PayloadError("bad-label", f"subject {subject}; known: 1 to {_SUBJECTS}")
        payload, header = read_media(path)
        return speech_sample(
            self.card,
            corpus,
            native_id,
            payload,
            header,
            subject=f"{subject:02d}",
            emotion=emotion,
            emotion_raw=native,
            sentence_id=f"{corpus}:{native}{number}" if number else None,  # each emotion has five of its own
            extra={"path": name},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """Films of grey pictures with a fake voice at 16 kHz, under the archive's names with its oddities.

        Raises `CorpusError` for a number of subjects outside 1 ... 44, or a class of more than 5 films a subject;
        `UserError` without PyAV.
        """
        from corpora.readers.fakes.acted import utterances
        from corpora.readers.fakes.voice import RATE_HZ

        base = Path(root) / "enterface database"
        cast = {str(number): number % 2 == 1 for number in _CAST}
        for one in utterances(self.card, cast, per_class, subjects=subjects, seed=seed, most=_SENTENCES):
            native, k = one.emotion, one.nth + 1
            prefix = {"3": "s_3", "11": "s12"}.get(one.speaker, f"s{one.speaker}")
            name = f"{prefix}_{native[:2]}_{k}.avi"
            folder = base / f"subject {one.speaker}" / native
            if one.speaker != "6":
                folder /= f"sentence {k}"
            if (one.speaker, native, k) == ("16", "surprise", 3):
                name = "s16_su_3avi.avi"
            write_bytes(folder / name, _film(one.sound(), RATE_HZ))
            if one.number == 0:
                write_bytes(folder / "Thumbs.db", b"\xd0\xcf\x11\xe0")


def _film(signal: np.ndarray, rate_hz: int) -> bytes:
    """float32 [n] in [-1, 1] -> avi: grey pictures at 5 a second and PCM 16 bit. Raises `UserError` without PyAV."""
    av = need_av()
    out = io.BytesIO()
    with av.open(out, mode="w", format="avi") as container:
        video = container.add_stream("mpeg4", rate=5)
        video.width, video.height, video.pix_fmt = 16, 16, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=rate_hz, layout="mono")
        for _ in range(round(5 * len(signal) / rate_hz)):
            picture = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 128, np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        pcm = np.clip(np.rint(signal * 32768.0), -32768, 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = rate_hz
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return out.getvalue()
