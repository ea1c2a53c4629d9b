"""A DVC remote, and pushing to it: what it says when it fails, as what happened and what to do."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpora.errors import ResourceError, UserError
from flows.conduct.dvcrun import DVC, environment

AGAIN = "Nothing was tagged; the same command goes on"
_S3 = "access_key_id and secret_access_key, or a profile (`dvc remote modify --local {name} profile NAME`), or AWS_*"
# what a library says -> what happened, what to do; the first that fits. {name}, {url}: of the remote
_SAID: Sequence[tuple[str, str, str]] = (
    (
        r"URL '.*' is supported but requires|No module named 'dvc_|Unsupported URL type|requires .*dvc-",
        "the package that speaks its protocol is not installed",
        "S3: pip install 'emoforge[s3]'; ssh: pip install dvc-ssh",
    ),
    (
        r"Unable to locate credentials|NoCredentials|credentials not found|PartialCredentials",
        "there are no credentials for it",
        f"give it {_S3}",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|ExpiredToken|InvalidClientTokenId|"
        r"The AWS Access Key Id you provided|security token|AuthenticationRequired|Authentication failed|"
        r"AccessDenied|Access Denied|Forbidden|\b403\b",  # of a HEAD, S3 says no more than 403
        "it does not accept the credentials, or they have no right to write there",
        f"look at {_S3}; or ask its owner for the right",
    ),
    (
        r"NoSuchBucket|The specified bucket does not exist|bucket does not exist",
        "its bucket is not there",
        "make the bucket, or mend the address: `dvc remote modify {name} url s3://BUCKET/FOLDER`",
    ),
    (
        r"Could not connect|ConnectTimeout|ReadTimeout|Connect(ion)? ?Error|EndpointConnection|Connection (was )?"
        r"(closed|reset|refused|aborted)|Connect call failed|Cannot connect|Name or service not known|"
        r"Temporary failure in name resolution|ServerDisconnected|Server disconnected|timed? ?out|Broken pipe|"
        r"ServiceUnavailable|SlowDown|InternalError|Internal Server Error|Bad Gateway|HTTPClientError",
        "it does not answer, or went away in the middle",
        "what it has already is kept. See that it is up and its address right: `dvc remote list`",
    ),
    (
        r"No space left|Disk quota exceeded|QuotaExceeded|EDQUOT|ENOSPC|Storage full|XMinioStorageFull",
        "it is full",
        "make room there, or name another remote: `dvc remote add -d NAME URL`",
    ),
    (r"File too large", "it takes no file as large as one of these", "use another file system, or raise its limit"),
    (
        r"Read-only file system|Permission denied|Operation not permitted",
        "it may not be written to",
        "ask its owner for the right to write, or name another remote: `dvc remote add -d NAME URL`",
    ),
    (
        r"Not a directory|File exists|NotADirectory",
        "a file stands where its folder should be",
        "mend the address: `dvc remote modify {name} url PLACE`",
    ),
)


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote of .dvc/config. url: without credentials, which stand in keys of their own."""

    name: str
    url: str

    @property
    def shown(self) -> str:
        """For people."""
        return f"DVC remote {self.name!r} ({self.url})"


def remote_of(name: str | None, repo: Path) -> Remote:
    """The remote of that name; None: the default one. Raises `UserError`."""
    from dvc.config import Config, ConfigError

    try:
        config = Config(str(repo / ".dvc"))
    except ConfigError as error:
        raise UserError(f"DVC's configuration in {repo / '.dvc'} cannot be read: {error}") from None
    chosen = name or config["core"].get("remote")
    if not chosen:
        raise UserError("DVC has no default remote. Name one: dvc remote add -d NAME URL (docs/publishing.md)")
    remotes = config["remote"]
    if chosen not in remotes:
        which = "machine.yaml: private_remote" if name else "core.remote of .dvc/config"
        raise UserError(
            f"{which} names the DVC remote {chosen!r}, which is not there. "
            f"Known: {', '.join(sorted(remotes)) or 'none'}. Add it: dvc remote add {chosen} URL"
        )
    if remotes[chosen].get("version_aware") or remotes[chosen].get("worktree"):
        raise UserError(
            f"DVC remote {chosen!r} keeps files under their own names (version_aware, worktree): a push to it takes "
            "the hashes of folders out of dvc.lock, and with them what a version is known by. Unset it: dvc remote "
            f"modify --unset {chosen} version_aware (and worktree). The bucket may go on keeping versions"
        )
    return Remote(str(chosen), str(remotes[chosen]["url"]))


def push(paths: Sequence[str], remote: Remote, repo: Path) -> None:
    """`dvc push` of outs; what the remote has already is not sent again. Raises `ResourceError`."""
    if not paths:
        return
    done = subprocess.run(
        [*DVC, "push", "--remote", remote.name, "--", *paths],
        cwd=repo,
        env=environment(),
        text=True,
        errors="replace",
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise ResourceError(explained(remote, done.stderr + done.stdout))


def explained(remote: Remote, output: str) -> str:
    """What failed, from what DVC printed."""
    said = [line for line in output.splitlines() if re.match(r"(ERROR|refused):? ", line)] or output.splitlines()[-3:]
    own = " ".join(" ".join(said).split())[:400]
    for pattern, happened, advice in _SAID:
        if re.search(pattern, output, re.IGNORECASE):
            what = advice.format(name=remote.name, url=remote.url)
            return f"pushing to {remote.shown} failed: {happened}. {what[0].upper()}{what[1:]}. {AGAIN}. ({own})"
    return f"pushing to {remote.shown} failed: {own}. {AGAIN}."
