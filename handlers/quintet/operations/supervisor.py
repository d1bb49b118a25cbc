"""The supervisor: keeps TorchServe running behind the gate, and says how often it had to start it again."""

import json
import logging
import time
from datetime import UTC, datetime
from typing import Any

from quintet.errors import ServiceError
from quintet.operations.front_end import READY_WITHIN_S, FrontEnd
from quintet.operations.gate import Gate
from quintet.operations.running import Service, drain

LOOKS_EVERY_S = 0.5
ASKS_WORKERS_EVERY_S = 10.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
# After so long without trouble the next pause is the first again.
HEALTHY_AFTER_S = 60.0
_log = logging.getLogger(__name__)


class Supervisor:
    """One service from start to stop."""

    def __init__(self, front_end: FrontEnd, service: Service) -> None:
        self._front_end = front_end
        self._service = service
        self._restarts = 0
        self._reason = ""
        self._pause_s = FIRST_PAUSE_S
        self._enter("starting")

    def _enter(self, state: str) -> None:
        self._state = state
        self._since = datetime.now(UTC)
        self._entered_at = time.monotonic()

    def about(self) -> dict[str, Any]:
        """What `GET /service` tells: `starting`, `ready` or `restarting` since when, and why it was started again."""
        return {
            "schema": "quintet.service/1",
            "state": self._state,
            "since": self._since.isoformat(timespec="seconds"),
            "restarts": self._restarts,
            "restart_reason": self._reason,
            "models": self._service.models,
            **self._front_end.bytes_under_way(),
        }

    def run(self) -> None:
        """Start, and start again whenever it is in trouble; a KeyboardInterrupt ends it when its pages are answered.

        Raises:
            ServiceError: the first start failed, or the gate has ended.
            OSError: an address is taken.
        """
        gate = Gate(self._front_end.doors(self.about))
        try:
            self._start()
            while trouble := self._next_trouble(gate):
                self._restart(trouble)
            raise ServiceError("the gate has ended: see the log")
        finally:
            try:
                drain(self._service)
            finally:
                self._front_end.end()

    def _start(self) -> None:
        self._front_end.start(self._service)
        told = {name: value for name, value in vars(self._service).items() if name != "run_dir"}
        (self._service.run_dir / "service.json").write_text(json.dumps(told))
        self._enter("ready")
        _log.warning("ready at %s", self._service.inference_url)

    def _next_trouble(self, gate: Gate) -> str:
        """Wait until the front end cannot go on."""
        seen_ready = asked = time.monotonic()
        while gate.is_alive():
            if trouble := self._front_end.trouble():
                return trouble
            if time.monotonic() - asked > ASKS_WORKERS_EVERY_S:
                asked = time.monotonic()
                seen_ready = asked if set(self._service.workers()) == {"READY"} else seen_ready
                if asked - seen_ready > READY_WITHIN_S:
                    return f"not all workers were READY for {READY_WITHIN_S} s"
            time.sleep(LOOKS_EVERY_S)
        return ""

    def _restart(self, reason: str) -> None:
        """Start again, with growing pauses, until it reads pages."""
        healthy_s = time.monotonic() - self._entered_at
        self._pause_s = FIRST_PAUSE_S if healthy_s > HEALTHY_AFTER_S else self._pause_s
        self._enter("restarting")
        while reason:
            self._restarts += 1
            self._reason = reason
            _log.error("%s: starting it again in %.0f s (restart %d)", reason, self._pause_s, self._restarts)
            self._front_end.end()
            time.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            try:
                self._start()
                reason = ""
            except (ServiceError, OSError) as error:
                reason = str(error).splitlines()[-1]
