"""ECG200: 200 single heartbeats, normal or of an infarction. No emotions: a small, open set to try signals on.

Olszewski (2001), PhD thesis, Carnegie Mellon University; formatted for the UCR archive (README.md of ECG200 in the
archive of 2018: train 100, test 100, length 96, classes normal and myocardial infarction, that is ischemia). One
heartbeat a line, in one of the forms in which the archive was published:

    ECG200_TRAIN.tsv    1<TAB>0.50205548<TAB>...                      2018
    ECG200_TRAIN.txt    1.0000000e+00   5.0205548e-01 ...             timeseriesclassification.com; commas in 2015
    ECG200_TRAIN.ts     @classLabel true -1 1 / @data / 0.50205548,...:1
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import find_file, number_of, records
from corpora.labels import native_labels
from corpora.records.files import known, physio_sample, read_items
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

LENGTH = 96
_LABELS: dict[str, str | None] = {"1": None, "-1": None}  # no emotions, so no canonical ones
_FORMS = ("tsv", "txt", "ts")
_Line = bytes | PayloadError


class Ecg200:
    """`Corpus` of the two files of any form; where there are several, tsv goes before txt before ts."""

    card = CorpusCard(
        name="ecg200",
        title="ECG200",
        modality="physio",
        version="UCR 2018",
        license="LicenseRef-UCR-Archive",
        may_redistribute=False,
        url="https://www.timeseriesclassification.com/description.php?Dataset=ECG200",
        bibtex=(
            "@phdthesis{olszewski2001generalized, title={Generalized Feature Extraction for Structural Pattern "
            "Recognition in Time-Series Data}, author={Olszewski, Robert T.}, school={Carnegie Mellon University}, "
            "number={CMU-CS-01-108}, year={2001}}"
        ),
        language=None,
        split_unit="payload",
        label_map=_LABELS,
        counts=None,
        counts_source=None,
        n_subjects=None,
        n_samples=200,
        knows_subjects=False,
        official_split="ECG200_TRAIN (100) and ECG200_TEST (100) of the archive",
        sources={
            "layout": "UCR archive of 2018, ECG200: README.md and both .tsv; .ts in AutonLab/Timeseries-PILE",
            "labels": "UCR archive of 2018, ECG200/README.md: normal heartbeat, myocardial infarction; codes 1 and -1",
            "splits": "UCR archive of 2018, ECG200/README.md: train size 100, test size 100",
        },
        unverified=("subjects", "counts", "license"),
        quirks=(
            "the classes are a diagnosis, not an emotion: `emotion` is null, the code stands in `labels` (ecg200)",
            "133 beats are normal, 67 not (CRAN package DATAstudio); which code is which has no source here",
            "the unit of time is not known: the rate is 96 values a beat, and a beat counts as 1 s",
            "whose hearts beat is not known: no split by subject can be made",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: bad-row, bad-label, not-a-number, too-long-line."""
        paths = {
            split: find_file(
                root, self.card.title, [f"ECG200_{split.upper()}.{form}" for form in _FORMS], self.card.url
            )
            for split in ("train", "test")
        }
        items = (item for split, path in paths.items() for item in _lines(path, split))
        return read_items(items, corpus, lambda item, name: self._sample(item, name, corpus))

    def _sample(self, item: tuple[_Line, str], name: str, corpus: str) -> Sample:
        line, split = item
        label, values = _parse(line)
        beat = hashlib.sha256(values.tobytes()).hexdigest()[:16]
        return physio_sample(
            self.card,
            corpus,
            name.partition(".")[0].removeprefix("ECG200_").lower() + "/" + name.rpartition("#")[2],
            {"ECG": values},
            {"ECG": "a.u."},
            {"ECG": float(LENGTH)},
            group=beat,
            emotion_raw=label,
            labels=native_labels("ecg200", {label: 1.0}, _LABELS),
            extra={"path": name, "official_split": split, "time_unit": "beat"},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """ECG200_TRAIN.tsv and ECG200_TEST.tsv, half of the beats each, both codes in turn. `subjects` is not used: the
        corpus knows none. Raises `CorpusError` for less than one subject, or counts of classes: there are none."""
        from corpora.readers.fakes.signal import make_signal

        if not isinstance(per_class, int):
            raise CorpusError(f"ECG200 has no emotions, so none can be asked for: {', '.join(per_class)}")
        if subjects < 1:
            raise CorpusError(f"a fake ECG200 needs at least 1 subject, not {subjects}")
        lines: dict[str, list[str]] = {"TRAIN": [], "TEST": []}
        for nth in range(per_class):
            label = "-1" if nth % 3 == 1 else "1"
            signal = make_signal(
                "ECG",
                seconds=1.0,
                rate_hz=LENGTH,
                channels=1,
                emotion="stress" if label == "-1" else "calm",
                subject_rng=np.random.default_rng([seed, 1, nth % subjects]),
                rng=np.random.default_rng([seed, 2, nth]),
            )
            values = (signal - signal.mean()) / signal.std()
            lines["TEST" if nth % 2 else "TRAIN"].append("\t".join([label, *(f"{value:.8g}" for value in values)]))
        for split, text in lines.items():
            write_bytes(Path(root) / f"ECG200_{split}.tsv", "".join(f"{line}\n" for line in text).encode())


def _lines(path: Path, split: str) -> Iterator[tuple[tuple[_Line, str], str]]:
    """((line, split), "ECG200_TRAIN.tsv#0003"), without the header of a .ts; the number counts heartbeats from 0."""
    number, header = 0, path.suffix.lower() == ".ts"
    for line in records(path, quoted=False):
        if header and isinstance(line, bytes):
            header = not line.strip().lower().startswith(b"@data")
            continue
        yield (line, split), f"{path.name}#{number:04d}"
        number += 1


def _parse(line: _Line) -> tuple[str, np.ndarray]:
    """-> (label "1" or "-1", float32 [96]). Raises `PayloadError`: too-long-line, bad-row, bad-label, not-a-number."""
    if isinstance(line, PayloadError):
        raise line
    text = line.decode("latin-1").rstrip().lstrip(" ")
    if ":" in text:  # .ts
        body, _, label = text.rpartition(":")
        fields = [label, *body.split(",")]
    else:
        # a tab or comma parts fields even where nothing stands between two of them; only blanks may be many
        parting = next((mark for mark in ("\t", ",") if mark in text), None)
        fields = text.split(parting)
    if len(fields) != LENGTH + 1:
        raise PayloadError("bad-row", f"{len(fields)} fields, a label and {LENGTH} values are expected")
    label = f"{number_of(fields[0], 'the label'):g}"
    known(_LABELS, label, "label")
    return label, np.array([number_of(field, "a value") for field in fields[1:]], dtype=np.float32)
