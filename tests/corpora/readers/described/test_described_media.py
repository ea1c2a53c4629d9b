"""Sounds and pictures of described corpora: odd headers, scales that a card names, channels, pages in their place."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from corpora.codecs import decode_image, decode_wav, encode_wav
from corpora.errors import CorpusError
from corpora.schema import Reject, Sample
from features.speech.prepare import PrepareSpeech, SpeechSteps
from features.steps import Source
from tests.corpora.readers.described.test_described import describe, put, read

RATE = 16000
TONE = 0.5 * np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE)
PAGE = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
LIST = b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf58.29.100\0"


def sound(signal: np.ndarray, subtype: str = "PCM_16", form: str = "WAV") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, signal, RATE, format=form, subtype=subtype)
    return out.getvalue()


def prepared(sample: Sample) -> np.ndarray:
    prepare = PrepareSpeech(SpeechSteps.model_validate({"trim": None}))
    (piece,) = prepare(Source(sample.payload, sample.codec))
    return decode_wav(piece.payload)[0][:, 0]


def speech(tmp_path: Path, files: dict[str, bytes | str], **more: Any) -> tuple[dict[str, Sample], list[Reject]]:
    corpus = describe(tmp_path / "card", {"layout": "folder", **more})
    return read(corpus, put(tmp_path / "wavs", files))


def faces(tmp_path: Path, files: dict[str, bytes | str], **more: Any) -> tuple[dict[str, Sample], list[Reject]]:
    corpus = describe(tmp_path / "card", {"layout": "folder", **more}, modality="face")
    return read(corpus, put(tmp_path / "faces", files))


def test_floats_in_the_scale_of_integers_keep_their_level_or_are_refused(tmp_path: Path) -> None:
    floats = {f"glad/{n}.wav": sound(TONE * 32767 * g, "FLOAT") for n, g in (("loud", 1.0), ("quiet", 0.1))}
    samples, rejects = speech(tmp_path, dict(floats))
    assert not samples and {r.reason for r in rejects} == {"unknown-scale"}
    assert "files.full_scale: 32768" in rejects[0].detail
    samples, rejects = speech(tmp_path, dict(floats), full_scale=32768)
    assert not rejects
    loud, quiet = prepared(samples["glad/loud"]), prepared(samples["glad/quiet"])
    assert 20 * np.log10(loud.std() / quiet.std()) == pytest.approx(20, abs=0.05)
    assert np.abs(loud).max() == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("gain", [1.0, 0.1, 0.01, 1.9])
def test_levels_are_kept_from_file_to_prepared_sample(subtype: str, gain: float, tmp_path: Path) -> None:
    if gain > 1 and subtype.startswith("PCM"):
        gain = 0.5
    signal = np.clip(2 * TONE, -0.999, 0.999) * gain  # loud: resampling goes beyond full scale
    samples, _ = speech(tmp_path, {"glad/a.wav": sound(signal, subtype), "glad/b.wav": sound(signal / 10, subtype)})
    a, b = prepared(samples["glad/a"]), prepared(samples["glad/b"])
    assert a.std() == pytest.approx(signal.std(), rel=0.005)
    assert b.std() * 10 == pytest.approx(a.std(), rel=0.01)
    assert np.abs(a).max() == pytest.approx(np.abs(signal).max(), rel=0.005)


@pytest.mark.parametrize(
    ("form", "subtype", "suffix"),
    [
        ("FLAC", "PCM_16", "flac"),
        ("FLAC", "PCM_24", "flac"),
        ("OGG", "VORBIS", "ogg"),
        ("MP3", "MPEG_LAYER_III", "mp3"),
    ],
)
def test_what_libsndfile_decodes_has_the_level_of_its_source(
    form: str, subtype: str, suffix: str, tmp_path: Path
) -> None:
    samples, rejects = speech(
        tmp_path, {f"glad/a.{suffix}": sound(TONE, subtype, form), f"cross/b.{suffix}": sound(TONE / 10, subtype, form)}
    )
    assert not rejects
    for name, gain in (("glad/a", 1.0), ("cross/b", 0.1)):
        signal = decode_wav(samples[name].payload)[0]
        assert signal.std() == pytest.approx(TONE.std() * gain, rel=0.02)


def test_overshoot_of_a_lossy_codec_is_kept(tmp_path: Path) -> None:
    square = np.sign(TONE) * 0.98
    samples, _ = speech(tmp_path, {"glad/a.ogg": sound(square, "VORBIS", "OGG")})
    signal = decode_wav(samples["glad/a"].payload)[0]
    assert 1.0 < np.abs(signal).max() < 2.0
    assert 1.0 < np.abs(prepared(samples["glad/a"])).max() < 2.0


def test_opposed_and_silent_channels_are_not_averaged_away(tmp_path: Path) -> None:
    pairs = {"opposed": (TONE, -TONE), "silent": (0 * TONE, TONE), "both": (TONE, TONE)}
    for form, suffix in (("WAV", "wav"), ("FLAC", "flac")):
        samples, _ = speech(
            tmp_path / suffix,
            {f"glad/{n}.{suffix}": sound(np.stack(p, 1), "PCM_16", form) for n, p in pairs.items()},
        )
        for name in pairs:
            assert prepared(samples[f"glad/{name}"]).std() == pytest.approx(TONE.std(), rel=0.01)
    assert samples["glad/opposed"].extra["mixed_down"] == "opposed-channels"
    assert samples["glad/silent"].extra["mixed_down"] == "silent-channel"
    assert "mixed_down" not in samples["glad/both"].extra
    stereo = Source(sound(np.stack(pairs["opposed"], 1)), "wav")
    (piece,) = PrepareSpeech(SpeechSteps())(stereo)
    assert piece.notes == {"mixed_down": "opposed-channels"} and piece.counted == ("opposed-channels",)


def test_a_part_of_a_stream_holds_nothing_of_what_follows_it(tmp_path: Path) -> None:
    plain = encode_wav(TONE.astype(np.float32), RATE)
    stream = plain[:40] + struct.pack("<I", 0xFFFFFFFF) + plain[44:] + LIST
    files = {"layout": "audformat", "tables": ["all"], "columns": {"label": "emotion"}}
    corpus = describe(tmp_path / "card", files)
    pytest.importorskip("audformat")
    put(
        tmp_path / "db",
        {
            "a.wav": stream,
            "db.yaml": "name: lab\nsource: x\nusage: unrestricted\nschemes: {emotion: {dtype: str}}\n"
            "tables: {all: {type: segmented, columns: {emotion: {scheme_id: emotion}}}}\n",
            "db.all.csv": "file,start,end,emotion\na.wav,0 days 00:00:00.5,0 days 00:00:01,glad\n",
        },
    )
    samples, rejects = read(corpus, tmp_path / "db")
    assert not rejects
    (sample,) = samples.values()
    np.testing.assert_allclose(decode_wav(sample.payload)[0][:, 0], TONE[RATE // 2 :], atol=1e-4)


def test_a_page_in_place_of_a_sound_or_picture_is_called_one(tmp_path: Path) -> None:
    _, rejects = speech(
        tmp_path,
        {f"glad/{i}.{s}": PAGE for i, s in enumerate(("wav", "mp3", "flac", "ogg"))} | {"glad/ok.wav": sound(TONE)},
    )
    assert [r.reason for r in rejects] == ["not-a-wav", "not-audio", "not-audio", "not-audio"]
    assert all("a web page" in r.detail for r in rejects)
    picture = io.BytesIO()
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(picture, "png")
    _, rejects = faces(tmp_path, {"glad/a.jpg": PAGE, "glad/b.png": picture.getvalue()})
    assert [(r.reason, "a web page" in r.detail) for r in rejects] == [("not-an-image", True)]


def test_a_card_names_the_white_of_deep_pictures_and_pixel_columns(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (9, 9))
    deep, plain = io.BytesIO(), io.BytesIO()
    Image.fromarray((grey * 16).astype(np.uint16)).save(deep, "png")
    Image.fromarray(grey.astype(np.uint8)).save(plain, "png")
    files: dict[str, bytes | str] = {"glad/deep.png": deep.getvalue(), "glad/plain.png": plain.getvalue()}
    samples, rejects = faces(tmp_path, files)
    assert [r.reason for r in rejects] == ["unknown-scale"] and "files.levels" in rejects[0].detail
    samples, rejects = faces(tmp_path, files, levels=4080)
    assert not rejects
    for sample in samples.values():
        np.testing.assert_array_equal(decode_image(sample.payload), grey)
    assert samples["glad/plain"].payload == plain.getvalue()
    _, rejects = faces(tmp_path, files, levels=1000)
    assert [r.reason for r in rejects] == ["value-out-of-range"]

    rows = "".join(f"{' '.join(f'{v / 255:.6f}' for v in part.ravel())},glad\n" for part in (grey, grey // 2))
    table = {"layout": "table", "tables": ["t.csv"], "columns": {"pixels": "pixels", "label": "label"}}
    root = put(tmp_path / "table", {"t.csv": "pixels,label\n" + rows})
    _, rejects = read(describe(tmp_path / "card", table, modality="face"), root)
    assert {r.reason for r in rejects} == {"unknown-scale"}
    samples, rejects = read(describe(tmp_path / "card", {**table, "levels": 1}, modality="face"), root)
    assert not rejects
    full, half = (decode_image(sample.payload) for sample in samples.values())
    np.testing.assert_array_equal(full, grey)
    assert np.abs(half - grey / 2).max() <= 0.5


def test_a_scale_of_another_modality_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"files\.levels is of face corpora, this one is speech"):
        describe(tmp_path, {"layout": "folder", "levels": 255})
    with pytest.raises(CorpusError, match=r"files\.full_scale is of speech corpora"):
        describe(tmp_path, {"layout": "folder", "full_scale": 32768}, modality="face")
