"""What goes by a chain's name: the model that serves it, and the folder of its networks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from quintet.errors import SettingsError
from quintet.frame.chain import chain_names, find_chain

if TYPE_CHECKING:  # it loads torch, which the service's own process does without
    from quintet.engine.weights import Source

# The chain that a service has unless it is told another; its model has the product's name.
DEFAULT_CHAIN = "pages"
DEFAULT_MODEL = "quintet"


def model_name(chain: str) -> str:
    """The name that a chain is served under: that of its entry point, or the first part of its module's.

    Raises:
        SettingsError: it cannot stand in an address, or is that of the default chain.
    """
    announced = {value: name for name, value in chain_names().items()}
    name = announced.get(chain, chain.partition(":")[0].partition(".")[0])
    # A folder of that name in the model store holds the default chain's networks.
    if name == "networks" or not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise SettingsError(f"{chain!r} is no name for a chain: give module:Class, or the name of an entry point")
    if name == DEFAULT_MODEL:
        raise SettingsError(f"{chain!r} would be served as {name!r}, which the chain {DEFAULT_CHAIN!r} is: announce it")
    return DEFAULT_MODEL if name == DEFAULT_CHAIN else name


def store_of(model_store: Path, chain: str) -> Path:
    """The folder of a chain's networks: the model store itself for the default chain, one in it for any other."""
    name = model_name(chain)
    return model_store if name == DEFAULT_MODEL else model_store / name


def sources_of(chain: str) -> Sequence[Source]:
    """Where a chain's networks come from; none if it has none.

    Raises:
        SettingsError: there is no such chain.
    """
    return tuple(getattr(find_chain(chain), "sources", ()))
