"""Which registered method a setting of a policy belongs to, asked by name: this module imports none of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from moco.errors import ConfigError, SpaceError, nearest
from moco.policy import in_words
from moco.registry import BUILT_IN, made_by, names, plugin


def method_names() -> list[str]:
    """All registered methods, moco's own first, in the order in which a space has their parameters."""
    return [*BUILT_IN["method"], *(name for name in names("method") if name not in BUILT_IN["method"])]


@cache
def own_methods() -> tuple[Any, ...]:
    """Moco's own methods with their usual options, in the order in which they are applied."""
    return tuple(sorted((plugin("method", name)() for name in BUILT_IN["method"]), key=lambda method: method.order))


_of_plugins: dict[str, Any] = {}


def method_of(key: str, where: str = "policy") -> Any:
    """The method that the setting belongs to, with its usual options.

    A SpaceError where it belongs to none names the nearest setting, or the plug-in that could not be asked.
    """
    own = _of_own()
    if key in own or key in _of_plugins:
        return own.get(key) or _of_plugins[key]
    broken = []
    for name in method_names()[len(BUILT_IN["method"]) :]:
        try:
            found = made_by(plugin("method", name), "method", name, None)
        except ConfigError as error:  # one that is broken hurts only who asks for what may be its own
            broken.append(str(error))
            continue
        _of_plugins.update({setting: found for setting in found.settings if setting not in own})
    if key in _of_plugins:
        return _of_plugins[key]
    why = f"; {broken[0]}" if broken else nearest(key, [*own, *_of_plugins])
    raise SpaceError(f"{where}: unknown setting '{key}'{why}")


def words_of(key: str, value: Any) -> str:
    """A setting in the words of its method, where that is installed here."""
    try:
        return str(method_of(key).describe(key, value))
    except SpaceError:
        return in_words(key, value)


def removed_by(settings: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """The modules that a policy's settings remove; those of methods that are not installed here are not known."""
    found: list[str] = []
    for name, own in settings.items():
        for key, value in own.items() if isinstance(own, Mapping) else ():
            try:
                found += method_of(key).removed_modules(name, {key: value})
            except SpaceError:
                continue
    return tuple(found)


@cache
def _of_own() -> dict[str, Any]:
    return {key: method for method in own_methods() for key in method.settings}
