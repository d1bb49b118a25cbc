"""Which formats are read, and how a file of each begins. Needs nothing: clients without Pillow look at files too."""

# As Pillow calls them; HEIF is what phones write as .heic.
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "AVIF", "HEIF")
PDF = "PDF"
# So many bytes tell what a file is: the brands of an HEIF stand in its first box.
HEAD_BYTES = 64

_MARKS = {
    b"\xff\xd8": "JPEG",
    b"\x89PNG": "PNG",
    b"II*\0": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0*": "TIFF",
    b"MM\0+": "TIFF",
    b"BM": "BMP",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",  # a codestream alone
    b"%PDF-": PDF,
}
# Brands of ISO/IEC 23008-12 and of AVIF; "mif1" and "msf1" alone do not say what the pictures are coded with.
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}


def format_of(head: bytes) -> str:
    """The format of a file that begins like this, whole or damaged; empty if it is none of ours."""
    if head[4:8] == b"ftyp":
        return _coded_in(head[:HEAD_BYTES])
    if head[8:12] == b"WEBP":
        return "WEBP"
    return next((form for mark, form in _MARKS.items() if head.startswith(mark)), "")


def is_image(body: bytes) -> bool:
    """Whether bytes are an image of a known format, whole or damaged, by how they begin."""
    return format_of(body) in FORMATS


def is_tiff(head: bytes) -> bool:
    """Whether a file that begins like this is a TIFF."""
    return format_of(head) == "TIFF"


def _coded_in(head: bytes) -> str:
    """The format of an ISO base media file, which is also what films are, by the brands of its first box."""
    end = min(int.from_bytes(head[:4]), len(head))
    brands = {head[8:12], *(head[start : start + 4] for start in range(16, end - 3, 4))}
    return "AVIF" if brands & _AVIF_BRANDS else "HEIF" if brands & _HEIF_BRANDS else ""
