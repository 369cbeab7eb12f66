"""Options of plug-ins from plain values: checked field by field, by the dataclass that each plug-in declares."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from moco.errors import ConfigError, SpaceError, nearest
from moco.experiment.explain import explain, joined, refuse_what_is_not_plain
from moco.registry import OptionOfKind, blaming, made_by, plugin

Options = TypeVar("Options")


def made_of(kind: str, cls: Any, given: object, where: str, beside: Iterable[str] = ()) -> Any:
    """A plug-in that is made of its options alone; a ConfigError says which option is not valid."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}: expected a mapping, got {given!r}")
    try:
        return made_by(cls, kind, cls.name, where, options_of(cls.Options, given, where, beside))
    except SpaceError as error:
        raise ConfigError(str(error)) from error


def options_of(cls: type[Options], values: Mapping[str, Any], where: str, beside: Iterable[str] = ()) -> Options:
    """A plug-in's options dataclass of plain values by field name, as YAML gives them, in the section at `where`.

    The types of its fields are checked, nothing is converted but lists to tuples. `beside` are the section's own keys,
    which an unknown one may have meant. A ConfigError names an unknown or missing key, a value of another type, one
    that the dataclass itself refuses, or a dataclass that does not work.
    """
    refuse_what_is_not_plain(values, where)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            near = nearest(name, {*fields, *beside})
            near = near if fields or "did you mean" in near else "; it takes no options"
            raise ConfigError(f"{where}.{name}: unknown key{near}")
    for name, field in fields.items():
        if name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}.{name}: is missing")
    with blaming(f"{where}: the options {cls.__module__}.{cls.__qualname__} do not work"):
        hints = get_type_hints(cls, include_extras=True)
        given = {name: _typed(hints[name], value, joined(where, name)) for name, value in values.items()}
        try:
            made = cls(**given)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from error
        json.dumps(dataclasses.asdict(made))  # type: ignore[call-overload]
    return made


def _typed(hint: Any, value: object, where: str) -> Any:
    for mark in getattr(hint, "__metadata__", ()):
        if isinstance(mark, OptionOfKind):
            name, options = name_and_options(mark.kind, value, where)
            return made_of(mark.kind, plugin(mark.kind, name, where), options, where, ["name"])
    adapter: TypeAdapter[Any] = TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))
    try:
        return adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        raise explain(error, value, where) from None


def name_and_options(kind: str, given: object, where: str) -> tuple[str, dict[str, Any]]:
    """Both of a plug-in that is given by its name alone, or as {name: …} with its options beside the name."""
    options = dict(given) if isinstance(given, Mapping) else {"name": given}
    name = options.pop("name", None)
    if not isinstance(name, str):
        near = "; did you mean 'name'?" if get_close_matches("name", map(str, options), 1, 0.5) else ""
        raise ConfigError(f"{where}: expected a {kind}'s name, or {{name: …, option: value}}, got {given!r}{near}")
    return name, options
