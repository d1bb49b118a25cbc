"""Page ids: from any file name to a safe, unique, reversible name below OUTPUT, and back."""

import hashlib
import os
import re
from urllib.parse import unquote_to_bytes

# ext4, XFS and APFS allow 255 bytes a component; ".json" and a page number still have to fit behind it.
MAX_COMPONENT_BYTES = 200
# No valid escape, so a shortened name can never equal one that was not shortened.
_SHORTENED = "%~"

# Before the extension that a document has by its first bytes alone; no valid escape either.
_GIVEN = "%"
_GIVEN_EXTENSION = re.compile(r"%(?:\.pdf|\.tif)\Z")

# Control characters, the escape sign itself, and (as surrogates) every byte that is not valid UTF-8.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f%\u2028\u2029\udc80-\udcff]")

# A page of a document: its file's id, "#", its number from 1. Ids of other files may end in "#" and digits too, so the
# file must be of a kind that has pages, or bear a shortened name, whose extension is lost. No file's own id looks so.
_DOCUMENT_PAGE = re.compile(r"(.+(?:\.(?:pdf|tiff?)|%~[0-9a-f]{32}))#([1-9][0-9]*)", re.IGNORECASE | re.DOTALL)


def page_id_of(relative: str) -> str:
    r"""Name a page after its POSIX path below INPUT, as `os.fsdecode` gives it; the path may be absolute.

    Distinct paths get distinct ids ("a/./b" and "a//b" are the same path). What could leave OUTPUT or break a line
    is percent-encoded: ".." becomes "%2E%2E", a leading "/" becomes "%2F", a newline "%0A". So is the "#" of a file
    that is called like a page of a document: "x.pdf#2" becomes "x.pdf%232". Ids are valid UTF-8 text without control
    characters, and their components never empty, "." or "..".
    """
    root = "%2F" if relative.startswith("/") else ""
    parts = [part for part in relative.split("/") if part not in ("", ".")]
    folders = [_shortened(folder_id(_escaped(part))) for part in parts[:-1]]
    return root + "/".join([*folders, _shortened(_file(_escaped(parts[-1])))]) if parts else root or "%2E"


def page_id_within(shard: str, name: str) -> str:
    """Name an item of a shard after what the items of a shard have before them, "" for nothing, and its own name."""
    return f"{folder_id(shard)}/{page_id_of(name)}" if shard else page_id_of(name)


def with_extension(page_id: str, extension: str) -> str:
    """Name a document whose file has no extension, so that its pages are known as such: "letter%.pdf" for "letter"."""
    return f"{page_id}{_GIVEN}{extension}" if extension else page_id


def given_extension(document: str) -> str:
    """The extension that `with_extension` gave a document's id; empty if it gave none."""
    found = _GIVEN_EXTENSION.search(document)
    return found.group()[len(_GIVEN) :] if found else ""


def page_id_in(document: str, number: int) -> str:
    """Name a page of a document after the document's id and its number, from 1."""
    return f"{document}#{number}"


def path_of(page_id: str) -> str:
    """Undo `page_id_of` for ids without a shortened component; returns the path as `os.fsdecode` would.

    An extension that `with_extension` gave is no part of the path.
    """
    return os.fsdecode(unquote_to_bytes(_GIVEN_EXTENSION.sub("", page_id).encode()))


def is_shortened(page_id: str) -> bool:
    """Whether `path_of` cannot undo an id."""
    return _SHORTENED in page_id


def page_place(page_id: str) -> tuple[str, int]:
    """Return the document that a page belongs to, and its number in it; an image is its own only page."""
    found = _DOCUMENT_PAGE.fullmatch(page_id)
    return (found.group(1), int(found.group(2))) if found else (page_id, 1)


def document_of(page_id: str) -> str:
    """Return the document that a page belongs to."""
    return page_place(page_id)[0]


def derived(page_id: str, suffix: str) -> str:
    """Name a file, with a suffix such as ".txt", that is made of a page's or document's result.

    Distinct ids get distinct names, and none of them is a folder of another's (as in `page_id_of` for ".json").
    """
    *folders, name = page_id.split("/")
    escaped = f"%2E{suffix[1:]}"
    folders = [part[: -len(suffix)] + escaped if part.endswith(suffix) else part for part in folders]
    return "/".join([*folders, name + suffix])


def _escaped(part: str) -> str:
    if part == "..":
        return "%2E%2E"
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in os.fsencode(found.group())), part)


def folder_id(part: str) -> str:
    """The part of an id that stands for a folder, or a shard, that a file of such an id would be."""
    # The answer of page "a" is the file "a.json"; a folder of that name beside it must not want the same place.
    return part[: -len(".json")] + "%2Ejson" if part.endswith(".json") else part


def _file(part: str) -> str:
    return "%23".join(part.rsplit("#", 1)) if _DOCUMENT_PAGE.fullmatch(part) else part


def _shortened(part: str) -> str:
    encoded = part.encode()
    if len(encoded) <= MAX_COMPONENT_BYTES:
        return part
    digest = hashlib.sha256(encoded).hexdigest()[:32]
    return encoded[: MAX_COMPONENT_BYTES - 40].decode("utf-8", "ignore") + _SHORTENED + digest
