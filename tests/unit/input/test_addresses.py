"""Addresses: taken apart, told from paths, and refused without a word of what they held."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quintet_client.errors import UsageError
from quintet_client.input.addresses import Address, is_address, place_of, was_address


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("s3://bucket/a/b.jpg", Address("s3", "bucket", "a/b.jpg")),
        ("s3://bucket", Address("s3", "bucket", "")),
        ("gs://bucket.example.com/a%20b/", Address("gs", "bucket.example.com", "a%20b")),
        ("az://$web/a b", Address("az", "$web", "a b")),
        ("file:///scans/a%20b.jpg", Path("/scans/a b.jpg")),
        ("file://localhost/scans", Path("/scans")),
        ("scans/a.jpg", Path("scans/a.jpg")),
        ("s3:/bucket/a", Path("s3:/bucket/a")),
    ],
)
def test_names_are_paths_or_addresses(text, place):
    assert place_of(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "s3://user:secret@bucket/a",
        "s3://user:secret/a",
        "s3://bucket/a?sig=secret",
        "s3://bucket/a#secret",
        "https://user:secret@host/a",
        "S3://secret/a",
        "s3://bucket//secret",
        "s3:///secret",
        "s3://b/secret",
        "s3://../secret",
        "file://secret/a",
        "file://secret",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_not_repeated(text):
    with pytest.raises(UsageError) as raised:
        place_of(text)
    assert "secret" not in str(raised.value)


@given(key=st.text())
def test_an_address_comes_back_from_its_text_and_is_no_path(key):
    address = Address("s3", "bucket", key)
    assert Address.of(str(address)) == address
    assert is_address(str(address))
    assert not is_address(str(Path(str(address).replace("\0", ""))))
    assert was_address(Path(str(address).replace("\0", "")))
