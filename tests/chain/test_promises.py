"""The chains of this repository, and one that was written just now, keep what `quintet chain check` tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from quintet.authoring.check import CHECKS
from quintet.authoring.new import write_chain

from benchmarks.sample_photos import write_photos


def check(*words: object) -> None:
    """Run the command, whose process has had no other chain: what it measures is its own memory."""
    command = [sys.executable, "-m", "quintet_client.cli", "chain", "check", *map(str, words)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=900, check=False)
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.count(" ok ") == len(CHECKS), ended.stdout


@pytest.mark.slow
def test_the_page_chain_keeps_what_every_chain_promises(model_store: Path) -> None:
    check("pages", "--model-store", model_store)


@pytest.mark.slow
def test_the_photo_chain_keeps_it_with_faces_to_find(tmp_path: Path) -> None:
    write_photos(tmp_path, count=4, seed=3)
    (tmp_path / "truth.json").unlink()
    check("photos", "--bodies", tmp_path)


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
