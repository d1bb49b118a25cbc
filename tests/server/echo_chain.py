"""Chains without networks, hosted in the real frame: they say what they were given, or fail as their body asks."""

import gc
import os
import time
import zlib

import numpy as np
from quintet.errors import Code, Failure, PageError, WeightsError
from quintet.frame.chain import Chain, ChainEngine
from quintet.pixels.images import decode_image
from quintet.pixels.raw_pictures import read_raw
from quintet.pixels.settings import ImageSettings


class NoEngine(ChainEngine):
    device = "nothing"


class EchoChain(Chain):
    schema = "echo/1"
    engine = NoEngine()

    def __init__(self, s_per_call=0.0, s_per_page=0.0, fingerprint="echo"):
        self.fingerprint = fingerprint
        self._s_per_call = s_per_call
        self._s_per_page = s_per_page

    @classmethod
    def from_options(cls, options, model_store, device_index=None):
        return cls(**options)

    def warm_up(self):
        pass

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


class SteadyChain(EchoChain):
    """Says what depends on the page alone, so that runs can be compared; a page may also stall its worker."""

    def __call__(self, bodies):
        if any(body.startswith(b"STALL") for body in bodies):
            time.sleep(3600)
        answers = super().__call__(bodies)
        return [answer if isinstance(answer, Failure) else answer | {"pages_in_call": None} for answer in answers]


class PlacedChain(SteadyChain):
    """Says as well which device it was given, its process, and whether the collector leaves alone what that loaded."""

    @classmethod
    def from_options(cls, options, model_store, device_index=None):
        chain = cls(**options)
        chain._place = {"device_index": device_index, "pid": os.getpid()}
        return chain

    def __call__(self, bodies):
        said = self._place | {"frozen": gc.get_freeze_count() > 10_000}
        return [answer if isinstance(answer, Failure) else answer | said for answer in super().__call__(bodies)]


class FailingChain(EchoChain):
    """Cannot be loaded, as one whose weights are wrong, or that has not enough memory."""

    @classmethod
    def from_options(cls, options, model_store, device_index=None):
        if options:
            raise MemoryError
        raise WeightsError("a network is not what was pinned")


class PixelChain(EchoChain):
    """Decodes its pages, as the real one does on a host, and says what it saw: the same however a page came."""

    def __call__(self, bodies):
        time.sleep(self._s_per_call + self._s_per_page * len(bodies))
        return [_seen(body, ImageSettings()) for body in bodies]


def _seen(body, settings):
    try:
        if isinstance(body, memoryview):
            raw = read_raw(body, settings)
            size_px, words = raw.size_px, raw.words
        else:
            image = decode_image(body, settings)
            size_px, words = image.size, np.frombuffer(image.tobytes("raw", "RGBX"), np.int32)
    except PageError as error:
        return error.failure
    return {"size_px": size_px, "crc": zlib.crc32(words & 0xFFFFFF)}
