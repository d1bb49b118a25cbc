"""What `quintet read` is given in most of these tests: a folder to fill, and a place for what comes of it."""

import pytest

from tests.client.stores.s3 import serving


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


@pytest.fixture(scope="session")
def stores():
    """An S3, started once."""
    pytest.importorskip("moto")
    with serving() as store:
        yield store


@pytest.fixture
def store(stores, tmp_path):
    """The store, its bucket empty, and no ledger of it on this machine."""
    stores.reset()
    stores.environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    return stores
