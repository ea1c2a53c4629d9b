"""A headless Chromium that tests click in, over the DevTools protocol. EMOFORGE_CHROMIUM names the binary."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.sync.connection import Connection

BINARY = os.environ.get("EMOFORGE_CHROMIUM")
needs_chromium = pytest.mark.skipif(BINARY is None, reason="EMOFORGE_CHROMIUM names no Chromium")
PATIENCE_S = 60
KEYS = {"Enter": 13, "Tab": 9, "Escape": 27, " ": 32, "ArrowRight": 39, "ArrowDown": 40, "ArrowLeft": 37, "ArrowUp": 38}


class Page:
    """One tab. `errors`: what the console said that it should not have."""

    def __init__(self, socket: Connection) -> None:
        self._socket, self._numbers, self.errors = socket, itertools.count(1), list[str]()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, path: Path, width: int = 1280, height: int = 900) -> None:
        """Loads a file, without network; the end of its scripts is waited for."""
        self._call(
            "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
        )
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self._call("Page.navigate", url=path.as_uri())
        self.until(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(path.as_uri())})")

    def js(self, expression: str) -> Any:
        """The value of an expression. Raises AssertionError where it throws."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Waits until it is true."""
        end = time.monotonic() + PATIENCE_S
        while not self.js(f"Boolean({expression})"):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.05)

    def click(self, selector: str, times: int = 1) -> None:
        """With the mouse, in the middle of the first element."""
        self.press_mouse(*self.middle(selector), times=times)

    def middle(self, selector: str) -> tuple[float, float]:
        """Of an element, scrolled into view."""
        box = self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center', behavior: 'instant'}); "
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        return box[0], box[1]

    def press_mouse(self, x: float, y: float, times: int = 1) -> None:
        """Down and up at a place of the window."""
        for count in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=count)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """With the left button."""
        facts = {"button": "left", "clickCount": 1}
        self._call("Input.dispatchMouseEvent", type="mousePressed", x=start[0], y=start[1], **facts)
        for share in (0.3, 0.7, 1.0):
            place = [a + share * (b - a) for a, b in zip(start, end, strict=True)]
            self._call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1], buttons=1, button="left")
        self._call("Input.dispatchMouseEvent", type="mouseReleased", x=end[0], y=end[1], **facts)

    def key(self, name: str) -> None:
        """One key, down and up."""
        text = {"Enter": "\r", " ": " "}.get(name, name if len(name) == 1 else "")
        facts = {"key": name, "windowsVirtualKeyCode": KEYS.get(name, ord(name.upper()) if len(name) == 1 else 0)}
        self._call("Input.dispatchKeyEvent", type="keyDown", **facts, **({"text": text} if text else {}))
        self._call("Input.dispatchKeyEvent", type="keyUp", **facts)

    def downloads_to(self, folder: Path) -> None:
        """Where files go that the page gives."""
        self._call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                result: dict[str, Any] = message["result"]
                return result
            self._hear(message)

    def _hear(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:500])
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])
        elif event.get("method") == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.errors.append(json.dumps(params["args"])[:500])


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    """A browser with a profile of its own in `folder`, which ends with the block."""
    command = [str(BINARY), "--headless", "--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={folder / 'profile'}", "--remote-debugging-port=0", "about:blank"]
    with (folder / "chromium.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as browser:
        try:
            port = _port(folder / "profile" / "DevToolsActivePort", browser)
            new = urllib.request.Request(f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT")
            with urllib.request.urlopen(new, timeout=PATIENCE_S) as answer:
                address = json.loads(answer.read())["webSocketDebuggerUrl"]
            with connect(address, max_size=200_000_000) as socket:
                yield Page(socket)
        finally:
            browser.terminate()
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()


def _port(path: Path, browser: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + PATIENCE_S
    while not (path.is_file() and path.read_text().strip()):
        assert browser.poll() is None, f"{BINARY} ended with {browser.returncode}"
        assert time.monotonic() < end, f"{BINARY} opens no port"
        time.sleep(0.1)
    return int(path.read_text().split()[0])
