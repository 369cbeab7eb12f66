"""Addresses whose secrets are starred, and addresses that an environment variable holds."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from sqlalchemy.engine import make_url

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


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("postgresql://me:hunter two@h/d", "postgresql://me:***@h/d"),
        ("postgresql://me:12/hunter2?b@h/d", "postgresql://me:***@h/d"),
        ("postgresql://me@corp:hunter2@h/d", "postgresql://me@corp:***@h/d"),
        ("postgresql://me:hun@ter2?x=1@h/d", "postgresql://me:***@h/d"),
        ("postgresql://me@h/d?password=hunter;two2&x=1", "postgresql://me@h/d?password=***&x=1"),
        ("postgresql://me@h/d?pass%77ord=hunter#two2", "postgresql://me@h/d?pass%77ord=***"),
        ("postgresql://me@h/d?password='hunter2'", "postgresql://me@h/d?password=***"),
        ("postgresql://me:${MOCO_PW}hunter2@h", "postgresql://me:***@h"),
        ("https://me:@hunter2@h", "https://me:***@h"),
        ("postgresql://h/d?user=me@server&password=", "postgresql://h/d?user=me@server&password="),
        ("databricks://scope:prefix", "databricks://scope:prefix"),
        ("http://[::1]:5000/x", "http://[::1]:5000/x"),
        ("./mlruns", "./mlruns"),
    ],
)
def test_an_address_is_taken_apart_as_those_do_it_who_connect(
    written: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCO_PW", "first")
    secret = Secret.of(written)
    assert secret.shown == shown
    assert without_secrets(written) == shown
    assert Secret.of(secret.value).shown == secret.without_password
    assert not any(part in f"{secret.shown} {secret.without_password}" for part in ("hun", "ter2", "two2"))


def test_no_piece_of_a_password_that_the_driver_cuts_is_in_a_message() -> None:
    secret = Secret.of("postgresql://me:hunter@two2?x=three/four@h/d")
    assert secret.hide("no host 'two2' for hunter, no option 'x': three") == "no host '***' for ***, no option 'x': ***"


@pytest.mark.parametrize(
    "written",
    [
        "me:hunter2@h/d", "//me:hunter2@h/d", "http://me:hun/hunter2@h:9", "http://me:hunter2#x@h", "http://me:12?hunter2@h",
        "https://me:p@ss/hunter2@h", "http://me:hunter2", "http://me:pw@h:hunter2/", "postgresql://me:hunter2",
        "postgresql://m/e:hunter2@h/d", "postgresql://me:p@ss/hunter2@h/d", "postgresql://me:p@hunter2@h/d",
        "postgresql://me:hunter2@h:abc/d", "$hunter2", "${hunter2-X}", "${hunter2",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_not_shown(written: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^tracking\.storage: this is no address .* expected one such as "
    ) as refused:
        Secret.of(written, "tracking.storage")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("password", ["p@ss9/w:rd", "p9/ss@rd#9", "9$%{ss}&?", "p%ss", "two words+", "é"])
def test_a_variable_within_an_address_may_hold_any_character(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCO_PW", password)
    written = "postgresql://me:${MOCO_PW}@h/d?sslpassword=${MOCO_PW}&x=1"
    secret = Secret.of(written)
    url = make_url(secret.value)
    assert (url.password, url.host, url.database) == (password, "h", "d")
    assert url.query == {"sslpassword": password, "x": "1"}
    assert secret.shown == written
    web = urlsplit(Secret.of("https://me:${MOCO_PW}@h:5000/x").value)
    assert (unquote(web.password or ""), web.hostname, web.port, web.path) == (password, "h", 5000, "/x")


def test_a_variable_of_user_and_password_or_of_a_path_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGIN", "me:hunter2")
    monkeypatch.setenv("PLACE", "h:5432/d?x=1")
    secret = Secret.of("postgresql://${LOGIN}@${PLACE}")
    assert secret.value == "postgresql://me:hunter2@h:5432/d?x=1"
    assert secret.hide("hunter2") == "***"


def test_a_variable_that_is_not_set_is_named_with_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCO_PW", "")
    with pytest.raises(ConfigError, match=r"^tracking\.storage: the environment variable MOCO_PW is not set"):
        Secret.of("postgresql://me:${MOCO_PW}@host/db", "tracking.storage")


def test_an_address_that_was_starred_is_not_connected_to() -> None:
    with pytest.raises(ConfigError, match=r"^tracking\.storage: its password was left out .*--set tracking\.storage="):
        Secret.of("postgresql://me:***@host/db", "tracking.storage")
    with pytest.raises(ConfigError, match=r"its password was left out \(postgresql://me:\*\*\*@host/db\)"):
        Secret.of("postgresql://me:***more@host/db", "tracking.storage")
