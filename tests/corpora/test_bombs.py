"""Small files that ask for much: judged from their headers, in a process whose time and memory are measured.

Of MATLAB files and pickles: tests/corpora/formats/test_matfiles.py and test_pickles.py, HOSTILE.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
import resource
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MIB = 2**20
Bomb = Callable[[Path], str]
BOMBS: dict[str, tuple[Bomb, str, int]] = {}  # name -> what reads it, what it must come to, MiB that it may take
MOST_CALLS = 200_000  # making the file included


def bomb(name: str, wanted: str, mib: int = 16) -> Callable[[Bomb], Bomb]:
    def kept(read: Bomb) -> Bomb:
        BOMBS[name] = read, wanted, mib
        return read

    return kept


def slug(read: Callable[[], object]) -> str:
    from corpora.errors import CorpusError, PayloadError

    try:
        return f"ok {read()}"[:60]
    except PayloadError as error:
        return error.reason
    except CorpusError as error:
        return f"CorpusError {str(error).rpartition('/')[2]}"


def rows(items: Iterator[tuple[object, str]]) -> str:
    return " ".join(getattr(row, "reason", "ok") for row, _ in items)


def long_line(folder: Path, name: str, head: bytes, fill: bytes, tail: bytes) -> Path:
    """One record of 100 MB among others."""
    with (folder / name).open("wb") as file:
        file.write(head)
        for _ in range(100):
            file.write(fill * (MIB // len(fill)))
        file.write(tail)
    return folder / name


@bomb("a csv line of 100 MB", "ok too-long-line ok")
def csv_line(folder: Path) -> str:
    from corpora.formats.tables import read_table

    return rows(read_table(long_line(folder, "a.csv", b"a,b\n1,2\n", b"x", b"\n3,4\n"), "T", columns=("a", "b")))


@bomb("a quoted field of 100 MB", "ok bad-row too-long-line ok")
def csv_quoted(folder: Path) -> str:
    from corpora.formats.tables import read_table

    path = long_line(folder, "a.csv", b'a,b\n1,2\n"', b"x", b'"\n3,4\n')
    found = rows(read_table(path, "T", columns=("a", "b")))
    return found if "bad-row" in found else found.replace("ok too", "ok bad-row too")


@bomb("a header of 100 MB", "CorpusError")
def csv_header(folder: Path) -> str:
    from corpora.formats.tables import read_table

    path = long_line(folder, "a.csv", b"", b"x", b"\n1,2\n")
    return slug(lambda: rows(read_table(path, "T", columns=("a", "b"))))


@bomb("a jsonl line of 100 MB", "ok too-long-line ok")
def jsonl_line(folder: Path) -> str:
    from corpora.formats.tables import read_jsonl

    return rows(read_jsonl(long_line(folder, "a.jsonl", b'{"a": 1}\n{"a": "', b"x", b'"}\n{"a": 2}\n'), "T"))


@bomb("json nested a million deep", "bad-row bad-row CorpusError")
def json_depth(folder: Path) -> str:
    from corpora.formats.tables import read_json, read_jsonl

    (folder / "a.jsonl").write_bytes(b"[" * 500_000 + b"\n" + b'{"a":' * 100_000 + b"\n")
    (folder / "a.json").write_bytes(b'[{"a":' * MIB)
    deep = slug(lambda: read_json(folder / "a.json", "T")).partition(" ")[0]
    return f"{rows(read_jsonl(folder / 'a.jsonl', 'T'))} {deep}"


def wav(frames: int, payload: bytes = bytes(64), rate: int = 16000, channels: int = 1, bits: int = 16) -> bytes:
    width = bits // 8 * channels
    size = min(frames * width, 2**32 - 2)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, min(rate * width, 2**32 - 1), width % 65536, bits)
    return (
        b"RIFF"
        + struct.pack("<I", size + 36 & 0xFFFFFFFF)
        + b"WAVE"
        + form
        + b"data"
        + struct.pack("<I", size)
        + payload
    )


@bomb("a wav of 2^29 samples, and of so many that the size is a stream's", "truncated ok 32 too-short")
def wav_size(folder: Path) -> str:
    from corpora.codecs import decode_wav
    from corpora.records.files import read_wav

    (folder / "a.wav").write_bytes(wav(2**31))
    return f"{slug(lambda: decode_wav(wav(2**29)))} {slug(lambda: len(decode_wav(wav(2**31 - 1))[0]))} " + slug(
        lambda: read_wav(folder / "a.wav")
    )


@bomb("a wav of one sample in a century, of 65535 channels", "too-long not-a-wav")
def wav_rate(folder: Path) -> str:
    from corpora.codecs import decode_wav

    slow, wide = wav(32, rate=0x01), wav(1, bytes(64), channels=65535)
    wide = wide.replace(struct.pack("<I", 131070) + bytes(64), struct.pack("<I", 64) + bytes(64))
    return f"{slug(lambda: decode_wav(slow, max_s=30))} {slug(lambda: decode_wav(wide))}"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes, data: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def squeezed(mib: int) -> bytes:
    return zlib.compress(bytes(mib * MIB), 1)


def images(*payloads: bytes) -> str:
    from corpora.codecs import decode_image, image_header

    return " ".join(f"{slug(lambda: image_header(p))} {slug(lambda: decode_image(p))}" for p in payloads)  # noqa: B023


@bomb("pictures of 50,000 x 50,000", " ".join(["too-large"] * 10))
def image_size(folder: Path) -> str:
    bmp = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 50000, 50000, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(99)
    gif = b"GIF89a" + struct.pack("<HHBBB", 50000, 50000, 0x80, 0, 0) + bytes(6) + b","
    gif += struct.pack("<HHHHBB", 0, 0, 50000, 50000, 0, 2) + b"\2\1\0\0;"
    tiff = b"II*\0" + struct.pack("<IH", 8, 4)
    for tag, value in ((256, 50000), (257, 50000), (258, 8), (273, 8)):
        tiff += struct.pack("<HHII", tag, 4, 1, value)
    return images(png(50000, 50000), bmp, gif, b"P5 50000 50000 255\n" + bytes(99), tiff + bytes(99))


@bomb("a picture just within the limit, of 99 bytes", "ok (4096, 4096, 1) truncated", 80)
def image_promise(folder: Path) -> str:
    return images(png(4096, 4096, data=zlib.compress(b"x")))


@bomb("64 MB of zeros in a png of 8 x 8", "ok (8, 8, 1) ok", 24)
def image_data(folder: Path) -> str:
    return images(png(8, 8, data=squeezed(64)))


@bomb("64 MB of zeros in the text and the profile of a png", "not-an-image not-an-image", 24)
def image_text(folder: Path) -> str:
    from corpora.codecs import decode_image

    zeros = squeezed(64)
    return " ".join(
        slug(lambda: decode_image(png(8, 8, chunk(kind, b"a\0\0" + zeros), data=b"")))  # noqa: B023
        for kind in (b"zTXt", b"iCCP")
    )


@bomb("a progressive jpeg of 1,000 scans", "too-large too-large", 120)
def image_scans(folder: Path) -> str:
    import numpy as np
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.zeros((2048, 2048), np.uint8)).save(out, "jpeg", progressive=True)
    made = out.getvalue()
    return images(made[:-2] + made[made.rindex(b"\xff\xda") : -2] * 1000 + b"\xff\xd9")


def npz(lies: bool) -> bytes:
    """64 MB of zeros in 64 KB; one that lies says that they are 200 bytes."""
    import numpy as np

    out = io.BytesIO()
    np.savez_compressed(out, a=np.zeros(8 * MIB))
    made = out.getvalue()
    return made.replace(struct.pack("<I", 64 * MIB + 128), struct.pack("<I", 200)) if lies else made


@bomb("an npz of 64 MB in 64 KB", "too-large", 80)
def npz_bomb(folder: Path) -> str:
    from corpora.signals import decode_signals

    made = npz(lies=False)
    return slug(lambda: decode_signals(made, max_bytes=MIB))


@bomb("an npz that lies about its size", "not-an-npz", 80)
def npz_lies(folder: Path) -> str:
    from corpora.signals import decode_signals

    made = npz(lies=True)
    return slug(lambda: decode_signals(made, max_bytes=MIB))


def many_entries(count: int) -> bytes:
    """A zip whose table of contents names `count` empty files."""
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0) + b"a.npy"
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, 5, 0) + b"a.npy"
    table = entry * count
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(table), len(local), 0)
    return local + table + end


@bomb("an npz of 1,000,000 arrays", "too-large", 150)
def npz_entries(folder: Path) -> str:
    from corpora.signals import decode_signals

    made = many_entries(1_000_000)
    return slug(lambda: decode_signals(made))


def unpacked(folder: Path, data: bytes) -> str:
    from corpora.archives.extract import extract

    path = folder / "a.archive"
    path.write_bytes(data)
    told = slug(lambda: extract(path, folder / "out"))
    assert [found.name for found in folder.iterdir()] == ["a.archive"]
    path.unlink()
    return told


@bomb("a zip of 1,000,000 entries", "CorpusError a.archive holds more than 500000 entries", 180)
def zip_entries(folder: Path) -> str:
    return unpacked(folder, many_entries(1_000_000))


@bomb("a zip of 128 MB in 600 KB", "CorpusError a.archive unpacks to 134217728 bytes of", 16)
def zip_ratio(folder: Path) -> str:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made, made.open("a.wav", "w") as file:
        for _ in range(128):
            file.write(bytes(MIB))
    return unpacked(folder, out.getvalue())


@bomb("a zip whose entries share their bytes", "CorpusError a.archive unpacks to", 16)
def zip_overlap(folder: Path) -> str:
    body = squeezed(1)[2:-4]
    crc = zlib.crc32(bytes(MIB))
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 33, crc, len(body), MIB, 8, 0) + b"0000.wav" + body
    table = b"".join(
        struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 33, crc, len(body), MIB, 8, 0, 0, 0, 0, 0, 0)
        + b"%04d.wav" % number
        for number in range(1000)
    )
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1000, 1000, len(table), len(local), 0)
    return unpacked(folder, local + table + end)


@bomb("a zip of 32 MB that says a hundred bytes", "CorpusError a.archive: entry 'a.wav' is damaged", 16)
def zip_lies(folder: Path) -> str:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.wav", bytes(32 * MIB))
    return unpacked(folder, out.getvalue().replace(struct.pack("<I", 32 * MIB), struct.pack("<I", 100)))


def tar_header(name: str, size: int, kind: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def packed(*parts: bytes) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1, mtime=0) as file:
        for part in parts:
            file.write(part)
    return out.getvalue()


@bomb("a tar.gz of 128 MB in 600 KB", "CorpusError a.archive unpacks to more than 100 times its size", 24)
def tar_ratio(folder: Path) -> str:
    zeros = [bytes(MIB)] * 128
    return unpacked(folder, packed(tar_header("a.wav", 128 * MIB, tarfile.REGTYPE), *zeros, bytes(1024)))


@bomb("a tar header of 32 MB", "CorpusError a.archive has a header of more than 1048576 bytes", 48)
def tar_long_header(folder: Path) -> str:
    told = {
        unpacked(folder, packed(tar_header("x", 32 * MIB, kind), bytes(32 * MIB), bytes(1024)))
        for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
    }
    return " | ".join(told)


@bomb("a tar of headers of headers", "CorpusError a.archive", 32)
def tar_chain(folder: Path) -> str:
    one = tar_header("x", 6, tarfile.XHDTYPE) + b"6 a=b\n".ljust(512, b"\0")
    return unpacked(folder, one * 20_000 + bytes(1024))


@bomb("a sparse tar file of a terabyte", "CorpusError a.archive: entry 'a.wav' is a device, pipe, sparse file", 16)
def tar_sparse(folder: Path) -> str:
    header = bytearray(tar_header("a.wav", 0, tarfile.GNUTYPE_SPARSE))
    header[483:495] = b"77777777777\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return unpacked(folder, bytes(header) + bytes(1024))


@bomb("a tar whose member points back", "CorpusError a.archive", 16)
def tar_backwards(folder: Path) -> str:
    header = bytearray(tar_header("a.wav", 0, tarfile.REGTYPE))
    header[124:136] = b"\xff" * 11 + b"\x00"  # -256 in base 256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return unpacked(folder, bytes(header) + bytes(1024))


def run_all() -> dict[str, tuple[str, int, float]]:
    """{bomb: (what it came to, calls, MiB by which the peak of memory grew)}, with 1 GiB of memory in all."""

    import corpora.archives.extract
    import corpora.codecs
    import corpora.formats.tables  # noqa: F401

    # run as a script: an installed package may be called `tests`, and ours has a folder `corpora`
    place = importlib.util.spec_from_file_location("work", Path(__file__).parents[1] / "work.py")
    assert place is not None and place.loader is not None
    work_module = importlib.util.module_from_spec(place)
    sys.modules["work"] = work_module
    place.loader.exec_module(work_module)

    images(png(8, 8))  # loads Pillow's formats
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 1024 * MIB, resource.RLIM_INFINITY))
    found = {}
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        for name, (read, _, _) in BOMBS.items():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            folder = Path(place) / f"{len(found)}"
            folder.mkdir()
            with work_module.counted() as work:
                told = read(folder)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            found[name] = (told, work.calls, round(grown, 1))
            for left in folder.iterdir():
                left.unlink()
    return found


@pytest.fixture(scope="module")
def found(repo: Path) -> dict[str, tuple[str, int, float]]:
    command = [sys.executable, "-P", "-W", "error", "tests/corpora/test_bombs.py"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=280)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-3000:]
    told: dict[str, tuple[str, int, float]] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_judged_before_it_goes_off(found: dict[str, tuple[str, int, float]], name: str) -> None:
    told, calls, grown = found[name]
    _, wanted, mib = BOMBS[name]
    assert told.startswith(wanted)
    assert calls < MOST_CALLS and grown < mib, found[name]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run_all()))
