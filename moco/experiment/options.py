"""Options of plug-ins from plain values: checked field by field, by the dataclass that each plug-in declares."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from moco.errors import ConfigError, SpaceError, nearest
from moco.experiment.explain import explain, joined, refuse_what_is_not_plain
from moco.registry import OptionOfKind, plugin

Options = TypeVar("Options")


def made_of(cls: Any, given: object, where: str) -> Any:
    """A plug-in that is made of its options alone; a ConfigError says which option is not valid."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}: expected a mapping, got {given!r}")
    try:
        return cls(options_of(cls.Options, given, where))
    except SpaceError as error:
        raise ConfigError(str(error)) from error


def options_of(cls: type[Options], values: Mapping[str, Any], where: str) -> Options:
    """A plug-in's options dataclass of plain values by field name, as YAML gives them, in the section at `where`.

    The types of its fields are checked, nothing is converted but lists to tuples. A ConfigError names an unknown or
    missing key, a value of another type, or one that the dataclass itself refuses.
    """
    refuse_what_is_not_plain(values, where)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            raise ConfigError(
                f"{where}.{name}: unknown key{nearest(name, fields) if fields else '; it takes no options'}"
            )
    for name, field in fields.items():
        if name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}.{name}: is missing")
    hints = get_type_hints(cls, include_extras=True)
    try:
        return cls(**{name: _typed(hints[name], value, joined(where, name)) for name, value in values.items()})
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _typed(hint: Any, value: object, where: str) -> Any:
    for mark in getattr(hint, "__metadata__", ()):
        if isinstance(mark, OptionOfKind):
            return _named(mark.kind, value, where)
    adapter: TypeAdapter[Any] = TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))
    try:
        return adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        raise explain(error, value, where) from None


def _named(kind: str, value: object, where: str) -> Any:
    """A plug-in by its name alone, or as {name: …} with its options beside the name."""
    given = {"name": value} if isinstance(value, str) else value
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ConfigError(f"{where}: expected the name of a {kind}, or {{name: …}} with its options, got {value!r}")
    options = {key: option for key, option in given.items() if key != "name"}
    return made_of(plugin(kind, given["name"], where), options, where)
