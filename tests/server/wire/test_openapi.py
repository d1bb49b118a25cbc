"""docs/openapi.yaml against the real server: schemathesis sends what it describes and more, and checks every answer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import yaml
from jsonschema import Draft202012Validator
from quintet.operations import service as torchserve

from tests.conftest import ROOT

DESCRIPTION = ROOT / "docs" / "openapi.yaml"
HERE = Path(__file__).parent
OPERATIONS = [("POST", "/predictions/quintet"), ("GET", "/ping")]


@pytest.mark.slow
def test_the_service_answers_as_described(service: torchserve.Service, tmp_path: Path) -> None:
    """Bounded by examples, not by time: about a hundred requests, most of them small pages."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")),
        *("run", str(DESCRIPTION), "--url", service.inference_url, "--no-color", "--continue-on-failure"),
        *("--header", f"Authorization: Bearer {service.token('inference')}"),
        *("--max-examples", "25", "--seed", "7", "--generation-database", "none", "--request-timeout", "300"),
        *("--suppress-health-check", "all"),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.server.wire.openapi_bodies", "PYTHONPATH": str(ROOT)}
    environment["PYTHONWARNINGS"] = "default"
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=580, check=False
    )
    sys.stdout.write(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert int(re.search(r"(\d+) generated", ended.stdout)[1]) >= 25


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_without_a_token_the_answer_is_the_401_that_is_described(
    service: torchserve.Service, method: str, path: str
) -> None:
    description = yaml.safe_load(DESCRIPTION.read_text("utf-8"))
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = requests.request(method, service.inference_url + path, headers=headers, timeout=60)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "NOT_AUTHORISED")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        error = {**description, "$ref": "#/components/schemas/PageError"}
        Draft202012Validator(error).validate(answer.json())


@pytest.mark.parametrize(
    ("content_type", "body", "status", "word"),
    [
        ("application/x-www-form-urlencoded", b"a=%zz", 400, "UNSUPPORTED_FORMAT"),  # what curl calls any body
        ("multipart/form-data; boundary=x", b"--x--", 400, "EMPTY_BODY"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n" * 2000, 422, "INVALID_PARAMETER"),
        ("multipart/form-data", b"--x--", 422, "INVALID_PARAMETER"),
        ("application/json", b'{"a": 1}', 400, "UNSUPPORTED_FORMAT"),
        ("text/plain", b"words", 400, "UNSUPPORTED_FORMAT"),
    ],
)
def test_bodies_of_other_types_are_answered_as_the_description_says(
    service: torchserve.Service, content_type: str, body: bytes, status: int, word: str
) -> None:
    headers = {"Authorization": f"Bearer {service.token('inference')}", "Content-Type": content_type}
    answer = requests.post(f"{service.inference_url}/predictions/quintet", data=body, headers=headers, timeout=60)
    assert answer.status_code == status
    assert word in answer.text
    assert word in DESCRIPTION.read_text("utf-8")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE"])
def test_any_method_is_taken_for_post_as_the_description_says(service: torchserve.Service, method: str) -> None:
    headers = {"Authorization": f"Bearer {service.token('inference')}", "Content-Type": "application/octet-stream"}
    answer = requests.request(method, f"{service.inference_url}/predictions/quintet", headers=headers, timeout=60)
    assert answer.json()["error"]["code"] == "EMPTY_BODY"
