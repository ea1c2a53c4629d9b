"""The six-emotion tweets of dair-ai (CARER): 20,000 short English texts, `text;emotion` a line.

Saravia et al. (2018), EMNLP. Published forms:

- `train.txt`, `val.txt`, `test.txt` (datasets/emotion/emotion.py of huggingface/datasets), one `text;emotion` a line:

      i didnt feel humiliated;sadness

- the export of the Hugging Face hub: `train-00000-of-00001.parquet`, `validation-...`, `test-...` with the columns text
  and label, 0 sadness ... 5 surprise; or the same as `train.jsonl`, `validation.jsonl`, `test.jsonl`.

Texts are in small letters without punctuation; the dataset card calls the labels machine-generated.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import find_parts, read_jsonl, read_table
from corpora.records.files import class_counts, known, printable, read_items, text_sample
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

LABELS = ("sadness", "joy", "love", "anger", "fear", "surprise")  # in the order of the numbers of the hub's export
_TEXTS = {"train": ("train.txt",), "dev": ("val.txt",), "test": ("test.txt",)}
_LINES = {"train": ("train.jsonl",), "dev": ("validation.jsonl", "val.jsonl"), "test": ("test.jsonl",)}
_PARQUET = re.compile(r"(train|validation|test)-\d{5}-of-\d{5}\.parquet")
_ROWS = 4096  # of a parquet file in memory at a time
Row = Mapping[str, Any]


class DairEmotion:
    """`Corpus` of the tweets, from text, parquet or jsonl files."""

    card = CorpusCard(
        name="dair_emotion",
        title="Emotion (dair-ai)",
        modality="text",
        version="1.0.0",
        license="LicenseRef-research-and-education",
        may_redistribute=False,
        url="https://github.com/dair-ai/emotion_dataset",
        bibtex=(
            "@inproceedings{saravia2018carer, title={{CARER}: Contextualized Affect Representations for Emotion "
            "Recognition}, author={Saravia, Elvis and Liu, Hsien-Chi Toby and Huang, Yen-Hao and Wu, Junlin and Chen, "
            "Yi-Shin}, booktitle={Proceedings of the 2018 Conference on Empirical Methods in Natural Language "
            "Processing}, pages={3687--3697}, year={2018}, doi={10.18653/v1/D18-1404}}"
        ),
        language="en",
        split_unit="payload",
        label_map={label: "happiness" if label == "joy" else label for label in LABELS},
        counts=None,
        counts_source=None,
        n_subjects=None,
        n_samples=20_000,
        knows_subjects=False,
        official_split="train 16,000, val (dev) 2,000, test 2,000",
        sources={
            "layout": "datasets/emotion/emotion.py of github.com/huggingface/datasets: three files, ';' between",
            "labels": "dataset card dair-ai/emotion of Hugging Face: sadness (0) ... surprise (5)",
            "subjects": "the files name no tweeter",
            "splits": "dataset card dair-ai/emotion of Hugging Face, Data Splits",
            "license": "README.md of github.com/dair-ai/emotion_dataset, Usage: educational and research purposes only",
        },
        unverified=("counts",),
        quirks=(
            "texts are in small letters, without punctuation",
            "labels are machine-generated (dataset card), not given by people",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of tables and texts: bad-label."""
        rows = self._rows(Path(root))
        return read_items(rows, corpus, lambda item, name: self._text(item[1], item[0], name, corpus))

    def _rows(self, root: Path) -> Iterator[tuple[tuple[str, Row | PayloadError], str]]:
        """((split, row), name) of the first form that is there. Raises `CorpusError` at once if there is none."""
        first: CorpusError | None = None
        for parts, form in ((_TEXTS, "txt"), (_LINES, "jsonl")):
            try:
                paths = find_parts(root, self.card.title, parts, self.card.url)
            except CorpusError as error:
                first = first or error
                continue
            tables: list[tuple[str, Iterator[tuple[Any, str]]]] = [
                (
                    split,
                    read_jsonl(path, self.card.title)
                    if form == "jsonl"
                    else read_table(
                        path, self.card.title, columns=("text", "label"), delimiter=";", header=False, quoted=False
                    ),
                )
                for split, path in paths.items()
            ]
            return (((split, row), name) for split, table in tables for row, name in table)
        files = self._parquet(root)
        if {split for split, _ in files} == {"train", "validation", "test"}:
            return _parquet_rows(files, self.card.title)
        raise first if first is not None else CorpusError(f"{self.card.title}: nothing in {root}")

    def _parquet(self, root: Path) -> list[tuple[str, Path]]:
        files = []
        for path in sorted(root.rglob("*.parquet")) if root.is_dir() else ():
            match = _PARQUET.fullmatch(path.name)
            if match and "unsplit" not in path.parts:
                files.append((match[1], path))
        return sorted(files, key=lambda pair: (("train", "validation", "test").index(pair[0]), pair[1]))

    def _text(self, row: Row | PayloadError, split: str, name: str, corpus: str) -> Sample:
        if isinstance(row, PayloadError):
            raise row
        text, label = row.get("text"), row.get("label")
        if isinstance(label, int) and 0 <= label < len(LABELS):
            label = LABELS[label]
        if not isinstance(text, str):
            raise PayloadError("bad-row", "no text")
        emotion = known(self.card.label_map, str(label).strip()[:40], "label")
        return text_sample(
            self.card,
            corpus,
            f"{split}_{int(name.rpartition('#')[2]):06d}",
            text,
            group=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
            emotion=emotion,
            emotion_raw=str(label).strip(),
            extra={"official_split": split, "path": name},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """`train.txt`, `val.txt`, `test.txt`. `subjects` only changes what people write about.

        Raises `CorpusError` for a negative number of subjects.
        """
        from corpora.readers.fakes.text import write_sentence

        if subjects < 0:
            raise CorpusError(f"a fake {self.card.title} needs 0 subjects or more, not {subjects}")
        native = {emotion: label for label, emotion in self.card.label_map.items() if emotion is not None}
        wanted = [emotion for emotion, count in class_counts(self.card, per_class).items() for _ in range(count)]
        files: dict[str, list[str]] = {split: [] for split in _TEXTS}
        for place, i in enumerate(np.random.default_rng([seed, 0]).permutation(len(wanted))):
            drawn = np.random.default_rng([seed, 1, int(i)])
            text = write_sentence(wanted[i], drawn, person=int(drawn.integers(max(subjects, 1)))).lower()
            text = re.sub(r"[^a-z ]", "", text)
            split = "train" if place % 10 < 8 else ("dev" if place % 10 == 8 else "test")
            files[split].append(f"i feel {text};{native[wanted[i]]}\n")
        for split, lines in files.items():
            write_bytes(Path(root) / _TEXTS[split][0], "".join(lines).encode())


def _parquet_rows(files: list[tuple[str, Path]], title: str) -> Iterator[tuple[tuple[str, Row | PayloadError], str]]:
    """Rows in batches. Raises `CorpusError` at once for a file that is no parquet or has other columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for _, path in files:
        try:
            names = pq.read_schema(path).names
        except (OSError, pa.ArrowException) as error:
            raise CorpusError(f"{title}: {path} is no parquet file ({error})") from error
        if not {"text", "label"} <= set(names):
            raise CorpusError(f"{title}: {path} has no columns text and label. Found: {', '.join(names)[:300]}")

    def rows() -> Iterator[tuple[tuple[str, Row | PayloadError], str]]:
        numbers = dict.fromkeys(("train", "dev", "test"), 0)
        for split, path in files:
            split = "dev" if split == "validation" else split
            try:
                with pq.ParquetFile(path) as table:
                    for batch in table.iter_batches(_ROWS, columns=["text", "label"]):
                        for row in batch.to_pylist():
                            yield (split, row), f"{printable(path.name)}#{numbers[split]:06d}"
                            numbers[split] += 1
            except (OSError, pa.ArrowException):
                broken = PayloadError("unreadable", "nothing after this row: the file is damaged or cut short")
                yield (split, broken), f"{printable(path.name)}#{numbers[split]:06d}"

    return rows()
