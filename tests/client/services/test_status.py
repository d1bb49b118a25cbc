"""`quintet status`: says ready when a page is read and only then, in exit codes that a probe can act on."""

import contextlib
import io
import json
import subprocess
import sys
import time

import psutil
import pytest
import requests
from PIL import Image
from quintet_client.cli import main
from quintet_client.errors import UsageError
from quintet_client.service.status import PROBE_PAGE, Workers, ask

from tests.client.reading import CLIENT_ROOT, wait_until
from tests.client.scripted_server import Reply, ScriptedServer, our_error, page_answer, torchserve_error
from tests.conftest import ROOT, free_ports
from tests.family import WORKER, processes_below


@pytest.fixture(autouse=True)
def no_token_of_somebody_else(monkeypatch):
    monkeypatch.delenv("QUINTET_TOKEN_FILE", raising=False)


def status(capsys, url, *options):
    """Run the command; gives its exit code and its JSON."""
    code = main(["status", "--server", url, "--json", *map(str, options)])
    found = json.loads(capsys.readouterr().out)
    assert found["exit_code"] == code
    assert found["ready"] == (code == 0)
    assert found["ready"] != bool(found["reason"])
    return code, found


def test_the_probe_page_is_a_small_png():
    page = PROBE_PAGE
    assert len(page) < 300
    assert Image.open(io.BytesIO(page)).convert("L").getextrema() == (0, 255)


def test_a_service_that_reads_pages_is_ready_and_says_with_what(service, capsys):
    code, found = status(
        capsys,
        *(service.inference_url, "--management", service.management_url),
        *("--token-file", service.token_file, "--timeout-s", 60),
    )
    assert (code, found["schema"], found["text"]) == (0, "quintet.status/1", "READY")
    assert found["workers"] == {"states": ["READY"], "least": 1, "waiting": 0}
    assert found["reachable"]
    assert found["authorised"]
    assert 0 < found["latency_s"] < 60
    assert found["model"] == service.read(PROBE_PAGE).json()["model"]


def test_a_person_is_told_in_one_line(service, capsys):
    address = ["--server", service.inference_url, "--token-file", str(service.token_file), "--timeout-s", "60"]
    assert main(["status", *address]) == 0
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert f'ready: {service.inference_url} read "READY" in ' in said


def test_a_refused_token_is_told_from_a_server_that_is_not_ready(echo, capsys, tmp_path):
    code, found = status(capsys, echo.inference_url)
    assert (code, found["reachable"], found["authorised"]) == (5, True, False)
    wrong = tmp_path / "token"
    wrong.write_text("wrong")
    wrong.chmod(0o600)
    assert status(capsys, echo.inference_url, "--token-file", wrong)[0] == 5
    code, found = status(capsys, echo.inference_url, "--management", echo.management_url, "--token-file", wrong)
    assert (code, found["reachable"], found["authorised"], found["workers"]) == (5, True, False, None)


def test_a_killed_worker_is_not_ready_although_ping_says_healthy(echo, capsys):
    options = ("--token-file", echo.token_file, "--management", echo.management_url, "--timeout-s", 30)
    assert status(capsys, echo.inference_url, *options)[0] == 0
    seen = []

    def is_missed():
        # The very next page may still be given to the dead worker and be forgotten: by then its successor is ready.
        for worker in processes_below(echo.pid, WORKER):
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        seen.append(status(capsys, echo.inference_url, *options))
        return "workers are" in seen[-1][1]["reason"]

    wait_until(is_missed, 90)
    code, found = seen[-1]
    assert (code, found["reachable"], found["authorised"]) == (4, True, True)
    assert "READY" not in found["workers"]["states"]
    headers = {"Authorization": f"Bearer {echo.token('inference')}"}
    assert requests.get(f"{echo.inference_url}/ping", headers=headers, timeout=10).json() == {"status": "Healthy"}
    wait_until(lambda: status(capsys, echo.inference_url, *options)[0] == 0, 90)


def test_nobody_there_is_unreachable(capsys):
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    code, found = status(capsys, url)
    assert (code, found["reachable"], found["authorised"]) == (4, False, None)
    assert status(capsys, url, "--management", url)[0] == 4
    assert main(["status", "--server", url]) == 4
    assert capsys.readouterr().out.startswith(f"not ready: {url}: ")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (our_error(503, "BUSY"), "BUSY"),
        (torchserve_error(503, "ServiceUnavailableException", "no worker"), "no worker"),
        (torchserve_error(404, "ModelNotFoundException", "no such model"), "no such model"),
        (torchserve_error(500, "InternalServerException", "Worker died."), "WORKER_DIED"),
        (our_error(400, "IMAGE_TOO_SMALL"), "IMAGE_TOO_SMALL"),
        (Reply(200, b"hello"), "BAD_ANSWER"),
        (Reply(drop=True), "connection broke"),
    ],
)
def test_somebody_who_does_not_read_the_page_is_reachable_and_not_ready(capsys, reply, reason):
    with ScriptedServer(lambda _request: reply) as server:
        code, found = status(capsys, server.url)
    assert (code, found["reachable"]) == (4, True)
    assert reason in found["reason"]


@pytest.mark.parametrize(
    "told",
    [
        *(
            b"[]",
            b"[1]",
            b"no JSON",
            b"[" * 100_000,
            b'[{"workers": 3}]',
            b'[{"workers": [1]}]',
            b'[{"minWorkers": "x"}]',
        ),
        *(b'{"schema": "quintet.service/1", "restarts": "many"}', b" " * (5 << 20)),
    ],
)
def test_an_address_that_describes_anything_else_is_not_ready(capsys, told):
    with ScriptedServer() as server:
        server.told = told
        code, found = status(capsys, server.url, "--management", server.url)
    assert (code, found["ready"], found["reachable"]) == (4, False, True)


def test_a_server_that_accepts_and_never_answers_is_not_ready_in_time(capsys):
    def silent(request):
        time.sleep(3)
        return page_answer(request)

    begin = time.monotonic()
    with ScriptedServer(silent) as server:
        code, found = status(capsys, server.url, "--timeout-s", 0.5)
        waited_s = time.monotonic() - begin
    assert (code, found["reachable"]) == (4, True)
    assert "TIMEOUT" in found["reason"]
    assert waited_s < 2.5


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), float("inf")])
def test_a_timeout_is_a_time(timeout_s):
    with pytest.raises(UsageError, match="--timeout-s"):
        ask("http://127.0.0.1:1", None, None, timeout_s)


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:8081", ""])
def test_a_wrong_address_is_wrong_usage(url):
    assert main(["status", "--server", url]) == 2
    assert main(["status", "--management", url or "x"]) == 2


@pytest.mark.parametrize(
    ("states", "least", "ready"),
    [
        (("READY",), 1, True),
        (("READY", "READY"), 2, True),
        (("READY", "UNLOADING"), 1, False),
        (("READY",), 2, False),
        ((), 0, False),
    ],
)
def test_workers_are_ready_when_there_are_enough_and_all_are(states, least, ready):
    assert Workers(states, least, 0).ready == ready


def test_the_client_alone_can_ask(tmp_path):
    """Without torch, Pillow, NumPy: what `pip install quintet` brings."""
    missing = ", ".join(f"{name}=None" for name in ("torch", "PIL", "numpy", "torchvision", "psutil"))
    script = f"import sys; sys.modules.update({missing}); from quintet_client.cli import main; sys.exit(main())"
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    paths = f"{CLIENT_ROOT}:{ROOT / 'handlers'}"
    done = subprocess.run(
        [sys.executable, "-c", script, "status", "--server", url, "--json"],
        capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": paths}, check=False,
    )  # fmt: skip
    assert (done.returncode, json.loads(done.stdout)["reachable"]) == (4, False), done.stderr
