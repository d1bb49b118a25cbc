"""`quintet read` against a real HTTP server that misbehaves on demand."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from tests.client.reading import (
    CLIENT_ROOT,
    answers,
    assert_adds_up,
    count_answers,
    finish,
    once_workers_load,
    read,
    report,
    rows,
    start_client,
    wait_until,
    write_pages,
)
from tests.client.scripted_server import MODEL, Reply, ScriptedServer, our_error, page_answer, torchserve_error


def slowly(request):
    time.sleep(0.05)
    return page_answer(request)


def first(times, reply):
    """Script: this reply the first so many times a page comes, its answer afterwards."""
    return lambda request: reply if request.times_seen <= times else page_answer(request)


def test_every_page_is_read_and_a_second_run_changes_no_byte(folder, output, capsys):
    pages = write_pages(folder, 30)
    with ScriptedServer() as server:
        assert read(folder, output, server.url) == 0
        assert "inputs 30 = ok 30 + failed 0 + skipped 0" in capsys.readouterr().out
        before = answers(output)
        assert read(folder, output, server.url) == 0
    assert set(before) == set(pages)
    assert answers(output) == before
    assert "request_id" not in json.loads(before["part0/page0000.jpg"])
    assert rows(output)["part0/page0000.jpg"]["request_id"]
    assert assert_adds_up(output)["skipped"] == 30
    assert set(server.seen.values()) == {1}
    assert report(output)["model"] == MODEL


def test_loader_processes_and_no_loader_processes_give_the_same_bytes(folder, output, tmp_path):
    write_pages(folder, 40)
    with ScriptedServer(once_workers_load()) as server:
        assert finish(start_client(folder, output, server.url, "--loaders", 2, "--batch", 8))[0] == 0
        assert read(folder, tmp_path / "alone", server.url) == 0
    assert answers(output) == answers(tmp_path / "alone")


@pytest.mark.parametrize(
    "reply",
    [
        our_error(503, "BUSY", Retry_After="0.2"),
        torchserve_error(503, "ServiceUnavailableException"),
        Reply(drop=True),
        torchserve_error(404, "ModelNotFoundException"),
    ],
    ids=["busy", "queue full", "connection dropped", "model not loaded yet"],
)
def test_what_is_not_the_pages_fault_is_retried_and_costs_no_try(folder, output, reply):
    write_pages(folder, 5)
    with ScriptedServer(first(2, reply)) as server:
        assert read(folder, output, server.url, "--retries", 1) == 0
    assert {row["tries"] for row in rows(output).values()} == {1}
    assert_adds_up(output)


def test_retry_after_is_honoured(folder, output):
    write_pages(folder, 1)
    with ScriptedServer(first(1, our_error(503, "BUSY", Retry_After="1"))) as server:
        begin = time.monotonic()
        assert read(folder, output, server.url) == 0
    assert time.monotonic() - begin >= 1


def test_a_page_that_kills_its_worker_fails_alone_after_its_tries(folder, output):
    write_pages(folder, 6)
    (folder / "poison.jpg").write_bytes(b"poison")
    (folder / "unlucky.jpg").write_bytes(b"unlucky")
    died = torchserve_error(507, "InternalServerException", "Worker died.")

    def script(request):
        bad = request.body == b"poison" or (request.body == b"unlucky" and request.times_seen < 3)
        return died if bad else page_answer(request)

    with ScriptedServer(script) as server:
        assert read(folder, output, server.url) == 3
    counts = assert_adds_up(output)
    assert counts["errors"] == {"WORKER_DIED": 1}
    assert rows(output)["poison.jpg"]["tries"] == 3
    assert rows(output)["unlucky.jpg"]["state"] == "ok"
    assert json.loads((output / "failed.jsonl").read_text())["page_id"] == "poison.jpg"


def test_a_refused_page_fails_at_once_and_is_skipped_until_asked_for(folder, output):
    write_pages(folder, 2)
    (folder / "broken.jpg").write_bytes(b"broken")
    healed = threading.Event()

    def script(request):
        refused = request.body == b"broken" and not healed.is_set()
        return our_error(400, "IMAGE_DECODE_FAILED") if refused else page_answer(request)

    with ScriptedServer(script) as server:
        assert read(folder, output, server.url) == 3
        assert server.seen[b"broken"] == 1
        assert read(folder, output, server.url) == 3
        assert server.seen[b"broken"] == 1
        healed.set()
        assert read(folder, output, server.url, "--retry-failed") == 0
    assert assert_adds_up(output)["ok"] == 1


def test_pages_of_files_that_are_gone_are_not_listed_as_failed_and_are_counted_until_pruned(folder, output, capsys):
    write_pages(folder, 3)
    for name in ("broken.jpg", "kept.jpg"):
        (folder / name).write_bytes(b"broken")

    def script(request):
        return our_error(400, "IMAGE_DECODE_FAILED") if request.body == b"broken" else page_answer(request)

    with ScriptedServer(script) as server:
        assert read(folder, output, server.url) == 3
        (folder / "broken.jpg").unlink()
        (folder / "part0" / "page0000.jpg").unlink()
        assert read(folder, output, server.url) == 3
        counts = report(output)
        assert (counts["inputs"], counts["skipped_ok"], counts["skipped_failed"], counts["vanished"]) == (3, 2, 1, 2)
        assert [json.loads(line)["page_id"] for line in (output / "failed.jsonl").read_text().splitlines()] == [
            "kept.jpg"
        ]
        assert "2 more pages in OUTPUT are of files that are gone; --prune" in capsys.readouterr().out
        assert read(folder, output, server.url, "--prune") == 3
    assert assert_adds_up(output)["vanished"] == 0
    assert set(rows(output)) == {"part1/page0001.jpg", "part2/page0002.jpg", "kept.jpg"}


def test_a_silent_server_costs_tries(folder, output):
    write_pages(folder, 1)

    def script(request):
        time.sleep(1)
        return page_answer(request)

    with ScriptedServer(script) as server:
        assert read(folder, output, server.url, "--timeout-s", 0.3, "--retries", 2) == 3
    assert assert_adds_up(output)["errors"] == {"TIMEOUT": 1}


def keyed(token):
    """Script: only requests that carry the token in force are answered."""

    def script(request):
        if request.headers.get("authorization") != f"Bearer {token()}":
            return torchserve_error(400, "InvalidKeyException", "Token Authorization failed.")
        return slowly(request)

    return script


def test_a_token_rotated_in_mid_run_is_read_again(folder, output, tmp_path):
    write_pages(folder, 40)
    key_file = tmp_path / "key_file.json"
    valid = ["first"]

    def write_key():
        key_file.touch(0o600)
        key_file.write_text(json.dumps({"management": {"key": "no"}, "inference": {"key": valid[0]}}))

    def rotate():
        wait_until(lambda: count_answers(output) >= 5)
        valid[0] = "second"
        time.sleep(0.5)  # refusals come before the new file does
        write_key()

    write_key()
    rotation = threading.Thread(target=rotate)
    with ScriptedServer(keyed(lambda: valid[0])) as server:
        rotation.start()
        assert read(folder, output, server.url, "--token-file", key_file, "--in-flight", 4) == 0
        rotation.join()
    assert assert_adds_up(output)["ok"] == 40


def test_a_wrong_token_ends_with_5_and_leaves_the_pages_for_later(folder, output, tmp_path):
    write_pages(folder, 3)
    token = tmp_path / "token"
    token.write_text("wrong\n")
    token.chmod(0o600)
    with ScriptedServer(keyed(lambda: "right")) as server:
        assert read(folder, output, server.url, "--token-file", token) == 5
        assert {row["state"] for row in rows(output).values()} <= {"pending", "sent"}
        token.write_text("right\n")
        assert read(folder, output, server.url, "--token-file", token) == 0
    assert assert_adds_up(output)["ok"] == 3


def test_results_of_another_model_are_refused_unless_told_to_overwrite(folder, output):
    pages = write_pages(folder, 3)
    with ScriptedServer() as server:
        assert read(folder, output, server.url) == 0
        before = answers(output)
        (folder / "new.jpg").write_bytes(b"new")
        server.script = lambda request: page_answer(request, "scripted-model-2")
        assert read(folder, output, server.url) == 2
        assert answers(output) == before
        assert "--overwrite" in report(output)["reason"]
        assert read(folder, output, server.url, "--overwrite") == 0
    assert {json.loads(answer)["model"] for answer in answers(output).values()} == {"scripted-model-2"}
    assert assert_adds_up(output)["ok"] == len(pages) + 1


def test_a_changed_file_and_a_missing_answer_are_done_again(folder, output):
    pages = write_pages(folder, 4)
    with ScriptedServer() as server:
        assert read(folder, output, server.url) == 0
        changed, missing, short, _same = pages
        (folder / changed).write_bytes(b"another picture")
        (output / "pages" / f"{missing}.json").unlink()
        (output / "pages" / f"{short}.json").write_bytes(b"")
        assert read(folder, output, server.url) == 0
    assert assert_adds_up(output)["ok"] == 3
    assert server.seen[b"another picture"] == 1


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_an_unreachable_server_ends_with_4_and_a_rerun_goes_on(folder, output):
    write_pages(folder, 3)
    port = free_port()
    assert read(folder, output, f"http://127.0.0.1:{port}", "--give-up-s", 0.5) == 4
    assert report(output)["left"] == 3
    with ScriptedServer(port=port) as server:
        assert read(folder, output, server.url) == 0
    assert assert_adds_up(output)["ok"] == 3


def test_a_server_that_is_away_for_a_while_costs_nothing(folder, output):
    write_pages(folder, 20)
    port = free_port()
    done = []
    run = threading.Thread(target=lambda: done.append(finish(start_client(folder, output, f"http://127.0.0.1:{port}"))))
    run.start()
    wait_until((output / "ledger.sqlite").exists)
    time.sleep(1.5)
    with ScriptedServer(port=port):
        run.join()
    assert done[0][0] == 0
    assert {row["tries"] for row in rows(output).values()} == {1}


def test_an_output_that_cannot_be_written_ends_with_6(folder, tmp_path):
    write_pages(folder, 2)
    (tmp_path / "file").write_text("in the way")
    with ScriptedServer() as server:
        assert read(folder, tmp_path / "file" / "out", server.url) == 6


def test_a_full_disk_ends_with_6_and_a_rerun_goes_on(folder, output):
    write_pages(folder, 3)

    def large(request):
        answer = page_answer(request)
        document = json.loads(answer.body) | {"text": "x" * 3_000_000}
        return Reply(200, json.dumps(document).encode())

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ScriptedServer(large) as server:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limits[1]))
        try:
            assert read(folder, output, server.url) == 6
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert count_answers(output) == 0
        assert not list(output.rglob("*.partial"))
        assert read(folder, output, server.url) == 0
    assert assert_adds_up(output)["ok"] == 3


@pytest.mark.slow
def test_a_second_client_on_the_same_output_is_refused(folder, output):
    write_pages(folder, 6)
    refused = threading.Event()

    def script(request):
        refused.wait(60)
        return page_answer(request)

    with ScriptedServer(script) as server:
        running = start_client(folder, output, server.url)
        wait_until(lambda: server.seen)
        code, said = finish(start_client(folder, output, server.url))
        refused.set()
        assert finish(running)[0] == 0
    assert code == 6
    assert "another client" in said
    assert assert_adds_up(output)["ok"] == 6
    assert set(server.seen.values()) == {1}


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, *(pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGINT, signal.SIGTERM))],
)
def test_a_client_ended_midway_is_completed_by_a_rerun_to_the_same_bytes(folder, output, tmp_path, number):
    pages = write_pages(folder, 80)
    with ScriptedServer(slowly) as server:
        running = start_client(folder, output, server.url, "--in-flight", 2, "--batch", 8)
        wait_until(lambda: count_answers(output) and count_done(output) >= 10)
        running.send(number)
        assert finish(running)[0] == (-signal.SIGKILL if number == signal.SIGKILL else 130)
        assert 10 <= count_answers(output) < 80
        assert read(folder, output, server.url) == 0
        assert read(folder, tmp_path / "undisturbed", server.url) == 0
    counts = assert_adds_up(output)
    assert counts["inputs"] == len(pages)
    assert counts["skipped"] > 0
    assert answers(output) == answers(tmp_path / "undisturbed")


def count_done(output):
    return sum(row["state"] == "ok" for row in rows(output).values())


def children_of(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


@pytest.mark.slow
def test_a_killed_loader_process_loses_no_page(folder, output):
    write_pages(folder, 200)
    with ScriptedServer(slowly) as server:
        running = start_client(folder, output, server.url, "--loaders", 1, "--batch", 4, "--in-flight", 4)
        wait_until(lambda: count_answers(output) >= 5)
        os.kill(children_of(running.pid)[0], signal.SIGKILL)
        code, said = finish(running)
    assert code == 0, said
    assert assert_adds_up(output)["ok"] == 200
    assert set(server.seen.values()) == {1}


def test_strange_names_are_pages_like_others_and_stay_inside_output(folder, output, tmp_path):
    (folder / "x.jpg").mkdir()
    (folder / "x.jpg" / "inner.png").write_bytes(b"inner")
    (folder / "dangling.jpg").symlink_to("nowhere")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "up").symlink_to(folder)
    os.mkfifo(folder / "pipe.tif")
    (folder / "two\nlines.jpg").write_bytes(b"newline")
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"latin")
    (folder / ("n" * 250 + ".png")).write_bytes(b"long")
    (folder / "a.JPG").write_bytes(b"a")
    (folder / "a.JPG.json").mkdir()
    (folder / "a.JPG.json" / "b.webp").write_bytes(b"b")
    (folder / "notes.md").write_text("no image")
    with ScriptedServer() as server:
        assert read(folder, output, server.url) == 3
    counts = assert_adds_up(output)
    assert (counts["ok"], counts["errors"]) == (6, {"UNREADABLE_FILE": 3})
    assert {"x.jpg/inner.png", "two%0Alines.jpg", "caf%E9.jpg", "a.JPG", "a.JPG%2Ejson/b.webp"} < set(answers(output))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_a_list_of_files_may_name_anything_and_nothing_leaves_output(folder, output, tmp_path):
    (tmp_path / "outside.jpg").write_bytes(b"outside")
    (folder / "inside.jpg").write_bytes(b"inside")
    names = ["inside.jpg", "./inside.jpg", str(folder / "inside.jpg"), "../outside.jpg", "missing.jpg", "nul\0.jpg", ""]
    names += [str(tmp_path / "outside.jpg")]
    (folder / "list.txt").write_text("\r\n".join(names))
    with ScriptedServer() as server:
        assert read(folder / "list.txt", output, server.url) == 3
    counts = assert_adds_up(output)
    assert (counts["inputs"], counts["ok"], counts["errors"]) == (5, 3, {"UNREADABLE_FILE": 2})
    assert {"inside.jpg", "%2E%2E/outside.jpg"} < set(answers(output))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "outside.jpg"]


def test_one_file_is_one_page_and_limit_cuts_the_inputs(folder, output, tmp_path):
    pages = write_pages(folder, 5)
    with ScriptedServer() as server:
        assert read(folder / next(iter(pages)), output, server.url) == 0
        assert read(folder, tmp_path / "two", server.url, "--limit", 2) == 0
    assert list(answers(output)) == ["page0000.jpg"]
    assert assert_adds_up(tmp_path / "two")["inputs"] == 2


@pytest.mark.parametrize(
    "options", [("--batch", 0), ("--timeout-s", "nan"), ("--server", "ftp://x"), ("--token-file", "/nowhere/key")]
)
def test_wrong_usage_ends_with_2(folder, output, options):
    write_pages(folder, 1)
    assert read(folder, output, "http://127.0.0.1:1", *options) == 2


def test_a_missing_input_ends_with_2(folder, output):
    assert read(folder / "nowhere", output, "http://127.0.0.1:1") == 2


def test_without_torch_reading_in_bulk_says_what_to_install():
    script = (
        "import sys; sys.modules['torch'] = None\n"  # what Python itself takes for 'not installed'
        "from quintet_client.cli import main\n"
        "sys.exit(main(['read', 'in', 'out']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(CLIENT_ROOT)}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "quintet[bulk]" in ended.stderr
