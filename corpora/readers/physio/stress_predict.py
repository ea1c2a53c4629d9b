"""Stress-Predict: volunteers with an Empatica E4 at the wrist through three stressful tasks with rests between.

Iqbal et al. (2022), Sensors 22(21):8135. Layout: README.md of github.com/italha-d/Stress-Predict-Dataset; files of the
E4: `info.txt` in each folder (line 1 start in Unix seconds UTC, line 2 rate in Hz, then values):

    Raw_data/S02/{ACC,BVP,EDA,HR,IBI,TEMP}.csv, info.txt, tags_S02.csv
    Processed_data/Improved_All_Combined_hr_rsp_binary.csv     Participant,HR,respr,Time(sec),Label: a row a second

A sample is a stretch of seconds of one label. Label 1 is the time of a task (Stroop, interview, hyperventilation),
label 0 all the rest of the recording: consent, questionnaires, baseline and the rests (README: "nonstress/baseline").
So 0 is read as neutral: nobody was asked how they felt, and a rest begins while the stress of the task fades.
All 34 labelled participants have the stretches 0 1 0 1 0 1 0, whose borders are the button presses in `tags_S02.csv`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import Row, find_file, number_of, read_table, row_of
from corpora.formats.trial_csv import Table, one_line_end, read_numbers
from corpora.records.files import class_counts, known, physio_sample, read_file, read_items, spread
from corpora.records.joins import Entries, conflict
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_EMOTIONS = {"0": "neutral", "1": "stress"}
_COLUMNS = ("Participant", "HR", "respr", "Time(sec)", "Label")
_TABLE = "Improved_All_Combined_hr_rsp_binary.csv"
_TASKS = ("baseline", "stroop", "rest", "interview", "rest", "hyperventilation", "rest")  # header of Time_logs.xlsx
_SIGNALS = {"ACC": 3, "BVP": 1, "EDA": 1, "HR": 1, "TEMP": 1}  # columns
_UNITS = {"ACC": "1/64 g", "BVP": "a.u.", "EDA": "µS", "HR": "1/min", "TEMP": "°C"}
_RATES_HZ = {"ACC": 32.0, "BVP": 64.0, "EDA": 4.0, "HR": 1.0, "TEMP": 4.0}  # of the E4; read from the files
_MAX_BYTES = 64 * 2**20  # four days of BVP
_MISSING_S = 10.0  # recordings end up to 4 s before the labels do, HR begins 1 s after them
_FOLDER = re.compile(r"S(\d\d)")


@dataclass(frozen=True, slots=True)
class _Stretch:
    participant: int
    number: int  # from 1 within the participant
    label: str
    start: int  # Unix seconds
    stop: int
    origin: int  # first second that is labelled
    task: str | None


class StressPredict:
    """`Corpus` of the raw exports that the table of labels speaks of. IBI.csv is left out: it has no rate."""

    card = CorpusCard(
        name="stress_predict",
        title="Stress-Predict",
        modality="physio",
        version="2022",
        license="MIT",
        may_redistribute=False,
        url="https://github.com/italha-d/Stress-Predict-Dataset",
        bibtex=(
            "@article{iqbal2022stress, title={Stress Monitoring Using Wearable Sensors: A Pilot Study and "
            "Stress-Predict Dataset}, author={Iqbal, Talha and Simpkin, Andrew J. and Roshan, Davood and Glynn, Nicola "
            "and Killilea, John and Walsh, Jane and Molloy, Gerard and Ganly, Sandra and Ryman, Hannah and Coen, "
            "Eileen and Elahi, Adnan and Wijns, William and Shahzad, Atif}, journal={Sensors}, volume={22}, "
            "number={21}, pages={8135}, year={2022}, doi={10.3390/s22218135}}"
        ),
        language=None,
        split_unit="subject",
        label_map=_EMOTIONS,
        counts={"0": 136, "1": 102},
        counts_source="stretches of one label in Processed_data/Improved_All_Combined_hr_rsp_binary.csv",
        n_subjects=34,
        n_samples=238,
        sources={
            "layout": "README.md of the repository, section Dataset Files; info.txt beside the signals",
            "labels": "README.md of the repository: label for nonstress/baseline and 1 for stress task duration",
            "subjects": "participants 2 to 35 of the table of labels (Iqbal et al. 2022 had 35 volunteers)",
            "counts": "the table of labels in Processed_data, its stretches of one label counted",
        },
        unverified=("splits", "license"),
        tested_on="real",
        quirks=(
            "participant 1 has no labels, and of the signals BVP only",
            "label 0 holds consent, questionnaires, baseline and rests alike",
            "tags of S06 lack the first two presses; its labels come from the time log, to the minute",
            "the clock of the table is 1 s behind the first value of HR.csv; signals end up to 4 s before the labels",
            "IBI.csv is not read: beats that were not found leave gaps, so it has no rate",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs: those of tables, bad-label, conflicting-entries (a second with two labels),
        no-recording, no-labels, bad-header, not-a-number, truncated, missing-values.

        Raises `CorpusError` as well for two folders of one participant."""
        table = find_file(root, self.card.title, [_TABLE], self.card.url)
        folders: dict[int, Path] = {}
        for path in sorted(Path(root).rglob("BVP.csv")):
            if _FOLDER.fullmatch(path.parent.name):
                other = folders.setdefault(int(path.parent.name[1:]), path.parent)
                if other != path.parent:
                    raise CorpusError(
                        f"{self.card.title}: {other} and {path.parent} are both of one participant; keep the right one."
                    )
        if not folders:
            raise CorpusError(f"{self.card.title}: {root} holds no folder like Raw_data/S02 with a BVP.csv in it.")
        rows = read_table(table, self.card.title, columns=_COLUMNS, quoted=False)
        return self._read(rows, table.name, folders, corpus)

    def _read(
        self, rows: Iterator[tuple[Row | PayloadError, str]], name: str, folders: Mapping[int, Path], corpus: str
    ) -> Iterator[Sample | Reject]:
        stretches, rejects = _stretches(rows, corpus)
        yield from rejects
        labelled = {stretch.participant for stretch in stretches}
        for participant in sorted(labelled - set(folders)):
            yield Reject(corpus, f"Raw_data/S{participant:02d}", "no-recording", f"labelled in {name}, no folder")
        for participant in sorted(set(folders) - labelled):
            yield Reject(corpus, f"Raw_data/S{participant:02d}", "no-labels", f"no rows in {name}")
        last: tuple[int, _Recording | None] = (-1, None)  # one at a time: memory stays flat

        def make(stretch: _Stretch, where: str) -> Sample:
            nonlocal last
            if last[0] != stretch.participant:
                last = (stretch.participant, _Recording(folders[stretch.participant]))
            assert last[1] is not None
            return self._sample(stretch, last[1], where, corpus)

        known_ones = [stretch for stretch in stretches if stretch.participant in folders]
        yield from read_items([(s, f"Raw_data/S{s.participant:02d}#{s.number}") for s in known_ones], corpus, make)

    def _sample(self, stretch: _Stretch, recording: _Recording, where: str, corpus: str) -> Sample:
        arrays, rates, start, stop = recording.cut(stretch.start, stretch.stop)
        subject = f"S{stretch.participant:02d}"
        extra = {"path": where} | ({"task": stretch.task} if stretch.task else {})
        return physio_sample(
            self.card,
            corpus,
            f"{subject}/{stretch.number}",
            arrays,
            _UNITS,
            rates,
            subject=subject,
            session_id=f"{corpus}:{subject}",
            emotion=_EMOTIONS[stretch.label],
            emotion_raw=stretch.label,
            t_start_s=float(start - stretch.origin),
            t_end_s=float(stop - stretch.origin),
            extra=extra,
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """Folders Raw_data/S02 ... and the table of labels: stretches of 20 s, tasks and rests in turn where the counts
        allow, else with a pause of 5 s between two of one label. Raises `CorpusError` outside 1 ... 34 subjects."""
        if not 1 <= subjects <= 34:
            raise CorpusError(f"a fake Stress-Predict needs 1 to 34 subjects, not {subjects}")
        names = [f"S{number:02d}" for number in range(2, subjects + 2)]
        plan: dict[str, dict[str, int]] = {name: {"0": 0, "1": 0} for name in names}
        labels = {emotion: label for label, emotion in _EMOTIONS.items()}
        for emotion, subject in spread(class_counts(self.card, per_class), names, np.random.default_rng([seed, 0])):
            plan[subject][labels[emotion]] += 1
        lines = [",".join(_COLUMNS)]
        for number, subject in enumerate(names, 2):
            if sum(plan[subject].values()):
                lines += _fake_subject(Path(root) / "Raw_data" / subject, number, plan[subject], seed)
        write_bytes(Path(root) / "Processed_data" / _TABLE, "".join(f"{line}\r\n" for line in lines).encode())


def _stretches(rows: Iterator[tuple[Row | PayloadError, str]], corpus: str) -> tuple[list[_Stretch], list[Reject]]:
    """Rows of seconds, in any order -> contiguous stretches of one label, and the rows that cannot be read or give a
    second another label than another row does."""
    seconds: dict[int, Entries[int, int]] = {}  # participant -> second -> label
    rejects = []
    for row, name in rows:
        try:
            fields = row_of(row)
            participant, second = (int(number_of(fields[key], key)) for key in ("Participant", "Time(sec)"))
            label = int(known({"0": 0, "1": 1}, fields["Label"].strip(), "Label"))
        except PayloadError as error:
            rejects.append(Reject(corpus, name, error.reason, error.detail))
            continue
        seconds.setdefault(participant, Entries()).add(second, label, name)
    runs: list[list[int]] = []  # participant, label, first second, second after the last
    for participant in sorted(seconds):
        times = seconds[participant]
        for second, names in times.doubled.items():
            twice = conflict(f"second {second} of participant {participant}", names)
            rejects += [Reject(corpus, name, twice.reason, twice.detail) for name in names]
        for second in sorted(times):
            if second in times.doubled:
                continue
            label = times[second]
            if runs and runs[-1][:2] == [participant, label] and runs[-1][3] == second:
                runs[-1][3] += 1
            else:
                runs.append([participant, label, second, second + 1])
    stretches: list[_Stretch] = []
    for participant in dict.fromkeys(run[0] for run in runs):
        own = [run for run in runs if run[0] == participant]
        whole = [run[1] for run in own] == [0, 1, 0, 1, 0, 1, 0]
        for number, (_, label, start, stop) in enumerate(own, 1):
            task = _TASKS[number - 1] if whole else None
            stretches.append(_Stretch(participant, number, str(label), start, stop, own[0][2], task))
    return stretches, rejects


class _Recording:
    """The signals of one folder, read when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._signals: dict[str, tuple[float, float, np.ndarray]] | None = None

    def cut(self, start: int, stop: int) -> tuple[dict[str, np.ndarray], dict[str, float], float, float]:
        """Unix seconds -> (arrays, rates, first and last second that all signals cover).

        Raises `PayloadError`: truncated (more than 10 s of the stretch were not recorded), missing-values (a gap in
        it), or as `_read_e4` does.
        """
        if self._signals is None:
            self._signals = {name: _read_e4(self._folder / f"{name}.csv", count) for name, count in _SIGNALS.items()}
        first, last = float(start), float(stop)
        for begin, rate_hz, values in self._signals.values():
            first, last = max(first, np.ceil(begin)), min(last, np.floor(begin + len(values) / rate_hz))
        if first - start + stop - last > _MISSING_S or first >= last:
            missing = min(first - start + stop - last, stop - start)
            raise PayloadError("truncated", f"of {stop - start} s, {missing:.0f} s are not in all of the signals")
        arrays = {}
        for name, (begin, rate_hz, values) in self._signals.items():
            low = round((first - begin) * rate_hz)
            arrays[name] = values[low : low + round((last - first) * rate_hz)]
            gone = np.isnan(arrays[name]).reshape(len(arrays[name]), -1)
            if gone.any():
                at = int(gone.any(axis=1).argmax()) / rate_hz
                raise PayloadError("missing-values", f"{int(gone.sum())} values of {name!r}, the first at {at:g} s")
        return arrays, {name: signal[1] for name, signal in self._signals.items()}, first, last


def _read_e4(path: Path, columns: int) -> tuple[float, float, np.ndarray]:
    """One csv of the E4 -> (start in Unix seconds, rate in Hz, float32 [n] or [n, columns]). A line is a moment: what
    is missing in it, or all of it, is NaN.

    Raises `PayloadError`: unreadable, too-large, bad-header, not-a-number, empty.
    """
    lines = one_line_end(read_file(path, _MAX_BYTES)).split(b"\n", 2)
    start, rate_hz = (_header(line, columns, path.name) for line in [*lines, b""][:2])
    if not (rate_hz == _RATES_HZ[path.stem] and 0 <= start < 1e11):
        raise PayloadError("bad-header", f"{path.name}: start {start:g}, rate {rate_hz:g} Hz")
    if len(lines) < 3 or not lines[2].strip():
        raise PayloadError("empty", f"{path.name} has a header and no values")
    names = tuple("xyz"[:columns])
    try:
        numbers = read_numbers(Table(names, ",", lines[2]), names)
    except PayloadError as error:
        raise PayloadError("not-a-number", f"{path.name}: {error.detail}") from None
    values = np.stack([numbers[name] for name in names], axis=1).astype(np.float32)
    return start, rate_hz, values[:, 0] if columns == 1 else values


def _header(line: bytes, columns: int, name: str) -> float:
    """A line of the header: one number, as often as there are columns. Raises `PayloadError` bad-header."""
    fields = line.decode("latin-1").split(",")
    if len(fields) != columns or len({field.strip() for field in fields}) > 1:
        raise PayloadError("bad-header", f"{name}: {line[:60].decode('latin-1')!r}; one number {columns} times")
    try:
        return float(fields[0])
    except ValueError:
        raise PayloadError("bad-header", f"{name}: {fields[0][:40]!r} is no number") from None


def _fake_subject(folder: Path, number: int, counts: Mapping[str, int], seed: int) -> list[str]:
    """Writes one folder of the E4; -> rows of the table of labels."""
    from corpora.readers.fakes.signal import make_signal

    seconds, pause, lead, origin = 20, 5, 9, 1644227583 + 86400 * number
    longer, shorter = sorted(counts, key=lambda label: (-counts[label], label))
    rests = [longer] * counts[longer]
    order = [label for pair in zip(rests, [shorter] * counts[shorter], strict=False) for label in pair]
    order += rests[counts[shorter] :]
    rows, tags, at = [], [], origin
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in _SIGNALS}
    for nth, label in enumerate(order):
        gap = pause if nth and order[nth - 1] == label else 0
        before = gap if nth else lead
        for name, columns in _SIGNALS.items():
            wave = make_signal(
                {"HR": "TEMP"}.get(name, name),
                seconds=before + seconds,
                rate_hz=_RATES_HZ[name],
                channels=columns,
                emotion=_EMOTIONS[label],
                subject_rng=np.random.default_rng([seed, 1, number]),
                rng=np.random.default_rng([seed, 2, number, nth, len(name), ord(name[0])]),
            )
            pieces[name].append(np.round(wave * 64) if name == "ACC" else wave)
        at += gap
        tags.append(at)
        rows += [f"{number},80,15.5,{at + second},{label}" for second in range(seconds)]
        at += seconds
    for name, parts in pieces.items():
        values = np.concatenate(parts)
        if name == "HR":
            values = (values - 33.0) * 5 + 75.0
            values = values[lead + 1 :]  # the E4 needs 10 s for its first heart rate
        start = f"{origin - lead + (lead + 1 if name == 'HR' else 0):.6f}"
        columns = _SIGNALS[name]
        out = io.StringIO()
        out.write(", ".join([start] * columns) + "\n" + ", ".join([f"{_RATES_HZ[name]:.6f}"] * columns) + "\n")
        np.savetxt(out, values, fmt="%d" if name == "ACC" else "%.2f" if name != "EDA" else "%.6f", delimiter=",")
        write_bytes(folder / f"{name}.csv", out.getvalue().encode())
    write_bytes(folder / "IBI.csv", f"{origin - lead}.000000, IBI\n12.500000,0.750000\n".encode())
    write_bytes(folder / f"tags_{folder.name}.csv", "".join(f"{tag}\r\n" for tag in tags[1:]).encode())
    write_bytes(folder / "info.txt", b".csv files in this archive are in the following format:\n")
    return rows
