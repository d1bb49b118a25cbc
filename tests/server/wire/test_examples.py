"""The examples of docs/api.md and README.md, run as they stand there against the real service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from quintet.operations import service as torchserve

from tests.conftest import ROOT, draw_page, encode
from tests.unit.documents.made_documents import pdf_of

LANGUAGES = {"python": [sys.executable], "javascript": ["node"], "bash": ["bash"]}
SUFFIXES = {"python": ".py", "javascript": ".mjs", "bash": ".sh"}
READ = ("page.jpg", "letter.pdf", 'Path("scans")')
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples() -> list[tuple[str, str, str]]:
    """Where an example stands, its language and its code: every block that reads page.jpg, letter.pdf or scans/."""
    found = []
    for name in ("README.md", "docs/api.md"):
        blocks = FENCE.findall((ROOT / name).read_text("utf-8"))
        reading = [block for block in blocks if any(name in block[1] for name in READ)]
        found += [(f"{name}-{number}-{language}", language, code) for number, (language, code) in enumerate(reading)]
    return found


@pytest.fixture
def workplace(service: torchserve.Service, tmp_path: Path) -> Path:
    """A folder as the examples expect it: tokens, a page, more pages."""
    (tmp_path / "build" / "serve").mkdir(parents=True)
    shutil.copy(service.token_file, tmp_path / "build" / "serve")
    page = encode(draw_page(["Total 12.50"], (320, 160)), "JPEG")
    (tmp_path / "page.jpg").write_bytes(page)
    (tmp_path / "letter.pdf").write_bytes(pdf_of([draw_page(["Total 12.50"], (320, 160))]))
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "good.jpg").write_bytes(page)
    (tmp_path / "scans" / "bad.jpg").write_bytes(page[:300])
    return tmp_path


def test_both_documents_have_examples() -> None:
    assert {(name.split("-")[0], language) for name, language, _ in examples()} >= {
        ("README.md", "bash"), ("README.md", "python"),
        ("docs/api.md", "bash"), ("docs/api.md", "python"), ("docs/api.md", "javascript"),
    }  # fmt: skip


@pytest.mark.parametrize(("language", "code"), [row[1:] for row in examples()], ids=[row[0] for row in examples()])
def test_an_example_reads_the_page(service: torchserve.Service, workplace: Path, language: str, code: str) -> None:
    for program in (LANGUAGES[language][0], *(["curl"] if "curl " in code else [])):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    script = workplace / f"example{SUFFIXES[language]}"
    script.write_text(code.replace("http://127.0.0.1:8080", service.inference_url), "utf-8")
    variables = {"QUINTET_SERVER": service.inference_url, "QUINTET_TOKEN_FILE": "build/serve/key_file.json"}
    packages = os.pathsep.join([str(ROOT / "client"), str(ROOT / "handlers")])
    ended = subprocess.run(
        [*LANGUAGES[language], script.name],
        cwd=workplace,
        env={**os.environ, "PYTHONPATH": packages, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Total 12.50" in ended.stdout, ended.stdout + ended.stderr
    if "scans" in code:
        assert re.search(r"bad\.jpg.*IMAGE_DECODE_FAILED", ended.stdout)
