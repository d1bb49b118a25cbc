"""What to read: a folder, one file, a list, a manifest, a shard, or an address in a store becomes a list of sources.

Which pages a document has is found by `paging`.
"""

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import starmap
from pathlib import Path

from quintet_client.errors import UsageError
from quintet_client.input.addresses import Address, is_address
from quintet_client.input.finding.left_out import LeftOut, Reason
from quintet_client.input.finding.lists import named, named_in
from quintet_client.input.finding.selection import USUAL, Selection, is_read_by_name
from quintet_client.input.finding.walk import Met, Results, Walk, place_of_folder
from quintet_client.input.own_pdfs import lies_beside_input
from quintet_client.input.page_ids import page_id_of, with_extension
from quintet_client.input.source import SHARD_EXTENSIONS, Source
from quintet_client.input.stores.apart import Aside, apart
from quintet_client.input.stores.objects import list_objects
from quintet_client.input.unpacking import unpacked, with_stamps

LIST_EXTENSION = ".txt"
STANDARD_INPUT = Path("-")
_log = logging.getLogger(__name__)


def find_sources(
    input_path: Path | Address,
    selection: Selection = USUAL,
    *,
    null_names: bool = False,
    output: Path | None = None,
    left_out: LeftOut | None = None,
) -> list[Source]:
    """List what INPUT holds, with its state: files by their ids, the items of a shard in its order; see `find_files`.

    What is left out is counted in `left_out`, and logged.

    Raises:
        UsageError: INPUT does not exist or holds nothing to read, a list, a manifest or the store cannot be read, or
            two items have one id.
        NotAuthorisedError: a store refused the credentials.
        ServerUnreachableError: a store was away for longer than is waited.
    """
    left_out = LeftOut() if left_out is None else left_out
    files = find_files(input_path, selection, null_names=null_names, output=output, left_out=left_out)
    sources = unpacked(files, selection, is_folder=is_folder(input_path), left_out=left_out)
    if not sources:
        what = "the list on standard input" if input_path == STANDARD_INPUT else f"INPUT {input_path}"
        others = f"; left out: {left_out}" if left_out else ""
        raise UsageError(f"there is nothing to read: {what} has no image, PDF or shard{others}")
    if left_out:
        _log.info("left out of INPUT: %s", left_out)
    return sources


def find_files(
    input_path: Path | Address,
    selection: Selection = USUAL,
    *,
    null_names: bool = False,
    output: Path | None = None,
    left_out: LeftOut | None = None,
    aside: Aside = apart,
) -> list[Source]:
    """List the files of INPUT with their state, shards as they are; see `find_paths`.

    INPUT may be an address: of all images, documents and shards below a prefix, or of one object. Ids are keys relative
    to it. What asks a store does so `aside`. Raises as `find_sources` does.
    """
    left_out = LeftOut() if left_out is None else left_out
    if isinstance(input_path, Address):
        return sorted(_below(input_path, selection, left_out, aside))
    paths = find_paths(input_path, selection, null_names=null_names, output=output, left_out=left_out)
    return with_stamps(starmap(Source, sorted(paths.items())), aside)


def is_folder(place: Path | Address) -> bool:
    """Whether a place is a folder, or by its name a prefix."""
    return place.is_dir() if isinstance(place, Path) else not is_read_by_name(place.name)


def _below(address: Address, selection: Selection, left_out: LeftOut, aside: Aside) -> Iterator[Source]:
    """The objects of an address; obstore's keys have no empty parts, and none that is "." or ".."."""
    found, others = aside(list_objects, address, selection)
    left_out.merge(others)
    for relative, key, stamp in found:
        yield Source(page_id_of(relative), str(address._replace(key=key)), stamp)


def find_paths(
    input_path: Path, selection: Selection, *, null_names: bool, output: Path | None, left_out: LeftOut
) -> dict[str, str]:
    """Find the files of INPUT by their ids, shards as they are; what cannot be read is found too, and fails by name.

    INPUT is a folder (searched recursively, links followed), one file, a `.txt` list of files, or `-` for a list on
    standard input. Names in a list are relative to its folder, those on standard input to the working one, or
    addresses; they end with a newline, or NUL for `null_names`. A path named twice is one file.

    What `quintet` wrote is no input, and left out: `pages` and `exports` of OUTPUT, and of any folder with a ledger,
    and PDFs beside their originals (see `own_pdfs`). A file that is named is read whatever its extension is, hidden or
    not.

    Raises:
        UsageError: INPUT does not exist or the list cannot be read.
    """
    results = Results(output)
    if input_path != STANDARD_INPUT and input_path.is_dir():
        found: Iterable[Met] = Walk(str(input_path), results, selection, left_out)
    else:
        listed = list(_listed(input_path, b"\0" if null_names else b"\n"))
        found = _kept(listed, results, selection, left_out)
    paths = dict[str, str]()
    for met in found:
        if paths.setdefault(with_extension(page_id_of(met.relative), met.extension), met.path) is not met.path:
            left_out.add(Reason.REPEATED, met.relative)
    return paths


def _kept(listed: Sequence[Met], results: Results, selection: Selection, left_out: LeftOut) -> Iterator[Met]:
    """Those of the files that were named that are no results, and that patterns do not leave out."""
    folders = {os.path.dirname(met.path) for met in listed if not is_address(met.path)}  # noqa: PTH120 - strings
    written = {folder for folder in folders if results.hold(place_of_folder(folder))}
    for met in listed:
        is_result = os.path.dirname(met.path) in written or lies_beside_input(met.path)  # noqa: PTH120
        is_shard = met.path.lower().endswith(SHARD_EXTENSIONS)
        reason = Reason.RESULTS if is_result else selection.excludes(met.relative, is_shard=is_shard)
        if reason is None:
            yield met
        else:
            left_out.add(reason, met.relative)


def _listed(input_path: Path, end: bytes) -> Iterator[Met]:
    if input_path == STANDARD_INPUT:
        return named_in(sys.stdin.buffer.read(), Path.cwd(), end)
    if not os.path.lexists(input_path):
        raise UsageError(f"INPUT {input_path} does not exist; give a folder, a file or a {LIST_EXTENSION} list")
    if input_path.suffix.lower() == LIST_EXTENSION:
        try:
            return named_in(input_path.read_bytes(), input_path.parent, end)
        except OSError as error:
            raise UsageError(f"the list {input_path} cannot be read ({error.strerror}); make it readable") from error
    return iter([named(input_path.name, str(input_path))])


def names_files(place: Path) -> bool:
    """Whether a path is that of a file or a list, by its name: INPUT may be gone."""
    return (
        place.name == STANDARD_INPUT.name or place.name.lower().endswith(LIST_EXTENSION) or is_read_by_name(place.name)
    )
