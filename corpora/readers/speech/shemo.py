"""ShEMO, the Sharif emotional speech database: Persian radio plays, 87 speakers, five emotions and neutral.

Mohamad Nezami, Jamshid Lou & Karami (2019), Language Resources and Evaluation 53:1-16. The meaning of names and the
form of the list are from the READMEs of the authors (github.com/pariajm/sharif-emotional-speech-database, and the page
at Hugging Face that holds shemo.json):

    female/F03S02.wav       woman 03, sadness, her second sad file (A, F, H, N, S; W is surprise)
    shemo.json              {"F21N37": {"speaker_id", "gender", "emotion", "transcript", "ipa"}}, where it is there
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import read_json
from corpora.records.files import known, named_files, read_items, read_wav, speech_sample
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_EMOTIONS = {
    "A": "anger",
    "F": "fear",
    "H": "happiness",
    "N": "neutral",
    "S": "sadness",
    "W": "surprise",
}
_GENDERS = {"F": "female", "M": "male"}
_LIST = "shemo.json"
_MAX_LIST = 64 * 2**20  # bytes; the published one has 1.6 MB
_MAX_TEXT = 2000  # characters of a transcript that are kept
_EXAMPLE = "male/M01A01.wav"
_FILE = re.compile(r"(?:^|/)[FM]\d\d[A-Z]\d{2,3}\.wav$")
_NAME = re.compile(r"([FM])(\d\d)([A-Z])(\d{2,3})")


class Shemo:
    """`Corpus` of ShEMO's wav files, with transcripts where shemo.json lies beside them."""

    card = CorpusCard(
        name="shemo",
        title="ShEMO",
        modality="speech",
        version="1.0",
        license="LicenseRef-ShEMO-academic",
        may_redistribute=False,
        url="https://github.com/mansourehk/ShEMO",
        bibtex=(
            "@article{mohamadnezami2019shemo, title={ShEMO: a large-scale validated database for Persian speech "
            "emotion detection}, author={Mohamad Nezami, Omid and Jamshid Lou, Paria and Karami, Mansoureh}, "
            "journal={Language Resources and Evaluation}, volume={53}, number={1}, pages={1--16}, year={2019}, "
            "doi={10.1007/s10579-018-9427-x}}"
        ),
        language="fa",
        split_unit="subject",
        label_map=_EMOTIONS,
        counts=None,
        counts_source=None,
        n_subjects=87,
        n_samples=3000,
        sources={
            "layout": "README of pariajm/sharif-emotional-speech-database (male.zip, female.zip, shemo.json)",
            "labels": "README of pariajm/sharif-emotional-speech-database, description of labels",
            "subjects": "arXiv:1906.01155: 87 speakers; README: 31 women, 56 men",
            "license": "arXiv:1906.01155: available for academic purposes free of charge",
        },
        unverified=("counts", "splits"),
        quirks=(
            "labels are the majority of twelve annotators, not what an actor was asked for; votes are not public",
            "speech is cut from radio plays: several files of one speaker are one play",
            "F at the start of a name is a woman, in the middle fear",
            "the authors' page at Hugging Face says Apache-2.0, the paper academic purposes: the stricter holds here",
            "samples per emotion stand in the paper's full text, which was not at hand: counts are not checked",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of wav files: not-of-this-corpus, bad-label, repeated-name.

        Raises `CorpusError` as well if there is a shemo.json that is no JSON object.
        """
        files = named_files(root, self.card, _FILE, _EXAMPLE)
        words = self._list(Path(root))
        return read_items(files, corpus, lambda path, name: self._sample(path, name, corpus, words))

    def _list(self, root: Path) -> dict[str, dict[str, str]]:
        """{file's stem: {"transcript", "ipa", "emotion"}} of shemo.json, {} where there is none."""
        path = next((place for place in (root / _LIST, *sorted(root.glob(f"*/{_LIST}"))) if place.is_file()), None)
        if path is None:
            return {}
        contents = read_json(path, self.card.title, max_bytes=_MAX_LIST)
        if not isinstance(contents, dict):
            raise CorpusError(f"{self.card.title}: {path} is no JSON object of file names")
        keys = ("transcript", "ipa", "emotion")
        entries = {stem: entry for stem, entry in contents.items() if isinstance(entry, dict)}
        return {
            stem: {key: _text(entry[key]) for key in keys if isinstance(entry.get(key), str) and entry[key]}
            for stem, entry in entries.items()
        }

    def _sample(self, path: Path, name: str, corpus: str, words: Mapping[str, Mapping[str, str]]) -> Sample:
        match = _NAME.fullmatch(path.stem)
        if match is None or path.suffix.lower() != ".wav":
            raise PayloadError("not-of-this-corpus", f"the name is not of the form {_EXAMPLE}")
        sex, speaker, letter, _ = match.groups()
        emotion = known(_EMOTIONS, letter, "emotion")
        extra = {"path": name}
        listed = words.get(path.stem, {})
        extra |= {key: listed[key] for key in ("transcript", "ipa") if key in listed}
        if listed.get("emotion", emotion) != emotion:
            extra["listed_emotion"] = listed["emotion"]  # the name decides; a difference is not hidden
        payload, header = read_wav(path)
        return speech_sample(
            self.card,
            corpus,
            path.stem,
            payload,
            header,
            subject=f"{sex}{speaker}",
            emotion=emotion,
            emotion_raw=letter,
            gender=_GENDERS[sex],
            extra=extra,
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """16 kHz wav files of fake voices in the folders male and female, and shemo.json, which lacks one of them.

        Raises `CorpusError` for a number of subjects outside 1 ... 62, or a class of more than 99 files a speaker.
        """
        from corpora.readers.fakes.acted import utterances

        letters = {emotion: letter for letter, emotion in _EMOTIONS.items()}
        cast = {f"{sex}{number:02d}": sex == "M" for number in range(1, 32) for sex in "MF"}
        listed: dict[str, dict[str, str]] = {}
        for one in utterances(self.card, cast, per_class, subjects=subjects, seed=seed, most=99):
            stem, gender = f"{one.speaker}{letters[one.emotion]}{one.nth + 1:02d}", _GENDERS[one.speaker[0]]
            write_bytes(Path(root) / gender / f"{stem}.wav", one.wav())
            if one.number:
                listed[stem] = {
                    "speaker_id": one.speaker,
                    "gender": gender,
                    "emotion": one.emotion,
                    "transcript": f"جمله {one.nth + 1}",
                    "ipa": "dʒomle",
                }
        write_bytes(Path(root) / _LIST, json.dumps(listed, ensure_ascii=False, indent=1).encode())


def _text(value: str) -> str:
    """Bounded, and valid Unicode: JSON can hold half a character."""
    return value[:_MAX_TEXT].encode("utf-8", "replace").decode("utf-8")
