"""A token that was given to the service: it opens the gate beside TorchServe's own, and stays when that changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from quintet.operations import service as torchserve
from quintet_client.service.status import ask

from tests.chaos.stage import wait_until
from tests.server.echo_service import echo_service

GIVEN, LATER = "g" * 64, "l" * 64


@pytest.fixture(scope="module")
def token_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("secret") / "token"
    file.write_text(GIVEN)
    file.chmod(0o600)
    return file


@pytest.fixture(scope="module")
def running(token_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[torchserve.Service]:
    options = {"batchSize": 64, "minWorkers": 1, "maxWorkers": 1}
    with echo_service(tmp_path_factory.mktemp("echo"), options, token_file=token_file) as service:
        yield service


def status(service: torchserve.Service, token: str, path: str = "/predictions/quintet") -> int:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
    method = "POST" if "predictions" in path else "GET"
    return requests.request(method, service.inference_url + path, data=b"x", headers=headers, timeout=60).status_code


def test_the_given_token_and_torchserves_own_are_taken_and_no_other(
    running: torchserve.Service, token_file: Path
) -> None:
    for token in (GIVEN, running.token("inference")):
        assert status(running, token) == 200
        assert status(running, token, "/ping") == 200
    for token in ("", "x" * 64, running.token("management")):
        assert status(running, token) == 401
    assert ask(running.inference_url, None, token_file, 30).exit_code == 0


def test_it_opens_nothing_that_the_own_one_does_not(running: torchserve.Service) -> None:
    headers = {"Authorization": f"Bearer {GIVEN}"}
    assert requests.get(f"{running.management_url}/models", headers=headers, timeout=10).status_code == 400
    assert requests.get(f"{running.inference_url}/models", headers=headers, timeout=10).status_code == 404


def test_the_key_behind_it_outlives_the_month_of_others(running: torchserve.Service) -> None:
    told = json.loads(running.token_file.read_text())["inference"]["expiration time"]
    ends = datetime.fromisoformat(told.partition(".")[0].rstrip("Z")).replace(tzinfo=UTC)
    assert ends - datetime.now(UTC) > timedelta(days=3640)


def test_it_stays_when_torchserve_starts_again_with_other_keys(running: torchserve.Service) -> None:
    own = running.token("inference")
    running.front_end().kill()
    wait_until(lambda: running.about().get("restarts") == 1 and running.about()["state"] == "ready", 120)
    assert status(running, own) == 401
    assert status(running, GIVEN) == 200


def test_a_file_that_is_written_anew_counts_without_a_restart(running: torchserve.Service, token_file: Path) -> None:
    token_file.write_text(LATER)
    assert status(running, GIVEN) == 401
    assert status(running, LATER) == 200
