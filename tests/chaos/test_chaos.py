"""The short forms of `make chaos`: one round of each fault that no other test of the client covers as well."""

from __future__ import annotations

import os

import pytest

from tests.chaos.command import play, table
from tests.chaos.faults import FAULTS

# A stalled worker is tried in tests/client/test_read_workers.py; a server that is away longer teaches nothing new.
LEFT_OUT = {"page that stalls its worker", "server gone for a while"}


@pytest.fixture
def seed() -> int:
    """Another moment for each fault every time; in CI the same."""
    return 1 if os.environ.get("CI") else int.from_bytes(os.urandom(4))


@pytest.mark.slow
def test_whatever_is_killed_no_page_is_lost_and_none_is_entered_twice(tmp_path, seed) -> None:
    faults = sorted(set(FAULTS) - LEFT_OUT)
    lines = play(tmp_path / "chaos", faults, rounds=1, seed=seed, away_s=1.0, pages=80)
    assert all(line.good for line in lines), f"seed {seed}\n{table(lines)}"
