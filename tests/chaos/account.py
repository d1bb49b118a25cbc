"""Holds what a round left against what an undisturbed run makes: nothing lost, nothing twice, nothing torn."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.stage import Round


@dataclass(frozen=True)
class Account:
    """What became of a round's pages.

    Attributes:
        pages: inputs.
        ok: pages with a complete answer, equal to that of the undisturbed run.
        failed: pages that were made to fail, and did, with a code that is allowed.
        lost: pages with any other end or none.
        duplicated: pages whose end was entered more than once.
        problems: what else is wrong, in words.
    """

    pages: int
    ok: int
    failed: int
    lost: int
    duplicated: int
    problems: tuple[str, ...]


def settle(played: Round) -> Account:
    """Check one round after its last client has ended."""
    output, expected = played.output, played.stage.expected
    inputs = set(expected) | set(played.poison)
    answers = _answers(output)
    states, codes, ends = _ledger(output)
    ok = {page for page in expected if _are_alike(answers.get(page), expected[page]) and states.get(page) == "ok"}
    failed = {page for page in played.poison if states.get(page) == "failed" and codes[page] in played.codes}
    failed -= set(answers)
    twice = {page for page, times in ends.items() if times > 1}
    return Account(
        len(inputs),
        len(ok),
        len(failed),
        len(inputs - ok - failed),
        len(twice),
        tuple(_problems(output, inputs, answers, states)),
    )


def _problems(output: Path, inputs: set[str], answers: dict[str, bytes], states: dict[str, str]) -> list[str]:
    """The three counts that have to agree, and what must not lie about."""
    report = json.loads((output / "report.json").read_bytes())
    listed = {json.loads(line)["page_id"] for line in (output / "failed.jsonl").read_text().splitlines()}
    by_state = {state: {page for page, known in states.items() if known == state} for state in states.values()}
    ends = {
        "report.json": report["ok"] + report["failed"] + report["skipped"] == report["inputs"] == len(inputs),
        "left": report["left"] == 0,
        "the ledger": set(states) == inputs and set(by_state) <= {"ok", "failed"},
        "files and ok rows": set(answers) == by_state.get("ok", set()),
        "failed.jsonl": listed == by_state.get("failed", set()),
        "partial files": not list(output.rglob("*.partial")),
        "answers that are no JSON": all(_is_json(answer) for answer in answers.values()),
    }
    return [f"{what} is wrong" for what, right in ends.items() if not right]


def _answers(output: Path) -> dict[str, bytes]:
    """The bytes of all answers by page id."""
    root = output / "pages"
    return {str(path.relative_to(root)).removesuffix(".json"): path.read_bytes() for path in root.rglob("*.json")}


def _ledger(output: Path) -> tuple[dict[str, str], dict[str, str], dict[str, int]]:
    """State and code of each page, and how often an end of it was entered."""
    with contextlib.closing(sqlite3.connect(output / "ledger.sqlite")) as ledger:
        rows = ledger.execute("SELECT page_id, state, code FROM pages").fetchall()
        entered = ledger.execute("SELECT page_id, count(*) FROM entered GROUP BY page_id").fetchall()
    return {page: state for page, state, _ in rows}, {page: code for page, _, code in rows}, dict(entered)


def _are_alike(found: bytes | None, expected: bytes) -> bool:
    """Whether two answers are the same; fractions may differ by what a real chain's rounding makes of its batches."""
    if found is None or not _is_json(found):
        return False
    return found == expected or _agree(json.loads(found), json.loads(expected))


def _agree(one: object, other: object) -> bool:
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(_agree(one[key], other[key]) for key in one)
        case list(), list():
            return len(one) == len(other) and all(map(_agree, one, other))
        case float(), float():
            return math.isclose(one, other, rel_tol=1e-3, abs_tol=0.2)
    return one == other


def _is_json(answer: bytes) -> bool:
    try:
        return isinstance(json.loads(answer), dict)
    except ValueError:
        return False


def undisturbed(played: Round) -> dict[str, bytes]:
    """The answers of a round in which nothing happened."""
    return _answers(played.output)
