"""The reverse proxy of docs/examples/nginx.conf before a real TorchServe: what passes, and what never arrives there."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from quintet.operations import service as torchserve
from quintet_client.cli import main

from tests.chaos.stage import wait_until
from tests.client.reading import answers, assert_adds_up, read, write_pages
from tests.server.limits.nginx_proxy import NGINX, Proxy, nginx_before

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx-light"),
]
SILENCE_S = 2
PAGE = bytes(range(256)) * 20


@pytest.fixture(scope="module")
def proxy(echo_server: torchserve.Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The example, less patient with silent clients so that the tests need not be."""
    less = {"client_body_timeout": f"{SILENCE_S}s", "client_header_timeout": f"{SILENCE_S}s"}
    with nginx_before(echo_server.inference_url, tmp_path_factory.mktemp("nginx"), **less) as running:
        yield running


def send(proxy: Proxy, echo: torchserve.Service, method: str, path: str, **options: object) -> requests.Response:
    headers = {"Authorization": f"Bearer {echo.token('inference')}", "Content-Type": "application/octet-stream"}
    headers.update(options.pop("headers", {}))
    return requests.request(
        method, proxy.url + path, headers=headers, verify=str(proxy.certificate), timeout=60, **options
    )


def requests_seen(echo: torchserve.Service) -> float:
    """How many requests TorchServe has taken in."""
    text = requests.get(echo.metrics_url + "/metrics", timeout=10).text
    found = re.search(r"^ts_inference_requests_total\{.*\} ([\d.E]+)", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("pack", [1, 16])
def test_a_folder_is_read_through_tls_as_it_is_without(
    proxy: Proxy, echo: torchserve.Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: int
) -> None:
    write_pages(tmp_path / "in", 40)
    options = ("--token-file", echo.token_file, "--pack", pack, "--in-flight", 16)
    assert read(tmp_path / "in", tmp_path / "direct", echo.inference_url, *options) == 0
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(proxy.certificate))
    assert read(tmp_path / "in", tmp_path / "out", proxy.url, *options) == 0
    assert assert_adds_up(tmp_path / "out")["ok"] == 40
    assert set(answers(tmp_path / "out")) == set(answers(tmp_path / "direct"))


def test_status_asks_through_the_proxy_and_trusts_no_unknown_certificate(
    proxy: Proxy, echo: torchserve.Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["status", "--server", proxy.url, "--token-file", str(echo.token_file), "--timeout-s", "30"]
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(proxy.certificate))
    assert main(command) == 0
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert main(command) == 4
    assert "certificate" in capsys.readouterr().out.lower()


def test_a_request_id_goes_through_and_one_is_made_where_there_is_none(proxy: Proxy, echo: torchserve.Service) -> None:
    own = send(proxy, echo, "POST", "/predictions/quintet", data=b"x", headers={"X-Request-Id": "mine-17"})
    made = send(proxy, echo, "POST", "/predictions/quintet", data=b"x")
    assert own.json()["request_id"] == "mine-17"
    assert re.fullmatch("[0-9a-f]{32}", made.json()["request_id"])
    # nginx enters a request in its log after it has answered it
    wait_until(lambda: "mine-17" in proxy.log.read_text() and made.json()["request_id"] in proxy.log.read_text())


@pytest.mark.parametrize(
    "path",
    [
        "/", "/models", "/models/quintet", "/metrics", "/api-description", "/workflows", "/token?type=inference",
        "/predictions/another", "/predictions/quintet/1.0", "/predictions/quintet/", "/explanations/quintet",
        "/predictions/quintet/../../models", "//models", "/v2/models/quintet/infer",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_nothing_else_of_torchserve_passes(proxy: Proxy, echo: torchserve.Service, path: str, method: str) -> None:
    before = requests_seen(echo)
    assert send(proxy, echo, method, path).status_code in {403, 404, 405}
    assert requests_seen(echo) == before


def test_health_passes_and_only_posts_reach_the_model(proxy: Proxy, echo: torchserve.Service) -> None:
    assert send(proxy, echo, "GET", "/ping").json() == {"status": "Healthy"}
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        assert send(proxy, echo, method, "/predictions/quintet").status_code in {403, 405}
    assert (
        send(proxy, echo, "POST", "/predictions/quintet", data=b"x", headers={"Authorization": "no"}).status_code == 401
    )


@pytest.mark.parametrize("field", ["file", "body", "data"])
def test_a_page_in_a_form_arrives_as_one_that_is_the_body(proxy: Proxy, echo: torchserve.Service, field: str) -> None:
    plain = send(proxy, echo, "POST", "/predictions/quintet", data=PAGE).json()
    form, content_type = requests.models.RequestEncodingMixin._encode_files({field: ("page.png", PAGE)}, {})
    headers = {"Content-Type": content_type}
    sent = send(proxy, echo, "POST", "/predictions/quintet", data=form, headers=headers)
    assert (sent.status_code, sent.json()["crc"]) == (200, plain["crc"])


def test_what_curl_calls_a_form_arrives_as_bytes(proxy: Proxy, echo: torchserve.Service) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    sent = send(proxy, echo, "POST", "/predictions/quintet", data=PAGE, headers=headers)
    assert sent.json()["bytes"] == len(PAGE)


def test_a_body_that_is_too_long_is_refused_by_its_header(proxy: Proxy) -> None:
    with proxy.connect() as connection:
        connection.sendall(b"POST /predictions/quintet HTTP/1.1\r\nHost: localhost\r\nContent-Length: 68000000\r\n\r\n")
        assert b" 413 " in connection.recv(4096).split(b"\r\n")[0]


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /predictions/quintet HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx",
        b"POST /predictions/quintet HTTP/1.1\r\nHost: localhost\r\n",
    ],
    ids=["body", "head"],
)
def test_a_client_that_falls_silent_is_cut_off_and_never_reaches_torchserve(
    proxy: Proxy, echo: torchserve.Service, begun: bytes
) -> None:
    before = requests_seen(echo)
    with proxy.connect() as connection:
        connection.settimeout(30)
        connection.sendall(begun)
        begin = time.monotonic()
        try:
            said = connection.recv(4096)
        except OSError:  # reset: nobody waits for its farewell
            said = b""
        assert time.monotonic() - begin < SILENCE_S + 10
    assert said == b"" or b" 408 " in said
    assert requests_seen(echo) == before


def test_a_body_that_trickles_reaches_torchserve_when_it_is_whole(proxy: Proxy, echo: torchserve.Service) -> None:
    before = requests_seen(echo)
    head = (
        f"POST /predictions/quintet HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {echo.token('inference')}\r\n"
    )
    with proxy.connect() as connection:
        connection.settimeout(30)
        connection.sendall(head.encode() + b"Content-Type: image/png\r\nContent-Length: 4\r\n\r\n")
        for _ in range(4):
            assert requests_seen(echo) == before
            time.sleep(0.3)
            connection.sendall(b"x")
        assert b" 200 " in connection.recv(4096).split(b"\r\n")[0]
    assert requests_seen(echo) == before + 1


def test_too_many_connections_and_too_many_requests_are_sent_away(echo: torchserve.Service, tmp_path: Path) -> None:
    with (
        nginx_before(echo.inference_url, tmp_path, limit_conn="connections 2") as few,
        ThreadPoolExecutor(8) as threads,
    ):
        came = list(threads.map(lambda _: send(few, echo, "POST", "/predictions/quintet", data=b"x"), range(8)))
    assert {answer.status_code for answer in came} == {200, 429}


def test_requests_beyond_the_rate_are_sent_away(echo: torchserve.Service, tmp_path: Path) -> None:
    limits = {
        "limit_req_zone": "$binary_remote_addr zone=requests:10m rate=1r/m",
        "limit_req": "zone=requests burst=2 nodelay",
    }
    with nginx_before(echo.inference_url, tmp_path, **limits) as slow:
        came = [send(slow, echo, "GET", "/ping").status_code for _ in range(5)]
    assert came == [200, 200, 200, 429, 429]


def test_the_proxy_speaks_tls_alone(proxy: Proxy) -> None:
    assert requests.get(proxy.url.replace("https", "http") + "/ping", timeout=10).status_code == 400
