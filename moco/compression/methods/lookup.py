"""What a policy says of each registered method."""

from __future__ import annotations

from collections.abc import Iterator

from moco.compression.methods.method import Method, Setting
from moco.errors import SpaceError
from moco.policy import Policy
from moco.setting_owners import method_of, own_methods


def by_method(policy: Policy) -> list[tuple[Method, dict[str, Setting]]]:
    """Method by method, in their order, what the policy says of each layer or channel group."""
    found: dict[str, tuple[Method, dict[str, Setting]]] = {}
    for name, settings in policy.settings.items():
        for key, value in settings.items():
            method = method_of(key)
            found.setdefault(method.name, (method, {}))[1][name] = {key: value}
    return sorted(found.values(), key=lambda pair: pair[0].order)


def each_setting(policy: Policy) -> Iterator[tuple[Method, str, Setting]]:
    """Each setting with its method and the layer or channel group that it is of, in the order of the methods."""
    return ((method, name, setting) for method, found in by_method(policy) for name, setting in found.items())


def methods_of(policy: Policy) -> list[Method]:
    """Moco's own methods and those that the policy names, in their order."""
    found = {method.name: method for method in (*own_methods(), *(method for method, _ in by_method(policy)))}
    return sorted(found.values(), key=lambda method: method.order)


def check_settings_of(method: Method) -> None:
    """Pass a method none of whose settings is another one's.

    Raises:
        SpaceError: one is; it is named with both methods.
    """
    for key in method.settings:
        owner = method_of(key)
        if owner.name != method.name:
            raise SpaceError(f"space.{method.name}: its setting '{key}' is one of '{owner.name}'; rename it")
