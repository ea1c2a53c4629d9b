"""What is fuzzed: for each family of files good ones to begin with, and what reads them. See tests/fuzz.py."""

from __future__ import annotations

import gzip
import io
import pickle
import random
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.schema import Reject, Sample

MIB = 2**20
_WORDS = (
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\x7f",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\x80",
    b"\1\0\0\0",
    b"\0\0\0\1",
)
_TEXTS = (
    b'"',
    b"'",
    b"\n",
    b"\r",
    b"\0",
    b",",
    b"\t",
    b"\\",
    b"[" * 3000,
    b"{",
    b"9" * 400,
    b"-1",
    b"nan",
    b"1e999",
    b"../",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\\ud800",
)


@dataclass(frozen=True, slots=True)
class Seed:
    """A good file, or the inner part of one: `dress` makes the file, so that damage gets past checksums and packing."""

    data: bytes
    dress: Callable[[bytes], bytes] = bytes


Parse = Callable[[bytes], Iterator[str]]
Family = Callable[[Path], tuple[list[Seed], Parse]]


def mutate(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """One to eight of: bit flips, bytes, extreme words (in the header, half of the time), cuts, splices of its own or
    of another file, doubled and zeroed blocks, and text that formats of lines stumble over."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        size = len(found)
        at = rng.randrange(max(1, min(size, rng.choice((64, 512, size)))))
        length = rng.choice((1, 4, 16, 64, 512))
        kind = rng.randrange(10)
        if kind == 0 and found:
            found[min(at, size - 1)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            found[at : at + 1] = bytes([rng.randrange(256)])
        elif kind in (2, 3):
            word = rng.choice(_WORDS)[: rng.choice((1, 2, 4))]
            found[at : at + len(word)] = word
        elif kind == 4:
            del found[at:]
        elif kind == 5:
            del found[at : at + length]
        elif kind == 6 and size:
            other = rng.choice((bytes(found), rng.choice(others)))
            start = rng.randrange(max(1, len(other)))
            found[at : at + rng.choice((0, length))] = other[start : start + length]
        elif kind == 7:
            found[at:at] = found[at : at + length] * rng.choice((1, 1, 3, 40))
        elif kind == 8:
            found[at : at + length] = bytes(len(found[at : at + length]))
        else:
            found[at:at] = rng.choice(_TEXTS)
    return bytes(found)


def mutant(seeds: list[Seed], number: int) -> bytes:
    seed = seeds[number % len(seeds)]
    return seed.dress(mutate(seed.data, random.Random(number), [other.data for other in seeds]))


def wav(folder: Path) -> tuple[list[Seed], Parse]:
    import soundfile

    from corpora.codecs import decode_wav, wav_header
    from corpora.formats.channels import mixed_down
    from corpora.records.files import read_wav

    rng = np.random.default_rng(0)
    seeds = []
    for subtype, channels in (("PCM_16", 1), ("PCM_U8", 2), ("PCM_24", 1), ("FLOAT", 1), ("ULAW", 1), ("DOUBLE", 2)):
        out = io.BytesIO()
        soundfile.write(out, 0.1 * rng.normal(size=(1600, channels)), 8000, format="WAV", subtype=subtype)
        seeds.append(out.getvalue())
    for form, endian in (("WAVEX", "FILE"), ("RF64", "FILE"), ("WAV", "BIG")):
        out = io.BytesIO()
        soundfile.write(out, 0.1 * rng.normal(size=(1600, 2)), 8000, format=form, subtype="PCM_16", endian=endian)
        seeds.append(out.getvalue())
    stream = seeds[0][:40] + b"\xff" * 4 + seeds[0][44:]
    listed = b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf58.29.100\0"
    seeds += [
        stream,
        stream + listed,
        stream + listed + b"TAG" + bytes(125),
        b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + stream,
    ]
    path = folder / "a.wav"

    def parse(data: bytes) -> Iterator[str]:
        path.write_bytes(data)
        for read in (lambda: wav_header(data), lambda: mixed_down(decode_wav(data)[0]), lambda: read_wav(path)):
            yield told(read)

    return [Seed(data) for data in seeds], parse


def with_checksums(png: bytes) -> bytes:
    """A damaged png whose chunks have the checksums of what they hold now."""
    made, at = bytearray(png[:8]), 8
    while at + 12 <= len(png):
        size = int.from_bytes(png[at : at + 4], "big")
        body = png[at + 4 : at + 8 + size]
        made += png[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + size
    return bytes(made + png[at:])


def image(folder: Path, *formats: str) -> tuple[list[Seed], Parse]:
    from PIL import Image

    from corpora.codecs import decode_image, encode_png, image_header

    rng = np.random.default_rng(0)
    grey, colour = (rng.integers(0, 255, (24, 20, *more), dtype=np.uint8) for more in ((), (3,)))
    seeds = [encode_png(grey), encode_png(colour)] if "png" in formats else []
    turned = Image.Exif()
    turned[0x0112], turned[0x010E] = 6, "turned"
    for name in formats:
        for mode in ("L", "RGB", "P", "1", "I;16", "RGBA", "CMYK", "LA", "F", "I", "LAB"):
            if (name, mode) in (("png", "CMYK"),) or (name == "jpeg" and mode not in ("L", "RGB", "CMYK")):
                continue
            out = io.BytesIO()
            deep = {
                "I;16": grey.astype(np.uint16) * 200,
                "F": (grey / 255).astype(np.float32),
                "I": grey.astype(np.int32),
            }
            picture = Image.fromarray(deep.get(mode, colour))
            if mode == "LAB":
                picture = Image.frombytes("LAB", picture.size, picture.tobytes())
            elif mode not in deep:
                picture = picture.convert(mode)
            try:
                picture.save(out, name, exif=turned, **({"progressive": True} if mode == "L" else {}))
            except (OSError, KeyError, ValueError):  # not every format has every mode
                continue
            seeds.append(out.getvalue())

    def parse(data: bytes) -> Iterator[str]:
        for read in (lambda: image_header(data), lambda: decode_image(data), lambda: decode_image(data, levels=4095)):
            yield told(read)
        with suppress(PayloadError):
            header = image_header(data)
            with suppress(PayloadError):  # one that its header alone cannot tell
                shape = decode_image(data).shape
                assert (*shape[:2], 3 if len(shape) == 3 else 1) == header, (shape, header)

    dressed = [Seed(data, with_checksums) for data in seeds if data.startswith(b"\x89PNG")]
    return [Seed(data) for data in seeds] + dressed, parse


def npz(folder: Path) -> tuple[list[Seed], Parse]:
    from corpora.signals import decode_signals, encode_signals

    rng = np.random.default_rng(0)
    arrays = {"ecg": rng.normal(size=(90, 2)), "hr": rng.normal(size=9), "on": np.array([True, False])}
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    objects = io.BytesIO()
    np.savez(objects, bad=np.array([Path("x")], dtype=object), **arrays)
    seeds = [encode_signals(arrays), packed.getvalue(), objects.getvalue()]

    def parse(data: bytes) -> Iterator[str]:
        yield told(lambda: decode_signals(data, max_bytes=64 * MIB))

    inner = io.BytesIO()
    np.save(inner, arrays["ecg"])

    def zipped(data: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as made:
            made.writestr("ecg.npy", data)
        return out.getvalue()

    return [*(Seed(data) for data in seeds), Seed(inner.getvalue(), zipped)], parse


def npy(folder: Path) -> tuple[list[Seed], Parse]:
    from numpy.lib import format as npy_format

    from corpora.signals import decode_npy

    seeds = []
    for array in (
        np.arange(40.0).reshape(20, 2),
        np.arange(9, dtype=">i2"),
        np.asfortranarray(np.ones((4, 5), "f4")),
        np.array(["ab"]),
    ):
        for version in ((1, 0), (2, 0), (3, 0)):
            out = io.BytesIO()
            npy_format.write_array(out, array, version=version)
            seeds.append(out.getvalue())

    def parse(data: bytes) -> Iterator[str]:
        yield told(lambda: decode_npy(data, "x.npy"))

    return [Seed(data) for data in seeds], parse


def pickles(folder: Path) -> tuple[list[Seed], Parse]:
    from corpora.formats.pickles import load_array_file, load_arrays
    from tests.corpora.formats.test_pickles import HOSTILE, VALUES, python2_array, python2_binary

    seeds = [
        python2_array(),
        python2_binary(),
        *(pickle.dumps({"d": VALUES, "s": ["S2", 1.5]}, p) for p in range(6)),
    ] * 4
    seeds += [data for data in HOSTILE.values() if len(data) < 1000]
    path = folder / "a.pkl"

    def parse(data: bytes) -> Iterator[str]:
        path.write_bytes(data)
        yield told(lambda: load_arrays(data, max_bytes=64 * MIB))
        yield told(lambda: load_array_file(path, max_bytes=64 * MIB))

    return [Seed(data) for data in seeds], parse


def mat(folder: Path) -> tuple[list[Seed], Parse]:
    from scipy.io import savemat

    from corpora.formats.matfiles import load_cells, load_mat
    from tests.corpora.formats.test_matfiles import EVERY, HEADER, HOSTILE, packed, variables

    seeds = []
    for compress in (False, True):
        out = io.BytesIO()
        savemat(out, variables(np.random.default_rng(0)), do_compression=compress)
        seeds.append(out.getvalue())
    plain = seeds[0]
    seeds += [HEADER + data for data, _ in HOSTILE.values() if len(data) < 4000]
    path = folder / "a.mat"

    def parse(data: bytes) -> Iterator[str]:
        path.write_bytes(data)
        yield told(lambda: [raised(value) for _, value in load_mat(path, EVERY, max_bytes=MIB)])
        yield told(lambda: [raised(value) for value in load_cells(path, "s", "Data", max_bytes=MIB)])

    header = len(HEADER)
    inner = Seed(plain[header:], lambda data: HEADER + packed(data))
    return [*(Seed(data) for data in seeds), inner], parse


def lines(folder: Path, kind: str) -> tuple[list[Seed], Parse]:
    from corpora.formats.tables import read_jsonl, read_table

    rows = ["name,text\n", 'a,"one, two"\n', 'b,"line\nbreak ""x"""\n', "c,größer\n"] * 3
    seeds = ["".join(rows), "".join(rows).replace("\n", "\r\n"), "\ufeff" + "".join(rows).replace(",", "\t")]
    if kind == "jsonl":
        seeds = ['{"name": "a", "text": "größer", "n": [1, {"x": null}]}\n' * 5, '{"name": "\\ud800", "n": 1e5}\n[1]\n']
    path = folder / f"a.{kind}"

    def parse(data: bytes) -> Iterator[str]:
        path.write_bytes(data)
        if kind == "jsonl":
            yield told(lambda: [raised(row) for row, _ in read_jsonl(path, "T")])
            return
        for options in ({}, {"quoted": False}, {"header": False, "encoding": "latin-1"}):
            delimiter = "," if kind == "csv" else "\t"
            yield told(
                lambda: [
                    raised(row)
                    for row, _ in read_table(path, "T", columns=("name", "text"), delimiter=delimiter, **options)  # type: ignore[arg-type]  # noqa: B023
                ]
            )

    return [Seed(seed.encode()) for seed in seeds], parse


def reader(folder: Path, name: str, file: str, subjects: int = 2) -> tuple[list[Seed], Parse]:
    """The whole reader of a corpus: one of its files is mutated."""
    from corpora.readers import make_corpus

    corpus = make_corpus(name)
    corpus.fake(folder, subjects=subjects, per_class=2, seed=0)
    path = next(folder.rglob(file))
    seed = path.read_bytes()

    def parse(data: bytes) -> Iterator[str]:
        path.write_bytes(data)
        try:
            items = corpus.read(folder, "mine")
        except CorpusError:
            yield "CorpusError"
            return
        try:
            yield from outcomes(items)
        except CorpusError:  # a `PayloadError` must have become a reject
            yield "CorpusError"

    return [Seed(seed)], parse


def card(kind: str) -> Family:
    def family(folder: Path) -> tuple[list[Seed], Parse]:
        from tests.fuzz_cards import described

        return described(folder, kind)

    return family


def outcomes(items: Iterable[Any]) -> Iterator[str]:
    """ "ok" or the reason of each item; ids are Unicode and no two are one. What records hold fits the index."""
    ids = set()
    for item in items:
        assert isinstance(item, Sample | Reject), item
        if isinstance(item, Sample):
            item.sample_id.encode()  # what is no Unicode breaks the index, long after
            assert item.sample_id not in ids
            ids.add(item.sample_id)
            for value in (item.age, item.turn, item.t_start_s, item.intensity):
                assert value is None or np.isfinite(np.float32(value)), item
            assert item.subject_id is None or item.subject_id not in ("mine:nan", "mine:NaN", "mine:None", "mine:"), (
                item
            )
        yield "ok" if isinstance(item, Sample) else item.reason


def archive(folder: Path, kind: str) -> tuple[list[Seed], Parse]:
    from corpora.archives.extract import Limits, extract

    rng = random.Random(0)
    files = {"a/one.wav": rng.randbytes(900), "a/two.csv": b"a,b\n" * 300, "größe/my file.txt": b"x"}
    seeds = []
    if kind == "zip":
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w", method) as made:
                for name, data in files.items():
                    made.writestr(name, data)
                made.mkdir("empty")
            seeds.append(out.getvalue())
    else:
        for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w:gz" if kind == "tgz" else "w", format=form) as tar:
                for name, data in (files | {"long/" + "n" * 80 + "/" + "m" * 60: b"y" * 2000}).items():
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    info.pax_headers = {"comment": "c" * 40} if form == tarfile.PAX_FORMAT else {}
                    tar.addfile(info, io.BytesIO(data))
                link = tarfile.TarInfo("a/link")
                link.type, link.linkname = tarfile.SYMTYPE, "one.wav"
                tar.addfile(link)
            seeds.append(out.getvalue())
    path = folder / f"a.{kind}"
    limits = Limits(entries=200, total_bytes=64 * MIB)

    def parse(data: bytes) -> Iterator[str]:
        import shutil

        path.write_bytes(data)
        yield told(lambda: extract(path, folder / "out", limits))
        for there in (folder / "out").rglob("*") if (folder / "out").exists() else ():
            assert there.resolve().is_relative_to(folder / "out"), there
        shutil.rmtree(folder / "out", ignore_errors=True)
        assert list(folder.iterdir()) == [path]

    if kind == "tgz":
        return [Seed(data) for data in seeds] + [Seed(gzip.decompress(data), gzip.compress) for data in seeds], parse
    return [Seed(data) for data in seeds], parse


FAMILIES: dict[str, Family] = {
    "wav": wav,
    "png": lambda folder: image(folder, "png"),
    "jpg": lambda folder: image(folder, "jpeg"),
    "other images": lambda folder: image(folder, "bmp", "gif", "tiff", "ppm", "webp"),
    "npz": npz,
    "npy": npy,
    "pickle": pickles,
    "mat": mat,
    "csv": lambda folder: lines(folder, "csv"),
    "tsv": lambda folder: lines(folder, "tsv"),
    "jsonl": lambda folder: lines(folder, "jsonl"),
    "csv of MELD": lambda folder: reader(folder, "meld", "dev_sent_emo.csv"),
    "tsv of GoEmotions": lambda folder: reader(folder, "goemotions", "train.tsv"),
    "csv of FER2013": lambda folder: reader(folder, "fer2013", "fer2013.csv"),
    "npz of SEED-V": lambda folder: reader(folder, "seed_v", "1_123.npz", 1),
    "table of csv": card("csv"),
    "table of jsonl": card("jsonl"),
    "table of paths": card("paths"),
    "table of parquet": card("parquet"),
    "table of features": card("vector"),
    "saved data set": card("arrow"),
    "table of audformat": card("audformat"),
    "header of audformat": card("header"),
    "card": card("card"),
    "zip": lambda folder: archive(folder, "zip"),
    "tar": lambda folder: archive(folder, "tar"),
    "tgz": lambda folder: archive(folder, "tgz"),
}


def told(read: Callable[[], Any]) -> str:
    try:
        read()
    except PayloadError as error:
        return error.reason
    except CorpusError:
        return "CorpusError"
    return "ok"


def raised(value: Any) -> Any:
    if isinstance(value, PayloadError):
        raise value
    return value
