"""What the GPU benchmark prints."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.bench.report import align


def describe(found: Mapping[str, Any]) -> str:
    """All tables that there are figures for."""
    tables = (_head, _variants, _first_batches, _predicted, _peer, _stages, _served, _throughput, _left_out)
    return "\n\n".join(part for part in (table(found) for table in tables) if part)


def _head(found: Mapping[str, Any]) -> str:
    return (
        f"{found['different_pages']} different pages ({found['set']}), {found['words_per_page']:.0f} words a page, "
        f"{found['seconds']:.0f} s in all"
    )


def _variants(found: Mapping[str, Any]) -> str:
    """One thing changed at a time, with what it costs in words beside single precision; dashes where it ended early."""
    head = ("chain in process", "format", "pages/s", "p50 ms", "p95 ms", "GPU busy", "GPU MB", "start s")
    lines = [(*head, "word F1", "lines alike", "gate")]
    lines += [
        (
            row["title"],
            row["dtype"],
            _decimal(row.get("pages_per_s"), 2),
            *(_decimal(row.get("latency_ms", {}).get(name), 1) for name in ("p50", "p95")),
            _share(row.get("busy")),
            _megabytes(row.get("device_peak_bytes")),
            f"{row['start_s']:.1f}",
            _decimal(row.get("word_f1"), 4),
            _share(row.get("identical_share")),
            {True: "passes", False: "FAILS"}.get(row.get("passes"), "-"),
        )
        for row in found["variants"]
    ]
    return align(lines) if len(lines) > 1 else ""


def _first_batches(found: Mapping[str, Any]) -> str:
    """Median milliseconds of the first batches: what falls has been preparation for new shapes."""
    groups = ((0, 1), (1, 5), (5, 15), (15, 30), (30, 50))
    lines = [("ms of batches", *(f"{low + 1}-{high}" if high - low > 1 else str(high) for low, high in groups))]
    for row in found["variants"]:
        spent = row.get("batch_ms", ())
        medians = (statistics.median(spent[low:high]) if spent[low:high] else None for low, high in groups)
        lines.append((row["title"], *(_decimal(one, 0) for one in medians)))
    return align(lines) if len(lines) > 1 else ""


def _predicted(found: Mapping[str, Any]) -> str:
    """What the budget predicts beside what was measured."""
    if (budget := found.get("budget")) is None:
        return "no prediction: `make gpu-budget` writes it where it is looked for (--budget)"
    slow, fast = budget["predicted"]["pages_per_s"]
    measured = [row["pages_per_s"] for row in found["variants"] if row["key"] == "base" and "pages_per_s" in row]
    return (
        f"predicted for an H100, {budget['pages']} pages a batch: {slow:.0f} pages/s if host and GPU take turns, "
        f"{fast:.0f} if they overlap; measured: {_decimal(measured[0] if measured else None, 0)}"
    )


def _peer(found: Mapping[str, Any]) -> str:
    """The ratio that the whole project is about, on this machine."""
    if "peer_pages_per_s" not in found:
        return ""
    seed = found["peer_pages_per_s"]
    rows = [*found["variants"], *found.get("served", ())]
    fastest = max((row["pages_per_s"] for row in rows if "pages_per_s" in row), default=0.0)
    return f"the seed's script: {seed:.2f} pages/s; the fastest row here is {fastest / seed:.1f} times as fast"


def _throughput(found: Mapping[str, Any]) -> str:
    lines = [("chain in process, batch", "pages/s", "GPU busy", "GPU MB", "host MB")]
    lines += [
        (
            str(row["batch"]),
            f"{row['pages_per_s']:.2f}",
            _share(row["busy"]),
            _megabytes(row["device_peak_bytes"]),
            _megabytes(row["host_bytes"]),
        )
        for row in sorted(found.get("throughput", ()), key=lambda row: row["batch"])
    ]
    return align(lines) if len(lines) > 1 else ""


def _stages(found: Mapping[str, Any]) -> str:
    """Parts of the chain with the device waited for between them, and the networks alone, beside the roofline."""
    parts, alone = found.get("part_ms", {}), found.get("network_ms", {})
    predicted = (found.get("budget") or {"stages": {}})["stages"]
    lines = [("stage", "ms a page", "predicted of the GPU", "network alone", "predicted of it")]
    for name in parts or alone:
        of_gpu = predicted.get(name, {})
        figures = (parts.get(name), of_gpu.get("gpu_ms_a_page"), alone.get(name), of_gpu.get("network_ms_a_page"))
        lines.append((name, *(_decimal(one, 3) for one in figures)))
    return align(lines) if len(lines) > 1 else ""


def _served(found: Mapping[str, Any]) -> str:
    lines = [
        ("TorchServe, workers", "pages/s", "failed", "GPU busy", "GPU MB", "server MB", "client MB", "p50 ms", "p95 ms")
    ]
    lines += [
        (
            str(row["workers"]),
            f"{row['pages_per_s']:.2f}",
            str(row["failed"]),
            _share(row["busy"]),
            _megabytes(row["device_peak_bytes"]),
            _megabytes(row["server_peak_bytes"]),
            _megabytes(row["client_peak_bytes"]),
            f"{row['latency_ms']['p50']:.1f}",
            f"{row['latency_ms']['p95']:.1f}",
        )
        for row in found.get("served", ())
    ]
    return align(lines) if len(lines) > 1 else ""


def _left_out(found: Mapping[str, Any]) -> str:
    return "\n".join(f"left out: {reason}" for reason in found["left_out"])


def _decimal(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _megabytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.0f}"
