"""What the viewer answers: a path and a query in, JSON, charts, images or static files out. Knows no HTTP server."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from itertools import islice
from typing import Any

from quintet_client.api.results import PageResult
from quintet_client.viewer.data.ledger import Entry, Filter, Place, name_of
from quintet_client.viewer.data.pictures import NoPictureError, for_browser, open_picture
from quintet_client.viewer.data.run import Run, page_in
from quintet_client.viewer.data.search import Index, Term, parts_of, terms_of
from quintet_client.viewer.data.summary import summarise
from quintet_client.viewer.drawing import WIDTH_PX, safe, speed_chart
from quintet_client.viewer.schemas.drawings import drawing_of
from quintet_client.viewer.thumbnails import Thumbnails

PAGES_A_SCREEN = 60
HITS_A_SCREEN = 20
LINES_A_HIT = 4
_MOST_A_SCREEN = 500
_LEAST_CHART_PX, _MOST_CHART_PX = 240, 4000
_SAID = ("name", "counts", "pages", "equation", "codes", "facts", "note")
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    status: int
    content_type: str
    body: bytes


class Site:
    """The viewer of one run; safe to share between threads."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._index = Index(run)
        self._thumbnails = Thumbnails(run)
        self._files = static_files()
        self._routes: dict[str, Callable[[Query], Response]] = {
            "api/run": self._overview,
            "api/chart/speed": self._speed_chart,
            "api/pages": self._pages,
            "api/page": self._of_page(self._page),
            "api/index": self._warm_up,
            "api/search": self._search,
            "thumbnail": self._of_page(self._thumbnail),
            "image": self._of_page(self._image),
        }

    def answer(self, path: str, query: Query) -> Response:
        """Answer one request: a path below the viewer's root, without a leading slash; "" is the start page."""
        if path in self._routes:
            self._run.refresh()
            return self._routes[path](query)
        return self._files.get(path or "index.html") or _error(404, "there is no such page")

    def close(self) -> None:
        """End the background work."""
        self._thumbnails.close()
        self._index.close()
        self._run.close()

    def _of_page(self, answer: Callable[[Entry, Query], Response]) -> Callable[[Query], Response]:
        def find(query: Query) -> Response:
            entry = self._run.ledger.find(query.get("id", ""))
            return answer(entry, query) if entry else _error(404, "the ledger knows no such page")

        return find

    def _overview(self, _query: Query) -> Response:
        summary = summarise(self._run)
        last = summary.sittings[-1] if summary.sittings else None
        return _json(
            {
                **{name: getattr(summary, name) for name in _SAID},
                "sittings": [
                    f"{sitting.started_at:%Y-%m-%d %H:%M} UTC, {sitting.ok + sitting.failed:,} pages"
                    for sitting in summary.sittings
                ],
                "seconds": last.seconds if last else 0,
                "pages_per_s": last.pages_per_s if last else 0,
                "stages": [asdict(amount) for amount in summary.stages],
                "models": [asdict(amount) for amount in summary.models],
                "no_pictures": self._run.pictures.missing,
            }
        )

    def _speed_chart(self, query: Query) -> Response:
        sittings = summarise(self._run).sittings
        number = _number(query.get("sitting", ""), len(sittings) - 1)
        if number >= len(sittings):
            return _error(404, "there is no such stretch of work")
        width_px = min(_MOST_CHART_PX, max(_LEAST_CHART_PX, _number(query.get("width", ""), WIDTH_PX)))
        return _svg(speed_chart(sittings[number], width_px))

    def _pages(self, query: Query) -> Response:
        chosen, start = _filter(query), _number(query.get("from", ""), 0)
        count = min(_number(query.get("count", ""), PAGES_A_SCREEN), _MOST_A_SCREEN)
        entries = [_shown(entry) for entry in self._run.ledger.entries(chosen, start, count)]
        return _json({"total": self._run.ledger.count(chosen), "from": start, "count": count, "pages": entries})

    def _page(self, entry: Entry, query: Query) -> Response:
        document = self._run.document(entry.page_id) if entry.state == "ok" else {}
        page = page_in(document)
        drawing = None if page else drawing_of(document)
        return _json(
            {
                "entry": _shown(entry),
                "place": asdict(self._place(entry.page_id, query)),
                "page": _drawable(page, terms_of(query.get("q", ""))) if page else None,
                "schema": str(document.get("schema", "")),
                "drawing": asdict(drawing) if drawing else None,
                "raw": self._raw(entry) if page is None and entry.state == "ok" else "",
                "no_picture": self._why_no_picture(entry.page_id),
            }
        )

    def _place(self, page_id: str, query: Query) -> Place:
        """A page's place: among the hits of a search if it is one (`at` counts them from 0), else by name."""
        at = _number(query.get("at", ""), -1)
        if at < 0:
            return self._run.ledger.place(page_id, _filter(query))
        found = self._index.search(query.get("q", ""), max(0, at - 1), 3)
        hits = found.page_ids if at else (None, *found.page_ids)  # the one before, this one, the one after
        return Place(at + 1, max(at + 1, found.total), hits[0] if hits else None, hits[2] if len(hits) > 2 else None)

    def _raw(self, entry: Entry) -> str:
        """Return a result that is no page, as text."""
        try:
            return self._run.text(entry.page_id)
        except OSError as error:
            return f"The answer is gone from OUTPUT ({error.strerror})."

    def _why_no_picture(self, page_id: str) -> str:
        try:
            open_picture(self._run.pictures.get(page_id))
        except NoPictureError as error:
            return str(error)
        return ""

    def _warm_up(self, _query: Query) -> Response:
        self._index.refresh()
        return _json({})

    def _search(self, query: Query) -> Response:
        asked = query.get("q", "")
        found = self._index.search(asked, _number(query.get("from", ""), 0), HITS_A_SCREEN)
        terms = terms_of(asked)
        return _json(
            {
                **{name: getattr(found, name) for name in ("total", "indexed", "complete", "has_text")},
                "count": HITS_A_SCREEN,
                "hits": [self._hit(page_id, terms) for page_id in found.page_ids],
            }
        )

    def _hit(self, page_id: str, terms: Sequence[Term]) -> dict[str, Any]:
        page = self._run.page(page_id)
        entry = self._run.ledger.find(page_id)
        cut = (parts_of(line.text, terms) for line in (page.lines if page else ()))
        lines = list(islice((parts for parts in cut if any(hit for _text, hit in parts)), LINES_A_HIT))
        version = entry.updated_at if entry else ""
        return {"page_id": page_id, "updated_at": version, "name": parts_of(name_of(page_id), terms), "lines": lines}

    def _thumbnail(self, entry: Entry, _query: Query) -> Response:
        made = self._thumbnails.get(entry.page_id, entry.updated_at)
        # A browser would report a missing image as a fault of the page.
        return Response(200, "image/jpeg", made) if isinstance(made, bytes) else _svg(_placeholder(made))

    def _image(self, entry: Entry, _query: Query) -> Response:
        try:
            return Response(200, *for_browser(self._run.pictures.get(entry.page_id)))
        except NoPictureError as error:
            return _error(404, str(error))


def static_files() -> dict[str, Response]:
    """Return the viewer's own files by name: no other file is ever served."""
    return {
        file.name: Response(200, f"{_TYPES[ending]}; charset=utf-8", file.read_bytes())
        for file in (files(__package__) / "static").iterdir()
        if (ending := file.name.rpartition(".")[2]) in _TYPES
    }


def _shown(entry: Entry) -> dict[str, Any]:
    return asdict(entry) | {"name": name_of(entry.page_id)}


def _drawable(page: PageResult, terms: Sequence[Term]) -> dict[str, Any]:
    return {
        "width_px": page.width_px,
        "height_px": page.height_px,
        "angle_deg": page.orientation.angle_deg,
        "angle_score": page.orientation.score,
        "regions": [asdict(region) for region in page.regions],
        "lines": [
            asdict(line) | {"parts": parts, "hit": any(hit for _text, hit in parts)}
            for line in page.lines
            for parts in [parts_of(line.text, terms)]
        ],
        "text": page.text,
    }


def _placeholder(reason: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 160" width="120" height="160" fill="none" '
        f'stroke="#8a93a0" stroke-width="2"><title>{safe(reason)}</title>'
        '<path d="M30 30h40l20 20v80h-60z M70 30v20h20 M48 82l24 24m0-24l-24 24"/></svg>'
    )


def _filter(query: Query) -> Filter:
    return Filter(query.get("state", ""), query.get("code", ""), query.get("name", ""))


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else otherwise


def _svg(drawing: str) -> Response:
    return Response(200, "image/svg+xml", drawing.encode())


def _json(document: object, status: int = 200) -> Response:
    body = json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    return Response(status, "application/json", body)


def _error(status: int, message: str) -> Response:
    return _json({"error": message}, status)
