"""The process that talks to Ray: starts or joins a cluster, asks an actor about the chain, and runs passes.

A process of its own because Ray writes to its streams, takes its signals, and may hang: whoever started this one ends
it by closing the connection, or by a kill, and `session` ends what Ray has started. Its streams are Ray's log.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from quintet_client.cluster.messages import BlockRead, Facts, Pass, PassEnded, Setup, Share, Trouble, packed
from quintet_client.cluster.reader import BlockReader, Task, hosted_here, passwords_here
from quintet_client.cluster.shares import Node, share_out
from quintet_client.cluster.witness import Witness
from quintet_client.errors import QuintetError, ServerUnreachableError, UsageError

# A cluster that grows by itself has machines within minutes.
ROOM_WITHIN_S = 900.0
# Ray gives its daemons 30 s, which are not enough on a machine that is busy.
_START_TRIES = 3
_MIB = 1024 * 1024
_log = logging.getLogger(__name__)


class _Job:
    """One connection to a cluster."""

    def __init__(self, setup: Setup, connection: Connection) -> None:
        self._setup = setup
        self._send: Callable[[object], None] = connection.send
        archive = setup.archive.read_bytes()
        _start(setup, len(archive))
        self._archive = [ray.put(archive)]
        self._share = _share(setup)

    def ask(self) -> Facts:
        """Have the chain hosted once, and ask about it."""
        share = self._share
        asking = _describe.options(num_cpus=share.cpus, num_gpus=share.gpus).remote(self._setup, share, self._archive)
        done, _ = ray.wait([asking], timeout=ROOM_WITHIN_S)
        if not done:
            raise ServerUnreachableError(
                f"the cluster has had no room for an actor of {share.cpus} cores and {share.gpus:g} GPUs for "
                f"{ROOM_WITHIN_S:.0f} s; run again when it has"
            )
        self._facts: Facts | Trouble = ray.get(asking)
        if isinstance(self._facts, Trouble):
            raise self._facts.error()
        # The first node may have come for this.
        self._share = _share(self._setup)
        self._facts = self._facts._replace(share=self._share)
        return self._facts

    def run(self, order: Pass) -> PassEnded:
        """Have the actors read the blocks of a pass."""
        witness, error = _witness() if order.alone else None, ""
        assert isinstance(self._facts, Facts)  # noqa: S101 - `ask` comes first
        task = Task(self._setup, self._share, self._archive, self._facts.model, order.run, order.number, witness)
        try:
            self._read(order, task)
        except Exception as raised:  # noqa: BLE001 - whatever it is, the parts say what was read
            _log.exception("pass %d ended", order.number)
            error = f"{type(raised).__name__}: {raised}"
        begun: Any = ray.get(witness.begun.remote()) if witness else {}
        return PassEnded(error, begun)

    def _read(self, order: Pass, task: Task) -> None:
        rows = [{"number": order.first + i, "block": packed(block)} for i, block in enumerate(order.blocks)]
        tasks = -(-len(rows) // order.blocks_a_task)
        read = ray.data.from_items(rows, override_num_blocks=tasks).map_batches(
            BlockReader,
            fn_constructor_args=(task,),
            batch_size=None,
            compute=ActorPoolStrategy(size=min(self._share.actors, tasks), max_tasks_in_flight_per_actor=1),
            num_cpus=self._share.cpus,
            num_gpus=self._share.gpus,
            # What has ended its process is not tried again by Ray, which would do so for ever.
            max_task_retries=0,
        )
        for row in read.iter_rows():
            trouble = Trouble(row["kind"], row["message"]) if row["message"] else None
            self._send(BlockRead(int(row["number"]), trouble))


def _share(setup: Setup) -> Share:
    """Share out the nodes that are there, of a cluster those that may come as well."""
    nodes = [
        Node(node["Resources"].get("CPU", 0), node["Resources"].get("GPU", 0))
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    ]
    return share_out(nodes, setup.actors, setup.gpus_per_actor, may_grow=setup.address is not None)


def _start(setup: Setup, archive_bytes: int) -> None:
    """Start Ray on this machine, for loopback alone, or join a cluster; `job` has set the environment for the first."""
    if setup.address is None:
        for tries in range(1, _START_TRIES + 1):
            try:
                _start_here(setup, archive_bytes)
                break
            except Exception:
                ray.shutdown()
                if tries == _START_TRIES:
                    raise
                _log.exception("Ray could not be started and is started again")
    else:
        try:
            ray.init(address=setup.address)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ServerUnreachableError(
                f"no Ray cluster could be joined at {setup.address} ({error}); start one with `ray start --head`, or "
                "leave --ray out"
            ) from error
    context = DataContext.get_current()
    context.max_errored_blocks = -1  # a block whose process died is missing, and is read in the next pass
    context.max_consecutive_actor_init_deaths = 10
    context.execution_no_progress_timeout_s = -1  # `passes` watches the parts instead
    context.enable_progress_bars = False


def _start_here(setup: Setup, archive_bytes: int) -> None:
    ray.init(
        address="local",
        num_cpus=len(os.sched_getaffinity(0)),
        include_dashboard=False,
        object_store_memory=2 * archive_bytes + 128 * _MIB,  # the rows of a window have 100 MB at most
        _node_ip_address="127.0.0.1",
        _temp_dir=str(setup.folder / "r"),
    )


@ray.remote(max_calls=1)  # what the chain holds of a GPU goes with its process
def _describe(setup: Setup, share: Share, archive: list[Any]) -> Facts | Trouble:
    try:
        passwords_here(setup)
        hosted = hosted_here(setup, share, archive)
    except QuintetError as error:
        return Trouble.of(error)
    except Exception as error:  # noqa: BLE001 - the process's outermost boundary: said in the command's
        text = f"the chain of {setup.archive} cannot be loaded ({type(error).__name__}: {error}): pack it again"
        return Trouble.of(UsageError(text))
    chain = hosted.chain
    return Facts(chain.fingerprint, chain.schema, hosted.limits, str(chain.engine.device), share)


def _witness() -> Any:  # noqa: ANN401 - Ray's handles have no type
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return Witness.options(num_cpus=0, scheduling_strategy=here).remote()  # type: ignore[attr-defined]


def main(descriptor: int) -> None:
    """Do what the other end of a connection asks for, until it is closed."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    connection = Connection(descriptor)
    setup: Setup = connection.recv()
    orders: SimpleQueue[Pass] = SimpleQueue()

    def receive() -> None:
        try:
            while True:
                orders.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)  # whatever else is under way here

    threading.Thread(target=receive, daemon=True).start()
    try:
        job = _Job(setup, connection)
        connection.send(job.ask())
    except Exception as error:
        logging.exception("the run could not begin")
        connection.send(Trouble.of(error if isinstance(error, QuintetError) else QuintetError(_said(error))))
        return
    while True:
        connection.send(job.run(orders.get()))


def _said(error: Exception) -> str:
    return f"Ray: {type(error).__name__}: {error}".split("\n", 1)[0]


if __name__ == "__main__":
    main(int(sys.argv[1]))
