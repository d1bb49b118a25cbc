"""Many pages at once for other services: images in, results out as they arrive, bounded work between the two."""

from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from quintet_client.api.results import Result, result_of
from quintet_client.cancellation import Cancellation
from quintet_client.errors import InterruptedRunError, PageError
from quintet_client.service.batch_request import in_batches
from quintet_client.service.delivery import Delivery
from quintet_client.service.outcomes import Final
from quintet_client.service.page import USUAL_LIMITS, Page
from quintet_client.service.sender import InFlightLimit, Sender

# Images held at any time, encoded; a batch more is only taken while there is room for it. Nobody is asked for limits
# here: a service that takes less refuses a batch as too large, and gets it in halves.
MOST_BYTES_A_BATCH = USUAL_LIMITS.max_request_bytes // 2
MOST_BYTES_IN_FLIGHT = 8 * MOST_BYTES_A_BATCH
_POLL_S = 0.1

Key = TypeVar("Key")
Image = TypeVar("Image")


class PageStream(Iterator[tuple[Key, Result | PageError]], Generic[Key]):
    """Iterates over keys and results in the order they arrive. One thread iterates; any may close.

    The iterating thread takes pages from their source and loads them (`load` may raise PageError), while there is room
    for a batch of `batch_size()`, at most `in_flight` pages. `cancellation` is the one that `delivery` listens to.
    """

    def __init__(
        self,
        images: Iterable[tuple[Key, Image]],
        load: Callable[[Image], bytes],
        delivery: Delivery,
        cancellation: Cancellation,
        *,
        in_flight: int,
        batch_size: Callable[[], int],
    ) -> None:
        self._cancellation = cancellation
        self._batch_size = batch_size
        self._keys: dict[str, Key] = {}
        pages = (self._page(str(number), *image, load) for number, image in enumerate(images))
        self._batches = in_batches(pages, batch_size, MOST_BYTES_A_BATCH)
        self._exhausted = False
        self._limit = InFlightLimit(in_flight, MOST_BYTES_IN_FLIGHT, cancellation)
        self._outcomes: SimpleQueue[tuple[Page, Final]] = SimpleQueue()
        self._sender = Sender(
            delivery, self._limit, cancellation, lambda page, outcome, _seconds: self._outcomes.put((page, outcome))
        )

    def __next__(self) -> tuple[Key, Result | PageError]:
        """Wait for the next page; raises QuintetError if the server cannot be reached or refuses the token."""
        while not self._cancellation.cancelled:
            self._fill()
            if not self._keys:
                self.close()
                break
            try:
                page, outcome = self._outcomes.get(timeout=_POLL_S)
            except Empty:
                continue
            self._sender.release(page)
            return self._keys.pop(page.page_id), _result_or_error(outcome)
        cause = self._cancellation.cause
        if cause is None or isinstance(cause, InterruptedRunError):
            raise StopIteration
        raise cause

    def close(self) -> None:
        """Send nothing more, wait for nothing; answers to requests under way are dropped."""
        self._cancellation.cancel(InterruptedRunError("the pages were abandoned"))
        self._sender.close()

    def _fill(self) -> None:
        while not self._exhausted and self._limit.fits(self._batch_size(), MOST_BYTES_A_BATCH):
            batch = next(self._batches, None)
            if batch is None:
                self._exhausted = True
            elif not self._sender.put(batch):
                return

    def _page(self, page_id: str, key: Key, image: Image, load: Callable[[Image], bytes]) -> Page:
        self._keys[page_id] = key
        try:
            return Page(page_id, load(image))
        except PageError as error:
            return Page(page_id, b"", code=error.code, message=error.message)


def _result_or_error(outcome: Final) -> Result | PageError:
    try:
        return result_of(outcome)
    except PageError as error:
        return error
