"""`quintet chain new`: a working package of five networks, to be filled in."""

import importlib.util
import keyword
import re
import shutil
import tempfile
from pathlib import Path

from quintet.errors import SettingsError

_TEMPLATE = Path(__file__).with_name("template")
# What stands for the name in the template's files and in their paths.
_PACKAGE, _CLASS = "newchain", "NewChain"


def write_chain(name: str, folder: Path) -> Path:
    """Write a project whose package has this name into a new folder of this name; returns it.

    Raises:
        SettingsError: the name is none for a package, is taken, or the folder is there.
        OSError: it cannot be written.
    """
    target = folder / name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise SettingsError(f"{name!r} cannot name a package: give lower-case letters, digits and _, a letter first")
    if target.exists():
        raise SettingsError(f"{target} is there already: give another name, or another folder")
    if importlib.util.find_spec(name):
        raise SettingsError(f"there is a package {name} already, which this one would hide: give another name")
    # In place whole, or not at all.
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        shutil.copytree(_TEMPLATE, Path(scratch) / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        _rename(Path(scratch) / name, name)
        (Path(scratch) / name).rename(target)
    return target


def class_name(name: str) -> str:
    """What the class of a chain's package is called: `my_zoo` has `MyZooChain`."""
    return "".join(part.capitalize() for part in name.split("_")) + "Chain"


def _rename(folder: Path, name: str) -> None:
    """Put the name in the place of the template's, in paths and in files."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what a folder holds before the folder
        if path.is_file():
            text = path.read_text("utf-8").replace(_CLASS, class_name(name)).replace(_PACKAGE, name)
            path.write_text(text, "utf-8")
        path.rename(path.with_name(path.name.replace(_PACKAGE, name)))
