"""The client of a soak: `quintet read` again and again in one process, one line of JSON on stdout for each round.

python -m benchmarks.soak_client SECONDS PAGES OUTPUT OPTIONS-OF-QUINTET-READ...
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from quintet_client.cli import main as quintet
from quintet_client.errors import ExitCode

_FINISHED = (ExitCode.OK, ExitCode.SOME_FAILED)


@dataclass(frozen=True)
class Round:
    """What one round came to.

    Attributes:
        at_s: when it ended, since the first began.
        inputs: pages that were there.
        ok: pages that were read.
        failed: pages that were not, with a code.
        answers: files that hold an answer.
        digest: of what all answers say; equal in all rounds, since the pages are.
    """

    at_s: float
    inputs: int
    ok: int
    failed: int
    answers: int
    digest: str

    @property
    def lost(self) -> int:
        """Pages without an end, and pages that were read without an answer in place."""
        return (self.inputs - self.ok - self.failed) + (self.ok - self.answers)


def run(seconds: float, pages: Path, output: Path, options: list[str]) -> None:
    """Rounds until the time is over, at least one.

    Raises:
        RuntimeError: a round ended with anything but pages read.
    """
    begin = time.monotonic()
    while True:
        with contextlib.redirect_stdout(io.StringIO()):  # the summary of each round
            code = quintet(["read", str(pages), str(output), "--overwrite", *options])
        if code not in _FINISHED:
            raise RuntimeError(f"quintet read ended with {code}")
        at_s = time.monotonic() - begin
        sys.stdout.write(json.dumps(asdict(_account(output, at_s))) + "\n")
        sys.stdout.flush()
        if at_s >= seconds:
            return


def _account(output: Path, at_s: float) -> Round:
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    digest, answers = hashlib.sha256(), sorted((output / "pages").rglob("*.json"))
    for answer in answers:
        digest.update(f"{answer.name}\0{_said(json.loads(answer.read_bytes()))}\0".encode())
    return Round(
        at_s,
        report["inputs"],
        report["ok"],
        report["failed"] + report["skipped"],
        len(answers),
        digest.hexdigest()[:16],
    )


def _said(answer: Any) -> Any:  # noqa: ANN401 - any JSON
    """The text of a page; of any other answer all but its fractions, which depend a little on the batch."""
    match answer:
        case {"text": text}:
            return text
        case dict():
            return {key: _said(value) for key, value in answer.items()}
        case list():
            return [_said(value) for value in answer]
    return None if isinstance(answer, float) else answer


if __name__ == "__main__":
    run(float(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
