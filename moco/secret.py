"""An address that may hold a password, or name the environment variable that does."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

from moco.errors import ConfigError
from moco.redaction import STARS, UNREADABLE, fields, secret_parts, starred, starred_address

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_SHORTEST = 4
"""Shorter values are not looked for within messages: they would star half of the words."""
EXAMPLES = (
    "one such as sqlite:///FILE or postgresql+psycopg://me:${PASSWORD}@host/db, its password in the environment "
    "variable PASSWORD or written with %40 for @, %3A for :, %2F for /, %3F for ? and %23 for #"
)


@dataclass(frozen=True)
class Secret:
    """An address as it was written and as it is used."""

    written: str  # may name environment variables, whole (`${MOCO_DB}`) or inside (`postgresql://me:${PW}@host/db`)
    value: str = field(repr=False)  # with the variables' values; for connecting, never for showing
    hidden: tuple[str, ...] = field(default=(), repr=False)  # texts that no message may hold
    plain: str = field(default="", repr=False)  # the value as earlier versions took it: no variable is encoded

    @staticmethod
    def of(written: str | Secret, where: str = "address") -> Secret:
        """The address, its variables looked up; within a user, a password or an option they are percent-encoded.

        A ConfigError at the key path `where` if a variable is not set, or the address cannot be one, or moco has
        starred it.
        """
        if isinstance(written, Secret):
            return written
        if STARS in written:
            raise ConfigError(
                f"{where}: its password was left out ({starred_address(written)}), as in every file that moco writes; "
                f"give it again with --set {where}=ADDRESS, or keep it in an environment variable: {where}: ${{NAME}}"
            )
        names = _VARIABLE.findall(written)
        for name in names:
            if not os.environ.get(name):
                raise ConfigError(f"{where}: the environment variable {name} is not set; set it, or write the address")
        places, plain = fields(written), _VARIABLE.sub(lambda found: os.environ[found[1]], written)

        def put(found: re.Match[str]) -> str:
            inside = any(start <= found.start() < end for start, end, _ in places)
            return quote(os.environ[found[1]], safe=":%") if inside else os.environ[found[1]]

        value = _VARIABLE.sub(put, written)
        if UNREADABLE.match(value):
            raise ConfigError(f"{where}: this is no address (not shown, it may hold a password); expected {EXAMPLES}")
        parts = {piece for part in secret_parts(value) for piece in (part, *re.split("[@/?&=]", part))}
        parts |= {os.environ[name] for name in names}
        parts |= {decoded for part in parts for decoded in (unquote(part), unquote_plus(part))}
        return Secret(written, value, tuple(sorted(parts, key=lambda part: -len(part))), plain)

    @property
    def shown(self) -> str:
        """The address for people and files: as written, without a password that it holds."""
        return starred_address(self.written)

    @property
    def without_password(self) -> str:
        """The address that is used, without a password: by this a database is known again, however it was written."""
        return starred_address(self.value)

    @property
    def earlier(self) -> tuple[str, str]:
        """What earlier versions knew a database by: the whole address, then one with the passwords that they saw."""
        return self.plain, starred(self.plain)

    def hide(self, text: str) -> str:
        """The text without this address's secrets, nor those of any other address in it."""
        text = text.replace(self.value, self.shown) if self.value else text
        for part in self.hidden:
            text = text.replace(part, STARS) if len(part) >= _SHORTEST else text
        return starred(text)


def without_secrets(value: Any) -> Any:
    """JSON values in which the secrets of addresses are starred."""
    if isinstance(value, Mapping):
        return {key: without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return starred_address(value) if isinstance(value, str) else value


def variable(written: str, where: str) -> str:
    """The value of the one environment variable that a text names whole, `${NAME}`; it is never part of a message.

    A ConfigError at the key path `where` if the text is something else, or the variable is not set.
    """
    found = _VARIABLE.fullmatch(written)
    if found is None:
        raise ConfigError(f"{where}: expected the name of an environment variable, ${{NAME}}, and not the value itself")
    if not (value := os.environ.get(found[1])):
        raise ConfigError(f"{where}: the environment variable {found[1]} is not set")
    return value
