"""TESS, the Toronto emotional speech set: two actresses say "Say the word ..." in seven emotions.

Pichora-Fuller & Dupuis (2020), Borealis, doi:10.5683/SP2/E8H2MF; tspace.library.utoronto.ca/handle/1807/24487. The word
and the emotion stand in the file's name; folders differ from copy to copy (OAF_Pleasant_surprise,
YAF_pleasant_surprised, OAF_Fear, or none at all) and are not read:

    OAF_angry/OAF_back_angry.wav        older actress, word "back", angry; "ps" is pleasant surprise
    OAF_neutral/OA_bite_neutral.wav     the one file without its F
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
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "ps": "surprise",
    "sad": "sadness",
}
_PLEASANT_SURPRISE = ("pleasant_surprise", "pleasant_surprised", "surprise", "surprised")  # re-packs write it out
_AGES = {"OAF": 64.0, "YAF": 26.0}  # older and younger adult female
_MISSPELT = {"OA": "OAF"}
_EXAMPLE = "OAF_back_angry.wav"
_FILE = re.compile(r"(?:^|/)(?:OAF?|YAF)_[a-z]+_[a-z_]+\.wav$", re.IGNORECASE)
_NAME = re.compile(r"([a-z]+)_([a-z]+)_([a-z_]+)", re.IGNORECASE)
# a few of the 200 words of the Northwestern University auditory test no. 6
_WORDS = ("bite", "back", "bar", "base", "bath", "bean", "beg", "boat", "bone", "book")


class Tess:
    """`Corpus` of TESS' wav files, in any folders."""

    card = CorpusCard(
        name="tess",
        title="TESS",
        modality="speech",
        version="1.0",
        license="CC-BY-NC-ND-4.0",
        may_redistribute=False,
        url="https://doi.org/10.5683/SP2/E8H2MF",
        bibtex=(
            "@data{pichorafuller2020tess, title={Toronto emotional speech set (TESS)}, author={Pichora-Fuller, M. "
            "Kathleen and Dupuis, Kate}, publisher={Borealis}, year={2020}, doi={10.5683/SP2/E8H2MF}}"
        ),
        language="en",
        split_unit="subject",
        label_map=_EMOTIONS,
        counts=dict.fromkeys(_EMOTIONS, 400),
        counts_source="doi:10.5683/SP2/E8H2MF: 200 words x 7 emotions x 2 actresses = 2800 files",
        n_subjects=2,
        n_samples=2800,
        sources={
            "layout": "file list of doi:10.5683/SP2/E8H2MF (OAF_back_angry.wav, OAF_death_ps.wav); folders: re-packs",
            "labels": "file list of doi:10.5683/SP2/E8H2MF: the last part of a name, ps is pleasant surprise",
            "subjects": "description at doi:10.5683/SP2/E8H2MF: two actresses aged 26 and 64 years",
            "counts": "description at doi:10.5683/SP2/E8H2MF: 200 target words, seven emotions, 2800 stimuli",
            "license": "SuperKogito/SER-datasets: CC BY-NC-ND 4.0",
        },
        unverified=("splits",),
        quirks=(
            "two speakers: with one of them as the test set there is no third for development",
            "OA_bite_neutral.wav is by the older actress (OAF), its name lacks a letter",
            "surprise is pleasant surprise, written ps",
            "the carrier phrase is the same in all files, and each word is said by both actresses in all emotions",
            "re-packs hold all files twice, one folder inside the other: the second copies are rejects",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of wav files: not-of-this-corpus, bad-label, repeated-name."""
        files = named_files(root, self.card, _FILE, _EXAMPLE)
        return read_items(files, corpus, lambda path, name: self._sample(path, name, corpus))

    def _sample(self, path: Path, name: str, corpus: str) -> Sample:
        match = _NAME.fullmatch(path.stem)
        if match is None or path.suffix.lower() != ".wav":
            raise PayloadError("not-of-this-corpus", f"the name is not of the form {_EXAMPLE}")
        speaker, word, native = match[1].upper(), match[2].lower(), match[3].lower()
        speaker = _MISSPELT.get(speaker, speaker)
        age = known(_AGES, speaker, "speaker")
        native = "ps" if native in _PLEASANT_SURPRISE else native
        emotion = known(_EMOTIONS, native, "emotion")
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
            gender="female",
            age=age,
            sentence_id=f"{corpus}:{word}",
            extra={"path": name, "transcript": f"Say the word {word}"},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """16 kHz wav files of made-up women in folders as the best-known re-pack names them; the first neutral file of
        the older one lacks its F.

        Raises `CorpusError` for a number of subjects outside 1 ... 2, or a class of more than 200 files a speaker.
        """
        from corpora.readers.fakes.acted import utterances

        natives = {emotion: native for native, emotion in _EMOTIONS.items()}
        folders = {"OAF": {"ps": "Pleasant_surprise", "fear": "Fear", "sad": "Sad"}}
        folders |= {"YAF": {"ps": "pleasant_surprised"}}
        cast = dict.fromkeys(_AGES, False)
        for one in utterances(self.card, cast, per_class, subjects=subjects, seed=seed, most=200):
            native = natives[one.emotion]
            folder = f"{one.speaker}_{folders[one.speaker].get(native, native)}"
            word = _WORDS[one.nth % len(_WORDS)] + "x" * (one.nth // len(_WORDS))
            prefix = "OA" if (one.speaker, word, native) == ("OAF", "bite", "neutral") else one.speaker
            write_bytes(Path(root) / folder / f"{prefix}_{word}_{native}.wav", one.wav())
