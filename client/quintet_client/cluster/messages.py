"""What the processes of a run tell one another, as records; they are one user's, of one version."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from quintet_client import errors
from quintet_client.errors import QuintetError
from quintet_client.input.source import Part, Source
from quintet_client.output.parts.place import PartsPlace
from quintet_client.service.page import FileStamp, Limits


class Setup(NamedTuple):
    """What holds for the whole run.

    Attributes:
        archive: the chain's, on the machine that starts the run.
        digest: its SHA-256, in hexadecimal.
        parts: where results go.
        leave_out: stages that pages are read without.
        dpi: pixels an inch that pages of PDFs are rendered at.
        password_file: of PDFs, on every node: Ray would store what it is handed, and may log it.
        stall_s: see `BatchSettings`.
        address: of the cluster; None is one of this machine alone.
        actors: see `BatchSettings`, like the next.
        gpus_per_actor: None if that depends on what the nodes have.
        folder: for temporary files of a cluster of this machine.
    """

    archive: Path
    digest: str
    parts: PartsPlace
    leave_out: tuple[str, ...]
    dpi: int
    password_file: Path | None
    stall_s: float
    address: str | None
    actors: int | None
    gpus_per_actor: float | None
    folder: Path


class Share(NamedTuple):
    """What the actors are given."""

    actors: int
    cpus: int  # each, like the next
    gpus: float


class Facts(NamedTuple):
    """What the first process that hosted the chain says of it."""

    model: str  # fingerprint
    schema: str
    limits: Limits
    device: str
    share: Share


class Pass(NamedTuple):
    """Blocks to read; `alone` if each is one item that has died, or may."""

    run: int
    number: int
    first: int  # number of the first block
    blocks: Sequence[Sequence[Source]]
    blocks_a_task: int
    alone: bool


class Trouble(NamedTuple):
    """An error that ends the run, on its way between processes; one without a kind leaves a block to the next pass."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: Exception) -> "Trouble":
        """What becomes of an error."""
        kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__]
        return cls(kinds[0], str(error)) if kinds else cls("QuintetError", f"{type(error).__name__}: {error}")

    def error(self) -> QuintetError:
        """The error again."""
        kind: type[QuintetError] = getattr(errors, self.kind)
        return kind(self.message)


class BlockRead(NamedTuple):
    """A block that came to its end."""

    number: int
    trouble: Trouble | None


class PassEnded(NamedTuple):
    """The end of a pass.

    Attributes:
        error: what Ray raised; empty if it returned as if all were well.
        begun: of a pass alone: the items that were begun, and whether they were stopped for taking too long.
    """

    error: str
    begun: Mapping[str, bool]


Message = Facts | Trouble | BlockRead | PassEnded


def packed(block: Sequence[Source]) -> str:
    """A block for a row of Ray's: in ASCII, as names may hold bytes that are no text."""
    return json.dumps(block)


def unpacked(block: str) -> list[Source]:
    """The block again."""
    sources = [Source(*fields) for fields in json.loads(block)]
    return [
        source._replace(stamp=FileStamp(*source.stamp), part=Part(*source.part) if source.part else None)
        for source in sources
    ]
