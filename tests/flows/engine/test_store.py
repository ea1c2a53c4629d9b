"""The work store: whole items or none, on a folder and behind a URL."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest

from corpora.errors import ParamsError, ResourceError
from flows.engine import store as store_module
from flows.engine.store import HEADER_BYTES, MissingItemError, WorkStore

GOLDEN_FOLDER = b"emoforge-item-1 adee5248e6ba811c"


@pytest.fixture(params=["folder", "url"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> WorkStore:
    if request.param == "folder":
        return WorkStore(tmp_path / "work store")
    fsspec.filesystem("memory").store.clear()
    return WorkStore("memory://emoforge")


def overwrite(store: WorkStore, key: str, raw: bytes) -> None:
    """Puts raw bytes in the place of an item, behind the store's back."""
    if store._fs is None:
        Path(store._path(key)).write_bytes(raw)
    else:
        store._fs.pipe_file(store._path(key), raw)


def raw_bytes(store: WorkStore, key: str) -> bytes:
    return Path(store._path(key)).read_bytes() if store._fs is None else store._fs.cat_file(store._path(key))


def test_bytes_come_back(store: WorkStore) -> None:
    assert not store.has("samples/g1/a")
    with pytest.raises(MissingItemError, match="samples/g1/a"):
        store.get("samples/g1/a")
    for data in (b"", b"x" * 100_000):
        store.put("samples/g1/a", data)
        assert store.has("samples/g1/a")
        assert store.get("samples/g1/a") == data
    store.put("samples/g1", b"a key may be a prefix of another")
    assert store.get("samples/g1/a") == b"x" * 100_000


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "longer", "foreign"])
def test_a_broken_item_is_missing_and_goes(store: WorkStore, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    store.put("k", b"0123456789")
    raw = raw_bytes(store, "k")
    broken = {
        "truncated": raw[:-1],
        "empty": b"",
        "flipped": raw[:-1] + b"x",
        "longer": raw + b"x",
        "foreign": b"not an item" * 20,
    }[damage]
    overwrite(store, "k", broken)
    assert store.has("k") == (damage == "flipped")  # only reading it all finds a flipped bit
    with pytest.raises(MissingItemError):
        store.get("k")
    assert not store.has("k")
    assert "corrupted" in caplog.text
    store.put("k", b"again")
    assert store.get("k") == b"again"


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", ".tmp-x", "a\\b", "a b", "ä", "a\n"])
def test_keys_are_checked(store: WorkStore, key: str) -> None:
    with pytest.raises(ValueError, match="work store key"):
        store.put(key, b"")


def test_arrays_come_back(store: WorkStore) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "values": rng.normal(size=(3, 4)).astype(np.float32)[:, ::2],
        "scores": np.array([1.0, np.nan]),
        "ok": np.array([True, False]),
        "n": np.array(3, np.int64),
        "none": np.zeros((0, 2), np.uint8),
    }
    store.put_arrays("a", arrays, {"names": ["Zoë", "b"], "n": 2})
    found, meta = store.get_arrays("a")
    assert meta == {"names": ["Zoë", "b"], "n": 2}
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    store.put_arrays("b", dict(reversed(arrays.items())), {"n": 2, "names": ["Zoë", "b"]})
    assert raw_bytes(store, "a") == raw_bytes(store, "b")
    with pytest.raises(TypeError, match="meta"):
        store.put_arrays("c", {"s": np.array(["text"])}, {})
    with pytest.raises(ValueError, match="JSON"):
        store.put_arrays("c", {}, {"x": float("nan")})
    assert not store.has("c")


def folder_of(root: Path) -> Path:
    (root / "sub folder" / "empty").mkdir(parents=True)
    (root / "model.bin").write_bytes(os.urandom(5000))
    (root / "sub folder" / "ä.json").write_text("{}")
    return root


def files(root: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(root)): p.read_bytes() if p.is_file() else None for p in root.rglob("*")}


def test_folders_come_back_and_are_reused(store: WorkStore, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model")
    store.put_folder("models/g1", folder)
    before = raw_bytes(store, "models/g1")
    os.utime(folder / "model.bin", (1, 1))
    (folder / "model.bin").chmod(0o600)
    store.put_folder("models/g1", folder)
    assert raw_bytes(store, "models/g1") == before  # times and modes do not matter

    fetched = store.fetch_folder("models/g1", tmp_path / "cache")
    assert files(fetched) == files(folder)
    stamp = (fetched / "model.bin").stat().st_mtime_ns
    assert store.fetch_folder("models/g1", tmp_path / "cache") == fetched
    assert (fetched / "model.bin").stat().st_mtime_ns == stamp

    (fetched / "model.bin").write_bytes(b"tampered")
    (fetched / "extra").write_text("x")
    store.fetch_folder("models/g1", tmp_path / "cache")
    assert files(fetched) == files(folder)
    assert sorted(p.name for p in fetched.parent.iterdir()) == ["g1", "g1.sha256"]

    overwrite(store, "models/g1", before[:-600])
    with pytest.raises(MissingItemError):
        store.fetch_folder("models/g1", tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere" / "models" / "g1").exists()


def test_a_folder_with_links_is_refused(store: WorkStore, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "link").symlink_to("/etc/hostname")
    with pytest.raises(ResourceError, match="link"):
        store.put_folder("m", tmp_path / "model")
    with pytest.raises(ResourceError, match="nowhere"):
        store.put_folder("m", tmp_path / "nowhere")
    assert not store.has("m")


def test_many_fetch_at_once(tmp_path: Path) -> None:
    store = WorkStore(tmp_path / "store")
    folder = folder_of(tmp_path / "model")
    store.put_folder("m", folder)
    failures: list[BaseException] = []

    def fetch() -> None:
        try:
            assert files(store.fetch_folder("m", tmp_path / "cache")) == files(folder)
        except BaseException as error:  # noqa: BLE001  (a thread's failure must reach the test)
            failures.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_many_write_one_key(tmp_path: Path) -> None:
    """Readers see one writer's bytes whole, however writes and reads interleave or end."""
    store = WorkStore(tmp_path)
    code = (
        "import sys; from flows.engine.store import WorkStore; s = WorkStore(sys.argv[1])\n"
        "while True: s.put('k', sys.argv[2].encode() * 300_000)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), letter]) for letter in "ab"]
    try:
        seen = set()
        deadline = time.monotonic() + 30
        while len(seen) < 2 and time.monotonic() < deadline:
            if store.has("k"):
                data = store.get("k")
                assert len(set(data)) == 1 and len(data) == 300_000
                seen.add(data[0])
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert seen == {ord("a"), ord("b")}
    assert len(store.get("k")) == 300_000


def test_size_and_prune(store: WorkStore) -> None:
    assert store.size() == 0
    store.put("old/a", b"1234")
    store.put("b", b"12")
    assert store.size() == 6 + 2 * HEADER_BYTES
    assert store.prune(older_than_s=60) == 0
    if store._fs is None:
        os.utime(store._path("old/a"), (1, 1))
        left = Path(store._root) / ".tmp-left"
        left.write_bytes(b"half")
        assert store.prune(older_than_s=0) == 6 + 2 * HEADER_BYTES and left.exists()  # perhaps a writer is alive
        os.utime(left, (1, 1))
        store.prune(older_than_s=60)
        assert not left.exists()
        return
    store._fs.store[store._path("old/a")].created = store._fs.created(store._path("old/a")).replace(year=2000)
    assert store.prune(older_than_s=60) == 4 + HEADER_BYTES
    assert store.has("b") and not store.has("old/a")


def test_reading_keeps_an_item_from_being_pruned(tmp_path: Path) -> None:
    store = WorkStore(tmp_path)
    for key in ("used", "unused"):
        store.put(key, b"x")
        os.utime(store._path(key), (1, 1))
    store.get("used")
    store.prune(older_than_s=60)
    assert store.has("used") and not store.has("unused")


@pytest.mark.parametrize("where", ["write", "sync", "rename"])
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    store = WorkStore(tmp_path / "s")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if where == "write":
        monkeypatch.setattr(store_module._Hashed, "write", full)
    elif where == "sync":
        monkeypatch.setattr(store_module.os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ResourceError, match=r"no space left for .*/s/k.*work store"):
        store.put("k", b"x" * 10)
    assert [p for p in (tmp_path / "s").rglob("*") if p.is_file()] == []


def test_a_truly_full_disk() -> None:
    """/dev/full behind the temporary file: the kernel's own ENOSPC."""
    full = Path("/dev/full")
    with (
        pytest.raises(ResourceError, match="no space left for /dev/full"),
        store_module._local_errors(full),
        full.open("wb", buffering=0) as file,
    ):
        file.write(b"x")


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    """As an unprivileged user: root ignores modes."""
    if os.geteuid() != 0:
        (tmp_path / "s").mkdir(mode=0o500)
        with pytest.raises(ResourceError, match=r"cannot be written.*machine\.yaml"):
            WorkStore(tmp_path / "s").put("k", b"x")
        return
    tmp_path.chmod(0o755)
    (tmp_path / "s").mkdir(mode=0o755)
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[2])\n"
        "from flows.engine.store import WorkStore; from corpora.errors import ResourceError; import numpy\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: WorkStore(sys.argv[1]).put('k', b'x')\n"
        "except ResourceError as error: print(error)"
    )
    folder = tmp_path / "s"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(Path(store_module.__file__).parent.parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot be written" in done.stdout and "machine.yaml" in done.stdout
    assert list(folder.iterdir()) == []


def test_addresses_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="relative"):
        WorkStore("work")
    with pytest.raises(ParamsError, match="nosuch"):
        WorkStore("nosuch://bucket/x")
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="file"):
        WorkStore(tmp_path / "file").put("k", b"x")
    assert WorkStore(f"file://{tmp_path}").url == str(tmp_path)


def test_the_item_of_a_folder_is_what_it_was(store: WorkStore, tmp_path: Path) -> None:
    """Golden, header and tar: whoever writes other bytes makes every folder that is stored already another one."""
    folder = tmp_path / "f"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "x.bin").write_bytes(bytes(range(200)))
    (folder / "a.txt").write_text("ä")
    (folder / "a.txt").chmod(0o755)  # nothing of it gets in
    store.put_folder("k", folder)
    assert raw_bytes(store, "k")[:32] == GOLDEN_FOLDER


def test_what_a_killed_writer_left_is_no_item(tmp_path: Path) -> None:
    store = WorkStore(tmp_path / "s")
    store.put("k/a", b"0123")
    left = tmp_path / "s" / "k" / ".tmp-abc"
    left.write_bytes(bytes(5000))
    assert store.size() == HEADER_BYTES + 4
    os.utime(left, (time.time() - 7200,) * 2)
    assert store.prune(older_than_s=1e6) == 0 and left.exists(), "younger than what is asked for"
    assert store.prune(older_than_s=3700) == 5000 and not left.exists() and store.has("k/a")


def test_an_object_that_is_gone_before_it_is_pruned_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.filesystem("memory").store.clear()
    store = WorkStore("memory://emoforge")
    store.put("k", b"1")

    def gone(path: str) -> None:
        raise FileNotFoundError(path)

    monkeypatch.setattr(store._fs, "rm_file", gone)
    assert store.prune(older_than_s=-1.0) == 0
    monkeypatch.setattr(store._fs, "put_file", lambda source, target: gone(target))
    with pytest.raises(ResourceError, match="cannot write"):
        store.put("other", b"1")
