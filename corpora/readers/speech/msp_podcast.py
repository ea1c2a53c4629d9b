"""MSP-Podcast: turns out of podcasts, each rated by five people or more for words and for valence, arousal, dominance.

Lotfian & Busso (2019), IEEE Transactions on Affective Computing 10(4). Files and partitions are those of readme.txt of
release 1.12 and of the corpus' page; label columns are as their users show them:

    Audios/MSP-PODCAST_0001_0008.wav                    recording 0001, turn 0008
    Labels/labels_consensus.csv (.json; older releases: labels_concensus)
        FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set
        MSP-PODCAST_0001_0008.wav,N,2.2,4.0,2.6,30,Male,Test1
    Labels/labels_detailed.csv                          one line a rater: FileName, WorkerID (older: Workers),
                                                        EmoClass_Major, EmoClass_Second, EmoAct, EmoVal, EmoDom;
                                                        releases 1.7 to 1.12: FileName, EmoDetail as in labels.txt,
                                                        "WORKER00000001; Neutral; Neutral; A:2.0; V:4.0; D:3.0;"
    Labels/labels_detailed.json                         {file: {worker: {EmoClass_Major, ..., EmoAct, EmoVal, EmoDom}}}
    Partitions.txt (1.12: Partition.txt)                Test3; MSP-PODCAST_0002_0033.wav
    Transcripts/MSP-PODCAST_0001_0008.txt

The sound of Test3 is published without labels: its turns are samples without an emotion.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import number_of, row_of
from corpora.labels import rescale
from corpora.readers.speech.msp_labels import (
    COLUMNS,
    DIMENSIONS,
    Given,
    consensus_rows,
    gather,
    label_file,
    partitions,
    rating_rows,
    transcript,
)
from corpora.records.files import class_counts, known, named_files, read_items, read_wav, speech_sample, spread
from corpora.records.joins import doubled, doubled_files, once
from corpora.records.raters import agreement, rating, vote
from corpora.records.unknown import is_unknown, known_text
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_LABELS = {
    "A": "anger",
    "S": "sadness",
    "H": "happiness",
    "U": "surprise",
    "F": "fear",
    "D": "disgust",
    "C": "contempt",
    "N": "neutral",
    "O": None,
    "X": None,
}
_WORDS = {  # of the raters
    "A": "Angry",
    "S": "Sad",
    "H": "Happy",
    "U": "Surprise",
    "F": "Fear",
    "D": "Disgust",
    "C": "Contempt",
    "N": "Neutral",
    "O": "Other",
}
_SPLITS = {"Train": "train", "Development": "dev", "Validation": "dev"} | {f"Test{i}": "test" for i in (1, 2, 3)}
_GENDERS = {"Male": "male", "Female": "female"}
_SCALE = (1.0, 7.0)
_EXAMPLE = "Audios/MSP-PODCAST_0001_0008.wav"
_FILE = re.compile(r"MSP-PODCAST_\d+_\d+(?:_\d+)?\.wav$")
_NAME = re.compile(r"MSP-PODCAST_(\d+)_\d+(?:_\d+)?")
_OLD = "Previous_releases_information"


class MspPodcast:
    """`Corpus` of MSP-Podcast; the folder that holds Audios and Labels."""

    card = CorpusCard(
        name="msp_podcast",
        title="MSP-Podcast",
        modality="speech",
        version="1.12",
        license="LicenseRef-MSP-Podcast",
        may_redistribute=False,
        url="https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html",
        bibtex=(
            "@article{lotfian2019msppodcast, title={Building Naturalistic Emotionally Balanced Speech Corpus by "
            "Retrieving Emotional Speech From Existing Podcast Recordings}, author={Lotfian, Reza and Busso, Carlos}, "
            "journal={IEEE Transactions on Affective Computing}, volume={10}, number={4}, pages={471--483}, "
            "year={2019}, doi={10.1109/TAFFC.2017.2736999}}"
        ),
        language="en",
        split_unit="subject",
        label_map=_LABELS,
        counts=None,
        counts_source=None,
        n_subjects=None,  # the page counts speakers per partition, and test sets share some
        n_samples=207136,
        dimensions=dict.fromkeys(("valence", "arousal", "dominance"), _SCALE),
        official_split="Train (train), Development (dev), Test1, Test2 and Test3 (test), disjoint in known speakers",
        sources={
            "layout": "readme.txt of release 1.12; columns: labels_consensus.csv as its users quote it",
            "labels": "legend of labels.txt (A S H U F D C N O X), as several loaders quote it; scales 1 to 7",
            "subjects": "corpus' page, release 1.11: 1409 speakers in train, 454 in dev, 237 + 117 + 187 in test",
            "splits": "corpus' page: speaker-independent partitions; test sets share speakers with each other",
        },
        unverified=("counts", "license"),
        access="ask the MSP lab of UT Dallas; an institution signs an agreement",
        quirks=(
            "SpkrID Unknown: no subject, the recording is the group; the speaker may be one who is known elsewhere",
            "Test3 has no published labels: samples without an emotion, known from Partitions.txt",
            "X: raters did not agree; O: another emotion. Both have no emotion here, votes are in ratings",
            "release 2.0 lists MSP-PODCAST_1909_1017.wav and lacks it (a missing-file reject)",
            "older releases write labels_concensus.csv; the folder Previous_releases_information is not read",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of wav files and tables: not-of-this-corpus, no-label, missing-file (in
        the table, not in Audios), conflicting-entries (two rows, or two sounds, of one name), bad-label, not-a-number,
        rating-out-of-range, bad-rating (a rater's line), repeated-name."""
        root = Path(root)
        files = [
            (path, name)
            for path, name in named_files(root, self.card, _FILE, _EXAMPLE)
            if path.suffix.lower() == ".wav" and _OLD not in path.parts
        ]
        wavs = {path.name: (path, name) for path, name in files}
        alike = doubled_files(files, lambda path: path.name)
        table, detailed = label_file(root, "labels_consensus", "labels_concensus"), label_file(root, "labels_detailed")
        if table is None:
            raise CorpusError(
                f"{self.card.title}: {root} holds no Labels/labels_consensus.csv or .json (older: labels_concensus)."
            )
        twice = doubled(consensus_rows(table, self.card.title), _file_of, lambda row: tuple(row_of(row).items()))
        rows = consensus_rows(table, self.card.title)
        raters = rating_rows(detailed, self.card.title) if detailed is not None else iter(())
        parts = partitions(root)

        def items() -> Iterator[tuple[Any, str]]:
            listed: set[str] = set()
            given: dict[str, list[Given]] = {}
            yield from gather(raters, given)
            for row, name in rows:
                file = _file_of(row) or ""
                listed.add(file)
                yield (row, wavs.get(file), given.get(file, ())), name
            for file, (path, name) in sorted(wavs.items()):
                if file not in listed:
                    yield (path, parts), name

        def make(item: Any, name: str) -> Sample | None:
            if isinstance(item, PayloadError):
                raise item
            if len(item) == 2:
                once(alike, item[0].name)
                return self._unlabelled(item[0], item[1].get(item[0].name), name, corpus)
            row, place, given = item
            row = row_of(row)
            once(twice, row["FileName"])
            once(alike, row["FileName"])
            return self._sample(row, place, given, corpus)

        return read_items(items(), corpus, make)

    def _sample(
        self, row: Mapping[str, str], place: tuple[Path, str] | None, given: list[Given], corpus: str
    ) -> Sample:
        file, code = row["FileName"], row["EmoClass"]
        match = _NAME.fullmatch(file.removesuffix(".wav"))
        if match is None:
            raise PayloadError("not-of-this-corpus", f"{file[:80]!r} is not of the form MSP-PODCAST_0001_0008.wav")
        if place is None:
            raise PayloadError("missing-file", f"{file} is in the table and not in Audios")
        emotion = known(_LABELS, code, "EmoClass")
        split = known(_SPLITS, row["Split_Set"], "Split_Set")
        values = {
            which: rescale(number_of(row[column], column), _SCALE, column)
            for column, which in DIMENSIONS.items()
            if not is_unknown(row[column])
        }
        speaker = known_text(row["SpkrID"])
        path, name = place
        payload, header = read_wav(path)
        extra = {"path": name, "partition": row["Split_Set"], "official_split": split, "recording": match[1]}
        return speech_sample(
            self.card,
            corpus,
            path.stem,
            payload,
            header,
            subject=speaker,
            group=speaker or f"recording-{match[1]}",
            session_id=f"{corpus}:{match[1]}",
            emotion=emotion,
            emotion_raw=code,
            **values,
            rater_agreement=agreement({r: [word] for r, word, _ in given}, [_WORDS[code]] if code in _WORDS else []),
            ratings=[
                *(vote(word, rater) for rater, word, _ in given),
                *(
                    rating(which, rater, value)
                    for rater, _, numbers in given
                    for which, value in zip(DIMENSIONS.values(), numbers, strict=True)
                    if value is not None
                ),
            ],
            gender=None if is_unknown(row["Gender"]) else known(_GENDERS, row["Gender"].strip(), "Gender"),
            extra=extra | transcript(path),
        )

    def _unlabelled(self, path: Path, partition: str | None, name: str, corpus: str) -> Sample:
        """A turn that the table does not hold: of Test3, or a mistake."""
        match = _NAME.fullmatch(path.stem)
        if match is None:
            raise PayloadError("not-of-this-corpus", "the name is not of the form MSP-PODCAST_0001_0008.wav")
        if partition != "Test3":
            raise PayloadError("no-label", f"{path.name} is not in the table of labels, and not in Test3")
        payload, header = read_wav(path)
        return speech_sample(
            self.card,
            corpus,
            path.stem,
            payload,
            header,
            group=f"recording-{match[1]}",
            session_id=f"{corpus}:{match[1]}",
            extra={"path": name, "partition": partition, "official_split": "test", "recording": match[1]},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """Audios, Labels (consensus csv, detailed csv), Partitions.txt, Transcripts; three raters a turn, 16 kHz wav.

        Each speaker has a recording of their own, and goes to one partition in turn: Train, Development, Test1, Test2.
        Beside the samples asked for there is one turn without agreement (X). Raises `CorpusError` for a number of
        subjects outside 1 ... 9999.
        """
        from corpora.readers.fakes.voice import RATE_HZ, make_voice, speak, wav

        if not 1 <= subjects <= 9999:
            raise CorpusError(f"a fake MSP-Podcast needs 1 to 9999 subjects, not {subjects}")
        codes = {emotion: code for code, emotion in _LABELS.items() if emotion is not None}
        speakers = [str(i + 1) for i in range(subjects)]
        rng = np.random.default_rng([seed, 0])
        asked = [(codes[e], speaker) for e, speaker in spread(class_counts(self.card, per_class), speakers, rng)]
        consensus, detailed = (
            [COLUMNS],
            [("FileName", "WorkerID", "EmoClass_Major", "EmoClass_Second", *COLUMNS[2:5])],
        )
        partitions = []
        for number, (code, speaker) in enumerate([*asked, ("X", speakers[0])]):
            stem = f"MSP-PODCAST_{int(speaker):04d}_{number + 1:04d}"
            draw = np.random.default_rng([seed, 1, number])
            male = int(speaker) % 2 == 1
            voice = make_voice(male=male, rng=np.random.default_rng([seed, 2, int(speaker)]))
            signal = speak(voice, _LABELS[code] or "neutral", 1.0, statement=number, rng=draw)
            write_bytes(Path(root) / "Audios" / f"{stem}.wav", wav(signal, RATE_HZ))
            others = [word for word in _WORDS.values() if word != _WORDS.get(code)]
            words = others[:3] if code == "X" else [_WORDS[code], _WORDS[code], str(draw.choice(others))]
            numbers = draw.integers(1, 8, (3, 3))
            for i, word in enumerate(words):
                row = (f"{stem}.wav", f"WORKER{i:08d}", word, f"{word},Concerned", *map(str, numbers[i]))
                detailed.append(row)  # type: ignore[arg-type]
            part = ("Train", "Development", "Test1", "Test2")[(int(speaker) - 1) % 4]
            means = [f"{v:g}" for v in numbers.mean(axis=0)]
            row = (f"{stem}.wav", code, *means, speaker, "Male" if male else "Female", part)
            consensus.append(row)  # type: ignore[arg-type]
            partitions.append(f"{part}; {stem}.wav")
            if number % 3:  # some turns are not transcribed
                write_bytes(Path(root) / "Transcripts" / f"{stem}.txt", b"Well, you know.\n")
        for file, rows in (("labels_consensus.csv", consensus), ("labels_detailed.csv", detailed)):
            out = io.StringIO()
            csv.writer(out, lineterminator="\n").writerows(rows)
            write_bytes(Path(root) / "Labels" / file, out.getvalue().encode())
        write_bytes(Path(root) / "Partitions.txt", "\n".join(partitions).encode())


def _file_of(row: Mapping[str, str] | PayloadError) -> str | None:
    return None if isinstance(row, PayloadError) else row["FileName"]
