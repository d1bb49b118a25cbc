"""Where and how networks run: device, number format, weights, calls, copies, CUDA graphs, timings.

May import `quintet.errors`. Knows no chain: which networks there are, whoever makes an `Engine` says.
"""

import sys

# OpenVINO reports its use to an analytics service when it is imported, and writes into the user's folder; without this
# package, as here, it does neither.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
