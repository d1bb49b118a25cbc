"""TorchServe's entry point: requests in, responses out, a status for each request. Nothing else knows TorchServe."""

from __future__ import annotations

import importlib
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quintet.envelopes import Envelope, Intake, Outcome, Reply, open_envelope, seal
from quintet.errors import Code, Failure
from ts.metrics.dimension import Dimension

logger = logging.getLogger(__name__)


class PageHandler:
    """Hosts the chain that `model-config.yaml` names.

    The chain gets batches of bodies, whichever requests they came in, and returns one result or failure a body, so that
    a bad page is answered with its own code while its neighbours are answered with 200.
    """

    def initialize(self, context: Any) -> None:
        """Load the chain from the archive's own folder; TorchServe calls this once a worker.

        Raises:
            ValueError: the settings are wrong, in words for whoever wrote them.
            WeightsError: the archive's weights are not what its provenance says.
        """
        properties = context.system_properties
        options = dict(context.model_yaml_config["handler"])
        self._intake = Intake.taken_from(options)
        module, _, name = options.pop("chain").partition(":")
        gpu = properties.get("gpu_id")
        chain_class = getattr(importlib.import_module(module), name)
        self._chain = chain_class.from_options(options, Path(properties["model_dir"]), device_index=gpu)
        self._head = {"schema": self._chain.schema, "model": self._chain.fingerprint}
        logger.warning("%s is ready on %s", name, self._chain.engine.device)

    def handle(self, requests: list[dict[str, Any]], context: Any) -> list[bytes]:
        """Answer a batch of requests, each with its own status."""
        opened = [_open(number, request, context) for number, request in enumerate(requests)]
        envelopes = self._intake.admit(opened)
        batches = list(self._intake.batches([body for envelope in envelopes for body in envelope.bodies]))
        outcomes = [outcome for batch in batches for outcome in self._read(batch)]
        refusals = [envelope.refusal for envelope in envelopes if envelope.refusal]
        _count([len(batch) for batch in batches], [*outcomes, *refusals], context.metrics)
        replies = seal(envelopes, outcomes, self._head)
        return [_respond(number, reply, context) for number, reply in enumerate(replies)]

    def _read(self, bodies: Sequence[bytes]) -> list[Outcome]:
        """Run the chain; when it fails, halve the batch until the page that makes it fail stands alone."""
        try:
            outcomes: list[Outcome] = self._chain(bodies)
            return outcomes
        except Exception as error:
            logger.exception("a batch of %d failed", len(bodies))
            if len(bodies) == 1:
                return [Failure(Code.INFERENCE_FAILED, f"the models failed on this page ({type(error).__name__})")]
        middle = len(bodies) // 2
        return self._read(bodies[:middle]) + self._read(bodies[middle:])


def _open(number: int, request: dict[str, Any], context: Any) -> Envelope:
    """One request of the batch; header names compare without case."""
    headers = {name.lower(): value for name, value in context.get_all_request_header(number).items()}
    request_id = headers.get("x-request-id") or context.get_request_id(number)
    return open_envelope(request.get("body", request.get("data", b"")), headers.get("content-type"), request_id)


def _respond(number: int, reply: Reply, context: Any) -> bytes:
    """The body of one response; status and headers go into the context."""
    context.set_response_content_type(number, reply.content_type)
    context.set_response_status(reply.status, reply.phrase, number)
    for name, value in reply.headers.items():
        context.set_response_header(number, name, value)
    return reply.body


def _count(sizes: Sequence[int], outcomes: Sequence[Outcome], metrics: Any) -> None:
    """Metrics of one batch of requests, under the names that metrics.yaml lists."""
    for pages, batches in Counter(sizes).items():
        metrics.add_counter("quintet_batches_total", batches, idx=0, dimensions=[Dimension("pages", str(pages))])
    codes = Counter(outcome.code.value if isinstance(outcome, Failure) else "ok" for outcome in outcomes)
    for code, pages in codes.items():
        metrics.add_counter("quintet_pages_total", pages, idx=0, dimensions=[Dimension("outcome", code)])
