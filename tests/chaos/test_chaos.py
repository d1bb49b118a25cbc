"""The short forms of `make chaos`: one round of each fault that no other test of the client covers as well."""

from __future__ import annotations

import os

import pytest
from quintet.operations.locations import model_store

from benchmarks.sample_photos import write_photos
from tests.chaos.command import play, table
from tests.chaos.faults import FAULTS

# A stalled worker is tried in tests/client/runs/test_read_workers.py, two servers in test_several_services.py; a server
# that is away longer teaches nothing new.
LEFT_OUT = {"page that stalls its worker", "server gone for a while", "one of two servers killed"}


@pytest.fixture
def seed() -> int:
    """Another moment for each fault every time; in CI the same."""
    return 1 if os.environ.get("CI") else int.from_bytes(os.urandom(4))


@pytest.mark.slow
def test_whatever_is_killed_no_page_is_lost_and_none_is_entered_twice(tmp_path, seed) -> None:
    faults = sorted(set(FAULTS) - LEFT_OUT)
    lines = play(tmp_path / "chaos", faults, rounds=1, seed=seed, away_s=1.0, pages=80)
    assert all(line.good for line in lines), f"seed {seed}\n{table(lines)}"


@pytest.mark.slow
def test_a_killed_worker_of_a_chain_with_networks_loses_no_photo_either(tmp_path, seed) -> None:
    if not (model_store() / "photos.mar").exists():
        pytest.skip("model_store/photos.mar is missing: run quintet models --chain photos")
    write_photos(tmp_path / "photos", 6, seed=7)
    items = sorted((tmp_path / "photos").glob("photo-*"))
    lines = play(tmp_path / "chaos", ["worker killed"], 1, seed, away_s=1.0, pages=12, chain="photos", items=items)
    assert all(line.good and line.injected for line in lines), f"seed {seed}\n{table(lines)}"
