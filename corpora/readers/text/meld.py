"""MELD: 13,708 lines of the series Friends, each with its speaker, its place in a dialogue, an emotion and a sentiment.

Poria et al. (2019), ACL. Three csv files of 11 columns (README.md of declare-lab/MELD, "Column Specification"):

    train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv
    Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime
    2,What?,Monica,surprise,negative,0,1,4,7,"00:21:01,927","00:21:03,261"

Dialogue_ID and Utterance_ID start from 0, in each file anew; times are hh:mm:ss,ms in the episode. The same speakers
talk in all three files, so speakers and dialogues form one component: the split unit is the dialogue.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import Row, find_parts, read_table, row_of, whole_of
from corpora.records.files import class_counts, known, read_items, spread, text_sample
from corpora.records.ids import one_person
from corpora.records.joins import opened, settled
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

COLUMNS = (
    "Sr No.",
    "Utterance",
    "Speaker",
    "Emotion",
    "Sentiment",
    "Dialogue_ID",
    "Utterance_ID",
    "Season",
    "Episode",
    "StartTime",
    "EndTime",
)
_EMOTIONS = {
    "neutral": "neutral",
    "surprise": "surprise",
    "fear": "fear",
    "sadness": "sadness",
    "joy": "happiness",
    "disgust": "disgust",
    "anger": "anger",
}
_SENTIMENTS = {"neutral": "neutral", "positive": "positive", "negative": "negative"}
_PARTS = {split: (f"{split}_sent_emo.csv",) for split in ("train", "dev", "test")}
_TIME = re.compile(r"(\d{1,2}):(\d\d):(\d\d),(\d{1,3})")
# a name may hold a comma, which quotes protect
_SPEAKERS = ("Chandler", "Frank, Jr.", "Fireman No. 1", "Monica", "Richard’s Date", "Ross", "The Interviewer")


class Meld:
    """`Corpus` of MELD's text; the clips are named after the same dialogue and utterance (dia0_utt1.mp4)."""

    card = CorpusCard(
        name="meld",
        title="MELD",
        modality="text",
        version="2019",
        license="GPL-3.0-only",
        may_redistribute=False,  # the lines are a television series'
        url="https://affective-meld.github.io",
        bibtex=(
            "@inproceedings{poria2019meld, title={{MELD}: A Multimodal Multi-Party Dataset for Emotion Recognition in "
            "Conversations}, author={Poria, Soujanya and Hazarika, Devamanyu and Majumder, Navonil and Naik, Gautam "
            "and Cambria, Erik and Mihalcea, Rada}, booktitle={Proc. 57th Annual Meeting of the Association for "
            "Computational Linguistics}, year={2019}, eprint={1810.02508}, archivePrefix={arXiv}}"
        ),
        language="en",
        split_unit="dialogue",
        label_map=_EMOTIONS,
        counts={
            "neutral": 6436,
            "surprise": 1636,
            "fear": 358,
            "sadness": 1002,
            "joy": 2308,
            "disgust": 361,
            "anger": 1607,
        },
        counts_source="README.md of github.com/declare-lab/MELD, Dataset Distribution: train, dev and test added",
        n_subjects=288,
        n_samples=13_708,
        official_split="train 9,989, dev 1,109, test 2,610 lines; nearly all lines of test are by speakers of train",
        sources={
            "layout": "README.md of github.com/declare-lab/MELD, Column Specification",
            "labels": "README.md of github.com/declare-lab/MELD, Column Specification and Labelling",
            "subjects": "column Speaker of the published files, counted: 260, 47 and 100 names as in README.md, 304 in "
            "all; 16 of them stand for several people at once",
            "counts": "README.md of github.com/declare-lab/MELD, Dataset Distribution",
            "splits": "README.md of github.com/declare-lab/MELD, Dataset Statistics",
            "license": "licence file of github.com/declare-lab/MELD: GPL 3.0",
        },
        tested_on="real",
        quirks=(
            "typographic quotes and dashes",
            "train has 1,038 dialogues, 1,039 are published: Dialogue_ID 60 is not there",
            "milliseconds are written with fewer than three digits in three lines",
            "one line of test ends before it begins; its end is null",
            "a line of several speakers ('All', 'Ross and Rachel') has no subject; extra.speakers says whose it is",
            "'Woman', 'Guy' and the like are somebody else in each episode, and one subject here",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of tables and texts: bad-label, bad-time, not-a-number,
        conflicting-entries (a line that stands twice with two emotions)."""
        parts = find_parts(root, "MELD", _PARTS, self.card.url)

        def rows() -> Iterator[tuple[tuple[str, Row | PayloadError], str]]:
            tables = [(split, read_table(path, "MELD", columns=COLUMNS)) for split, path in parts.items()]
            return (((split, row), name) for split, table in tables for row, name in table)

        def make(item: tuple[str, Row | PayloadError] | PayloadError, name: str) -> Sample:
            split, row = opened(item)
            return self._line(row_of(row), split, name, corpus)

        items = settled(rows, _place, lambda item: row_of(item[1])["Emotion"].strip())
        return read_items(items, corpus, make)

    def _line(self, row: Row, split: str, name: str, corpus: str) -> Sample:
        emotion, sentiment = row["Emotion"].strip(), row["Sentiment"].strip()
        dialogue, turn = (whole_of(row[column], column) for column in ("Dialogue_ID", "Utterance_ID"))
        start_s, end_s = _seconds(row["StartTime"]), _seconds(row["EndTime"])
        place = f"{split}_dia{dialogue}"
        said_by = row["Speaker"].strip()
        subject = one_person(said_by)
        return text_sample(
            self.card,
            corpus,
            f"{place}_utt{turn}",
            row["Utterance"],
            subject=subject,
            group=place,
            session_id=f"{corpus}:{place}",
            turn=turn,
            t_start_s=start_s,
            t_end_s=end_s if end_s > start_s else None,
            emotion=known(_EMOTIONS, emotion, "Emotion"),
            emotion_raw=emotion,
            extra={
                "official_split": split,
                "sentiment": known(_SENTIMENTS, sentiment, "Sentiment"),
                "season": row["Season"],
                "episode": row["Episode"],
                "path": name,
            }
            | ({"speakers": said_by} if said_by and subject is None else {}),
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """The three csv files: dialogues of up to five lines by fake speakers, one of whose names holds a comma.

        Raises `CorpusError` for a number of subjects outside 1 ... 7.
        """
        from corpora.readers.fakes.text import write_sentence

        if not 1 <= subjects <= len(_SPEAKERS):
            raise CorpusError(f"a fake MELD needs 1 to {len(_SPEAKERS)} subjects, not {subjects}")
        rng = np.random.default_rng([seed, 0])
        speakers = _SPEAKERS[:subjects]
        lines = list(spread(class_counts(self.card, per_class), speakers, rng))
        native = {emotion: word for word, emotion in _EMOTIONS.items()}
        files = {split: io.StringIO() for split in _PARTS}
        writers = {split: csv.writer(file, lineterminator="\r\n") for split, file in files.items()}
        for writer in writers.values():
            writer.writerow(COLUMNS)
        next_id = dict.fromkeys(_PARTS, 0)
        order, at, number = rng.permutation(len(lines)), 0, 0
        while at < len(lines):
            split = ("train", "train", "train", "train", "dev", "train", "train", "train", "train", "test")[number % 10]
            length, clock = int(rng.integers(1, 6)), float(rng.uniform(20, 900))
            for turn, i in enumerate(order[at : at + length]):
                emotion, speaker = lines[i]
                text = write_sentence(
                    emotion, np.random.default_rng([seed, 1, int(i)]), person=speakers.index(speaker)
                ).replace("thought", "thought “so”")
                clock, begin = clock + float(rng.uniform(0.8, 6)), clock
                sentiment = {"joy": "positive", "neutral": "neutral"}.get(native[emotion], "negative")
                numbers = [next_id[split], turn, 1 + seed % 9, 7, _clock(begin), _clock(clock)]
                writers[split].writerow([at + turn + 1, text, speaker, native[emotion], sentiment, *numbers])
            next_id[split] += 1
            at, number = at + length, number + 1
        for split, file in files.items():
            write_bytes(Path(root) / f"{split}_sent_emo.csv", file.getvalue().encode())


def _place(item: tuple[str, Row | PayloadError]) -> tuple[str, ...] | None:
    """What names a line, and its words: the same words under one name cannot have two emotions."""
    split, row = item
    if isinstance(row, PayloadError):
        return None
    return (split, row["Dialogue_ID"].strip(), row["Utterance_ID"].strip(), row["Utterance"])


def _seconds(text: str) -> float:
    """hh:mm:ss,ms -> seconds in the episode. Raises `PayloadError` bad-time."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise PayloadError("bad-time", f"{text[:20]!r} is not hh:mm:ss,ms")
    hours, minutes, seconds, milliseconds = map(int, match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _clock(seconds: float) -> str:
    whole_s, ms = divmod(round(seconds * 1000), 1000)
    return f"{whole_s // 3600:02d}:{whole_s // 60 % 60:02d}:{whole_s % 60:02d},{ms:03d}"
