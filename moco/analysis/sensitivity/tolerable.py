"""The policy that cuts every layer group as far as its sensitivity curves allow.

A curve allows a level when its divergence there, and at all lighter levels, is at most a given one. Of several curves
of a group the worst one decides. Each parameter is set as if it were the only one: a network that is cut in many places
diverges by more than any single layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from moco.analysis.sensitivity.layer_sensitivity import ACTIVATION_BITS, INT8, WEIGHT_BITS, Curve, Sensitivity
from moco.compression.policy_settings import FLOAT32, MIXED
from moco.compression.policy_settings import INT8 as INT8_PRECISION
from moco.compression.space.codec import NetworkCodec
from moco.compression.space.group_parameters import CHANNEL_PRUNING, FILTER_PRUNING, BitRange, Choice
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
    named = {name for choice in codec.choices for name in (*choice.quantizable, *(g.name for g in choice.prunable))}
    if not known & named:
        raise ConfigError(
            "space.sensitivity: the analysis knows no layer of this space; was it made of another network?"
        )
    point = dict(space.neutral)
    for choice in codec.choices:
        point |= _kept(choice, sensitivity, most)
        point |= _precision(choice, sensitivity, most)
    space.check(point)
    return point


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


def _kept(choice: Choice, sensitivity: Sensitivity, most: float) -> dict[str, str | float]:
    curves = sensitivity.keep_curves()
    keep = None if choice.keep is None else lowest((curves.get(group.name) for group in choice.prunable), most)
    if choice.keep is None or keep is None or keep >= choice.keep.high:
        return {}
    found: dict[str, str | float] = {choice.keep.name: max(keep, choice.keep.low)}
    if choice.method is not None and choice.method.is_open:
        found[choice.method.name] = next(
            name for name in choice.method.choices if name in {FILTER_PRUNING, CHANNEL_PRUNING}
        )
    return found


def _precision(choice: Choice, sensitivity: Sensitivity, most: float) -> Mapping[str, str | int]:
    """The heaviest precision that is allowed: mixed with its fewest bits, then int8, then float32."""
    if choice.precision is None:
        return {}
    names, found = choice.precision.choices, dict[str, str | int]()
    weights = _bits(choice, choice.weight_bits, WEIGHT_BITS, sensitivity, most)
    activations = _bits(choice, choice.activation_bits, ACTIVATION_BITS, sensitivity, most)
    chosen = names[0]
    if MIXED in names and weights is not None and activations is not None:
        chosen = MIXED
        assert choice.weight_bits is not None
        assert choice.activation_bits is not None
        found |= {choice.weight_bits.name: weights, choice.activation_bits.name: activations}
    elif INT8_PRECISION in names and _all_allow(choice, INT8, sensitivity, most):
        chosen = INT8_PRECISION
    elif FLOAT32 in names:
        chosen = FLOAT32
    return {**found, choice.precision.name: chosen} if choice.precision.is_open else found


def _bits(choice: Choice, bits: BitRange | None, parameter: str, sensitivity: Sensitivity, most: float) -> int | None:
    """The fewest bits within their bounds that every layer allows; None where some layer allows none of them."""
    if bits is None:
        return None
    fewest = lowest((sensitivity.curve(layer, parameter) for layer in choice.quantizable), most)
    return None if fewest is None or fewest > bits.high else max(int(fewest), bits.low)


def _all_allow(choice: Choice, parameter: str, sensitivity: Sensitivity, most: float) -> bool:
    return lowest((sensitivity.curve(layer, parameter) for layer in choice.quantizable), most) is not None
