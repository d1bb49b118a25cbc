"""A chain out of an archive, in a process of a node: what TorchServe's worker does, without TorchServe."""

import fcntl
import os
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import yaml
from quintet.errors import Failure
from quintet.frame.chain import Chain, find_chain
from quintet.frame.choices import Choices
from quintet.frame.frames import LEAVE_OUT_HEADER
from quintet.frame.settings import FrameSettings

from quintet_client.errors import UsageError
from quintet_client.service.page import Limits

_CONFIG = "model-config.yaml"
_POLL_S = 0.1
# Record locks of this process, which end with it or when one of these is closed.
_HELD: list[int] = []


class Hosted(NamedTuple):
    """A chain that is ready."""

    chain: Chain
    limits: Limits
    pages_per_batch: int  # most bodies of a call


def host_chain(folder: Path, device_index: int | None, leave_out: Sequence[str] = ()) -> Hosted:
    """Load the chain of an unpacked archive, as the service does, without the stages that are left out.

    Raises:
        SettingsError, WeightsError: as the service at its start.
        UsageError: the chain cannot do without one of the stages.
    """
    config = yaml.safe_load((folder / _CONFIG).read_text("utf-8"))
    options = dict(config["handler"])
    frame = FrameSettings.taken_from(options, {})
    # Last: the archive's copy of a package counts where it is not installed.
    sys.path.append(str(folder))
    choices = Choices(find_chain(options.pop("chain")).from_options(options, folder, device_index))
    choice = choices.asked_for({LEAVE_OUT_HEADER.lower(): ",".join(leave_out)})
    if isinstance(choice, Failure):
        raise UsageError(f"--leave-out: {choice.message}")
    chain = choices.chain(choice)
    known = {name: value for name, value in chain.limits.items() if name in Limits._fields}
    return Hosted(chain, Limits(**{"max_request_bytes": frame.max_request_bytes, **known}), frame.pages_per_batch)


def node_folder(folder: Path | None) -> Path:
    """The folder that a run's processes on a node share: the one given, or this user's among the temporary ones.

    Raises:
        PermissionError: it is somebody else's.
    """
    place = folder or Path(tempfile.gettempdir()) / f"quintet-{os.getuid()}"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = place.lstat()
    if found.st_uid != os.getuid() or place.is_symlink() or found.st_mode & 0o077:
        raise PermissionError(f"{place} belongs to another user, or is open to others: remove it or set TMPDIR")
    return place


def unpack_archive(folder: Path, digest: str, fetch: Callable[[], bytes]) -> Path:
    """Unpack an archive once a node; those that nobody uses any more are removed.

    Args:
        folder: the node's.
        digest: what tells this archive from others.
        fetch: gives its bytes.
    """
    place = folder / digest[:16]
    with _locked(folder / "archives.lock", fcntl.LOCK_EX):
        _remove_others(folder, place)
        if not place.is_dir():
            partial = folder / f"{place.name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            with zipfile.ZipFile(BytesIO(fetch())) as archive:
                archive.extractall(partial)
            partial.rename(place)
        _HELD.append(_lock(place.with_suffix(".used"), fcntl.LOCK_SH))
    return place


def _remove_others(folder: Path, place: Path) -> None:
    """Remove archives that no process holds."""
    for used in folder.glob("*.used"):
        if used.stem == place.name:
            continue
        try:
            with _locked(used, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(used.with_suffix(""), ignore_errors=True)
                used.unlink()
        except OSError:
            continue


def keep_to_cores(count: int, folder: Path, within_s: float = 20.0) -> list[int]:
    """Keep this thread, and what it starts, to so many cores that no other actor of this node has; returns them.

    The engine has as many threads as it is given cores. Ray gives away what a process has had a moment before that
    ends: cores that are held are waited for, `within_s`; then it is those that were free, or all if none was.
    """
    mine: list[int] = []
    ends_at = time.monotonic() + within_s
    while len(mine) < count:
        for core in sorted(os.sched_getaffinity(0) - set(mine)):
            if len(mine) < count:
                with suppress(BlockingIOError, PermissionError):
                    _HELD.append(_lock(folder / f"core-{core}.lock", fcntl.LOCK_EX | fcntl.LOCK_NB))
                    mine.append(core)
        if time.monotonic() > ends_at:
            break
        time.sleep(0.0 if len(mine) == count else _POLL_S)
    if mine:
        os.sched_setaffinity(0, mine)
    return mine


def visible_gpu(assigned: list[int]) -> int | None:
    """The number that this process knows its first GPU by, of those that Ray assigned; None without any."""
    if not assigned:
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = visible.split(",") if visible else []
    return names.index(str(assigned[0])) if str(assigned[0]) in names else int(assigned[0])


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    descriptor = _lock(path, how)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path, how: int) -> int:
    """Open and lock a file, by a record lock: unlike flock's it is not inherited by processes that outlive this one."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.lockf(descriptor, how)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
