"""A published version as a dataset repository of a Hugging Face Hub: `emoforge push-hub NAME@vX.Y.Z hf://...`.

All or nothing as the version itself: files first, compared with what the Hub then says it holds, the tag last. What has
the tag vX.Y.Z there is the release, byte for byte; `main` may be in between while a large upload runs. Repeating the
command sends what is missing. What a licence does not let pass on goes nowhere but into the one private repository that
machine.yaml names.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from corpora.errors import GateError, IntegrityError, ResourceError, UserError
from corpora.fingerprint import hash_file
from flows.artifacts.released import Released
from flows.params import load_machine, load_params
from flows.publishing.announced import ON_HUB, Announced, announced
from flows.releases.fetched import fetched
from flows.releases.tombstones import removals
from flows.releases.versions import version_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_ADDRESS = re.compile(r"hf://datasets/(?P<id>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})")
KIND = "dataset"


@dataclass(frozen=True, slots=True)
class OnHub:
    """What `push_hub` did. sent: False where the tag was there already and whole; commit: of the Hub's repository."""

    version: str
    repository: str
    url: str
    tag: str
    commit: str
    private: bool
    files: int
    sent: bool

    @property
    def sentence(self) -> str:
        """For people."""
        kind = "private" if self.private else "public"
        if not self.sent:
            return (
                f"{self.version} is at {self.url} already ({kind}, revision {self.tag}): all {self.files} files match"
            )
        return f"{self.version} -> {self.url} ({kind}, revision {self.tag}): {self.files} files, every one compared"

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def repository_of(address: str) -> str:
    """hf://datasets/OWNER/NAME -> OWNER/NAME. Raises `UserError`."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UserError(f"{address!r} is no dataset of a Hub: hf://datasets/OWNER/NAME")
    return match["id"]


def push_hub(tag: str, address: str, *, repo: Path, private: bool = False) -> OnHub:
    """Sends the release of a version (RUN@vX.Y.Z or RUN@latest) to `address`, as the revision vX.Y.Z of it. private: of
    a repository that is made anew; one that is there keeps what it is.

    HF_TOKEN (or `hf auth login`) says who sends, HF_ENDPOINT to which Hub. Raises `UserError`, `UnknownNameError` (no
    such version), `GateError` (a licence forbids it, or it holds what was retracted since), `ResourceError` (no token,
    no right, no Hub), `IntegrityError` (what is there under that tag is something else), and what `fetched` raises.
    """
    repository = repository_of(address)
    version = version_of(tag, repo)
    if held := removals(version.tag, repo):
        raise GateError(
            f"{version.tag} is sent nowhere any more: {'; '.join(removal.sentence for removal in held)}. Send the "
            f"version without: emoforge run {version.run}; emoforge publish {version.run}"
        )
    release = fetched(version, repo, whole=True) / "release"
    restricted = Released(release).manifest().restrictions
    vault = load_machine(repo / "machine.yaml").private_hub
    publish = load_params(repo / "params.yaml").publish
    if restricted and address != vault:
        raise GateError(
            f"{version.tag} may not go to {address}: {'; '.join(restricted)}. Where your agreement lets you keep it "
            "in a private repository, name that one in machine.yaml: private_hub: hf://datasets/OWNER/NAME "
            f"(now {vault or 'none'})"
        )
    with _plain_errors(repository) as api:
        api.create_repo(repository, repo_type=KIND, private=private or bool(restricted), exist_ok=True)
        info = api.repo_info(repository, repo_type=KIND)
        if restricted and not info.private:
            raise GateError(f"{address} is public, and {version.tag} may not be: {'; '.join(restricted)}")
        number, sent = version.number, False
        commit = _tagged(api, repository, number)
        if commit is None:
            said = f"{version.tag}, release hash {Released(release).manifest().release_hash}"
            about = Announced(version.run, publish, version.number, version.date[:10], _page(api, repository))
            copy = announced(release, about)
            with _with_copy(release, copy) as folder, _transfer(api, repository):
                done = api.upload_folder(
                    repo_id=repository, repo_type=KIND, folder_path=folder, commit_message=said, delete_patterns="*"
                )
            commit, sent = str(done.oid), True
        differing = _differing(api, repository, commit, release)
        if differing:
            raise IntegrityError(
                f"{address} at {number if not sent else commit[:10]} is not {version.tag}: {', '.join(differing[:5])} "
                "differ or are missing. "
                + ("No tag was set; the same command goes on" if sent else "Take that tag away")
            )
        if sent:
            api.create_tag(repository, repo_type=KIND, tag=number, tag_message=version.tag, revision=commit)
        n = sum(path.is_file() for path in release.rglob("*"))
        return OnHub(version.tag, repository, _page(api, repository), number, commit, bool(info.private), n, sent)


def _page(api: HfApi, repository: str) -> str:
    return f"{api.endpoint}/datasets/{repository}"


@contextlib.contextmanager
def _transfer(api: HfApi, repository: str) -> Iterator[None]:
    """Files go over Xet where hf_xet is installed and the Hub offers it, else over LFS. Xet's servers are others than
    the Hub's: raises `ResourceError` that says how to do without them."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, HTTPError
    from huggingface_hub.utils import build_hf_headers, get_session

    if constants.HF_HUB_DISABLE_XET or importlib.util.find_spec("hf_xet") is None:
        yield
        return
    url = f"{api.endpoint}/api/{KIND}s/{repository}/xet-write-token/main"
    if get_session().get(url, headers=build_hf_headers(library_name="emoforge")).status_code == 404:
        constants.HF_HUB_DISABLE_XET = True  # as the variable of that name, which the client reads when it starts
        try:
            yield
        finally:
            constants.HF_HUB_DISABLE_XET = False
        return
    try:
        yield
    except HfHubHTTPError:
        raise
    except (HTTPError, OSError, RuntimeError) as error:
        raise ResourceError(
            f"{repository} at {api.endpoint} did not take a file over Xet ({_short(error)}). The version is untouched; "
            "the same command goes on. Where a network lets only the Hub through, or Xet is down: HF_HUB_DISABLE_XET=1 "
            "before it, which sends over LFS"
        ) from None


@contextlib.contextmanager
def _with_copy(release: Path, copy: str | None) -> Iterator[Path]:
    """The files of a release and croissant.json of the version beside them, in one folder: so they are one commit.
    None: the release."""
    if copy is None:
        yield release
        return
    with tempfile.TemporaryDirectory(prefix="emoforge-hub-") as place:
        folder = Path(place)
        for path in (one for one in release.rglob("*") if one.is_file()):
            linked = folder / path.relative_to(release)
            linked.parent.mkdir(parents=True, exist_ok=True)
            linked.symlink_to(path.absolute())
        (folder / ON_HUB).write_text(copy, "utf-8")
        yield folder


def _tagged(api: HfApi, repository: str, tag: str) -> str | None:
    refs = api.list_repo_refs(repository, repo_type=KIND)
    return next((str(ref.target_commit) for ref in refs.tags if ref.name == tag), None)


def _differing(api: HfApi, repository: str, revision: str, release: Path) -> list[str]:
    """Files of either side that are not those of the other, by the hashes that the Hub tells (of LFS: sha256, else
    git's)."""
    from huggingface_hub.hf_api import RepoFile

    tree = api.list_repo_tree(repository, repo_type=KIND, revision=revision, recursive=True)
    files = [entry for entry in tree if isinstance(entry, RepoFile)]
    there = {entry.path: entry for entry in files if entry.path not in (".gitattributes", ON_HUB)}
    here = {path.relative_to(release).as_posix(): path for path in release.rglob("*") if path.is_file()}
    same = {name for name, path in here.items() if name in there and _is(there[name], path)}
    return sorted({*here, *there} - same)


def _is(entry: object, path: Path) -> bool:
    lfs = getattr(entry, "lfs", None)
    if lfs is not None:
        return str(lfs.sha256) == hash_file(path)
    data = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    return blob == getattr(entry, "blob_id", None)


@contextlib.contextmanager
def _plain_errors(repository: str) -> Iterator[HfApi]:
    """The Hub's API; its exceptions as ours."""
    try:
        from huggingface_hub import HfApi, constants
        from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled
    except ImportError:
        raise UserError("huggingface_hub is not installed: pip install 'emoforge[hf]'") from None
    endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    where = f"{repository} at {endpoint}"
    again = "The version is untouched; the same command goes on"
    try:
        yield HfApi(endpoint=endpoint, library_name="emoforge")
    except OfflineModeIsEnabled:
        raise ResourceError(f"{where} is not asked: HF_HUB_OFFLINE is set. Unset it. {again}") from None
    except LocalTokenNotFoundError:
        raise ResourceError(f"{where} wants a token: `hf auth login`, or HF_TOKEN. {again}") from None
    except HfHubHTTPError as error:
        raise ResourceError(f"{where}: {_explained(error.response.status_code)} ({_short(error)}). {again}") from None
    except (HTTPError, OSError) as error:
        raise ResourceError(f"{where} does not answer, or went away in the middle ({_short(error)}). {again}") from None
    except RuntimeError as error:  # an upload that failed, with its cause
        cause = error.__cause__ or error
        raise ResourceError(f"{where} did not take a file ({_short(error)} {_short(cause)}). {again}") from None


def _explained(status: int) -> str:
    known = {
        401: "it does not accept the token: `hf auth login`, or HF_TOKEN",
        403: "this token may not write there: ask the owner, or take a token with the right to write",
        404: "there is no such repository, or this token may not see it",
        409: "something of that name is there already",
        413: "it takes no files as large as these",
        429: "it asks to wait: too many requests",
    }
    return known.get(status, f"it answers with an error ({status})")


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
