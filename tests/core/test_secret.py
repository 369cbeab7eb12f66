"""Addresses whose secrets are starred, and addresses that an environment variable holds."""

from __future__ import annotations

import pytest

from moco.errors import ConfigError, RunFolderError
from moco.redaction import starred
from moco.secret import Secret, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql+psycopg://me:se/c@r:et@host/db", "postgresql+psycopg://me:***@host/db"),
        ("http://a:b@host", "http://a:***@host"),
        ("https://token@host/path?x=y@z", "https://***@host/path?x=y@z"),
        ("postgresql://host/db?user=me&password=s3", "postgresql://host/db?user=me&password=***"),
        ("postgresql://h/d?sslpassword=s3&sslmode=require", "postgresql://h/d?sslpassword=***&sslmode=require"),
        ("https://h/p?api_key=s3&access_token=s4#x", "https://h/p?api_key=***&access_token=***#x"),
        ("mssql://h/?odbc_connect=PWD%3Ds3", "mssql://h/?odbc_connect=***"),
        ("cannot open 'mysql://me:secret@h/d': no", "cannot open 'mysql://me:***@h/d': no"),
        ("connection failed: host=h password=s3 user=me", "connection failed: host=h password=*** user=me"),
        ("postgresql://me:${PW}@host/${DB}", "postgresql://me:${PW}@host/${DB}"),
    ],
)
def test_passwords_and_tokens_are_starred(text: str, shown: str) -> None:
    assert starred(text) == shown
    assert starred(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///a@b.db", "sqlite:////home/x:y@z.db", "x", "http://127.0.0.1:5000", "http://host:8080/a@b",
        "${MOCO_DB}", "postgresql://me@host:5432/db", "postgresql://host:5432/db?user=me@server", "C:\\runs\\a", "https://h/p?tile=3",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert starred(text) == text


def test_values_within_lists_and_mappings_are_starred() -> None:
    config = {"tracking": {"storage": "postgresql://me:secret@h/db"}, "list": ["http://a:b@h", 3, None], "seed": 1}
    assert without_secrets(config) == {
        "tracking": {"storage": "postgresql://me:***@h/db"}, "list": ["http://a:***@h", 3, None], "seed": 1,
    }  # fmt: skip


def test_every_error_of_mocos_is_starred_whoever_quotes_the_address() -> None:
    assert str(RunFolderError("no answer from http://me:hunter2@host")) == "no answer from http://me:***@host"


@pytest.mark.parametrize("written", ["${MOCO_DB}", "postgresql://me:${MOCO_PW}@host/db"])
def test_a_variable_stands_for_the_address_or_a_part_of_it(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCO_DB", "postgresql://me:hunt%20er2@host/db")
    monkeypatch.setenv("MOCO_PW", "hunt%20er2")
    secret = Secret.of(written, "tracking.storage")
    assert secret.value == "postgresql://me:hunt%20er2@host/db"
    assert secret.shown == written
    said = secret.hide(f"cannot reach {secret.value}: password 'hunt er2', written hunt%20er2, is wrong")
    assert said == f"cannot reach {secret.shown}: password '***', written ***, is wrong"
    assert "hunt" not in repr(secret)


def test_a_variable_that_is_not_set_is_named_with_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCO_PW", "")
    with pytest.raises(ConfigError, match=r"^tracking\.storage: the environment variable MOCO_PW is not set"):
        Secret.of("postgresql://me:${MOCO_PW}@host/db", "tracking.storage")


def test_an_address_that_was_starred_is_not_connected_to() -> None:
    with pytest.raises(ConfigError, match=r"^tracking\.storage: its password was left out .*--set tracking\.storage="):
        Secret.of("postgresql://me:***@host/db", "tracking.storage")
