"""Shards among files become what they hold, and manifests what they name."""

from collections.abc import Iterable, Iterator, Sequence

from quintet_client.errors import UsageError
from quintet_client.input.addresses import Address
from quintet_client.input.finding.left_out import LeftOut, Reason
from quintet_client.input.finding.selection import EVERYTHING, Selection
from quintet_client.input.page_ids import path_of
from quintet_client.input.regular_files import stamp_of
from quintet_client.input.shards.listing import list_shards
from quintet_client.input.source import Source
from quintet_client.input.stores.apart import Aside, apart
from quintet_client.input.stores.objects import stamps_of


def with_stamps(files: Iterable[Source], aside: Aside = apart) -> list[Source]:
    """Files with their present state; what asks a store does so `aside`."""
    files = list(files)
    remote = [file.path for file in files if file.is_at_address]
    stamps = dict(zip(remote, aside(stamps_of, list(map(Address.of, remote))), strict=True)) if remote else {}
    return [file._replace(stamp=stamps.get(file.path) or stamp_of(file.path)) for file in files]


def unpacked(
    files: Sequence[Source],
    selection: Selection = EVERYTHING,
    *,
    is_folder: bool,
    left_out: LeftOut | None = None,
    aside: Aside = apart,
) -> list[Source]:
    """Files in order, with the items of shards instead of the shards; a manifest may name shards, but no manifest.

    Shards are listed `aside`: neither obstore nor Arrow is at its best after a fork. In a folder what is no shard is
    left out. Raises as `sources.find_sources` does.
    """
    left_out = LeftOut() if left_out is None else left_out
    shards, named, ids = [file for file in files if file.is_shard], False, dict[str, str]()
    found = _Unique((file.page_id, file) for file in files if not file.is_shard)
    while shards:
        ids |= {shard.path: shard.page_id for shard in shards}
        manifests = list[Source]()
        for shard, listing in zip(shards, aside(list_shards, shards, selection), strict=True):
            if (listing.fault and not is_folder) or (listing.is_manifest and named):
                raise UsageError(f"{shard.path} has {listing.fault or 'a manifest, and another manifest names it'}")
            left_out.merge(listing.left_out)
            if listing.fault:
                left_out.add(Reason.NO_IMAGES, shard.path)
            (manifests.extend if listing.is_manifest else found.add)(listing.items)
        manifests = with_stamps(_kept(manifests, selection, left_out), aside)
        found.add(file for file in manifests if not file.is_shard)
        shards, named, is_folder = [file for file in manifests if file.is_shard], True, False
    # Neighbours are read together: a row with its row group, members with one request.
    return sorted(found.values(), key=lambda item: (ids[item.path], item.part) if item.part else (item.page_id, ()))


def _kept(files: Iterable[Source], selection: Selection, left_out: LeftOut) -> Iterator[Source]:
    """The files that a manifest names, without those that patterns leave out."""
    for file in files:
        reason = selection.excludes(path_of(file.page_id), is_shard=file.is_shard)
        if reason is None:
            yield file
        else:
            left_out.add(reason, file.path)


class _Unique(dict[str, Source]):
    """Items by their ids."""

    def add(self, items: Iterable[Source]) -> None:
        """Add items; raises UsageError for two with one id, unless they are the same."""
        for item in items:
            other = self.setdefault(item.page_id, item)
            if other is not item and other.place != item.place:
                raise UsageError(
                    f"the id {item.page_id} would be given to an item of {other.path} and one of {item.path}; "
                    "rename one, or read them into different OUTPUTs"
                )
