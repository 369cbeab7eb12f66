"""What sensitivity curves decide: the policy that cuts as far as they allow, and layer groups with alike curves.

A curve allows a level when its divergence there, and at all lighter levels, is at most a given one. Of several curves
of a group the worst one decides. Each parameter is set as if it were the only one: a network that is cut in many places
diverges by more than any single layer. Groups replace the hand-made ones of S2.04 (W24).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from moco.analysis.sensitivity.layer_sensitivity import KEEP, Curve, Sensitivity
from moco.compression.space.codec import NetworkCodec
from moco.errors import ConfigError
from moco.space import SearchSpace
from moco.trial import Point


def tolerable(space: SearchSpace, sensitivity: Sensitivity, most: float) -> Point:
    """The point with every keep ratio and precision as heavy as a divergence of `most` nats allows; the rest neutral.

    A ConfigError where the analysis has no curve of any layer of the space.
    """
    codec = space.codec
    assert isinstance(codec, NetworkCodec)
    known = {*sensitivity.layers, *(curve.layer for curve in sensitivity.curves)}
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
            found = method.heaviest_allowed(part, partial(_allowed, sensitivity, most))
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


NEGLIGIBLE = 1e-3
"""Divergences below this, in nats, count as this: they change no decision, and their logarithms would."""
ALIKE = 5.0
"""Layers share a group when the factor between their divergences, in the root mean square of its logarithm, is less."""
FAR_ABOVE = 5.0
"""A layer may be left alone when its typical divergence is more than this multiple of the median layer's."""
HARMFUL = 1e-2
"""No layer is left alone whose typical divergence is below this, in nats."""


@dataclass(frozen=True)
class Clusters:
    """Layers by what they bear."""

    groups: Mapping[str, tuple[str, ...]]  # by name (`g1` bears most, `g2` less, …), its layers in the order given
    ignored: tuple[str, ...]  # layers that are too sensitive, in that order
    rule: str  # how both were found, in a sentence


def clusters(curves: Mapping[str, Sequence[float]], count: int | None = None) -> Clusters:
    """The groups of layers with alike curves.

    Agglomerative clustering with complete linkage of log-divergences: the distance of two layers is the root mean
    square over the levels of the logarithm of the factor between them, that of two groups the largest of their layers'.

    `curves` are by layer divergences in nats at the same levels, from light to heavy. A `count` of None merges as long
    as all layers of a group differ by less than the factor `ALIKE`. A ConfigError refuses curves of different lengths,
    and a count below one or above the number of layers that are left.
    """
    ignored = over_sensitive(curves)
    kept = [name for name in curves if name not in ignored]
    if count is not None and not 1 <= count <= len(kept):
        raise ConfigError(f"clusters: expected 1 to {len(kept)} groups of the layers that are left, got {count}")
    labels = _labels(np.array([curves[name] for name in kept]), count)
    members: dict[int, list[str]] = {}
    for name, label in zip(kept, labels, strict=True):
        members.setdefault(label, []).append(name)
    ordered = sorted(members.values(), key=lambda names: np.mean([_logs(curves[name]).mean() for name in names]))
    how = f"within a factor of {ALIKE:g} of each other" if count is None else f"in the {count} most alike sets"
    rule = (
        f"layers whose divergences lie {how} (root mean square of the logarithms over the levels) share a group; left "
        f"alone is a layer whose geometric mean is above {HARMFUL:g} nats and {FAR_ABOVE:g} times the median layer's"
    )
    return Clusters({f"g{place}": tuple(names) for place, names in enumerate(ordered, start=1)}, ignored, rule)


def over_sensitive(curves: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
    """Layers whose typical divergence, the geometric mean over the levels, is harmful and far above the median layer's.

    A ConfigError where the curves have different lengths.
    """
    if len({len(curve) for curve in curves.values()}) > 1:
        raise ConfigError("clusters: the curves of all layers must have the same levels")
    if not curves or not len(next(iter(curves.values()))):
        return ()
    typical = {name: float(np.exp(_logs(curve).mean())) for name, curve in curves.items()}
    limit = max(FAR_ABOVE * float(np.median(list(typical.values()))), HARMFUL)
    return tuple(name for name, divergence in typical.items() if divergence > limit)


def _labels(curves: NDArray[np.float64], count: int | None) -> list[int]:
    if len(curves) < 2:
        return [1] * len(curves)
    logs = _logs(curves) / np.sqrt(max(curves.shape[1], 1))
    tree = linkage(logs, method="complete", metric="euclidean")
    if count is None:
        return [int(label) for label in fcluster(tree, np.log(ALIKE), criterion="distance")]
    return [int(label) for label in fcluster(tree, count, criterion="maxclust")]


def _logs(curve: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    logs: NDArray[np.float64] = np.log(np.maximum(np.asarray(curve, dtype=np.float64), NEGLIGIBLE))
    return logs
