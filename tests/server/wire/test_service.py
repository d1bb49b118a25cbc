"""The packed archive in a real TorchServe: contracts of HTTP, batches, failures beside good pages, start and stop."""

from __future__ import annotations

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests
from PIL import Image
from quintet.operations import archive
from quintet.operations import service as torchserve

from tests.conftest import ROOT, draw_page, encode, loopback_properties
from tests.family import WORKER, processes_below

PAGE = encode(draw_page(["Quintet reads pages", "Total 1,249.50 EUR"], (500, 300)), "JPEG")
BAD = {
    "EMPTY_BODY": (400, b""),
    "IMAGE_DECODE_FAILED": (400, PAGE[:2000]),
    "UNSUPPORTED_FORMAT": (400, b"neither an image nor anything like it"),
    "IMAGE_TOO_SMALL": (400, encode(Image.new("RGB", (1, 1)))),
    "IMAGE_TOO_LARGE": (413, encode(Image.new("1", (20_000, 20_000)), "PNG")),
}


def batch_sizes(service: torchserve.Service) -> dict[int, int]:
    """How many batches of each size the handler has seen."""
    text = requests.get(service.metrics_url + "/metrics", timeout=10).text
    found = re.findall(r'^quintet_batches_total\{pages="(\d+)".*\} (\d+)', text, flags=re.MULTILINE)
    return {int(pages): int(count) for pages, count in found}


def send_all(service: torchserve.Service, bodies: list[bytes]) -> list[requests.Response]:
    with ThreadPoolExecutor(len(bodies)) as threads:
        return list(threads.map(lambda body: service.read(body, timeout_s=300), bodies))


def test_a_page_is_answered_as_the_contract_says(service: torchserve.Service) -> None:
    headers = {
        "Authorization": f"Bearer {service.token('inference')}",
        "Content-Type": "image/jpeg",
        "X-Request-Id": "request-17",
    }
    url = f"{service.inference_url}/predictions/quintet"
    answer = requests.post(url, data=PAGE, headers=headers, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    page = answer.json()
    assert page["schema"] == "quintet.page/1"
    assert page["request_id"] == "request-17"
    assert re.fullmatch(r"[0-9a-f]{16}-[0-9a-f]{8}", page["model"])
    assert (page["width_px"], page["height_px"]) == (500, 300)
    assert page["orientation"]["angle_deg"] == 0
    assert page["text"] == "Quintet reads pages\nTotal 1,249.50 EUR"
    for line in page["lines"]:
        assert set(line) == {"text", "score", "quad_px", "region", "words"}
        assert 0.5 <= line["score"] <= 1
        assert all(0 <= x <= 500 and 0 <= y <= 300 for x, y in line["quad_px"])


@pytest.fixture(scope="module")
def sixty_four(service: torchserve.Service) -> tuple[list[requests.Response], dict[int, int]]:
    """The answers to 59 good pages and the five bad bodies sent at once, and the batches there were by size."""
    before = batch_sizes(service)
    answers = send_all(service, [PAGE] * 59 + [body for _, body in BAD.values()])
    return answers, {size: count - before.get(size, 0) for size, count in batch_sizes(service).items()}


@pytest.mark.slow
def test_bad_bodies_have_their_own_answers_beside_good_neighbours(service: torchserve.Service, sixty_four) -> None:
    expected = service.read(PAGE).json()
    answers, _ = sixty_four
    for answer in answers[:59]:
        assert answer.status_code == 200
        page = answer.json()
        assert page["text"] == expected["text"]
        assert page["lines"] == expected["lines"]
    for (code, (status, _)), answer in zip(BAD.items(), answers[59:], strict=True):
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (status, code)
        assert error["message"]
        assert error["request_id"]


@pytest.mark.slow
def test_64_concurrent_requests_arrive_in_batches_larger_than_32(sixty_four) -> None:
    _, new = sixty_four
    assert sum(size * count for size, count in new.items()) == 64
    assert max(size for size, count in new.items() if count) > 32, f"batches by size: {new}"


def test_a_body_above_the_limit_is_refused_and_the_service_goes_on(service: torchserve.Service) -> None:
    # The server may close the connection before the whole body has left.
    with contextlib.suppress(requests.ConnectionError):
        assert service.read(b"\xff\xd8" + bytes(65 << 20)).status_code == 413
    assert service.read(PAGE).status_code == 200


def test_the_limits_of_the_files_are_in_force(service: torchserve.Service) -> None:
    """TorchServe takes some from config.properties and some from the archive, and ignores the others in silence."""
    in_force = service.description()
    assert (in_force["batchSize"], in_force["maxBatchDelay"]) == (64, 5)
    assert (in_force["minWorkers"], in_force["maxWorkers"]) == (1, 1)
    assert in_force["responseTimeout"] == 900
    assert in_force["startupTimeout"] == 300


@pytest.mark.parametrize("token", [None, "wrong", "management"])
def test_nobody_reads_without_the_inference_token(service: torchserve.Service, token: str | None) -> None:
    held = service.token("management") if token == "management" else token
    headers = {"Authorization": f"Bearer {held}"} if held else {}
    url = f"{service.inference_url}/predictions/quintet"
    answer = requests.post(url, data=PAGE, headers=headers, timeout=60)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "NOT_AUTHORISED"


def test_everything_listens_on_loopback_alone(service: torchserve.Service) -> None:
    front = psutil.Process(service.pid)
    listening = [
        connection.laddr.ip
        for process in [front, *front.children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_a_second_start_in_the_same_folder_is_refused(service: torchserve.Service) -> None:
    with pytest.raises(torchserve.ServiceError, match=str(service.pid)):
        torchserve.start(service.run_dir, properties=loopback_properties())
    assert torchserve.find(service.run_dir) == service


@pytest.mark.parametrize("left", ["", '{"pid": 1', '{"pid": 1, "inference_url": "http://127.0.0.1:1"}'])
def test_a_torn_or_older_account_names_no_service(tmp_path: Path, left: str) -> None:
    (tmp_path / "service.json").write_text(left)
    assert torchserve.find(tmp_path) is None


@pytest.fixture
def misconfigured(tmp_path: Path, model_store: Path) -> Path:
    """An archive whose configuration has a misspelt key."""
    config = tmp_path / "model-config.yaml"
    shipped = (ROOT / "handlers" / "model-config.yaml").read_text()
    config.write_text(shipped.replace("text_threshold", "text_treshold"))
    archive.pack(tmp_path / "quintet.mar", networks=model_store, model_config=config)
    return tmp_path


@pytest.mark.slow
def test_a_wrong_setting_stops_the_start_with_its_name_and_leaves_nothing_running(
    misconfigured: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    with pytest.raises(torchserve.ServiceError, match="unknown setting 'text_treshold'"):
        torchserve.start(run_dir, properties=loopback_properties(), model_store=misconfigured)
    assert torchserve.find(run_dir) is None
    assert not [p for p in psutil.process_iter(["cwd"]) if str(run_dir) in (p.info["cwd"] or "")]


def test_the_worker_imports_the_chain_out_of_the_archive_not_out_of_this_checkout(service: torchserve.Service) -> None:
    worker = processes_below(service.pid, WORKER)[0]
    unpacked = next(Path(service.run_dir, "tmp", "models").glob("*/quintet/pages/chain.py")).resolve().parents[2]
    assert str(unpacked) in worker.environ()["PYTHONPATH"].split(":")
    assert {"provenance.json", "networks", "chain_handler.py"} <= {path.name for path in unpacked.iterdir()}
