"""docs/examples/nginx.conf as a running nginx, with a certificate of its own."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT, free_ports

EXAMPLE = ROOT / "docs" / "examples" / "nginx.conf"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@dataclass(frozen=True)
class Proxy:
    url: str
    port: int
    certificate: Path
    log: Path

    def connect(self) -> ssl.SSLSocket:
        """A connection on which a test says what it likes."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), 10), server_hostname="localhost")


@contextmanager
def nginx_before(inference_url: str, folder: Path, **replaced: str):
    """Run the example in front of a service; `replaced` are directives with other values than the example's."""
    if NGINX is None or shutil.which("openssl") is None:
        pytest.skip("nginx or openssl is not installed: apt-get install nginx-light openssl")
    port = free_ports(1)[0]
    text = EXAMPLE.read_text()
    here = {
        "pid": f"{folder}/nginx.pid",
        "error_log": f"{folder}/error.log info",
        "access_log": f"{folder}/access.log traced",
        "client_body_temp_path": f"{folder}/body",
        "listen": f"127.0.0.1:{port} ssl",
        "server": inference_url.removeprefix("http://"),
        "ssl_certificate": f"{folder}/server.crt",
        "ssl_certificate_key": f"{folder}/server.key",
    }
    for directive, value in {**here, **replaced}.items():
        text, found = re.subn(rf"^(\s*){directive} [^;{{]+;", rf"\g<1>{directive} {value};", text, flags=re.MULTILINE)
        assert found == 1, directive
    (folder / "nginx.conf").write_text(text)
    _make_certificate(folder)
    # The folders of tests belong to whoever runs them; as root nginx would give its work to somebody else.
    said = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    process = subprocess.Popen(
        [NGINX, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf"), "-g", said]
    )
    try:
        _wait_for(port, process, folder / "error.log")
        yield Proxy(f"https://localhost:{port}", port, folder / "server.crt", folder / "access.log")
    finally:
        process.terminate()
        process.wait(20)


def _make_certificate(folder: Path) -> None:
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "server.key"]
    own = ["-out", "server.crt", "-days", "2", "-subj", "/CN=localhost", "-addext", names]
    subprocess.run(["openssl", "req", "-x509", *key, *own], cwd=folder, check=True, capture_output=True)


def _wait_for(port: int, process: subprocess.Popen, log: Path) -> None:
    ends_at = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends_at
            time.sleep(0.05)
        else:
            return
