"""What Ray Data calls on a node: one actor that hosts the chain, reads blocks of pages, and commits them as parts.

Nothing that a page does is raised here. A page that ends the process is found by reading what has no end once more, in
smaller blocks; one that holds the chain for too long has its process end itself.
"""

import faulthandler
import logging
import os
import platform
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import ray
from quintet.errors import Code, Failure
from quintet.frame.chain import Outcome, make_ready

from quintet_client.cluster.hosting import (
    Hosted,
    host_chain,
    keep_to_cores,
    node_folder,
    unpack_archive,
    visible_gpu,
)
from quintet_client.cluster.messages import Setup, Share, Trouble, unpacked
from quintet_client.cluster.settings import TRIES, call_s
from quintet_client.errors import ModelMismatchError, QuintetError, ServerUnreachableError, UsageError
from quintet_client.input.bodies import Bodies
from quintet_client.input.documents.codes import DocumentCode
from quintet_client.input.documents.passwords import read_passwords
from quintet_client.input.source import Source
from quintet_client.input.stores.copies import Copies
from quintet_client.output.ledger import Ended, Row
from quintet_client.output.parts.place import part_name
from quintet_client.output.parts.rows import encode_part
from quintet_client.service.documents import check_answer
from quintet_client.service.outcomes import canonical_json, one_line
from quintet_client.service.page import Page

# Of bodies that are given to the chain together; as many are read meanwhile.
MOST_BYTES = 256 * 1024 * 1024
# What a rendered page, and a row of a Parquet file, is taken for before it is there.
_RENDERED_BYTES = 16 * 1024 * 1024
_ROW_BYTES = 4 * 1024 * 1024
# What is left to a process that ends itself before it is ended from outside Python.
_LAST_WORDS_S = 10.0
_log = logging.getLogger(__name__)


class Task(NamedTuple):
    """What all actors of a pass are given.

    Attributes:
        archive: reference to the archive's bytes in Ray's store; in a list, so that it is not fetched at once.
        model: the fingerprint that all of them must have.
        witness: of a pass that reads items alone.
    """

    setup: Setup
    share: Share
    archive: list[Any]
    model: str
    run: int
    number: int
    witness: Any


def hosted_here(setup: Setup, share: Share, archive: Sequence[Any]) -> Hosted:
    """Host the chain in this process, on its share of the node."""
    local = setup.folder if setup.address is None else None
    folder = node_folder(local)
    keep_to_cores(share.cpus, folder)
    if not share.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch looks: those of the machine are not this actor's
    gpus = [int(number) for number in ray.get_gpu_ids()]
    place = unpack_archive(folder, setup.digest, lambda: ray.get(archive[0]))
    return host_chain(place, visible_gpu(gpus), setup.leave_out)


def passwords_here(setup: Setup) -> tuple[str, ...]:
    """The passwords of PDFs, out of this node's file; raises UsageError if that cannot be read."""
    try:
        return read_passwords(setup.password_file)
    except UsageError as error:
        raise UsageError(f"on node {platform.node()}: {error}") from error


class BlockReader:
    """One actor."""

    def __init__(self, task: Task) -> None:
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
        self._task = task
        self._hosted = hosted_here(task.setup, task.share, task.archive)
        make_ready(self._hosted.chain)
        found = self._hosted.chain.fingerprint
        self._unfit = None if found == task.model else Trouble.of(_mismatch(found, task.model))
        passwords: Sequence[str] = ()
        try:
            passwords = passwords_here(task.setup)
        except UsageError as error:
            self._unfit = Trouble.of(error)
        local = task.setup.folder if task.setup.address is None else None
        copies = Copies(folder=str(node_folder(local)))
        self._bodies = Bodies(task.setup.dpi, self._hosted.limits, copies, passwords)
        self._ahead = ThreadPoolExecutor(1, "bodies")

    def __call__(self, blocks: Mapping[str, Any]) -> Iterator[dict[str, list[Any]]]:
        """Read the blocks of a task; yields one row a block, with what ends the run if something does."""
        numbers = [int(number) for number in blocks["number"]]
        grouped = [groups_of(unpacked(str(block))) for block in blocks["block"]]
        pages = self._pages([group for groups in grouped for group in groups])
        for number, groups in zip(numbers, grouped, strict=True):
            kind, message = self._unfit or self._tried(number, [next(pages) for _ in groups]) or ("", "")
            yield {"number": [number], "kind": [kind], "message": [message]}

    def _pages(self, groups: Sequence[Sequence[Source]]) -> Iterator[list[Page]]:
        """Yield the pages of each group, the next ones being read meanwhile."""
        ahead = [self._ahead.submit(self._bodies.read, group) for group in groups[:1]]
        for group in [*groups[1:], None]:
            pages = ahead.pop().result()
            if group is not None:
                ahead.append(self._ahead.submit(self._bodies.read, group))
            yield pages

    def _tried(self, number: int, groups: Sequence[Sequence[Page]]) -> Trouble | None:
        """Bring a block to its end; what is no page's fault nor the run's leaves the block to the next pass."""
        try:
            return self._finish(number, groups)
        except Exception as error:  # noqa: BLE001 - Ray would drop it with the block, and tell nobody
            _log.exception("block %d has no end", number)
            return Trouble("", f"{type(error).__name__}: {error}")

    def _finish(self, number: int, groups: Sequence[Sequence[Page]]) -> Trouble | None:
        """Bring the items of a block to their end, and commit them; what ends the run is returned."""
        away = next((page for pages in groups for page in pages if page.code == DocumentCode.STORE_UNREACHABLE), None)
        ended = [item for pages in groups for item in self._read(pages)]
        name = part_name(self._task.run, str(self._task.number), number)
        try:
            if ended:
                self._task.setup.parts.commit(name, encode_part(ended), self._task.run)
        except QuintetError as error:
            return Trouble.of(error)
        return Trouble.of(ServerUnreachableError(f"{away.message}; run again to go on")) if away else None

    def _read(self, pages: Sequence[Page]) -> list[Ended]:
        """The ends of pages that were had, and of those that were not; of those whose store is away none."""
        outcomes = iter(self._outcomes([page for page in pages if not page.code]))
        ends = []
        for page in pages:
            if not page.code:
                ends.append(self._end(page, *next(outcomes)))
            elif page.code != DocumentCode.STORE_UNREACHABLE:
                ends.append(Ended(Row(page.page_id, "failed", 0, page.code, page.message, *page.stamp)))
        return ends

    def _end(self, page: Page, outcome: Outcome, tries: int) -> Ended:
        """What the service and its client make of an outcome: the same bytes, or the same failure."""
        chain = self._hosted.chain
        if isinstance(outcome, Failure):
            return _failed(page, outcome.code.value, outcome.message, tries)
        document = {"schema": chain.schema, "model": chain.fingerprint, **outcome}
        try:
            check_answer(document)
            content = canonical_json(document)
        except (ValueError, TypeError, RecursionError) as error:
            return _failed(page, "BAD_ANSWER", f"the chain's result is none: {error}", tries)
        return Ended(Row(page.page_id, "ok", tries, "", "", *page.stamp, len(content)), chain.fingerprint, content)

    def _outcomes(self, pages: Sequence[Page]) -> list[tuple[Outcome, int]]:
        """One outcome a page, with its tries."""
        most = self._hosted.pages_per_batch
        batches = [pages[start : start + most] for start in range(0, len(pages), most)]
        return [outcome for batch in batches for outcome in self._call(batch)]

    def _call(self, pages: Sequence[Page], tries: int = 1) -> list[tuple[Outcome, int]]:
        """Call the chain; when it raises, halve the batch until the page that makes it raise stands alone."""
        try:
            with self._within_its_time(pages):
                outcomes = self._hosted.chain([page.body for page in pages])
            return [(outcome, 1 if len(pages) > 1 else tries) for outcome in outcomes]
        except (Exception, SystemExit) as error:  # noqa: BLE001 - of other people's chains; codes say what failed
            _log.exception("a batch of %d failed", len(pages))
            if len(pages) == 1 and tries == TRIES:
                message = f"the models failed on this page ({type(error).__name__}) (tried {tries} times)"
                return [(Failure(Code.INFERENCE_FAILED, message), tries)]
        if len(pages) == 1:
            return self._call(pages, tries + 1)
        middle = len(pages) // 2
        return self._call(pages[:middle]) + self._call(pages[middle:])

    @contextmanager
    def _within_its_time(self, pages: Sequence[Page]) -> Iterator[None]:
        """Have this process end if a call takes too long; alone, the witness learns of its beginning and its end."""
        witness, page_id = self._task.witness, pages[0].page_id
        if witness is not None:
            ray.get(witness.begin.remote(page_id))
        within_s = call_s(self._task.setup.stall_s, len(pages))
        clock = threading.Timer(within_s, _end_stalled, (witness, page_id, within_s))
        clock.daemon = True
        clock.start()
        # For a call that keeps Python from running the other.
        faulthandler.dump_traceback_later(within_s + _LAST_WORDS_S, exit=True)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            clock.cancel()


def groups_of(block: Sequence[Source]) -> list[list[Source]]:
    """Neighbouring items, at most `MOST_BYTES` together by what is known of their sizes."""
    groups: list[list[Source]] = []
    held = MOST_BYTES
    for source in block:
        known = source.stamp.size_bytes
        size = _RENDERED_BYTES if source.page else known if known >= 0 else _ROW_BYTES
        if not groups or held + size > MOST_BYTES:
            groups.append([])
            held = 0
        groups[-1].append(source)
        held += size
    return groups


def _end_stalled(witness: Any, page_id: str, within_s: float) -> None:  # noqa: ANN401 - Ray's handles have no type
    _log.error("the chain has not returned within %.0f s: this process ends itself", within_s)
    faulthandler.dump_traceback()
    if witness is not None:
        ray.get(witness.stall.remote(page_id), timeout=_LAST_WORDS_S / 2)
    os._exit(1)


def _failed(page: Page, code: str, message: str, tries: int) -> Ended:
    return Ended(Row(page.page_id, "failed", tries, code, one_line(message), *page.stamp))


def _mismatch(found: str, wanted: str) -> ModelMismatchError:
    return ModelMismatchError(
        f"a node reads with model {found}, the others with {wanted}: install the same packages on all nodes"
    )
