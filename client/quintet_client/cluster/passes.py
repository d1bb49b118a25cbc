"""The passes of a run: blocks of 64, then 8, then single items, each over what the parts do not hold yet.

Ray may lose what it was given, silently, and hang, silently: what counts is what the parts hold, and a pass in which no
part comes for too long is ended. An item is blamed only if it was alone with its process, three times.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from quintet_client.cancellation import Cancellation
from quintet_client.cluster.job import JobDiedError, RayJob
from quintet_client.cluster.messages import BlockRead, Facts, Pass, PassEnded, Trouble
from quintet_client.cluster.settings import TRIES, call_s
from quintet_client.errors import QuintetError
from quintet_client.input.source import Source
from quintet_client.output.ledger import Ended, Row
from quintet_client.output.parts.index import PartsLedger
from quintet_client.output.parts.output import PartsOutput
from quintet_client.output.parts.place import part_name
from quintet_client.output.parts.rows import encode_part

# A process that reads them one behind another reads the pages of the next while the chain has those of one.
BLOCKS_A_TASK = 4
SMALL_BLOCK = 8
# What is handed to Ray at a time; it keeps about 100 bytes an item.
WINDOW_BLOCKS = 4096
# Without a part and without a row for twice as long as a call may take, and as long as actors may take to start, a pass
# is over.
_QUIET_CALLS = 2
START_S = 300.0
_POLL_S = 0.5
# Taking in new parts may take one second in so many.
_SYNC_SHARE = 20
_FIRST_ALONE = 3
_log = logging.getLogger(__name__)


class Passes:
    """Brings items to their end; what has been begun and has none is `pages`, read by `requests` actors."""

    def __init__(
        self,
        output: PartsOutput,
        run: int,
        todo: Sequence[Source],
        stall_s: float,
        cancellation: Cancellation,
        on_rows: Callable[[Sequence[Row]], None],
    ) -> None:
        """Prepare.

        Args:
            output: the claimed OUTPUT.
            run: its number there.
            todo: what has no end yet.
            stall_s: see `BatchSettings`.
            cancellation: ends the run early.
            on_rows: told of the ends of items, once each, when a part holds them.
        """
        self._output = output
        self._run = run
        self._left = {source.page_id: source for source in todo}
        self._stall_s = stall_s
        self._cancellation = cancellation
        self._on_rows = on_rows
        self._taken: set[str] = set()
        self._sync_at = 0.0
        self._died: Counter[str] = Counter()
        self._stalled: Counter[str] = Counter()
        self._number = 0
        self._said = ""
        self._job: RayJob | None = None
        self.pages = 0
        self.requests = 0

    def __str__(self) -> str:
        return f"pass {self._number} with {self.requests} actors"

    def read(self, block: int, start: Callable[[], tuple[RayJob, Facts]]) -> None:
        """Run the passes, of `block` items a block at first.

        Args:
            block: most items of a block.
            start: starts the process that talks to Ray; called again when it was ended.
        """
        try:
            for number, size in self._sizes(block):
                for order in self._orders(number, size):
                    self._run_pass(order, start)
            if not self._cancellation.cancelled:
                self._blame()
        except QuintetError as error:
            self._cancellation.cancel(error)
        finally:
            self._close()

    def _sizes(self, block: int) -> Iterator[tuple[int, int]]:
        yield 1, block
        if block > SMALL_BLOCK:
            yield 2, SMALL_BLOCK
        for number in range(_FIRST_ALONE, _FIRST_ALONE + TRIES):
            yield number, 1

    def _orders(self, number: int, size: int) -> Iterator[Pass]:
        """What is left, in blocks of that size, as much as Ray is given at a time."""
        self._number = number
        sources = list(self._left.values())
        if number > 1 and sources:
            _log.warning("pass %d: %d pages have no end yet, read again %d at a time", number, len(sources), size)
        alone = number >= _FIRST_ALONE
        blocks = [sources[start : start + size] for start in range(0, len(sources), size)]
        for first in range(0, len(blocks), WINDOW_BLOCKS):
            if not self._cancellation.cancelled:
                some = blocks[first : first + WINDOW_BLOCKS]
                yield Pass(self._run, number, first, some, 1 if alone else BLOCKS_A_TASK, alone)

    def _run_pass(self, order: Pass, start: Callable[[], tuple[RayJob, Facts]]) -> None:
        """Have a pass run, by the process that talks to Ray, or a new one if the last was ended."""
        if self._job is None:
            self._job, facts = start()
            self.requests = facts.share.actors
        before, self.pages = len(self._left), sum(map(len, order.blocks))
        try:
            ended = self._watch(self._job, order)
        except JobDiedError as error:
            _log.warning("%s: what is missing is read in the next pass", error)
            ended = None
        self._take_in()
        self.pages = 0
        if ended is None:
            self._close()
        else:
            self._judge(order, ended, read=before - len(self._left))

    def _judge(self, order: Pass, ended: PassEnded, read: int) -> None:
        """Count who ended a process alone; raises QuintetError if the pass was for nothing."""
        for page_id in ended.begun.keys() & self._left.keys():
            self._died[page_id] += 1
            self._stalled[page_id] += ended.begun[page_id]
        if ended.error:
            _log.warning("Ray ended pass %d: %s", order.number, ended.error)
            if not read:
                raise QuintetError(f"nothing could be read in pass {order.number}: {ended.error}")

    def _close(self) -> None:
        if self._job is not None:
            self._job.close()
            self._job = None

    def _watch(self, job: RayJob, order: Pass) -> PassEnded | None:
        """Take in what comes until the pass ends; None if it was ended here, as the run's end or for silence."""
        job.send(order)
        most_s = START_S + _QUIET_CALLS * call_s(self._stall_s, len(order.blocks[0]))
        heard_at = time.monotonic()
        while not self._cancellation.cancelled:
            match job.receive(_POLL_S):
                case PassEnded() as ended:
                    return ended
                case BlockRead(trouble=trouble):
                    heard_at = time.monotonic()
                    if trouble is not None:
                        self._note(trouble)
                case Trouble() as trouble:
                    self._note(trouble)
            if time.monotonic() >= self._sync_at and self._take_in():
                heard_at = time.monotonic()
            if time.monotonic() - heard_at > most_s:
                _log.warning("pass %d has been silent for %.0f s and is ended", order.number, most_s)
                return None
        return None

    def _note(self, trouble: Trouble) -> None:
        """Raise what ends the run; keep what may have to be said at its end."""
        if trouble.kind:
            raise trouble.error()
        if not self._said:
            _log.warning("a block is left to the next pass: %s", trouble.message)
        self._said = f" ({trouble.message})"

    def _take_in(self) -> int:
        """Have the ledger know the new parts; returns how many items came to their end."""
        begin = time.monotonic()
        self._output.sync()
        with PartsLedger.open(self._output.ledger) as ledger:
            found = ledger.rows_of_run(self._run, self._taken)
        self._taken |= found.keys()
        # An item may be in two parts: whoever was thought lost has committed late.
        rows = [row for part in found.values() for row in part if self._left.pop(row.page_id, None) is not None]
        self.pages = max(0, self.pages - len(rows))
        self._on_rows(rows)
        now = time.monotonic()
        self._sync_at = now + max(_POLL_S, _SYNC_SHARE * (now - begin))
        return len(rows)

    def _blame(self) -> None:
        """Fail the items that ended their process each time; say of the others that they have no end."""
        guilty = [page_id for page_id, died in self._died.items() if page_id in self._left and died >= TRIES]
        if guilty:
            ends = [Ended(self._failure(page_id)) for page_id in guilty]
            name = part_name(self._run, str(_FIRST_ALONE + TRIES), 0)
            self._output.place.commit(name, encode_part(ends), self._run)
            self._take_in()
        if self._left:
            raise QuintetError(
                f"{len(self._left)} pages have no end, such as {next(iter(self._left))}: Ray lost them, or its "
                f"processes were lost{self._said}; run again to go on"
            )

    def _failure(self, page_id: str) -> Row:
        source, died = self._left[page_id], self._died[page_id]
        if self._stalled[page_id] == died:
            code, what = "TIMEOUT", f"the chain did not return within {call_s(self._stall_s, 1):.0f} s"
        else:
            code, what = "WORKER_DIED", "the process that read it died"
        return Row(page_id, "failed", died, code, f"{what} (tried {died} times)", *source.stamp)
