"""How much of a batch goes into one call of each network; a single item above a budget goes alone."""

import sys
from dataclasses import astuple, dataclass
from typing import Self

from quintet.pages.settings import Settings
from quintet.stages import text_detection

OPENVINO_OPTIONS = {"text_detection": text_detection.OPENVINO_OPTIONS}


@dataclass(frozen=True)
class Budgets:
    """What one call may hold."""

    pages: int  # of page orientation and of layout
    detection_pixels: int  # canvas pixels of text detection
    line_columns: int  # crop columns of line orientation and of recognition
    map_pixels: int = sys.maxsize  # canvas pixels of text detection in whose maps lines are looked for together
    few_sizes: bool = False  # whether calls of recognition hold 1, 4, 16 … lines and no other number

    @classmethod
    def chosen(cls, settings: Settings, device_type: str) -> Self:
        """What the settings allow; on a CPU not more than its caches hold."""
        allowed = (settings.page_calls, settings.detection_call_pixels, settings.line_call_columns)
        if device_type != "cpu":
            return cls(*allowed)
        pages, pixels, columns = map(min, allowed, astuple(CPU_BUDGETS))
        return cls(pages, pixels, columns, CPU_BUDGETS.map_pixels, CPU_BUDGETS.few_sizes)


# What a core's own cache holds, and small enough that all cores have calls to run; see docs/performance.md. Few sizes,
# because OpenVINO keeps 1 to 3 MB for every shape of recognition it has seen, once for each of its streams.
CPU_BUDGETS = Budgets(pages=1, detection_pixels=1, line_columns=2560, map_pixels=1, few_sizes=True)
