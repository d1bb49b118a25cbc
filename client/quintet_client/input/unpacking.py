"""Shards among files become what they hold, and manifests what they name."""

import logging
from collections.abc import Iterable, Sequence

from quintet_client.errors import UsageError
from quintet_client.input.addresses import Address
from quintet_client.input.regular_files import stamp_of
from quintet_client.input.shards.listing import list_shards
from quintet_client.input.source import Source
from quintet_client.input.stores.apart import Aside, apart
from quintet_client.input.stores.objects import stamps_of

_MOST_NAMED = 5
_log = logging.getLogger(__name__)


def with_stamps(files: Iterable[Source], aside: Aside = apart) -> list[Source]:
    """Files with their present state; what asks a store does so `aside`."""
    files = list(files)
    remote = [file.path for file in files if file.is_at_address]
    stamps = dict(zip(remote, aside(stamps_of, list(map(Address.of, remote))), strict=True)) if remote else {}
    return [file._replace(stamp=stamps.get(file.path) or stamp_of(file.path)) for file in files]


def unpacked(files: Sequence[Source], *, is_folder: bool, aside: Aside = apart) -> list[Source]:
    """Files in order, with the items of shards instead of the shards; a manifest may name shards, but no manifest.

    Shards are listed `aside`: neither obstore nor Arrow is at its best after a fork. In a folder what is no shard is
    left out. Raises as `sources.find_sources` does.
    """
    shards, named, ids = [file for file in files if file.is_shard], False, dict[str, str]()
    found = _Unique((file.page_id, file) for file in files if not file.is_shard)
    left_out, irregular = list[str](), 0
    while shards:
        ids |= {shard.path: shard.page_id for shard in shards}
        manifests = list[Source]()
        for shard, listing in zip(shards, aside(list_shards, shards), strict=True):
            if (listing.fault and not is_folder) or (listing.is_manifest and named):
                raise UsageError(f"{shard.path} has {listing.fault or 'a manifest, and another manifest names it'}")
            left_out += [shard.path] if listing.fault else []
            irregular += listing.irregular
            (manifests.extend if listing.is_manifest else found.add)(listing.items)
        manifests = with_stamps(manifests, aside)
        found.add(file for file in manifests if not file.is_shard)
        shards, named, is_folder = [file for file in manifests if file.is_shard], True, False
    if left_out:
        _log.warning("left out of INPUT, Parquet files with neither images nor URIs: %s", some(left_out))
    if irregular:
        _log.warning("left out of INPUT: %d members of tars that are no regular files", irregular)
    # Neighbours are read together: a row with its row group, members with one request.
    return sorted(found.values(), key=lambda item: (ids[item.path], item.part) if item.part else (item.page_id, ()))


def some(names: list[str]) -> str:
    """A few names for a log."""
    return ", ".join(names[:_MOST_NAMED]) + (f" and {len(names) - _MOST_NAMED} more" if names[_MOST_NAMED:] else "")


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
