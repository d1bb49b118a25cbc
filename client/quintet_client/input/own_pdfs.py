"""Searchable PDFs that Quintet wrote: they bear a mark in their first bytes, and beside INPUT a name of their own."""

from quintet_client.input.regular_files import open_regular

# Behind a PDF's first line, "%PDF-1.7", stands a comment of four bytes above 127 (ISO 32000-1, 7.5.2), whichever.
# Ours is "QUIN" with the high bits set, and stays when somebody adds notes to the file.
_VERSION_BYTES = len("%PDF-1.7\n")
_QPDFS_MARK = b"%\xbf\xf7\xa2\xfe\n"
_MARK = b"%\xd1\xd5\xc9\xce\n"
HEAD_BYTES = _VERSION_BYTES + len(_MARK)
BESIDE_SUFFIX = ".ocr.pdf"


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
