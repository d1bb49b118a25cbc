"""The bulk client: feeds folders of pages to a Quintet service and keeps account of every page."""

from quintet_client.api import Line, Page, QuintetClient, Region
from quintet_client.errors import (
    NotAuthorisedError,
    PageError,
    QuintetError,
    ServerUnreachableError,
    UsageError,
)

__all__ = [
    "Line",
    "NotAuthorisedError",
    "Page",
    "PageError",
    "QuintetClient",
    "QuintetError",
    "Region",
    "ServerUnreachableError",
    "UsageError",
]
