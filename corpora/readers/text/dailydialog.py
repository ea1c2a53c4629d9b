"""DailyDialog: 13,118 dialogues of learners' websites, each of whose 102,979 turns has an emotion and an act.

Li et al. (2017), IJCNLP. Files of one line a dialogue that belong together (readme.txt of ijcnlp_dailydialog.zip):

    train/dialogues_train.txt           Good morning . __eou__ Hi , how are you ? __eou__
    train/dialogues_emotion_train.txt   4 0
    train/dialogues_act_train.txt       1 2

and so for `validation` and `test`, as folders or as the zip files that lie in the archive; or all of them in
`dialogues_text.txt`, `dialogues_emotion.txt`, `dialogues_act.txt` and `dialogues_topic.txt`, which know no split. No
speaker is named, so there are no subjects; the split unit is the dialogue.

Lines are joined by their number alone, so files of different lengths are refused, and so are files in which the turns
of two dialogues close together differ in number, for there the lines have moved. A single one is a reject (the
published train file has one). Two lines of equally many turns that changed places in one file go unnoticed.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from corpora.archives.entries import opened_zip
from corpora.archives.plan import Limits, Plan
from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import find_file, find_parts, lines_of
from corpora.records.files import class_counts, known, read_items, spread, text_sample
from corpora.records.joins import same_counts
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

EMOTIONS = {
    "0": "no emotion",
    "1": "anger",
    "2": "disgust",
    "3": "fear",
    "4": "happiness",
    "5": "sadness",
    "6": "surprise",
}
_ACTS = {"1": "inform", "2": "question", "3": "directive", "4": "commissive"}
_TOPICS = {
    "1": "Ordinary Life",
    "2": "School Life",
    "3": "Culture & Education",
    "4": "Attitude & Emotion",
    "5": "Relationship",
    "6": "Tourism",
    "7": "Health",
    "8": "Work",
    "9": "Politics",
    "10": "Finance",
}
_FOLDERS = {"train": "train", "dev": "validation", "test": "test"}
_END = "__eou__"
_KINDS = ("texts", "emotions", "acts", "topics")  # of the files of a split
_NEAR = 10  # dialogues: two within so few that differ are no slips of the pen
_MAX_MEMBER = 1 << 30  # bytes of one file in a zip; the largest published one has 6 MB
Opener = Callable[[], IO[bytes]]


class _Turn(NamedTuple):
    dialogue: str
    split: str | None
    turn: int
    text: str
    emotion: str
    act: str | None
    topic: str | None


class DailyDialog:
    """`Corpus` of DailyDialog: folders or zip files of the three splits, else the files of the whole."""

    card = CorpusCard(
        name="dailydialog",
        title="DailyDialog",
        modality="text",
        version="2017",
        license="CC-BY-NC-SA-4.0",
        may_redistribute=False,  # share-alike and non-commercial: never pushed unasked
        url="http://yanran.li/dailydialog",
        bibtex=(
            "@inproceedings{li2017dailydialog, title={DailyDialog: A Manually Labelled Multi-turn Dialogue Dataset}, "
            "author={Li, Yanran and Su, Hui and Shen, Xiaoyu and Li, Wenjie and Cao, Ziqiang and Niu, Shuzi}, "
            "booktitle={Proceedings of The 8th International Joint Conference on Natural Language Processing (IJCNLP "
            "2017)}, year={2017}}"
        ),
        language="en",
        split_unit="dialogue",
        label_map={word: "neutral" if word == "no emotion" else word for word in EMOTIONS.values()},
        counts={
            "no emotion": 85_572,
            "anger": 1022,
            "disgust": 353,
            "fear": 174,
            "happiness": 12_885,
            "sadness": 1150,
            "surprise": 1823,
        },
        counts_source="DailyDialog/dataset-stats.md of github.com/tae898/multimodal-datasets: the splits added",
        n_subjects=None,
        n_samples=102_979,
        knows_subjects=False,
        official_split="train 11,118, validation (dev) 1,000, test 1,000 dialogues",
        sources={
            "layout": "readme.txt of ijcnlp_dailydialog.zip; datasets/daily_dialog/daily_dialog.py of huggingface",
            "labels": "readme.txt of ijcnlp_dailydialog.zip: 0 no emotion ... 6 surprise",
            "subjects": "no speaker is named in the files (readme.txt of ijcnlp_dailydialog.zip)",
            "counts": "DailyDialog/dataset-stats.md of github.com/tae898/multimodal-datasets",
            "splits": "dataset card daily_dialog of Hugging Face, Data Splits",
            "license": "dataset card daily_dialog of Hugging Face: CC BY-NC-SA 4.0",
        },
        quirks=(
            "'no emotion' is neutral in the canonical words",
            "the paper's table counts 74 lines of fear, its files 174 (as its 0.17 % says)",
            "readme.txt speaks of 11,318 dialogues, the files hold 13,118",
            "blanks before punctuation: texts are tokenised",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of texts: bad-label, turns-differ (the files of a dialogue do not have
        as many turns), undecodable-row, too-long-line.

        Raises `CorpusError` as well if the lines of the files do not belong together."""
        files = _files(Path(root), self.card.url)
        for split, openers in files.items():
            _judge(split, openers)
        return read_items(self._turns(files), corpus, lambda t, n: self._sample(t, n, corpus))

    def _turns(self, files: Mapping[str | None, list[Opener | None]]) -> Iterator[tuple[_Turn | PayloadError, str]]:
        for split, (text, emotion, act, topic) in files.items():
            name = split or "all"
            try:
                with _opened(text) as a, _opened(emotion) as b, _opened(act) as c, _opened(topic) as d:
                    rows = zip_longest(*(lines_of(file) for file in (a, b, c, d)))
                    for number, row in enumerate(rows):
                        name = f"{split or 'all'}_{number:05d}"
                        yield from _dialogue(name, split, row, has_act=act is not None)
            except (OSError, EOFError, zipfile.BadZipFile, zlib.error):  # a zip that breaks off
                yield (
                    PayloadError("unreadable", "nothing after this dialogue: the archive is damaged or cut short"),
                    name,
                )

    def _sample(self, turn: _Turn | PayloadError, name: str, corpus: str) -> Sample:
        if isinstance(turn, PayloadError):
            raise turn
        native = known(EMOTIONS, turn.emotion, "emotion")
        extra = {"path": name}
        if turn.split is not None:
            extra["official_split"] = turn.split
        if turn.act is not None:
            extra["act"] = known(_ACTS, turn.act, "act")
        if turn.topic is not None:
            extra["topic"] = known(_TOPICS, turn.topic, "topic")
        return text_sample(
            self.card,
            corpus,
            name,
            turn.text.strip(),
            group=turn.dialogue,
            session_id=f"{corpus}:{turn.dialogue}",
            turn=turn.turn,
            emotion=self.card.label_map[native],
            emotion_raw=native,
            extra=extra,
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """The nine files of the three folders, as many dialogues as `subjects`.

        Raises `CorpusError` for less than one subject.
        """
        from corpora.readers.fakes.text import write_sentence

        if subjects < 1:
            raise CorpusError(f"a fake DailyDialog needs at least 1 subject (dialogue), not {subjects}")
        rng = np.random.default_rng([seed, 0])
        dialogues: dict[str, list[tuple[str, str]]] = {str(i): [] for i in range(subjects)}
        native = {self.card.label_map[word]: code for code, word in EMOTIONS.items()}
        for number, (emotion, dialogue) in enumerate(spread(class_counts(self.card, per_class), list(dialogues), rng)):
            text = write_sentence(emotion, np.random.default_rng([seed, 1, number]), person=int(dialogue))
            tokens = text.replace("’", " ’ ").replace(".", " .").replace(",", " ,")
            dialogues[dialogue].append((tokens, native[emotion]))
        files = {split: ([], [], []) for split in _FOLDERS}  # type: dict[str, tuple[list[str], list[str], list[str]]]
        for i, turns in enumerate(dialogues.values()):
            order = rng.permutation(len(turns))
            texts, emotions, acts = files[("train", "train", "dev", "train", "test")[i % 5]]
            texts.append("".join(f"{turns[j][0]} {_END} " for j in order))
            emotions.append("".join(f"{turns[j][1]} " for j in order))
            acts.append("".join(f"{rng.integers(1, 5)} " for _ in order))
        for split, (texts, emotions, acts) in files.items():
            folder = _FOLDERS[split]
            for kind, lines in (("", texts), ("emotion_", emotions), ("act_", acts)):
                body = "".join(f"{line}\n" for line in lines)
                write_bytes(Path(root) / folder / f"dialogues_{kind}{folder}.txt", body.encode())


def _judge(split: str | None, openers: list[Opener | None]) -> None:
    """Raises `CorpusError` unless the n-th lines of the files are of one dialogue, as far as numbers can tell."""
    counts: dict[str, list[int | None]] = {}
    for kind, opener in zip(_KINDS, openers, strict=True):
        if opener is None:
            continue
        try:
            with opener() as file:
                counts[kind] = [_n_turns(kind, line) for line in lines_of(file)]
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error):
            return  # a zip that breaks off: `_turns` says where
    where = f"DailyDialog, {split or 'all'}"
    for lines in counts.values():
        while lines and lines[-1] == 0:  # blank
            lines.pop()
    shortest = min(len(lines) for lines in counts.values())
    for lines in counts.values():
        while len(lines) > shortest and lines[-1] is None:  # no text: no line either, and it moves nothing
            lines.pop()
    same_counts(where, {kind: len(lines) for kind, lines in counts.items()}, "line")
    in_turns = [counts[kind] for kind in _KINDS[:3] if kind in counts]
    differ = [i for i, row in enumerate(zip(*in_turns, strict=True)) if None not in row and len(set(row)) > 1]
    for one, other in pairwise(differ):
        if other - one <= _NEAR:
            raise CorpusError(
                f"{where}: the files differ in the number of turns of dialogues {one} and {other} (counted from 0), "
                f"and of {len(differ)} of {shortest} in all: lines have moved, so labels would be those of other "
                "dialogues. Take all files from one download, unchanged."
            )


def _n_turns(kind: str, line: bytes | PayloadError) -> int | None:
    """Turns of one line; None: it cannot be read."""
    if isinstance(line, PayloadError):
        return None
    try:
        text = line.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None
    return len(_turns(text)) if kind == "texts" else len(text.split())


def _turns(text: str) -> list[str]:
    turns = text.split(_END)
    return turns if turns[-1].strip() else turns[:-1]


def _dialogue(
    name: str, split: str | None, row: tuple[bytes | PayloadError | None, ...], *, has_act: bool
) -> Iterator[tuple[_Turn | PayloadError, str]]:
    """The lines of one dialogue -> its turns, or the error that stands for all of them."""
    for line in row:
        if isinstance(line, PayloadError):
            yield line, name
            return
    try:
        texts, emotions, acts, topic = (line.decode("utf-8") if isinstance(line, bytes) else "" for line in row)
    except UnicodeDecodeError as error:
        yield PayloadError("undecodable-row", f"not UTF-8: {error.reason} at byte {error.start}"), name
        return
    lines = _turns(texts.removeprefix("\ufeff"))
    felt, done = emotions.removeprefix("\ufeff").split(), acts.removeprefix("\ufeff").split()
    if not lines and not felt and not done:
        return  # a blank line at the end
    if len(lines) != len(felt) or (has_act and len(done) != len(lines)):
        yield PayloadError("turns-differ", f"{len(lines)} texts, {len(felt)} emotions, {len(done)} acts"), name
        return
    for i, (text, emotion) in enumerate(zip(lines, felt, strict=True)):
        act = done[i] if has_act else None
        yield _Turn(name, split, i, text, emotion, act, topic.strip() or None), f"{name}_{i:02d}"


def _files(root: Path, url: str) -> dict[str | None, list[Opener | None]]:
    """{split, or None for the whole: openers of text, emotion, act and topic}. Raises `CorpusError`."""
    parts = {
        f"{kind}{folder}": (f"dialogues_{kind}{folder}.txt",)
        for folder in _FOLDERS.values()
        for kind in ("", "emotion_", "act_")
    }
    try:
        paths = find_parts(root, "DailyDialog", parts, url)
    except CorpusError as no_folders:
        try:
            zips = find_parts(root, "DailyDialog", {f: (f"{f}.zip",) for f in _FOLDERS.values()}, url)
        except CorpusError:
            return _whole(root, url, no_folders)
        return {
            split: [_member(zips[folder], parts[f"{kind}{folder}"][0]) for kind in ("", "emotion_", "act_")] + [None]
            for split, folder in _FOLDERS.items()
        }
    return {
        split: [_file(paths[f"{kind}{folder}"]) for kind in ("", "emotion_", "act_")] + [None]
        for split, folder in _FOLDERS.items()
    }


def _whole(root: Path, url: str, otherwise: CorpusError) -> dict[str | None, list[Opener | None]]:
    try:
        needed = find_parts(
            root, "DailyDialog", {"text": ("dialogues_text.txt",), "emotion": ("dialogues_emotion.txt",)}, url
        )
    except CorpusError:
        raise otherwise from None
    openers: list[Opener | None] = [_file(needed["text"]), _file(needed["emotion"])]
    for name in ("dialogues_act.txt", "dialogues_topic.txt"):
        try:
            openers.append(_file(find_file(root, "DailyDialog", (name,), url)))
        except CorpusError:  # acts and topics are extras
            openers.append(None)
    return {None: openers}


def _file(path: Path) -> Opener:
    return lambda: path.open("rb")


def _member(path: Path, name: str) -> Opener:
    """One file of a zip, checked now and opened later. Raises `CorpusError`."""
    try:
        with opened_zip(path, Plan(f"DailyDialog: {path}", Limits(entries=1000))) as archive:
            infos = [info for info in archive.infolist() if info.filename.rpartition("/")[2] == name]
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise CorpusError(f"DailyDialog: {path} is no zip file that can be read ({error})") from error
    infos = [info for info in infos if not info.filename.startswith("__MACOSX")]
    if len(infos) != 1 or infos[0].file_size > _MAX_MEMBER or not _plain(infos[0]):
        raise CorpusError(f"DailyDialog: {path} needs exactly one plain file {name}; unpack it and link the folder.")
    return lambda: zipfile.ZipFile(path).open(infos[0])


def _plain(info: zipfile.ZipInfo) -> bool:
    return not info.flag_bits & 1 and info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def _opened(opener: Opener | None) -> IO[bytes]:
    return opener() if opener is not None else io.BytesIO()
