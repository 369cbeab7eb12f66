"""What a search evaluates before it asks its searcher: the reference, int8, a ladder of uniform policies.

They count in the budget and stand in every report as baselines: was the search worth it?
"""

from __future__ import annotations

from optuna.distributions import CategoricalDistribution

from moco.errors import ConfigError
from moco.space import SearchSpace
from moco.study import Start
from moco.suggest import nearest

KINDS = ("none", "reference", "ladder")
LADDER_LEVELS = (0.1, 0.2, 0.35, 0.5, 0.75)
"""Steps away from neutral, light to heavy; denser where networks are still of use."""


def starts(space: SearchSpace, kind: str = "ladder") -> list[Start]:
    """The starts of that kind; those that round to one policy are given once.

    Raises:
        ConfigError: an unknown kind of start.
    """
    if kind not in KINDS:
        raise ConfigError(f"searcher.start: unknown start '{kind}'{nearest(kind, KINDS)}")
    if kind == "none":
        return []
    variants = range(space.n_variants())
    untouched = space.codec is None or not space.canonical(space.uniform(0.0)).settings
    found = [Start("reference" if untouched else _variant_name(space, 0) or "lightest", space.uniform(0.0))]
    if kind == "ladder":
        found += [Start(_variant_name(space, variant), space.uniform(0.0, variant)) for variant in variants[1:]]
        name = _variant_name(space, variants[-1])
        suffix = f" {name}" if name else ""
        found += [Start(f"ladder {level:g}{suffix}", space.uniform(level, variants[-1])) for level in LADDER_LEVELS]
    policies = [space.canonical(start.point) for start in found]
    return [start for index, start in enumerate(found) if policies[index] not in policies[:index]]


def _variant_name(space: SearchSpace, variant: int) -> str:
    point = space.uniform(0.0, variant)
    names = {
        str(point[name]) for name, d in space.distributions.items()
        if isinstance(d, CategoricalDistribution)
    } - {"float32"}  # fmt: skip
    return "+".join(sorted(names))
