"""EMOVO: six Italian actors say fourteen sentences in seven emotions.

Costantini, Iaderola, Paoloni & Todisco (2014), LREC. Names of files, sentences and people as EmoBox lists them
(emo-box/EmoBox, EmoBox/preprocess/scripts/emovo.py):

    EMOVO/f1/dis-f1-b1.wav      disgust, first woman, sentence b1 (b: short, l: long, n: nonsense, d: question)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from corpora.errors import PayloadError
from corpora.records.files import known, named_files, read_items, read_wav, speech_sample
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

# the first letters of disgusto, gioia, neutro, paura, rabbia, sorpresa, tristezza
_EMOTIONS = {
    "dis": "disgust",
    "gio": "happiness",
    "neu": "neutral",
    "pau": "fear",
    "rab": "anger",
    "sor": "surprise",
    "tri": "sadness",
}
_SPEAKERS = {  # -> gender, age in years
    "f1": ("female", 28.0),
    "m1": ("male", 30.0),
    "f2": ("female", 23.0),
    "m2": ("male", 27.0),
    "f3": ("female", 25.0),
    "m3": ("male", 30.0),
}
SENTENCES = ("b1", "b2", "b3", "l1", "l2", "l3", "l4", "n1", "n2", "n3", "n4", "n5", "d1", "d2")
_EXAMPLE = "f1/dis-f1-b1.wav"
_FILE = re.compile(r"(?:^|/)[a-z]{3}-[fm]\d-[bdln]\d\.wav$", re.IGNORECASE)
_NAME = re.compile(r"([a-z]{3})-([fm]\d)-([bdln]\d)", re.IGNORECASE)


class Emovo:
    """`Corpus` of EMOVO's wav files, in any folders."""

    card = CorpusCard(
        name="emovo",
        title="EMOVO",
        modality="speech",
        version="1.0",
        license="LicenseRef-EMOVO-unknown",
        may_redistribute=False,
        url="http://voice.fub.it/activities/corpora/emovo/index.html",
        bibtex=(
            "@inproceedings{costantini2014emovo, title={EMOVO Corpus: an Italian Emotional Speech Database}, "
            "author={Costantini, Giovanni and Iaderola, Iacopo and Paoloni, Andrea and Todisco, Massimiliano}, "
            "booktitle={LREC}, year={2014}, isbn={978-2-9517408-8-4}}"
        ),
        language="it",
        split_unit="subject",
        label_map=_EMOTIONS,
        counts=dict.fromkeys(_EMOTIONS, 84),
        counts_source="lrec-conf.org/proceedings/lrec2014/summaries/591.html: 6 actors x 14 sentences, 7 states = 588",
        n_subjects=6,
        n_samples=588,
        sources={
            "layout": "emo-box/EmoBox, scripts/emovo.py (emotion-actor-sentence.wav); folders f1 ... m3: its users",
            "labels": "emo-box/EmoBox, EmoBox/preprocess/scripts/emovo.py (neu, dis, gio, pau, rab, sor, tri)",
            "subjects": "LREC 2014, paper 591: 6 actors; genders and ages: emo-box/EmoBox, scripts/emovo.py",
            "counts": "LREC 2014, paper 591: 6 actors, 14 sentences, 6 emotions and neutral; EmoBox' table: 588",
        },
        unverified=("splits", "license"),
        quirks=("files are stereo at 48 kHz", "all fourteen sentences are said by all actors in all emotions"),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of wav files: not-of-this-corpus, bad-label, repeated-name."""
        files = named_files(root, self.card, _FILE, _EXAMPLE)
        return read_items(files, corpus, lambda path, name: self._sample(path, name, corpus))

    def _sample(self, path: Path, name: str, corpus: str) -> Sample:
        match = _NAME.fullmatch(path.stem)
        if match is None or path.suffix.lower() != ".wav":
            raise PayloadError("not-of-this-corpus", f"the name is not of the form {_EXAMPLE}")
        native, speaker, sentence = match[1].lower(), match[2].lower(), match[3].lower()
        emotion, (gender, age) = known(_EMOTIONS, native, "emotion"), known(_SPEAKERS, speaker, "speaker")
        if sentence not in SENTENCES:
            raise PayloadError("bad-label", f"sentence {sentence!r}; known: {', '.join(SENTENCES)}")
        payload, header = read_wav(path)
        return speech_sample(
            self.card,
            corpus,
            path.stem,
            payload,
            header,
            subject=speaker,
            emotion=emotion,
            emotion_raw=native,
            gender=gender,
            age=age,
            sentence_id=f"{corpus}:{sentence}",
            extra={"path": name},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """16 kHz stereo wav files of made-up voices in EMOVO/f1 and so on, women and men in turn.

        Raises `CorpusError` for a number of subjects outside 1 ... 6, or a class of more than 14 files a speaker.
        """
        from corpora.readers.fakes.acted import utterances

        natives = {emotion: native for native, emotion in _EMOTIONS.items()}
        cast = {speaker: gender == "male" for speaker, (gender, _) in _SPEAKERS.items()}
        for one in utterances(self.card, cast, per_class, subjects=subjects, seed=seed, most=len(SENTENCES)):
            name = f"{natives[one.emotion]}-{one.speaker}-{SENTENCES[one.nth]}.wav"
            write_bytes(Path(root) / "EMOVO" / one.speaker / name, one.wav(stereo=True))
