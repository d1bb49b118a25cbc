"""What travels in one request, and how it travels on after an outcome that was not its end.

A fault of the server's worker hits every page that shares its batch, and one of them may be the cause. So a request that
was hit becomes a suspect, which travels alone (see `Isolation`); a suspect that is hit again is halved, until the page that
does it stands alone: only that page uses up its tries.
"""

from dataclasses import dataclass, replace

from quintet_client.service.outcomes import Dropped, NotNow, Outcome, PageFailed, TryFailed
from quintet_client.service.transport import Item

# A restart drops a connection once. What is dropped so often in a row has something in it that does it.
DROPS_BEFORE_HALVING = 3


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """Items of one request, and what they have been through together.

    Attributes:
        items: one or more.
        suspect: one of them may have brought a worker down; nothing else may be under way beside them.
        tries: tries used up; counted for single items only.
        drops: how often in a row the connection broke.
        waits: how often they have waited to travel again.
    """

    items: tuple[Item, ...]
    suspect: bool = False
    tries: int = 0
    drops: int = 0
    waits: int = 0

    @property
    def single(self) -> bool:
        """Whether whatever happens to it happens because of one item."""
        return len(self.items) == 1

    def tries_after(self, outcome: Outcome) -> int:
        """Tries used up, this one included if it is the item's own doing; waiting out a restart is not."""
        own = not isinstance(outcome, NotNow | Dropped) and (self.suspect or not _is_shared(outcome))
        return self.tries + (self.single and own)

    def drops_after(self, outcome: Outcome) -> int:
        """How often in a row the connection broke, this time included."""
        return self.drops + 1 if isinstance(outcome, Dropped) else 0

    def after(self, outcome: Outcome) -> "list[BatchRequest]":
        """How the items travel on, the first last: the caller takes requests from the end."""
        counted = replace(self, tries=self.tries_after(outcome), drops=self.drops_after(outcome), waits=self.waits + 1)
        match outcome:
            case TryFailed() if outcome.shared and not self.suspect:
                return [replace(counted, suspect=True)]
            case PageFailed(code="IMAGE_TOO_LARGE") | TryFailed():
                return counted.halves()
            case Dropped() if counted.drops >= DROPS_BEFORE_HALVING:
                return counted.halves()
            case PageFailed():  # the server does not know packed pages
                return singles(self.items)
        return [counted]

    def halves(self) -> "list[BatchRequest]":
        """The same items in two requests; a single item stays as it is."""
        if self.single:
            return [self]
        middle = len(self.items) // 2
        return [replace(self, items=part, drops=0, waits=0) for part in (self.items[middle:], self.items[:middle])]


def singles(items: tuple[Item, ...]) -> list[BatchRequest]:
    """Each item as a request of its own, the first last."""
    return [BatchRequest((item,)) for item in reversed(items)]


def _is_shared(outcome: Outcome) -> bool:
    return isinstance(outcome, TryFailed) and outcome.shared
