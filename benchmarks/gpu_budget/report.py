"""The budget as JSON and as tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.bench.report import align
from benchmarks.gpu_budget.account import Stage
from benchmarks.gpu_budget.kernels import Kernel
from benchmarks.gpu_budget.roofline import Gpu, predict

Stages = Mapping[str, Stage]
_MOST_KINDS = 16
# Of a before-and-after table: what is compared, and its unit in words.
_COMPARED = {
    "calls": "calls of networks",
    "network_launches": "network kernels",
    "other_launches": "other launches",
    "waits": "waits",
    "to_host_mb": "MB to the host",
    "pageable_mb": "MB from pageable memory",
    "network_gb": "network GB",
    "other_gb": "other GB",
    "network_gflop_a_page": "network GFLOP a page",
    "gpu_ms_a_page": "GPU ms a page",
}


def as_json(batches: Sequence[Stages], pages: int, gpu: Gpu) -> dict[str, Any]:
    """The first batch after the warm-up, its shapes beside those of the warm-up and of the batches after it.

    Args:
        batches: the warm-up, and batches of different pages.
        pages: of each batch.
        gpu: what is assumed.
    """
    _, first, *_ = batches
    stages = {name: _figures(stage, pages, gpu) for name, stage in first.items()}
    shapes = {name: _new_of_each(batches, name) for name, stage in first.items() if stage.shapes}
    kernels = [kernel for stage in first.values() for kernel in (*stage.network, *stage.other)]
    waits = sum(stage.waits.total() for stage in first.values())
    pageable = sum(stage.pageable_bytes for stage in first.values())
    new_plans = sum(one["plans"][-1] for one in shapes.values())
    return {
        "schema": "quintet.gpu-budget/1",
        "pages": pages,
        "stages": stages,
        "all": {key: sum(one[key] for one in stages.values()) for key in next(iter(stages.values()))},
        "kinds": _kinds(first, pages, gpu),
        "waits": dict(sum((stage.waits for stage in first.values()), Counter())),
        "new": shapes,
        "assumed": asdict(gpu),
        "predicted": predict(gpu, kernels, waits, pageable, new_plans, pages)._asdict(),
    }


def describe(found: Mapping[str, Any], gpu: Gpu) -> str:
    """All tables."""
    predicted = found["predicted"]
    slow, fast = predicted["pages_per_s"]
    words = (
        f"Predicted, not measured, of one worker, a page: GPU {predicted['gpu_ms']:.2f} ms, host beside it"
        f" {predicted['host_ms']:.2f} ms, cuDNN's new plans {predicted['plans_ms'][0]:.2f} to"
        f" {predicted['plans_ms'][1]:.2f} ms.\n"
        f"That is {slow:.0f} pages/s if they take turns, {fast:.0f} if they overlap."
        " Decoding and JSON, which run beside it, are left out.\n"
        f"To the device: {found['all']['to_device_mb']:,.1f} MB, {found['all']['pageable_mb']:,.1f} of them from"
        " memory that is not page-locked."
    )
    head = f"{found['pages']} pages a batch; the first batch after the warm-up:"
    return "\n\n".join((head, _stage_table(found), _kind_table(found), _shape_table(found), gpu.describe(), words))


def compare(before: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Two budgets in one table."""
    lines: list[tuple[str, ...]] = [("all stages", f"before, {before['pages']} pages", f"now, {found['pages']} pages")]
    for key, words in _COMPARED.items():
        lines.append((words, *(_number(one["all"][key]) for one in (before, found))))
    plans = (sum(stage["plans"][-1] for stage in one["new"].values()) for one in (before, found))
    lines.append(("new plans in the last batch", *map(str, plans)))
    lines += [
        (f"predicted pages/s, {words}", *(f"{one['predicted']['pages_per_s'][n]:.0f}" for one in (before, found)))
        for n, words in enumerate(("in turn", "overlapped"))
    ]
    return align(lines)


def _figures(stage: Stage, pages: int, gpu: Gpu) -> dict[str, float]:
    return {
        "calls": len(stage.shapes),
        "network_launches": len(stage.network),
        "other_launches": len(stage.other),
        "waits": stage.waits.total(),
        "to_host_mb": stage.to_host_bytes / 1e6,
        "to_device_mb": stage.to_device_bytes / 1e6,
        "pageable_mb": stage.pageable_bytes / 1e6,
        "network_gb": _gigabytes(stage.network),
        "other_gb": _gigabytes(stage.other),
        "network_gflop_a_page": sum(kernel.flops for kernel in stage.network) / 1e9 / pages,
        "network_ms_a_page": 1e3 * sum(map(gpu.seconds, stage.network)) / pages,
        "gpu_ms_a_page": 1e3 * sum(map(gpu.seconds, [*stage.network, *stage.other])) / pages,
    }


def _kinds(stages: Stages, pages: int, gpu: Gpu) -> list[dict[str, Any]]:
    """Launches of all stages by kind, the most traffic first."""
    kinds: defaultdict[tuple[str, str], list[Kernel]] = defaultdict(list)
    for stage in stages.values():
        for where, kernels in (("network", stage.network), ("other", stage.other)):
            for kernel in kernels:
                kinds[where, kernel.kind].append(kernel)
    rows = [
        {
            "where": where,
            "kind": kind,
            "launches": len(kernels),
            "gb": _gigabytes(kernels),
            "gpu_ms_a_page": 1e3 * sum(map(gpu.seconds, kernels)) / pages,
        }
        for (where, kind), kernels in kinds.items()
    ]
    return sorted(rows, key=lambda row: -float(row["gb"]))


def _new_of_each(batches: Sequence[Stages], name: str) -> dict[str, list[int]]:
    """How many shapes and plans each batch has that none before it had."""
    new: dict[str, list[int]] = {"shapes": [], "plans": []}
    met: dict[str, set[Any]] = {"shapes": set(), "plans": set()}
    for batch in batches:
        stage = batch.get(name, Stage())
        for what, own in (("shapes", set(stage.shapes)), ("plans", stage.plans)):
            new[what].append(len(own - met[what]))
            met[what] |= own
    return new


def _stage_table(found: Mapping[str, Any]) -> str:
    head = ("stage", "calls", "network kernels", "other launches", "waits", "MB to host", "network GB", "other GB")
    lines = [(*head, "GFLOP a page", "GPU ms a page")]
    for name, row in [*found["stages"].items(), ("all", found["all"])]:
        counts = (row[key] for key in ("calls", "network_launches", "other_launches", "waits"))
        sizes = (f"{row[key]:.1f}" for key in ("network_gb", "other_gb", "network_gflop_a_page"))
        copied, spent = f"{row['to_host_mb']:.2f}", f"{row['gpu_ms_a_page']:.2f}"
        lines.append((name, *(f"{count:,}" for count in counts), copied, *sizes, spent))
    return align(lines)


def _kind_table(found: Mapping[str, Any]) -> str:
    lines = [("most traffic", "launches", "GB", "GPU ms a page")]
    lines += [
        (f"{row['where']}: {row['kind']}", f"{row['launches']:,}", f"{row['gb']:.1f}", f"{row['gpu_ms_a_page']:.2f}")
        for row in found["kinds"][:_MOST_KINDS]
    ]
    return align(lines)


def _shape_table(found: Mapping[str, Any]) -> str:
    """What the warm-up met, then what each batch met that was new."""
    batches = len(next(iter(found["new"].values()))["shapes"]) - 1
    columns = ("warm-up", *(f"new in batch {number + 1}" for number in range(batches)))
    lines = [("shapes, cuDNN's plans", *columns)]
    for name, new in found["new"].items():
        pairs = zip(new["shapes"], new["plans"], strict=True)
        lines.append((name, *(f"{shapes}, {plans}" for shapes, plans in pairs)))
    return align(lines)


def _gigabytes(kernels: Sequence[Kernel]) -> float:
    return sum(kernel.bytes for kernel in kernels) / 1e9


def _number(value: float) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
