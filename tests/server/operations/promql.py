"""As much of Prometheus as a test needs: samples of a scrape, and what a query asks for."""

import re
from dataclasses import dataclass

_SAMPLE = re.compile(r"^(?P<name>[A-Za-z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'([A-Za-z_]\w*)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"')
_SELECTOR = re.compile(r"(?<![\w$])([A-Za-z_:][\w:]*)(?![\w:])\s*(\{[^}]*\})?(?!\s*\()")
_WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset"}
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Sample:
    name: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True)
class Query:
    """What a query names: metrics with their matchers, and the labels it groups by."""

    selectors: list[tuple[str, list[tuple[str, str, str]]]]
    labels: set[str]


def parse_scrape(text: str) -> list[Sample]:
    """All samples of an exposition in Prometheus' text format."""
    found = [_SAMPLE.match(line) for line in text.splitlines() if line and not line.startswith("#")]
    assert all(found), "a line is no sample"
    return [Sample(match["name"], _labels(match["labels"] or ""), float(match["value"])) for match in found]


def _labels(text: str) -> dict[str, str]:
    return {name: value for name, _, value in _LABEL.findall(text)}


def parse_query(query: str) -> Query:
    """The selectors and the grouping labels of a PromQL expression."""
    grouped = {label.strip() for group in _GROUPING.findall(query) for label in group.split(",")}
    bare = re.sub(r"\[[^\]]*\]", "", _GROUPING.sub(" ", query))
    found = [(name, _LABEL.findall(labels or "")) for name, labels in _SELECTOR.findall(bare)]
    return Query([(name, labels) for name, labels in found if name not in _WORDS], grouped)


def matches(sample: Sample, matchers: list[tuple[str, str, str]]) -> bool:
    """Whether a sample is among those that a selector takes."""

    def one(label: str, operator: str, value: str) -> bool:
        has = sample.labels.get(label, "")
        equal = bool(re.fullmatch(value, has)) if "~" in operator else has == value
        return equal != operator.startswith("!")

    return all(one(*matcher) for matcher in matchers)
