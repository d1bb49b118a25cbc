"""A real HTTP server whose answers a test scripts: for what TorchServe cannot be made to do on demand."""

import hashlib
import json
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from quintet.frame import frames

MODEL = "scripted-model-1"


@dataclass(frozen=True)
class Request:
    """What the server saw: the how-manieth request for this very body (from 1), and the headers."""

    body: bytes
    times_seen: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What it answers; `drop` closes the connection without a word."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    drop: bool = False
    pause_s: float = 0.0  # after every byte


def page_answer(request: Request, model: str = MODEL) -> Reply:
    """Answer as the service does; the text depends on the body alone, the request id on the request."""
    text = hashlib.sha256(request.body).hexdigest()
    document = {
        "schema": "quintet.page/1",
        "request_id": request.headers.get("x-request-id", ""),
        "model": model,
        "width_px": 1240,
        "height_px": 1754,
        "orientation": {"angle_deg": 0, "score": 0.99},
        "regions": [{"label": "text", "score": 0.93, "box_px": [0, 0, 100, 50]}],
        "lines": [{"text": text, "score": 0.98, "quad_px": [[0, 0], [9, 0], [9, 5], [0, 5]], "region": 0}],
        "text": text,
    }
    return Reply(200, json.dumps(document).encode())


def our_error(status: int, code: str, **headers: str) -> Reply:
    body = json.dumps({"error": {"code": code, "message": f"scripted {code}", "request_id": "r"}}).encode()
    return Reply(status, body, tuple((name.replace("_", "-"), value) for name, value in headers.items()))


def torchserve_error(status: int, kind: str, message: str = "scripted") -> Reply:
    return Reply(status, json.dumps({"code": status, "type": kind, "message": message}).encode())


def _concerns_all(reply: Reply) -> bool:
    return reply.drop or reply.status == 503 or (reply.status != 200 and b'"type"' in reply.body)


class _Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def handle_error(self, _request, _client_address):
        """Say nothing: killed clients reset their connections."""


class ScriptedServer:
    """Serves on a free loopback port until closed.

    A frame of pages is scripted page by page. A page that is dropped, or answered as TorchServe answers whole batches,
    takes its frame with it.

    Attributes:
        seen: how often each body came.
        packs: the pages of each request, in the order they came.
        knows_frames: False takes frames for images, as servers did before there were any.
        limits: what it says that it takes; who asks is not counted among the requests.
        model: the fingerprint that it names with them.
        told: the answer to every GET.
        paths: what was asked for.
        connections: how many were opened.
    """

    def __init__(
        self,
        script: Callable[[Request], Reply] = page_answer,
        port: int = 0,
        *,
        knows_frames: bool = True,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ):
        self.script = script
        self.knows_frames = knows_frames
        self.seen: Counter[bytes] = Counter()
        self.packs: list[list[bytes]] = []
        self.limits: dict[str, object] = {}
        self.model = MODEL
        self.told = b"{}"
        self.paths: set[str] = set()
        self.connections = 0
        self._lock = threading.Lock()
        self._server = _Server((host, port), self._handler())
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exception):
        self._server.shutdown()
        self._server.server_close()

    def wait(self):
        self._thread.join()

    def reply_to(self, body: bytes, headers: dict[str, str]) -> Reply:
        packed = self.knows_frames and frames.is_packed(headers.get("content-type"))
        if packed and frames.kind_of(body) == frames.Kind.LIMITS:
            return self._tell_limits()
        bodies = frames.unpack_pages(body) if packed else [body]
        replies = [self.script(request) for request in self._seen(bodies, headers)]
        whole = next((reply for reply in replies if _concerns_all(reply)), None)
        if whole is not None or not packed:
            return whole or replies[0]
        answers = frames.pack_answers([frames.Answer(reply.status, reply.body) for reply in replies])
        return Reply(200, answers, (("Content-Type", frames.MEDIA_TYPE), *replies[-1].headers))

    def _tell_limits(self) -> Reply:
        document = {"schema": "quintet.limits/1", "request_id": "r", "model": self.model, **self.limits}
        answer = frames.pack_answers([frames.Answer(200, json.dumps(document).encode())])
        return Reply(200, answer, (("Content-Type", frames.MEDIA_TYPE),))

    def _seen(self, bodies: list[bytes], headers: dict[str, str]) -> list[Request]:
        with self._lock:
            self.packs.append(bodies)
            self.seen.update(bodies)
            return [Request(body, self.seen[body], headers) for body in bodies]

    def _handler(self):
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet an answer
            disable_nagle_algorithm = True

            def setup(self):
                scripted.connections += 1
                super().setup()

            def do_GET(self):
                scripted.paths.add(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(scripted.told)))
                self.end_headers()
                self.wfile.write(scripted.told)

            def do_POST(self):
                scripted.paths.add(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                reply = scripted.reply_to(body, {name.lower(): value for name, value in self.headers.items()})
                if reply.drop:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in (*reply.headers, ("Content-Length", str(len(reply.body)))):
                    self.send_header(name, value)
                self.end_headers()
                for byte in reply.body if reply.pause_s else b"":
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(reply.pause_s)
                self.wfile.write(b"" if reply.pause_s else reply.body)
                self.close_connection = self.close_connection or reply.status >= 400  # as TorchServe does

            def log_message(self, *_arguments):
                pass

        return Handler


if __name__ == "__main__":
    with ScriptedServer(port=int(sys.argv[1])) as server:
        server.wait()
