"""The shipped cards, on names and lines that their cited sources print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.codecs import encode_png, encode_wav
from corpora.readers import card_names, make_corpus
from corpora.schema import Reject, Sample


def tone(seconds: float = 0.5, hz: float = 220.0) -> bytes:
    t = np.arange(round(seconds * 8000)) / 8000
    return encode_wav((0.3 * np.sin(2 * np.pi * hz * t)).astype(np.float32), 8000)


def face(value: int = 0) -> bytes:
    return encode_png(np.random.default_rng(value).integers(0, 255, (8, 8), dtype=np.uint8))


def put(root: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def read(corpus: Any, root: Path) -> tuple[dict[str, Sample], list[Reject]]:
    found = list(corpus.read(root, "c"))
    samples = {s.sample_id.removeprefix("c/"): s for s in found if isinstance(s, Sample)}
    return samples, [r for r in found if isinstance(r, Reject)]


@pytest.mark.parametrize(
    ("card", "name", "expected"),
    [
        ("subesco", "F_02_MONIKA_S_1_NEUTRAL_5.wav", ("neutral", "c:F_02_MONIKA", "female", "c:1", None)),
        ("subesco", "M_10_EVAN_S_10_SURPRISE_2.wav", ("surprise", "c:M_10_EVAN", "male", "c:10", None)),
        ("aesdd", "anger/a03 (4).wav", ("anger", "c:4", None, "c:03", None)),
        ("aesdd", "fear/f18 (5)b.wav", ("fear", "c:5", None, "c:18", None)),
        ("jl_corpus", "female1_angry_1a_1.wav", ("anger", "c:female1", "female", "c:angry-1a", None)),
        ("jl_corpus", "male2_sad_15b_2.wav", ("sadness", "c:male2", "male", "c:sad-15b", None)),
        ("jtes", "wav/f01/ang/f01_ang_01.wav", ("anger", "c:f01", "female", "c:ang-01", None)),
        ("faces_mpib", "004_o_m_a_a.jpg", ("anger", "c:004", "male", None, None)),
        ("faces_mpib", "168_m_f_s_b.jpg", ("sadness", "c:168", "female", None, None)),
        ("bu3dfe", "F0001/F0001_AN02WH_F2D.bmp", ("anger", "c:F0001", "female", None, 0.5)),
    ],
)
def test_shipped_cards_read_the_names_of_their_sources(card: str, name: str, expected: Any, tmp_path: Path) -> None:
    samples, rejects = read(make_corpus(card), put(tmp_path, {name: tone() if name.endswith("wav") else face()}))
    (sample,) = samples.values()
    assert (sample.emotion, sample.subject_id, sample.gender, sample.sentence_id, sample.intensity) == expected
    assert not rejects


def test_nemo_s_table_has_blanks_before_the_speaker(tmp_path: Path) -> None:
    lines = [
        "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage",
        "WR0_surprised_64.wav\tsurprised\tUcho wykrywa dźwięki.\tucho wykrywa dźwięki\t        WR0\tmale\t23",
        "KS0_surprised_38.wav\tsurprised\t„Ród smoka” to serial.\t„ród smoka” to serial\t        KS0\tmale\t23",
    ]
    root = put(tmp_path, {"data.tsv": "\n".join(lines) + "\n", "samples/WR0_surprised_64.wav": tone()})
    samples, rejects = read(make_corpus("nemo"), root)
    sample = samples["WR0_surprised_64"]
    assert (sample.subject_id, sample.emotion, sample.gender, sample.age) == ("c:WR0", "surprise", "male", 23.0)
    assert [(r.path, r.reason) for r in rejects] == [("data.tsv#000001", "missing-file")]


def test_xed_and_emobank_on_lines_of_their_pages(tmp_path: Path) -> None:
    murder = "A confession that you hired [PERSON] ... and are responsible for my father's murder."
    root = put(tmp_path / "xed", {"AnnotatedData/en-annotated.tsv": f'{murder}\t1,6\nA "quote to the end\t5\n'})
    samples, rejects = read(make_corpus("xed"), root)
    assert {e["label"] for e in samples["000000"].labels if e["scheme"] == "xed"} == {"anger", "sadness"}
    assert samples["000001"].emotion == "happiness" and not rejects
    rows = 'id,split,V,A,D,text\n110CYL068_1036_1079,train,3.0,3.0,3.2,"Remember what she said in my last letter? """\n'
    samples, rejects = read(make_corpus("emobank"), put(tmp_path / "emobank", {"emobank.csv": rows}))
    sample = samples["110CYL068_1036_1079"]
    assert (sample.valence, sample.arousal, round(float(sample.dominance or 0), 6)) == (0.0, 0.0, 0.1)
    assert sample.payload.decode().endswith('letter? "') and sample.extra["official_split"] == "train"


def test_card_s_counts_are_sums_of_what_its_source_says() -> None:
    for name in card_names():
        card = make_corpus(name).card
        if card.counts is not None:
            assert sum(card.counts.values()) == card.n_samples
