"""The policy that cuts every layer group as far as its sensitivity curves allow.

A curve allows a level when its divergence there, and at all lighter levels, is at most a given one. Of several curves
of a group the worst one decides. Each parameter is set as if it were the only one: a network that is cut in many places
diverges by more than any single layer.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from moco.analysis.sensitivity.layer_sensitivity import KEEP, Curve, Sensitivity
from moco.compression.space.codec import NetworkCodec
from moco.errors import ConfigError
from moco.space import SearchSpace
from moco.trial import Point


def tolerable(space: SearchSpace, sensitivity: Sensitivity, most: float) -> Point:
    """The point with every keep ratio and precision as heavy as a divergence of `most` nats allows; the rest neutral.

    Raises:
        ConfigError: the analysis has no curve of any layer of the space.
    """
    codec = space.codec
    assert isinstance(codec, NetworkCodec)
    known = set(sensitivity.layers) | set(sensitivity.keep_curves())
    if not known & {name for choice in codec.choices for _, part in choice.parts for name in part.names}:
        raise ConfigError(
            "space.sensitivity: the analysis knows no layer of this space; was it made of another network?"
        )
    point = dict(space.neutral)
    for choice in codec.choices:
        chosen = None
        for method, part in choice.parts:
            if method.is_chosen and chosen is not None and choice.method is not None:
                continue  # a group takes one method: the first that the analysis lets do something
            found = method.tolerated(part, partial(_allowed, sensitivity, most))
            point |= part.point(found)
            if method.is_chosen and found:
                chosen = method.name
        if chosen is not None:
            point |= choice.chosen.point({"method": chosen})
    space.check(point)
    return point


def _allowed(sensitivity: Sensitivity, most: float, names: Iterable[str], parameter: str) -> float | None:
    """The heaviest level that all these layers, or for `keep` channel groups, allow."""
    if parameter == KEEP:
        curves = sensitivity.keep_curves()
        return lowest((curves.get(name) for name in names), most)
    return lowest((sensitivity.curve(name, parameter) for name in names), most)


def lowest(curves: Iterable[Curve | None], most: float) -> float | None:
    """The heaviest level that all curves allow; None where there is no curve, or one allows no level."""
    found = []
    for curve in curves:
        allowed = None if curve is None else _last_allowed(curve, most)
        if allowed is None:
            return None
        found.append(allowed)
    return max(found, default=None)


def _last_allowed(curve: Curve, most: float) -> float | None:
    """Levels are from light to heavy: the last one before the curve first exceeds what is allowed."""
    allowed = None
    for level, divergence in zip(curve.levels, curve.divergences, strict=True):
        if divergence > most:
            break
        allowed = level
    return allowed
