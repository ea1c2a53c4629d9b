"""Two processes that train together."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Callable
from pathlib import Path


def run_two(worker: Callable[[int, int, int, str], None], folder: Path) -> None:
    """Calls worker(rank, 2, port, folder) in two new processes, which both must end well within two minutes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=worker, args=(rank, 2, port, str(folder))) for rank in range(2)]
    for one in workers:
        one.start()
    for one in workers:
        one.join(120)
        assert one.exitcode == 0
