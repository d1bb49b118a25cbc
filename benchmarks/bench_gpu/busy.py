"""How busy the GPU is while something runs, and how much of its memory is taken, as nvidia-smi samples it.

Busy is the share of time in which at least one kernel ran; it does not say how much of the GPU that kernel filled.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
from dataclasses import dataclass
from types import TracebackType

PERIOD_MS = 100


@dataclass(frozen=True)
class Usage:
    """Mean busy share from 0 to 1, and the most memory taken on the whole device."""

    busy: float | None
    peak_bytes: int | None


class GpuUsage:
    """Samples between entry and exit; everything is None where there is no nvidia-smi."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.usage = Usage(None, None)

    def __enter__(self) -> GpuUsage:
        if (tool := shutil.which("nvidia-smi")) is not None:
            query = ["--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "--id=0"]
            self._process = subprocess.Popen(  # noqa: S603 - our own words
                [tool, *query, f"--loop-ms={PERIOD_MS}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self.usage = parse_samples(self._process.communicate()[0])


def parse_samples(text: str) -> Usage:
    """Usage out of lines such as `97, 4096` (per cent, MiB); a line cut off at the end is left out."""
    samples = [line.split(",") for line in text.splitlines()]
    whole = [(int(busy), int(used)) for busy, used in (s for s in samples if len(s) == 2) if _are_numbers(busy, used)]
    if not whole:
        return Usage(None, None)
    return Usage(statistics.fmean(busy for busy, _ in whole) / 100, max(used for _, used in whole) << 20)


def _are_numbers(*words: str) -> bool:
    return all(word.strip().isdigit() for word in words)
