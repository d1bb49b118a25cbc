"""What an archive was packed from, by hash, and whether that is what is there now; without loading torch."""

import hashlib
import importlib.util
import json
import os
import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from quintet.frame.chain import chain_names
from quintet.operations.locations import HANDLERS

# The file that says it, in the archive.
CONTENTS = "contents.json"
QUINTET = Path(__file__).resolve().parents[1]
# Folders of Quintet that are not in the archive. The conversion makes the networks: its code counts nevertheless.
NOT_SERVED = ("authoring", "conversion", "operations")
_NOT_COUNTED = {"authoring", "operations"}
_PINNED = "QUINTET_ARCHIVE_SHA256"


def contents(chain: str, networks: Path) -> dict[str, str]:
    """Hashes of the code of a chain and of Quintet, of what the store in `networks` says of itself, and of settings."""
    of_quintet = [*_files(QUINTET, _NOT_COUNTED), HANDLERS / "chain_handler.py", HANDLERS / "model-config.yaml"]
    recorded = [*networks.glob("provenance.json"), *sorted((networks / "sources").glob("*.sha256"))]
    settings = [*(networks / "sources").glob("model-config.yaml")]
    return {
        "code": _digest([*of_quintet, *_files_of_package(chain)]),
        "networks": _digest(recorded),
        "settings": _digest(settings),
    }


def is_current(archive: Path, chain: str, networks: Path) -> bool:
    """Whether there is no need to pack an archive: it was packed from what is there.

    One that `$QUINTET_ARCHIVE_SHA256` names is taken as it is, and so is one of the same code that has no networks
    beside it: they were brought here.
    """
    if not (archive.exists() and archive.with_name(f"{archive.name}.sha256").exists()):
        return False
    if os.environ.get(_PINNED):
        return True
    with suppress(zipfile.BadZipFile, KeyError, ValueError, TypeError), zipfile.ZipFile(archive) as packed:
        then, now = json.loads(packed.read(CONTENTS)), contents(chain, networks)
        brought = not (networks / "provenance.json").exists()
        return bool(then["code"] == now["code"]) and (brought or then == now)
    return False


def _files_of_package(chain: str) -> list[Path]:
    """The top-level package or module of a chain, not Quintet's own, which counts anyway."""
    package = chain_names().get(chain, chain).partition(":")[0].partition(".")[0]
    spec = None if package == "quintet" else importlib.util.find_spec(package)
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [file for folder in spec.submodule_search_locations for file in _files(Path(folder))]
    return [Path(spec.origin)] if spec.has_location and spec.origin else []


def _files(folder: Path, left_out: Collection[str] = ()) -> Iterator[Path]:
    """The files below a folder, always in the same order."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - {"__pycache__", *left_out})
        yield from (Path(place, name) for name in sorted(names))


def _digest(files: Sequence[Path]) -> str:
    hashes = [f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
