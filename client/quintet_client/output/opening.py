"""Which kind of OUTPUT there is: a folder with a file a page, or parts."""

from importlib.util import find_spec
from pathlib import Path

from quintet_client.errors import UsageError
from quintet_client.input.addresses import Address
from quintet_client.output.folder import Output


def open_output(place: Path | Address, exports: Path | None = None) -> Output:
    """Return OUTPUT as it is, or will be: parts at an address and where parts are, a folder elsewhere.

    Args:
        place: a folder or an address.
        exports: the folder for exports of an OUTPUT at an address.

    Raises:
        UsageError: it is of parts, and what reads them is not installed.
    """
    return parts_output(place, exports) if isinstance(place, Address) or (place / "parts").is_dir() else Output(place)


def open_results(place: Path | Address, exports: Path | None = None) -> Output:
    """Return an OUTPUT that holds results, its ledger up to date.

    Raises:
        UsageError: it holds none, or as `open_output`.
        OutputUnwritableError: what it holds cannot be read.
    """
    output = open_output(place, exports)
    output.sync()
    if not output.ledger.is_file():
        raise UsageError(f"OUTPUT {place} holds no results (no {output.ledger.name}); give one that was written")
    return output


def parts_output(place: Path | Address, exports: Path | None = None) -> Output:
    """Return an OUTPUT of parts; arguments and errors as those of `open_output`."""
    if find_spec("pyarrow") is None:
        raise UsageError("OUTPUT of parts needs pyarrow, which is not installed: pip install 'quintet[stores]'")
    from quintet_client.output.parts.output import PartsOutput  # noqa: PLC0415 - needs pyarrow

    return PartsOutput(place, exports)
