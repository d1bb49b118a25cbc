"""The leader of the session in which Ray runs: starts the process that talks to Ray, and ends the session after it.

A process of its own, without Ray: that ends whoever uses it while it is shut down, and what it had started would stay.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

# Of processes that may be starting others meanwhile; one that waits for a disk dies later.
_KILL_WITHIN_S = 5.0


def kill_session(leader: int) -> None:
    """Kill all processes of a session, its leader last.

    Whatever Ray starts stays in it, though in groups of its own; its agents would outlive the rest by minutes. No
    process elsewhere gets the session's number while the leader, or anybody in it, is there.
    """
    _send(leader, signal.SIGSTOP)  # it starts nothing more
    _kill_members(leader)
    _send(leader, signal.SIGKILL)
    _kill_members(leader)  # what it was starting when it was stopped


def _kill_members(leader: int) -> None:
    """Kill all but the leader, again for what was started while the others were looked for."""
    ends_at = time.monotonic() + _KILL_WITHIN_S
    while (members := _members(leader)) and time.monotonic() < ends_at:
        for pid in members:
            _send(pid, signal.SIGKILL)


def _members(leader: int) -> list[int]:
    """The processes of a session that are alive, but for the leader."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != leader:
            with suppress(OSError):
                # After the name in brackets, which may hold anything: state, parent, group, session.
                state, _parent, _group, session = (entry / "stat").read_text("latin-1").rpartition(")")[2].split()[:4]
                if int(session) == leader and state not in {"Z", "X"}:
                    found.append(int(entry.name))
    return found


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def main(module: str, descriptor: int, folder: Path) -> None:
    """Run a module with a descriptor until it ends or standard input does; then end all that it started.

    The folder, in which all of them may write, is removed.
    """
    # -P: a module of the working folder is never taken for ours or Ray's.
    command = [sys.executable, "-P", "-m", module, str(descriptor)]
    process = subprocess.Popen(command, pass_fds=[descriptor], stdin=subprocess.DEVNULL)  # noqa: S603 - our own words
    os.close(descriptor)  # that the other end learns when the process has ended

    def end_with_input() -> None:
        sys.stdin.read()
        process.kill()

    threading.Thread(target=end_with_input, daemon=True).start()
    process.wait()
    _kill_members(os.getpid())
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
