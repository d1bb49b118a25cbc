"""What the figures were measured on, for the head of the table."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

_PACKAGES = ("torch", "torchvision", "openvino", "onnxruntime", "rapidocr", "torchserve")


def describe_machine() -> dict[str, Any]:
    """Cores, memory, GPU and the versions that decide the figures, JSON-ready."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "ram_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": _gpu_model(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def headline(machine: dict[str, Any]) -> str:
    """The machine in two lines of text."""
    packages = ", ".join(f"{name} {found}" for name, found in machine["packages"].items())
    return (
        f"machine: {machine['cores']} cores of {machine['cpu']}, {machine['ram_gib']} GiB, "
        f"GPU: {machine['gpu'] or 'none'}, load before the run {machine['load_before']}\n"
        f"versions: Python {machine['python']}, {packages}"
    )


def _cpu_model() -> str:
    """The processor's name as the kernel tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _gpu_model() -> str | None:
    """The name of the CUDA device, None where there is none."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
