"""Notices of what a lab should hear of: a version that was published, a run that failed, damage.

Sent by a Prefect notification block (Slack, e-mail, a webhook ...) that machine.yaml names: `notify: TYPE/NAME`. A
notice that cannot be sent is a warning: what it speaks of is done, or has failed already.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora.errors import EmoforgeError, UserError
from flows.params import load_machine

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State
    from prefect.flows import Flow

log = logging.getLogger(__name__)
BLOCK = re.compile(r"[a-z0-9-]+/[a-z0-9-]+")  # TYPE/NAME, as Prefect slugs are
LONGEST = 4000  # characters: what chat services take in one message


def require_block(name: str) -> Any:
    """The notification block. Raises `UserError`: no such name, no such block, or one that cannot notify."""
    if not BLOCK.fullmatch(name):
        raise UserError(f"machine.yaml: notify is {name!r}; allowed: TYPE/NAME of a block, as in slack-webhook/lab")
    from prefect.blocks.abstract import NotificationBlock
    from prefect.blocks.core import Block

    try:
        block = Block.load(name)
    except ValueError as error:
        raise UserError(
            f"machine.yaml: notify names the Prefect block {name!r}, which the server does not have ({error}). Make it "
            "(docs/nightly.md), or take the line out"
        ) from None
    if not isinstance(block, NotificationBlock):
        raise UserError(f"machine.yaml: notify names {name!r}, which is no notification block")
    return block


def notify(repo: Path, subject: str, body: str, warn: Callable[[str], object] = log.warning) -> bool:
    """-> whether it was sent. Nothing for a machine.yaml without `notify`. Raises nothing: `warn` is told."""
    try:
        name = load_machine(repo / "machine.yaml").notify
        if name is None:
            return False
        require_block(name).notify(body[:LONGEST], subject)
    except EmoforgeError as error:
        warn(f"no notice was sent: {error}")
        return False
    except Exception as error:  # noqa: BLE001  (a service's own: what it was to say stands in the log already)
        warn(f"no notice was sent, {name} said: {type(error).__name__}: {error}")
        return False
    return True


def tell_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's hook of a flow that failed or whose process died. A flow within another is the other's to tell."""
    if flow_run.parent_task_run_id is not None:
        return
    given = flow_run.parameters.get("repo")
    repo = Path(given) if given else Path.cwd()
    notify(
        repo,
        f"emoforge: {flow.name} {(state.name or 'ended').lower()} in {repo.name}",
        state.message or "no reason was given",
    )
