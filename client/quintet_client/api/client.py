"""`QuintetClient`: images in, results or typed errors out. For other services; needs no torch."""

import math
import os
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

from quintet.errors import Code
from quintet.frame.documents import DEFAULT_DPI, LEAST_DPI, MOST_DPI, PAGE_RANGE
from quintet.frame.frames import DPI_HEADER, MAX_ITEMS, PAGES_HEADER

from quintet_client.api.images import File, Image, load, load_file
from quintet_client.api.page_stream import Key, PageStream
from quintet_client.api.results import DocumentResult, Result, document_of, result_of
from quintet_client.cancellation import Cancellation
from quintet_client.errors import PageError, UsageError
from quintet_client.service.batch_request import USUAL_PAGES
from quintet_client.service.delivery import Delivery, GiveUpPolicy
from quintet_client.service.isolation import Isolation
from quintet_client.service.outcomes import Answered, Final, PageFailed, Unauthorised
from quintet_client.service.page import Page
from quintet_client.service.status import PROBE_PAGE
from quintet_client.service.tokens import TOKEN_FILE_VARIABLE, FixedToken, TokenSource, tokens_of
from quintet_client.service.transport import (
    DEFAULT_MODEL,
    DEFAULT_SERVER,
    DEFAULT_TIMEOUT_S,
    MODEL_VARIABLE,
    SERVER_VARIABLE,
    HttpTransport,
)

# A service with less memory than a bulk machine: a batch of 64 images in two requests' worth of time.
DEFAULT_IN_FLIGHT = 64
DEFAULT_GIVE_UP_S = 30.0
DEFAULT_RETRIES = 3
READY_WITHIN_S = 10.0


class QuintetClient:
    """Reads pages through a Quintet service; safe to share between threads. Use it with `with`, or close it.

    All requests of a client share what they learn: a page that kills its worker is identified whichever thread sent it,
    and a server that has been away for `give_up_s` is given up for all.
    """

    def __init__(
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
    ) -> None:
        """Check the arguments; nothing is sent yet.

        Args:
            server: base URL of the inference address; None for that of QUINTET_SERVER, or of this machine.
            token_file: a file with the token alone, or the server's key_file.json, which is read again when the server
                refuses what was in it.
            token: the token itself. Without either QUINTET_TOKEN_FILE or QUINTET_TOKEN counts, or none is sent.
            model: name of the served model to ask; None for that of QUINTET_MODEL, or `quintet`.
            leave_out: stages to read pages without, such as `layout`; one that the model cannot do without is a
                `PageError` (INVALID_PARAMETER).
            timeout_s: longest silence of the server within one request.
            retries: tries of a page that kills or stalls its worker.
            give_up_s: longest time without reaching the server.

        Raises:
            UsageError: the URL or a name is none, there are two tokens, or none in the file, or a number is out of
                range.
        """
        for name, value in (("timeout_s", timeout_s), ("give_up_s", give_up_s)):
            if not 0 < value < math.inf:
                raise UsageError(f"{name} is {value}; give seconds above 0")
        _at_least_1("retries", retries)
        self._transport = HttpTransport(
            _given(server, SERVER_VARIABLE, DEFAULT_SERVER),
            _tokens(token_file, token),
            timeout_s,
            _given(model, MODEL_VARIABLE, DEFAULT_MODEL),
            leave_out,
        )
        self._give_up = GiveUpPolicy(give_up_s, timeout_s)
        self._isolation = Isolation()
        self._retries = retries
        self._closed = threading.Event()

    def read(self, image: Image, *, cancellation: Cancellation | None = None) -> Result:
        """Read one page.

        Args:
            image: one encoded image (JPEG, PNG, TIFF, WebP, BMP, GIF, JPEG 2000, AVIF or HEIF), the path of its file, a
                picture of Pillow, or an array (H, W, 3) uint8 in RGB.
            cancellation: cancelled from elsewhere, it abandons the page between its requests.

        Returns:
            A `PageResult`, or the JSON object of a model that answers in another schema than quintet.page/1.

        Raises:
            PageError: this page cannot be read; its `code` says why.
            ServerUnreachableError: the server was unreachable for `give_up_s`.
            NotAuthorisedError: the server refused the token.
            UsageError: the client is closed.
        """
        return result_of(self._end_of(lambda: Page("page", load(image)), cancellation))

    def read_document(
        self,
        document: File,
        pages: str = "1-",
        dpi: int = DEFAULT_DPI,
        *,
        cancellation: Cancellation | None = None,
    ) -> DocumentResult:
        """Read pages of a PDF or TIFF, which the service takes apart.

        Args:
            document: its bytes, or the path of its file. An image is a document of one page.
            pages: the number of a page, such as `3`, or a range, `1-10` or `5-`.
            dpi: pixels an inch that pages of PDFs are rendered at.
            cancellation: as of `read`.

        Raises:
            PageError: no page can be read, or more are asked for than the service reads in one request; a page that
                cannot be read is a `PageError` among the pages.
            UsageError: the pages or the resolution are none, or the client is closed.
            ServerUnreachableError, NotAuthorisedError: as for `read`.
        """
        if not PAGE_RANGE.fullmatch(pages):
            raise UsageError(f"pages is {pages!r}; give the number of a page, such as '3', or a range, '1-10' or '5-'")
        if not LEAST_DPI <= dpi <= MOST_DPI:
            raise UsageError(f"dpi is {dpi}; allowed are {LEAST_DPI} to {MOST_DPI}")
        asked = ((PAGES_HEADER, pages), (DPI_HEADER, str(dpi)))
        return document_of(self._end_of(lambda: Page("document", load_file(document), document=asked), cancellation))

    def ready(self) -> bool:
        """Whether the service reads pages now: it is sent one, and has 10 seconds.

        Raises:
            NotAuthorisedError: the server refused the token.
            UsageError: the client is closed.
        """
        self.ensure_open()
        outcome = self._transport.read(Page("ready", PROBE_PAGE), READY_WITHIN_S)
        if isinstance(outcome, Unauthorised):
            self._delivery(Cancellation()).note(outcome)  # which raises
        refused = isinstance(outcome, PageFailed) and outcome.code in set(Code)  # by a model of other things
        return refused or isinstance(outcome, Answered)

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

    def _end_of(self, load_page: Callable[[], Page], cancellation: Cancellation | None) -> Final:
        """See one page through, which is loaded if the client is open."""
        self.ensure_open()
        cancellation = cancellation or Cancellation()
        with closing(self._delivery(cancellation).deliver([load_page()])) as ends:
            for _page, outcome in ends:
                return outcome
        raise cancellation.cause or AssertionError("a page was abandoned without a cause")

    def _delivery(self, cancellation: Cancellation) -> Delivery:
        return Delivery(self._transport, self._give_up, self._retries, cancellation.wait, self._isolation)


def _given(value: str | None, variable: str, default: str) -> str:
    """What was given, or stands in the environment."""
    return (os.environ.get(variable) or default) if value is None else value


def _tokens(token_file: Path | str | None, token: str | None) -> TokenSource:
    if token is not None and token_file is not None:
        raise UsageError("there are a token and a token_file; give one of them")
    return tokens_of(token_file or os.environ.get(TOKEN_FILE_VARIABLE)) if token is None else FixedToken(token)


def check_numbers(in_flight: int, pack: int) -> None:
    """Raise UsageError if one of `read_many`'s numbers is out of range."""
    _at_least_1("in_flight", in_flight)
    _at_least_1("pack", pack)
    if pack > MAX_ITEMS:
        raise UsageError(f"pack is {pack}; a request holds at most {MAX_ITEMS} pages")


def _at_least_1(name: str, value: int) -> None:
    if value < 1:
        raise UsageError(f"{name} is {value}; the least allowed is 1")
