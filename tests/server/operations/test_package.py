"""The wheel in environments of its own: what each extra promises, and a service in an empty folder.

Each environment gets the newest packages that the wheel admits, as its user's would.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from quintet.operations.running import Service, find

from tests.client.reading import read, rows
from tests.client.scripted_server import ScriptedServer
from tests.conftest import ROOT, draw_page, encode, free_ports

pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent
WORDS = "Total 12.50"
PAGES = 3
# Where pip and uv find packages is this machine's affair, and all that environments have of it.
OF_INDEXES = re.compile(r"PIP_|UV_|SSL_|REQUESTS_CA|HTTPS?_PROXY|NO_PROXY", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """An empty folder, an empty home, and an environment with the wheel: nothing else is on the path."""

    folder: Path
    home: Path
    bin: Path

    @property
    def run_folder(self) -> Path:
        return self.home / ".local" / "state" / "quintet" / "serve"

    @property
    def environment(self) -> dict[str, str]:
        of_indexes = {name: value for name, value in os.environ.items() if OF_INDEXES.match(name)}
        return {**of_indexes, "HOME": str(self.home), "PATH": str(self.bin), "TERM": "dumb"}

    def run(self, *words: object, expect: int = 0, timeout_s: float = 600) -> str:
        """Run a command in the folder; gives what it said."""
        begin = time.monotonic()
        command = [str(self.bin / str(words[0])), *map(str, words[1:])]
        ended = subprocess.run(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=timeout_s, check=False,
        )  # fmt: skip
        print(f"{time.monotonic() - begin:6.1f} s  {' '.join(map(str, words))[:100]}")  # noqa: T201
        assert ended.returncode == expect, ended.stdout
        return ended.stdout

    def python(self, code: str) -> str:
        return self.run("python", "-c", code).strip()


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel that is built out of it, away from the tree."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([BIN / "hatchling", "build", "-t", "sdist", "-d", folder], cwd=ROOT, check=True)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as sdist:
        sdist.extractall(folder / "unpacked", filter="data")
    tree = next((folder / "unpacked").iterdir())
    subprocess.run([BIN / "hatchling", "build", "-t", "wheel", "-d", folder], cwd=tree, check=True)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    return next(dist.glob("*.whl"))


def uv(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BIN / "uv", *map(str, words)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def _index() -> None:
    asked = uv("pip", "install", "--quiet", "--dry-run", "--reinstall", "--no-deps", "--python", sys.executable, "h11")
    if asked.returncode:
        pytest.skip(f"the package index cannot be reached: {asked.stderr.strip().splitlines()[-1]}")


@pytest.fixture
def place(request: pytest.FixtureRequest, _index: None, wheel: Path, tmp_path: Path) -> Iterator[Place]:
    """A place for the extras that the test is parametrized with."""
    begin = time.monotonic()
    venv, folder, extras = tmp_path / "venv", tmp_path / "work", request.param
    made = uv("venv", "--quiet", "--python", sys.executable, venv)
    assert made.returncode == 0, made.stderr
    requirement = f"quintet{extras} @ {wheel.as_uri()}"
    installed = uv("pip", "install", "--quiet", "--python", venv / "bin" / "python", requirement)
    assert installed.returncode == 0, installed.stderr
    taken = sum(file.lstat().st_size for file in venv.rglob("*"))
    print(f"\n{time.monotonic() - begin:6.1f} s  install quintet{extras}: {taken / 1e6:.0f} MB")  # noqa: T201
    folder.mkdir()
    with tempfile.TemporaryDirectory() as home:  # its path is short, as those of sockets have to be
        yield Place(folder, Path(home), venv / "bin")
    shutil.rmtree(venv)


def write_scans(folder: Path) -> None:
    (folder / "scans").mkdir()
    for number in range(PAGES):
        page = encode(draw_page([WORDS, f"page {number}"], (1240, 1754)), "JPEG")
        (folder / "scans" / f"{number}.jpg").write_bytes(page)


def read_here(place: Place) -> None:
    """Leave results in the place, read by this process: its own client need not have what that takes."""
    write_scans(place.folder)
    with ScriptedServer() as server:
        assert read(place.folder / "scans", place.folder / "results", server.url) == 0


def texts(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted((folder / "results" / "pages").glob("*.json"))]


def test_the_wheel_of_the_sdist_holds_the_files_of_the_tree_and_what_a_service_needs(dist: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "handlers/quintet", "client/quintet_client"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    tracked = {name.partition("/")[2] for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    handlers = {f"handlers/{path.name}" for path in (ROOT / "handlers").iterdir() if path.is_file()}
    service = {f"quintet/operations/tree/{name}" for name in {"config.properties", *handlers}}
    assert {name for name in names if ".dist-info/" not in name} == tracked | service
    assert {"quintet/py.typed", "quintet_client/py.typed"} <= names
    assert wheel.stat().st_size < 1 << 20
    assert next(dist.glob("*.tar.gz")).stat().st_size < 4 << 20


@pytest.mark.parametrize("place", [""], indirect=True)
def test_the_client_alone_is_small_and_names_the_extras_that_it_lacks(place: Place) -> None:
    import quintet  # noqa: PLC0415

    assert place.python("import quintet, quintet_client as c; print(quintet.__version__, c.__version__)").split() == [
        quintet.__version__, quintet.__version__,
    ]  # fmt: skip
    assert place.run("quintet", "--version") == f"quintet {quintet.__version__}\n"
    write_scans(place.folder)
    with ScriptedServer() as server:
        code = f"import quintet_client as c; print(c.QuintetClient({server.url!r}).read(b'page').text)"
        assert re.fullmatch("[0-9a-f]{64}", place.python(code))
        assert "quintet[bulk]" in place.run("quintet", "read", "scans", "results", "--server", server.url, expect=2)
    for command in ("serve", "stop", "models"):
        assert "pip install 'quintet[serve]'" in place.run("quintet", command, expect=2)
        assert "QUINTET_RUN_DIR" in place.run("quintet", command, "--help")
    packages = next(place.bin.parent.glob("lib/python*/site-packages"))
    assert not [name for name in ("torch", "numpy", "PIL", "psutil", "ts") if (packages / name).exists()]
    ours = [file for name in ("quintet", "quintet_client") for file in (packages / name).rglob("*.*")]
    assert sum(file.stat().st_size for file in ours if file.suffix != ".pyc") < 4 << 20


@pytest.mark.parametrize("place", ["[bulk]"], indirect=True)
def test_bulk_reads_folders(place: Place) -> None:
    write_scans(place.folder)
    with ScriptedServer() as server:
        place.run("quintet", "read", "scans", "results", "--server", server.url)
    assert len(texts(place.folder)) == PAGES


@pytest.mark.parametrize("place", ["[export]"], indirect=True)
def test_export_writes_pdf_and_parquet(place: Place) -> None:
    read_here(place)
    place.run("quintet", "export", "results", "--to", "pdf,parquet,txt")
    written = {path.suffix for path in (place.folder / "results").rglob("*") if path.is_file()}
    assert {".pdf", ".parquet", ".txt"} <= written


@pytest.mark.parametrize("place", ["[view]"], indirect=True)
def test_view_draws_pages_into_a_report(place: Place) -> None:
    read_here(place)
    place.run("quintet", "report", "results")
    assert "data:image/" in next((place.folder / "results").rglob("*.html")).read_text()


@pytest.fixture
def served(place: Place) -> Iterator[Place]:
    """The place; a service that a failed test leaves there is stopped."""
    yield place
    place.run("quintet", "stop")


@pytest.mark.parametrize("place", ["[serve]"], indirect=True)
def test_serve_alone_starts_from_an_archive_that_is_there(served: Place, model_store: Path) -> None:
    for name in ("quintet.mar", "quintet.mar.sha256"):
        (served.folder / "model_store").mkdir(exist_ok=True)
        shutil.copy2(model_store / name, served.folder / "model_store")
    (port, *_) = free_ports(1)
    said = served.run("quintet", "serve", "--port", port, "--device", "cpu", "--workers", 2)
    assert re.fullmatch(r"quintet ready at http://127\.0\.0\.1:\d+ \(pid \d+\), tokens in \S+\n", said)
    running = found(served)
    assert running.workers() == ["READY", "READY"]
    assert WORDS in running.read(encode(draw_page([WORDS]))).json()["text"]
    assert "stop it first (quintet stop)" in served.run("quintet", "serve", "--port", port, expect=1)
    assert served.run("quintet", "serve") == said
    assert served.run("quintet", "stop") == "stopped\n"
    assert not running.is_alive()


@pytest.mark.parametrize("place", ["[serve,bulk]"], indirect=True)
def test_in_an_empty_folder_a_service_is_made_started_read_with_and_stopped(served: Place) -> None:
    write_scans(served.folder)
    (port, *_) = free_ports(1)
    said = served.run("quintet", "serve", "--port", port)
    assert "making in" in said
    assert "quintet ready at" in said
    running = found(served)
    server = ("--server", running.inference_url, "--token-file", running.token_file)
    served.run("quintet", "read", "scans", "results", *server)
    assert [row["state"] for row in rows(served.folder / "results").values()] == ["ok"] * PAGES
    assert all(WORDS in text for text in texts(served.folder))
    assert served.run("quintet", "stop") == "stopped\n"
    assert "up to date, nothing to do" in served.run("quintet", "models")
    command = [served.bin / "quintet", "serve", "--port", str(port), "--foreground"]
    foreground = subprocess.Popen(command, cwd=served.folder, env=served.environment)
    try:
        ends_at = time.monotonic() + 300
        while find(served.run_folder) is None:
            assert foreground.poll() is None
            assert time.monotonic() < ends_at
            time.sleep(0.5)
        assert found(served).pid == foreground.pid
    finally:
        foreground.send_signal(signal.SIGTERM)
    assert foreground.wait(120) == 0


def found(place: Place) -> Service:
    running = find(place.run_folder)
    assert running is not None
    return running
