"""Pages read without some stages: every request says so, and their results are mixed with no others."""

import json

import pytest
from quintet_client import PageError, QuintetClient

from tests.client.reading import answers, read, write_pages
from tests.client.scripted_server import Reply, Request, ScriptedServer, our_error, page_answer

STAGES = ["page_orientation", "layout", "line_orientation"]


def script(request: Request) -> Reply:
    asked = sorted(filter(None, request.headers.get("x-quintet-leave-out", "").split(",")))
    if not set(asked) <= set(STAGES):
        return our_error(422, "INVALID_PARAMETER")
    document = json.loads(page_answer(request, f"model without {asked}").body)
    return Reply(200, json.dumps(document | ({"left_out": asked} if asked else {})).encode())


@pytest.fixture
def server():
    with ScriptedServer(script) as running:
        running.limits = {"optional_stages": STAGES}
        yield running


def test_a_run_leaves_out_what_it_is_told_and_its_output_takes_no_other_pages(server, tmp_path, caplog):
    folder, output = tmp_path / "in", tmp_path / "out"
    write_pages(folder, 6)
    assert read(folder, output, server.url, "--leave-out", "layout,line_orientation", "--limit", 3) == 0
    assert [json.loads(it)["left_out"] for it in answers(output).values()] == [["layout", "line_orientation"]] * 3
    sent = len(server.packs)
    for options in ((), ("--leave-out", "layout"), ("--limit", 3)):  # the last one would find nothing to read
        assert read(folder, output, server.url, *options) == 2
    assert "read with --leave-out layout,line_orientation, this run has no --leave-out" in caplog.text
    assert len(server.packs) == sent
    assert read(folder, output, server.url, "--leave-out", "line_orientation, layout") == 0
    assert read(folder, output, server.url, "--overwrite") == 0
    assert not any("left_out" in json.loads(it) for it in answers(output).values())


@pytest.mark.parametrize("known", [STAGES, [], None, "layout"], ids=["others", "none", "an older service", "no list"])
def test_a_run_that_asks_for_what_the_service_does_not_leave_out_sends_no_page(server, tmp_path, caplog, known):
    write_pages(tmp_path / "in", 2)
    server.limits = {} if known is None else {"optional_stages": known}
    stage = "recognition" if known == STAGES else "layout"
    assert read(tmp_path / "in", tmp_path / "out", server.url, "--leave-out", stage) == 2
    assert f"{stage} cannot be left out; of the model at {server.url}" in caplog.text
    assert not server.packs


def test_a_client_leaves_out_what_it_is_told(server):
    with QuintetClient(server.url, leave_out=["layout"]) as client:
        assert client.read(b"page").left_out == ("layout",)
        assert [page.left_out for _, page in client.read_many(enumerate([b"a", b"b", b"c"]))] == [("layout",)] * 3
    with QuintetClient(server.url) as client:
        assert client.read(b"page").left_out == ()
    with QuintetClient(server.url, leave_out=["recognition"]) as client, pytest.raises(PageError) as refused:
        client.read(b"page")
    assert refused.value.code == "INVALID_PARAMETER"
