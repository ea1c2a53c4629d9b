"""Typed errors of the whole project, and the one shape in which they speak.

An error names the thing, the value, what is allowed and what to do. The CLI turns a `UserError` into exit code 2 and
one message; everything else is a defect and keeps its traceback.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """The words " Did you mean 'x'?" of the valid name nearest to `name`, case aside; "" where none is near."""
    by_form = {each.casefold(): each for each in sorted(valid, reverse=True)}
    near = difflib.get_close_matches(name.casefold(), list(by_form), n=1, cutoff=0.5)
    return f" Did you mean {by_form[near[0]]!r}?" if near else ""


def _likeness(name: str, known: str) -> float:
    """How like two names are, case aside: from 0 to 1."""
    return difflib.SequenceMatcher(None, name.casefold(), known.casefold()).ratio()


class EmoforgeError(Exception):
    """Base of all errors that this project raises on purpose. `exit_code` is what the CLI returns for it."""

    exit_code = 1


class UserError(EmoforgeError):
    """Something outside the code is wrong and its owner can mend it: a parameter, a path, a file, a machine."""

    exit_code = 2


SHOWN = 24  # names that a message lists; of more, the nearest


class UnknownNameError(UserError):
    """A name that no registry, parameter file or vocabulary holds."""

    @classmethod
    def of(cls, kind: str, name: str, valid: Iterable[str]) -> UnknownNameError:
        """`kind`: what the name is of ("corpus reader"). The message names the nearest valid name and all of them,
        or the nearest where they are many."""
        known = sorted(set(valid))
        listed, of = known, ""
        if len(known) > SHOWN:
            listed = sorted(known, key=lambda each: (-_likeness(str(name), each), each))[: SHOWN // 2]
            of = f", nearest of {len(known)}"
        near = did_you_mean(str(name), known)
        return cls(f"unknown {kind} {name!r}.{near} Known{of}: {', '.join(listed) or 'none'}.")


class ParamsError(UserError):
    """params.yaml or machine.yaml does not fit its model."""


class CorpusError(UserError):
    """A corpus folder is missing, empty, not of the layout that its reader expects, or not usable for the run."""


class SplitError(UserError):
    """A split view that cannot exist for this corpus."""


class LeakError(UserError):
    """The audit found what must not be in two splits, and the run's `on_leak` says fail."""


class PayloadError(EmoforgeError):
    """One payload cannot be decoded. Readers turn it into a `Reject` with `reason` as its slug.

    `detail` goes into tables that are hashed, so it is our own words and facts of the payload alone: never the text of
    a library's exception (it may hold addresses, paths, and other words in the next version) nor an absolute path.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class UnknownLabelError(PayloadError):
    """A sample's own label is none that the reader or card knows. `label`: the text; `known`: what it may be.

    `field`: where it stands ("label", "emotion"); "" for a label alone.
    """

    def __init__(self, label: str, known: Iterable[str], field: str = "") -> None:
        self.label, self.known = label, tuple(known)
        listed = ", ".join(self.known)
        where = f"{field} " if field else ""
        super().__init__("bad-label", f"{where}{label[:60]!r}; known: {listed[:300]}")


_REFUSED = {
    errno.EACCES: "no permission to read it",
    errno.EPERM: "no permission to read it",
    errno.ENOENT: "it is not there",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "a part of its path is no folder",
    errno.ELOOP: "it is a link that leads to itself",
    errno.EIO: "the disk cannot read it",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ESTALE: "the file system has lost it",
}


def refused(error: OSError) -> str:
    """Why the system does not give a file, in our words: the same on every machine, and without the file's path."""
    number = error.errno or 0
    return _REFUSED.get(number, f"the system says {errno.errorcode.get(number, 'no more')}")


class IntegrityError(EmoforgeError):
    """A file is not what its index or manifest says: count, size or sha256 differ."""


class ResourceError(UserError):
    """What the run asks for is not there: accelerator, cluster, disk space, a writable folder."""


class LockedError(UserError):
    """Another process works on the same thing."""


class GateError(EmoforgeError):
    """A gate said no and params say that this blocks. Exit code 1; never retried."""


class InterruptedRunError(EmoforgeError):
    """Cancelled or interrupted; what was finished is kept and the same command goes on from there."""

    exit_code = 3
