"""Peers that are not there, or that end: rows b2 and b3 say so. tests/chain reads a page with them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.bench.process_row import ProcessRow, ReaderError
from benchmarks.bench.rows import Unavailable


def open_peer(environment: Path) -> None:
    peer = ProcessRow({"reader": "peers", "package": "faster_paddle", "environment": environment})
    try:
        peer.open([])
    finally:
        peer.close()


def test_a_peer_that_is_not_installed_is_not_available_and_says_what_installs_it(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="not available: build/peers has no faster_paddle; `make bench` installs it"):
        open_peer(tmp_path)


def test_a_peer_whose_process_ends_has_failed(tmp_path: Path) -> None:
    (tmp_path / "lib" / "python3" / "site-packages" / "faster_paddle").mkdir(parents=True)  # as broken as can be
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    with pytest.raises(ReaderError, match="failed: RuntimeError: the peer's process ended with 1"):
        open_peer(tmp_path)
