"""Settings of how images are decoded, and their limits."""

from dataclasses import dataclass

from quintet.engine.settings import EngineSettings, between, one_of

_LIMITS = ("max_body_bytes", "max_page_pixels", "min_page_side_px", "document_pages", "document_pixels")


@dataclass(frozen=True)
class ImageSettings(EngineSettings):
    """What a chain whose bodies are images extends; docs/settings.md explains these one by one."""

    # Where and by how many threads pages are decoded.
    jpeg: str = one_of("auto", "host", "device", runtime=True)
    decode_threads: int = between(0, 0, 256, runtime=True)

    # What a body may be.
    max_body_bytes: int = between(64 << 20, 1, 1 << 31, runtime=True)
    max_page_pixels: int = between(100_000_000, 64, 1 << 29, runtime=True)
    min_page_side_px: int = between(10, 1, 1000, runtime=True)

    # What a request may ask of a document: pages, and pixels of all of them together.
    document_pages: int = between(50, 1, 256, runtime=True)
    document_pixels: int = between(500_000_000, 64, 1 << 36, runtime=True)

    # What a page may take: seconds of a CPU to decode the largest one; and the worker in bytes, 0 for what it needs.
    decode_s: float = between(20.0, 0.1, 600.0, runtime=True)
    max_worker_bytes: int = between(0, 0, 1 << 42, runtime=True)

    # Pixels of decoded images that are on the device together; more are cut into more batches.
    batch_pixels: int = between(400_000_000, 1 << 20, (1 << 31) - 1, runtime=True)

    def limits(self) -> dict[str, int]:
        """What a body may be, for clients to know before they send."""
        return {name: getattr(self, name) for name in _LIMITS}
