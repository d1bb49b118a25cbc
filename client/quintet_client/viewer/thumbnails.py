"""Thumbnails made on request: a few at a time, each once, the latest kept in memory."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from quintet_client.viewer.data.pictures import NoPictureError, thumbnail
from quintet_client.viewer.data.run import Run

# Sharp at 180 CSS pixels on a screen with two device pixels each.
SIDE_PX = 360
# Half a letter page still has twice as many pixels.
DPI = 72
# What noise of coloured dots makes of a thumbnail is 101 kB, and a JPEG may bring a comment of 66 kB: 84 MB at most.
KEPT = 500


class Thumbnails:
    """Makes the thumbnails of one run; safe to share between threads."""

    def __init__(self, run: Run, kept: int = KEPT) -> None:
        self._run = run
        self._lock = threading.Lock()
        # Pillow decodes outside the interpreter's lock; a large page takes some 100 MB meanwhile.
        self._pool = ThreadPoolExecutor(max_workers=max(2, min(4, os.cpu_count() or 2)), thread_name_prefix="thumbnail")
        self._begun = lru_cache(kept)(lambda page_id, _version: self._pool.submit(self._make, page_id))

    def get(self, page_id: str, version: str) -> bytes | str:
        """Return a page's JPEG once it is made, or why there is none; a page that is read again has another version."""
        with self._lock:
            made = self._begun(page_id, version)
        return made.result()

    def close(self) -> None:
        """Cancel what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _make(self, page_id: str) -> bytes | str:
        try:
            picture, page = self._run.pictures.get(page_id, DPI), self._run.page(page_id)
            return thumbnail(picture, page.orientation.angle_deg if page else 0, SIDE_PX)
        except NoPictureError as error:
            return str(error)
