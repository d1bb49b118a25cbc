"""Where faults happen: a real TorchServe around a cheap chain or any packed one, items, clients, OUTPUTs."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests
from quintet.operations import service as torchserve
from quintet.operations.locations import model_store
from quintet.operations.names import DEFAULT_CHAIN, model_name
from quintet_client.output.ledger import Ledger

from tests.clients import Client
from tests.conftest import loopback_properties
from tests.family import WORKER, processes_below
from tests.server.echo_service import pack_echo, without_torch
from tests.unit.documents.made_documents import drawn, pdf_of

# A batch of all that is under way takes 24 x 15 ms; a worker that is silent for so long is stalled.
RESPONSE_TIMEOUT_S = 3
S_PER_PAGE = 0.015
DOCUMENT_PAGES = 12
OPTIONS = ("--in-flight", 24, "--pack", 4, "--batch", 16, "--loaders", 1, "--retries", 2, "--give-up-s", 300)
# Of a slow chain: what is under way at the beginning must not be all there is.
FEW_AT_ONCE = ("--in-flight", 6, "--pack", 2)
_TORCHSERVE = {
    "batchSize": 64,
    # Gathering for so long, the worker is often killed in the midst of it.
    "maxBatchDelay": 40,
    "minWorkers": 1,
    "maxWorkers": 1,
    "responseTimeout": RESPONSE_TIMEOUT_S,
}
_ENTERED = """
CREATE TABLE IF NOT EXISTS entered (page_id TEXT, state TEXT);
CREATE TRIGGER IF NOT EXISTS enter AFTER INSERT ON pages WHEN NEW.state IN ('ok', 'failed')
BEGIN INSERT INTO entered VALUES (NEW.page_id, NEW.state); END;
"""


class Server:
    """One TorchServe that can be killed and started again under the same addresses."""

    def __init__(
        self, folder: Path, chain: str = "", cheap: Mapping[str, object] | None = None, **torchserve_options: int
    ) -> None:
        """Start it with a chain as `quintet models` has packed it; without one, with a cheap chain and these options.

        Args:
            folder: for what it needs and writes.
            chain: name of the packed one.
            cheap: options of the cheap chain.
            torchserve_options: that it is served with.
        """
        self._run_dir = folder / "run"
        self._store = folder / "store"
        self._store.mkdir(parents=True)
        self._chain = chain or DEFAULT_CHAIN
        self.model = model_name(self._chain)
        if chain:
            for name in (f"{self.model}.mar", f"{self.model}.mar.sha256"):
                shutil.copy2(model_store() / name, self._store)
        else:
            options = {"chain": "echo_chain:SteadyChain", "s_per_page": S_PER_PAGE, **(cheap or {})}
            pack_echo(self._store, {**_TORCHSERVE, **torchserve_options}, **options)
        # A chain with networks loads them, on a busy machine for a minute.
        self._environment, self._ready_within_s = ({}, 300) if chain else (without_torch(folder), 60)
        self._properties = loopback_properties()
        self.start()

    @property
    def port(self) -> int:
        """Where pages are sent."""
        return int(self.service.inference_url.rpartition(":")[2])

    def start(self) -> None:
        """Start, and return when a page has been read."""
        self.service = torchserve.start(
            self._run_dir,
            chains=[self._chain],
            properties=self._properties,
            model_store=self._store,
            environment=self._environment,
        )

    def stop(self) -> None:
        """As `make stop` does it."""
        torchserve.drain(self.service)
        torchserve.stop(self.service)

    def kill(self) -> None:
        """Kill the front end and its workers at once."""
        with contextlib.suppress(psutil.NoSuchProcess):  # it may have ended
            front = psutil.Process(self.service.pid)
            family = [front, *front.children(recursive=True)]
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(family, timeout=30)

    def workers(self) -> list[psutil.Process]:
        """The workers' processes."""
        return processes_below(self.service.pid, WORKER)

    def wait_until_ready(self) -> None:
        """Wait until all workers are ready."""
        wait_until(lambda: set(self.service.workers()) == {"READY"}, self._ready_within_s)

    @contextmanager
    def archive_replaced(self, body: bytes) -> Iterator[None]:
        """Have other bytes in the archive's place."""
        archive = self._store / f"{self.model}.mar"
        good = archive.read_bytes()
        archive.write_bytes(body)
        try:
            yield
        finally:
            archive.write_bytes(good)

    def rotate_token(self) -> None:
        """Have TorchServe write a new inference token into its key file."""
        headers = {"Authorization": f"Bearer {self.service.token('API')}"}
        url = f"{self.service.management_url}/token?type=inference"
        requests.get(url, headers=headers, timeout=10).raise_for_status()


@dataclass
class Stage:
    """What all rounds share.

    Attributes:
        server: the service under test.
        folder: for pages, outputs and logs.
        pages: how many a round has, those of the document counted, the poisonous ones not.
        away_s: how long the server is gone in that fault.
        items: files that the pages are made of, again and again; without them they are noise and a PDF.
        expected: the answers of an undisturbed run.
    """

    server: Server
    folder: Path
    pages: int
    away_s: float
    items: Sequence[Path] = ()
    expected: dict[str, bytes] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        """The folder of good pages."""
        return self.folder / "in"

    def write_pages(self) -> None:
        """Write the pages: copies of the items, or noise of 1 to 20 KB, always the same, and a PDF."""
        for number in range(3):
            (self.source / f"part{number}").mkdir(parents=True)
        if self.items:
            for number in range(self.pages):
                item = self.items[number % len(self.items)]
                shutil.copy2(item, self.source / f"part{number % 3}" / f"page{number:04}{item.suffix}")
        else:
            self._draw_pages()

    def _draw_pages(self) -> None:
        dice = random.Random(1)
        for number in range(self.pages - DOCUMENT_PAGES):
            path = self.source / f"part{number % 3}" / f"page{number:04}.jpg"
            path.write_bytes(b"%d " % number + dice.randbytes(dice.randrange(1_000, 20_000)))
        scans = [drawn(f"scan {number}") for number in range(DOCUMENT_PAGES)]
        (self.source / "part1" / "page-scans.pdf").write_bytes(pdf_of(scans))


@dataclass
class Round:
    """One fault in one run.

    Attributes:
        stage: shared by all rounds.
        name: of the folder that holds what the round leaves.
        dice: when and what.
        poison: bodies of pages that are expected to fail, by name.
        codes: the codes they may fail with.
        injected: how often the fault really hit.
        url: where the client finds the server.
        undo: what is to be undone once the round has been looked at.
    """

    stage: Stage
    name: str
    dice: random.Random
    poison: dict[str, bytes] = field(default_factory=dict)
    codes: frozenset[str] = frozenset({"WORKER_DIED"})
    injected: int = 0
    url: str = ""
    undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __post_init__(self) -> None:
        self.folder = self.stage.folder / self.name
        self.output = self.folder / "out"
        self.url = self.stage.server.service.inference_url
        self.output.mkdir(parents=True)

    @property
    def server(self) -> Server:
        """The service under test."""
        return self.stage.server

    @property
    def source(self) -> Path:
        """The pages of this round: links to the good ones, and the poison."""
        if not self.poison:
            return self.stage.source
        folder = self.folder / "in"
        if not folder.exists():
            shutil.copytree(self.stage.source, folder, copy_function=lambda page, link: Path(link).hardlink_to(page))
            for name, body in self.poison.items():
                (folder / name).write_bytes(body)
        return folder

    def start(self, *options: object, output: Path | None = None) -> Client:
        """Start a client on this round's OUTPUT, whose ledger notes every end that is entered."""
        if not (self.output / "ledger.sqlite").exists():
            with Ledger.open(self.output / "ledger.sqlite"):
                pass
            with contextlib.closing(sqlite3.connect(self.output / "ledger.sqlite")) as ledger:
                ledger.executescript(_ENTERED)
        where = ("--server", self.url, "--token-file", self.server.service.token_file, "--model", self.server.model)
        few = FEW_AT_ONCE if self.stage.items else ()
        arguments = ("read", self.source, output or self.output, *where, *OPTIONS, *few, *options)
        client = Client(arguments, self.folder / "client.log")
        self.undo.callback(client.end)
        return client

    def finish(self, client: Client, *allowed: int, timeout_s: float = 300) -> None:
        """Wait for a client and check how it ended."""
        code = client.wait(timeout_s)
        allowed = allowed or (3 if self.poison else 0,)
        if code not in allowed:
            raise AssertionError(f"exit code {code}, expected {allowed}; {client.said()[-2000:]}")

    def await_moment(self, client: Client, latest: float = 0.7) -> bool:
        """Wait for a random moment of the run, somewhere before that share of its pages is done.

        Returns:
            Whether the client still runs.
        """
        share = self.dice.uniform(0.0, latest)
        wait_until(lambda: not client.alive or count_answers(self.output) >= share * self.stage.pages)
        time.sleep(self.dice.uniform(0.0, 0.12))
        return client.alive

    @contextmanager
    def struck(self, *options: object, latest: float = 0.7, counted: bool = True) -> Iterator[Client]:
        """A client at a random moment of its run; the fault is the body, and the client sees it through."""
        client = self.start(*options)
        alive = self.await_moment(client, latest)
        yield client
        self.injected += alive and counted
        self.finish(client)


def count_answers(output: Path) -> int:
    """How many answers are in place."""
    pages = output / "pages"
    return sum(len(list(folder.glob("page*.json"))) for folder in pages.glob("part*")) if pages.is_dir() else 0


def wait_until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait for something that is to happen.

    Raises:
        TimeoutError: it did not.
    """
    ends_at = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > ends_at:
            raise TimeoutError("waited in vain")
        time.sleep(0.01)
