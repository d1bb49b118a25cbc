"""Why docs/api.md offers no KServe v2: what TorchServe's own request makes of a batch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow
# In a process of its own: importing `ts` leaves a file open, which is an error in these tests.
SCRIPT = """
import json
from types import SimpleNamespace
from ts.torch_handler.request_envelope.kservev2 import KServev2Envelope

def infer_request(word):
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [word]}
    return {"body": json.dumps({"inputs": [tensor]}).encode()}

seen = []
request = KServev2Envelope(lambda data, _context: seen.extend(data) or data)
manifest = {"model": {"modelName": "quintet", "modelVersion": "1.0"}}
context = SimpleNamespace(manifest=manifest, get_request_id=str)
answers = request.handle([infer_request("first"), infer_request("second")], context)
print(json.dumps({"seen": [tensor["data"] for tensor in seen], "answers": len(answers)}))
"""


def test_torchserves_envelope_drops_all_requests_of_a_batch_but_the_first() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, check=True)
    assert json.loads(ended.stdout) == {"seen": ["first"], "answers": 1}
