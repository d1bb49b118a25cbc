"""Every check of `quintet chain check` is seen to fail, each for a chain that breaks its promise and no other."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from quintet.authoring import check
from quintet.authoring.check import check_chain
from quintet.authoring.checks import bodies, running
from quintet.authoring.checks.comparison import difference
from quintet.errors import Code, Failure, SettingsError
from quintet_client import cli
from quintet_client.errors import ExitCode

from tests.unit.authoring.small_chains import write_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(autouse=True)
def _briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_COUNT", 8)
    monkeypatch.setattr(running, "_SIZES", (1, 8))
    monkeypatch.setattr(running, "_TIMED_S", 0.01)


def failed(name: str, store: Path, folder: Path | None = None) -> dict[str, str]:
    return check_chain(f"tests.unit.authoring.small_chains:{name}", store, folder, io.StringIO())


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("KeepsAll", {}),
        (
            "LosesOrder",
            {
                "one outcome a body, in order": "outcome 0 is that of body",
                "a batch of 64 is 64 of one": "differs in a batch",
                "order does not matter": "differs shuffled",
                "a bad body hurts nobody": "",
            },
        ),
        ("DropsOne", dict.fromkeys((
            "one outcome a body, in order", "a batch of 64 is 64 of one", "order does not matter",
            "waits and copies do not grow", "memory is bounded", "throughput",
        ), "7 outcomes for")),
        (
            "LeaksIntoNeighbours",
            {
                "a batch of 64 is 64 of one": "differs in a batch of 64 and alone: outcome.colour",
                "a bad body hurts nobody": "differs beside an empty body and alone",
            },
        ),
        ("RaisesOnABadBody", {"a bad body hurts nobody": "raises for 3 bodies: UnidentifiedImageError"}),
        ("HasNoCodes", {"a bad body hurts nobody": "an empty body gives Failure(code=''"}),
        ("CopiesEach", {"waits and copies do not grow": "1 copies to the host for 1 body, 8 for 8"}),
        ("WaitsForEach", {"waits and copies do not grow": "1 waits for 1 body, 8 for 8"}),
        ("Grows", {"memory is bounded": "it grows"}),
        ("ForgetsItsSettings", {"fingerprints": "brightest does not change it"}),
        ("TakesAnySetting", {"wrong settings are refused": "no_such_setting: 1 is accepted"}),
        ("TrustsItsWeights", {"changed weights are refused": "it starts with a changed networks/colours.bin"}),
        ("Unpickles", {"nothing is unpickled": "it unpickles pathlib"}),
        ("HasNoJson", {"a chain, results as plain JSON": "no plain JSON"}),
        (
            "FailsAlways",
            {"a chain, results as plain JSON": "no body has a result", "one outcome a body, in order": "shows nothing"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_chain_fails_the_checks_of_the_promises_that_it_breaks(
    store: Path, chain: str, expected: dict[str, str]
) -> None:
    found = failed(chain, store)
    assert sorted(found) == sorted(expected)
    assert [words for promise, words in found.items() if expected[promise] not in words] == []


def test_every_check_is_in_the_table_with_its_verdict(store: Path) -> None:
    table = io.StringIO()
    check_chain("tests.unit.authoring.small_chains:Grows", store, None, table)
    rows = table.getvalue().splitlines()
    assert [row.split("  ")[0] for row in rows] == list(check.CHECKS)
    assert [row for row in rows if " failed " in row] == [row for row in rows if "it grows" in row] != []


def test_the_command_ends_with_0_if_all_is_ok_and_with_1_if_not(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for chain, code in (("KeepsAll", 0), ("HasNoCodes", 1)):
        words = ["chain", "check", f"tests.unit.authoring.small_chains:{chain}", "--model-store", str(store)]
        assert cli.main(words) == code
        assert (" failed " in capsys.readouterr().out) == bool(code)


def test_where_packages_lack_the_command_says_how_to_get_them() -> None:
    code = "import sys; sys.modules['torch'] = None; from quintet_client.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "chain", "check", "pages"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == ExitCode.USAGE
    assert "quintet chain check needs torch: pip install 'quintet[serve]'" in ended.stderr


def test_bodies_of_a_folder_are_given_instead_of_drawn_ones(store: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no files"):
        failed("KeepsAll", store, tmp_path)
    (tmp_path / "a.txt").write_text("no image")
    assert "give others with --bodies" in failed("KeepsAll", store, tmp_path)["a chain, results as plain JSON"]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"score": 0.5}, {"score": 0.509}, ""),
        ({"score": 0.5}, {"score": 0.52}, "outcome.score is 0.5 and 0.52"),
        ({"box_px": [[10.0, 20.0]]}, {"box_px": [[10.0, 20.9]]}, ""),
        ({"box_px": [10.0, 20.0]}, {"box_px": [10.0, 22.0]}, "outcome.box_px[1] is 20.0 and 22.0"),
        ({"text": "a"}, {"text": "b"}, "outcome.text is 'a' and 'b'"),
        ({"count": 1}, {"count": 2}, "outcome.count is 1 and 2"),
        ({"lines": []}, {"lines": [{}]}, "outcome.lines is [] and [{}]"),
        (Failure(Code.EMPTY_BODY, "a"), Failure(Code.EMPTY_BODY, "b"), ""),
        (Failure(Code.EMPTY_BODY, "a"), {"text": ""}, "outcome is Failure("),
    ],
)
def test_outcomes_are_the_same_to_a_tolerance_of_their_floats_alone(one: object, other: object, words: str) -> None:
    found = difference(one, other)
    assert found.startswith(words)
    assert bool(found) == bool(words)
