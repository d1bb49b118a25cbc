"""The ledger and the answers on disk survive being killed at any moment."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from quintet_client.cancellation import Cancellation
from quintet_client.errors import ModelMismatchError, OutputUnwritableError
from quintet_client.output.folder import Output, write_atomically
from quintet_client.output.ledger import Ledger, Row, UnusableLedgerError
from quintet_client.output.ledger_writer import LedgerWriter

CLIENT_ROOT = Path(__file__).parents[3] / "client"


def start(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(CLIENT_ROOT)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def kill_after_lines(process, count):
    for _ in range(count):
        assert process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()
    process.stdout.close()
    process.wait()
    return rest


def test_rows_come_back_as_they_were_written(tmp_path):
    rows = [Row("b", "failed", 3, "TIMEOUT", "silent", 10, 20), Row("a", "ok", 1, "", "", 5, 6, 7, "id")]
    with Ledger.open(tmp_path / "l") as ledger:
        ledger.record([Row("a", "pending"), Row("b", "sent")])
        ledger.record(rows, model="m1")
    with Ledger.open(tmp_path / "l") as ledger:
        assert [ledger.find("b"), ledger.find("a"), ledger.find("c")] == [*rows, None]
        assert list(ledger.rows("ok")) == [rows[1]]
        assert ledger.model() == "m1"
        ledger.forget()
        assert (ledger.find("a"), ledger.model()) == (None, None)


def test_what_was_committed_survives_a_killed_writer(tmp_path):
    script = """
import sys
from pathlib import Path
from quintet_client.output.ledger import Ledger, Row
with Ledger.open(Path(sys.argv[1])) as ledger:
    for i in range(10**6):
        ledger.record([Row(f"{i}-{j}", "ok", 1) for j in range(10)], model="m")
        print(i, flush=True)
"""
    rest = kill_after_lines(start(script, tmp_path / "l"), 50)
    committed = 50 + rest.count("\n")
    with Ledger.open(tmp_path / "l") as ledger:
        found = sum(1 for _ in ledger.rows("ok"))
        assert found % 10 == 0, "a transaction is whole or absent"
        assert committed * 10 <= found <= (committed + 1) * 10
        ledger.record([Row("after", "ok")])


def test_an_answer_is_whole_whenever_its_writer_is_killed(tmp_path):
    script = """
import sys
from pathlib import Path
from quintet_client.output.folder import write_atomically
for i in range(10**6):
    write_atomically(Path(sys.argv[1]) / "a.json", (b"%d" % (i % 10)) * 500_000)
    print(i, flush=True)
"""
    for lines in (1, 7, 20):
        kill_after_lines(start(script, tmp_path), lines)
        content = (tmp_path / "a.json").read_bytes()
        assert content == content[:1] * 500_000
    write_atomically(tmp_path / "a.json", b"after")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"], "the killed writers' leftover is reused and gone"


def test_a_file_that_is_no_ledger_is_a_clear_error(tmp_path):
    (tmp_path / "l").write_bytes(b"something else" * 100)
    with pytest.raises(UnusableLedgerError, match="--overwrite"), Ledger.open(tmp_path / "l"):
        pass
    with sqlite3.connect(tmp_path / "newer") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UnusableLedgerError, match=r"version 99.*--overwrite"), Ledger.open(tmp_path / "newer"):
        pass


def test_the_ledger_writer_keeps_order_and_refuses_a_second_model(tmp_path):
    committed = []
    with Ledger.open(tmp_path / "l"):
        pass
    ledger_writer = LedgerWriter(tmp_path / "l", None, Cancellation(), committed.extend)
    ledger_writer.start()

    def work(part):
        for i in range(300):
            ledger_writer.claim("m1")
            ledger_writer.record(Row(f"{part}-{i}", "sent"))
            ledger_writer.record(Row(f"{part}-{i}", "ok"))

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pytest.raises(ModelMismatchError, match="m2"):
        ledger_writer.claim("m2")
    ledger_writer.close()
    with Ledger.open(tmp_path / "l") as ledger:
        assert sum(1 for _ in ledger.rows("ok")) == 1200
        assert ledger.model() == "m1"
    assert len(committed) == 2400


def test_a_ledger_that_cannot_be_written_ends_the_run_and_blocks_nobody(tmp_path):
    cancellation = Cancellation()
    ledger_writer = LedgerWriter(tmp_path / "missing" / "l", None, cancellation, lambda _rows: None)
    ledger_writer.start()
    for i in range(5000):
        ledger_writer.record(Row(str(i), "ok"))
    begin = time.monotonic()
    ledger_writer.close()
    assert time.monotonic() - begin < 10
    assert isinstance(cancellation.cause, OutputUnwritableError)


def test_a_claimed_output_is_free_again_as_soon_as_its_client_is_killed(tmp_path):
    script = """
import os, sys, time
from pathlib import Path
from quintet_client.output.folder import Output
with Output(Path(sys.argv[1])).claim():
    if os.fork():
        print("claimed", flush=True)
    time.sleep(20)
"""
    process = start(script, tmp_path)
    assert process.stdout.readline()
    output = Output(tmp_path)
    with pytest.raises(OutputUnwritableError, match="another client"), output.claim():
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with output.claim():  # although its child lives on
        pass
    process.stdout.close()
