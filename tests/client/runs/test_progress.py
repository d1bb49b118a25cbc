"""What a run says of itself while it goes, beside what is true: pace, time left, a server that is away."""

import itertools
import json
import logging
import re
import threading
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest
from quintet.frame import stage_times
from quintet_client.viewer.data.run import Run
from quintet_client.viewer.data.summary import summarise
from test_cli import QUINTET, environment, on_terminal

from tests.client.reading import read, report, wait_until, write_pages
from tests.client.scripted_server import Reply, ScriptedServer, our_error, page_answer

__all__ = ["environment"]

PAGE_S = 0.1


class OneReader:
    """Reads a page at a time, as a service with one worker does; every third page fails at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, request):
        if int(request.body.split()[1]) % 3 == 0:
            return our_error(400, "IMAGE_DECODE_FAILED")
        with self._lock:
            time.sleep(PAGE_S)
        return page_answer(request)


@pytest.fixture
def events(folder, output, capsys, monkeypatch):
    """The progress of 60 pages, 40 of which can be read, in requests of 8; and the report."""
    monkeypatch.setattr("quintet_client.run.progress._EVENT_EVERY_S", 0.05)
    write_pages(folder, 60)
    with ScriptedServer(OneReader()) as server:
        assert read(folder, output, server.url, "--json", "--pack", 8, "--in-flight", 16) == 3
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if line["event"] == "progress"]


def test_the_pace_is_of_pages_read_since_the_run_began(events, output):
    for event in events:
        assert event["pages_per_s"] == pytest.approx(event["ok"] / event["seconds"], abs=0.01)
    whole = report(output)
    assert whole["pages_per_s"] == pytest.approx(40 / whole["seconds"], abs=0.01)


def test_the_time_left_is_about_what_is_left_and_counts_down_between_answers(events, output):
    seconds = report(output)["seconds"]
    amidst = [event for event in events if 16 <= event["ok"] < 36]
    shown = [event for event in amidst if event["eta_s"] is not None]  # not while an answer is overdue
    assert len(shown) > max(10, len(amidst) / 2)
    for event in shown:
        assert event["eta_s"] == pytest.approx(seconds - event["seconds"], abs=0.4 * PAGE_S * 40)
    pairs = [(one, other) for one, other in itertools.pairwise(shown) if one["ok"] == other["ok"]]
    assert pairs
    assert all(other["eta_s"] <= one["eta_s"] for one, other in pairs)


def test_the_bar_on_a_terminal_says_the_same(folder, output, environment):
    write_pages(folder, 60)
    with ScriptedServer(OneReader()) as server:
        command = [*QUINTET, "read", str(folder), str(output), "--server", server.url, "--loaders", "0", "--pack", "8"]
        shown = on_terminal(command, environment).decode()
    paces = [float(pace) for pace in re.findall(r"([\d.]+) pages/s, ", shown)]
    assert paces
    assert max(paces) <= 1 / PAGE_S
    assert re.search(r"\d+/60 \[00:0\d, .* pages/s, 00:0\d left, \d+ sent in \d requests, \d+ failed\]", shown)
    assert "page/s" not in shown


def test_a_server_that_goes_away_is_said_at_once_and_so_is_the_waiting(folder, output, caplog, monkeypatch):
    monkeypatch.setattr("quintet_client.run.progress._LINE_EVERY_S", 0.1)
    caplog.set_level(logging.INFO)
    write_pages(folder, 40)
    gone, closed, reader = threading.Event(), threading.Event(), OneReader()

    def answer(request):
        if not gone.is_set():
            return reader(request)
        closed.wait()
        return Reply(drop=True)

    first = ScriptedServer(answer)

    def restart():
        wait_until(lambda: len(first.seen) > 8)
        gone.set()
        time.sleep(1)  # all wait for an answer: a connection that is just being made would be reset, not refused
        first.__exit__()
        closed.set()
        wait_until(lambda: "pages wait for the server" in caplog.text.partition("refused; trying again")[2], 20)
        servers.enter_context(ScriptedServer(reader, first.port))

    with ExitStack() as servers:
        first.__enter__()
        restarting = threading.Thread(target=restart)
        restarting.start()
        assert read(folder, output, first.url, "--give-up-s", 60) == 3
        restarting.join()
    assert re.search(r"WARNING .*the server takes no pages for now: .*refused; trying again for 60 s", caplog.text)
    assert re.search(r"\d+ of \d+ pages wait for the server", caplog.text)
    assert "the server takes pages again" in caplog.text


def test_a_server_that_is_not_there_is_said_at_once_and_again(folder, output, caplog, monkeypatch):
    monkeypatch.setattr("quintet_client.service.delivery._SAY_AGAIN_S", 0.5)
    caplog.set_level(logging.INFO)
    write_pages(folder, 3)
    begin = time.time()
    assert read(folder, output, "http://127.0.0.1:9", "--give-up-s", 3) == 4
    said = [record for record in caplog.records if "the server takes no pages" in record.message]
    assert "refused; trying again for 3 s" in said[0].message
    assert said[0].created - begin < 2
    assert re.search(r"for \d+ s; trying again for \d s more", said[1].message)


@pytest.mark.parametrize("pack", [1, 8])
def test_the_report_has_the_time_of_each_stage_of_the_services(folder, output, pack):
    write_pages(folder, 16)
    times = (stage_times.HEADER, "decode=0.25, text_detection=1.5")
    with ScriptedServer(lambda request: replace(page_answer(request), headers=(times,))) as server:
        assert read(folder, output, server.url, "--pack", pack) == 0
    answers = len(server.packs)
    assert report(output)["stage_seconds"] == {"decode": 0.25 * answers, "text_detection": 1.5 * answers}


def test_the_viewer_shows_the_speed_and_time_of_the_log_and_no_idle_time(folder, output):
    """While a run goes, when it has ended, and after another one that began later."""
    seen = []

    def look():
        wait_until(lambda: len(server.seen) > 20)
        seen.append((summarise(Run(output)).sittings[-1], time.time()))

    with ScriptedServer(OneReader()) as server:
        looking = threading.Thread(target=look)
        looking.start()
        for count in (30, 60):
            write_pages(folder, count)
            assert read(folder, output, server.url, "--pack", 4, "--in-flight", 8) == 3
            last, whole = summarise(Run(output)).sittings[-1], report(output)
            assert last.seconds == pytest.approx(whole["seconds"], abs=0.1)
            assert last.pages_per_s == pytest.approx(whole["pages_per_s"], rel=0.05)
            assert (last.ok, last.failed) == (whole["ok"], whole["failed"])
            time.sleep(2.1)
        looking.join()
    going, at = seen[0]
    assert going.seconds == pytest.approx(at - going.started_at.timestamp(), abs=0.5)
    assert going.pages_per_s == going.ok / going.seconds <= 1 / PAGE_S
