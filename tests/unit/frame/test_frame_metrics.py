"""What a batch comes to in numbers, and that metrics.yaml lists all of them with as many labels."""

from __future__ import annotations

import yaml
from quintet.errors import Code, Failure
from quintet.frame.metrics import BatchStats, Metric, Metrics

from tests.conftest import ROOT

LISTED = yaml.safe_load((ROOT / "handlers" / "metrics.yaml").read_text("utf-8"))["model_metrics"]
BUSY, EMPTY = Failure(Code.BUSY, "m"), Failure(Code.EMPTY_BODY, "m")
DEVICE = {"allocated": 1, "used": 2}
BATCH = BatchStats([64, 64, 3], [{"text": ""}] * 129 + [EMPTY] * 2, [BUSY], 5000, {"decode": 0.1234567, "write": 1e-9})


def metrics() -> Metrics:
    return Metrics("9000", lambda: DEVICE)


def values(told: list[Metric], name: str) -> dict[tuple[str, ...], float]:
    return {metric.labels: metric.value for metric in told if metric.name == name}


def test_a_batch_is_told_by_outcome_size_and_stage() -> None:
    told = metrics().of_batch(BATCH)
    assert values(told, "quintet_pages_total") == {("ok",): 129, ("EMPTY_BODY",): 2}
    assert values(told, "quintet_batches_total") == {("64",): 2, ("3",): 1}
    assert values(told, "quintet_refused_requests_total") == {("BUSY",): 1}
    assert values(told, "quintet_body_bytes_total") == {(): 5000}
    assert values(told, "quintet_stage_seconds") == {("decode",): 0.123457, ("write",): 0.0}
    assert values(told, "quintet_pages_in_progress") == {("9000",): 0}


def test_all_that_is_told_is_listed_with_its_kind_and_labels() -> None:
    worker = metrics()
    told = [*worker.at_start(), *worker.of_batch(BATCH), worker.in_progress(3)]
    for metric in told:
        own = {entry["name"]: entry for entry in LISTED[metric.kind]}[metric.name]
        assert len(own["dimensions"]) == len(metric.labels) + 2, "ModelName and Level come behind"
    listed = {metric["name"] for listed_of_kind in LISTED.values() for metric in listed_of_kind}
    assert {name for name in listed if name.startswith("quintet_")} == {metric.name for metric in told}


def test_memory_is_told_at_start_and_then_not_with_every_batch() -> None:
    worker = metrics()
    told = values(worker.at_start(), "quintet_memory_bytes")
    assert {kind for kind, _ in told} == {"resident", "device_allocated", "device_used"}
    assert told["resident", "9000"] > 1 << 20
    assert not values(worker.of_batch(BATCH), "quintet_memory_bytes")


def test_values_are_written_as_torchserve_reads_them() -> None:
    """Its pattern for a value is digits, minus, comma, point and e: no plus, as in 1e+16."""
    for metric in metrics().of_batch(BATCH):
        assert set(str(metric.value)) <= set("0123456789-.e")
