"""`QuintetClient` and `AsyncQuintetClient` against a scripted server: many pages, faults, bounds, cancellation."""

import asyncio
import gc
import itertools
import re
import threading
import time

import pytest
from quintet_client import (
    AsyncQuintetClient,
    NotAuthorisedError,
    PageError,
    PageResult,
    QuintetClient,
    ServerUnreachableError,
    UsageError,
)

from tests.client.reading import wait_until
from tests.client.scripted_server import Reply, ScriptedServer, our_error, page_answer, torchserve_error
from tests.conftest import free_ports


def refuse_bad(request):
    return our_error(400, "IMAGE_DECODE_FAILED") if request.body.startswith(b"bad") else page_answer(request)


def images(count):
    return {number: f"page {number} ".encode() * 20 for number in range(count)}


class Gate:
    """A script that answers nothing until it is opened, and counts what waits."""

    def __init__(self):
        self._opened = threading.Event()
        self._lock = threading.Lock()
        self.waiting = 0
        self.most = 0

    def __call__(self, request):
        with self._lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        self._opened.wait(60)
        with self._lock:
            self.waiting -= 1
        return page_answer(request)

    def open(self):
        self._opened.set()


@pytest.fixture
def gate():
    made = Gate()
    yield made
    made.open()


def test_a_page_is_read_from_bytes_and_from_a_file(tmp_path):
    (tmp_path / "page.jpg").write_bytes(b"a page")
    with ScriptedServer() as server, QuintetClient(server.url) as client:
        pages = [client.read(image) for image in (b"a page", tmp_path / "page.jpg", str(tmp_path / "page.jpg"))]
    assert {page.text for page in pages} == {pages[0].text}
    assert len({page.request_id for page in pages}) == 3


def test_a_file_that_cannot_be_read_is_a_pages_error(tmp_path):
    with ScriptedServer() as server, QuintetClient(server.url) as client:
        with pytest.raises(PageError, match=r"UNREADABLE_FILE: .*nowhere\.jpg"):
            client.read(tmp_path / "nowhere.jpg")
        ends = dict(client.read_many([("there", b"page"), ("gone", tmp_path / "nowhere.jpg")]))
    assert isinstance(ends["there"], PageResult)
    assert ends["gone"].code == "UNREADABLE_FILE"


def test_a_refused_page_carries_code_and_request_id():
    with ScriptedServer(refuse_bad) as server, QuintetClient(server.url) as client, pytest.raises(PageError) as caught:
        client.read(b"bad")
    assert (caught.value.code, caught.value.request_id) == ("IMAGE_DECODE_FAILED", "r")


def test_many_pages_come_back_under_their_keys_with_bad_ones_as_values():
    pages = images(50) | {"bad": b"bad page"}
    with ScriptedServer(refuse_bad) as server, QuintetClient(server.url) as client:
        ends = dict(client.read_many(pages.items(), in_flight=20, pack=8))
        assert {key: ends[key].text for key in range(50)} == {key: client.read(pages[key]).text for key in range(50)}
    assert set(ends) == set(pages)
    assert ends["bad"].code == "IMAGE_DECODE_FAILED"


def test_many_pages_travel_packed_where_the_server_takes_frames():
    with ScriptedServer() as server, QuintetClient(server.url) as client:
        assert len(list(client.read_many(images(40).items(), in_flight=40, pack=10))) == 40
        assert sorted(map(len, server.packs)) == [10, 10, 10, 10]
    with ScriptedServer(knows_frames=False) as server, QuintetClient(server.url) as client:
        server.script = lambda request: refuse_bad(request) if len(request.body) < 400 else our_error(400, "X")
        ends = dict(client.read_many(images(20).items(), pack=5))
        assert all(isinstance(end, PageResult) for end in ends.values())


def test_no_more_pages_than_allowed_are_taken_or_sent(gate):
    taken = []
    source = ((number, taken.append(number) or b"page %d" % number) for number in itertools.count())
    with ScriptedServer(gate) as server, QuintetClient(server.url) as client:
        ends = client.read_many(source, in_flight=6, pack=1)
        first = threading.Thread(target=next, args=(ends,))
        first.start()
        wait_until(lambda: gate.waiting == 6)
        assert len(taken) == 6
        gate.open()
        first.join(60)
        assert len(list(itertools.islice(ends, 30))) == 30
        ends.close()
    assert gate.most == 6
    assert len(taken) <= 31 + 6


def test_results_come_before_the_source_is_at_its_end():
    with ScriptedServer() as server, QuintetClient(server.url) as client:
        endless = client.read_many(((number, b"page") for number in itertools.count()), in_flight=4, pack=2)
        keys = [key for key, _ in itertools.islice(endless, 10)]
        endless.close()
    assert len(set(keys)) == 10


def senders_since(before):
    """The threads of the client that were not there before."""
    return [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("quintet-")]


def test_leaving_the_loop_ends_the_threads(gate):
    with ScriptedServer(gate) as server, QuintetClient(server.url) as client:
        before = set(threading.enumerate())
        for _ in client.read_many([("unreadable", "nowhere.jpg"), *images(30).items()], in_flight=8, pack=1):
            break
        gate.open()
        gc.collect()
        wait_until(lambda: not senders_since(before))


def test_an_error_of_the_source_reaches_the_caller():
    def source():
        yield 1, b"page"
        raise RuntimeError("no more")

    with ScriptedServer() as server, QuintetClient(server.url) as client, pytest.raises(RuntimeError, match="no more"):
        list(client.read_many(source(), pack=1))


def test_what_is_not_the_pages_fault_is_waited_out():
    tries = itertools.count()

    def flaky(request):
        number = next(tries)
        if number == 0:
            return our_error(503, "BUSY", Retry_After="1")
        return Reply(drop=True) if number == 1 else page_answer(request)

    with ScriptedServer(flaky) as server, QuintetClient(server.url) as client:
        begin = time.monotonic()
        assert isinstance(client.read(b"page"), PageResult)
        assert time.monotonic() - begin >= 1


def test_a_worker_that_dies_of_one_page_fails_that_page_alone():
    def script(request):
        if request.body == b"poison":
            return torchserve_error(500, "InternalServerException", "Worker died.")
        return page_answer(request)

    with ScriptedServer(script) as server, QuintetClient(server.url) as client:
        ends = dict(client.read_many([*images(5).items(), ("poison", b"poison")], pack=6))
    assert ends.pop("poison").code == "WORKER_DIED"
    assert all(isinstance(end, PageResult) for end in ends.values())


def test_an_absent_server_is_an_error_of_the_service():
    with QuintetClient(f"http://127.0.0.1:{free_ports(1)[0]}", give_up_s=0.3) as client:
        with pytest.raises(ServerUnreachableError):
            client.read(b"page")
        with pytest.raises(ServerUnreachableError):
            list(client.read_many(images(3).items()))


def test_a_refused_token_is_an_error_of_the_service():
    with ScriptedServer(lambda _: our_error(401, "UNAUTHORISED")) as server, QuintetClient(server.url) as client:
        ends = client.read_many(images(3).items())
        with pytest.raises(NotAuthorisedError):
            list(ends)


@pytest.mark.parametrize(
    "wrong", [{"timeout_s": 0}, {"give_up_s": float("nan")}, {"retries": 0}, {"server": "ftp://x"}]
)
def test_wrong_arguments_are_told_at_once(wrong):
    for made in (QuintetClient, AsyncQuintetClient):
        with pytest.raises(UsageError):
            made(**wrong)


@pytest.mark.parametrize("wrong", [{"in_flight": 0}, {"pack": 0}, {"pack": 257}])
def test_wrong_numbers_are_told_before_anything_is_read(wrong):
    with QuintetClient() as client, pytest.raises(UsageError, match=next(iter(wrong))):
        client.read_many([], **wrong)


def test_a_closed_client_says_so():
    with ScriptedServer() as server:
        with QuintetClient(server.url) as client:
            client.read(b"page")
        with pytest.raises(UsageError, match="closed"):
            client.read(b"page")
        with pytest.raises(UsageError, match="closed"):
            list(client.read_many([("a", b"page")]))


def test_many_threads_share_one_client():
    pages = images(60)
    found = {}
    with ScriptedServer(refuse_bad) as server, QuintetClient(server.url) as client:

        def work(mine):
            found.update({key: end.text for key, end in client.read_many([(key, pages[key]) for key in mine], pack=3)})

        threads = [threading.Thread(target=work, args=(range(first, 60, 6),)) for first in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert found == {key: client.read(body).text for key, body in pages.items()}


def run_async(script, work, **options):
    async def whole():
        with ScriptedServer(script) as server:
            async with AsyncQuintetClient(server.url, **options) as client:
                return await work(client)

    return asyncio.run(whole())


def test_the_async_client_reads_one_and_many():
    async def work(client):
        one = await client.read(b"page 0 " * 20)
        several = await asyncio.gather(*(client.read(body) for body in images(10).values()))
        many = {key: end async for key, end in client.read_many([*images(30).items(), ("bad", b"bad")], pack=4)}
        with pytest.raises(PageError, match="IMAGE_DECODE_FAILED"):
            await client.read(b"bad")
        return one, several, many

    one, several, many = run_async(refuse_bad, work)
    assert one.text == several[0].text == many[0].text
    assert [page.text for page in several] == [many[key].text for key in range(10)]
    assert many["bad"].code == "IMAGE_DECODE_FAILED"


def test_the_async_client_leaves_the_loop_free(gate):
    async def work(client):
        reading = [asyncio.create_task(client.read(b"page %d" % number)) for number in range(12)]
        while gate.waiting < 4:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert gate.most == 4, "no more threads than allowed"
        gate.open()
        return await asyncio.gather(*reading)

    assert len(run_async(gate, work, in_flight=4)) == 12


def test_a_cancelled_read_ends_at_once_and_is_not_sent_again(gate):
    async def work(client):
        first = asyncio.create_task(client.read(b"first"))
        waiting = asyncio.create_task(client.read(b"waits for a thread"))
        while not gate.waiting:
            await asyncio.sleep(0.01)
        for task in (first, waiting):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        gate.open()
        return await client.read(b"next")

    seen = []

    def script(request):
        seen.append(request.body)
        return gate(request)

    assert isinstance(run_async(script, work, in_flight=1), PageResult)
    assert seen == [b"first", b"next"]


def test_cancelling_an_async_for_stops_sending(gate):
    async def work(client):
        async def everything():
            async for _ in client.read_many(((number, b"page") for number in itertools.count()), in_flight=5, pack=1):
                pass

        task = asyncio.create_task(everything())
        while gate.waiting < 5:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.open()
        return await client.read(b"after")

    assert isinstance(run_async(gate, work), PageResult)
    assert gate.most <= 6


def test_a_closed_async_client_says_so():
    async def work():
        client = AsyncQuintetClient()
        client.close()
        with pytest.raises(UsageError, match="closed"):
            await client.read(b"page")
        with pytest.raises(UsageError, match="closed"):
            async for _ in client.read_many([]):
                pass

    asyncio.run(work())


def test_a_forgotten_async_client_leaves_no_threads():
    before = set(threading.enumerate())
    with ScriptedServer(page_answer) as server:
        client = AsyncQuintetClient(server.url, in_flight=5)
        assert isinstance(asyncio.run(client.read(b"page")), PageResult)
        assert len(senders_since(before)) == 1
        del client
        gc.collect()
        wait_until(lambda: not senders_since(before))


def test_a_page_is_asked_for_as_one_image_and_a_document_by_its_pages():
    asked = []

    def script(request):
        asked.append((request.headers["x-quintet-pages"], request.headers.get("x-quintet-dpi")))
        return page_answer(request)

    with ScriptedServer(script) as server, QuintetClient(server.url) as client:
        client.read(b"a page")
        client.read_document(b"a document", "2-5", 300)
        client.read_document(b"a document")
        for wrong in ({"pages": "all"}, {"pages": "1\r\nX: y"}, {"dpi": 9}):
            with pytest.raises(UsageError, match=next(iter(wrong))):
                client.read_document(b"a document", **wrong)
    assert asked == [("image", None), ("2-5", "300"), ("1-", "200")]


@pytest.mark.parametrize(
    ("given", "variables", "sent"),
    [
        ({}, {}, None),
        ({"token": "mine"}, {"QUINTET_TOKEN": "other"}, "mine"),
        ({}, {"QUINTET_TOKEN": "mine"}, "mine"),
        ({}, {"QUINTET_TOKEN": "other", "QUINTET_TOKEN_FILE": "file"}, "of the file"),
        ({"token_file": "file"}, {"QUINTET_TOKEN": "other"}, "of the file"),
    ],
)
def test_a_token_is_given_or_stands_in_the_environment(given, variables, sent, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("of-the-file")
    (tmp_path / "file").chmod(0o600)
    seen = []

    def script(request):
        seen.append(request.headers.get("authorization"))
        return page_answer(request)

    with ScriptedServer(script) as server:
        for name, value in {**variables, "QUINTET_SERVER": server.url}.items():
            monkeypatch.setenv(name, value)
        with QuintetClient(**given) as client:
            assert client.ready()
    assert seen == [sent and f"Bearer {sent.replace(' ', '-')}"]


def test_two_tokens_or_none_at_all_are_wrong_usage():
    for wrong in ({"token": "a", "token_file": "b"}, {"token": "two words"}, {"token": ""}):
        with pytest.raises(UsageError, match="token"):
            QuintetClient(**wrong)


@pytest.mark.parametrize(
    ("reply", "ready"),
    [
        (our_error(400, "UNSUPPORTED_FORMAT"), True),  # a model of other things than pictures
        (our_error(503, "BUSY"), False),
        (torchserve_error(500, "InternalServerException", "Worker died."), False),
        (torchserve_error(404, "ModelNotFoundException"), False),
        (Reply(drop=True), False),
    ],
)
def test_a_service_is_ready_if_it_has_looked_at_a_page(reply, ready):
    with ScriptedServer(lambda _request: reply) as server, QuintetClient(server.url) as client:
        assert client.ready() is ready
    with QuintetClient("http://127.0.0.1:1") as client:
        assert not client.ready()


def test_errors_speak_of_the_callers_world():
    with QuintetClient("http://127.0.0.1:1", give_up_s=0.1) as client, pytest.raises(ServerUnreachableError) as caught:
        client.read(b"a page")
    said = [str(caught.value)]
    with (
        ScriptedServer(lambda _request: our_error(401, "NOT_AUTHORISED")) as server,
        QuintetClient(server.url) as client,
    ):
        for call in (client.ready, lambda: client.read(b"a page")):
            with pytest.raises(NotAuthorisedError) as refused:
                call()
            said.append(str(refused.value))
    for wrong in ({"server": "x"}, {"model": "?"}, {"leave_out": ["?"]}, {"token_file": "nowhere"}):
        with pytest.raises(UsageError) as misused:
            QuintetClient(**wrong)
        said.append(str(misused.value))
    for message in said:
        assert not re.search(r"--\w|\w+\(|request none|Error\b", message), message
