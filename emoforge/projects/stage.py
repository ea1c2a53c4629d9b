"""One stage, as DVC calls it: a plain function, with its result written to a file that outlives DVC's exit code."""

from __future__ import annotations

from pathlib import Path

from corpora.errors import InterruptedRunError, UnknownNameError
from flows.conduct.errorfile import as_user_error, write_error
from flows.conduct.leash import hold
from flows.paths import Layout
from flows.stages.run import VERBS


def execute(verb: str, name: str, repo: Path) -> None:
    """Runs stage `verb` of corpus or run `name`. Every error is in the error file before it is raised.

    Raises `UnknownNameError` for a verb or name that can be none; those have no error file.
    """
    hold()
    if verb not in VERBS:
        raise UnknownNameError.of("stage", verb, VERBS)
    error_file = Layout(repo).error_file(verb, name)
    error_file.unlink(missing_ok=True)
    try:
        from flows.stages.run import run_stage

        run_stage(verb, name, repo=repo)
    except KeyboardInterrupt:
        error = InterruptedRunError(f"{verb}@{name} was interrupted; what was finished is kept.")
        write_error(error_file, error)
        raise error from None
    except BaseException as error:
        write_error(error_file, error)
        known = as_user_error(error)
        if known is None or known is error:
            raise
        raise known from error
