"""Forms to bodies: what requests writes is read back, what is no form is refused, any number of parts costs little."""

import time

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from quintet.errors import Code, Failure
from quintet.frame import forms

KIND = f"{forms.MEDIA_TYPE}; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
PAGE_HEAD = b'--b\r\ncontent-disposition: form-data; name=file; filename="name=a"\r\nContent-Type: image/png\r\n\r\n'
PAGE = PAGE_HEAD + b"\r\npage\r\r\n"


def code(form: bytes, kind: str = KIND) -> Code:
    found = forms.body_of(form, kind)
    assert isinstance(found, Failure), found
    return found.code


@given(
    st.sampled_from(forms.FIELDS),
    st.binary(max_size=40) | st.text("-\r\nb", max_size=20).map(str.encode),
    st.lists(st.tuples(st.sampled_from("xyz"), st.binary(max_size=20)), max_size=3),
)
def test_what_requests_sends_as_a_form_is_read_back(field, page, others) -> None:
    files = [*others, (field, ("a page; name=x.png", page)), *others]
    form, kind = requests.models.RequestEncodingMixin._encode_files(files, {})
    kind = kind.replace("multipart/form-data", forms.MEDIA_TYPE)
    assert forms.is_form(kind)
    found = forms.body_of(bytearray(form), kind)
    assert found == page


@pytest.mark.parametrize("boundary", ["b", '"b"', "b; charset=utf-8", '"b" ; x=y'])
def test_a_boundary_may_be_quoted_and_a_preamble_stand_before_it(boundary) -> None:
    form = b"a preamble\r\n" + PART + PAGE + b"--b--\r\n"
    assert forms.body_of(form, f"{forms.MEDIA_TYPE}; boundary={boundary}") == b"\r\npage\r"


@pytest.mark.parametrize("form", [b"", b"--b--", PART + b"--b--\r\n", PAGE, b"--b\r\nname=file\r\n--b--", PART * 3])
def test_a_form_without_a_whole_field_for_a_body_has_none(form) -> None:
    assert code(form) is Code.EMPTY_BODY


@pytest.mark.parametrize("parameter", ["", "; boundary=", '; boundary=""'])
def test_a_form_that_names_no_boundary_is_refused(parameter) -> None:
    assert code(PAGE, forms.MEDIA_TYPE + parameter) is Code.INVALID_PARAMETER


def test_a_form_has_so_many_parts_and_no_more() -> None:
    most = PART * (forms.MOST_PARTS - 1) + PAGE
    assert forms.body_of(most + b"--b--", KIND) == b"\r\npage\r"
    assert code(PART + most + b"--b--") is Code.INVALID_PARAMETER


HEADS = b"--b\r\n" + b"content-disposition: form-data;\r\n" * 1_700_000 + b"\r\n\r\n--b--"
DASHES = b"\r\n--" * 15_000_000


@pytest.mark.parametrize("form", [PART * 1_200_000, HEADS, DASHES, bytes(60_000_000)])
def test_whatever_a_form_of_60_mb_holds_it_takes_no_second(form) -> None:
    begin = time.process_time()
    assert code(form) in {Code.INVALID_PARAMETER, Code.EMPTY_BODY}
    assert time.process_time() - begin < 1
