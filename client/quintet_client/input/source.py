"""One thing to read: a file or an object, a part of one, or a page of a document."""

import os
from hashlib import sha256
from typing import NamedTuple

from quintet_client.input.addresses import is_address
from quintet_client.input.page_ids import document_of, given_extension
from quintet_client.service.page import UNKNOWN, FileStamp

PDF_EXTENSION = ".pdf"
TIFF_EXTENSIONS = (".tif", ".tiff")
# Those of `quintet.pixels.formats`: of what is read as it is, or rendered.
PAGE_EXTENSIONS = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpeg", ".jpf", ".jpg"),
    *(".jpx", PDF_EXTENSION, ".png", *TIFF_EXTENSIONS, ".webp"),
)
TAR_EXTENSION = ".tar"
COMPRESSED_TAR_EXTENSIONS = (".tar.gz", ".tgz")
PARQUET_EXTENSION = ".parquet"
# Of what holds or names many pages.
SHARD_EXTENSIONS = (TAR_EXTENSION, *COMPRESSED_TAR_EXTENSIONS, PARQUET_EXTENSION)
EXTENSIONS = (*PAGE_EXTENSIONS, *SHARD_EXTENSIONS)


class Part(NamedTuple):
    """Where an item lies in its shard: bytes of a tar; of a Parquet file a row group, and a row of it."""

    start: int
    length: int


class Source(NamedTuple):
    """One page to read, or a file whose pages are not counted yet. A million of them have half a gigabyte."""

    page_id: str  # in OUTPUT and the ledger; see `page_ids.page_id_of`
    path: str  # undecodable bytes as surrogates; or an address
    stamp: FileStamp = UNKNOWN  # when the file was listed; of a part see `stamp_of_part`
    page: int = 0  # number in a document, from 1; 0 if the file is an image, and travels as it is
    code: str = ""  # why nothing of a document or shard can be read, like the message
    message: str = ""
    part: Part | None = None  # of a shard; `path` is the shard's
    named: bool = False  # a manifest gave it its id, which tells nothing of where it is

    @property
    def is_at_address(self) -> bool:
        """Whether it is an object in a store, not a file, or lies in one."""
        return is_address(self.path)

    @property
    def place(self) -> tuple[str, Part | None]:
        """What tells it from others: where it is, however that is written."""
        return (self.path if self.is_at_address else os.path.abspath(self.path)), self.part  # noqa: PTH100 - a string

    @property
    def is_shard(self) -> bool:
        """Whether it is a file that holds or names others, by its name."""
        return self.part is None and not self.code and self.path.lower().endswith(SHARD_EXTENSIONS)

    @property
    def is_row(self) -> bool:
        """Whether it is an image in a row of a Parquet file."""
        return self.part is not None and self.path.lower().endswith(PARQUET_EXTENSION)

    @property
    def extension(self) -> str:
        """The extension of its name, in lower case, or that it could have; empty for images in rows without names."""
        if self.is_row:
            return ""
        document = document_of(self.page_id) if self.part or "%." in self.page_id else ""
        if given := given_extension(document):
            return given
        name = document if self.part else self.path  # the ids of a tar's documents have their extensions
        _, dot, extension = name.rpartition("/")[2].rpartition(".")
        return (dot + extension).lower() if dot else ""

    @property
    def is_pdf(self) -> bool:
        """Whether the file is a PDF by its name, or without an extension by its first bytes."""
        return self.extension == PDF_EXTENSION

    @property
    def is_tiff(self) -> bool:
        """Whether the file is a TIFF, likewise."""
        return self.extension in TIFF_EXTENSIONS


def stamp_of_part(shard: FileStamp, part: Part, size_bytes: int) -> FileStamp:
    """The state of an item: its size, -1 if that is not known, and 63 bits of a digest of its shard's and its place."""
    if shard == UNKNOWN:
        return UNKNOWN
    state = f"{shard.size_bytes} {shard.mtime_ns} {part.start} {part.length}"
    return FileStamp(size_bytes, int.from_bytes(sha256(state.encode()).digest()[:8]) >> 1)
