"""Addresses of objects in stores: `s3://BUCKET/KEY`, `gs://…` and `az://…`; `file://` is a path like any other.

Keys are taken as they are, as the stores' own tools do: "%20" in a key is no space.
"""

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from quintet_client.errors import UsageError

SCHEMES = ("s3", "gs", "az")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# What the stores allow, and more: the longest are Google's, with dots.
_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{1,221}")


class Address(NamedTuple):
    """An object, or a prefix of many."""

    scheme: str
    bucket: str  # a container of Azure's
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    @classmethod
    def of(cls, text: str) -> "Address":
        """Take apart what `str` makes of an address."""
        scheme, _, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        return cls(scheme, bucket, key)

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rstrip("/").rsplit("/", 1)[-1]


def is_address(text: str) -> bool:
    """Whether a name is that of an object in a store; paths that were put together from parts never are."""
    return text.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def was_address(place: Path) -> bool:
    """Whether a path, or the id of a page, was made of an address."""
    return place.parts[:1] in {(f"{scheme}:",) for scheme in SCHEMES}


def place_of(text: str) -> Path | Address:
    """An address, or the path that a name is; INPUT and each line of a list come through here.

    Raises:
        UsageError: the address cannot be used; the message does not repeat it, as it may hold credentials.
    """
    found = _SCHEME.match(text)
    if not found:
        return Path(text)
    scheme, rest = found.group(1), text[found.end() :]
    if scheme == "file":
        host, slash, path = rest.partition("/")
        if host not in {"", "localhost"} or not slash:
            raise UsageError(
                "an address that begins with file:// names a file of this machine: file:///folder/page.jpg"
            )
        return Path(unquote("/" + path, errors="surrogateescape"))
    if scheme not in SCHEMES:
        raise UsageError(f"addresses begin with {', '.join(f'{name}://' for name in (*SCHEMES, 'file'))}")
    if "?" in rest or "#" in rest or "@" in rest.partition("/")[0]:
        raise UsageError(
            "an address has no user, query or fragment, which could be credentials: give these as the store's own "
            f"tools take them, and {scheme}://BUCKET/KEY alone; a prefix also reads keys with '?' and '#'"
        )
    address = Address.of(text.rstrip("/") if rest.strip("/") else text)
    if "//" in f"/{address.key}":
        raise UsageError(f"no part of a key may be empty: {scheme}://BUCKET/KEY")
    if not _BUCKET.fullmatch(address.bucket):
        raise UsageError(
            f"the bucket of an address has 2 letters, digits, '.', '_' or '-' at least: {scheme}://BUCKET/KEY"
        )
    return address
