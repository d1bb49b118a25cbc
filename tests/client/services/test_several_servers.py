"""`quintet read` with several services: who reads what, who is left out, and when the run ends."""

import json
import shutil
import ssl
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest
from quintet_client.cli import main
from quintet_client.service.addresses import services_of

from tests.client.reading import answers, assert_adds_up, read, report, rows, wait_until, write_pages
from tests.client.scripted_server import MODEL, Reply, ScriptedServer, our_error, page_answer, torchserve_error
from tests.conftest import free_ports

NOBODY = "http://127.0.0.1:1"
# In a namespace of its own a name may have addresses that nobody else sees.
WITH_HOSTS = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch):
    for name in ("QUINTET_SERVER", "QUINTET_TOKEN_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def after(seconds):
    """Script: the answer, after so long."""

    def script(request):
        time.sleep(seconds)
        return page_answer(request)

    return script


def read_at(folder, output, *urls, options=()):
    servers = [word for url in urls[1:] for word in ("--server", url)]
    return read(folder, output, urls[0], *servers, *options)


def assert_each_page_once(pages, output, *servers):
    assert set(answers(output)) == set(pages)
    assert {row["tries"] for row in rows(output).values()} == {1}
    assert sum(sum(server.seen.values()) for server in servers) == len(pages)
    assert_adds_up(output)


def test_pages_go_where_there_is_room_and_each_is_read_once(folder, output):
    pages = write_pages(folder, 120)
    with ScriptedServer(after(0.004)) as fast, ScriptedServer(after(0.02)) as slow:
        assert read_at(folder, output, fast.url, slow.url, options=("--in-flight", 8, "--pack", 2)) == 0
    assert_each_page_once(pages, output, fast, slow)
    assert 0 < 2 * sum(slow.seen.values()) < sum(fast.seen.values())


def test_one_that_is_not_there_costs_nothing_and_is_used_when_it_comes(folder, output):
    pages = write_pages(folder, 60)
    (port,) = free_ports(1)
    came: list[ScriptedServer] = []

    def wait_for_the_other(request):
        if len(there.packs) > 5:
            wait_until(lambda: came and came[0].packs, 30)
        return page_answer(request)

    with ExitStack() as late, ScriptedServer(wait_for_the_other) as there:

        def come():
            wait_until(lambda: len(there.packs) > 5)
            came.append(late.enter_context(ScriptedServer(port=port)))

        coming = threading.Thread(target=come)
        coming.start()
        assert read_at(folder, output, f"http://127.0.0.1:{port}", there.url, options=("--in-flight", 8)) == 0
        coming.join()
        assert_each_page_once(pages, output, there, *came)


GONE = {
    "another program": torchserve_error(404, "ModelNotFoundException"),
    "a proxy without it": Reply(502),
    "for ever busy": our_error(503, "BUSY"),
    "connections break": Reply(drop=True),
}


@pytest.mark.parametrize("reply", GONE.values(), ids=GONE)
def test_what_one_that_goes_away_holds_is_read_by_the_other_at_no_cost(folder, output, reply):
    pages = write_pages(folder, 60)

    def go(request):
        return page_answer(request) if len(goes.packs) < 5 else reply

    with ScriptedServer(go) as goes, ScriptedServer(after(0.01)) as stays:
        options = ("--retries", 1, "--give-up-s", 0.2, "--in-flight", 8, "--timeout-s", 30)
        assert read_at(folder, output, goes.url, stays.url, options=options) == 0
    assert set(answers(output)) == set(pages)
    assert {row["tries"] for row in rows(output).values()} == {1}
    assert len(goes.packs) < 20
    assert_adds_up(output)


def test_a_silent_one_costs_each_page_it_holds_one_try_and_gets_no_more(folder, output):
    pages = write_pages(folder, 40)
    silence = threading.Event()

    def fall_silent(request):
        if len(silent.packs) > 3:
            silence.wait(60)
        return page_answer(request)

    with ScriptedServer(fall_silent) as silent, ScriptedServer() as other:
        options = ("--in-flight", 4, "--pack", 1, "--timeout-s", 1)
        assert read_at(folder, output, silent.url, other.url, options=options) == 0
        silence.set()
    assert set(answers(output)) == set(pages)
    assert len(silent.packs) < 20
    assert {row["tries"] for row in rows(output).values()} == {1, 2}


def test_the_run_ends_with_4_only_when_all_are_gone(folder, output, caplog):
    pages = write_pages(folder, 40)
    one = ScriptedServer(lambda request: page_answer(request) if len(one.packs) < 5 else GONE["a proxy without it"])
    two = ScriptedServer(lambda request: page_answer(request) if len(two.packs) < 9 else Reply(drop=True))
    with one, two:
        options = ("--give-up-s", 1, "--in-flight", 4)
        assert read_at(folder, output, one.url, two.url, options=options) == 4
    assert f"any of 2 services for too long ({one.url}: HTTP 502" in caplog.text
    assert two.url in caplog.text
    assert report(output)["left"] > 0
    with ScriptedServer() as server:
        assert read(folder, output, server.url) == 0
    assert set(answers(output)) == set(pages)
    assert_adds_up(output)


def test_none_of_them_there_ends_with_4(folder, output):
    write_pages(folder, 4)
    assert read_at(folder, output, NOBODY, "http://127.0.0.1:2", options=("--give-up-s", 0.5)) == 4


def test_a_token_that_one_of_them_refuses_ends_the_run_and_says_which(folder, output, caplog):
    write_pages(folder, 4)
    with ScriptedServer() as willing, ScriptedServer(lambda _request: our_error(401, "NO")) as strict:
        strict.knows_frames = False
        assert read_at(folder, output, willing.url, strict.url) == 5
    assert f"{strict.url}: the server refused the token" in caplog.text


def test_each_server_gets_its_own_token(folder, output, tmp_path):
    write_pages(folder, 20)
    files = [tmp_path / name for name in ("one", "two")]
    for file in files:
        file.touch(0o600)
        file.write_text(f"token-{file.name}")
    tokens: dict[str, set[str]] = {"one": set(), "two": set()}

    def noting(name):
        return lambda request: tokens[name].add(request.headers["authorization"]) or after(0.01)(request)

    options = [word for file in files for word in ("--token-file", file)]
    with ScriptedServer(noting("one")) as one, ScriptedServer(noting("two")) as two:
        assert read_at(folder, output, one.url, two.url, options=(*options, "--in-flight", 4)) == 0
    assert tokens == {"one": {"Bearer token-one"}, "two": {"Bearer token-two"}}


def test_services_with_different_models_are_refused_before_a_page_is_sent(folder, output, caplog):
    write_pages(folder, 4)
    with ScriptedServer() as one, ScriptedServer() as other:
        other.model = "another-model"
        assert read_at(folder, output, one.url, other.url) == 2
        assert one.packs == other.packs == []
    assert f"{other.url} has model another-model, {one.url} has {MODEL}" in caplog.text


def test_a_service_that_answers_with_another_model_than_it_said_is_named(folder, output, caplog):
    write_pages(folder, 40)
    with ScriptedServer(after(0.01)) as one, ScriptedServer(lambda request: page_answer(request, "changed")) as other:
        assert read_at(folder, output, one.url, other.url, options=("--in-flight", 4)) == 2
    assert f"{other.url} has model changed" in caplog.text
    assert {json.loads(answer)["model"] for answer in answers(output).values()} <= {MODEL}


def test_a_service_with_another_model_than_the_results_in_output_is_refused(folder, output, caplog):
    write_pages(folder, 4)
    with ScriptedServer() as one, ScriptedServer() as other:
        assert read(folder, output, one.url, "--limit", 2) == 0
        one.model = other.model = "newer"
        assert read_at(folder, output, one.url, other.url) == 2
    assert f"{one.url} has model newer, OUTPUT holds results of {MODEL}" in caplog.text


def test_pages_are_loaded_for_the_service_that_takes_least(folder, output):
    write_pages(folder, 10)
    (folder / "large.jpg").write_bytes(b"large " * 10_000)
    with ScriptedServer() as one, ScriptedServer() as small:
        small.limits = {"max_body_bytes": 20_000}
        assert read_at(folder, output, one.url, small.url) == 3
    assert {name for name, row in rows(output).items() if row["code"] == "IMAGE_TOO_LARGE"} == {"large.jpg"}


def test_a_suspect_page_is_alone_at_its_service_and_nowhere_else(folder, output):
    """A page that kills its worker: while it is tried again, nothing else is under way there."""
    write_pages(folder, 60)
    (folder / "part1" / "page0020.poison.jpg").write_bytes(b"KILL")
    lock, under_way, beside = threading.Lock(), {"one": 0, "two": 0}, []

    def at(name):
        def script(request):
            with lock:
                under_way[name] += 1
                if request.body == b"KILL":
                    beside.append(under_way[name] - 1)
            time.sleep(0.02)
            with lock:
                under_way[name] -= 1
            return (
                torchserve_error(500, "InternalServerException", "Worker died.")
                if request.body == b"KILL"
                else page_answer(request)
            )

        return script

    with ScriptedServer(at("one")) as one, ScriptedServer(at("two")) as two:
        options = ("--pack", 1, "--in-flight", 6, "--retries", 2)
        assert read_at(folder, output, one.url, two.url, options=options) == 3
    assert beside[-2:] == [0, 0]
    assert report(output)["errors"] == {"WORKER_DIED": 1}
    assert assert_adds_up(output)["ok"] == 60


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--server", NOBODY), "twice"),
        (("--server", f"{NOBODY}/"), "twice"),
        (("--server", "http://127.0.0.1:2", "--shared-memory"), "--shared-memory works with the one service"),
        (
            ("--server", "http://127.0.0.1:2", "--token-file", "a", "--token-file", "b", "--token-file", "c"),
            "one for each",
        ),
        (("--server", ""), "twice"),
    ],
)
def test_what_makes_no_sense_is_refused(folder, output, caplog, options, words):
    write_pages(folder, 1)
    if options == ("--server", ""):
        assert main(["read", str(folder), str(output), *options]) == 2
        assert "--server is empty" in caplog.text
        return
    assert read(folder, output, NOBODY, *options) == 2
    assert words in caplog.text


def test_the_environment_may_name_several(folder, output, monkeypatch, capsys):
    pages = write_pages(folder, 30)
    with ScriptedServer(after(0.01)) as one, ScriptedServer(after(0.01)) as two:
        monkeypatch.setenv("QUINTET_SERVER", f"{one.url}, {two.url}")
        assert main(["read", str(folder), str(output), "--loaders", "0", "--in-flight", "4"]) == 0
        assert one.packs
        assert_each_page_once(pages, output, one, two)
        assert main(["status"]) == 0
        assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[-2:]] == [one.url, two.url]
        assert main(["status", "--management", one.url]) == 2
    assert main(["status", "--server", NOBODY]) == 4


needs_namespaces = pytest.mark.skipif(
    not shutil.which("unshare")
    or subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode != 0,
    reason="needs root and unshare of util-linux",
)


def read_by_name(tmp_path, folder, output, url, *options):
    """Run the command where pages.test has three addresses; nothing listens on the third."""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"127.0.0.{number} pages.test\n" for number in (1, 2, 3)))
    command = [
        sys.executable,
        "-m",
        "quintet_client.cli",
        "read",
        folder,
        output,
        "--server",
        url,
        "--in-flight",
        "4",
        *options,
    ]
    return subprocess.run([*WITH_HOSTS, hosts, *command], check=False, capture_output=True, text=True)


@needs_namespaces
def test_a_name_with_several_addresses_is_several_services(tmp_path, folder, output):
    pages = write_pages(folder, 60)
    (port,) = free_ports(1)
    names = set()

    def noting(request):
        names.add(request.headers["host"])
        return after(0.02)(request)

    with ScriptedServer(noting, port) as one, ScriptedServer(noting, port, host="127.0.0.2") as two:
        done = read_by_name(tmp_path, folder, output, f"http://pages.test:{port}/")
        assert done.returncode == 0, done.stderr
        assert_each_page_once(pages, output, one, two)
    assert f"http://pages.test:{port}/ at 127.0.0.3 takes no pages" in done.stderr
    assert names == {f"pages.test:{port}"}
    assert one.packs
    assert two.packs


@needs_namespaces
@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
@pytest.mark.parametrize(("named", "code"), [("pages.test", 0), ("other.test", 4)])
def test_certificates_are_those_of_the_name(tmp_path, folder, output, monkeypatch, named, code):
    write_pages(folder, 20)
    own = ["-nodes", "-days", "1", "-subj", f"/CN={named}", "-addext", f"subjectAltName=DNS:{named}"]
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", *own, *files], check=True, capture_output=True)
    asked = set()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    tls.sni_callback = lambda _socket, name, _context: asked.add(name)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
    (port,) = free_ports(1)
    with (
        ScriptedServer(after(0.02), port, tls=tls) as one,
        ScriptedServer(after(0.02), port, host="127.0.0.2", tls=tls) as two,
    ):
        done = read_by_name(tmp_path, folder, output, f"https://pages.test:{port}", "--give-up-s", "1")
        assert done.returncode == code, done.stderr
        assert bool(one.packs and two.packs) == (code == 0)
    assert asked == {"pages.test"}


def test_a_name_with_one_address_stays_a_name():
    ((place, _tokens),) = services_of(["http://localhost:8080/"], [])
    assert (str(place), place.url) == ("http://localhost:8080/", "http://localhost:8080")
