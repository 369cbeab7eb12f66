"""How many policies a space has: counted for each combination of precisions, or bounded from above."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product

from moco.compression.space.context import SpaceContext
from moco.compression.space.group_parameters import Choice

MOST_COMBINATIONS = 4096
"""Policies are counted for each combination of precisions, where there are no more than that."""


def exact_count(choices: Sequence[Choice], context: SpaceContext) -> int | None:
    """Number of distinct policies; None where a method does not count its settings, or there are too many to count.

    It is the sum over all combinations of precisions, because the settings of other methods may depend on them.
    """
    parts = [entry for choice in choices for entry in choice.parts]
    if any(choice.method is not None for choice in choices):
        return None
    fixed = {layer: names[0] for layer, names in context.runs_in.items() if len(names) == 1}
    neutral = {layer: names[0] for layer, names in context.runs_in.items()}
    if any(method.n_settings(part, neutral, context) is None for method, part in parts):
        return None
    chosen = [(part.names, names) for method, part in parts if len(names := method.runs_in(part)) > 1]
    combinations = math.prod(len(names) for _, names in chosen)

    def counted(precisions: Mapping[str, str]) -> int:
        return math.prod(method.n_settings(part, {**fixed, **precisions}, context) or 0 for method, part in parts)

    if not any(method.minds_precisions(part, context) for method, part in parts):
        return combinations * counted({})
    if combinations > MOST_COMBINATIONS:
        return None
    return sum(
        counted({layer: name for (layers, _), name in zip(chosen, combination, strict=True) for layer in layers})
        for combination in product(*(names for _, names in chosen))
    )


def most_policies(choices: Sequence[Choice], context: SpaceContext) -> int:
    """An upper bound of the number of policies; methods that share their parameters count once."""
    most = 1
    for choice in choices:
        sizes = {tuple(part.parameters): method.most_settings(part, context) for method, part in choice.parts}
        most *= math.prod(sizes.values()) * (1 if choice.method is None else len(choice.method.choices))
    return most
