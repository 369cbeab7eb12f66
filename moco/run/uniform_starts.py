"""What a search evaluates before it asks its searcher: the reference, int8, a ladder of uniform policies, given points.

They count in the budget and stand in every report as baselines: was the search worth it?
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from moco.errors import ConfigError, SpaceError, nearest
from moco.finalists.bit_allocations import in_fewer_bits
from moco.policy import Policy
from moco.space import SearchSpace
from moco.study import Start
from moco.trial import Point

KINDS = ("none", "reference", "ladder")
MOST_IN_FEWER_BITS = 2
LADDER_LEVELS = (0.1, 0.2, 0.35, 0.5, 0.75)
"""Steps away from neutral, light to heavy; denser where networks are still of use."""


def uniform_starts(space: SearchSpace, kind: str = "ladder") -> list[Start]:
    """The starts of that kind, those that round to one policy once; a ConfigError where the kind is unknown."""
    if kind not in KINDS:
        raise ConfigError(f"searcher.start: unknown start '{kind}'{nearest(kind, KINDS)}")
    if kind == "none":
        return []
    heaviest = space.n_variants() - 1
    untouched = space.codec is None or not space.canonical(space.uniform(0.0)).settings
    found = [Start("reference" if untouched else _words(space, space.uniform(0.0)) or "lightest", space.uniform(0.0))]
    if kind == "ladder":
        for variant in range(1, heaviest + 1):
            point = space.uniform(0.0, variant)
            found.append(Start(_words(space, point), point))
        for level in LADDER_LEVELS:
            point = space.uniform(level, heaviest)
            found.append(Start(f"ladder {level:g} {_words(space, point)}".strip(), point))
    return distinct(space, found)


def starts_in_fewer_bits(space: SearchSpace) -> list[Start]:
    """The whole network, its weights in the fewest bits that cost little without training, and in a bit more."""
    whole = space.uniform(0.0, space.n_variants() - 1)
    found = in_fewer_bits(space, space.canonical(whole), whole)[-MOST_IN_FEWER_BITS:]
    return [Start(f"weights in {one.fewest_bits} bits and more", one.point) for one in found]


def starts_of(space: SearchSpace, chosen: str | Sequence[str | Point | Start]) -> list[Start]:
    """The starts that are chosen: kinds by name, points of the space, or starts as they are.

    A ConfigError names the place in the list of an unknown kind, or of a point that is not of the space.
    """
    if isinstance(chosen, str):
        return uniform_starts(space, chosen)
    found: list[Start] = []
    for place, one in enumerate(chosen):
        if isinstance(one, str):
            found += uniform_starts(space, one)
            continue
        start = one if isinstance(one, Start) else Start(f"point {place}", one)
        try:
            space.check(start.point)
        except (SpaceError, TypeError) as error:
            raise ConfigError(f"start[{place}]: {error}") from None
        found.append(start)
    return distinct(space, found)


def distinct(space: SearchSpace, found: Iterable[Start]) -> list[Start]:
    """The starts without those that round to the policy of an earlier one."""
    by_policy: dict[Policy, Start] = {}
    for start in found:
        by_policy.setdefault(space.canonical(start.point), start)
    return list(by_policy.values())


def _words(space: SearchSpace, point: Point) -> str:
    """The words among the settings of the point's policy, such as `int8`: what tells one variant from another."""
    return "+".join(sorted(set(_strings(space.canonical(point).settings))))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
