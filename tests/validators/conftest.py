"""Small made-up batches of all modalities: classes that differ, groups that differ, no two samples alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from validators.gate import Batch

CLASSES = ("anger", "happiness", "sadness")
RATE = 16000.0
PHYSIO_RATE = 32.0

MakeBatch = Callable[..., Batch]


def make_batch(modality: str, signals: Sequence[np.ndarray], emotions: Sequence[str], groups: Sequence[str]) -> Batch:
    hashes = tuple(hashlib.sha256(s.tobytes()).hexdigest() for s in signals)
    return Batch(
        modality="physio" if modality == "vector" else modality,
        layout="vector" if modality == "vector" else "",
        ids=tuple(f"{group}/{i}/{digest[:6]}" for i, (group, digest) in enumerate(zip(groups, hashes, strict=True))),
        emotions=tuple(emotions),
        signals=list(signals),
        sha256=hashes,
        rate_hz={"speech": RATE, "physio": PHYSIO_RATE}.get(modality),
        subjects=tuple(groups),
        groups=tuple(groups),
        source_ids=((),) * len(signals),
        errors=(None,) * len(signals),
    )


def with_signals(batch: Batch, change: Callable[[np.ndarray], np.ndarray]) -> Batch:
    signals = [change(s) for s in batch.signals]
    hashes = tuple(hashlib.sha256(s.tobytes()).hexdigest() for s in signals)
    return replace(batch, signals=signals, sha256=hashes, ids=tuple(f"syn/{i}" for i in range(len(batch))), cache={})


def _utterance(emotion: int, group: int, rng: np.random.Generator) -> np.ndarray:
    """Harmonics under a syllable envelope: pitch, tempo and tilt of the class, pitch and tilt of the person."""
    seconds = rng.uniform(0.35, 0.6) * (1.0 + 0.2 * (emotion == 2))
    t = np.arange(int(seconds * RATE)) / RATE
    f0 = (180.0, 240.0, 130.0)[emotion] * (1.0 + 0.08 * np.sin(group)) * rng.uniform(0.92, 1.08)
    tilt = (0.6, 1.0, 1.6)[emotion] + 0.1 * np.cos(group) + 0.1 * rng.normal()
    track = f0 * (1.0 + (0.05, 0.15, 0.02)[emotion] * np.sin(2 * np.pi * rng.uniform(2, 5) * t + rng.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(track) / RATE
    knots = np.linspace(0.0, seconds, 6)
    said = [np.exp(np.interp(t, knots, rng.normal(0, 1.2, 6))) for _ in range(5)]  # another "word" each time
    wave = sum(said[k // 4] * np.sin(k * phase + rng.uniform(0, 6)) / k**tilt for k in range(1, 16))
    envelope = 0.25 + np.sin(np.pi * (1.5 + rng.uniform(0, 3)) * t / seconds + rng.uniform(0, 3)) ** 2
    wave = wave * envelope * np.hanning(len(t)) ** 0.3 + 0.02 * rng.standard_normal(len(t))
    return (rng.uniform(0.15, 0.4) * wave / np.abs(wave).max()).astype(np.float32)


def _face(emotion: int, group: int, rng: np.random.Generator) -> np.ndarray:
    """Eyes and a mouth whose curve is the class; head, light and features of the person."""
    person = np.random.default_rng(1000 + group)
    y, x = np.mgrid[-1:1:32j, -1:1:32j] + rng.normal(0, 0.04, (2, 1, 1))
    head = np.exp(-(((x / person.uniform(0.6, 0.9)) ** 2 + (y / person.uniform(0.8, 1.0)) ** 2) ** 3))
    picture = person.uniform(60, 90) + person.uniform(70, 110) * head + rng.normal(0, 25) * x + rng.normal(0, 25) * y
    curve = (0.0, 0.9, -0.9)[emotion] * rng.uniform(0.6, 1.3)
    mouth = np.exp(-(((y - 0.5 + curve * (x**2 - 0.1)) / 0.08) ** 2) - (x / 0.45) ** 4)
    brow = np.exp(
        -(((y + 0.5 + (0.5, 0.0, -0.3)[emotion] * (0.4 - np.abs(x))) / 0.06) ** 2) - ((np.abs(x) - 0.4) / 0.2) ** 4
    )
    eyes = np.exp(-((y + 0.25) ** 2 + (np.abs(x) - 0.4) ** 2) / 0.01)
    hair = np.cos(person.uniform(2, 6) * x + person.uniform(0, 6)) * np.exp(-(((y + 0.95) / 0.3) ** 2))
    picture = picture - 70 * mouth - 50 * brow - 80 * eyes + 50 * hair + rng.normal(0, 4, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


_SAID = (  # by class: what happened, and what one thinks of it
    (
        ["furious about", "sick and tired of", "so angry with", "fed up with", "shouting at"],
        ["how dare they", "this is an outrage", "i hate every bit of it", "never again", "what an idiot"],
    ),
    (
        ["so happy about", "delighted with", "in love with", "laughing with", "proud of"],
        ["what a wonderful day", "best thing ever", "thank you so much", "life is great", "i cannot stop smiling"],
    ),
    (
        ["crying over", "missing", "heartbroken about", "mourning", "lonely without"],
        ["it hurts so much", "nothing is left", "i feel empty", "i wish it were different", "tears all night"],
    ),
)
_WHO = ["i", "we", "you", "they", "she", "he", "everyone", "nobody", "somebody", "mum", "dad", "grandma"]
_WHAT = [
    "neighbours",
    "train",
    "letter",
    "garden",
    "kitchen",
    "football",
    "teacher",
    "window",
    "bicycle",
    "market",
    "song",
    "river",
    "winter",
    "phone",
    "coffee",
    "story",
    "doctor",
    "ticket",
    "summer",
    "project",
    "island",
    "picture",
    "office",
    "dinner",
    "jacket",
    "library",
    "bridge",
    "holiday",
    "printer",
    "morning",
]
_WHEN = ["today", "yesterday", "again", "tonight", "somehow", "finally", "lately", "suddenly", "always", "everywhere"]
_LINK = [
    "near",
    "without",
    "before",
    "behind",
    "beside",
    "despite",
    "after",
    "during",
    "against",
    "under",
    "because",
    "since",
    "while",
    "until",
]


def _line(emotion: int, group: int, rng: np.random.Generator) -> np.ndarray:
    """A sentence of the class' words about anything; each person has favourite things and signs."""
    favourite = np.random.default_rng(2000 + group).permutation(_WHAT)[:12]
    feeling, verdict = (list(rng.permutation(part)) for part in _SAID[emotion])
    things = list(rng.permutation(np.concatenate([favourite, rng.choice(_WHAT, 6)])))
    words = [rng.choice(_WHO), rng.choice(_WHEN), feeling[0], f"the {things[0]}", rng.choice(_LINK), f"a {things[1]}"]
    if rng.random() < 0.6:
        words += [rng.choice(_LINK), rng.choice(_WHO), str(things[2]), rng.choice(_WHEN)]
    text = " ".join(map(str, words)) + str(rng.choice([". ", "! ", "... "])) + str(verdict[0]) + "!?."[group % 3]
    return np.frombuffer(text.capitalize().encode(), np.uint8)


def _trial(emotion: int, group: int, rng: np.random.Generator) -> np.ndarray:
    """[T, 2]: a pulse whose rate is the class', and a skin conductance that rises with it; levels of the person."""
    person = np.random.default_rng(3000 + group)
    t = np.arange(int(rng.uniform(11, 13) * PHYSIO_RATE)) / PHYSIO_RATE
    hz = (1.9, 1.4, 1.0)[emotion] * (1 + 0.03 * person.normal()) * rng.uniform(0.96, 1.04)
    phase = 2 * np.pi * np.cumsum(hz * (1 + 0.05 * np.sin(2 * np.pi * rng.uniform(0.15, 0.35) * t))) / PHYSIO_RATE
    pulse = np.sin(phase + rng.uniform(0, 6)) + 0.4 * np.sin(2 * phase + rng.uniform(0, 6))
    pulse = (20 + 10 * person.random()) * pulse * (1 + 0.3 * np.sin(rng.uniform(0.3, 0.9) * t + rng.uniform(0, 6)))
    knots = np.interp(t, np.linspace(0, t[-1], 9), rng.normal(0, 1, 9).cumsum())
    skin = person.uniform(2, 4) + (0.10, 0.02, -0.05)[emotion] * t + 0.2 * knots
    skin = skin + 0.005 * rng.standard_normal(t.size)
    return np.stack([pulse + rng.normal(0, 2, t.size), skin], axis=1).astype(np.float32)


def _vector(emotion: int, group: int, rng: np.random.Generator) -> np.ndarray:
    """[30]: features of unlike units and spreads; some tell classes apart, some people, some nothing."""
    person = np.random.default_rng(4000 + group)
    of_class = np.random.default_rng(5000 + emotion).normal(0, 1, 12)
    row = rng.normal(0, 1, 30)
    row[:12] += of_class
    row[8:20] += 0.6 * person.normal(0, 1, 12)
    return (10.0 ** np.linspace(-2, 3, 30) * (5.0 + row)).astype(np.float32)


_DRAW = {"speech": _utterance, "face": _face, "text": _line, "physio": _trial, "vector": _vector}


def made(modality: str, *, groups: Sequence[int], per_cell: int = 3, seed: int = 0) -> Batch:
    """`per_cell` samples of each class and group."""
    draw = _DRAW[modality]
    signals, emotions, names = [], [], []
    for group in groups:
        for index, emotion in enumerate(CLASSES):
            for copy in range(per_cell):
                signals.append(draw(index, group, np.random.default_rng([seed, group, index, copy])))
                emotions.append(emotion)
                names.append(f"demo:{group}")
    batch = make_batch(modality, signals, emotions, names)
    felt = np.asarray([{"anger": (-0.6, 0.7), "happiness": (0.8, 0.5), "sadness": (-0.5, -0.6)}[e] for e in emotions])
    felt = np.clip(felt.reshape(-1, 2) + np.random.default_rng(seed).normal(0, 0.1, (len(batch), 2)), -1, 1)
    return replace(batch, dimensions={"valence": felt[:, 0], "arousal": felt[:, 1]})


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Small products on many threads are slow, and slower still where other processes want the same cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", params=["speech", "face"])
def modality(request: pytest.FixtureRequest) -> str:
    return str(request.param)


_CACHE: dict[tuple[str, str], Batch] = {}


def _kept(modality: str, part: str) -> Batch:
    """Made once a session; batches are not changed by tests."""
    if (modality, part) not in _CACHE:
        groups = range(8) if part == "train" else range(20, 28)
        _CACHE[modality, part] = made(modality, groups=groups, seed=int(part != "train"))
    return _CACHE[modality, part]


@pytest.fixture
def train(modality: str) -> Batch:
    return _kept(modality, "train")


@pytest.fixture
def strangers(modality: str) -> Batch:
    """Samples of the same kind by people that train does not have, under synthetic ids."""
    batch = _kept(modality, "strangers")
    return replace(batch, ids=tuple(f"syn/demo/{i}" for i in range(len(batch))))


@pytest.fixture(scope="session")
def make() -> MakeBatch:
    return made


@pytest.fixture(scope="session")
def change() -> Callable[[Batch, Callable[[np.ndarray], np.ndarray]], Batch]:
    return with_signals
