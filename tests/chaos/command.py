"""`make chaos`: faults for some rounds, an account after each, one table.

All of them with a cheap chain, so that there is time for many; a few with a real one, once. Those of `quintet batch`
with --cluster.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from subprocess import SubprocessError
from typing import TypeVar
from unittest.mock import patch

from tests.chaos.account import Account, settle, undisturbed
from tests.chaos.cluster import account as cluster_account
from tests.chaos.cluster.faults import CLUSTER_FAULTS
from tests.chaos.cluster.stage import NODES, ClusterRound, ClusterStage
from tests.chaos.faults import FAULTS, OF_THE_CHEAP_CHAIN, SHORT
from tests.chaos.stage import Round, Server, Stage, wait_until
from tests.client.stores.s3 import serving
from tests.cluster.nodes import ray_nodes
from tests.conftest import ROOT

FOLDER = ROOT / "build" / "chaos"
PAGES = 120
PAGES_OF_A_CHAIN = 24
ROUNDS = 5
AWAY_S = 30.0
PAGES_OF_A_CLUSTER = 320
AnyRound = TypeVar("AnyRound", Round, ClusterRound)


@dataclass
class Line:
    """One line of the table: a fault and the sums of its rounds."""

    fault: str
    rounds: int = 0
    injected: int = 0
    pages: int = 0
    ok: int = 0
    failed: int = 0
    lost: int = 0
    duplicated: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def add(self, played: Round | ClusterRound, account: Account, seconds: float) -> None:
        """Count one round."""
        self.rounds += 1
        self.injected += played.injected
        for name in ("pages", "ok", "failed", "lost", "duplicated"):
            setattr(self, name, getattr(self, name) + getattr(account, name))
        self.seconds += seconds
        self.problems += [f"{played.name}: {problem}" for problem in account.problems]

    @property
    def good(self) -> bool:
        """Whether the promise was kept."""
        return not (self.lost or self.duplicated or self.problems)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; exit code 0 only if every fault has hit, and nothing was lost or duplicated."""
    parser = _parser()
    options = parser.parse_args(arguments)
    items = sorted(file for file in options.items.rglob("*.*") if file.suffix != ".json") if options.items else []
    if bool(options.chain) != bool(items):
        parser.error("--chain and --items FOLDER with files for it belong together")
    faults = list(CLUSTER_FAULTS if options.cluster else FAULTS)
    names = options.only or (SHORT if options.chain else faults)
    if options.cluster and options.chain:
        parser.error("--cluster: without --chain alone")
    if others := set(names) - set(faults):
        parser.error(f"{', '.join(sorted(others))}: {'without' if options.cluster else 'with'} --cluster alone")
    if options.chain and (cheap := OF_THE_CHEAP_CHAIN & set(names)):
        parser.error(f"{', '.join(sorted(cheap))}: without --chain alone")
    rounds = options.rounds or (1 if options.chain else ROUNDS)
    begin = time.monotonic()
    if options.cluster:
        lines = play_on_cluster(options.folder, names, rounds, options.seed)
    else:
        lines = play(options.folder, names, rounds, options.seed, options.away_s, chain=options.chain, items=items)
    report = {"seed": options.seed, "seconds": round(time.monotonic() - begin, 1), "faults": [asdict(i) for i in lines]}
    (options.folder / "chaos.json").write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(table(lines))
    sys.stdout.write(f"{report['seconds']:.0f} s, seed {options.seed}, {options.folder / 'chaos.json'}\n")
    return 0 if all(line.good and line.injected for line in lines) else 1


def play(
    folder: Path,
    names: Sequence[str],
    rounds: int,
    seed: int,
    away_s: float,
    pages: int = 0,
    chain: str = "",
    items: Sequence[Path] = (),
) -> list[Line]:
    """Play faults against one server in a folder of their own; round by round, so that all meet a used server."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = pages or (PAGES_OF_A_CHAIN if chain else PAGES)
    stage = Stage(Server(folder / "server", chain), folder, pages, away_s, items)
    try:
        stage.write_pages()
        quiet = Round(stage, "undisturbed", random.Random(seed))
        quiet.finish(quiet.start())
        stage.expected = undisturbed(quiet)
        if len(stage.expected) != pages:
            raise AssertionError(f"the undisturbed run has {len(stage.expected)} answers to {pages} pages")
        lines = {name: Line(name) for name in names}
        for number in range(rounds):
            for name in names:
                played = Round(stage, _folder_name(name, number), random.Random(f"{seed} {name} {number}"))
                _play_one(lines[name], played, FAULTS[name], settle, lambda: _come_back(stage.server))
        return list(lines.values())
    finally:
        stage.server.kill()


def play_on_cluster(
    folder: Path, names: Sequence[str], rounds: int, seed: int, pages: int = PAGES_OF_A_CLUSTER
) -> list[Line]:
    """Play faults of `quintet batch` on one Ray in a folder of their own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with serving() as store, patch.dict("os.environ", store.environment), ray_nodes(NODES) as nodes:
        store.reset()
        stage = ClusterStage(nodes, store, folder, pages)
        quiet = ClusterRound(stage, "undisturbed", random.Random(seed))
        quiet.finish(quiet.start())
        stage.expected = quiet.ends()
        if {end["state"] for end in stage.expected.values()} != {"ok"} or len(stage.expected) != pages:
            raise AssertionError(f"the undisturbed run has {len(stage.expected)} ends of {pages} pages")
        lines = {name: Line(name) for name in names}
        for number in range(rounds):
            for name in names:
                played = ClusterRound(stage, _folder_name(name, number), random.Random(f"{seed} {name} {number}"))
                _play_one(lines[name], played, CLUSTER_FAULTS[name], cluster_account.settle)
        return list(lines.values())


def _come_back(server: Server) -> None:
    wait_until(server.service.is_alive, 10)
    server.wait_until_ready()


def _folder_name(fault: str, number: int) -> str:
    return f"{fault.replace(' ', '-').replace(',', '')}-{number}"


def _play_one(
    line: Line,
    played: AnyRound,
    fault: Callable[[AnyRound], None],
    settled: Callable[[AnyRound], Account],
    restore: Callable[[], None] = lambda: None,
) -> None:
    """Play one round, look at what it left, and have `restore` get ready for the next."""
    begin = time.monotonic()
    with played.undo:
        try:
            fault(played)
        except (AssertionError, OSError, SubprocessError) as error:  # a wrong exit code, a wait in vain: look still
            line.problems.append(f"{played.name}: {error}")
        line.add(played, settled(played), time.monotonic() - begin)
    restore()
    said = f"{line.fault}, round {line.rounds}: {time.monotonic() - begin:.1f} s {line.problems or ''}\n"
    sys.stderr.write(said)


def table(lines: Sequence[Line]) -> str:
    """The table for people."""
    head = ("fault", "injected", "pages", "ok", "failed (expected)", "lost", "duplicated")
    rows = [(i.fault, i.injected, i.pages, i.ok, i.failed, i.lost, i.duplicated) for i in lines]
    total = ("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:]))
    text = "".join(f"| {' | '.join(map(str, row))} |\n" for row in [head, ("---",) * len(head), *rows, total])
    return text + "".join(f"{problem}\n" for line in lines for problem in line.problems)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--chain", default="", help="packed by make archive, instead of the cheap one")
    parser.add_argument("--cluster", action="store_true", help="faults of `quintet batch`, on a Ray of two nodes")
    parser.add_argument("--items", type=Path, metavar="FOLDER", help="what that chain reads")
    parser.add_argument("--rounds", type=int, help=f"of each fault ({ROUNDS}, or 1 with --chain)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--away-s", type=float, default=AWAY_S, help="how long the server is gone in that fault")
    parser.add_argument(
        "--only", action="append", choices=[*FAULTS, *CLUSTER_FAULTS], help="this fault alone; may be repeated"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="removed first")
    return parser
