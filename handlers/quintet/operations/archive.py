"""Packs the handler, a chain and its converted networks into NAME.mar of the model store, NAME being the model's.

The archive is complete: it starts on a machine that has the packages and nothing else of this project, nor the chain's.
"""

import hashlib
import importlib
import inspect
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from quintet.engine.weights import NETWORKS, OWN_SOURCES, NetworkStore
from quintet.errors import SettingsError
from quintet.frame.chain import Chain, find_chain
from quintet.frame.settings import FrameSettings
from quintet.operations.contents import CONTENTS, NOT_SERVED, QUINTET, contents
from quintet.operations.locations import HANDLERS
from quintet.operations.names import DEFAULT_CHAIN, sources_of

MODEL_CONFIG = HANDLERS / "model-config.yaml"


def pack(archive: Path, chain: str = DEFAULT_CHAIN, *, networks: Path, model_config: Path | None = None) -> Path:
    """Write the archive of a chain.

    Args:
        archive: NAME.mar, NAME being the model's.
        chain: an entry point's name, or `module:Class`.
        networks: the store that was made for it.
        model_config: instead of the chain's own. `sources/model-config.yaml` of the store changes keys of either.

    Raises:
        SettingsError: there is no such chain, or the configuration names another one or is none.
        WeightsError: the networks are missing or not what their provenance says.
        CalledProcessError: the archiver refused; its words are on stderr.
    """
    chain_class = find_chain(chain)
    with tempfile.TemporaryDirectory(prefix="quintet-archive-") as scratch:
        staged, config = Path(scratch) / "extra", Path(scratch) / "model-config.yaml"
        configured = _configuration(chain_class, model_config)
        own = networks / OWN_SOURCES / MODEL_CONFIG.name
        config.write_text(_with_own(configured, own, chain_class) if own.exists() else configured, encoding="utf-8")
        _stage(staged, chain_class, NetworkStore.of(networks, sources_of(chain)))
        (staged / CONTENTS).write_text(json.dumps(contents(chain, networks)))
        # The archiver deletes $TMPDIR/<model name> without asking, so it gets a TMPDIR of its own.
        private = Path(scratch) / "tmp"
        private.mkdir()
        command = [
            *(sys.executable, "-c", "from model_archiver.model_packaging import generate_model_archive as f; f()"),
            *("--model-name", archive.stem, "--version", "1.0", "--force"),
            *("--handler", str(HANDLERS / "chain_handler.py"), "--extra-files", str(staged)),
            *("--config-file", str(config), "--export-path", scratch),
        ]
        subprocess.run(command, check=True, env={"TMPDIR": str(private), "PATH": ""})  # noqa: S603 - our own words
        # In place whole: a server that starts meanwhile sees the old one or the new one.
        beside = archive.with_suffix(".part")
        shutil.copyfile(Path(scratch) / archive.name, beside)
        beside.replace(archive)
    record_hash(archive)
    return archive


def record_hash(archive: Path) -> Path:
    """Write the archive's SHA-256 into NAME.sha256 beside it, as `sha256sum` does: the service starts nothing else."""
    with archive.open("rb") as packed:
        digest = hashlib.file_digest(packed, "sha256").hexdigest()
    beside = archive.with_name(f"{archive.name}.sha256")
    beside.write_text(f"{digest}  {archive.name}\n")
    return beside


def _stage(folder: Path, chain: type[Chain], store: NetworkStore) -> None:
    """Lay out what stands beside the handler: the archiver takes the content of this folder, not the folder."""
    shutil.copytree(QUINTET, folder / "quintet", ignore=_ignoring(*NOT_SERVED))
    if (package := chain.__module__.partition(".")[0]) != "quintet":
        _copy_package(package, folder)
    if store.sources:
        store.verify()
        shutil.copytree(store.folder / NETWORKS, folder / NETWORKS)
        shutil.copy2(store.folder / "provenance.json", folder)
        for hashed in (store.folder / OWN_SOURCES).glob("*.sha256"):
            (folder / OWN_SOURCES).mkdir(exist_ok=True)
            shutil.copy2(hashed, folder / OWN_SOURCES)


def _copy_package(name: str, folder: Path) -> None:
    """Copy a package of any kind, or a module that is one file."""
    package = importlib.import_module(name)
    if not hasattr(package, "__path__"):
        shutil.copy2(inspect.getfile(package), folder)
    for location in getattr(package, "__path__", ()):
        shutil.copytree(location, folder / name, ignore=_ignoring(), dirs_exist_ok=True)


def _ignoring(*names: str) -> Callable[[str, list[str]], set[str]]:
    return shutil.ignore_patterns("__pycache__", *names)


def _configuration(chain: type[Chain], given: Path | None) -> str:
    """A chain's model-config.yaml: the one beside its module, or the page chain's, for others its frame settings alone.

    Raises:
        SettingsError: it names another chain.
    """
    name = f"{chain.__module__}:{chain.__qualname__}"
    beside = Path(inspect.getfile(chain)).with_name(MODEL_CONFIG.name)
    file = given or (beside if beside.exists() else MODEL_CONFIG)
    text = file.read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    if (named := config.get("handler", {}).get("chain")) == name:
        return text
    if file != MODEL_CONFIG:
        raise SettingsError(f"{file} has chain {named!r}, but {name!r} is packed: correct it")
    of_frame = {field.name for field in fields(FrameSettings)}
    kept = {key: value for key, value in config["handler"].items() if key in of_frame}
    return yaml.safe_dump({**config, "handler": {"chain": name, **kept}}, sort_keys=False)


def _with_own(configuration: str, own: Path, chain: type[Chain]) -> str:
    """A configuration with the keys that the user's file changes; those of `handler` one by one.

    Raises:
        SettingsError: the file is no YAML, has no settings of the chain, or a wrong one.
    """
    usual = yaml.safe_load(configuration)
    try:
        changed = yaml.safe_load(own.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{own} is no YAML: {error}") from error
    handler = changed.get("handler") or {} if isinstance(changed, dict) else None
    if not isinstance(handler, dict) or "chain" in handler:
        raise SettingsError(f"{own} has to hold settings under `handler:`, without `chain`")
    options = {**usual["handler"], **handler}
    _check({key: value for key, value in options.items() if key != "chain"}, own, chain)
    return yaml.safe_dump({**usual, **changed, "handler": options}, sort_keys=False)


def _check(options: dict[str, Any], own: Path, chain: type[Chain]) -> None:
    """Refuse here what would stop the start of the service minutes later: what frame or chain would not take.

    Raises:
        SettingsError: a setting is unknown or out of range.
    """
    try:
        FrameSettings.taken_from(options, {})
        if (settings := getattr(chain, "settings", None)) is not None:
            settings.from_options(options)
    except SettingsError as error:
        raise SettingsError(f"{own}: {error}") from error
