"""Several chains in one TorchServe, one of them of a package that only its archive holds."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from quintet.frame import stage_times
from quintet.frame.frames import WORKERS_HEADER
from quintet.operations import service as torchserve
from quintet_client.cli import main

from tests.chaos.stage import wait_until
from tests.client.reading import answers, read
from tests.conftest import loopback_properties
from tests.server.echo_service import pack_echo, without_torch
from tests.server.operations.promql import matches, parse_scrape

ZOO = '''
"""Feeds animals that are given as text."""
from quintet.errors import Code, Failure
from quintet.frame.chain import Chain, ChainEngine
from zoo.words import GREETING

class Keeper(ChainEngine):
    device = "the zoo"

class Zoo(Chain):
    schema, fingerprint, engine = "zoo/1", "zoo", Keeper()

    @classmethod
    def from_options(cls, options, model_store, device_index=None):
        return cls()

    def __call__(self, bodies):
        return [self.fed(bytes(body)) for body in bodies]

    def fed(self, body):
        return {"said": GREETING + body.decode()} if body.isalpha() else Failure(Code.UNSUPPORTED_FORMAT, "no animal")

    def warm_up(self):
        pass

    def take_stage_seconds(self):
        return {"feeding": 0.25}

class Closed(Zoo):
    def fed(self, body):
        raise RuntimeError("closed")
'''

ENTRIES = {
    model: {"1.0": {"marName": "another.mar", "minWorkers": 1, "maxWorkers": 1, "batchSize": 7, "maxBatchDelay": 5}}
    for model in ("quintet", "zoo")
}


def write_package(folder: Path) -> Path:
    """Write the package `zoo` into a folder."""
    package = folder / "zoo"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "words.py").write_text('GREETING = "hello "\n')
    (package / "chain.py").write_text(ZOO)
    return folder


def pack_zoo(folder: Path, store: Path, name: str = "Zoo") -> None:
    """Pack it with `quintet models`: it is on the path of that command alone."""
    command = ["-m", "quintet_client.cli", "models", "--chain", f"zoo.chain:{name}", "--model-store", store]
    environment = {**os.environ, "PYTHONPATH": str(write_package(folder))}
    subprocess.run([sys.executable, *command], env=environment, check=True)


def pids(service: torchserve.Service, model: str) -> set[str]:
    """The processes of a model's workers."""
    return {str(worker["pid"]) for worker in service.description(model)["workers"]}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[torchserve.Service]:
    folder = tmp_path_factory.mktemp("several")
    (store := folder / "store").mkdir()
    pack_echo(store, {"minWorkers": 2, "maxWorkers": 2}, s_per_page=0.01)
    pack_zoo(folder / "packages", store)
    running = torchserve.start(
        folder / "run",
        chains=["pages", "zoo.chain:Zoo"],
        properties=loopback_properties() | {"models": json.dumps(ENTRIES)},
        model_store=store,
        environment=without_torch(folder),
    )
    yield running
    torchserve.stop(running)


def test_each_chain_answers_under_its_own_name_in_its_own_form(both) -> None:
    assert importlib.util.find_spec("zoo") is None, "nobody has it but the archive"
    pages, fed = both.read(b"lion"), both.read(b"lion", model="zoo")
    assert (pages.json()["schema"], pages.json()["bytes"]) == ("echo/1", 4)
    assert (fed.json()["schema"], fed.json()["said"]) == ("zoo/1", "hello lion")
    assert both.read(b"\x89PNG", model="zoo").json()["error"]["code"] == "UNSUPPORTED_FORMAT"
    assert both.read(b"lion", model="nobody").status_code == 404


def test_the_service_names_its_models_and_each_has_the_workers_of_its_own_configuration(both) -> None:
    assert both.about()["models"] == ["quintet", "zoo"]
    assert torchserve.find(both.run_dir) == both
    assert both.workers() == ["READY"] * 3
    assert both.workers_of("zoo") == ["READY"]
    described = both.description("zoo")
    assert (described["batchSize"], described["responseTimeout"]) == (7, 900), "of its entry, and of its archive"


def test_an_answer_names_the_workers_of_its_own_model_alone(both) -> None:
    """Those of another never answer its requests: a client would wait for them before it takes one for lost."""
    for model in both.models:
        _, *workers = both.read(b"lion", model=model).headers[WORKERS_HEADER].split()
        assert set(workers) == pids(both, model)


def test_an_answer_says_how_long_its_stages_took(both) -> None:
    assert both.read(b"lion", model="zoo").headers[stage_times.HEADER] == "feeding=0.250000"
    assert stage_times.HEADER not in both.read(b"lion").headers, "the echo chain does not time itself"


def test_metrics_tell_the_models_apart_and_show_the_stages_of_each(both) -> None:
    def samples(**labels: str) -> dict[str, float]:
        wanted = [(label, "=", value) for label, value in labels.items()]
        told = parse_scrape(requests.get(f"{both.metrics_url}/metrics", timeout=10).text)
        return {one.name: one.value for one in told if matches(one, wanted)}

    before = {model: samples(ModelName=model, outcome="ok") for model in both.models}
    for _ in range(3):
        assert both.read(b"lion", model="zoo").ok
    time.sleep(1)  # numbers reach the front end through a pipe
    after = {model: samples(ModelName=model, outcome="ok") for model in both.models}
    grown = {model: after[model]["quintet_pages_total"] - before[model]["quintet_pages_total"] for model in both.models}
    assert grown == {"quintet": 0, "zoo": 3}
    assert samples(ModelName="zoo", stage="feeding")["quintet_stage_seconds_count"] >= 3
    assert not samples(ModelName="quintet", stage="feeding")
    assert both.pages_in_progress() == both.pages_in_progress("zoo") == 0


def test_the_client_reads_with_the_one_it_is_told_and_keeps_their_results_apart(both, tmp_path, capsys) -> None:
    (tmp_path / "in").mkdir()
    for name in ("lion", "okapi"):
        (tmp_path / "in" / f"{name}.jpg").write_bytes(name.encode())
    token = ("--token-file", str(both.token_file))
    fed, echoed = tmp_path / "fed", tmp_path / "echoed"
    assert read(tmp_path / "in", fed, both.inference_url, *token, "--model", "zoo") == 0
    assert read(tmp_path / "in", echoed, both.inference_url, *token) == 0
    assert json.loads(answers(fed)["okapi.jpg"])["said"] == "hello okapi"
    assert json.loads(answers(echoed)["okapi.jpg"])["bytes"] == 5
    assert read(tmp_path / "in", fed, both.inference_url, *token) == 2
    capsys.readouterr()
    address = ("--server", both.inference_url, "--management", both.management_url, *token)
    assert main(["status", *address, "--model", "zoo"]) == 0
    said = capsys.readouterr().out
    assert f"ready: {both.inference_url} (zoo) refused the page as UNSUPPORTED_FORMAT in " in said
    assert "READY workers: 1" in said


def test_a_killed_worker_of_one_model_does_not_touch_the_other(both) -> None:
    before, answered = pids(both, "quintet"), 0
    psutil.Process(int(*pids(both, "zoo"))).kill()
    wait_until(lambda: both.workers_of("zoo") != ["READY"])
    while both.workers_of("zoo") != ["READY"]:
        assert both.read(b"page").status_code == 200
        answered += 1
    assert answered
    assert pids(both, "quintet") == before
    assert both.read(b"lion", model="zoo").json()["said"] == "hello lion"
    assert both.about()["restarts"] == 0


@pytest.mark.slow
def test_a_chain_that_fails_with_every_body_does_not_start(tmp_path) -> None:
    (store := tmp_path / "store").mkdir()
    pack_zoo(tmp_path / "packages", store, "Closed")
    options = {"properties": loopback_properties(), "model_store": store, "environment": without_torch(tmp_path)}
    with pytest.raises(torchserve.ServiceError, match=r"zoo answered a blank page with 500: .*INFERENCE_FAILED"):
        torchserve.start(tmp_path / "run", chains=["zoo.chain:Closed"], **options)
    assert torchserve.find(tmp_path / "run") is None
