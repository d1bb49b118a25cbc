"""What the GPU benchmark prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.bench.report import align


def describe(found: Mapping[str, Any]) -> str:
    """All tables that there are figures for."""
    parts = [_head(found), _throughput(found), _stages(found), _latency(found), _served(found), _left_out(found)]
    return "\n\n".join(part for part in parts if part)


def _head(found: Mapping[str, Any]) -> str:
    f1 = f", word F1 {found['word_f1']:.4f}" if "word_f1" in found else ""
    chain = f"{found['engine']} in {found['dtype'].removeprefix('torch.')}, " if "engine" in found else ""
    return (
        f"{chain}{found['different_pages']} different pages ({found['set']}), "
        f"{found['words_per_page']:.0f} words a page{f1}, {found['seconds']:.0f} s in all"
    )


def _throughput(found: Mapping[str, Any]) -> str:
    lines = [("chain in process, batch", "pages/s", "from-to", "GPU busy", "GPU MB", "host MB")]
    lines += [
        (
            str(row["batch"]),
            f"{row['median']:.2f}",
            f"{min(row['pages_per_s']):.2f}-{max(row['pages_per_s']):.2f}",
            _share(row["busy"]),
            _megabytes(row["device_peak_bytes"]),
            _megabytes(row["host_bytes"]),
        )
        for row in sorted(found.get("throughput", ()), key=lambda row: row["batch"])
    ]
    return align(lines) if len(lines) > 1 else ""


def _stages(found: Mapping[str, Any]) -> str:
    """Parts of the chain with the device waited for between them, and the networks alone."""
    if "part_ms" not in found:
        return ""
    lines = [("stage", "ms a page", "pages/s", "network alone ms", "network pages/s")]
    for name, spent in found["part_ms"].items():
        alone = found["network_ms"].get(name)
        lines.append((name, f"{spent:.3f}", _rate(spent), "-" if alone is None else f"{alone:.3f}", _rate(alone)))
    whole, alone = sum(found["part_ms"].values()), sum(found["network_ms"].values())
    lines.append(("all", f"{whole:.3f}", _rate(whole), f"{alone:.3f}", _rate(alone)))
    return align(lines)


def _latency(found: Mapping[str, Any]) -> str:
    if "latency_ms" not in found:
        return ""
    latency = found["latency_ms"]
    return f"one page at a time, in process: p50 {latency['p50']:.1f} ms, p95 {latency['p95']:.1f} ms"


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


def _rate(ms_per_page: float | None) -> str:
    return f"{1000 / ms_per_page:.1f}" if ms_per_page else "-"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _megabytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.0f}"
