"""What surrounds a run: whose the ledger is, and which clock it is measured by."""

import ast
import shutil
import subprocess
import sys

import pytest

from tests.client.reading import CLIENT_ROOT, answers, read, write_pages
from tests.client.scripted_server import ScriptedServer

# Root may write anywhere; without these capabilities it is an ordinary owner of its files.
AS_ORDINARY_USER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv of util-linux")
@pytest.mark.parametrize("locked", ["ledger.sqlite", "."])
def test_an_output_that_may_not_be_written_ends_with_6_and_stays_as_it_is(folder, output, locked):
    write_pages(folder, 3)
    with ScriptedServer() as server:
        assert read(folder, output, server.url) == 0
        before = answers(output)
        for number, body in enumerate((b"four", b"five")):
            (folder / f"more{number}.jpg").write_bytes(body)
        (output / locked).chmod(0o555 if (output / locked).is_dir() else 0o444)
        command = [*AS_ORDINARY_USER, sys.executable, "-m", "quintet_client.cli", "read", str(folder), str(output)]
        done = subprocess.run([*command, "--server", server.url], capture_output=True, text=True, check=False)
        assert done.returncode == 6, done.stderr
        assert "Traceback" not in done.stderr
        assert answers(output) == before
        (output / locked).chmod(0o755 if (output / locked).is_dir() else 0o644)
        assert read(folder, output, server.url) == 0
    assert len(answers(output)) == 5


def test_waits_and_limits_are_measured_by_a_clock_that_does_not_jump():
    """The wall clock is for labels: when a row was written, when a run began and ended, and how long ago that was."""
    labels = {"output/ledger.py", "output/parts/place.py", "output/parts/rows.py", "run/report.py"}
    labels |= {"viewer/data/summary.py"}
    found = {
        str(path.relative_to(CLIENT_ROOT / "quintet_client"))
        for path in (CLIENT_ROOT / "quintet_client").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Attribute) and ast.unparse(call) in {"time.time", "datetime.now", "datetime.utcnow"}
    }
    assert found == labels
