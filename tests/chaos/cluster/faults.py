"""The faults of `quintet batch`, one function each: what happens at which moment of a run, and how it then goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from quintet_client.output.parts.place import part_name
from quintet_client.output.parts.rows import encode_part

from tests.chaos.cluster.stage import BLOCK, ClusterRound
from tests.chaos.stage import wait_until

ClusterFault = Callable[[ClusterRound], None]
AWAY_S = 20.0


def actor_killed(played: ClusterRound) -> None:
    """SIGKILL of a process that reads pages."""
    with played.struck():
        if there := played.stage.nodes.actors():
            played.dice.choice(there).kill()


def node_killed(played: ClusterRound) -> None:
    """SIGKILL of a node's raylet, with which its actor dies; a while later another node comes."""
    played.may_repeat = True
    with played.struck():
        played.stage.nodes.kill()
        time.sleep(played.dice.uniform(0.0, 3.0))
        played.stage.nodes.add()


def driver_killed(played: ClusterRound) -> None:
    """SIGKILL of the process that talks to Ray; the command starts another."""
    played.may_repeat = True
    with played.struck() as command:
        if driver := command.driver():
            driver.kill()


def command_killed(played: ClusterRound) -> None:
    """SIGKILL of the command; it is run again."""
    played.may_repeat = True
    _kill(played, own_ray=False)


def command_with_its_ray_killed(played: ClusterRound) -> None:
    """SIGKILL of a command with a Ray of its own, all of which goes with it; it is run again on the cluster."""
    _kill(played, own_ray=True)


def command_superseded(played: ClusterRound) -> None:
    """A second command, as of another machine, on the same OUTPUT: the first ends, the second sees it through."""
    played.may_repeat = True
    first = played.start()
    alive = played.await_moment(first, latest=0.3)
    second = played.start(cache="cache-elsewhere")
    played.finish(first, 6 if alive else 0, 0)
    played.injected += alive
    played.finish(second)


def page_that_kills(played: ClusterRound) -> None:
    """A page that kills whichever process reads it."""
    _poison(played, b"KILL", "WORKER_DIED")


def page_that_hangs(played: ClusterRound) -> None:
    """A page that the chain never returns from."""
    _poison(played, b"STALL", "TIMEOUT")


def store_busy(played: ClusterRound) -> None:
    """The store of INPUT and OUTPUT answers 503 for 20 s."""
    played.in_store = True
    before = played.stage.store.refused
    with played.struck():
        played.stage.store.be_busy(AWAY_S)
        wait_until(lambda: played.stage.store.refused > before)
        time.sleep(AWAY_S)


def part_first(played: ClusterRound) -> None:
    """Somebody commits parts under the names that actors will use, whole ones and halves."""
    command = played.start()
    run = _run_of(played)
    for number in range(played.stage.pages // BLOCK // 2, played.stage.pages // BLOCK):
        if played.dice.random() < 0.5:
            some = played.stage.block(number)[: played.dice.choice((BLOCK, BLOCK // 2))]
            played.injected += played.place.commit(part_name(run, "1", number), encode_part(some), run)
    played.finish(command)


def part_late(played: ClusterRound) -> None:
    """An actor dies; what a later pass has read then comes in a part of the first as well, and the other way round."""
    played.may_repeat = True
    with played.struck(latest=0.3) as command:
        run = _run_of(played)
        for actor in played.stage.nodes.actors()[:1]:
            actor.kill()
        later = part_name(run, "2", 0)
        wait_until(lambda: not command.alive or any(name >= later for name in played.parts()), 200)
        for writer, least in (("1", later), ("2", "")):
            names = [name for name in played.parts() if name >= least][:2]
            some = [page for name in names for page in _pages_of(played, name)]
            part = encode_part([played.stage.ended(page) for page in some])
            played.injected += played.place.commit(part_name(run, writer, 900_000), part, run)


CLUSTER_FAULTS: dict[str, ClusterFault] = {
    "actor killed": actor_killed,
    "node killed": node_killed,
    "driver killed": driver_killed,
    "command killed": command_killed,
    "command with its own Ray killed": command_with_its_ray_killed,
    "second command on one OUTPUT": command_superseded,
    "page that kills its actor": page_that_kills,
    "page that hangs": page_that_hangs,
    "store busy for 20 s": store_busy,
    "parts that are there first": part_first,
    "parts that come late": part_late,
}


def _kill(played: ClusterRound, *, own_ray: bool) -> None:
    """Kill a command, see that what it started goes, and run it again."""
    command = played.start(own_ray=own_ray)
    least = played.dice.uniform(0.0, 0.7) * played.stage.pages / BLOCK
    wait_until(lambda: not command.alive or (command.session() is not None and len(played.parts()) >= least), 200)
    time.sleep(played.dice.uniform(0.0, 0.5))
    if session := command.session() if command.alive else None:
        command.send(signal.SIGKILL)
        played.finish(command, -signal.SIGKILL)
        played.await_silence(session)
        played.injected += 1
    played.finish(played.start())


def _poison(played: ClusterRound, body: bytes, code: str) -> None:
    number = played.dice.randrange(played.stage.pages)
    played.poison = {f"p{number:04}-poison.jpg": body + b" %d" % number}
    played.codes = dict.fromkeys(played.poison, code)
    played.injected += 1
    played.finish(played.start())


def _run_of(played: ClusterRound) -> int:
    """The number of the run, once it has begun."""
    runs = played.folder / "out" / "runs"
    wait_until(lambda: any(runs.glob("*.json")), 60)
    return max(int(path.stem) for path in runs.glob("*.json"))


def _pages_of(played: ClusterRound, name: str) -> list[str]:
    return [page for page, _ in played.rows_of(name)]
