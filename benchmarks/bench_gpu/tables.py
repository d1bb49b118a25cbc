"""What the GPU benchmark prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.bench.report import align


def describe(found: Mapping[str, Any]) -> str:
    """All tables that there are figures for."""
    tables = (_head, _variants, _peer, _stages, _served, _throughput, _left_out)
    return "\n\n".join(part for part in (table(found) for table in tables) if part)


def _head(found: Mapping[str, Any]) -> str:
    return (
        f"{found['different_pages']} different pages ({found['set']}), {found['words_per_page']:.0f} words a page, "
        f"{found['seconds']:.0f} s in all"
    )


def _variants(found: Mapping[str, Any]) -> str:
    """One setting changed at a time, with what it costs in words beside single precision."""
    head = ("chain in process", "format", "pages/s", "p50 ms", "p95 ms", "GPU busy", "GPU MB", "start s")
    lines = [(*head, "word F1", "lines alike", "gate")]
    lines += [
        (
            row["title"],
            row["dtype"],
            f"{row['median']:.2f}",
            f"{row['latency_ms']['p50']:.1f}",
            f"{row['latency_ms']['p95']:.1f}",
            _share(row["busy"]),
            _megabytes(row["device_peak_bytes"]),
            f"{row['start_s']:.1f}",
            f"{row['word_f1']:.4f}",
            _share(row.get("identical_share")),
            {True: "passes", False: "FAILS"}.get(row.get("passes"), "-"),
        )
        for row in found["variants"]
    ]
    return align(lines)


def _peer(found: Mapping[str, Any]) -> str:
    """The ratio that the whole project is about, on this machine."""
    if "peer_pages_per_s" not in found:
        return ""
    seed = found["peer_pages_per_s"]
    fastest = max([row["median"] for row in found["variants"]] + [row["pages_per_s"] for row in found["served"]])
    return f"the seed's script: {seed:.2f} pages/s; the fastest row here is {fastest / seed:.1f} times as fast"


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
