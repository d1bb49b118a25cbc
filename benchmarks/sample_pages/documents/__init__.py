"""The kinds of documents: one file each, one function each, from a generator and a brief to a drawn sheet."""

import random
from collections.abc import Callable

from benchmarks.sample_pages.documents.article import draw_article
from benchmarks.sample_pages.documents.form import draw_form
from benchmarks.sample_pages.documents.invoice import draw_invoice
from benchmarks.sample_pages.documents.letter import draw_letter
from benchmarks.sample_pages.documents.newspaper import draw_newspaper
from benchmarks.sample_pages.documents.note import draw_note
from benchmarks.sample_pages.documents.receipt import draw_receipt
from benchmarks.sample_pages.documents.snapshot import draw_snapshot
from benchmarks.sample_pages.documents.timetable import draw_timetable
from benchmarks.sample_pages.records import Brief
from benchmarks.sample_pages.sheet import Sheet

DOCUMENTS: dict[str, Callable[[random.Random, Brief], Sheet]] = {
    "letter": draw_letter,
    "invoice": draw_invoice,
    "receipt": draw_receipt,
    "form": draw_form,
    "article": draw_article,
    "newspaper": draw_newspaper,
    "timetable": draw_timetable,
    "note": draw_note,
    "snapshot": draw_snapshot,
}
# The others are drawn when asked for: two for reading order, a small one for tests of many pages, one that is no scan.
DEFAULT_KINDS = ("letter", "invoice", "receipt", "form", "article")
