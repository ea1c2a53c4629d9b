"""Run as a script: a Ray cluster of a head and two nodes with nothing in common but a store's URL; one node is killed.

Writes what happened as JSON to argv[1]; argv[2] is the folder below which each node has its own.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import corpora.quiet  # noqa: F401
from flows.engine.executor import Patience, Resources, Worker, WorkItem, executor
from flows.engine.store import WorkStore
from tests.flows.engine.loopback_storage import object_store


def main(report: Path, folder: Path) -> None:
    from ray.cluster_utils import Cluster

    quick = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
    small = {"object_store_memory": 100 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": quick, **small})
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        nodes = [cluster.add_node(num_cpus=1, **small) for _ in range(2)]
        with object_store() as (url, objects):
            store = WorkStore(url)
            (folder / "model").mkdir()
            (folder / "model" / "weight.txt").write_text("3")
            store.put_folder("models/m", folder / "model")
            worker = ("tests.flows.engine.pool_workers:OnItsNode", {"store": url, "private": str(folder / "nodes")})
            seen: list[str] = []

            def done(item: WorkItem, result: dict[str, Any]) -> None:
                seen.append(result["node"])
                if item.key.startswith("second") and len(set(seen)) == 2 and len(cluster.worker_nodes) == 2:
                    lost.append(nodes[1].node_id)
                    cluster.remove_node(nodes[1], allow_graceful=False)

            lost: list[str] = []
            with executor(Worker(*worker), Resources(actors=2), Patience(stall_s=120)) as pool:
                for name in ("first", "second"):
                    keys = [f"{name}/{i}" for i in range(12)]
                    pool.run(
                        [WorkItem(k, {"key": k, "n": i, "sleep": 0.4}) for i, k in enumerate(keys)],
                        done,
                    )
            results = {
                k: store.get_arrays(k)[0]["values"].tolist()
                for n in ("first", "second")
                for k in map(lambda i, n=n: f"{n}/{i}", range(12))
            }
            report.write_text(json.dumps({"seen": seen, "lost": lost, "results": results, "objects": len(objects)}))
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
