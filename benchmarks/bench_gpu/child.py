"""One step in a process of its own, so that what it does to that costs this step alone.

`python -m benchmarks.bench_gpu.child OPTIONS.json MODULE:FUNCTION ARGUMENT OUTPUT.json`
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.bench_gpu.options import ROOT, Options

_LAST_WORDS = 300
_TO_END_S = 20


def run_step(
    options: Options, function: str, argument: str, limit_s: float, environment: Mapping[str, str]
) -> tuple[dict[str, Any], str | None]:
    """Do a step; returns what it has found, and why that is not all.

    Args:
        options: of the command.
        function: `module:name` of the step.
        argument: of the step.
        limit_s: it is killed after so long.
        environment: beside this process's own.
    """
    folder = options.output.parent / "steps"
    folder.mkdir(parents=True, exist_ok=True)
    given, output, words = (folder / name for name in ("options.json", "found.json", "stderr.txt"))
    given.write_text(options.as_json(), encoding="utf-8")
    output.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.bench_gpu.child", *map(str, (given, function, argument, output))]
    with words.open("wb") as stderr:
        # A session of its own: with it whatever it has started ends, such as decoders or TorchServe.
        process = subprocess.Popen(  # noqa: S603 - our own words
            command, stderr=stderr, env={**os.environ, **environment}, cwd=ROOT, start_new_session=True
        )
        try:
            reason = _reason(process.wait(limit_s), words)
        except subprocess.TimeoutExpired:
            reason = f"not done after {limit_s:.0f} s"
        finally:
            _end(process)
    return (json.loads(output.read_text("utf-8")) if output.exists() else {}), reason


def _reason(code: int, words: Path) -> str | None:
    """Why a process has ended, unless all went well."""
    if not code:
        return None
    last = words.read_text("utf-8", errors="replace").strip().rpartition("\n")[2][-_LAST_WORDS:]
    by = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return last if code == 1 and last else f"{by}: {last}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and what it has started; it is asked first, so that it can stop a service, which is not in its group."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_TO_END_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    """Run the step; an error is the last line of stderr, and exit code 1."""
    given, function, argument, output = sys.argv[1:]
    options = Options.from_json(Path(given).read_text("utf-8"))
    module, _, name = function.partition(":")

    def save(found: dict[str, Any]) -> None:
        half = Path(f"{output}.half")
        half.write_text(json.dumps(found), encoding="utf-8")
        half.replace(output)

    getattr(importlib.import_module(module), name)(options, argument, save)


if __name__ == "__main__":
    main()
