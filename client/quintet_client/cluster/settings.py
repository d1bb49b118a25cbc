"""Every setting of one `quintet batch`, with units; read once, validated before anything starts."""

from dataclasses import dataclass
from pathlib import Path

from quintet_client.errors import UsageError
from quintet_client.run.settings import RunSettings, at_least

# How often an item may end its process, or make the chain raise, alone.
TRIES = 3
_CLIENT_SCHEME = "ray://"


@dataclass(frozen=True, slots=True)
class BatchSettings(RunSettings):
    """The settings of one run, beside those of any.

    Attributes:
        archive: what TorchServe serves: settings, weights and the chain's package.
        ray: address of a running cluster's head, or `auto`; None starts Ray on this machine, for this run.
        actors: how many read at a time; None is one a GPU, or one a node without GPUs.
        gpus_per_actor: GPUs of an actor, or a share of one; None is one where nodes have any.
        block: most items of a part, and of a task.
        stall_s: seconds that a call of the chain may take: so long for one item, twice that for 64.
    """

    archive: Path = Path()
    ray: str | None = None
    actors: int | None = None
    gpus_per_actor: float | None = None
    block: int = 64
    stall_s: float = 300.0

    def __post_init__(self) -> None:
        RunSettings.__post_init__(self)  # slots: super() does not find this class
        at_least("block", self.block, 1)
        at_least("actors", 1 if self.actors is None else self.actors, 1)
        if self.gpus_per_actor is not None and not self.gpus_per_actor >= 0:
            raise UsageError(f"--gpus-per-actor is {self.gpus_per_actor}; give GPUs from 0, such as 1 or 0.5")
        if not 0 < self.stall_s < float("inf"):
            raise UsageError(f"--stall-s is {self.stall_s}; give seconds above 0")
        if self.password_file is not None and self.password_file.exists() and not self.password_file.is_file():
            raise UsageError(
                f"--password-file {self.password_file} is no file, and every node reads it: give one that all have"
            )
        if self.ray is not None and self.ray.startswith(_CLIENT_SCHEME):
            raise UsageError(
                f"--ray is an address of Ray's client ({_CLIENT_SCHEME}): start the run on a node, with --ray auto"
            )


def call_s(stall_s: float, items: int) -> float:
    """Seconds that a call of the chain may take with so many items."""
    return stall_s * (1 + items / 64)
