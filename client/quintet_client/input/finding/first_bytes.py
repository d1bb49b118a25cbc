"""Files without an extension, known by how they begin."""

import os

from quintet.pixels.formats import HEAD_BYTES, PDF, format_of

from quintet_client.input.finding.left_out import Reason
from quintet_client.input.regular_files import NotRegularError, open_regular

# Of a document, whose pages are counted, the extension that it could have; what the others are the service sees.
_EXTENSIONS = {PDF: ".pdf", "TIFF": ".tif"}


def has_no_extension(name: str) -> bool:
    """Whether a file's name has no extension."""
    return os.path.splitext(name)[1] in {"", "."}  # noqa: PTH122 - a string


def looked_at(path: str) -> tuple[str, Reason | None]:
    """The extension that a document could have, empty of an image; or why a file is none of these."""
    try:
        file, _ = open_regular(path)
        with file:
            head = file.read(HEAD_BYTES)
    except NotRegularError:
        return "", Reason.NOT_REGULAR
    except (OSError, ValueError):  # ValueError: a NUL byte in a name from a list
        return "", Reason.UNREADABLE
    found = format_of(head)
    if not found or (found == "BMP" and any(head[6:10])):  # words begin with BM too; these bytes are reserved
        return "", Reason.OTHER_FORMAT
    return _EXTENSIONS.get(found, ""), None
