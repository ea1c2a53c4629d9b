"""Our own png files read without Pillow: the same pixels, and everything else left to Pillow."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from corpora.codecs import MAX_PIXELS, decode_image, encode_png
from corpora.errors import PayloadError
from corpora.formats import pictures
from corpora.formats.plainpng import plain_pixels


def by_pillow(payload: bytes, monkeypatch: pytest.MonkeyPatch) -> np.ndarray | str:
    with monkeypatch.context() as patched:
        patched.setattr(pictures, "plain_pixels", lambda payload, most: None)
        return outcome(payload)


def outcome(payload: bytes) -> np.ndarray | str:
    try:
        return decode_image(payload)
    except PayloadError as error:
        return f"{error.reason}: {error.detail}"


def drawn(height: int, width: int, colour: bool, seed: int = 0) -> np.ndarray:
    shape = (height, width, 3) if colour else (height, width)
    return np.random.default_rng([height, width, seed]).integers(0, 256, shape).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.booleans(), st.integers(0, 9))
def test_what_was_written_is_read(height: int, width: int, colour: bool, seed: int) -> None:
    pixels = drawn(height, width, colour, seed)
    read = plain_pixels(encode_png(pixels), MAX_PIXELS)
    assert read is not None and read.dtype == np.uint8 and read.flags.writeable and read.flags.c_contiguous
    assert np.array_equal(read, pixels)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(pixels)))), pixels)


@pytest.mark.parametrize("colour", [False, True])
def test_every_changed_byte_gives_what_pillow_gives(colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encode_png(drawn(5, 4, colour))
    for at in range(len(whole)):
        for change in (0x01, 0x80):
            damaged = whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :]
            assert plain_pixels(damaged, MAX_PIXELS) is None, at
    for cut in (0, 7, 8, 30, 33, 45, len(whole) - 12, len(whole) - 1):
        assert plain_pixels(whole[:cut], MAX_PIXELS) is None
        assert isinstance(by_pillow(whole[:cut], monkeypatch), str) == isinstance(outcome(whole[:cut]), str)
    assert np.array_equal(outcome(whole), by_pillow(whole, monkeypatch))


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def png(head: bytes, body: bytes, more: bytes = b"") -> bytes:
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    )


GREY = (2).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])  # 2 x 2
ROWS = bytes([2, 10, 20, 2, 30, 250])


def test_other_forms_are_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    assert np.array_equal(plain_pixels(png(GREY, ROWS), MAX_PIXELS), [[10, 20], [40, 14]])  # type: ignore[arg-type]
    others = {
        "another filter": png(GREY, bytes([2, 10, 20, 1, 30, 250])),
        "a row too few": png(GREY, ROWS[:3]),
        "a row too many": png(GREY, ROWS + ROWS[:3]),
        "a chunk more": png(GREY, ROWS, chunk(b"tEXt", b"Comment\0x")),
        "16 bits": png(GREY[:8] + bytes([16, 0, 0, 0, 0]), bytes([2, 200, 0, 200, 0, 2, 1, 0, 1, 0])),
        "interlaced": png(GREY[:8] + bytes([8, 0, 0, 0, 1]), ROWS),
        "grey and alpha": png(GREY[:8] + bytes([8, 4, 0, 0, 0]), bytes([2, 9, 9, 9, 9, 2, 0, 0, 0, 0])),
        "no pixels": png(bytes(8) + GREY[8:], b""),
    }
    for name, payload in others.items():
        assert plain_pixels(payload, MAX_PIXELS) is None, name
        mine, theirs = outcome(payload), by_pillow(payload, monkeypatch)
        assert np.array_equal(mine, theirs), name
    for at in ("bomb", "limit"):
        size = 1 << 30 if at == "bomb" else 2
        head = size.to_bytes(4, "big") * 2 + GREY[8:]
        assert plain_pixels(png(head, ROWS), 3 if at == "limit" else MAX_PIXELS) is None
