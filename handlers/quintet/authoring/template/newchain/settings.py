"""Every setting of this chain in one frozen object, read once and validated at start."""

from dataclasses import dataclass
from typing import ClassVar

from quintet.engine.settings import between
from quintet.pixels.settings import ImageSettings


@dataclass(frozen=True)
class Settings(ImageSettings):
    """Beside these, those of the engine and of decoding, which docs/settings.md of Quintet explains.

    All that changes an answer is part of the chain's fingerprint; what is `runtime` is not.
    """

    ANSWERS: ClassVar[int] = 1  # raise it when the code answers otherwise under the same settings

    call_pixels: int = between(8_000_000, 1 << 14, 1 << 31, runtime=True)  # canvas pixels of one call of a network

    object_score: float = between(0.6, 0.0, 1.0)
    object_iou: float = between(0.5, 0.0, 1.0)
    most_objects: int = between(8, 1, 100)  # of one image
