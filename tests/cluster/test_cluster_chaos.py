"""The short form of `make chaos CHAOS=--cluster`: one round of faults that no other test of `quintet batch` has."""

import os

import pytest

from tests.chaos.command import play_on_cluster, table

pytestmark = pytest.mark.slow

FAULTS = ["node killed", "command with its own Ray killed", "parts that come late"]


def test_whatever_is_killed_on_a_cluster_no_page_is_lost_and_none_counts_twice(tmp_path):
    seed = 1 if os.environ.get("CI") else int.from_bytes(os.urandom(4))
    lines = play_on_cluster(tmp_path / "chaos", FAULTS, rounds=1, seed=seed)
    assert all(line.good for line in lines), f"seed {seed}\n{table(lines)}"
