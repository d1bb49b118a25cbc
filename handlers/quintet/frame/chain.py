"""What the frame asks of a chain: bodies in, one result or failure each out. Configuration names the class."""

import gc
import importlib
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from quintet.errors import Failure, SettingsError

# Packages announce their chains here, each under a name.
GROUP = "quintet.chains"

# A page of a document: whatever the chain that has opened the document makes of it, for that chain alone.
DocumentPage = Any
# Encoded bytes, a raw picture in shared memory, or a page of what `ReadsDocuments.open_document` has opened.
Body = bytes | memoryview | DocumentPage
Outcome = dict[str, Any] | Failure


class ChainEngine(Protocol):
    """What a chain runs on. A class that names this one as its base inherits what is right without a device."""

    @property
    def device(self) -> object:
        """Its name is shown at start."""

    def pin(self, memory: memoryview) -> bool:
        """Whether the memory is page-locked now; then it is given to `unpin` before it is unmapped."""
        return False

    def unpin(self, memory: memoryview) -> None:
        """Undo it."""

    def memory_bytes(self) -> Mapping[str, int]:
        """Memory of the device by kind."""
        return {}


@runtime_checkable
class Chain(Protocol):
    """Models behind one another. A bad body is a `Failure` and never an exception that its neighbours would feel."""

    schema: str  # name and version of the results' form
    fingerprint: str  # of all that changes answers; results of equal fingerprints can be mixed

    @property
    def engine(self) -> ChainEngine:
        """What it runs on."""

    @property
    def limits(self) -> Mapping[str, int]:
        """What a body may be, by name and with units, for clients to know before they send."""
        return {}

    @classmethod
    def from_options(cls, options: Mapping[str, Any], model_store: Path, device_index: int | None = None) -> Self:
        """The chain that a service's configuration describes: the options of `handler` that are not the frame's.

        Raises:
            SettingsError: an option is unknown or out of range.
            WeightsError: weights are missing or are not what their provenance says.
        """

    def __call__(self, bodies: Sequence[Body]) -> list[Outcome]:
        """One outcome a body, in order, whatever its neighbours are and however many."""

    def warm_up(self) -> None:
        """Do what first calls cost, before the first body comes."""

    def take_stage_seconds(self) -> dict[str, float]:
        """Seconds of each stage since this was asked last."""
        return {}


@runtime_checkable
class HasOptionalStages(Protocol):
    """A chain with stages that a request may leave out. One that has none need not know of this."""

    optional_stages: Sequence[str]  # their names

    def without(self, stages: Collection[str]) -> Chain:
        """The same chain, on the same engine and with one account of its time, without some of its stages.

        Its fingerprint is one of its own, since its results cannot be mixed with those of the whole chain.
        """


@runtime_checkable
class ReadsDocuments(Protocol):
    """A chain that takes documents apart into pages. One that does not need not know of this: it gets them whole."""

    def open_document(
        self, body: bytes, first: int, last: int, dpi: int
    ) -> tuple[int, Mapping[int, DocumentPage | Failure]] | Failure | None:
        """Look into a document; nothing is rendered yet.

        Args:
            body: of a request.
            first: number of the first page to read, from 1.
            last: of the last; the document may end before.
            dpi: pixels an inch to render at, where pages have no resolution of their own.

        Returns:
            How many pages there are and those to read by number, in order; why there are none; or None if the body is
            no document.
        """


def make_ready(chain: Chain) -> None:
    """Warm a chain up, and have Python's collector leave alone what is loaded then, in this process, for ever.

    To look at all of that in each full collection takes as long as a GPU takes for a page.
    """
    chain.warm_up()
    gc.collect()
    gc.freeze()


def chain_names() -> dict[str, str]:
    """The chains that installed packages announce: their `module:Class` by name."""
    return {point.name: point.value for point in entry_points(group=GROUP)}


def find_chain(name: str) -> type[Chain]:
    """The class that a name stands for: `module:Class`, or one of `chain_names`.

    Raises:
        SettingsError: there is none, in words for whoever wrote the name.
    """
    known = chain_names()
    module, _, attribute = known.get(name, name).partition(":")
    try:
        chain: type[Chain] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"there is no chain {name!r} ({error}); give module:Class of a package on the path, or one of "
            f"{', '.join(sorted(known))}"
        ) from error
    return chain
