"""Every setting of the photo chain in one frozen object, read once and validated at start."""

from dataclasses import dataclass

from quintet.engine.settings import between
from quintet.pixels.settings import ImageSettings
from quintet.stages.text_detection import TextDetectionSettings


@dataclass(frozen=True)
class PhotoSettings(ImageSettings, TextDetectionSettings):
    """Settings of the photo chain; each name carries its unit; docs/settings.md explains them one by one.

    The defaults of MTCNN are those of facenet-pytorch.
    """

    # What goes through the networks at once: more is cut into more calls, never refused.
    photo_calls: int = between(64, 1, 4096, runtime=True)
    pyramid_call_pixels: int = between(20_000_000, 1 << 12, 1 << 31, runtime=True)
    face_calls: int = between(4096, 1, 1 << 20, runtime=True)

    # Faces.
    min_face_px: int = between(20, 12, 1000)
    pyramid_factor: float = between(0.709, 0.3, 0.95)
    proposal_score: float = between(0.6, 0.0, 1.0)
    refinement_score: float = between(0.7, 0.0, 1.0)
    face_score: float = between(0.7, 0.0, 1.0)
    # Of a photo, and of a level of its pyramid: the best. Photos of crowds have hundreds; noise would have thousands.
    max_candidates: int = between(5000, 1, 1 << 16)

    # Twelve bytes of sums lie beside the four of each pixel.
    batch_pixels: int = between(100_000_000, 1 << 20, (1 << 31) - 1, runtime=True)
