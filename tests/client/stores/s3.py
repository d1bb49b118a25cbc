"""An S3 on loopback: moto's server in a process of its own, and a proxy before it that counts, and fails on demand."""

import http.client
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlsplit

KEY_ID, SECRET = "AKIAQUINTETTESTS", "the-secret-of-the-tests"
BUCKET = "bucket"
# moto lets nobody read who does not sign, and looks at no signature.
_SIGNED = {"Authorization": f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20260101/us-east-1/s3/aws4_request, Signature=x"}


class Store:
    """A store that is served until closed.

    Attributes:
        gets: how often each object was asked for, by its key.
        fails_with: the status of every answer as long as it is not 0.
        refused: how many those were.
    """

    def __init__(self, port: int) -> None:
        self.gets: Counter[str] = Counter()
        self.refused = 0
        self.fails_with = 0
        self._busy_s = 0.0
        self._port = port
        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._proxy.daemon_threads = True
        self.environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._proxy.server_port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
        }
        self._thread = threading.Thread(target=self._proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()

    def reset(self) -> None:
        """Forget everything, but for one empty bucket."""
        self.fails_with = 0
        self.refused = 0
        self.gets.clear()
        assert self.ask("POST", "/moto-api/reset")[0] == 200
        assert self.ask("PUT", f"/{BUCKET}")[0] == 200

    def be_busy(self, seconds: float) -> None:
        """Answer 503 for so long, from the next request on: whoever is to meet it may be slow to start."""
        self._busy_s = seconds
        self.fails_with = 503

    def refuse(self) -> int:
        """Count a refusal; gives its status."""
        status, self.refused = self.fails_with, self.refused + 1
        if self._busy_s:
            seconds, self._busy_s = self._busy_s, 0.0
            threading.Timer(seconds, setattr, (self, "fails_with", 0)).start()
        return status

    def put(self, key: str, body: bytes) -> None:
        assert self.ask("PUT", f"/{BUCKET}/{quote(key)}", body)[0] == 200

    def put_folder(self, folder, prefix: str) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder)}", path.read_bytes())

    def keys(self, prefix: str = "") -> list[str]:
        """The keys of all objects below a prefix, sorted."""
        found = self.ask("GET", f"/{BUCKET}?prefix={quote(prefix)}&max-keys=100000")[2].decode()
        return sorted(unquote(key) for key in re.findall(r"<Key>([^<]*)</Key>", found))

    def get(self, key: str) -> bytes:
        status, _headers, body = self.ask("GET", f"/{BUCKET}/{quote(key)}")
        assert status == 200, status
        return body

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] = _SIGNED
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _handler(self):
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_GET(self):
                parts = urlsplit(self.path)
                key = unquote(parts.path).removeprefix(f"/{BUCKET}").removeprefix("/")
                status, headers, body = 0, {}, b"<Error><Code>SlowDown</Code></Error>"
                sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if store.fails_with:
                    status = store.refuse()
                else:
                    status, headers, body = store.ask(self.command, self.path, sent, dict(self.headers))
                if key and self.command == "GET":
                    store.gets[key] += 1
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in {"connection", "date", "server", "transfer-encoding"}:
                        self.send_header(name, value)
                if "content-length" not in map(str.lower, headers):
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else body)

            do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - as http.server calls them

            def log_message(self, *_arguments):
                pass

        return Handler


def start(store: Store, *words: object) -> "subprocess.Popen[str]":
    """Start a command as a process of its own that knows the store."""
    command = [sys.executable, "-m", "quintet_client.cli", *map(str, words)]
    return subprocess.Popen(command, env=store.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for a command; gives its exit code and what it said, in which there is no credential."""
    said = process.communicate(timeout=200)[0]
    for never in ("Traceback", KEY_ID, SECRET):
        assert never not in said, said
    return process.returncode, said


def quintet(store: Store, *words: object) -> tuple[int, str]:
    """Run a command; see `finish`."""
    return finish(start(store, *words))


@contextmanager
def serving():
    """Yield a store; moto is stopped by its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    store = Store(port)
    try:
        ends_at = time.monotonic() + 60
        while not _answers(store):
            assert process.poll() is None, "no S3 server"
            assert time.monotonic() < ends_at, "no S3 server"
            time.sleep(0.1)
        yield store
    finally:
        store.close()
        process.terminate()
        process.wait()


def _answers(store: Store) -> bool:
    try:
        return bool(store.ask("GET", "/"))
    except OSError:
        return False
