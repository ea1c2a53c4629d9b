"""RAVDESS: 24 actors say two sentences in eight emotions at two intensities.

Livingstone & Russo (2018), PLoS ONE 13(5): e0196391. Facts below are from the paper and from the file-naming
convention on the corpus' page (Zenodo record 1188976). The file name holds every label:

    03-01-06-01-02-01-12.wav = modality, vocal channel, emotion, intensity, statement, repetition, actor

Read here: audio-only files (modality 03), speech (channel 01) and song (02; `extra["channel"]` tells them apart). The
option `channel` (speech | song | both) chooses; what was published of the choice stands in the card.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError, UnknownNameError
from corpora.records.files import class_counts, known, named_files, read_items, read_wav, speech_sample, spread
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
# native words, as the page writes them
_WORDS = {"01": "neutral", "02": "calm", "03": "happy", "04": "sad"}
_WORDS |= {"05": "angry", "06": "fearful", "07": "disgust", "08": "surprised"}
_CHANNELS = {"01": "speech", "02": "song"}
_INTENSITY = {"01": 0.5, "02": 1.0}  # "normal" and "strong": the corpus orders the two, the numbers are our reading
STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
_FILES = {  # option -> code in names, what a file of it is called
    "speech": (re.compile(r"\d\d-01-(?:\d\d-){4}\d\d\."), "03-01-06-01-02-01-12.wav"),
    "song": (re.compile(r"\d\d-02-(?:\d\d-){4}\d\d\."), "03-02-06-01-02-01-12.wav"),
    "both": (re.compile(r"(?:\d\d-){6}\d\d\."), "03-01-06-01-02-01-12.wav"),
}
_NAME = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)")

# 4 trials of neutral and 8 of each other emotion an actor: 2 statements x 2 repetitions x 2 intensities (neutral: 1)
SPEECH_COUNTS = {word: 96 if word == "neutral" else 192 for word in _WORDS.values()}  # 24 actors, 1440 files
SONG_COUNTS = {"neutral": 92, **dict.fromkeys(("calm", "happy", "sad", "angry", "fearful"), 184)}  # 23 actors, 1012
BOTH_COUNTS = {word: count + SONG_COUNTS.get(word, 0) for word, count in SPEECH_COUNTS.items()}
_SILENT_ACTOR = "18"  # sang nothing


class Ravdess:
    """`Corpus` of RAVDESS' audio-only files, in Actor_NN folders or flat."""

    card = CorpusCard(
        name="ravdess",
        title="RAVDESS",
        modality="speech",
        version="1.0.0",
        license="CC-BY-NC-SA-4.0",
        may_redistribute=False,  # share-alike and non-commercial: never pushed unasked
        url="https://zenodo.org/records/1188976",
        bibtex=(
            "@article{livingstone2018ravdess, title={The Ryerson Audio-Visual Database of Emotional Speech and Song "
            "(RAVDESS): A dynamic, multimodal set of facial and vocal expressions in North American English}, "
            "author={Livingstone, Steven R. and Russo, Frank A.}, journal={PLoS ONE}, volume={13}, number={5}, "
            "pages={e0196391}, year={2018}, doi={10.1371/journal.pone.0196391}}"
        ),
        language="en",
        split_unit="subject",
        label_map={_WORDS[code]: emotion for code, emotion in _EMOTIONS.items()},
        counts=BOTH_COUNTS,
        counts_source=(
            "zenodo.org/records/1188976: speech 60 trials x 24 actors = 1440 files, song 44 trials x 23 actors = 1012; "
            "by the naming convention 4 neutral and 8 of each other emotion an actor and channel, song without disgust "
            "and surprise"
        ),
        n_subjects=24,
        n_samples=2452,
        sources={
            "layout": "zenodo.org/records/1188976, file naming convention",
            "labels": "zenodo.org/records/1188976, file naming convention",
            "subjects": "Livingstone & Russo (2018), doi:10.1371/journal.pone.0196391: 24 actors, 12 of each gender",
            "counts": "zenodo.org/records/1188976: 60 trials x 24 actors (speech), 44 x 23 (song)",
            "splits": "none is published (zenodo.org/records/1188976 names no partition)",
            "license": "zenodo.org/records/1188976: CC BY-NC-SA 4.0",
        },
        tested_on="real",
        quirks=(
            "a few files are stereo",
            "Actor_07 holds two byte-equal files under two names",
            "Actor_18 sang nothing, and nobody sang disgust or surprise",
            "speech and song are two downloads; with one of them take its option, or counts differ by the other",
        ),
    )

    def __init__(self, channel: str = "both") -> None:
        """`channel`: speech | song | both. Raises `UnknownNameError`."""
        if channel not in _FILES:
            raise UnknownNameError.of("channel of RAVDESS", channel, _FILES)
        self.channel = channel
        if channel == "speech":
            self.card = replace(self.card, counts=SPEECH_COUNTS, n_samples=1440)
        elif channel == "song":
            sung = {word: emotion for word, emotion in self.card.label_map.items() if word in SONG_COUNTS}
            self.card = replace(self.card, label_map=sung, counts=SONG_COUNTS, n_samples=1012, n_subjects=23)

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of wav files: not-of-this-corpus, not-audio-only, bad-label,
        repeated-name."""
        files = named_files(root, self.card, *_FILES[self.channel])
        return read_items(files, corpus, lambda path, name: self._sample(path, name, corpus))

    def _sample(self, path: Path, name: str, corpus: str) -> Sample | None:
        match = _NAME.fullmatch(path.stem)
        if match is None:
            raise PayloadError("not-of-this-corpus", "the name is not of the form 03-01-06-01-02-01-12.wav")
        modality, channel, emotion, intensity, statement, repetition, actor = match.groups()
        if modality != "03" or path.suffix.lower() != ".wav":
            raise PayloadError("not-audio-only", f"modality {modality}, {path.suffix}; only 03 as .wav is read")
        channel, meant = known(_CHANNELS, channel, "channel"), known(_EMOTIONS, emotion, "emotion")
        if self.channel not in (channel, "both"):
            return None  # asked for by nobody, and no mistake
        strength = known(_INTENSITY, intensity, "intensity")
        known(STATEMENTS, statement, "statement")
        payload, header = read_wav(path)
        return speech_sample(
            self.card,
            corpus,
            path.stem,
            payload,
            header,
            subject=actor,
            emotion=meant,
            emotion_raw=_WORDS[emotion],
            intensity=strength,
            gender="male" if int(actor) % 2 else "female",
            sentence_id=f"{corpus}:{statement}",
            extra={"path": name, "channel": channel, "repetition": str(int(repetition))},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """16 kHz wav files of a fake voice in Actor_NN folders; one file is stereo, as three of the real ones are.

        Odd actors have a man's voice, even ones a woman's. Repetitions go beyond 02 where a class asks for more than 4
        (neutral) or 8 files an actor. Song files (the same voice, spoken) are made by the option "song" alone, without
        actor 18; "both" makes speech. Raises `CorpusError` for a number of subjects outside 1 ... 99 (song: 98).
        """
        from corpora.readers.fakes.voice import RATE_HZ, make_voice, speak, stereo_wav, wav

        song = self.channel == "song"
        actors = [f"{i:02d}" for i in range(1, 100) if not (song and f"{i:02d}" == _SILENT_ACTOR)]
        if not 1 <= subjects <= len(actors):
            raise CorpusError(f"a fake RAVDESS needs 1 to {len(actors)} subjects, not {subjects}")
        codes = {emotion: code for code, emotion in _EMOTIONS.items()}
        actors = actors[:subjects]
        counts = class_counts(self.card, per_class)
        taken: dict[tuple[str, str], int] = {}
        for number, (emotion, actor) in enumerate(spread(counts, actors, np.random.default_rng([seed, 0]))):
            nth = taken.get((emotion, actor), 0)
            taken[emotion, actor] = nth + 1
            strong, rest = (0, nth) if emotion == "neutral" else (nth % 2, nth // 2)
            statement, repetition = rest % 2, rest // 2 + 1
            kind = "03-02" if song else "03-01"
            name = f"{kind}-{codes[emotion]}-{strong + 1:02d}-{statement + 1:02d}-{repetition:02d}-{actor}.wav"
            voice = make_voice(male=int(actor) % 2 == 1, rng=np.random.default_rng([seed, 1, int(actor)]))
            draw = [seed, 3 if song else 2, int(actor), int(codes[emotion]), strong, statement, repetition]
            signal = speak(
                voice, emotion, 0.7 if strong == 0 else 1.0, statement=statement, rng=np.random.default_rng(draw)
            )
            payload = stereo_wav(signal, RATE_HZ) if number == 0 else wav(signal, RATE_HZ)
            write_bytes(Path(root) / f"Actor_{actor}" / name, payload)
