"""SemEval-2018 Task 1, subtask E-c: tweets, each with any of eleven emotions or none.

Mohammad et al. (2018), SemEval. A tab-separated file for each language and split, with header (README.txt of
SemEval2018-Task1-all-data.zip; example: first line of train):

    2018-E-c-En-train.txt, 2018-E-c-En-dev.txt, 2018-E-c-En-test-gold.txt (2018-E-c-En-test.txt came without labels)
    ID <tab> Tweet <tab> anger <tab> anticipation <tab> disgust <tab> fear <tab> joy <tab> love <tab> optimism <tab> ...
    2017-En-21441 <tab> "Worry is a down payment on a problem you may never have'. ... <tab> 0 <tab> 1 <tab> 0 ...

A row of zeros is "neutral or no emotion".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError, UnknownNameError
from corpora.formats.tables import Row, find_file, read_table, row_of
from corpora.labels import native_labels
from corpora.records.files import class_counts, read_items, text_sample
from corpora.records.joins import opened, settled
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

LABELS = (
    "anger",
    "anticipation",
    "disgust",
    "fear",
    "joy",
    "love",
    "optimism",
    "pessimism",
    "sadness",
    "surprise",
    "trust",
)
NEUTRAL = "neutral"
_COLUMNS = ("ID", "Tweet", *LABELS)
_LANGUAGES = {"en": ("En", 10_983), "ar": ("Ar", 4381), "es": ("Es", 7094)}


class SemEval2018Ec:
    """`Corpus` of the tweets of one `language`: "en", "ar" or "es"."""

    card = CorpusCard(
        name="semeval2018_ec",
        title="SemEval-2018 E-c",
        modality="text",
        version="2018",
        license="LicenseRef-SemEval2018-Task1",
        may_redistribute=False,  # "Do not redistribute the data."
        url="https://competitions.codalab.org/competitions/17751",
        bibtex=(
            "@InProceedings{SemEval2018Task1, author={Mohammad, Saif M. and Bravo-Marquez, Felipe and Salameh, "
            "Mohammad and Kiritchenko, Svetlana}, title={SemEval-2018 {T}ask 1: {A}ffect in Tweets}, "
            "booktitle={Proceedings of International Workshop on Semantic Evaluation (SemEval-2018)}, address={New "
            "Orleans, LA, USA}, year={2018}}"
        ),
        language="en",
        split_unit="payload",
        label_map={**{label: "happiness" if label == "joy" else label for label in LABELS}, NEUTRAL: "neutral"},
        counts=None,
        counts_source=None,
        n_subjects=None,
        n_samples=10_983,
        knows_subjects=False,
        official_split="English: train 6,838, dev 886, test 3,259; Arabic 2,278, 585, 1,518; Spanish 3,561, 679, 2,854",
        sources={
            "layout": "datasets/sem_eval_2018_task_1 of huggingface/datasets; first lines of 2018-E-c-En-train.txt",
            "labels": "Mohammad et al. (2018): 'neutral or no emotion' or any of eleven; columns of the files",
            "subjects": "the files name no tweeter",
            "splits": "dataset card sem_eval_2018_task_1 of Hugging Face, Data Splits",
            "license": "README.txt of SemEval2018-Task1-all-data.zip, Terms of Use: do not redistribute the data",
        },
        unverified=("counts",),
        access="open download; cite the paper, do not pass the data on",
        quirks=(
            "'\\n' in a tweet is a backslash and an n; '&amp;' and the like are not decoded",
            "the test file without labels is read as it is: its tweets have no emotion",
            "a tweet stands in the test file of the competition and in the one with gold labels: the gold one is read",
        ),
    )

    def __init__(self, language: str = "en") -> None:
        if language not in _LANGUAGES:
            raise UnknownNameError.of("language of SemEval-2018 E-c", language, _LANGUAGES)
        self._code, n_samples = _LANGUAGES[language]
        self.card = replace(self.card, language=language, n_samples=n_samples)

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of tables and texts: bad-label, bad-id, conflicting-entries (a tweet
        that stands twice with other labels)."""
        stem = f"2018-E-c-{self._code}"
        names = {
            "train": [f"{stem}-train.txt"],
            "dev": [f"{stem}-dev.txt"],
            "test": [f"{stem}-test-gold.txt", f"{stem}-test.txt"],
        }
        title = self.card.title
        parts = {split: find_file(root, title, choices, self.card.url) for split, choices in names.items()}

        def rows() -> Iterator[tuple[tuple[str, Row | PayloadError], str]]:
            tables = [
                (split, read_table(path, title, columns=_COLUMNS, delimiter="\t", quoted=False))
                for split, path in parts.items()
            ]
            return (((split, row), name) for split, table in tables for row, name in table)

        def make(item: tuple[str, Row | PayloadError] | PayloadError, name: str) -> Sample:
            split, row = opened(item)
            return self._tweet(row_of(row), split, name, corpus)

        items = settled(rows, _place, lambda item: _marks(row_of(item[1])))
        return read_items(items, corpus, make)

    def _tweet(self, row: Row, split: str, name: str, corpus: str) -> Sample:
        key = row["ID"].strip()
        if not key or len(key) > 40:
            raise PayloadError("bad-id", f"ID {key[:20]!r}")
        marks = _marks(row)
        if any(mark not in ("0", "1") for mark in marks) and set(marks) != {"NONE"}:
            raise PayloadError("bad-label", f"the label columns hold 0 or 1, found {', '.join(marks)[:60]}")
        labels = [label for label, mark in zip(LABELS, marks, strict=True) if mark == "1"]
        if not labels and "0" in marks:
            labels = [NEUTRAL]
        one = labels[0] if len(labels) == 1 else None
        return text_sample(
            self.card,
            corpus,
            key,
            row["Tweet"],
            group=hashlib.sha256(row["Tweet"].encode("utf-8", "surrogatepass")).hexdigest(),
            emotion=self.card.label_map[one] if one else None,
            emotion_raw=one,
            labels=native_labels(self.card.name, dict.fromkeys(labels, 1.0), self.card.label_map),
            extra={"official_split": split, "path": name},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """The three files (test with gold labels): one label a tweet, and for every tenth one more tweet with two.

        `subjects` only changes what people write about. Raises `CorpusError` for a negative number.
        """
        from corpora.readers.fakes.text import write_sentence

        if subjects < 0:
            raise CorpusError(f"a fake {self.card.title} needs 0 subjects or more, not {subjects}")
        native = {emotion: label for label, emotion in self.card.label_map.items() if emotion is not None}
        counts = class_counts(self.card, per_class)
        wanted = [{native[emotion]} for emotion, count in counts.items() for _ in range(count)]
        first = [next(iter(labels)) for labels in wanted]
        more = [label if label != NEUTRAL else "joy" for label in first[::10]]
        first += more
        wanted += [{label, LABELS[(LABELS.index(label) + 1) % len(LABELS)]} for label in more]
        rng = np.random.default_rng([seed, 0])
        files = {"train": ["\t".join(_COLUMNS)], "dev": ["\t".join(_COLUMNS)], "test-gold": ["\t".join(_COLUMNS)]}
        for place, i in enumerate(rng.permutation(len(wanted))):
            drawn = np.random.default_rng([seed, 1, int(i)])
            text = write_sentence(self.card.label_map[first[i]], drawn, person=int(drawn.integers(max(subjects, 1))))
            text = f"@someone {text} &amp; \\n “#tag" if place % 3 == 0 else f"{text} \"5' #tag"
            split = "train" if place % 10 < 7 else ("dev" if place % 10 == 7 else "test-gold")
            marks = [str(int(label in wanted[i])) for label in LABELS]
            files[split].append("\t".join([f"2017-{self._code}-{20000 + int(i)}", text, *marks]))
        for split, lines in files.items():
            name = f"2018-E-c-{self._code}-{split}.txt"
            write_bytes(Path(root) / name, ("\n".join(lines) + "\n").encode())


def _marks(row: Row) -> tuple[str, ...]:
    return tuple(row[label].strip() for label in LABELS)


def _place(item: tuple[str, Row | PayloadError]) -> tuple[str, ...] | None:
    """What names a tweet, and its words."""
    row = item[1]
    return None if isinstance(row, PayloadError) else (row["ID"].strip(), row["Tweet"])
