"""The archive that is served is the one that was packed."""

import hashlib

import pytest
from quintet.operations import archive
from quintet.operations import service as torchserve


@pytest.fixture
def packed(tmp_path):
    path = tmp_path / "quintet.mar"
    path.write_bytes(b"packed")
    archive.record_hash(path)
    return path


def test_an_archive_as_it_was_packed_is_taken(packed):
    torchserve.verify_archive(packed)


def test_the_hash_beside_an_archive_is_one_that_sha256sum_checks(packed):
    line = packed.with_name("quintet.mar.sha256").read_text()
    assert line == hashlib.sha256(b"packed").hexdigest() + "  quintet.mar\n"


@pytest.mark.parametrize("content", [b"Packed", b"", b"packed "])
def test_a_changed_archive_is_refused(packed, content):
    packed.write_bytes(content)
    with pytest.raises(torchserve.ServiceError, match=r"SHA-256.*remove it, then run `quintet models`"):
        torchserve.verify_archive(packed)


@pytest.mark.parametrize("name", ["quintet.mar", "quintet.mar.sha256"])
def test_what_is_missing_is_named_with_the_remedy(packed, name):
    packed.with_name(name).unlink()
    with pytest.raises(torchserve.ServiceError, match="run `quintet models`"):
        torchserve.verify_archive(packed)


def test_a_hash_from_elsewhere_counts_more_than_the_one_beside(packed, monkeypatch):
    own = packed.with_name("quintet.mar.sha256").read_text().split()[0]
    monkeypatch.setenv("QUINTET_ARCHIVE_SHA256", own.upper())
    torchserve.verify_archive(packed)
    packed.write_bytes(b"another")
    archive.record_hash(packed)
    with pytest.raises(torchserve.ServiceError, match="SHA-256"):
        torchserve.verify_archive(packed)


def test_a_changed_archive_starts_nothing(packed, tmp_path):
    packed.write_bytes(b"changed")
    with pytest.raises(torchserve.ServiceError, match="SHA-256"):
        torchserve.start(tmp_path / "run", model_store=packed.parent)
    assert not (tmp_path / "run").exists()
