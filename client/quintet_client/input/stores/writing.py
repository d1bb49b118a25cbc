"""What a run leaves in a store: objects that are made once or replaced, listed, opened and removed.

With `objects` the only place that knows obstore; errors are those of `objects`, whose words hold no credentials.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from quintet_client.errors import QuintetError
from quintet_client.input.addresses import Address
from quintet_client.input.stores.objects import WHOLE, fault, need_obstore, object_file, read_part, store_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore

# How far a reader that skips through an object reads ahead.
_AHEAD_BYTES = 256 * 1024


def list_below(folder: Address) -> dict[str, str]:
    """The names of the objects right below a prefix, each with what tells one content from another."""
    import obstore  # noqa: PLC0415 - only addresses need it

    prefix = f"{folder.key}/" if folder.key else ""
    with _asking(folder) as store:
        found = [meta for chunk in obstore.list(store, prefix, chunk_size=1000) for meta in chunk]
    names = ((meta["path"].removeprefix(prefix), meta["e_tag"] or str(meta["size"])) for meta in found)
    return {name: tag.removeprefix("W/").strip('"') for name, tag in names if "/" not in name}


def create_object(address: Address, content: bytes) -> bool:
    """Make an object that is not there yet, whole; returns False if it is there."""
    import obstore  # noqa: PLC0415 - as above

    with _asking(address) as store:
        try:
            obstore.put(store, address.key, content, mode="create", use_multipart=False)
        except obstore.exceptions.AlreadyExistsError:
            return False
    return True


def replace_object(address: Address, content: bytes) -> None:
    """Make an object, or give it another content."""
    import obstore  # noqa: PLC0415 - as above

    with _asking(address) as store:
        obstore.put(store, address.key, content)


def remove_objects(addresses: Sequence[Address]) -> None:
    """Remove objects of one bucket; those that are gone already are no error."""
    import obstore  # noqa: PLC0415 - as above

    if addresses:
        with _asking(addresses[0]) as store:
            obstore.delete(store, [address.key for address in addresses])


def object_exists(address: Address) -> bool:
    """Whether there is such an object."""
    import obstore  # noqa: PLC0415 - as above

    with _asking(address) as store:
        try:
            obstore.head(store, address.key)
        except FileNotFoundError:
            return False
    return True


def read_object(address: Address) -> bytes:
    """An object whole, which may be empty; raises as `objects.read_part`."""
    content, _ = read_part(address, 0, WHOLE)
    return content


def open_object(address: Address) -> BinaryIO:
    """An object of at least one byte as a file that is read ahead; raises as `objects.read_part`."""
    return io.BufferedReader(object_file(address), _AHEAD_BYTES)


@contextmanager
def _asking(address: Address) -> Iterator["ObjectStore"]:
    """Yield the store of an address.

    Raises:
        UsageError, NotAuthorisedError, ServerUnreachableError: as `objects.list_objects`.
    """
    need_obstore()
    import obstore  # noqa: PLC0415 - as above

    try:
        yield store_of(address.scheme, address.bucket)
    except QuintetError:
        raise
    except FileNotFoundError:
        raise FileNotFoundError(0, "there is no such object") from None
    except (ValueError, obstore.exceptions.BaseError) as error:
        raise fault(error, address) from None
