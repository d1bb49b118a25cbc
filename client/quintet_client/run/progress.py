"""What a person sees while a run goes: a bar on a terminal, a plain line every few seconds elsewhere, or events."""

import logging
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from quintet_client.run.events import Events
from quintet_client.run.report import Clock, State, Tally

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
        self._since = time.monotonic()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._show(), name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._since = time.monotonic()
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

    def _state(self) -> State:
        return State.of(self._tally, self._clock, self._since)

    def _emit_events(self) -> None:
        while not self._closed.wait(_EVENT_EVERY_S):
            self._events.progress(self._state(), self._under_way.pages, self._under_way.requests)

    def _show_bar(self) -> None:
        with (
            logging_redirect_tqdm(),
            tqdm(
                total=self._tally.inputs - self._tally.skipped,
                file=sys.stderr,
                dynamic_ncols=True,
                bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]",
            ) as bar,
        ):
            bar.start_t -= self._clock.seconds  # the run's time, not the bar's
            ended = False
            while not ended:
                ended = self._closed.wait(_BAR_EVERY_S)
                state = self._state()
                bar.n = state.ok + state.failed
                bar.set_postfix_str(self._words(state))

    def _log_lines(self) -> None:
        while not self._closed.wait(_LINE_EVERY_S):
            state = self._state()
            done = state.ok + state.failed
            _log.info("%d of %d pages, %s", done, done + state.left, self._words(state))

    def _words(self, state: State) -> str:
        left = "waiting for an answer" if state.eta_s is None else f"{tqdm.format_interval(state.eta_s)} left"
        return f"{state.pages_per_s:.2f} pages/s, {left}, {self._under_way}, {state.failed} failed"
