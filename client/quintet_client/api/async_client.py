"""`AsyncQuintetClient`: what `QuintetClient` does, for asyncio.

The same blocking code in a bounded pool of threads, one a request: enough for the tens or hundreds of requests that a
service with batches of 64 can use, not for ten thousand connections.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from quintet.frame.documents import DEFAULT_DPI

from quintet_client.api.client import (
    DEFAULT_GIVE_UP_S,
    DEFAULT_IN_FLIGHT,
    DEFAULT_RETRIES,
    QuintetClient,
    check_numbers,
)
from quintet_client.api.images import File, Image
from quintet_client.api.page_stream import Key
from quintet_client.api.results import DocumentResult, Result
from quintet_client.cancellation import Cancellation
from quintet_client.errors import InterruptedRunError, PageError
from quintet_client.service.batch_request import USUAL_PAGES
from quintet_client.service.transport import DEFAULT_TIMEOUT_S

T = TypeVar("T")


class AsyncQuintetClient:
    """Reads pages through a Quintet service without blocking the event loop. Use it with `async with`, or close it."""

    def __init__(  # noqa: PLR0913 - what the other client takes, and one more
        self,
        server: str | None = None,
        token_file: Path | str | None = None,
        *,
        token: str | None = None,
        model: str | None = None,
        leave_out: Sequence[str] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retries: int = DEFAULT_RETRIES,
        give_up_s: float = DEFAULT_GIVE_UP_S,
        in_flight: int = DEFAULT_IN_FLIGHT,
    ) -> None:
        """Take what `QuintetClient` takes, and how many calls may be under way, each in a thread; others wait."""
        check_numbers(in_flight, 1)
        self._client = QuintetClient(
            server,
            token_file,
            token=token,
            model=model,
            leave_out=leave_out,
            timeout_s=timeout_s,
            retries=retries,
            give_up_s=give_up_s,
        )
        self._pool = ThreadPoolExecutor(in_flight, "quintet-async")

    async def read(self, image: Image) -> Result:
        """Read one page, as `QuintetClient.read` does.

        When the task is cancelled while the page waits for a thread it is never sent; while its request is under way,
        the answer is dropped and nothing is tried again.
        """
        return await self._cancellable(lambda cancellation: self._client.read(image, cancellation=cancellation))

    async def read_document(self, document: File, pages: str = "1-", dpi: int = DEFAULT_DPI) -> DocumentResult:
        """Read pages of a PDF or TIFF, as `QuintetClient.read_document` does; cancelled as `read` is."""
        return await self._cancellable(
            lambda cancellation: self._client.read_document(document, pages, dpi, cancellation=cancellation)
        )

    async def ready(self) -> bool:
        """Whether the service reads pages now, as `QuintetClient.ready` says."""
        return await self._call(self._client.ready)

    async def read_many(
        self, pages: Iterable[tuple[Key, Image]], *, in_flight: int = DEFAULT_IN_FLIGHT, pack: int = USUAL_PAGES
    ) -> AsyncGenerator[tuple[Key, Result | PageError], None]:
        """Read many pages at once, for `async for`, as `QuintetClient.read_many` does.

        `pages` is iterated in a thread, so that it may wait for files; requests have `in_flight` threads of their own.
        """
        stream = self._client.stream(pages, in_flight, pack)
        try:
            while (end := await self._call(lambda: next(stream, None))) is not None:
                yield end
        finally:
            stream.close()

    def close(self) -> None:
        """Close the connections; answers under way still arrive."""
        self._client.close()
        self._pool.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()

    async def _cancellable(self, work: Callable[[Cancellation], T]) -> T:
        cancellation = Cancellation()
        try:
            return await self._call(lambda: work(cancellation))
        except asyncio.CancelledError:
            cancellation.cancel(InterruptedRunError("cancelled"))
            raise

    async def _call(self, work: Callable[[], T]) -> T:
        self._client.ensure_open()
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
