"""Every setting of the page chain in one frozen object, read once and validated at start."""

from dataclasses import dataclass
from typing import ClassVar

from quintet.engine.settings import between, some_of, switch
from quintet.pages.scripts import ALL, SCRIPTS
from quintet.pixels.settings import ImageSettings
from quintet.stages.text_detection import TextDetectionSettings

# Stages that pages can be read without.
OPTIONAL_STAGES = ("page_orientation", "layout", "line_orientation", "words")


@dataclass(frozen=True)
class Settings(ImageSettings, TextDetectionSettings):
    """Settings of the page chain; each name carries its unit; docs/settings.md explains them one by one.

    Numbers without another source were measured on real receipts and generated pages: see docs/performance.md.
    """

    # 2 reads columns, 3 says where words are, 4 asks the lines how a page is turned, 5 reads faint spaces and addresses
    # and tells tables.
    ANSWERS: ClassVar[int] = 5

    # What goes through the networks at once: more is cut into more calls, never refused.
    page_calls: int = between(64, 1, 4096, runtime=True)
    line_call_columns: int = between(40_960, 320, 1 << 24, runtime=True)

    # Stages: what one that is off would find is taken as usual.
    page_orientation: bool = switch()
    layout: bool = switch()
    line_orientation: bool = switch()
    words: bool = switch()

    # Layout regions.
    region_score: float = between(0.5, 0.0, 1.0)
    region_iou: float = between(0.5, 0.0, 1.0)

    # Scripts whose characters are read.
    scripts: tuple[str, ...] = some_of(ALL, *SCRIPTS)

    # Lines.
    turned_line_score: float = between(0.5, 0.0, 1.0)
    min_bucket_px: int = between(64, 48, 4096)
    max_line_px: int = between(3200, 320, 32768)
    line_score: float = between(0.5, 0.0, 1.0)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The stages that are off."""
        return tuple(stage for stage in OPTIONAL_STAGES if not getattr(self, stage))
