"""The form of the service's answers, checked here alone: behind this, nothing doubts what a document holds.

Of other chains' answers the head is checked, of pages all that exports, viewer and the typed results rely on. Whole
lists are checked at once, as a line at a time takes three times as long.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

PAGE_SCHEMA = "quintet.page/1"
DOCUMENT_SCHEMA = "quintet.document/1"
# Name and version of a form, such as "quintet.page/1".
_SCHEMA = re.compile(r"[\w.-]{1,100}/[1-9][0-9]{0,8}", re.ASCII)
# Integers that all readers of JSON agree on; no coordinate comes near.
_MOST = 2**53


def parsed(body: bytes) -> dict[str, Any]:
    """Read an object out of JSON; raises ValueError if it is none, has NaN or infinities, or is nested too deeply."""
    try:
        document = json.loads(body, parse_constant=_refused)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    return document


def check_answer(document: Mapping[str, Any]) -> None:
    """Raise ValueError unless it is an answer of a chain or of the service itself, and of the documented form."""
    schema, model = document.get("schema"), document.get("model")
    if not isinstance(schema, str) or not _SCHEMA.fullmatch(schema):
        raise ValueError("it has no schema, such as quintet.page/1")
    if not isinstance(model, str) or not model.strip():
        raise ValueError("it has no model")
    if schema == PAGE_SCHEMA:
        check_page(document)
    if schema == DOCUMENT_SCHEMA:
        _check_document(document)


def _check_document(document: Mapping[str, Any]) -> None:
    """Raise ValueError unless each of its pages has a number and either a result or an error."""
    pages = document.get("pages")
    if type(pages) is not list or not _is_size(document.get("page_count")):
        raise ValueError("it has no pages")
    for page in pages:
        if type(page) is not dict or not _is_size(page.get("page")):
            raise ValueError("a page of it has no number")
        if isinstance(result := page.get("result"), dict) and result.get("schema") != DOCUMENT_SCHEMA:
            check_answer(result)
        elif not isinstance(error := page.get("error"), dict) or not _are_texts(map(error.get, ("code", "message"))):
            raise ValueError(f"page {page['page']} of it has neither a result nor an error")


def check_page(page: Mapping[str, Any]) -> None:
    """Raise ValueError unless a document holds what docs/api.md promises of a page; more is welcome."""
    for name in PAGE_FIELDS.keys() - page.keys():
        raise ValueError(f"it has no {name}")
    for name, fits in (PAGE_FIELDS | _ADDED_FIELDS).items():
        try:
            found = name not in page or fits(page[name])
        except (TypeError, LookupError, AttributeError):  # something else than the objects and lists that it should be
            found = False
        if not found:
            raise ValueError(f"its {name} is not as documented")
    places = (place for table in page.get("tables", []) for row in table["rows"] for cell in row for place in cell)
    if max(places, default=-1) >= len(page["lines"]):
        raise ValueError("its tables name lines that it does not have")
    if max((table["region"] for table in page.get("tables", [])), default=-1) >= len(page["regions"]):
        raise ValueError("its tables name regions that it does not have")


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _are_numbers(values: Iterable[object]) -> bool:
    numbers: list[Any] = list(values)
    # Exact types: to Python a bool is an int, to JSON it is no number.
    return not numbers or (set(map(type, numbers)) <= {int, float} and -_MOST < min(numbers) <= max(numbers) < _MOST)


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 < value < _MOST


def _is_orientation(value: Any) -> bool:  # noqa: ANN401 - whatever JSON holds, like those below
    angle_deg = value["angle_deg"]
    return type(angle_deg) is int and angle_deg in {0, 90, 180, 270} and _are_numbers([value["score"]])


def _are_regions(regions: Any) -> bool:  # noqa: ANN401
    return (
        type(regions) is list
        and _are_texts(region["label"] for region in regions)
        and _are_numbers(region["score"] for region in regions)
        and {len(region["box_px"]) for region in regions} <= {4}
        and _are_numbers(edge for region in regions for edge in region["box_px"])
    )


def _are_lines(lines: Any) -> bool:  # noqa: ANN401
    return (
        _are_placed_texts(lines)
        and {type(line.get("region")) for line in lines} <= {int, type(None)}
        and {type(line.get("words", [])) for line in lines} <= {list}
        and _are_placed_texts([word for line in lines for word in line.get("words", [])])
    )


def _are_placed_texts(items: Any) -> bool:  # noqa: ANN401
    """What lines and words have in common."""
    return (
        type(items) is list
        and _are_texts(item["text"] for item in items)
        and _are_numbers(item["score"] for item in items)
        and {len(item["quad_px"]) for item in items} <= {4}
        and {len(corner) for item in items for corner in item["quad_px"]} <= {2}
        and _are_numbers(xy for item in items for corner in item["quad_px"] for xy in corner)
    )


def _are_tables(tables: Any) -> bool:  # noqa: ANN401
    rows = [table["rows"] for table in tables]
    return (
        type(tables) is list
        and _are_indices([table["region"] for table in tables])
        and _are_indices([place for table in rows for row in table for cell in row for place in cell])
        and all(len({len(row) for row in table}) == 1 and any(cell for row in table for cell in row) for table in rows)
    )


def _are_indices(values: list[Any]) -> bool:
    """Whether values are whole numbers, each there once."""
    return set(map(type, values)) <= {int} and min(values, default=0) >= 0 and len(set(values)) == len(values)


# What a page holds beside its head.
PAGE_FIELDS: dict[str, Callable[[Any], bool]] = {
    "width_px": _is_size,
    "height_px": _is_size,
    "orientation": _is_orientation,
    "regions": _are_regions,
    "lines": _are_lines,
    "text": lambda text: isinstance(text, str),
}
# What came later, or is not there on all pages.
_ADDED_FIELDS: dict[str, Callable[[Any], bool]] = {
    "tables": _are_tables,
    "left_out": lambda stages: type(stages) is list and _are_texts(stages),
}
