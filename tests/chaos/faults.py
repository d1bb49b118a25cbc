"""The faults, one function each: what happens at which moment of a run, and how the run then goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable

import psutil

from tests.chaos.networks import CuttingProxy, silent_server
from tests.chaos.stage import RESPONSE_TIMEOUT_S, Round, Server, wait_until

Fault = Callable[[Round], None]


def worker_killed(played: Round) -> None:
    """SIGKILL of a worker, twice: also while TorchServe gathers a batch, which it then never answers."""
    with played.struck(latest=0.4, counted=False) as client:
        for _ in range(2):
            if client.alive:
                played.injected += _kill_a_worker(played)
                with contextlib.suppress(TimeoutError):
                    wait_until(lambda: not client.alive or bool(played.server.workers()), 30)
                time.sleep(played.dice.uniform(0.0, 1.0))
    played.server.wait_until_ready()


def worker_stopped(played: Round) -> None:
    """SIGSTOP of a worker and SIGCONT after a while, within the server's give_up or beyond it."""
    with played.struck():
        for worker in played.server.workers():
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.suspend()
                time.sleep(played.dice.uniform(0.3, 1.5 * RESPONSE_TIMEOUT_S))
                worker.resume()
    played.server.wait_until_ready()


def server_killed(played: Round) -> None:
    """SIGKILL of the server with its workers; it is started again at once."""
    with played.struck():
        played.server.kill()
        played.server.start()


def one_of_two_killed(played: Round) -> None:
    """SIGKILL of one of the two servers that read the pages; it is started again a while later."""
    other = Server(played.folder / "other")
    played.undo.callback(other.kill)
    with played.struck("--server", other.service.inference_url, "--token-file", other.service.token_file):
        played.server.kill()
        time.sleep(played.dice.uniform(0.0, 2.0))
        played.server.start()


def server_stopped(played: Round) -> None:
    """What `make stop` does, which lets the batch in work be answered; the server is started again."""
    with played.struck():
        played.server.stop()
        played.server.start()


def server_gone(played: Round) -> None:
    """The server is gone for a while: nobody listens on its port."""
    with played.struck():
        played.server.kill()
        time.sleep(played.stage.away_s)
        played.server.start()


def server_silent(played: Round) -> None:
    """Something in the server's place takes requests and never answers; then the server is back."""
    with played.struck():
        played.server.kill()
        with silent_server(played.server.port):
            time.sleep(played.dice.uniform(1.0, 3.0))
        played.server.start()


def connections_cut(played: Round) -> None:
    """A proxy on the way cuts connections in mid-answer."""
    with CuttingProxy(played.server.port, played.dice) as proxy:
        played.url = f"http://127.0.0.1:{proxy.port}"
        with played.struck(latest=0.3, counted=False):
            proxy.cut(played.dice.randrange(3, 8))
        played.injected += proxy.cuts


def client_killed(played: Round) -> None:
    """SIGKILL of the client; it is run again."""
    _end_client(played, signal.SIGKILL, -signal.SIGKILL)


def client_interrupted(played: Round) -> None:
    """SIGINT of the client; it is run again."""
    _end_client(played, signal.SIGINT, 130)


def loader_killed(played: Round) -> None:
    """SIGKILL of the client's loader process."""
    with played.struck(latest=0.3) as client:
        for loader in client.loaders():
            loader.kill()


def renderer_killed(played: Round) -> None:
    """SIGKILL of the process that opens documents, while it counts or renders pages."""
    with played.struck(latest=0.0, counted=False) as client:
        for pause_s in (played.dice.uniform(0.0, 0.6), 0.0):  # between counting and rendering there is none
            wait_until(lambda: not client.alive or bool(client.renderers()))
            time.sleep(pause_s)
        for renderer in client.renderers():
            with contextlib.suppress(psutil.NoSuchProcess):
                renderer.kill()
                played.injected += 1


def disk_full(played: Round) -> None:
    """The disk of OUTPUT is full; after room has been made the client is run again."""
    make_room = _small_disk(played)
    client = played.start()
    if make_room is None:
        client.limit_files(played.dice.randrange(20_000, 60_000))
    played.finish(client, 6)
    played.injected += 1
    if make_room is not None:
        make_room()
    played.finish(played.start())


def token_rotated(played: Round) -> None:
    """TorchServe gets a new token; the old one is refused from then on."""
    with played.struck():
        played.server.rotate_token()


def two_clients(played: Round) -> None:
    """A second client on the same OUTPUT, through a link, is refused while the first goes on."""
    link = played.folder / "link"
    link.symlink_to(played.output, target_is_directory=True)
    with played.struck(latest=0.3) as client:
        second = played.start(output=link)
        code = second.wait(60)
        if client.alive and code != 6:
            raise AssertionError(f"the second client ended with {code}; {second.said()[-1000:]}")


def model_replaced(played: Round) -> None:
    """The archive in the model store is exchanged for garbage, and a worker killed: it comes back as it was."""
    with played.struck(latest=0.3), played.server.archive_replaced(b"no archive"):
        _kill_a_worker(played)
        played.server.wait_until_ready()


def poison_kills(played: Round) -> None:
    """A page that kills whichever worker reads it."""
    played.poison = {"part1/poison.jpg": b"KILL " + played.dice.randbytes(100)}
    _see_poison_through(played, pack=4)


def poison_stalls(played: Round) -> None:
    """A page that stalls whichever worker reads it, until the server's give_up is over."""
    played.poison = {"part1/poison.jpg": b"STALL " + played.dice.randbytes(100)}
    _see_poison_through(played, pack=2)


FAULTS: dict[str, Fault] = {
    "worker killed": worker_killed,
    "worker stopped, goes on": worker_stopped,
    "server killed": server_killed,
    "one of two servers killed": one_of_two_killed,
    "server stopped with a drain": server_stopped,
    "server gone for a while": server_gone,
    "server accepts, never answers": server_silent,
    "connections cut in mid-answer": connections_cut,
    "token rotated": token_rotated,
    "client killed": client_killed,
    "client interrupted": client_interrupted,
    "loader process killed": loader_killed,
    "document renderer killed": renderer_killed,
    "disk of OUTPUT full": disk_full,
    "two clients on one OUTPUT": two_clients,
    "model store replaced": model_replaced,
    "page that kills its worker": poison_kills,
    "page that stalls its worker": poison_stalls,
}


# They need pages that the cheap chain alone obeys, a document, answers that fill a disk, or a server more.
OF_THE_CHEAP_CHAIN = {
    "one of two servers killed",
    "document renderer killed",
    "disk of OUTPUT full",
    "page that kills its worker",
    "page that stalls its worker",
}
# Minutes on two cores, where loading the networks of a real chain takes half of one.
SHORT = (
    "worker killed",
    "server killed",
    "connections cut in mid-answer",
    "client killed",
    "model store replaced",
)


def _kill_a_worker(played: Round) -> int:
    """Kill one of the workers; returns how many."""
    workers = played.server.workers()
    if not workers:
        return 0
    with contextlib.suppress(psutil.NoSuchProcess):
        played.dice.choice(workers).kill()
        return 1
    return 0


def _end_client(played: Round, number: signal.Signals, code: int) -> None:
    client = played.start()
    if played.await_moment(client):
        played.injected += 1
        client.send(number)
        played.finish(client, code, 0)
    played.finish(played.start())


def _see_poison_through(played: Round, pack: int) -> None:
    played.injected += 1
    played.finish(played.start("--retries", 1, "--pack", pack))
    played.server.wait_until_ready()


def _small_disk(played: Round) -> Callable[[], object] | None:
    """Give OUTPUT a disk of its own with little room; returns what makes more, None where nothing may be mounted."""
    size = f"size={played.dice.randrange(120, 240)}k"
    if os.geteuid() != 0 or not _run("mount", "-t", "tmpfs", "-o", size, "tmpfs", str(played.output)):
        return None
    played.undo.callback(_run, "umount", "--lazy", str(played.output))
    return lambda: _run("mount", "-o", "remount,size=64m", str(played.output))


def _run(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
