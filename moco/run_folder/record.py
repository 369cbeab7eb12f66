"""A frozen dataclass as a JSON object and back: the fields are the keys, in their order.

What a field's type says is read: records, tuples and mappings of them to any depth. A union of several types and `Any`
are JSON as it came. Files of an older moco lack keys: an absent key, or null, is the field's default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, field, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, Self, cast, get_args, get_origin, get_type_hints

_INLINED, _LEFT_OUT, _UNWRITTEN = "inlined", "left out where None", "unwritten"
_types: Callable[[Any], dict[str, Any]] = cache(get_type_hints)
_SCALARS: dict[Any, type | UnionType] = {str: str, bool: bool, int: int, float: int | float}


def inlined() -> Any:
    """A field with numbers by name that stand among the record's own keys."""
    return field(default_factory=dict, metadata={_INLINED: True})


def left_out() -> Any:
    """A field whose key is left out where it is None."""
    return field(default=None, metadata={_LEFT_OUT: True})


def unwritten() -> Any:
    """A field that is no part of the JSON; empty unless it is given."""
    return field(default=(), metadata={_UNWRITTEN: True})


class Record:
    """Base of the dataclasses whose fields are the keys of a JSON object."""

    def to_json(self) -> dict[str, Any]:
        """This record as JSON values."""
        found: dict[str, Any] = {}
        for one in _fields(type(self)):
            value = getattr(self, one.name)
            if _INLINED in one.metadata:
                found |= as_json(value)
            elif not (value is None and _LEFT_OUT in one.metadata):
                found[one.name] = as_json(value)
        return found

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The record of that JSON, other keys passed over; a missing key is a KeyError, a wrong type a TypeError."""
        if not isinstance(data, Mapping):
            raise TypeError(f"expected an object of {cls.__name__}, got {data!r}")
        known = {one.name for one in _fields(cls)}
        values: dict[str, Any] = {}
        for one in _fields(cls):
            if _INLINED in one.metadata:
                rest = {name: value for name, value in data.items() if name not in known}
                values[one.name] = {n: v for n, v in rest.items() if v is None or isinstance(v, int | float)}
            elif data.get(one.name) is not None:
                values[one.name] = _read(_types(cls)[one.name], data[one.name], one.name)
            elif one.name in required(cls):
                raise KeyError(one.name)
        return cls(**values)


def required(record: type[Record]) -> tuple[str, ...]:
    """The keys that a file must have."""
    return tuple(f.name for f in _fields(record) if f.default is MISSING and f.default_factory is MISSING)


def as_json(value: Any) -> Any:
    """`value` with records, mappings and tuples as JSON values."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, Mapping):
        return {name: as_json(inner) for name, inner in value.items()}
    return [as_json(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _read(kind: Any, value: Any, name: str) -> Any:
    """`value` as `kind` has it; `name` is that of the field, for errors."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        kinds = [one for one in arguments if one is not NoneType]
        return value if value is None or len(kinds) > 1 else _read(kinds[0], value, name)
    if origin is tuple:
        return tuple(_read(arguments[0], inner, name) for inner in cast(Iterable[Any], _checked(list, value, name)))
    if origin is Mapping:
        found = cast(Mapping[str, Any], _checked(Mapping, value, name)).items()
        optional = arguments[1] is Any or NoneType in get_args(arguments[1])
        return {key: _read(arguments[1], inner, name) for key, inner in found if inner is not None or optional}
    if kind in _SCALARS:
        return _checked(_SCALARS[kind], value, name)
    return value if kind is Any else kind.from_json(value)


def _checked(kind: Any, value: Any, name: str) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected {getattr(kind, '__name__', kind)}, got {value!r}")
    return value


def _fields(record: type[Record]) -> tuple[Field[Any], ...]:
    return tuple(one for one in fields(cast(Any, record)) if _UNWRITTEN not in one.metadata)
