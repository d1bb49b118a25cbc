"""A cluster that grows while pages are read: nodes that come are used."""

import pytest

from tests.cluster.batching import Batch, ends, parts, report, wait_for
from tests.cluster.nodes import ray_nodes
from tests.cluster.test_batch import assert_read, packed, write

pytestmark = pytest.mark.slow


def test_actors_without_room_yet_are_asked_for_and_read_when_a_node_comes(tmp_path):
    bodies = write(tmp_path / "in", 600)
    archive = packed(tmp_path / "store", chain="echo_chain:PlacedChain", s_per_page=0.1)
    with ray_nodes(1) as ray:
        options = ("--ray", ray.address, "--actors", 2, "--block", 4)
        running = Batch(tmp_path / "in", tmp_path / "out", archive, *options, environment=ray.environment)
        wait_for(lambda: len(parts(tmp_path / "out")) >= 3)
        ray.add()
        assert running.wait() == 0
    found = ends(tmp_path / "out")
    assert_read(found, bodies)
    assert report(tmp_path / "out")["ok"] == 600
    assert len({row["result"]["pid"] for row in found.values()}) == 2
    assert all(row["result"]["frozen"] for row in found.values())
