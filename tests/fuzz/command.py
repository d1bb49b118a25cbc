"""`make fuzz`: damaged images through the decoder in a process of its own, and through the real service."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from quintet.operations import service as torchserve

from tests.conftest import ROOT, loopback_properties
from tests.fuzz.decoding import Findings, fuzz_decoder
from tests.fuzz.serving import fuzz_service

RUN_DIR = ROOT / "build" / "fuzz"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; exit code 0 only if nothing died and every input came to a documented end."""
    options = _parser().parse_args(arguments)
    begin = time.monotonic()
    found = {"decoder": fuzz_decoder(options.inputs, options.seed)}
    if options.http:
        found["service"] = _fuzz_a_service(options.http, options.seed, options.folder)
    sys.stdout.write(table(found))
    sys.stdout.write(f"{time.monotonic() - begin:.0f} s, seed {options.seed}\n")
    return 0 if all(some.good for some in found.values()) else 1


def table(found: dict[str, Findings]) -> str:
    """The table for people, and each finding with the number of its input."""
    head = ("through", "inputs", "codes returned", "worker restarts", "undocumented", "peak memory", "slowest")
    rows = [
        (
            where,
            some.inputs,
            ", ".join(f"{count} {code}" for code, count in some.codes.most_common()),
            len(some.deaths),
            len(some.strays),
            f"{some.peak_mb:.0f} MB",
            f"{some.slowest_s:.1f} s",
        )
        for where, some in found.items()
    ]
    text = "".join(f"| {' | '.join(map(str, row))} |\n" for row in [head, ("---",) * len(head), *rows])
    for where, some in found.items():
        text += "".join(f"{where}, input {number}: {what}\n" for number, what in some.strays.items())
        text += f"{where} died: {some.deaths}\n" if some.deaths else ""
    return text


def _fuzz_a_service(inputs: int, seed: int, folder: Path) -> Findings:
    shutil.rmtree(folder, ignore_errors=True)
    service = torchserve.start(folder, properties=loopback_properties())
    try:
        return fuzz_service(service, inputs, seed)
    finally:
        torchserve.stop(service)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="through the decoder")
    parser.add_argument("--http", type=int, default=500, help="through the service; 0 for none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=RUN_DIR, help="the service runs in it; removed first")
    return parser
