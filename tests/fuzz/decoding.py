"""Damaged images through `decode_image` in a process of its own: what it says, whether it dies, its memory."""

from __future__ import annotations

import multiprocessing
import os
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from quintet.errors import PageError
from quintet.pages.settings import Settings
from quintet.pixels.images import decode_image

from tests.fuzz.mutations import Mutator

OK = "ok"
# One input may be as large as a page gets and still be damaged at its very end.
MOST_S_PER_INPUT = 60.0
_REPORT_EVERY = 200


def peak_memory_mb() -> float:
    """Peak resident memory of this process; getrusage's would begin with that of the process it was started from."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


@dataclass
class Findings:
    """What became of the inputs.

    Attributes:
        inputs: how many were tried.
        codes: how many came to which code.
        deaths: numbers of the inputs at which the process died or did not come to an end.
        strays: what was raised that is no `PageError`, by input.
        peak_mb: peak resident memory of the process.
        slowest_s: the longest that one input took.
    """

    inputs: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    deaths: list[int] = field(default_factory=list)
    strays: dict[int, str] = field(default_factory=dict)
    peak_mb: float = 0.0
    slowest_s: float = 0.0

    @property
    def good(self) -> bool:
        """Whether nothing died and nothing was undocumented."""
        return not (self.deaths or self.strays)

    def add(self, other: Findings) -> None:
        """Take over what another process found."""
        self.inputs += other.inputs
        self.codes += other.codes
        self.deaths += other.deaths
        self.strays |= other.strays
        self.peak_mb = max(self.peak_mb, other.peak_mb)
        self.slowest_s = max(self.slowest_s, other.slowest_s)


def fuzz_decoder(inputs: int, seed: int) -> Findings:
    """Decode so many inputs of a seed; a process that dies is followed by one that goes on behind the input."""
    found, begin = Findings(), 0
    while begin < inputs:
        begin = _run_from(begin, inputs, seed, found)
    return found


def _run_from(begin: int, inputs: int, seed: int, found: Findings) -> int:
    """Decode in one process; returns the first input that it has not come to."""
    context = multiprocessing.get_context("spawn")
    at = context.Value("q", begin)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_decode_all, args=(begin, inputs, seed, at, theirs))
    process.start()
    theirs.close()
    last, since = begin, time.monotonic()
    while process.is_alive() or ours.poll():
        if ours.poll(0.2):
            try:
                found.add(ours.recv())
            except EOFError:
                break
        if at.value != last:
            last, since = at.value, time.monotonic()
        elif time.monotonic() - since > MOST_S_PER_INPUT:
            process.kill()
    process.join()
    if process.exitcode == 0:
        return inputs
    if process.exitcode == 1:
        raise RuntimeError("the fuzzer itself failed, see above")
    found.deaths.append(at.value)
    return int(at.value) + 1


def _decode_all(begin: int, inputs: int, seed: int, at, report: Connection) -> None:
    """The process: tells its findings now and then, so that they are not lost with it."""
    warnings.simplefilter("ignore")
    mutator, settings, found = Mutator(seed), Settings(), Findings()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff and libjpeg write what they think of each image
    for number in range(begin, inputs):
        at.value = number
        _decode(mutator.input(number), number, settings, found)
        if found.inputs >= _REPORT_EVERY:
            found.peak_mb = peak_memory_mb()
            report.send(found)
            found = Findings()
    found.peak_mb = peak_memory_mb()
    report.send(found)


def _decode(body: bytes, number: int, settings: Settings, found: Findings) -> None:
    begin = time.monotonic()
    try:
        decode_image(body, settings)
        code = OK
    except PageError as error:
        code = error.failure.code.value
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        code = type(error).__name__
        found.strays[number] = repr(error)[:200]
    found.inputs += 1
    found.codes[code] += 1
    found.slowest_s = max(found.slowest_s, time.monotonic() - begin)
