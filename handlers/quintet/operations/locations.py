"""Where the service's files are: those that come with it, its model store, and the folder that it runs in."""

import os
from collections.abc import Mapping
from pathlib import Path

# The wheel has the files that belong to no package beside this one, laid out as in the tree of a checkout.
_PACKAGED = Path(__file__).with_name("tree")
CHECKOUT = None if _PACKAGED.is_dir() else Path(__file__).resolve().parents[3]
TREE = CHECKOUT or _PACKAGED
HANDLERS = TREE / "handlers"


def model_store(environment: Mapping[str, str] = os.environ, checkout: Path | None = CHECKOUT) -> Path:
    """`$QUINTET_MODEL_STORE`; else `model_store` of the checkout or the working directory; else in the user's cache."""
    if named := environment.get("QUINTET_MODEL_STORE"):
        return Path(named).absolute()
    if (here := (checkout or Path.cwd()) / "model_store").is_dir():
        return here
    return _of_user(environment, "XDG_CACHE_HOME", ".cache") / "models"


def run_folder(environment: Mapping[str, str] = os.environ, checkout: Path | None = CHECKOUT) -> Path:
    """`$QUINTET_RUN_DIR`; else `build/serve` of the checkout; else in the folder of the user's state."""
    if named := environment.get("QUINTET_RUN_DIR"):
        return Path(named).absolute()
    build = checkout / "build" if checkout else _of_user(environment, "XDG_STATE_HOME", ".local/state")
    return build / "serve"


def _of_user(environment: Mapping[str, str], variable: str, usual: str) -> Path:
    return Path(environment.get(variable) or Path.home() / usual) / "quintet"
