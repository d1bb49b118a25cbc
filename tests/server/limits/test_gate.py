"""The gate in front of TorchServe: bytes under way are bounded, whoever sends them; others are answered meanwhile."""

from __future__ import annotations

import re
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import psutil
import pytest
import requests
from quintet.frame import frames
from quintet.operations import service as torchserve

from tests.chaos.stage import wait_until
from tests.family import WORKER, cpu_s, processes_below
from tests.server.limits.flood import BODY_BYTES, flood, head

SMALL = b"a page" * 10_000


def connect(service: torchserve.Service, path_of: str = "inference_url") -> socket.socket:
    address = urlsplit(getattr(service, path_of))
    return socket.create_connection((address.hostname, address.port), timeout=30)


def status_of(connection: socket.socket) -> int:
    return int(connection.recv(4096).split(b" ", 2)[1])


def bytes_under_way(service: torchserve.Service) -> int:
    return service.about()["bytes_under_way"]


def test_a_body_counts_from_its_head_and_what_does_not_fit_is_refused_before_it_is_sent(echo) -> None:
    token = echo.token("inference")
    with ExitStack() as held:
        fit = echo.about()["most_bytes_under_way"] * 3 // 4 // BODY_BYTES
        for _ in range(fit):
            held.enter_context(connect(echo)).sendall(head(token, BODY_BYTES))
        wait_until(lambda: bytes_under_way(echo) == fit * BODY_BYTES)
        held.enter_context(refused := connect(echo)).sendall(head(token, BODY_BYTES))
        answer = refused.recv(4096)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 1\r\n" in answer
        assert b'"code": "BUSY"' in answer
        assert echo.read(SMALL).status_code == 200
    wait_until(lambda: bytes_under_way(echo) == 0)


def test_a_body_without_the_token_is_refused_by_its_head_and_counts_for_nothing(echo) -> None:
    for token in (None, "wrong", echo.token("management")):
        with connect(echo) as stranger:
            stranger.sendall(head(token, BODY_BYTES))
            assert stranger.recv(4096).startswith(b"HTTP/1.1 401 ")
            assert bytes_under_way(echo) == 0


@pytest.mark.parametrize("address", ["management_url", "metrics_url"])
def test_the_addresses_of_operators_take_no_large_body(echo, address) -> None:
    with connect(echo, address) as stranger:
        stranger.sendall(head(None, BODY_BYTES))
        assert status_of(stranger) == 413


def test_the_bytes_of_a_client_that_is_gone_count_until_torchserve_has_let_go_of_them(echo) -> None:
    frame = frames.pack_pages([SMALL] * 50)
    with connect(echo) as gone:
        gone.sendall(head(echo.token("inference"), len(frame)).replace(b"octet-stream", b"vnd.quintet.pages+binary"))
        gone.sendall(frame)
        wait_until(lambda: echo.pages_in_progress() == 50, 10)
    assert bytes_under_way(echo) == len(frame)
    wait_until(lambda: bytes_under_way(echo) == 0, 10)


def test_a_client_that_asks_first_is_told_to_go_on_only_if_its_body_fits(echo) -> None:
    for length, answer in ((len(SMALL), b"HTTP/1.1 100 "), (65 << 20, b"HTTP/1.1 413 ")):
        with connect(echo) as asking:
            asked = head(echo.token("inference"), length)
            asking.sendall(asked.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
            assert asking.recv(4096).startswith(answer)


def test_requests_sent_in_one_go_are_answered_in_order_on_one_connection(echo) -> None:
    requested = head(echo.token("inference"), 1) + b"x"
    with connect(echo) as connection:
        connection.sendall(requested * 3)
        received = b""
        while received.count(b"HTTP/1.1 200") < 3:
            piece = connection.recv(4096)
            assert piece, received
            received += piece


@pytest.mark.parametrize(
    "hostile",
    [
        b"POST /predictions/quintet HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /predictions/quintet HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 70_000,
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_what_is_no_http_is_refused(echo, hostile) -> None:
    with connect(echo) as connection:
        with suppress(OSError):
            connection.sendall(hostile)
        assert status_of(connection) in {400, 431}
        with suppress(ConnectionResetError):
            assert not connection.recv(1)


def test_a_body_in_chunks_is_read(echo) -> None:
    headers = {"Authorization": f"Bearer {echo.token('inference')}", "Content-Type": "image/png"}
    url = f"{echo.inference_url}/predictions/quintet"
    assert requests.post(url, data=iter([b"ab", b"c"]), headers=headers, timeout=30).json()["bytes"] == 3


PART = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data; boundary=b", PART * 400_000 + b"--b--\r\n", 422),
        ("multipart/form-dataX; boundary=b", PART * 400_000 + b"--b--\r\n", 200),  # TorchServe takes it for a form
        ("application/x-www-form-urlencoded", b"a=1&" * 5_000_000, 200),
        ("application/json", b"[" + b"[]," * 6_000_000 + b"1]", 200),
    ],
)
def test_no_body_is_taken_apart_by_torchserve(echo, kind: str, body: bytes, status: int) -> None:
    """It keeps an object for each part: of 60 MB for 16 s and a gigabyte."""
    (worker,) = processes_below(echo.pid, WORKER)
    processes = [echo.front_end(), worker]
    before = cpu_s(processes)
    headers = {"Authorization": f"Bearer {echo.token('inference')}", "Content-Type": kind}
    answer = requests.post(f"{echo.inference_url}/predictions/quintet", data=body, headers=headers, timeout=120)
    assert answer.status_code == status
    assert "INVALID_PARAMETER" in answer.text if status == 422 else answer.json()["bytes"] == len(body)
    assert cpu_s(processes) - before < 1.5


@pytest.mark.slow
@pytest.mark.parametrize("whole", [True, False])
def test_any_number_of_maximal_bodies_leaves_the_service_alive_and_ordinary_pages_answered(echo, whole) -> None:
    front_end = echo.front_end()
    with ThreadPoolExecutor(1) as threads:
        attack = threads.submit(
            flood, echo.inference_url, echo.token("inference"), 64, BODY_BYTES - (not whole), timeout_s=90
        )
        ordinary, peak = [], 0
        while not attack.done():
            ordinary.append(echo.read(SMALL, timeout_s=60).status_code)
            peak = max(peak, front_end.memory_info().rss)
            time.sleep(0.2)
    sys.stdout.write(f"front end: peak {peak >> 20} MiB, answers {attack.result()}\n")
    assert set(attack.result()) <= ({"200", "503"} if whole else {"503", "closed", "ConnectionResetError"})
    assert attack.result()["503"] >= 64 - 7
    assert set(ordinary) == {200}
    assert peak < (2 << 30) + (1 << 30) + (400 << 20), "heap, direct memory, and the virtual machine itself"
    assert (echo.front_end(), echo.about()["restarts"]) == (front_end, 0)
    wait_until(lambda: bytes_under_way(echo) == 0, 90)
    assert psutil.Process(echo.pid).memory_info().rss < 150 << 20


HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
EMPTY_SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
GOAWAY = 7


@pytest.mark.parametrize("kind", ["inference", "management"])
def test_who_connects_by_grpc_is_told_to_go_away_at_once(echo, kind: str) -> None:
    """It would take bodies that the gate does not count, and TorchServe cannot switch it off."""
    settings = (echo.run_dir / "config.properties").read_text()
    port = int(re.findall(rf"^grpc_{kind}_port=(\d+)$", settings, flags=re.MULTILINE)[-1])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection, connection.makefile("rb") as frames2:
        connection.sendall(HTTP2_PREFACE + EMPTY_SETTINGS)
        while (head_of := frames2.read(9))[3] != GOAWAY:  # 3 bytes of length, 1 of kind, 5 more
            frames2.read(int.from_bytes(head_of[:3], "big"))
