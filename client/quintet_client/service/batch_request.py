"""What travels in one request, and how it travels on after an outcome that was not its end.

A fault of the server's worker hits every page in its batch, and one of them may be the cause. So a request that was hit
becomes a suspect, which travels alone (see `Isolation`); a suspect that is hit again is halved until the guilty page
stands alone: only that page uses up its tries.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from quintet_client.service.outcomes import Dropped, NotNow, Outcome, PageFailed, TryFailed
from quintet_client.service.page import Page

# Pages a request, where nobody gives a number: see the measurements in docs/wire.md.
USUAL_PAGES = 16
# A restart drops a connection once. What is dropped so often in a row has something in it that does it.
DROPS_BEFORE_HALVING = 3


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """The pages of one request, and what they have been through together.

    Attributes:
        pages: one or more.
        suspect: one of them may have brought a worker down; nothing else may be under way beside them.
        tries: tries used up; counted for single pages only.
        drops: how often in a row the connection broke.
        waits: how often they have waited to travel again.
    """

    pages: tuple[Page, ...]
    suspect: bool = False
    tries: int = 0
    drops: int = 0
    waits: int = 0

    @property
    def single(self) -> bool:
        """Whether whatever happens to it happens because of one page."""
        return len(self.pages) == 1

    def tries_after(self, outcome: Outcome) -> int:
        """Tries used up, this one included if it is the page's own doing; waiting out a restart is not."""
        shared = isinstance(outcome, TryFailed) and outcome.shared
        own = not isinstance(outcome, NotNow | Dropped) and (self.suspect or not shared)
        return self.tries + (self.single and own)

    def drops_after(self, outcome: Outcome) -> int:
        """How often in a row the connection broke, this time included."""
        return self.drops + 1 if isinstance(outcome, Dropped) else 0

    def after(self, outcome: Outcome) -> "list[BatchRequest]":
        """How the pages travel on, the first last: the caller takes requests from the end."""
        counted = replace(self, tries=self.tries_after(outcome), drops=self.drops_after(outcome), waits=self.waits + 1)
        match outcome:
            case TryFailed() if outcome.shared and not self.suspect:
                return [replace(counted, suspect=True)]
            case PageFailed(code="IMAGE_TOO_LARGE") | TryFailed():
                return counted._halves()
            case Dropped() if counted.drops >= DROPS_BEFORE_HALVING:
                return counted._halves()
            case PageFailed():  # the server does not know frames
                return singles(self.pages)
        return [counted]

    def _halves(self) -> "list[BatchRequest]":
        if self.single:
            return [self]
        middle = len(self.pages) // 2
        return [replace(self, pages=part, drops=0, waits=0) for part in (self.pages[middle:], self.pages[:middle])]


def singles(pages: tuple[Page, ...]) -> list[BatchRequest]:
    """Each page in a request of its own, the first last."""
    return [BatchRequest((page,)) for page in reversed(pages)]


def in_batches(pages: Iterable[Page], size: Callable[[], int], most_bytes: int) -> Iterator[list[Page]]:
    """Neighbouring pages in batches of at most `size()` pages and `most_bytes`, all of them once.

    Args:
        pages: in the order they come.
        size: asked for every page: a server may turn out to take one page a request only.
        most_bytes: of a batch; a larger page travels alone.
    """
    batch: list[Page] = []
    held = 0
    for page in pages:
        if batch and (len(batch) >= size() or held + len(page.body) > most_bytes):
            yield batch
            batch, held = [], 0
        batch.append(page)
        held += len(page.body)
        if len(batch) >= size():
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
