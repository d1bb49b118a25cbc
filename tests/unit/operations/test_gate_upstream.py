"""The gate where TorchServe dies behind it: whoever waits for an answer loses a connection, never gets one of ours."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
import requests
from quintet.operations.gate import ByteBudget, Door, Gate

from tests.conftest import free_ports

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


@pytest.mark.parametrize("said", [b"", HEAD[:20], HEAD[:-2]], ids=["nothing", "half a line", "half a head"])
def test_an_answer_that_never_began_is_a_broken_connection_and_no_refusal(tmp_path, said: bytes) -> None:
    with pytest.raises(requests.ConnectionError):
        answered_by(tmp_path, said)


def test_an_answer_that_breaks_off_is_a_broken_connection(tmp_path) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        answered_by(tmp_path, HEAD + b"12345")


def test_an_answer_that_is_no_http_is_a_broken_connection(tmp_path) -> None:
    with pytest.raises(requests.ConnectionError):
        answered_by(tmp_path, b"what?\r\n\r\n")


def test_a_whole_answer_is_passed_on(tmp_path) -> None:
    assert answered_by(tmp_path, HEAD + b"1234567890").content == b"1234567890"


@pytest.mark.parametrize(("host", "reached"), [("[::1]", "[::1]"), ("[::]", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")])
def test_it_listens_where_it_is_told_of_either_family(tmp_path, host: str, reached: str) -> None:
    if host.startswith("[") and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    (port,) = free_ports(1)
    Gate([Door(f"http://{host}:{port}", tmp_path / "nothing", 100, ByteBudget(100), about=lambda: {"a": 1})])
    assert requests.get(f"http://{reached}:{port}/service", timeout=10).json() == {"a": 1}


def answered_by(folder, said: bytes) -> requests.Response:
    """What a client gets whose request is taken whole by something that says this and then closes."""
    with socket.socket(socket.AF_UNIX) as upstream:
        upstream.bind(str(folder / "upstream"))
        upstream.listen()

        def answer() -> None:
            connection, _ = upstream.accept()
            with connection:
                taken = b""
                while not taken.endswith(b"a page"):
                    taken += connection.recv(1 << 16)
                connection.sendall(said)

        answering = threading.Thread(target=answer, daemon=True)
        answering.start()
        url = f"http://127.0.0.1:{free_ports(1)[0]}"
        Gate([Door(url, folder / "upstream", 100, ByteBudget(100))])
        try:
            return requests.post(f"{url}/predictions/quintet", data=b"a page", timeout=10)
        finally:
            answering.join(10)
