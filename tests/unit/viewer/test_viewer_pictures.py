"""Thumbnails stand upright, browsers get what they can show, and damaged images are a reason, not an exception."""

import builtins
import io
import threading
from contextlib import closing

import numpy as np
import pytest
from PIL import Image
from quintet.pixels.formats import FORMATS
from quintet_client.input.originals import Originals
from quintet_client.input.page_ids import page_id_of
from quintet_client.input.regular_files import MAX_FILE_BYTES
from quintet_client.viewer.data.pictures import NoPictureError, PagePictures, for_browser, open_picture, thumbnail
from quintet_client.viewer.data.run import Run
from quintet_client.viewer.thumbnails import KEPT, SIDE_PX, Thumbnails

from tests.client.viewer.made_runs import make_run
from tests.conftest import encode
from tests.heif import heif_of
from tests.unit.documents.made_documents import drawn, encrypted_pdf, pdf_of, tiff_of


def corner(turn_deg=0):
    """A white page whose top left is black, its content turned clockwise."""
    page = Image.new("RGB", (80, 120), "white")
    page.paste("black", (0, 0, 20, 30))
    return page.rotate(-turn_deg, expand=True)


def opened(jpeg):
    return Image.open(io.BytesIO(jpeg)).convert("L")


def test_a_page_of_a_document_is_rendered_and_a_file_called_like_one_is_an_image(tmp_path):
    (tmp_path / "scan.tiff").write_bytes(tiff_of([drawn(str(number), (30, 20 + number)) for number in range(12)]))
    (tmp_path / "scan.tiff#12").write_bytes(b"a file of that very name")
    with closing(PagePictures(Originals([tmp_path]))) as pictures:
        assert opened(pictures.get("scan.tiff#12")).size == (30, 31)
        assert pictures.get(page_id_of("scan.tiff#12")) == b"a file of that very name"


def test_pages_of_documents_are_rendered_and_what_cannot_be_is_a_reason(tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf_of([drawn("one"), drawn("two", (200, 100))]))
    (tmp_path / "a.tif").write_bytes(tiff_of([drawn("one"), drawn("two", (200, 100))]))
    (tmp_path / "b.pdf").write_bytes(b"no document")
    with closing(PagePictures(Originals([tmp_path]))) as pictures:
        for page_id in ("a.pdf#2", "a.tif#2", "a.tif#2"):
            assert opened(pictures.get(page_id, 72)).size == (200, 100)
        (tmp_path / "a.pdf").write_bytes(pdf_of([drawn("one"), drawn("another", (60, 50))]))
        assert opened(pictures.get("a.pdf#2", 72)).size == (60, 50)
        for page_id, reason in (("b.pdf#1", "no document"), ("a.pdf#3", "cannot be rendered"), ("a.tif#3", "missing")):
            with pytest.raises(NoPictureError, match=reason):
                pictures.get(page_id)


def test_a_locked_pdf_is_shown_with_a_password_that_fits(tmp_path):
    (tmp_path / "a.pdf").write_bytes(encrypted_pdf([drawn("one", (200, 100))], "secret"))
    with closing(PagePictures(Originals([tmp_path]), ("wrong", "secret"))) as pictures:
        assert opened(pictures.get("a.pdf#1", 72)).size == (200, 100)
    without = PagePictures(Originals([tmp_path]))
    with closing(without), pytest.raises(NoPictureError, match="give it with --password-file"):
        without.get("a.pdf#1")


def test_what_is_larger_than_the_client_reads_or_is_gone_is_a_reason(tmp_path):
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    for page_id, reason in (("large.png", "at most"), ("gone.png", "no longer in INPUT")):
        with pytest.raises(NoPictureError, match=reason):
            PagePictures(Originals([tmp_path])).get(page_id)


@pytest.mark.parametrize("turn_deg", [0, 90, 180, 270])
@pytest.mark.parametrize("form", FORMATS)
def test_a_thumbnail_stands_upright(turn_deg, form):
    body = heif_of(corner(turn_deg)) if form == "HEIF" else encode(corner(turn_deg), form)
    shown = opened(thumbnail(body, turn_deg, 60))
    assert shown.size == (40, 60)
    assert shown.getpixel((4, 4)) < 60
    assert min(shown.getpixel(at) for at in ((35, 4), (4, 55), (35, 55))) > 200


def test_exif_is_applied_before_the_page_is_turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    body = encode(corner().rotate(90, expand=True), "PNG", exif=exif)
    assert opened(thumbnail(body, 0, 60)).getpixel((4, 4)) < 60
    kind, shown = for_browser(body)
    assert (kind, opened(shown).getpixel((5, 5))) == ("image/png", 0)


@pytest.mark.parametrize(("form", "kind"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
def test_a_browser_gets_what_it_can_show_as_it_is(form, kind):
    body = encode(corner(), form)
    assert for_browser(body) == (kind, body)


@pytest.mark.parametrize("body", [heif_of(corner()), encode(corner(), "JPEG2000")], ids=["heif", "jpeg 2000"])
def test_what_browsers_do_not_show_becomes_a_png(body):
    kind, shown = for_browser(body)
    assert (kind, opened(shown).size) == ("image/png", (80, 120))


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "CMYK", "RGBA", "P"])
def test_a_tiff_of_any_mode_becomes_a_png(mode):
    kind, shown = for_browser(encode(Image.new(mode, (30, 20)), "TIFF"))
    assert (kind, opened(shown).size) == ("image/png", (30, 20))


@pytest.mark.parametrize("body", [b"", b"no image", b"<svg onload='alert(1)'/>", b"\xff\xd8\xff\xe0 no more"])
def test_what_is_no_image_is_a_reason(body):
    for attempt in (lambda: thumbnail(body, 0, 60), lambda: for_browser(body), lambda: open_picture(body)):
        with pytest.raises(NoPictureError):
            attempt()


def test_a_truncated_tiff_is_a_reason():
    with pytest.raises(NoPictureError):
        for_browser(encode(corner(), "TIFF")[:-9000])


def test_an_image_of_too_many_pixels_is_not_unpacked():
    with pytest.raises(NoPictureError, match="pixels"):
        for_browser(encode(Image.new("1", (12_000, 9_000)), "TIFF", compression="group4"))


def test_without_pillow_the_reason_names_the_extra(monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **options):
        if name.startswith("PIL"):
            raise ModuleNotFoundError(name=name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(NoPictureError, match=r"quintet\[view\]"):
        thumbnail(b"", 0, 60)


def test_a_thumbnail_is_made_once_however_many_ask_and_memory_stays_bounded(tmp_path, monkeypatch):
    run = Run(make_run(tmp_path).output_path)
    made = []
    monkeypatch.setattr("quintet_client.viewer.thumbnails.thumbnail", lambda *a: made.append(a) or thumbnail(*a))
    thumbnails = Thumbnails(run, kept=1)
    ask = [threading.Thread(target=thumbnails.get, args=("invoices/page000.png", "v")) for _ in range(8)]
    for thread in ask:
        thread.start()
    for thread in ask:
        thread.join()
    assert len(made) == 1
    assert isinstance(thumbnails.get("invoices/page001.jpg", "v"), bytes)
    thumbnails.get("invoices/page001.jpg", "v")
    assert len(made) == 2
    assert isinstance(thumbnails.get("invoices/page000.png", "v"), bytes)
    assert len(made) == 3, "one thumbnail is kept, the latest"
    assert "damaged" in thumbnails.get("broken.jpg", "v")
    thumbnails.close()


def test_all_thumbnails_that_are_kept_have_less_than_90_mb():
    noise = Image.fromarray(np.random.default_rng(1).choice([0, 255], (SIDE_PX, SIDE_PX, 3)).astype(np.uint8))
    largest_comment = 65_533  # of a JPEG, which Pillow hands on
    assert KEPT * (len(thumbnail(encode(noise, "PNG"), 0, SIDE_PX)) + largest_comment) < 90_000_000
