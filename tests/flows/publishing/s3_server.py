"""A real S3 server (moto's) as a process of its own on a loopback port; it can be told to die after some uploads.

python -m tests.flows.publishing.s3_server PORT [UPLOADS]
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[3]
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def serving(port: int, *, uploads: int | None = None, check_keys: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """uploads: it kills itself with SIGKILL in the middle of the one after so many. check_keys: after one call (that
    makes a bucket) only keys that it has given out are accepted."""
    command = [sys.executable, "-m", "tests.flows.publishing.s3_server", str(port)]
    env = os.environ | ({"INITIAL_NO_AUTH_ACTION_COUNT": "1"} if check_keys else {})
    server = subprocess.Popen(
        command + ([str(uploads)] if uploads is not None else []),
        cwd=REPO,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert server.poll() is None and time.monotonic() < deadline, "the S3 server did not start"
            time.sleep(0.1)
        yield server
    finally:
        server.kill()
        server.wait()


def bucket(port: int, name: str = "emo") -> Any:
    """The bucket, made if it is not there."""
    import boto3

    s3 = boto3.resource("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", **KEYS)
    return s3.create_bucket(Bucket=name)


def main() -> None:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    app = DomainDispatcherApplication(create_backend_app)
    left = int(sys.argv[2]) if len(sys.argv) > 2 else None

    def dying(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        nonlocal left
        if left is not None and environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].count("/") > 2:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        answer: Iterable[bytes] = app(environ, start)
        return answer

    run_simple("127.0.0.1", int(sys.argv[1]), dying, threaded=True)


if __name__ == "__main__":
    main()
