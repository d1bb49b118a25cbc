"""The one place that talks HTTP: one page's bytes out, one typed outcome back."""

import os
import threading
import uuid
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ReadTimeoutError

from quintet_client.errors import UsageError
from quintet_client.outcomes import Dropped, NotNow, Outcome, TryFailed, Unauthorised, outcome_of
from quintet_client.tokens import TokenSource

PREDICTIONS = "/predictions/quintet"
# A server that is there accepts at once; one that is not must be noticed soon.
CONNECT_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Item:
    """What travels: a page's id, for logs, and its bytes as they are."""

    page_id: str
    body: bytes


class Transport(Protocol):
    """Carries one item to the server and brings back what became of it; safe to share between threads."""

    def read(self, item: Item) -> Outcome:
        """Make one attempt. Faults of the network, the server and the page are outcomes, never exceptions."""


class HttpTransport:
    """One request a page, a raw body, one kept-alive session a thread."""

    def __init__(self, server: str, tokens: TokenSource, timeout_s: float) -> None:
        """Prepare; nothing is sent yet.

        Args:
            server: base URL of the inference address.
            tokens: where the bearer token comes from.
            timeout_s: longest silence of the server within one request.

        Raises:
            UsageError: the server is no http(s) URL.
        """
        parts = urlsplit(server)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--server is {server!r}; give a URL such as http://127.0.0.1:8080")
        self._url = server.rstrip("/") + PREDICTIONS
        self._tokens = tokens
        self._timeouts_s = (CONNECT_TIMEOUT_S, timeout_s)
        self._local = threading.local()

    def read(self, item: Item) -> Outcome:
        """Send the page; once more, at once, for every newer token found after a rejection."""
        while True:
            token = self._tokens.current()
            outcome = self._attempt(item, token)
            if not isinstance(outcome, Unauthorised) or not self._tokens.renew(rejected=token):
                return outcome

    def _attempt(self, item: Item, token: str | None) -> Outcome:
        try:
            answer = self._post(item, token)
        except requests.ConnectTimeout as error:
            return NotNow(_reason(error))
        except requests.ReadTimeout as error:
            return TryFailed("TIMEOUT", _reason(error))
        except requests.RequestException as error:
            return _broken(error)
        return outcome_of(answer.status_code, answer.headers, answer.content)

    def _post(self, item: Item, token: str | None) -> requests.Response:
        headers = {"Content-Type": "application/octet-stream", "X-Request-Id": uuid.uuid4().hex}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return self._session().post(
            self._url, data=item.body, headers=headers, timeout=self._timeouts_s, allow_redirects=False
        )

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            # Neither may a .netrc replace our token nor a proxy meant for the web see pages on their way to loopback.
            session.trust_env = False
            session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        return session


def _broken(error: requests.RequestException) -> Outcome:
    """Tell a server that is not there from one that went away, and both from one that fell silent in mid-answer."""
    cause = error.args[0] if error.args else None
    if isinstance(cause, ReadTimeoutError):
        return TryFailed("TIMEOUT", _reason(error))
    refused = isinstance(error, requests.ConnectionError) and type(cause).__name__ == "MaxRetryError"
    return NotNow(_reason(error)) if refused else Dropped(_reason(error))


def _reason(error: requests.RequestException) -> str:
    cause = error.args[0] if error.args else error
    return str(getattr(cause, "reason", cause))
