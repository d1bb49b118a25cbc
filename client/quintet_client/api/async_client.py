"""`AsyncQuintetClient`: what `QuintetClient` does, for asyncio.

The same blocking code, in a bounded pool of threads: a request under way holds one of them. That is honest work for the
tens or hundreds of requests that a service with batches of 64 can use; it is no client for ten thousand connections.
"""

import asyncio
import weakref
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from quintet_client.api.page_reader import (
    DEFAULT_GIVE_UP_S,
    DEFAULT_IN_FLIGHT,
    DEFAULT_PACK,
    DEFAULT_RETRIES,
    Image,
    PageReader,
    check_room,
)
from quintet_client.api.page_stream import Key
from quintet_client.api.results import PageResult
from quintet_client.cancellation import Cancellation, Stage
from quintet_client.errors import InterruptedRunError, PageError
from quintet_client.run.settings import DEFAULT_SERVER, DEFAULT_TIMEOUT_S

T = TypeVar("T")


class AsyncQuintetClient:
    """Reads pages through a Quintet service without blocking the event loop. Use it with `async with`, or close it."""

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        token_file: Path | str | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retries: int = DEFAULT_RETRIES,
        give_up_s: float = DEFAULT_GIVE_UP_S,
        in_flight: int = DEFAULT_IN_FLIGHT,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            server: as for `QuintetClient`, like all but the last.
            token_file: likewise.
            timeout_s: likewise.
            retries: likewise.
            give_up_s: likewise.
            in_flight: most calls under way, which is threads; the others wait for one.

        Raises:
            UsageError: as for `QuintetClient`.
        """
        check_room(in_flight, 1)
        self._reader = PageReader(server, token_file, timeout_s=timeout_s, retries=retries, give_up_s=give_up_s)
        self._threads: Stage[Callable[[], None]] = Stage(
            _do, threads=in_flight, room=0, cancellation=Cancellation(), drops_on_cancel=False
        )
        weakref.finalize(self, self._threads.dismiss)  # for those who forget to close

    async def read(self, image: Image) -> PageResult:
        """Read one page.

        When the task is cancelled while the page waits for a thread it is never sent; while its request is under way,
        the answer is dropped and nothing is tried again.

        Args:
            image: as for `QuintetClient.read`.

        Raises:
            PageError, ServerUnreachableError, NotAuthorisedError: as for `QuintetClient.read`.
        """
        cancellation = Cancellation()
        try:
            return await self._call(lambda: self._reader.read(image, cancellation))
        except asyncio.CancelledError:
            cancellation.cancel(InterruptedRunError("cancelled"))
            raise

    async def read_many(
        self, pages: Iterable[tuple[Key, Image]], *, in_flight: int = DEFAULT_IN_FLIGHT, pack: int = DEFAULT_PACK
    ) -> AsyncGenerator[tuple[Key, PageResult | PageError], None]:
        """Read many pages at once, for `async for`.

        Args:
            pages: as for `QuintetClient.read_many`; taken in a thread, so that it may wait for files.
            in_flight: most pages under way, in threads of their own.
            pack: most pages a request, where the server takes several.

        Yields:
            Each key with its result or error, in the order they come.

        Raises:
            UsageError, ServerUnreachableError, NotAuthorisedError: as for `QuintetClient.read_many`.
        """
        stream = self._reader.stream(pages, in_flight, pack)
        try:
            while (end := await self._call(lambda: next(stream, None))) is not None:
                yield end
        finally:
            stream.close()

    def close(self) -> None:
        """Close the connections and let the threads go; answers under way still come."""
        self._reader.close()
        self._threads.dismiss()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _call(self, work: Callable[[], T]) -> T:
        """Do it in one of the threads."""
        self._reader.ensure_open()  # whose threads may be gone otherwise, and nobody would come for the work
        future: Future[T] = Future()
        self._threads.put(lambda: _settle(future, work))
        return await asyncio.wrap_future(future)


def _do(job: Callable[[], None]) -> None:
    job()


def _settle(future: "Future[T]", work: Callable[[], T]) -> None:
    """Do the work, unless nobody waits for it any more."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - the thread's outermost boundary; raised in the task that waits
        future.set_exception(error)
