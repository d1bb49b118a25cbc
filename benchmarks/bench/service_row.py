"""Rows d: the bulk client against a TorchServe of its own, in one of the ways in which pages can travel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quintet.operations import service as torchserve

from benchmarks.bench.figures import Visit
from benchmarks.bench.rows import Unavailable
from benchmarks.bench.serving import client_options, read_pages, start_service

# What tells each way apart on the client's command line; `{option}` must be among those that --help names.
_WAYS = {
    "single": ("", ("--pack", "1")),
    "packed": ("--pack", ()),
    "shared": ("--shared-memory", ("--shared-memory",)),
}
_SWITCH = {"QUINTET_SHARED_MEMORY": "on"}


class ServiceRow:
    """One service, one way of sending."""

    def __init__(self, mode: str, run_dir: Path) -> None:
        self._needed, self._options = _WAYS[mode]
        self._environment = _SWITCH if mode == "shared" else {}
        self._run_dir = run_dir
        self._service: torchserve.Service | None = None

    def open(self, pages: Sequence[Path]) -> str:
        """Start the service; the client reads all pages once, so that every shape has been seen."""
        known = client_options()
        if self._needed not in known:
            raise Unavailable(f"not available: quintet read has no {self._needed}")
        if "--pack" not in known:
            self._options = ()
        self._service = start_service(self._run_dir, environment=self._environment)
        self._run_dir.joinpath("warm").mkdir(exist_ok=True)
        self.visit(pages, self._run_dir / "warm" / "results")
        return f"quintet read {' '.join(self._options)}".strip() + _stale()

    def visit(self, pages: Sequence[Path], output: Path) -> Visit:
        """Have the client read the folder of the pages, always anew."""
        if self._service is None:
            raise Unavailable("not available: the service does not run")
        run = read_pages(self._service, pages[0].parent, output, ("--overwrite", *self._options))
        if self._environment and f"{run.pages} pages travelled through shared memory" not in run.log.read_text("utf-8"):
            raise Unavailable(f"not available: not all pages travelled through shared memory (see {run.log})")
        stages: dict[str, Any] = {
            key: run.report[key] for key in ("pages_per_s", "seconds", "stages") if key in run.report
        }
        return Visit(run.pages, run.seconds, run.server_peak_bytes, run.client_peak_bytes, stages)

    def close(self) -> None:
        """Stop the service."""
        if self._service is not None:
            torchserve.stop(self._service)


def _stale() -> str:
    """A warning where the archive is older than the code that it should hold."""
    root = Path(__file__).resolve().parents[2]
    newest = max(path.stat().st_mtime for path in (root / "handlers").rglob("*.py"))
    return "; ARCHIVE OLDER THAN CODE" if (root / "model_store" / "quintet.mar").stat().st_mtime < newest else ""
