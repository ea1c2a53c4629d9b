"""Prefect's worker of processes, which answers for a flow run until the run's own process does.

Importing this module makes it the worker of type "process": `prefect worker start` looks types up by name.
"""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from prefect.states import Crashed
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

from flows.conduct.heartbeats import BEGUN, heartbeat

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State

WAITS_S = (1, 2, 5, 10, 20, 40, 60, 60, 60)  # for a server that cannot be told

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
            task_status: Any = None,
        ) -> ProcessWorkerResult:
            with heartbeat(Path.cwd(), str(flow_run.id), worker=True):
                try:
                    return await super().run(flow_run, configuration, task_status)
                finally:
                    await self._see_it_over(flow_run)

        async def _see_it_over(self, flow_run: FlowRun) -> None:
            """Its process has ended. A run that the server still takes for one at work, since it could not be told, is
            marked as crashed when it can be."""
            for wait_s in WAITS_S:
                try:
                    state = (await self.client.read_flow_run(flow_run.id)).state
                    if state is not None and state.type.value in BEGUN:
                        crashed: State[None] = Crashed(message="its process is gone")
                        await self.client.set_flow_run_state(flow_run.id, crashed, force=True)
                    return
                except httpx.HTTPError:
                    await asyncio.sleep(wait_s)
