"""Every setting of any run, and of one `quintet read`, with units; read once, validated before anything starts."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from quintet.frame.documents import DEFAULT_DPI, LEAST_DPI, MOST_DPI
from quintet.frame.frames import MAX_ITEMS

from quintet_client.errors import UsageError
from quintet_client.input.addresses import Address
from quintet_client.input.finding.selection import Selection
from quintet_client.output.formats import choose
from quintet_client.service.addresses import check_servers
from quintet_client.service.transport import DEFAULT_MODEL, DEFAULT_SERVER, DEFAULT_TIMEOUT_S

# TorchServe hands its worker 64 pages at a time; with two workers, three batches keep both fed while one travels.
DEFAULT_IN_FLIGHT = 64 * (2 + 1)
# Cut into slabs for 8 loaders, one slab holds a page of half a megapixel.
LEAST_SHARED_MEMORY_MB = 64


def default_loaders() -> int:
    """Half the cores, between 1 and 8: reading files is cheap and the server may share the machine."""
    return max(1, min(8, (os.cpu_count() or 2) // 2))


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What is read, into what: the settings that a plan is made by.

    Attributes:
        input_path: folder, file, `.txt` list or address to read; `-` is a list on standard input.
        output_path: folder to write, or an address, which is written as parts.
        model: name of the model that reads; results of several are not mixed in one OUTPUT.
        leave_out: stages that pages are read without; such results are not mixed with others either.
        retry_failed: read pages again that failed in an earlier run.
        overwrite: forget earlier results and start anew.
        prune: remove the results of files that are gone.
        limit: read only the first so many pages.
        null_names: names in a list end with NUL, not with a newline.
        dpi: pixels an inch that pages of PDFs are rendered at.
        include: patterns of what is read, see `Selection`, like the next two.
        exclude: patterns of what is left out.
        hidden: read hidden files as well.
        password_file: of the passwords that PDFs are opened with, one a line.
    """

    input_path: Path | Address
    output_path: Path | Address
    model: str = DEFAULT_MODEL
    leave_out: tuple[str, ...] = ()
    retry_failed: bool = False
    overwrite: bool = False
    prune: bool = False
    limit: int | None = None
    null_names: bool = False
    dpi: int = DEFAULT_DPI
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    password_file: Path | None = None

    def __post_init__(self) -> None:
        if not LEAST_DPI <= self.dpi <= MOST_DPI:
            raise UsageError(f"--dpi is {self.dpi}; allowed are {LEAST_DPI} to {MOST_DPI}")
        at_least("limit", 1 if self.limit is None else self.limit, 1)
        _ = self.selection  # which refuses what is no pattern

    @property
    def selection(self) -> Selection:
        """Which files of INPUT are read, by their names."""
        return Selection(tuple(self.include), tuple(self.exclude), self.hidden)

    @property
    def input_place(self) -> str:
        """INPUT as the ledger notes it: an address, or an absolute path."""
        place = self.input_path
        return str(place) if isinstance(place, Address) else os.path.abspath(place)  # noqa: PTH100 - resolve() would follow links


@dataclass(frozen=True, slots=True)
class ReadSettings(RunSettings):
    """The settings of one run, beside those of any.

    Attributes:
        servers: base URLs of the inference addresses of one service or several.
        token_files: plain tokens or TorchServe's key_file.json: one for all servers or one for each; None sends no
            token.
        batch: pages the loader's processes read at a time.
        loaders: loader processes; 0 reads in this process.
        in_flight: most pages waiting for an answer of a service at any time, however many requests they travel in: it
            reads up to all of them before it answers the first, and that must take less than its responseTimeout.
        pack: most pages a request, and `in_flight` pages from the beginning; 1 sends every image as it is. None begins
            with a few pages under way and sends as many as the service answers within seconds, up to 16 a request.
        writers: threads that write answers.
        timeout_s: longest silence of the server within one request.
        retries: tries a page has before a fault of its own (worker died, timeout) makes it failed.
        give_up_s: longest time without reaching any server before the run ends.
        shared_memory: decode pages in the loader's processes, into memory that a service on this machine reads.
        shared_memory_mb: MiB of it.
        formats: what to export pages as when they come to their end; see `output.formats`.
    """

    servers: tuple[str, ...] = (DEFAULT_SERVER,)
    token_files: tuple[Path, ...] | None = None
    batch: int = 64
    loaders: int = field(default_factory=default_loaders)
    in_flight: int = DEFAULT_IN_FLIGHT
    pack: int | None = None
    writers: int = 4
    timeout_s: float = DEFAULT_TIMEOUT_S
    retries: int = 3
    give_up_s: float = 120.0
    shared_memory: bool = False
    shared_memory_mb: int = 1024
    formats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        RunSettings.__post_init__(self)  # slots: super() does not find this class
        for name, least in (
            ("batch", 1),
            ("loaders", 0),
            ("in_flight", 1),
            ("writers", 1),
            ("retries", 1),
            ("shared_memory_mb", LEAST_SHARED_MEMORY_MB),
        ):
            at_least(name, getattr(self, name), least)
        self._check_servers()
        at_least("pack", 1 if self.pack is None else self.pack, 1)
        if self.pack is not None and self.pack > MAX_ITEMS:
            raise UsageError(f"--pack is {self.pack}; a request holds at most {MAX_ITEMS} pages")
        choose(self.formats)
        for name in ("timeout_s", "give_up_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; give seconds above 0")

    def _check_servers(self) -> None:
        if self.shared_memory and len(self.servers) > 1:
            raise UsageError(
                "--shared-memory works with the one service on this machine; give one --server, or leave it out"
            )
        check_servers(self.servers, self.token_files or ())


def at_least(name: str, value: int, least: int) -> None:
    """Raise UsageError for an option that is less than it may be."""
    if value < least:
        raise UsageError(f"--{name.replace('_', '-')} is {value}; the least allowed is {least}")
