"""Holds what a round on Ray left against what an undisturbed run makes: nothing lost, nothing twice, nothing left."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from quintet_client.errors import OutputUnwritableError

from tests.chaos.account import Account
from tests.chaos.cluster.stage import ClusterRound
from tests.chaos.stage import wait_until

_GONE_WITHIN_S = 60


def settle(played: ClusterRound) -> Account:
    """Check one round after its last command has ended."""
    expected, found = played.stage.expected, played.ends()
    inputs = set(expected) | set(played.poison)
    ok = {page for page in expected if page in found and found[page].get("document") == expected[page]["document"]}
    failed = {page for page, code in played.codes.items() if page in found and _failed_with(found[page], code)}
    written = Counter(page for page, _ in played.rows())
    twice = {page for page, times in written.items() if times > 1 and not played.may_repeat}
    try:
        problems = tuple(_problems(played, inputs, found))
    except OutputUnwritableError as error:  # without a report: the last command has not ended by itself
        problems = (str(error),)
    return Account(len(inputs), len(ok), len(failed), len(inputs - ok - failed), len(twice), problems)


def _failed_with(end: dict[str, Any], code: str) -> bool:
    return (end["state"], end["code"]) == ("failed", code)


def _problems(played: ClusterRound, inputs: set[str], found: dict[str, dict[str, Any]]) -> list[str]:
    """The counts that have to agree, and what must not be there any more."""
    report = played.report()
    listed = {json.loads(line)["page_id"] for line in played.read("failed.jsonl").decode().splitlines()}
    by_state = {state: {page for page, end in found.items() if end["state"] == state} for state in ("ok", "failed")}
    documents = {page: end["document"].decode() for page, end in found.items() if end["state"] == "ok"}
    right = {
        "report.json": report["ok"] + report["failed"] + report["skipped"] == report["inputs"] == len(inputs),
        "left": report["left"] == 0,
        "the ledger": set(found) == inputs and by_state["ok"] | by_state["failed"] == inputs,
        "failed.jsonl": listed == by_state["failed"],
        "a row of several": all(result == documents.get(page) for page, result in played.rows()),
        "an actor is left: that": _gone(played),
    }
    return [f"{what} is wrong" for what, is_right in right.items() if not is_right]


def _gone(played: ClusterRound) -> bool:
    """Whether no process reads any more."""
    try:
        wait_until(lambda: not played.stage.nodes.actors(), _GONE_WITHIN_S)
    except TimeoutError:
        return False
    return True
