"""CREMA-D: 91 actors say twelve sentences in six emotions; a crowd says what it heard.

Cao et al. (2014), IEEE Transactions on Affective Computing 5(4):377-390. Names, tables and columns are those of the
README of github.com/CheyneyComputerScience/CREMA-D, where the files lie as

    AudioWAV/1001_DFA_ANG_XX.wav        actor, sentence, intended emotion, intended level (LO, MD, HI, XX: unspecified)
    VideoDemographics.csv               "ActorID","Age","Sex","Race","Ethnicity"
    processedResults/tabulatedVotes.csv "100001",0,0,0,1,10,0,"1001_IEO_NEU_XX", ...: votes A D F H N S for one clip

A row's number is 100000 x modality (1 voice, 2 face, 3 both) + number of the clip; only votes on the voice are read.
Re-packs hold AudioWAV alone: then age and gender are not known, and `label: perceived` cannot be asked for.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from corpora.errors import CorpusError, PayloadError, UnknownNameError
from corpora.formats.tables import Row, number_of, read_table, row_of, whole_of
from corpora.labels import native_labels
from corpora.records.files import known, named_files, read_file, read_items, read_wav, speech_sample
from corpora.records.joins import Entries, conflict
from corpora.records.raters import rating
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
_VOTES = {code[0]: code for code in _EMOTIONS}  # the columns A, D, F, H, N, S
_LEVEL = {"LO": 1 / 3, "MD": 2 / 3, "HI": 1.0, "XX": None, "X": None}  # ordered by the corpus; numbers are our reading
_MEANS = dict(zip(_EMOTIONS, ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad"), strict=True))
SENTENCES = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
LABELS = ("intended", "perceived")
_VOICE = 1  # of the hundred thousands in a row's number
_SCHEME = "crema_d:voice"  # of the crowd's votes in the column `labels`
_EXAMPLE = "AudioWAV/1001_DFA_ANG_XX.wav"
_FILE = re.compile(r"(?:^|/)\d{4}_[A-Z]{3}_[A-Z]{3}_[A-Z]{1,2}\.wav$")
_NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})")
_CLIP = re.compile(r"\d{4}_[A-Z]{3}_[A-Z]{3}_[A-Z]{2}")
_LFS = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class _Votes:
    """Votes for one clip: {code: votes}, {code: mean level of those who gave it, 0 to 100}."""

    counts: Mapping[str, int]
    levels: Mapping[str, float]

    def share(self, code: str) -> float:
        return self.counts.get(code, 0) / sum(self.counts.values())


class CremaD:
    """`Corpus` of CREMA-D's wav files; the repository as it is cloned, or AudioWAV alone."""

    card = CorpusCard(
        name="crema_d",
        title="CREMA-D",
        modality="speech",
        version="1.0",
        license="ODbL-1.0",
        may_redistribute=True,
        url="https://github.com/CheyneyComputerScience/CREMA-D",
        bibtex=(
            "@article{cao2014cremad, title={CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset}, author={Cao, "
            "Houwei and Cooper, David G. and Keutmann, Michael K. and Gur, Ruben C. and Nenkova, Ani and Verma, "
            "Ragini}, journal={IEEE Transactions on Affective Computing}, volume={5}, number={4}, pages={377--390}, "
            "year={2014}, doi={10.1109/TAFFC.2014.2336244}}"
        ),
        language="en",
        split_unit="subject",
        label_map=_EMOTIONS,
        counts={code: 1087 if code == "NEU" else 1271 for code in _EMOTIONS},
        counts_source=(
            "7442 clips (README); by the code in their names as tsagketas/demokritos-ml-project counts them "
            "(reports/cremad_dataset_report.md)"
        ),
        n_subjects=91,
        n_samples=7442,
        sources={
            "layout": "README of CheyneyComputerScience/CREMA-D, filename labeling conventions",
            "labels": "README of CheyneyComputerScience/CREMA-D, filename labeling conventions",
            "subjects": "README and VideoDemographics.csv of CheyneyComputerScience/CREMA-D: 48 men, 43 women",
            "counts": "README: 7442 clips; by emotion: tsagketas/demokritos-ml-project, cremad_dataset_report.md",
            "splits": "none is published (the README names no partition)",
            "license": "README of CheyneyComputerScience/CREMA-D: ODbL 1.0, contents under DbCL 1.0",
        },
        access="open download (git-lfs)",
        quirks=(
            "listeners who only hear name the intended emotion in 41 % of the clips (paper): see the option label",
            "1040_ITH_SAD_X.wav has one X; the tables call it 1040_ITH_SAD_XX",
            "1076_MTI_SAD_XX.wav holds no sound (README)",
            "neutral clips have no level, and only the sentence IEO has levels",
            "a zip of the repository holds pointers of git-lfs in place of sound: rejects called git-lfs-pointer",
        ),
    )

    def __init__(self, label: str = "intended") -> None:
        """`label`: intended | perceived, the emotion that most listeners heard in the voice. Raises
        `UnknownNameError`."""
        if label not in LABELS:
            raise UnknownNameError.of("label of CREMA-D", label, LABELS)
        self.label = label
        if label == "perceived":
            sources = {fact: source for fact, source in self.card.sources.items() if fact != "counts"}
            self.card = replace(
                self.card,
                counts=None,
                counts_source=None,
                sources=sources,
                unverified=(*self.card.unverified, "counts"),
            )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of wav files and rows of tables: git-lfs-pointer, not-of-this-corpus,
        bad-label, no-votes (`label: perceived`), conflicting-entries (rows that say different things of an actor or
        of a clip: neither is used), repeated-name.

        Raises `CorpusError` as well for `label: perceived` without tabulatedVotes.csv, or a table with other columns.
        """
        files = named_files(root, self.card, _FILE, _EXAMPLE)
        files = [(path, name) for path, name in files if path.suffix.lower() == ".wav"]  # not mp3, flv, R scripts
        people, votes, bad = self._tables(Path(root))
        if self.label == "perceived" and votes is None:
            raise CorpusError(
                f"{self.card.title}: {root} holds no processedResults/tabulatedVotes.csv, which `label: perceived` "
                f"needs. Link the whole repository ({self.card.url}), or take `label: intended`."
            )

        def make(item: Path | PayloadError, name: str) -> Sample:
            if isinstance(item, PayloadError):
                raise item
            return self._sample(item, name, corpus, people, votes if votes is not None else Entries())

        items: Iterator[tuple[Path | PayloadError, str]] = itertools.chain(bad, files)
        return read_items(items, corpus, make)

    def _tables(
        self, root: Path
    ) -> tuple[Entries[str, tuple[str, float]], Entries[str, _Votes] | None, list[tuple[Path | PayloadError, str]]]:
        """-> {actor: (gender, age)}, {clip: votes} (None: no such table), bad rows."""
        people: Entries[str, tuple[str, float]] = Entries()
        bad: list[tuple[Path | PayloadError, str]] = []
        title = self.card.title
        path = _beside(root, "VideoDemographics.csv")
        for row, name in read_table(path, title, columns=("ActorID", "Age", "Sex")) if path else ():
            try:
                fields = row_of(row)
                gender = known({"Male": "male", "Female": "female"}, fields["Sex"], "sex")
                people.add(fields["ActorID"].strip(), (gender, number_of(fields["Age"], "age")), name)
            except PayloadError as error:
                bad.append((error, name))
        bad += [(conflict(actor, names), name) for actor, names in people.doubled.items() for name in names]
        path = _beside(root, "tabulatedVotes.csv")
        if path is None:
            return people, None, bad
        votes: Entries[str, _Votes] = Entries()
        for row, name in read_table(path, title, columns=("", *_VOTES, "fileName")):
            try:
                fields = row_of(row)
                if whole_of(fields[""], "number of the row") // 100000 == _VOICE:
                    clip = fields["fileName"]
                    if not _CLIP.fullmatch(clip):
                        raise PayloadError("bad-row", f"fileName is {clip[:40]!r}")
                    votes.add(clip, _votes_of(fields), name)
            except PayloadError as error:
                bad.append((error, name))
        bad += [(conflict(clip, names), name) for clip, names in votes.doubled.items() for name in names]
        return people, votes, bad

    def _sample(
        self, path: Path, name: str, corpus: str, people: Entries[str, tuple[str, float]], votes: Entries[str, _Votes]
    ) -> Sample:
        match = _NAME.fullmatch(path.stem)
        if match is None:
            raise PayloadError("not-of-this-corpus", f"the name is not of the form {_EXAMPLE}")
        actor, sentence, intended, level = match.groups()
        emotion, intensity = known(_EMOTIONS, intended, "emotion"), known(_LEVEL, level, "level")
        words = known(SENTENCES, sentence, "sentence")
        clip = f"{actor}_{sentence}_{intended}_{'XX' if level == 'X' else level}"
        given = None if clip in votes.doubled and self.label == "intended" else votes.get(clip)
        heard: dict[str, Any] = {}
        native: str | None = intended
        if given is not None:
            shares = {code: given.share(code) for code in given.counts}
            # the crowd's words stand beside the intended label, in a scheme of their own; they do not overrule it
            heard["labels"] = [{"scheme": _SCHEME, "label": code, "weight": share} for code, share in shares.items()]
            heard["ratings"] = [rating(f"level:{code}", "voice", value) for code, value in given.levels.items()]
        if self.label == "perceived":
            if given is None:
                raise PayloadError("no-votes", "tabulatedVotes.csv has no votes on the voice of this clip")
            heard["labels"] = native_labels(_SCHEME, shares, _EMOTIONS)
            most = [code for code, count in given.counts.items() if count == max(given.counts.values())]
            native = most[0] if len(most) == 1 else None
            emotion, intensity = (_EMOTIONS[native], None) if native else (None, None)
        if given is not None and native is not None:
            heard["rater_agreement"] = given.share(native)
        gender, age = (people.get(actor) if actor not in people.doubled else None) or (None, None)
        payload, header = _read(path)
        return speech_sample(
            self.card,
            corpus,
            path.stem,
            payload,
            header,
            subject=actor,
            emotion=emotion,
            emotion_raw=native,
            intensity=intensity,
            gender=gender,
            age=age,
            sentence_id=f"{corpus}:{sentence}",
            extra={"path": name, "transcript": words, "intended": intended},
            **heard,
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """16 kHz wav files of fake voices in AudioWAV, with both tables; the first clip with a level XX has one X.

        Ten fake listeners a clip: most hear what was meant. With `label: intended` every third clip is heard as
        neutral by half of them. Raises `CorpusError` for a number of subjects outside 1 ... 91, or a class of more than
        14 files a speaker (neutral: 12).
        """
        from corpora.readers.fakes.acted import utterances

        codes = {emotion: code for code, emotion in _EMOTIONS.items()}
        cast = {f"{1000 + number}": number % 2 == 1 for number in range(1, 92)}
        table = ['"ActorID","Age","Sex","Race","Ethnicity"']
        for number, (actor, male) in enumerate(list(cast.items())[:subjects]):
            table.append(f'{actor},{20 + number % 55},"{"Male" if male else "Female"}","Unknown","Not Hispanic"')
        heard = ['"","A","D","F","H","N","S","fileName","numResponses",' + ",".join(f'"{c}"' for c in _means())]
        odd = False
        fewer = {"neutral": len(SENTENCES)}
        for one in utterances(self.card, cast, per_class, subjects=subjects, seed=seed, most=14, fewer=fewer):
            code = codes[one.emotion]
            neutral = code == "NEU"
            levelled = one.nth < 3 and not neutral
            level = ("LO", "MD", "HI")[one.nth] if levelled else "XX"
            sentence = 0 if levelled else one.nth if neutral else one.nth - 2
            clip = f"{one.speaker}_{list(SENTENCES)[sentence]}_{code}_{level}"
            name = clip[:-1] if level == "XX" and not odd else clip
            odd = odd or level == "XX"
            strength = _LEVEL[level] or 0.8
            write_bytes(Path(root) / "AudioWAV" / f"{name}.wav", one.wav(strength, sentence))
            counts = dict.fromkeys(_VOTES, 0) | {code[0]: 8, "N": 2}
            if neutral or (self.label == "intended" and one.number % 3 == 2):
                counts = dict.fromkeys(_VOTES, 0) | {"N": 5, "A" if neutral else code[0]: 5 - 3 * neutral}
            means = [f"{50 + 5 * i}.5" if count else "-1" for i, count in enumerate(counts.values())]
            for modality in (1, 2, 3):
                votes = ",".join(map(str, counts.values() if modality == 1 else [0, 0, 0, 9, 0, 0]))
                heard.append(f'"{modality}{one.number + 1:05d}",{votes},"{clip}",10,{",".join(means)}')
        write_bytes(Path(root) / "VideoDemographics.csv", "\n".join([*table, ""]).encode())
        write_bytes(Path(root) / "processedResults" / "tabulatedVotes.csv", "\n".join([*heard, ""]).encode())


def _beside(root: Path, name: str) -> Path | None:
    """The table of that name in `root` or a folder below it, the one that lies highest; nothing outside `root`."""
    paths = [path for path in root.rglob(name) if path.is_file() and "__MACOSX" not in path.parts]
    return min(paths, key=lambda path: (len(path.parts), str(path)), default=None)


def _means() -> list[str]:
    return [f"mean{word}Resp" for word in _MEANS.values()]


def _votes_of(fields: Row) -> _Votes:
    counts = {code: whole_of(fields[letter], f"votes {letter}") for letter, code in _VOTES.items()}
    given = {code: count for code, count in counts.items() if count}
    if not given:
        raise PayloadError("bad-row", "nobody voted")
    levels = {}
    for code in given:
        value = number_of(fields.get(f"mean{_MEANS[code]}Resp", "-1"), "mean level")
        if value >= 0:  # -1: not rated
            levels[code] = value
    return _Votes(given, levels)


def _read(path: Path) -> tuple[bytes, Any]:
    """`read_wav`; a pointer of git-lfs is called by its name."""
    try:
        return read_wav(path)
    except PayloadError as error:
        if error.reason == "not-a-wav" and read_file(path)[: len(_LFS)] == _LFS:
            raise PayloadError("git-lfs-pointer", "the sound is not there yet: git lfs pull") from error
        raise
