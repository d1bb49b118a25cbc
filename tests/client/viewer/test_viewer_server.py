"""`quintet view` over HTTP: who is let in, what is served, and what never is."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
import requests
from PIL import Image
from quintet_client.cli import main
from quintet_client.output.ledger import Ledger, Row
from quintet_client.viewer.data.run import Run
from quintet_client.viewer.server import Server
from quintet_client.viewer.site import Site

from tests.client.reading import CLIENT_ROOT
from tests.client.viewer.made_runs import HEIGHT_PX, HOSTILE, WIDTH_PX, answer, draw, make_run, texts_of, write_answer
from tests.unit.documents.made_documents import pdf_of, tiff_of

HANDLERS = CLIENT_ROOT.parent / "handlers"


@contextmanager
def viewing(output, input_path=None):
    """A viewer in this process; gives its address."""
    site = Site(Run(output, input_path))
    with Server(site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()
            site.close()


@pytest.fixture
def made(tmp_path):
    return make_run(tmp_path)


@pytest.fixture
def url(made):
    with viewing(made.output_path) as address:
        yield address


def get(url, path="", headers=None, **parameters):
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url + path, params=parameters, headers=headers, timeout=20)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_request_that_a_page_from_elsewhere_made_is_refused(url, headers):
    assert get(url, "api/run", headers=headers).status_code in {400, 403}


def test_without_the_token_nothing_is_served(url):
    root, token = url.rstrip("/").rsplit("/", 1)
    for path in ("", "/", "/api/run", "/index.html", f"/{token[:-1]}/api/run", f"//{token}x/", "/..%2f/", "/%00"):
        answer = get(root, path)
        assert answer.status_code == 403, path
        assert token not in answer.text


def test_every_answer_forbids_what_is_not_its_own(url):
    for path in ("", "app.js", "api/run", "no such page", "thumbnail?id=broken.jpg"):
        headers = get(url, path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("path", ["../cli.py", "%2e%2e/cli.py", "static/app.js", "__init__.py", "/etc/passwd", "api/"])
def test_no_other_file_is_served(url, path):
    root, token = url.rstrip("/").rsplit("/", 1)
    request = requests.Request("GET", root).prepare()
    request.url = f"{root}/{token}/{path}"  # as it is: `requests` would tidy it up
    with requests.Session() as session:
        session.trust_env = False
        assert session.send(request, timeout=20).status_code == 404


@pytest.mark.parametrize("page_id", ["../secret.png", "%2E%2E/secret.png", "/etc/passwd", "link.png", "a\0b", ""])
def test_an_image_that_the_ledger_does_not_know_is_not_served(made, url, page_id):
    (made.input_path / "link.png").symlink_to("/etc/passwd")
    for path in ("image", "thumbnail", "api/page"):
        assert get(url, path, id=page_id).status_code == 404


def test_only_reading_is_possible(url):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        with requests.Session() as session:
            session.trust_env = False
            assert session.request(method, url + "api/run", timeout=20).status_code == 501


def test_the_overview_adds_up(url):
    run = get(url, "api/run").json()
    assert run["counts"] == {"ok": 8, "failed": 2, "left": 0}
    assert run["equation"] == "10 pages = 8 read + 2 failed"
    assert dict(run["codes"]) == {"IMAGE_DECODE_FAILED": 1, "UNSUPPORTED_FORMAT": 1}
    assert run["no_pictures"] == ""


def test_a_run_that_goes_on_is_followed(made, url):
    with Ledger.open(made.output_path / "ledger.sqlite") as ledger:
        ledger.record([Row("new.png", "sent")])
        run = get(url, "api/run").json()
        assert run["counts"]["left"] == 1
        assert "no end yet" in run["note"]
        ledger.record([Row("new.png", "failed", code="TIMEOUT")])
        assert get(url, "api/run").json()["counts"] == {"ok": 8, "failed": 3, "left": 0}
        assert get(url, "api/pages", code="TIMEOUT").json()["pages"][0]["page_id"] == "new.png"


def test_a_page_comes_with_its_lines_and_its_neighbours(url):
    found = get(url, "api/page", id="invoices/page001.jpg", q="due").json()
    assert [line["text"] for line in found["page"]["lines"]] == texts_of(1)
    assert [line["hit"] for line in found["page"]["lines"]] == [False, False, True, False]
    assert (found["place"]["previous"], found["place"]["next"]) == ("invoices/page000.png", "invoices/page002.tiff")
    assert found["no_picture"] == ""


def test_the_neighbours_of_a_hit_are_hits(url):
    hits = [hit["page_id"] for hit in get(url, "api/search", q="invoice").json()["hits"]]
    for at, page_id in enumerate(hits):
        place = get(url, "api/page", id=page_id, q="invoice", at=at).json()["place"]
        around = [None, *hits, None]
        assert (place["position"], place["total"]) == (at + 1, len(hits))
        assert (place["previous"], place["next"]) == (around[at], around[at + 2])


def test_an_answer_of_another_kind_is_shown_as_it_is(made, url):
    (made.output_path / "pages" / "invoices" / "page000.png.json").write_text('{"schema": "cars/1", "cars": 3}')
    found = get(url, "api/page", id="invoices/page000.png").json()
    assert (found["page"], json.loads(found["raw"])["cars"]) == (None, 3)
    (made.output_path / "pages" / "invoices" / "page000.png.json").unlink()
    assert "gone from OUTPUT" in get(url, "api/page", id="invoices/page000.png").json()["raw"]


def test_images_come_as_browsers_show_them_and_failures_as_a_placeholder(made, url):
    original = (made.input_path / "invoices" / "page000.png").read_bytes()
    assert get(url, "image", id="invoices/page000.png").content == original
    assert get(url, "image", id="invoices/page002.tiff").headers["Content-Type"] == "image/png"
    assert get(url, "thumbnail", id="invoices/page001.jpg").headers["Content-Type"] == "image/jpeg"
    placeholder = get(url, "thumbnail", id=HOSTILE)
    assert (placeholder.status_code, placeholder.headers["Content-Type"]) == (200, "image/svg+xml")


@pytest.fixture
def with_documents(made):
    """The run with a page of a PDF, turned by its orientation, one of a TIFF, and one of a PDF that is damaged."""
    pdf, tiff = pdf_of([draw(texts_of(3)), draw(texts_of(4), 90)]), tiff_of([draw(texts_of(5)), draw(texts_of(6))])
    for name, body in (("a.pdf", pdf), ("b.tif", tiff), ("c.pdf", b"no document")):
        (made.input_path / name).write_bytes(body)
    answers = {"a.pdf#2": answer(texts_of(4), 90), "b.tif#2": answer(texts_of(6)), "c.pdf#1": answer(texts_of(7))}
    with Ledger.open(made.output_path / "ledger.sqlite") as ledger:
        ledger.record(write_answer(made.output_path, page_id, document) for page_id, document in answers.items())
    return made


def test_pages_of_documents_are_drawn_and_what_cannot_be_is_a_reason(with_documents):
    with viewing(with_documents.output_path) as url:
        for page_id, size in (("a.pdf#2", (1167, 834)), ("b.tif#2", (WIDTH_PX, HEIGHT_PX))):
            assert get(url, "api/page", id=page_id).json()["no_picture"] == ""
            image = get(url, "image", id=page_id)
            assert (image.headers["Content-Type"], Image.open(io.BytesIO(image.content)).size) == ("image/jpeg", size)
            thumbnail = Image.open(io.BytesIO(get(url, "thumbnail", id=page_id).content))
            assert thumbnail.height > thumbnail.width, "upright"
        assert "no document" in get(url, "api/page", id="c.pdf#1").json()["no_picture"]
        assert get(url, "thumbnail", id="c.pdf#1").headers["Content-Type"] == "image/svg+xml"
        assert get(url, "image", id="c.pdf#1").status_code == 404


def test_a_report_draws_pages_of_documents(with_documents):
    assert main(["report", str(with_documents.output_path), "--sample", "20"]) == 0
    text = (with_documents.output_path / "report.html").read_text()
    assert text.count("<figure>") == 11
    assert text.count("data:image/jpeg") == 10


def test_without_input_pages_are_shown_without_images_and_say_so(made, tmp_path):
    made.input_path.rename(tmp_path / "moved")
    with viewing(made.output_path) as url:
        assert "--input" in get(url, "api/run").json()["no_pictures"]
        assert "--input" in get(url, "api/page", id="invoices/page000.png").json()["no_picture"]
    with viewing(made.output_path, tmp_path / "moved") as url:
        assert get(url, "api/run").json()["no_pictures"] == ""
        assert get(url, "image", id="invoices/page000.png").status_code == 200


def test_the_command_prints_its_address_and_ends_on_a_signal(made):
    environment = {**os.environ, "PYTHONPATH": f"{CLIENT_ROOT}:{HANDLERS}"}
    command = [sys.executable, "-m", "quintet_client.cli", "view", str(made.output_path)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as view:
        assert get(view.stdout.readline().strip()).status_code == 200
        view.send_signal(signal.SIGTERM)
        assert view.wait(20) == 0


def test_wrong_usage_ends_with_2(tmp_path, made, capsys):
    assert main(["view", str(tmp_path)]) == 2
    assert main(["view", str(made.output_path), "--port", "99999"]) == 2
    assert main(["report", str(made.output_path), "--sample", "-1"]) == 2
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().out == ""


def test_a_report_is_one_file_the_same_each_time_and_escapes_what_it_shows(made, capsys):
    made.input_path.joinpath("unused.png").write_bytes(b"")
    draw(["unused"]).save(made.input_path / "unused.png")
    assert main(["report", str(made.output_path), "--sample", "5"]) == 0
    target = made.output_path / "report.html"
    first = target.read_bytes()
    assert str(target) in capsys.readouterr().out
    assert main(["report", str(made.output_path), "--sample", "5"]) == 0
    assert target.read_bytes() == first
    text = first.decode()
    assert text.count("<figure>") == text.count("data:image/jpeg") == 5
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


def test_a_report_without_input_says_so_and_one_that_cannot_be_written_ends_with_6(made, tmp_path):
    made.input_path.rename(tmp_path / "moved")
    assert main(["report", str(made.output_path), "--html", str(tmp_path / "r.html")]) == 0
    assert "Without its image" in (tmp_path / "r.html").read_text()
    (tmp_path / "file").write_text("")
    assert main(["report", str(made.output_path), "--html", str(tmp_path / "file" / "r.html")]) == 6
