"""What makes a PDF of images a PDF/A-2u (ISO 19005-2): it says so, and in which colours its pictures are."""

import pikepdf
from pikepdf import Array, Dictionary, Name
from PIL import ImageCms

# A profile's head has the time at which it was made; the same pages are to give the same bytes.
_DATE = slice(24, 36)
_A_DATE = b"".join(number.to_bytes(2) for number in (2025, 1, 1, 0, 0, 0))


def declare(pdf: pikepdf.Pdf, title: str) -> None:
    """Add the metadata and the colour space; `title` is in both places that PDF has for it."""
    profile = pdf.make_stream(_srgb(), N=3)
    intent = Dictionary(Type=Name.OutputIntent, S=Name.GTS_PDFA1, DestOutputProfile=profile)
    intent.OutputConditionIdentifier = intent.Info = "sRGB"
    pdf.Root.OutputIntents = Array([pdf.make_indirect(intent)])
    with pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as metadata:
        metadata["pdfaid:part"], metadata["pdfaid:conformance"] = "2", "U"
        metadata["dc:title"] = title


def _srgb() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_DATE] = _A_DATE
    return bytes(profile)
