"""EmpatheticDialogues: two people talk about a situation in which one of them felt one of 32 emotions.

Rashkin et al. (2019), ACL. `train.csv`, `valid.csv`, `test.csv` of empatheticdialogues.tar.gz:

    conv_id,utterance_idx,context,prompt,speaker_idx,utterance,selfeval,tags
    hit:0_conv:1,2,sentimental,I remember ...,0,Was this a friend you were in love with_comma_ or ...,5|5|5_2|2|5,

Commas in texts are written `_comma_`; a quote is a character like any other (empchat.py of the authors splits at
commas). `context` is the emotion of the speaker, who has the odd turns; the listener's turns, the even ones, have
no emotion of their own and are kept for their context.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import Row, find_parts, read_table, row_of, whole_of
from corpora.records.files import class_counts, known, read_items, spread, text_sample
from corpora.records.joins import opened, settled
from corpora.records.unknown import known_text
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

COLUMNS = ("conv_id", "utterance_idx", "context", "prompt", "speaker_idx", "utterance", "selfeval", "tags")
_PARTS = {"train": ("train.csv",), "dev": ("valid.csv",), "test": ("test.csv",)}
# the 32 emotions; what the vocabulary has no word for is None and stays in `labels`
_EMOTIONS: dict[str, str | None] = {
    "surprised": "surprise",
    "excited": "excitement",
    "angry": "anger",
    "proud": "pride",
    "sad": "sadness",
    "annoyed": "annoyance",
    "grateful": "gratitude",
    "lonely": "loneliness",
    "afraid": "fear",
    "terrified": "fear",
    "guilty": "guilt",
    "impressed": "admiration",
    "disgusted": "disgust",
    "hopeful": "hope",
    "confident": "confidence",
    "furious": "anger",
    "anxious": "anxiety",
    "anticipating": "anticipation",
    "joyful": "happiness",
    "nostalgic": "nostalgia",
    "disappointed": "disappointment",
    "prepared": None,
    "jealous": "jealousy",
    "content": "contentment",
    "devastated": "grief",
    "embarrassed": "embarrassment",
    "caring": "caring",
    "sentimental": None,
    "trusting": "trust",
    "ashamed": "shame",
    "apprehensive": "anxiety",
    "faithful": None,
}


class EmpatheticDialogues:
    """`Corpus` of EmpatheticDialogues' three csv files."""

    card = CorpusCard(
        name="empathetic_dialogues",
        title="EmpatheticDialogues",
        modality="text",
        version="2019",
        license="CC-BY-NC-4.0",
        may_redistribute=False,  # non-commercial: never pushed unasked
        url="https://github.com/facebookresearch/EmpatheticDialogues",
        bibtex=(
            "@inproceedings{rashkin2019towards, title={Towards Empathetic Open-domain Conversation Models: a New "
            "Benchmark and Dataset}, author={Rashkin, Hannah and Smith, Eric Michael and Li, Margaret and Boureau, "
            "Y-Lan}, booktitle={ACL}, year={2019}}"
        ),
        language="en",
        split_unit="dialogue",
        label_map=_EMOTIONS,
        counts=None,
        counts_source=None,
        n_subjects=None,
        official_split="train.csv, valid.csv (dev), test.csv: conversations; workers may listen in several",
        sources={
            "layout": "empchat/datasets/empchat.py of github.com/facebookresearch/EmpatheticDialogues, and train.csv",
            "labels": "column context of the published files; odd turns are the speaker's (empchat.py, reactonly)",
            "subjects": "column speaker_idx of train.csv: workers' numbers, which recur in other HITs",
            "splits": "names of the files in empatheticdialogues.tar.gz (README.md of the repository)",
            "license": "dataset card facebook/empathetic_dialogues: CC BY-NC 4.0",
        },
        unverified=("counts",),
        quirks=(
            "'_comma_' stands for a comma in all texts; read as a comma",
            "quotes are plain characters: a csv reader that honours them merges rows and finds 99,646 turns only",
            "listeners' turns have no emotion",
            "speaker_idx 4 talks in hit:2, hit:4 and hit:8, with others each time: it numbers workers, not roles",
            "terrified is fear, furious anger, apprehensive anxiety, devastated grief in the canonical words",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of tables and texts: bad-label, not-a-number, conflicting-entries (a
        turn that stands twice with two emotions)."""
        parts = find_parts(root, "EmpatheticDialogues", _PARTS, self.card.url)

        def rows() -> Iterator[tuple[tuple[str, Row | PayloadError], str]]:
            tables = [
                (split, read_table(path, "EmpatheticDialogues", columns=COLUMNS, quoted=False))
                for split, path in parts.items()
            ]
            return (((split, row), name) for split, table in tables for row, name in table)

        def make(item: tuple[str, Row | PayloadError] | PayloadError, name: str) -> Sample:
            split, row = opened(item)
            return self._turn(row_of(row), split, name, corpus)

        items = settled(rows, _place, lambda item: row_of(item[1])["context"].strip())
        return read_items(items, corpus, make)

    def _turn(self, row: Row, split: str, name: str, corpus: str) -> Sample:
        emotion = known(_EMOTIONS, row["context"].strip(), "context")
        turn = whole_of(row["utterance_idx"], "utterance_idx")
        conversation, native = row["conv_id"].strip(), row["context"].strip()
        is_speaker = turn % 2 == 1
        extra = {
            "official_split": split,
            "role": "speaker" if is_speaker else "listener",
            "context": native,
            "path": name,
        }
        extra |= {key: _commas(row[key]) for key in ("prompt", "selfeval", "tags") if row[key].strip()}
        return text_sample(
            self.card,
            corpus,
            f"{conversation}_{turn}",
            _commas(row["utterance"]),
            subject=str(whole_of(speaker, "speaker_idx")) if (speaker := known_text(row["speaker_idx"])) else None,
            group=conversation,
            session_id=f"{corpus}:{conversation}",
            turn=turn,
            emotion=emotion if is_speaker else None,
            emotion_raw=native if is_speaker else None,
            # in the native words too: three of the 32 have no other place
            labels=[{"scheme": self.card.name, "label": native, "weight": 1.0}] if is_speaker else (),
            extra=extra,
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """The three csv files: conversations of up to three turns of the speaker, and the listener's between.

        Raises `CorpusError` for less than two subjects: it takes two to talk.
        """
        from corpora.readers.fakes.text import write_sentence

        if subjects < 2:
            raise CorpusError(f"a fake EmpatheticDialogues needs at least 2 subjects, not {subjects}")
        rng = np.random.default_rng([seed, 0])
        workers = [str(i) for i in range(subjects)]
        native = {emotion: word for word, emotion in reversed(_EMOTIONS.items()) if emotion is not None}
        counts: dict[tuple[str, str], int] = {}
        for emotion, worker in spread(class_counts(self.card, per_class), workers, rng):
            counts[emotion, worker] = counts.get((emotion, worker), 0) + 1
        files = {split: [",".join(COLUMNS)] for split in _PARTS}
        number = 0
        for (emotion, worker), count in counts.items():
            while count > 0:
                n_told = min(count, int(rng.integers(1, 4)))
                count -= n_told
                partner = str((int(worker) + 1 + int(rng.integers(subjects - 1))) % subjects)
                split = ("train", "train", "train", "train", "dev", "train", "train", "train", "train", "test")[
                    number % 10
                ]
                prompt = write_sentence(emotion, np.random.default_rng([seed, 1, number]), person=int(worker))
                for turn in range(1, 2 * n_told + 1):
                    who, feels = (worker, emotion) if turn % 2 else (partner, None)
                    drawn = np.random.default_rng([seed, 2, number, turn])
                    text = f'{write_sentence(feels, drawn, person=int(who))} Oh, "well"'
                    fields = [f"hit:{number // 2}_conv:{number}", str(turn), native[emotion], prompt, who, text]
                    line = ",".join(field.replace(",", "_comma_") for field in [*fields, "5|5|5_2|2|5", ""])
                    files[split].append(line)
                number += 1
        for split, lines in files.items():
            write_bytes(Path(root) / _PARTS[split][0], ("\n".join(lines) + "\n").encode())


def _place(item: tuple[str, Row | PayloadError]) -> tuple[str, ...] | None:
    """What names a turn, and its words."""
    row = item[1]
    if isinstance(row, PayloadError):
        return None
    return (row["conv_id"].strip(), row["utterance_idx"].strip(), row["utterance"])


def _commas(text: str) -> str:
    return text.replace("_comma_", ",")
