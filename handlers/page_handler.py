"""TorchServe's entry point: requests in, responses out, a status for each request. Nothing else knows TorchServe."""

from __future__ import annotations

import importlib
import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quintet.errors import HTTP_STATUS, Code, Failure
from ts.metrics.dimension import Dimension

logger = logging.getLogger(__name__)

Outcome = dict[str, Any] | Failure


class PageHandler:
    """Hosts the chain that `model-config.yaml` names.

    The chain gets a batch of bodies and returns one result or failure a body, so that a bad page is answered with its
    own code while its neighbours are answered with 200.
    """

    def initialize(self, context: Any) -> None:
        """Load the chain from the archive's own folder; TorchServe calls this once a worker.

        Raises:
            ValueError: the settings are wrong, in words for whoever wrote them.
            WeightsError: the archive's weights are not what its provenance says.
        """
        properties = context.system_properties
        options = dict(context.model_yaml_config["handler"])
        module, _, name = options.pop("chain").partition(":")
        gpu = properties.get("gpu_id")
        chain_class = getattr(importlib.import_module(module), name)
        self._chain = chain_class.from_options(options, Path(properties["model_dir"]), device_index=gpu)
        logger.warning("%s is ready on %s", name, self._chain.engine.device)

    def handle(self, requests: list[dict[str, Any]], context: Any) -> list[bytes]:
        """Answer a batch of requests, each with its own status."""
        bodies = [request.get("body", request.get("data", b"")) for request in requests]
        outcomes = self._outcomes(bodies)
        _count(outcomes, context.metrics)
        return [self._respond(number, outcome, context) for number, outcome in enumerate(outcomes)]

    def _outcomes(self, bodies: Sequence[Any]) -> list[Outcome]:
        """One outcome a body; what TorchServe parsed as JSON or text was no image."""
        usable = [isinstance(body, bytes | bytearray) for body in bodies]
        read = iter(self._read([bytes(body) for body, good in zip(bodies, usable, strict=True) if good]))
        refused = Failure(
            Code.UNSUPPORTED_FORMAT, "the body was sent as JSON or text: send it as application/octet-stream"
        )
        return [next(read) if good else refused for good in usable]

    def _read(self, bodies: list[bytes]) -> list[Outcome]:
        """Run the chain; when it fails, halve the batch until the page that makes it fail stands alone."""
        try:
            return self._chain(bodies) if bodies else []
        except Exception as error:
            logger.exception("a batch of %d failed", len(bodies))
            if len(bodies) == 1:
                return [Failure(Code.INFERENCE_FAILED, f"the models failed on this page ({type(error).__name__})")]
        middle = len(bodies) // 2
        return self._read(bodies[:middle]) + self._read(bodies[middle:])

    def _respond(self, number: int, outcome: Outcome, context: Any) -> bytes:
        """The body of one response; status and headers go into the context."""
        request_id = context.get_request_header(number, "X-Request-Id") or context.get_request_id(number)
        context.set_response_content_type(number, "application/json")
        if isinstance(outcome, Failure):
            context.set_response_status(HTTP_STATUS[outcome.code], outcome.code.value, number)
            error = {"code": outcome.code.value, "message": outcome.message, "request_id": request_id}
            return json.dumps({"error": error}).encode()
        head = {"schema": self._chain.schema, "request_id": request_id, "model": self._chain.fingerprint}
        return json.dumps({**head, **outcome}, ensure_ascii=False, separators=(",", ":")).encode()


def _count(outcomes: Sequence[Outcome], metrics: Any) -> None:
    """Metrics of one batch, under the names that metrics.yaml lists."""
    metrics.add_counter("quintet_batches_total", 1, idx=0, dimensions=[Dimension("pages", str(len(outcomes)))])
    codes = Counter(outcome.code.value if isinstance(outcome, Failure) else "ok" for outcome in outcomes)
    for code, pages in codes.items():
        metrics.add_counter("quintet_pages_total", pages, idx=0, dimensions=[Dimension("outcome", code)])
