"""`make audit`: all that is pinned, and what TorchServe bundles, against the advisories of OSV.

Exit codes: 0 nothing that docs/security.md does not know; 1 something it does not know; 2 nothing could be asked.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

HERE = Path(__file__).resolve().parent
KNOWN = HERE.parent / "docs" / "security.md"
SERVICE = "https://api.osv.dev"
TIMEOUT_S = 30.0
# What OSV takes in one question.
_MOST_QUERIES = 1000


@dataclass(frozen=True, order=True)
class Package:
    """One package in one version.

    Attributes:
        ecosystem: as OSV calls it: PyPI or Maven.
        name: as the ecosystem calls it.
        version: as pinned.
    """

    ecosystem: str
    name: str
    version: str


@dataclass(frozen=True)
class Advisory:
    """What is known against a package.

    Attributes:
        package: the one.
        ids: all names of the advisory.
        summary: one line; empty if it has none.
    """

    package: Package
    ids: tuple[str, ...]
    summary: str


class UnreachableError(RuntimeError):
    """The service does not answer, with the reason."""


def find_packages(folder: Path = HERE) -> list[Package]:
    """All pins of the lock files, and what is bundled."""
    locked = {Package("PyPI", *pin) for lock in sorted(folder.glob("*.lock")) for pin in _pins(lock)}
    return sorted(locked | {Package("Maven", *pin) for pin in _pins(folder / "bundled.txt")})


def ask(packages: Sequence[Package], service: str = SERVICE) -> list[Advisory]:
    """What is known against these packages.

    Raises:
        UnreachableError: there is no answer, or one that cannot be understood.
    """
    try:
        return [advisory for batch in _batches(packages) for advisory in _ask(batch, service)]
    except (requests.RequestException, KeyError, TypeError, ValueError) as error:
        raise UnreachableError(str(error)) from error


def known_ids(document: str) -> set[str]:
    """The advisories that a document explains: those in the first cell of a table's row."""
    cells = [line.strip().strip("|").split("|")[0] for line in document.splitlines() if line.lstrip().startswith("|")]
    return set(re.findall(r"(?:CVE-\d+-\d+|GHSA(?:-\w{4}){3}|PYSEC-\d+-\d+)", " ".join(cells)))


def _pins(path: Path) -> list[tuple[str, ...]]:
    return re.findall(r"^([\w.:-]+)==([^\s;\\]+)", path.read_text("utf-8"), flags=re.MULTILINE)


def _batches(packages: Sequence[Package]) -> Iterable[Sequence[Package]]:
    return (packages[start : start + _MOST_QUERIES] for start in range(0, len(packages), _MOST_QUERIES))


def _ask(packages: Sequence[Package], service: str) -> list[Advisory]:
    """One question about many packages, then one about each advisory."""
    queries = [{"package": {"ecosystem": p.ecosystem, "name": p.name}, "version": p.version} for p in packages]
    answer = _json(requests.post(f"{service}/v1/querybatch", json={"queries": queries}, timeout=TIMEOUT_S))
    found = [
        (package, vulnerability["id"])
        for package, result in zip(packages, answer["results"], strict=True)
        for vulnerability in result.get("vulns", [])
    ]
    details = {name: _json(requests.get(f"{service}/v1/vulns/{name}", timeout=TIMEOUT_S)) for _, name in found}
    return [
        Advisory(package, (name, *details[name].get("aliases", [])), str(details[name].get("summary", "")))
        for package, name in found
    ]


def _json(answer: requests.Response) -> dict[str, Any]:
    answer.raise_for_status()
    return dict(answer.json())


def _line(advisory: Advisory, known: set[str]) -> str:
    package = advisory.package
    verdict = "known, see docs/security.md" if known & set(advisory.ids) else "NEW"
    return f"{package.name} {package.version}: {', '.join(advisory.ids)}: {advisory.summary} [{verdict}]\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service", default=SERVICE, help="base URL of an OSV service (default: %(default)s)")
    service = parser.parse_args(arguments).service.rstrip("/")
    packages = find_packages()
    try:
        advisories = ask(packages, service)
    except UnreachableError as error:
        sys.stderr.write(f"NOTHING WAS CHECKED: the advisories at {service} cannot be read: {error}\n")
        return 2
    known = known_ids(KNOWN.read_text("utf-8"))
    sys.stdout.writelines(_line(advisory, known) for advisory in advisories)
    new = sum(not known & set(advisory.ids) for advisory in advisories)
    sys.stdout.write(f"{len(packages)} packages, {len(advisories)} advisories, {new} of them not in docs/security.md\n")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
