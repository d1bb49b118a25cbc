"""Where faults of `quintet batch` happen: a real Ray of two logical nodes, a cheap chain, an S3, commands."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyarrow import BufferReader, parquet
from quintet_client.input.addresses import Address
from quintet_client.output.ledger import Ended, Row
from quintet_client.output.parts.place import PartsPlace

from tests.chaos.stage import wait_until
from tests.client.stores.s3 import BUCKET, Store
from tests.cluster.batching import Batch, ends, session_of
from tests.cluster.nodes import RayNodes
from tests.server.echo_service import pack_echo

BLOCK = 16
NODES = 2
S_PER_PAGE = 0.02
STALL_S = 4
# Of whatever ends with the command, or with its actors.
_GONE_WITHIN_S = 60


@dataclass
class ClusterStage:
    """What all rounds share.

    Attributes:
        nodes: the Ray under test.
        store: the S3; this process, the nodes and the commands have its address in their environment.
        folder: for items, outputs and logs.
        pages: how many good items a round has.
        expected: the ends of an undisturbed run, by page id.
    """

    nodes: RayNodes
    store: Store
    folder: Path
    pages: int
    expected: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.source = self.folder / "in"
        self.source.mkdir(parents=True)
        for number in range(self.pages):
            (self.source / f"p{number:04}.jpg").write_bytes(b"page %d " % number * 20)
        (self.folder / "store").mkdir()
        options = {"chain": "echo_chain:SteadyChain", "s_per_page": S_PER_PAGE}
        self.archive = pack_echo(self.folder / "store", **options) / "quintet.mar"
        self.store.put_folder(self.source, "in")

    def block(self, number: int) -> list[Ended]:
        """The ends of the items of a block of the first pass, as the chain reads them."""
        some = sorted(self.expected)[number * BLOCK : (number + 1) * BLOCK]
        return [self.ended(page_id) for page_id in some]

    def ended(self, page_id: str) -> Ended:
        """The end of an item."""
        known = self.expected[page_id]
        return Ended(Row(*(known[name] for name in Row._fields)), known["result"]["model"], known["document"])


@dataclass
class ClusterRound:
    """One fault in one run, or in as many as it takes.

    Attributes:
        stage: shared by all rounds.
        name: of the folder that holds what the round leaves.
        dice: when and what.
        in_store: whether INPUT and OUTPUT are addresses.
        poison: bodies of items that are expected to fail, by name.
        codes: the codes they have to fail with.
        injected: how often the fault really hit.
        may_repeat: whether an item may be in two parts: what was taken for lost may commit late.
        undo: what is to be undone once the round has been looked at.
    """

    stage: ClusterStage
    name: str
    dice: random.Random
    in_store: bool = False
    poison: dict[str, bytes] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    injected: int = 0
    may_repeat: bool = False
    undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __post_init__(self) -> None:
        self.folder = self.stage.folder / self.name
        self.folder.mkdir(parents=True)

    @property
    def output(self) -> Path | Address:
        """OUTPUT."""
        return Address("s3", BUCKET, self.name) if self.in_store else self.folder / "out"

    @property
    def place(self) -> PartsPlace:
        """The parts of OUTPUT, for whoever reads them or adds to them."""
        return PartsPlace(self.output)

    def parts(self) -> list[str]:
        """The names of the parts there are."""
        return sorted(self.place.parts()) if self.in_store or Path(str(self.output)).exists() else []

    def rows(self) -> Iterator[tuple[str, str | None]]:
        """Page id and result of each row of each part."""
        for name in self.parts():
            yield from self.rows_of(name)

    def rows_of(self, name: str) -> list[tuple[str, str | None]]:
        """Page id and result of each row of a part."""
        with self.place.open_part(name) as file:
            table = parquet.read_table(BufferReader(file.read()), columns=["page_id", "result"])
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def ends(self) -> dict[str, dict[str, Any]]:
        """The ends of all items, by a ledger that is made anew of the parts."""
        return ends(self.output)

    def read(self, name: str) -> bytes:
        """A file of OUTPUT."""
        return self.place.read(name)

    def start(self, *options: object, own_ray: bool = False, cache: str = "cache") -> Batch:
        """Start a command on this round's OUTPUT."""
        nodes = self.stage.nodes
        where = () if own_ray else ("--ray", nodes.address)
        command = Batch(
            Address("s3", BUCKET, "in") if self.in_store else self._source(),
            self.output,
            self.stage.archive,
            *(*where, "--actors", NODES, "--block", BLOCK, "--stall-s", STALL_S, *options),
            environment=nodes.environment,
            folder=self.folder,
            cache=cache,
        )
        self.undo.callback(command.end)
        return command

    def finish(self, command: Batch, *allowed: int, timeout_s: float = 400) -> None:
        """Wait for a command and check how it ended."""
        code = command.ended(timeout_s)
        allowed = allowed or (3 if self.poison else 0,)
        if code not in allowed:
            raise AssertionError(f"exit code {code}, expected {allowed}; {command.said()[-2000:]}")

    def await_moment(self, command: Batch, latest: float = 0.7) -> bool:
        """Wait for a random moment of the run, somewhere before that share of its parts is there.

        Returns:
            Whether the command still runs.
        """
        least = self.dice.uniform(0.0, latest) * self.stage.pages / BLOCK
        wait_until(lambda: not command.alive or (bool(self.stage.nodes.actors()) and len(self.parts()) >= least), 200)
        time.sleep(self.dice.uniform(0.0, 0.5))
        return command.alive

    @contextmanager
    def struck(self, latest: float = 0.7) -> Iterator[Batch]:
        """A command at a random moment of its run; the fault is the body, and the command sees it through."""
        command = self.start()
        alive = self.await_moment(command, latest)
        yield command
        self.injected += alive
        self.finish(command)

    def await_silence(self, session: int) -> None:
        """Wait until the process that talked to Ray, and all that it started, has gone."""
        wait_until(lambda: not session_of(session), _GONE_WITHIN_S)

    def _source(self) -> Path:
        """The items of this round: links to the good ones, and the poison."""
        folder = self.folder / "in"
        if not folder.exists():
            shutil.copytree(self.stage.source, folder, copy_function=lambda item, link: Path(link).hardlink_to(item))
            for name, body in self.poison.items():
                (folder / name).write_bytes(body)
        return folder

    def report(self) -> dict[str, int]:
        """report.json."""
        counts: dict[str, int] = json.loads(self.read("report.json"))
        return counts
