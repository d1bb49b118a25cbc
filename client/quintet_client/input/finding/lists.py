"""Lists of files: one name a line, or ended by NUL."""

import os
from collections.abc import Iterator
from pathlib import Path

from quintet_client.input.addresses import Address, place_of
from quintet_client.input.finding.first_bytes import has_no_extension, looked_at
from quintet_client.input.finding.walk import Met


def named_in(names: bytes, folder: Path, end: bytes) -> Iterator[Met]:
    """The files and addresses that a list names, relative to a folder; what is no file fails by name."""
    root = str(folder)
    # An absolute name inside the list's folder is the same page as the relative one. resolve() would follow links.
    prefix = os.path.abspath(root).rstrip("/") + "/"  # noqa: PTH100
    for line in names.split(end):
        # A list written on Windows ends its lines with \r\n; a name that ends with NUL is taken as it is.
        name = os.fsdecode(line.rstrip(b"\r") if end == b"\n" else line)
        if not name:
            continue
        place = place_of(name)
        if isinstance(place, Address):
            yield Met(str(place), str(place))
        else:
            name = str(place) if name.startswith("file:") else name
            path = os.path.join(root, name)  # noqa: PTH118 - Path would fold "..", which may pass through a link
            yield named(name.removeprefix(prefix), path)


def named(relative: str, path: str) -> Met:
    """A file that was given by its name; without an extension it is looked at, as it may be a document."""
    extension, _ = looked_at(path) if has_no_extension(relative.rpartition("/")[2]) else ("", None)
    return Met(relative, path, extension)
