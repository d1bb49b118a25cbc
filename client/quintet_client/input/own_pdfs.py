"""Searchable PDFs that Quintet writes: their names, and the mark that tells them from PDFs of others."""

from quintet_client.input.regular_files import open_regular
from quintet_client.input.source import PAGE_EXTENSIONS, PDF_EXTENSION

# Behind a PDF's first line, "%PDF-1.7", stands a comment of four bytes above 127 (ISO 32000-1, 7.5.2), whichever.
# Ours is "QUIN" with the high bits set, and stays when somebody adds notes to the file.
_VERSION_BYTES = len("%PDF-1.7\n")
_QPDFS_MARK = b"%\xbf\xf7\xa2\xfe\n"
_MARK = b"%\xd1\xd5\xc9\xce\n"
HEAD_BYTES = _VERSION_BYTES + len(_MARK)
# What the PDF of a file gets whose name has no image's extension, and each beside its original.
_UNNAMED = ".ocr"
_IMAGES = tuple(extension for extension in PAGE_EXTENSIONS if extension != PDF_EXTENSION)
BESIDE_SUFFIX = f"{_UNNAMED}{PDF_EXTENSION}"


def derived_pdf(page_id: str) -> str:
    """Name the searchable PDF that is made of a file: a PDF keeps its name, an image's gets ".pdf" behind it.

    Distinct ids get distinct names here too. Of "scan" and "scan.pdf" the first becomes "scan.ocr.pdf", of "scan.png"
    and "scan.png.pdf" the second "scan.png.pdf.pdf": by their names alone, whether the other one is there or not.
    """
    *folders, name = page_id.split("/")
    stem = _without_pdf(name)
    if stem == name:
        name += PDF_EXTENSION if name.lower().endswith(_IMAGES) else BESIDE_SUFFIX
    elif stem.lower().endswith((*_IMAGES, _UNNAMED)):
        name += PDF_EXTENSION
    # A folder of a name that a file may get here.
    folders = [f"{part[:-4]}%2E{part[-3:]}" if part.lower().endswith(PDF_EXTENSION) else part for part in folders]
    return "/".join([*folders, name])


def marked(pdf: bytes) -> bytes:
    """A PDF of pikepdf's with our mark."""
    if pdf[_VERSION_BYTES:HEAD_BYTES] != _QPDFS_MARK:
        raise ValueError("it does not begin as qpdf's files do")
    return pdf[:_VERSION_BYTES] + _MARK + pdf[HEAD_BYTES:]


def is_marked(head: bytes) -> bool:
    """Whether a file that begins like this is a PDF that Quintet wrote."""
    return head.startswith(b"%PDF-") and head[_VERSION_BYTES:HEAD_BYTES] == _MARK


def lies_beside_input(path: str) -> bool:
    """Whether a file is a PDF that `quintet export --beside-input` wrote; none that cannot be read."""
    if not path.lower().endswith(BESIDE_SUFFIX):
        return False
    try:
        file, _stamp = open_regular(path)
        with file:
            return is_marked(file.read(HEAD_BYTES))
    except (OSError, ValueError):  # reading says so, by name
        return False


def _without_pdf(name: str) -> str:
    """A file's name without ".pdf" at its end, however often it stands there."""
    while name.lower().endswith(PDF_EXTENSION):
        name = name[: -len(PDF_EXTENSION)]
    return name
