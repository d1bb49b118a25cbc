"""Every setting of the page chain in one frozen object, read once and validated at start."""

from dataclasses import dataclass
from typing import ClassVar

from quintet.engine.settings import EngineSettings, between, one_of


@dataclass(frozen=True)
class Settings(EngineSettings):
    """Settings of the page chain; each name carries its unit; docs/settings.md explains them one by one.

    Numbers without another source were measured on real receipts and generated pages: see docs/performance.md.
    """

    ANSWERS: ClassVar[int] = 2  # 2 reads columns

    # Where and by how many threads pages are decoded.
    jpeg: str = one_of("auto", "host", "device", runtime=True)
    decode_threads: int = between(0, 0, 256, runtime=True)

    # What a body may be.
    max_body_bytes: int = between(64 << 20, 1, 1 << 31, runtime=True)
    max_page_pixels: int = between(100_000_000, 64, 1 << 29, runtime=True)
    min_page_side_px: int = between(10, 1, 1000, runtime=True)

    # What a page may take: seconds of a CPU to decode the largest one; and the worker in bytes, 0 for what it needs.
    decode_s: float = between(20.0, 0.1, 600.0, runtime=True)
    max_worker_bytes: int = between(0, 0, 1 << 42, runtime=True)

    # What goes through the networks at once: more is cut into more calls, never refused.
    batch_pixels: int = between(400_000_000, 1 << 20, (1 << 31) - 1, runtime=True)
    page_calls: int = between(64, 1, 4096, runtime=True)
    detection_call_pixels: int = between(20_000_000, 1 << 16, 1 << 31, runtime=True)
    line_call_columns: int = between(40_960, 320, 1 << 24, runtime=True)

    # Layout regions.
    region_score: float = between(0.5, 0.0, 1.0)
    region_iou: float = between(0.5, 0.0, 1.0)

    # Text detection: the canvas, then DB's own parameters.
    detection_long_side_px: int = between(1280, 64, 8192)
    detection_short_side_px: int = between(736, 32, 4096)
    detection_canvas_step_px: int = between(32, 32, 1024)
    text_threshold: float = between(0.3, 0.0, 1.0)
    box_threshold: float = between(0.5, 0.0, 1.0)
    unclip_ratio: float = between(1.6, 0.0, 5.0)

    # Lines.
    turned_line_score: float = between(0.5, 0.0, 1.0)
    min_bucket_px: int = between(64, 48, 4096)
    max_line_px: int = between(3200, 320, 32768)
    line_score: float = between(0.5, 0.0, 1.0)
