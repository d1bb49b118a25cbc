"""The chains of this repository, and one that was written just now, keep what `quintet chain check` tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from quintet.authoring.check import check_chain
from quintet.authoring.new import write_chain

from benchmarks.sample_photos import write_photos


@pytest.mark.slow
def test_the_page_chain_keeps_what_every_chain_promises(model_store: Path) -> None:
    assert check_chain("pages", model_store, None, sys.stdout) == {}


@pytest.mark.slow
def test_the_photo_chain_keeps_it_with_faces_to_find(tmp_path: Path) -> None:
    write_photos(tmp_path, count=4, seed=3)
    (tmp_path / "truth.json").unlink()
    assert check_chain("photos", None, tmp_path, sys.stdout) == {}


@pytest.mark.slow
def test_a_new_chain_passes_its_own_tests_which_check_it(tmp_path: Path) -> None:
    project = write_chain("zoo", tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(project)}
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "--rootdir", str(project), "tests"]
    ended = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "3 passed" in ended.stdout
