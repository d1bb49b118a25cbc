"""The first page is on its way before torch is there: the loader's process imports it, the client never does."""

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import psutil
import pytest

from tests.client.reading import CLIENT_ROOT, answers, assert_adds_up, wait_until, write_pages
from tests.client.scripted_server import ScriptedServer, page_answer

# Of a client on a busy machine; it takes 0.6 s where two cores have nothing else to do.
FIRST_PAGE_WITHIN_S = 15
# Whoever imports torch, and with it its parts, waits for a file: that a page was sent.
CLIENT = """
import pathlib, sys, time

class Late:
    def find_spec(name, path=None, target=None):
        ends_at = time.monotonic() + 60
        while name.startswith("torch.") and not pathlib.Path(sys.argv[1]).exists():
            if time.monotonic() > ends_at:
                raise ImportError("torch is imported, and no page was sent")
            time.sleep(0.01)

from quintet_client.cli import main
sys.meta_path.insert(0, Late)
sys.exit(main(sys.argv[2:]))
"""


@contextmanager
def client(sent, *arguments, path=""):
    """A client with one loader as a process of its own; killed if it has not ended."""
    environment = {**os.environ, "PYTHONPATH": f"{CLIENT_ROOT}:{path}"}
    words = [sys.executable, "-c", CLIENT, sent, "read", *arguments, "--loaders", "1", "--batch", "4"]
    with subprocess.Popen(list(map(str, words)), env=environment, stderr=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def has_torch(process):
    return any("libtorch" in mapped.path for mapped in process.memory_maps())


def test_pages_are_sent_before_torch_is_imported_and_its_loader_reads_the_others(folder, output, tmp_path):
    pages = write_pages(folder, 60)
    sent, to_answer = tmp_path / "sent", threading.Event()

    def answer(request):
        sent.touch()
        assert to_answer.wait(60)
        return page_answer(request)

    with ScriptedServer(answer) as server, client(sent, folder, output, "--server", server.url) as running:
        wait_until(sent.exists, FIRST_PAGE_WITHIN_S)
        family = psutil.Process(running.pid)
        wait_until(lambda: len(family.children(recursive=True)) == 2)
        (loader,) = family.children()
        assert (has_torch(family), has_torch(loader)) == (False, True)
        assert sum(server.seen.values()) <= 8, "the others are not read yet"
        to_answer.set()
        _, said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    assert "a loader process died" not in said
    assert set(answers(output)) == set(pages)
    assert {server.seen[body] for body in pages.values()} == {1}
    assert_adds_up(output)


@pytest.mark.parametrize(
    ("torch", "warned"), [("import time; time.sleep(600)", False), ("raise OSError('its own')", True)]
)
def test_a_torch_that_does_not_load_holds_up_no_page(folder, output, tmp_path, torch, warned):
    pages = write_pages(folder, 60)
    (tmp_path / "torch.py").write_text(torch)

    def slowly(request):
        time.sleep(0.05)
        return page_answer(request)

    with (
        ScriptedServer(slowly) as server,
        client(tmp_path, folder, output, "--server", server.url, path=tmp_path) as running,
    ):
        wait_until(lambda: psutil.Process(running.pid).children())
        (loader,) = psutil.Process(running.pid).children()
        _, said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    assert ("a loader process died" in said, "its own" in said) == (warned, warned)
    assert set(answers(output)) == set(pages)
    assert {server.seen[body] for body in pages.values()} == {1}
    assert not loader.is_running()
