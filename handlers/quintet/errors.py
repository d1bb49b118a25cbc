"""What can go wrong with a page, under stable codes, and what can go wrong at start."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Stable codes of failed pages and requests."""

    EMPTY_BODY = "EMPTY_BODY"
    IMAGE_DECODE_FAILED = "IMAGE_DECODE_FAILED"
    UNSUPPORTED_FORMAT = "UNSUPPORTED_FORMAT"
    IMAGE_TOO_SMALL = "IMAGE_TOO_SMALL"
    IMAGE_TOO_LARGE = "IMAGE_TOO_LARGE"
    IMAGE_TOO_COMPLEX = "IMAGE_TOO_COMPLEX"
    DOCUMENT_ENCRYPTED = "DOCUMENT_ENCRYPTED"
    DOCUMENT_DAMAGED = "DOCUMENT_DAMAGED"
    DOCUMENT_EMPTY = "DOCUMENT_EMPTY"
    DOCUMENT_TOO_LONG = "DOCUMENT_TOO_LONG"
    PAGE_NOT_RENDERED = "PAGE_NOT_RENDERED"
    INVALID_PARAMETER = "INVALID_PARAMETER"
    UNKNOWN_RING = "UNKNOWN_RING"
    SHARED_MEMORY_OFF = "SHARED_MEMORY_OFF"
    NOT_AUTHORISED = "NOT_AUTHORISED"
    INFERENCE_FAILED = "INFERENCE_FAILED"
    BUSY = "BUSY"


# The HTTP status that each code is answered with.
HTTP_STATUS = {
    Code.EMPTY_BODY: 400,
    Code.IMAGE_DECODE_FAILED: 400,
    Code.UNSUPPORTED_FORMAT: 400,
    Code.IMAGE_TOO_SMALL: 400,
    Code.IMAGE_TOO_LARGE: 413,
    Code.IMAGE_TOO_COMPLEX: 422,
    Code.DOCUMENT_ENCRYPTED: 422,
    Code.DOCUMENT_DAMAGED: 400,
    Code.DOCUMENT_EMPTY: 400,
    Code.DOCUMENT_TOO_LONG: 413,
    Code.PAGE_NOT_RENDERED: 422,
    Code.INVALID_PARAMETER: 422,
    Code.UNKNOWN_RING: 410,
    Code.SHARED_MEMORY_OFF: 409,
    Code.NOT_AUTHORISED: 401,
    Code.INFERENCE_FAILED: 500,
    Code.BUSY: 503,
}


@dataclass(frozen=True)
class Failure:
    """A page that has no result: an outcome like any other, never an exception that its neighbours would feel."""

    code: Code
    message: str  # one sentence for a person: actual, allowed, remedy


class PageError(Exception):
    """Raised while one page is decoded; becomes that page's `Failure`."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(code, message)


class WeightsError(RuntimeError):
    """A network's files are missing, damaged or not what was pinned: says what, and what to do."""


class ServiceError(RuntimeError):
    """The service did not start, with the reason as far as its log tells it."""


class SettingsError(ValueError):
    """A setting is unknown or out of range: names the key, the value, what is allowed and what to do."""
