"""NOTICE and the SBOM say what the lock files, the networks' sources and the installed packages say."""

from __future__ import annotations

import json
import re
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from quintet.pages.weights import SOURCES
from quintet.photos.weights import SOURCES as PHOTO_SOURCES

from tests.conftest import ROOT

NOTICE = (ROOT / "NOTICE").read_text("utf-8")
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
# Families of licences, in SPDX's words and in those of older metadata.
FAMILY = re.compile(r"\b(?:GPL|LGPL|AGPL|MPL|Apache|0BSD|BSD|MIT|ISC|Zlib|PSF|OFL|NVIDIA|CC0|BSL)", re.IGNORECASE)


def pins(lock: Path) -> set[tuple[str, str]]:
    return set(re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text("utf-8"), re.MULTILINE))


def names(*locks: str) -> set[str]:
    return {canonicalize_name(name) for lock in locks for name, _ in pins(ROOT / "requirements" / f"{lock}.lock")}


def licences(heading: str) -> list[tuple[str, str]]:
    """The packages under a heading of NOTICE, each with its licence."""
    section = NOTICE.partition(f"\n{heading}\n")[2].split("\n\n")[1]
    lines = re.sub(r"\n +", " ", section).splitlines()
    return [(name, licence) for licence, _, listed in (line.partition(": ") for line in lines)
            for name in listed.split(", ")]  # fmt: skip


RUN = licences("To run the client and the service (client.lock, serve.lock)")
DEVELOP = licences("For exports, development and tests (dev.lock, peers.lock, setup.lock)")


def test_every_locked_package_stands_in_the_notice_once_and_no_other() -> None:
    run = names("client", "serve")
    assert sorted(name for name, _ in RUN) == sorted(run)
    assert sorted(name for name, _ in DEVELOP) == sorted(names("dev", "peers", "setup") - run)


def declared(name: str) -> set[str]:
    """The families of licences that an installed package declares."""
    package = metadata.metadata(name)
    classifiers = [line for line in package.get_all("Classifier", []) if line.startswith("License")]
    for said in (package["License-Expression"], package["License"], " ".join(classifiers)):
        # "Dual License" says no family, and is not the last word.
        if families := FAMILY.findall((said or "").replace("Mozilla Public License", "MPL")):
            return {family.upper() for family in families}
    return set()


def test_no_installed_package_declares_a_licence_that_the_notice_does_not_name() -> None:
    listed = dict(RUN + DEVELOP)
    installed = {canonicalize_name(package.name) for package in metadata.distributions()} & set(listed)
    stale = {
        name: (listed[name], unnamed)
        for name in installed
        if (unnamed := declared(name) - {family.upper() for family in FAMILY.findall(listed[name])})
    }
    assert stale == {}
    assert [name for name in installed - {"cuda-toolkit", "isoduration"} if not declared(name)] == []


def test_the_notice_names_the_sources_of_all_networks() -> None:
    rows = re.findall(r"^(\w+) +\| ([\w-]+ [\d.]+) +\| (\S+)$", NOTICE, re.MULTILINE)
    sources = dict.fromkeys((*SOURCES, *PHOTO_SOURCES))
    assert rows == [(source.stage, f"{source.wheel} {source.version}", source.licence) for source in sources]


def test_what_the_notice_says_of_rapidocrs_weights_is_what_the_package_says() -> None:
    pytest.importorskip("rapidocr")
    stated = next(path for path in metadata.files("rapidocr") or [] if path.name == "MODEL_LICENSES.md").read_text()
    assert "Baidu and/or the applicable PaddleOCR rights holders" in re.sub(r"\s+", " ", stated)
    assert [source.file for source in SOURCES if source.wheel == "rapidocr" and source.file_sha256 not in stated] == []


@pytest.mark.slow  # 23 s of CPU when none is built: five files, each validated
def test_the_sbom_holds_every_pin_of_every_lock_file_with_its_hashes() -> None:
    subprocess.run(["make", "--silent", "sbom"], cwd=ROOT, check=True)
    for lock in LOCKS:
        document = json.loads((ROOT / "build" / "sbom" / f"{lock.stem}.cdx.json").read_text("utf-8"))
        components = document["components"]
        assert document["bomFormat"] == "CycloneDX"
        assert {(component["name"], component["version"]) for component in components} == pins(lock)
        hashes = {entry["content"] for component in components for place in component["externalReferences"]
                  for entry in place["hashes"]}  # fmt: skip
        assert hashes == set(re.findall(r"--hash=sha256:(\w+)", lock.read_text("utf-8")))
