"""How quick `quintet view` is on a large run: `python -m benchmarks.view_speed --pages 25000`.

Makes an OUTPUT of so many pages of some 40 lines (and an INPUT whose files are links to one A4 JPEG), then asks for
every screen as a browser does. Times are medians over HTTP on this machine.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import requests
from PIL import Image, ImageDraw
from quintet_client.output.ledger import Ledger, Row
from quintet_client.service.outcomes import canonical_json
from quintet_client.viewer.data.run import Run
from quintet_client.viewer.report import report_page
from quintet_client.viewer.server import Server
from quintet_client.viewer.site import Site

_LINES = 40
_WORDS_A_LINE = 5
_VOCABULARY = 30_000
_REPEATS = 7


def make_output(folder: Path, pages: int, seed: int = 7) -> Path:
    """Make INPUT and OUTPUT of a run in a folder; returns OUTPUT. Every hundredth page failed."""
    rng = random.Random(seed)
    words = [f"{rng.choice('bcdfglmnprst')}{rng.choice('aeiou')}{number:x}" for number in range(_VOCABULARY)]
    image = _a4()
    with Ledger.open(_folder(folder / "out") / "ledger.sqlite") as ledger:
        ledger.record((_page(folder, number, rng, words, image) for number in range(pages)), model="benchmark")
    settings = {"input_path": str(folder / "in")}
    (folder / "out" / "report.json").write_text(json.dumps({"settings": settings}))
    return folder / "out"


def measure(output: Path) -> Iterator[tuple[str, float]]:
    """Yield what was asked for, and how many milliseconds it took."""
    begin = time.perf_counter()
    run = Run(output)
    with closing(Site(run)) as site, Server(site) as server, requests.Session() as session:
        session.trust_env = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield "start", _ms(begin)
        total = run.ledger.count()

        def ask(path: str, **parameters: object) -> requests.Response:
            answer = session.get(server.url + path, params={k: str(v) for k, v in parameters.items()}, timeout=60)
            answer.raise_for_status()
            return answer

        yield from _screens(ask, run, total)
        yield from _searches(ask)
        server.shutdown()
    begin = time.perf_counter()
    report_page(run)
    yield "report with 12 pages drawn", _ms(begin)


def _screens(ask: Callable[..., requests.Response], run: Run, total: int) -> Iterator[tuple[str, float]]:
    middle = run.ledger.entries(start=total // 2, count=61)
    yield "overview", _median(lambda: ask("api/run"))
    yield "overview, chart of the speed", _median(lambda: ask("api/chart/speed"))
    yield "grid, first screen of 60", _median(lambda: ask("api/pages"))
    yield "grid, last screen", _median(lambda: ask("api/pages", **{"from": total - 60}))
    yield "grid, part of a name", _median(lambda: ask("api/pages", name="99"))
    yield "failures", _median(lambda: ask("api/pages", state="failed", count=100))
    yield "page with its lines", _median(lambda: ask("api/page", id=middle[0].page_id))
    yield "image", _median(lambda: ask("image", id=middle[0].page_id))
    begin = time.perf_counter()
    for entry in middle[1:]:
        ask("thumbnail", id=entry.page_id)
    yield "thumbnail of an A4 JPEG, made", _ms(begin) / 60
    yield "thumbnail, from memory", _median(lambda: ask("thumbnail", id=middle[1].page_id))


def _searches(ask: Callable[..., requests.Response]) -> Iterator[tuple[str, float]]:
    begin = time.perf_counter()
    first = ask("api/search", q="ba1").json()
    yield f"search, first answer (over {first['indexed']} pages so far)", _ms(begin)
    while not first["complete"]:
        first = ask("api/search", q="ba1").json()
    yield "index of all pages built", _ms(begin)
    yield "search, one word", _median(lambda: ask("api/search", q="ba1"))
    yield "search, a beginning that most pages hold", _median(lambda: ask("api/search", q="b"))
    yield "search, two words and a phrase", _median(lambda: ask("api/search", q='ba1 li2 "ba3 li4"'))
    yield "search, nothing found", _median(lambda: ask("api/search", q="absent"))


def _page(folder: Path, number: int, rng: random.Random, words: Sequence[str], image: bytes) -> Row:
    page_id = f"box{number // 1000:03}/page{number:06}.jpg"
    _link(folder / "in" / page_id, image)
    if number % 100 == 99:
        return Row(page_id, "failed", 1, "IMAGE_DECODE_FAILED", "the image is damaged or truncated", 1000)
    texts = [" ".join(rng.choices(words, k=_WORDS_A_LINE)) for _ in range(_LINES)]
    path = folder / "out" / "pages" / f"{page_id}.json"
    _folder(path.parent)
    path.write_bytes(canonical_json(_answer(texts)))
    return Row(page_id, "ok", 1, "", "", 1000, output_bytes=path.stat().st_size)


def _answer(texts: Sequence[str]) -> dict[str, Any]:
    tops = [100 + 38 * place for place in range(len(texts))]
    return {
        "schema": "quintet.page/1",
        "model": "benchmark",
        "width_px": 1240,
        "height_px": 1754,
        "orientation": {"angle_deg": 0, "score": 0.99},
        "regions": [{"label": "text", "score": 0.9, "box_px": [90, 90, 1150, 1660]}],
        "lines": [
            {"text": text, "score": 0.98, "quad_px": [[100, y], [900, y], [900, y + 30], [100, y + 30]], "region": 0}
            for text, y in zip(texts, tops, strict=True)
        ],
        "text": "\n".join(texts),
    }


def _a4() -> bytes:
    page = Image.new("RGB", (1240, 1754), "white")
    for y in range(100, 1640, 38):
        ImageDraw.Draw(page).text((100, y), "The quick brown fox jumps over the lazy dog. " * 3, fill="black")
    target = io.BytesIO()
    page.save(target, "JPEG", quality=85)
    return target.getvalue()


def _link(path: Path, image: bytes) -> None:
    _folder(path.parent)
    first = path.parent / ".image"
    if not first.exists():
        first.write_bytes(image)
    os.link(first, path)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _median(ask: Callable[[], object]) -> float:
    times = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        ask()
        times.append(_ms(begin))
    return statistics.median(times)


def _ms(begin: float) -> float:
    return (time.perf_counter() - begin) * 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.view_speed", description=__doc__)
    parser.add_argument("--pages", type=int, default=25_000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        output = make_output(Path(folder), options.pages)
        sys.stdout.write(f"{options.pages} pages of {_LINES} lines\n")
        for name, milliseconds in measure(output):
            sys.stdout.write(f"  {name:<52} {milliseconds:>9,.1f} ms\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
