"""Which columns of a plain space belong to which layer: as the user told, or by the numbers in parameters' names."""

from __future__ import annotations

import re

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from moco.searchers.models.policy_features import PolicyFeatures
from moco.searchers.models.savings import Savings
from moco.space import SearchSpace

Key = tuple[str, ...]


def savings_of(space: SearchSpace, depths: PolicyFeatures) -> Savings | None:
    """What cost is made of; None where costs are exact, or where names tell no layers of two parameters or more."""
    compressing = depths.compressing()
    layers = {} if space.codec is not None else layers_of(space)
    if not layers or not compressing:
        return None
    keys = list(dict.fromkeys(layers.values()))
    own = np.array([_of(keys, layers.get(name)) for _, name, _, _ in compressing])
    before = np.array([_after(keys, layers.get(name)) for _, name, _, _ in compressing])
    labels = [(place, None if name in layers else name) for _, name, place, _ in compressing]
    places = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return Savings(
        np.array([column for column, _, _, _ in compressing]),
        np.array([places[label] for label in labels]),
        np.array([1.0 if is_choice else _rate(space, name) for _, name, _, is_choice in compressing]),
        own,
        before,
    )


def layers_of(space: SearchSpace) -> dict[str, Key]:
    """The layer of each parameter that shares it with another; empty where fewer than half of them have one."""
    told: dict[str, Key] = {name: (group.name,) for group in space.groups for name in group.parameters}
    keys: dict[str, Key] = told or {name: tuple(re.findall(r"\d+", name)) for name in space.distributions}
    counts = {key: sum(other == key for other in keys.values()) for key in keys.values()}
    found = {name: key for name, key in keys.items() if key and counts[key] > 1}
    return found if 2 * len(found) >= len(space.distributions) else {}


def _of(keys: list[Key], key: Key | None) -> np.ndarray:
    """(layers,) 1 where a parameter of this layer acts; one without a layer acts on all."""
    return np.array([float(key is None or other == key) for other in keys])


def _after(keys: list[Key], key: Key | None) -> np.ndarray:
    """(layers,) 1 for the layer that comes after this one."""
    found = np.zeros(len(keys))
    if key is not None:
        found[1:] = _of(keys, key)[:-1]
    return found


def _rate(space: SearchSpace, name: str) -> float:
    """log(high / low) on a log scale, else 0."""
    distribution = space.distributions[name]
    if isinstance(distribution, CategoricalDistribution):
        return 1.0
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    return float(np.log(distribution.high / distribution.low)) if distribution.log else 0.0
