"""The chain that is checked, with bodies to give it."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from quintet.frame.chain import Chain, Outcome

BATCH = 64


class BrokenPromiseError(Exception):
    """A chain does not keep a promise: says what was seen, and where it can be, what to do."""


@dataclass(frozen=True)
class Subject:
    """A chain that has started, and what it is started from again."""

    chain_class: Any  # a Chain's, with its `settings` and `sources`
    model_store: Path
    chain: Chain
    bodies: Sequence[bytes]  # different ones, none of them bad

    @cached_property
    def alone(self) -> list[Outcome]:
        """The outcome of each body in a batch of its own."""
        return [one(self.chain, body) for body in self.bodies]

    @property
    def batch(self) -> list[bytes]:
        """As many bodies as a batch of the service holds."""
        return list(islice(cycle(self.bodies), BATCH))

    def start(self, options: Mapping[str, object] | None = None, *, model_store: Path | None = None) -> Chain:
        """The same chain anew, with other settings or from another store."""
        started: Chain = self.chain_class.from_options(options or {}, model_store or self.model_store)
        return started


def one(chain: Chain, body: bytes) -> Outcome:
    """The outcome of a body in a batch of its own."""
    outcomes = outcomes_of(chain, [body])
    return outcomes[0]


def outcomes_of(chain: Chain, bodies: Sequence[bytes]) -> list[Outcome]:
    """What the chain says of a batch, one outcome a body."""
    with _as_broken(f"raises for {len(bodies)} bodies"):
        outcomes = chain(bodies)
    if len(outcomes) != len(bodies):
        raise BrokenPromiseError(f"{len(outcomes)} outcomes for {len(bodies)} bodies")
    return outcomes


def shuffled(count: int) -> list[int]:
    """Places in another order, always the same."""
    order = list(range(count))
    random.Random(0).shuffle(order)
    return order


@contextmanager
def _as_broken(words: str) -> Iterator[None]:
    """What a chain raises, as a broken promise."""
    try:
        yield
    except Exception as error:
        raise BrokenPromiseError(f"{words}: {type(error).__name__}: {error}") from error
