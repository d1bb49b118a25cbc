"""Thumbnails made when they are asked for: a few at a time, each once, the latest kept in memory."""

import os
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from quintet_client.viewer.originals import NoPictureError
from quintet_client.viewer.pictures import thumbnail
from quintet_client.viewer.run import Run

# Sharp at 180 CSS pixels on a screen with two pixels to one.
SIDE_PX = 360
# Half a letter page still has twice as many pixels.
DPI = 72
# Some three thousand thumbnails.
KEPT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small JPEG, or why there is none."""

    jpeg: bytes
    reason: str = ""


class Thumbnails:
    """Makes the thumbnails of one run; safe to share between threads."""

    def __init__(self, run: Run, kept_bytes: int = KEPT_BYTES) -> None:
        self._run = run
        self._most = kept_bytes
        self._lock = threading.Lock()
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, str], Thumbnail] = OrderedDict()
        self._under_way: dict[tuple[str, str], Future[Thumbnail]] = {}
        # Pillow decodes outside the interpreter's lock; a large page takes some 100 MB meanwhile.
        self._pool = ThreadPoolExecutor(max_workers=max(2, min(4, os.cpu_count() or 2)), thread_name_prefix="thumbnail")

    def get(self, page_id: str, version: str) -> Thumbnail:
        """Return a page's thumbnail, waiting for it if it has to be made.

        Args:
            page_id: the page, as the ledger has it.
            version: changes when the page is read again.
        """
        key = (page_id, version)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            if key not in self._under_way:
                self._under_way[key] = self._pool.submit(self._make, key)
            waiting = self._under_way[key]
        return waiting.result()

    def close(self) -> None:
        """Let go of what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _make(self, key: tuple[str, str]) -> Thumbnail:
        made = Thumbnail(b"", "the image cannot be drawn")
        try:
            made = self._drawn(key[0])
        finally:
            self._keep(key, made)
        return made

    def _drawn(self, page_id: str) -> Thumbnail:
        try:
            picture = self._run.originals.picture(page_id, DPI)
            return Thumbnail(thumbnail(picture, self._run.angle_deg(page_id), SIDE_PX))
        except NoPictureError as error:
            return Thumbnail(b"", str(error))

    def _keep(self, key: tuple[str, str], made: Thumbnail) -> None:
        with self._lock:
            del self._under_way[key]
            self._kept[key] = made
            self._bytes += len(made.jpeg)
            while self._bytes > self._most and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= len(oldest.jpeg)
