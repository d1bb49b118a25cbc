"""docs/your-own-models.md, run from its first command to its last in a fresh copy of the tree, on free ports."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import ROOT, encode, loopback_properties

DOCUMENT = (ROOT / "docs" / "your-own-models.md").read_text("utf-8")
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text("utf-8")
PHOTOS = 5


def commands() -> list[str]:
    """The blocks of commands of the section that promises to be run."""
    section = DOCUMENT.split("## From nothing to a bulk run", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def fresh_tree(folder: Path) -> dict[str, str]:
    """The files of the tree as git has or would have them, an environment of their own, photos; returns addresses."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    _environment(folder / ".venv", folder)
    addresses = loopback_properties()
    config = folder / "config.properties"
    text = config.read_text()
    for key, value in addresses.items():
        text = re.sub(rf"^{key}=.*$", f"{key}={value}", text, flags=re.MULTILINE)
    config.write_text(text)
    (folder / "photos").mkdir()
    for number in range(PHOTOS):
        photo = Image.effect_noise((300 + 20 * number, 240), 60).convert("RGB")
        (folder / "photos" / f"{number}.jpg").write_bytes(encode(photo, "JPEG"))
    return addresses


def _environment(folder: Path, tree: Path) -> None:
    """What `make setup` makes, with the packages of this environment and the tree's own code before them."""
    venv.create(folder, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    paths = [tree / "handlers", tree / "client", sysconfig.get_path("purelib")]
    (packages / "tree.pth").write_text("".join(f"{path}\n" for path in paths))
    command = folder / "bin" / "quintet"
    command.write_text(f"#!{folder}/bin/python\nimport sys\nfrom quintet_client.cli import main\nsys.exit(main())\n")
    command.chmod(0o755)
    (folder / ".installed").touch()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_tutorial_runs_from_its_first_command_to_its_last(tmp_path: Path) -> None:
    tree = tmp_path / "quintet"
    addresses = fresh_tree(tree)
    environment = {
        **{key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "MAKEFLAGS", "MAKELEVEL"}},
        "QUINTET_SERVER": addresses["inference_address"],
    }
    said = ""
    try:
        for block in commands():
            text = block.replace("http://127.0.0.1:8082", addresses["metrics_address"])
            ended = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=tree, env=environment, capture_output=True, text=True, timeout=900, check=False,
            )  # fmt: skip
            assert ended.returncode == 0, f"{text}\n{ended.stdout}\n{ended.stderr}"
            said += ended.stdout
    finally:
        subprocess.run(["make", "stop"], cwd=tree, env=environment, check=False, capture_output=True, timeout=120)
    assert re.search(r"^nothing is unpickled +ok ", said, re.MULTILINE)
    assert re.search(r'^quintet_stage_seconds_sum\{.*stage="keypoints".*\}', said, re.MULTILINE)
    report = json.loads((tree / "out" / "report.json").read_text())
    assert (report["ok"], report["failed"]) == (PHOTOS, 0)
    stored = json.loads((tree / "model_store" / "zoo" / "provenance.json").read_text())["networks"]
    assert stored["scene"]["source"]["file"] == "scene.pt"
    assert "scene" in json.loads((tree / "out" / "pages" / "0.jpg.json").read_text())


def test_the_gains_of_habits_are_those_of_the_performance_page() -> None:
    rows = re.findall(r"\| (\w+) \| ([\d.]+) \| (?:\S ([\d.]+) )?\|$", DOCUMENT, re.MULTILINE)
    assert [row[0] for row in rows] == ["a", "c1", "c2", "c3", "c4", "c5", "d2"]
    before = 0.0
    for name, rate, gain in rows:
        assert re.search(rf"^\| {name}: [^|]+\| {rate} \|", PERFORMANCE, re.MULTILINE), name
        if gain:
            assert float(gain) == pytest.approx(float(rate) / before, abs=0.006)
        before = float(rate)


def test_the_shown_table_has_the_checks_there_are() -> None:
    code = "from quintet.authoring.check import CHECKS; print('\\n'.join(CHECKS))"
    names = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.splitlines()
    shown = re.findall(r"^(.+?) +ok +[\d.]+ s  ", DOCUMENT, re.MULTILINE)
    assert shown == names[: len(shown)]
