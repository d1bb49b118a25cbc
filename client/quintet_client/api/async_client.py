"""`AsyncQuintetClient`: what `QuintetClient` does, for asyncio.

The same blocking code, in a bounded pool of threads: a request under way holds one of them. That is honest work for the
tens or hundreds of requests that a service with batches of 64 can use; it is no client for ten thousand connections.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from quintet_client.api.client import (
    DEFAULT_GIVE_UP_S,
    DEFAULT_IN_FLIGHT,
    DEFAULT_PACK,
    DEFAULT_RETRIES,
    Image,
    QuintetClient,
    check_numbers,
)
from quintet_client.api.page_stream import Key
from quintet_client.api.results import PageResult
from quintet_client.cancellation import Cancellation
from quintet_client.errors import InterruptedRunError, PageError
from quintet_client.service.transport import DEFAULT_SERVER, DEFAULT_TIMEOUT_S

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
        check_numbers(in_flight, 1)
        self._client = QuintetClient(server, token_file, timeout_s=timeout_s, retries=retries, give_up_s=give_up_s)
        self._pool = ThreadPoolExecutor(in_flight, "quintet-async")

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
            return await self._call(lambda: self._client.read(image, cancellation=cancellation))
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
        stream = self._client.stream(pages, in_flight, pack)
        try:
            while (end := await self._call(lambda: next(stream, None))) is not None:
                yield end
        finally:
            stream.close()

    def close(self) -> None:
        """Close the connections and let the threads go; answers under way still come."""
        self._client.close()
        self._pool.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _call(self, work: Callable[[], T]) -> T:
        """Do it in one of the threads."""
        self._client.ensure_open()
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
