"""A real browser without a window, driven by the WebDriver protocol over loopback.

It finds no host but 127.0.0.1.  Errors: RuntimeError when it is not installed.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.server import program

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The protocol's name for a reference to an element."""

WIDTH, HEIGHT = 1300, 1400

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # root has no other way
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-crash-reporter",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--hide-scrollbars",
    f"--window-size={WIDTH},{HEIGHT}",
)


class Browser:
    """One window.  What names an element is a CSS selector; AssertionError when there is none."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, url: str) -> None:
        """Returns when the page has loaded."""
        _ask(f"{self._session}/url", {"url": url})

    def click(self, selector: str) -> None:
        _ask(f"{self._element(selector)}/click", {})

    def write(self, selector: str, text: str) -> None:
        """Replace what a field holds."""
        element = self._element(selector)
        _ask(f"{element}/clear", {})
        _ask(f"{element}/value", {"text": text})

    def text(self, selector: str) -> str:
        """As it is seen: nothing of what is hidden."""
        return str(_ask(f"{self._element(selector)}/text"))

    def rows(self, selector: str) -> list[list[str]]:
        """The texts of the cells of a table that is seen."""
        script = (
            "return [...document.querySelectorAll(arguments[0] + ' tr')]"
            ".map(row => [...row.cells].map(cell => cell.innerText.trim()))"
        )
        found: list[list[str]] = _ask(f"{self._session}/execute/sync", {"script": script, "args": [selector]})
        return found

    def shoot(self, path: Path) -> None:
        """Keep what the window shows as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(_ask(f"{self._session}/screenshot")))

    def _element(self, selector: str) -> str:
        found = _ask(f"{self._session}/element", {"using": "css selector", "value": selector})
        return f"{self._session}/element/{found[ELEMENT]}"


@contextmanager
def browser(home: Path) -> Iterator[Browser]:
    """A window that is gone when the block ends; its profile is in ``home``."""
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    driver = f"http://127.0.0.1:{port}"
    options = {
        "binary": program("chromium", "chromium"),
        "args": [*ARGUMENTS, f"--user-data-dir={home}/profile"],
    }
    capabilities = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [program("chromedriver", "chromium-driver"), f"--port={port}"],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        eventually(lambda: _ask(f"{driver}/status")["ready"])
        made = _ask(f"{driver}/session", {"capabilities": capabilities})
        session = f"{driver}/session/{made['sessionId']}"
        try:
            yield Browser(session)
        finally:
            _ask(session, method="DELETE")
    finally:
        process.terminate()
        process.wait(20)


def _ask(url: str, body: Any = None, method: str | None = None) -> Any:
    """The value that the driver answers; AssertionError with what it says instead."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data, method=method), timeout=60) as answer:
            return json.load(answer)["value"]
    except HTTPError as exc:
        with exc:
            raise AssertionError(json.load(exc)["value"]["message"]) from None
    except URLError as exc:
        raise AssertionError(f"no answer: {exc}") from exc
