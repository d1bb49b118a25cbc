"""TorchServe's entry point: requests in, responses out, a status for each request. Nothing else knows TorchServe."""

import ctypes
import logging
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from quintet.errors import Code, Failure
from quintet.frame import frames, stage_times
from quintet.frame.chain import Body, Chain, Outcome, find_chain, make_ready
from quintet.frame.choices import Choices
from quintet.frame.documents import DocumentOptions, open_document
from quintet.frame.metrics import BatchStats, Metric, Metrics
from quintet.frame.requests import Pace, Reply, Request, admit, batches_of, in_order, parse_request, respond
from quintet.frame.settings import FrameSettings
from quintet.frame.shared_memory.buffers import SharedBuffers
from quintet.frame.workers import Workers
from ts.metrics.metric_type_enum import MetricTypes

# What so many bytes of bodies leave free in the heap is not filled again soon: several times what a usual batch has.
_BURST_BYTES = 128 << 20

logger = logging.getLogger(__name__)


class ChainHandler:
    """Hosts the chain that `model-config.yaml` names.

    The chain gets batches of bodies, whichever requests they came in, and returns one result or failure a body, so that
    a bad page is answered with its own code while its neighbours are answered with 200.
    """

    def initialize(self, context: Any) -> None:
        """Load the chain from the archive's own folder and warm it up; TorchServe calls this once a worker.

        Raises:
            ValueError: the settings are wrong, in words for whoever wrote them.
            WeightsError: the archive's weights are not what its provenance says.
        """
        model_dir = Path(context.system_properties["model_dir"])
        options = dict(context.model_yaml_config["handler"])
        self._settings = FrameSettings.taken_from(options, os.environ)
        chain_class = find_chain(options.pop("chain"))
        self._chain = chain_class.from_options(options, model_dir, device_index=context.system_properties.get("gpu_id"))
        make_ready(self._chain)
        self._chain.take_stage_seconds()  # those of the warm-up are nobody's
        self._choices = Choices(self._chain)
        self._buffers = SharedBuffers(self._settings, self._chain.engine)
        self._buffers.listen(model_dir.resolve() / "rings")
        self._workers = Workers()
        self._pace = Pace()
        limits = {"max_request_bytes": self._settings.max_request_bytes, **self._chain.limits}
        self._limits = {**limits, "optional_stages": self._choices.stages}
        self._metrics = Metrics(_worker_name(), self._chain.engine.memory_bytes)
        _tell(self._metrics.at_start(), context)
        logger.warning("%s is ready on %s", chain_class.__name__, self._chain.engine.device)

    def handle(self, requests: list[dict[str, Any]], context: Any) -> list[bytes]:
        """Answer a batch of requests, each with its own status."""
        with self._buffers.reading():
            parsed = [self._parse(number, request, context) for number, request in enumerate(requests)]
            body_bytes = sum(request.body_bytes for request in parsed)
            most = min(self._settings.pages_at_once, self._pace.pages_within(self._settings.seconds_at_once))
            answers = self._answer(admit(parsed, most), context)
        del parsed
        if body_bytes > _BURST_BYTES:
            _give_memory_back()
        return answers

    def _parse(self, number: int, request: dict[str, Any], context: Any) -> Request:
        """One request of the batch; header names compare without case."""
        headers = {name.lower(): value for name, value in context.get_all_request_header(number).items()}
        request_id = headers.get("x-request-id") or context.get_request_id(number)
        # Out of the server's hands: the pages of a frame are copies of it.
        body = request.pop("body", b"")
        choice, asked = self._choices.asked_for(headers), DocumentOptions.asked_for(headers)
        if isinstance(asked, Failure):
            return Request(request_id, refusal=asked)
        opened = partial(open_document, self._chain, asked)
        content_type = headers.get("content-type")
        return parse_request(body, content_type, request_id, self._buffers, self._limits, choice, open_document=opened)

    def _answer(self, requests: Sequence[Request], context: Any) -> list[bytes]:
        bodies = [body for request in requests for body in request.bodies]
        begin = time.monotonic()
        _tell([self._metrics.in_progress(len(bodies))], context)
        batches = batches_of(requests, self._settings.pages_per_batch)
        outcomes = in_order(batches, [self._read(self._choices.chain(it.choice), it.bodies) for it in batches])
        stats = BatchStats(
            sizes=[len(batch.bodies) for batch in batches],
            outcomes=[*outcomes, *(failure for request in requests for failure in request.failures)],
            refusals=[request.refusal for request in requests if request.refusal],
            body_bytes=sum(request.body_bytes for request in requests),
            stage_seconds=self._chain.take_stage_seconds(),
        )
        _tell(self._metrics.of_batch(stats), context)
        seconds = time.monotonic() - begin
        self._pace.note(sum(not isinstance(outcome, Failure) for outcome in outcomes), seconds)
        _log_requests(requests, stats, seconds)
        replies = respond(requests, outcomes, self._choices.head)
        workers = {frames.WORKERS_HEADER: self._workers.header()}
        shares = [len(request.bodies) / max(1, len(bodies)) for request in requests]
        heads = [workers | stage_times.to_header(stats.stage_seconds, share) for share in shares]
        return [_respond(number, reply, heads[number], context) for number, reply in enumerate(replies)]

    def _read(self, chain: Chain, bodies: Sequence[Body]) -> list[Outcome]:
        """Run a chain; when it fails, halve the batch until the page that makes it fail stands alone."""
        try:
            return chain(bodies)
        except Exception:
            logger.exception("a batch of %d failed", len(bodies))
            if len(bodies) == 1:
                return [Failure(Code.INFERENCE_FAILED, "the models failed on this page: the service's log says how")]
        middle = len(bodies) // 2
        return self._read(chain, bodies[:middle]) + self._read(chain, bodies[middle:])


def _give_memory_back() -> None:
    """Let the system have what the heap has free; glibc's alone keeps anything that is worth it."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def _respond(number: int, reply: Reply, head: Mapping[str, str], context: Any) -> bytes:
    context.set_response_content_type(number, reply.content_type)
    context.set_response_status(reply.status, reply.phrase, number)
    for name, value in {**reply.headers, **head}.items():
        context.set_response_header(number, name, value)
    return reply.body


def _tell(metrics: Sequence[Metric], context: Any) -> None:
    """Hand numbers to TorchServe, whose metrics.yaml lists all of them; one that it does not list is an error at start.

    Without the request's id, which TorchServe would otherwise put behind every number.
    """
    for metric in metrics:
        kept = context.metrics.get_metric(metric.name, MetricTypes(metric.kind))
        kept.add_or_update(metric.value, [*metric.labels, context.model_name, "Model"])


def _log_requests(requests: Sequence[Request], stats: BatchStats, seconds: float) -> None:
    """One line a batch, in which each of its requests is found by its id.

    The ids are the clients' words and TorchServe acts on how some lines begin or end, so they stand in the middle.
    """
    ids = ", ".join(re.sub(r"[^\w.:-]", "_", request.request_id, flags=re.ASCII)[:100] for request in requests)
    codes = ", ".join(f"{count} {code}" for code, count in stats.codes.most_common())
    refused = f", {len(stats.refusals)} requests refused" if stats.refusals else ""
    logger.info("requests %s: %s%s in %.3f s", ids, codes or "no pages", refused, seconds)


def _worker_name() -> str:
    """The number of this worker's socket, which TorchServe gives again to the worker's successor."""
    found = re.search(r"--(?:sock-name|port) \S*?(\d+)(?: |$)", " ".join(sys.argv))
    return found[1] if found else "0"
