"""A folder as people have them: every file of it has an outcome, or is counted under a reason; the real service."""

from __future__ import annotations

import json
import logging
import os

import pytest

from tests.client.inputs.bad_pages import TEXT, animated_gif, drawn, encoded
from tests.client.reading import answers, assert_adds_up, read, report, rows
from tests.heif import heif_of
from tests.unit.documents.made_documents import encrypted_pdf, pdf_of, tiff_of
from tests.unit.input.made_shards import tar_of

READ = {
    "gif.gif": animated_gif,
    "phone/IMG_0001.HEIC": lambda: heif_of(drawn()),
    "phone/really-a-heif.jpg": lambda: heif_of(drawn()),
    "scans/map.jp2": lambda: encoded(drawn(), "JPEG2000"),
    "scans/photo.avif": lambda: encoded(drawn(), "AVIF"),
    "scans/deep/er/page.png": lambda: encoded(drawn(), "PNG"),
    "fax/0001": lambda: encoded(drawn(), "JPEG"),
}
DOCUMENTS = {
    "letter": (lambda: pdf_of([drawn(), drawn()]), ["letter%.pdf#1", "letter%.pdf#2"]),
    "fax/0002": (lambda: tiff_of([drawn(), drawn()]), ["fax/0002%.tif#1", "fax/0002%.tif#2"]),
    "locked.pdf": (lambda: encrypted_pdf([drawn()], "secret-word"), ["locked.pdf#1"]),
    "archive.tar": (lambda: tar_of([("._a.png", b"fork"), ("a.png", encoded(drawn(), "PNG"))]), ["archive/a"]),
}
FAILED = {
    "other-lock.pdf": (lambda: encrypted_pdf([drawn()], "another-word"), "DOCUMENT_ENCRYPTED"),
    "broken.pdf": (lambda: pdf_of([drawn()])[:200], "DOCUMENT_DAMAGED"),
    "empty.jpg": (lambda: b"", "EMPTY_BODY"),
    "really-a-pdf.jpg": (lambda: pdf_of([drawn()]), "UNSUPPORTED_FORMAT"),
    "cut.heic": (lambda: heif_of(drawn())[:1000], "IMAGE_DECODE_FAILED"),
}
LEFT_OUT = {
    ".DS_Store": "hidden",
    ".thumbnails/a.png": "hidden",
    "scans/.page.png": "hidden",
    "scans/._map.jp2": "apple_double",
    "__MACOSX/._letter": "apple_double",
    "Thumbs.db": "other_format",
    "notes.docx": "other_format",
    "LICENSE": "other_format",
    "fax/empty": "other_format",
    "drafts/a.png": "excluded",
}
COUNTS = {
    "results": 5, "hidden": 3, "apple_double": 3, "other_format": 4, "excluded": 1, "folder_read_anyway": 1,
    "not_regular": 1, "unreadable": 1,
}  # fmt: skip


@pytest.fixture
def messy(tmp_path):
    """The folder, and the file of passwords beside it."""
    root = tmp_path / "in"
    made = {name: make() for name, make in READ.items()}
    made |= {name: make() for name, (make, _) in (DOCUMENTS | FAILED).items()}
    made |= dict.fromkeys(LEFT_OUT, b"words, or a page that nobody should read")
    made["fax/empty"] = b""
    for name, content in made.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    os.mkfifo(root / "pipe.png")
    os.mkfifo(root / "queue")
    (root / "loop").symlink_to("loop")
    (root / "loop.png").symlink_to("loop.png")
    (root / "scans" / "back").symlink_to(root)
    passwords = tmp_path / "passwords"
    passwords.write_text("wrong-word\nsecret-word\n")
    passwords.chmod(0o600)
    return root, passwords


def test_every_file_of_a_messy_folder_has_an_outcome_or_a_reason(messy, service, caplog, capsys):
    root, passwords = messy
    output = root / "results"
    options = ("--token-file", service.token_file, "--exclude", "drafts", "--password-file", passwords, "--json")
    with caplog.at_level(logging.DEBUG):
        assert read(root, output, service.inference_url, *options) == 3
    counts = assert_adds_up(output)
    good = {*READ, *(page_id for _, ids in DOCUMENTS.values() for page_id in ids)}
    codes = {name: code for name, (_, code) in FAILED.items()}
    codes |= dict.fromkeys(("pipe.png", "loop.png"), "UNREADABLE_FILE")
    assert {name for name, row in rows(output).items() if row["state"] == "ok"} == good
    assert {name: row["code"] for name, row in rows(output).items() if row["state"] == "failed"} == codes
    texts = {name: json.loads(body)["text"] for name, body in answers(output).items()}
    assert texts == dict.fromkeys(good, TEXT)
    assert counts["inputs"] == len(good) + len(codes)
    assert counts["left_out"] == {reason: count for reason, count in COUNTS.items() if reason != "results"}
    (line,) = (record.getMessage() for record in caplog.records if "left out of INPUT" in record.getMessage())
    assert all(f"{count} {reason} (" in line for reason, count in counts["left_out"].items())
    kept = [caplog.text, capsys.readouterr().out, *(path.read_bytes().decode("latin-1") for path in _files(output))]
    assert not any("secret-word" in text for text in kept)

    assert read(root, output, service.inference_url, *options) == 3
    again = report(output)
    assert (again["failed"], again["vanished"], again["left_out"]) == (1, 0, COUNTS)  # the pipe: it might have a writer
    assert again["skipped"] == counts["inputs"] - 1


def _files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]
