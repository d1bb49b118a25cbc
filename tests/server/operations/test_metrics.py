"""What the service tells of itself: every number after real pages, and a dashboard that asks for nothing else."""

from __future__ import annotations

import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection

import pytest
import requests
import yaml
from quintet.errors import Code
from quintet.frame import frames
from quintet.operations import service as torchserve

from tests.conftest import ROOT, draw_page, encode
from tests.server.operations.promql import Sample, matches, parse_query, parse_scrape

DASHBOARD = json.loads((ROOT / "docs" / "examples" / "grafana.json").read_text("utf-8"))
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
OPERATIONS = ROOT / "docs" / "operations.md"
STAGES = {"decode", "page_orientation", "layout", "text_detection", "line_orientation", "recognition", "write"}
PAGES = [encode(draw_page([f"Invoice {number}"], (420, 200))) for number in range(3)]


def scrape(service: torchserve.Service) -> list[Sample]:
    return parse_scrape(requests.get(service.metrics_url + "/metrics", timeout=10).text)


def total(samples: list[Sample], name: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels."""
    wanted = [(label, "=", value) for label, value in labels.items()]
    return sum(sample.value for sample in samples if sample.name == name and matches(sample, wanted))


def post(service: torchserve.Service, body: bytes, content_type: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {service.token('inference')}", "Content-Type": content_type}
    return requests.post(f"{service.inference_url}/predictions/quintet", data=body, headers=headers, timeout=120)


# Its field has no name. TorchServe, which gets no forms through the gate, fails at it.
FORM = b'--b\r\nContent-Disposition: form-data; name=" "; filename="a"\r\n\r\nabc\r\n--b--\r\n'


def status_past_the_gate(service: torchserve.Service, body: bytes, content_type: str) -> int:
    headers = {"Authorization": f"Bearer {service.token('inference')}", "Content-Type": content_type}
    with closing(HTTPConnection("localhost")) as connection:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(service.run_dir / "tmp" / "inference"))
        connection.request("POST", "/predictions/quintet", body, headers)
        return connection.getresponse().status


@pytest.fixture(scope="module")
def around(service: torchserve.Service) -> tuple[list[Sample], list[Sample], float]:
    """Scrapes before and after three pages, a bad one, a frame that is none and a broken form; the seconds between."""
    before = scrape(service)
    begin = time.monotonic()
    assert post(service, frames.pack_pages([*PAGES, b"no image"]), frames.MEDIA_TYPE).status_code == 200
    assert post(service, b"no frame", frames.MEDIA_TYPE).status_code == 422
    assert status_past_the_gate(service, FORM, "multipart/form-data; boundary=b") == 500
    seconds = time.monotonic() - begin
    time.sleep(1)  # numbers reach the front end through a pipe
    return before, scrape(service), seconds


def grown(around: tuple[list[Sample], list[Sample], float], name: str, **labels: str) -> float:
    before, after, _ = around
    return total(after, name, **labels) - total(before, name, **labels)


def test_pages_batches_bytes_and_refusals_are_counted(around) -> None:
    assert grown(around, "quintet_pages_total", outcome="ok") == 3
    assert grown(around, "quintet_pages_total", outcome="UNSUPPORTED_FORMAT") == 1
    assert grown(around, "quintet_pages_total") == 4
    assert grown(around, "quintet_batches_total", pages="4") == 1
    assert grown(around, "quintet_refused_requests_total", code="INVALID_PARAMETER") == 1
    assert grown(around, "quintet_refused_requests_total") == 1
    assert grown(around, "quintet_body_bytes_total") == sum(map(len, PAGES)) + len(b"no image")


def test_every_stage_is_timed_once_a_call_and_they_add_up_to_less_than_all(around) -> None:
    _, after, seconds = around
    assert {sample.labels["stage"] for sample in after if sample.name == "quintet_stage_seconds_sum"} == STAGES
    taken = {stage: grown(around, "quintet_stage_seconds_sum", stage=stage) for stage in STAGES}
    assert all(0 < stage_s < seconds for stage_s in taken.values()), taken
    assert 0.2 * seconds < sum(taken.values()) < seconds, "the five models are most of the time"
    assert {grown(around, "quintet_stage_seconds_count", stage=stage) for stage in STAGES} == {1}


def test_nothing_is_in_progress_when_all_is_answered_and_memory_is_told(around) -> None:
    _, after, _ = around
    assert total(after, "quintet_pages_in_progress") == 0
    memory = {sample.labels["kind"]: sample.value for sample in after if sample.name == "quintet_memory_bytes"}
    assert set(memory) == {"resident", *(f"device_{kind}" for kind in ("allocated", "reserved", "used", "total"))}
    assert memory["resident"] > 100e6


def test_all_codes_are_there_before_the_first_of_them(around) -> None:
    before, _, _ = around
    outcomes = {sample.labels["outcome"] for sample in before if sample.name == "quintet_pages_total"}
    assert outcomes == {"ok", *(code.value for code in Code)}


def test_names_follow_the_conventions_of_prometheus(around) -> None:
    listed = yaml.safe_load((ROOT / "handlers" / "metrics.yaml").read_text())["model_metrics"]
    for kind, metrics in listed.items():
        for name in (metric["name"] for metric in metrics if metric["name"].startswith("quintet_")):
            assert name.endswith("_total") == (kind == "counter"), name
            assert not re.search("milli|micro|mega|kilo|_ms|_mb", name, re.IGNORECASE), name
            assert kind != "histogram" or name.endswith("_seconds"), name


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_of_the_dashboard_finds_what_it_asks_for(around, query: str) -> None:
    _, samples, _ = around
    asked = parse_query(query)
    assert asked.selectors
    for name, matchers in asked.selectors:
        found = [sample for sample in samples if sample.name == name and matches(sample, matchers)]
        assert found, f"{name} {matchers}: no such sample"
        for label, operator, value in matchers:
            values = {sample.labels.get(label) for sample in samples if sample.name == name}
            assert None not in values, f"{name} has no label {label}"
            assert "~" in operator or value in values, f"{name}: no {label} is {value}"
    named = {label for name, _ in asked.selectors for s in samples if s.name == name for label in s.labels}
    assert asked.labels <= named, f"no label {asked.labels - named}"


def test_the_dashboard_shows_every_metric_of_ours() -> None:
    listed = yaml.safe_load((ROOT / "handlers" / "metrics.yaml").read_text())["model_metrics"]
    ours = {
        metric["name"] for metrics in listed.values() for metric in metrics if metric["name"].startswith("quintet_")
    }
    asked = {re.sub("_(sum|bucket|count)$", "", name) for query in QUERIES for name, _ in parse_query(query).selectors}
    assert ours <= asked
    documented = set(re.findall(r"^\| `(quintet_\w+)`", OPERATIONS.read_text("utf-8"), re.MULTILINE))
    assert documented == ours


@pytest.mark.parametrize(
    ("query", "selectors", "labels"),
    [
        ("up", [("up", [])], set()),
        ('sum by (a, b) (rate(x_total{c="d",e!~"f.*"}[5m])) / 1e6',
         [("x_total", [("c", "=", "d"), ("e", "!~", "f.*")])], {"a", "b"}),
        ("histogram_quantile(0.95, sum by (le) (rate(h_bucket[$__rate_interval])))", [("h_bucket", [])], {"le"}),
        ("rate(a[1m]) or vector(0)", [("a", [])], set()),
    ],
)  # fmt: skip
def test_queries_are_understood(query: str, selectors: list, labels: set[str]) -> None:
    asked = parse_query(query)
    assert (asked.selectors, asked.labels) == (selectors, labels)


def test_pages_are_in_progress_while_they_are_read(echo: torchserve.Service) -> None:
    """Of a chain that times no stages: none are told."""
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(post, echo, frames.pack_pages([b"page"] * 50), frames.MEDIA_TYPE)
        seen = set()
        while not answer.done():
            seen.add(total(scrape(echo), "quintet_pages_in_progress"))
            time.sleep(0.05)
    assert 50 in seen
    assert not [sample for sample in scrape(echo) if sample.name.startswith("quintet_stage_seconds")]
