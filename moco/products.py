"""Metrics that are products of measured ones: nothing measures them, their factors are, and so they keep in step."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from moco.metrics import METRICS
from moco.trial import MetricValue


def products_among(names: Collection[str]) -> tuple[str, ...]:
    """Those of the names that are products."""
    return tuple(name for name in names if name in METRICS and METRICS[name].product_of)


def measured_for(names: Collection[str]) -> frozenset[str]:
    """What has to be measured for these metrics: a product's factors in its place."""
    factors = {name: METRICS[name].product_of for name in products_among(names)}
    return frozenset(part for name in names for part in factors.get(name, (name,)))


def product(name: str, metrics: Mapping[str, MetricValue]) -> MetricValue | None:
    """The product with its standard error, factors taken as independent; None where one of them was not measured."""
    factors = [metrics[part] for part in METRICS[name].product_of if part in metrics]
    if len(factors) < len(METRICS[name].product_of):
        return None
    value = math.prod(factor.value for factor in factors)
    shares = [factor.sem / factor.value for factor in factors if factor.sem is not None]
    return MetricValue(value, abs(value) * math.hypot(*shares) if shares else None)


def with_products(metrics: Mapping[str, MetricValue], names: Collection[str]) -> dict[str, MetricValue]:
    """The metrics and, of the named products, those whose factors are among them."""
    found = ((name, product(name, metrics)) for name in products_among(names))
    return {**metrics, **{name: value for name, value in found if value is not None}}
