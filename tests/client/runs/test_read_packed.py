"""`quintet read` with several pages a request, against a server that misbehaves on demand."""

import logging
import threading
import time

import pytest

from tests.client.reading import answers, assert_adds_up, read, report, rows, write_pages
from tests.client.scripted_server import Reply, ScriptedServer, our_error, page_answer, torchserve_error

DIED = torchserve_error(507, "InternalServerException", "Worker died.")


def deadly(*poison):
    """Script: these bodies bring the worker down, and everything with them in their request."""
    return lambda request: DIED if request.body in poison else page_answer(request)


def test_packed_pages_have_the_same_answers_as_single_ones(folder, output, tmp_path):
    pages = write_pages(folder, 50)
    with ScriptedServer() as server:
        assert read(folder, output, server.url, "--pack", 16) == 0
        assert sorted(map(len, server.packs)) == [2, 16, 16, 16]
        assert sorted(body for pack in server.packs for body in pack) == sorted(pages.values())
        assert read(folder, tmp_path / "single", server.url, "--pack", 1) == 0
    assert answers(output) == answers(tmp_path / "single")
    assert {row["tries"] for row in rows(output).values()} == {1}
    assert len({row["request_id"] for row in rows(output).values()}) > 1
    assert report(output)["settings"]["pack"] == 16


def test_each_page_of_a_pack_has_its_own_end(folder, output):
    write_pages(folder, 10)
    (folder / "broken.jpg").write_bytes(b"broken")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "missing.jpg").symlink_to("nowhere")
    codes = {b"broken": "IMAGE_DECODE_FAILED", b"": "EMPTY_BODY"}

    def script(request):
        return our_error(400, codes[request.body]) if request.body in codes else page_answer(request)

    with ScriptedServer(script) as server:
        assert read(folder, output, server.url, "--pack", 16) == 3
        assert len(server.packs) == 1
    counts = assert_adds_up(output)
    assert counts["ok"] == 10
    assert counts["errors"] == {"IMAGE_DECODE_FAILED": 1, "EMPTY_BODY": 1, "UNREADABLE_FILE": 1}


def test_a_poison_page_is_isolated_by_halving_and_only_it_uses_up_tries(folder, output):
    write_pages(folder, 31)
    (folder / "poison.jpg").write_bytes(b"poison")
    with ScriptedServer(deadly(b"poison")) as server:
        assert read(folder, output, server.url, "--pack", 16, "--retries", 2) == 3
        deaths = [len(pack) for pack in server.packs if b"poison" in pack]
    assert deaths == [16, 16, 8, 4, 2, 1, 1]
    counts = assert_adds_up(output)
    assert (counts["ok"], counts["errors"]) == (31, {"WORKER_DIED": 1})
    known = rows(output)
    assert known.pop("poison.jpg")["tries"] == 2
    assert {row["tries"] for row in known.values()} == {1}


def test_two_poison_pages_in_one_pack_are_both_found(folder, output):
    write_pages(folder, 14)
    (folder / "poison1.jpg").write_bytes(b"poison 1")
    (folder / "poison2.jpg").write_bytes(b"poison 2")
    with ScriptedServer(deadly(b"poison 1", b"poison 2")) as server:
        assert read(folder, output, server.url, "--pack", 16, "--retries", 1) == 3
    assert assert_adds_up(output)["errors"] == {"WORKER_DIED": 2}


def dying_together(server, poison):
    """Make the server's workers die as TorchServe's do: with a poison page dies all that is under way beside it."""
    answer, lock, under_way, dead = server.reply_to, threading.Lock(), {}, set()

    def reply_to(body, headers):
        me = object()
        with lock:
            under_way[me] = poison in body
            if any(under_way.values()):
                dead.update(under_way)
        time.sleep(0.05)
        reply = answer(body, headers)
        with lock:
            del under_way[me]
            return DIED if me in dead else reply

    server.reply_to = reply_to


@pytest.mark.parametrize("pack", [1, 8])
def test_pages_that_die_with_another_requests_poison_lose_no_try(folder, output, pack):
    write_pages(folder, 40)
    (folder / "poison.jpg").write_bytes(b"poison")
    with ScriptedServer() as server:
        dying_together(server, b"poison")
        assert read(folder, output, server.url, "--pack", pack, "--retries", 1) == 3
    counts = assert_adds_up(output)
    assert (counts["ok"], counts["errors"]) == (40, {"WORKER_DIED": 1})


@pytest.mark.parametrize(
    "reply",
    [our_error(503, "BUSY", Retry_After="0.1"), torchserve_error(503, "ServiceUnavailableException"), Reply(drop=True)],
    ids=["busy", "queue full", "connection dropped"],
)
def test_what_hits_a_whole_request_without_being_its_fault_costs_no_try(folder, output, reply):
    write_pages(folder, 20)

    def script(request):
        return reply if request.times_seen <= 2 else page_answer(request)

    with ScriptedServer(script) as server:
        assert read(folder, output, server.url, "--pack", 8, "--retries", 1) == 0
    assert {row["tries"] for row in rows(output).values()} == {1}


def test_a_page_that_always_drops_the_connection_leaves_its_pack(folder, output, monkeypatch):
    monkeypatch.setattr("quintet_client.service.delivery.BACKOFF_MOST_S", 0.02)
    write_pages(folder, 7)
    (folder / "huge.jpg").write_bytes(b"huge")

    def script(request):
        return Reply(drop=True) if request.body == b"huge" else page_answer(request)

    with ScriptedServer(script) as server:
        assert read(folder, output, server.url, "--pack", 8) == 3
    assert assert_adds_up(output)["errors"] == {"CONNECTION_LOST": 1}
    assert assert_adds_up(output)["ok"] == 7


def test_a_page_whose_models_failed_is_tried_again_without_its_pack(folder, output):
    write_pages(folder, 7)
    (folder / "odd.jpg").write_bytes(b"odd")

    def script(request):
        return our_error(500, "INFERENCE_FAILED") if request.body == b"odd" else page_answer(request)

    with ScriptedServer(script) as server:
        assert read(folder, output, server.url, "--pack", 8) == 3
        assert [len(pack) for pack in server.packs] == [8, 1, 1]
    assert rows(output)["odd.jpg"]["tries"] == 3


def test_a_pack_too_large_for_the_server_is_halved(folder, output):
    write_pages(folder, 16)
    with ScriptedServer() as server:
        answer = server.reply_to

        def limited(body, headers):
            return Reply(413) if len(body) > 2500 else answer(body, headers)

        server.reply_to = limited
        assert read(folder, output, server.url, "--pack", 16) == 0
        assert set(map(len, server.packs)) == {4}


@pytest.mark.parametrize(
    "refusal",
    [our_error(400, "UNSUPPORTED_FORMAT"), our_error(422, "INVALID_PARAMETER"), Reply(415), None],
    ids=["takes it for an image", "another version", "unsupported media type", "answers as if it were an image"],
)
def test_a_server_that_knows_no_frames_gets_single_pages_and_the_log_says_so_once(folder, output, caplog, refusal):
    pages = write_pages(folder, 60)

    def script(request):
        return page_answer(request) if refusal is None or request.body in pages.values() else refusal

    with caplog.at_level(logging.WARNING), ScriptedServer(script, knows_frames=False) as server:
        assert read(folder, output, server.url, "--pack", 16) == 0
        assert all(server.seen[body] == 1 for body in pages.values())
    assert sum("no packed pages" in message for message in caplog.messages) == 1
    assert assert_adds_up(output)["ok"] == 60


def test_pages_under_way_are_bounded_whatever_the_pack(folder, output):
    write_pages(folder, 40)
    with ScriptedServer() as server:
        assert read(folder, output, server.url, "--pack", 16, "--in-flight", 4) == 0
        assert max(map(len, server.packs)) == 4


@pytest.mark.parametrize("pack", [0, 257])
def test_a_pack_out_of_range_is_wrong_usage(folder, output, pack):
    write_pages(folder, 1)
    assert read(folder, output, "http://127.0.0.1:1", "--pack", pack) == 2


def test_requests_and_files_keep_to_the_limits_that_the_service_says(folder, output):
    write_pages(folder, 12)  # 400 to 500 bytes a page
    (folder / "large.jpg").write_bytes(bytes(5_000))
    with ScriptedServer() as server:
        server.limits = {"max_request_bytes": 4_000, "max_body_bytes": 3_000, "max_page_pixels": 10}
        assert read(folder, output, server.url, "--pack", 16) == 3
        assert all(sum(map(len, pack)) <= 2_000 for pack in server.packs)
        assert b"\0" not in b"".join(server.seen)
    assert rows(output)["large.jpg"]["code"] == "IMAGE_TOO_LARGE"
    assert assert_adds_up(output)["ok"] == 12


def test_a_service_that_says_no_limits_has_the_usual_ones(folder, output):
    write_pages(folder, 12)

    def script(request):
        return our_error(422, "INVALID_PARAMETER") if b"QUINTET" in request.body[:8] else page_answer(request)

    with ScriptedServer(script, knows_frames=False) as server:
        assert read(folder, output, server.url, "--pack", 1) == 0
    assert assert_adds_up(output)["ok"] == 12
