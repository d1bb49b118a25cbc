"""A service that runs: what it says of itself, a page sent to it, and its end."""

import contextlib
import json
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

STOPS_WITHIN_S = 60
DRAINS_WITHIN_S = 30
# A worker says that it has nothing in hand a moment before the front end has passed its answers on.
_ANSWERS_TRAVEL_S = 0.5


@dataclass(frozen=True)
class Service:
    """A running service."""

    pid: int  # of the server's front end; its workers are its children
    run_dir: Path  # holds its configuration, logs, tokens and temporary files
    inference_url: str  # without a slash at the end
    management_url: str
    metrics_url: str

    @property
    def token_file(self) -> Path:
        """TorchServe's own file of tokens, new at each start."""
        return self.run_dir / "key_file.json"

    def token(self, kind: str) -> str:
        """The token for `inference` or `management`."""
        key: str = json.loads(self.token_file.read_text())[kind]["key"]
        return key

    def is_alive(self) -> bool:
        """Whether the front end's process runs."""
        try:
            return bool(psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def description(self) -> dict[str, Any]:
        """What the management API says of the model; nothing while it does not answer."""
        try:
            headers = {"Authorization": f"Bearer {self.token('management')}"}
            answer = requests.get(f"{self.management_url}/models/quintet", headers=headers, timeout=5)
            return dict(answer.json()[0]) if answer.ok else {}
        except (requests.RequestException, OSError, KeyError, ValueError):
            return {}  # not up yet: whoever waits asks again, and gives up after a time

    def workers(self) -> list[str]:
        """The states of the model's workers; none while the management API does not answer."""
        return [worker["status"] for worker in self.description().get("workers", [])]

    def pages_in_progress(self) -> float:
        """How many pages all workers together say that they have in hand.

        Raises:
            requests.RequestException: the metrics address does not answer.
        """
        told = requests.get(f"{self.metrics_url}/metrics", timeout=5).text
        return sum(map(float, re.findall(r"^quintet_pages_in_progress\{.*\} (\S+)$", told, flags=re.MULTILINE)))

    def read(self, body: bytes, timeout_s: float = 60) -> requests.Response:
        """Send one page."""
        headers = {"Authorization": f"Bearer {self.token('inference')}", "Content-Type": "application/octet-stream"}
        return requests.post(f"{self.inference_url}/predictions/quintet", data=body, headers=headers, timeout=timeout_s)


def drain(service: Service) -> None:
    """Wait until the batches in work have been answered, but not for long.

    An empty page that is answered stands behind what one worker had in hand; other workers say themselves when they
    have nothing in hand any more.
    """
    deadline = time.monotonic() + DRAINS_WITHIN_S
    # A service that does not answer has nothing to wait for.
    with contextlib.suppress(requests.RequestException, OSError, KeyError, ValueError):
        if set(service.workers()) != {"READY"}:
            return
        service.read(b"", timeout_s=DRAINS_WITHIN_S)
        while service.pages_in_progress() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(_ANSWERS_TRAVEL_S)


def stop(service: Service) -> None:
    """End the server and its workers; what does not end in time is killed."""
    if not service.is_alive():
        return
    front = psutil.Process(service.pid)
    family = [front, *front.children(recursive=True)]
    front.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs(family, timeout=STOPS_WITHIN_S)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
