"""What `quintet read` is given in most of these tests: a folder to fill, and a place for what comes of it."""

import pytest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"
