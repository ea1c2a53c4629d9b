"""EmoryNLP: 12,606 lines of the series Friends with one of seven emotions of the Feeling Wheel.

Zahiri & Choi (2018), AFFCON. Two published forms, whose utterances have the same ids here (s01_e02_c01_u002):

- csv files of declare-lab/MELD (README.md, "Multimodal EmoryNLP"; the 9,489 lines that have a clip):
  `emorynlp_train_final.csv`, `emorynlp_dev_final.csv`, `emorynlp_test_final.csv`

      Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode,Start_Time,End_Time
      Thank you.,['Joey Tribbiani'],Neutral,1,2,1,15,00:00:05.171,00:00:07.423

- JSON of emorynlp/emotion-detection and emorynlp/character-mining: {"episodes": [{"episode_id": "s01_e02", "scenes":
  [{"scene_id": ..., "utterances": [{"utterance_id": "s01_e02_c01_u002", "speakers": ["Joey Tribbiani"],
  "transcript": "Yeah, right!", "emotion": "Neutral"}, ...]}]}]}. Splits are by episode (README.md, Statistics).
"""

from __future__ import annotations

import ast
import csv
import io
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import Row, find_parts, read_json, read_table, row_of, whole_of
from corpora.records.files import class_counts, known, printable, read_items, spread, text_sample
from corpora.records.ids import one_person
from corpora.records.joins import opened, settled
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

# calm is what the word peaceful says; the wheel's powerful (proud, respected, hopeful ...) has no one word here
_EMOTIONS = {
    "Neutral": "neutral",
    "Joyful": "happiness",
    "Peaceful": "calm",
    "Powerful": None,
    "Scared": "fear",
    "Mad": "anger",
    "Sad": "sadness",
}
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Scene_ID", "Utterance_ID", "Season", "Episode")
_PARTS = {split: (f"emorynlp_{split}_final.csv",) for split in ("train", "dev", "test")}
# episodes of the splits, as "season: episodes" (README.md of emorynlp/emotion-detection)
_EPISODES = {
    "train": (
        "1: 2 3 4 5 6 7 8 9 11 12 13 14 16 17 18 19 21 22 23 24; 2: 1 2 3 4 5 6 7 9 11 12 13 14 15 16 17 18 19 21 22 "
        "24; 3: 2 3 4 5 6 7 10 11 12 13 14 15 16 17 18 19 22 23 24 25; 4: 3 4 5 7 8 9 11 12 13 14 15 16 18 19 22 23 24"
    ),
    "dev": "1: 15 20; 2: 10 20; 3: 1 9 21; 4: 1 6 10 21",
    "test": "1: 1 10; 2: 8 23; 3: 8 20; 4: 2 17 20",
}
_ID = re.compile(r"s(\d\d)_e(\d\d)_c(\d\d)_u(\d\d\d)")
_TIME = re.compile(r"(\d{1,2}):(\d\d):(\d\d)[.,](\d{3})")
_FAKE = {"train": (1, 2), "dev": (1, 15), "test": (1, 10)}  # season, episode
_SPEAKERS = ("Monica Geller", "Joey Tribbiani", "Steve (drug addict)", "Ross' Date", "Phoebe Buffay", "Rachel Green")


def split_of() -> dict[tuple[int, int], str]:
    """{(season, episode): split} of the 97 annotated episodes."""
    splits: dict[tuple[int, int], str] = {}
    for split, text in _EPISODES.items():
        for part in text.split(";"):
            season, _, episodes = part.partition(":")
            splits |= {(int(season), int(episode)): split for episode in episodes.split()}
    return splits


class EmoryNLP:
    """`Corpus` of EmoryNLP's csv files, else of its JSON files."""

    card = CorpusCard(
        name="emorynlp",
        title="EmoryNLP",
        modality="text",
        version="1.0",
        license="Apache-2.0",
        may_redistribute=False,  # the lines are a television series'
        url="https://github.com/emorynlp/emotion-detection",
        bibtex=(
            "@inproceedings{zahiri2018emotion, title={Emotion Detection on {TV} Show Transcripts with Sequence-based "
            "Convolutional Neural Networks}, author={Zahiri, Sayyed and Choi, Jinho D.}, booktitle={The AAAI Workshop "
            "on Affective Content Analysis (AFFCON)}, year={2018}, eprint={1708.04299}, archivePrefix={arXiv}}"
        ),
        language="en",
        split_unit="dialogue",
        label_map=_EMOTIONS,
        counts={
            "Neutral": 3776,
            "Joyful": 2755,
            "Peaceful": 1191,
            "Powerful": 1063,
            "Scared": 1645,
            "Mad": 1332,
            "Sad": 844,
        },
        counts_source="README.md of github.com/emorynlp/emotion-detection, Statistics (12,606 utterances)",
        n_subjects=None,
        n_samples=12_606,
        official_split="by episode: train 9,934, dev 1,344, test 1,328 utterances (csv form: 7,551, 954, 984)",
        sources={
            "layout": "README.md of github.com/declare-lab/MELD and emorynlp_dev_final.csv there; README.md of "
            "github.com/emorynlp/emotion-detection and scripts/stats.py of github.com/emorynlp/character-mining",
            "labels": "README.md of github.com/emorynlp/emotion-detection: primary emotions of the Feeling Wheel",
            "subjects": "column Speaker, field speakers; csv form: 250, 46 and 48 (README.md of declare-lab/MELD)",
            "counts": "README.md of github.com/emorynlp/emotion-detection, Statistics",
            "splits": "README.md of github.com/emorynlp/emotion-detection, Statistics: episodes of each split",
            "license": "LICENSE.txt of github.com/emorynlp/character-mining: Apache 2.0",
        },
        quirks=(
            "Speaker is a list written as text; a line of several speakers, or of 'All', has no subject",
            "the csv form has 2,099 Joyful, 968 Mad, 3,095 Neutral, 831 Peaceful, 717 Powerful, 595 Sad, 1,184 Scared",
            "times of neighbouring lines overlap in the csv form",
            "Powerful has no canonical word; it is in `labels` like all native ones",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of tables and texts: bad-label, bad-speaker, bad-time, bad-id,
        not-a-number, not-annotated (an episode that is in no split), conflicting-entries (an utterance that stands
        twice with two emotions)."""
        try:
            parts = find_parts(root, "EmoryNLP", _PARTS, self.card.url)
        except CorpusError:
            files = [] if not Path(root).is_dir() else sorted(_visible(Path(root), "*.json"))
            seasons = [(path, season) for path in files if (season := _season(path)) is not None]
            if not seasons:
                raise
            rows = settled(
                lambda: chain.from_iterable(_utterances(season, printable(path.name)) for path, season in seasons),
                lambda row: None if isinstance(row, PayloadError) else (row[0], str(row[2].get("transcript"))),
                lambda row: str(row[2].get("emotion")),
            )
            return read_items(rows, corpus, lambda row, name: self._json(row, name, corpus))

        def lines() -> Iterator[tuple[tuple[str, Row | PayloadError], str]]:
            tables = [(split, read_table(path, "EmoryNLP", columns=_COLUMNS)) for split, path in parts.items()]
            return (((split, row), name) for split, table in tables for row, name in table)

        def make(item: tuple[str, Row | PayloadError] | PayloadError, name: str) -> Sample:
            split, row = opened(item)
            return self._row(row, split, name, corpus)

        items = settled(lines, _place, lambda item: row_of(item[1])["Emotion"].strip())
        return read_items(items, corpus, make)

    def _row(self, row: Mapping[str, str] | PayloadError, split: str, name: str, corpus: str) -> Sample:
        if isinstance(row, PayloadError):
            raise row
        season, episode, scene, turn = (
            whole_of(row[column], column) for column in ("Season", "Episode", "Scene_ID", "Utterance_ID")
        )
        start, end = (row.get(a) or row.get(b) or "" for a, b in (("Start_Time", "StartTime"), ("End_Time", "EndTime")))
        times = {"t_start_s": _seconds(start), "t_end_s": _seconds(end)}
        key = f"s{season:02d}_e{episode:02d}_c{scene:02d}_u{turn:03d}"
        extra = {"official_split": split, "path": name}
        return self._sample(key, row["Utterance"], _speakers(row["Speaker"]), row["Emotion"], corpus, extra, times)

    def _json(self, row: Any, name: str, corpus: str) -> Sample:
        if isinstance(row, PayloadError):
            raise row
        key, split, utterance = row
        speakers, emotion, text = utterance.get("speakers"), utterance.get("emotion"), utterance.get("transcript")
        if not isinstance(text, str) or not isinstance(emotion, str | None):
            raise PayloadError("bad-row", "an utterance has a transcript and an emotion, both text")
        if not isinstance(speakers, list) or not all(isinstance(speaker, str) for speaker in speakers):
            raise PayloadError("bad-speaker", "speakers are a list of names")
        return self._sample(key, text, speakers, emotion, corpus, {"official_split": split, "path": name}, {})

    def _sample(
        self,
        key: str,
        text: str,
        speakers: list[str],
        emotion: str | None,
        corpus: str,
        extra: dict[str, str],
        times: dict[str, float | None],
    ) -> Sample:
        if any("\ud800" <= letter <= "\udfff" for letter in "".join(speakers)):  # escapes can make what is no text
            raise PayloadError("bad-speaker", f"{speakers!r:.40} is not Unicode")
        scene, _, turn = key.rpartition("_u")
        native = emotion.strip().capitalize() if emotion is not None else None
        canonical = known(_EMOTIONS, native, "Emotion") if native is not None else None
        if len(speakers) > 1 or (speakers and one_person(speakers[0]) is None):
            extra = extra | {"speakers": "; ".join(speakers)}
        return text_sample(
            self.card,
            corpus,
            key,
            text,
            subject=one_person(speakers[0]) if len(speakers) == 1 else None,
            group=scene,
            session_id=f"{corpus}:{scene}",
            turn=int(turn),
            emotion=canonical,
            emotion_raw=native,
            # in the native words too: Powerful has no other place
            labels=[{"scheme": self.card.name, "label": native, "weight": 1.0}] if native is not None else (),
            extra=extra,
            **times,
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """The three csv files: scenes of up to five lines, now and then a Powerful one, which has no class of its own.

        Raises `CorpusError` for a number of subjects outside 1 ... 6.
        """
        from corpora.readers.fakes.text import write_sentence

        if not 1 <= subjects <= len(_SPEAKERS):
            raise CorpusError(f"a fake EmoryNLP needs 1 to {len(_SPEAKERS)} subjects, not {subjects}")
        rng = np.random.default_rng([seed, 0])
        native = {emotion: word for word, emotion in _EMOTIONS.items() if emotion is not None}
        lines = [
            (native[emotion], who)
            for emotion, who in spread(class_counts(self.card, per_class), _SPEAKERS[:subjects], rng)
        ]
        lines += [("Powerful", _SPEAKERS[0]) for _ in range(len(lines) // 10)]
        files = {split: io.StringIO() for split in _PARTS}
        writers = {split: csv.writer(file, lineterminator="\n") for split, file in files.items()}
        for writer in writers.values():
            writer.writerow([*_COLUMNS, "Start_Time", "End_Time"])
        order, at, scene = rng.permutation(len(lines)), 0, 0
        while at < len(lines):
            scene += 1
            split = ("train", "train", "dev", "train", "test", "train", "train", "train", "train", "train")[scene % 10]
            season, episode = _FAKE[split]
            length, clock = int(rng.integers(1, 6)), float(rng.uniform(1, 900))
            for turn, i in enumerate(order[at : at + length], 1):
                word, who = lines[i]
                feels = _EMOTIONS[word] or "pride"
                text = write_sentence(feels, np.random.default_rng([seed, 1, int(i)]), person=_SPEAKERS.index(who))
                text = f'{text} "You are suited", it said.' if i % 4 == 0 else text
                times = [f"00:{int(s // 60):02d}:{s % 60:06.3f}" for s in (clock, clock + 2.5)]
                writers[split].writerow([text, str([who]), word, scene, turn, season, episode, *times])
                clock += 1.7  # the next line begins before this one ends
            at += length
        for split, file in files.items():
            write_bytes(Path(root) / _PARTS[split][0], file.getvalue().encode())


def _place(item: tuple[str, Row | PayloadError]) -> tuple[str, ...] | None:
    """What names an utterance, and its words."""
    row = item[1]
    if isinstance(row, PayloadError):
        return None
    return tuple(row[column].strip() for column in ("Season", "Episode", "Scene_ID", "Utterance_ID", "Utterance"))


def _visible(root: Path, pattern: str) -> Iterator[Path]:
    return (
        path
        for path in root.rglob(pattern)
        if not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(root).parts)
    )


def _season(path: Path) -> list[Any] | None:
    """The episodes of a JSON file of the published form, or None: another file. Raises `CorpusError`."""
    contents = read_json(path, "EmoryNLP")
    episodes = contents.get("episodes") if isinstance(contents, dict) else None
    return episodes if isinstance(episodes, list) else None


def _utterances(episodes: list[Any], name: str) -> Iterator[tuple[Any, str]]:
    """((id, split, utterance) or `PayloadError`, name) in the order of the file."""
    splits = split_of()
    for number, episode in enumerate(episodes):
        episode_id = episode.get("episode_id") if isinstance(episode, dict) else None
        match = re.fullmatch(r"s(\d\d)_e(\d\d)", episode_id) if isinstance(episode_id, str) else None
        if match is None or not isinstance(episode.get("scenes"), list):
            yield PayloadError("bad-row", "an episode has an id like s01_e02 and scenes"), f"{name}#{number:06d}"
            continue
        split = splits.get((int(match[1]), int(match[2])))
        if split is None:
            yield PayloadError("not-annotated", f"{episode_id} is in no split"), f"{name}#{episode_id}"
            continue
        for place, scene in enumerate(episode["scenes"]):
            utterances = scene.get("utterances") if isinstance(scene, dict) else None
            if not isinstance(utterances, list):
                yield PayloadError("bad-row", "a scene has utterances"), f"{name}#{episode_id}_c{place:02d}"
                continue
            for turn, utterance in enumerate(utterances):
                key = utterance.get("utterance_id") if isinstance(utterance, dict) else None
                if isinstance(key, str) and _ID.fullmatch(key):
                    yield (key, split, utterance), f"{name}#{key}"
                else:
                    where = f"{name}#{episode_id}_c{place:02d}_{turn:03d}"
                    yield (
                        PayloadError("bad-id", f"an utterance_id is like s01_e02_c01_u002, not {str(key)[:30]!r}"),
                        where,
                    )


def _speakers(text: str) -> list[str]:
    """ "['Monica Geller']" -> names. Raises `PayloadError` bad-speaker."""
    try:
        names = ast.literal_eval(text.strip()) if len(text) < 1000 else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise PayloadError("bad-speaker", f"{text[:40]!r} is no list of names")
    return names


def _seconds(text: str) -> float | None:
    """hh:mm:ss.ms (or with a comma) -> seconds in the episode; nothing -> None. Raises `PayloadError` bad-time."""
    if not text.strip():
        return None
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise PayloadError("bad-time", f"{text[:20]!r} is not hh:mm:ss.ms")
    hours, minutes, seconds, milliseconds = map(int, match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
