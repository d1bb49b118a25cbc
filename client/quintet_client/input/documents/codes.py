"""Why a shard, a document or one of its pages failed here alone: stable codes beside those of `quintet.errors`."""

from enum import StrEnum


class DocumentCode(StrEnum):
    """Codes of failed shards, documents and pages; docs/reliability.md says what each is."""

    STORE_UNREACHABLE = "STORE_UNREACHABLE"  # ends the run: no page has it for long
    UNREADABLE_FILE = "UNREADABLE_FILE"
    RENDERER_CRASHED = "RENDERER_CRASHED"
    RENDERER_STALLED = "RENDERER_STALLED"
    RENDERER_MISSING = "RENDERER_MISSING"
    SHARD_DAMAGED = "SHARD_DAMAGED"
    SHARD_UNSUPPORTED = "SHARD_UNSUPPORTED"
    ROW_GROUP_TOO_LARGE = "ROW_GROUP_TOO_LARGE"


SHARD_HAS_CHANGED = "the shard has changed since it was listed; run again"
