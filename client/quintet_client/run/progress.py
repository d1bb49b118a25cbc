"""What a person sees while a run goes: a bar on a terminal, a plain line every few seconds elsewhere, or events."""

import logging
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from quintet_client.run.events import Events
from quintet_client.run.report import Clock, Tally

_BAR_EVERY_S = 0.5
_LINE_EVERY_S = 5.0
_EVENT_EVERY_S = 1.0
_log = logging.getLogger(__name__)


class UnderWay(Protocol):
    """What has been begun and has no end yet."""

    @property
    def pages(self) -> int:
        """How many pages."""

    @property
    def requests(self) -> int:
        """In how many requests, or by how many actors."""

    def __str__(self) -> str:
        """The same in words."""


class Progress:
    """Shows what has its end and what is under way, from a thread of its own until closed."""

    def __init__(self, tally: Tally, clock: Clock, events: Events, under_way: UnderWay) -> None:
        self._tally = tally
        self._clock = clock
        self._events = events
        self._under_way = under_way
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._show(), name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()

    def _show(self) -> Callable[[], None]:
        if self._events.wanted:
            return self._emit_events
        return self._show_bar if sys.stderr.isatty() else self._log_lines

    def _emit_events(self) -> None:
        while not self._closed.wait(_EVENT_EVERY_S):
            self._events.progress(self._tally, self._clock, self._under_way.pages, self._under_way.requests)

    def _show_bar(self) -> None:
        tally = self._tally
        with (
            logging_redirect_tqdm(),
            tqdm(total=tally.inputs - tally.skipped, unit="page", file=sys.stderr, dynamic_ncols=True) as bar,
        ):
            ended = False
            while not ended:
                ended = self._closed.wait(_BAR_EVERY_S)
                bar.set_postfix_str(f"{self._under_way}, {tally.failed} failed", refresh=False)
                bar.update(tally.ok + tally.failed - bar.n)
                bar.refresh()

    def _log_lines(self) -> None:
        tally = self._tally
        while not self._closed.wait(_LINE_EVERY_S):
            done, left = tally.ok + tally.failed, tally.left
            rate = done / self._clock.seconds
            eta = f"{left / rate:.0f} s left" if rate else "waiting for the first answer"
            _log.info(
                "%d of %d pages, %.2f pages/s, %d failed, %s, %s",
                *(done, done + left, rate, tally.failed, self._under_way, eta),
            )
