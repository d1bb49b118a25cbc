"""The token file: plain or TorchServe's, read again when the token is refused."""

import json

import pytest
from quintet_client.errors import UsageError
from quintet_client.service.tokens import TokenFile, parse_token

KEY_FILE = json.dumps({"management": {"key": "m"}, "inference": {"key": "abc123", "expiration time": "later"}})


@pytest.mark.parametrize(("text", "token"), [("abc\n", "abc"), (KEY_FILE, "abc123"), ("  a-b_c.d=  ", "a-b_c.d=")])
def test_a_token_is_found_in_both_kinds_of_file(text, token):
    assert parse_token(text) == token


@pytest.mark.parametrize(
    "text", ["", " \n", "two words", "line\nbreak", "{}", "{broken", '{"inference": {"key": 7}}', "é"]
)
def test_what_is_no_token_is_refused(text):
    with pytest.raises(ValueError, match=r"token|JSON"):
        parse_token(text)


def test_a_missing_file_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="key_file"):
        TokenFile(tmp_path / "none")


def test_a_refused_token_is_renewed_only_if_the_file_has_changed(tmp_path):
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o600)
    tokens = TokenFile(path, grace_s=0)
    assert not tokens.renew("old")
    path.write_text("new")
    assert tokens.renew("old")
    assert tokens.current() == "new"
    assert tokens.renew("old"), "another thread has renewed it already"
    path.write_text('{"half')
    assert not tokens.renew("new")
    assert tokens.current() == "new"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o660])
def test_a_token_file_that_others_may_read_or_write_is_refused_with_the_remedy(tmp_path, mode):
    path = tmp_path / "token"
    path.write_text("secret")
    path.chmod(mode)
    with pytest.raises(UsageError, match="chmod 600") as refusal:
        TokenFile(path)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_token_file_of_its_owner_alone_is_taken(tmp_path, mode):
    path = tmp_path / "token"
    path.write_text("secret")
    path.chmod(mode)
    assert TokenFile(path).current() == "secret"


def test_a_file_that_loses_its_privacy_in_mid_run_is_not_read_again(tmp_path):
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o600)
    tokens = TokenFile(path, grace_s=0)
    path.write_text("new")
    path.chmod(0o644)
    assert not tokens.renew("old")
    assert tokens.current() == "old"
