"""An archive is packed again when what it was packed from has changed, and only then."""

import json
import zipfile

import pytest
from quintet.operations.archive import record_hash
from quintet.operations.contents import CONTENTS, contents, is_current

CHAIN = "zoo.chain:Zoo"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The package of a chain, on the path."""
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    folder = tmp_path / "packages" / "zoo"
    folder.mkdir(parents=True)
    for name in ("__init__.py", "chain.py"):
        (folder / name).write_text(f"# {name}\n")
    return folder


@pytest.fixture
def networks(tmp_path):
    folder = tmp_path / "store" / "zoo"
    folder.mkdir(parents=True)
    (folder / "provenance.json").write_text("{}")
    return folder


@pytest.fixture
def archive(package, networks):
    """The archive, as far as this question goes."""
    path = networks.parent / "zoo.mar"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(CONTENTS, json.dumps(contents(CHAIN, networks)))
    record_hash(path)
    return path


def test_what_has_not_changed_need_not_be_packed(archive, package, networks):
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "chain.pyc").write_bytes(b"compiled")
    assert is_current(archive, CHAIN, networks)


@pytest.mark.parametrize("name", ["chain.py", "settings.py", "model-config.yaml", "operations/words.py"])
def test_changed_or_added_code_asks_for_another_archive(archive, package, networks, name):
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_text("# another\n")
    assert not is_current(archive, CHAIN, networks)


@pytest.mark.parametrize("name", ["provenance.json", "sources/scene.sha256", "sources/model-config.yaml"])
def test_other_networks_and_settings_ask_for_another_archive(archive, networks, name):
    (networks / name).parent.mkdir(exist_ok=True)
    (networks / name).write_text("another")
    assert not is_current(archive, CHAIN, networks)


def test_an_archive_that_was_brought_without_its_networks_is_taken_if_its_code_is_the_same(archive, package, networks):
    (networks / "provenance.json").unlink()
    assert is_current(archive, CHAIN, networks)
    (package / "chain.py").write_text("# another\n")
    assert not is_current(archive, CHAIN, networks)


def test_an_archive_that_is_pinned_is_never_replaced(archive, package, networks, monkeypatch):
    (package / "chain.py").write_text("# another\n")
    monkeypatch.setenv("QUINTET_ARCHIVE_SHA256", "0" * 64)
    assert is_current(archive, CHAIN, networks)


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_what_is_no_archive_or_does_not_say_what_is_in_it_is_packed_again(archive, networks, content):
    if content is None:
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("of an earlier version", "")
    else:
        archive.write_bytes(content)
    assert not is_current(archive, CHAIN, networks)


@pytest.mark.parametrize("name", ["zoo.mar", "zoo.mar.sha256"])
def test_an_archive_without_its_hash_and_a_hash_without_its_archive_are_not_enough(archive, networks, name):
    (archive.parent / name).unlink()
    assert not is_current(archive, CHAIN, networks)


@pytest.mark.parametrize("chain", ["nosuch:Chain", "sys:Chain", "hollow:Chain"])
def test_a_chain_without_files_of_its_own_is_left_to_whoever_loads_it(package, networks, chain):
    (package.parent / "hollow").mkdir()
    assert contents(chain, networks)["code"]


def test_a_chain_that_is_one_file_counts_too(package, networks):
    (package.parent / "small.py").write_text("x = 1\n")
    before = contents("small:Small", networks)
    (package.parent / "small.py").write_text("x = 2\n")
    assert contents("small:Small", networks)["code"] != before["code"]
