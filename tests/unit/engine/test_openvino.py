"""OpenVINO by itself: what it does beside running networks."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

STARTED = """
import sys

asked = []
sys.addaudithook(lambda event, args: asked.append((event, args)) if event.startswith("socket.") else None)
from quintet.engine.networks import OpenVino

OpenVino(1, "auto")
from quintet.engine.conversion import openvino_export

sys.exit(str(asked) if asked else 0)
"""


def test_what_starts_openvino_asks_no_other_host_and_leaves_nothing_in_the_users_folder(tmp_path):
    """Imported by itself, OpenVINO 2026.4 reports its use to an analytics service."""
    surroundings = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", STARTED], env=surroundings, timeout=60, check=True)
    assert not list(tmp_path.iterdir())
