"""Documents in requests: which pages are asked for, and that every page is answered under its own number."""

from __future__ import annotations

import json
import re
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quintet.errors import Code, Failure
from quintet.frame import frames, requests
from quintet.frame.documents import DocumentOptions, open_document
from quintet.frame.requests import admit, batches_of, in_order, parse_request, respond
from quintet.frame.settings import FrameSettings
from quintet.frame.shared_memory.buffers import SharedBuffers

NO_BUFFERS = SharedBuffers(FrameSettings(), None)


class Reader:
    """A chain whose documents are their pages joined by newlines; `damaged` is a page that cannot be had."""

    def open_document(self, body, first, last, dpi):
        if b"\n" not in body:
            return None
        pages = dict(enumerate(body.split(b"\n"), 1))
        if len(pages) > 50:
            return Failure(Code.DOCUMENT_TOO_LONG, f"the document has {len(pages)} pages")
        damaged = Failure(Code.PAGE_NOT_RENDERED, "damaged")
        chosen = {number: page for number, page in pages.items() if first <= number <= last}
        return len(pages), {n: damaged if page == b"damaged" else (page, dpi) for n, page in chosen.items()}


def head(_choice):
    return {"schema": "test/1", "model": "m"}


def parsed(body, request_id="r", **headers):
    asked = DocumentOptions.asked_for({name.replace("_", "-"): value for name, value in headers.items()})
    assert isinstance(asked, DocumentOptions)
    opened = partial(open_document, Reader(), asked)
    return parse_request(body, None, request_id, NO_BUFFERS, {}, open_document=opened)


def answered(parsed_requests, pages_per_batch=64):
    """The answers of a chain that says which bodies it was given."""
    batches = batches_of(parsed_requests, pages_per_batch)
    outcomes = in_order(batches, [[{"body": repr(body)} for body in batch.bodies] for batch in batches])
    return [(reply.status, json.loads(reply.body)) for reply in respond(parsed_requests, outcomes, head)]


PAGE = st.sampled_from([b"a", b"b", b"damaged"])


@given(st.lists(st.lists(PAGE, min_size=1, max_size=5), max_size=5), st.integers(1, 4))
def test_every_page_is_in_its_place_whatever_its_neighbours_are_and_however_batches_are_cut(documents, pages_per_batch):
    asked = [parsed(b"\n".join(pages), f"r{place}") for place, pages in enumerate(documents)]
    for place, (pages, (status, answer)) in enumerate(zip(documents, answered(asked, pages_per_batch), strict=True)):
        assert status == 200
        if len(pages) == 1:
            assert answer == {**head(None), "request_id": f"r{place}", "body": repr(pages[0])}
            continue
        assert (answer["schema"], answer["page_count"]) == ("quintet.document/1", len(pages))
        assert [page["page"] for page in answer["pages"]] == list(range(1, len(pages) + 1))
        for page, body in zip(answer["pages"], pages, strict=True):
            request_id = f"r{place}.{page['page']}"
            if body == b"damaged":
                assert page["error"] == {"code": "PAGE_NOT_RENDERED", "message": "damaged", "request_id": request_id}
            else:
                assert page["result"] == {**head(None), "request_id": request_id, "body": repr((body, 200))}


@pytest.mark.parametrize(
    ("headers", "numbers", "dpi"),
    [
        ({}, [1, 2, 3], 200),
        ({"x_quintet_pages": "2"}, [2], 200),
        ({"x_quintet_pages": "2-3", "x_quintet_dpi": " 72 "}, [2, 3], 72),
        ({"x_quintet_pages": " 2- "}, [2, 3], 200),
        ({"x_quintet_pages": "1-999999"}, [1, 2, 3], 200),
    ],
)
def test_a_request_says_which_pages_are_read_and_how_large(headers, numbers, dpi):
    ((_, answer),) = answered([parsed(b"a\nb\nc", **headers)])
    assert [page["page"] for page in answer["pages"]] == numbers
    assert {page["result"]["body"][-len(str(dpi)) - 1 : -1] for page in answer["pages"]} == {str(dpi)}
    assert answer["page_count"] == 3


def test_a_body_that_is_called_an_image_is_one_page_whatever_it_is():
    ((_, answer),) = answered([parsed(b"a\nb", x_quintet_pages="image")])
    assert (answer["schema"], answer["body"]) == ("test/1", repr(b"a\nb"))


def test_what_is_no_document_is_its_own_first_page():
    ((status, answer),) = answered([parsed(b"a", x_quintet_pages="1-7")])
    assert (status, answer["body"]) == (200, repr(b"a"))
    ((status, answer),) = answered([parsed(b"a", x_quintet_pages="2")])
    assert (status, answer["error"]["message"]) == (422, "X-Quintet-Pages begins with page 2; there is 1")


def test_pages_behind_the_last_are_an_error_that_says_how_many_there_are():
    ((status, answer),) = answered([parsed(b"a\nb\nc", x_quintet_pages="4-")])
    assert (status, answer["error"]["code"]) == (422, "INVALID_PARAMETER")
    assert answer["error"]["message"] == "X-Quintet-Pages begins with page 4; there are 3"


def test_a_document_that_is_too_long_says_how_to_ask_for_a_part():
    ((status, answer),) = answered([parsed(b"\n" * 119)])
    assert (status, answer["error"]["code"]) == (413, "DOCUMENT_TOO_LONG")
    assert answer["error"]["message"] == "the document has 120 pages: ask for some, such as 1-10 (X-Quintet-Pages)"


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"x-quintet-pages": "0"}, "X-Quintet-Pages is '0'; give a page, such as 3, a range, 1-10 or 5-, or image"),
        ({"x-quintet-pages": "all"}, "X-Quintet-Pages is 'all'"),
        ({"x-quintet-pages": "-3"}, "X-Quintet-Pages is '-3'"),
        ({"x-quintet-pages": "1-\N{ARABIC-INDIC DIGIT TWO}"}, "X-Quintet-Pages is"),
        ({"x-quintet-pages": "3-1"}, "X-Quintet-Pages is '3-1'"),
        ({"x-quintet-dpi": "35"}, "X-Quintet-Dpi is '35'; allowed are 36 to 1200"),
        ({"x-quintet-dpi": "1e3"}, "X-Quintet-Dpi is '1e3'"),
        ({"x-quintet-pages": "1", "content-type": frames.MEDIA_TYPE}, "does not go with a frame"),
    ],
)
def test_headers_that_ask_for_what_there_is_not_are_refused(headers, words):
    refused = DocumentOptions.asked_for(headers)
    assert isinstance(refused, Failure)
    assert refused.code is Code.INVALID_PARAMETER
    assert re.search(re.escape(words), refused.message)


def test_a_chain_that_takes_no_documents_apart_gets_them_as_they_are():
    assert open_document(object(), DocumentOptions(), b"a\nb") is None


def test_pages_of_documents_count_where_requests_are_admitted():
    admitted = admit([parsed(b"a\nb\nc"), parsed(b"a\nb"), parsed(b"a")], pages_at_once=4)
    assert [len(request.bodies) for request in admitted] == [3, 0, 1]
    assert [status for status, _ in answered(admitted)] == [200, 503, 200]
    assert [request.body_bytes for request in admitted] == [5, 0, 1]


def test_pages_that_would_make_the_answer_too_long_for_the_server_have_an_error_instead(monkeypatch):
    monkeypatch.setattr(requests, "MOST_DOCUMENT_BYTES", 250)
    ((status, answer),) = answered([parsed(b"a\nb\nc\nd")])
    codes = [page.get("error", {}).get("code") for page in answer["pages"]]
    assert (status, codes) == (200, [None, None, "DOCUMENT_TOO_LONG", "DOCUMENT_TOO_LONG"])
