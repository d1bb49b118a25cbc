"""`make audit`: all that is pinned, and what TorchServe bundles, against the advisories of OSV.

The advisories are asked for at OSV, or read from files without a network: OSV's exports (PyPI/all.zip and
Maven/all.zip), or advisories in its JSON form, one a file.

Exit codes: 0 nothing that docs/security.md does not know; 1 something it does not know; 2 nothing was checked, because
the service did not answer, or the files are damaged or hold no advisory for an ecosystem that packages come from.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import InvalidVersion, Version

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


class AdvisoriesError(RuntimeError):
    """The advisories cannot be had, with the reason."""


def find_packages(folder: Path = HERE) -> list[Package]:
    """All pins of the lock files, and what is bundled."""
    locked = {Package("PyPI", *pin) for lock in sorted(folder.glob("*.lock")) for pin in _pins(lock)}
    return sorted(locked | {Package("Maven", *pin) for pin in _pins(folder / "bundled.txt")})


def ask(packages: Sequence[Package], service: str = SERVICE) -> list[Advisory]:
    """What the service knows against these packages.

    Raises:
        AdvisoriesError: there is no answer, or one that cannot be understood.
    """
    try:
        return [advisory for batch in _batches(packages) for advisory in _ask(batch, service)]
    except (requests.RequestException, KeyError, TypeError, ValueError) as error:
        raise AdvisoriesError(str(error)) from error


def look_up(packages: Sequence[Package], paths: Sequence[Path]) -> tuple[list[Advisory], str]:
    """What files know against these packages, and the date of their newest advisory (ISO 8601).

    Args:
        packages: what to look for.
        paths: OSV's exports (.zip), advisories (.json) and folders that hold either at any depth.

    Raises:
        AdvisoriesError: a file cannot be read or is no advisory, or there is none for an ecosystem of the packages.
    """
    pinned: dict[tuple[str, str], list[Package]] = {}
    for package in packages:
        pinned.setdefault((package.ecosystem, canonicalize_name(package.name)), []).append(package)
    found: dict[Advisory, None] = {}
    ecosystems, newest = set(), ""
    for source, text in _documents(paths):
        try:
            record = json.loads(text)
            newest = max(newest, record["modified"])
            ecosystems |= {_ecosystem(affected) for affected in record.get("affected", [])}
            found |= dict.fromkeys(_matches(pinned, record))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise AdvisoriesError(f"{source} is no advisory in OSV's form ({error!r})") from error
    if missing := {package.ecosystem for package in packages} - ecosystems:
        raise AdvisoriesError(f"there is none for {' and '.join(sorted(missing))}")
    return list(found), newest


def known_ids(document: str) -> set[str]:
    """The advisories that a document explains: those in the first cell of a table's row."""
    cells = [line.strip().strip("|").split("|")[0] for line in document.splitlines() if line.lstrip().startswith("|")]
    return set(re.findall(r"(?:CVE-\d+-\d+|GHSA(?:-\w{4}){3}|PYSEC-\d+-\d+)", " ".join(cells)))


def _documents(paths: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Where each advisory stands, and its JSON."""
    try:
        for path in paths:
            if path.is_dir():
                yield from _documents(sorted(p for p in path.rglob("*") if p.suffix in {".json", ".zip"}))
            elif path.suffix == ".zip":
                with zipfile.ZipFile(path) as export:
                    names = (name for name in export.namelist() if name.endswith(".json"))
                    yield from ((f"{path}: {name}", export.read(name)) for name in names)
            else:
                yield str(path), path.read_bytes()
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise AdvisoriesError(f"{path}: {error}") from error


def _matches(pinned: Mapping[tuple[str, str], Iterable[Package]], record: Mapping[str, Any]) -> Iterator[Advisory]:
    """What an advisory says against packages, which are given by ecosystem and name."""
    if record.get("withdrawn"):
        return
    for affected in record.get("affected", []):
        name = canonicalize_name(affected.get("package", {}).get("name", ""))
        for package in pinned.get((_ecosystem(affected), name), []):
            if _is_affected(package, affected):
                yield Advisory(package, (record["id"], *record.get("aliases", [])), record.get("summary", ""))


def _ecosystem(affected: Mapping[str, Any]) -> str:
    """Without the repository that may follow: ``Maven:https://...``; empty for advisories on commits alone."""
    return str(affected.get("package", {}).get("ecosystem", "")).partition(":")[0]


def _is_affected(package: Package, affected: Mapping[str, Any]) -> bool:
    """OSV's rule: the version is listed, or lies in a range. What cannot be compared counts as a hit."""
    if canonicalize_version(package.version) in map(canonicalize_version, affected.get("versions", [])):
        return True
    ranges = [entry["events"] for entry in affected.get("ranges", []) if entry["type"] != "GIT"]
    try:
        return any(_is_within(_ordered(package, package.version), _bounds(package, events)) for events in ranges)
    except InvalidVersion:
        return True


def _bounds(package: Package, events: Iterable[Mapping[str, str]]) -> list[tuple[Version, str]]:
    return sorted((_ordered(package, bound), kind) for event in events for kind, bound in event.items())


def _is_within(version: Version, bounds: Iterable[tuple[Version, str]]) -> bool:
    """Whether a version comes after an ``introduced``, and not after the ``fixed`` or ``last_affected`` of it."""
    within = False
    for bound, kind in bounds:
        if kind == "introduced":
            within = within or version >= bound
        elif kind == "fixed":
            within = within and version < bound
        elif kind == "last_affected":
            within = within and version <= bound
    return within


def _ordered(package: Package, version: str) -> Version:
    """A version that can be compared; of Maven's the numbers at its front: all that we use are final releases."""
    numbers = re.match(r"\d+(\.\d+)*", version) if package.ecosystem == "Maven" else None
    return Version(numbers[0] if numbers else version)


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", default=SERVICE, help="base URL of an OSV service (default: %(default)s)")
    parser.add_argument(
        "--advisories", type=Path, nargs="+", metavar="PATH", help="zip or JSON files, or folders of them; no network"
    )
    options = parser.parse_args(arguments)
    packages = find_packages()
    try:
        if options.advisories:
            advisories, newest = look_up(packages, options.advisories)
        else:
            advisories, newest = ask(packages, options.service.rstrip("/")), "today"
    except AdvisoriesError as error:
        sys.stderr.write(f"NOTHING WAS CHECKED: the advisories cannot be read: {error}\n")
        return 2
    known = known_ids(KNOWN.read_text("utf-8"))
    sys.stdout.writelines(_line(advisory, known) for advisory in advisories)
    new = sum(not known & set(advisory.ids) for advisory in advisories)
    sys.stdout.write(
        f"{len(packages)} packages, {len(advisories)} advisories, {new} of them not in docs/security.md; "
        f"advisories as of {newest[:10]}\n"
    )
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
