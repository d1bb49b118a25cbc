"""What `QuintetClient` and `AsyncQuintetClient` have in common: seeing pages, one or many, to their ends."""

import math
import os
import threading
from collections.abc import Iterable
from pathlib import Path

from quintet.frame.frames import MAX_ITEMS

from quintet_client.api.page_stream import Key, PageStream
from quintet_client.api.results import PageResult, parse_page
from quintet_client.cancellation import Cancellation
from quintet_client.errors import PageError, UsageError
from quintet_client.service.delivery import Delivered, Delivery, GiveUpPolicy
from quintet_client.service.isolation import Isolation
from quintet_client.service.outcomes import PageFailed
from quintet_client.service.tokens import FixedToken, TokenFile
from quintet_client.service.transport import HttpTransport, Item

Image = bytes | bytearray | memoryview | str | os.PathLike[str]

# A service with less memory than a bulk machine: a batch of 64 images in two requests' worth of time.
DEFAULT_IN_FLIGHT = 64
DEFAULT_PACK = 16
DEFAULT_GIVE_UP_S = 30.0
DEFAULT_RETRIES = 3
# Four times what the service takes: a larger file is not read into memory to be refused.
MAX_FILE_BYTES = 256 * 1024 * 1024


class PageReader:
    """Reads pages through one server; safe to share between threads.

    All requests share one isolation, so that a page that kills its worker is found out whoever sent it, and one give_up: a
    server that has been away for `give_up_s` is given up by everybody at once.
    """

    def __init__(
        self, server: str, token_file: Path | str | None, *, timeout_s: float, retries: int, give_up_s: float
    ) -> None:
        for name, value in (("timeout_s", timeout_s), ("give_up_s", give_up_s)):
            if not 0 < value < math.inf:
                raise UsageError(f"{name} is {value}; give seconds above 0")
        _at_least_1("retries", retries)
        tokens = TokenFile(Path(token_file)) if token_file else FixedToken()
        self._transport = HttpTransport(server, tokens, timeout_s)
        self._give_up = GiveUpPolicy(give_up_s, timeout_s)
        self._isolation = Isolation()
        self._retries = retries
        self._closed = threading.Event()

    def read(self, image: Image, cancellation: Cancellation) -> PageResult:
        """Read one page.

        Args:
            image: its bytes, or the path of its file.
            cancellation: pulled from elsewhere, it abandons the page as soon as nothing of it is under way.

        Raises:
            PageError: this page cannot be read.
            QuintetError: the server cannot be reached or refuses the token; the client is closed.
        """
        self.ensure_open()
        delivered = self._delivery(cancellation).deliver(Item("page", load(image)))
        if delivered is None:
            raise cancellation.cause or AssertionError("a page was abandoned without a cause")
        return result_of(delivered)

    def stream(self, pages: Iterable[tuple[Key, Image]], in_flight: int, pack: int) -> PageStream[Key]:
        """Begin to read many pages.

        Args:
            pages: keys of the caller's own and images, taken as there is room for them.
            in_flight: most pages under way.
            pack: most pages a request.

        Raises:
            UsageError: a number is out of range; the client is closed.
        """
        check_room(in_flight, pack)
        self.ensure_open()
        cancellation = Cancellation()
        delivery, most = self._delivery(cancellation), min(pack, in_flight)
        return PageStream(
            pages,
            load,
            lambda items: ((item, result_or_error(end)) for item, end in delivery.deliver_all(items)),
            cancellation=cancellation,
            in_flight=in_flight,
            pack_size=lambda: most if self._transport.takes_packs else 1,
        )

    def close(self) -> None:
        """Take no more pages, and close the connections; answers under way still come."""
        self._closed.set()
        self._transport.close()

    def _delivery(self, cancellation: Cancellation) -> Delivery:
        return Delivery(self._transport, self._give_up, self._retries, cancellation.wait, self._isolation)

    def ensure_open(self) -> None:
        """Check that the client is open.

        Raises:
            UsageError: it is closed.
        """
        if self._closed.is_set():
            raise UsageError("this client is closed; make another one")


def check_room(in_flight: int, pack: int) -> None:
    """Check the two numbers of `read_many`.

    Raises:
        UsageError: one is out of range.
    """
    _at_least_1("in_flight", in_flight)
    _at_least_1("pack", pack)
    if pack > MAX_ITEMS:
        raise UsageError(f"pack is {pack}; a request holds at most {MAX_ITEMS} pages")


def load(image: Image) -> bytes:
    """The bytes of an image.

    Raises:
        PageError: its file cannot be read (UNREADABLE_FILE) or is too large to be sent (IMAGE_TOO_LARGE).
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    path = Path(image)
    try:
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise PageError("IMAGE_TOO_LARGE", f"{path} has {size} bytes; at most {MAX_FILE_BYTES} are sent")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise PageError("UNREADABLE_FILE", f"{path}: {getattr(error, 'strerror', None) or error}") from error


def result_of(delivered: Delivered) -> PageResult:
    """The page, or its error raised.

    Raises:
        PageError: the page could not be read.
    """
    outcome = delivered.outcome
    if isinstance(outcome, PageFailed):
        raise PageError(outcome.code, outcome.message, outcome.request_id)
    return parse_page(outcome)


def result_or_error(delivered: Delivered) -> PageResult | PageError:
    """The page, or its error as a value: among many pages a bad one is data."""
    try:
        return result_of(delivered)
    except PageError as error:
        return error


def _at_least_1(name: str, value: int) -> None:
    if value < 1:
        raise UsageError(f"{name} is {value}; the least allowed is 1")
