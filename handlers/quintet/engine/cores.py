"""How many cores this process has."""

import contextlib
import math
import os
from pathlib import Path

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def usable_cores(groups: Path = _CONTROL_GROUPS, own: Path = _OWN_GROUPS) -> int:
    """Those that it may run on, and no more than the time that its control group (v2) has: a container's limit."""
    cores = float(len(os.sched_getaffinity(0)))
    with contextlib.suppress(OSError):
        of_v2 = next((line[3:] for line in own.read_text().splitlines() if line.startswith("0::")), "/")
        group = groups / of_v2.strip("/")
        for place in (group, *group.parents):
            if place.is_relative_to(groups):
                cores = min(cores, _limit(place / "cpu.max"))
    return max(1, math.ceil(cores))


def _limit(file: Path) -> float:
    """The cores of one group; without a limit, as in the group of all, they are endless."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = file.read_text().split()
        return int(quota) / int(period)
    return math.inf
