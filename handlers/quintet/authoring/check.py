"""`quintet chain check`: whether a chain keeps what every chain promises, on this machine, with its real weights."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from quintet.authoring.checks import answers, running, start
from quintet.authoring.checks.bodies import bodies_in, draw_bodies
from quintet.authoring.checks.subject import BrokenPromiseError, Subject
from quintet.frame.chain import find_chain
from quintet.operations.locations import model_store as usual_model_store
from quintet.operations.names import store_of

# Memory is measured before other chains are started beside the first one.
CHECKS: Mapping[str, Callable[[Subject], str]] = {
    "a chain, results as plain JSON": answers.is_a_chain,
    "one outcome a body, in order": answers.one_outcome_a_body,
    "a batch of 64 is 64 of one": answers.a_batch_is_its_bodies_alone,
    "order does not matter": answers.order_does_not_matter,
    "a bad body hurts nobody": answers.a_bad_body_hurts_nobody,
    "waits and copies do not grow": running.waits_do_not_grow,
    "memory is bounded": running.memory_is_bounded,
    "throughput": running.throughput,
    "fingerprints": start.fingerprints_say_what_changes,
    "wrong settings are refused": start.wrong_settings_are_refused,
    "changed weights are refused": start.changed_weights_are_refused,
    "nothing is unpickled": start.nothing_is_unpickled,
}


def check_chain(name: str, model_store: Path | None, bodies: Path | None, table: TextIO) -> dict[str, str]:
    """Start a chain and check it; write a row a check, and return the words of those that failed, by name.

    Args:
        name: `module:Class`, or that of an entry point.
        model_store: where its networks are; where `quintet models` writes them, if None.
        bodies: a folder with files that the chain takes; images are drawn, if None.
        table: where the rows go, each when it is known.

    Raises:
        SettingsError: there is no such chain, or no bodies.
        WeightsError: its networks are missing or are not what their provenance says.
    """
    chain_class = find_chain(name)
    store = model_store or store_of(usual_model_store(), name)
    chain = chain_class.from_options({}, store)
    chain.warm_up()
    subject = Subject(chain_class, store, chain, bodies_in(bodies) if bodies else draw_bodies())
    failed = {}
    for promise, check in CHECKS.items():
        begin = time.perf_counter()
        try:
            verdict, words = "ok", check(subject)
        except BrokenPromiseError as error:
            verdict, words = "failed", str(error)
        except Exception as error:  # noqa: BLE001 - of whatever type: it is in the table
            verdict, words = "failed", f"{type(error).__name__}: {error}"
        if verdict == "failed":
            failed[promise] = words
        table.write(f"{promise:<31}  {verdict:<6}  {time.perf_counter() - begin:5.1f} s  {words}\n")
        table.flush()
    return failed
