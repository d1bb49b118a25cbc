"""`make audit`: what is asked, what is told, and that it never says "nothing found" when nothing was asked."""

from __future__ import annotations

import json
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from requirements import audit
from tests.conftest import ROOT, free_ports

ADVISORIES = {
    "GHSA-xxxx-yyyy-zzzz": {"aliases": ["CVE-2021-43797"], "summary": "header names"},
    "GHSA-new1-new2-new3": {"aliases": ["CVE-2099-0001"], "summary": "something new"},
}


@contextmanager
def osv(found: dict[str, list[str]]) -> Iterator[str]:
    """An OSV service that knows something about the packages of these names."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            known = [found.get(query["package"]["name"], []) for query in asked]
            self._say({"results": [{"vulns": [{"id": name} for name in names]} if names else {} for names in known]})

        def do_GET(self) -> None:
            self._say(ADVISORIES[self.path.rsplit("/", 1)[1]])

        def _say(self, document: dict) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_every_pin_and_every_bundled_library_is_asked_about() -> None:
    packages = audit.find_packages()
    names = {package.name for package in packages}
    assert {"torch", "requests", "pillow", "torchserve", "hatchling", "io.netty:netty-codec-http"} <= names
    assert len({package for package in packages if package.ecosystem == "PyPI"}) > 80
    assert all(package.version[0].isdigit() for package in packages)


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        ({}, 0, ["0 advisories"]),
        ({"io.netty:netty-codec-http": ["GHSA-xxxx-yyyy-zzzz"]}, 0, ["CVE-2021-43797", "known", "0 of them not in"]),
        ({"requests": ["GHSA-new1-new2-new3"]}, 1, ["CVE-2099-0001", "NEW", "something new", "1 of them not in"]),
    ],
)
def test_what_is_found_is_told_and_only_what_is_new_fails(
    capsys: pytest.CaptureFixture[str], found: dict, code: int, said: list[str]
) -> None:
    with osv(found) as url:
        assert audit.main(["--service", url]) == code
    output = capsys.readouterr().out
    assert [word for word in said if word not in output] == []


def test_a_service_that_cannot_be_reached_is_told_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--service", f"http://127.0.0.1:{free_ports(1)[0]}"]) == 2
    assert "NOTHING WAS CHECKED" in capsys.readouterr().err


def advisory(name: str, affected: Mapping[str, object], **more: object) -> dict:
    """An advisory in OSV's form, against a package of PyPI, or of Maven if its name has a colon."""
    package = {"ecosystem": "Maven" if ":" in name else "PyPI", "name": name}
    return {"id": "GHSA-new1-new2-new3", "modified": "2099-01-31T00:00:00Z", **more} | {
        "affected": [{"package": package, **affected}]
    }


def within(*events: dict[str, str]) -> dict:
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}


REQUESTS = {p.name: p.version for p in audit.find_packages()}["requests"]
# One for each ecosystem that hits nothing.
HARMLESS = [
    advisory("requests", within({"introduced": "0"}, {"fixed": "2.0"})),
    advisory("io.netty:netty-codec-http", within({"introduced": "0"}, {"fixed": "4.1.1.Final"})),
]


@pytest.mark.parametrize(
    ("planted", "code"),
    [
        (advisory("Requests", within({"introduced": "0"})), 1),
        (advisory("requests", within({"introduced": "2.0"}, {"fixed": "9999"})), 1),
        (advisory("requests", within({"introduced": "0"}, {"last_affected": REQUESTS})), 1),
        (advisory("requests", within({"introduced": "0"}, {"fixed": REQUESTS})), 0),
        (advisory("requests", within({"introduced": "9999"}, {"fixed": "1.0"}, {"introduced": "0"})), 0),
        (advisory("requests", within({"introduced": "0"}, {"fixed": "never"})), 1),
        (advisory("requests", {"versions": [f"{REQUESTS}.0"]}), 1),
        (advisory("requests", {"versions": ["1.0"], "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}), 0),
        (advisory("requests", within({"introduced": "0"}), withdrawn="2099-02-01T00:00:00Z"), 0),
        (advisory("requests-of-others", within({"introduced": "0"})), 0),
        (advisory("io.netty:netty-codec-http", within({"introduced": "0"}, {"fixed": "4.1.54.Final"})), 1),
        (advisory("io.netty:netty-codec-http", within({"introduced": "0"}, {"fixed": "4.1.53.Final"})), 0),
        (advisory("com.google.guava:guava", within({"introduced": "0"}, {"fixed": "32.0.0-android"})), 1),
        (
            advisory(
                "io.netty:netty-codec-http",
                within({"introduced": "0"}, {"fixed": "4.1.71.Final"}),
                aliases=["CVE-2021-43797"],
            ),
            0,
        ),
    ],
    ids=[
        "every version", "before a fix", "up to this one", "fixed in this one", "in no order", "no version",
        "listed, written differently", "ranges of commits", "withdrawn", "another package", "Maven, before a fix",
        "Maven, fixed in this one", "Maven, a qualifier", "known",
    ],
)  # fmt: skip
def test_a_planted_advisory_is_found_and_one_for_other_versions_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], planted: dict, code: int
) -> None:
    folder = tmp_path / "PyPI"
    folder.mkdir()
    with zipfile.ZipFile(folder / "all.zip", "w") as export:
        for place, document in enumerate(HARMLESS):
            export.writestr(f"{place}.json", json.dumps(document))
    (tmp_path / "planted.json").write_text(json.dumps(planted))
    assert audit.main(["--advisories", str(tmp_path)]) == code
    output = capsys.readouterr().out
    assert "advisories as of 2099-01-31" in output
    assert ("NEW" in output) == (code == 1)


def test_an_advisory_that_hits_two_pins_of_a_package_names_each_once(tmp_path: Path) -> None:
    pins = [audit.Package("PyPI", "numpy", version) for version in ("2.4.6", "2.5.5")]
    document = advisory("numpy", within({"introduced": "0"}))
    document["affected"] *= 2
    (tmp_path / "numpy.json").write_text(json.dumps(document))
    found, newest = audit.look_up(pins, [tmp_path])
    assert [hit.package.version for hit in found] == ["2.4.6", "2.5.5"]
    assert newest == document["modified"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.json", None, "gone.json"),
        ("all.zip", b"no zip", "all.zip"),
        ("a.json", b"no JSON", "a.json"),
        ("a.json", b"[]", "a.json"),
        ("a.json", json.dumps(HARMLESS[0]).encode(), "none for Maven"),
    ],
)
def test_files_that_cannot_answer_for_every_ecosystem_are_told_and_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert audit.main(["--advisories", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert "NOTHING WAS CHECKED" in error
    assert said in error


def test_bundled_libraries_are_final_releases_whose_numbers_say_their_order() -> None:
    versions = [package.version for package in audit.find_packages() if package.ecosystem == "Maven"]
    assert [version for version in versions if not re.fullmatch(r"[\d.]+(\.Final|-jre)?", version)] == []


def test_known_is_what_stands_in_the_first_cell_of_a_row() -> None:
    document = "CVE-1111-1\n| CVE-2222-2, GHSA-aaaa-bbbb-cccc | CVE-3333-3 |\n| what | CVE-4444-4 |\n"
    assert audit.known_ids(document) == {"CVE-2222-2", "GHSA-aaaa-bbbb-cccc"}
    assert "CVE-2021-43797" in audit.known_ids((ROOT / "docs" / "security.md").read_text("utf-8"))


def test_the_versions_of_bundled_libraries_are_those_in_the_jar() -> None:
    """Of those that say so themselves."""
    ts = pytest.importorskip("ts", exc_type=ImportError)
    listed = {package.name: package.version for package in audit.find_packages() if package.ecosystem == "Maven"}
    with zipfile.ZipFile(Path(ts.__file__).parent / "frontend" / "model-server.jar") as jar:
        netty = dict(
            line.split(".version=") for line in jar.read("META-INF/io.netty.versions.properties").decode().splitlines()
            if ".version=" in line
        )  # fmt: skip
        for name in (name for name in listed if name.startswith("io.netty:")):
            assert netty[name.removeprefix("io.netty:")] == listed[name], name
        assert listed["io.grpc:grpc-core"].encode() in jar.read("io/grpc/internal/GrpcUtil.class")
        assert f"log4j-core:jar:{listed['org.apache.logging.log4j:log4j-core']}".encode() in jar.read(
            "META-INF/DEPENDENCIES"
        )
        assert f"ImplementationVersion={listed['org.apache.groovy:groovy']}".encode() in jar.read(
            "META-INF/groovy-release-info.properties"
        )
