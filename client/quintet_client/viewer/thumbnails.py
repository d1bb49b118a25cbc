"""Thumbnails made on request: a few at a time, each once, the latest kept in memory."""

import os
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from quintet_client.viewer.data.pictures import NoPictureError, thumbnail
from quintet_client.viewer.data.run import Run

# Sharp at 180 CSS pixels on a screen with two device pixels each.
SIDE_PX = 360
# Half a letter page still has twice as many pixels.
DPI = 72
# Some three thousand thumbnails.
KEPT_BYTES = 64 * 1024 * 1024


class Thumbnail(NamedTuple):
    """A small JPEG, or why there is none."""

    jpeg: bytes
    reason: str = ""


class Thumbnails:
    """Makes the thumbnails of one run; safe to share between threads."""

    def __init__(self, run: Run, kept_bytes: int = KEPT_BYTES) -> None:
        self._run = run
        self._most = kept_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], Future[Thumbnail]] = OrderedDict()
        # Pillow decodes outside the interpreter's lock; a large page takes some 100 MB meanwhile.
        self._pool = ThreadPoolExecutor(max_workers=max(2, min(4, os.cpu_count() or 2)), thread_name_prefix="thumbnail")

    def get(self, page_id: str, version: str) -> Thumbnail:
        """Return a page's thumbnail, waiting until it is made; a page that is read again has another version."""
        key = (page_id, version)
        with self._lock:
            is_new = key not in self._kept
            if is_new:
                self._kept[key] = self._pool.submit(self._make, page_id)
            self._kept.move_to_end(key)
            waiting = self._kept[key]
        made = waiting.result()
        if is_new:
            self._drop_oldest()
        return made

    def close(self) -> None:
        """Cancel what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _make(self, page_id: str) -> Thumbnail:
        try:
            picture, page = self._run.pictures.get(page_id, DPI), self._run.page(page_id)
            return Thumbnail(thumbnail(picture, page.orientation.angle_deg if page else 0, SIDE_PX))
        except NoPictureError as error:
            return Thumbnail(b"", str(error))

    def _drop_oldest(self) -> None:
        with self._lock:
            done = [key for key, made in self._kept.items() if made.done() and not made.exception()]
            sizes = [len(self._kept[key].result().jpeg) for key in done]
            too_many = sum(sizes) - self._most
            for key, size in zip(done[:-1], sizes, strict=False):
                if too_many > 0:
                    del self._kept[key]
                    too_many -= size
