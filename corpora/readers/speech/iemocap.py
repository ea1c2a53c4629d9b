"""IEMOCAP: five sessions of an actress and an actor, improvised and scripted, rated by several people.

Busso et al. (2008), Language Resources and Evaluation 42:335-359. Layout and names are from the release's README.txt:

    Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav    session 1, the actress wears the markers,
                                                                     improvisation 1, the actor (M) speaks turn 000
    Session1/dialog/EmoEvaluation/Ses01F_impro01.txt                 consensus and every rater, for each turn:
        [6.2901 - 8.2357]\\tSes01F_impro01_F000\\tneu\\t[2.5000, 2.5000, 2.5000]     seconds, label, mean V, A, D
        C-E2:\\tNeutral;\\t()                          a rater's words (E: outsider; F, M: the actors about themselves)
        A-E3:\\tval 3; act 2; dom  2;\\t()             a rater's numbers, 1 to 5
    Session1/dialog/transcriptions/Ses01F_impro01.txt                words: Ses01F_impro01_F000 [006.2901-008.2357]: ...

The split unit is the session: its two speakers answer each other in every dialogue (and both microphones hear both),
so a split by speaker would cut through all dialogues, and a split by dialogue through all speakers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.labels import rescale
from corpora.readers.speech.iemocap_turns import Rated, evaluations, spoken_words
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

_LABELS = {
    "ang": "anger",
    "hap": "happiness",
    "exc": "excitement",
    "sad": "sadness",
    "neu": "neutral",
    "fru": "frustration",
    "sur": "surprise",
    "fea": "fear",
    "dis": "disgust",
    "oth": None,
    "xxx": None,
}
_COUNTS = {
    "ang": 1103,
    "hap": 595,
    "exc": 1041,
    "sad": 1084,
    "neu": 1708,
    "fru": 1849,
    "sur": 107,
    "fea": 40,
    "dis": 2,
    "oth": 3,
    "xxx": 2507,
}
_WORDS = {  # of the raters
    "ang": "Anger",
    "hap": "Happiness",
    "exc": "Excited",
    "sad": "Sadness",
    "neu": "Neutral",
    "fru": "Frustration",
    "sur": "Surprise",
    "fea": "Fear",
    "dis": "Disgust",
    "oth": "Other",
}
_MAX_TXT = 8 * 2**20
_FILE = re.compile(r"Ses\d\d[FM]_(?:impro|script)\w+_[FM]\w{2}\d[a-z]?\.wav$")
_NAME = re.compile(r"((Ses\d\d)[FM]_(?:impro|script)\w+?)_([FM])(\w{2}\d[a-z]?)")
_DIALOGUE = re.compile(r"Ses\d\d[FM]_(?:impro|script)\w+")


class Iemocap:
    """`Corpus` of IEMOCAP's utterances; the folder that holds Session1 to Session5, or some of them."""

    card = CorpusCard(
        name="iemocap",
        title="IEMOCAP",
        modality="speech",
        version="full release",
        license="LicenseRef-IEMOCAP",
        may_redistribute=False,
        url="https://sail.usc.edu/iemocap/",
        bibtex=(
            "@article{busso2008iemocap, title={IEMOCAP: Interactive emotional dyadic motion capture database}, "
            "author={Busso, Carlos and Bulut, Murtaza and Lee, Chi-Chun and Kazemzadeh, Abe and Mower, Emily and Kim, "
            "Samuel and Chang, Jeannette N and Lee, Sungbok and Narayanan, Shrikanth S}, journal={Language Resources "
            "and Evaluation}, volume={42}, number={4}, pages={335--359}, year={2008}}"
        ),
        language="en",
        split_unit="session",
        label_map=_LABELS,
        counts=_COUNTS,
        counts_source=(
            "the labels of the release's EmoEvaluation files, as counted by many users alike (10,039 turns; four "
            "classes with excitement as happiness: 5531, flageval.baai.ac.cn, task IEMOCAP)"
        ),
        n_subjects=10,
        n_samples=10039,
        dimensions=dict.fromkeys(("valence", "arousal", "dominance"), (1.0, 5.0)),
        sources={
            "layout": "README.txt of the release (file naming, folders dialog and sentences)",
            "labels": "README.txt of the release; Busso et al. (2008): ten categories, valence, activation, dominance",
            "subjects": "README.txt of the release: five sessions, ten actors, pairs of an actress and an actor",
            "counts": "labels of the EmoEvaluation files; 5531 in four classes at flageval.baai.ac.cn",
            "splits": "none is published (README.txt names no partition); usual is to leave one session out",
            "license": "sail.usc.edu/iemocap/iemocap_release.htm: a licence of its own, accepted in a form",
        },
        access="a form at sail.usc.edu/iemocap/iemocap_release.htm; free for research",
        quirks=(
            "the letter after the session is who wears the markers; who speaks is the letter before the turn's number",
            "xxx: the raters found no majority; it has no emotion here, and its votes are in ratings",
            "excitement is a class of its own; scheme iemocap4_excited merges it into happiness",
            "actors rated themselves (raters F1, M1 ...): kept in ratings, not part of consensus or agreement",
            "in some lines a rater's dominance is missing",
            "a rater's line that cannot be read is left out and named in extra.unread_ratings",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of wav files: not-of-this-corpus, no-label (a turn that no evaluation
        file names), missing-file (one that is rated and not there), bad-header (a line that should begin a turn: what
        follows is nobody's), conflicting-entries (a turn that is rated twice, or two sounds of one name), bad-label,
        rating-out-of-range, repeated-name."""
        files = [
            (path, name)
            for path, name in named_files(
                root, self.card, _FILE, "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav"
            )
            if path.suffix.lower() == ".wav"  # the release holds films, motion and alignments too
        ]
        sessions = sorted({path.parents[3] for path, name in files if _FILE.search(name) and len(path.parents) > 3})
        rated: Entries[str, Rated | PayloadError] = Entries()
        spoken: Entries[str, str] = Entries()
        lost: list[tuple[PayloadError, str]] = []
        for session in sessions:
            for path in sorted((session / "dialog" / "EmoEvaluation").glob("Ses*.txt")):
                name = printable(path.relative_to(Path(root)).as_posix())
                lost += evaluations(_content(path, self.card.title), name, rated)
            for path in sorted((session / "dialog" / "transcriptions").glob("Ses*.txt")):
                spoken_words(_content(path, self.card.title), printable(path.name), spoken)
        if not len(rated):
            raise CorpusError(
                f"{self.card.title}: {root} holds no SessionN/dialog/EmoEvaluation/Ses*.txt that rates its turns."
            )
        there = {path.stem for path, _ in files}
        alike = doubled_files(files, lambda path: path.stem)
        items: list[tuple[Path | PayloadError | None, str]] = [
            *files,
            *((None, name) for name in rated if name not in there),
            *lost,
        ]

        def make(item: Path | PayloadError | None, name: str) -> Sample | None:
            if isinstance(item, PayloadError):
                raise item
            if item is not None:
                once(alike, item.stem)
            return self._sample(item, name, corpus, rated, spoken)

        return read_items(items, corpus, make)

    def _sample(
        self,
        path: Path | None,
        name: str,
        corpus: str,
        rated: Entries[str, Rated | PayloadError],
        spoken: Entries[str, str],
    ) -> Sample | None:
        if path is None:
            if isinstance(evaluation := rated[name], PayloadError):
                raise evaluation
            raise PayloadError("missing-file", f"{name} is rated, and no sentences/wav/*/{name}.wav is there")
        match = _NAME.fullmatch(path.stem)
        if match is None:
            if _DIALOGUE.fullmatch(path.stem):
                return None  # dialog/wav: both speakers of a whole dialogue
            raise PayloadError("not-of-this-corpus", "the name is not of the form Ses01F_impro01_M000.wav")
        dialogue, session, speaker, _ = match.groups()
        if path.stem not in rated:
            raise PayloadError("no-label", f"no evaluation file of the session names {path.stem}")
        evaluation = rated[path.stem]
        if isinstance(evaluation, PayloadError):
            raise evaluation
        emotion = known(_LABELS, evaluation.label, "label")
        valence, arousal, dominance = (
            rescale(mean, self.card.dimensions[which], which)
            for mean, which in zip(evaluation.means, self.card.dimensions, strict=True)
        )
        payload, header = read_wav(path)
        outsiders = {rater: words for rater, words in evaluation.words.items() if words and rater.startswith("E")}
        extra = {"path": name, "dialogue": dialogue, "kind": "improvised" if "_impro" in dialogue else "scripted"}
        if path.stem in spoken and path.stem not in spoken.doubled:
            extra["transcript"] = spoken[path.stem]
        if evaluation.unread:
            extra["unread_ratings"] = ", ".join(dict.fromkeys(evaluation.unread))
        return speech_sample(
            self.card,
            corpus,
            path.stem,
            payload,
            header,
            subject=session + speaker,
            group=session,
            session_id=f"{corpus}:{session}",
            turn=evaluation.turn,
            t_start_s=evaluation.start_s,
            t_end_s=evaluation.end_s,
            emotion=emotion,
            emotion_raw=evaluation.label,
            valence=valence,
            arousal=arousal,
            dominance=dominance,
            rater_agreement=agreement(outsiders, [_WORDS[evaluation.label]] if evaluation.label in _WORDS else []),
            ratings=[
                *(vote(word, rater) for rater, words in evaluation.words.items() for word in words),
                *(rating(which, rater, v) for rater, given in evaluation.numbers.items() for which, v in given.items()),
            ],
            gender="female" if speaker == "F" else "male",
            extra=extra,
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """The published folders with 16 kHz wav files; two speakers a session, the first of an odd number alone in his.

        Beside the samples asked for there is one turn without a majority (xxx), and one rater's missing dominance.
        Raises `CorpusError` for a number of subjects outside 1 ... 10.
        """
        from corpora.readers.fakes.voice import RATE_HZ, make_voice, speak, wav

        if not 1 <= subjects <= 10:
            raise CorpusError(f"a fake IEMOCAP needs 1 to 10 subjects, not {subjects}")
        codes = {emotion: code for code, emotion in _LABELS.items() if emotion is not None}
        speakers = [f"Ses0{i // 2 + 1}{'FM'[i % 2]}" for i in range(subjects)]
        rng = np.random.default_rng([seed, 0])
        asked = [(codes[e], speaker) for e, speaker in spread(class_counts(self.card, per_class), speakers, rng)]
        asked.insert(len(asked) // 2, ("xxx", speakers[0]))
        turns: dict[str, list[str]] = {}
        clock: dict[str, float] = {}
        taken: dict[str, int] = {}
        for number, (code, speaker) in enumerate(asked):
            session = int(speaker[4])
            dialogue = f"{speaker[:5]}F_{'script01_1' if code in ('ang', 'fru') else 'impro01'}"
            nth = taken.get(dialogue + speaker, 0)
            taken[dialogue + speaker] = nth + 1
            name = f"{dialogue}_{speaker[5]}{nth:03d}"
            draw = np.random.default_rng([seed, 1, number])
            voice = make_voice(
                male=speaker[5] == "M", rng=np.random.default_rng([seed, 2, session, "FM".index(speaker[5])])
            )
            signal = speak(voice, _LABELS[code] or "neutral", 1.0, statement=int(draw.integers(10)), rng=draw)
            folder = Path(root) / f"Session{session}"
            write_bytes(folder / "sentences" / "wav" / dialogue / f"{name}.wav", wav(signal, RATE_HZ))
            start = clock.get(dialogue, 5.0) + 0.4
            clock[dialogue] = start + len(signal) / RATE_HZ
            lines = _fake_turn(name, code, start, clock[dialogue], draw, no_dominance=number == 0)
            turns.setdefault(f"{folder}/dialog/{{}}/{dialogue}.txt", []).append(lines)
        for place, lines_of in turns.items():
            head = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
            write_bytes(Path(place.format("EmoEvaluation")), (head + "\n".join(lines_of)).encode())
            heads = [re.split(r"[\[\]\s-]+", text) for text in lines_of]
            words = "".join(f"{h[3]} [{float(h[1]):08.4f}-{float(h[2]):08.4f}]: Well.\n" for h in heads)
            write_bytes(Path(place.format("transcriptions")), words.encode())


def _content(path: Path, title: str) -> bytes:
    try:
        return read_file(path, _MAX_TXT)
    except PayloadError as error:
        raise CorpusError(f"{title}: {path} cannot be read ({error.reason}: {error.detail})") from error


def _fake_turn(
    name: str, code: str, start_s: float, end_s: float, rng: np.random.Generator, *, no_dominance: bool
) -> str:
    """A turn's lines: three outsiders and the speaker give words, two outsiders numbers (means: the header's)."""
    numbers = rng.integers(1, 6, (2, 3))
    v, a, d = (
        numbers[:, 0].mean(),
        numbers[:, 1].mean(),
        numbers[1:, 2].mean() if no_dominance else numbers[:, 2].mean(),
    )
    others = [word for word in _WORDS.values() if word != _WORDS.get(code)]
    words = list(rng.permutation(others)[:3])
    if code != "xxx":
        words[:2] = [_WORDS[code], f"{_WORDS[code]}; {words[1]}"]
    own = name.split("_")[-1][0]
    dominances = ["" if no_dominance else str(numbers[0, 2]), str(numbers[1, 2])]
    return "\n".join(
        [
            f"[{start_s:.4f} - {end_s:.4f}]\t{name}\t{code}\t[{v:.4f}, {a:.4f}, {d:.4f}]",
            *(f"C-E{i + 2}:\t{word};\t()" for i, word in enumerate(words)),
            f"C-{own}1:\t{words[-1]};\t(hm)",
            *(f"A-E{i + 3}:\tval {numbers[i, 0]}; act {numbers[i, 1]}; dom  {dominances[i]};\t()" for i in range(2)),
            "",
        ]
    )
