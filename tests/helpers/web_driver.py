"""A browser without a window, driven by the W3C's WebDriver protocol: `with web_driver.chromium(folder) as browser`."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's key of an element
_ARGUMENTS = ("--headless=new", "--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--window-size=900,1000")
SECONDS = 60.0


def is_there() -> bool:
    """Whether this machine has Chromium and its driver."""
    return shutil.which("chromedriver") is not None and any(map(shutil.which, ("chromium", "google-chrome", "chrome")))


class Browser:
    """A session of a browser."""

    def __init__(self, address: str) -> None:
        self._address = address

    def _send(self, method: str, path: str, **content: Any) -> Any:
        body = json.dumps(content).encode() if method == "POST" else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._address}{path}", body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, address: str) -> None:
        self._send("POST", "/url", url=address)

    def run(self, script: str) -> Any:
        """What a script returns."""
        return self._send("POST", "/execute/sync", script=script, args=[])

    def click(self, selector: str) -> None:
        """Clicks the element that a CSS selector names, as a person would: it must be in sight."""
        element = self._send("POST", "/element", using="css selector", value=selector)[_ELEMENT]
        self._send("POST", f"/element/{element}/click")

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._send("GET", "/screenshot")))

    def errors(self) -> list[str]:
        """What the page complained of."""
        return [entry["message"] for entry in self._send("POST", "/se/log", type="browser")]

    def close(self) -> None:
        self._send("DELETE", "")


def wait_for(condition: Callable[[], Any], what: str) -> None:
    """Waits until something is so."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.05)


@contextlib.contextmanager
def chromium(downloads: Path) -> Iterator[Browser]:
    """A browser that puts what it downloads into a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    silence = subprocess.DEVNULL
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=silence, stderr=silence)
    try:
        root = f"http://127.0.0.1:{port}"
        wait_for(lambda: _answers(root), "the driver")
        options = {"args": _ARGUMENTS, "prefs": {"download.default_directory": str(downloads)}}
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        reply = Browser(root)._send("POST", "/session", capabilities={"alwaysMatch": capabilities})
        browser = Browser(f"{root}/session/{reply['sessionId']}")
        try:
            yield browser
        finally:
            browser.close()
    finally:
        driver.terminate()
        driver.wait()


def _answers(root: str) -> bool:
    try:
        with urllib.request.urlopen(f"{root}/status", timeout=5) as reply:
            return bool(json.load(reply)["value"]["ready"])
    except OSError:
        return False
