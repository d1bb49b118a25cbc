"""A chain without networks, hosted in the real frame: says what it was given, or fails as its body asks."""

import os
import time
import zlib
from types import SimpleNamespace

from quintet.errors import Code, Failure


class EchoChain:
    schema = "echo/1"
    fingerprint = "echo"
    engine = SimpleNamespace(device="nothing")

    def __init__(self, s_per_call=0.0, s_per_page=0.0):
        self._s_per_call = s_per_call
        self._s_per_page = s_per_page

    @classmethod
    def from_options(cls, options, model_store, device_index=None):
        return cls(**options)

    def __call__(self, bodies):
        if any(body.startswith(b"KILL") for body in bodies):
            os._exit(1)
        if any(body.startswith(b"RAISE") for body in bodies):
            raise RuntimeError("asked for")
        time.sleep(self._s_per_call + self._s_per_page * len(bodies))
        return [_echo(body, len(bodies)) for body in bodies]


def _echo(body, pages):
    if not body:
        return Failure(Code.EMPTY_BODY, "the body has no bytes")
    return {"crc": zlib.crc32(body), "bytes": len(body), "pages_in_call": pages}
