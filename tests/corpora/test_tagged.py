"""A tag in a payload's bytes: what programs read of it, and that nothing else is different."""

from __future__ import annotations

import io
import json
import struct
import wave
import zipfile

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from corpora.codecs import MAX_PIXELS, decode_image, decode_wav, encode_png, encode_wav, wav_header
from corpora.errors import PayloadError
from corpora.fingerprint import hash_bytes
from corpora.formats.plainpng import plain_pixels
from corpora.signals import decode_signals, encode_signals
from corpora.tagged import PLACES, Tag, content_sha256, tag_of, with_tag, without_tag

TAG = Tag("9e1d" * 5, "syn/9e1d/0a0b")
RNG = np.random.default_rng(3)
SOUND = (RNG.normal(size=1601) * 0.1).astype(np.float32)
PIXELS = RNG.integers(0, 256, (48, 48)).astype(np.uint8)
SIGNALS = {"bvp": SOUND[:64], "acc": RNG.normal(size=(64, 3)).astype(np.float32)}
PAYLOADS = {
    "wav": encode_wav(SOUND, 16000),
    "png": encode_png(PIXELS),
    "npz": encode_signals(SIGNALS),
    "txt": b"not a tag: emoforge",
}


def test_every_codec_that_is_released_has_a_place_or_none() -> None:
    assert set(PAYLOADS) == set(PLACES)
    with pytest.raises(ValueError, match="say in corpora/tagged"):
        with_tag(b"", "flac", TAG)


@pytest.mark.parametrize("codec", ["wav", "png", "npz"])
def test_it_says_whose_it_is_and_comes_off_to_the_byte(codec: str) -> None:
    plain = PAYLOADS[codec]
    tagged = with_tag(plain, codec, TAG)
    assert tagged == with_tag(plain, codec, TAG) != plain and tag_of(plain) is None
    assert tag_of(tagged) == TAG and without_tag(tagged) == plain
    other = Tag("ab", "syn/ab/1")
    assert tag_of(with_tag(tagged, codec, other)) == other and without_tag(with_tag(tagged, codec, other)) == plain
    assert content_sha256(tagged, "of the whole") == hash_bytes(plain) and content_sha256(plain, "its own") == "its own"


def test_a_line_of_text_stays_as_it_is() -> None:
    assert with_tag(PAYLOADS["txt"], "txt", TAG) == PAYLOADS["txt"] and tag_of(PAYLOADS["txt"]) is None


def test_programs_hear_the_same_sound_and_read_the_tag() -> None:
    plain, tagged = PAYLOADS["wav"], with_tag(PAYLOADS["wav"], "wav", TAG)
    for read in (decode_wav, lambda data: soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)):
        (one, rate), (other, same_rate) = read(plain), read(tagged)
        assert np.array_equal(one, other) and one.dtype == other.dtype and rate == same_rate == 16000
    with wave.open(io.BytesIO(tagged)) as file, wave.open(io.BytesIO(plain)) as before:
        assert file.getparams() == before.getparams() and file.readframes(9999) == before.readframes(9999)
    assert wav_header(tagged) == wav_header(plain)
    with soundfile.SoundFile(io.BytesIO(tagged)) as file:
        assert file.software == "emoforge" and json.loads(file.comment) == json.loads(TAG.text)
    assert json.loads(TAG.text) == {
        "software": "emoforge",
        "synthetic": True,
        "generator_id": TAG.generator_id,
        "sample_id": TAG.sample_id,
    }


def test_programs_see_the_same_picture_and_read_the_tag() -> None:
    tagged = with_tag(PAYLOADS["png"], "png", TAG)
    assert np.array_equal(decode_image(tagged), PIXELS)
    fast = plain_pixels(tagged, MAX_PIXELS)
    assert fast is not None and np.array_equal(fast, PIXELS)
    with Image.open(io.BytesIO(tagged)) as image:
        assert np.array_equal(np.asarray(image), PIXELS) and image.mode == "L"
        assert image.info == {"Software": "emoforge", "Comment": TAG.text}
    at = tagged.index(b"tEXtComment") + 30
    assert plain_pixels(tagged[:at] + b"\0" + tagged[at + 1 :], MAX_PIXELS) is None, "a damaged text is damage"


def test_arrays_are_those_of_before() -> None:
    tagged = with_tag(PAYLOADS["npz"], "npz", TAG)
    ours, theirs = decode_signals(tagged), np.load(io.BytesIO(tagged))
    assert set(theirs.files) == set(ours) == set(SIGNALS)
    assert all(
        np.array_equal(ours[name], array) and np.array_equal(theirs[name], array) for name, array in SIGNALS.items()
    )
    with zipfile.ZipFile(io.BytesIO(tagged)) as archive:
        assert archive.testzip() is None and json.loads(archive.comment) == json.loads(TAG.text)


def test_a_wav_of_another_form_gets_a_plain_header() -> None:
    data = (SOUND * 32767).astype(">i2").tobytes()
    form = struct.pack(">4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    rifx = b"RIFX" + struct.pack(">I", 36 + len(data)) + b"WAVE" + form + b"data" + struct.pack(">I", len(data)) + data
    cut = PAYLOADS["wav"][:4] + b"\xff\xff\xff\xff" + PAYLOADS["wav"][8:]  # a size that nobody knew
    for odd in (rifx, cut, PAYLOADS["wav"] + b"LIST\4\0\0\0INFOx"):
        tagged = with_tag(odd, "wav", TAG)
        assert tag_of(tagged) == TAG and wav_header(tagged).plain
        assert np.array_equal(decode_wav(tagged)[0], decode_wav(odd)[0])
        assert soundfile.read(io.BytesIO(tagged))[0].shape == (1601,)


@pytest.mark.parametrize("codec", ["wav", "png", "npz"])
def test_what_is_none_of_its_codec_is_not_tagged(codec: str) -> None:
    for bytes_of in (b"", b"emoforge", PAYLOADS[codec][: len(PAYLOADS[codec]) // 2]):
        with pytest.raises(PayloadError):
            with_tag(bytes_of, codec, TAG)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["wav", "png", "npz"]), st.data())
def test_a_damaged_tag_is_none_or_says_what_it_says(codec: str, data: st.DataObject) -> None:
    tagged = with_tag(PAYLOADS[codec], codec, TAG)
    at = data.draw(st.integers(len(PAYLOADS[codec]) - 12, len(tagged) - 1))
    damaged = tagged[:at] + bytes([data.draw(st.integers(0, 255))]) + tagged[at + 1 :]
    tag = tag_of(damaged[: data.draw(st.integers(at, len(tagged)))])
    assert tag is None or isinstance(tag.sample_id, str)
