"""`quintet read --shared-memory` against a real TorchServe: the same bytes as without, whatever happens meanwhile."""

import signal
import threading
from pathlib import Path

import psutil
import pytest
from PIL import Image
from quintet.operations import service as torchserve
from quintet_client.shared_memory.buffer import SharedBuffer

from tests.client.reading import (
    answers,
    assert_adds_up,
    count_answers,
    finish,
    read,
    report,
    rows,
    start_client,
    wait_until,
)
from tests.conftest import draw_page, encode, loopback_properties
from tests.family import WORKER, processes_below
from tests.server.echo_service import pack_echo, without_torch

TAKEN = "shared memory: taken by"
GIVEN_UP = "pages travel over HTTP"


class Pixels:
    """Two workers that say what pixels they see, 20 ms a page; restarted as a test needs it."""

    def __init__(self, folder):
        store = folder / "store"
        store.mkdir()
        workers = {"minWorkers": 2, "maxWorkers": 2, "batchSize": 2, "maxBatchDelay": 5, "responseTimeout": 60}
        pack_echo(store, workers, chain="echo_chain:PixelChain", s_per_page=0.02, shared_memory_rings=2)
        self._environment = without_torch(folder)
        self._where = {"run_dir": folder / "run", "properties": loopback_properties(), "model_store": store}
        self.service = None

    def serve(self, switch="on"):
        """Run with shared memory on or off."""
        if self.service is None or self._switch != switch:
            self.restart(switch)
        return self

    def restart(self, switch):
        if self.service is not None:
            # Without waiting for pages in work; the next start ends what is left.
            psutil.Process(self.service.pid).kill()
            psutil.Process(self.service.pid).wait(10)
        self._switch = switch
        self.service = torchserve.start(
            **self._where, environment={**self._environment, "QUINTET_SHARED_MEMORY": switch}
        )

    def stop(self):
        if self.service is not None:
            torchserve.stop(self.service)

    def workers(self):
        return processes_below(self.service.pid, WORKER)

    def mapped(self):
        """The buffers that the workers have mapped."""
        maps = "".join(Path(f"/proc/{worker.pid}/maps").read_text() for worker in self.workers())
        return [line for line in maps.splitlines() if "memfd:quintet-buffer" in line]

    def sockets(self):
        """The directory of the workers' sockets."""
        return next(folder for folder in (self._where["run_dir"] / "tmp" / "models").glob("*/rings"))

    def read(self, folder, output, *options):
        return read(folder, output, self.service.inference_url, "--token-file", self.service.token_file, *options)

    def start_client(self, folder, output, *options):
        service = self.service
        return start_client(folder, output, service.inference_url, "--token-file", service.token_file, *options)


@pytest.fixture(scope="module")
def pixels(tmp_path_factory):
    made = Pixels(tmp_path_factory.mktemp("pixels"))
    yield made
    made.stop()


def write_pictures(folder, count):
    for number in range(count):
        page = draw_page([f"page {number}"], (300 + number % 7, 200))
        (folder / f"page{number:03}.png").write_bytes(encode(page, "PNG"))


def write_all_kinds(folder):
    """Pages of all formats and modes, and those that no decoder takes."""
    write_pictures(folder, 12)
    page = draw_page(["kinds"], (320, 240))
    turned = Image.Exif()
    turned[0x0112] = 6
    (folder / "turned.jpg").write_bytes(encode(page, "JPEG", exif=turned))
    (folder / "grey.jpg").write_bytes(encode(page.convert("L"), "JPEG"))
    (folder / "clear.png").write_bytes(encode(page.convert("RGBA"), "PNG"))
    (folder / "fax.tif").write_bytes(encode(page.convert("1"), "TIFF"))
    (folder / "web.webp").write_bytes(encode(page, "WEBP"))
    (folder / "flat.bmp").write_bytes(encode(page, "BMP"))
    (folder / "large.png").write_bytes(encode(Image.new("RGB", (3000, 3000), "white"), "PNG"))
    (folder / "tiny.png").write_bytes(encode(Image.new("RGB", (5, 5))))
    (folder / "bomb.png").write_bytes(encode(Image.new("1", (20_000, 20_000)), "PNG"))
    (folder / "cut.jpg").write_bytes(encode(page, "JPEG")[:900])
    (folder / "words.jpg").write_bytes(b"no image at all")
    (folder / "empty.png").write_bytes(b"")
    (folder / "missing.png").symlink_to("nowhere")


def failures(output):
    return {page: (row["code"], row["message"]) for page, row in rows(output).items() if row["state"] == "failed"}


@pytest.mark.parametrize(
    "options",
    [(), ("--shared-memory-mb", 64), ("--pack", 1), ("--batch", 3, "--in-flight", 5)],
    ids=["as it comes", "some pages find no room", "one page a request", "small batches"],
)
def test_answers_and_errors_are_the_same_bytes_with_and_without(pixels, folder, output, tmp_path, caplog, options):
    write_all_kinds(folder)
    pixels.serve()
    assert pixels.read(folder, output) == 3
    with caplog.at_level("INFO"):
        assert pixels.read(folder, tmp_path / "shared", "--shared-memory", *options) == 3
    assert answers(tmp_path / "shared") == answers(output)
    assert failures(tmp_path / "shared") == failures(output)
    assert len(failures(output)) == 6
    assert f"{TAKEN} 2 workers" in caplog.text
    assert f"{18 if '--shared-memory-mb' in options else 19} pages travelled through shared memory" in caplog.text
    assert_adds_up(tmp_path / "shared")
    wait_until(lambda: not pixels.mapped())


@pytest.mark.slow
def test_loader_processes_decode_into_the_buffer_and_one_that_is_killed_loses_no_page(pixels, folder, output, tmp_path):
    write_pictures(folder, 80)
    pixels.serve()
    options = ("--shared-memory", "--loaders", 2, "--batch", 4, "--in-flight", 4, "--pack", 2)
    running = pixels.start_client(folder, output, *options)
    wait_until(lambda: count_answers(output) >= 10)
    psutil.Process(running.pid).children()[0].kill()
    code, said = finish(running)
    assert code == 0, said
    assert "a loader process died" in said
    assert assert_adds_up(output)["ok"] == 80
    assert pixels.read(folder, tmp_path / "plain") == 0
    assert answers(output) == answers(tmp_path / "plain")


@pytest.mark.slow
def test_a_killed_client_leaves_no_memory_behind_and_a_rerun_completes_its_work(pixels, folder, output, tmp_path):
    write_pictures(folder, 60)
    pixels.serve()
    running = pixels.start_client(folder, output, "--shared-memory", "--in-flight", 4, "--loaders", 1)
    wait_until(lambda: count_answers(output) >= 10)
    assert len(pixels.mapped()) == 2
    running.send(signal.SIGKILL)
    assert finish(running)[0] == -signal.SIGKILL
    wait_until(lambda: not pixels.mapped(), timeout_s=5)
    assert pixels.read(folder, output, "--shared-memory") == 0
    assert pixels.read(folder, tmp_path / "plain") == 0
    assert answers(output) == answers(tmp_path / "plain")


@pytest.mark.parametrize("doomed", [1, 2])
def test_workers_killed_in_mid_run_cost_no_page_and_successors_take_the_buffer(pixels, folder, output, caplog, doomed):
    write_pictures(folder, 100)
    pixels.serve()

    def kill():
        wait_until(lambda: count_answers(output) >= 10)
        for worker in pixels.workers()[:doomed]:
            worker.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with caplog.at_level("INFO"):
        assert pixels.read(folder, output, "--shared-memory", "--pack", 4, "--in-flight", 32, "--timeout-s", 20) == 0
    killer.join()
    assert assert_adds_up(output)["ok"] == 100
    assert report(output)["errors"] == {}
    assert caplog.text.count(TAKEN) >= doomed  # the other worker may have read all before the first is back
    assert GIVEN_UP not in caplog.text
    wait_until(lambda: set(pixels.service.workers()) == {"READY"})


def restarted_in_mid_run(pixels, folder, output, switch):
    write_pictures(folder, 80)
    pixels.serve()

    def restart():
        wait_until(lambda: count_answers(output) >= 10)
        pixels.restart(switch)

    restarting = threading.Thread(target=restart)
    restarting.start()
    code = pixels.read(folder, output, "--shared-memory", "--pack", 4, "--in-flight", 16)
    restarting.join()
    assert code == 0
    assert assert_adds_up(output)["ok"] == 80
    assert report(output)["errors"] == {}


@pytest.mark.slow
def test_a_service_restarted_in_mid_run_takes_the_buffer_again(pixels, folder, output, caplog):
    with caplog.at_level("INFO"):
        restarted_in_mid_run(pixels, folder, output, "on")
    assert caplog.text.count(TAKEN) >= 2
    assert GIVEN_UP not in caplog.text


def test_more_clients_than_a_worker_takes_buffers_of_use_http_and_say_so(pixels, folder, output, caplog):
    write_pictures(folder, 10)
    pixels.serve()
    others = [SharedBuffer(1 << 20) for _ in range(2)]
    assert [buffer.attach(pixels.sockets(), bytes([number] * 16)) for number, buffer in enumerate(others)] == [2, 2]
    assert pixels.read(folder, output, "--shared-memory") == 0
    assert caplog.text.count(GIVEN_UP) == 1
    for buffer in others:
        buffer.detach()


@pytest.mark.parametrize("obstacle", ["moved away", "open to others"])
def test_where_the_sockets_cannot_be_reached_pages_travel_over_http(pixels, folder, output, caplog, obstacle):
    write_pictures(folder, 10)
    sockets = pixels.serve().sockets()
    aside = sockets.with_name("aside")
    sockets.rename(aside) if obstacle == "moved away" else sockets.chmod(0o755)
    try:
        assert pixels.read(folder, output, "--shared-memory", "--pack", 4) == 0
    finally:
        aside.rename(sockets) if obstacle == "moved away" else sockets.chmod(0o700)
    assert assert_adds_up(output)["ok"] == 10
    assert caplog.text.count(GIVEN_UP) == 1
    assert not pixels.mapped()


@pytest.mark.slow
def test_a_service_that_comes_back_without_shared_memory_gets_the_pages_over_http(pixels, folder, output, caplog):
    restarted_in_mid_run(pixels, folder, output, "off")
    assert caplog.text.count(GIVEN_UP) == 1


@pytest.mark.slow
def test_where_it_is_off_pages_travel_over_http_and_the_log_says_so_once(pixels, folder, output, caplog):
    write_pictures(folder, 20)
    pixels.serve("off")
    assert pixels.read(folder, output, "--shared-memory", "--pack", 4) == 0
    assert assert_adds_up(output)["ok"] == 20
    assert caplog.text.count(GIVEN_UP) == 1
    assert "shared memory is off in this service" in caplog.text


@pytest.mark.slow
def test_the_real_models_answer_the_same_bytes(service, folder, output, tmp_path, caplog):
    write_pictures(folder, 6)
    where = (service.inference_url, "--token-file", service.token_file)
    with caplog.at_level("INFO"):
        assert read(folder, output, *where, "--shared-memory") == 0
    assert "6 pages travelled through shared memory" in caplog.text
    assert read(folder, tmp_path / "plain", *where) == 0
    assert answers(output) == answers(tmp_path / "plain")
