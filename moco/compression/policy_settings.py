"""The policy of a network: what is done to each layer or channel group; each setting is a registered method's."""

from __future__ import annotations

from collections.abc import Iterator

from moco.compression.methods.method import Method, Setting
from moco.compression.precision import FLOAT_BITS, Bits
from moco.policy import Policy
from moco.setting_owners import method_of, own_methods

NEUTRAL = Policy.of({})  # changes nothing


def widths_of(policy: Policy) -> dict[str, int]:
    """Filters kept by channel group, by any kind of pruning; groups that stay whole are left out."""
    return {name: kept for name, (kept, _) in pruned(policy).items()}


def pruned(policy: Policy) -> dict[str, tuple[int, int]]:
    """(kept, of) filters by channel group, by any kind of pruning; groups that stay whole are left out."""
    return {name: width for method, name, setting in each_setting(policy) if (width := method.width(setting))}


def refitted_of(policy: Policy) -> frozenset[str]:
    """The channel groups whose readers are refitted."""
    return frozenset(name for method, name, _ in each_setting(policy) if method.refits_readers)


def changes_weights(policy: Policy) -> bool:
    """Whether the policy changes the network, and not only its file."""
    return any(method.changes_weights for method, _ in by_method(policy))


def gone_of(policy: Policy) -> tuple[str, ...]:
    """Modules that are not there any more."""
    return tuple(gone for method, name, own in each_setting(policy) for gone in method.removed_modules(name, own))


def branches_gone_of(policy: Policy) -> dict[str, tuple[str, ...]]:
    """By residual branch that is left out, the modules that it is made of."""
    settings = each_setting(policy)
    return {name: method.removed_modules(name, own) for method, name, own in settings if method.removes_branches}


def bits_of(policy: Policy) -> dict[str, Bits]:
    """Bits by layer; layers in float32 are left out."""
    found = {name: bits for method, name, setting in each_setting(policy) if (bits := method.bits(setting))}
    return {name: bits for name, bits in found.items() if bits != FLOAT_BITS}


def parts_of(policy: Policy, layer: str) -> tuple[str, ...]:
    """Names of the layers that stand for a layer: itself, or its factors in their order."""
    settings = policy.settings.get(layer, {})
    found = (method_of(key).replacement_layers(layer, {key: value}) for key, value in settings.items())
    return next((parts for parts in found if parts != (layer,)), (layer,))


def bits_by_part(policy: Policy) -> dict[str, Bits]:
    """Bits by layer, a factorised layer by its factors; layers in float32 are left out."""
    return {part: bits for layer, bits in bits_of(policy).items() for part in parts_of(policy, layer)}


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
