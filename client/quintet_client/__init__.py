"""The bulk client: feeds folders of pages to a Quintet service and keeps account of every page."""

from quintet_client.api import QuintetClient
from quintet_client.async_api import AsyncQuintetClient
from quintet_client.errors import (
    NotAuthorisedError,
    PageError,
    QuintetError,
    ServerUnreachableError,
    UsageError,
)
from quintet_client.results import Line, Orientation, PageResult, Region

__all__ = [
    "AsyncQuintetClient",
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
]
