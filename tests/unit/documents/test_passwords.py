"""Passwords of PDFs: where they come from, which is tried, and where they never are."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pikepdf
import pytest
from quintet_client.errors import UsageError
from quintet_client.input.documents.passwords import MOST_PASSWORDS, read_passwords
from quintet_client.input.documents.renderer import Renderer

from tests.unit.documents.made_documents import drawn, encrypted_pdf, pdf_of


@pytest.fixture
def put(tmp_path):
    def write(name, content, mode=0o600):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(mode)
        return tmp_path / name

    return write


def test_a_file_holds_one_password_a_line_and_blanks_are_theirs(put):
    file = put("passwords", "\ufeffone\n\n two words \ngrün\n".encode())
    assert read_passwords(file) == ("one", " two words ", "grün")
    assert read_passwords(put("windows", b"one\r\ntwo\r\n")) == ("one", "two")
    assert read_passwords(None) == ()


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"secret", 0o640, "others may read the passwords in"),
        (b"\xffsecret", 0o600, "is no text in UTF-8"),
        (b"\n\n", 0o600, "holds 0 passwords"),
        (b"secret\n" * (MOST_PASSWORDS + 1), 0o600, "holds 1001 passwords"),
    ],
)
def test_a_file_that_is_refused_is_named_and_not_repeated(put, content, mode, words):
    with pytest.raises(UsageError, match=words) as error:
        read_passwords(put("passwords", content, mode))
    assert "secret" not in str(error.value)
    with pytest.raises(UsageError, match="cannot be read"):
        read_passwords(Path("nowhere"))


@pytest.mark.parametrize("revision", [2, 3, 4, 6])
@pytest.mark.parametrize("password", ["secret", "grün"])
def test_the_first_password_that_fits_opens_a_pdf_of_any_kind(put, revision, password):
    kind = pikepdf.Encryption(owner="owner", user=password, R=revision, aes=revision > 3, metadata=revision > 3)
    path = str(put("locked.pdf", pdf_of([drawn("a"), drawn("b")], encryption=kind)))
    for passwords in (("wrong", password), ("owner",)):
        with closing(Renderer(passwords=passwords)) as renderer:
            assert renderer.count(path).pages == (1, 2)
            assert renderer.render(path, 2, 72).body.startswith(b"\xff\xd8")


def test_without_a_password_that_fits_the_failure_names_the_option_and_no_password(put):
    path = str(put("locked.pdf", encrypted_pdf([drawn("a")], "secret")))
    for passwords, words in (((), "give it with --password-file"), (("wrong", "false"), "none of those in")):
        with closing(Renderer(passwords=passwords)) as renderer:
            answer = renderer.count(path)
        assert (answer.code, words in answer.message) == ("DOCUMENT_ENCRYPTED", True), answer.message
        assert "wrong" not in answer.message


def test_a_damaged_pdf_is_damaged_whatever_the_passwords_are(put):
    path = str(put("damaged.pdf", b"no PDF at all"))
    with closing(Renderer(passwords=("one", "two"))) as renderer:
        assert renderer.count(path).code == "DOCUMENT_DAMAGED"


def test_a_password_is_in_no_command_line_and_no_environment(put):
    path = str(put("locked.pdf", encrypted_pdf([drawn("a")], "secret-word")))
    with closing(Renderer(passwords=("secret-word",))) as renderer:
        assert renderer.count(path).pages == (1,)
        for pid in (renderer.pid, os.getpid()):
            told = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
            assert b"secret-word" not in told
