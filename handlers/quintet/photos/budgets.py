"""How much of a batch goes into one call of each network; a single item above a budget goes alone."""

import sys
from dataclasses import astuple, dataclass
from typing import Self

from quintet.photos.settings import PhotoSettings
from quintet.stages import text_detection

# Faces are found in float32: in bfloat16 boxes move by pixels, and scores near a threshold fall on its other side.
_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}
OPENVINO_OPTIONS = {
    # As many shapes of canvases as text detection has.
    "face_proposals": _FLOAT32 | text_detection.OPENVINO_OPTIONS,
    "face_refinement": _FLOAT32,
    "face_points": _FLOAT32,
    "text_detection": text_detection.OPENVINO_OPTIONS,
}


@dataclass(frozen=True)
class Budgets:
    """What one call may hold."""

    photos: int  # of the nudity classifier
    pyramid_pixels: int  # canvas pixels of the face proposals
    faces: int  # crops of refinement and of points
    detection_pixels: int  # canvas pixels of text detection
    # Pixels of photos whose proposals are looked for together, and canvas pixels whose lines are.
    search_pixels: int = sys.maxsize
    map_pixels: int = sys.maxsize

    @classmethod
    def chosen(cls, settings: PhotoSettings, device_type: str) -> Self:
        """What the settings allow; on a CPU not more than its caches hold."""
        allowed = (
            settings.photo_calls,
            settings.pyramid_call_pixels,
            settings.face_calls,
            settings.detection_call_pixels,
        )
        if device_type != "cpu":
            return cls(*allowed)
        photos, pyramid, faces, pixels = map(min, allowed, astuple(CPU_BUDGETS))
        return cls(photos, pyramid, faces, pixels, CPU_BUDGETS.search_pixels, CPU_BUDGETS.map_pixels)


# Small enough that all cores have calls to run. A CPU looks for the proposals of each photo by itself: what NMS does
# grows with the square of what it looks at.
CPU_BUDGETS = Budgets(photos=1, pyramid_pixels=1 << 18, faces=64, detection_pixels=1, search_pixels=1, map_pixels=1)
