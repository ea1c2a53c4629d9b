"""SAVEE: four men say TIMIT sentences in seven emotions, British English.

Haq & Jackson (2009, 2010), University of Surrey. Speakers and the meaning of file names are from the archive's own
AudioData/Info.txt. Its layout, and that of the re-pack that most people have:

    AudioData/DC/sa03.wav       speaker DC, sadness, third sentence
    ALL/DC_sa03.wav             the same, flat
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from corpora.errors import PayloadError
from corpora.records.files import known, named_files, read_items, read_wav, speech_sample
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
SPEAKERS = ("DC", "JE", "JK", "KL")
_EXAMPLE = "AudioData/DC/a01.wav or DC_a01.wav"
_FILE = re.compile(r"(?:^|/)[A-Z]{2}[/_](?:[adfhn]|s[au])\d\d\.wav$", re.IGNORECASE)
_NAME = re.compile(r"(?:^|/)([A-Z]{2})[/_]([a-z]{1,2})(\d\d)\.wav$", re.IGNORECASE)


class Savee:
    """`Corpus` of SAVEE's sound, in folders of speakers or flat."""

    card = CorpusCard(
        name="savee",
        title="SAVEE",
        modality="speech",
        version="1.0",
        license="LicenseRef-SAVEE-research",
        may_redistribute=False,
        url="http://kahlan.eps.surrey.ac.uk/savee/",
        bibtex=(
            "@incollection{haq2010savee, title={Multimodal Emotion Recognition}, author={Haq, Sanaul and Jackson, "
            "Philip J. B.}, booktitle={Machine Audition: Principles, Algorithms and Systems}, publisher={IGI Global}, "
            "pages={398--423}, year={2010}}"
        ),
        language="en",
        split_unit="subject",
        label_map=_EMOTIONS,
        counts={code: 120 if code == "n" else 60 for code in _EMOTIONS},
        counts_source=(
            "480 utterances by four speakers (README of nkululeko's SAVEE; EmoBox' table); AudioData/Info.txt: 15 "
            "sentences an emotion, so 60 files of each of six emotions, and 120 neutral ones are left"
        ),
        n_subjects=4,
        n_samples=480,
        sources={
            "layout": "AudioData/Info.txt of the archive; Strong-AI-Lab/emotion, SAVEE/process.py; flat: EmoBox",
            "labels": "AudioData/Info.txt of the archive: 'a', 'd', 'f', 'h', 'n', 'sa', 'su'",
            "subjects": "AudioData/Info.txt of the archive: 'DC', 'JE', 'JK' and 'KL' are four male speakers",
            "counts": "480 in all (README of nkululeko's SAVEE, EmoBox' table), 15 sentences an emotion (Info.txt)",
            "license": "SuperKogito/SER-datasets: free of charge for research purposes only, restricted",
        },
        unverified=("splits",),
        access="a registration on the corpus' page; for research",
        quirks=(
            "four men, no woman",
            "neutral has 30 sentences a speaker, the other emotions 15",
            "three sentences are common to all emotions; which numbers they have in each is not said, so sentences of "
            "different emotions are never taken for the same here",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of wav files: not-of-this-corpus, bad-label, repeated-name."""
        files = named_files(root, self.card, _FILE, _EXAMPLE)
        return read_items(files, corpus, lambda path, name: self._sample(path, name, corpus))

    def _sample(self, path: Path, name: str, corpus: str) -> Sample | None:
        if path.suffix.lower() != ".wav":
            return None  # films and pictures of the other half of the corpus
        match = _NAME.search(name)
        if match is None:
            raise PayloadError("not-of-this-corpus", f"the name is not of the form {_EXAMPLE}")
        speaker, code, sentence = match[1].upper(), match[2].lower(), match[3]
        if speaker not in SPEAKERS:
            raise PayloadError("bad-label", f"speaker {speaker!r}; known: {', '.join(SPEAKERS)}")
        emotion = known(_EMOTIONS, code, "emotion")
        payload, header = read_wav(path)
        return speech_sample(
            self.card,
            corpus,
            f"{speaker}_{code}{sentence}",
            payload,
            header,
            subject=speaker,
            emotion=emotion,
            emotion_raw=code,
            gender="male",
            sentence_id=f"{corpus}:{code}{sentence}",
            extra={"path": name},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """16 kHz wav files of made-up men in AudioData/DC and so on, with Info.txt.

        Raises `CorpusError` for a number of subjects outside 1 ... 4, or a class of more than 99 files a speaker.
        """
        from corpora.readers.fakes.acted import utterances

        codes = {emotion: code for code, emotion in _EMOTIONS.items()}
        cast = dict.fromkeys(SPEAKERS, True)
        for one in utterances(self.card, cast, per_class, subjects=subjects, seed=seed, most=99):
            name = f"{codes[one.emotion]}{one.nth + 1:02d}.wav"
            write_bytes(Path(root) / "AudioData" / one.speaker / name, one.wav())
        write_bytes(Path(root) / "AudioData" / "Info.txt", b"four male speakers\r\n")
