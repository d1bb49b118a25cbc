"""`quintet export` and `quintet read --formats`, cut short and taken up again."""

import os
import signal
import subprocess
import sys

import pytest
from quintet_client.output.folder import Output
from quintet_client.output.ledger import Ledger, Row

from tests.client.exports.exporting import export, exported, two_words, write_images
from tests.client.reading import CLIENT_ROOT, read, report, wait_until
from tests.client.scripted_server import ScriptedServer

SLOW_EXPORTS = """
import sys, time
from quintet_client.cli import main
from quintet_client.exports.formats import plain

render = plain.render

def slow(document):
    time.sleep(1)
    return render(document)

plain.render = slow
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_slow_exports_do_not_hold_up_the_end_of_an_interrupted_run(folder, output):
    write_images(folder, 40)
    options = ("--formats", "txt")
    with ScriptedServer(two_words) as server:
        command = [sys.executable, "-c", SLOW_EXPORTS, "read", folder, output, "--server", server.url, *options]
        with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(CLIENT_ROOT)}) as process:
            wait_until((output / "exports").exists)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=12) == 130
        assert report(output)["exports"]["ended_early"]
        assert read(folder, output, server.url, *options) == 0
    assert len(exported(output)) == 40


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_export_leaves_no_half_file_and_goes_on(folder, output, tmp_path, number):
    write_images(folder, 1)
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url) == 0
    answer = (output / "pages/part0/page00.png.json").read_bytes()
    made = Output(output)
    for at in range(400):
        made.write_page(f"{at:04}.png", answer)
    with Ledger.open(made.ledger) as ledger:
        ledger.record(Row(f"{at:04}.png", "ok", output_bytes=len(answer)) for at in range(400))
    command = [sys.executable, "-m", "quintet_client.cli", "export", str(output), "--to", "alto,txt"]
    environment = {**os.environ, "PYTHONPATH": str(CLIENT_ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until((output / "exports/alto/0020.png.alto.xml").exists)
        process.send_signal(number)
        assert process.wait(timeout=30) == (130 if number == signal.SIGTERM else -number)
    partly = exported(output)
    assert export(output, "alto,txt") == 0
    whole = exported(output)
    assert len(partly) < len(whole)
    named = {path: body for path, body in partly.items() if not path.endswith(".partial")}
    assert {path: whole[path] for path in named} == named
    assert not [path for path in whole if path.endswith(".partial")]
