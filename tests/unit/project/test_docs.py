"""The documents name what there is: settings, codes, options, files, sections and tasks, with their present values."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import re
from pathlib import Path

import openapi_spec_validator
import pytest
import yaml
from quintet import __version__
from quintet.errors import HTTP_STATUS, Code
from quintet.pages.settings import Settings
from quintet.photos.settings import PhotoSettings
from quintet_client import cli
from quintet_client.api.results import Line, PageResult, Region
from quintet_client.errors import ExitCode
from quintet_client.input.documents.codes import DocumentCode
from quintet_client.output.formats import FORMATS
from quintet_client.output.ledger import Row
from quintet_client.run.events import Events
from quintet_client.run.report import Clock, State, Tally

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = (ROOT / "docs" / "settings.md").read_text("utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
CLI = (ROOT / "docs" / "cli.md").read_text("utf-8")
API = (ROOT / "docs" / "api.md").read_text("utf-8")
OPENAPI = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text("utf-8"))
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
VIEWER = (ROOT / "docs" / "viewer.md").read_text("utf-8")
RELIABILITY = (ROOT / "docs" / "reliability.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def table_rows(text: str) -> dict[str, list[str]]:
    """All rows of a document's tables by the words in backticks in their first cell; the other cells as they are."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines() if "|" in line]
    return {name: row[1:] for row in rows for name in re.findall(r"`([^`]+)`", row[0])}


def as_value(cell: str) -> object:
    """A cell of a table as YAML reads it, backticks off."""
    return yaml.safe_load(cell.replace("`", ""))


def cli_commands() -> dict[str, argparse.ArgumentParser]:
    """The commands of `quintet` and their parsers."""
    actions = cli.command_parser()._actions
    return next(action for action in actions if isinstance(action, argparse._SubParsersAction)).choices


def options_of(command: str) -> dict[str, object]:
    """The long options of a command of `quintet` and their defaults."""
    actions = cli_commands()[command]._actions
    named = [(name, action) for action in actions for name in action.option_strings]
    return {name: None if action.default == () else action.default for name, action in named if name.startswith("--")}


def make_targets() -> list[str]:
    """The tasks that `make help` lists."""
    return re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE)


ALL_SETTINGS = {setting.name: setting for chain in (PhotoSettings, Settings) for setting in dataclasses.fields(chain)}


@pytest.mark.parametrize("setting", ALL_SETTINGS.values(), ids=lambda setting: setting.name)
def test_a_setting_is_documented_with_its_default_and_range(setting: dataclasses.Field) -> None:
    default, allowed, *_ = table_rows(SETTINGS)[setting.name]
    assert as_value(default) == (list(setting.default) if isinstance(setting.default, tuple) else setting.default)
    if "choices" in setting.metadata:
        assert tuple(map(yaml.safe_load, re.findall(r"`([^`]+)`", allowed))) == setting.metadata["choices"]
    else:
        low, high = allowed.split(" to ")
        assert (float(low), float(high)) == (setting.metadata["low"], setting.metadata["high"])


def test_every_key_of_the_shipped_model_config_is_documented_with_its_value() -> None:
    documented = table_rows(SETTINGS)
    options = yaml.safe_load((ROOT / "handlers" / "model-config.yaml").read_text("utf-8"))["handler"]
    assert {key: as_value(documented[key][0]) for key in options} == options


def test_what_is_said_of_config_properties_is_what_it_says() -> None:
    files = (ROOT / "config.properties", ROOT / "handlers" / "model-config.yaml")
    config = "\n".join(path.read_text("utf-8") for path in files)
    section = SETTINGS.split("`config.properties`\n", 1)[1].split("\n## ", 1)[0]
    found = {key: re.search(rf'^\s*"?{key}"?[=:] ?(.+?),?\\?$', config, re.MULTILINE) for key in table_rows(section)}
    assert [key for key, value in found.items() if value is None] == []
    for key, row in table_rows(section).items():
        assert row[0].replace("`", "") == found[key][1], key


@pytest.mark.parametrize("code", Code)
def test_a_code_is_documented_with_its_status(code: Code) -> None:
    assert table_rows(API)[code.value][0] == str(HTTP_STATUS[code])


def test_every_option_of_quintet_read_is_documented() -> None:
    assert set(options_of("read")) - {"--help"} <= set(table_rows(SETTINGS))


def test_every_option_of_quintet_batch_is_documented_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUINTET_MODEL", raising=False)
    section = SETTINGS.split("quintet batch INPUT OUTPUT", 1)[1].split("\n## ", 1)[0]
    documented, shared = table_rows(section), options_of("read")
    for option, default in options_of("batch").items():
        if option in shared:
            assert (f"`{option}`" in section or option == "--help", shared[option]) == (True, default), option
        else:
            shown = documented[option][0].replace("`", "")
            assert {"none": None}.get(shown, yaml.safe_load(shown)) == default, option


def test_every_option_of_quintet_status_is_documented_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUINTET_SERVER", raising=False)
    monkeypatch.delenv("QUINTET_MODEL", raising=False)
    monkeypatch.delenv("QUINTET_TOKEN_FILE", raising=False)
    documented = table_rows(OPERATIONS)
    words = {"none": None, "off": False}
    for option, default in options_of("status").items():
        if option != "--help":
            shown = documented[option][0].replace("`", "")
            assert words.get(shown, yaml.safe_load(shown)) == default, option


@pytest.mark.parametrize("code", DocumentCode)
def test_a_documents_failure_is_documented(code: DocumentCode) -> None:
    section = RELIABILITY.split("### Documents", 1)[1].split("\n### ", 1)[0]
    assert code.value in table_rows(section)


@pytest.mark.parametrize("command", ["view", "report"])
def test_every_option_of_the_viewer_is_documented(command: str) -> None:
    assert set(options_of(command)) - {"--help"} <= set(table_rows(VIEWER))


def test_every_option_of_quintet_export_is_documented() -> None:
    section = SETTINGS.split("quintet export OUTPUT", 1)[1].split("\n## ", 1)[0]
    assert set(options_of("export")) - {"--help"} == set(table_rows(section)) & {
        "--to",
        "--input",
        "--into",
        "--beside-input",
        "--password-file",
        "--writers",
    }


def test_every_format_is_documented_with_where_it_goes() -> None:
    documented = table_rows((ROOT / "docs" / "outputs.md").read_text("utf-8"))
    for form in FORMATS:
        assert form.suffix in documented[form.name][1], form.name


def test_every_option_of_the_service_is_documented() -> None:
    section = OPERATIONS.split("## Install and start", 1)[1].split("\n## ", 1)[0]
    options = {name for command in ("serve", "stop", "models") for name in options_of(command)} - {"--help"}
    assert options == {name for name in table_rows(section) if name.startswith("--")}


def test_every_option_of_quintet_chain_is_documented() -> None:
    actions = cli_commands()["chain"]._actions
    kinds = next(action for action in actions if isinstance(action, argparse._SubParsersAction)).choices.values()
    options = {name for kind in kinds for action in kind._actions for name in action.option_strings}
    section = CLI.split("## Chains", 1)[1]
    assert {name for name in options if name.startswith("--")} - {"--help"} == set(re.findall(r"`(--[a-z-]+)", section))


def test_documented_defaults_of_options_are_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUINTET_SERVER", raising=False)
    monkeypatch.delenv("QUINTET_MODEL", raising=False)
    monkeypatch.delenv("QUINTET_TOKEN_FILE", raising=False)
    words = {"none": None, "off": False}
    for option, default in options_of("read").items():
        if option not in {"--help", "--loaders"}:  # --loaders depends on the machine
            shown = table_rows(SETTINGS)[option][0].replace("`", "")
            assert words.get(shown, yaml.safe_load(shown)) == default, option


def test_every_event_is_documented_with_its_fields() -> None:
    stream = io.StringIO()
    events, tally = Events(stream), Tally(2, 0, 0)
    events.start(tally, None)
    events.progress(State.of(tally, Clock(), 0.0), 2, 1)
    events.failed([Row("a.jpg", "failed", code="EMPTY_BODY")])
    events.end(ExitCode.OK, "", None)
    for line in stream.getvalue().splitlines():
        fields = json.loads(line)
        documented = " ".join(table_rows(CLI)[fields.pop("event")])
        assert set(fields) - {"schema"} <= set(re.findall(r"`([^`]+)`", documented)), line
        assert f'"schema": "{fields["schema"]}"' in CLI


def test_every_command_is_documented() -> None:
    assert [name for name in cli_commands() if f"quintet {name}" not in CLI] == []


def test_every_exit_code_is_documented() -> None:
    section = SETTINGS.split("### Exit codes", 1)[1]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)] == sorted(ExitCode)


@pytest.mark.parametrize("target", make_targets())
def test_a_task_of_the_makefile_is_explained(target: str) -> None:
    assert re.search(rf"make {target}\b", README + CONTRIBUTING)


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
def test_links_between_documents_lead_to_files(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives a document's headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
def test_links_to_a_section_lead_to_a_heading(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", path.read_text("utf-8"))
    missing = [(name, anchor) for name, anchor in links if anchor not in anchors(path.parent / name if name else path)]
    assert missing == []


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
def test_files_of_the_tree_that_a_document_names_exist(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    paths = re.findall(r"`((?:handlers|client|tests|benchmarks|docs|requirements)/[\w./-]*[\w/])`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert [name for name in re.findall(r"`(test_\w+\.py)`", text) if name not in tests] == []


def test_the_openapi_description_is_valid_and_of_this_version() -> None:
    openapi_spec_validator.validate(OPENAPI)
    assert OPENAPI["info"]["version"] == __version__


def test_the_openapi_description_has_every_code_at_its_status() -> None:
    assert OPENAPI["components"]["schemas"]["Code"]["enum"] == list(Code)
    responses = OPENAPI["paths"]["/predictions/quintet"]["post"]["responses"]
    assert [code for code in Code if code not in str(responses[str(HTTP_STATUS[code])])] == []


@pytest.mark.parametrize(
    ("schema", "record"), [("Page", PageResult), ("Region", Region), ("Line", Line)], ids=lambda value: str(value)[:10]
)
def test_the_clients_records_have_the_fields_of_the_openapi_description(schema: str, record: type) -> None:
    described = set(OPENAPI["components"]["schemas"][schema]["properties"]) - {"schema"}
    assert {field.name for field in dataclasses.fields(record)} - {"extra"} == described
