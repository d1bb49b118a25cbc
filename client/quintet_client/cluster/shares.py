"""How many actors there are, and what each has of its node."""

from collections.abc import Sequence
from typing import NamedTuple

from quintet_client.cluster.messages import Share
from quintet_client.errors import UsageError


class Node(NamedTuple):
    """What a machine has."""

    cpus: float
    gpus: float


def share_out(
    nodes: Sequence[Node], actors: int | None, gpus_per_actor: float | None, *, may_grow: bool = False
) -> Share:
    """Share the nodes out.

    Args:
        nodes: that are there.
        actors: how many are asked for; None is as many as have GPUs, or one a node.
        gpus_per_actor: None is one if any node has one.
        may_grow: more nodes may come for the actors that are asked for.

    Raises:
        UsageError: there is no room for so many, nor will be.
    """
    gpus = gpus_per_actor
    if gpus is None:
        gpus = 1.0 if any(node.gpus >= 1 for node in nodes) else 0.0
    grows = may_grow and actors is not None
    return _with_gpus(nodes, actors, gpus, grows=grows) if gpus else _without(nodes, actors, grows=grows)


def _with_gpus(nodes: Sequence[Node], actors: int | None, gpus: float, *, grows: bool) -> Share:
    rooms = {node: int(node.gpus / gpus + 1e-6) for node in nodes}
    room = sum(rooms[node] for node in nodes)
    if room < (actors or 1) and not grows:
        raise UsageError(
            f"there are GPUs for {room} actors of {gpus:g}, and {actors or 1} are asked for: give --gpus-per-actor or "
            "--actors otherwise; --gpus-per-actor 0 reads on CPUs"
        )
    cpus = min((int(node.cpus / rooms[node]) for node in nodes if rooms[node]), default=1)
    return Share(actors or room, max(1, cpus), gpus)


def _without(nodes: Sequence[Node], actors: int | None, *, grows: bool) -> Share:
    """As many cores an actor as all of them can have."""
    able = [node for node in nodes if node.cpus >= 1]
    wanted = actors or max(1, len(able))
    for cpus in range(int(max((node.cpus for node in able), default=0)), 0, -1):
        if sum(int(node.cpus / cpus) for node in able) >= wanted:
            return Share(wanted, cpus, 0.0)
    if grows:
        return Share(wanted, 1, 0.0)
    cores = sum(int(node.cpus) for node in able)
    raise UsageError(f"there are {cores} cores for actors, and {wanted} actors are asked for: give --actors {cores}")
