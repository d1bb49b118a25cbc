"""The tokens that open the gate, and files of them that change, are half written or go."""

import json
import os

import pytest
from quintet.errors import SettingsError
from quintet.operations.tokens import Tokens, read_given

GIVEN, LATER, OWN = "g" * 64, "l" * 64, "OwnOfNow"


def keys(token):
    return json.dumps({"inference": {"key": token}, "management": {"key": "Managing"}})


def write(file, text, mode=0o600):
    """Write it as something new: with another time than before."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    file.write_text(text)
    file.chmod(mode)
    os.utime(file, ns=(before + 1, before + 1))
    return file


@pytest.fixture
def files(tmp_path):
    return write(tmp_path / "key_file.json", keys(OWN)), write(tmp_path / "token", f"{GIVEN}\n")


def test_torchserves_own_and_the_given_token_let_in_and_no_other(files):
    tokens = Tokens(*files)
    assert tokens.let_in(f"Bearer {OWN}".encode())
    assert tokens.let_in(f"Bearer {GIVEN}".encode())
    for other in (b"", b"Bearer ", b"Bearer Managing", GIVEN.encode(), f"Bearer {GIVEN[:-1]}".encode(), b"Bearer \xff"):
        assert not tokens.let_in(other)
    assert tokens.own() == OWN


def test_without_a_given_token_and_before_torchserve_has_a_key_nothing_lets_in(tmp_path):
    tokens = Tokens(tmp_path / "key_file.json")
    assert not tokens.let_in(b"Bearer ")
    assert not tokens.own()


def test_what_is_written_anew_counts_at_once_and_what_is_torn_or_gone_does_not(files):
    key_file, given = files
    tokens = Tokens(key_file, given)
    assert tokens.let_in(f"Bearer {GIVEN}".encode())
    for text in (keys("Next")[:20], "{}", "[]"):
        write(key_file, text)
        assert tokens.own() == OWN
    write(key_file, keys("Next"))
    assert tokens.own() == "Next"
    write(given, "short")
    assert tokens.let_in(f"Bearer {GIVEN}".encode())
    write(given, LATER)
    assert tokens.let_in(f"Bearer {LATER}".encode())
    assert not tokens.let_in(f"Bearer {GIVEN}".encode())
    given.unlink()
    assert tokens.let_in(f"Bearer {LATER}".encode())


@pytest.mark.parametrize(
    ("text", "mode", "expected"),
    [
        ("a" * 31, 0o600, "at least 32 printable ASCII characters"),
        ("two words of more than thirty-two characters", 0o600, "one word"),
        ("é" * 40, 0o600, "one word"),
        (GIVEN, 0o644, "others may read the token in .*: chmod 600"),
        (GIVEN, 0o620, "chmod 600"),
    ],
)
def test_a_file_that_holds_no_token_or_is_open_to_others_is_refused(tmp_path, text, mode, expected):
    with pytest.raises(SettingsError, match=expected):
        read_given(write(tmp_path / "token", text, mode))


def test_a_file_that_is_not_there_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(SettingsError, match=r"no token in .*nowhere .*openssl rand -hex 32"):
        read_given(tmp_path / "nowhere")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_owner_is_trusted_as_a_secret_of_kubernetes_is(tmp_path):
    file = write(tmp_path / "token", GIVEN, 0o440)
    os.chown(file, 1234, 1234)
    assert read_given(file) == GIVEN
