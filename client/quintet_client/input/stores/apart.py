"""Work in a process of its own, that this one stays free of what the work starts."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Protocol, TypeVar

_Result = TypeVar("_Result")


class Aside(Protocol):
    """Calls a function with its arguments, in some process."""

    def __call__(self, work: Callable[..., _Result], *arguments: object) -> _Result:
        """Return what the function returns, or raise what it raises."""


def here(work: Callable[..., _Result], *arguments: object) -> _Result:
    """Call a function in this process, which will not be forked any more."""
    return work(*arguments)


def apart(work: Callable[..., _Result], *arguments: object) -> _Result:
    """Call a function in a forked process; returns what it returns, or raises what it raises."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(receiving, sending, work, arguments))
    process.start()
    sending.close()
    try:
        result, error = receiving.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"a process that reads from a store ended with {process.exitcode}") from None
    finally:
        receiving.close()
    process.join()
    if error is not None:
        raise error
    returned: _Result = result
    return returned


def _work(
    receiving: Connection, sending: Connection, work: Callable[..., object], arguments: tuple[object, ...]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's affair
    receiving.close()  # if the parent dies, sending fails and this ends
    outcome: tuple[object, Exception | None]
    try:
        outcome = (work(*arguments), None)
    except Exception as error:  # noqa: BLE001 - the process's outermost boundary: raised again in the parent
        outcome = (None, error)
    sending.send(outcome)
