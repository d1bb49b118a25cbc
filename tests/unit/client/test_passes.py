"""The passes of `quintet batch`, with a scripted process in the place of the one that talks to Ray."""

import itertools

import pytest
from quintet_client.cancellation import Cancellation
from quintet_client.cluster import passes as passes_module
from quintet_client.cluster.messages import BlockRead, Facts, PassEnded, Share, Trouble
from quintet_client.cluster.passes import Passes
from quintet_client.errors import OutputUnwritableError
from quintet_client.input.source import Source
from quintet_client.output.ledger import Ended, Ledger, Row
from quintet_client.output.parts.output import PartsOutput
from quintet_client.output.parts.place import part_name
from quintet_client.output.parts.rows import encode_part
from quintet_client.service.page import Limits

FACTS = Facts("model", "echo/1", Limits(), "nothing", Share(2, 1, 0.0))


class ScriptedJob:
    """Commits what it is given, but for what the script does with it.

    The script gets an order and an item, and returns whether the item's block is committed.
    """

    started = 0

    def __init__(self, output, script):
        type(self).started += 1
        self.orders = []
        self.closed = False
        self._output = output
        self._script = script
        self._said = iter(())

    def send(self, order):
        self.orders.append(order)
        self._said = self._run(order)

    def receive(self, within_s):
        return next(self._said, None)

    def close(self):
        self.closed = True

    def _run(self, order):
        begun = {}
        for number, block in enumerate(order.blocks, order.first):
            said = [self._script(order, source.page_id) for source in block]
            if order.alone and isinstance(said[0], str):
                begun[block[0].page_id] = said[0] == "stalls"
            if all(word == "read" for word in said):
                self.commit(order, number, block)
                yield BlockRead(number, None)
            elif isinstance(said[0], Trouble):
                yield BlockRead(number, said[0])
        if "hangs" in said:
            yield from itertools.repeat(None)
        yield PassEnded("", begun)

    def commit(self, order, number, block):
        ends = [Ended(Row(source.page_id, "ok", 1, output_bytes=3), "model", b"{}\n") for source in block]
        self._output.place.commit(part_name(order.run, str(order.number), number), encode_part(ends), order.run)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs passes over so many items; gives rows by id as they were told of, the jobs and why the run ended."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(passes_module, "START_S", 0.2)
    output = PartsOutput(tmp_path / "out")

    def read(count, script, block=64):
        told, jobs, cancellation = [], [], Cancellation()

        def start():
            jobs.append(ScriptedJob(output, script))
            return jobs[-1], FACTS

        with output.claim():
            output.sync()
            todo = [Source(f"p{number:04}", f"/p{number:04}") for number in range(count)]
            passes = Passes(output, output.begin(), todo, 0.05, cancellation, told.extend)
            passes.read(block, start)
        assert all(job.closed for job in jobs)
        ids = [row.page_id for row in told]
        assert len(ids) == len(set(ids))
        with Ledger.open(output.ledger) as ledger:
            assert {row.page_id: row.state for row in ledger.all_rows()} == {row.page_id: row.state for row in told}
        return {row.page_id: row for row in told}, jobs, cancellation.cause

    return read


def failed(rows):
    return {page_id: (row.code, row.tries) for page_id, row in rows.items() if row.state == "failed"}


def test_everything_is_read_in_one_pass_where_nothing_happens(run):
    rows, jobs, cause = run(300, lambda order, page_id: "read")
    assert (len(rows), failed(rows), cause) == (300, {}, None)
    assert [(order.number, len(order.blocks)) for job in jobs for order in job.orders] == [(1, 5)]


def test_an_item_is_blamed_if_it_died_alone_three_times_and_its_neighbours_are_read(run):
    def script(order, page_id):
        if page_id == "p0070":
            return "dies"
        return "stalls" if page_id == "p0200" else "read"

    rows, jobs, cause = run(300, script)
    assert failed(rows) == {"p0070": ("WORKER_DIED", 3), "p0200": ("TIMEOUT", 3)}
    assert (len(rows), cause) == (300, None)
    orders = [(order.number, sum(map(len, order.blocks)), order.alone) for order in jobs[0].orders]
    assert orders == [(1, 300, False), (2, 128, False), (3, 16, True), (4, 2, True), (5, 2, True)]


def test_an_item_that_a_lost_machine_took_along_twice_is_read_and_not_blamed(run):
    lost = itertools.count()

    def script(order, page_id):
        return "dies" if page_id == "p0003" and next(lost) < 4 else "read"

    rows, _jobs, cause = run(10, script)
    assert (len(rows), failed(rows), cause) == (10, {}, None)


def test_what_ray_loses_silently_is_read_in_the_next_pass(run):
    rows, jobs, cause = run(300, lambda order, page_id: "read" if order.number == 3 else None, block=8)
    assert (len(rows), cause) == (300, None)
    assert [order.number for order in jobs[0].orders] == [1, 3]


def test_a_block_that_is_left_for_another_reason_is_read_again_or_the_reason_is_said(run):
    def script(order, page_id):
        return Trouble("", "OSError: no room") if order.number < 4 or page_id == "p0003" else "read"

    rows, _jobs, cause = run(10, script)
    assert (len(rows), failed(rows)) == (9, {})
    assert "such as p0003" in str(cause)
    assert "(OSError: no room)" in str(cause)


def test_what_never_comes_has_no_end_and_no_blame(run):
    rows, _jobs, cause = run(10, lambda order, page_id: None if page_id == "p0003" else "read")
    assert (len(rows), failed(rows)) == (9, {})
    assert "1 pages have no end, such as p0003" in str(cause)


def test_a_pass_that_hangs_is_ended_and_another_process_goes_on(run):
    rows, jobs, cause = run(10, lambda order, page_id: "hangs" if order.number == 1 else "read")
    assert (len(rows), failed(rows), cause) == (10, {}, None)
    assert [[order.number for order in job.orders] for job in jobs] == [[1], [2]]


def test_an_output_that_cannot_be_written_ends_the_run(run):
    _rows, jobs, cause = run(10, lambda order, page_id: Trouble.of(OutputUnwritableError("no room")))
    assert isinstance(cause, OutputUnwritableError)
    assert [order.number for job in jobs for order in job.orders] == [1]


def test_a_block_whose_process_was_thought_lost_counts_once(run, tmp_path):
    class Late(ScriptedJob):
        pass

    late = []

    def script(order, page_id):
        if order.number == 1:
            late.append(order)
            return None
        if late:  # the first pass's part comes while the second is under way
            first = late.pop()
            late.clear()
            job = Late(PartsOutput(tmp_path / "out"), script)
            job.commit(first, 0, first.blocks[0])
        return "read"

    rows, _jobs, cause = run(10, script)
    assert (len(rows), failed(rows), cause) == (10, {}, None)
