"""Rows b2 and b3, the fastest peers on a CPU: faster-paddle and TurboOCR, text detection and recognition alone.

TurboOCR's engine needs Python 3.12 and another OpenVINO than the service's, so both have an environment of their own,
build/peers, which `make bench` installs from requirements/peers.lock. Paths go there as JSON, and lines come back.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import IO, Any, cast

import onnx

from benchmarks.bench.readers import peer_process
from benchmarks.bench.readers.reader import write_result

ENVIRONMENT = Path(__file__).resolve().parents[3] / "build" / "peers"
_NETWORKS = {"det_small.onnx": "PP-OCRv6_det_small.onnx", "rec_small.onnx": "PP-OCRv6_rec_small.onnx"}


def make(package: str, environment: Path = ENVIRONMENT) -> Peer:
    """The reader of one of these rows."""
    return Peer(package, environment)


class Peer:
    """One package's own call for many pages, in a process of its environment that ends with this one."""

    def __init__(self, package: str, environment: Path) -> None:
        """Load the package's networks.

        Args:
            package: that peer_process.py knows.
            environment: holds the package.

        Raises:
            ImportError: it does not.
            RuntimeError: the process ended.
        """
        if not any(environment.glob(f"lib/python*/site-packages/{package}")):
            raise ImportError(
                f"build/peers has no {package}; `make bench` installs it, TurboOCR for Python 3.12 or later"
            )
        models = _copy_networks(environment / "models")
        command = [str(environment / "bin" / "python"), "-I", peer_process.__file__, package, str(models)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")  # noqa: S603 - our own words
        self._orders, self._answers = cast("tuple[IO[str], IO[str]]", (self._process.stdin, self._process.stdout))
        self._version: str = self._answer()

    def warm_up(self, pages: Sequence[Path]) -> str:
        """Read all pages, so that every shape has been seen."""
        self._lines(pages)
        return f"{self._version}; knows no page orientation"

    def read(self, pages: Sequence[Path], output: Path) -> dict[str, Any]:
        """All pages in one call, then their results."""
        for page, lines in zip(pages, self._lines(pages), strict=True):
            write_result(output, page.name, {"lines": lines})
        return {}

    def _lines(self, pages: Sequence[Path]) -> list[list[dict[str, Any]]]:
        """The lines of each page in the form of our own."""
        self._orders.write(json.dumps([str(page) for page in pages]) + "\n")
        self._orders.flush()
        lines: list[list[dict[str, Any]]] = self._answer()
        return lines

    def _answer(self) -> Any:  # noqa: ANN401 - whatever the process was asked for
        if not (answer := self._answers.readline()):
            raise RuntimeError(f"the peer's process ended with {self._process.wait()}, its words are on stderr")
        return json.loads(answer)


def _copy_networks(folder: Path) -> Path:
    """RapidOCR's networks by the names of TurboOCR's small tier, and the alphabet that recognition's metadata holds."""
    folder.mkdir(exist_ok=True)
    for name, source in _NETWORKS.items():
        shutil.copyfile(str(distribution("rapidocr").locate_file(f"rapidocr/models/{source}")), folder / name)
    metadata = {entry.key: entry.value for entry in onnx.load(folder / "rec_small.onnx").metadata_props}
    (folder / "keys.txt").write_text(metadata["character"], encoding="utf-8")
    return folder
