"""Secrets in addresses starred out: what moco prints, writes or raises is passed on to others."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

STARS = "***"

_SERVER = re.compile(r"(\b(?:https?|wss?)://)([^/?#\s]*)@", re.IGNORECASE)
"""RFC 3986: the userinfo of a web address ends before the first slash. Alone, without a colon, it is a token."""
_PORT_AND_QUERY = r"(?!\d+/[^\s?@]*\?)"
_DATABASE = re.compile(rf"(\b(?!https?:|wss?:)[a-z][\w+.-]*://[^:/?#@\s]*:){_PORT_AND_QUERY}(\S*)(?=@)", re.IGNORECASE)
"""SQLAlchemy takes any character in a password, also a slash."""
_NAMES = (
    r"(?:[\w.-]*(?:passw(?:or)?d|pwd|passphrase|token|secret|api[_-]?key|access[_-]?key|signature|credential)[\w.-]*"
    r"|sig|key|pass|auth|odbc_connect)"
)
_NAME = re.compile(_NAMES, re.IGNORECASE)
_QUERY = re.compile(rf"((?:[?&;]{_NAMES}|\bpassword)=)([^&\s#\"';]*)", re.IGNORECASE)
_VARIABLES = re.compile(r"(?:\$\{\w+\})+")

_WEB_LOGIN = re.compile(r"(?:https?|wss?)://(?:([^:/?#]*):)?([^/?#]*)@", re.IGNORECASE)
_LOGIN = re.compile(r"(?!https?:|wss?:)[\w+.${}-]+://([^:/]*)(?::(.*))?@", re.IGNORECASE | re.DOTALL)
"""SQLAlchemy's, but that the password goes on to the last @: it is meant so, or an option's @ is starred with it."""
_OPTION = re.compile(r"[?&]([^=&]*)=([^&]+)")
UNREADABLE = re.compile(
    r"""(?:https?|wss?)://(?: [^/?#]*[/?#].*@                                        # a password cut in two
                            | (?:[^/?#]*@)?+ [^/?#@:[]*:(?!\d*(?:[/?#]|$)) )         # a port that is no number
      | (?!https?:|wss?:|databricks)[\w+.-]+://                                      # both, for SQLAlchemy
            (?: (?:[^:/]*:[^@]*@ | [^:/@]+/) [^?]*@ | (?:[^:/]*(?::[^@]*)?@)?+ [^/?@:[]*:(?!\d*(?:[/?]|$)) )
      | (?!.*://).*[@$]                                                              # no scheme""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
"""What is no address: those who connect would take a part of a password for the host, the port or the path."""


def starred(text: str) -> str:
    """The text with passwords and tokens of all addresses in it as `***`; `${NAME}` stands for none and stays."""
    text = _SERVER.sub(lambda found: f"{found[1]}{_userinfo(found[2])}@", text)
    for pattern in (_DATABASE, _QUERY):
        text = pattern.sub(lambda found: found[1] + _part(found[2]), text)
    return text


def fields(address: str) -> list[tuple[int, int, bool]]:
    """User, password and options as those read them who connect: from where, to where, and whether it is a secret."""
    login = _WEB_LOGIN.match(address) or _LOGIN.match(address)
    users = [(*login.span(part), part == 2) for part in (1, 2) if login[part]] if login else []
    options = _OPTION.finditer(address, login.end() if login else 0)
    return users + [(*option.span(2), bool(_NAME.fullmatch(unquote_plus(option[1])))) for option in options]


def starred_address(address: str) -> str:
    """The text, an address as a whole, with its secrets as `***`; `starred` looks for addresses within a text."""
    for start, end in reversed([(start, end) for start, end, secret in fields(address) if secret]):
        address = address[:start] + _part(address[start:end].removeprefix(STARS) or STARS) + address[end:]
    return starred(address)


def secret_parts(text: str) -> tuple[str, ...]:
    """What `starred_address` would star in the text."""
    users = [userinfo.partition(":")[2] or userinfo for _, userinfo in _SERVER.findall(text)]
    users += [text[start:end] for start, end, secret in fields(text) if secret]
    found = [*users, *(part for pattern in (_DATABASE, _QUERY) for _, part in pattern.findall(text))]
    return tuple(part for part in found if _part(part) != part)


def _userinfo(text: str) -> str:
    user, colon, password = text.partition(":")
    return f"{user}:{_part(password)}" if colon else _part(user)


def _part(text: str) -> str:
    return text if not text or text.startswith(STARS) or _VARIABLES.fullmatch(text) else STARS
