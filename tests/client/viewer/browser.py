"""A real headless Chromium, driven over WebDriver (W3C) through the system's chromedriver with `requests` alone."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.conftest import free_ports

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--window-size=1400,900",
]
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_KEYS = {"ArrowLeft": "\ue012", "ArrowRight": "\ue014", "ArrowDown": "\ue015", "Escape": "\ue00c", "Enter": "\ue007"}


class Browser:
    """One session; waits where a page needs time, and fails with what it waited for."""

    def __init__(self, driver: str, profile: Path) -> None:
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy of the environment has no business here
        options = {"args": [*FLAGS, f"--user-data-dir={profile}"], "binary": shutil.which("chromium")}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        answer = self._post(f"{driver}/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"{driver}/session/{answer['sessionId']}"

    def open(self, url: str) -> None:
        self._post(f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a JavaScript function's body."""
        return self._post(f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def count(self, selector: str) -> int:
        return self.run("return document.querySelectorAll(arguments[0]).length", selector)

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def texts(self, selector: str) -> list[str]:
        return self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector)

    def box(self, selector: str) -> list[float]:
        """Left, top, width and height on the screen."""
        script = "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
        return self.run(f"{script} return [r.x, r.y, r.width, r.height]", selector)

    def find(self, selector: str) -> dict[str, str]:
        """An element, to be given to a script."""
        return self._post(f"{self._session}/element", {"using": "css selector", "value": selector})

    def wait(self, condition: str, *arguments: Any, timeout_s: float = 20) -> Any:
        """Wait until an expression is true; gives its value."""
        ends_at = time.monotonic() + timeout_s
        while not (value := self.run(f"return {condition}", *arguments)):
            assert time.monotonic() < ends_at, f"waited in vain for {condition} {arguments}: {self.text('body')[:2000]}"
            time.sleep(0.03)
        return value

    def wait_for(self, selector: str, count: int = 1) -> None:
        self.wait("document.querySelectorAll(arguments[0]).length >= arguments[1]", selector, count)

    def click(self, selector: str) -> None:
        """Click as a person does: at the middle of what must be visible and not covered."""
        self.wait_for(selector)
        self._post(f"{self._element(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        self.wait_for(selector)
        self._post(f"{self._element(selector)}/clear", {})
        self._post(f"{self._element(selector)}/value", {"text": text})

    def press(self, key: str) -> None:
        """Press and let go of a key, wherever the focus is."""
        value = _KEYS.get(key, key)
        actions = [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        keyboard = {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}
        self._post(f"{self._session}/actions", keyboard)

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self._post(f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def dark(self, on: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._get(f"{self._session}/screenshot")))

    def complaints(self) -> list[str]:
        """What the console said since the last call, and every request that did not stay on this machine."""
        said = [entry["message"] for entry in self._log("browser") if entry["level"] in {"WARNING", "SEVERE"}]
        sent = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        urls = [event["params"]["request"]["url"] for event in sent if event["method"] == "Network.requestWillBeSent"]
        return said + [url for url in urls if not _stays_here(url)]

    def close(self) -> None:
        self._http.delete(self._session, timeout=30)
        self._http.close()

    def _log(self, kind: str) -> list[dict[str, Any]]:
        return self._post(f"{self._session}/se/log", {"type": kind})

    def _element(self, selector: str) -> str:
        return f"{self._session}/element/{self.find(selector)[_ELEMENT]}"

    def _get(self, url: str) -> Any:
        return self._value(self._http.get(url, timeout=60))

    def _post(self, url: str, body: dict[str, Any]) -> Any:
        return self._value(self._http.post(url, json=body, timeout=60))

    def _value(self, answer: requests.Response) -> Any:
        value = answer.json()["value"]
        assert answer.ok, value
        return value


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Start a browser with a new, empty profile; the test skips, saying so, where there is none."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: apt-get install chromium chromium-driver")
    (port,) = free_ports(1)
    command = ["chromedriver", f"--port={port}", f"--log-path={folder / 'chromedriver.log'}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_up(f"http://127.0.0.1:{port}", process)
        browser = Browser(f"http://127.0.0.1:{port}", folder / "profile")
        try:
            yield browser
        finally:
            browser.close()
    finally:
        process.terminate()
        process.wait()


def _wait_until_up(driver: str, process: subprocess.Popen[bytes]) -> None:
    ends_at = time.monotonic() + 30
    while time.monotonic() < ends_at and process.poll() is None:
        try:
            with requests.get(f"{driver}/status", timeout=5) as answer:
                if answer.json()["value"]["ready"]:
                    return
        except requests.RequestException:
            time.sleep(0.05)
    raise AssertionError("chromedriver did not start")


def _stays_here(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"data", "file", "about", "blob", "chrome"} or parts.hostname == "127.0.0.1"
