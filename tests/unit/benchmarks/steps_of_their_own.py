"""Steps of the GPU benchmark that take no time to import, each run in a process: what it does to that is its affair."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

from benchmarks.bench_gpu.options import Options

Save = Callable[[dict[str, Any]], None]
PAGE = {"lines": [], "orientation": {"angle_deg": 0}}


def found(options: Options, key: str, save: Save) -> None:
    row = {"key": key, "title": key, "settings": {}, "dtype": "float32", "start_s": 0.1, "pages_per_s": 2.0}
    save({"row": row, "results": {name.name: PAGE for name in options.samples.glob("*.jpg")}})


def error(_options: Options, _key: str, _save: Save) -> None:
    raise ImportError("No module named 'rapidocr'")


def crash(options: Options, key: str, save: Save) -> None:
    found(options, key, save)
    os.abort()


def hang(options: Options, key: str, save: Save) -> None:
    """With a process of its own, which has to end too, and something to clean up."""
    held = subprocess.Popen(["sleep", "300"])
    try:
        save({"pid": held.pid})
        time.sleep(300)
    finally:
        save({"pid": held.pid, "cleaned": True})


def environment(_options: Options, _key: str, save: Save) -> None:
    save({"limit": os.environ.get("TORCH_CUDNN_V8_API_LRU_CACHE_LIMIT")})
