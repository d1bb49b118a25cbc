"""`QuintetClient`: images in, results or typed errors out. For other services; needs no torch."""

import errno
import math
import os
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

from quintet.frame.frames import MAX_ITEMS

from quintet_client.api.page_stream import Key, PageStream
from quintet_client.api.results import Result, result_of
from quintet_client.cancellation import Cancellation
from quintet_client.errors import PageError, UsageError
from quintet_client.input.regular_files import MAX_FILE_BYTES, read_regular, why_not
from quintet_client.service.batch_request import USUAL_PAGES
from quintet_client.service.delivery import Delivery, GiveUpPolicy
from quintet_client.service.isolation import Isolation
from quintet_client.service.page import Page
from quintet_client.service.tokens import tokens_of
from quintet_client.service.transport import DEFAULT_MODEL, DEFAULT_SERVER, DEFAULT_TIMEOUT_S, HttpTransport

Image = bytes | bytearray | memoryview | str | os.PathLike[str]

# A service with less memory than a bulk machine: a batch of 64 images in two requests' worth of time.
DEFAULT_IN_FLIGHT = 64
DEFAULT_GIVE_UP_S = 30.0
DEFAULT_RETRIES = 3


class QuintetClient:
    """Reads pages through a Quintet service; safe to share between threads. Use it with `with`, or close it.

    All requests of a client share what they learn: a page that kills its worker is identified whichever thread sent it,
    and a server that has been away for `give_up_s` is given up for all.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        token_file: Path | str | None = None,
        *,
        model: str = DEFAULT_MODEL,
        leave_out: Sequence[str] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retries: int = DEFAULT_RETRIES,
        give_up_s: float = DEFAULT_GIVE_UP_S,
    ) -> None:
        """Check the arguments; nothing is sent yet.

        Args:
            server: base URL of the inference address.
            token_file: plain token or TorchServe's key_file.json; None sends no token.
            model: name of the served model to ask.
            leave_out: stages to read pages without, such as `layout`; one that the model cannot do without is a
                `PageError` (INVALID_PARAMETER).
            timeout_s: longest silence of the server within one request.
            retries: tries of a page that kills or stalls its worker.
            give_up_s: longest time without reaching the server.

        Raises:
            UsageError: the URL or a name is none, the token file holds no token, or a number is out of range.
        """
        for name, value in (("timeout_s", timeout_s), ("give_up_s", give_up_s)):
            if not 0 < value < math.inf:
                raise UsageError(f"{name} is {value}; give seconds above 0")
        _at_least_1("retries", retries)
        self._transport = HttpTransport(server, tokens_of(token_file), timeout_s, model, leave_out)
        self._give_up = GiveUpPolicy(give_up_s, timeout_s)
        self._isolation = Isolation()
        self._retries = retries
        self._closed = threading.Event()

    def read(self, image: Image, *, cancellation: Cancellation | None = None) -> Result:
        """Read one page.

        Args:
            image: one encoded image (JPEG, PNG, TIFF, WebP or BMP), or the path of its file.
            cancellation: cancelled from elsewhere, it abandons the page between its requests.

        Returns:
            A `PageResult`, or the JSON object of a model that answers in another schema than quintet.page/1.

        Raises:
            PageError: this page cannot be read; its `code` says why.
            ServerUnreachableError: the server was unreachable for `give_up_s`.
            NotAuthorisedError: the server refused the token.
            UsageError: the client is closed.
        """
        self.ensure_open()
        cancellation = cancellation or Cancellation()
        with closing(self._delivery(cancellation).deliver([Page("page", load(image))])) as ends:
            for _page, outcome in ends:
                return result_of(outcome)
        raise cancellation.cause or AssertionError("a page was abandoned without a cause")

    def read_many(
        self, pages: Iterable[tuple[Key, Image]], *, in_flight: int = DEFAULT_IN_FLIGHT, pack: int = USUAL_PAGES
    ) -> Generator[tuple[Key, Result | PageError], None, None]:
        """Read many pages at once; yields each key with its result or error as they arrive, in any order.

        Pages are taken from the iterable as there is room for them, so that it may be endless; closing the generator
        abandons the rest.

        Args:
            pages: keys of any kind, and images as for `read`.
            in_flight: most pages under way.
            pack: most pages a request, where the server takes several; a request leaves when it is full.

        Raises:
            UsageError: a number is out of range.
            ServerUnreachableError, NotAuthorisedError: as for `read`, while iterating.
        """
        check_numbers(in_flight, pack)
        return self._each(pages, in_flight, pack)

    def _each(
        self, pages: Iterable[tuple[Key, Image]], in_flight: int, pack: int
    ) -> Generator[tuple[Key, Result | PageError], None, None]:
        with closing(self.stream(pages, in_flight, pack)) as stream:
            yield from stream

    def stream(self, pages: Iterable[tuple[Key, Image]], in_flight: int, pack: int) -> PageStream[Key]:
        """What `read_many` iterates over, but one that any thread may close; raises as `read_many` does."""
        check_numbers(in_flight, pack)
        self.ensure_open()
        cancellation, most = Cancellation(), min(pack, in_flight)
        return PageStream(
            pages,
            load,
            self._delivery(cancellation),
            cancellation,
            in_flight=in_flight,
            batch_size=lambda: most if self._transport.takes_frames else 1,
        )

    def ensure_open(self) -> None:
        """Raise UsageError if the client is closed."""
        if self._closed.is_set():
            raise UsageError("this client is closed; make another one")

    def close(self) -> None:
        """Take no more pages, and close the connections; answers under way still arrive."""
        self._closed.set()
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _delivery(self, cancellation: Cancellation) -> Delivery:
        return Delivery(self._transport, self._give_up, self._retries, cancellation.wait, self._isolation)


def check_numbers(in_flight: int, pack: int) -> None:
    """Raise UsageError if one of `read_many`'s numbers is out of range."""
    _at_least_1("in_flight", in_flight)
    _at_least_1("pack", pack)
    if pack > MAX_ITEMS:
        raise UsageError(f"pack is {pack}; a request holds at most {MAX_ITEMS} pages")


def load(image: Image) -> bytes:
    """The bytes of an image; raises PageError (UNREADABLE_FILE, IMAGE_TOO_LARGE) where its file cannot be sent."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    try:
        return read_regular(os.fspath(image), MAX_FILE_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        code = "IMAGE_TOO_LARGE" if getattr(error, "errno", None) == errno.EFBIG else "UNREADABLE_FILE"
        raise PageError(code, f"{os.fspath(image)}: {why_not(error)}") from error


def _at_least_1(name: str, value: int) -> None:
    if value < 1:
        raise UsageError(f"{name} is {value}; the least allowed is 1")
