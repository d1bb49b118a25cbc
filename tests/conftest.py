"""Marks by folder, the service under test, and pages that the tests make themselves."""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from PIL import Image, ImageDraw, ImageFont
from quintet.operations import service as torchserve
from quintet.pages.chain import PageChain
from quintet.pages.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
MODEL_STORE = ROOT / "model_store"
SHARED = ROOT.parent / "shared"
# A machine that does other work is no reason to fail; in CI the same examples each time.
settings.register_profile("quintet", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("quintet")
FOLDERS = ("unit", "chain", "server", "client", "cluster", "chaos", "fuzz", "gpu")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if folder in FOLDERS:
            item.add_marker(folder)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


def loopback_properties() -> dict[str, str]:
    """Addresses on free ports, so that tests never meet a service that runs already."""
    http = dict(zip(["inference", "management", "metrics"], free_ports(3), strict=True))
    grpc = dict(zip(["inference", "management"], free_ports(2), strict=True))
    return {f"{name}_address": f"http://127.0.0.1:{port}" for name, port in http.items()} | {
        f"grpc_{name}_port": str(port) for name, port in grpc.items()
    }


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ledgers of parts are kept in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def model_store() -> Path:
    if not (MODEL_STORE / "provenance.json").exists():
        pytest.skip("model_store/ is empty: run make models")
    return MODEL_STORE


@pytest.fixture(scope="session")
def chain(model_store: Path) -> PageChain:
    """The five real models in process, on the engine this machine gets by default."""
    return PageChain(Settings(), model_store)


@pytest.fixture(scope="session")
def echo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[torchserve.Service]:
    """One worker without networks: 20 ms a page, batches gathered for 100 ms, at most 100 pages at once."""
    from tests.server.echo_service import echo_service  # noqa: PLC0415 - it imports this module

    options = {"batchSize": 64, "maxBatchDelay": 100, "minWorkers": 1, "maxWorkers": 1, "responseTimeout": 60}
    with echo_service(tmp_path_factory.mktemp("echo"), options, s_per_page=0.02, pages_at_once=100) as running:
        yield running


@pytest.fixture
def echo(echo_server: torchserve.Service) -> torchserve.Service:
    """The server without networks, its worker ready, whatever the test before has done to it."""
    ends_at = time.monotonic() + 60
    while set(echo_server.workers()) != {"READY"}:
        assert time.monotonic() < ends_at, echo_server.workers()
        time.sleep(0.05)
    return echo_server


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, model_store: Path) -> Iterator[torchserve.Service]:
    """A real TorchServe on free ports, with the packed archive; it takes pages through shared memory too."""
    if not (model_store / "quintet.mar").exists():
        pytest.skip("model_store/quintet.mar is missing: run make archive")
    run_dir, environment = tmp_path_factory.mktemp("serve"), {"QUINTET_SHARED_MEMORY": "on"}
    running = torchserve.start(run_dir, properties=loopback_properties(), environment=environment)
    yield running
    torchserve.stop(running)


def receipt_folder() -> Path:
    """Real pages with truth.json; the test skips, saying so, where they are not at hand."""
    folder = SHARED / "data" / "receipts"
    if not folder.exists():
        pytest.skip("the real receipts are not at hand (no ../shared)")
    return folder


def draw_page(lines: list[str], size: tuple[int, int] = (800, 1000), turn_deg: int = 0) -> Image.Image:
    """A white page with large black lines, its content turned clockwise."""
    page = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        pen.text((60, 60 + 70 * number), line, fill="black", font=ImageFont.load_default(36))
    return page.rotate(-turn_deg, expand=True)


def encode(page: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """An image as the bytes of one format."""
    target = io.BytesIO()
    page.save(target, form, **options)
    return target.getvalue()
