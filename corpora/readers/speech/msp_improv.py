"""MSP-IMPROV: six pairs of student actors improvise scenes around 20 target sentences; turns are rated by crowds.

Busso et al. (2017), IEEE Transactions on Affective Computing 8(1). Names and the evaluation file are described by those
who read the release (Strong-AI-Lab/emotion, datasets/MSP-IMPROV/process.py, and others alike):

    Audio/session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav    sentence 01, intended emotion A, actress of session 1,
                                                            scenario P, direction FM, turn 01
    Evalution.txt (so spelled in the release)               a turn's line, its raters' lines, a blank line:
        UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3.000000; V:3.500000; D:3.000000 ; N:4.200000;
        P01-A1; Neutral; Concerned, Other (please specify); A:3.000000; V:3.000000; D:3.000000; N:4.000000;

A, V, D, N: activation, valence, dominance, naturalness, 1 to 5. Activation runs from 1, the most active, to 5:
`arousal` of a record has the sign changed, `ratings` hold activation as it stands. The split unit is the session: its
two speakers talk to each other in every scene.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import find_file
from corpora.labels import rescale
from corpora.readers.speech.iemocap_turns import lines_of
from corpora.records.files import (
    class_counts,
    known,
    named_files,
    printable,
    read_file,
    read_items,
    read_wav,
    speech_sample,
    spread,
)
from corpora.records.joins import Entries, doubled_files, once
from corpora.records.raters import agreement, rating, vote
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_LABELS = {"A": "anger", "S": "sadness", "H": "happiness", "N": "neutral", "O": None, "X": None}
_WORDS = {"A": "Angry", "S": "Sad", "H": "Happy", "N": "Neutral", "O": "Other"}  # of the raters
_DIMENSIONS = {"A": "activation", "V": "valence", "D": "dominance", "N": "naturalness"}
_EVALUATIONS = ("Evalution.txt", "Evaluation.txt")
_EXAMPLE = "MSP-IMPROV-S01A-F01-P-FM01.wav"
_FILE = re.compile(r"MSP-IMPROV-S\d\d[AHSN]-[FM]\d\d-[A-Z]-[FM]{2}\d+\.wav$", re.IGNORECASE)
_NAME = re.compile(r"MSP-IMPROV-S(\d\d)([AHSN])-(([FM])(\d\d))-([A-Z])-([FM]{2})(\d+)")
_VALUE = r"\s*(\d+(?:\.\d+)?|NaN)\s*"
_FOUR = rf"A:{_VALUE};\s*V:{_VALUE};\s*D:{_VALUE};\s*N:{_VALUE};?\s*"
_HEAD = re.compile(rf"UTD-IMPROV-(\S+?)\.avi;\s*([A-Z]);\s*{_FOUR}")
_RATER = re.compile(rf"([^;]+);\s*([A-Za-z]+);(.*);\s*{_FOUR}")
_TURN = re.compile(r"IMPROV-(S\d\d[AHSN]-[FM]\d\d-[A-Z]-[FM]{2}\d+)")
_EXPECTED = "UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3.0; V:3.5; D:3.0; N:4.2;"
_MAX_TXT = 64 * 2**20


@dataclass
class _Rated:
    label: str
    means: dict[str, float]
    words: dict[str, list[str]] = field(default_factory=dict)
    numbers: dict[str, dict[str, float]] = field(default_factory=dict)
    unread: int = 0  # raters' lines that cannot be read, or are a rater's second one and say something else


class MspImprov:
    """`Corpus` of MSP-IMPROV's turns; the folder that holds Evalution.txt and the sessions."""

    card = CorpusCard(
        name="msp_improv",
        title="MSP-IMPROV",
        modality="speech",
        version="1.0",
        license="LicenseRef-MSP-IMPROV",
        may_redistribute=False,
        url="https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html",
        bibtex=(
            "@article{busso2017mspimprov, title={MSP-IMPROV: An Acted Corpus of Dyadic Interactions to Study Emotion "
            "Perception}, author={Busso, Carlos and Parthasarathy, Srinivas and Burmania, Alec and AbdelWahab, "
            "Mohammed and Sadoughi, Najmeh and Provost, Emily Mower}, journal={IEEE Transactions on Affective "
            "Computing}, volume={8}, number={1}, pages={67--80}, year={2017}, doi={10.1109/TAFFC.2016.2515617}}"
        ),
        language="en",
        split_unit="session",
        label_map=_LABELS,
        counts={"A": 792, "S": 885, "H": 2644, "N": 3477, "O": 85, "X": 555},
        counts_source=(
            "Busso et al. (2017), tables 3 and 4, sums over the four conditions (652 target-improvised, 620 "
            "target-read, 4381 other-improvised and 2785 natural turns)"
        ),
        n_subjects=12,
        n_samples=8438,
        dimensions=dict.fromkeys(("valence", "arousal", "dominance"), (1.0, 5.0)),
        sources={
            "layout": "Strong-AI-Lab/emotion, datasets/MSP-IMPROV/process.py (file tree, lines of the evaluation file)",
            "labels": "Strong-AI-Lab/emotion, datasets/MSP-IMPROV/process.py; Busso et al. (2017), table 4",
            "subjects": "ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html: six dyad sessions, 12 actors",
            "counts": "Busso et al. (2017), tables 3 and 4",
            "splits": "none is published; usual is to leave one session (or speaker) out",
        },
        unverified=("license",),
        access="ask the MSP lab of UT Dallas; an agreement is signed",
        quirks=(
            "activation is rated from 1 (most active) to 5: turned round in arousal, as it stands in ratings",
            "the label file is called Evalution.txt, and names .avi films UTD-IMPROV-... for wav files MSP-IMPROV-...",
            "X: raters did not agree; O: another emotion. Both have no emotion here, votes are in ratings",
            "a rater may stand twice under one turn, as a copy: one is kept, and none where the two differ",
            "raters' lines that cannot be read are left out and counted in extra.unread_ratings",
            "scenario letters P, R, S, T are kept as they are: no source at hand tells them apart",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of wav files: not-of-this-corpus, no-label (a turn that the evaluation
        file does not name), missing-file (one that is rated and not there), bad-header (a line that should begin a
        turn: what follows is nobody's), conflicting-entries (a turn that is rated twice, or two sounds of one name),
        bad-label, rating-out-of-range, repeated-name."""
        files = [
            (path, name)
            for path, name in named_files(root, self.card, _FILE, _EXAMPLE)
            if path.suffix.lower() == ".wav"  # films may lie beside
        ]
        rated, lost = _evaluations(find_file(root, self.card.title, _EVALUATIONS, self.card.url), self.card.title)
        there = {path.stem for path, _ in files}
        alike = doubled_files(files, lambda path: path.stem)
        items: list[tuple[Path | PayloadError | None, str]] = [
            *files,
            *((None, name) for name in rated if name not in there),
            *lost,
        ]

        def make(item: Path | PayloadError | None, name: str) -> Sample:
            if isinstance(item, PayloadError):
                raise item
            if item is not None:
                once(alike, item.stem)
            return self._sample(item, name, corpus, rated)

        return read_items(items, corpus, make)

    def _sample(self, path: Path | None, name: str, corpus: str, rated: Entries[str, _Rated | PayloadError]) -> Sample:
        if path is None:
            if isinstance(evaluation := rated[name], PayloadError):
                raise evaluation
            raise PayloadError("missing-file", f"{name} is rated, and no {name}.wav is there")
        match = _NAME.fullmatch(path.stem)
        if match is None:
            raise PayloadError("not-of-this-corpus", f"the name is not of the form {_EXAMPLE}")
        sentence, intended, speaker, gender, session, scenario, direction, turn = match.groups()
        if path.stem not in rated:
            raise PayloadError("no-label", f"the evaluation file does not name {path.stem}")
        evaluation = rated[path.stem]
        if isinstance(evaluation, PayloadError):
            raise evaluation
        emotion = known(_LABELS, evaluation.label, "label")
        means = {  # NaN: nobody rated it
            which: rescale(value, (1.0, 5.0), which)
            for which, value in evaluation.means.items()
            if which != "naturalness" and not np.isnan(value)
        }
        active = means.get("activation")
        payload, header = read_wav(path)
        return speech_sample(
            self.card,
            corpus,
            path.stem,
            payload,
            header,
            subject=speaker,
            group=f"session{int(session)}",
            session_id=f"{corpus}:session{int(session)}",
            turn=int(turn),
            emotion=emotion,
            emotion_raw=evaluation.label,
            valence=means.get("valence"),
            arousal=None if active is None else -active,
            dominance=means.get("dominance"),
            rater_agreement=agreement(
                {rater: words for rater, words in evaluation.words.items() if words},
                [_WORDS[evaluation.label]] if evaluation.label in _WORDS else [],
            ),
            ratings=[
                *(vote(word, rater) for rater, words in evaluation.words.items() for word in words),
                *(rating(which, rater, v) for rater, given in evaluation.numbers.items() for which, v in given.items()),
            ],
            gender="female" if gender == "F" else "male",
            extra={
                "path": name,
                "sentence": sentence,
                "intended": intended,
                "scenario": scenario,
                "direction": direction,
                "dialogue": f"session{int(session)}-S{sentence}{intended}-{scenario}",
            }
            | ({"unread_ratings": str(evaluation.unread)} if evaluation.unread else {}),
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """The published folders with 16 kHz wav files and an Evalution.txt; two speakers a session.

        Beside the samples asked for there is one turn without agreement (X); one rater stands twice, one number is NaN.
        Raises `CorpusError` for a number of subjects outside 1 ... 12, or a class of more than 1980 turns a speaker.
        """
        from corpora.readers.fakes.voice import RATE_HZ, make_voice, speak, wav

        if not 1 <= subjects <= 12:
            raise CorpusError(f"a fake MSP-IMPROV needs 1 to 12 subjects, not {subjects}")
        codes = {emotion: code for code, emotion in _LABELS.items() if emotion is not None}
        speakers = [f"{'FM'[i % 2]}{i // 2 + 1:02d}" for i in range(subjects)]
        rng = np.random.default_rng([seed, 0])
        asked = [(codes[e], speaker) for e, speaker in spread(class_counts(self.card, per_class), speakers, rng)]
        taken: dict[tuple[str, str], int] = {}
        lines = []
        for number, (code, speaker) in enumerate([*asked, ("X", speakers[0])]):
            nth = taken.get((code, speaker), 0)
            taken[code, speaker] = nth + 1
            if nth >= 20 * 99:
                raise CorpusError(f"MSP-IMPROV's names hold at most {20 * 99} turns of a class and speaker")
            scene = f"S{nth % 20 + 1:02d}{code if code in 'AHSN' else 'N'}"
            scenario = "PRST"[nth % 4]
            direction = "FM" if speaker[0] == "F" else "MF"
            stem = f"{scene}-{speaker}-{scenario}-{direction}{(90 if code == 'X' else nth // 20) + 1:02d}"
            draw = np.random.default_rng([seed, 1, number])
            voice = make_voice(
                male=speaker[0] == "M", rng=np.random.default_rng([seed, 2, int(speaker[1:]), "FM".index(speaker[0])])
            )
            signal = speak(voice, _LABELS[code] or "neutral", 1.0, statement=nth, rng=draw)
            folder = Path(root) / "Audio" / f"session{int(speaker[1:])}" / scene / scenario
            write_bytes(folder / f"MSP-IMPROV-{stem}.wav", wav(signal, RATE_HZ))
            lines.append(_fake_turn(stem, code, draw, odd=number == 0))
        write_bytes(Path(root) / _EVALUATIONS[0], "\n".join(lines).encode())


def _evaluations(path: Path, title: str) -> tuple[Entries[str, _Rated | PayloadError], list[tuple[PayloadError, str]]]:
    """The evaluation file -> {MSP-IMPROV-...: what it says, or why its header does not say it}; (bad-header, "file#12")
    of lines that should have begun a turn and name none, and of raters under no header.

    A line belongs to the header above it or to nobody: a blank line ends a turn, and what follows a header that cannot
    be read never goes to the turn before. Raises `CorpusError` if the file rates nothing.
    """
    try:
        content = read_file(path, _MAX_TXT)
    except PayloadError as error:
        raise CorpusError(f"{title}: {path} cannot be read ({error.reason}: {error.detail})") from error
    rated: Entries[str, _Rated | PayloadError] = Entries()
    turns: list[tuple[str, _Rated, str]] = []
    lost: list[tuple[PayloadError, str]] = []
    now: _Rated | None = None
    nobodys = False  # a broken header is a reject already; the lines below it are not counted again
    for number, line in enumerate(map(str.strip, lines_of(content)), 1):
        where = f"{printable(path.name)}#{number}"
        if not line:
            now, nobodys = None, False
        elif head := _HEAD.fullmatch(line):
            now, nobodys = _Rated(head[2], _numbers(head.groups()[2:])), False
            turns.append((f"MSP-IMPROV-{head[1]}", now, where))
        elif "IMPROV" in line or ".avi" in line or (now is None and not nobodys):
            now, nobodys = None, True
            broken = PayloadError("bad-header", f"{line[:80]!r}; expected {_EXPECTED}")
            if named := _TURN.search(line):
                rated.add(f"MSP-IMPROV-{named[1]}", broken, where)
            else:
                lost.append((broken, where))
        elif now is not None:
            _add_rater(now, line)
    for turn, evaluation, where in turns:
        rated.add(turn, evaluation, where)
    if not turns:
        raise CorpusError(f"{title}: {path} has no line like '{_EXPECTED}'")
    return rated, lost


def _add_rater(turn: _Rated, line: str) -> None:
    """One rater's line. Of a rater who stands twice with different things nothing is kept."""
    given = _RATER.fullmatch(line)
    if given is None:
        turn.unread += 1
        return
    rater, words = given[1].strip(), [given[2]]
    numbers = {which: v for which, v in _numbers(given.groups()[3:]).items() if not np.isnan(v)}
    if (turn.words.setdefault(rater, words), turn.numbers.setdefault(rater, numbers)) != (words, numbers):
        turn.words[rater], turn.numbers[rater] = [], {}
        turn.unread += 1


def _numbers(values: tuple[str, ...]) -> dict[str, float]:
    return dict(zip(_DIMENSIONS.values(), map(float, values), strict=True))


def _fake_turn(stem: str, code: str, rng: np.random.Generator, *, odd: bool) -> str:
    """A turn's lines: five raters, three of them for the label, and the means of their numbers. `odd`: one is twice."""
    numbers = rng.integers(1, 6, (5, 4)).astype(float)
    others = [word for word in _WORDS.values() if word != _WORDS.get(code)]
    words = others if code == "X" else [_WORDS[code]] * 3 + [str(word) for word in rng.permutation(others)[:2]]
    shown = ["; ".join(f"{letter}:{v:.6f}" for letter, v in zip("AVDN", row, strict=True)) for row in numbers]
    if odd:
        shown[4] = re.sub(r"N:.*", "N:NaN", shown[4])
    raters = [f"P{i + 1:02d}-A{i}; {word}; Concerned, {word}; {shown[i]};" for i, word in enumerate(words)]
    mean = numbers.mean(axis=0)
    head = f"UTD-IMPROV-{stem}.avi; {code}; A:{mean[0]:.6f}; V:{mean[1]:.6f}; D:{mean[2]:.6f} ; N:{mean[3]:.6f};"
    return "\n".join([head, *raters, *raters[: int(odd)], "", ""])
