"""PDFs and TIFFs of a few drawn pages, sound ones and such as people and programs spoil them."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pikepdf
from pikepdf import Array, Dictionary, Name
from PIL import Image, ImageDraw, ImageFont

SIZE = (300, 400)


def drawn(text: str, size: tuple[int, int] = SIZE, mode: str = "L") -> Image.Image:
    """A small page that says something."""
    page = Image.new("L", size, 255)
    ImageDraw.Draw(page).text((20, 40), text, fill=0, font=ImageFont.load_default(size=28))
    return page.convert(mode)


def tiff_of(pages: Sequence[Image.Image], **options: object) -> bytes:
    """A TIFF of several images."""
    target = io.BytesIO()
    pages[0].save(target, "TIFF", save_all=True, append_images=pages[1:], **options)
    return target.getvalue()


def pdf_of(pages: Sequence[Image.Image], **options: object) -> bytes:
    """A PDF of scanned pages, one point a pixel: at 72 dpi it is rendered pixel by pixel."""
    pdf = pikepdf.Pdf.new()
    for page in pages:
        add_scan(pdf, page)
    return saved(pdf, **options)


def add_scan(pdf: pikepdf.Pdf, page: Image.Image, data: bytes | None = None, **keys: object) -> pikepdf.Page:
    """Append a page that shows one grey image; `data` for its samples spoils it."""
    width, height = page.size
    target = pdf.add_blank_page(page_size=page.size)
    head = {"/Type": Name.XObject, "/Subtype": Name.Image, "/Width": width, "/Height": height}
    head |= {"/BitsPerComponent": 8, "/ColorSpace": Name.DeviceGray, **keys}
    shown = pdf.make_stream(page.convert("L").tobytes() if data is None else data, Dictionary(head))
    target.Resources = Dictionary(XObject=Dictionary({"/Scan": shown}))
    target.Contents = pdf.make_stream(f"q {width} 0 0 {height} 0 0 cm /Scan Do Q".encode())
    return target


def marked_pdf(**page_keys: object) -> bytes:
    """A page of 300 x 400 points, its upper left 100 x 50 black, with the page's own keys."""
    pdf = pikepdf.Pdf.new()
    page = pdf.add_blank_page(page_size=SIZE)
    page.Contents = pdf.make_stream(b"0 g 0 350 100 50 re f")
    for key, value in page_keys.items():
        page.obj[f"/{key}"] = value
    return saved(pdf)


def form_pdf() -> bytes:
    """A page with a filled field and a square annotation, and nothing else."""
    pdf = pikepdf.Pdf.new()
    page = pdf.add_blank_page(page_size=SIZE)
    look = {"/Type": Name.XObject, "/Subtype": Name.Form, "/BBox": Array([0, 0, 100, 50])}
    field, square = (
        pdf.make_stream(f"{ink} rg 0 0 100 50 re f".encode(), Dictionary(look)) for ink in ("1 0 0", "0 0 1")
    )
    shown = {"/Type": Name.Annot, "/F": 4}
    widget = {"/Subtype": Name.Widget, "/Rect": Array([10, 300, 110, 350]), "/AP": Dictionary(N=field)}
    widget |= {"/FT": Name.Tx, "/T": "name", "/V": "x"}
    other = {"/Subtype": Name.Square, "/Rect": Array([150, 300, 250, 350]), "/AP": Dictionary(N=square)}
    page.Annots = Array([pdf.make_indirect(Dictionary(shown | one)) for one in (widget, other)])
    pdf.Root.AcroForm = pdf.make_indirect(Dictionary(Fields=Array([page.Annots[0]])))
    return saved(pdf)


def endless_pdf() -> bytes:
    """Two kilobytes whose first page takes hours and no memory: 1,000 shadings of 100,000 steps a pixel."""
    pdf = pikepdf.Pdf.new()
    steps = {"/FunctionType": 4, "/Domain": Array([0, 1, 0, 1]), "/Range": Array([0, 1])}
    grey = pdf.make_stream(b"{" + b"exch " * 100_000 + b"pop}", Dictionary(steps))
    shading = {"/ShadingType": 1, "/ColorSpace": Name.DeviceGray, "/Matrix": Array([SIZE[0], 0, 0, SIZE[1], 0, 0])}
    first, second = (pdf.add_blank_page(page_size=SIZE) for _ in range(2))
    first.Resources = Dictionary(Shading=Dictionary(S=Dictionary(shading | {"/Function": grey})))
    first.Contents, second.Contents = pdf.make_stream(b"/S sh " * 1000), pdf.make_stream(b"0 0 100 100 re f")
    return saved(pdf)


def growing_pdf() -> bytes:
    """Three kilobytes whose first page is a form painted 20 times by one that is painted 20 times, and on.

    PDFium lays them all out before it draws: 300 MB a second, until it aborts for want of memory.
    """
    pdf = pikepdf.Pdf.new()
    box = {"/Type": Name.XObject, "/Subtype": Name.Form, "/BBox": Array([0, 0, *SIZE])}
    form = pdf.make_stream(b"0 0 300 400 re f", Dictionary(box))
    for _ in range(9):
        inner = {"/Resources": Dictionary(XObject=Dictionary(F=form))}
        form = pdf.make_stream(b"/F Do " * 20, Dictionary(box | inner))
    first, second = (pdf.add_blank_page(page_size=SIZE) for _ in range(2))
    first.Resources = Dictionary(XObject=Dictionary(F=form))
    first.Contents, second.Contents = pdf.make_stream(b"/F Do"), pdf.make_stream(b"0 0 100 100 re f")
    return saved(pdf)


def encrypted_pdf(pages: Sequence[Image.Image], user: str = "") -> bytes:
    """A PDF that asks for a password, unless it is an empty one."""
    return pdf_of(pages, encryption=pikepdf.Encryption(owner="owner", user=user))


def saved(pdf: pikepdf.Pdf, **options: object) -> bytes:
    target = io.BytesIO()
    pdf.save(target, deterministic_id="encryption" not in options, **options)
    return target.getvalue()
