"""The viewer's HTTP server: loopback only, one unguessable path, read-only, nothing from elsewhere in its pages."""

import hmac
import json
import logging
import secrets
import sys
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from quintet_client.errors import UsageError
from quintet_client.viewer.site import Response, Site

_log = logging.getLogger(__name__)

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # The pages may be confidential: a browser is not to keep them on disk.
    "Cache-Control": "no-store",
}
_FORBIDDEN = Response(403, "text/plain; charset=utf-8", b"Open the address that `quintet view` printed.\n")


class Server(ThreadingHTTPServer):
    """Serves one site on 127.0.0.1 under a secret token."""

    daemon_threads = True

    def __init__(self, site: Site, port: int = 0) -> None:
        """Listen; port 0 is a free one. Raises UsageError if the port is taken."""
        self.site = site
        self.token = secrets.token_urlsafe(18)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise UsageError(f"port {port} cannot be used ({error.strerror}); give another --port, or none") from error
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}

    @property
    def url(self) -> str:
        """The address to open."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def admits(self, path: str, headers: Message) -> bool:
        """Whether a request may be answered.

        A foreign page whose name points here (DNS rebinding) still sends that name as Host, and lacks the token.
        """
        token = path.lstrip("/").partition("/")[0]
        return (
            headers.get("Host", "") in self.hosts
            and headers.get("Sec-Fetch-Site", "none") in {"same-origin", "none"}
            and hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode())
        )

    def handle_error(self, request: object, client_address: object) -> None:
        """Log that a browser closed the connection in mid-answer, which is common, for debugging only."""
        _log.debug("%s: %s", client_address, request, exc_info=sys.exception())


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "quintet"
    sys_version = ""
    timeout = 60
    # Head and body in one packet: apart, the second waits 40 ms for the browser's delayed acknowledgement of the first.
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._send(self._answer())

    do_HEAD = do_GET  # noqa: N815 - the name of its parent

    def _answer(self) -> Response:
        try:
            target = urlsplit(self.path)
            if not self.server.admits(target.path, self.headers):
                return _FORBIDDEN
            below = target.path.lstrip("/").partition("/")[2]
            return self.server.site.answer(below, dict(parse_qsl(target.query, keep_blank_values=True)))
        except Exception as error:  # noqa: BLE001 - one request's outermost boundary
            _log.exception("%s", self.path.replace(self.server.token, "…"))
            body = json.dumps({"error": f"{type(error).__name__}: see the log of `quintet view`"})
            return Response(500, "application/json", body.encode())

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - the name of its parent
        _log.debug(format, *values)
