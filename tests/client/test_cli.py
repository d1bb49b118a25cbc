"""The command as people and other programs meet it: lists on standard input, events, colours, completion, version."""

import io
import json
import os
import pty
import re
import subprocess
import sys
import termios
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from quintet_client import __version__, cli
from quintet_client.cluster.settings import BatchSettings
from quintet_client.run.settings import ReadSettings

from tests.client.reading import CLIENT_ROOT, answers, assert_adds_up, read, report, write_pages
from tests.client.scripted_server import ScriptedServer, our_error, page_answer

QUINTET = [sys.executable, "-m", "quintet_client.cli"]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "in"


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def environment():
    """This process's own, without what would reach another server or change colours."""
    ours = {**os.environ, "PYTHONPATH": str(CLIENT_ROOT), "TERM": "xterm"}
    for name in ("QUINTET_SERVER", "QUINTET_TOKEN_FILE", "NO_COLOR"):
        ours.pop(name, None)
    return ours


def give(monkeypatch, names):
    """Put a list of names on standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(names)))


def refuse_page_2(request):
    return our_error(400, "IMAGE_DECODE_FAILED") if request.body.startswith(b"page 2 ") else page_answer(request)


@pytest.mark.parametrize(("end", "options"), [("\n", []), ("\r\n", []), ("\0", ["-0"]), ("\0", ["--null"])])
def test_a_list_on_standard_input_names_pages_as_a_list_in_a_file_does(
    folder, output, tmp_path, monkeypatch, end, options
):
    names = list(write_pages(folder, 5))[:3]
    (folder / "list.txt").write_text("\n".join(names))
    monkeypatch.chdir(folder)
    give(monkeypatch, end.join([*names, names[0], ""]).encode())
    with ScriptedServer() as server:
        assert cli.main(["read", "-", str(output), "--server", server.url, "--loaders", "0", *options]) == 0
        assert read(folder / "list.txt", tmp_path / "listed", server.url) == 0
    assert answers(output) == answers(tmp_path / "listed")
    assert set(answers(output)) == set(names)


def test_a_name_with_a_newline_in_it_travels_by_nul(folder, output, monkeypatch):
    folder.mkdir()
    (folder / "two\nlines.jpg").write_bytes(b"page")
    monkeypatch.chdir(folder)
    give(monkeypatch, b"two\nlines.jpg\0")
    with ScriptedServer() as server:
        assert cli.main(["read", "-", str(output), "--server", server.url, "--loaders", "0", "-0"]) == 0
    assert set(answers(output)) == {"two%0Alines.jpg"}


def test_a_file_called_dash_is_read_as_a_path(folder, output, monkeypatch):
    folder.mkdir()
    (folder / "-").write_bytes(b"page")
    monkeypatch.chdir(folder)
    give(monkeypatch, b"")
    with ScriptedServer() as server:
        assert cli.main(["read", "./-", str(output), "--server", server.url, "--loaders", "0"]) == 0
    assert set(answers(output)) == {"-"}


@pytest.mark.parametrize("command", ["read", "batch"])
def test_help_names_every_default_that_is_one(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    kind = {"read": ReadSettings, "batch": BatchSettings}[command](Path(), Path())
    for name, default in asdict(kind).items():
        if type(default) in (int, float):
            assert re.search(rf"--{name.replace('_', '-')} \S+ [^()]*\(default: {default}\)", said), name
    assert said.count("127.0.0.1:8080") == (command == "read")
    assert "default: None" not in said
    assert "default: False" not in said


def test_an_empty_list_is_nothing_to_read(output, monkeypatch, capsys):
    give(monkeypatch, b"\n")
    assert cli.main(["read", "-", str(output), "--server", "http://127.0.0.1:1", "--json"]) == 2
    (end,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (end["event"], end["exit_code"], end["report"]) == ("end", 2, None)
    assert end["reason"] == "there is nothing to read: the list on standard input has no image, PDF or shard"
    assert not output.exists()


def test_events_are_one_object_a_line_and_end_with_the_report(folder, output, capsys):
    write_pages(folder, 6)
    with ScriptedServer(refuse_page_2) as server:
        assert read(folder, output, server.url, "--json") == 3
    lines = capsys.readouterr().out.splitlines()
    events = [json.loads(line) for line in lines]
    assert {event["schema"] for event in events} == {"quintet.events/1"}
    kept = [event for event in events if event["event"] != "progress"]
    assert [event["event"] for event in kept] == ["start", "page_failed", "end"]
    start, failed, end = kept
    assert (start["inputs"], start["left"], start["model"]) == (6, 6, None)
    assert (failed["page_id"], failed["code"]) == ("part2/page0002.jpg", "IMAGE_DECODE_FAILED")
    assert end["exit_code"] == 3
    written = report(output)
    assert {**written, "finished_at": None} == {**end["report"], "finished_at": None}


def test_progress_counts_up_while_the_run_goes(folder, output, capsys, monkeypatch):
    monkeypatch.setattr("quintet_client.run.progress._EVENT_EVERY_S", 0.05)
    write_pages(folder, 30)

    def slowly(request):
        time.sleep(0.02)
        return page_answer(request)

    with ScriptedServer(slowly) as server:
        assert read(folder, output, server.url, "--json", "--pack", 1, "--in-flight", 1) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    shown = [event for event in events if event["event"] == "progress"]
    assert shown
    assert all(event["ok"] + event["failed"] + event["left"] == 30 for event in shown)
    assert [event["ok"] for event in shown] == sorted(event["ok"] for event in shown)


def test_a_run_that_cannot_begin_is_an_event_too(folder, output, capsys):
    assert read(folder / "nowhere", output, "http://127.0.0.1:1", "--json") == 2
    (line,) = capsys.readouterr().out.splitlines()
    event = json.loads(line)
    assert (event["event"], event["exit_code"], event["report"]) == ("end", 2, None)
    assert "nowhere" in event["reason"]


@pytest.mark.slow
def test_a_run_goes_on_when_nobody_reads_its_events(folder, output, environment):
    write_pages(folder, 40)
    with ScriptedServer(refuse_page_2) as server:
        command = [*QUINTET, "read", str(folder), str(output), "--server", server.url, "--json", "--loaders", "0"]
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as closed:
            ended = subprocess.run(
                command, env=environment, stdout=closed, stderr=subprocess.PIPE, timeout=90, check=False
            )
    assert ended.returncode == 3
    assert assert_adds_up(output)["ok"] == 39
    assert b"Exception ignored" not in ended.stderr


def on_terminal(command, environment):
    """Run a command whose three streams are a terminal of 140 columns; gives what the terminal got."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 140))
    running = subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(ours)
    running.wait(timeout=90)
    return shown


@pytest.mark.parametrize(("changed", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_are_for_terminals_that_want_them(environment, changed, coloured):
    shown = on_terminal([*QUINTET, "read", "in", "out", "--batch", "0"], {**environment, **changed})
    assert b"--batch is 0" in shown
    assert (b"\x1b" in shown) == coloured


def test_without_a_terminal_there_is_no_escape_code(folder, output, environment, capsys):
    command = [*QUINTET, "read", "in", "out", "--batch", "0"]
    ended = subprocess.run(command, env=environment, capture_output=True, timeout=90, check=False)
    assert b"ERROR --batch is 0" in ended.stderr
    assert b"\x1b" not in ended.stderr
    write_pages(folder, 3)
    with ScriptedServer(refuse_page_2) as server:
        assert read(folder, output, server.url) == 3
    assert capsys.readouterr().out.startswith("inputs 3 = ok 2 + failed 1")


@pytest.mark.slow
def test_the_bar_on_a_terminal_has_no_colour_where_none_is_wanted(folder, output, environment):
    write_pages(folder, 3)
    with ScriptedServer() as server:
        command = [*QUINTET, "read", str(folder), str(output), "--server", server.url, "--loaders", "0"]
        shown = on_terminal(command, {**environment, "NO_COLOR": "1"})
    assert b"inputs 3 = ok 3" in shown
    assert b"\x1b" not in shown


def complete(script, words, folder):
    """What bash offers for the last of these words."""
    typed = " ".join(f'"{word}"' for word in words)
    ask = f'COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _shtab_quintet\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    shell = ["bash", "--norc", "-c", f"{script}\n{ask}"]
    return set(subprocess.run(shell, cwd=folder, capture_output=True, text=True, timeout=90, check=True).stdout.split())


def test_bash_completes_commands_options_and_paths(folder, capsys):
    assert cli.main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    (folder / "scans").mkdir(parents=True)
    assert complete(script, ["quintet", "rea"], folder) == {"read"}
    assert complete(script, ["quintet", "read", "--retr"], folder) == {"--retries", "--retry-failed"}
    assert complete(script, ["quintet", "read", "sc"], folder) == {"scans"}
    assert complete(script, ["quintet", "read", "--token-file", "sc"], folder) == {"scans"}
    assert complete(script, ["quintet", "completion", ""], folder) == {"bash", "zsh", "fish"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_names_every_command_and_option(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("completion", "read", "token-file", "retry-failed"))


def show_version(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    return capsys.readouterr().out.splitlines()


def test_the_version_is_the_clients_alone_and_asks_nobody(capsys, monkeypatch):
    with ScriptedServer() as server:
        monkeypatch.setenv("QUINTET_SERVER", server.url)
        (line,) = show_version(capsys)
        assert server.packs == []
    assert line == f"quintet {__version__}"


def test_help_shows_examples(capsys):
    for arguments in (["--help"], ["read", "--help"], ["completion", "--help"]):
        with pytest.raises(SystemExit):
            cli.main(arguments)
        assert "examples:\n  " in capsys.readouterr().out
