"""Secrets in addresses starred out: what moco prints, writes or raises is passed on to others."""

from __future__ import annotations

import re

STARS = "***"

_SERVER = re.compile(r"(\b(?:https?|wss?)://)([^/?#\s]*)@", re.IGNORECASE)
"""RFC 3986: the userinfo of a web address ends before the first slash. Alone, without a colon, it is a token."""
_PORT_AND_QUERY = r"(?!\d+/[^\s?@]*\?)"
_DATABASE = re.compile(rf"(\b(?!https?:|wss?:)[a-z][\w+.-]*://[^:/?#@\s]*:){_PORT_AND_QUERY}(\S*)(?=@)", re.IGNORECASE)
"""SQLAlchemy takes any character in a password, also a slash."""
_NAMES = r"[\w.-]*(?:passw(?:or)?d|pwd|passphrase|token|secret|api[_-]?key|access[_-]?key|signature|credential)[\w.-]*"
_QUERY = re.compile(rf"((?:[?&;](?:{_NAMES}|sig|key|pass|auth|odbc_connect)|\bpassword)=)([^&\s#\"';]*)", re.IGNORECASE)
_VARIABLES = re.compile(r"(?:\$\{\w+\})+")


def starred(text: str) -> str:
    """The text with passwords and tokens of all addresses in it as `***`; `${NAME}` stands for none and stays."""
    text = _SERVER.sub(lambda found: f"{found[1]}{_userinfo(found[2])}@", text)
    for pattern in (_DATABASE, _QUERY):
        text = pattern.sub(lambda found: found[1] + _part(found[2]), text)
    return text


def secret_parts(text: str) -> tuple[str, ...]:
    """What `starred` would star in the text."""
    users = [userinfo.partition(":")[2] or userinfo for _, userinfo in _SERVER.findall(text)]
    found = [*users, *(part for pattern in (_DATABASE, _QUERY) for _, part in pattern.findall(text))]
    return tuple(part for part in found if _part(part) != part)


def _userinfo(text: str) -> str:
    user, colon, password = text.partition(":")
    return f"{user}:{_part(password)}" if colon else _part(user)


def _part(text: str) -> str:
    return text if not text or text.startswith(STARS) or _VARIABLES.fullmatch(text) else STARS
