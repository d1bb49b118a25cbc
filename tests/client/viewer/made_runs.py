"""OUTPUT folders that tests make themselves: a ledger, answers and images, as `quintet read` leaves them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from quintet_client.input.page_ids import page_id_of
from quintet_client.output.ledger import Ledger, Row

BEGAN = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
WIDTH_PX, HEIGHT_PX = 400, 560
HOSTILE = "<img src=x onerror=\"document.title='hacked'\">.png"


@dataclass(frozen=True)
class MadeRun:
    """One INPUT and the OUTPUT of reading it."""

    input_path: Path
    output_path: Path


def answer(texts: Iterable[str], angle_deg: int = 0) -> dict[str, Any]:
    """What the service answers for a page with these lines, one under the other on the upright page."""
    lines = [
        {
            "text": text,
            "score": 0.99,
            "quad_px": _turned(40, 40 + 50 * place, angle_deg),
            "region": 0,
            "words": [
                {"text": word, "score": 0.98, "quad_px": _turned(40 + 100 * number, 40 + 50 * place, angle_deg, 90)}
                for number, word in enumerate(text.split())
            ],
        }
        for place, text in enumerate(texts)
    ]
    size = (WIDTH_PX, HEIGHT_PX) if angle_deg in (0, 180) else (HEIGHT_PX, WIDTH_PX)
    return {
        "schema": "quintet.page/1",
        "model": "m1",
        "width_px": size[0],
        "height_px": size[1],
        "orientation": {"angle_deg": angle_deg, "score": 0.98},
        "regions": [{"label": "text", "score": 0.9, "box_px": [20.0, 20.0, size[0] - 20.0, size[1] - 20.0]}],
        "lines": lines,
        "text": "\n".join(line["text"] for line in lines),
    }


def draw(texts: Iterable[str], angle_deg: int = 0) -> Image.Image:
    """The page itself."""
    page = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), "white")
    for place, text in enumerate(texts):
        ImageDraw.Draw(page).text((40, 40 + 50 * place), text, fill="black", font=ImageFont.load_default(26))
    return page.rotate(-angle_deg, expand=True)


def make_run(folder: Path, pages: int = 8) -> MadeRun:
    """A finished run: so many invoices, one of them turned, one a TIFF, and two pages that failed."""
    run = MadeRun(folder / "in", folder / "out")
    rows = [_read_page(run, f"invoices/page{place:03}.{_kind(place)}", place) for place in range(pages)]
    rows += [_failed(run, "broken.jpg", "IMAGE_DECODE_FAILED", "the image is damaged or truncated")]
    rows += [_failed(run, HOSTILE, "UNSUPPORTED_FORMAT", "<script>document.title='hacked'</script>")]
    write_ledger(run.output_path, rows)
    with Ledger.open(run.output_path / "ledger.sqlite") as ledger:
        ledger.add_input(str(run.input_path))
    write_report(run, pages, 2)
    return run


def write_ledger(output: Path, rows: Iterable[Row], seconds_a_page: float = 1.5) -> None:
    """Enter pages as if one had come to its end every so many seconds."""
    output.mkdir(parents=True, exist_ok=True)
    with Ledger.open(output / "ledger.sqlite") as ledger:
        ledger.record(rows, model="m1")
    with closing(sqlite3.connect(output / "ledger.sqlite")) as file, file:
        found = file.execute("SELECT page_id FROM pages ORDER BY page_id").fetchall()
        moments = [BEGAN + timedelta(seconds=seconds_a_page * (place + 1)) for place in range(len(found))]
        at = [(moment.isoformat(timespec="milliseconds"), page) for moment, (page,) in zip(moments, found, strict=True)]
        file.executemany("UPDATE pages SET updated_at = ? WHERE page_id = ?", at)


def write_report(run: MadeRun, ok: int, failed: int) -> None:
    """report.json as far as anybody reads it here."""
    stage = {"count": ok, "total_s": 3.0, "p50_s": 0.4, "p95_s": 1.2}
    document = {
        "schema": "quintet.report/1",
        "version": "0.1.0",
        "started_at": BEGAN.isoformat(timespec="milliseconds"),
        "finished_at": (BEGAN + timedelta(seconds=20)).isoformat(timespec="milliseconds"),
        "stages": {"load": stage, "request": stage, "write": stage},
        "stage_seconds": {"decode": 0.5, "text_detection": 46.3, "recognition": 19.2},
        "reason": f"{failed} pages failed, listed in failed.jsonl",
        "settings": {"pack": 16},
    }
    (run.output_path / "report.json").write_text(json.dumps(document))


def write_answer(output: Path, page_id: str, document: object) -> Row:
    """Put an answer in place; gives the page's row."""
    path = output / "pages" / f"{page_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(json.dumps(document).encode())
    return Row(page_id, "ok", 1, size_bytes=1000, output_bytes=path.stat().st_size)


def texts_of(place: int) -> list[str]:
    """The lines of one invoice."""
    return [f"Invoice {7000 + place}", "Crème brûlée 4.50", f"Total due {10 + place}.50", "Thank you"]


def _read_page(run: MadeRun, name: str, place: int) -> Row:
    angle_deg = 90 if place == 1 else 0
    (run.input_path / name).parent.mkdir(parents=True, exist_ok=True)
    draw(texts_of(place), angle_deg).save(run.input_path / name)
    return write_answer(run.output_path, page_id_of(name), answer(texts_of(place), angle_deg))


def _failed(run: MadeRun, name: str, code: str, message: str) -> Row:
    (run.input_path / name).write_bytes(b"no image")
    return Row(page_id_of(name), "failed", 1, code, message, size_bytes=8)


def _kind(place: int) -> str:
    return {1: "jpg", 2: "tiff"}.get(place, "png")


def _turned(x: float, y: float, angle_deg: int, width: float = 300) -> list[list[float]]:
    """The corners of a line or a word on the upright page, in the frame of the turned image."""
    corners = [[x, y], [x + width, y], [x + width, y + 34], [x, y + 34]]
    return [[HEIGHT_PX - b, a] for a, b in corners] if angle_deg == 90 else corners
