"""A service that runs, as those see it who have its folder: its addresses, its tokens, what it says of itself."""

import contextlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

DRAINS_WITHIN_S = 30
# A worker says that it has nothing in hand a moment before the front end has passed its answers on.
_ANSWERS_TRAVEL_S = 0.5
_SUPERVISOR = "quintet.operations.service"


@dataclass(frozen=True)
class Service:
    """A running service."""

    pid: int  # of the supervisor; TorchServe's front end and its workers are below it
    run_dir: Path  # holds its configuration, logs, tokens and temporary files
    inference_url: str  # without a slash at the end
    management_url: str
    metrics_url: str
    models: tuple[str, ...]  # the names under which its chains are served

    @property
    def token_file(self) -> Path:
        """TorchServe's own file of tokens, new at each start."""
        return self.run_dir / "key_file.json"

    def token(self, kind: str) -> str:
        """The token for `inference` or `management`."""
        key: str = json.loads(self.token_file.read_text())[kind]["key"]
        return key

    def is_alive(self) -> bool:
        """Whether the supervisor's process runs."""
        return is_running(self.pid)

    def front_end(self) -> psutil.Process:
        """TorchServe's Java process of now; LookupError while there is none."""
        for process in psutil.Process(self.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "org.pytorch.serve.ModelServer" in process.cmdline():
                    return process
        raise LookupError("TorchServe does not run")

    def about(self) -> dict[str, Any]:
        """What the supervisor says: state, restarts, bytes under way; nothing while it does not answer."""
        with contextlib.suppress(requests.RequestException, ValueError):
            return dict(requests.get(f"{self.inference_url}/service", timeout=5).json())
        return {}

    def description(self, model: str = "") -> dict[str, Any]:
        """What the management API says of a model, the first if none is named; nothing while it does not answer."""
        try:
            headers = {"Authorization": f"Bearer {self.token('management')}"}
            url = f"{self.management_url}/models/{model or self.models[0]}"
            answer = requests.get(url, headers=headers, timeout=5)
            return dict(answer.json()[0]) if answer.ok else {}
        except (requests.RequestException, OSError, KeyError, ValueError):
            return {}  # not up yet: whoever waits asks again, and gives up after a time

    def workers(self) -> list[str]:
        """The states of all models' workers; none while a model has none or the management API does not answer."""
        states = [self.workers_of(model) for model in self.models]
        return [state for of_model in states for state in of_model] if all(states) else []

    def workers_of(self, model: str) -> list[str]:
        """The states of one model's workers."""
        return [worker["status"] for worker in self.description(model).get("workers", [])]

    def pages_in_progress(self, model: str = "") -> float:
        """How many pages the workers of one model or of all say that they have in hand.

        Raises:
            RequestException: nothing answers.
        """
        told = requests.get(f"{self.metrics_url}/metrics", timeout=5).text
        labels = f'.*ModelName="{re.escape(model)}".*' if model else ".*"
        found = re.findall(rf"^quintet_pages_in_progress\{{{labels}\}} (\S+)$", told, flags=re.MULTILINE)
        return sum(map(float, found))

    def read(self, body: bytes, timeout_s: float = 60, model: str = "") -> requests.Response:
        """Send one page to a model, the first if none is named."""
        headers = {"Authorization": f"Bearer {self.token('inference')}", "Content-Type": "application/octet-stream"}
        url = f"{self.inference_url}/predictions/{model or self.models[0]}"
        return requests.post(url, data=body, headers=headers, timeout=timeout_s)


def is_running(pid: int) -> bool:
    """Whether a process has not ended, waited for or not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def find(run_dir: Path) -> Service | None:
    """The service that runs in a folder."""
    # Missing, cut short by a kill, or of an older version: none of them names a service of ours.
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError, KeyError):
        told = json.loads((run_dir / "service.json").read_text())
        service = Service(run_dir=run_dir, **{**told, "models": tuple(told["models"])})
        if service.is_alive() and _SUPERVISOR in psutil.Process(service.pid).cmdline():
            return service
    return None


def drain(service: Service) -> None:
    """Wait until the batches in work have been answered, but not for long.

    An empty page that is answered stands behind what one worker of each model had in hand; other workers say themselves
    when they have nothing in hand any more.
    """
    deadline = time.monotonic() + DRAINS_WITHIN_S
    # A service that does not answer has nothing to wait for.
    with contextlib.suppress(requests.RequestException, OSError, KeyError, ValueError):
        ready = [model for model in service.models if set(service.workers_of(model)) == {"READY"}]
        for model in ready:
            service.read(b"", timeout_s=max(deadline - time.monotonic(), 1.0), model=model)
        while any(map(service.pages_in_progress, ready)) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(_ANSWERS_TRAVEL_S if ready else 0.0)


def end_family(pid: int, within_s: float) -> None:
    """End a process with SIGTERM, and all below it; what does not end in time is killed."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
        parent.terminate()
    except psutil.NoSuchProcess:
        return
    _, left = psutil.wait_procs(family, timeout=within_s)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=within_s)
