"""The process that decodes images: `codec_processes.py` starts it, asks it, and replaces it when it dies.

Hostile images can crash native code, stall it or make it take all memory; here that costs one page. Imports neither
NumPy nor PyTorch, so that a process has 20 MB and starts in a fifth of a second.
"""

import contextlib
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from quintet.errors import PageError
from quintet.pixels.codec_messages import Reply, Request, receive_request, send_reply
from quintet.pixels.images import load_words, open_image

_STATM = Path("/proc/self/statm")


class Limits(NamedTuple):
    """What an image may be, as `ImageLimits` has it."""

    max_body_bytes: int
    max_page_pixels: int
    min_page_side_px: int


def main(limits: Limits) -> None:
    """Answer until the worker closes the socket or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    peer = socket.socket(fileno=0)
    while True:
        try:
            request, body, descriptors = receive_request(peer)
        except EOFError:
            return
        with _bounded(request):
            reply = _answer(bytes(body), request, descriptors, limits)
        for descriptor in descriptors:
            os.close(descriptor)
        del body
        send_reply(peer, reply)


def _answer(body: bytes, request: Request, descriptors: list[int], limits: Limits) -> Reply:
    """What the header says, or the size of what was decoded, or why there is neither."""
    try:
        opened = open_image(body, limits)
        if not descriptors:
            return Reply(*opened.size_px, opened.is_plain_jpeg, opened.decode_bytes)
        with mmap.mmap(descriptors[0], request.length, offset=request.begin) as shared, memoryview(shared) as memory:
            return Reply(*load_words(opened.image, memory))
    except PageError as error:
        return Reply(code=error.failure.code, message=error.failure.message)


@contextlib.contextmanager
def _bounded(request: Request) -> Iterator[None]:
    """Bound what one request takes: time, at whose end the system kills this process, and memory, which is refused."""
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    held = int(_STATM.read_bytes().split()[0]) * resource.getpagesize()
    wanted = held + request.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))
    signal.setitimer(signal.ITIMER_PROF, request.cpu_ms / 1000)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main(Limits(*map(int, sys.argv[1:])))
