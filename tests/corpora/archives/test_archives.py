"""Archives: what is published unpacks as it is; what is hostile is refused by name and leaves nothing behind."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from corpora.archives import extract as archives
from corpora.archives.extract import Limits, extract, is_archive
from corpora.errors import CorpusError, LockedError, ResourceError

FILES = {"Actor_01/a.wav": b"RIFF" * 900, "Actor_01/my file (1).wav": b"x", "größe/c.csv": b"a,b\n" * 300, "empty": b""}


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, data in entries.items():
            made.writestr(name, data)
    return out.getvalue()


def tarred(entries: dict[str, bytes], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as made:  # type: ignore[call-overload]
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


MAKERS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": zipped,
    "stored.zip": lambda entries: zipped(entries, zipfile.ZIP_STORED),
    "tar": tarred,
    "tar.gz": lambda entries: tarred(entries, "w:gz"),
    "tar.bz2": lambda entries: tarred(entries, "w:bz2"),
}
BOTH = pytest.mark.parametrize("kind", ["zip", "tar"])


def written(folder: Path, data: bytes, name: str = "a.archive") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(folder: Path, data: bytes, limits: Limits | None = None) -> str:
    """The message, after a look that nothing was left."""
    path = written(folder, data)
    with pytest.raises(CorpusError) as caught:
        extract(path, folder / "out", limits)
    assert list(folder.iterdir()) == [path]
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", MAKERS)
def test_what_was_packed_is_what_is_unpacked(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, MAKERS[kind](FILES), f"a.{kind}")
    assert is_archive(path)
    assert extract(path, tmp_path / "out") == tmp_path / "out"
    assert content(tmp_path / "out") == FILES
    assert sorted(found.name for found in tmp_path.iterdir()) == [path.name, "out"]
    assert not any((tmp_path / "out" / name).stat().st_mode & 0o111 for name in FILES)


def test_debris_is_left_out_and_names_of_macos_and_windows_are_understood(tmp_path: Path) -> None:
    data = zipped({"folder\\b.wav": b"2", "XXXXXXX.wav": b"1", "__MACOSX/._b.wav": b"3", "folder/.DS_Store": b"4"})
    unmarked = data.replace(b"XXXXXXX.wav", "größe.wav".encode())  # UTF-8 without the mark that says so
    extract(written(tmp_path, unmarked), tmp_path / "out")
    assert content(tmp_path / "out") == {"folder/b.wav": b"2", "größe.wav": b"1"}


@BOTH
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../out.wav", "leads out of the folder"),
        ("a/../../b.wav", "leads out of the folder"),
        ("a\\..\\..\\b.wav", "leads out of the folder"),
        ("/etc/x.wav", "absolute path"),
        ("C:\\x.wav", "absolute path"),
        ("\\\\server\\x.wav", "absolute path"),
        ("a\nb.wav", "control character"),
        ("a/\x1b[31m.wav", "control character"),
        ("n" * 256, "too long a name"),
        ("a/" * 40 + "b.wav", "too long a name"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, kind: str, name: str, why: str) -> None:
    message = refused(tmp_path, MAKERS[kind]({"good.wav": b"1", name: b"2"}))
    assert f"{why}" in message and repr(name[:200]) in message


@BOTH
@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ("a/B.wav", "A/b.wav", "differs in case only"),
        ("a.wav", "./a.wav", "is there twice"),
        ("gr\u00f6.wav", "gro\u0308.wav", "is there twice"),
        ("STRASSE.wav", "straße.wav", "is there twice"),
        ("a", "A/b.wav", "that has the name of a file"),
        ("a/b.wav", "A", "is there twice"),
    ],
)
def test_names_that_collide_on_other_file_systems_are_refused(
    tmp_path: Path, kind: str, first: str, second: str, why: str
) -> None:
    assert why in refused(tmp_path, MAKERS[kind]({first: b"1", second: b"2"}))


@BOTH
def test_limits(tmp_path: Path, kind: str) -> None:
    many = {f"{number}/x.wav": b"12345678" for number in range(20)}
    assert "more than 30" in refused(tmp_path, MAKERS[kind](many), Limits(entries=30))  # folders count as well
    assert "unpacks to more than" in refused(tmp_path, MAKERS[kind](many), Limits(total_bytes=100))
    extract(written(tmp_path, MAKERS[kind](many)), tmp_path / "out", Limits(entries=40, total_bytes=160))
    assert len(content(tmp_path / "out")) == 20


def with_kind(name: str, mode: int, data: bytes = b"") -> bytes:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a/good.wav", b"1")
        made.writestr(info, data)
    return out.getvalue()


def tar_with(**fields: object) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        good, odd = tarfile.TarInfo("a/good.wav"), tarfile.TarInfo("a/odd")
        good.size = 1
        made.addfile(good, io.BytesIO(b"1"))
        for name, value in fields.items():
            setattr(odd, name, value)
        made.addfile(odd)
    return out.getvalue()


@pytest.mark.parametrize("target", ["../../x", "/etc/passwd", "C:\\x", "missing", "../a", "..", ".", "odd", ""])
def test_links_that_leave_or_lead_nowhere_are_refused(tmp_path: Path, target: str) -> None:
    for data in (
        with_kind("a/odd", stat.S_IFLNK | 0o777, target.encode()),
        tar_with(type=tarfile.SYMTYPE, linkname=target),
    ):
        assert "link" in refused(tmp_path, data)


def test_links_inside_are_kept(tmp_path: Path) -> None:
    for data in (
        with_kind("a/odd", stat.S_IFLNK | 0o777, b"good.wav"),
        tar_with(type=tarfile.SYMTYPE, linkname="../a/good.wav"),
    ):
        folder = extract(written(tmp_path, data), tmp_path / f"out{len(data)}")
        assert (folder / "a/odd").readlink() == Path("good.wav")
    folder = extract(written(tmp_path, tar_with(type=tarfile.LNKTYPE, linkname="a/good.wav")), tmp_path / "hard")
    assert content(folder) == {"a/good.wav": b"1", "a/odd": b"1"}


@pytest.mark.parametrize(
    "links",
    [
        (("d/e/top", "../.."), ("x/up", "../d/e/top/../../..")),  # each stays inside by its text; together they leave
        (("x/one", "../d/two"), ("d/two", "../x")),  # together they lead to where they lie
        (("x/one", "../d/two"), ("d/two", "../x/one")),
    ],
)
def test_links_through_links_are_refused(tmp_path: Path, links: tuple[tuple[str, str], ...]) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            made.addfile(info)
    assert "link" in refused(tmp_path, out.getvalue())
    assert "is a link to what is not there" in refused(tmp_path, tar_with(type=tarfile.LNKTYPE, linkname="nobody.wav"))


@pytest.mark.parametrize("target", ["e", "/tmp"])
def test_a_file_is_never_written_through_a_link(tmp_path: Path, target: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        link, file = tarfile.TarInfo("d"), tarfile.TarInfo("d/x")
        link.type, link.linkname, file.size = tarfile.SYMTYPE, target, 1
        made.addfile(link)
        made.addfile(file, io.BytesIO(b"1"))
    assert ("that has the name of a file" if target == "e" else "links to an absolute path") in refused(
        tmp_path, out.getvalue()
    )


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE, b"Z"])
def test_devices_and_sparse_files_are_refused(tmp_path: Path, kind: bytes) -> None:
    message = refused(tmp_path, tar_with(type=kind))
    assert "a/odd" in message and "device" in message


def test_devices_in_a_zip_are_refused(tmp_path: Path) -> None:
    assert "device" in refused(tmp_path, with_kind("a/odd", stat.S_IFIFO | 0o644))


def test_encrypted_and_oddly_packed_entries_are_refused(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.wav": b"1"}))
    at = data.index(b"PK\1\2")
    data[at + 8] |= 1
    assert "'a.wav' is encrypted" in refused(tmp_path, bytes(data))
    assert "packed by method 14" in refused(tmp_path, zipped({"a.wav": b"1"}, zipfile.ZIP_LZMA))


@pytest.mark.parametrize("kind", MAKERS)
def test_an_archive_cut_short_is_refused(tmp_path: Path, kind: str) -> None:
    data = MAKERS[kind](FILES)
    for cut in (len(data) // 3, len(data) // 2, len(data) - 30):
        if kind == "tar" and cut == len(data) - 30:
            cut = data.rindex(b"a,b\n") + 4  # at the end of an entry
        message = refused(tmp_path, data[:cut])
        assert "damaged" in message or "promises" in message


def test_damage_is_found_and_named(tmp_path: Path) -> None:
    data = bytearray(zipped(FILES, zipfile.ZIP_STORED))
    data[data.index(b"RIFF") + 50] ^= 1
    assert "Actor_01/a.wav" in refused(tmp_path, bytes(data))
    packed = bytearray(tarred(FILES))
    packed[packed.index(b"empty") + 150] ^= 1  # the checksum of a header: tarfile would stop there, silently
    assert "without an end marker" in refused(tmp_path, bytes(packed))


def test_what_is_no_archive_is_called_so(tmp_path: Path) -> None:
    assert not is_archive(written(tmp_path, b"RIFF" * 999))
    assert not is_archive(tmp_path / "nothing") and not is_archive(tmp_path)
    assert "is no .zip" in refused(tmp_path, b"7z\xbc\xaf" * 99)
    with pytest.raises(CorpusError, match="cannot be read"):
        extract(tmp_path / "nothing", tmp_path / "out")


def test_what_is_complete_is_left_alone_and_an_interrupted_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, zipped(FILES))
    whole, calls = archives._write, []

    def stops(entry: archives.Entry, *more: object) -> None:
        calls.append(entry.name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        whole(entry, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(archives, "_write", stops)
    with pytest.raises(KeyboardInterrupt):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    extract(path, tmp_path / "out")
    assert calls == [*list(FILES)[:3], *list(FILES)[2:]]
    assert content(tmp_path / "out") == FILES
    extract(path, tmp_path / "out")
    assert len(calls) == 5


def test_what_another_archive_left_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, zipped({"a.wav": b"old", "b.wav": b"1"}))
    whole = archives._write

    def stops(entry: archives.Entry, *more: object) -> None:
        if entry.name == "b.wav":
            raise KeyboardInterrupt
        whole(entry, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(archives, "_write", stops)
    with pytest.raises(KeyboardInterrupt):
        extract(path, tmp_path / "out")
    monkeypatch.undo()
    extract(written(tmp_path, zipped({"a.wav": b"new", "c.wav": b"22"})), tmp_path / "out")
    assert content(tmp_path / "out") == {"a.wav": b"new", "c.wav": b"22"}


def test_two_processes_do_not_unpack_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, zipped(FILES))
    with archives._held(tmp_path / ".out.part", path), pytest.raises(LockedError, match="another process"):
        extract(path, tmp_path / "out")


def test_a_full_disk_says_so_and_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "_write", full)
    path = written(tmp_path, zipped(FILES))
    with pytest.raises(ResourceError, match="No space left on device"):
        extract(path, tmp_path / "out")
    monkeypatch.undo()
    extract(path, tmp_path / "out")
    assert content(tmp_path / "out") == FILES


def test_zips_in_a_zip_are_unpacked_one_level_deep(tmp_path: Path) -> None:
    inner = zipped({"Actor_01/x.wav": b"1", "deeper.zip": zipped({"y.wav": b"2"})})
    path = written(
        tmp_path, zipped({"Actor_01.zip": inner, "more/Actor_02.ZIP": zipped({"z.wav": b"3"}), "readme.txt": b"r"})
    )
    found = content(extract(path, tmp_path / "out"))
    assert set(found) == {"Actor_01/Actor_01/x.wav", "Actor_01/deeper.zip", "more/Actor_02/z.wav", "readme.txt"}
    mixed = written(tmp_path, zipped({"train.zip": inner, "data.csv": b"a"}))  # the reader of this one wants its zips
    assert set(content(extract(mixed, tmp_path / "mixed"))) == {"train.zip", "data.csv"}


def test_zips_in_a_zip_are_judged_as_well(tmp_path: Path) -> None:
    message = refused(tmp_path, zipped({"Actor_01.zip": zipped({"../x.wav": b"1"})}))
    assert "Actor_01.zip" in message and "'../x.wav' leads out" in message
    inner = zipped({f"{number}.wav": b"1" for number in range(9)})
    assert "more than" in refused(tmp_path, zipped({"a.zip": inner, "b.zip": inner}), Limits(entries=19))


def test_an_interrupted_call_goes_on_with_zips_in_a_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = {f"{number}.wav": b"1" for number in range(4)}
    path = written(tmp_path, zipped({"a.zip": zipped(inner), "b.zip": zipped(inner)}))
    whole, calls = archives._write, []

    def stops(entry: archives.Entry, *more: object) -> None:
        calls.append(entry.name)
        if len(calls) == 5:
            raise KeyboardInterrupt
        whole(entry, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(archives, "_write", stops)
    with pytest.raises(KeyboardInterrupt):
        extract(path, tmp_path / "out")
    found = content(extract(path, tmp_path / "out"))
    assert set(found) == {f"{name}/{file}" for name in "ab" for file in inner}
    assert len(calls) == 2 + 8 + 1


def test_memory_does_not_grow_with_a_file(tmp_path: Path) -> None:
    big = os.urandom(24 << 20)
    for kind in ("stored.zip", "tar", "tar.gz"):
        path = written(tmp_path, MAKERS[kind]({"a.wav": big}))
        tracemalloc.start()
        extract(path, tmp_path / kind)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 << 20, kind
