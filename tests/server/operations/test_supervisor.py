"""The supervisor: TorchServe comes back by itself, and `quintet status` says so."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import psutil
import pytest
from quintet.errors import ServiceError
from quintet.operations import service as torchserve
from quintet_client.service.status import ask

from tests.chaos.stage import wait_until
from tests.family import WORKER, processes_below
from tests.server.echo_service import echo_service

pytestmark = pytest.mark.slow


@pytest.fixture
def running(tmp_path: Path):
    with echo_service(tmp_path / "echo", {"batchSize": 64, "minWorkers": 1, "maxWorkers": 1}) as service:
        yield service


def await_restart(service: torchserve.Service, number: int) -> dict:
    wait_until(lambda: (service.about().get("restarts"), service.about().get("state")) == (number, "ready"), 120)
    assert service.read(b"a page").status_code == 200
    return service.about()


def test_a_killed_front_end_comes_back_and_the_status_says_so(running: torchserve.Service, capsys) -> None:
    assert running.about()["restarts"] == 0
    workers = processes_below(running.pid, WORKER)
    running.front_end().kill()
    begin = time.monotonic()
    about = await_restart(running, 1)
    sys.stdout.write(f"answers again after {time.monotonic() - begin:.1f} s\n")
    assert about["restart_reason"] == "TorchServe has ended"
    gone, left = psutil.wait_procs(workers, timeout=10)
    assert gone
    assert not left
    status = ask(running.inference_url, None, running.token_file, 30)
    assert json.loads(status.to_json())["supervisor"] == {
        key: about[key] for key in ("state", "since", "restarts", "restart_reason")
    }
    assert "restarted 1 time, last because TorchServe has ended" in status.summary()


@pytest.mark.parametrize("what", ["tmp", ""])
def test_a_service_whose_folder_was_removed_starts_again_in_a_new_one(running: torchserve.Service, what: str) -> None:
    shutil.rmtree(running.run_dir / what)
    assert "removed" in await_restart(running, 1)["restart_reason"]
    for worker in processes_below(running.pid, WORKER):
        worker.kill()
    wait_until(lambda: running.workers() != ["READY"])
    wait_until(lambda: running.workers() == ["READY"], 120)
    assert running.read(b"a page").status_code == 200
    assert torchserve.find(running.run_dir) == running


@pytest.mark.parametrize(
    ("options", "torch", "reason"),
    [
        ({}, "", "quintet.errors.WeightsError: a network is not what was pinned"),
        ({"bytes": 1}, "", "MemoryError"),
        ({}, "raise ImportError('no libcudart')", "ImportError: no libcudart"),
        ({}, "import os; os._exit(9)", "a worker died, or did not come: the log says how far it was"),
    ],
)
def test_a_service_whose_worker_cannot_load_says_why_and_does_not_wait_for_it(
    tmp_path: Path, options: dict, torch: str, reason: str
) -> None:
    package = tmp_path / "broken" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"class Tensor: ...\n{torch}")
    broken = {"PYTHONPATH": str(package.parent)}
    begin = time.monotonic()
    with (
        pytest.raises(ServiceError) as raised,
        echo_service(tmp_path / "echo", environment=broken, chain="echo_chain:FailingChain", **options),
    ):
        pass
    assert str(raised.value).splitlines()[-1] == f"the service did not start: {reason}"
    assert time.monotonic() - begin < 60


def test_what_a_killed_supervisor_leaves_is_ended_by_the_next_start(
    running: torchserve.Service, tmp_path: Path
) -> None:
    left_behind = running.front_end()
    psutil.Process(running.pid).kill()
    wait_until(lambda: torchserve.find(running.run_dir) is None)
    store = tmp_path / "echo" / "store"
    addresses = {f"{name}_address": getattr(running, f"{name}_url") for name in ("inference", "management", "metrics")}
    ports = dict(
        line.split("=")
        for line in running.run_dir.joinpath("config.properties").read_text().splitlines()
        if line.startswith("grpc_") and "port" in line
    )
    again = torchserve.start(
        running.run_dir,
        properties=addresses | ports,
        model_store=store,
        environment={"PYTHONPATH": str(tmp_path / "echo" / "stand-in")},
    )
    try:
        assert not left_behind.is_running()
        assert again.read(b"a page").status_code == 200
    finally:
        torchserve.stop(again)
