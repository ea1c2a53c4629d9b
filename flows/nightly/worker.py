"""Prefect's worker of processes, which answers for a flow run until the run's own process does.

Importing this module makes it the worker of type "process": `prefect worker start` looks types up by name.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

from flows.conduct.heartbeats import heartbeat

if TYPE_CHECKING:
    import anyio.abc
    from prefect.client.schemas.objects import FlowRun

with warnings.catch_warnings():
    warnings.filterwarnings(
        "ignore", message="Type 'ProcessWorkerWithHeartbeat'"
    )  # that it stands in Prefect's place is meant

    class ProcessWorkerWithHeartbeat(ProcessWorker):
        """Started in the project's folder. Killed before the flow has begun, it leaves the heartbeat by which its
        successor frees the run's place; else Prefect keeps that for five minutes, and cancels what comes."""

        async def run(
            self,
            flow_run: FlowRun,
            configuration: ProcessJobConfiguration,
            task_status: anyio.abc.TaskStatus[int] | None = None,
        ) -> ProcessWorkerResult:
            with heartbeat(Path.cwd(), str(flow_run.id), worker=True):
                return await super().run(flow_run, configuration, task_status)
