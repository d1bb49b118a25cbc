"""`quintet batch` on a real Ray: every item has one end, whatever dies, and nothing is left behind."""

import re
import signal
import zlib
from pathlib import Path

import psutil
import pytest

from tests.cluster.batching import Batch, ends, named, parts, ray_cluster, report, session_of, wait_for
from tests.server.echo_service import pack_echo
from tests.unit.documents.made_documents import drawn, encrypted_pdf

pytestmark = pytest.mark.slow  # Ray takes seconds to start, and an actor of it as many


@pytest.fixture(scope="module")
def cluster():
    with ray_cluster() as joined:
        yield joined


@pytest.fixture
def batch(cluster, tmp_path):
    """Starts runs on the cluster that all tests of this file share."""
    environment, options = cluster
    return lambda archive, *more: Batch(
        tmp_path / "in", tmp_path / "out", archive, *options, *more, environment=environment
    )


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def archive(tmp_path):
    """Takes 50 ms a page, so that there is time to kill something."""
    return packed(tmp_path / "store", s_per_page=0.05)


def packed(folder, chain="echo_chain:SteadyChain", **options):
    folder.mkdir()
    return pack_echo(folder, chain=chain, **options) / "quintet.mar"


def write(folder, count, **special):
    folder.mkdir()
    bodies = {f"p{number:03}.jpg": f"page {number} ".encode() * 20 for number in range(count)}
    bodies |= {f"{name}.jpg": body for name, body in special.items()}
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    return bodies


def assert_read(found, bodies):
    """Every one of these has its answer, which is its own."""
    for name, body in bodies.items():
        assert found[name]["state"] == "ok", (name, found[name])
        assert (found[name]["result"]["crc"], found[name]["result"]["schema"]) == (zlib.crc32(body), "echo/1")


def test_only_the_pages_that_kill_or_hold_their_process_are_blamed_and_their_neighbours_are_read(
    batch, tmp_path, output
):
    archive = packed(tmp_path / "store")
    special = {"p010k": b"KILL", "p050s": b"STALL", "p030r": b"RAISE", "p070e": b""}
    bodies = write(tmp_path / "in", 80, **special)
    assert batch(archive, "--actors", 2, "--block", 16, "--stall-s", 4).wait() == 3
    found, counts = ends(output), report(output)
    codes = {row["page_id"]: (row["code"], row["tries"]) for row in found.values() if row["state"] == "failed"}
    assert codes == {
        "p010k.jpg": ("WORKER_DIED", 3),
        "p050s.jpg": ("TIMEOUT", 3),
        "p030r.jpg": ("INFERENCE_FAILED", 3),
        "p070e.jpg": ("EMPTY_BODY", 1),
    }
    assert_read(found, {name: body for name, body in bodies.items() if name not in codes})
    assert (counts["inputs"], counts["ok"], counts["failed"], counts["left"]) == (84, 80, 4, 0)


def test_a_run_goes_on_when_its_actors_are_killed(batch, archive, tmp_path, output):
    bodies = write(tmp_path / "in", 200)
    running = batch(archive, "--actors", 2, "--block", 8)
    for number in (1, 6):
        wait_for(lambda least=number: len(parts(output)) >= least)
        actors()[0].kill()
    assert running.wait() == 0
    assert_read(ends(output), bodies)
    assert report(output)["ok"] == 200


def actors():
    """The processes that read."""
    reads = "MapWorker(MapBatches(BlockReader))"
    return [one for one in psutil.process_iter(["cmdline"]) if reads in " ".join(one.info["cmdline"] or [])]


def test_a_command_that_is_killed_is_run_again_and_reads_what_is_missing(batch, archive, tmp_path, output):
    bodies = write(tmp_path / "in", 200)
    killed = batch(archive, "--block", 8)
    session = wait_for(killed.session)
    wait_for(lambda: len(parts(output)) >= 3)
    killed.send(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    wait_for(lambda: not session_of(session), 60)
    done = len(ends(output))
    assert batch(archive, "--block", 8).wait() == 0
    counts = report(output)
    assert (counts["ok"], counts["skipped"]) == (200 - done, done)
    assert 24 <= done < 200
    assert_read(ends(output), bodies)


def test_an_archive_that_cannot_be_loaded_ends_the_run_with_words(batch, tmp_path):
    archive = packed(tmp_path / "store", nonsense=1)
    write(tmp_path / "in", 3)
    running = batch(archive)
    assert running.wait() == 2
    said = running.log.read_text()
    assert "cannot be loaded" in said
    assert "nonsense" in said
    assert "Traceback" not in said


def test_locked_pdfs_are_read_with_passwords_that_ray_is_not_told(cluster, batch, archive, tmp_path, output):
    bodies = write(tmp_path / "in", 100)
    (tmp_path / "in" / "locked.pdf").write_bytes(encrypted_pdf([drawn("a"), drawn("b")], "secret-word"))
    (tmp_path / "passwords").touch(0o600)
    (tmp_path / "passwords").write_text("wrong-word\nsecret-word\n")
    running = batch(archive, "--password-file", "passwords", "--block", 8)
    wait_for(lambda: parts(output))
    told = [
        Path(f"/proc/{process.pid}/{what}").read_bytes()
        for process in [psutil.Process(running.pid), *named(running.pid, "ray"), *actors()]
        for what in ("cmdline", "environ")
    ]
    assert running.wait() == 0
    found = ends(output)
    assert_read(found, bodies)
    assert [found[f"locked.pdf#{number}"]["state"] for number in (1, 2)] == ["ok", "ok"]
    folders = (Path(cluster[0]["TMPDIR"]), output, running.cache)
    told += [path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(told) > 20
    assert not any(b"-word" in content for content in (*told, running.said().encode()))


def test_a_node_without_the_file_of_passwords_ends_the_run(batch, archive, tmp_path, output):
    write(tmp_path / "in", 200)
    (tmp_path / "passwords").touch(0o600)
    (tmp_path / "passwords").write_text("secret-word\n")
    running = batch(archive, "--password-file", "passwords")
    wait_for(lambda: "0 done earlier" in running.said())  # the command has read it
    (tmp_path / "passwords").unlink()
    assert running.wait() == 2
    assert re.search(r"on node \S+: --password-file \S+/passwords cannot be read", running.said())
    assert parts(output) == []


def test_a_stage_that_cannot_be_left_out_ends_the_run_with_words_and_no_part(batch, archive, tmp_path, output):
    write(tmp_path / "in", 3)
    running = batch(archive, "--leave-out", "layout")
    assert running.wait() == 2
    assert "--leave-out: 'layout' cannot be left out; nothing can be" in running.said()
    assert "pack it again" not in running.said()
    assert parts(output) == []


def test_a_ray_of_its_own_listens_on_loopback_alone_and_nothing_of_it_is_left(archive, tmp_path, output):
    write(tmp_path / "in", 2000)
    running = Batch(tmp_path / "in", output, archive, "--block", 8)
    session = wait_for(running.session)
    wait_for(lambda: len(parts(output)) >= 2)
    there = session_of(session)
    listening = [
        connection.laddr.ip
        for process in there
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 5
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    (folder,) = {
        word.partition("=")[2] for word in named(running.pid, "raylet")[0].cmdline() if "--temp_dir" in word
    } or {None}
    running.send(signal.SIGTERM)
    assert running.wait(60) == 130
    wait_for(lambda: not [process for process in there if process.is_running()], 30)
    assert not Path(folder).parent.exists()
    said = running.log.read_text()
    assert "interrupted by SIGTERM" in said
    assert [line for line in said.splitlines() if "raylet" in line or "Traceback" in line] == []
    counts = report(output)
    assert counts["left"] == 2000 - counts["ok"] > 0


def test_a_ray_of_its_own_that_does_not_start_is_started_again(archive, tmp_path, output):
    bodies = write(tmp_path / "in", 40)
    running = Batch(tmp_path / "in", output, archive, "--actors", 1)
    session = wait_for(running.session)
    wait_for(lambda: [process for process in session_of(session) if process.name() == "raylet"])[0].kill()
    assert running.wait() == 0
    assert_read(ends(output), bodies)
    (log,) = running.cache.glob("quintet/*/ray.log")
    assert "is started again" in log.read_text()
    wait_for(lambda: not session_of(session), 60)


def test_a_process_that_dies_before_ray_is_there_is_started_again(batch, archive, tmp_path, output):
    bodies = write(tmp_path / "in", 40)
    running = batch(archive, "--actors", 1)
    wait_for(running.driver).kill()
    assert running.wait() == 0
    assert_read(ends(output), bodies)
