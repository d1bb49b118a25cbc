"""The command's hold on the process that talks to Ray."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path

from quintet_client.cluster.messages import Message, Pass, Setup
from quintet_client.cluster.session import kill_session
from quintet_client.errors import QuintetError

# Ray's sockets are in a folder below this one, and their names may have 107 bytes.
_SHORT_FOLDER_BYTES = 24
# What the session's leader may take to kill the others.
_LEAVE_S = 15.0
_POLL_S = 0.05
# Of a cluster on this machine for one run: nobody else joins, nothing listens beyond loopback, nothing is told.
_PRIVATE = {
    "RAY_AUTH_MODE": "token",
    "RAY_agent_register_timeout_ms": "120000",  # a node ends without its agents, which start slowly on a busy machine
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what makes Ray use 127.0.0.1, on Linux too
}
_ANY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # a call after the end starts no second cluster
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_DEDUP_LOGS": "0",
    "PYTHONUNBUFFERED": "1",
}


class JobDiedError(QuintetError):
    """The process that talks to Ray has ended."""


def temporary_folder() -> Path:
    """Make a folder for Ray, this user's alone; Ray opens its own, in it, to everybody."""
    usual = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="quintet-", dir=usual if len(usual) <= _SHORT_FOLDER_BYTES else "/tmp"))  # noqa: S108 - as above


class RayJob:
    """One session of processes, with a cluster of its own or a place in another."""

    def __init__(self, setup: Setup, log: Path) -> None:
        """Start it; what Ray says goes to the end of `log`."""
        self._folder = setup.folder
        setup.folder.mkdir(mode=0o700, exist_ok=True)
        self._connection, theirs = Pipe()
        with theirs, log.open("ab") as said:
            self._process = subprocess.Popen(  # noqa: S603 - our own words
                [
                    *(sys.executable, "-P", "-m", "quintet_client.cluster.session"),
                    *("quintet_client.cluster.ray_driver", str(theirs.fileno()), setup.folder),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.PIPE,  # ends with this process
                stdout=said,
                stderr=said,
                env=_environment(os.environ, local=setup.address is None),
                start_new_session=True,  # Ctrl-C is the command's affair
            )
        with suppress(OSError):  # it has died: `receive` says so
            self._connection.send(setup)

    @property
    def pid(self) -> int:
        """The session's leader."""
        return self._process.pid

    def send(self, order: Pass) -> None:
        """Have a pass run; raises JobDiedError."""
        try:
            self._connection.send(order)
        except OSError as error:
            raise self._died() from error

    def receive(self, within_s: float) -> Message | None:
        """Return what it says next, None if nothing came; raises JobDiedError."""
        try:
            if not self._connection.poll(within_s):
                return None
            message: Message = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._died() from error
        return message

    def close(self) -> None:
        """End it, with its cluster or its actors there."""
        self._connection.close()
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        self._process.stdin.close()
        ends_at = time.monotonic() + _LEAVE_S
        while self._alive() and time.monotonic() < ends_at:
            time.sleep(_POLL_S)
        self._kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _died(self) -> JobDiedError:
        self._kill()
        return JobDiedError("the process that talks to Ray has died")

    def _alive(self) -> bool:
        """Whether it runs; it is not reaped, and nobody else gets its number."""
        if self._process.returncode is not None:
            return False
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None

    def _kill(self) -> None:
        """Kill it, and all that Ray started on this machine."""
        if self._process.returncode is None:
            kill_session(self.pid)
            self._process.wait()


def _environment(given: Mapping[str, str], *, local: bool) -> dict[str, str]:
    environment = {**given, **_ANY}
    if local:
        for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH"):
            environment.pop(name, None)
        # In the environment, which others cannot read, and not in the file that Ray would write for all.
        environment |= {**_PRIVATE, "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return environment
