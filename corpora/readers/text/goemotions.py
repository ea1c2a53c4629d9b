"""GoEmotions: 58,009 Reddit comments, labelled by three to five people with 27 emotions or neutral, several at once.

Demszky et al. (2020), ACL. Two published forms (goemotions/README.md of google-research/google-research):

- `train.tsv`, `dev.tsv`, `test.tsv` without header: text, comma-separated ids, comment id. An id is a line of
  `emotions.txt`, from 0. Only comments and labels on which at least two raters agree:

      My favourite food is anything I didn't have to cook myself. <tab> 27 <tab> eebbqej

- `goemotions_1.csv` ... `goemotions_3.csv`, a row for each rater of each comment: text, id, author, subreddit, link_id,
  parent_id, created_utc, rater_id, example_very_unclear, then 28 columns of 0 or 1. The share of raters that chose a
  label becomes its weight. Authors' names are not passed on.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError, UnknownLabelError, UnknownNameError
from corpora.formats.tables import Row, find_parts, read_table, row_of
from corpora.labels import native_labels
from corpora.records.files import class_counts, read_items, rejected, text_sample
from corpora.records.joins import conflict, doubled, opened, settled
from corpora.records.unknown import known_text
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

# emotions.txt, in its order: label -> number of comments of the three tsv files that carry it
COUNTS = {
    "admiration": 5122,
    "amusement": 2895,
    "anger": 1960,
    "annoyance": 3093,
    "approval": 3687,
    "caring": 1375,
    "confusion": 1673,
    "curiosity": 2723,
    "desire": 801,
    "disappointment": 1583,
    "disapproval": 2581,
    "disgust": 1013,
    "embarrassment": 375,
    "excitement": 1052,
    "fear": 764,
    "gratitude": 3372,
    "grief": 96,
    "joy": 1785,
    "love": 2576,
    "nervousness": 208,
    "optimism": 1976,
    "pride": 142,
    "realization": 1382,
    "relief": 182,
    "remorse": 669,
    "sadness": 1625,
    "surprise": 1330,
    "neutral": 17772,
}
LABELS = tuple(COUNTS)
FORMS = ("auto", "splits", "raters")
_TSV = ("text", "ids", "comment")
_PARTS = {"train": ("train.tsv",), "dev": ("dev.tsv",), "test": ("test.tsv",)}
_RATERS = {"1": ("goemotions_1.csv",), "2": ("goemotions_2.csv",), "3": ("goemotions_3.csv",)}


@dataclass(slots=True)
class _Comment:
    text: str
    votes: Counter[str] = field(default_factory=Counter)
    ratings: list[dict[str, object]] = field(default_factory=list)
    raters: int = 0
    unclear: int = 0


class GoEmotions:
    """`Corpus` of GoEmotions. `form`: "splits" reads the tsv files, "raters" the csv files, "auto" what is there (the
    tsv files where both are)."""

    card = CorpusCard(
        name="goemotions",
        title="GoEmotions",
        modality="text",
        version="2020",
        license="CC-BY-4.0",
        may_redistribute=True,
        url="https://github.com/google-research/google-research/tree/master/goemotions",
        bibtex=(
            "@inproceedings{demszky2020goemotions, title={{GoEmotions: A Dataset of Fine-Grained Emotions}}, "
            "author={Demszky, Dorottya and Movshovitz-Attias, Dana and Ko, Jeongwoo and Cowen, Alan and Nemade, Gaurav "
            "and Ravi, Sujith}, booktitle={58th Annual Meeting of the Association for Computational Linguistics "
            "(ACL)}, year={2020}}"
        ),
        language="en",
        split_unit="payload",
        label_map={label: "happiness" if label == "joy" else label for label in LABELS},
        counts=COUNTS,
        counts_source="the published train.tsv, dev.tsv and test.tsv, ids counted; each label of a comment counts",
        n_subjects=None,
        n_samples=54_263,
        knows_subjects=False,
        official_split="train.tsv 43,410, dev.tsv 5,426, test.tsv 5,427 comments",
        sources={
            "layout": "goemotions/README.md of github.com/google-research/google-research, section Data",
            "labels": "goemotions/data/emotions.txt of the repository",
            "subjects": "the tsv files name no author; the csv files do (README.md), and those names are not passed on",
            "counts": "ids of the published tsv files, counted",
            "splits": "goemotions/README.md, section Data",
            "license": "README.md of github.com/google-research/google-research: datasets are CC BY 4.0",
        },
        tested_on="real",
        quirks=(
            "several labels a comment: 16 % of them have two or more",
            "emotions.txt ends without a newline",
            "texts may be the same for several comments, also across splits",
            "in the csv files a rater who marks a comment as very unclear chooses no label",
        ),
    )

    def __init__(self, form: str = "auto") -> None:
        if form not in FORMS:
            raise UnknownNameError.of("form of GoEmotions", form, FORMS)
        self.form = form

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of tables and texts: bad-label, bad-id, texts-differ, repeated-row (a
        rater's line once more), conflicting-entries (a comment twice with other labels; a rater twice for one comment
        with other labels: neither line counts).

        The form "raters" holds all comments in memory before it yields, for a comment's raters are scattered.
        """
        wanted = ("splits", "raters") if self.form == "auto" else (self.form,)
        errors: list[CorpusError] = []
        for form in wanted:
            try:
                parts = find_parts(root, "GoEmotions", _PARTS if form == "splits" else _RATERS, self.card.url)
            except CorpusError as error:
                errors.append(error)
            else:
                return self._splits(parts, corpus) if form == "splits" else self._raters(parts, corpus)
        raise errors[0]

    def _splits(self, parts: Mapping[str, Path], corpus: str) -> Iterator[Sample | Reject]:
        names = _names(parts["train"].with_name("emotions.txt"))

        def rows() -> Iterator[tuple[tuple[str, Row | PayloadError], str]]:
            tables = [
                (split, read_table(path, "GoEmotions", columns=_TSV, delimiter="\t", header=False, quoted=False))
                for split, path in parts.items()
            ]
            return (((split, row), name) for split, table in tables for row, name in table)

        def make(item: tuple[str, Row | PayloadError] | PayloadError, name: str) -> Sample:
            split, row = opened(item)
            return self._comment(row_of(row), split, names, name, corpus)

        items = settled(rows, _place, lambda item: row_of(item[1])["ids"])
        return read_items(items, corpus, make)

    def _comment(self, row: Row, split: str, names: tuple[str, ...], name: str, corpus: str) -> Sample:
        if not (len(row["comment"]) == 7 and row["comment"].isalnum()):
            raise PayloadError("bad-id", f"a comment's id has 7 letters and digits, not {row['comment'][:20]!r}")
        labels: list[str] = []
        for code in row["ids"].split(","):
            if not (code.isascii() and code.isdigit() and len(code) < 4 and int(code) < len(names)):
                raise UnknownLabelError(code, map(str, range(len(names))), "id")
            labels.append(names[int(code)])
        return text_sample(
            self.card,
            corpus,
            row["comment"],
            row["text"],
            group=_content(row["text"]),
            emotion=self.card.label_map[labels[0]] if len(labels) == 1 else None,
            emotion_raw=labels[0] if len(labels) == 1 else None,
            labels=native_labels(self.card.name, dict.fromkeys(labels, 1.0), self.card.label_map),
            extra={"official_split": split, "path": name},
        )

    def _raters(self, parts: Mapping[str, Path], corpus: str) -> Iterator[Sample | Reject]:
        columns = ("text", "id", "rater_id", "example_very_unclear", *LABELS)

        def rows() -> Iterator[tuple[Row | PayloadError, str]]:
            tables = [read_table(path, "GoEmotions", columns=columns) for path in parts.values()]
            return (pair for table in tables for pair in table)

        return self._aggregated(rows, corpus)

    def _aggregated(
        self, rows: Callable[[], Iterator[tuple[Row | PayloadError, str]]], corpus: str
    ) -> Iterator[Sample | Reject]:
        comments: dict[str, _Comment] = {}
        given: set[tuple[str, str]] = set()  # comment, rater
        twice = doubled(rows(), _rater_of, _told)
        for row, name in rows():
            try:
                key = _rater_of(row_of(row))
                if key in twice:
                    raise conflict(key, twice[key])
                if key is not None and key in given:
                    raise PayloadError("repeated-row", f"rater {key[1]} has labelled {key[0]} before")
                _add_rater(comments, row_of(row))
                given |= {key} if key is not None else set()
            except PayloadError as error:
                yield rejected(corpus, name, error)
        yield from read_items(((comment, key) for key, comment in comments.items()), corpus, self._voted(corpus))

    def _voted(self, corpus: str) -> Callable[[_Comment, str], Sample]:
        def make(comment: _Comment, key: str) -> Sample:
            agreed = [label for label, count in comment.votes.items() if count > 1]  # the tsv files' rule
            one = agreed[0] if len(agreed) == 1 else None
            weights = {label: comment.votes[label] / comment.raters for label in LABELS if comment.votes[label]}
            return text_sample(
                self.card,
                corpus,
                key,
                comment.text,
                group=_content(comment.text),
                emotion=self.card.label_map[one] if one else None,
                emotion_raw=one,
                labels=native_labels(self.card.name, weights, self.card.label_map),
                ratings=comment.ratings,
                rater_agreement=max(weights.values(), default=None),
                extra={"raters": str(comment.raters), "unclear": str(comment.unclear), "path": key},
            )

        return make

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """The three tsv files, emotions.txt and, for every tenth comment, one more with two labels (no class of its
        own). `subjects` only changes what people write about: GoEmotions knows no authors. `form` "raters" writes the
        three csv files instead, three raters a comment."""
        from corpora.readers.fakes.text import write_sentence

        counts = class_counts(self.card, per_class)
        native = {emotion: label for label, emotion in self.card.label_map.items() if emotion is not None}
        rng = np.random.default_rng([seed, 0])
        wanted = [[native[emotion]] for emotion, count in counts.items() for _ in range(count)]
        wanted += [[wanted[i][0], LABELS[(LABELS.index(wanted[i][0]) + 1) % 27]] for i in range(0, len(wanted), 10)]
        rows = []
        for i in rng.permutation(len(wanted)):
            writer = int(rng.integers(max(subjects, 1)))
            text = write_sentence(
                self.card.label_map[wanted[i][0]], np.random.default_rng([seed, 1, int(i)]), person=writer
            )
            if rng.uniform() < 0.2:
                text = f'[NAME] said: "{text}" don\'t, they’re'  # quotes are plain characters in the tsv files
            rows.append((text, wanted[i], _comment_id(seed, int(i)), writer))
        (self._write_raters if self.form == "raters" else self._write_splits)(Path(root), rows, rng)

    def _write_splits(self, root: Path, rows: list[tuple[str, list[str], str, int]], rng: np.random.Generator) -> None:
        files: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
        for place, (text, labels, key, _) in enumerate(rows):
            split = "train" if place % 10 < 8 else ("dev" if place % 10 == 8 else "test")
            ids = ",".join(str(i) for i in sorted(LABELS.index(label) for label in labels))
            files[split].append(f"{text}\t{ids}\t{key}\n")
        for split, lines in files.items():
            write_bytes(root / f"{split}.tsv", "".join(lines).encode())
        write_bytes(root / "emotions.txt", "\n".join(LABELS).encode())

    def _write_raters(self, root: Path, rows: list[tuple[str, list[str], str, int]], rng: np.random.Generator) -> None:
        import csv
        import io

        files = [io.StringIO() for _ in range(3)]
        head = ["text", "id", "author", "subreddit", "link_id", "parent_id", "created_utc", "rater_id"]
        writers = [csv.writer(file, lineterminator="\n") for file in files]
        for writer in writers:
            writer.writerow([*head, "example_very_unclear", *LABELS])
        for text, labels, key, person in rows:
            for rater in range(3):
                given = labels if rater < 2 else labels[:1] if rng.uniform() < 0.5 else []
                meta = [text, key, f"user{person}", "chess", "t3_abc", "t1_abc", "1548381039.0", rater, not given]
                writers[int(rng.integers(3))].writerow([*meta, *(int(label in given) for label in LABELS)])
        for number, file in enumerate(files, 1):
            write_bytes(root / "full_dataset" / f"goemotions_{number}.csv", file.getvalue().encode())


def _comment_id(seed: int, number: int) -> str:
    """Seven letters and digits, as published; of every number another one."""
    if number < 16**3:
        return f"e{seed % 4096:03x}{number:03x}"
    return "f" + np.base_repr(number, 36).lower().zfill(6)


def _place(item: tuple[str, Row | PayloadError]) -> tuple[str, ...] | None:
    """What names a comment, and its words."""
    row = item[1]
    return None if isinstance(row, PayloadError) else (row["comment"], row["text"])


def _content(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _names(path: Path) -> tuple[str, ...]:
    """The labels in their published order. Raises `CorpusError` for an emotions.txt of others, or in another order."""
    if not path.is_file():
        return LABELS
    with path.open("rb") as file:
        names = tuple(file.read(4096).decode("utf-8-sig", "replace").split())
    if names != LABELS:
        raise CorpusError(
            f"GoEmotions: {path} holds {', '.join(names)[:300]}; expected the 28 published labels in their order "
            f"({LABELS[0]} ... {LABELS[-1]}): an id is the place of its label. Take the published file, or remove it."
        )
    return names


def _rater_of(row: Row | PayloadError) -> tuple[str, str] | None:
    return None if isinstance(row, PayloadError) else (row["id"], row["rater_id"])


def _told(row: Row | PayloadError) -> tuple[str, ...]:
    return tuple(row_of(row)[column] for column in ("text", "example_very_unclear", *LABELS))


def _add_rater(comments: dict[str, _Comment], row: Row) -> None:
    """Adds one row of the csv files to its comment. Raises `PayloadError`: bad-label, bad-id, texts-differ."""
    if not row["id"] or not row["id"].isalnum():
        raise PayloadError("bad-id", f"id {row['id'][:20]!r}")
    if any(row[label] not in ("0", "1") for label in LABELS) or row["example_very_unclear"] not in ("True", "False"):
        raise PayloadError("bad-label", "the label columns hold 0 or 1, example_very_unclear True or False")
    comment = comments.setdefault(row["id"], _Comment(row["text"]))
    if comment.text != row["text"]:
        raise PayloadError("texts-differ", f"{row['id']} has another text in an earlier row")
    if row["example_very_unclear"] == "True":
        comment.unclear += 1
        return
    comment.raters += 1
    for label in LABELS:
        if row[label] == "1":
            comment.votes[label] += 1
            comment.ratings.append({"scheme": label, "rater": known_text(row["rater_id"]), "value": 1.0})
