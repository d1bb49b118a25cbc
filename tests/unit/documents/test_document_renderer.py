"""The process that opens documents: what it renders, and what becomes of it and of a page that crashes or stalls it."""

from __future__ import annotations

import io
import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from math import ceil

import pikepdf
import psutil
import pytest
from PIL import Image
from quintet.pages.settings import Settings
from quintet.pixels.images import decode_image
from quintet_client.input.documents.messages import Answer, answer_unpacked, packed
from quintet_client.input.documents.renderer import MEMORY_BYTES, Renderer
from quintet_client.input.regular_files import stamp_of
from quintet_client.service.page import FileStamp, Limits

from tests.unit.documents.made_documents import (
    add_scan,
    drawn,
    encrypted_pdf,
    endless_pdf,
    form_pdf,
    growing_pdf,
    marked_pdf,
    pdf_of,
    saved,
    tiff_of,
)

PIXEL_BY_PIXEL_DPI = 72


@pytest.fixture(scope="module")
def renderer():
    with closing(Renderer()) as made:
        yield made


@pytest.fixture
def put(tmp_path):
    def write(name, content):
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return write


def picture(answer):
    assert not answer.code, answer.message
    return decode_image(answer.body, Settings())


def test_every_page_of_a_pdf_is_its_own_picture_and_comes_with_the_state_of_the_file(renderer, put):
    pages = [drawn(f"page {number}") for number in range(1, 4)]
    path = put("a.pdf", pdf_of(pages))
    assert renderer.count(path).pages == (1, 2, 3)
    for number, page in enumerate(pages, 1):
        answer = renderer.render(path, number, PIXEL_BY_PIXEL_DPI)
        shown = picture(answer)
        assert (shown.size, answer.stamp) == (page.size, stamp_of(path))
        difference = [abs(a - b) for a, b in zip(shown.convert("L").tobytes(), page.tobytes(), strict=True)]
        assert max(difference) < 40
        assert sum(difference) / len(difference) < 1


def test_the_resolution_is_the_one_that_was_asked_for(renderer, put):
    path = put("a.pdf", pdf_of([drawn("a")]))
    for dpi in (36, 143, 200, 201):
        answer = renderer.render(path, 1, dpi)
        assert (picture(answer).size, answer.note) == ((ceil(300 * dpi / 72), ceil(400 * dpi / 72)), "")


def test_the_same_page_gives_the_same_bytes_in_another_process(put):
    path = put("a.pdf", pdf_of([drawn("a")]))
    bodies = set()
    for _ in range(2):
        with closing(Renderer()) as made:
            bodies.add(made.render(path, 1, 200).body)
    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("keys", "size", "black"),
    [
        ({}, (300, 400), (50, 25)),
        ({"Rotate": 90}, (400, 300), (375, 50)),
        ({"Rotate": 180}, (300, 400), (250, 375)),
        ({"Rotate": 270}, (400, 300), (25, 250)),
        ({"CropBox": pikepdf.Array([50, 200, 250, 380])}, (200, 180), (25, 15)),
        ({"CropBox": pikepdf.Array([-50, 200, 250, 900])}, (250, 200), (50, 25)),
    ],
)
def test_a_page_is_shown_as_viewers_show_it(renderer, put, keys, size, black):
    shown = picture(renderer.render(put("a.pdf", marked_pdf(**keys)), 1, PIXEL_BY_PIXEL_DPI)).convert("L")
    assert shown.size == size
    assert shown.getpixel(black) < 10
    assert shown.getpixel((size[0] // 2, size[1] // 2)) > 245


def test_form_fields_and_annotations_are_drawn(renderer, put):
    shown = picture(renderer.render(put("form.pdf", form_pdf()), 1, PIXEL_BY_PIXEL_DPI))
    red, blue = shown.getpixel((60, 75)), shown.getpixel((200, 75))
    assert (red[0] > 200, red[2] < 60) == (True, True)
    assert (blue[2] > 200, blue[0] < 60) == (True, True)


@pytest.mark.parametrize(
    ("mode", "form"), [("1", "PNG"), ("L", "JPEG"), ("RGB", "JPEG"), ("I;16", "PNG"), ("P", "JPEG"), ("RGBA", "JPEG")]
)
def test_a_tiffs_pages_are_read_as_each_alone_would_be(renderer, put, mode, form):
    pages = [drawn(text).convert("RGB" if mode == "P" else "L").convert(mode) for text in ("one", "two")]
    path = put("a.tif", tiff_of(pages))
    for number in (2, 1, 1):
        answer = renderer.render(path, number, 200)
        alone = decode_image(tiff_of([pages[number - 1]]), Settings()).convert("L")
        assert Image.open(io.BytesIO(answer.body)).format == form
        shown = picture(answer).convert("L")
        assert max(abs(a - b) for a, b in zip(shown.tobytes(), alone.tobytes(), strict=True)) < 40


def test_a_tiffs_page_is_turned_once_however_often_it_is_asked_for(renderer, put):
    path = put("a.tif", tiff_of([drawn("one"), drawn("two")], tiffinfo={0x0112: 6}))
    assert {picture(renderer.render(path, number, 200)).size for number in (1, 1, 2, 2, 1)} == {(400, 300)}


def test_a_page_larger_than_the_service_takes_is_rendered_at_less_and_says_so(renderer, put):
    pdf = pikepdf.Pdf.new()
    page = pdf.add_blank_page(page_size=(7200, 7200))
    page.Contents = pdf.make_stream(b"0 g 0 0 3600 3600 re f")
    answer = renderer.render(put("poster.pdf", saved(pdf)), 1, 200)
    shown = picture(answer)
    assert 9_900 < shown.width <= 10_000
    assert answer.note.startswith("rendered at 99")


def test_a_page_keeps_to_the_limits_that_a_service_says(put):
    limits = Limits(max_body_bytes=20_000, max_page_pixels=1_000_000)
    path = put("noise.pdf", pdf_of([Image.effect_noise((1700, 1700), 90)]))
    with closing(Renderer(limits=limits)) as renderer:
        answer = renderer.render(path, 1, 200)
    assert len(answer.body) <= 20_000
    assert math.prod(picture(answer).size) <= 1_000_000


def test_a_tiffs_page_larger_than_the_service_takes_fails_as_an_image_would(renderer, put):
    pages = [Image.new("1", (10_001, 10_000)), Image.new("1", (20, 20))]
    path = put("a.tif", tiff_of(pages, compression="group4"))
    assert renderer.render(path, 1, 200).code == "IMAGE_TOO_LARGE"
    assert picture(renderer.render(path, 2, 200)).size == (20, 20)


def test_a_password_is_needed_unless_it_is_empty(renderer, put):
    locked = renderer.count(put("locked.pdf", encrypted_pdf([drawn("a")], "secret")))
    assert (locked.code, locked.stamp.size_bytes > 0) == ("DOCUMENT_ENCRYPTED", True)
    assert "password" in locked.message
    open_to_all = put("open.pdf", encrypted_pdf([drawn("a")]))
    assert renderer.count(open_to_all).pages == (1,)
    assert picture(renderer.render(open_to_all, 1, 72)).size == (300, 400)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("empty.pdf", b"", "DOCUMENT_DAMAGED"),
        ("junk.pdf", b"no document", "DOCUMENT_DAMAGED"),
        ("cut.pdf", b"%PDF-1.7\n%", "DOCUMENT_DAMAGED"),
        ("none.pdf", saved(pikepdf.Pdf.new()), "DOCUMENT_EMPTY"),
        ("locked.pdf", encrypted_pdf([drawn("a")], "secret"), "DOCUMENT_ENCRYPTED"),
        ("again.pdf", saved(pikepdf.Pdf.new()), "DOCUMENT_EMPTY"),
    ],
)
def test_a_document_that_cannot_be_opened_says_why(renderer, put, name, content, code):
    answer = renderer.count(put(name, content))
    assert (answer.code, answer.pages) == (code, ())


def test_a_document_is_what_it_holds_whatever_it_is_called(renderer, put):
    for name, content in (
        ("a.pdf", tiff_of([drawn("one"), drawn("two")])),
        ("a", pdf_of([drawn("one"), drawn("two")])),
    ):
        path = put(name, content)
        assert renderer.count(path).pages == (1, 2)
        assert picture(renderer.render(path, 2, PIXEL_BY_PIXEL_DPI)).size == (300, 400)


def test_what_is_no_file_is_unreadable_and_nobody_waits_for_it(renderer, tmp_path):
    os.mkfifo(tmp_path / "pipe.pdf")
    assert renderer.count(str(tmp_path / "pipe.pdf")).code == "UNREADABLE_FILE"
    assert renderer.count(str(tmp_path / "missing.pdf")).code == "UNREADABLE_FILE"
    assert renderer.count("nul\0.pdf").code == "UNREADABLE_FILE"


def test_a_page_that_is_not_there_fails_alone(renderer, put):
    whole = pdf_of([drawn("a"), drawn("b")], object_stream_mode=pikepdf.ObjectStreamMode.disable)
    path = put("short.pdf", whole.replace(b"/Count 2", b"/Count 3"))
    assert renderer.count(path).pages == (1, 2, 3)
    assert [renderer.render(path, number, 72).code for number in (1, 3, 2)] == ["", "PAGE_NOT_RENDERED", ""]


def test_a_scan_whose_image_is_damaged_is_no_blank_page(renderer, put):
    pdf = pikepdf.Pdf.new()
    add_scan(pdf, drawn("a"), b"no JPEG at all" * 9, **{"/Filter": pikepdf.Name.DCTDecode})
    add_scan(pdf, Image.new("L", (300, 400), 255))
    path = put("a.pdf", saved(pdf))
    damaged = renderer.render(path, 1, 72)
    assert (damaged.code, damaged.body) == ("PAGE_NOT_RENDERED", b"")
    assert picture(renderer.render(path, 2, 72)).getextrema() == ((255, 255),) * 3, "a blank page is a blank page"


def test_a_truncated_tiff_page_fails_alone(renderer, put):
    whole = tiff_of([drawn("one"), drawn("two")])
    path = put("a.tif", whole[:-60_000])
    assert [renderer.render(path, number, 200).code for number in (1, 2, 1)] == ["", "IMAGE_DECODE_FAILED", ""]


def test_a_document_that_has_changed_is_opened_anew(renderer, put):
    path = put("a.pdf", pdf_of([drawn("a")]))
    before = renderer.render(path, 1, 72)
    put("a.pdf", pdf_of([drawn("another page", (200, 100))]))
    after = renderer.render(path, 1, 72)
    assert picture(after).size == (200, 100)
    assert before.stamp != after.stamp == stamp_of(path)


def test_neighbouring_pages_open_their_document_once(renderer, put):
    path = put("a.pdf", pdf_of([drawn(str(number)) for number in range(8)]))
    renderer.render(path, 1, 72)
    process = psutil.Process(renderer.pid)
    held = [file.fd for file in process.open_files() if file.path == path]
    for number in range(2, 9):
        renderer.render(path, number, 72)
    assert [file.fd for file in process.open_files() if file.path == path] == held
    assert len(held) == 1


def killed_whenever_it_is_there(renderer, until):
    """Kill the renderer's process as often as it starts."""
    while not until.is_set():
        if pid := renderer.pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)


def test_a_page_that_crashes_the_renderer_twice_fails_and_the_next_one_is_rendered(renderer, put, caplog):
    path = put("a.pdf", pdf_of([drawn("a")]))
    stop = threading.Event()
    killer = threading.Thread(target=killed_whenever_it_is_there, args=(renderer, stop))
    killer.start()
    answer = renderer.render(path, 1, 72)
    stop.set()
    killer.join()
    assert (answer.code, answer.stamp) == ("RENDERER_CRASHED", stamp_of(path))
    assert "SIGKILL" in answer.message
    assert "died of SIGKILL" in caplog.text
    assert not renderer.render(path, 1, 72).code


def test_a_renderer_that_was_killed_between_pages_costs_none(renderer, put):
    path = put("a.pdf", pdf_of([drawn("a"), drawn("b")]))
    assert not renderer.render(path, 1, 72).code
    os.kill(renderer.pid, signal.SIGKILL)
    assert not renderer.render(path, 2, 72).code


def test_a_page_that_stalls_the_renderer_fails_in_time_and_the_next_one_is_rendered(put):
    path = put("a.pdf", pdf_of([drawn("a"), drawn("b")]))
    with closing(Renderer(page_s=4)) as renderer:
        assert renderer.count(path).pages == (1, 2)
        stalled = renderer.pid
        os.kill(stalled, signal.SIGSTOP)
        begin = time.monotonic()
        assert renderer.render(path, 1, 72).code == "RENDERER_STALLED"
        assert time.monotonic() - begin < 8
        assert not psutil.pid_exists(stalled)
        assert not renderer.render(path, 2, 72).code


def test_a_page_that_keeps_pdfium_busy_for_ever_fails_in_time(put):
    path = put("endless.pdf", endless_pdf())
    with closing(Renderer(page_s=3)) as renderer:
        assert [renderer.render(path, number, 72).code for number in (1, 2)] == ["RENDERER_STALLED", ""]


def test_a_page_that_grows_for_ever_ends_at_the_memory_that_is_allowed(put):
    path = put("growing.pdf", growing_pdf())
    with closing(Renderer(memory_bytes=300 * 1024**2)) as renderer:
        assert [renderer.render(path, number, 72).code for number in (1, 2)] == ["RENDERER_CRASHED", ""]


def test_the_process_ends_by_itself_where_its_parent_died_in_the_middle_of_such_a_page(put):
    with child("2000000000", "0.1") as process:
        process.stdin.write(packed({"path": put("endless.pdf", endless_pdf()), "page": 1, "dpi": 72}))
        process.stdin.close()
        assert process.wait(30) == -signal.SIGALRM


def test_a_document_that_stalls_again_and_again_is_given_up(put):
    path, other = put("a.pdf", pdf_of([drawn("a")])), put("b.pdf", pdf_of([drawn("b")]))
    with closing(Renderer(page_s=0.001)) as renderer:  # no process starts so fast
        codes = [renderer.render(path, number, 72).code for number in range(1, 5)]
        begin = time.monotonic()
        last = renderer.render(path, 5, 72)
        assert (codes, last.code) == (["RENDERER_STALLED"] * 4, "RENDERER_STALLED")
        assert "earlier pages" in last.message
        assert time.monotonic() - begin < 0.1
        assert "earlier" not in renderer.render(other, 1, 72).message


def test_a_page_that_takes_more_memory_than_allowed_fails_alone(put):
    path = put("a.pdf", pdf_of([drawn("a")]))
    with closing(Renderer(memory_bytes=400 * 1024**2)) as renderer:
        assert not renderer.render(path, 1, 72).code
        assert renderer.render(path, 1, 1800).code in {"PAGE_NOT_RENDERED", "RENDERER_CRASHED"}
        assert not renderer.render(path, 1, 72).code


@pytest.mark.slow
def test_a_document_larger_than_the_memory_that_is_allowed_is_read_to_its_end(put):
    noise = Image.effect_noise((1700, 1700), 90)
    pages = 23
    path = put("book.pdf", pdf_of([noise] * pages))
    memory_bytes = 110 * 1024**2
    assert stamp_of(path).size_bytes > memory_bytes // 2
    with closing(Renderer(memory_bytes=memory_bytes)) as renderer:
        ends = {(renderer.render(path, number, 36).code, renderer.pid) for number in range(1, pages + 1)}
        assert ends == {("", renderer.pid)}, "one process, which never ran out of memory"


def test_a_process_that_cannot_be_started_is_a_pages_failure_and_no_exception(put, monkeypatch):
    path = put("a.pdf", pdf_of([drawn("a")]))
    with closing(Renderer()) as renderer, monkeypatch.context() as changed:
        changed.setattr(sys, "executable", "/nowhere/python")
        answer = renderer.render(path, 1, 72)
        assert (answer.code, "No such file" in answer.message) == ("RENDERER_CRASHED", True)
        changed.undo()
        assert not renderer.render(path, 1, 72).code


SOUND = Answer(FileStamp(1, 2), code="X", message="why")._replace(body=b"")._asdict() | {"body": None}


@pytest.mark.parametrize(
    "message",
    [
        b"\xff" * 8,
        b"\0\0\0\1\0\0\0\0{",
        packed(SOUND | {"stamp": None}),
        packed(SOUND | {"stamp": [1]}),
        packed(SOUND | {"pages": "many"}),
        packed({}),
    ],
)
def test_what_a_process_says_that_a_document_has_taken_over_is_not_believed(message):
    with pytest.raises((ValueError, TypeError, KeyError)):
        answer_unpacked(io.BytesIO(message).read, 1 << 20)


def test_what_is_said_of_a_page_is_one_bounded_line():
    said = answer_unpacked(io.BytesIO(packed(SOUND | {"message": "a\nb\x1b" * 900})).read, 1 << 20).message
    assert len(said) <= 500
    assert "\n" not in said


def child(*limits, before=()):
    command = [*before, sys.executable, "-P", "-m", "quintet_client.input.documents.child", *limits]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_where_the_system_allows_less_memory_that_is_what_it_has(put):
    path = put("a.pdf", pdf_of([drawn("a")]))
    with child("4000000000", "60", before=("sh", "-c", 'ulimit -v 2000000; exec "$0" "$@"')) as process:
        said, _ = process.communicate(packed({"path": path, "page": 1, "dpi": 72}))
    assert b'"code": ""' in said


def test_the_process_ends_when_its_parent_does(put):
    path = put("a.pdf", pdf_of([drawn("a")]))
    with child("4000000000", "60") as process:
        process.stdin.write(packed({"path": path, "page": 1, "dpi": 72}))
        process.stdin.close()
        assert b'"code": ""' in process.stdout.read()
        assert process.wait(10) == 0


def test_the_process_writes_no_files_and_leaves_no_core(put):
    path = put("a.pdf", pdf_of([drawn("a")]))
    with closing(Renderer()) as renderer:
        renderer.count(path)
        for what in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
            assert resource.prlimit(renderer.pid, what) == (0, 0)
        assert resource.prlimit(renderer.pid, resource.RLIMIT_AS)[0] == MEMORY_BYTES


def test_without_its_package_the_failure_says_what_to_install_and_the_next_run_tries_again(put, tmp_path, monkeypatch):
    (tmp_path / "pypdfium2.py").write_text("raise ModuleNotFoundError('no', name='pypdfium2')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with closing(Renderer()) as renderer:
        answer = renderer.count(put("a.pdf", pdf_of([drawn("a")])))
        assert (answer.code, answer.stamp) == ("RENDERER_MISSING", (-1, -1))
        assert "pypdfium2" in answer.message
        assert "quintet[bulk]" in answer.message
        assert not renderer.render(put("a.tif", tiff_of([drawn("a")])), 1, 200).code


def test_it_starts_without_torch(put):
    with closing(Renderer()) as renderer:
        renderer.count(put("a.pdf", pdf_of([drawn("a")])))
        maps = psutil.Process(renderer.pid).memory_maps()
        assert not [one.path for one in maps if "torch" in one.path]
