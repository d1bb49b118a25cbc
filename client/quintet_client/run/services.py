"""Several services that read the pages of one run: each batch goes where there is most room.

Each has its own in-flight limit, which follows its speed, and its own isolation of suspect pages. One that does not
take pages is left alone: what it holds travels on to the others, which costs a page no try, and it is asked in the
background until it answers. The run ends when all have been away for so long that each would have ended a run of its
own.
"""

import itertools
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from quintet_client.cancellation import Cancellation
from quintet_client.errors import ModelMismatchError, NotAuthorisedError, ServerUnreachableError
from quintet_client.run.settings import ReadSettings
from quintet_client.service.batch_request import BatchRequest
from quintet_client.service.delivery import Delivery, GiveUpPolicy, backoff_s
from quintet_client.service.outcomes import Answered, Dropped, Final, NotNow, Trouble, TryFailed, Unauthorised
from quintet_client.service.page import USUAL_LIMITS, Limits, Page, Served
from quintet_client.service.sender import AdaptiveLimit, InFlightLimit
from quintet_client.service.transport import Transport

# A front end holds every body that is under way: the service refuses what goes beyond 432 MiB, a quarter of it kept for
# small requests. Of several services the client holds no more.
MOST_BYTES_IN_FLIGHT = 256 * 1024 * 1024
_POLL_S = 0.2


class _Service(GiveUpPolicy):
    """One service, and whether it takes pages: what its delivery notes, and what it answers when it is asked.

    Attributes:
        away: why nothing is sent there, in words; None while it takes pages.
        given_up: it has been away for so long that a run with this service alone would end.
        asked: a thread asks it whether it is back.
        waits: how often in a row it has been waited for.
    """

    def __init__(self, name: str, transport: Transport, settings: ReadSettings, cancellation: Cancellation) -> None:
        super().__init__(settings.give_up_s, settings.timeout_s, name)
        self.transport = transport
        self.limit = in_flight_limit(settings, cancellation)
        self.away: NotNow | None = None
        self.given_up = False
        self.asked = False
        self.waits = 0
        self._cancellation = cancellation
        self.delivery = Delivery(transport, self, settings.retries, self._wait)

    def reset(self) -> None:
        """Note that it answered a page."""
        super().reset()
        self.waits = 0
        self.take_in()

    def note(self, outcome: NotNow | Dropped | TryFailed) -> None:
        """Note that an attempt came to nothing: unless the page itself may be the cause, the service is away."""
        if isinstance(outcome, TryFailed) and not outcome.silent:
            return
        trouble = (
            outcome if isinstance(outcome, NotNow) else NotNow(outcome.message, busy=isinstance(outcome, TryFailed))
        )
        self.away = trouble
        try:
            super().note(trouble)
        except ServerUnreachableError:
            self.given_up = True

    def take_in(self) -> None:
        """Send pages there again."""
        self.given_up = False
        self.away = None

    def _wait(self, seconds: float) -> bool:
        """Sleep before the next attempt; True at once if pages are to travel on elsewhere."""
        return self.away is not None or self._cancellation.wait(seconds)


class Services:
    """Sees pages through as `Delivery` does, each batch at one of several services; safe to share between threads."""

    def __init__(
        self, transports: Mapping[str, Transport], settings: ReadSettings, cancellation: Cancellation, model: str | None
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            transports: by the address that a person knows the service by.
            settings: of the run.
            cancellation: ends the work early.
            model: fingerprint of the results that OUTPUT holds already.
        """
        self._services = [_Service(name, it, settings, cancellation) for name, it in transports.items()]
        self._cancellation = cancellation
        self._model = model
        self._whose = "OUTPUT holds results of"
        self._limits: Limits | None = None
        self._changed = threading.Condition()
        self._waiting = 0  # pages for which no service has room, or none is there
        self.limit = in_flight_limit(settings, cancellation, fixed=True)  # of all together; bytes are held here

    @property
    def takes_frames(self) -> bool:
        """Whether several pages may travel in one request to any of them."""
        return any(service.transport.takes_frames for service in self._services)

    @property
    def services(self) -> int:
        """How many share what is under way; 1 if all are away."""
        return sum(service.away is None for service in self._services) or 1

    @property
    def waiting(self) -> int:
        """Pages that wait until a service takes them."""
        return self._waiting + sum(service.delivery.waiting for service in self._services)

    @property
    def sent_again(self) -> int:
        """Pages of requests that were lost or broke: some of them are read twice."""
        return sum(service.delivery.sent_again for service in self._services)

    def ask_limits(self) -> Limits:
        """What all of those take that answer, once one does; asks from threads that have ended when this returns.

        Raises:
            ModelMismatchError: they are different models, or not that of OUTPUT.
            NotAuthorisedError, ServerUnreachableError: as for `deliver`.
        """
        found: list[Limits] = []
        for waits in itertools.count(1):
            with ThreadPoolExecutor(len(self._services)) as pool:
                answers = list(pool.map(lambda service: service.transport.ask_limits(), self._services))
            for service, came in zip(self._services, answers, strict=True):
                silent = isinstance(came, TryFailed) and came.silent  # as for one service: its queue is long
                served = Served() if silent else came
                if isinstance(served, Served):
                    self._agree(service, served.model)
                    service.take_in()
                    found.append(served.limits)
                else:
                    self._note(service, served)
            if found or self._cancellation.wait(backoff_s(waits, NotNow(""))):
                break
            self._end_if_all_are_gone()
        self._limits = _smallest(found)
        self._share()
        return self._limits

    def deliver(self, pages: Sequence[Page]) -> Generator[tuple[Page, Final], None, None]:
        """See pages through.

        Yields:
            Each page with its end, as they come; fewer than all if the run is ending.

        Raises:
            ModelMismatchError: one answers with another model than the others, or than OUTPUT holds results of.
            NotAuthorisedError: one refused the token and there is no newer one.
            ServerUnreachableError: all of them kept everybody waiting for too long.
        """
        requests = [BatchRequest(tuple(pages))] if pages else []
        while requests and (service := self._choose(requests[-1])):
            yield from self._see_through(service, requests)

    def _see_through(
        self, service: _Service, requests: list[BatchRequest]
    ) -> Generator[tuple[Page, Final], None, None]:
        """Have the last request read there; what the service does not take is put back."""
        rest = [requests.pop()]
        held = {page.page_id: len(page.body) for page in rest[0].pages}
        begin = time.monotonic()
        try:
            for page, outcome in service.delivery.see_through(rest):
                if isinstance(outcome, Answered):
                    self._agree(service, outcome.model)
                now = time.monotonic()
                service.limit.adapt(now - begin, now)
                service.limit.release(1, held.pop(page.page_id))
                self._share()
                yield page, outcome
        except NotAuthorisedError as error:
            raise NotAuthorisedError(f"{service.name}: {error}") from error
        finally:
            service.limit.release(len(held), sum(held.values()))
            self._share()
        requests += rest

    def _choose(self, request: BatchRequest) -> _Service | None:
        """Wait for room at a service and take it, the one with the largest share of its own; None if the run ends."""
        pages, size_bytes = len(request.pages), sum(len(page.body) for page in request.pages)
        with self._changed:
            while not self._cancellation.cancelled:
                self._ask_those_away()
                self._end_if_all_are_gone()
                roomy = [it for it in self._services if it.away is None and it.limit.fits(pages, size_bytes)]
                if roomy:
                    emptiest = min(roomy, key=lambda service: service.limit.pages / service.limit.most_pages)
                    emptiest.limit.acquire(pages, size_bytes)
                    return emptiest
                self._waiting += pages
                self._changed.wait(_POLL_S)
                self._waiting -= pages
        return None

    def _share(self) -> None:
        """Let as much be under way as all take together that are there, and wake up who waits for room."""
        self.limit.allow(sum(service.limit.most_pages for service in self._services if service.away is None))
        with self._changed:
            self._changed.notify_all()

    def _agree(self, service: _Service, model: str) -> None:
        """Raise ModelMismatchError if a service has another model than the results so far."""
        with self._changed:
            if self._model is None and model:
                self._model, self._whose = model, f"{service.name} has"
            if model and model != self._model:
                raise ModelMismatchError(
                    f"{service.name} has model {model}, {self._whose} {self._model}: results of several are not mixed; "
                    "leave that --server out, or have all serve the same"
                )

    def _note(self, service: _Service, trouble: Trouble) -> None:
        try:
            service.delivery.note(trouble if isinstance(trouble, NotNow | Unauthorised) else NotNow(trouble.message))
        except NotAuthorisedError as error:
            raise NotAuthorisedError(f"{service.name}: {error}") from error

    def _end_if_all_are_gone(self) -> None:
        """Raise ServerUnreachableError if no service has taken a page for so long that each is given up."""
        if all(service.away and service.given_up for service in self._services):
            reasons = "; ".join(f"{service.name}: {service.away.message}" for service in self._services if service.away)
            raise ServerUnreachableError(
                f"no page could be sent to any of {len(self._services)} services for too long ({reasons}); "
                "start them, then run the same command again to go on"
            )

    def _ask_those_away(self) -> None:
        for service in self._services:
            if service.away and not service.asked:
                service.asked = True
                threading.Thread(target=self._ask, args=(service,), name="quintet-ask", daemon=True).start()

    def _ask(self, service: _Service) -> None:
        """Ask a service until it is back; the limits that it names are compared with those of the run."""
        try:
            while (away := service.away) is not None:
                service.waits += 1
                if self._cancellation.wait(backoff_s(service.waits, away)):
                    return
                came = service.transport.ask_limits()
                if isinstance(came, Served):
                    self._agree(service, came.model)
                    came = self._too_small(came.limits) or came
                if isinstance(came, Served):
                    service.take_in()
                else:
                    self._note(service, came)
        except BaseException as error:  # noqa: BLE001 - the thread's outermost boundary; the run ends with it
            self._cancellation.cancel(error)
        finally:
            service.asked = False
            self._share()

    def _too_small(self, limits: Limits) -> NotNow | None:
        """Why a service that comes late is not used: pages are loaded for what the others take."""
        if self._limits is None or _smallest([self._limits, limits]) == self._limits:
            return None
        return NotNow(f"it takes less than the services that the run began with: {limits} instead of {self._limits}")


def in_flight_limit(settings: ReadSettings, cancellation: Cancellation, *, fixed: bool = False) -> InFlightLimit:
    """What bounds the pages under way at one service: it begins with a few, unless they are `--pack`ed or `fixed`."""
    kind = InFlightLimit if settings.pack or fixed else AdaptiveLimit
    return kind(settings.in_flight, MOST_BYTES_IN_FLIGHT, cancellation)


def _smallest(found: Sequence[Limits]) -> Limits:
    """What all of them take; the usual limits if there are none."""
    least = [min(values) for values in zip(*found, strict=True)]
    return Limits(*least)._replace(min_page_side_px=max(it.min_page_side_px for it in found)) if found else USUAL_LIMITS
