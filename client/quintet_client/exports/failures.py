"""What cannot be exported, and why."""

from quintet_client.errors import QuintetError


class ExportError(QuintetError):
    """One document cannot be had in one format; the others can. The message says why and what to do."""
