"""What must hold when a chain starts: fingerprints, settings, weights."""

import dataclasses
import functools
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from quintet.authoring.checks.comparison import difference
from quintet.authoring.checks.subject import BrokenPromiseError, Subject, one, outcomes_of
from quintet.engine.weights import OWN_SOURCES, NetworkStore
from quintet.errors import SettingsError, WeightsError


def fingerprints_say_what_changes(subject: Subject) -> str:
    """Equal settings have equal fingerprints and answers; a setting that changes answers changes the fingerprint."""
    again = subject.start()
    if again.fingerprint != subject.chain.fingerprint:
        raise BrokenPromiseError(f"started twice it has {subject.chain.fingerprint} and {again.fingerprint}")
    if found := difference(one(again, subject.bodies[0]), subject.alone[0]):
        raise BrokenPromiseError(f"started twice, with one fingerprint, it says: {found}")
    usual = subject.chain_class.settings()
    fields = dataclasses.fields(usual)
    answering = [field for field in fields if not field.metadata["runtime"]]
    for field in fields:
        changed = dataclasses.replace(usual, **{field.name: _another(field)})
        if (changed.fingerprint() != usual.fingerprint()) != (field in answering):
            raise BrokenPromiseError(f"setting {field.name} changes answers or the fingerprint, but not both")
    for field in answering[:1]:
        if subject.start({field.name: _another(field)}).fingerprint == again.fingerprint:
            raise BrokenPromiseError(
                f"the chain's fingerprint leaves its settings out: {field.name} does not change it"
            )
    return f"{subject.chain.fingerprint}, {len(answering)} settings change it, {len(fields) - len(answering)} do not"


def wrong_settings_are_refused(subject: Subject) -> str:
    """An unknown setting, and one out of range, is an error at start that names it."""
    wrong = {field.name: _not_allowed(field) for field in dataclasses.fields(subject.chain_class.settings)}
    for name, value in {"no_such_setting": 1, **wrong}.items():
        try:
            subject.start({name: value})
        except SettingsError as error:
            if name in str(error):
                continue
            raise BrokenPromiseError(f"{name}: {value!r} is refused without its name: {error}") from error
        raise BrokenPromiseError(f"{name}: {value!r} is accepted")
    return f"an unknown one, and {len(wrong)} out of range"


def changed_weights_are_refused(subject: Subject) -> str:
    """A byte changed in any file of the store is an error at start."""
    if not subject.chain_class.sources:
        return "it has no networks"
    store = NetworkStore.of(subject.model_store, subject.chain_class.sources)
    files = [name for network in store.provenance().networks.values() for name in network.files]
    with tempfile.TemporaryDirectory(prefix="quintet-check-") as scratch:
        copy = Path(scratch)
        own = [f"{OWN_SOURCES}/{path.name}" for path in (store.folder / OWN_SOURCES).glob("*.sha256")]
        for name in ("provenance.json", *own, *files):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(store.folder / name, copy / name)
        for name in files:
            _flip(copy / name)
            try:
                subject.start(model_store=copy)
            except WeightsError:
                _flip(copy / name)
            else:
                raise BrokenPromiseError(f"it starts with a changed {name}: have NetworkStore.verify check it")
    return f"a byte in each of {len(files)} files"


def nothing_is_unpickled(subject: Subject) -> str:
    """Neither at start nor at work does it load objects from pickles, which could run anything.

    A pickle can run only what it imports, and Python audits each of these imports (event `pickle.find_class`).
    """
    _listen()
    _unpickled.clear()
    outcomes_of(subject.start(), subject.bodies[:2])
    if _unpickled:
        raise BrokenPromiseError(
            f"it unpickles {_unpickled[0]}: read weights as .safetensors or with weights_only=True"
        )
    return "at start and in a batch"


_unpickled: list[str] = []


@functools.cache
def _listen() -> None:
    """Note what is unpickled, from here to the end of the process: audit hooks cannot be taken back."""

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "pickle.find_class":
            _unpickled.append(".".join(map(str, arguments)))

    sys.addaudithook(note)


def _another(field: "dataclasses.Field[Any]") -> object:
    """A value that a setting may have, not its usual one."""
    limits = field.metadata
    values = limits.get("choices") or (limits["low"], limits["high"])
    allowed = [(value,) for value in values] if limits.get("several") else values
    return next(value for value in allowed if value != field.default)


def _not_allowed(field: "dataclasses.Field[Any]") -> object:
    return "no such word" if "choices" in field.metadata else field.metadata["high"] + 1


def _flip(path: Path) -> None:
    """Change one bit in the middle of a file; once more, and it is as before."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
