"""What a stranger would try, with curl, on the real service; docs/security.md shows what comes of it."""

from __future__ import annotations

import shutil
import stat
import subprocess

import pytest
from quintet.operations import service as torchserve

from tests.conftest import ROOT

SCRIPT = ROOT / "docs" / "examples" / "stranger.sh"
DOCUMENT = ROOT / "docs" / "security.md"


def documented() -> list[str]:
    """The lines of the document that show the script's output."""
    block = DOCUMENT.read_text("utf-8").split("$ docs/examples/stranger.sh", 1)[1].split("```", 1)[0]
    return [line.rstrip() for line in block.splitlines()[1:] if line.strip()]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_a_stranger_tries_is_refused_as_the_document_says(service: torchserve.Service) -> None:
    urls = (service.inference_url, service.management_url, service.metrics_url)
    done = subprocess.run([SCRIPT, *urls, service.token_file], capture_output=True, text=True, check=False, timeout=300)
    said = [line.rstrip() for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout
    outside = any(line.startswith("from outside") for line in said)  # not on a machine without an address of its own
    assert said == [line for line in documented() if outside or not line.startswith("from outside")]
    assert service.workers() == ["READY"]


def test_tokens_are_their_owners_alone(service: torchserve.Service) -> None:
    assert stat.S_IMODE(service.run_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE(service.token_file.stat().st_mode) == 0o600
    assert service.token("inference") != service.token("management")


def test_nothing_in_the_logs_gives_a_token_away(service: torchserve.Service) -> None:
    logs = "".join(path.read_text(errors="replace") for path in (service.run_dir / "logs").rglob("*.log"))
    assert logs
    for kind in ("inference", "management", "API"):
        assert service.token(kind) not in logs
