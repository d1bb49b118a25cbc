"""The image of docs/examples/container: its steps make a service that runs as a container does, offline and read-only.

The command is the first process of its namespace, as without an init; the root is read-only, the user the image's.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.chaos.stage import wait_until
from tests.conftest import ROOT
from tests.server.operations.dockerfile import Container, Stage, build, can_mount

pytestmark = pytest.mark.slow
DOCKERFILE = ROOT / "docs" / "examples" / "container" / "Dockerfile"
UV = Path(sys.executable).with_name("uv")
TOKEN = "/run/secrets/token"
SERVE = ("serve", "--foreground", "--host", "0.0.0.0", "--token-file", TOKEN)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("image")
    if os.getuid() != 0 or not can_mount(folder):
        pytest.skip("only root can make roots and namespaces, and not on every machine")
    asked = subprocess.run(
        [UV, "pip", "install", "--dry-run", "--reinstall", "--no-deps", "--python", sys.executable, "h11"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if asked.returncode:
        pytest.skip(f"the package index cannot be reached: {asked.stderr.strip().splitlines()[-1]}")
    cache = subprocess.run([UV, "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()
    begin = time.monotonic()
    built = build(DOCKERFILE, folder, Path(cache))
    sys.stdout.write(f"\n{time.monotonic() - begin:6.1f} s  the steps of the Dockerfile\n")
    yield built
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def container(image: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """One that runs and is healthy, with a token of its own, as compose.yaml has it."""
    folder = tmp_path_factory.mktemp("container")
    token = folder / "token"
    token.write_text("t" * 64)
    token.chmod(0o444)
    shutil.copytree(image.layer.inside(image.told["VOLUME"]), folder / "state")
    user = int(image.told["USER"].partition(":")[0])
    os.chown(folder / "state", user, user)
    (folder / "state").chmod(0o700)
    running = Container(image, folder / "state", {TOKEN: token})
    try:
        start(running)
        yield running
    finally:
        running.kill()


def start(container: Container) -> None:
    begin = time.monotonic()
    container.start(*SERVE)
    while (said := container.health()).returncode:
        assert container.process.poll() is None
        assert time.monotonic() - begin < 300, said.stdout + said.stderr
        time.sleep(1)
    sys.stdout.write(f"\n{time.monotonic() - begin:6.1f} s  until it is healthy: {said.stdout}")


def test_the_image_holds_the_service_and_nothing_that_made_it(image: Stage) -> None:
    assert {path.name for path in image.layer.inside("/opt/quintet/models").iterdir()} == {
        "quintet.mar", "quintet.mar.sha256",
    }  # fmt: skip
    assert not image.layer.inside("/build").exists()
    packages = next(image.layer.inside("/opt/quintet/lib").glob("python*/site-packages"))
    assert {"quintet", "quintet_client"} <= {path.name for path in packages.iterdir()}
    assert not {"uv", "hatchling", "pytest"} & {path.name for path in packages.iterdir()}
    assert image.told["USER"] == "10001:10001"
    assert json.loads(image.told["CMD"]) == [word for word in SERVE if word not in {"--token-file", TOKEN}]


def test_the_health_check_says_when_it_does_not_serve_and_when_it_does(image: Stage, container: Container) -> None:
    assert container.health().returncode == 0
    asleep = Container(image, container.state)
    asleep.process = container.process
    assert asleep.run("quintet", "status", "--server", "http://127.0.0.1:9").returncode == 4


def test_pages_and_metrics_are_listened_for_outside_and_management_is_not(container: Container) -> None:
    def listening() -> Iterator[str]:
        for line in container.run("cat", "/proc/net/tcp").stdout.splitlines()[1:]:
            host, port = line.split()[1].split(":")
            if line.split()[3] == "0A":
                yield f"{'.'.join(str(byte) for byte in bytes.fromhex(host)[::-1])}:{int(port, 16)}"

    places = set(listening())
    assert "127.0.0.1:8081" in places
    assert {place for place in places if not place.startswith("127.")} == {"0.0.0.0:8080", "0.0.0.0:8082"}
    assert {port.partition("/")[0] for port in container.image.told["EXPOSE"].split()} == {"8080", "8082"}


def test_the_given_token_reads_a_page_and_none_does_not(container: Container) -> None:
    ready = container.run("quintet", "status", "--token-file", TOKEN)
    assert (ready.returncode, ready.stdout.split()[0]) == (0, "ready:"), ready.stdout + ready.stderr
    assert container.run("env", "--unset=QUINTET_TOKEN_FILE", "quintet", "status").returncode == 5


def test_it_is_the_images_user_without_capabilities_and_writes_below_its_state_alone(container: Container) -> None:
    status = Path(f"/proc/{container.first().pid}/status").read_text()
    assert "\nUid:\t10001\t10001\t10001\t10001\n" in status
    assert "\nCapBnd:\t0000000000000000\n" in status
    for path in ("/opt/quintet/x", "/etc/x", "/usr/x"):
        assert "Read-only file system" in container.run("touch", path).stderr
    assert (container.state / "serve" / "logs").is_dir()


def test_a_killed_container_starts_again_with_what_it_left_and_stops_when_told(container: Container) -> None:
    own = (container.state / "serve" / "key_file.json").read_text()
    # Says that the process 1 is a service, as which the next one finds itself.
    wait_until((container.state / "serve" / "service.json").exists)
    container.kill()
    start(container)
    assert (container.state / "serve" / "key_file.json").read_text() != own
    family = psutil.Process(container.process.pid).children(recursive=True)
    begin = time.monotonic()
    container.first().send_signal(signal.SIGTERM)
    assert container.process.wait(120) == 0
    sys.stdout.write(f"\n{time.monotonic() - begin:6.1f} s  from SIGTERM to the end\n")
    assert time.monotonic() - begin < 30
    assert not [process for process in family if process.is_running()]
