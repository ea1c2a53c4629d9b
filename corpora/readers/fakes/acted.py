"""What the fakes of acted speech share: who says what how often, and the fake sound of each utterance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from corpora.errors import CorpusError
from corpora.labels import EMOTIONS
from corpora.readers.fakes.voice import RATE_HZ, make_voice, speak, stereo_wav, wav
from corpora.records.files import class_counts, spread
from corpora.schema import CorpusCard


@dataclass(frozen=True, slots=True)
class Utterance:
    """The `nth` (from 0) of a speaker in an emotion; `number` counts all of the corpus."""

    number: int
    speaker: str
    male: bool
    emotion: str
    nth: int
    seeds: tuple[int, int]  # of the corpus and of the speaker

    def sound(self, strength: float = 1.0, statement: int | None = None) -> np.ndarray:
        """float32 [n] at `RATE_HZ`; the statement is the `nth` unless `statement` is given."""
        seed, person = self.seeds
        voice = make_voice(male=self.male, rng=np.random.default_rng([seed, 1, person]))
        draw = [seed, 2, person, EMOTIONS.index(self.emotion), self.nth]
        number = self.nth if statement is None else statement
        return speak(voice, self.emotion, strength, statement=number, rng=np.random.default_rng(draw))

    def wav(self, strength: float = 1.0, statement: int | None = None, *, stereo: bool = False) -> bytes:
        """`sound` as wav bytes, PCM 16 bit at `RATE_HZ`."""
        return (stereo_wav if stereo else wav)(self.sound(strength, statement), RATE_HZ)


def utterances(
    card: CorpusCard,
    cast: Mapping[str, bool],
    per_class: Mapping[str, int] | int,
    *,
    subjects: int,
    seed: int,
    most: int,
    fewer: Mapping[str, int] | None = None,
) -> Iterator[Utterance]:
    """Exactly `per_class` utterances by the first `subjects` of `cast` ({speaker: is a man}).

    Raises `CorpusError` before the first of them: more subjects than the cast has, or more utterances of a speaker in
    an emotion than the corpus' file names can hold (`most`; `fewer`: emotion -> what holds for it instead).
    """
    if not 1 <= subjects <= len(cast):
        raise CorpusError(f"a fake {card.title} needs 1 to {len(cast)} subjects, not {subjects}")
    speakers = list(cast)[:subjects]
    counts = class_counts(card, per_class)
    for emotion, count in counts.items():
        limit = (fewer or {}).get(emotion, most)
        if count > limit * subjects:
            raise CorpusError(f"{card.title}'s names hold at most {limit} files of {emotion} by one speaker")
    taken: dict[tuple[str, str], int] = {}
    for number, (emotion, speaker) in enumerate(spread(counts, speakers, np.random.default_rng([seed, 0]))):
        nth = taken.get((emotion, speaker), 0)
        taken[emotion, speaker] = nth + 1
        yield Utterance(number, speaker, cast[speaker], emotion, nth, (seed, speakers.index(speaker)))
