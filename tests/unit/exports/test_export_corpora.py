"""The builders of corpora get every page and document once, in the form that docs/outputs.md and their tools state."""

from __future__ import annotations

import gzip
import io
import json
import re
import tracemalloc
from pathlib import Path

import pyarrow.json
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from quintet_client.cancellation import Cancellation
from quintet_client.exports.documents import Document, DocumentPage
from quintet_client.exports.exporter import ExportSettings, export_results
from quintet_client.exports.formats import dolma, jsonl
from quintet_client.output.folder import Output
from quintet_client.output.ledger import Ledger, Row

from tests.unit.exports.made_results import answer, document, line, page

OUTPUTS = (Path(__file__).parents[3] / "docs" / "outputs.md").read_text("utf-8")
READ_AT = "2026-02-03T04:05:06.789+00:00"
MTIME_NS = 1_700_000_000_123_456_789
TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
TIMESTAMP = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}


def closed(optional=(), **properties):
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


# What Dolma's toolkit decodes (InputSpecWithMetadataAndAttributes: attributes are spans with a number, and nothing
# else), its optional fields as we promise them.
DOLMA = Draft202012Validator(
    closed(
        id={"type": "string", "minLength": 1},
        text=TEXT,
        source={"const": "quintet"},
        added=TIMESTAMP,
        created=TIMESTAMP,
        metadata=closed(
            **{"Source-File": TEXT, "pdf-total-pages": COUNT, "failed_pages": COUNT},
            page_codes={"type": "array", "items": TEXT, "minItems": 1},
            models={"type": "array", "items": TEXT, "minItems": 1},
            score={"type": ["number", "null"], "minimum": 0, "maximum": 1},
        ),
        attributes={
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "array",
                    "prefixItems": [COUNT, COUNT, {"type": "number"}],
                    "minItems": 3,
                    "maxItems": 3,
                },
            },
        },
        optional=["created"],
    )
)


def as_dolma(*documents):
    """The records that a reader finds, each valid."""
    file = io.BytesIO()
    dolma.write(iter(documents), file)
    records = [json.loads(row) for row in gzip.decompress(file.getvalue()).splitlines()]
    for record in records:
        DOLMA.validate(record)
    return records


def finished(*pages):
    """A document of pages, None for one that failed, with what the ledger knows of its file."""
    made = document(*pages)
    return Document(made.name, made.pages, original_mtime_ns=MTIME_NS, read_at=READ_AT)


texts = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("é漢😀e\u0301\u2028\n "), max_size=9)
)
made_pages = st.lists(st.none() | texts.map(lambda lines: page([line(text) for text in lines])), min_size=1, max_size=6)


@given(made_pages)
def test_spans_cut_the_text_into_the_pages_whether_read_failed_or_blank(pages):
    (record,) = as_dolma(finished(*pages, page([line("the last")])))
    pages = [*pages, page([line("the last")])]
    spans = record["attributes"]["pdf_page_numbers"]
    assert [number for *_, number in spans] == list(range(1, len(pages) + 1))
    assert [record["text"][begin:end] for begin, end, _ in spans] == [made.text if made else "" for made in pages]
    edges = [edge for begin, end, _ in spans for edge in (begin, end)]
    assert edges == sorted(edges)
    assert "\n".join(made.text for made in pages if made and made.text) == record["text"]
    metadata = record["metadata"]
    assert metadata["page_codes"] == ["" if made else "IMAGE_DECODE_FAILED" for made in pages]
    assert (metadata["pdf-total-pages"], metadata["failed_pages"]) == (len(pages), pages.count(None))


def test_a_record_says_where_its_text_is_from_and_when_it_was_read():
    (record,) = as_dolma(finished(page([line("twelve", score=0.5), line("no", score=0.9)])))
    assert (record["id"], record["metadata"]["Source-File"], record["metadata"]["models"]) == (
        "a.png",
        "a.png",
        ["made-up"],
    )
    assert (record["added"], record["created"]) == ("2026-02-03T04:05:06.789Z", "2023-11-14T22:13:20.123Z")
    assert record["metadata"]["score"] == 0.6
    (undated,) = as_dolma(Document("b.png", (DocumentPage("b.png", 1, "ok", page()),), read_at=READ_AT))
    assert ("created" in undated, undated["text"], undated["metadata"]["score"]) == (False, "", None)


PHOTO = json.dumps({"schema": "quintet.photo/1", "model": "m", "faces": [], "nudity": 0.1}).encode()
ODD = b'{"schema": "zoo.animal/2",\n "model": "m", "legs": [4, 1e-7, 12345678901234567890], "name": "\xe6\xbc\xa2"}'
RESULTS = {
    "blank.png": answer(),
    "doc.pdf#10": answer([line("ten")]),
    "doc.pdf#9": answer([line("nine  é漢😀")]),
    "odd.png": ODD,
    "photo.png": PHOTO,
    "words.png": answer([line('say "so"\t')], extra={"of": "a newer server"}),
    "late.pdf#1": answer([line("early")]),
}
ENDS = [
    Row("doc.pdf#2", "failed", code="TIMEOUT", message="it took too long"),
    Row("bad.png", "failed", code="EMPTY_BODY", message="no bytes"),
    Row("late.pdf#2", "sent"),
]


@pytest.fixture
def output(tmp_path):
    """An OUTPUT with results of three schemas, failed pages and one that is still to do."""
    output = Output(tmp_path)
    for page_id, body in RESULTS.items():
        output.write_page(page_id, body)
    record(
        output,
        *ENDS,
        *(Row(page_id, "ok", mtime_ns=MTIME_NS, output_bytes=len(body)) for page_id, body in RESULTS.items()),
    )
    return output


def record(output, *rows):
    with Ledger.open(output.ledger) as ledger:
        ledger.record(rows)


def export(output, *formats):
    tally = export_results(ExportSettings(output.folder, formats), Cancellation())
    return tally, {file: file.read_bytes() for file in output.exports.rglob("*") if file.is_file()}


def lines_of(made):
    return [json.loads(row) for row in made.removesuffix(b"\n").split(b"\n")]


def test_jsonl_holds_every_page_in_order_with_its_result_as_it_is(output):
    tally, made = export(output, "jsonl")
    assert tally.complete
    rows = lines_of(made[output.exports / "pages.jsonl"])
    ends = {row.page_id: row for row in ENDS}
    assert [row["page_id"] for row in rows] == [
        "bad.png", "blank.png", "doc.pdf#2", "doc.pdf#9", "doc.pdf#10",
        "late.pdf#1", "late.pdf#2", "odd.png", "photo.png", "words.png",
    ]  # fmt: skip
    for row in rows:
        failed = ends.get(row["page_id"], Row("", "ok"))
        assert (row["state"], row["code"], row["message"]) == (
            failed.state.replace("sent", "pending"), failed.code, failed.message
        )  # fmt: skip
        assert row["result"] == (json.loads(RESULTS[row["page_id"]]) if row["page_id"] in RESULTS else None)
        assert f"{row['document']}#{row['page']}" in {row["page_id"], f"{row['page_id']}#1"}


def test_dolma_holds_finished_documents_of_pages_and_names_those_it_cannot_show(output):
    tally, made = export(output, "dolma")
    assert tally.failed == {("odd.png", "dolma"), ("photo.png", "dolma")}
    records = lines_of(gzip.decompress(made[output.exports / "dolma/documents/0000.jsonl.gz"]))
    for found in records:
        DOLMA.validate(found)
    assert [found["id"] for found in records] == ["blank.png", "doc.pdf", "words.png"]
    assert records[1]["attributes"]["pdf_page_numbers"] == [[0, 0, 2], [0, 8, 9], [9, 12, 10]]
    assert (records[1]["text"], records[1]["metadata"]["page_codes"]) == ("nine é漢😀\nten", ["TIMEOUT", "", ""])
    assert tally.document()["pending"] == 1


def test_the_same_results_give_the_same_bytes(output):
    _, first = export(output, "jsonl", "dolma")
    _, second = export(output, "jsonl", "dolma")
    assert (len(first), first) == (2, second)
    assert first[output.exports / "dolma/documents/0000.jsonl.gz"][3:8] == bytes(5)  # neither a name nor a time


def test_a_result_that_json_cannot_hold_is_said_and_leaves_the_earlier_file(output):
    _, first = export(output, "jsonl")
    output.write_page("huge.png", body := b'{"schema": "zoo.animal/2", "model": "m", "legs": 1e999}')
    record(output, Row("huge.png", "ok", output_bytes=len(body)))
    tally, second = export(output, "jsonl")
    assert (tally.failed, first) == ({("the run", "jsonl")}, second)


def test_a_reader_that_takes_its_types_from_the_first_rows_reads_the_rest():
    """Arrow's, which Hugging Face's `datasets` uses: the first block has no failures, and no half characters."""
    early, halved = answer([line("x" * 99)]), answer([line("\ud800")])
    pages = [DocumentPage(f"{at}.png", 1, "ok", page(), answer=early) for at in range(50)]
    pages += [
        DocumentPage("z.png", 1, "failed", None, "TIMEOUT", "late"),
        DocumentPage("zz.png", 1, "ok", answer=halved),
    ]
    documents = [finished(page([line("y" * 99)])) for _ in range(50)] + [finished(None, page(), page([line("z")]))]
    for form, items in ((jsonl, pages), (dolma, documents)):
        file = io.BytesIO()
        form.write(items, file)
        body = gzip.decompress(file.getvalue()) if form is dolma else file.getvalue()
        options = pyarrow.json.ReadOptions(block_size=2000)
        rows = pyarrow.json.open_json(io.BytesIO(body), options).read_all().to_pylist()
        assert len(rows) == len(items)
        assert rows[50].get("code", "TIMEOUT") == "TIMEOUT"


def test_the_keys_are_documented_in_their_order(output):
    _, made = export(output, "jsonl", "dolma")
    rows = lines_of(made[output.exports / "pages.jsonl"])
    (record, *_) = lines_of(gzip.decompress(made[output.exports / "dolma/documents/0000.jsonl.gz"]))
    nested = {"metadata", "attributes"}
    keys = [f"{key}.{inner}" for key, value in record.items() for inner in (value if key in nested else [""])]
    for form, found in (("jsonl", list(rows[0])), ("dolma", [key.removesuffix(".") for key in keys])):
        section = OUTPUTS.split(f"\n## {form}\n", 1)[1].split("\n## ", 1)[0]
        assert re.findall(r"^\| `([\w.-]+)` \|", section, re.MULTILINE) == found


def test_memory_does_not_grow_with_the_run(tmp_path):
    output = Output(tmp_path)
    record(output, *(Row(f"{at}.png", "failed", code="TIMEOUT", message="late") for at in range(10_000)))
    tracemalloc.start()
    try:
        _, made = export(output, "jsonl")
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**20 + sum(map(len, made.values()))
    finally:
        tracemalloc.stop()
    assert made[output.exports / "pages.jsonl"].count(b"\n") == 10_000
