"""One clear line for a value that does not fit its schema: the key path, what was expected, what came."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from moco.errors import ConfigError, nearest

_NUMBERS = frozenset({"float_type", "int_type", "float_parsing", "int_parsing"})
_WORDS = {
    "an object": "a mapping",
    "a valid dictionary": "a mapping",
    "a valid array": "a list",
    "a valid tuple": "a list",
    "a valid list": "a list",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid integer": "a whole number",
    "a valid number": "a number",
}.items()
"""Pydantic's words and YAML's."""
MOST = 10**18
"""Whole numbers lie below it: what takes them, numpy and databases among them, has 64 bits."""


def refuse_unknown_keys(model: type[BaseModel], data: object, where: str = "") -> None:
    """Pass a mapping whose keys, at every depth, are the model's; plug-in sections take further ones.

    A ConfigError names the path of an unknown key and the nearest valid one.
    """
    if not isinstance(data, Mapping):
        return
    known = {field.alias or name: field for name, field in model.model_fields.items()}
    further = model.further_keys() if hasattr(model, "further_keys") else None
    for key, value in data.items():
        path = joined(where, key)
        if key in known:
            for inner, place, held in _models_in(known[key].annotation, path, value):
                refuse_unknown_keys(inner, held, place)
        elif further is None and model.model_config.get("extra") == "allow":
            continue
        elif further is None or key not in further:
            raise ConfigError(f"{path}: unknown key{nearest(key, [*known, *(further or ())])}")


def refuse_what_is_not_plain(data: object, where: str = "") -> None:
    """Pass text, finite numbers, true, false, null, lists, and mappings whose keys are text.

    A ConfigError refuses anything else, which YAML makes of `on:`, of `1:` and of dates.
    """
    if isinstance(data, Mapping):
        for key, value in data.items():
            if not isinstance(key, str):
                raise ConfigError(f"{where or 'experiment'}: the key {key!r} is not text; put it in quotes")
            if _control(key):
                raise ConfigError(f"{where or 'experiment'}: the key {key!r} has a control character in it")
            refuse_what_is_not_plain(value, joined(where, key))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            refuse_what_is_not_plain(value, f"{where}[{index}]")
    elif (why := _not_plain(data)) is not None:
        raise ConfigError(f"{where}: {why}")


def _not_plain(value: object) -> str | None:
    """What is wrong with what is no list and no mapping; None where it is plain."""
    if isinstance(value, str):
        odd = None if value.isprintable() else _control(value)
        return None if odd is None else f"expected text without control characters, got {odd!r} in it"
    if isinstance(value, float) and not math.isfinite(value):
        return f"expected a finite number, got {value}"
    if isinstance(value, float) and abs(value) >= MOST:
        return f"expected a number below 1e18, got {value}"
    if isinstance(value, int) and abs(value) >= MOST:
        return f"expected a whole number below 10^18, got one of {value.bit_length()} bits"
    if isinstance(value, int | float | None):
        return None
    return f"expected text, a number, a list or a mapping, got a {type(value).__name__}; quote it"


def _control(text: str) -> str | None:
    """The first character that is a control, a line break or half of a surrogate pair; None where none is."""
    return next((one for one in text if unicodedata.category(one) in {"Cc", "Cs", "Zl", "Zp"}), None)


def explain(error: ValidationError, data: object, where: str = "") -> ConfigError:
    """The first thing that is wrong with `data`, which lies at the key path `where`, as an error of one line.

    Of a choice of types it tells all that would have been right.
    """
    problems = [_located(problem, data) for problem in error.errors(include_url=False)]
    first = problems[0].path
    # What lies deeper says more: of a mapping that one type of a choice took, the key that is wrong.
    path = max((p.path for p in problems if p.path[: len(first)] == first), key=len)
    here = [problem for problem in problems if problem.path == path]
    key_path = where
    for part in path:
        key_path = f"{key_path}[{part}]" if isinstance(part, int) else joined(key_path, part)
    for problem in here:
        if sentence := problem.sentence():
            return ConfigError(f"{key_path}: {sentence}")
    expected = " or ".join(dict.fromkeys(problem.expected() for problem in here))
    return ConfigError(f"{key_path}: expected {expected}, got {here[0].value!r}{here[0].near()}")


@dataclass(frozen=True)
class _Problem:
    """One of pydantic's complaints, at its place in the data."""

    path: tuple[str | int, ...]
    value: object
    kind: str
    message: str

    def sentence(self) -> str | None:
        """All that is to say; None where it is `expected X, got Y`."""
        if self.kind == "missing":
            return "is missing"
        if self.kind == "extra_forbidden":
            return "unknown key"
        if self.kind == "value_error":
            return self.message.removeprefix("Value error, ")
        if self.kind in _NUMBERS and isinstance(self.value, str) and (number := as_yaml_number(self.value)):
            return f"'{self.value}' arrived as text; YAML wants {number}"
        return None

    def expected(self) -> str:
        """What would have been right."""
        text = re.sub(r"^(Input|String|List|Dictionary|Tuple|Value) should (be )?", "", self.message)
        for pydantics, ours in _WORDS:
            text = text.replace(pydantics, ours)
        return text

    def near(self) -> str:
        """The nearest of the choices, where the value is text."""
        choices = re.findall(r"'([^']*)'", self.message)
        if self.kind != "literal_error" or not isinstance(self.value, str):
            return ""
        close = nearest(self.value, choices)
        return close if "did you mean" in close else ""


def as_yaml_number(text: str) -> str | None:
    """How YAML 1.1 wants the number that the text means; None where it means none.

    PyYAML reads `3e-4` and `1e6` as text: an exponent needs a point before it and a sign.
    """
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    mantissa, mark, exponent = text.strip().lower().partition("e")
    if not mark:
        return f"{text.strip()} without quotes"
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    return f"{mantissa}e{exponent if exponent[0] in '+-' else '+' + exponent}"


def joined(where: str, key: object) -> str:
    """The key path of a key within `where`."""
    return f"{where}.{key}" if where else str(key)


def _located(problem: ErrorDetails, data: object) -> _Problem:
    """The complaint without the names of types that pydantic puts into the place."""
    path: list[str | int] = []
    value = data
    for part in problem["loc"]:
        if _has(value, part):
            value = value[part]  # type: ignore[index]
        elif part == "[key]":
            value = path[-1]
            continue
        elif problem["type"] != "missing" or part != problem["loc"][-1]:
            continue
        path.append(part)
    return _Problem(tuple(path), value, problem["type"], problem["msg"])


def _has(value: object, part: str | int) -> bool:
    if isinstance(value, Mapping):
        return part in value
    return isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)


def _models_in(annotation: object, where: str, value: object) -> Iterator[tuple[type[BaseModel], str, object]]:
    """The models that a value may be one of, or hold by name, each with the value that it is to look at."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, where, value
    if get_origin(annotation) is dict and isinstance(value, Mapping):
        for key, held in value.items():
            yield from _models_in(get_args(annotation)[1], joined(where, key), held)
    elif get_origin(annotation) not in {tuple, dict}:
        for inner in get_args(annotation):
            yield from _models_in(inner, where, value)
