"""`quintet chain new` writes a package under its own name, whole or not at all."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from quintet_client import cli
from quintet_client.errors import ExitCode


def test_a_new_chain_is_a_package_under_its_own_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["chain", "new", "my_zoo", "--folder", str(tmp_path)]) == ExitCode.OK
    project = tmp_path / "my_zoo"
    assert "quintet chain check my_zoo.chain:MyZooChain" in capsys.readouterr().out
    names = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert names >= {"pyproject.toml", "my_zoo/__init__.py", "my_zoo/chain.py", "my_zoo/weights.py"}
    assert "tests/test_my_zoo.py" in names
    for name in names:
        text = (project / name).read_text("utf-8")
        assert not re.search("newchain", text, re.IGNORECASE)
        if name.endswith(".py"):
            ast.parse(text)
    points = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    assert points["quintet.chains"] == {"my_zoo": "my_zoo.chain:MyZooChain"}
    linted = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "120", "."]
    assert subprocess.run(linted, cwd=project, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("name", ["Zoo", "2zoo", "my-zoo", "../zoo", "class", "", "torch", "json"])
def test_a_name_that_cannot_be_a_package_of_its_own_is_refused(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert cli.main(["chain", "new", name, "--folder", str(tmp_path)]) == ExitCode.USAGE
    assert name in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "mine.py").write_text("mine")
    assert cli.main(["chain", "new", "zoo", "--folder", str(tmp_path)]) == ExitCode.USAGE
    assert [path.name for path in tmp_path.rglob("*.py")] == ["mine.py"]


def test_a_chain_that_is_not_there_is_said_in_words(caplog: pytest.LogCaptureFixture) -> None:
    assert cli.main(["chain", "check", "nowhere.chain:Nothing"]) == ExitCode.USAGE
    assert "there is no chain 'nowhere.chain:Nothing'" in caplog.text
