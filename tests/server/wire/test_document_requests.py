"""Documents as bodies, in a real TorchServe: every page in its place, whatever is wrong with its neighbours."""

from __future__ import annotations

import asyncio
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image
from quintet.operations import service as torchserve
from quintet_client import AsyncQuintetClient, NotAuthorisedError, PageError, PageResult, QuintetClient

from tests.conftest import draw_page, encode
from tests.unit.documents.made_documents import drawn, encrypted_pdf, growing_pdf, pdf_of, tiff_of

SHEETS = [draw_page([f"Sheet {number}", "Total 12.50"], (500, 260)) for number in (1, 2, 3)]
TEXTS = [f"Sheet {number}\nTotal 12.50" for number in (1, 2, 3)]
PDF, TIFF = pdf_of(SHEETS), tiff_of(SHEETS)
PAGE = encode(SHEETS[0], "JPEG")
LONG = pdf_of([drawn(str(number), (60, 80)) for number in range(51)])


def send(service: torchserve.Service, body: bytes, **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{service.inference_url}/predictions/quintet"
    authorised = {"Authorization": f"Bearer {service.token('inference')}", "Content-Type": "application/octet-stream"}
    return requests.post(url, data=body, headers={**authorised, **named}, timeout=300)


def texts(answer: requests.Response) -> dict[int, str]:
    """What was read on each page, or its error's code."""
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["schema"] == "quintet.document/1"
    return {
        page["page"]: page["result"]["text"] if "result" in page else page["error"]["code"]
        for page in document["pages"]
    }


@pytest.mark.parametrize("body", [PDF, TIFF], ids=["pdf", "tiff"])
def test_a_document_is_answered_page_by_page(service: torchserve.Service, body: bytes) -> None:
    assert texts(send(service, body)) == dict(enumerate(TEXTS, 1))
    answer = send(service, body, X_Quintet_Pages="2-", X_Request_Id="letter-7").json()
    assert ([page["page"] for page in answer["pages"]], answer["page_count"]) == ([2, 3], 3)
    assert answer["request_id"] == "letter-7"
    assert answer["pages"][0]["result"]["request_id"] == "letter-7.2"


def test_a_page_of_a_tiff_is_read_as_if_it_had_come_alone(service: torchserve.Service) -> None:
    alone = service.read(encode(SHEETS[1])).json()
    ((page,),) = (send(service, TIFF, X_Quintet_Pages="2").json()["pages"],)
    assert {**page["result"], "request_id": ""} == {**alone, "request_id": ""}


def test_the_first_image_of_a_tiff_is_read_where_one_is_asked_for(service: torchserve.Service) -> None:
    assert send(service, TIFF, X_Quintet_Pages="image").json()["text"] == TEXTS[0]
    assert send(service, PDF, X_Quintet_Pages="image").json()["error"]["code"] == "UNSUPPORTED_FORMAT"


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"%PDF-1.7 and no more", {}, 400, "DOCUMENT_DAMAGED"),
        (encrypted_pdf(SHEETS, "a word"), {}, 422, "DOCUMENT_ENCRYPTED"),
        (LONG, {}, 413, "DOCUMENT_TOO_LONG"),
        (LONG, {"X_Quintet_Pages": "52-"}, 422, "INVALID_PARAMETER"),
        (PDF, {"X_Quintet_Dpi": "9000"}, 422, "INVALID_PARAMETER"),
    ],
    ids=["broken", "encrypted", "too long", "behind the end", "dpi"],
)
def test_a_document_that_cannot_be_read_has_one_error(service: torchserve.Service, body, headers, status, code) -> None:
    answer = send(service, body, **headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_page_that_ends_its_codec_is_an_error_in_its_place_and_neighbours_are_read(
    service: torchserve.Service,
) -> None:
    cut = TIFF[:-1000]
    bodies = [growing_pdf(), PDF, cut, PAGE, b"%PDF-", encrypted_pdf(SHEETS, "a word")]
    with ThreadPoolExecutor(len(bodies)) as threads:
        growing, whole, broken, page, *refused = threads.map(lambda body: send(service, body), bodies)
    assert texts(growing) == {1: "PAGE_NOT_RENDERED", 2: ""}
    assert texts(whole) == dict(enumerate(TEXTS, 1))
    assert list(texts(broken).values()) == [*TEXTS[:2], "IMAGE_DECODE_FAILED"]
    assert page.json()["text"] == TEXTS[0]
    assert [answer.json()["error"]["code"] for answer in refused] == ["DOCUMENT_DAMAGED", "DOCUMENT_ENCRYPTED"]


def test_curl_needs_no_more_than_a_token(service: torchserve.Service, tmp_path: Path) -> None:
    (tmp_path / "letter.pdf").write_bytes(PDF)
    (tmp_path / "page.jpg").write_bytes(PAGE)
    token = f"Authorization: Bearer {service.token('inference')}"
    url = f"{service.inference_url}/predictions/quintet"
    for what in (["--data-binary", "@letter.pdf"], ["--form", "file=@letter.pdf"]):
        said = subprocess.run(["curl", "-s", "-H", token, *what, url], cwd=tmp_path, capture_output=True, check=True)
        assert b'"page_count":3' in said.stdout, said.stdout
    for what in (["--data-binary", "@page.jpg"], ["--form", "file=@page.jpg"]):
        said = subprocess.run(["curl", "-s", "-H", token, *what, url], cwd=tmp_path, capture_output=True, check=True)
        assert b'"schema":"quintet.page/1"' in said.stdout, said.stdout


def test_the_client_reads_documents_pictures_and_arrays(
    service: torchserve.Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "letter.pdf").write_bytes(PDF)
    monkeypatch.setenv("QUINTET_SERVER", service.inference_url)
    monkeypatch.setenv("QUINTET_TOKEN", service.token("inference"))
    with QuintetClient() as client:
        assert client.ready()
        document = client.read_document(tmp_path / "letter.pdf", pages="2-")
        assert (document.page_count, [(n, page.text) for n, page in document.pages]) == (
            3,
            [(2, TEXTS[1]), (3, TEXTS[2])],
        )
        expected = client.read(encode(SHEETS[0]))
        assert isinstance(expected, PageResult)
        for image in (SHEETS[0], np.asarray(SHEETS[0]), SHEETS[0].convert("RGBA")):
            assert client.read(image).lines == expected.lines
        ends = dict(client.read_many([("picture", SHEETS[1]), ("array", np.zeros((3, 3))), ("tiff", TIFF)]))
        assert (ends["picture"].text, ends["array"].code, ends["tiff"].text) == (
            TEXTS[1],
            "UNSUPPORTED_FORMAT",
            TEXTS[0],
        )
        assert [page.text for _, page in client.read_document(encode(Image.new("L", (50, 50), 255))).pages] == [""]
        with pytest.raises(PageError, match="DOCUMENT_TOO_LONG: the document has 51 pages; at most 50 are read"):
            client.read_document(LONG)
    with QuintetClient(token="another") as stranger, pytest.raises(NotAuthorisedError, match="refused the token"):
        stranger.ready()


async def read_it_all(service: torchserve.Service) -> list[str]:
    async with AsyncQuintetClient(service.inference_url, token=service.token("inference")) as client:
        assert await client.ready()
        return [page.text for _, page in (await client.read_document(PDF, dpi=100)).pages]


def test_the_asyncio_client_reads_documents(service: torchserve.Service) -> None:
    assert asyncio.run(read_it_all(service)) == TEXTS
