"""Damaged images through the real service: what it answers, whether its workers live, what memory they take."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from quintet.errors import HTTP_STATUS, Code
from quintet.frame import frames
from quintet.operations import service as torchserve

from tests.fuzz.bombs import BOMBS
from tests.fuzz.decoding import OK, Findings
from tests.fuzz.mutations import Mutator

_PACK = 8
_TIMEOUT_S = 900


def fuzz_service(service: torchserve.Service, inputs: int, seed: int) -> Findings:
    """Send so many inputs of a seed, half of them in frames, and what is made to cost much, one by one.

    Inputs begin with number 1,000,000, where `fuzz_decoder` never gets; the others with 0.
    """
    mutator, found = Mutator(seed), Findings()
    before = worker_pids(service)
    numbers = range(1_000_000, 1_000_000 + inputs)
    packs = [numbers[at : at + _PACK] for at in range(0, inputs // 2, _PACK)]
    singles = [[number] for number in numbers[sum(map(len, packs)) :]]
    with ThreadPoolExecutor(_PACK) as threads:
        for some in threads.map(lambda pack: _send(service, pack, map(mutator.input, pack)), [*packs, *singles]):
            found.add(some)
    for number, make in enumerate(BOMBS.values()):
        found.add(_send(service, [number], [make()]))
    found.deaths += sorted(set(before) - set(worker_pids(service)))
    found.peak_mb = max(peak_mb(pid) for pid in worker_pids(service))
    return found


def worker_pids(service: torchserve.Service) -> list[int]:
    """The processes of the workers, once all of them are ready."""
    ends_at = time.monotonic() + 60
    while set(service.workers()) != {"READY"} and time.monotonic() < ends_at:
        time.sleep(0.2)
    return [worker["pid"] for worker in service.description()["workers"]]


def peak_mb(pid: int) -> float:
    """The largest resident memory that a process has had."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(status["VmHWM"].split()[0]) / 1024


def _send(service: torchserve.Service, numbers: Sequence[int], inputs: Iterable[bytes]) -> Findings:
    """One request: an image as it is, or a frame of several."""
    bodies, found, begin = list(inputs), Findings(), time.monotonic()
    packed = len(bodies) > 1
    headers = {
        "Authorization": f"Bearer {service.token('inference')}",
        "Content-Type": frames.MEDIA_TYPE if packed else "application/octet-stream",
    }
    sent = frames.pack_pages(bodies) if packed else bodies[0]
    url = f"{service.inference_url}/predictions/quintet"
    answer = requests.post(url, data=sent, headers=headers, timeout=_TIMEOUT_S)
    for number, (status, body) in zip(numbers, _pages(answer, len(bodies)), strict=True):
        code = _code(status, body)
        found.inputs += 1
        found.codes[code or "?"] += 1
        if code is None:
            found.strays[number] = f"HTTP {status}: {body[:200]!r}"
    found.slowest_s = time.monotonic() - begin
    return found


def _pages(answer: requests.Response, count: int) -> Iterator[tuple[int, bytes]]:
    """Status and body of each page of a request."""
    if answer.status_code == 200 and frames.is_packed(answer.headers["Content-Type"]):
        yield from ((page.status, page.body) for page in frames.unpack_answers(answer.content))
    else:
        yield from [(answer.status_code, answer.content)] * count


def _code(status: int, body: bytes) -> str | None:
    """What an answer says, None if that is nothing documented."""
    document = json.loads(body)
    if status == 200:
        return OK if document["schema"] in {"quintet.page/1", "quintet.document/1"} else None
    code = document.get("error", {}).get("code")
    return code if code in set(Code) and HTTP_STATUS[Code(code)] == status else None
